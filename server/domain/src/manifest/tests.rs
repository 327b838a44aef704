//! Manifests that are taken, and manifests that are not.

use super::{provider::foreign, *};
use serde_json::json;
use std::convert::Infallible;
use uuid::Uuid;

fn read(manifest: Json) -> Result<Parsed, InvalidManifest> {
    let Json::Object(manifest) = manifest else { panic!("an object") };
    parse(ResourceKey(Uuid::from_u128(1)), manifest)
}

fn message(manifest: Json) -> String {
    match read(manifest) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn resource(manifest: Json) -> Resource<Value> {
    read(manifest).unwrap().into_resource(|_, _| Ok::<_, Infallible>(SecretId(Uuid::nil()))).unwrap()
}

#[test]
fn what_belongs_to_one_cluster_is_left_out() {
    let taken = resource(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "web", "namespace": "a", "uid": "1", "resourceVersion": "2", "generation": 3,
            "creationTimestamp": null, "managedFields": [], "ownerReferences": [], "finalizers": ["x"],
            "labels": {"app": "web", "ropeway.dev/application": "1", "app.kubernetes.io/managed-by": "ropeway"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
        },
        "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "nodePort": 30000}]},
        "status": {}
    }));
    assert_eq!(
        Json::Object(taken.manifest),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {"ports": [{"port": 80}]}
        })
    );
    let headless = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"clusterIP": "None"}
    });
    assert_eq!(resource(headless.clone()).manifest["spec"], headless["spec"], "a choice is kept");
}

#[test]
fn kinds_that_are_no_resources_are_refused_with_what_to_do_instead() {
    for (api_version, kind, refused) in [
        ("v1", "Pod", true),
        ("apps/v1", "Deployment", true),
        ("apps/v1", "ReplicaSet", true),
        ("apps/v1", "StatefulSet", true),
        ("apps/v1", "DaemonSet", true),
        ("batch/v1", "Job", true),
        ("batch/v1", "CronJob", true),
        ("v1", "Namespace", true),
        ("v1", "Node", true),
        ("v1", "PersistentVolume", true),
        ("v1", "List", true),
        ("v1", "ConfigMapList", true),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", true),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", true),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", true),
        ("storage.k8s.io/v1", "StorageClass", true),
        ("v1", "Event", true),
        ("v1", "ConfigMap", false),
        ("v1", "Service", false),
        ("rbac.authorization.k8s.io/v1", "Role", true),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", true),
        ("networking.k8s.io/v1", "NetworkPolicy", false),
        ("policy/v1", "PodDisruptionBudget", false),
        ("example.org/v1", "Node", false),
        ("example.org/v1alpha1", "Deployment", false),
    ] {
        let result = read(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}));
        assert_eq!(matches!(result, Err(InvalidManifest::Kind { .. })), refused, "{api_version} {kind}");
        assert_eq!(result.is_ok(), !refused, "{api_version} {kind}");
    }
    assert_eq!(
        message(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}})),
        "a Deployment cannot be a Kubernetes resource of an application: add a component, which makes it and keeps it"
    );
}

#[test]
fn what_is_no_object_is_refused_with_the_place() {
    for (manifest, place) in [
        (json!({}), "/apiVersion: "),
        (json!({"apiVersion": 1}), "/apiVersion: "),
        (json!({"apiVersion": "a/b/c", "kind": "A"}), "/apiVersion: "),
        (json!({"apiVersion": "v1"}), "/kind: "),
        (json!({"apiVersion": "v1", "kind": "Config Map"}), "/kind: "),
        (json!({"apiVersion": "v1", "kind": "ConfigMap"}), "/metadata: "),
        (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}), "/metadata/name: "),
        (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}}), "/metadata/name: "),
        (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "../a"}}), "/metadata/name: "),
        (
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"externalIPs": ["1.2.3.4"]}}),
            "/spec/externalIPs: ",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": {"x/y": 1}}}),
            "/metadata/annotations/x~1y: ",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"x": "not base64!"}}),
            "/data/x: ",
        ),
        (json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"x": "/w=="}}), "/data/x: "),
    ] {
        let message = message(manifest);
        assert!(message.starts_with(place), "{place} {message}");
    }
}

#[test]
fn size_and_depth_have_limits() {
    let large = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "x".repeat(MAX_MANIFEST)}
    });
    assert!(matches!(read(large), Err(InvalidManifest::TooLarge { .. })));
    let nested = |depth: usize| {
        let mut deep = json!({});
        for _ in 1..depth {
            deep = json!({ "a": deep });
        }
        read(json!({"apiVersion": "example.org/v1", "kind": "A", "metadata": {"name": "a"}, "spec": deep}))
    };
    assert!(nested(MAX_DEPTH - 1).is_ok());
    assert!(nested(MAX_DEPTH).is_err());
    assert!(nested(1000).is_err());
}

#[test]
fn the_entries_of_a_secret_leave_the_manifest() {
    let parsed = read(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": "Opaque",
        "data": {"user": "cm9vdA==", "both": "b25l"}, "stringData": {"both": "two", "plain": "canary"}
    }))
    .unwrap();
    assert_eq!(parsed.secret_names().collect::<Vec<_>>(), ["both", "plain", "user"]);
    let mut sealed = Vec::new();
    let resource = parsed
        .into_resource(|name, plain| {
            sealed.push((name.to_owned(), plain));
            Ok::<_, Infallible>(SecretId(Uuid::from_u128(sealed.len() as u128)))
        })
        .unwrap();
    let expected = [("both", "two"), ("plain", "canary"), ("user", "root")];
    assert_eq!(sealed, expected.map(|(name, plain)| (name.to_owned(), plain.to_owned())));
    assert_eq!(resource.secret_data[2].value, Value::Sealed { sealed: SecretId(Uuid::from_u128(3)) });
    assert!(!serde_json::to_string(&resource).unwrap().contains("canary"));
}

#[test]
fn keys_of_one_provider_are_named_with_the_intent_to_use_instead() {
    let manifest = |manifest: Json| match manifest {
        Json::Object(manifest) => foreign_keys(&manifest).into_iter().map(|key| (key.key, key.provider)).collect(),
        _ => Vec::new(),
    };
    let annotations = |key: &str| manifest(json!({"metadata": {"annotations": {key: "x"}}}));
    for (key, provider) in [
        ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-id", Some(Provider::Alibaba)),
        ("alb.ingress.kubernetes.io/listen-ports", Some(Provider::Alibaba)),
        ("service.kubernetes.io/qcloud-loadbalancer-internal-subnetid", Some(Provider::Tencent)),
        ("service.kubernetes.io/tke-existed-lbid", Some(Provider::Tencent)),
        ("service.cloud.tencent.com/direct-access", Some(Provider::Tencent)),
        ("kubernetes.io/ingress.qcloud-loadbalance-id", Some(Provider::Tencent)),
        ("kubernetes.io/ingress.existLbId", Some(Provider::Tencent)),
        ("kubernetes.io/ingress.class", None),
        ("nginx.ingress.kubernetes.io/rewrite-target", None),
        ("topology.kubernetes.io/zone", None),
    ] {
        let expected: Vec<_> = provider.into_iter().map(|provider| (key.to_owned(), provider)).collect();
        assert_eq!(annotations(key), expected, "{key}");
    }
    let classes = manifest(json!({"spec": {
        "loadBalancerClass": "alibabacloud.com/nlb", "ingressClassName": "qcloud", "inner": [{"storageClassName": "cbs"}]
    }}));
    let names: Vec<_> = classes.into_iter().map(|(key, _)| key).collect();
    assert_eq!(names, ["ingressClassName: qcloud", "loadBalancerClass: alibabacloud.com/nlb", "storageClassName: cbs"]);
    let key = foreign("service.kubernetes.io/tke-existed-lbid").unwrap();
    assert!(key.to_string().contains("Tencent Cloud: open a TCP route"), "{key}");
}
