//! Drift: where a cluster differs from what was deployed there, field by field, and who changed it.
//!
//! The deployed state is rendered anew, and every field of it is looked up in the live object. Fields that we never
//! applied, such as defaults of the API server and what controllers add, are no drift. Amounts are compared as amounts.
//! The contents of Secrets are compared and never shown.

mod compare;
mod owner;

use crate::{
    actor::Actor,
    app::App,
    clusters::cluster_error,
    error::Result,
    id::ApplicationId,
    operation::action::secrets_in,
    service::{
        execute::{self, Observed},
        keep_storage,
        rollout::{self, reference_of},
        state::Side,
    },
    store::sealed_value,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use compare::Difference;
use ropeway_clusters::ObjectRef;
use ropeway_domain::{Digest, access::TeamAction, digest::canonical, rendering::placeholder_of};
use ropeway_drivers::{ApplyMode, Owner};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// What is shown instead of a secret.
const HIDDEN: &str = "(secret)";

/// The longest value that is shown.
const MAX_SHOWN: usize = 500;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// A keyed hash of what differs, so that it stays the same while the difference does.
    pub id: String,
    /// The component that the object belongs to, by its own key.
    pub owner: Owner,
    /// What people call that component.
    pub component: Option<String>,
    /// Kind and name of the object.
    pub object: String,
    /// The field; empty: the object as a whole.
    pub path: String,
    /// What was deployed.
    pub deployed: Option<String>,
    /// What is there.
    pub live: Option<String>,
    /// Who wrote it, by the name of the field manager.
    pub manager: Option<String>,
}

/// The drift of an application that somebody may see.
pub async fn find_drift(app: &App, actor: &Actor, id: ApplicationId) -> Result<Vec<Drift>> {
    let observed = Observed::of(app, actor, id, TeamAction::View).await?;
    drift(app, &observed).await
}

/// The drift of an application that was observed. The cluster is asked for its objects now.
pub async fn drift(app: &App, observed: &Observed) -> Result<Vec<Drift>> {
    let state = &observed.state;
    let deployed = state.whole(Side::Deployed);
    if deployed.components.is_empty() && deployed.resources.is_empty() {
        return Ok(Vec::new());
    }
    let rendered = observed.render(&deployed, &execute::revision(state.application.generation, None)).await?;
    rollout::refuse_blocked(&rendered.blockers)?;

    let namespace = &state.application.namespace;
    let applied: Vec<_> = rendered
        .manifests
        .into_iter()
        // What is only ever created, such as a claim or a Job, is changed by nobody of ours afterwards.
        .filter(|manifest| manifest.mode != ApplyMode::CreateOnly)
        .filter_map(|manifest| Some((reference_of(&manifest.object, namespace)?, manifest)))
        .collect();
    let references: Vec<ObjectRef> = applied.iter().map(|(reference, _)| reference.clone()).collect();
    let cluster = &observed.reached;
    let live = cluster.cluster.get_many(&references).await.map_err(|error| cluster_error(&cluster.row.name, error))?;
    let secrets = open(app, observed, applied.iter().map(|(_, manifest)| &manifest.object)).await?;

    let mut found = Vec::new();
    for ((reference, mut manifest), live) in applied.into_iter().zip(live) {
        if let Some(live) = &live.object {
            // What the driver would choose today is no drift of what it chose then.
            keep_storage::keep(&mut manifest.object, live);
        }
        let component = match manifest.owner {
            Owner::Component(key) => state.components.get(&key).map(|row| row.name.clone()),
            Owner::Application | Owner::Resource(_) => None,
        };
        let object = format!("{} {}", reference.kind, reference.name);
        let differences = match &live.object {
            None => vec![Difference { deployed: Some("present".to_owned()), ..Difference::default() }],
            Some(live) if reference.kind == "Secret" => secret_differences(&manifest.object, live, &secrets),
            Some(live) => compare::compare(&manifest.object, live),
        };
        for difference in differences {
            let manager = live.object.as_ref().and_then(|live| owner::manager(live, &difference.place));
            let shown = (&object, &difference.path, &difference.deployed, &difference.live_hash);
            // With the key, since everybody who sees it could try out what a secret is.
            let id = app.sealer.hash(&canonical(&shown))[..32].to_owned();
            found.push(Drift {
                id,
                owner: manifest.owner,
                component: component.clone(),
                object: object.clone(),
                path: difference.path,
                deployed: difference.deployed.map(bounded),
                live: difference.live.map(bounded),
                manager,
            });
        }
    }
    Ok(found)
}

/// The plain values behind the placeholders of manifests, by placeholder.
async fn open<'a>(
    app: &App,
    observed: &Observed,
    manifests: impl Iterator<Item = &'a Json>,
) -> Result<HashMap<String, crate::seal::Secret>> {
    let ids: Vec<_> = manifests.flat_map(secrets_in).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut conn = app.database.read().await?;
    let rows = sealed_value::by_ids(&mut conn, observed.state.application.enterprise_id, &ids).await?;
    drop(conn);
    let open = |row: &sealed_value::SealedValue| {
        Ok((ropeway_domain::rendering::placeholder(row.id.0), row.open(&app.sealer)?))
    };
    rows.iter().map(open).collect()
}

/// The entries of a Secret that are not what was deployed, without their values; and its other fields.
fn secret_differences(deployed: &Json, live: &Json, secrets: &HashMap<String, crate::seal::Secret>) -> Vec<Difference> {
    let mut rest = deployed.clone();
    let entries = rest.as_object_mut().and_then(|fields| fields.remove("stringData"));
    let mut found = compare::compare(&rest, live);
    let empty = Map::new();
    let live_entries = live.get("data").and_then(Json::as_object).unwrap_or(&empty);
    for (name, wanted) in entries.as_ref().and_then(Json::as_object).unwrap_or(&empty) {
        let wanted = wanted.as_str().unwrap_or_default();
        let plain = match placeholder_of(wanted) {
            Some(_) => secrets.get(wanted).map(|secret| secret.expose().as_bytes()),
            None => Some(wanted.as_bytes()),
        };
        let here = live_entries.get(name).and_then(Json::as_str);
        let here = here.and_then(|text| STANDARD.decode(text).ok());
        if plain.is_none() || here.as_deref() == plain {
            continue;
        }
        let live = here.is_some().then(|| "(secret, changed)".to_owned());
        found.push(Difference {
            path: format!("data/{name}"),
            place: vec![compare::Segment::Field("data".to_owned()), compare::Segment::Field(name.clone())],
            deployed: Some(HIDDEN.to_owned()),
            live_hash: here.map(|bytes| Digest::of(&bytes).hex().to_owned()),
            live,
        });
    }
    found
}

fn bounded(text: String) -> String {
    if text.chars().count() <= MAX_SHOWN {
        return text;
    }
    text.chars().take(MAX_SHOWN).chain(['…']).collect()
}
