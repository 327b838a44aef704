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

/// Whether the session of a request that lasts is still valid.
pub async fn is_signed_in(app: &App, actor: &Actor) -> Result<bool> {
    let mut conn = app.database.read().await?;
    Ok(user::session_lives(&mut conn, actor.session_id, app.clock.now()).await?)
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
