//! Applies objects, wave after wave.

use super::{health, secrets};
use crate::{
    app::App,
    error::Error as ServiceError,
    operation::{
        Outcome, StepContext,
        action::{Apply, ApplyMode, PlannedObject, secrets_in},
        journal::NewObject,
    },
    store::cluster_object::{self, ClusterObject},
};
use ropeway_clusters::{
    ApplyOptions, Cluster, Created, Error, ObjectRef, OwnerCheck, Preconditions, Propagation, Scope, Verdict, Watch,
    label, labels, uid,
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

struct Applying<'a> {
    app: &'a App,
    step: &'a StepContext,
    action: &'a Apply,
    cluster: Cluster,
    /// The value of the label that says whose an object is.
    application: String,
}

/// Applies all waves, each one once the one before is healthy.
pub(super) async fn apply(app: &App, step: &StepContext, action: &Apply) -> Result<(), Outcome> {
    let reached = app.reach(action.cluster_id).await?;
    let target = reached.target(&action.namespace);
    let application = action.application_id.to_string();
    let applying = Applying { app, step, action, cluster: reached.cluster, application };
    let mut waves: BTreeMap<u32, Vec<&PlannedObject>> = BTreeMap::new();
    for object in &action.objects {
        waves.entry(object.wave).or_default().push(object);
    }
    let ids: BTreeSet<_> = action.objects.iter().flat_map(|object| secrets_in(&object.manifest)).collect();
    let values = secrets::open(app, step.operation().enterprise_id, ids).await?;
    for objects in waves.into_values() {
        let mut references = Vec::new();
        for planned in objects {
            let filled = secrets::fill_in(&planned.manifest, &values)?;
            references.push(applying.object(planned, &filled).await?);
        }
        if action.await_healthy {
            let Applying { cluster, application, .. } = &applying;
            let (driver, clock) = (&reached.driver, &app.clock);
            health::await_healthy(step, cluster, driver, &target, application, clock, &references).await?;
        }
    }
    Ok(())
}

impl Applying<'_> {
    /// Applies one object and lists it as ours, before the next one is touched.
    async fn object(&self, planned: &PlannedObject, object: &Json) -> Result<ObjectRef, Outcome> {
        let reference = ObjectRef::of(object)?;
        let listed = self.listed(&reference).await?;
        let uid = match planned.mode {
            ApplyMode::ServerSideApply => self.server_side(planned, object, listed.as_ref()).await?,
            ApplyMode::CreateOnly => self.create_only(&reference, object).await?,
            ApplyMode::Recreate { orphan } => {
                let listed_uid = listed.as_ref().map(|listed| listed.uid.clone());
                match self.server_side(planned, object, listed.as_ref()).await {
                    Err(Error::Immutable { .. }) => {
                        self.delete(&reference, listed.as_ref(), listed_uid, orphan).await?;
                        self.server_side(planned, object, None).await?
                    }
                    applied => applied?,
                }
            }
        };
        let new = NewObject {
            cluster_id: self.action.cluster_id,
            application_id: self.action.application_id,
            owner_key: self.action.owner_key,
            reference: reference.clone(),
            uid,
        };
        self.step.record_object(&new).await?;
        Ok(reference)
    }

    /// What is listed of an object. One that was listed and is in the cluster no more is taken off the list first, so
    /// that one that is made in its place is known for ours, even if this process dies before it can say so.
    async fn listed(&self, reference: &ObjectRef) -> Result<Option<ClusterObject>, Outcome> {
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let listed = {
            let mut conn = self.app.database.read().await.map_err(ServiceError::from)?;
            cluster_object::find(
                &mut conn,
                self.action.cluster_id,
                namespace,
                &reference.api_version,
                &reference.kind,
                &reference.name,
            )
            .await
            .map_err(ServiceError::from)?
        };
        match listed {
            Some(listed) if listed.application_id != self.action.application_id => {
                Err(Outcome::failed(format!("{reference} belongs to another application")))
            }
            Some(listed) if self.cluster.get(reference).await?.is_none() => {
                self.step.forget_object(&listed).await?;
                Ok(None)
            }
            listed => Ok(listed),
        }
    }

    async fn server_side(
        &self,
        planned: &PlannedObject,
        object: &Json,
        listed: Option<&ClusterObject>,
    ) -> Result<String, Error> {
        let options = ApplyOptions {
            scope: self.scope(),
            dry_run: false,
            force: planned.force,
            owner: OwnerCheck {
                application: self.application.clone(),
                known_uid: listed.map(|listed| listed.uid.clone()),
                may_create: true,
            },
        };
        Ok(self.cluster.apply(object, &options).await?.uid)
    }

    async fn create_only(&self, reference: &ObjectRef, object: &Json) -> Result<String, Outcome> {
        let live = match self.cluster.create_if_absent(object, &self.scope()).await? {
            Created::Made(live) => live,
            Created::Existed(live) if label(&live, labels::APPLICATION) == Some(&self.application) => live,
            Created::Existed(_) => {
                return Err(Outcome::failed(format!("{reference} exists and does not belong to this application")));
            }
        };
        let uid = uid(&live).ok_or_else(|| Outcome::failed(format!("{reference} has no uid")))?;
        Ok(uid.to_owned())
    }

    /// Deletes what cannot be changed and waits until it is gone.
    async fn delete(
        &self,
        reference: &ObjectRef,
        listed: Option<&ClusterObject>,
        listed_uid: Option<String>,
        orphan: bool,
    ) -> Result<(), Outcome> {
        let known = match listed_uid {
            Some(known) => Some(known),
            // Made by an attempt that could not list it; its label was checked when applying was refused.
            None => self.cluster.get(reference).await?.as_ref().and_then(uid).map(str::to_owned),
        };
        let Some(known) = known else { return Ok(()) };
        let preconditions = Preconditions { application: self.application.clone(), uid: known.clone() };
        let propagation = if orphan { Propagation::Orphan } else { Propagation::Foreground };
        self.cluster.delete(reference, &preconditions, propagation).await?;
        let watch = Watch {
            references: vec![reference.clone()],
            namespace: self.action.namespace.clone(),
            selector: None,
            details: false,
        };
        let judge = |observed: std::sync::Arc<[ropeway_clusters::Observed]>| {
            let gone = observed.iter().all(|found| found.object.as_ref().and_then(uid) != Some(known.as_str()));
            std::future::ready(if gone {
                Verdict::Done(())
            } else {
                Verdict::Continue(format!("{reference} is being deleted"))
            })
        };
        self.cluster.watch_until(&watch, self.step.deadline(), judge).await?;
        // Until then it is ours: whoever deletes this application must find it.
        if let Some(listed) = listed {
            self.step.forget_object(listed).await?;
        }
        Ok(())
    }

    fn scope(&self) -> Scope {
        Scope { namespace: self.action.namespace.clone(), cluster_scoped: self.action.cluster_scoped }
    }
}
