//! What runs of an application's images: a tag may name another image by now than the one that was pulled.

use crate::{
    clusters::{Reached, cluster_error},
    error::Result,
    service::{claims::COMPONENT, resolve_images::FoundImage},
    store::application::Application,
};
use futures::TryStreamExt as _;
use ropeway_clusters::{Kind, label, labels};
use ropeway_domain::{ComponentKey, Digest};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

/// Pods that are asked for at a time.
const PAGE: u16 = 500;

/// Pods of an application that are looked at.
const MAX_PODS: usize = 5_000;

/// The digests under which nodes run images, by the component's own key and the image as its pod names it.
pub type Running = BTreeMap<(ComponentKey, String), BTreeSet<Digest>>;

/// Looks at the pods of an application, as they are now.
pub async fn running_images(reached: &Reached, application: &Application) -> Result<Running> {
    let selector = format!("{}={}", labels::APPLICATION, application.id);
    let namespace = Some(application.namespace.clone());
    let mut pages = pin!(reached.cluster.list(Kind::new("v1", "Pod"), namespace, Some(selector), PAGE));
    let (mut running, mut seen) = (Running::new(), 0);
    while let Some(page) = pages.try_next().await.map_err(|error| cluster_error(&reached.row.name, error))? {
        for pod in &page {
            note(pod, &mut running);
        }
        seen += page.len();
        if seen >= MAX_PODS {
            break;
        }
    }
    Ok(running)
}

/// What is published of an image is not what runs: the digest that a node reports is neither that of the image nor of
/// one of its manifests. Nodes report either.
pub fn moved<'a>(found: &FoundImage, running: &'a BTreeSet<Digest>) -> Option<&'a Digest> {
    running.iter().find(|digest| !found.manifests.contains(*digest))
}

/// The first container is the component itself.
fn note(pod: &Json, running: &mut Running) {
    let key = label(pod, COMPONENT).and_then(|key| key.parse().ok()).map(ComponentKey);
    let text = |pointer: &str| pod.pointer(pointer).and_then(Json::as_str);
    let (Some(key), Some(name), Some(image)) = (key, text("/spec/containers/0/name"), text("/spec/containers/0/image"))
    else {
        return;
    };
    let statuses = pod.pointer("/status/containerStatuses").and_then(Json::as_array);
    let status = statuses.into_iter().flatten().find(|status| status["name"] == name);
    let runs = status.filter(|status| status.pointer("/state/running").is_some());
    // Runtimes that report the digest of the configuration instead tell nothing of the image in its registry.
    let digest = runs.and_then(|status| status["imageID"].as_str()?.rsplit_once('@')?.1.parse().ok());
    if let Some(digest) = digest {
        running.entry((key, image.to_owned())).or_default().insert(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::resolve_images::ImageSource;
    use serde_json::json;
    use uuid::Uuid;

    fn digest(digit: &str) -> Digest {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    fn pod(image_id: &str, state: &str) -> Json {
        json!({
            "metadata": {"name": "web-1", "labels": {"ropeway.dev/component": Uuid::from_u128(1)}},
            "spec": {"containers": [{"name": "web", "image": "r/web:1"}, {"name": "sidecar", "image": "r/other:1"}]},
            "status": {"containerStatuses": [
                {"name": "sidecar", "imageID": format!("r/other@{}", digest("f")), "state": {"running": {}}},
                {"name": "web", "imageID": image_id, "state": {state: {}}},
            ]},
        })
    }

    #[test]
    fn nodes_say_what_runs() {
        let a = digest("a");
        for (pod, expected) in [
            (pod(&format!("r/web@{a}"), "running"), vec![a.clone()]),
            (pod(&format!("docker-pullable://r/web@{a}"), "running"), vec![a.clone()]),
            (pod(a.as_str(), "running"), vec![]),
            (pod("", "running"), vec![]),
            (pod(&format!("r/web@{a}"), "waiting"), vec![]),
            (json!({"spec": {"containers": []}}), vec![]),
        ] {
            let mut running = Running::new();
            note(&pod, &mut running);
            let found = running.remove(&(ComponentKey(Uuid::from_u128(1)), "r/web:1".to_owned())).unwrap_or_default();
            assert_eq!(found, BTreeSet::from_iter(expected), "{pod}");
        }
    }

    #[test]
    fn an_index_and_each_of_its_manifests_are_the_image() {
        let found = FoundImage {
            source: ImageSource::Library { repository: "web".into() },
            source_digest: digest("a"),
            digest: digest("a"),
            bytes: 0,
            platforms: Vec::new(),
            chosen: None,
            manifests: [digest("a"), digest("b")].into(),
        };
        assert_eq!(moved(&found, &[digest("a"), digest("b")].into()), None);
        assert_eq!(moved(&found, &BTreeSet::new()), None);
        assert_eq!(moved(&found, &[digest("a"), digest("c")].into()), Some(&digest("c")));
    }
}
