//! Signing out.

use crate::{actor::Actor, app::App, error::Result, service::sign_in, store::user};

/// Ends the session of a request.
pub async fn sign_out(app: &App, actor: &Actor) -> Result<()> {
    let now = app.clock.now();
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        user::delete_session(conn, actor.session_id).await?;
        sign_in::record(conn, actor, now, "signOut").await
    })
    .await
}
