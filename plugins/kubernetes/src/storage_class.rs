//! The storage classes of a cluster, and which of them serves a volume.

use crate::{config::StorageClassNames, json::text};
use ropeway_domain::{model::VolumeKind, rendering::VolumeModel};
use serde_json::Value as Json;

/// Provisioners whose volumes many pods on many nodes can write at once, by the documents of their projects.
const MANY_WRITERS: &[&str] = &[
    "cephfs.csi.ceph.com",
    "com.tencent.cloud.csi.cfs",
    "com.tencent.cloud.csi.tcfs.cfs",
    "csi.juicefs.com",
    "driver.longhorn.io",
    "efs.csi.aws.com",
    "file.csi.azure.com",
    "files.controlplane.test",
    "files.playground.ropeway.dev",
    "filestore.csi.storage.gke.io",
    "fsx.csi.aws.com",
    "kubernetes.io/azure-file",
    "kubernetes.io/glusterfs",
    "nasplugin.csi.alibabacloud.com",
    "nfs.csi.k8s.io",
    "rook-ceph.cephfs.csi.ceph.com",
    "smb.csi.k8s.io",
];

/// The name by which provisioners of the project nfs-subdir-external-provisioner begin; each is named by whoever
/// deploys it.
const NFS_SUBDIR: &str = "k8s-sigs.io/nfs-subdir-external-provisioner";

/// The storage classes of a cluster, by name.
#[derive(Debug)]
pub(crate) struct StorageClasses(Vec<Json>);

impl StorageClasses {
    /// Reads what the host knows of the classes.
    pub(crate) fn read(texts: &[String]) -> Self {
        let mut classes: Vec<Json> = texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        classes.sort_by(|a, b| text(a, "/metadata/name").cmp(text(b, "/metadata/name")));
        Self(classes)
    }

    /// Whether a claim of this class (none: of the default class) is bound only once a pod uses it.
    pub(crate) fn waits_for_consumer(&self, class: Option<&str>) -> bool {
        let class = match class {
            Some(name) => self.named(name),
            None => self.default_class(),
        };
        class.is_some_and(|class| text(class, "/volumeBindingMode") == "WaitForFirstConsumer")
    }

    /// The class for a persistent volume: the one a person named, the configured one, or one that fits. `None`: the
    /// default class. An error says why no class fits.
    pub(crate) fn choose(
        &self,
        volume: &VolumeModel,
        configured: &StorageClassNames,
    ) -> Result<Option<String>, String> {
        let named = volume.storage_class.as_ref().or(match volume.kind {
            VolumeKind::Shared => configured.shared.as_ref(),
            _ => configured.exclusive.as_ref(),
        });
        match named {
            Some(name) if self.0.is_empty() || self.named(name).is_some() => Ok(Some(name.clone())),
            Some(name) => Err(format!("the cluster has no storage class {name:?}")),
            None if volume.kind == VolumeKind::Shared => match self.0.iter().find(|class| serves_many(class)) {
                Some(class) => Ok(Some(text(class, "/metadata/name").to_owned())),
                None => Err("no storage class of the cluster is known to serve many writers; configure one as \
                             storageClasses.shared"
                    .to_owned()),
            },
            None if self.0.is_empty() || self.default_class().is_some() => Ok(None),
            None => {
                Err("the cluster has no default storage class; configure one as storageClasses.exclusive".to_owned())
            }
        }
    }

    fn named(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|class| text(class, "/metadata/name") == name)
    }

    fn default_class(&self) -> Option<&Json> {
        let marks = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
        self.0.iter().find(|class| {
            marks.iter().any(|mark| class.pointer("/metadata/annotations").is_some_and(|all| all[*mark] == "true"))
        })
    }
}

fn serves_many(class: &Json) -> bool {
    let provisioner = text(class, "/provisioner");
    MANY_WRITERS.contains(&provisioner) || provisioner.starts_with(NFS_SUBDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn class(name: &str, provisioner: &str, default: bool) -> String {
        let annotations = json!({ "storageclass.kubernetes.io/is-default-class": default.to_string() });
        json!({ "metadata": { "name": name, "annotations": annotations }, "provisioner": provisioner,
            "volumeBindingMode": if default { "WaitForFirstConsumer" } else { "Immediate" } })
        .to_string()
    }

    fn volume(kind: VolumeKind, class: Option<&str>) -> VolumeModel {
        VolumeModel {
            name: "data".to_owned(),
            mount_path: "/data".to_owned(),
            sub_path: None,
            kind,
            size: "1Gi".parse().ok(),
            storage_class: class.map(str::to_owned),
            read_only: false,
            claim: None,
        }
    }

    #[test]
    fn a_class_is_the_named_one_the_configured_one_or_one_that_fits() {
        use VolumeKind::{Exclusive, Shared};
        let disk = class("disk", "disk.example.org", true);
        let spare = class("spare", "disk.example.org", false);
        let files = class("files", "nfs.csi.k8s.io", false);
        let configured = StorageClassNames { exclusive: Some("spare".to_owned()), shared: Some("files".to_owned()) };
        let none = StorageClassNames::default();
        for (classes, config, kind, named, chosen) in [
            (vec![&disk, &files], &none, Exclusive, None, Ok(None)),
            (vec![&disk, &files], &none, Exclusive, Some("files"), Ok(Some("files"))),
            (vec![&disk, &spare], &configured, Exclusive, None, Ok(Some("spare"))),
            (vec![&disk], &configured, Exclusive, None, Err("has no storage class \"spare\"")),
            (vec![&spare], &none, Exclusive, None, Err("no default storage class")),
            (vec![], &none, Exclusive, None, Ok(None)),
            (vec![], &configured, Exclusive, None, Ok(Some("spare"))),
            (vec![&disk, &files], &none, Shared, None, Ok(Some("files"))),
            (vec![&disk, &files], &none, Shared, Some("disk"), Ok(Some("disk"))),
            (vec![&disk], &none, Shared, None, Err("known to serve many writers")),
            (vec![], &none, Shared, None, Err("known to serve many writers")),
            (vec![&disk], &configured, Shared, None, Err("has no storage class \"files\"")),
        ] {
            let classes: Vec<String> = classes.into_iter().cloned().collect();
            let found = StorageClasses::read(&classes).choose(&volume(kind, named), config);
            match (found, chosen) {
                (Ok(found), Ok(chosen)) => assert_eq!(found.as_deref(), chosen),
                (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
                (found, chosen) => panic!("{found:?} instead of {chosen:?} among {classes:?}"),
            }
        }
    }

    #[test]
    fn only_classes_that_say_so_wait_for_a_consumer() {
        let classes = StorageClasses::read(&[class("a", "x", true), class("b", "x", false)]);
        assert!(classes.waits_for_consumer(None));
        assert!(classes.waits_for_consumer(Some("a")));
        assert!(!classes.waits_for_consumer(Some("b")));
        assert!(!classes.waits_for_consumer(Some("unknown")));
    }
}
