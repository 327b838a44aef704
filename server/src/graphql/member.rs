//! Members of enterprises.

use super::{actor, app, enterprise::Enterprise, error::answer, id, user::User};
use crate::{
    connection, payload,
    service::{remove_member, set_member},
    store::{member as rows, user},
};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use ropeway_domain::access;

/// What a person is in an enterprise.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "access::EnterpriseRole")]
pub enum EnterpriseRole {
    /// Keeps clusters, drivers, the library and the members.
    Administrator,
    /// Sees the names of clusters and the templates of the enterprise, and opens teams.
    Member,
}

/// Somebody who belongs to an enterprise.
#[derive(Debug, Clone, SimpleObject)]
pub struct Member {
    /// Who.
    pub user: User,
    /// As what.
    pub role: EnterpriseRole,
}

/// Mutations of members.
#[derive(Default)]
pub struct MemberMutation;

/// Input of `setMember`.
#[derive(InputObject)]
pub struct SetMemberInput {
    /// Which enterprise.
    pub enterprise_id: ID,
    /// What the person signs in with.
    pub user_name: String,
    /// What they are to be.
    pub role: EnterpriseRole,
}

/// Input of `removeMember`.
#[derive(InputObject)]
pub struct RemoveMemberInput {
    /// Which enterprise.
    pub enterprise_id: ID,
    /// Who.
    pub user_id: ID,
}

connection! {
    /// A page of members.
    MemberConnection, MemberEdge, Member
}

payload! {
    /// Answer of `setMember`.
    SetMemberPayload {
        /// The member as they are now.
        member: Member,
    }
}

payload! {
    /// Answer of `removeMember`.
    RemoveMemberPayload {
        /// Who was removed.
        user: User,
        /// From what; null for whoever left it.
        enterprise: Enterprise,
    }
}

#[Object]
impl MemberMutation {
    /// Makes somebody a member of an enterprise, or changes what they are. For its administrators; nobody raises their
    /// own role, and the last administrator stays one (LAST_ADMINISTRATOR).
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn set_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who becomes what.")] input: SetMemberInput,
    ) -> async_graphql::Result<SetMemberPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let enterprise = id::decode(&input.enterprise_id, "enterpriseId")?;
            set_member::set_member(app(ctx), actor, enterprise, &input.user_name, input.role.into()).await
        };
        answer(result.await, |done| SetMemberPayload { member: Some(done.into()), errors: Vec::new() })
    }

    /// Takes somebody out of an enterprise and all of its teams. For its administrators, and for whoever leaves.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn remove_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, of what.")] input: RemoveMemberInput,
    ) -> async_graphql::Result<RemoveMemberPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let enterprise = id::decode(&input.enterprise_id, "enterpriseId")?;
            let user_id = id::decode(&input.user_id, "userId")?;
            let user = remove_member::remove_member(app(ctx), actor, enterprise, user_id).await?;
            let left = match crate::service::find::find_enterprise(app(ctx), actor, enterprise).await {
                Ok(enterprise) => Some(enterprise),
                Err(crate::Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            Ok((user, left))
        };
        answer(result.await, |(user, enterprise)| RemoveMemberPayload {
            user: Some(user.into()),
            enterprise: enterprise.map(Into::into),
            errors: Vec::new(),
        })
    }
}

impl From<(rows::Member, user::User)> for Member {
    fn from((member, user): (rows::Member, user::User)) -> Self {
        Self { user: user.into(), role: member.role.0.into() }
    }
}
