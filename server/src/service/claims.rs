//! Claims of volumes in a cluster. Those that StatefulSets made for an application's components carry its labels, and
//! are recorded nowhere.

use crate::{
    app::App,
    clock,
    clusters::{Reached, cluster_error},
    error::{Error, Result},
    graphql::id::encode_text,
    id::{ApplicationId, InstallationId},
    store::{
        application::Application,
        cluster_object::{ClusterObject, OwnerKey},
        installation::{self, Installation},
    },
};
use futures::TryStreamExt as _;
use ropeway_clusters::{Kind, label, labels, uid};
use ropeway_domain::preflight::Surroundings;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};
use uuid::Uuid;

/// The kind of a claim.
pub const CLAIM: &str = "PersistentVolumeClaim";

/// The label that says which component a claim was made for, or a pod is of, by its own key.
pub const COMPONENT: &str = "ropeway.dev/component";

/// Claims that are asked for at a time.
const PAGE: u16 = 500;

/// Ended installations that are looked through for who left a claim: the latest.
const MAX_ENDED: i64 = 100;

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

/// What preflight is told of the claims of an application's namespace; none where it does not exist yet. Those with the
/// application's label that were made for one of these components and Kubernetes resources, by its own key, are its
/// own, and so are those that are recorded as the application's and that no installation left.
pub async fn around(
    app: &App,
    reached: &Reached,
    application: &Application,
    recorded: &[ClusterObject],
    own: &BTreeSet<Uuid>,
) -> Result<Surroundings> {
    let mut around = Surroundings::default();
    let id = application.id.to_string();
    let mut others = Vec::new();
    let known: BTreeSet<&str> = recorded.iter().map(|object| object.uid.as_str()).collect();
    for claim in list(reached, &application.namespace, None).await? {
        let Some(name) = name(&claim) else { continue };
        around.claims.insert(name.to_owned());
        if label(&claim, labels::APPLICATION) != Some(id.as_str()) {
            continue;
        }
        match label(&claim, COMPONENT).and_then(|key| key.parse().ok()) {
            Some(key) if own.contains(&key) => _ = around.taken_over.insert(name.to_owned()),
            Some(key) => others.push((name.to_owned(), key, uid(&claim).is_some_and(|uid| known.contains(uid)))),
            None => {}
        }
    }
    if !others.is_empty() {
        let left_by = left_by(&ended(app, application.id).await?);
        for (name, key, is_recorded) in others {
            match left_by.get(&key) {
                Some(by) => _ = around.left_by.insert(name, encode_text(*by)),
                // It was removed from the application, which kept it.
                None if is_recorded => _ = around.taken_over.insert(name),
                None => {}
            }
        }
    }
    Ok(around)
}

/// The installations that ended in an application and left volumes, latest first.
pub async fn ended(app: &App, application: ApplicationId) -> Result<Vec<Installation>> {
    Ok(installation::ended(&mut app.database.read().await?, application, MAX_ENDED).await?)
}

/// Who left something, by its own key: the oldest that had it, since others may have taken over less.
fn left_by(ended: &[Installation]) -> BTreeMap<Uuid, InstallationId> {
    let keys = |one: &Installation| one.ended_as.as_ref().map(|ended| ended.0.own_keys().collect::<Vec<_>>());
    ended.iter().flat_map(|one| keys(one).into_iter().flatten().map(|key| (key, one.id))).collect()
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
