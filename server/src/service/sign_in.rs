//! Signing in.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    seal::Secret,
    service::{
        audit,
        authenticate::{TOKEN_LENGTH, actor, token_hash},
        password,
        problems::is_user_name,
    },
    shares::network,
    store::{
        Instant, member,
        user::{self, Session},
    },
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Failed attempts for one name, from one address, in one minute.
pub const ATTEMPTS_PER_MINUTE: u32 = 10;

/// Attempts from one address in one minute, whatever the names: each costs the work of a password.
const ATTEMPTS_PER_MINUTE_AND_ADDRESS: u32 = 120;

/// What attempts count for that name nobody who could be there: to check a password costs the same for them.
const NO_NAME: &str = "";

/// What all attempts from one address count for together.
const ANY_NAME: &str = "*";

/// Names that are remembered for their failed attempts. More than this are only seen when somebody tries names.
const MAX_NAMES: usize = 10_000;

/// How long an attempt counts.
const WINDOW: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// The failed attempts of the last minute, by name and by where they came from, and those of each address: whoever tries
/// the name of somebody else keeps out only those of the same address. Behind a proxy that is everybody.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<(String, Origin), Count>>);

/// Where a request comes from; none: from wherever a person is signed in, or it is not known.
pub type Origin = Option<IpAddr>;

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Instant,
    attempts: u32,
}

/// A session that has begun.
#[derive(Debug)]
pub struct SignedIn {
    /// What requests carry; only its hash is stored.
    pub token: Secret,
    /// Who signed in.
    pub actor: Actor,
}

/// Begins a session.
pub async fn sign_in(app: &App, name: &str, given: Secret, origin: Origin) -> Result<SignedIn> {
    let now = app.clock.now();
    if !is_user_name(name) {
        app.sign_in_attempts.begin(NO_NAME, origin, now)?;
        password::verify(app, None, given).await?;
        return Err(wrong());
    }
    app.sign_in_attempts.begin(name, origin, now)?;
    let user = {
        let mut conn = app.database.read().await?;
        user::by_name(&mut conn, name).await?
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let fits = password::verify(app, hash, given).await?;
    let Some(user) = user else { return Err(wrong()) };
    if !fits {
        audit::wrong_password(app, &user);
        return Err(wrong());
    }
    app.sign_in_attempts.forget(name, origin);

    let token = Secret::new(clock::random_text(TOKEN_LENGTH));
    let now = app.clock.now();
    let lifetime = Duration::from_secs(u64::from(app.config.http.session_hours) * 3600);
    let session = Session {
        id: clock::new_id(),
        user_id: user.id,
        token_hash: token_hash(token.expose()),
        created_at: now,
        expires_at: Instant::new(now.0 + lifetime),
    };
    let actor = actor(&session, &user);
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        user::delete_expired_sessions(conn, now).await?;
        user::insert_session(conn, &session).await?;
        record(conn, &actor, now, "signIn").await
    })
    .await?;
    Ok(SignedIn { token, actor })
}

/// Records what somebody did with their own account, in each of their enterprises.
pub(super) async fn record(conn: &mut crate::store::Conn, actor: &Actor, now: Instant, action: &str) -> Result<()> {
    let enterprises = member::roles_of(conn, actor.user_id).await?;
    let object = crate::graphql::id::encode_text(actor.user_id);
    if enterprises.is_empty() {
        audit::done(conn, actor, now, action, None, Some(object.clone()), None).await?;
    }
    for (enterprise, _) in enterprises {
        audit::done(conn, actor, now, action, Some(enterprise), Some(object.clone()), None).await?;
    }
    Ok(())
}

impl Attempts {
    /// Counts an attempt, unless there were too many. One that succeeds is forgotten with [`Attempts::forget`].
    pub fn begin(&self, name: &str, origin: Origin, now: Instant) -> Result<()> {
        if origin.is_some() {
            self.count(ANY_NAME, origin, now, ATTEMPTS_PER_MINUTE_AND_ADDRESS)?;
        }
        self.count(name, origin, now, ATTEMPTS_PER_MINUTE)
    }

    fn count(&self, name: &str, origin: Origin, now: Instant, most: u32) -> Result<()> {
        let key = key(name, origin);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_NAMES && !counts.contains_key(&key) {
            counts.retain(|_, count| now.0 - count.since.0 < WINDOW);
            // Forgetting one costs thousands of attempts, which gains nobody more guesses than it costs.
            let oldest = counts.iter().min_by_key(|(_, count)| count.since).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest.filter(|_| counts.len() >= MAX_NAMES) {
                counts.remove(&oldest);
            }
        }
        let count = counts.entry(key).or_insert(Count { since: now, attempts: 0 });
        if now.0 - count.since.0 >= WINDOW {
            *count = Count { since: now, attempts: 0 };
        }
        if count.attempts >= most {
            return Err(Error::RateLimited("too many attempts to sign in; wait a minute".into()));
        }
        count.attempts += 1;
        Ok(())
    }

    /// The name was proved.
    pub fn forget(&self, name: &str, origin: Origin) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(&key(name, origin));
        if let Some(count) = counts.get_mut(&key(ANY_NAME, origin)) {
            count.attempts = count.attempts.saturating_sub(1);
        }
    }
}

fn key(name: &str, origin: Origin) -> (String, Origin) {
    (name.to_owned(), origin.map(network))
}

fn wrong() -> Error {
    UserError::new(audit::WRONG_PASSWORD, "the name or the password is wrong").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::new(chrono::DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap())
    }

    #[test]
    fn attempts_are_limited_by_name_and_minute() {
        let attempts = Attempts::default();
        for _ in 0..ATTEMPTS_PER_MINUTE {
            attempts.begin("ada", None, at(0)).unwrap();
        }
        assert!(matches!(attempts.begin("ada", None, at(59)), Err(Error::RateLimited(_))));
        attempts.begin("bob", None, at(59)).unwrap();
        attempts.begin("ada", None, at(60)).unwrap();
        attempts.forget("ada", None);
        attempts.begin("ada", None, at(60)).unwrap();
    }

    #[test]
    fn whoever_tries_the_name_of_another_keeps_themselves_out_alone() {
        let attempts = Attempts::default();
        let from = |text: &str| Some(text.parse().unwrap());
        for _ in 0..ATTEMPTS_PER_MINUTE {
            attempts.begin("ada", from("2001:db8::1"), at(0)).unwrap();
        }
        assert!(attempts.begin("ada", from("2001:db8::2"), at(1)).is_err(), "the same network");
        attempts.begin("ada", from("2001:db8:0:1::1"), at(1)).unwrap();
        attempts.begin("ada", from("192.0.2.1"), at(1)).unwrap();
    }

    #[test]
    fn an_address_tries_so_many_names_and_no_more() {
        let attempts = Attempts::default();
        let from = |text: &str| Some(text.parse().unwrap());
        let begin = |n: u32, address| attempts.begin(&format!("name-{n}"), from(address), at(0));
        for n in 0..ATTEMPTS_PER_MINUTE_AND_ADDRESS {
            begin(n, "192.0.2.1").unwrap();
        }
        assert!(begin(200, "192.0.2.1").is_err());
        begin(200, "192.0.2.2").unwrap();
        attempts.forget("name-0", from("192.0.2.1"));
        begin(200, "192.0.2.1").unwrap();
    }

    #[test]
    fn whoever_tries_many_names_keeps_nobody_else_out() {
        let attempts = Attempts::default();
        for n in 0..=MAX_NAMES {
            attempts.begin(&format!("name-{n}"), None, at(0)).unwrap();
        }
        attempts.begin("ada", None, at(1)).unwrap();
        assert!(attempts.0.lock().unwrap().len() <= MAX_NAMES);
    }
}
