//! Rows that a test puts into the store by hand: what would take a cluster and registries to come about.

use super::bed::Bed;
use crate::{
    clock,
    id::{
        ApplicationId, Id, InstallationId, Kind, OperationId, PublicationId, RecordId, TemplateId, UserId, VersionId,
    },
    on,
    store::{
        Key, Stored, Word, application, component, event, installation, operation, publication, record, resource,
        schema::applications, step, version,
    },
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ropeway_domain::{
    ComponentKey, Digest, ResourceKey, VersionContent, VersionNumber,
    installed::Installed,
    operation::{InstallationState, OperationKind, OperationState, PublicationState, StepState, UpgradeState},
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The id in a global id.
pub(super) fn id_of<K: Kind>(global: &str) -> Id<K> {
    let (kind, uuid) = crate::graphql::id::parts(global).unwrap();
    assert_eq!(kind, K::NAME);
    Id::new(uuid)
}

fn content() -> VersionContent {
    VersionContent { format: VersionContent::FORMAT, components: Vec::new(), resources: Vec::new() }
}

impl Bed {
    pub(super) async fn application_row(&self, id: ApplicationId) -> application::Application {
        application::find(&mut self.app.database.read().await.unwrap(), id).await.unwrap().unwrap()
    }

    /// A confirmed version without components, the current one of its number.
    pub(super) async fn seed_version(&self, template: TemplateId, number: &str) -> VersionId {
        self.seed_revision(template, number, 1, true).await
    }

    /// A revision of a number.
    pub(super) async fn seed_revision(
        &self,
        template: TemplateId,
        number: &str,
        revision: i64,
        is_current: bool,
    ) -> VersionId {
        let number: VersionNumber = number.parse().unwrap();
        let row = version::NewVersion {
            id: clock::new_id(),
            template_id: template,
            number: number.to_string(),
            sort_key: number.sort_key().to_vec(),
            revision,
            is_current,
            is_hidden: false,
            alias: None,
            description: String::new(),
            installable_as_add_ons: false,
            digest: content().digest().to_string(),
            content: content().canonical_bytes(),
            artifact_digest: None,
            published_by: "somebody".into(),
            published_at: self.clock.now(),
        };
        version::insert(&mut self.app.database.write().await.unwrap(), &row).await.unwrap();
        row.id
    }

    /// An installation that is as its version wants it.
    pub(super) async fn seed_installation(
        &self,
        application: ApplicationId,
        template: TemplateId,
        version: VersionId,
    ) -> InstallationId {
        let application = self.application_row(application).await;
        let row = installation::Installation {
            id: clock::new_id(),
            application_id: application.id,
            team_id: application.team_id,
            cluster_id: application.cluster_id,
            template_id: template,
            version_id: version,
            scope: "FULL".into(),
            state: Word(InstallationState::Installed),
            secret_groups: Stored(BTreeMap::new()),
            kept_changes: Stored(Vec::new()),
            generation: 1,
            created_at: self.clock.now(),
            uninstalled_at: None,
            ended_as: None,
        };
        installation::insert(&mut self.app.database.write().await.unwrap(), &row).await.unwrap();
        row.id
    }

    /// An upgrade from a version to another one.
    pub(super) async fn seed_record(
        &self,
        installation: InstallationId,
        sequence: i64,
        (from, to): (VersionId, VersionId),
        operation: OperationId,
    ) -> RecordId {
        let mut conn = self.app.database.write().await.unwrap();
        let of = installation::find(&mut conn, installation).await.unwrap().unwrap();
        let row = record::Record {
            id: clock::new_id(),
            installation_id: of.id,
            application_id: of.application_id,
            sequence,
            kind: Word(record::RecordKind::Upgrade),
            rollback_of: None,
            from_version_id: from,
            to_version_id: to,
            state: Word(UpgradeState::Failed),
            changes: Stored(Vec::new()),
            outcomes: Stored(Vec::new()),
            left_for_people: Stored(Vec::new()),
            snapshot: Stored(record::Snapshot {
                installed: Installed::default(),
                kept_changes: Vec::new(),
                version_id: from,
                driver_digest: Digest::of(b"driver").to_string(),
                driver_config: json!({}),
            }),
            written: Stored(Installed::default()),
            request: Stored(record::RecordRequest { progress_deadline_seconds: 600, ..Default::default() }),
            plan_digest: Digest::of(b"plan").to_string(),
            operation_id: Some(operation),
            created_by: "somebody".into(),
            created_at: self.clock.now(),
        };
        record::insert(&mut conn, &row).await.unwrap();
        row.id
    }

    /// An operation of one step and these many events: of an application's team, or of the platform.
    pub(super) async fn seed_operation(
        &self,
        kind: OperationKind,
        state: OperationState,
        application: Option<ApplicationId>,
        events: i64,
    ) -> OperationId {
        let of = match application {
            Some(id) => Some(self.application_row(id).await),
            None => None,
        };
        let now = self.clock.now();
        let row = operation::Operation {
            id: clock::new_id(),
            enterprise_id: id_of(&self.enterprise),
            team_id: of.as_ref().map(|of| of.team_id),
            application_id: application,
            cluster_id: of.as_ref().map(|of| of.cluster_id),
            publication_id: None,
            installation_id: None,
            record_id: None,
            retry_of: None,
            kind: Word(kind),
            state: Word(state),
            progress: 0.5,
            created_by: "somebody".into(),
            created_at: now,
            started_at: Some(now),
            finished_at: state.is_finished().then_some(now),
            error_code: None,
            error_message: None,
            plan_digest: None,
            cancel_requested: false,
            lease_owner: None,
            lease_until: None,
            generation: 1,
            next_sequence: events + 1,
        };
        let mut conn = self.app.database.write().await.unwrap();
        operation::insert(&mut conn, &row).await.unwrap();
        let only = step::Step {
            operation_id: row.id,
            number: 1,
            name: "do it".into(),
            component_key: None,
            component_name: None,
            needs: Stored(BTreeSet::new()),
            action: Vec::new(),
            state: Word(StepState::Pending),
            attempts: 0,
            error: None,
            deadline_at: None,
            started_at: None,
            finished_at: None,
        };
        on!(&mut conn, |c| diesel::insert_into(crate::store::schema::steps::table).values(&only).execute(c).await)
            .unwrap();
        for sequence in 1..=events {
            let told = event::Event {
                operation_id: row.id,
                sequence,
                at: now,
                kind: "STARTED".into(),
                step: None,
                component: None,
                message: format!("event {sequence}"),
                progress: None,
                data: None,
            };
            event::insert(&mut conn, &told).await.unwrap();
        }
        row.id
    }

    /// An operation comes to its end.
    pub(super) async fn seed_end(&self, id: OperationId, state: OperationState) {
        let mut conn = self.app.database.write().await.unwrap();
        let row = operation::find(&mut conn, id).await.unwrap().unwrap();
        let ended = operation::Operation { state: Word(state), finished_at: Some(self.clock.now()), ..row };
        operation::save(&mut conn, &ended).await.unwrap();
    }

    /// The application is changed by an operation now.
    pub(super) async fn seed_lock(&self, application: ApplicationId, operation: OperationId) {
        let mut conn = self.app.database.write().await.unwrap();
        on!(&mut conn, |c| diesel::update(applications::table.find(application))
            .set(applications::locked_by.eq(Some(operation)))
            .execute(c)
            .await)
        .unwrap();
    }

    /// A publication of somebody's, without images.
    pub(super) async fn seed_publication(
        &self,
        application: ApplicationId,
        template: TemplateId,
        author: UserId,
        state: PublicationState,
    ) -> PublicationId {
        let number: VersionNumber = "7.0".parse().unwrap();
        let row = publication::Publication {
            id: clock::new_id(),
            application_id: application,
            template_id: template,
            number: number.to_string(),
            sort_key: number.sort_key().to_vec(),
            alias: None,
            description: String::new(),
            installable_as_add_ons: false,
            state: Word(state),
            digest: content().digest().to_string(),
            content: content().canonical_bytes(),
            warnings: Stored(Vec::new()),
            artifact_digest: None,
            operation_id: None,
            version_id: None,
            created_by: author,
            created_at: self.clock.now(),
        };
        publication::insert(&mut self.app.database.write().await.unwrap(), &row).await.unwrap();
        row.id
    }

    /// A component, of an installation or composed by hand, that was never deployed.
    pub(super) async fn seed_component(
        &self,
        application: ApplicationId,
        name: &str,
        installation: Option<(InstallationId, VersionId)>,
        dependencies: &[ComponentKey],
    ) -> (String, ComponentKey) {
        let key = ComponentKey(clock::new_uuid());
        let spec = json!({
            "key": key, "name": name, "slug": name, "kind": "Deployment",
            "image": { "reference": "docker.io/library/nginx:1.29" },
            "scale": { "replicas": 1, "rule": { "minReplicas": 1, "maxReplicas": 1, "step": 1 } },
            "dependencies": dependencies,
        });
        let row = component::Component {
            id: clock::new_id(),
            application_id: application,
            installation_id: installation.map(|(id, _)| id),
            key: Key(key),
            template_key: installation.map(|_| Key(key)),
            version_id: installation.map(|(_, version)| version),
            no_longer_in_template: false,
            name: name.into(),
            slug: name.into(),
            cluster_name: name.into(),
            desired: Some(Stored(serde_json::from_value(spec).unwrap())),
            deployed: None,
            created_at: self.clock.now(),
        };
        component::insert(&mut self.app.database.write().await.unwrap(), &row).await.unwrap();
        (crate::graphql::id::encode_text(row.id), key)
    }

    /// A ConfigMap of an application, that was never deployed.
    pub(super) async fn seed_resource(&self, application: ApplicationId, name: &str) -> String {
        let key = ResourceKey(clock::new_uuid());
        let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": {} });
        let spec = json!({ "key": key, "apiVersion": "v1", "kind": "ConfigMap", "name": name, "manifest": manifest });
        let row = resource::KubernetesResource {
            id: clock::new_id(),
            application_id: application,
            installation_id: None,
            key: Key(key),
            template_key: None,
            version_id: None,
            no_longer_in_template: false,
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            name: name.into(),
            desired: Some(Stored(serde_json::from_value(spec).unwrap())),
            deployed: None,
            created_at: self.clock.now(),
        };
        resource::insert(&mut self.app.database.write().await.unwrap(), &row).await.unwrap();
        crate::graphql::id::encode_text(row.id)
    }
}
