//! Deletes objects: exactly those that were planned, and of them only those that are still ours.

use crate::{
    app::App,
    error::Error as ServiceError,
    operation::{
        Outcome, StepContext,
        action::{Delete, DoomedObject},
    },
    store::cluster_object,
};
use ropeway_clusters::{Cluster, Deleted, Error, ObjectRef, Observed, Preconditions, Propagation, Verdict, Watch, uid};
use std::{collections::BTreeMap, sync::Arc};

/// Deletes them in order, waits until they are gone where that was asked for, and takes them off the list.
pub(super) async fn delete(app: &App, step: &StepContext, action: &Delete) -> Result<(), Outcome> {
    let cluster = app.cluster(action.cluster_id).await?;
    let application = action.application_id.to_string();
    let mut leaving = Vec::new();
    for doomed in &action.objects {
        let preconditions = Preconditions { application: application.clone(), uid: doomed.uid.clone() };
        let propagation = if doomed.orphan { Propagation::Orphan } else { Propagation::Background };
        match cluster.delete(&doomed.reference, &preconditions, propagation).await {
            Ok(Deleted::Requested) => leaving.push(doomed),
            // A kind that the cluster does not serve any more has no objects.
            Ok(Deleted::Gone) | Err(Error::UnknownKind { .. }) => {}
            // Another object has its name, or a person took it from us: either way ours is no more.
            Err(error @ (Error::Replaced { .. } | Error::Foreign { .. })) => {
                step.tell(&format!("Left alone: {error}")).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if action.await_gone {
        await_gone(&cluster, step, &leaving).await?;
    }
    forget(app, step, action).await
}

async fn await_gone(cluster: &Cluster, step: &StepContext, leaving: &[&DoomedObject]) -> Result<(), Outcome> {
    let mut of_namespace: BTreeMap<&str, BTreeMap<ObjectRef, String>> = BTreeMap::new();
    for doomed in leaving {
        let namespace = doomed.reference.namespace.as_deref().unwrap_or_default();
        of_namespace.entry(namespace).or_default().insert(doomed.reference.clone(), doomed.uid.clone());
    }
    for (namespace, doomed) in of_namespace {
        let watch = Watch {
            references: doomed.keys().cloned().collect(),
            namespace: namespace.to_owned(),
            selector: None,
            details: false,
        };
        let judge = |observed: Arc<[Observed]>| {
            let left = observed.iter().find(|found| {
                let live = found.object.as_ref().and_then(uid);
                live.is_some() && live == doomed.get(&found.reference).map(String::as_str)
            });
            std::future::ready(match left {
                Some(found) => Verdict::Continue(format!("{} is being deleted", found.reference)),
                None => Verdict::Done(()),
            })
        };
        match cluster.watch_until(&watch, step.deadline(), judge).await {
            Ok(()) => {}
            Err(error @ Error::Timeout { .. }) => return Err(Outcome::failed(error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Takes off the list what was deleted, and nothing that took its place.
async fn forget(app: &App, step: &StepContext, action: &Delete) -> Result<(), Outcome> {
    let listed = {
        let mut conn = app.database.read().await.map_err(ServiceError::from)?;
        cluster_object::of_application(&mut conn, action.application_id).await.map_err(ServiceError::from)?
    };
    for object in listed.iter().filter(|object| action.objects.iter().any(|doomed| doomed.uid == object.uid)) {
        step.forget_object(object).await?;
    }
    Ok(())
}
