//! What is refused, as a table of edits of a component that is well.

use super::*;
use crate::{
    key::{ComponentKey, ResourceKey},
    model::{Component, Resource},
};
use serde_json::{Value as Json, json};

const OWN: &str = "00000000-0000-0000-0000-000000000001";
const OTHER: &str = "00000000-0000-0000-0000-000000000002";

fn well() -> Json {
    json!({
        "key": OWN, "name": "Database", "slug": "db", "kind": "StatefulSet",
        "image": {"reference": "docker.io/library/postgres:18"},
        "environment": [{"name": "POSTGRES_DB", "value": "shop"}],
        "connectionInfo": [{"name": "DB_HOST", "value": [{"host": OWN}]}],
        "ports": [{"number": 5432, "protocol": "TCP", "name": "postgres", "isOpen": true}],
        "volumes": [{"name": "data", "mountPath": "/var/lib/postgresql", "kind": "exclusive", "size": "10Gi"}],
        "configFiles": [{"path": "/etc/postgres.conf", "content": "max_connections = 10", "mode": 420}],
        "probes": [{
            "kind": "readiness", "action": {"tcp": {"port": 5432}}, "initialDelaySeconds": 0, "periodSeconds": 5,
            "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3
        }],
        "resources": {"memoryRequest": "256Mi", "memoryLimit": "512Mi"},
        "scale": {"rule": {"minReplicas": 1, "maxReplicas": 3, "step": 1}, "replicas": 1},
        "attributes": {"nodeSelector": {"disk": "fast"}, "labels": {"tier": "data"}}
    })
}

fn read(json: Json) -> Component<Value> {
    serde_json::from_value(json).unwrap()
}

/// `CODE path` of every problem.
fn shown(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{} {}", problem.code.as_str(), problem.path.join("/"))).collect()
}

fn edited(pointer: &str, value: Json) -> Vec<String> {
    let mut json = well();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match json.pointer_mut(parent).unwrap() {
        Json::Object(fields) => drop(fields.insert(field.to_owned(), value)),
        Json::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    shown(&component(&read(json)))
}

#[test]
fn a_component_that_is_well_has_no_problem() {
    assert_eq!(component(&read(well())), []);
    assert_eq!(edited("/scale/replicas", json!(0)), [""; 0], "stopped");
    assert_eq!(edited("/environment/0/name", json!("a.b-c_1")), [""; 0]);
}

#[test]
fn each_field_has_its_rule() {
    let digits = |count: usize| "1".repeat(count);
    let port = |number: u16, name: &str| json!({"number": number, "protocol": "TCP", "name": name, "isOpen": true});
    let probe = |kind: &str, action: Json, successes: u32| {
        json!({
            "kind": kind, "action": action, "initialDelaySeconds": 0, "periodSeconds": 5, "timeoutSeconds": 1,
            "successThreshold": successes, "failureThreshold": 3
        })
    };
    let variables =
        |count: usize| (0..count).map(|i| json!({"name": format!("A{i}"), "value": ""})).collect::<Vec<_>>();
    for (pointer, value, expected) in [
        ("/name", json!(""), vec!["REQUIRED name"]),
        ("/name", json!("a\nb"), vec!["INVALID name"]),
        ("/name", json!("a".repeat(101)), vec!["TOO_LONG name"]),
        ("/image", json!({"reference": "https://a.b/c"}), vec!["INVALID image/reference"]),
        ("/environment/0/name", json!("1A"), vec!["INVALID environment/0/name"]),
        ("/environment/0/name", json!(""), vec!["INVALID environment/0/name"]),
        ("/environment/0/name", json!("A B"), vec!["INVALID environment/0/name"]),
        ("/environment/0/value", json!("a\0b"), vec!["INVALID environment/0/value"]),
        ("/environment/0/value", json!(digits(MAX_VALUE)), vec![]),
        ("/environment/0/value", json!(digits(MAX_VALUE + 1)), vec!["TOO_LONG environment/0/value"]),
        ("/environment", json!(variables(200)), vec![]),
        ("/environment", json!(variables(201)), vec!["TOO_MANY environment"]),
        (
            "/environment",
            json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
            vec!["DUPLICATE environment/1/name"],
        ),
        ("/environment/0/decision", json!({"generate": {"length": 8}}), vec!["INVALID environment/0/decision"]),
        ("/arguments", json!(vec!["a"; 201]), vec!["TOO_MANY arguments"]),
        ("/ports/0", port(0, "a"), vec!["OUT_OF_RANGE ports/0/number"]),
        ("/ports/0", port(1, "1"), vec!["INVALID ports/0/name"]),
        ("/ports/0", port(1, "a--b"), vec!["INVALID ports/0/name"]),
        ("/ports/0", port(1, "abcdefghijklmnop"), vec!["INVALID ports/0/name"]),
        ("/ports", json!([port(1, "a"), port(1, "b")]), vec!["DUPLICATE ports/1/number"]),
        ("/ports", json!([port(1, "a"), port(2, "a")]), vec!["DUPLICATE ports/1/name"]),
        ("/volumes/0/mountPath", json!("data"), vec!["INVALID volumes/0/mountPath"]),
        ("/volumes/0/mountPath", json!("/a/../b"), vec!["INVALID volumes/0/mountPath"]),
        ("/volumes/0/mountPath", json!("/"), vec!["INVALID volumes/0/mountPath"]),
        ("/volumes/0/subPath", json!("../a"), vec!["INVALID volumes/0/subPath"]),
        ("/volumes/0/name", json!("Data"), vec!["INVALID volumes/0/name"]),
        ("/volumes/0/size", json!(null), vec!["REQUIRED volumes/0/size"]),
        ("/volumes/0/size", json!("0"), vec!["OUT_OF_RANGE volumes/0/size"]),
        ("/volumes/0/sharedFrom", json!(OWN), vec!["INVALID volumes/0/sharedFrom", "INVALID volumes/0/sharedFrom"]),
        ("/configFiles/0/path", json!("etc/a"), vec!["INVALID configFiles/0/path"]),
        ("/configFiles/0/path", json!("/etc/"), vec!["INVALID configFiles/0/path"]),
        ("/configFiles/0/path", json!("/var/lib/postgresql"), vec!["DUPLICATE configFiles/0/path"]),
        ("/configFiles/0/mode", json!(512), vec!["OUT_OF_RANGE configFiles/0/mode"]),
        ("/configFiles/0/content", json!(digits(MAX_FILE)), vec![]),
        ("/configFiles/0/content", json!(digits(MAX_FILE + 1)), vec!["TOO_LONG configFiles/0/content"]),
        (
            "/probes/0",
            probe("liveness", json!({"tcp": {"port": 1}}), 2),
            vec!["OUT_OF_RANGE probes/0/successThreshold"],
        ),
        ("/probes/0", probe("readiness", json!({"tcp": {"port": 1}}), 2), vec![]),
        (
            "/probes/0",
            probe("readiness", json!({"exec": {"command": []}}), 1),
            vec!["REQUIRED probes/0/action/command"],
        ),
        (
            "/probes/0",
            probe("readiness", json!({"http": {"path": "a", "port": 0, "scheme": "HTTP"}}), 1),
            vec!["OUT_OF_RANGE probes/0/action/port", "INVALID probes/0/action/path"],
        ),
        ("/resources/memoryLimit", json!("128Mi"), vec!["OUT_OF_RANGE resources/memoryLimit"]),
        ("/scale/replicas", json!(4), vec!["OUT_OF_RANGE scale/replicas"]),
        ("/scale/rule/step", json!(0), vec!["OUT_OF_RANGE scale/rule"]),
        ("/scale/rule/minReplicas", json!(9), vec!["OUT_OF_RANGE scale/rule"]),
        ("/dependencies", json!([OWN]), vec!["CYCLE dependencies"]),
        ("/attributes", json!({"hostNetwork": true}), vec!["FORBIDDEN attributes/hostNetwork"]),
        ("/attributes", json!({"hostPID": true}), vec!["FORBIDDEN attributes/hostPID"]),
        ("/attributes", json!({"hostIPC": true}), vec!["FORBIDDEN attributes/hostIPC"]),
        (
            "/attributes",
            json!({"securityContext": {"privileged": true}}),
            vec!["FORBIDDEN attributes/securityContext/privileged"],
        ),
        (
            "/attributes",
            json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}}),
            vec!["FORBIDDEN attributes/securityContext/capabilities/add"],
        ),
        (
            "/attributes",
            json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}),
            vec!["FORBIDDEN attributes/volumes/0/hostPath"],
        ),
        ("/attributes", json!({"containers": []}), vec!["UNKNOWN attributes/containers"]),
        ("/attributes", json!({"labels": {"ropeway.dev/x": "1"}}), vec!["RESERVED attributes/labels/ropeway.dev/x"]),
        (
            "/attributes",
            json!({"labels": {"app.kubernetes.io/managed-by": "helm"}}),
            vec!["RESERVED attributes/labels/app.kubernetes.io/managed-by"],
        ),
        ("/attributes", json!({"labels": {"a": "b c"}}), vec!["INVALID attributes/labels/a"]),
        ("/attributes", json!({"annotations": {"a": 1}}), vec!["INVALID attributes/annotations/a"]),
        ("/attributes", json!({"tolerations": {}}), vec!["INVALID attributes/tolerations"]),
        ("/attributes", json!({"env": [{"name": "A", "value": "1"}], "hostAliases": []}), vec![]),
    ] {
        assert_eq!(
            edited(pointer, value.clone()),
            expected,
            "{pointer} {}",
            value.to_string().get(..200).unwrap_or("")
        );
    }
}

#[test]
fn a_component_as_a_whole_has_a_limit() {
    let files: Vec<_> = (0..3).map(|i| json!({"path": format!("/{i}"), "content": "a".repeat(MAX_FILE)})).collect();
    assert_eq!(edited("/configFiles", json!(files)), ["TOO_LONG "]);
}

#[test]
fn all_problems_are_reported_at_once_and_say_what_would_be_right() {
    let mut json = well();
    json["name"] = json!("");
    json["ports"][0]["number"] = json!(0);
    json["attributes"] = json!({"hostNetwork": true});
    let problems = component(&read(json));
    assert_eq!(shown(&problems), ["REQUIRED name", "OUT_OF_RANGE ports/0/number", "FORBIDDEN attributes/hostNetwork"]);
    assert_eq!(problems[1].message, "1 to 65535, not 0");
    assert_eq!(problems[2].message, "a pod on the node's network reaches what other tenants run there");
}

#[test]
fn what_components_name_must_be_there() {
    let other = |edit: fn(&mut Json)| {
        let mut json = well();
        json["key"] = json!(OTHER);
        json["slug"] = json!("web");
        json["connectionInfo"] = json!([]);
        edit(&mut json);
        shown(&application(&[read(well()), read(json)], &[] as &[Resource<Value>]))
    };
    let missing = "00000000-0000-0000-0000-000000000009";
    assert_eq!(other(|_| ()), [""; 0]);
    assert_eq!(other(|json| json["slug"] = json!("db")), ["DUPLICATE components/1/slug"]);
    assert_eq!(other(|json| json["key"] = json!(OWN)), ["DUPLICATE components/1/key"]);
    assert_eq!(other(|json| json["dependencies"] = json!([OWN])), [""; 0]);
    assert_eq!(
        other(|json| json["dependencies"] = json!(["00000000-0000-0000-0000-000000000009"])),
        ["UNKNOWN components/1/dependencies"]
    );
    assert_eq!(
        other(|json| json["environment"][0]["value"] = json!([{"host": "00000000-0000-0000-0000-000000000009"}])),
        ["UNKNOWN components/1/environment/0"]
    );
    assert_eq!(
        other(|json| {
            json["volumes"][0]["kind"] = json!("shared");
            json["volumes"][0]["sharedFrom"] = json!(OWN);
            json["volumes"][0]["name"] = json!("logs");
        }),
        ["UNKNOWN components/1/volumes/0/sharedFrom"]
    );
    assert!(missing.parse::<ComponentKey>().is_ok());
}

#[test]
fn only_a_volume_with_many_writers_is_shared() {
    const OWNER: &str = "INVALID components/1/volumes/0/sharedFrom";
    for (of_owner, kind, expected) in [
        ("shared", "shared", vec![]),
        ("exclusive", "shared", vec![OWNER]),
        ("ephemeral", "shared", vec![OWNER]),
        ("shared", "exclusive", vec![OWNER]),
        ("exclusive", "exclusive", vec![OWNER, OWNER]),
    ] {
        let mut owner = well();
        owner["volumes"][0]["kind"] = json!(of_owner);
        let mut json = well();
        json["key"] = json!(OTHER);
        json["slug"] = json!("web");
        json["volumes"][0]["kind"] = json!(kind);
        json["volumes"][0]["sharedFrom"] = json!(OWN);
        let found = shown(&application(&[read(owner), read(json)], &[] as &[Resource<Value>]));
        assert_eq!(found, expected, "{kind} of {of_owner}");
    }
}

#[test]
fn a_cycle_is_named() {
    let mut one = well();
    one["dependencies"] = json!([OTHER]);
    let mut two = well();
    two["key"] = json!(OTHER);
    two["slug"] = json!("web");
    two["name"] = json!("Web");
    two["dependencies"] = json!([OWN]);
    let problems = application(&[read(one), read(two)], &[] as &[Resource<Value>]);
    assert_eq!(shown(&problems), ["CYCLE components"]);
    assert_eq!(problems[0].message, "these components wait for each other: Database -> Web -> Database");
}

#[test]
fn a_resource_says_the_same_as_its_manifest_and_keeps_secrets_apart() {
    let read = |json: Json| serde_json::from_value::<Resource<Value>>(json).unwrap();
    let key = ResourceKey("00000000-0000-0000-0000-000000000003".parse().unwrap());
    let config = |name: &str| {
        json!({
            "key": key, "apiVersion": "v1", "kind": "ConfigMap", "name": "a",
            "manifest": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        })
    };
    assert_eq!(shown(&resource(&read(config("a")))), [""; 0]);
    assert_eq!(shown(&resource(&read(config("b")))), ["INVALID manifest/name"]);
    let mut secret = config("a");
    secret["secretData"] = json!([{"name": "A", "value": "1"}]);
    assert_eq!(shown(&resource(&read(secret))), ["INVALID secretData"]);
    let secret = json!({
        "key": key, "apiVersion": "v1", "kind": "Secret", "name": "a",
        "manifest": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {}},
        "secretData": [{"name": "a/b", "value": "1"}, {"name": "x", "value": "1"}, {"name": "x", "value": "1"}]
    });
    assert_eq!(
        shown(&resource(&read(secret))),
        ["INVALID manifest/data", "INVALID secretData/0/name", "DUPLICATE secretData/2/name"]
    );
}
