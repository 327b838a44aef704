//! How long it takes to copy an image of 64 MiB from one registry to another, with `skopeo` beside it; and once more where
//! all of it is there. Both registries are embedded ones on loopback, in files.
//!
//! `cargo bench -p ropeway-library --bench copy`

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use ropeway_library::{
    Endpoint, Limits, Registry, RepositoryName,
    copy::{self, CopyOptions, CopyRequest},
    digest::Digest,
    embedded::{self, Action, Authenticator, Config, Subject, Unavailable},
    sample,
};
use std::{
    cell::Cell,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};
use uuid::Uuid;

const LAYERS: [usize; 8] = [8 << 20; 8];
const SKOPEO: &str = "/usr/bin/skopeo";
const USER: &str = "jana";
const PASSWORD: &str = "open-sesame";

struct Users;

#[async_trait::async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, _: &str, _: &str) -> Result<Option<Subject>, Unavailable> {
        Ok(Some(Subject::new(USER, |_: &RepositoryName, _: Action| true)))
    }
}

/// A registry that serves as long as its folder is kept.
struct Serving {
    host: String,
    client: Registry,
    _folder: TempDir,
}

fn copying(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("threads");
    let _provider = rustls::crypto::ring::default_provider().install_default();
    let [source, target] = [(); 2].map(|()| runtime.block_on(serve()));
    let image = sample::image("web", "1", "amd64", &LAYERS);
    let (repository, tag) = ("shop/web".parse().expect("a name"), "1".parse().expect("a tag"));
    let pushed = runtime.block_on(sample::push(&source.client, &repository, &tag, &image));
    let digest = pushed.expect("the source takes it");

    let number = Cell::new(0);
    // A repository that has nothing yet.
    let fresh = || {
        number.set(number.get() + 1);
        format!("copies/{}", number.get())
    };
    let ours = |to: &str| runtime.block_on(ropeway(&source.client, &target.client, &repository, to, digest));
    let mut group = criterion.benchmark_group("copying 64 MiB");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Bytes(64 << 20));
    group.bench_function("ropeway", |bencher| bencher.iter(|| ours(&fresh())));
    if Path::new(SKOPEO).exists() {
        group.bench_function("skopeo", |bencher| bencher.iter(|| skopeo(&source.host, &target.host, &fresh())));
    }
    group.finish();

    let mut group = criterion.benchmark_group("copying what is there");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    ours("there");
    group.bench_function("ropeway", |bencher| bencher.iter(|| ours("there")));
    if Path::new(SKOPEO).exists() {
        group.bench_function("skopeo", |bencher| bencher.iter(|| skopeo(&source.host, &target.host, "there")));
    }
    group.finish();
}

async fn serve() -> Serving {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config =
        Config { data_dir: folder.path().to_owned(), realm: "bench".into(), limits: embedded::Limits::default() };
    let router =
        embedded::router(config, Arc::new(Users), Arc::new(now), Arc::new(id)).expect("the folder can be used");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let host = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let endpoint = Endpoint::plain(&host).with_credentials(USER, PASSWORD);
    Serving { host, client: Registry::new(endpoint, Limits::default()).expect("a valid endpoint"), _folder: folder }
}

#[expect(clippy::disallowed_methods, reason = "the clock of the registries")]
fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "the ids of uploads")]
fn id() -> Uuid {
    Uuid::from_u128(rand::random())
}

async fn ropeway(source: &Registry, target: &Registry, from: &RepositoryName, to: &str, digest: Digest) {
    let request = CopyRequest {
        source,
        source_repository: from.clone(),
        digest,
        platforms: None,
        target,
        target_repository: to.parse().expect("a name"),
        tag: Some("1".parse().expect("a tag")),
        mount_from: Vec::new(),
    };
    copy::copy(&request, &CopyOptions::default(), |_| {}).await.expect("copied");
}

fn skopeo(source: &str, target: &str, to: &str) {
    let credentials = format!("{USER}:{PASSWORD}");
    let status = Command::new(SKOPEO)
        .args(["--insecure-policy", "copy", "--quiet", "--preserve-digests"])
        .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
        .args(["--src-creds", &credentials, "--dest-creds", &credentials])
        .args([format!("docker://{source}/shop/web:1"), format!("docker://{target}/{to}:1")])
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("the program starts").success(), "skopeo could not copy");
}

criterion_group!(benches, copying);
criterion_main!(benches);
