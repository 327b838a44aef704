//! Taking over what an ended installation of the same application left.

use super::Place;
use crate::{
    app::App,
    clusters::cluster_error,
    error::{Error, Result},
    id::{InstallationId, TemplateId},
    service::{
        claims::{self, COMPONENT},
        rollout::blocker,
    },
    store::installation,
};
use futures::TryStreamExt as _;
use ropeway_clusters::{Kind, label, labels};
use ropeway_domain::{
    installed::Installed,
    plan::Blocker,
    preflight::{Surroundings, claim_names},
};
use std::{collections::BTreeSet, pin::pin};
use uuid::Uuid;

/// Pods that are asked for at a time.
const PAGE: u16 = 500;

/// What the installation that is named left; nothing where none is. It is refused where its volumes are not there to be
/// taken. Those that another one had since are as that left them.
pub(super) async fn find(
    app: &App,
    place: &Place,
    template: TemplateId,
    reuse: Option<InstallationId>,
) -> Result<Installed> {
    let Some(id) = reuse else { return Ok(Installed::default()) };
    let refused = |code, message: &str| Err(Error::invalid(code, ["reuseVolumesOf"], message));
    let application = place.observed.state.application.id;
    let found = installation::find(&mut app.database.read().await?, id).await?;
    // What one may not see is in another application, too.
    let Some(found) = found.filter(|found| found.application_id == application) else {
        return refused(
            "OTHER_PLACE",
            "this application had no such installation; name the application that it was in",
        );
    };
    if found.uninstalled_at.is_none() {
        return refused("NOT_ENDED", "its volumes are its own until it is uninstalled");
    }
    if found.template_id != template {
        return refused("OTHER_TEMPLATE", "it was of another template, which has other components");
    }
    let Some(left) = found.ended_as.filter(|ended| has_volumes(&ended.0)) else {
        return refused("NO_VOLUMES", "it left no volumes");
    };
    let mut left = left.0;
    let ended = claims::ended(app, application).await?;
    let later = ended.iter().take_while(|one| one.id != id).filter_map(|one| one.ended_as.as_ref());
    // Oldest first, so that the last word on each is that of the latest.
    for later in later.collect::<Vec<_>>().into_iter().rev() {
        left.had_since(&later.0);
    }
    Ok(left)
}

fn has_volumes(left: &Installed) -> bool {
    let mut volumes = left.components.values().flat_map(|one| &one.spec.volumes);
    volumes.any(|volume| volume.kind.is_persistent())
        || left.resources.values().any(|one| one.spec.kind == claims::CLAIM)
}

/// Names and keys that are in use again.
pub(super) fn in_use(place: &Place, taken: &BTreeSet<String>, left: &Installed) -> Vec<Blocker> {
    let names = left.components.values().map(|one| &one.cluster_name).filter(|name| taken.contains(*name));
    let names = names.map(|name| in_use_blocker(format!("the volumes go by the name {name}, which is in use again")));
    let mut blockers: Vec<_> = names.collect();
    let here = place.observed.state.own_keys();
    if blockers.is_empty() && left.own_keys().any(|key| here.contains(&key)) {
        blockers.push(in_use_blocker("a Kubernetes resource of the earlier installation is in use again".to_owned()));
    }
    blockers
}

fn in_use_blocker(what: String) -> Blocker {
    blocker("VOLUMES_IN_USE", what)
}

/// Pods that have not let go of the volumes yet: two on one disk would write over each other.
pub(super) async fn held(place: &Place, left: &Installed) -> Result<Vec<Blocker>> {
    let keys: BTreeSet<Uuid> = left.components.values().map(|one| one.own_key.0).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let still = |pod: String| in_use_blocker(format!("the pod {pod} still has the volumes; it is about to go"));
    Ok(pods(place, &keys).await?.into_iter().map(still).collect())
}

/// The pods of components in the cluster, by the components' own keys.
async fn pods(place: &Place, components: &BTreeSet<Uuid>) -> Result<Vec<String>> {
    let (reached, application) = (&place.observed.reached, &place.observed.state.application);
    let selector = Some(format!("{}={}", labels::APPLICATION, application.id));
    let namespace = Some(application.namespace.clone());
    let mut pages = pin!(reached.cluster.list(Kind::new("v1", "Pod"), namespace, selector, PAGE));
    let mut found = Vec::new();
    while let Some(page) = pages.try_next().await.map_err(|error| cluster_error(&reached.row.name, error))? {
        let of_them = page.iter().filter(|pod| {
            let key = label(pod, COMPONENT).and_then(|key| key.parse().ok());
            key.is_some_and(|key| components.contains(&key))
        });
        found.extend(of_them.filter_map(|pod| Some(pod.pointer("/metadata/name")?.as_str()?.to_owned())));
    }
    Ok(found)
}

/// What people should know of claims: those that are gone, and those that the version has no use for.
pub(super) fn warnings(left: &Installed, after: &Installed, around: &Surroundings) -> Vec<String> {
    let used: BTreeSet<String> = after
        .components
        .values()
        .flat_map(|one| claim_names(&one.spec, &one.cluster_name, one.spec.scale.rule.max_replicas.min(1000)))
        .chain(after.resources.values().map(|one| one.spec.name.clone()))
        .collect();
    let had =
        left.components.values().flat_map(|one| claim_names(&one.spec, &one.cluster_name, one.spec.scale.replicas));
    let lost = had.filter(|claim| used.contains(claim) && !around.claims.contains(claim));
    let lost = lost.map(|claim| format!("the claim {claim} is not there any more: its volume begins empty"));
    let unused = around.taken_over.difference(&used);
    let unused = unused.map(|claim| format!("the claim {claim} stays, and nothing of this version uses it"));
    lost.chain(unused).collect()
}
