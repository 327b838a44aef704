//! What tests are about: people and teams.

use super::TestApp;
use ropeway::demo::{
    acts::prepare,
    client::{Client, text},
};
use serde_json::{Value as Json, json};

const CREATE_USER: &str = "
    mutation($input: CreateUserInput!) {
      createUser(input: $input) { user { id name } oneTimePassword errors { code message path } }
    }";

const CREATE_ENTERPRISE: &str = "
    mutation($input: CreateEnterpriseInput!) {
      createEnterprise(input: $input) { enterprise { id } errors { code message path } }
    }";

const SET_TEAM_MEMBER: &str = "
    mutation($input: SetTeamMemberInput!) { setTeamMember(input: $input) { errors { code message path } } }";

/// Somebody who has signed in.
pub struct Person {
    /// What they sign in with.
    pub name: String,
    /// Their global id.
    pub id: String,
    /// As them.
    pub client: Client,
}

/// What somebody is in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeamRole {
    /// Decides who belongs to it.
    Owner,
    /// Changes its applications.
    Developer,
    /// Looks at them.
    Viewer,
}

impl TestApp {
    /// A new member of the enterprise, signed in.
    pub async fn person(&self, name: &str) -> anyhow::Result<Person> {
        self.person_of(&self.enterprise, name).await
    }

    /// Somebody who belongs to another enterprise alone, signed in.
    pub async fn outsider(&self, name: &str) -> anyhow::Result<Person> {
        let payload = self.client.change(CREATE_ENTERPRISE, json!({ "name": name })).await?;
        self.person_of(text(&payload, "/enterprise/id")?, name).await
    }

    async fn person_of(&self, enterprise: &str, name: &str) -> anyhow::Result<Person> {
        let input = json!({ "enterpriseId": enterprise, "name": name });
        let payload = self.client.change(CREATE_USER, input).await?;
        let one_time = text(&payload, "/oneTimePassword")?;
        let client = prepare::first_sign_in(&self.nobody(), name, one_time, super::PASSWORD).await?;
        Ok(Person { name: name.to_owned(), id: text(&payload, "/user/id")?.to_owned(), client })
    }

    /// Makes somebody a member of a team.
    pub async fn join(&self, team: &str, person: &Person, role: TeamRole) -> anyhow::Result<Json> {
        let role = match role {
            TeamRole::Owner => "OWNER",
            TeamRole::Developer => "DEVELOPER",
            TeamRole::Viewer => "VIEWER",
        };
        self.client.change(SET_TEAM_MEMBER, json!({ "teamId": team, "userName": person.name, "role": role })).await
    }
}
