//! Copies from and to registries that fail, lie and throttle.

use crate::hooks::{Count, Hooked, answer};
use crate::support::{RegistryUnderTest, client, name, serve, tag};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures::StreamExt;
use ropeway_library::copy::{Copied, CopyOptions, CopyRequest, copy};
use ropeway_library::digest::Digest;
use ropeway_library::sample::{self, SampleImage};
use ropeway_library::{Error, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn image() -> SampleImage {
    sample::image("web", "1", "amd64", &[200_000])
}

/// Pushes the image to the source, as it should be.
async fn fill(source: &Registry) -> SampleImage {
    let image = image();
    sample::push(source, &name("web"), &tag("1"), &image).await.expect("pushed");
    image
}

async fn copied(source: &Registry, target: &Registry, digest: Digest) -> Result<Copied, Error> {
    let request = CopyRequest {
        source,
        source_repository: name("web"),
        digest,
        target,
        target_repository: name("copy"),
        tag: Some(tag("1")),
        platforms: None,
        mount_from: vec![name("other")],
    };
    copy(&request, &CopyOptions::default(), |_| ()).await
}

/// The blob of the layer, which faults are about.
fn is_layer(method: &str, path: &str) -> bool {
    let digest = Digest::of(&image().layers[0]).to_string();
    method == "GET" && path.ends_with(&digest)
}

/// Changes the first pieces of a body.
fn change(
    response: Response,
    change: impl FnMut(usize, Result<Bytes, axum::Error>) -> Result<Bytes, axum::Error> + Send + 'static,
) -> Response {
    let mut change = change;
    let (parts, body) = response.into_parts();
    let pieces = body.into_data_stream().enumerate().map(move |(number, piece)| change(number, piece));
    Response::from_parts(parts, Body::from_stream(pieces))
}

#[tokio::test]
async fn a_registry_that_throttles_is_given_time() {
    let count = Count::default();
    let hooked = Hooked::before({
        let count = count.clone();
        move |request| {
            let hit = request.method() == "GET" && request.uri().path().contains("/manifests/");
            (hit && count.add() < 2).then(|| answer(429, &[("retry-after", "3600")]))
        }
    })
    .await;
    let target = RegistryUnderTest::Embedded.start().await.expect("always there");
    let source = client(&hooked.host());
    let image = fill(&source).await;
    copied(&source, &target.client(), image.digest).await.expect("copied in the end");
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn a_registry_that_is_out_of_order_is_asked_a_few_times_only() {
    for status in [429, 500, 503] {
        let count = Count::default();
        let hooked = Hooked::before({
            let count = count.clone();
            move |_| {
                count.add();
                Some(answer(status, &[]))
            }
        })
        .await;
        let error = client(&hooked.host()).ping().await.expect_err("out of order");
        assert!(error.retryable(), "{error}");
        assert_eq!(matches!(error, Error::Throttled { .. }), status == 429);
        assert_eq!(count.get(), 4);
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let served = serve(Router::new()).await;
    let host = served.host();
    drop(served);
    let error = client(&host).ping().await.expect_err("nobody listens");
    assert!(matches!(error, Error::Unreachable { .. }) && error.retryable(), "{error}");
}

#[tokio::test]
async fn a_stream_that_breaks_begins_again() {
    let breaks = Arc::new(AtomicBool::new(true));
    let hooked = Hooked::after({
        let breaks = breaks.clone();
        move |method, path, response| {
            if !is_layer(method, path) || !breaks.swap(false, Ordering::SeqCst) {
                return response;
            }
            change(response, |number, piece| if number < 2 { piece } else { Err(axum::Error::new("broken")) })
        }
    })
    .await;
    let target = RegistryUnderTest::Embedded.start().await.expect("always there");
    let source = client(&hooked.host());
    let image = fill(&source).await;
    let done = copied(&source, &target.client(), image.digest).await.expect("copied at the second attempt");
    assert!(!breaks.load(Ordering::SeqCst), "the fault has happened");
    assert_eq!(done.blobs_copied, 2);
}

#[tokio::test]
async fn a_stream_that_always_breaks_fails_and_leaves_nothing() {
    let count = Count::default();
    let hooked = Hooked::after({
        let count = count.clone();
        move |method, path, response| {
            if !is_layer(method, path) {
                return response;
            }
            count.add();
            change(response, |number, piece| if number < 2 { piece } else { Err(axum::Error::new("broken")) })
        }
    })
    .await;
    let target = RegistryUnderTest::Embedded.start().await.expect("always there");
    let (source, to) = (client(&hooked.host()), target.client());
    let image = fill(&source).await;
    let error = copied(&source, &to, image.digest).await.expect_err("it never arrives");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(count.get(), 4);
    let layer = Digest::of(&image.layers[0]);
    assert_eq!(to.head_blob(&name("copy"), &layer).await.expect("asked"), None);
    assert!(!to.head_manifest(&name("copy"), &image.digest).await.expect("asked"));
}

#[tokio::test]
async fn wrong_bytes_are_noticed_and_not_asked_for_again() {
    let count = Count::default();
    let hooked = Hooked::after({
        let count = count.clone();
        move |method, path, response| {
            if !is_layer(method, path) {
                return response;
            }
            count.add();
            change(response, |number, piece| {
                let mut bytes = piece?.to_vec();
                if number == 0 {
                    bytes[600] ^= 1;
                }
                Ok(Bytes::from(bytes))
            })
        }
    })
    .await;
    let target = RegistryUnderTest::Embedded.start().await.expect("always there");
    let (source, to) = (client(&hooked.host()), target.client());
    let image = fill(&source).await;
    let error = copied(&source, &to, image.digest).await.expect_err("wrong bytes");
    let layer = Digest::of(&image.layers[0]);
    assert!(matches!(error, Error::DigestMismatch { expected, .. } if expected == layer), "{error}");
    assert!(!error.retryable());
    assert_eq!(count.get(), 1);
    assert_eq!(to.head_blob(&name("copy"), &layer).await.expect("asked"), None);
    assert!(!to.head_manifest(&name("copy"), &image.digest).await.expect("asked"));
}

#[tokio::test]
async fn more_or_fewer_bytes_than_announced_are_noticed() {
    for longer in [true, false] {
        let hooked = Hooked::after(move |method, path, response| {
            if !is_layer(method, path) {
                return response;
            }
            let (mut parts, body) = response.into_parts();
            parts.headers.remove("content-length");
            let pieces = body.into_data_stream();
            let body = if longer {
                Body::from_stream(pieces.chain(futures::stream::iter([Ok(Bytes::from_static(b"more"))])))
            } else {
                Body::from_stream(pieces.take(1))
            };
            Response::from_parts(parts, body)
        })
        .await;
        let target = RegistryUnderTest::Embedded.start().await.expect("always there");
        let (source, to) = (client(&hooked.host()), target.client());
        let image = fill(&source).await;
        let error = copied(&source, &to, image.digest).await.expect_err("wrong size");
        assert!(matches!(error, Error::SizeMismatch { .. }), "{error}");
        assert_eq!(to.head_blob(&name("copy"), &Digest::of(&image.layers[0])).await.expect("asked"), None);
    }
}

#[tokio::test]
async fn a_manifest_is_verified_with_and_without_the_digest_header() {
    let hooked = Hooked::after(|_, _, mut response| {
        response.headers_mut().remove("docker-content-digest");
        response
    })
    .await;
    let source = client(&hooked.host());
    let image = fill(&source).await;
    let resolved = source.resolve(&name("web"), &tag("1").into()).await.expect("resolved");
    assert_eq!(resolved.digest, image.digest);

    let hooked = Hooked::after(|method, path, response| {
        if method != "GET" || !path.contains("/manifests/") {
            return response;
        }
        change(response, |_, piece| piece.map(|bytes| Bytes::from([b" ", &bytes[1..]].concat())))
    })
    .await;
    let source = client(&hooked.host());
    sample::push(&source, &name("web"), &tag("1"), &image).await.expect("pushed");
    for reference in [image.digest.into(), tag("1").into()] {
        let error = source.get_manifest(&name("web"), &reference).await.expect_err("changed on the way");
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_oversized_manifest_is_not_read() {
    for announced in [true, false] {
        let hooked = Hooked::before(move |request| {
            if !request.uri().path().contains("/manifests/") {
                return None;
            }
            let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 16])));
            let response = Response::builder();
            let response = if announced { response.header("content-length", 1_u64 << 40) } else { response };
            Some(response.body(Body::from_stream(pieces)).expect("an answer"))
        })
        .await;
        let error = client(&hooked.host()).resolve(&name("web"), &tag("1").into()).await.expect_err("endless");
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_endless_error_is_cut_off() {
    let hooked = Hooked::before(|_| {
        let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'e'; 1 << 16])));
        Some(Response::builder().status(403).body(Body::from_stream(pieces)).expect("an answer"))
    })
    .await;
    let error = client(&hooked.host()).ping().await.expect_err("refused");
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(error.to_string().len() < 1000);
}

#[tokio::test]
async fn a_push_that_is_acknowledged_and_not_done_is_noticed() {
    let hooked = Hooked::before(|request| {
        let hit = request.method() == "PUT" && request.uri().path().contains("/manifests/");
        hit.then(|| answer(201, &[]))
    })
    .await;
    let source = RegistryUnderTest::Embedded.start().await.expect("always there");
    let image = fill(&source.client()).await;
    let error = copied(&source.client(), &client(&hooked.host()), image.digest).await.expect_err("not stored");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn an_upload_offered_instead_of_a_mount_is_used() {
    let (posts, mounts) = (Count::default(), Count::default());
    let hooked = Hooked::before({
        let (posts, mounts) = (posts.clone(), mounts.clone());
        move |request: &mut Request| {
            if request.method() == "POST" {
                posts.add();
                if request.uri().query().is_some_and(|query| query.contains("mount=")) {
                    mounts.add();
                    *request.uri_mut() = request.uri().path().parse().expect("a path");
                }
            }
            None
        }
    })
    .await;
    let source = RegistryUnderTest::Embedded.start().await.expect("always there");
    let image = fill(&source.client()).await;
    let done = copied(&source.client(), &client(&hooked.host()), image.digest).await.expect("copied");
    assert_eq!((done.blobs_copied, done.blobs_mounted), (2, 0));
    assert_eq!((mounts.get(), posts.get()), (2, 2), "the offer is used, no other upload is begun");
}

#[tokio::test]
async fn a_registry_without_mounts_is_uploaded_to() {
    let hooked = Hooked::before(|request| {
        let mounts = request.uri().query().is_some_and(|query| query.contains("mount="));
        mounts.then(|| answer(405, &[]))
    })
    .await;
    let source = RegistryUnderTest::Embedded.start().await.expect("always there");
    let image = fill(&source.client()).await;
    let done = copied(&source.client(), &client(&hooked.host()), image.digest).await.expect("copied");
    assert_eq!(done.blobs_copied, 2);
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let storage = RegistryUnderTest::Embedded.start().await.expect("always there");
    let image = fill(&storage.client()).await;
    // The other host asks for no credentials and would see them.
    let (seen, leaked) = (Count::default(), Count::default());
    let layers: Vec<Bytes> = image.blobs().map(|(_, bytes)| bytes.clone()).collect();
    let other = serve(Router::new().fallback(any({
        let (seen, leaked) = (seen.clone(), leaked.clone());
        move |request: Request| async move {
            seen.add();
            if request.headers().contains_key("authorization") {
                leaked.add();
            }
            let wanted = layers.iter().find(|bytes| request.uri().path().ends_with(&Digest::of(bytes).hex()));
            wanted.cloned().map(Body::from).map_or_else(|| answer(404, &[]), Response::new)
        }
    })))
    .await;
    let elsewhere = other.host();
    let hooked = Hooked::before(move |request| {
        let path = request.uri().path();
        let hit = request.method() == "GET"
            && path.contains("/blobs/sha256:")
            && request.headers().contains_key("authorization");
        let hex = path.rsplit(':').next().unwrap_or_default().to_owned();
        hit.then(|| answer(307, &[("location", &format!("http://{elsewhere}/{hex}"))]))
    })
    .await;
    let source = client(&hooked.host());
    fill(&source).await;
    let target = RegistryUnderTest::Embedded.start().await.expect("always there");
    copied(&source, &target.client(), image.digest).await.expect("copied");
    assert!(seen.get() >= 2);
    assert_eq!(leaked.get(), 0);
}

#[tokio::test]
async fn what_another_host_says_is_not_repeated() {
    let other = serve(Router::new().fallback(any(|| async {
        Response::builder().status(403).body(Body::from("canary-77e0")).expect("an answer")
    })))
    .await;
    let elsewhere = format!("http://{}/", other.host());
    let hooked = Hooked::before(move |_| Some(answer(307, &[("location", &elsewhere)]))).await;
    let error = client(&hooked.host()).resolve(&name("web"), &tag("1").into()).await.expect_err("refused");
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let hooked = Hooked::before(|request| {
        let hit = request.uri().path().contains("/blobs/");
        hit.then(|| answer(307, &[("location", request.uri().path())]))
    })
    .await;
    let pulled = client(&hooked.host()).head_blob(&name("web"), &Digest::of(b"x")).await;
    assert!(matches!(pulled, Err(Error::Protocol { .. })), "{pulled:?}");
}

#[tokio::test]
async fn a_stream_that_stands_still_ends() {
    let hooked = Hooked::after(|method, path, response| {
        if !is_layer(method, path) {
            return response;
        }
        let (parts, body) = response.into_parts();
        let pieces = body.into_data_stream().take(1).chain(futures::stream::pending());
        Response::from_parts(parts, Body::from_stream(pieces))
    })
    .await;
    let limits = ropeway_library::Limits {
        idle_timeout: Duration::from_millis(100),
        attempts: 2,
        ..crate::support::impatient()
    };
    let endpoint = ropeway_library::Endpoint::plain(hooked.host())
        .with_credentials(crate::support::USER, crate::support::PASSWORD);
    let source = Registry::new(endpoint, limits).expect("valid");
    let image = fill(&source).await;
    let target = RegistryUnderTest::Embedded.start().await.expect("always there");
    let error = copied(&source, &target.client(), image.digest).await.expect_err("it stands still");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn limits_of_a_copy_are_kept() {
    let source = RegistryUnderTest::Embedded.start().await.expect("always there");
    let registry = source.client();
    let images = ["amd64", "arm64"].map(|architecture| sample::image("web", "1", architecture, &[1000, 1000]));
    let index = sample::index(&images);
    sample::push_index(&registry, &name("web"), &tag("1"), &index).await.expect("pushed");
    let standard = CopyOptions::default;
    for options in [
        CopyOptions { max_blob_bytes: 1000, ..standard() },
        CopyOptions { max_total_bytes: 4000, ..standard() },
        CopyOptions { max_layers: 1, ..standard() },
        CopyOptions { max_manifests: 2, ..standard() },
        CopyOptions { max_index_depth: 0, ..standard() },
        CopyOptions { max_manifest_bytes: 1000, ..standard() },
    ] {
        let measured = ropeway_library::copy::measure(&registry, &name("web"), &index.digest, None, &options).await;
        assert!(matches!(measured, Err(Error::TooLarge { .. })), "{options:?}: {measured:?}");
    }
    ropeway_library::copy::measure(&registry, &name("web"), &index.digest, None, &standard()).await.expect("fits");
}

#[tokio::test]
async fn a_layer_that_must_not_be_copied_is_left_out_or_refused() {
    let source = RegistryUnderTest::Embedded.start().await.expect("always there");
    let registry = source.client();
    let image = fill(&registry).await;
    let foreign = |urls: &str| {
        let text = String::from_utf8(image.manifest.to_vec()).expect("text");
        let plain = "\"application/vnd.oci.image.layer.v1.tar\"";
        let kind = "\"application/vnd.oci.image.layer.nondistributable.v1.tar\"";
        Bytes::from(text.replace(plain, &format!("{kind}{urls}")))
    };
    let target = RegistryUnderTest::Embedded.start().await.expect("always there");
    let with = foreign(",\"urls\":[\"https://example.com/layer\"]");
    let digest = registry.push_manifest(&name("web"), &tag("2").into(), with, SampleImage::MEDIA_TYPE).await;
    let done = copied(&registry, &target.client(), digest.expect("pushed")).await.expect("copied without it");
    assert_eq!(done.blobs_copied, 1);
    let without = foreign("");
    let digest = registry.push_manifest(&name("web"), &tag("3").into(), without, SampleImage::MEDIA_TYPE).await;
    let error = copied(&registry, &target.client(), digest.expect("pushed")).await.expect_err("nobody has it");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn an_upload_that_the_target_loses_begins_again() {
    for status in [404, 503] {
        let count = Count::default();
        let hooked = Hooked::before({
            let count = count.clone();
            move |request| {
                let hit = request.method() == "PUT" && request.uri().path().contains("/uploads/");
                (hit && count.add() == 0).then(|| answer(status, &[]))
            }
        })
        .await;
        let source = RegistryUnderTest::Embedded.start().await.expect("always there");
        let image = fill(&source.client()).await;
        let done = copied(&source.client(), &client(&hooked.host()), image.digest).await.expect("copied in the end");
        assert_eq!((done.blobs_copied, count.get()), (2, 3));
    }
}
