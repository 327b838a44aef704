//! Following the status of an enterprise's clusters.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    id::{ClusterId, EnterpriseId},
    operation::feed::{Follower, Topic},
    shares::Share,
    store::{
        cluster::{self, Cluster, ClusterStatus},
        member,
    },
};
use futures::{Stream, stream};
use ropeway_domain::access::{EnterpriseAction, EnterpriseRole, check_enterprise};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// How often the clusters are looked up without a wake.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The most clusters that are followed.
const MAX_CLUSTERS: i64 = 1000;

/// Each cluster as it is now, then each one soon after its status changed; with each, whether all of it may be seen. It
/// ends when the person is no member any more. One person follows a limited number of things at a time.
pub async fn follow_clusters(
    app: &App,
    actor: &Actor,
    id: EnterpriseId,
) -> Result<impl Stream<Item = Result<(Cluster, bool)>> + Send + use<>> {
    let mut following = Following {
        follower: app.feed.subscribe(Topic::Clusters(id)),
        app: app.clone(),
        actor: actor.clone(),
        id,
        known: HashMap::new(),
        waiting: VecDeque::new(),
        _share: app.share_of_followers(actor)?,
    };
    following.read().await?;
    Ok(stream::unfold(Some(following), async |following| {
        let mut following = following?;
        match following.next().await {
            Ok(next) => Some((Ok(next), Some(following))),
            Err(Error::NotFound(_)) => None,
            Err(error) => Some((Err(error), None)),
        }
    }))
}

struct Following {
    app: App,
    actor: Actor,
    id: EnterpriseId,
    follower: Follower,
    known: HashMap<ClusterId, Told>,
    waiting: VecDeque<(Cluster, bool)>,
    _share: Share,
}

/// What is news when it changes.
#[derive(PartialEq)]
struct Told {
    status: ClusterStatus,
    message: Option<String>,
    version: Option<String>,
    display_name: String,
    generation: i64,
}

impl Following {
    async fn next(&mut self) -> Result<(Cluster, bool)> {
        loop {
            if let Some(next) = self.waiting.pop_front() {
                return Ok(next);
            }
            self.follower.changed_within(LOOK_EVERY).await;
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        let mut conn = self.app.database.read().await?;
        let role = member::role(&mut conn, self.id, self.actor.user_id).await?;
        check_enterprise(role, EnterpriseAction::View).map_err(|_| Error::NotFound("the enterprise"))?;
        let all = role == Some(EnterpriseRole::Administrator);
        let rows = cluster::page(&mut conn, self.id, all, None, MAX_CLUSTERS).await?;
        drop(conn);
        self.known.retain(|id, _| rows.iter().any(|row| row.id == *id));
        for row in rows {
            let told = Told {
                status: row.status.0,
                message: row.status_message.clone().filter(|_| all),
                version: row.facts.as_ref().map(|facts| facts.0.git_version.clone()).filter(|_| all),
                display_name: row.display_name.clone(),
                generation: if all { row.generation } else { 0 },
            };
            if self.known.get(&row.id) != Some(&told) {
                self.known.insert(row.id, told);
                self.waiting.push_back((row, all));
            }
        }
        Ok(())
    }
}
