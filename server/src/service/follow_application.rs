//! Following an application: what is stored of it, and what its cluster does.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    id::{ApplicationId, InstallationId, PublicationId, RecordId},
    operation::feed::application_changes,
    service::{authorize, live_state},
    shares::Share,
    store::{self, Instant, application::Application, component::Component as ComponentRow},
};
use futures::{FutureExt as _, Stream, StreamExt as _, stream, stream::BoxStream};
use ropeway_clusters::{ClusterEvent, Kind, label, labels};
use ropeway_domain::{
    ComponentKey,
    access::TeamAction,
    operation::{InstallationState, PublicationState, UpgradeState},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};
use tokio::time::{Instant as Moment, sleep_until};

/// The least time between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Records and publications that are watched for changes: the newest.
const NEWEST: i64 = 20;

/// Something new of an application.
#[derive(Debug, Clone)]
pub struct News {
    /// When it was seen.
    pub at: Instant,
    /// What is new.
    pub what: What,
    /// The application as it is now.
    pub application: Application,
}

/// What is new of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// How it is when following begins.
    State,
    /// The application itself: its desired state, or the operation that changes it.
    Application,
    /// A component: it was changed, added, deployed, or its objects in the cluster have changed.
    Component(ComponentKey),
    /// A component is no more.
    ComponentGone,
    /// An installation.
    Installation(InstallationId),
    /// An upgrade record.
    Record(RecordId),
    /// A publication.
    Publication(PublicationId),
    /// The cluster does not answer, or answers again.
    Cluster,
}

impl What {
    /// For programs.
    pub fn kind(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Application => "APPLICATION",
            Self::Component(_) => "COMPONENT",
            Self::ComponentGone => "COMPONENT_REMOVED",
            Self::Installation(_) => "INSTALLATION",
            Self::Record(_) => "UPGRADE_RECORD",
            Self::Publication(_) => "PUBLICATION",
            Self::Cluster => "CLUSTER",
        }
    }
}

/// Everything stored of an application that is news when it changes.
#[derive(Default)]
struct Known {
    application: Option<Application>,
    components: HashMap<ComponentKey, ComponentRow>,
    installations: HashMap<InstallationId, (i64, InstallationState)>,
    records: HashMap<RecordId, UpgradeState>,
    publications: HashMap<PublicationId, PublicationState>,
}

struct Following {
    app: App,
    actor: Actor,
    id: ApplicationId,
    wakes: BoxStream<'static, ()>,
    events: BoxStream<'static, ClusterEvent>,
    /// Kinds of which all objects were seen once: what comes after that is new.
    synced: HashSet<Kind>,
    /// Components whose objects have changed since the last look.
    touched: BTreeSet<ComponentKey>,
    is_silent: bool,
    cluster_changed: bool,
    known: Known,
    waiting: VecDeque<What>,
    not_before: Moment,
    _share: Share,
}

/// The application as it is now, then whatever changes, soon after it did. What changes often is told once in a while.
/// It ends when the application is gone, or may not be seen any more. One person follows a limited number of things at a
/// time.
pub async fn follow_application(
    app: &App,
    actor: &Actor,
    id: ApplicationId,
) -> Result<impl Stream<Item = Result<News>> + Send + use<>> {
    let mut conn = app.database.read().await?;
    let application = authorize::application(&mut conn, actor, id, TeamAction::View).await?;
    drop(conn);
    let share = app.share_of_followers(actor)?;
    let events = match app.cluster(application.cluster_id).await {
        Ok(cluster) => {
            let selector = format!("{}={id}", labels::APPLICATION);
            cluster.follow(&application.namespace, &selector, &live_state::followed_kinds()).boxed()
        }
        // What is stored can be followed all the same.
        Err(_) => stream::pending().boxed(),
    };
    let mut following = Following {
        app: app.clone(),
        actor: actor.clone(),
        id,
        wakes: application_changes(&app.feed, id).boxed(),
        events,
        synced: HashSet::new(),
        touched: BTreeSet::new(),
        is_silent: false,
        cluster_changed: false,
        known: Known::default(),
        waiting: VecDeque::new(),
        not_before: Moment::now(),
        _share: share,
    };
    following.look().await?;
    following.waiting.clear();
    following.waiting.push_back(What::State);
    Ok(stream::unfold(Some(following), |following| {
        async move {
            let mut following = following?;
            match following.next().await {
                Ok(news) => Some((Ok(news), Some(following))),
                Err(Error::NotFound(_)) => None,
                Err(error) => Some((Err(error), None)),
            }
        }
        .boxed()
    }))
}

impl Following {
    async fn next(&mut self) -> Result<News> {
        loop {
            if let (Some(what), Some(application)) = (self.waiting.pop_front(), self.known.application.clone()) {
                return Ok(News { at: self.app.clock.now(), what, application });
            }
            self.wait().await;
            self.look().await?;
        }
    }

    /// Waits for something to look at, and until enough time has passed since the last look.
    async fn wait(&mut self) {
        let mut woken = self.cluster_changed || !self.touched.is_empty();
        while !woken || Moment::now() < self.not_before {
            tokio::select! {
                Some(()) = self.wakes.next(), if !woken => woken = true,
                Some(event) = self.events.next() => woken |= self.take(event),
                () = sleep_until(self.not_before), if woken => {}
            }
        }
        self.not_before = Moment::now() + PAUSE;
    }

    /// Takes what the cluster told; says whether it is news.
    fn take(&mut self, event: ClusterEvent) -> bool {
        let was_silent = self.is_silent;
        match event {
            ClusterEvent::Interrupted(_) => self.is_silent = true,
            ClusterEvent::Synced(kind) => {
                self.is_silent = false;
                self.synced.insert(kind);
            }
            ClusterEvent::Changed(object) => {
                let text = |field: &str| object.get(field).and_then(|value| value.as_str()).unwrap_or_default();
                if self.synced.contains(&Kind::new(text("apiVersion"), text("kind"))) {
                    self.touched.extend(
                        label(&object, "ropeway.dev/component").and_then(|key| key.parse::<ComponentKey>().ok()),
                    );
                }
            }
            // Its labels are not known any more: the objects of a component are called after it.
            ClusterEvent::Gone(reference) => {
                let of = self.known.components.values().filter(|row| reference.name.starts_with(&row.cluster_name));
                let of = of.max_by_key(|row| row.cluster_name.len()).map(|row| row.key.0);
                self.touched.extend(of);
            }
        }
        self.cluster_changed |= was_silent != self.is_silent;
        self.cluster_changed || !self.touched.is_empty()
    }

    /// Reads what is stored, and lists what has changed since it was read last.
    async fn look(&mut self) -> Result<()> {
        let mut conn = self.app.database.read().await?;
        let application = authorize::application(&mut conn, &self.actor, self.id, TeamAction::View).await?;
        let components = store::component::of_applications(&mut conn, &[self.id]).await?;
        let installations = store::installation::of_applications(&mut conn, &[self.id]).await?;
        let records = store::record::page(&mut conn, self.id, None, None, NEWEST).await?;
        let publications = store::publication::page(&mut conn, self.id, self.actor.user_id, None, NEWEST).await?;
        drop(conn);

        if self.known.application.as_ref() != Some(&application) {
            self.waiting.push_back(What::Application);
        }
        let components: HashMap<ComponentKey, ComponentRow> =
            components.into_iter().map(|row| (row.key.0, row)).collect();
        if self.known.components.keys().any(|key| !components.contains_key(key)) {
            self.waiting.push_back(What::ComponentGone);
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.retain(|key| components.contains_key(key));
        touched.extend(changed(&self.known.components, &components));
        self.waiting.extend(touched.into_iter().map(What::Component));

        let installations = installations.into_iter().map(|row| (row.id, (row.generation, row.state.0))).collect();
        self.waiting.extend(changed(&self.known.installations, &installations).map(What::Installation));
        let records = records.into_iter().map(|row| (row.id, row.state.0)).collect();
        self.waiting.extend(changed(&self.known.records, &records).map(What::Record));
        let publications = publications.into_iter().map(|row| (row.id, row.state.0)).collect();
        self.waiting.extend(changed(&self.known.publications, &publications).map(What::Publication));
        if std::mem::take(&mut self.cluster_changed) {
            self.waiting.push_back(What::Cluster);
        }
        self.known = Known { application: Some(application), components, installations, records, publications };
        Ok(())
    }
}

/// What is not as it was, or was not there.
fn changed<'a, K: Copy + Eq + std::hash::Hash, V: PartialEq>(
    before: &'a HashMap<K, V>,
    now: &'a HashMap<K, V>,
) -> impl Iterator<Item = K> + use<'a, K, V> {
    now.iter().filter(|(key, value)| before.get(key) != Some(value)).map(|(key, _)| *key)
}
