//! One enterprise with one of everything, and one of each kind of person. Whatever somebody may ask for here fails after
//! their role was checked, or changes nothing that stays: the application is locked by an unfinished operation, the
//! cluster does not answer, publications are published already.

use super::super::{
    bed::{Bed, Person, text},
    seed::id_of,
};
use crate::{
    graphql::id::encode_text,
    id::{ApplicationId, TemplateId, UserId},
};
use ropeway_domain::operation::{OperationKind, OperationState, PublicationState};
use serde_json::json;
use std::collections::HashMap;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// Nobody is signed in.
    Nobody,
    /// A member who has not changed their one-time password.
    OneTime,
    /// An administrator of another enterprise, and owner of a team there.
    Outsider,
    /// A member of the enterprise, and of no team.
    Member,
    /// A viewer of the team.
    Viewer,
    /// A developer of the team.
    Developer,
    /// An owner of the team.
    Owner,
    /// An administrator of the enterprise, of no team.
    Administrator,
}

impl Who {
    pub(super) const ALL: [Self; 8] = [
        Self::Nobody,
        Self::OneTime,
        Self::Outsider,
        Self::Member,
        Self::Viewer,
        Self::Developer,
        Self::Owner,
        Self::Administrator,
    ];
}

pub(super) struct World {
    pub(super) bed: Bed,
    people: HashMap<Who, Person>,
    /// Another session of each.
    seconds: HashMap<Who, Person>,
    /// Of each, one that they submitted and that was published; of those who could not, the developer's.
    published: HashMap<Who, String>,
    /// As `published`, to the template that is the administrators'.
    to_administrators: HashMap<Who, String>,
    /// Of each, a version that is used by nothing.
    spare: HashMap<Who, String>,
    pub(super) cluster: String,
    pub(super) team: String,
    pub(super) application: String,
    pub(super) component: String,
    pub(super) resource: String,
    pub(super) template: String,
    /// Of no team.
    pub(super) administrators_template: String,
    /// Of the whole enterprise.
    pub(super) open_version: String,
    pub(super) version: String,
    pub(super) newer: String,
    pub(super) installation: String,
    pub(super) record: String,
    /// The developer's, under way.
    pub(super) draft: String,
    /// Of the team, at its end.
    pub(super) finished: String,
    /// Of the platform, at its end.
    pub(super) probe: String,
    pub(super) driver: String,
    pub(super) audit: String,
}

impl World {
    pub(super) async fn new() -> Self {
        let bed = Bed::new().await;
        let cluster = bed.cluster("hangzhou").await;
        let mut people = HashMap::from([(Who::Administrator, bed.admin.clone())]);
        for (who, name) in
            [(Who::Member, "member"), (Who::Viewer, "viewer"), (Who::Developer, "developer"), (Who::Owner, "owner")]
        {
            people.insert(who, bed.member(name).await);
        }
        people.insert(Who::OneTime, one_time(&bed).await);
        people.insert(Who::Outsider, outsider(&bed).await);
        let mut seconds = HashMap::new();
        for (who, person) in &people {
            seconds.insert(*who, bed.another_session(person).await);
        }

        let owner = &people[&Who::Owner];
        let team = bed.team(owner, "shop", &[&cluster]).await;
        for (name, role) in [("developer", "DEVELOPER"), ("viewer", "VIEWER")] {
            let input = json!({ "teamId": team, "userName": name, "role": role });
            bed.done(owner, "setTeamMember", "team { id }", input).await;
        }
        let input = json!({ "teamId": team, "clusterId": cluster, "name": "Shop" });
        let made = bed.done(owner, "createApplication", "application { id }", input).await;
        let application = text(&made["application"]["id"]);
        let at: ApplicationId = id_of(&application);
        let (component, _) = bed.seed_component(at, "web", None, &[]).await;
        let resource = bed.seed_resource(at, "settings").await;

        let template = async |name: &str, scope: &str| {
            let input = json!({ "enterpriseId": bed.enterprise, "teamId": team, "name": name, "scope": scope });
            text(&bed.done(owner, "createTemplate", "template { id }", input).await["template"]["id"])
        };
        let (closed, open) = (template("closed", "TEAM").await, template("open", "ENTERPRISE").await);
        let input = json!({ "enterpriseId": bed.enterprise, "name": "everybody's", "scope": "ENTERPRISE" });
        let made = bed.done(&bed.admin, "createTemplate", "template { id }", input).await;
        let administrators_template = text(&made["template"]["id"]);
        let of: TemplateId = id_of(&closed);
        let (version, newer) = (bed.seed_version(of, "1.0").await, bed.seed_version(of, "2.0").await);
        let open_version = bed.seed_version(id_of(&open), "1.0").await;
        let installation = bed.seed_installation(at, of, version).await;
        let (finished, platform) = (OperationState::Succeeded, None);
        let finished_id = bed.seed_operation(OperationKind::Deploy, finished, Some(at), 2).await;
        let probe = bed.seed_operation(OperationKind::Probe, finished, platform, 2).await;
        let record = bed.seed_record(installation, 1, (version, newer), finished_id).await;
        let under_way = bed.seed_operation(OperationKind::Upgrade, OperationState::Running, Some(at), 1).await;
        bed.seed_lock(at, under_way).await;

        let (mut published, mut to_administrators, mut spare) = (HashMap::new(), HashMap::new(), HashMap::new());
        let developer: UserId = id_of(&people[&Who::Developer].id);
        for (place, who) in Who::ALL.into_iter().enumerate() {
            let author = if who == Who::Owner { id_of(&people[&who].id) } else { developer };
            let id = bed.seed_publication(at, of, author, PublicationState::Published).await;
            published.insert(who, encode_text(id));
            let of_none: TemplateId = id_of(&administrators_template);
            let id = bed.seed_publication(at, of_none, author, PublicationState::Published).await;
            to_administrators.insert(who, encode_text(id));
            spare.insert(who, encode_text(bed.seed_version(of, &format!("0.{place}")).await));
        }
        let draft = encode_text(bed.seed_publication(at, of, developer, PublicationState::Syncing).await);
        let drivers = bed.data(&bed.admin, "{ drivers { nodes { id } } }", json!({})).await;
        let log = "query($id: ID!) { enterprise(id: $id) { auditLog(first: 1) { nodes { id } } } }";
        let log = bed.data(&bed.admin, log, json!({ "id": bed.enterprise })).await;
        Self {
            people,
            seconds,
            published,
            to_administrators,
            spare,
            cluster,
            team,
            application,
            component,
            resource,
            template: closed,
            administrators_template,
            open_version: encode_text(open_version),
            version: encode_text(version),
            newer: encode_text(newer),
            installation: encode_text(installation),
            record: encode_text(record),
            draft,
            finished: encode_text(finished_id),
            probe: encode_text(probe),
            driver: text(&drivers["drivers"]["nodes"][0]["id"]),
            audit: text(&log["enterprise"]["auditLog"]["nodes"][0]["id"]),
            bed,
        }
    }

    pub(super) fn person(&self, who: Who) -> Option<&Person> {
        self.people.get(&who)
    }

    pub(super) fn second(&self, who: Who) -> Option<&Person> {
        self.seconds.get(&who)
    }

    pub(super) fn published(&self, who: Who) -> &str {
        &self.published[&who]
    }

    pub(super) fn to_administrators(&self, who: Who) -> &str {
        &self.to_administrators[&who]
    }

    pub(super) fn spare(&self, who: Who) -> &str {
        &self.spare[&who]
    }
}

async fn one_time(bed: &Bed) -> Person {
    let input = json!({ "enterpriseId": bed.enterprise, "name": "fresh" });
    let made = bed.done(&bed.admin, "createUser", "user { id } oneTimePassword", input).await;
    let signed_in = bed.sign_in("fresh", made["oneTimePassword"].as_str().unwrap()).await;
    Person { name: "fresh".into(), id: text(&made["user"]["id"]), token: text(&signed_in["token"]) }
}

async fn outsider(bed: &Bed) -> Person {
    let made = bed.done(&bed.admin, "createEnterprise", "enterprise { id }", json!({ "name": "other" })).await;
    let elsewhere = text(&made["enterprise"]["id"]);
    let outsider = bed.member_of(&elsewhere, "outsider").await;
    let input = json!({ "enterpriseId": elsewhere, "userName": "outsider", "role": "ADMINISTRATOR" });
    bed.done(&bed.admin, "setMember", "member { role }", input).await;
    let input = json!({ "enterpriseId": elsewhere, "name": "away", "slug": "away", "clusterIds": [] });
    bed.done(&outsider, "createTeam", "team { id }", input).await;
    outsider
}
