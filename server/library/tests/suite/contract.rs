//! What holds for every registry: each test runs against the embedded one and `docker-registry`.

use crate::support::{PASSWORD, RegistryUnderTest, Running, USER, client, name, reference, registry, skip, tag};
use bytes::Bytes;
use ropeway_library::copy::{CopyOptions, CopyRequest, Progress, copy, measure};
use ropeway_library::digest::Digest;
use ropeway_library::registry::Size;
use ropeway_library::sample::{self, SampleImage};
use ropeway_library::{Endpoint, Error, Platform, Reference};
use std::sync::Mutex;

/// The same test for both registries.
macro_rules! for_every_registry {
    ($($test:ident)*) => { $(
        mod $test {
            use crate::support::RegistryUnderTest;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                super::run(RegistryUnderTest::Embedded, stringify!($test), super::body::$test).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn docker_registry() {
                super::run(RegistryUnderTest::DockerRegistry, stringify!($test), super::body::$test).await;
            }
        }
    )* };
}

for_every_registry! {
    what_is_pushed_is_pulled_again
    a_copied_index_keeps_its_digest_and_is_copied_once
    a_filtered_index_has_only_the_platforms_chosen
    a_copy_inside_a_registry_mounts_its_blobs
    a_copy_goes_on_where_another_stopped
    tags_are_listed_in_pages
    a_manifest_without_its_blobs_is_refused
    a_blob_with_another_digest_is_refused_and_not_visible
    a_blob_comes_in_pieces
    two_uploads_of_the_same_blob_both_succeed
    what_is_not_there_is_not_found
    wrong_credentials_are_refused
    docker_manifests_are_copied_too
}

async fn run<F: Future<Output = ()>>(kind: RegistryUnderTest, test: &str, body: impl FnOnce(Running) -> F) {
    match kind.start().await {
        Some(running) => body(running).await,
        None => skip(test, "docker-registry"),
    }
}

mod body {
    use super::*;

    pub(crate) async fn what_is_pushed_is_pulled_again(running: Running) {
        let registry = running.client();
        registry.ping().await.expect("a registry answers");
        let (repository, image) = (name("shop/web"), sample::image("web", "1", "arm64", &[10, 70_000]));
        let digest = sample::push(&registry, &repository, &tag("1"), &image).await.expect("pushed");
        assert_eq!(digest, image.digest);

        let resolved = registry.resolve(&repository, &reference("1")).await.expect("resolved");
        assert_eq!((resolved.digest, resolved.size), (image.digest, image.manifest.len() as u64));
        assert_eq!(resolved.media_type, SampleImage::MEDIA_TYPE);
        assert_eq!(resolved.platforms, [Platform::linux("arm64")]);
        let manifest = registry.get_manifest(&repository, &image.digest.into()).await.expect("by digest");
        assert_eq!(manifest.bytes, image.manifest);
        for (digest, bytes) in image.blobs() {
            let size = registry.head_blob(&repository, &digest).await.expect("asked");
            assert_eq!(size, Some(bytes.len() as u64));
            let found = registry.pull_blob(&repository, &digest, Size::Exactly(bytes.len() as u64)).await;
            assert_eq!(&found.expect("pulled"), bytes);
        }
    }

    pub(crate) async fn a_copied_index_keeps_its_digest_and_is_copied_once(running: Running) {
        let source = RegistryUnderTest::Embedded.start().await.expect("always there");
        let (from, to) = (source.client(), running.client());
        let images = ["amd64", "arm64"].map(|architecture| sample::image("web", "1", architecture, &[5000, 300_000]));
        let index = sample::index(&images);
        sample::push_index(&from, &name("team/web"), &tag("1"), &index).await.expect("pushed");
        let request = CopyRequest {
            source: &from,
            source_repository: name("team/web"),
            digest: index.digest,
            target: &to,
            target_repository: name("library/web"),
            tag: Some(tag("stable")),
            platforms: None,
            mount_from: vec![],
        };
        let seen = Mutex::new(Vec::<Progress>::new());
        let copied = copy(&request, &CopyOptions::default(), |progress| {
            seen.lock().expect("not poisoned").push(progress);
        })
        .await
        .expect("copied");
        assert_eq!((copied.digest, copied.source_digest), (index.digest, index.digest));
        assert_eq!((copied.blobs_copied, copied.manifests_pushed), (6, 3));
        let total: u64 = images.iter().flat_map(|image| image.blobs().map(|(_, bytes)| bytes.len() as u64)).sum();
        assert_eq!(copied.bytes_copied, total);
        let last = *seen.lock().expect("not poisoned").last().expect("at least one");
        assert_eq!(last, Progress { bytes_done: total, bytes_total: total, blobs_done: 6, blobs_total: 6 });

        let resolved = to.resolve(&name("library/web"), &reference("stable")).await.expect("there");
        assert_eq!(resolved.digest, index.digest);
        assert_eq!(resolved.platforms, [Platform::linux("amd64"), Platform::linux("arm64")]);
        let again = copy(&request, &CopyOptions::default(), |_| ()).await.expect("copied again");
        assert_eq!((again.blobs_copied, again.blobs_skipped, again.manifests_pushed), (0, 6, 0));
    }

    pub(crate) async fn a_filtered_index_has_only_the_platforms_chosen(running: Running) {
        let registry = running.client();
        let images = ["amd64", "arm64", "riscv64"].map(|architecture| sample::image("web", "1", architecture, &[100]));
        let index = sample::index(&images);
        sample::push_index(&registry, &name("a/web"), &tag("1"), &index).await.expect("pushed");
        let mut request = CopyRequest {
            source: &registry,
            source_repository: name("a/web"),
            digest: index.digest,
            target: &registry,
            target_repository: name("b/web"),
            tag: None,
            platforms: Some(vec![Platform::linux("amd64"), Platform::linux("riscv64")]),
            mount_from: vec![],
        };
        let copied = copy(&request, &CopyOptions::default(), |_| ()).await.expect("copied");
        assert_eq!(copied.source_digest, index.digest);
        assert_ne!(copied.digest, index.digest);
        assert_eq!(copied.platforms, [Platform::linux("amd64"), Platform::linux("riscv64")]);
        let resolved = registry.resolve(&name("b/web"), &copied.digest.into()).await.expect("there");
        assert_eq!(resolved.platforms, copied.platforms);
        let left_out = registry.head_manifest(&name("b/web"), &images[1].digest).await.expect("asked");
        assert!(!left_out, "a platform that was not chosen was copied");
        request.platforms = Some(vec![Platform::linux("s390x")]);
        let error = copy(&request, &CopyOptions::default(), |_| ()).await.expect_err("not available");
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }

    pub(crate) async fn a_copy_inside_a_registry_mounts_its_blobs(running: Running) {
        let registry = running.client();
        let image = sample::image("web", "1", "amd64", &[100, 200]);
        sample::push(&registry, &name("a/web"), &tag("1"), &image).await.expect("pushed");
        let plan = measure(&registry, &name("a/web"), &image.digest, None, &CopyOptions::default()).await;
        let plan = plan.expect("measured");
        assert_eq!((plan.blobs.len(), plan.manifests.len()), (3, 1));
        assert_eq!(plan.total_bytes, image.blobs().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
        assert_eq!(plan.platforms, [Platform::linux("amd64")]);

        // From a source that the target does not know, by a repository that the caller names.
        let source = RegistryUnderTest::Embedded.start().await.expect("always there");
        let elsewhere = source.client();
        sample::push(&elsewhere, &name("x"), &tag("1"), &image).await.expect("pushed");
        for (from, source_repository, mount_from, target) in
            [(&registry, "a/web", vec![], "b/web"), (&elsewhere, "x", vec![name("none"), name("a/web")], "c/web")]
        {
            let request = CopyRequest {
                source: from,
                source_repository: name(source_repository),
                digest: image.digest,
                target: &registry,
                target_repository: name(target),
                tag: None,
                platforms: None,
                mount_from,
            };
            let copied = copy(&request, &CopyOptions::default(), |_| ()).await.expect("copied");
            assert_eq!((copied.blobs_mounted, copied.blobs_copied, copied.bytes_copied), (3, 0, 0));
            registry.resolve(&name(target), &image.digest.into()).await.expect("there");
        }
    }

    pub(crate) async fn a_copy_goes_on_where_another_stopped(running: Running) {
        let source = RegistryUnderTest::Embedded.start().await.expect("always there");
        let (from, to) = (source.client(), running.client());
        let image = sample::image("web", "1", "amd64", &[100, 200, 300]);
        sample::push(&from, &name("web"), &tag("1"), &image).await.expect("pushed");
        to.push_blob(&name("web"), image.layers[1].clone()).await.expect("pushed");
        let request = CopyRequest {
            source: &from,
            source_repository: name("web"),
            digest: image.digest,
            target: &to,
            target_repository: name("web"),
            tag: Some(tag("1")),
            platforms: None,
            mount_from: vec![],
        };
        let copied = copy(&request, &CopyOptions::default(), |_| ()).await.expect("copied");
        assert_eq!((copied.blobs_copied, copied.blobs_skipped), (3, 1));
    }

    pub(crate) async fn tags_are_listed_in_pages(running: Running) {
        let registry = running.client();
        let image = sample::image("web", "1", "amd64", &[10]);
        for text in ["a", "b", "c", "d", "e"] {
            sample::push(&registry, &name("web"), &tag(text), &image).await.expect("pushed");
        }
        let (mut found, mut last) = (Vec::new(), None);
        // docker-registry 2.8 does not page; that must not be seen.
        for _ in 0..5 {
            let page = registry.list_tags(&name("web"), 2, last.as_deref()).await.expect("listed");
            assert!(page.tags.len() <= 2);
            found.extend(page.tags.iter().map(ToString::to_string));
            last = page.next;
            if last.is_none() {
                break;
            }
        }
        assert_eq!(last, None);
        assert_eq!(found, ["a", "b", "c", "d", "e"]);
        let error = registry.list_tags(&name("nobody"), 2, None).await.expect_err("no such repository");
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }

    pub(crate) async fn a_manifest_without_its_blobs_is_refused(running: Running) {
        let registry = running.client();
        let image = sample::image("web", "1", "amd64", &[10]);
        registry.push_blob(&name("web"), image.config.clone()).await.expect("pushed");
        let pushed = registry
            .push_manifest(&name("web"), &reference("1"), image.manifest.clone(), SampleImage::MEDIA_TYPE)
            .await;
        let error = pushed.expect_err("its layer is missing");
        assert!(matches!(error, Error::NotFound { .. } | Error::Protocol { .. }), "{error}");
        assert!(!registry.head_manifest(&name("web"), &image.digest).await.expect("asked"));
        let index = sample::index(&[image]);
        let pushed =
            registry.push_manifest(&name("web"), &reference("2"), index.index, sample::SampleIndex::MEDIA_TYPE).await;
        pushed.expect_err("its manifest is missing");
    }

    pub(crate) async fn a_blob_with_another_digest_is_refused_and_not_visible(running: Running) {
        let http = reqwest::Client::new();
        let base = format!("http://{}", running.host);
        let begun = http.post(format!("{base}/v2/web/blobs/uploads/")).basic_auth(USER, Some(PASSWORD)).send().await;
        let location = location(&base, &begun.expect("answered"));
        let wrong = Digest::of(b"something else");
        let mut url = url::Url::parse(&location).expect("a URL");
        url.query_pairs_mut().append_pair("digest", &wrong.to_string());
        let put = http.put(url).basic_auth(USER, Some(PASSWORD)).body("content").send().await.expect("answered");
        assert_eq!(put.status(), 400);
        let body: serde_json::Value = serde_json::from_slice(&put.bytes().await.expect("a body")).expect("JSON");
        assert_eq!(body["errors"][0]["code"], "DIGEST_INVALID");
        let registry = running.client();
        for digest in [wrong, Digest::of(b"content")] {
            assert_eq!(registry.head_blob(&name("web"), &digest).await.expect("asked"), None);
        }
    }

    pub(crate) async fn a_blob_comes_in_pieces(running: Running) {
        let http = reqwest::Client::new();
        let base = format!("http://{}", running.host);
        let begun = http.post(format!("{base}/v2/web/blobs/uploads/")).basic_auth(USER, Some(PASSWORD)).send().await;
        let begun = begun.expect("answered");
        assert_eq!(begun.status(), 202);
        let mut upload = location(&base, &begun);
        for (range, piece) in [("0-3", "cont"), ("4-6", "ent")] {
            let patch = http.patch(&upload).basic_auth(USER, Some(PASSWORD)).header("Content-Range", range);
            let answer = patch.header("Content-Type", "application/octet-stream").body(piece).send().await;
            let answer = answer.expect("answered");
            assert_eq!(answer.status(), 202, "{range}");
            upload = location(&base, &answer);
        }
        let state = http.get(&upload).basic_auth(USER, Some(PASSWORD)).send().await.expect("answered");
        assert_eq!(state.status(), 204);
        assert_eq!(state.headers()["range"], "0-6");
        let digest = Digest::of(b"content");
        let mut url = url::Url::parse(&location(&base, &state)).expect("a URL");
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let put = http.put(url).basic_auth(USER, Some(PASSWORD)).send().await.expect("answered");
        assert_eq!(put.status(), 201);
        assert_eq!(put.headers()["docker-content-digest"], digest.to_string());
        let blob = running.client().pull_blob(&name("web"), &digest, Size::AtMost(10)).await.expect("there");
        assert_eq!(blob, "content");
    }

    pub(crate) async fn two_uploads_of_the_same_blob_both_succeed(running: Running) {
        let registry = running.client();
        let bytes = sample::image("web", "1", "amd64", &[2_000_000]).layers[0].clone();
        let digest = Digest::of(&bytes);
        let push = |repository: &'static str| {
            let (registry, bytes) = (registry.clone(), bytes.clone());
            async move { registry.push_blob(&name(repository), bytes).await }
        };
        let results = futures::future::join_all(["a", "a", "b", "b"].map(push)).await;
        for result in results {
            assert_eq!(result.expect("pushed"), digest);
        }
        for repository in ["a", "b"] {
            let found = registry.pull_blob(&name(repository), &digest, Size::Exactly(bytes.len() as u64)).await;
            assert_eq!(found.expect("there"), bytes);
        }
    }

    pub(crate) async fn what_is_not_there_is_not_found(running: Running) {
        let registry = running.client();
        let digest = Digest::of(b"nothing");
        let not_found = |error: Error| assert!(matches!(error, Error::NotFound { .. }), "{error}");
        not_found(registry.resolve(&name("web"), &reference("1")).await.expect_err("no tag"));
        not_found(registry.get_manifest(&name("web"), &Reference::Digest(digest)).await.expect_err("no manifest"));
        not_found(registry.pull_blob(&name("web"), &digest, Size::AtMost(1)).await.expect_err("no blob"));
        assert_eq!(registry.head_blob(&name("web"), &digest).await.expect("asked"), None);
        assert!(!registry.head_manifest(&name("web"), &digest).await.expect("asked"));
    }

    pub(crate) async fn wrong_credentials_are_refused(running: Running) {
        let wrong = Endpoint::plain(&running.host).with_credentials(USER, "wrong");
        for endpoint in [wrong, Endpoint::plain(&running.host)] {
            let registry = registry(endpoint);
            for error in [
                registry.ping().await.expect_err("refused"),
                registry.push_blob(&name("web"), Bytes::from_static(b"x")).await.expect_err("refused"),
            ] {
                assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
                assert!(!error.retryable());
            }
        }
        client(&running.host).ping().await.expect("the right ones are accepted");
    }

    pub(crate) async fn docker_manifests_are_copied_too(running: Running) {
        let registry = running.client();
        let image = sample::image("web", "1", "amd64", &[1000]);
        let (from, to) = (name("from"), name("to"));
        for (_, bytes) in image.blobs() {
            registry.push_blob(&from, bytes.clone()).await.expect("pushed");
        }
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = String::from_utf8(image.manifest.to_vec()).expect("text");
        let manifest = manifest
            .replace("application/vnd.oci.image.manifest.v1+json", docker)
            .replace("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json");
        let manifest = Bytes::from(
            manifest.replace("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"),
        );
        let digest = Digest::of(&manifest);
        registry.push_manifest(&from, &digest.into(), manifest.clone(), docker).await.expect("pushed");
        let list_type = "application/vnd.docker.distribution.manifest.list.v2+json";
        let list = serde_json::json!({ "schemaVersion": 2, "mediaType": list_type, "manifests": [{
            "mediaType": docker, "digest": digest, "size": manifest.len(),
            "platform": { "os": "linux", "architecture": "amd64" },
        }] });
        let list = Bytes::from(list.to_string());
        let root = registry.push_manifest(&from, &reference("1"), list, list_type).await.expect("pushed");
        let request = CopyRequest {
            source: &registry,
            source_repository: from,
            digest: root,
            target: &registry,
            target_repository: to.clone(),
            tag: Some(tag("1")),
            platforms: Some(vec![Platform::linux("amd64")]),
            mount_from: vec![],
        };
        let copied = copy(&request, &CopyOptions::default(), |_| ()).await.expect("copied");
        assert_eq!(copied.digest, root, "a filter that takes everything changes nothing");
        let resolved = registry.resolve(&to, &reference("1")).await.expect("there");
        assert_eq!((resolved.digest, resolved.media_type.as_str()), (root, list_type));
    }
}

fn location(base: &str, answer: &reqwest::Response) -> String {
    let text = answer.headers()["location"].to_str().expect("text");
    url::Url::parse(base).expect("a URL").join(text).expect("a URL").to_string()
}
