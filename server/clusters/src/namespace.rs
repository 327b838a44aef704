//! Namespaces of teams: made once, never taken over.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    Cluster, Created, Error, ObjectRef, Refusal, Scope,
    object::{label, labels, uid},
};

/// Whose a namespace is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceState {
    /// It was made now, with the labels given.
    Made {
        /// Its UID.
        uid: String,
    },
    /// It was there, managed by Ropeway and with all the labels given.
    Ours {
        /// Its UID.
        uid: String,
    },
    /// It was there and is somebody else's. It was left as it is.
    Foreign {
        /// Its UID.
        uid: String,
        /// Its labels.
        labels: BTreeMap<String, String>,
    },
}

impl Cluster {
    /// Makes a namespace with these labels and the one that says that Ropeway manages it, or says whose it is.
    /// One that is being deleted is refused with [`Refusal::Terminating`].
    ///
    /// It is looked for before it is made: whoever may make no namespaces may still use one that is there.
    pub async fn ensure_namespace(
        &self,
        name: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<NamespaceState, Error> {
        let mut wanted = given.clone();
        wanted.insert(labels::MANAGED_BY.into(), labels::ROPEWAY.into());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": wanted}});
        let there = match self.get(&ObjectRef::of(&namespace)?).await {
            // Who may not look may still be allowed to make it.
            Err(Error::Forbidden { refusal: Refusal::Permission, .. }) => None,
            other => other?,
        };
        let scope = Scope { namespace: String::new(), cluster_scoped: true };
        let (live, made) = match there {
            Some(live) => (live, false),
            None => match self.create_if_absent(&namespace, &scope).await? {
                Created::Made(live) => (live, true),
                Created::Existed(live) => (live, false),
            },
        };
        let uid = uid(&live)
            .map(str::to_owned)
            .ok_or_else(|| Error::Internal { message: format!("namespace {name} has no uid") })?;
        if live.pointer("/metadata/deletionTimestamp").is_some() {
            let message = format!("namespace {name} is being deleted");
            return Err(Error::Forbidden { message, refusal: Refusal::Terminating });
        }
        if made {
            return Ok(NamespaceState::Made { uid });
        }
        if wanted.iter().all(|(key, value)| label(&live, key) == Some(value)) {
            return Ok(NamespaceState::Ours { uid });
        }
        Ok(NamespaceState::Foreign { uid, labels: labels_of(&live) })
    }
}

fn labels_of(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
