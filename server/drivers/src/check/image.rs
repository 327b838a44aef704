//! Images: those of the application and no others. Only the registry's host may differ.

use super::{bounded, shortened};
use crate::error::InvalidOutput;
use ropeway_domain::rendering::ApplicationModel;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// The fields of a pod's spec that name images.
const CONTAINERS: &[&str] = &["containers", "ephemeralContainers", "initContainers"];

/// What the images of an application are, whatever registry serves them.
pub(super) struct Images(BTreeSet<String>);

impl Images {
    pub(super) fn of(model: &ApplicationModel) -> Self {
        let mut found = BTreeSet::new();
        for component in &model.components {
            found.insert(content(&component.image));
            walk(&Json::Object(component.attributes.clone()), &mut |image| {
                found.insert(content(image));
            });
        }
        for resource in &model.resources {
            walk(&Json::Object(resource.manifest.clone()), &mut |image| {
                found.insert(content(image));
            });
        }
        Self(found)
    }

    pub(super) fn check(&self, path: &str, object: &Json) -> Result<(), InvalidOutput> {
        let mut stray = None;
        walk(object, &mut |image| {
            if !self.0.contains(&content(image)) {
                stray.get_or_insert_with(|| shortened(image));
            }
        });
        match stray {
            Some(image) => Err(InvalidOutput::new(path, format!("{image:?} is no image of the application"))),
            None => Ok(()),
        }
    }
}

/// A rewritten reference must lead to the same content.
pub(crate) fn rewritten(image: &str, rewritten: Option<String>) -> Result<Option<String>, InvalidOutput> {
    let Some(rewritten) = rewritten else { return Ok(None) };
    bounded("", &rewritten)?;
    if content(image) == content(&rewritten) {
        Ok(Some(rewritten))
    } else {
        let problem = format!("{:?} differs from {image:?} in more than the registry's host", shortened(&rewritten));
        Err(InvalidOutput::new("", problem))
    }
}

/// Everything of a reference but the registry's host.
fn content(image: &str) -> String {
    match image.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            let is_hub = matches!(host, "docker.io" | "index.docker.io");
            if is_hub && !rest.contains('/') { format!("library/{rest}") } else { rest.to_owned() }
        }
        Some(_) => image.to_owned(),
        None => format!("library/{image}"),
    }
}

/// Calls `visit` with every image that is named anywhere in an object.
fn walk(value: &Json, visit: &mut impl FnMut(&str)) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Json::Object(fields) => {
            for (field, value) in fields {
                if CONTAINERS.contains(&field.as_str()) {
                    let containers = value.as_array().into_iter().flatten();
                    containers.filter_map(|container| container.get("image")?.as_str()).for_each(&mut *visit);
                }
                // A volume made of an image.
                if field == "image"
                    && let Some(reference) = value.get("reference").and_then(Json::as_str)
                {
                    visit(reference);
                }
                walk(value, visit);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_a_reference_may_differ() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, other, is_same) in [
            ("nginx:1", "docker.io/library/nginx:1", true),
            ("docker.io/nginx:1", "mirror.example.org/library/nginx:1", true),
            ("registry.cn-hangzhou.aliyuncs.com/a/b:1", "registry-vpc.cn-hangzhou.aliyuncs.com/a/b:1", true),
            ("localhost:5000/a/b:1", "library.test/a/b:1", true),
            ("a/b:1", "example.org/a/b:2", false),
            ("a/b:1", "example.org/c/b:1", false),
            (&format!("example.org/a@{digest}"), &format!("other.test/a@{}", digest.replace('a', "b")), false),
        ] {
            assert_eq!(rewritten(image, Some(other.to_owned())).is_ok(), is_same, "{image} {other}");
        }
    }
}
