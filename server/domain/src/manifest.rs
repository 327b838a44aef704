//! Kubernetes resources from the manifests that users write, or that a cluster has.

mod kinds;
mod provider;
mod strip;

pub use provider::{ForeignKey, Provider, foreign_annotations, foreign_keys};

use crate::{
    key::{ResourceKey, SecretId},
    model::{InvalidManifest, Resource, Value, Variable},
    validate::syntax,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// What every object is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Such as `policy/v1`.
    pub api_version: &'a str,
    /// Such as `PodDisruptionBudget`.
    pub kind: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
}

/// A manifest that was read. It holds the plain entries of a Secret until [`Parsed::into_resource`] has them sealed,
/// which is why it can be neither shown nor written.
pub struct Parsed {
    resource: Resource<Value>,
    secret_data: Vec<(String, String)>,
}

/// The most bytes that a manifest may have.
pub const MAX_MANIFEST: usize = 256 << 10;
/// The most levels that a manifest may have.
pub const MAX_DEPTH: usize = 64;

/// Reads a manifest: checks its shape and its kind, leaves out what belongs to one cluster (status, namespace, what the
/// API server adds), and takes the entries of a Secret out of it.
pub fn parse(key: ResourceKey, manifest: Map<String, Json>) -> Result<Parsed, InvalidManifest> {
    check_size(&manifest)?;
    let mut manifest = manifest;
    strip::strip(&mut manifest);
    let identity = check(&manifest)?;
    let (api_version, kind, name) =
        (identity.api_version.to_owned(), identity.kind.to_owned(), identity.name.to_owned());
    let secret_data = if api_version == "v1" && kind == "Secret" { take_entries(&mut manifest)? } else { Vec::new() };
    Ok(Parsed { resource: Resource { key, api_version, kind, name, manifest, secret_data: Vec::new() }, secret_data })
}

/// Whether a manifest, stripped as [`parse`] does, can be a Kubernetes resource of an application.
pub fn check(manifest: &Map<String, Json>) -> Result<Identity<'_>, InvalidManifest> {
    check_size(manifest)?;
    let api_version = text("/apiVersion", manifest.get("apiVersion"), "such as \"policy/v1\"")?;
    let kind = text("/kind", manifest.get("kind"), "such as \"PodDisruptionBudget\"")?;
    if !is_api_version(api_version) {
        return Err(shape("/apiVersion", "a group and a version, such as \"policy/v1\", or \"v1\""));
    }
    if kind.is_empty() || kind.len() > 63 || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(shape("/kind", "1 to 63 letters and digits, such as \"PodDisruptionBudget\""));
    }
    kinds::check(api_version, kind)?;
    let Some(Json::Object(metadata)) = manifest.get("metadata") else {
        return Err(shape("/metadata", "an object with a name is needed"));
    };
    let name = text("/metadata/name", metadata.get("name"), "a DNS subdomain")?;
    if !syntax::is_dns_subdomain(name) {
        return Err(shape("/metadata/name", "lower-case letters, digits, \"-\" and \".\", at most 253"));
    }
    for field in ["labels", "annotations"] {
        check_entries(field, metadata.get(field))?;
    }
    kinds::check_object(kind, name, manifest)?;
    Ok(Identity { api_version, kind, name })
}

impl Parsed {
    /// The names of a Secret's entries.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.secret_data.iter().map(|(name, _)| name.as_str())
    }

    /// What the manifest is known by.
    pub fn identity(&self) -> Identity<'_> {
        Identity { api_version: &self.resource.api_version, kind: &self.resource.kind, name: &self.resource.name }
    }

    /// Keys in it that only one provider understands.
    pub fn foreign_keys(&self) -> Vec<ForeignKey> {
        foreign_keys(&self.resource.manifest)
    }

    /// The resource, once every entry of a Secret is sealed. `seal` gets an entry's name and its plain text.
    pub fn into_resource<E>(
        self,
        mut seal: impl FnMut(&str, String) -> Result<SecretId, E>,
    ) -> Result<Resource<Value>, E> {
        let mut resource = self.resource;
        for (name, plain) in self.secret_data {
            let sealed = seal(&name, plain)?;
            resource.secret_data.push(Variable {
                name,
                value: Value::Sealed { sealed },
                description: None,
                decision: None,
            });
        }
        Ok(resource)
    }
}

/// Takes `data` and `stringData` out of a Secret. As in the API, the second wins.
fn take_entries(manifest: &mut Map<String, Json>) -> Result<Vec<(String, String)>, InvalidManifest> {
    let mut entries = BTreeMap::new();
    for field in ["data", "stringData"] {
        let values = match manifest.remove(field) {
            None | Some(Json::Null) => continue,
            Some(Json::Object(values)) => values,
            Some(_) => return Err(shape(&format!("/{field}"), "an object of texts")),
        };
        for (name, value) in values {
            let path = format!("/{field}/{name}");
            let Json::String(value) = value else { return Err(shape(&path, "a text")) };
            let plain = if field == "data" {
                let bytes = STANDARD.decode(value.trim()).map_err(|_| shape(&path, "base64 is needed in data"))?;
                String::from_utf8(bytes).map_err(|_| {
                    shape(
                        &path,
                        "only entries that are UTF-8 text can be kept; keep this Secret outside the application",
                    )
                })?
            } else {
                value
            };
            entries.insert(name, plain);
        }
    }
    Ok(entries.into_iter().collect())
}

fn check_size(manifest: &Map<String, Json>) -> Result<(), InvalidManifest> {
    if manifest.values().any(|value| syntax::is_deeper_than(value, MAX_DEPTH - 1)) {
        return Err(shape("", &format!("at most {MAX_DEPTH} levels")));
    }
    let bytes = serde_json::to_vec(manifest).map_or(usize::MAX, |bytes| bytes.len());
    if bytes > MAX_MANIFEST {
        return Err(InvalidManifest::TooLarge { bytes, limit: MAX_MANIFEST });
    }
    Ok(())
}

fn check_entries(field: &str, entries: Option<&Json>) -> Result<(), InvalidManifest> {
    let path = format!("/metadata/{field}");
    let entries = match entries {
        None | Some(Json::Null) => return Ok(()),
        Some(Json::Object(entries)) => entries,
        Some(_) => return Err(shape(&path, "an object of texts")),
    };
    for (key, value) in entries {
        let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        if crate::validate::is_reserved(key) {
            return Err(shape(&path, "Ropeway knows its own objects by this key"));
        }
        if !value.is_string() {
            return Err(shape(&path, "a text; write numbers and booleans in quotes"));
        }
    }
    Ok(())
}

fn text<'a>(path: &str, value: Option<&'a Json>, form: &str) -> Result<&'a str, InvalidManifest> {
    value.and_then(Json::as_str).ok_or_else(|| shape(path, &format!("a text is needed, {form}")))
}

fn is_api_version(text: &str) -> bool {
    let version = match text.split_once('/') {
        Some((group, version)) if syntax::is_dns_subdomain(group) => version,
        Some(_) => return false,
        None => text,
    };
    syntax::is_dns_label(version)
}

fn shape(path: &str, problem: &str) -> InvalidManifest {
    InvalidManifest::Shape { path: path.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests;
