//! What all services that plan and execute share: what they observe, and how they answer.

use crate::{
    actor::Actor,
    app::App,
    clusters::Reached,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{ApplicationId, InstallationId, OperationId, VersionId},
    libraries::PullAccess,
    operation::{
        feed::Topic,
        journal::{JournalError, NewStep},
    },
    seal::Sealer,
    service::{
        audit::MayBeStale,
        authorize,
        dry_run::{self, Accepted, Findings, Taking},
        keep_storage,
        rollout::{self, Rollout, Scope},
        state::{ApplicationState, Side},
    },
    store::{
        self,
        cluster_object::{self, ClusterObject},
        installation::Installation,
        library::Library,
        operation::Operation,
        team::Team,
    },
};
use ropeway_clusters::Kind;
use ropeway_domain::{
    Digest, Quantity, ResourceKey,
    access::TeamAction,
    graph::GraphError,
    installed::Installed,
    model::Image,
    plan::{Blocker, Plan, PlannedStep},
    preflight::{ClusterFacts, LibraryReach},
};

/// Quotas of a namespace that are looked at.
const MAX_QUOTAS: u16 = 100;

/// Seconds that a wave may take at most.
pub const MAX_DEADLINE_SECONDS: i32 = 86_400;

/// What became of a request to execute a plan.
#[derive(Debug, Clone)]
pub enum Executed<T> {
    /// It is under way.
    Begun {
        /// What it changes.
        subject: T,
        /// The operation that carries it out.
        operation: Operation,
    },
    /// The plan that was named does not hold any more; this is the new one.
    Stale(Plan),
}

impl<T> MayBeStale for Executed<T> {
    fn is_stale(&self) -> bool {
        matches!(self, Self::Stale(_))
    }
}

/// An application with all that a plan for it rests on.
pub struct Observed {
    /// The application.
    pub state: ApplicationState,
    /// Its team.
    pub team: Team,
    /// Its objects in the cluster, as recorded.
    pub live: Vec<ClusterObject>,
    /// The library of the enterprise, if there is one.
    pub library: Option<Library>,
    /// Whether its cluster reaches that.
    pub library_reach: LibraryReach,
    /// Its cluster.
    pub reached: Reached,
    /// For hashes of what may be secret.
    pub sealer: Sealer,
}

impl Observed {
    /// Looks at an application, if the actor may do this in it.
    pub async fn of(app: &App, actor: &Actor, id: ApplicationId, action: TeamAction) -> Result<Self> {
        let mut conn = app.database.read().await?;
        let application = authorize::application(&mut conn, actor, id, action).await?;
        Self::load(app, conn, application).await
    }

    /// As [`Observed::of`], for those who were authorized already, and for what runs on its own.
    pub async fn load(app: &App, mut conn: store::Conn, application: store::application::Application) -> Result<Self> {
        let team = store::team::find(&mut conn, application.team_id).await?.ok_or(Error::NotFound("the team"))?;
        let live = cluster_object::of_application(&mut conn, application.id).await?;
        let library = store::library::find(&mut conn, application.enterprise_id).await?;
        let state = ApplicationState::load(&mut conn, application).await?;
        drop(conn);
        let reached = app.reach(state.application.cluster_id).await?;
        let library_reach = match &library {
            Some(library) => app.library_reach(library, state.application.cluster_id).await?,
            None => LibraryReach::Unchecked,
        };
        Ok(Self { state, team, live, library, library_reach, reached, sealer: app.sealer.clone() })
    }

    /// How the nodes pull from the library.
    pub fn pull(&self) -> Option<PullAccess> {
        self.library.as_ref().and_then(PullAccess::of)
    }

    /// What preflight is told of the cluster.
    pub fn facts(&self) -> ClusterFacts {
        self.reached.facts(self.library_reach.clone())
    }

    /// Renders a desired state, in own keys, and asks the cluster about what of it is in scope.
    pub async fn roll_out(
        &self,
        desired: &Installed,
        scope: &Scope,
        revision: &str,
        taking: Taking,
        accepted: Accepted<'_>,
    ) -> Result<(Rollout, Findings)> {
        // Pods are restarted for what is applied of configuration, not for what is only desired of it.
        let deployed = self.state.whole(Side::Deployed);
        let mut rendered = desired.clone();
        rendered.resources.retain(|key, _| scope.resources.contains(key));
        let stays = |key: &ResourceKey| !scope.resources.contains(key) && !scope.gone_resources.contains(key);
        rendered.resources.extend(deployed.resources.into_iter().filter(|(key, _)| stays(key)));
        let mut rollout = self.render(&rendered, revision).await?;
        keep_storage::settle(self, &mut rollout, scope).await?;
        let mut before = Vec::new();
        for side in [Side::Deployed, Side::Desired] {
            before.push(self.render(&self.state.whole(side), revision).await?.manifests);
        }
        let findings = dry_run::dry_run(self, &mut rollout, &before, taking, accepted, scope).await?;
        Ok((rollout, findings))
    }

    /// Renders a state of the whole application, in own keys.
    pub async fn render(&self, state: &Installed, revision: &str) -> Result<Rollout> {
        let registry = self.library.as_ref().map(|library| library.public_url.as_str()).unwrap_or_default();
        rollout::render(&self.reached, &self.state, state, registry, self.pull().is_some(), revision).await
    }

    /// What preflight is told of the cluster, with what the quotas of the namespace leave.
    pub async fn facts_now(&self) -> ClusterFacts {
        let namespace = &self.state.application.namespace;
        let kind = Kind::new("v1", "ResourceQuota");
        // What may not be asked is not known: the cluster itself will refuse.
        let quotas = self.reached.cluster.list_page(&kind, Some(namespace), None, MAX_QUOTAS, None).await;
        let quota_memory = quotas.ok().and_then(|page| page.items.iter().filter_map(memory_left).min());
        ClusterFacts { quota_memory, ..self.facts() }
    }

    /// Refuses to go on where the cluster or the library is not as it was observed. Inside the transaction that commits.
    pub async fn check_surroundings(&self, conn: &mut store::Conn) -> Result<()> {
        let cluster = store::cluster::find(conn, self.reached.row.id).await?;
        let library = store::library::find(conn, self.state.application.enterprise_id).await?;
        let generation = |library: Option<&Library>| library.map(|library| library.generation);
        let same_cluster = cluster.is_some_and(|row| {
            row.generation == self.reached.row.generation && row.maintenance == self.reached.row.maintenance
        });
        if same_cluster && generation(library.as_ref()) == generation(self.library.as_ref()) {
            return Ok(());
        }
        Err(Error::Conflict("the cluster or the library was configured anew at the same time; try again".into()))
    }

    /// The steps of a rollout.
    pub fn steps(
        &self,
        desired: &Installed,
        rollout: &Rollout,
        scope: &Scope,
        deadline_seconds: u32,
    ) -> Result<Vec<NewStep>, GraphError> {
        let pulls = self.pull().is_some();
        rollout::steps(&self.state, &self.team, desired, rollout, scope, &self.live, pulls, deadline_seconds)
    }

    /// The digests of the driver and of its configuration, which every plan rests on.
    pub fn driver_digests(&self) -> (Digest, Digest) {
        (self.reached.driver.digest().clone(), Digest::of_value(&self.reached.row.config.0))
    }

    /// Nothing is begun in a cluster that is kept free of new work.
    pub fn cluster_blockers(&self) -> Vec<Blocker> {
        if self.reached.row.maintenance {
            let message = format!("the cluster {} is in maintenance", self.reached.row.display_name);
            return vec![rollout::blocker("CLUSTER_IN_MAINTENANCE", message)];
        }
        Vec::new()
    }
}

/// The bytes of memory that a quota leaves, if it is about memory.
fn memory_left(quota: &serde_json::Value) -> Option<u64> {
    let amount = |part: &str, resource: &str| -> Option<u128> {
        let text = quota.get("status")?.get(part)?.get(resource)?.as_str()?;
        Some(text.parse::<Quantity>().ok()?.milli().div_ceil(1000))
    };
    let left = ["requests.memory", "memory"].into_iter().filter_map(|resource| {
        let hard = amount("hard", resource)?;
        Some(hard.saturating_sub(amount("used", resource).unwrap_or(0)))
    });
    left.min().map(|bytes| u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Whether any image of a state comes from the library.
pub fn needs_library(installed: &Installed) -> bool {
    installed.components.values().any(|component| matches!(component.spec.image, Image::Library { .. }))
}

/// Refuses to go on with a version that was deleted since it was observed. Inside the transaction that commits.
pub async fn check_published(conn: &mut store::Conn, id: VersionId) -> Result<()> {
    match store::version::find(conn, id).await? {
        Some(version) if !version.is_hidden => Ok(()),
        _ => Err(Error::Conflict("the version was deleted meanwhile".into())),
    }
}

/// The steps, as they are shown.
pub fn shown(steps: &[NewStep]) -> Vec<PlannedStep> {
    let show = |(number, step): (u32, &NewStep)| PlannedStep {
        number,
        component: step.component_key,
        summary: step.name.clone(),
    };
    (1..).zip(steps).map(show).collect()
}

/// Refuses a plan with blockers, telling all of them.
pub fn check_executable(plan: &Plan) -> Result<()> {
    rollout::refuse_blocked(&plan.blockers)
}

/// The seconds that a wave may take.
pub fn deadline(app: &App, asked: Option<i32>) -> Result<u32> {
    match asked {
        None => Ok(app.config.operations.progress_deadline_seconds),
        Some(seconds) if (1..=MAX_DEADLINE_SECONDS).contains(&seconds) => Ok(seconds.unsigned_abs()),
        Some(seconds) => {
            let message = format!("a progress deadline has 1 to {MAX_DEADLINE_SECONDS} seconds, not {seconds}");
            Err(Error::invalid("OUT_OF_RANGE", ["progressDeadlineSeconds"], message))
        }
    }
}

/// An operation could not begin: another one is in the way.
pub fn begin_error(error: JournalError) -> Error {
    match error {
        JournalError::Busy { operation_id } => busy(operation_id),
        error => Error::internal(error),
    }
}

/// Another operation changes the application.
pub fn busy(operation: OperationId) -> Error {
    UserError::new("APPLICATION_BUSY", "another operation changes this application; wait until it ends, or cancel it")
        .naming(encode_text(operation))
        .into()
}

/// An installation whose end was begun is not changed any more: its components are to be removed already.
pub fn check_not_ending(installation: &Installation) -> Result<()> {
    if installation.ended_as.is_none() {
        return Ok(());
    }
    let message = "its end was begun and has not succeeded yet: uninstall it again, or retry that operation";
    Err(UserError::new("BEING_UNINSTALLED", message).into())
}

/// Something else was changed since it was observed.
pub fn changed_meanwhile() -> Error {
    Error::Conflict("somebody else changed this application at the same time; look at it again".into())
}

/// Wakes whoever works and whoever watches, after a commit.
pub fn wake(app: &App, operation: &Operation) {
    app.feed.changed(operation);
    app.feed.publish(Topic::Work);
}

/// What names the revision of what is applied: it changes with every rollout, and is no clock.
pub fn revision(generation: i64, installation: Option<InstallationId>) -> String {
    match installation {
        Some(id) => format!("{generation}-{}", &id.0.simple().to_string()[24..]),
        None => generation.to_string(),
    }
}
