//! Checks of one Kubernetes resource.

use super::{Code, Content, MAX_COMPONENT, MAX_FILE, Problem, checker::Checker, component::entry, syntax};
use crate::{digest::canonical, manifest, model::Resource};
use std::collections::BTreeSet;

const MAX_ENTRIES: usize = 200;

/// What is wrong in a Kubernetes resource by itself.
pub fn resource<V: Content>(resource: &Resource<V>) -> Vec<Problem> {
    let mut c = Checker::default();
    c.at("manifest", |c| match manifest::check(&resource.manifest) {
        Err(error) => c.problem(Code::Invalid, error.to_string()),
        Ok(identity) => {
            for (field, written, own) in [
                ("apiVersion", identity.api_version, &resource.api_version),
                ("kind", identity.kind, &resource.kind),
                ("name", identity.name, &resource.name),
            ] {
                if written != own.as_str() {
                    c.field(field, Code::Invalid, format!("{own:?}, as the resource itself says"));
                }
            }
            for (field, kept) in [("data", "secretData"), ("stringData", "secretData")] {
                if resource.kind == "Secret" && resource.manifest.contains_key(field) {
                    c.field(field, Code::Invalid, format!("the entries of a Secret are in {kept}"));
                }
            }
        }
    });
    if resource.kind != "Secret" && !resource.secret_data.is_empty() {
        c.field("secretData", Code::Invalid, "only a Secret has secret entries");
    }
    let mut names = BTreeSet::new();
    c.each("secretData", &resource.secret_data, MAX_ENTRIES, |c, variable| {
        if !syntax::is_data_key(&variable.name) {
            c.field("name", Code::Invalid, "1 to 253 letters, digits, \"_\", \".\" and \"-\"");
        }
        c.unique("name", &mut names, variable.name.clone(), "name");
        entry(c, variable, MAX_FILE);
    });
    c.size(canonical(resource).len(), MAX_COMPONENT);
    c.finish()
}
