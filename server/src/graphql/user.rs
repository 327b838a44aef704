//! Users.

use super::{
    actor, app,
    error::{answer, graphql_error},
    id,
};
use crate::{
    id::UserId,
    payload,
    service::create_user::{self, CreateUser},
    store::user as rows,
};
use async_graphql::{Context, ID, InputObject, Object};

/// A person who signs in.
#[derive(Debug, Clone)]
pub struct User {
    row: rows::User,
}

/// Mutations of users.
#[derive(Default)]
pub struct UserMutation;

/// Input of `createUser`.
#[derive(InputObject)]
pub struct CreateUserInput {
    /// The enterprise of which the person becomes a member.
    pub enterprise_id: ID,
    /// What they sign in with: 1 to 63 of `a-z`, `0-9`, `.`, `_`, `@` and `-`, beginning with a letter or digit. Unique.
    pub name: String,
    /// What people call them; the name where it is left out.
    pub display_name: Option<String>,
}

payload! {
    /// Answer of `createUser`.
    CreateUserPayload {
        /// The new user.
        user: User,
        /// Their password, shown this once. They change it before they can do anything else.
        one_time_password: String,
    }
}

/// A person who signs in.
#[Object]
impl User {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// What they sign in with.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// What people call them.
    async fn display_name(&self) -> &str {
        &self.row.display_name
    }
}

#[Object]
impl UserMutation {
    /// Creates a user as a member of an enterprise. For its administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is created.")] input: CreateUserInput,
    ) -> async_graphql::Result<CreateUserPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let CreateUserInput { enterprise_id, name, display_name } = input;
            let enterprise_id = id::decode(&enterprise_id, "enterpriseId")?;
            create_user::create_user(app(ctx), actor, CreateUser { enterprise_id, name, display_name }).await
        };
        answer(result.await, |(user, password)| CreateUserPayload {
            user: Some(user.into()),
            one_time_password: Some(password.expose().to_owned()),
            errors: Vec::new(),
        })
    }
}

impl From<rows::User> for User {
    fn from(row: rows::User) -> Self {
        Self { row }
    }
}

/// A user by id.
pub(super) async fn find(ctx: &Context<'_>, id: UserId) -> async_graphql::Result<User> {
    let result = async { crate::service::find::find_user(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).map_err(graphql_error)
}
