//! Server-side apply: ownership, conflicts, removal.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::{Subject, causes};
use crate::workloads::deployment;

on_both!(
    a_conflict_names_owner_and_field,
    force_takes_over,
    what_is_no_longer_applied_goes,
    shared_fields_stay_until_the_last_owner_leaves,
    applying_again_changes_nothing,
    items_of_lists_are_merged_by_their_keys,
    the_status_has_owners_of_its_own,
    a_configuration_that_cannot_be_is_refused,
    a_configuration_may_name_the_object_that_it_means,
    owners_are_recorded_as_the_api_server_does,
);

fn path(space: &str) -> String {
    format!("/apis/apps/v1/namespaces/{space}/deployments/web")
}

fn config(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

async fn a_conflict_names_owner_and_field(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let body = deployment("web", "127.0.0.1:1/none:1", 0);
    let (status, _) = on.apply(&path(&space), "one", &body).await?;
    assert_eq!(status, 201);
    let (status, _) =
        on.merge(&format!("{}?fieldManager=kubectl", path(&space)), &json!({"spec": {"replicas": 1}})).await?;
    assert_eq!(status, 200);
    let (status, answer) = on.apply(&path(&space), "one", &body).await?;
    assert_eq!((status, &answer["reason"]), (409, &json!("Conflict")));
    let message = "Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas";
    assert_eq!(answer["message"], message);
    let cause = json!({
        "reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" using apps/v1", "field": ".spec.replicas",
    });
    assert_eq!(answer["details"]["causes"], json!([cause]));
    let mut other = deployment("web", "127.0.0.1:1/none:2", 5);
    other["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("y");
    let (status, answer) = on.apply(&path(&space), "two", &other).await?;
    assert_eq!(status, 409);
    let message = "Apply failed with 3 conflicts: conflicts with \"kubectl\" using apps/v1:\n- .spec.replicas\nconflicts \
                   with \"one\":\n- .spec.template.spec.containers[name=\"web\"].env[name=\"A\"].value\n- \
                   .spec.template.spec.containers[name=\"web\"].image";
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.replace(": conflicts", ":\nconflicts").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(answer["message"].as_str().unwrap_or_default()), sorted(message));
    Ok(())
}

async fn force_takes_over(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    on.apply(&path(&space), "one", &deployment("web", "127.0.0.1:1/none:1", 0)).await?;
    let body =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 1}});
    assert_eq!(on.apply(&path(&space), "two", &body).await?.0, 409);
    let (status, taken) = on.apply(&format!("{}?force=true", path(&space)), "two", &body).await?;
    assert_eq!((status, &taken["spec"]["replicas"]), (200, &json!(1)));
    let owned = |manager: &str| -> Value {
        let entries = taken["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        entries.into_iter().find(|entry| entry["manager"] == manager).unwrap_or_default()
    };
    assert_eq!(owned("two")["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    assert!(owned("one")["fieldsV1"]["f:spec"].get("f:replicas").is_none());
    let (status, answer) = on.apply(&path(&space), "one", &deployment("web", "127.0.0.1:1/none:1", 0)).await?;
    assert_eq!(status, 409);
    assert_eq!(answer["message"], "Apply failed with 1 conflict: conflict with \"two\": .spec.replicas");
    Ok(())
}

async fn what_is_no_longer_applied_goes(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let path = format!("/api/v1/namespaces/{space}/configmaps/c");
    let mut body = config("c", &json!({"a": "1", "b": "2"}));
    body["metadata"]["labels"] = json!({"x": "y"});
    on.apply(&path, "one", &body).await?;
    on.merge(&path, &json!({"data": {"c": "3"}})).await?;
    let (status, left) = on.apply(&path, "one", &config("c", &json!({"a": "1"}))).await?;
    assert_eq!((status, &left["data"]), (200, &json!({"a": "1", "c": "3"})));
    assert!(left["metadata"].get("labels").is_none(), "{left:#}");
    let bare = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let (_, left) = on.apply(&path, "one", &bare).await?;
    assert_eq!(left["data"], json!({"c": "3"}));
    // A default takes the place of what is no longer applied.
    let deployments = format!("/apis/apps/v1/namespaces/{space}/deployments/web");
    let mut body = deployment("web", "127.0.0.1:1/none:1", 3);
    on.apply(&deployments, "one", &body).await?;
    body["spec"].as_object_mut().expect("a spec").remove("replicas");
    let (_, left) = on.apply(&deployments, "one", &body).await?;
    assert_eq!(left["spec"]["replicas"], 1);
    Ok(())
}

async fn shared_fields_stay_until_the_last_owner_leaves(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let path = format!("/api/v1/namespaces/{space}/configmaps/c");
    on.apply(&path, "one", &config("c", &json!({"a": "1", "b": "2"}))).await?;
    let (status, _) = on.apply(&path, "two", &config("c", &json!({"a": "1"}))).await?;
    assert_eq!(status, 200, "the same value is no conflict");
    let (_, left) = on.apply(&path, "one", &config("c", &json!({"b": "2"}))).await?;
    assert_eq!(left["data"], json!({"a": "1", "b": "2"}));
    let (_, left) = on.apply(&path, "two", &config("c", &json!({"z": "1"}))).await?;
    assert_eq!(left["data"], json!({"b": "2", "z": "1"}));
    Ok(())
}

async fn applying_again_changes_nothing(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let mut body = deployment("web", "127.0.0.1:1/none:1", 0);
    body["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"limits": {"memory": "1024Mi", "cpu": "0.5"}});
    body["spec"]["template"]["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "linux"});
    on.apply(&path(&space), "one", &body).await?;
    on.until(&path(&space), |found| found["status"]["observedGeneration"] == 1).await?;
    // The controllers may still have something to report; then nothing changes any more.
    let (_, mut last) = on.apply(&path(&space), "one", &body).await?;
    let mut same = false;
    for _ in 0..20 {
        let (_, next) = on.apply(&path(&space), "one", &body).await?;
        same = next == last;
        last = next;
        if same {
            break;
        }
    }
    assert!(same, "an apply of the same changes something: {last:#}");
    let third = last;
    assert_eq!(third["metadata"]["generation"], 1);
    assert_eq!(
        third["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"],
        json!({"memory": "1Gi", "cpu": "500m"})
    );
    Ok(())
}

async fn items_of_lists_are_merged_by_their_keys(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let mut one = deployment("web", "127.0.0.1:1/none:1", 0);
    one["metadata"]["finalizers"] = json!(["example.org/one"]);
    on.apply(&path(&space), "one", &one).await?;
    let two = json!({"apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {"name": "web", "finalizers": ["example.org/two"]},
    "spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "127.0.0.1:1/side:1"},
        {"name": "web", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 81}]},
    ]}}}});
    let (status, both) = on.apply(&path(&space), "two", &two).await?;
    assert_eq!(status, 200, "{both:#}");
    assert_eq!(both["metadata"]["finalizers"], json!(["example.org/one", "example.org/two"]));
    let containers = &both["spec"]["template"]["spec"]["containers"];
    let names: Vec<&Value> = containers.as_array().into_iter().flatten().map(|one| &one["name"]).collect();
    assert_eq!(names, ["side", "web"]);
    let web = &containers[1];
    assert_eq!(web["env"], json!([{"name": "A", "value": "x"}, {"name": "B", "value": "2"}]));
    assert_eq!(web["ports"].as_array().map(Vec::len), Some(2));
    assert_eq!(web["image"], "127.0.0.1:1/none:1");
    let mut less = two.clone();
    less["metadata"]["finalizers"] = json!([]);
    less["spec"]["template"]["spec"]["containers"] = json!([{"name": "web", "env": [{"name": "B", "value": "3"}]}]);
    let (_, left) = on.apply(&path(&space), "two", &less).await?;
    assert_eq!(left["metadata"]["finalizers"], json!(["example.org/one"]));
    let containers = &left["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().map(Vec::len), Some(1), "{containers:#}");
    assert_eq!(containers[0]["env"], json!([{"name": "A", "value": "x"}, {"name": "B", "value": "3"}]));
    assert_eq!(containers[0]["ports"].as_array().map(Vec::len), Some(1));
    on.merge(&path(&space), &json!({"metadata": {"finalizers": null}})).await?;
    Ok(())
}

async fn the_status_has_owners_of_its_own(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let path = format!("/api/v1/namespaces/{space}/pods");
    // Nobody else writes its status: its scheduler is not there.
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
        "schedulerName": "nobody", "containers": [{"name": "c", "image": "localhost/none:1"}]}});
    on.create(&path, &pod).await?;
    let status = json!({"status": {"reason": "one"}, "spec": {"nodeName": "taken"}});
    let (code, changed) = on.merge(&format!("{path}/p/status"), &status).await?;
    assert_eq!((code, &changed["status"]["reason"]), (200, &json!("one")), "{changed:#}");
    assert!(changed["spec"].get("nodeName").is_none());
    let (_, changed) = on.merge(&format!("{path}/p"), &json!({"status": {"reason": "two"}})).await?;
    assert_eq!(changed["status"]["reason"], "one", "the status is changed through its own address");
    let entries = changed["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let entry = entries.iter().find(|entry| entry["subresource"] == "status" && entry["manager"] == "tester");
    assert_eq!(entry.map(|entry| &entry["fieldsV1"]), Some(&json!({"f:status": {"f:reason": {}}})));
    Ok(())
}

async fn a_configuration_that_cannot_be_is_refused(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let mut twice = deployment("web", "127.0.0.1:1/none:1", 0);
    let variable = json!({"name": "A", "value": "1"});
    twice["spec"]["template"]["spec"]["containers"][0]["env"] = json!([variable, variable]);
    let mut unknown = deployment("web", "127.0.0.1:1/none:1", 0);
    unknown["spec"]["replica"] = json!(1);
    for (body, part) in
        [(twice, "duplicate entries for key [name=\"A\"]"), (unknown, ".spec.replica: field not declared in schema")]
    {
        let (status, answer) = on.apply(&path(&space), "one", &body).await?;
        assert_eq!(status, 500, "{answer:#}");
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{message}");
    }
    let other = deployment("other", "127.0.0.1:1/none:1", 0);
    assert_eq!(on.apply(&path(&space), "one", &other).await?.0, 400);
    let mut owned = deployment("web", "127.0.0.1:1/none:1", 0);
    owned["metadata"]["managedFields"] = json!([{"manager": "x", "operation": "Apply", "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1", "fieldsV1": {}}]);
    assert_eq!(on.apply(&path(&space), "one", &owned).await?.0, 400);
    Ok(())
}

async fn a_configuration_may_name_the_object_that_it_means(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let path = format!("/api/v1/namespaces/{space}/configmaps/c");
    let made = on.apply(&path, "one", &config("c", &json!({"a": "1"}))).await?.1;
    let mut body = config("c", &json!({"a": "2"}));
    body["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    let (status, answer) = on.apply(&path, "one", &body).await?;
    assert_eq!(status, 422, "{answer:#}");
    // The API server checks what is common to all objects, and then the kind with the same again.
    let mut found = causes(&answer);
    found.dedup();
    assert_eq!(found, [("FieldValueInvalid".to_owned(), "metadata.uid".to_owned())]);
    let message = answer["details"]["causes"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("field is immutable"), "{message}");
    body["metadata"]["uid"] = made["metadata"]["uid"].clone();
    assert_eq!(on.apply(&path, "one", &body).await?.0, 200);
    Ok(())
}

async fn owners_are_recorded_as_the_api_server_does(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/services");
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "labels": {"a": "b"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}});
    let made = on.create(&all, &body).await?;
    let expected = json!({
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {
            "f:internalTrafficPolicy": {},
            "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {
                ".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}},
            "f:selector": {}, "f:sessionAffinity": {}, "f:type": {},
        },
    });
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!(entry["fieldsV1"], expected);
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("tester"), &json!("Update")));
    let (_, applied) = on.apply(&format!("{all}/s"), "one", &body).await?;
    let entries = applied["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["operation"], "Apply");
    let expected = json!({
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}}, "f:selector": {},
        },
    });
    assert_eq!(entries[0]["fieldsV1"], expected);
    Ok(())
}
