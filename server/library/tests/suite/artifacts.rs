//! Template versions as artifacts, in both registries.

use crate::support::{RegistryUnderTest, name, reference, skip, tag};
use bytes::Bytes;
use ropeway_library::artifact::{MAX_VERSION_BYTES, VERSION_MEDIA_TYPE, push_version, read_version};
use ropeway_library::{Error, Registry, sample};
use std::collections::BTreeMap;

const CONTENT: &[u8] = br#"{"components":[],"key":"3f1c"}"#;

#[tokio::test]
async fn a_version_is_read_back_byte_for_byte_from_the_embedded_registry() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    round_trip(&running.client()).await;
}

#[tokio::test]
async fn a_version_is_read_back_byte_for_byte_from_docker_registry() {
    match RegistryUnderTest::DockerRegistry.start().await {
        Some(running) => round_trip(&running.client()).await,
        None => skip("a_version_is_read_back_byte_for_byte_from_docker_registry", "docker-registry"),
    }
}

async fn round_trip(registry: &Registry) {
    let repository = name("templates/shop");
    let annotations = BTreeMap::from([("org.opencontainers.image.title".to_owned(), "Shop".to_owned())]);
    let digest = push_version(registry, &repository, &tag("2.9"), CONTENT, annotations.clone()).await.expect("pushed");
    let again = push_version(registry, &repository, &tag("3.0"), CONTENT, annotations.clone()).await.expect("pushed");
    assert_eq!(digest, again, "the same version has the same digest");
    for wanted in [reference("2.9"), reference("3.0"), digest.into()] {
        let found = read_version(registry, &repository, &wanted).await.expect("read");
        assert_eq!((found.digest, found.content), (digest, Bytes::from_static(CONTENT)));
        assert_eq!(found.annotations, annotations);
    }
    let manifest = registry.get_manifest(&repository, &digest.into()).await.expect("read").bytes;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["artifactType"], VERSION_MEDIA_TYPE);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["layers"][0]["mediaType"], VERSION_MEDIA_TYPE);
}

#[tokio::test]
async fn an_image_is_no_version_and_a_version_has_a_limit() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let (registry, repository) = (running.client(), name("shop"));
    let image = sample::image("web", "1", "amd64", &[10]);
    sample::push(&registry, &repository, &tag("1"), &image).await.expect("pushed");
    let error = read_version(&registry, &repository, &reference("1")).await.expect_err("an image");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let large = vec![b' '; usize::try_from(MAX_VERSION_BYTES).expect("small") + 1];
    let pushed = push_version(&registry, &repository, &tag("2"), &large, BTreeMap::new()).await;
    assert!(matches!(pushed, Err(Error::TooLarge { limit: MAX_VERSION_BYTES, .. })));
}
