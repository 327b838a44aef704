//! What kinds a cluster has: asked once per version of an API, and again when a kind is not found.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use futures::{StreamExt, stream};
use kube::core::ApiResource;
use serde::Deserialize;
use serde_json::Value;

use crate::{Cluster, Error, Kind, cluster::Ask};

/// More versions of APIs than this are not looked at.
const MAX_GROUP_VERSIONS: usize = 1000;

/// How a kind is addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The kind.
    pub kind: Kind,
    /// Its name in paths, for example `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// For example `get`, `list`, `watch`, `patch`.
    pub verbs: BTreeSet<String>,
}

/// The cache of a cluster: kinds by API version.
#[derive(Default)]
pub(crate) struct Discovery {
    known: RwLock<HashMap<String, Arc<Vec<Resource>>>>,
}

#[derive(Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<ResourceEntry>,
}

#[derive(Deserialize)]
struct ResourceEntry {
    name: String,
    #[serde(default)]
    namespaced: bool,
    kind: String,
    #[serde(default)]
    verbs: BTreeSet<String>,
}

impl Resource {
    /// The path of the collection, or of one object in it.
    pub(crate) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let (group, version) = self.kind.group_version();
        let mut path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(&self.plural);
        if let Some(name) = name {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    /// The same for the library's typed interface.
    pub(crate) fn api_resource(&self) -> ApiResource {
        let (group, version) = self.kind.group_version();
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.kind.api_version.clone(),
            kind: self.kind.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

impl Cluster {
    /// How a kind is addressed. An unknown kind is looked up again, since it may have been installed a moment ago.
    pub async fn resource(&self, kind: &Kind) -> Result<Resource, Error> {
        let cached = self.cached(&kind.api_version);
        if let Some(found) = cached.as_ref().and_then(|resources| find(resources, kind)) {
            return Ok(found);
        }
        let resources = match self.fetch(&kind.api_version, true).await {
            Ok(resources) => resources,
            // That an API does not exist is believed only if the list of all APIs says so, too.
            Err(error @ (Error::NotServed { .. } | Error::NotFound { .. })) => {
                let served =
                    kind.group_version().0.is_empty() || self.api_versions().await?.contains(&kind.api_version);
                return Err(if served { error } else { kind.unknown() });
            }
            Err(other) => return Err(other),
        };
        find(&resources, kind).ok_or_else(|| kind.unknown())
    }

    /// All kinds of the cluster, looked up anew, and the API versions that did not answer (an extension that is down).
    pub async fn discover(&self) -> Result<(Vec<Resource>, Vec<String>), Error> {
        let mut versions = self.api_versions().await?;
        versions.insert(0, "v1".into());
        versions.truncate(MAX_GROUP_VERSIONS);
        let answers: Vec<_> = stream::iter(versions.into_iter().map(|version| async move {
            // An extension that is down answers 503: asking it once is enough.
            let answer = self.fetch(&version, version == "v1").await;
            (version, answer)
        }))
        .buffered(8)
        .collect()
        .await;
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (version, answer) in answers {
            match answer {
                Ok(resources) => found.extend(resources.iter().cloned()),
                Err(
                    Error::Busy { .. } | Error::NotFound { .. } | Error::NotServed { .. } | Error::Forbidden { .. },
                ) => missing.push(version),
                Err(other) => return Err(other),
            }
        }
        Ok((found, missing))
    }

    /// The versions of all APIs but the core.
    async fn api_versions(&self) -> Result<Vec<String>, Error> {
        let answer = self.ask(Ask::get("/apis".into(), "the list of APIs")).await?.value;
        let groups = answer.get("groups").and_then(Value::as_array);
        let groups = groups.ok_or_else(|| Error::Internal { message: "the list of APIs cannot be read".into() })?;
        let versions = groups.iter().filter_map(|group| group.get("versions")?.as_array()).flatten();
        Ok(versions.filter_map(|version| version.get("groupVersion")?.as_str()).map(str::to_owned).collect())
    }

    /// Makes the next look at an API version ask the cluster.
    pub(crate) fn forget(&self, api_version: &str) {
        self.discovery_cache().known.write().unwrap_or_else(PoisonError::into_inner).remove(api_version);
    }

    fn cached(&self, api_version: &str) -> Option<Arc<Vec<Resource>>> {
        self.discovery_cache().known.read().unwrap_or_else(PoisonError::into_inner).get(api_version).cloned()
    }

    async fn fetch(&self, api_version: &str, patient: bool) -> Result<Arc<Vec<Resource>>, Error> {
        for part in api_version.split('/') {
            crate::object::check_segment(part)?;
        }
        let path = match api_version.split('/').count() {
            1 => format!("/api/{api_version}"),
            2 => format!("/apis/{api_version}"),
            _ => {
                return Err(Error::Invalid {
                    message: "an apiVersion has at most one slash".into(),
                    causes: Vec::new(),
                });
            }
        };
        let ask = Ask { repeatable: patient, ..Ask::get(path, "the kinds of an API") };
        let answer = self.ask(ask).await?;
        let list: ResourceList = serde_json::from_value(answer.value)
            .map_err(|_| Error::Internal { message: "the list of kinds cannot be read".into() })?;
        let resources: Vec<Resource> = list
            .resources
            .into_iter()
            .filter(|entry| !entry.name.contains('/') && crate::object::check_segment(&entry.name).is_ok())
            .map(|entry| Resource {
                kind: Kind::new(api_version, entry.kind),
                plural: entry.name,
                namespaced: entry.namespaced,
                verbs: entry.verbs,
            })
            .collect();
        let resources = Arc::new(resources);
        let mut known = self.discovery_cache().known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_GROUP_VERSIONS {
            known.clear();
        }
        known.insert(api_version.to_owned(), Arc::clone(&resources));
        Ok(resources)
    }
}

fn find(resources: &[Resource], kind: &Kind) -> Option<Resource> {
    resources.iter().find(|resource| resource.kind.kind == kind.kind).cloned()
}
