//! What steps do in a cluster: exactly what was planned, to nothing that is not ours.

use super::bed::{Bed, on_sqlite};
use crate::{
    app::App,
    config::Config,
    id::OperationId,
    on,
    operation::{
        Action,
        action::{Apply, ApplyMode, Delete, DoomedObject, EnsureNamespace, PlannedObject, PullSecret},
        journal::NewStep,
        perform,
    },
    seal::Secret,
    store::{
        Key, cluster_object,
        cluster_object::ClusterObject,
        schema::{clusters, drivers},
        sealed_value::{self, SealedValue},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ropeway_clusters::{Cluster, ObjectRef, Scope, uid};
use ropeway_domain::{SecretId, rendering::placeholder};
use ropeway_playground::{FAULT, Options, Playground};
use serde_json::{Value as Json, json};

/// A bed whose cluster is a playground, and the process that knows it.
struct Field {
    bed: Bed,
    app: App,
    cluster: Cluster,
    secret: SecretId,
    _playground: Playground,
    _folder: tempfile::TempDir,
}

async fn field(bed: Bed) -> Field {
    // Whoever came first installed the same one.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let options = Options { trust_elsewhere: true, ..Options::new("test", "token") };
    let playground = Playground::start(options).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.data.folder = folder.path().to_owned();
    config.database.url = Some(bed.url.clone());
    let app = App::open(config, bed.clock.clone()).await.unwrap();
    let seal = |text: &str| SealedValue::seal(&app.sealer, bed.enterprise, &Secret::new(text), bed.now()).unwrap();
    let (kubeconfig, secret) = (seal(&playground.kubeconfig()), seal("canary"));
    let driver = app.clusters.drivers().next().unwrap().id().to_owned();
    let mut conn = bed.write().await;
    for value in [&kubeconfig, &secret] {
        sealed_value::insert(&mut conn, value).await.unwrap();
    }
    on!(&mut conn, |c| {
        diesel::update(drivers::table).set(drivers::name.eq(&driver)).execute(c).await.unwrap();
        diesel::update(clusters::table).set(clusters::kubeconfig.eq(Key(kubeconfig.id.0))).execute(c).await.unwrap();
    });
    drop(conn);
    let cluster = app.cluster(bed.cluster).await.unwrap();
    bed.pull_as("robot", secret.id.0).await;
    Field { bed, app, cluster, secret: secret.id.0, _playground: playground, _folder: folder }
}

impl Field {
    fn namespace(&self) -> Action {
        Action::EnsureNamespace(EnsureNamespace {
            cluster_id: self.bed.cluster,
            namespace: "team".into(),
            labels: [("ropeway.dev/team".to_owned(), self.bed.team.to_string())].into(),
            is_named_by_administrator: false,
            pull_secret: Some(PullSecret { name: "pull".into(), owner: self.bed.team.to_string() }),
        })
    }

    fn apply(&self, deadline_seconds: u32, objects: Vec<PlannedObject>) -> Action {
        Action::Apply(Apply {
            cluster_id: self.bed.cluster,
            namespace: "team".into(),
            cluster_scoped: false,
            application_id: self.bed.application,
            owner_key: None,
            objects,
            await_healthy: true,
            deadline_seconds,
            on_success: Vec::new(),
        })
    }

    fn labels(&self) -> Json {
        json!({"ropeway.dev/application": self.bed.application})
    }

    fn password(&self) -> PlannedObject {
        planned(
            0,
            json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "shop", "namespace": "team", "labels": self.labels()},
                "stringData": {"PASSWORD": placeholder(self.secret)}}),
        )
    }

    fn deployment(&self, selector: &str, annotations: &Json) -> PlannedObject {
        let pod = json!({"app": selector});
        planned(
            1,
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "shop", "namespace": "team", "labels": self.labels()},
                "spec": {"replicas": 1, "selector": {"matchLabels": pod},
                    "template": {"metadata": {"labels": pod, "annotations": annotations},
                        "spec": {"containers": [{"name": "shop", "image": "registry.example/shop:1"}]}}}}),
        )
    }

    /// Begins an operation of one action after another and carries it out.
    async fn run(&self, actions: Vec<Action>) -> OperationId {
        let mut plan = self.bed.plan(&[]);
        for (before, action) in (0..).zip(actions) {
            plan.steps.push(NewStep {
                name: format!("step {}", before + 1),
                component_key: None,
                component_name: None,
                needs: (1..=before).collect(),
                action,
            });
        }
        let id = self.bed.begin(plan).await;
        let app = self.app.clone();
        self.bed
            .finish_all(move |step, action| {
                let app = app.clone();
                async move { perform::perform(&app, &step, action).await }
            })
            .await;
        for event in self.bed.events(id).await {
            assert!(!event.message.contains("canary"), "{}", event.message);
        }
        id
    }

    async fn listed(&self) -> Vec<ClusterObject> {
        cluster_object::of_application(&mut self.bed.read().await, self.bed.application).await.unwrap()
    }

    async fn live(&self, api_version: &str, kind: &str, name: &str) -> Option<Json> {
        self.cluster.get(&ObjectRef::namespaced(api_version, kind, "team", name)).await.unwrap()
    }

    async fn live_uid(&self, api_version: &str, kind: &str) -> String {
        uid(&self.live(api_version, kind, "shop").await.unwrap()).unwrap().to_owned()
    }
}

fn planned(wave: u32, manifest: Json) -> PlannedObject {
    PlannedObject { manifest, mode: ApplyMode::ServerSideApply, wave, force: false, accepted: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planned_is_applied_once_listed_and_deleted() {
    on_sqlite(async |bed| {
        let field = field(bed).await;
        let actions =
            || vec![field.namespace(), field.apply(60, vec![field.deployment("shop", &json!({})), field.password()])];
        let first = field.run(actions()).await;
        assert_eq!(field.bed.states(first).await, "SUCCEEDED: step 1 SUCCEEDED, step 2 SUCCEEDED");
        let secret = field.live("v1", "Secret", "shop").await.unwrap();
        assert_eq!(secret["data"], json!({"PASSWORD": STANDARD.encode("canary")}));
        let pull = field.live("v1", "Secret", "pull").await.unwrap();
        let docker = STANDARD.decode(pull["data"][".dockerconfigjson"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8(docker).unwrap().contains("canary"));
        let listed = field.listed().await;
        let uids: Vec<&str> = listed.iter().map(|object| object.uid.as_str()).collect();
        assert_eq!(uids, [field.live_uid("v1", "Secret").await, field.live_uid("apps/v1", "Deployment").await]);

        field.bed.pull_as("another", field.secret).await;
        let again = field.run(actions()).await;
        let pull = field.live("v1", "Secret", "pull").await.unwrap();
        let docker = STANDARD.decode(pull["data"][".dockerconfigjson"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8(docker).unwrap().contains("another"), "it is applied with the access of now");
        assert_eq!(field.bed.states(again).await, "SUCCEEDED: step 1 SUCCEEDED, step 2 SUCCEEDED");
        assert_eq!(field.listed().await, listed);

        let objects = listed.iter().rev().map(|object| DoomedObject {
            reference: ObjectRef::namespaced(&object.api_version, &object.kind, "team", &object.name),
            uid: object.uid.clone(),
            orphan: false,
        });
        let deleted = field
            .run(vec![Action::Delete(Delete {
                cluster_id: field.bed.cluster,
                application_id: field.bed.application,
                objects: objects.collect(),
                await_gone: true,
                deadline_seconds: 60,
                on_success: Vec::new(),
            })])
            .await;
        assert_eq!(field.bed.states(deleted).await, "SUCCEEDED: step 1 SUCCEEDED");
        assert_eq!(field.listed().await, []);
        assert_eq!(field.live("apps/v1", "Deployment", "shop").await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_become_healthy_in_time_has_failed() {
    on_sqlite(async |bed| {
        let field = field(bed).await;
        let broken = field.deployment("shop", &json!({FAULT: "ImagePullBackOff"}));
        let id = field.run(vec![field.namespace(), field.apply(3, vec![broken])]).await;
        assert_eq!(field.bed.states(id).await, "PARTIAL: step 1 SUCCEEDED, step 2 FAILED");
        let error = field.bed.steps(id).await[1].error.clone().unwrap();
        assert!(error.contains("took too long; last seen: Deployment shop"), "{error}");
        assert_eq!(field.listed().await.len(), 1, "it is ours, healthy or not");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_failed_is_not_waited_for() {
    on_sqlite(async |bed| {
        let field = field(bed).await;
        let job = json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "shop", "namespace": "team", "labels": field.labels()},
            "spec": {"backoffLimit": 0, "template": {"metadata": {"annotations": {FAULT: "Failed"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "shop", "image": "registry.example/shop:1"}]}}}});
        let job = PlannedObject { mode: ApplyMode::CreateOnly, ..planned(0, job) };
        let id = field.run(vec![field.namespace(), field.apply(600, vec![job])]).await;
        assert_eq!(field.bed.states(id).await, "PARTIAL: step 1 SUCCEEDED, step 2 FAILED");
        let error = field.bed.steps(id).await[1].error.clone().unwrap();
        assert!(error.starts_with("Job shop: "), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_neither_changed_nor_deleted() {
    on_sqlite(async |bed| {
        let field = field(bed).await;
        field.run(vec![field.namespace()]).await;
        let foreign = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "shop", "namespace": "team"}, "data": {"a": "theirs"}});
        field.cluster.create_if_absent(&foreign, &Scope::namespace("team")).await.unwrap();
        let before = field.live("v1", "ConfigMap", "shop").await.unwrap();

        let mut ours = foreign.clone();
        ours["metadata"]["labels"] = field.labels();
        ours["data"]["a"] = "ours".into();
        for mode in [ApplyMode::ServerSideApply, ApplyMode::CreateOnly, ApplyMode::Recreate { orphan: false }] {
            let object = PlannedObject { mode, force: true, ..planned(0, ours.clone()) };
            let id = field.run(vec![field.apply(60, vec![object])]).await;
            assert_eq!(field.bed.states(id).await, "FAILED: step 1 FAILED", "{mode:?}");
        }
        let doomed = DoomedObject {
            reference: ObjectRef::of(&foreign).unwrap(),
            uid: uid(&before).unwrap().to_owned(),
            orphan: false,
        };
        let delete = Action::Delete(Delete {
            cluster_id: field.bed.cluster,
            application_id: field.bed.application,
            objects: vec![doomed],
            await_gone: true,
            deadline_seconds: 60,
            on_success: Vec::new(),
        });
        let id = field.run(vec![delete]).await;
        assert_eq!(field.bed.states(id).await, "SUCCEEDED: step 1 SUCCEEDED");
        assert!(field.bed.events(id).await.iter().any(|event| event.message.starts_with("Left alone: ")));
        assert_eq!(field.live("v1", "ConfigMap", "shop").await, Some(before));
        assert_eq!(field.listed().await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_changed_is_made_anew_where_that_was_accepted() {
    on_sqlite(async |bed| {
        let field = field(bed).await;
        field.run(vec![field.namespace(), field.apply(60, vec![field.deployment("one", &json!({}))])]).await;
        let old = field.live_uid("apps/v1", "Deployment").await;

        let other = field.deployment("two", &json!({}));
        let refused = field.run(vec![field.apply(60, vec![other.clone()])]).await;
        assert_eq!(field.bed.states(refused).await, "FAILED: step 1 FAILED");
        assert_eq!(field.live_uid("apps/v1", "Deployment").await, old);

        let accepted = PlannedObject { mode: ApplyMode::Recreate { orphan: false }, ..other };
        let id = field.run(vec![field.apply(60, vec![accepted])]).await;
        assert_eq!(field.bed.states(id).await, "SUCCEEDED: step 1 SUCCEEDED");
        let new = field.live_uid("apps/v1", "Deployment").await;
        assert_ne!(new, old);
        let listed: Vec<String> = field.listed().await.into_iter().map(|object| object.uid).collect();
        assert_eq!(listed, [new]);
    })
    .await;
}
