//! What holds for the embedded registry alone.

use crate::support::{
    self, PASSWORD, READER, RegistryUnderTest, USER, client, embedded_at, embedded_with, eventually, name, reference,
    registry, serve, tag,
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use reqwest::{Method, RequestBuilder, Response};
use ropeway_library::digest::Digest;
use ropeway_library::embedded::Limits;
use ropeway_library::registry::{Mount, Size};
use ropeway_library::sample::{self, SampleImage};
use ropeway_library::{Endpoint, Error};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn request(host: &str, user: &str, method: Method, path: &str) -> RequestBuilder {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new().request(method, format!("http://{host}{path}")).basic_auth(user, Some(PASSWORD))
}

async fn ask(host: &str, user: &str, method: Method, path: &str) -> (u16, String) {
    code(request(host, user, method, path).send().await.expect("answered")).await
}

/// Status and first error code.
async fn code(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default();
    (status, body["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_restart_keeps_everything_and_removes_what_was_not_finished() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let image = sample::image("web", "1", "amd64", &[5000]);
    {
        let served = serve(embedded_at(dir.path())).await;
        let registry = client(&served.host());
        sample::push(&registry, &name("shop/web"), &tag("1"), &image).await.expect("pushed");
        registry.start_upload(&name("shop/web")).await.expect("begun");
    }
    let uploads = dir.path().join("registry/uploads");
    std::fs::write(uploads.join("left-by-a-crash.tmp"), "half").expect("a file");
    let served = serve(embedded_at(dir.path())).await;
    assert_eq!(files(&uploads), Vec::<PathBuf>::new());
    let registry = client(&served.host());
    let resolved = registry.resolve(&name("shop/web"), &reference("1")).await.expect("still there");
    assert_eq!(resolved.digest, image.digest);
    for (digest, bytes) in image.blobs() {
        let found = registry.pull_blob(&name("shop/web"), &digest, Size::Exactly(bytes.len() as u64)).await;
        assert_eq!(&found.expect("still there"), bytes);
    }
}

#[tokio::test]
async fn a_killed_upload_leaves_no_blob_and_can_go_on() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let served = serve(embedded_at(dir.path())).await;
    let host = served.host();
    let begun = request(&host, USER, Method::POST, "/v2/web/blobs/uploads/").send().await.expect("answered");
    let upload = begun.headers()["location"].to_str().expect("text").to_owned();
    let uploads = dir.path().join("registry/uploads");
    let body = futures::stream::iter([Ok(Bytes::from_static(b"half of it"))])
        .chain(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let sending = request(&host, USER, Method::PATCH, &upload).body(reqwest::Body::wrap_stream(body)).send();
    let killed = tokio::spawn(sending);
    eventually("the first half arrives", || {
        files(&uploads).iter().any(|path| std::fs::metadata(path).is_ok_and(|file| file.len() == 10))
    })
    .await;
    killed.abort();
    let _ = killed.await;
    assert_eq!(files(&dir.path().join("registry/blobs")), Vec::<PathBuf>::new());
    assert_eq!(client(&host).head_blob(&name("web"), &Digest::of(b"half of it")).await.expect("asked"), None);

    // The server notices in its own time that the connection is gone.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let state = loop {
        let state = request(&host, USER, Method::GET, &upload).send().await.expect("answered");
        if state.status() != 429 {
            break state;
        }
        assert!(tokio::time::Instant::now() < deadline, "the broken request holds its upload for ever");
        tokio::task::yield_now().await;
    };
    assert_eq!((state.status().as_u16(), &state.headers()["range"]), (204, &"0-9".parse().expect("a header")));
    let digest = Digest::of(b"half of it and the rest");
    let put = request(&host, USER, Method::PUT, &format!("{upload}?digest={digest}"));
    let put = put.header("Content-Range", "10-22").body(" and the rest").send().await.expect("answered");
    assert_eq!(put.status(), 201);
    assert_eq!(files(&uploads), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_blob_of_one_repository_is_not_readable_in_another() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let registry = running.client();
    let image = sample::image("web", "1", "amd64", &[10]);
    sample::push(&registry, &name("a"), &tag("1"), &image).await.expect("pushed");
    let (layer, _) = image.blobs().nth(1).expect("a layer");
    assert_eq!(registry.head_blob(&name("b"), &layer).await.expect("asked"), None);
    assert!(!registry.head_manifest(&name("b"), &image.digest).await.expect("asked"));
    // A manifest is no blob of the repository, though both are content.
    assert_eq!(registry.head_blob(&name("a"), &image.digest).await.expect("asked"), None);
    let pushed =
        registry.push_manifest(&name("b"), &reference("1"), image.manifest.clone(), SampleImage::MEDIA_TYPE).await;
    assert!(matches!(pushed, Err(Error::NotFound { .. })), "its blobs are in another repository: {pushed:?}");
    let mounted = registry.mount_blob(&name("b"), &layer, &name("a")).await.expect("asked");
    assert!(matches!(mounted, Mount::Mounted));
    assert!(registry.head_blob(&name("b"), &layer).await.expect("asked").is_some());
}

#[tokio::test]
async fn access_is_checked_for_each_repository() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let host = running.host.as_str();
    let image = sample::image("web", "1", "amd64", &[10]);
    for repository in ["shop/web", "hidden/web"] {
        sample::push(&running.client(), &name(repository), &tag("1"), &image).await.expect("pushed");
    }
    let denied = (403, "DENIED".to_owned());
    assert_eq!(ask(host, READER, Method::GET, "/v2/shop/web/manifests/1").await.0, 200);
    assert_eq!(ask(host, READER, Method::GET, "/v2/shop/web/tags/list").await.0, 200);
    assert_eq!(ask(host, READER, Method::GET, "/v2/hidden/web/manifests/1").await, denied);
    assert_eq!(ask(host, READER, Method::GET, "/v2/nobody/manifests/1").await, denied);
    assert_eq!(ask(host, READER, Method::POST, "/v2/shop/web/blobs/uploads/").await, denied);
    assert_eq!(ask(host, READER, Method::PUT, "/v2/shop/web/manifests/2").await, denied);
    assert_eq!(ask(host, READER, Method::DELETE, "/v2/shop/web/manifests/1").await, denied);
    let anonymous = reqwest::get(format!("http://{host}/v2/")).await.expect("answered");
    assert_eq!(anonymous.headers()["www-authenticate"], "Basic realm=\"Ropeway\"");
    assert_eq!(anonymous.headers()["docker-distribution-api-version"], "registry/2.0");
    assert_eq!(code(anonymous).await, (401, "UNAUTHORIZED".to_owned()));
    assert_eq!(ask(host, "nobody", Method::GET, "/v2/shop/web/manifests/1").await.0, 401);
    assert_eq!(ask(host, "broken", Method::GET, "/v2/").await.0, 503);
    // Paths that mean nothing tell a stranger nothing either.
    assert_eq!(ask(host, "nobody", Method::GET, "/v2/_catalog").await.0, 401);
}

#[tokio::test]
async fn an_upload_belongs_to_who_began_it_and_to_its_repository() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let host = running.host.as_str();
    let begun = request(host, USER, Method::POST, "/v2/web/blobs/uploads/").send().await.expect("answered");
    let upload = begun.headers()["location"].to_str().expect("text").to_owned();
    let unknown = (404, "BLOB_UPLOAD_UNKNOWN".to_owned());
    assert_eq!(ask(host, "omar", Method::GET, &upload).await, unknown);
    assert_eq!(ask(host, "omar", Method::DELETE, &upload).await, unknown);
    assert_eq!(ask(host, USER, Method::GET, &upload.replace("/web/", "/other/")).await, unknown);
    assert_eq!(ask(host, USER, Method::GET, &upload).await.0, 204);
    assert_eq!(ask(host, USER, Method::DELETE, &upload).await.0, 204);
    assert_eq!(ask(host, USER, Method::GET, &upload).await, unknown);
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let host = running.host.as_str();
    let digest = Digest::of(b"x");
    for (method, path, status) in [
        (Method::DELETE, "/v2/web/manifests/1".to_owned(), 405),
        (Method::DELETE, format!("/v2/web/blobs/{digest}"), 405),
        (Method::GET, format!("/v2/web/referrers/{digest}"), 404),
        (Method::GET, "/v2/_catalog".to_owned(), 404),
        (Method::POST, "/v2/web/tags/list".to_owned(), 405),
    ] {
        assert_eq!(ask(host, USER, method, &path).await, (status, "UNSUPPORTED".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn names_and_digests_that_are_not_valid_are_refused() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let host = running.host.as_str();
    let long = format!("/v2/{}/tags/list", "a".repeat(256));
    for (path, code) in [
        ("/v2/Web/manifests/1", "NAME_INVALID"),
        ("/v2/a/%252e%252e/b/manifests/1", "NAME_INVALID"),
        ("/v2/a%2f..%2fb/tags/list", "NAME_INVALID"),
        ("/v2/a/_blobs/manifests/1", "NAME_INVALID"),
        (long.as_str(), "NAME_INVALID"),
        ("/v2/web/blobs/sha256:123", "DIGEST_INVALID"),
        ("/v2/web/blobs/..%2f..%2fetc", "UNSUPPORTED"),
        ("/v2/web/manifests/-a", "MANIFEST_INVALID"),
        ("/v2/web/manifests/sha512:12", "DIGEST_INVALID"),
        ("/v2/web/blobs/uploads/x", "BLOB_UPLOAD_UNKNOWN"),
    ] {
        assert_eq!(ask(host, USER, Method::GET, path).await.1, code, "{path}");
    }
}

#[tokio::test]
async fn everything_has_a_limit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let limits = Limits {
        max_blob_bytes: 100,
        max_manifest_bytes: 1000,
        max_uploads: 3,
        max_uploads_of_one: 2,
        ..Limits::default()
    };
    let now = Arc::new(Mutex::new(support::now()));
    let clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync> = {
        let now = now.clone();
        Arc::new(move || *now.lock().expect("not poisoned"))
    };
    let served = serve(embedded_with(dir.path(), limits, clock)).await;
    let host = served.host();
    let too_large = (413, "SIZE_INVALID".to_owned());

    let put = request(&host, USER, Method::PUT, "/v2/web/manifests/1").body(vec![b' '; 1001]);
    assert_eq!(code(put.send().await.expect("answered")).await, too_large);
    let post = format!("/v2/web/blobs/uploads/?digest={}", Digest::of(b"x"));
    let put = request(&host, USER, Method::POST, &post).body(vec![b'x'; 101]);
    assert_eq!(code(put.send().await.expect("answered")).await, too_large);
    // Also where the length is not announced.
    let pieces = futures::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 10]))));
    let begun = request(&host, USER, Method::POST, "/v2/web/blobs/uploads/").send().await.expect("answered");
    let upload = begun.headers()["location"].to_str().expect("text").to_owned();
    let patch = request(&host, USER, Method::PATCH, &upload).body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(code(patch.send().await.expect("answered")).await, too_large);
    assert_eq!(files(&dir.path().join("registry/uploads")), Vec::<PathBuf>::new());

    let another = || ask(&host, USER, Method::POST, "/v2/web/blobs/uploads/");
    assert_eq!((another().await.0, another().await.0), (202, 202));
    assert_eq!(another().await, (429, "TOOMANYREQUESTS".to_owned()));
    let of_omar = || ask(&host, "omar", Method::POST, "/v2/web/blobs/uploads/");
    assert_eq!((of_omar().await.0, of_omar().await.0), (202, 429), "one owner leaves the others some");
    *now.lock().expect("not poisoned") += TimeDelta::hours(2);
    assert_eq!(another().await.0, 202, "uploads that rest for long make room");
    assert_eq!(files(&dir.path().join("registry/uploads")).len(), 1);
}

#[tokio::test]
async fn what_arrived_of_a_long_request_that_broke_off_is_kept() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let now = Arc::new(Mutex::new(support::now()));
    let clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync> = {
        let now = now.clone();
        Arc::new(move || *now.lock().expect("not poisoned"))
    };
    let served = serve(embedded_with(dir.path(), Limits::default(), clock)).await;
    let host = served.host();
    let begun = request(&host, USER, Method::POST, "/v2/web/blobs/uploads/").send().await.expect("answered");
    let upload = begun.headers()["location"].to_str().expect("text").to_owned();
    let (pieces, arriving) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let body = futures::stream::unfold(arriving, |mut arriving| async {
        let piece = arriving.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), arriving))
    });
    let body = reqwest::Body::wrap_stream(body.chain(futures::stream::pending()));
    let sending = tokio::spawn(request(&host, USER, Method::PATCH, &upload).body(body).send());
    let size = || {
        files(&dir.path().join("registry/uploads"))
            .iter()
            .map(|path| path.metadata().map_or(0, |m| m.len()))
            .sum::<u64>()
    };
    for expected in [5, 10] {
        pieces.send(Bytes::from_static(b"piece")).expect("it is taken");
        eventually("the piece is there", || size() == expected).await;
        *now.lock().expect("not poisoned") += TimeDelta::minutes(50);
    }
    sending.abort();
    let asked = async {
        loop {
            let answer = request(&host, USER, Method::GET, &upload).send().await.expect("answered");
            // The server has not seen yet that the connection is gone.
            if answer.status() != 429 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("soon");
    assert_eq!((answer.status().as_u16(), &answer.headers()["range"]), (204, &"0-9".parse().expect("a header")));
}

#[tokio::test]
async fn an_upload_that_rests_too_long_goes_although_nobody_asks_for_anything() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let limits = Limits { upload_expiry: Duration::from_millis(40), ..Limits::default() };
    let now = Arc::new(Mutex::new(support::now()));
    let clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync> = {
        let now = now.clone();
        Arc::new(move || *now.lock().expect("not poisoned"))
    };
    let served = serve(embedded_with(dir.path(), limits, clock)).await;
    let host = served.host();
    let uploads = dir.path().join("registry/uploads");
    let mut begun = Vec::new();
    for _ in 0..2 {
        let answer = request(&host, USER, Method::POST, "/v2/web/blobs/uploads/").send().await.expect("answered");
        begun.push(answer.headers()["location"].to_str().expect("text").to_owned());
    }
    // One rests after a piece, the other is being written.
    let patch = request(&host, USER, Method::PATCH, &begun[0]).body("abandoned");
    assert_eq!(patch.send().await.expect("answered").status(), 202);
    let body = futures::stream::iter([Ok(Bytes::from_static(b"half of it"))])
        .chain(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let sending = request(&host, USER, Method::PATCH, &begun[1]).body(reqwest::Body::wrap_stream(body)).send();
    let sending = tokio::spawn(sending);
    let sizes = || {
        let sizes = files(&uploads).into_iter().filter_map(|path| std::fs::metadata(path).ok());
        let mut sizes: Vec<u64> = sizes.map(|file| file.len()).collect();
        sizes.sort_unstable();
        sizes
    };
    eventually("both are there", || sizes() == [9, 10]).await;
    *now.lock().expect("not poisoned") += TimeDelta::seconds(1);
    eventually("only the one that is being written is there", || sizes() == [10]).await;
    assert_eq!(ask(&host, USER, Method::GET, &begun[0]).await, (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    sending.abort();
    eventually("the other goes too, once its writer is gone", || sizes().is_empty()).await;
}

#[tokio::test]
async fn a_whole_blob_is_taken_in_one_request() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let digest = Digest::of(b"content");
    let path = format!("/v2/web/blobs/uploads/?digest={digest}");
    let wrong = request(&running.host, USER, Method::POST, &path).body("other").send().await.expect("answered");
    assert_eq!(code(wrong).await, (400, "DIGEST_INVALID".to_owned()));
    let post = request(&running.host, USER, Method::POST, &path).body("content").send().await.expect("answered");
    assert_eq!(post.status(), 201);
    assert_eq!(post.headers()["location"], format!("/v2/web/blobs/{digest}"));
    assert_eq!(running.client().head_blob(&name("web"), &digest).await.expect("asked"), Some(7));
}

/// `docker-registry` 2.8 does not look at ranges.
#[tokio::test]
async fn pieces_come_in_order_only() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let host = running.host.as_str();
    let begun = request(host, USER, Method::POST, "/v2/web/blobs/uploads/").send().await.expect("answered");
    let upload = begun.headers()["location"].to_str().expect("text").to_owned();
    let patch = |range: &'static str, piece: &'static str| {
        request(host, USER, Method::PATCH, &upload).header("Content-Range", range).body(piece).send()
    };
    assert_eq!(patch("0-3", "cont").await.expect("answered").status(), 202);
    for range in ["9-11", "0-2", "3-5"] {
        let answer = patch(range, "ent").await.expect("answered");
        assert_eq!((answer.status().as_u16(), &answer.headers()["range"]), (416, &"0-3".parse().expect("a header")));
        assert_eq!(code(answer).await.1, "BLOB_UPLOAD_INVALID");
    }
    assert_eq!(code(patch("4-7", "ent").await.expect("answered")).await, (400, "SIZE_INVALID".to_owned()));
    assert_eq!(code(patch("x", "ent").await.expect("answered")).await, (400, "BLOB_UPLOAD_INVALID".to_owned()));
    assert_eq!(patch("4-6", "ent").await.expect("answered").status(), 202);
    let put = format!("{upload}?digest={}", Digest::of(b"content"));
    assert_eq!(ask(host, USER, Method::PUT, &put).await.0, 201);
}

#[tokio::test]
async fn a_manifest_that_is_none_is_refused() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let image = sample::image("web", "1", "amd64", &[10]);
    for (_, bytes) in image.blobs() {
        running.client().push_blob(&name("web"), bytes.clone()).await.expect("pushed");
    }
    let text = String::from_utf8(image.manifest.to_vec()).expect("text");
    let invalid = (400, "MANIFEST_INVALID".to_owned());
    for (media_type, body) in [
        (SampleImage::MEDIA_TYPE, "{".to_owned()),
        (SampleImage::MEDIA_TYPE, text.replace("\"schemaVersion\":2", "\"schemaVersion\":1")),
        (SampleImage::MEDIA_TYPE, text.replace("\"layers\"", "\"manifests\":[],\"layers\"")),
        (sample::SampleIndex::MEDIA_TYPE, text.clone()),
        ("text/plain", text.clone()),
        (SampleImage::MEDIA_TYPE, text.replace(&format!("\"size\":{}", image.config.len()), "\"size\":1")),
    ] {
        let put = request(&running.host, USER, Method::PUT, "/v2/web/manifests/1").header("Content-Type", media_type);
        let answer = put.body(body.clone()).send().await.expect("answered");
        assert_eq!(code(answer).await, invalid, "{media_type} {body}");
    }
    let path = format!("/v2/web/manifests/{}", Digest::of(b"other"));
    let put = request(&running.host, USER, Method::PUT, &path).header("Content-Type", SampleImage::MEDIA_TYPE);
    assert_eq!(code(put.body(text).send().await.expect("answered")).await, (400, "DIGEST_INVALID".to_owned()));
}

#[tokio::test]
async fn tags_come_in_pages_with_links() {
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let image = sample::image("web", "1", "amd64", &[10]);
    for text in ["b", "a", "c"] {
        sample::push(&running.client(), &name("web"), &tag(text), &image).await.expect("pushed");
    }
    let page = request(&running.host, USER, Method::GET, "/v2/web/tags/list?n=2").send().await.expect("answered");
    assert_eq!(page.headers()["link"], "</v2/web/tags/list?n=2&last=b>; rel=\"next\"");
    assert_eq!(page.text().await.expect("a body"), r#"{"name":"web","tags":["a","b"]}"#);
    let page = request(&running.host, USER, Method::GET, "/v2/web/tags/list?n=2&last=b").send().await;
    let page = page.expect("answered");
    assert!(page.headers().get("link").is_none());
    assert_eq!(page.text().await.expect("a body"), r#"{"name":"web","tags":["c"]}"#);
    assert_eq!(ask(&running.host, USER, Method::GET, "/v2/web/tags/list?n=x").await.0, 400);
}

#[tokio::test]
async fn a_mount_needs_the_right_to_read_the_other_repository() {
    struct Narrow;
    #[async_trait::async_trait]
    impl ropeway_library::embedded::Authenticator for Narrow {
        async fn authenticate(
            &self,
            username: &str,
            _: &str,
        ) -> Result<Option<ropeway_library::embedded::Subject>, ropeway_library::embedded::Unavailable> {
            let own = name(username);
            Ok(Some(ropeway_library::embedded::Subject::new(username, move |repository, _| *repository == own)))
        }
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = ropeway_library::embedded::Config {
        data_dir: dir.path().to_owned(),
        realm: "r".into(),
        limits: Limits::default(),
    };
    let router =
        ropeway_library::embedded::router(config, Arc::new(Narrow), Arc::new(support::now), Arc::new(support::id));
    let served = serve(router.expect("the folder can be used")).await;
    let as_user = |user: &str| registry(Endpoint::plain(served.host()).with_credentials(user, "x"));
    let digest = as_user("a").push_blob(&name("a"), Bytes::from_static(b"secret")).await.expect("pushed");
    let answer = as_user("b").mount_blob(&name("b"), &digest, &name("a")).await.expect("asked");
    assert!(matches!(answer, Mount::Offered(_)), "{answer:?}");
    assert_eq!(as_user("b").head_blob(&name("b"), &digest).await.expect("asked"), None);
}
