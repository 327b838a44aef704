//! Opening a team on another cluster.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{ClusterId, TeamId},
    service::{
        audit::{self, Act, Subject, audited},
        authorize,
        create_team::{is_reserved, namespace_in_use, openable},
        problems::{Problems, is_dns_label},
    },
    store::{
        Conn,
        team::{self, Opening, Team},
    },
};
use ropeway_domain::access::{EnterpriseAction, TeamAction};

/// Opens a team on a cluster, in the namespace of its slug. Another namespace, which may exist already, is for an
/// administrator to name. It is made when it is first needed.
pub async fn open_team(
    app: &App,
    actor: &Actor,
    team_id: TeamId,
    cluster_id: ClusterId,
    namespace: Option<String>,
) -> Result<Team> {
    let act = Act::new("openTeamOnCluster", Subject::Team(team_id), encode_text(team_id));
    audited(app, actor, act, async || {
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            let team = authorize::team(conn, actor, team_id, TeamAction::OpenOnClusters).await?;
            let namespace = allowed_namespace(conn, actor, &team, namespace).await?;
            let cluster =
                openable(conn, actor, team.enterprise_id, cluster_id).await.map_err(|e| at(e, "clusterId"))?;
            if let Some(opening) = team::opening(conn, team_id, cluster_id).await? {
                let message =
                    format!("the team is open on {:?} already, in the namespace {:?}", cluster.name, opening.namespace);
                return Err(UserError::new("ALREADY_OPEN", message).at(["clusterId"]).into());
            }
            if team::opening_of(conn, cluster_id, &namespace).await?.is_some() {
                return Err(namespace_in_use(&namespace, &cluster).at(["namespace"]).into());
            }
            let opening = Opening { id: clock::new_id(), team_id, cluster_id, namespace, created_at: now };
            team::insert_opening(conn, &opening).await?;
            let object = Some(encode_text(team_id));
            audit::done(conn, actor, now, "openTeamOnCluster", Some(team.enterprise_id), object, None).await?;
            Ok(team)
        })
        .await
    })
    .await
}

async fn allowed_namespace(conn: &mut Conn, actor: &Actor, team: &Team, asked: Option<String>) -> Result<String> {
    let Some(namespace) = asked.filter(|namespace| *namespace != team.slug) else { return Ok(team.slug.clone()) };
    authorize::enterprise(conn, actor, team.enterprise_id, EnterpriseAction::ManageClusters).await.map_err(|_| {
        Error::Forbidden("only an administrator can name another namespace than the team's slug".into())
    })?;
    let mut problems = Problems::new();
    if !is_dns_label(&namespace) {
        let message = "a namespace has 1 to 63 of a-z, 0-9 and \"-\", and begins and ends with a letter or digit";
        problems.at("namespace", "INVALID_NAME", message);
    } else if is_reserved(&namespace) && namespace != "default" {
        problems.at("namespace", "RESERVED_NAME", format!("{namespace:?} is a namespace of the cluster itself"));
    }
    problems.finish()?;
    Ok(namespace)
}

/// Says which field an error is about.
fn at(error: Error, field: &str) -> Error {
    match error {
        Error::Invalid(errors) => Error::Invalid(errors.into_iter().map(|error| error.at([field])).collect()),
        error => error,
    }
}
