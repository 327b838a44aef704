//! Claims of volumes in a cluster. Those that StatefulSets made for an application's components carry its labels, and
//! are recorded nowhere.

use crate::{
    app::App,
    clock,
    clusters::{Reached, cluster_error},
    error::{Error, Result},
    store::{
        application::Application,
        cluster_object::{ClusterObject, OwnerKey},
    },
};
use futures::TryStreamExt as _;
use ropeway_clusters::{Kind, label, labels, uid};
use ropeway_domain::{ComponentKey, preflight::Surroundings};
use serde_json::Value as Json;
use std::{collections::BTreeSet, pin::pin};

/// The kind of a claim.
pub const CLAIM: &str = "PersistentVolumeClaim";

/// The label that says which component a claim was made for, or a pod is of, by its own key.
pub const COMPONENT: &str = "ropeway.dev/component";

/// Claims that are asked for at a time.
const PAGE: u16 = 500;

/// Claims of a namespace that are looked at.
const MAX_CLAIMS: usize = 10_000;

/// Those that are in the cluster now and not among the objects that are recorded.
pub async fn unrecorded(
    app: &App,
    reached: &Reached,
    application: &Application,
    recorded: &[ClusterObject],
) -> Result<Vec<ClusterObject>> {
    let now = app.clock.now();
    let claims = of_application(reached, application).await?;
    let claims = claims.iter().filter_map(|claim| {
        let (uid, name) = (uid(claim)?, name(claim)?);
        if recorded.iter().any(|object| object.uid == uid) {
            return None;
        }
        Some(ClusterObject {
            id: clock::new_id(),
            application_id: application.id,
            cluster_id: application.cluster_id,
            owner_key: label(claim, COMPONENT).and_then(|key| key.parse().ok()).map(OwnerKey::new),
            api_version: "v1".to_owned(),
            kind: CLAIM.to_owned(),
            namespace: application.namespace.clone(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            created_at: now,
        })
    });
    Ok(claims.collect())
}

/// All that carry the application's label, as they are in the cluster now.
pub async fn of_application(reached: &Reached, application: &Application) -> Result<Vec<Json>> {
    let selector = format!("{}={}", labels::APPLICATION, application.id);
    list(reached, &application.namespace, Some(selector)).await
}

/// What preflight is told of the claims of a namespace; none where it does not exist yet. Those that were made for one
/// of these components, by its own key, are its own.
pub async fn around(reached: &Reached, namespace: &str, components: &BTreeSet<ComponentKey>) -> Result<Surroundings> {
    let claims = list(reached, namespace, None).await?;
    let names = |claims: &mut dyn Iterator<Item = &Json>| claims.filter_map(name).map(str::to_owned).collect();
    let is_own = |claim: &&Json| {
        let key = label(claim, COMPONENT).and_then(|key| key.parse().ok()).map(ComponentKey);
        key.is_some_and(|key| components.contains(&key))
    };
    Ok(Surroundings {
        claims: names(&mut claims.iter()),
        taken_over: names(&mut claims.iter().filter(is_own)),
        ..Surroundings::default()
    })
}

async fn list(reached: &Reached, namespace: &str, selector: Option<String>) -> Result<Vec<Json>> {
    let mut pages = pin!(reached.cluster.list(Kind::new("v1", CLAIM), Some(namespace.to_owned()), selector, PAGE));
    let mut claims = Vec::new();
    while let Some(page) = pages.try_next().await.map_err(|error| cluster_error(&reached.row.name, error))? {
        claims.extend(page);
        if claims.len() > MAX_CLAIMS {
            return Err(Error::unavailable(format!("the namespace {namespace} has more than {MAX_CLAIMS} claims")));
        }
    }
    Ok(claims)
}

fn name(claim: &Json) -> Option<&str> {
    claim.pointer("/metadata/name")?.as_str()
}
