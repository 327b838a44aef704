//! Teams.

use super::{
    actor, app,
    application::{self, ApplicationConnection},
    asked,
    cluster::{Cluster, cluster_of},
    error::{IntoGraphql as _, answer},
    id,
    loader::{Rows, Shared, by_limit, load},
    page::{self, Cursor, Page, PageRequest},
    user::User,
};
use crate::{
    connection,
    error::Error,
    id::{ClusterId, TeamId},
    payload,
    service::{
        create_team::{self, CreateTeam, MAX_CLUSTERS},
        delete_team, find, list, open_team, remove_team_member, set_team_member,
    },
    store::{team as rows, user},
};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, dataloader::Loader};
use ropeway_domain::access;
use std::{collections::HashMap, sync::Arc};

/// What a person is in a team.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "access::TeamRole")]
pub enum TeamRole {
    /// Says who belongs to the team, and opens and deletes it.
    Owner,
    /// Composes, publishes, installs, upgrades.
    Developer,
    /// Looks on.
    Viewer,
}

/// People and a Kubernetes namespace, opened on one or more clusters.
#[derive(Debug, Clone)]
pub struct Team {
    row: rows::Team,
}

/// Somebody who belongs to a team.
#[derive(Debug, Clone, SimpleObject)]
pub struct TeamMember {
    /// Who.
    pub user: User,
    /// As what.
    pub role: TeamRole,
}

/// A team opened on a cluster, in its namespace there.
#[derive(Debug, Clone)]
pub struct TeamOpening {
    cluster_id: ClusterId,
    namespace: String,
}

/// Queries of teams.
#[derive(Default)]
pub struct TeamQuery;

/// Mutations of teams.
#[derive(Default)]
pub struct TeamMutation;

/// Loads a team, if the person who asks may see it: what belongs to a team may be seen by more people than the team, such
/// as a template of the enterprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TeamKey(pub TeamId);

/// Loads where a team is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpeningsKey(pub TeamId);

/// Loads the first members of a team, by name: so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstMembersKey {
    /// Which team.
    pub team: TeamId,
    /// How many.
    pub limit: i64,
}

/// Loads how many members a team has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberCountKey(pub TeamId);

/// Input of `createTeam`.
#[derive(InputObject)]
pub struct CreateTeamInput {
    /// Which enterprise.
    pub enterprise_id: ID,
    /// What people call it.
    pub name: String,
    /// Its English name, which becomes the name of its namespaces: a DNS label of at most 40 characters that begins with
    /// a letter. Unique in the enterprise.
    pub slug: String,
    /// The clusters on which it is opened at once.
    pub cluster_ids: Vec<ID>,
}

/// Input of `openTeamOnCluster`.
#[derive(InputObject)]
pub struct OpenTeamOnClusterInput {
    /// Which team.
    pub team_id: ID,
    /// On which cluster.
    pub cluster_id: ID,
    /// Another namespace than its slug, which may exist already. For administrators to name.
    pub namespace: Option<String>,
}

/// Input of `setTeamMember`.
#[derive(InputObject)]
pub struct SetTeamMemberInput {
    /// Which team.
    pub team_id: ID,
    /// What the person signs in with. They belong to the enterprise.
    pub user_name: String,
    /// What they are to be.
    pub role: TeamRole,
}

/// Input of `removeTeamMember`.
#[derive(InputObject)]
pub struct RemoveTeamMemberInput {
    /// Which team.
    pub team_id: ID,
    /// Who.
    pub user_id: ID,
}

/// Input of `deleteTeam`.
#[derive(InputObject)]
pub struct DeleteTeamInput {
    /// Which team.
    pub team_id: ID,
}

connection! {
    /// A page of teams.
    TeamConnection, TeamEdge, Team
}

connection! {
    /// A page of a team's members.
    TeamMemberConnection, TeamMemberEdge, TeamMember
}

payload! {
    /// Answer of `createTeam`.
    CreateTeamPayload {
        /// The new team.
        team: Team,
    }
}

payload! {
    /// Answer of `openTeamOnCluster`.
    OpenTeamOnClusterPayload {
        /// The team as it is now.
        team: Team,
    }
}

payload! {
    /// Answer of `setTeamMember`.
    SetTeamMemberPayload {
        /// The team.
        team: Team,
        /// The member as they are now.
        member: TeamMember,
    }
}

payload! {
    /// Answer of `removeTeamMember`.
    RemoveTeamMemberPayload {
        /// The team.
        team: Team,
        /// Who was removed.
        user: User,
    }
}

payload! {
    /// Answer of `deleteTeam`.
    DeleteTeamPayload {
        /// The team as it was.
        team: Team,
    }
}

/// People and a Kubernetes namespace, opened on one or more clusters.
#[Object]
impl Team {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// What people call it.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// Its English name, unique in the enterprise.
    async fn slug(&self) -> &str {
        &self.row.slug
    }

    /// The clusters on which it is opened.
    #[graphql(complexity = "super::limits::several(child_complexity)")]
    async fn openings(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<TeamOpening>> {
        load(ctx, OpeningsKey(self.row.id)).await.map(Option::unwrap_or_default).graphql()
    }

    /// Its applications, by name.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn applications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
        #[graphql(desc = "Only those in this cluster.")] cluster_id: Option<ID>,
    ) -> async_graphql::Result<ApplicationConnection> {
        application::of_team(ctx, self.row.id, cluster_id.as_ref(), first, after.as_ref()).await.graphql()
    }

    /// Its members, by name.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<TeamMemberConnection> {
        let result = async {
            let page: PageRequest<String> = PageRequest::new(ctx, "TeamMember", first, after.as_ref())?;
            let rows = if page.after.is_some() {
                list::list_team_members(app(ctx), self.row.id, &page).await?
            } else {
                let key = FirstMembersKey { team: self.row.id, limit: page.limit() };
                load(ctx, key).await?.unwrap_or_default()
            };
            let count = if page.count { load(ctx, MemberCountKey(self.row.id)).await? } else { None };
            Ok::<_, Error>(Page::of(&page, rows, count.unwrap_or_default(), |(_, user)| user.name.clone()))
        };
        result.await.map(Into::into).graphql()
    }
}

/// A team opened on a cluster, in its namespace there.
#[Object]
impl TeamOpening {
    /// Which cluster.
    async fn cluster(&self, ctx: &Context<'_>) -> async_graphql::Result<Cluster> {
        cluster_of(ctx, self.cluster_id).await.graphql()
    }

    /// The namespace there. It is made when it is first needed.
    async fn namespace(&self) -> &str {
        &self.namespace
    }
}

#[Object]
impl TeamQuery {
    /// One team.
    async fn team(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Team>> {
        find(ctx, asked(ctx, &id)?).await.map(Some)
    }
}

#[Object]
impl TeamMutation {
    /// Creates a team and makes the person who asks its owner. For every member of the enterprise.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn create_team(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is created.")] input: CreateTeamInput,
    ) -> async_graphql::Result<CreateTeamPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let wanted = CreateTeam {
                enterprise_id: id::decode(&input.enterprise_id, "enterpriseId")?,
                name: input.name,
                slug: input.slug,
                cluster_ids: id::decode_list(&input.cluster_ids, "clusterIds", MAX_CLUSTERS)?,
            };
            create_team::create_team(app(ctx), actor, wanted).await
        };
        answer(result.await, |team| CreateTeamPayload { team: Some(team.into()), errors: Vec::new() })
    }

    /// Opens a team on another cluster. For its owners and for administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn open_team_on_cluster(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which team, where.")] input: OpenTeamOnClusterInput,
    ) -> async_graphql::Result<OpenTeamOnClusterPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let team = id::decode(&input.team_id, "teamId")?;
            let cluster = id::decode(&input.cluster_id, "clusterId")?;
            open_team::open_team(app(ctx), actor, team, cluster, input.namespace).await
        };
        answer(result.await, |team| OpenTeamOnClusterPayload { team: Some(team.into()), errors: Vec::new() })
    }

    /// Makes somebody a member of a team, or changes what they are. For its owners and for administrators; nobody raises
    /// their own role, and the last owner stays one (LAST_OWNER).
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn set_team_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who becomes what.")] input: SetTeamMemberInput,
    ) -> async_graphql::Result<SetTeamMemberPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let team = id::decode(&input.team_id, "teamId")?;
            set_team_member::set_team_member(app(ctx), actor, team, &input.user_name, input.role.into()).await
        };
        answer(result.await, |(team, member, user)| SetTeamMemberPayload {
            team: Some(team.into()),
            member: Some((member, user).into()),
            errors: Vec::new(),
        })
    }

    /// Takes somebody out of a team. For its owners, for administrators, and for whoever leaves.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn remove_team_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, of what.")] input: RemoveTeamMemberInput,
    ) -> async_graphql::Result<RemoveTeamMemberPayload> {
        let result = async {
            let actor = actor(ctx)?;
            let team = id::decode(&input.team_id, "teamId")?;
            let user = id::decode(&input.user_id, "userId")?;
            remove_team_member::remove_team_member(app(ctx), actor, team, user).await
        };
        answer(result.await, |(team, user)| RemoveTeamMemberPayload {
            team: Some(team.into()),
            user: Some(user.into()),
            errors: Vec::new(),
        })
    }

    /// Deletes a team that nothing uses (TEAM_IN_USE). Its namespaces stay. For its owners and for administrators.
    #[graphql(complexity = "super::limits::MUTATION + child_complexity")]
    async fn delete_team(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which team.")] input: DeleteTeamInput,
    ) -> async_graphql::Result<DeleteTeamPayload> {
        let result = async {
            let actor = actor(ctx)?;
            delete_team::delete_team(app(ctx), actor, id::decode(&input.team_id, "teamId")?).await
        };
        answer(result.await, |team| DeleteTeamPayload { team: Some(team.into()), errors: Vec::new() })
    }
}

impl From<rows::Team> for Team {
    fn from(row: rows::Team) -> Self {
        Self { row }
    }
}

impl From<(rows::TeamMember, user::User)> for TeamMember {
    fn from((member, user): (rows::TeamMember, user::User)) -> Self {
        Self { user: user.into(), role: member.role.0.into() }
    }
}

impl Loader<TeamKey> for Rows {
    type Value = Team;
    type Error = Shared;

    async fn load(&self, keys: &[TeamKey]) -> Result<HashMap<TeamKey, Team>, Shared> {
        let Some(actor) = &self.actor else { return Ok(HashMap::new()) };
        let ids: Vec<TeamId> = keys.iter().map(|key| key.0).collect();
        let found = find::find_teams(&self.app, actor, &ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (TeamKey(row.id), row.into())).collect())
    }
}

impl Loader<OpeningsKey> for Rows {
    type Value = Vec<TeamOpening>;
    type Error = Shared;

    async fn load(&self, keys: &[OpeningsKey]) -> Result<HashMap<OpeningsKey, Vec<TeamOpening>>, Shared> {
        let ids: Vec<TeamId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::openings(&mut conn, &ids).await?)
        };
        let mut openings: HashMap<OpeningsKey, Vec<TeamOpening>> = HashMap::new();
        for row in found.await.map_err(Arc::new)? {
            let opening = TeamOpening { cluster_id: row.cluster_id, namespace: row.namespace };
            openings.entry(OpeningsKey(row.team_id)).or_default().push(opening);
        }
        Ok(openings)
    }
}

impl Loader<FirstMembersKey> for Rows {
    type Value = Vec<(rows::TeamMember, user::User)>;
    type Error = Shared;

    async fn load(&self, keys: &[FirstMembersKey]) -> Result<HashMap<FirstMembersKey, Self::Value>, Shared> {
        let found = async {
            let mut members: HashMap<FirstMembersKey, Self::Value> = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for (limit, teams) in by_limit(keys.iter().map(|key| (key.limit, key.team))) {
                for row in rows::first_members(&mut conn, &teams, limit).await? {
                    members.entry(FirstMembersKey { team: row.0.team_id, limit }).or_default().push(row);
                }
            }
            Ok::<_, Error>(members)
        };
        found.await.map_err(Arc::new)
    }
}

impl Loader<MemberCountKey> for Rows {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[MemberCountKey]) -> Result<HashMap<MemberCountKey, i64>, Shared> {
        let ids: Vec<TeamId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::member_counts(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, count)| (MemberCountKey(id), count)).collect())
    }
}

/// A team by id.
pub(super) async fn find(ctx: &Context<'_>, id: TeamId) -> async_graphql::Result<Team> {
    let result = async { find::find_team(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}
