//! The person who asks: signing in and out, and the own password.

use super::{
    Peer, app, app_and_signed_in,
    error::{IntoGraphql as _, answer},
    id, signed_in,
};
use crate::{
    actor::Actor,
    error::Result,
    id::ViewerId,
    payload,
    seal::Secret,
    service::{change_password, find, sign_in, sign_out},
};
use async_graphql::{Context, ID, InputObject, Object};

/// The person who asks.
#[derive(Debug, Clone)]
pub struct Viewer {
    actor: Actor,
}

/// Queries about the person who asks.
#[derive(Default)]
pub struct ViewerQuery;

/// Mutations of the person who asks.
#[derive(Default)]
pub struct ViewerMutation;

/// Input of `signIn`.
#[derive(InputObject)]
pub struct SignInInput {
    /// The name to sign in with.
    pub name: String,
    /// The password.
    #[graphql(secret)]
    pub password: String,
}

/// Input of `changePassword`.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// The password as it is.
    #[graphql(secret)]
    pub current: String,
    /// The password as it is to be: 10 to 256 characters, neither the name nor the current one.
    #[graphql(secret)]
    pub new: String,
}

payload! {
    /// Answer of `signIn`.
    SignInPayload {
        /// Send it as `Authorization: Bearer <token>`. It is shown this once and ends with the session.
        token: String,
        /// Who signed in.
        viewer: Viewer,
    }
}

payload! {
    /// Answer of `signOut`.
    SignOutPayload {}
}

payload! {
    /// Answer of `changePassword`.
    ChangePasswordPayload {
        /// Whose password was changed.
        viewer: Viewer,
    }
}

/// The person who asks.
#[Object]
impl Viewer {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(ViewerId::new(self.actor.user_id.0))
    }

    /// The name to sign in with.
    async fn name(&self) -> &str {
        &self.actor.name
    }

    /// What people call them.
    async fn display_name(&self) -> &str {
        &self.actor.display_name
    }

    /// Whether they must change their password before they can do anything else.
    async fn must_change_password(&self) -> bool {
        self.actor.must_change_password
    }

    /// Whether they administer an enterprise; false for one that they may not see.
    async fn is_enterprise_administrator(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which enterprise.")] enterprise_id: ID,
    ) -> async_graphql::Result<bool> {
        let result =
            async { find::is_administrator(app(ctx), &self.actor, id::decode(&enterprise_id, "enterpriseId")?).await };
        result.await.graphql()
    }
}

#[Object]
impl ViewerQuery {
    /// Who asks; null if nobody is signed in.
    async fn viewer(&self, ctx: &Context<'_>) -> Option<Viewer> {
        ctx.data_opt::<Actor>().cloned().map(Into::into)
    }
}

#[Object]
impl ViewerMutation {
    /// Begins a session. A name that fails too often from the same address has to wait (RATE_LIMITED).
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Name and password.")] input: SignInInput,
    ) -> async_graphql::Result<SignInPayload> {
        let origin = ctx.data_opt::<Peer>().map(|peer| peer.0);
        let result = sign_in::sign_in(app(ctx), &input.name, Secret::new(input.password), origin).await;
        answer(result, |signed_in| SignInPayload {
            token: Some(signed_in.token.expose().to_owned()),
            viewer: Some(signed_in.actor.into()),
            errors: Vec::new(),
        })
    }

    /// Ends the session of the token that is sent.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn sign_out(&self, ctx: &Context<'_>) -> async_graphql::Result<SignOutPayload> {
        let result = async {
            let (app, actor) = app_and_signed_in(ctx)?;
            sign_out::sign_out(app, actor).await
        };
        answer(result.await, |()| SignOutPayload { errors: Vec::new() })
    }

    /// Changes the own password and ends all other sessions.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password as it is, and as it is to be.")] input: ChangePasswordInput,
    ) -> async_graphql::Result<ChangePasswordPayload> {
        let result = async {
            let (app, actor) = app_and_signed_in(ctx)?;
            change_password::change_password(app, actor, Secret::new(input.current), Secret::new(input.new)).await
        };
        answer(result.await, |actor| ChangePasswordPayload { viewer: Some(actor.into()), errors: Vec::new() })
    }
}

impl From<Actor> for Viewer {
    fn from(actor: Actor) -> Self {
        Self { actor }
    }
}

/// The viewer by id: nobody but oneself.
pub(super) fn find(ctx: &Context<'_>, id: ViewerId) -> Result<Viewer> {
    let actor = signed_in(ctx)?;
    if actor.user_id.0 == id.0 { Ok(actor.clone().into()) } else { Err(crate::Error::NotFound("the viewer")) }
}
