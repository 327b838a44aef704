//! Look-ups of the applications of teams.

use crate::{
    error::{Error, Result},
    graphql::loader::{Rows, Shared},
    id::{ClusterId, TeamId},
    store::application as rows,
};
use async_graphql::dataloader::Loader;
use std::{collections::HashMap, sync::Arc};

/// Loads the first applications of a team, by name: so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstApplicationsKey {
    /// Of which team.
    pub team: TeamId,
    /// Only those in this cluster.
    pub cluster: Option<ClusterId>,
    /// How many.
    pub limit: i64,
}

/// Loads how many applications a team has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApplicationCountKey {
    /// Which team.
    pub team: TeamId,
    /// Only those in this cluster.
    pub cluster: Option<ClusterId>,
}

impl Loader<FirstApplicationsKey> for Rows {
    type Value = Vec<rows::Application>;
    type Error = Shared;

    async fn load(&self, keys: &[FirstApplicationsKey]) -> Result<HashMap<FirstApplicationsKey, Self::Value>, Shared> {
        let lists = grouped(keys.iter().map(|key| ((key.cluster, key.limit), key.team)));
        let found = async {
            let mut applications: HashMap<FirstApplicationsKey, Self::Value> = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for ((cluster, limit), teams) in lists {
                for row in rows::first_pages(&mut conn, &teams, cluster, limit).await? {
                    let key = FirstApplicationsKey { team: row.team_id, cluster, limit };
                    applications.entry(key).or_default().push(row);
                }
            }
            Ok::<_, Error>(applications)
        };
        found.await.map_err(Arc::new)
    }
}

impl Loader<ApplicationCountKey> for Rows {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[ApplicationCountKey]) -> Result<HashMap<ApplicationCountKey, i64>, Shared> {
        let lists = grouped(keys.iter().map(|key| (key.cluster, key.team)));
        let found = async {
            let mut counts = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for (cluster, teams) in lists {
                for (team, count) in rows::counts(&mut conn, &teams, cluster).await? {
                    counts.insert(ApplicationCountKey { team, cluster }, count);
                }
            }
            Ok::<_, Error>(counts)
        };
        found.await.map_err(Arc::new)
    }
}

/// The teams of which the same is asked.
fn grouped<K: Eq + std::hash::Hash>(keys: impl Iterator<Item = (K, TeamId)>) -> HashMap<K, Vec<TeamId>> {
    let mut teams: HashMap<K, Vec<TeamId>> = HashMap::new();
    for (key, team) in keys {
        teams.entry(key).or_default().push(team);
    }
    teams
}
