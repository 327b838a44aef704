//! Creating teams.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{ClusterId, EnterpriseId, TeamId},
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        problems::Problems,
    },
    store::{
        Conn, Instant, Word, cluster,
        cluster::Cluster,
        member,
        team::{self, Opening, Team, TeamMember},
    },
};
use ropeway_domain::{
    access::{EnterpriseAction, TeamRole, check_enterprise},
    model::Slug,
};

/// The most clusters on which a team is opened at once.
pub const MAX_CLUSTERS: usize = 100;

/// Namespaces that are the cluster's own, or ours.
const RESERVED: [&str; 5] = ["kube-system", "kube-public", "kube-node-lease", "ropeway-system", "default"];

/// What is wanted.
#[derive(Debug, Clone)]
pub struct CreateTeam {
    /// Where.
    pub enterprise_id: EnterpriseId,
    /// What people call it.
    pub name: String,
    /// Its English name, the name of its namespaces.
    pub slug: String,
    /// Where it is opened at once.
    pub cluster_ids: Vec<ClusterId>,
}

/// Creates a team whose owner is whoever asks. Any member of the enterprise may.
pub async fn create_team(app: &App, actor: &Actor, input: CreateTeam) -> Result<Team> {
    let subject = Subject::Enterprise(input.enterprise_id);
    let act = Act::new("createTeam", subject, encode_text(input.enterprise_id));
    audited(app, actor, act, async || {
        let mut conn = app.database.read().await?;
        authorize::enterprise(&mut conn, actor, input.enterprise_id, EnterpriseAction::CreateTeam).await?;
        drop(conn);
        check(&input).finish()?;
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            let team = insert(conn, actor, clock::new_id(), &input, now).await?;
            let object = Some(encode_text(team.id));
            audit::done(conn, actor, now, "createTeam", Some(input.enterprise_id), object, None).await?;
            Ok(team)
        })
        .await
    })
    .await
}

/// What is wrong with the names.
pub fn check(input: &CreateTeam) -> Problems {
    let mut problems = Problems::new();
    problems.check_display_name("name", &input.name);
    match input.slug.parse::<Slug>() {
        Err(error) => problems.at("slug", "INVALID_NAME", error.to_string()),
        Ok(_) if is_reserved(&input.slug) => {
            problems.at("slug", "RESERVED_NAME", format!("{:?} is a namespace of the cluster itself", input.slug));
        }
        Ok(_) => {}
    }
    if input.cluster_ids.len() > MAX_CLUSTERS {
        problems.at("clusterIds", "TOO_MANY", format!("at most {MAX_CLUSTERS} clusters at once"));
    }
    problems
}

/// Stores a new team, its owner and where it is opened, inside a transaction. The input is checked already, but for
/// what only the database knows.
pub async fn insert(conn: &mut Conn, actor: &Actor, id: TeamId, input: &CreateTeam, now: Instant) -> Result<Team> {
    authorize::enterprise(conn, actor, input.enterprise_id, EnterpriseAction::CreateTeam).await?;
    let mut problems = Problems::new();
    if team::by_slug(conn, input.enterprise_id, &input.slug).await?.is_some() {
        problems.at("slug", "SLUG_IN_USE", format!("there is a team with the slug {:?} already", input.slug));
    }
    let mut ids = input.cluster_ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let mut clusters = Vec::new();
    for id in ids {
        let place = input.cluster_ids.iter().position(|given| *given == id).unwrap_or_default().to_string();
        match openable(conn, actor, input.enterprise_id, id).await {
            Ok(cluster) => {
                if team::opening_of(conn, id, &input.slug).await?.is_some() {
                    problems.add(namespace_in_use(&input.slug, &cluster).at(["slug"]));
                }
                clusters.push(cluster);
            }
            Err(Error::Invalid(errors)) => {
                for error in errors {
                    problems.add(error.at(["clusterIds", &place]));
                }
            }
            Err(error) => return Err(error),
        }
    }
    problems.finish()?;

    let team = Team {
        id,
        enterprise_id: input.enterprise_id,
        name: input.name.clone(),
        slug: input.slug.clone(),
        created_at: now,
    };
    team::insert(conn, &team).await?;
    let role = Word(TeamRole::Owner);
    team::set_member(conn, &TeamMember { team_id: team.id, user_id: actor.user_id, role, created_at: now }).await?;
    for cluster in clusters {
        let opening = Opening {
            id: clock::new_id(),
            team_id: team.id,
            cluster_id: cluster.id,
            namespace: input.slug.clone(),
            created_at: now,
        };
        team::insert_opening(conn, &opening).await?;
    }
    Ok(team)
}

/// A cluster on which somebody can open a team of an enterprise. One that they may not see does not exist.
pub(super) async fn openable(
    conn: &mut Conn,
    actor: &Actor,
    enterprise: EnterpriseId,
    id: ClusterId,
) -> Result<Cluster> {
    let unknown = || Error::from(UserError::new("UNKNOWN_CLUSTER", "there is no such cluster"));
    let cluster = cluster::find(conn, id).await?.filter(|cluster| cluster.enterprise_id == enterprise);
    let cluster = cluster.ok_or_else(unknown)?;
    if cluster.accepts_teams {
        return Ok(cluster);
    }
    let role = member::role(conn, enterprise, actor.user_id).await?;
    match check_enterprise(role, EnterpriseAction::ViewPlatform) {
        Ok(()) => {
            let message = format!("the cluster {:?} accepts no teams", cluster.name);
            Err(UserError::new("CLUSTER_CLOSED", message).into())
        }
        Err(_) => Err(unknown()),
    }
}

/// The error of a namespace that another team has.
pub(super) fn namespace_in_use(namespace: &str, cluster: &Cluster) -> UserError {
    let message = format!("another team has the namespace {namespace:?} of the cluster {:?}", cluster.name);
    UserError::new("NAMESPACE_IN_USE", message)
}

/// Whether a namespace is no team's.
pub(super) fn is_reserved(namespace: &str) -> bool {
    namespace.starts_with("kube-") || RESERVED.contains(&namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn all_that_is_wrong_with_the_names_is_told_at_once() {
        let input = |name: &str, slug: &str| CreateTeam {
            enterprise_id: EnterpriseId::new(Uuid::from_u128(1)),
            name: name.into(),
            slug: slug.into(),
            cluster_ids: Vec::new(),
        };
        assert!(check(&input("Web Shop", "web-shop")).is_empty());
        let Err(Error::Invalid(errors)) = check(&input("", "Web Shop")).finish() else { panic!("accepted") };
        let told: Vec<_> = errors.iter().map(|e| (e.code.as_str(), e.path[0].as_str())).collect();
        assert_eq!(told, [("INVALID_NAME", "name"), ("INVALID_NAME", "slug")]);
        for reserved in ["default", "kube-system", "kube-anything", "ropeway-system"] {
            let Err(Error::Invalid(errors)) = check(&input("a", reserved)).finish() else { panic!("accepted") };
            assert_eq!(errors[0].code, "RESERVED_NAME");
        }
    }
}
