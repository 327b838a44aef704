//! Builds the drivers that are part of the product and makes them components, which the library embeds.

mod component;

use std::{env, path::PathBuf};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = manifest.ancestors().nth(2).expect("the crate is in server/ of the workspace").to_owned();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for path in ["Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    for path in ["domain/Cargo.toml", "domain/src", "drivers/build.rs", "drivers/component.rs"] {
        println!("cargo::rerun-if-changed={}", root.join("server").join(path).display());
    }
    for path in ["kubernetes/Cargo.toml", "kubernetes/src", "sdk/Cargo.toml", "sdk/src", "wit/driver.wit"] {
        println!("cargo::rerun-if-changed={}", root.join("plugins").join(path).display());
    }
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");

    let target = component::target_folder(&out);
    let bytes = component::build(
        &root,
        &target,
        &["--package", "ropeway-driver-kubernetes", "--lib"],
        "ropeway_driver_kubernetes",
    )
    .unwrap_or_else(|problem| panic!("\n\ncannot build the driver for Kubernetes: {problem}\n"));
    let file = out.join("kubernetes.wasm");
    if std::fs::read(&file).ok().as_deref() != Some(bytes.as_slice()) {
        std::fs::write(&file, bytes).expect("OUT_DIR can be written");
    }
    println!("cargo::rustc-env=ROPEWAY_KUBERNETES_COMPONENT={}", file.display());
}
