//! Who a token stands for.

use crate::{
    actor::Actor,
    app::App,
    error::Result,
    store::user::{self, Session, User},
};
use sha2::{Digest as _, Sha256};

/// How many letters and digits a token has.
pub const TOKEN_LENGTH: usize = 43;

/// The person of a token; none if it is unknown or has expired.
pub async fn authenticate(app: &App, token: &str) -> Result<Option<Actor>> {
    if token.len() != TOKEN_LENGTH || !token.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let mut conn = app.database.read().await?;
    let found = user::session(&mut conn, &token_hash(token), app.clock.now()).await?;
    Ok(found.map(|(session, user)| actor(&session, &user)))
}

/// The person of a connection that lasts, as they are now; none if their session is not valid any more.
pub async fn again(app: &App, known: &Actor) -> Result<Option<Actor>> {
    let mut conn = app.database.read().await?;
    let found = user::session_by_id(&mut conn, known.session_id, app.clock.now()).await?;
    Ok(found.map(|(session, user)| actor(&session, &user)))
}

/// What is stored of a token.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// The person of a session.
pub fn actor(session: &Session, user: &User) -> Actor {
    Actor {
        user_id: user.id,
        name: user.name.clone(),
        display_name: user.display_name.clone(),
        must_change_password: user.must_change_password,
        session_id: session.id,
    }
}
