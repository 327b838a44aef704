//! Lists: selectors, pages, and reading at a version.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::path::Options;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::object::{name, namespace};
use crate::selector::{Fields, Labels};
use crate::status::Status;
use crate::store::Object;

/// Which objects a request is about.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// Their kind.
    pub(crate) kind: Kind,
    /// Their namespace, or all.
    pub(crate) namespace: Option<String>,
    labels: Labels,
    fields: Fields,
}

/// Where the next page begins.
#[derive(Serialize, Deserialize)]
struct Place {
    version: u64,
    namespace: String,
    name: String,
}

impl Choice {
    /// Reads the selectors of a request.
    pub(crate) fn parse(kind: Kind, namespace: Option<String>, options: &Options) -> Result<Self, Status> {
        let labels = Labels::parse(options.text("labelSelector"))?;
        let fields = Fields::parse(kind, options.text("fieldSelector"))?;
        Ok(Self { kind, namespace, labels, fields })
    }

    /// Whether an object of the kind is among them.
    pub(crate) fn includes(&self, object: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|space| space == namespace(object))
            && self.labels.matches(object)
            && self.fields.matches(object)
    }
}

/// The objects of a choice, and the version that the list is of.
pub(crate) fn now(cluster: &Cluster, choice: &Choice) -> (Vec<Object>, u64) {
    cluster.store.read(|state| {
        let mut objects = state.list(choice.kind, choice.namespace.as_deref());
        objects.retain(|object| choice.includes(object));
        (objects, state.version())
    })
}

/// The answer to a list request.
pub(crate) fn answer(cluster: &Cluster, choice: &Choice, options: &Options) -> Result<Value, Status> {
    let wanted = options.text("continue");
    let place: Option<Place> = if wanted.is_empty() {
        None
    } else {
        let bytes = URL_SAFE_NO_PAD.decode(wanted).ok();
        let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Some(place.ok_or_else(|| Status::bad_request("continue key is not valid"))?)
    };
    let asked = options.number("resourceVersion")?.filter(|version| *version > 0);
    let exact = match options.text("resourceVersionMatch") {
        "" | "NotOlderThan" => None,
        "Exact" => asked,
        other => return Err(Status::bad_request(format!("resourceVersionMatch {other:?} is not supported"))),
    };
    let (objects, version) = cluster.store.read(|state| -> Result<_, Status> {
        if let Some(asked) = asked.filter(|asked| *asked > state.version()) {
            return Err(Status::version_too_large(asked, state.version()));
        }
        let version = place.as_ref().map(|place| place.version).or(exact);
        let objects = match version {
            Some(version) => state.list_at(choice.kind, choice.namespace.as_deref(), version)?,
            None => state.list(choice.kind, choice.namespace.as_deref()),
        };
        Ok((objects, version.unwrap_or(state.version())))
    })?;
    let chosen = objects.iter().filter(|object| choice.includes(object));
    let mut rest: Vec<&Object> = match &place {
        None => chosen.collect(),
        Some(place) => chosen
            .filter(|object| (namespace(object), name(object)) > (place.namespace.as_str(), &*place.name))
            .collect(),
    };
    let mut metadata = json!({"resourceVersion": version.to_string()});
    let limit = usize::try_from(options.number("limit")?.unwrap_or(0)).unwrap_or(usize::MAX);
    if limit > 0 && rest.len() > limit {
        let left = rest.len() - limit;
        rest.truncate(limit);
        if let Some(last) = rest.last() {
            let next = Place { version, namespace: namespace(last).to_owned(), name: name(last).to_owned() };
            let next = serde_json::to_vec(&next).map_err(|error| Status::internal(error.to_string()))?;
            metadata["continue"] = json!(URL_SAFE_NO_PAD.encode(next));
            metadata["remainingItemCount"] = json!(left);
        }
    }
    let items: Vec<Value> = rest.into_iter().map(|object| Value::clone(object)).collect();
    Ok(json!({
        "kind": format!("{}List", choice.kind.description().kind), "apiVersion": choice.kind.api_version(),
        "metadata": metadata, "items": items,
    }))
}
