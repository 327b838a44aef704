//! `skopeo`, an independent client, pushes to and pulls from the embedded registry.

use crate::support::{PASSWORD, RegistryUnderTest, USER, name, reference, skip};
use ropeway_library::copy::{CopyOptions, measure};
use ropeway_library::digest::Digest;
use ropeway_library::sample::{self, SampleImage, SampleIndex};
use serde_json::json;
use std::path::Path;
use tokio::process::Command;

const PROGRAM: &str = "/usr/bin/skopeo";

#[tokio::test]
async fn an_index_goes_there_and_back_with_the_same_digest() {
    if !Path::new(PROGRAM).exists() {
        return skip("an_index_goes_there_and_back_with_the_same_digest", "skopeo");
    }
    let running = RegistryUnderTest::Embedded.start().await.expect("always there");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let images = ["amd64", "arm64"].map(|architecture| sample::image("web", "1", architecture, &[1000, 300_000]));
    let index = sample::index(&images);
    write_layout(&dir.path().join("out"), &index);
    let credentials = format!("{USER}:{PASSWORD}");
    let (out, back) = (dir.path().join("out"), dir.path().join("back"));
    let remote = format!("docker://{}/shop/web:1", running.host);

    let push = ["--dest-tls-verify=false", "--dest-creds", &credentials, &format!("oci:{}:1", out.display()), &remote];
    skopeo(&push).await;
    let registry = running.client();
    let resolved = registry.resolve(&name("shop/web"), &reference("1")).await.expect("there");
    assert_eq!(resolved.digest, index.digest);
    let plan = measure(&registry, &name("shop/web"), &index.digest, None, &CopyOptions::default()).await;
    assert_eq!(plan.expect("measured").blobs.len(), 6);

    let pull = ["--src-tls-verify=false", "--src-creds", &credentials, &remote, &format!("oci:{}:1", back.display())];
    skopeo(&pull).await;
    let layout: serde_json::Value =
        serde_json::from_slice(&std::fs::read(back.join("index.json")).expect("a file")).expect("JSON");
    assert_eq!(layout["manifests"][0]["digest"], index.digest.to_string());
    for (digest, bytes) in images.iter().flat_map(SampleImage::blobs) {
        assert_eq!(std::fs::read(back.join("blobs/sha256").join(digest.hex())).expect("there"), *bytes);
    }
}

async fn skopeo(arguments: &[&str]) {
    let command = Command::new(PROGRAM)
        .args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"])
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await;
    let output = command.expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An OCI image layout.
fn write_layout(dir: &Path, index: &SampleIndex) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("a folder");
    let write = |digest: Digest, bytes: &[u8]| std::fs::write(blobs.join(digest.hex()), bytes).expect("a file");
    for image in &index.images {
        image.blobs().for_each(|(digest, bytes)| write(digest, bytes));
        write(image.digest, &image.manifest);
    }
    write(index.digest, &index.index);
    let root = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": SampleIndex::MEDIA_TYPE, "digest": index.digest, "size": index.index.len(),
        "annotations": { "org.opencontainers.image.ref.name": "1" },
    }] });
    std::fs::write(dir.join("index.json"), root.to_string()).expect("a file");
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");
}
