//! A database with an enterprise and an application, a clock, and a worker that does what a test says.

use crate::{
    clock::{self, Clock},
    config::OperationsConfig,
    id::{ApplicationId, ClusterId, EnterpriseId, OperationId, TeamId},
    on,
    operation::{
        Action, Journal, JournalError, Outcome, Perform, StepContext,
        action::{Apply, EnsureNamespace},
        feed::Feed,
        journal::{self, Claim, Lock, NewOperation, NewStep},
        run::{DRAIN, Left, run},
    },
    store::{
        Conn, Database, Instant, Key, Word,
        event::{self, Event},
        library::{self, Library},
        operation::{self, Operation, WorkerId},
        schema::{applications, clusters, drivers, enterprises, sealed_values, teams},
        step::{self, Step},
    },
    test_database::TestDatabase,
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ropeway_domain::{
    SecretId,
    operation::{OperationKind, OperationState},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Lets a journal fail for good after so many points: its process is dead.
#[derive(Clone)]
pub(in crate::operation) struct Faults(Arc<AtomicI64>);

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }
}

impl Faults {
    pub(super) fn after(points: i64) -> Self {
        Self(Arc::new(AtomicI64::new(points)))
    }

    pub(in crate::operation) fn strike(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) <= 0
    }

    pub(super) fn has_struck(&self) -> bool {
        AtomicI64::load(&self.0, Ordering::SeqCst) < 0
    }
}

/// What a test works with.
#[derive(Clone)]
pub(super) struct Bed {
    pub(super) database: Database,
    pub(super) url: String,
    pub(super) clock: Clock,
    pub(super) feed: Feed,
    pub(super) config: OperationsConfig,
    pub(super) enterprise: EnterpriseId,
    pub(super) team: TeamId,
    pub(super) cluster: ClusterId,
    pub(super) application: ApplicationId,
}

/// Runs a test on SQLite.
pub(super) async fn on_sqlite(test: impl AsyncFnOnce(Bed)) {
    let database = TestDatabase::sqlite();
    test(Bed::new(database.url().to_owned()).await).await;
}

/// Runs a test on PostgreSQL, if there is one to use.
pub(super) async fn on_postgres(test: impl AsyncFnOnce(Bed)) {
    match TestDatabase::postgres().await {
        Some(database) => test(Bed::new(database.url().to_owned()).await).await,
        None => skip("ROPEWAY_TEST_POSTGRES names no database server"),
    }
}

/// Notes that the present test is skipped, for the last lines of the test command. In continuous integration it fails.
fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = format!("ropeway {}", thread.name().unwrap_or("a test"));
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    assert!(variable("CI").is_none(), "{test} is skipped, which must not be here: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = variable("ROPEWAY_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written =
            file.and_then(|mut file| std::io::Write::write_all(&mut file, format!("{test}: {reason}\n").as_bytes()));
        written.expect("the list of skipped tests can be written");
    }
}

impl Bed {
    async fn new(url: String) -> Self {
        let database = Database::open(&url, 12).await.unwrap();
        database.migrate().await.unwrap();
        let bed = Self {
            feed: Feed::new(database.clone(), &url),
            database,
            url,
            clock: Clock::default(),
            config: OperationsConfig { lease_seconds: 15, ..OperationsConfig::default() },
            enterprise: clock::new_id(),
            team: clock::new_id(),
            cluster: clock::new_id(),
            application: clock::new_id(),
        };
        bed.fill().await;
        bed
    }

    async fn fill(&self) {
        let mut conn = self.write().await;
        let now = self.now();
        let (driver, secret) = (clock::new_id::<()>(), clock::new_id::<()>());
        let none = || b"{}".to_vec();
        on!(&mut conn, |c| {
            diesel::insert_into(enterprises::table)
                .values((
                    enterprises::id.eq(self.enterprise),
                    enterprises::name.eq("test"),
                    enterprises::created_at.eq(now),
                ))
                .execute(c)
                .await
                .unwrap();
            diesel::insert_into(teams::table)
                .values((
                    teams::id.eq(self.team),
                    teams::enterprise_id.eq(self.enterprise),
                    teams::name.eq("team"),
                    teams::slug.eq("team"),
                    teams::created_at.eq(now),
                ))
                .execute(c)
                .await
                .unwrap();
            diesel::insert_into(sealed_values::table)
                .values((
                    sealed_values::id.eq(secret),
                    sealed_values::enterprise_id.eq(self.enterprise),
                    sealed_values::ciphertext.eq(none()),
                    sealed_values::created_at.eq(now),
                ))
                .execute(c)
                .await
                .unwrap();
            diesel::insert_into(drivers::table)
                .values((
                    drivers::id.eq(driver),
                    drivers::name.eq("driver"),
                    drivers::version.eq("1"),
                    drivers::digest.eq("sha256:0"),
                    drivers::source.eq("built in"),
                    drivers::features.eq(b"[]".to_vec()),
                    drivers::config_schema.eq(none()),
                    drivers::requests.eq(b"[]".to_vec()),
                    drivers::created_at.eq(now),
                ))
                .execute(c)
                .await
                .unwrap();
            diesel::insert_into(clusters::table)
                .values((
                    clusters::id.eq(self.cluster),
                    clusters::enterprise_id.eq(self.enterprise),
                    clusters::name.eq("cluster"),
                    clusters::display_name.eq("cluster"),
                    clusters::driver_id.eq(driver),
                    clusters::config.eq(none()),
                    clusters::kubeconfig.eq(secret),
                    clusters::accepts_teams.eq(true),
                    clusters::maintenance.eq(false),
                    clusters::status.eq("ONLINE"),
                    clusters::generation.eq(1_i64),
                    clusters::created_at.eq(now),
                ))
                .execute(c)
                .await
                .unwrap();
            diesel::insert_into(applications::table)
                .values((
                    applications::id.eq(self.application),
                    applications::enterprise_id.eq(self.enterprise),
                    applications::team_id.eq(self.team),
                    applications::cluster_id.eq(self.cluster),
                    applications::namespace.eq("team"),
                    applications::name.eq("shop"),
                    applications::slug.eq("shop"),
                    applications::generation.eq(1_i64),
                    applications::created_at.eq(now),
                ))
                .execute(c)
                .await
                .unwrap();
        });
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) async fn read(&self) -> Conn {
        self.database.read().await.unwrap()
    }

    pub(super) async fn write(&self) -> Conn {
        self.database.write().await.unwrap()
    }

    /// The journal of a process.
    pub(super) fn journal(&self) -> Journal {
        Journal::new(self.database.clone(), self.clock.clone(), self.feed.clone())
    }

    /// The journal of a process that dies after so many points.
    pub(super) fn dying(&self, points: i64) -> Journal {
        let mut journal = self.journal();
        journal.faults = Faults::after(points);
        journal
    }

    /// An operation that holds no application, of these steps and what they need.
    pub(super) fn plan(&self, steps: &[(&str, &[u32])]) -> NewOperation {
        self.plan_of(OperationKind::OpenTeam, steps)
    }

    /// An operation of a kind on the application, of these steps and what they need.
    pub(super) fn plan_of(&self, kind: OperationKind, steps: &[(&str, &[u32])]) -> NewOperation {
        NewOperation {
            kind,
            enterprise_id: self.enterprise,
            team_id: Some(self.team),
            application_id: Some(self.application),
            cluster_id: Some(self.cluster),
            publication_id: None,
            installation_id: None,
            record_id: None,
            retry_of: None,
            created_by: "Ada".into(),
            plan_digest: None,
            lock: Lock::Free,
            steps: steps.iter().map(|(name, needs)| self.step(name, needs)).collect(),
        }
    }

    fn step(&self, name: &str, needs: &[u32]) -> NewStep {
        NewStep {
            name: name.to_owned(),
            component_key: None,
            component_name: None,
            needs: needs.iter().copied().collect(),
            action: Action::EnsureNamespace(EnsureNamespace {
                cluster_id: self.cluster,
                namespace: name.to_owned(),
                labels: [].into(),
                is_named_by_administrator: false,
                pull_secret: None,
            }),
        }
    }

    /// An action with what becomes true when it has succeeded.
    pub(super) fn action(&self, on_success: Vec<crate::operation::action::Effect>) -> Action {
        Action::Apply(Apply {
            cluster_id: self.cluster,
            namespace: "team".into(),
            cluster_scoped: false,
            application_id: self.application,
            owner_key: None,
            objects: Vec::new(),
            await_healthy: false,
            deadline_seconds: 600,
            on_success,
        })
    }

    pub(super) async fn try_begin(&self, plan: NewOperation) -> Result<Operation, JournalError> {
        let now = self.now();
        let mut conn = self.write().await;
        let operation = conn.transaction(async |conn| journal::begin(conn, plan, now).await).await?;
        drop(conn);
        self.feed.changed(&operation);
        Ok(operation)
    }

    pub(super) async fn begin(&self, plan: NewOperation) -> OperationId {
        self.try_begin(plan).await.unwrap().id
    }

    pub(super) async fn cancel(&self, id: OperationId) -> Result<Operation, JournalError> {
        let now = self.now();
        let mut conn = self.write().await;
        let operation = conn.transaction(async |conn| journal::request_cancel(conn, id, "Ada", now).await).await?;
        drop(conn);
        self.feed.changed(&operation);
        Ok(operation)
    }

    pub(super) async fn operation(&self, id: OperationId) -> Operation {
        operation::find(&mut self.read().await, id).await.unwrap().unwrap()
    }

    pub(super) async fn steps(&self, id: OperationId) -> Vec<Step> {
        step::of_operation(&mut self.read().await, id).await.unwrap()
    }

    pub(super) async fn events(&self, id: OperationId) -> Vec<Event> {
        event::after(&mut self.read().await, id, 0, 10_000).await.unwrap()
    }

    /// The state of an operation, and of its steps by name.
    pub(super) async fn states(&self, id: OperationId) -> String {
        let steps: Vec<String> =
            self.steps(id).await.iter().map(|step| format!("{} {}", step.name, step.state.0)).collect();
        format!("{}: {}", self.operation(id).await.state.0, steps.join(", "))
    }

    /// The events have the sequences from 1 on, without gaps, and the operation knows the next one.
    pub(super) async fn assert_no_gaps(&self, id: OperationId) {
        let sequences: Vec<i64> = self.events(id).await.iter().map(|event| event.sequence).collect();
        let next = self.operation(id).await.next_sequence;
        assert_eq!(sequences, (1..next).collect::<Vec<_>>());
    }

    /// A worker takes the next operation.
    pub(super) async fn claim(&self) -> Option<Claim> {
        self.journal().claim(worker(), self.lease(), usize::MAX).await.unwrap()
    }

    /// The library is configured anew: nodes pull as somebody else.
    pub(super) async fn pull_as(&self, username: &str, password: SecretId) {
        let library = Library {
            enterprise_id: self.enterprise,
            embedded: false,
            url: "library.example".into(),
            public_url: "library.example".into(),
            prefix: String::new(),
            username: None,
            password: None,
            pull_username: Some(username.to_owned()),
            pull_password: Some(Key(password)),
            ca_certificate: None,
            plain_http: false,
            reachable: None,
            checked_at: None,
            message: None,
            generation: 1,
        };
        library::set(&mut self.write().await, &library).await.unwrap();
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_secs(self.config.lease_seconds)
    }

    /// The time after which a dead worker's operations are taken by others.
    pub(super) fn outlive_lease(&self) {
        self.clock.advance(self.lease() + Duration::from_secs(1));
    }

    /// A worker takes one operation and carries it on as far as it can.
    pub(super) async fn carry_on<P: Perform>(
        &self,
        journal: &Journal,
        perform: &P,
    ) -> Result<Option<Left>, JournalError> {
        let taken_at = tokio::time::Instant::now();
        let Some(claim) = journal.claim(worker(), self.lease(), usize::MAX).await? else { return Ok(None) };
        run(journal, perform, &self.config, claim, taken_at, &CancellationToken::new(), DRAIN).await.map(Some)
    }

    /// A worker that does not die does all that there is to do.
    pub(super) async fn finish_all<P: Perform>(&self, perform: P) {
        while self.carry_on(&self.journal(), &perform).await.unwrap().is_some() {}
    }
}

/// A new process.
pub(super) fn worker() -> WorkerId {
    clock::new_id()
}

/// Does every step.
pub(super) async fn succeed(_step: StepContext, _action: Action) -> Outcome {
    Outcome::Succeeded
}

/// Writes an action by hand.
pub(super) async fn overwrite_action(bed: &Bed, id: OperationId, number: i64, action: &[u8]) {
    use crate::store::schema::steps;
    let mut conn = bed.write().await;
    on!(&mut conn, |c| diesel::update(steps::table.find((id, number))).set(steps::action.eq(action)).execute(c).await)
        .unwrap();
}

/// The state of an operation.
pub(super) fn is(state: OperationState) -> Word<OperationState> {
    Word(state)
}

/// An id that is nobody's.
pub(super) fn nobody() -> Uuid {
    clock::new_uuid()
}
