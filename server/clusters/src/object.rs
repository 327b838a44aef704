//! References to objects, and the few parts of an object that this crate looks at.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// Labels that say whose an object is.
pub mod labels {
    /// The application that owns an object.
    pub const APPLICATION: &str = "ropeway.dev/application";
    /// Marks what a reachability probe made, so that leftovers can be found.
    pub const PROBE: &str = "ropeway.dev/probe";
    /// Who manages an object, Kubernetes' common label.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// The value of [`MANAGED_BY`] on everything that this product made.
    pub const ROPEWAY: &str = "ropeway";
}

/// A kind of objects in one version of its API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kind {
    /// For example `v1` or `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
}

impl Kind {
    /// For example `Kind::new("apps/v1", "Deployment")`.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into() }
    }

    /// The group (empty for the core) and the version.
    pub(crate) fn group_version(&self) -> (&str, &str) {
        self.api_version.split_once('/').unwrap_or(("", &self.api_version))
    }

    pub(crate) fn unknown(&self) -> Error {
        Error::UnknownKind {
            api_version: crate::error::bounded_to(&self.api_version, 100),
            kind: crate::error::bounded_to(&self.kind, 100),
        }
    }
}

/// Names one object of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// For example `v1` or `apps/v1`.
    pub api_version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// None for objects that belong to no namespace.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: String,
}

impl ObjectRef {
    /// A reference to an object of a namespace.
    pub fn namespaced(
        api_version: impl Into<String>,
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    /// The reference to an object that is at hand.
    pub fn of(object: &Value) -> Result<Self, Error> {
        let text = |pointer: &str, what: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| Error::Invalid { message: format!("the object has no {what}"), causes: Vec::new() })
        };
        let reference = Self {
            api_version: text("/apiVersion", "apiVersion")?,
            kind: text("/kind", "kind")?,
            namespace: object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned),
            name: text("/metadata/name", "name")?,
        };
        reference.check()?;
        Ok(reference)
    }

    /// The kind of the object.
    pub fn kind(&self) -> Kind {
        Kind::new(&self.api_version, &self.kind)
    }

    /// Refuses names that would mean another path of the API.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_segment(&self.name)?;
        self.namespace.as_deref().map_or(Ok(()), check_segment)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// The value of a label of an object.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// The UID of an object that came from a cluster.
pub fn uid(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("uid")?.as_str()
}

/// Takes out the record of who owns which field: it is long and says nothing about the state.
pub fn strip_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

pub(crate) fn resource_version(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("resourceVersion")?.as_str()
}

/// A name can be part of a path of the API only if it cannot mean anything else there.
pub(crate) fn check_segment(name: &str) -> Result<(), Error> {
    let fits = !name.is_empty()
        && name.len() <= 253
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,;=".contains(&byte));
    if fits {
        return Ok(());
    }
    Err(Error::Invalid {
        message: format!("{:?} is not a valid name", crate::error::bounded_to(name, 100)),
        causes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_lead_elsewhere_is_refused() {
        for name in ["", "..", ".", "a/b", "a?b", "a#b", "a%2fb", "a b", "ä", "a\n"] {
            assert!(check_segment(name).is_err(), "{name:?}");
        }
        for name in ["a", "system:node", "a.b-c"] {
            assert!(check_segment(name).is_ok(), "{name:?}");
        }
    }
}
