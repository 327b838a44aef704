//! Checks of volumes and configuration files.

use super::{
    Code, Content, MAX_FILE,
    checker::Checker,
    component::{decision, value},
    runtime::not_zero,
    syntax,
};
use crate::{
    key::ComponentKey,
    model::{ConfigFile, Volume, VolumeKind},
};
use std::collections::BTreeSet;

const MAX_VOLUMES: usize = 32;
const MAX_FILES: usize = 64;

pub(super) fn volumes(c: &mut Checker, component: ComponentKey, volumes: &[Volume]) {
    let mut names = BTreeSet::new();
    let mut paths = BTreeSet::new();
    c.each("volumes", volumes, MAX_VOLUMES, |c, volume| {
        if !syntax::is_dns_label(&volume.name) {
            c.field("name", Code::Invalid, "1 to 63 lower-case letters, digits and \"-\" between them");
        }
        c.unique("name", &mut names, volume.name.clone(), "name");
        if !syntax::is_absolute_path(&volume.mount_path) || volume.mount_path == "/" {
            c.field("mountPath", Code::Invalid, "an absolute path below \"/\", without \".\" and \"..\"");
        }
        // Kubernetes cannot have a mount path with a colon.
        if volume.mount_path.contains(':') {
            c.field("mountPath", Code::Invalid, "without \":\"");
        }
        c.unique("mountPath", &mut paths, volume.mount_path.trim_end_matches('/').to_owned(), "mount path");
        if volume.sub_path.as_ref().is_some_and(|path| !syntax::is_relative_path(path)) {
            c.field("subPath", Code::Invalid, "a relative path without \".\" and \"..\"");
        }
        not_zero(c, "size", volume.size.as_ref());
        if let Some(owner) = volume.shared_from {
            if owner == component {
                c.field("sharedFrom", Code::Invalid, "another component; leave it out for a volume of its own");
            }
            if volume.kind != VolumeKind::Shared {
                c.field(
                    "sharedFrom",
                    Code::Invalid,
                    "only a volume with many writers can be that of another component",
                );
            }
        } else if volume.kind.is_persistent() && volume.size.is_none() {
            c.field("size", Code::Required, "a volume that outlives its pods needs a size");
        }
        if volume.storage_class.as_ref().is_some_and(|class| !syntax::is_dns_subdomain(class)) {
            c.field("storageClass", Code::Invalid, "the name of a storage class");
        }
        if volume.storage_class.is_some() && !volume.kind.is_persistent() {
            c.field("storageClass", Code::Invalid, "only volumes that outlive their pods have a storage class");
        }
    });
}

pub(super) fn config_files<V: Content>(c: &mut Checker, files: &[ConfigFile<V>], volumes: &[Volume]) {
    let mut paths = BTreeSet::new();
    c.each("configFiles", files, MAX_FILES, |c, file| {
        if !syntax::is_absolute_path(&file.path) || file.path.ends_with('/') {
            c.field("path", Code::Invalid, "the absolute path of a file, without \".\" and \"..\"");
        }
        if file.path.contains(':') {
            c.field("path", Code::Invalid, "without \":\"");
        }
        if volumes.iter().any(|volume| volume.mount_path.trim_end_matches('/') == file.path) {
            c.field("path", Code::Duplicate, "a volume is mounted at the same path");
        }
        c.unique("path", &mut paths, file.path.clone(), "path");
        c.at("content", |c| value(c, &file.content, MAX_FILE));
        if file.mode.is_some_and(|mode| mode > 0o777) {
            c.field("mode", Code::OutOfRange, "permission bits from 0 to 511 (0777)");
        }
        c.at("decision", |c| decision(c, file.decision.as_ref()));
    });
}
