//! Reading and writing objects: names, versions, selectors, pages, rules.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::{Subject, causes};
use crate::workloads::deployment;

on_both!(
    an_object_is_written_under_its_version,
    lists_are_chosen_and_paged,
    what_is_invalid_is_refused_with_its_causes,
    what_is_immutable_stays,
    a_dry_run_leaves_nothing,
    unknown_fields_are_refused_or_dropped,
    a_quota_refuses_what_is_too_much,
    nothing_is_created_where_there_is_no_namespace,
    patches_that_are_not_understood_are_refused,
    a_deletion_keeps_its_preconditions,
    a_secret_is_stored_as_kubernetes_does,
    zeros_are_left_out_where_they_say_nothing,
    zeros_of_defaulted_fields_are_defaulted,
    a_quota_refuses_what_grows_too_much,
    what_is_left_out_is_chosen_by_its_zero,
    namespaces_go_one_by_one,
    the_documents_say_that_fields_are_checked,
);

fn config(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

async fn an_object_is_written_under_its_version(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/configmaps");
    let one = format!("{all}/a");
    let made = on.create(&all, &config("a", &json!({"k": "1"}))).await?;
    let (status, answer) = on.post(&all, &config("a", &json!({}))).await?;
    assert_eq!((status, &answer["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(answer["message"], "configmaps \"a\" already exists");
    let mut newer = made.clone();
    newer["data"]["k"] = json!("2");
    let (status, newer) = on.put(&one, &newer).await?;
    assert_eq!(status, 200);
    assert_ne!(newer["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
    assert_eq!(newer["metadata"]["uid"], made["metadata"]["uid"]);
    let mut stale = made.clone();
    stale["data"]["k"] = json!("3");
    let (status, answer) = on.put(&one, &stale).await?;
    assert_eq!((status, &answer["reason"]), (409, &json!("Conflict")));
    let (_, again) = on.put(&one, &newer).await?;
    assert_eq!(again["metadata"]["resourceVersion"], newer["metadata"]["resourceVersion"], "nothing changed");
    let (status, merged) = on.merge(&one, &json!({"data": {"k": null, "l": "x"}})).await?;
    assert_eq!((status, &merged["data"]), (200, &json!({"l": "x"})));
    let generated = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}});
    let generated = on.create(&all, &generated).await?;
    assert!(generated["metadata"]["name"].as_str().is_some_and(|name| name.len() == 9 && name.starts_with("gen-")));
    assert_eq!(on.delete(&one, &json!({})).await?.0, 200);
    let (status, answer) = on.get(&one).await?;
    assert_eq!((status, &answer["reason"], &answer["code"]), (404, &json!("NotFound"), &json!(404)));
    assert_eq!(answer["details"], json!({"name": "a", "kind": "configmaps"}));
    Ok(())
}

async fn lists_are_chosen_and_paged(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/secrets");
    for n in 0..5 {
        let labels = json!({"n": n.to_string(), "odd": (n % 2 == 1).to_string()});
        let body =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("s{n}"), "labels": labels}});
        on.create(&all, &body).await?;
    }
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    for (query, expected) in [
        ("labelSelector=odd%3Dtrue", vec!["s1", "s3"]),
        ("labelSelector=n+in+(0,4),odd!%3Dtrue", vec!["s0", "s4"]),
        ("labelSelector=!odd", vec![]),
        ("fieldSelector=metadata.name%3Ds2", vec!["s2"]),
        ("fieldSelector=metadata.name!%3Ds2&labelSelector=odd%3Dfalse", vec!["s0", "s4"]),
    ] {
        let (status, list) = on.get(&format!("{all}?{query}")).await?;
        assert_eq!((status, names(&list)), (200, expected.iter().map(|name| (*name).to_owned()).collect()), "{query}");
    }
    let (_, first) = on.get(&format!("{all}?limit=2")).await?;
    assert_eq!(names(&first), ["s0", "s1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    on.delete(&format!("{all}/s3"), &json!({})).await?;
    let next = first["metadata"]["continue"].as_str().unwrap_or_default();
    let (_, second) = on.get(&format!("{all}?limit=9&continue={next}")).await?;
    assert_eq!(names(&second), ["s2", "s3", "s4"], "a list goes on at its version");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(on.get(&format!("{all}?fieldSelector=spec.none%3Da")).await?.0, 400);
    assert_eq!(on.get(&format!("{all}?labelSelector=a+b")).await?.0, 400);
    Ok(())
}

async fn what_is_invalid_is_refused_with_its_causes(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let pair = |reason: &str, field: &str| (reason.to_owned(), field.to_owned());
    let change = |make: &dyn Fn(&mut Value)| {
        let mut body = deployment("web", "127.0.0.1:1/none:1", 1);
        make(&mut body);
        body
    };
    let (invalid, required, duplicate) = ("FieldValueInvalid", "FieldValueRequired", "FieldValueDuplicate");
    for (body, expected) in [
        (change(&|body| body["metadata"]["name"] = json!("Web_1")), vec![pair(invalid, "metadata.name")]),
        (change(&|body| body["spec"]["replicas"] = json!(-1)), vec![pair(invalid, "spec.replicas")]),
        (
            change(&|body| body["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"})),
            vec![pair(invalid, "spec.template.metadata.labels")],
        ),
        (
            change(&|body| body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("")),
            vec![pair(required, "spec.template.spec.containers[0].image")],
        ),
        (
            change(&|body| {
                let one = body["spec"]["template"]["spec"]["containers"][0].clone();
                body["spec"]["template"]["spec"]["containers"] = json!([one, one]);
            }),
            vec![pair(duplicate, "spec.template.spec.containers[1].name")],
        ),
        (
            change(&|body| {
                let mounts = json!([{"name": "none", "mountPath": "/data"}]);
                body["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = mounts;
            }),
            vec![pair("FieldValueNotFound", "spec.template.spec.containers[0].volumeMounts[0].name")],
        ),
        (
            change(&|body| {
                let amounts = json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}});
                body["spec"]["template"]["spec"]["containers"][0]["resources"] = amounts;
            }),
            vec![pair(invalid, "spec.template.spec.containers[0].resources.requests")],
        ),
    ] {
        let (status, answer) = on.post(&format!("/apis/apps/v1/namespaces/{space}/deployments"), &body).await?;
        assert_eq!((status, &answer["reason"]), (422, &json!("Invalid")), "{answer:#}");
        assert_eq!(causes(&answer), expected, "{answer:#}");
    }
    let wrong = change(&|body| body["spec"]["replicas"] = json!("two"));
    let (status, answer) = on.post(&format!("/apis/apps/v1/namespaces/{space}/deployments"), &wrong).await?;
    assert_eq!((status, &answer["reason"]), (400, &json!("BadRequest")), "{answer:#}");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": []}});
    let (status, answer) = on.post(&format!("/api/v1/namespaces/{space}/services"), &service).await?;
    assert_eq!((status, causes(&answer)), (422, vec![pair(required, "spec.ports")]));
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {}});
    let (status, answer) = on.post(&format!("/api/v1/namespaces/{space}/persistentvolumeclaims"), &claim).await?;
    assert_eq!(status, 422);
    assert_eq!(causes(&answer), [pair(required, "spec.accessModes"), pair(required, "spec.resources[storage]")]);
    Ok(())
}

async fn what_is_immutable_stays(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let apps = format!("/apis/apps/v1/namespaces/{space}");
    let core = format!("/api/v1/namespaces/{space}");
    on.create(&format!("{apps}/deployments"), &deployment("web", "127.0.0.1:1/none:1", 0)).await?;
    let labels = json!({"app": "other"});
    let patch = json!({"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}});
    let (status, answer) = on.merge(&format!("{apps}/deployments/web"), &patch).await?;
    assert_eq!(status, 422);
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("Deployment.apps \"web\" is invalid: spec.selector: Invalid value: "), "{message}");
    assert!(message.ends_with("field is immutable"), "{message}");
    let mut fixed = config("fixed", &json!({"a": "1"}));
    fixed["immutable"] = json!(true);
    on.create(&format!("{core}/configmaps"), &fixed).await?;
    let (status, answer) = on.merge(&format!("{core}/configmaps/fixed"), &json!({"data": {"a": "2"}})).await?;
    assert_eq!(status, 422);
    let message = "ConfigMap \"fixed\" is invalid: data: Forbidden: field is immutable when `immutable` is set";
    assert_eq!(answer["message"], message);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "typed"}});
    on.create(&format!("{core}/secrets"), &secret).await?;
    assert_eq!(on.merge(&format!("{core}/secrets/typed"), &json!({"type": "other"})).await?.0, 422);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    on.create(&format!("{core}/persistentvolumeclaims"), &claim).await?;
    let patch = json!({"spec": {"accessModes": ["ReadWriteMany"]}});
    let (status, answer) = on.merge(&format!("{core}/persistentvolumeclaims/c"), &patch).await?;
    assert_eq!(status, 422);
    assert_eq!(causes(&answer), [("FieldValueForbidden".to_owned(), "spec".to_owned())]);
    Ok(())
}

async fn a_dry_run_leaves_nothing(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/configmaps");
    let (status, made) = on.post(&format!("{all}?dryRun=All"), &config("a", &json!({}))).await?;
    assert_eq!(status, 201);
    assert!(made["metadata"]["uid"].is_string());
    assert_eq!(on.get(&format!("{all}/a")).await?.0, 404);
    on.create(&all, &config("a", &json!({"k": "1"}))).await?;
    let (status, patched) = on.merge(&format!("{all}/a?dryRun=All"), &json!({"data": {"k": "2"}})).await?;
    assert_eq!((status, &patched["data"]["k"]), (200, &json!("2")));
    assert_eq!(on.delete(&format!("{all}/a"), &json!({"dryRun": ["All"]})).await?.0, 200);
    let (status, found) = on.get(&format!("{all}/a")).await?;
    assert_eq!((status, &found["data"]["k"]), (200, &json!("1")));
    Ok(())
}

async fn unknown_fields_are_refused_or_dropped(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/apis/apps/v1/namespaces/{space}/deployments");
    let mut body = deployment("web", "127.0.0.1:1/none:1", 0);
    body["spec"]["replica"] = json!(3);
    let (status, answer) = on.post(&format!("{all}?fieldValidation=Strict"), &body).await?;
    assert_eq!(status, 400);
    let message = "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \
                   \"spec.replica\"";
    assert_eq!(answer["message"], message);
    let made = on.create(&all, &body).await?;
    assert!(made["spec"].get("replica").is_none());
    Ok(())
}

async fn a_quota_refuses_what_is_too_much(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"pods": "1", "requests.memory": "1Gi"}}});
    on.create(&format!("{core}/resourcequotas"), &quota).await?;
    on.until(&format!("{core}/resourcequotas/q"), |quota| quota["status"]["used"]["pods"] == "0").await?;
    let pod = |name: &str, memory: &Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [
            {"name": "c", "image": "127.0.0.1:1/none:1", "resources": {"requests": {"memory": memory}}}]}})
    };
    let pods = format!("{core}/pods");
    let (status, answer) = on.post(&pods, &pod("big", &json!("2Gi"))).await?;
    assert_eq!((status, &answer["reason"]), (403, &json!("Forbidden")));
    let message = "pods \"big\" is forbidden: exceeded quota: q, requested: requests.memory=2Gi, used: requests.memory=0, \
                   limited: requests.memory=1Gi";
    assert_eq!(answer["message"], message);
    let mut bare = pod("bare", &json!("1Gi"));
    bare["spec"]["containers"][0]["resources"] = json!({});
    let (status, answer) = on.post(&pods, &bare).await?;
    assert_eq!(status, 403);
    let message = "pods \"bare\" is forbidden: failed quota: q: must specify requests.memory for: c";
    assert_eq!(answer["message"], message);
    on.create(&pods, &pod("one", &json!("1Gi"))).await?;
    let (status, answer) = on.post(&pods, &pod("two", &json!("0"))).await?;
    assert_eq!(status, 403);
    assert_eq!(
        answer["message"],
        "pods \"two\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
    );
    let used = |quota: &Value| quota["status"]["used"] == json!({"pods": "1", "requests.memory": "1Gi"});
    on.until(&format!("{core}/resourcequotas/q"), used).await?;
    Ok(())
}

async fn nothing_is_created_where_there_is_no_namespace(on: Subject) -> Result<()> {
    let (status, answer) = on.post("/api/v1/namespaces/nowhere/configmaps", &config("a", &json!({}))).await?;
    assert_eq!((status, &answer["message"]), (404, &json!("namespaces \"nowhere\" not found")));
    let (status, list) = on.get("/api/v1/namespaces/nowhere/configmaps").await?;
    assert_eq!((status, list["items"].as_array().map(Vec::len)), (200, Some(0)));
    let (status, answer) = on.post("/api/v1/namespaces/default/configmaps", &config("A b", &json!({}))).await?;
    assert_eq!((status, causes(&answer).len()), (422, 1));
    assert_eq!(on.get("/apis/none.example/v1/things").await?.0, 404);
    Ok(())
}

async fn patches_that_are_not_understood_are_refused(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let path = format!("/api/v1/namespaces/{space}/configmaps/kube-root-ca.crt");
    let (status, answer) = on.call("PATCH", &path, "application/x-none", Some(&json!({}))).await?;
    assert_eq!((status, &answer["reason"]), (415, &json!("UnsupportedMediaType")));
    let (status, answer) = on.call("PATCH", &path, "application/apply-patch+yaml", Some(&json!({}))).await?;
    assert_eq!((status, &answer["reason"]), (422, &json!("Invalid")), "an apply names its manager");
    assert_eq!(on.call("POST", &path, "application/json", Some(&json!({}))).await?.0, 405);
    for patch in [json!([]), json!("text"), json!(7)] {
        assert_eq!(on.merge(&path, &patch).await?.0, 400, "{patch}");
    }
    for patch in [json!({"metadata": "text"}), json!({"metadata": []}), json!({"data": 7})] {
        let (status, answer) = on.merge(&path, &patch).await?;
        assert_eq!((status, &answer["reason"]), (422, &json!("Invalid")), "{patch}: {answer:#}");
    }
    if on.playground.is_some() {
        for content in ["application/json-patch+json", "application/strategic-merge-patch+json"] {
            assert_eq!(on.call("PATCH", &path, content, Some(&json!([]))).await?.0, 415, "{content}");
        }
        let log = on.get(&format!("/api/v1/namespaces/{space}/pods/none/log")).await?;
        assert_eq!(log.0, 501);
    }
    Ok(())
}

async fn a_deletion_keeps_its_preconditions(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/configmaps");
    let made = on.create(&all, &config("a", &json!({}))).await?;
    let one = format!("{all}/a");
    let (status, answer) = on.delete(&one, &json!({"preconditions": {"uid": "another"}})).await?;
    assert_eq!((status, &answer["reason"]), (409, &json!("Conflict")));
    let uid = made["metadata"]["uid"].clone();
    assert_eq!(on.delete(&one, &json!({"preconditions": {"uid": uid, "resourceVersion": "1"}})).await?.0, 409);
    on.merge(&one, &json!({"metadata": {"finalizers": ["example.org/wait"]}})).await?;
    let (status, going) = on.delete(&one, &json!({"preconditions": {"uid": uid}})).await?;
    assert_eq!(status, 200);
    assert!(going["metadata"]["deletionTimestamp"].is_string(), "{going:#}");
    assert_eq!(on.get(&one).await?.0, 200, "a finalizer holds it");
    on.merge(&one, &json!({"metadata": {"finalizers": null}})).await?;
    assert_eq!(on.get(&one).await?.0, 404);
    Ok(())
}

async fn a_secret_is_stored_as_kubernetes_does(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/secrets");
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}});
    let made = on.create(&all, &body).await?;
    assert_eq!((&made["data"], &made["type"]), (&json!({"k": "dg=="}), &json!("Opaque")));
    assert!(made.get("stringData").is_none());
    let bad = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "data": {"k": "%"}});
    assert_eq!(on.post(&all, &bad).await?.0, 400);
    let mut docker = on.registry.secret("d");
    docker["data"] = json!({});
    let (status, answer) = on.post(&all, &docker).await?;
    assert_eq!(status, 422);
    assert_eq!(causes(&answer), [("FieldValueRequired".to_owned(), "data[.dockerconfigjson]".to_owned())]);
    for (content, expected) in [("{", 422), ("", 422), ("[]", 422), ("null", 201)] {
        docker["data"] = json!({});
        docker["stringData"] = json!({".dockerconfigjson": content});
        let (status, answer) = on.post(&all, &docker).await?;
        assert_eq!(status, expected, "{content:?}: {answer:#}");
        if expected == 422 {
            assert_eq!(causes(&answer), [("FieldValueInvalid".to_owned(), "data[.dockerconfigjson]".to_owned())]);
        }
    }
    Ok(())
}

async fn zeros_are_left_out_where_they_say_nothing(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let path = format!("/apis/apps/v1/namespaces/{space}/deployments");
    let mut wanted = deployment("web", "localhost/none:1", 0);
    let container = &mut wanted["spec"]["template"]["spec"]["containers"][0];
    container["readinessProbe"] = json!({"tcpSocket": {"port": 80}, "initialDelaySeconds": 0, "periodSeconds": 5});
    container["stdin"] = json!(false);
    container["args"] = json!([]);
    container["env"] = json!([{"name": "EMPTY", "value": ""}]);
    container["ports"] = json!([{"containerPort": 80, "hostPort": 0}]);
    wanted["spec"]["template"]["spec"]["hostNetwork"] = json!(false);
    wanted["spec"]["template"]["spec"]["nodeSelector"] = json!({});
    let (status, made) = on.apply(&format!("{path}/web"), "ropeway", &wanted).await?;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["spec"]["replicas"], 0);
    let pod = &made["spec"]["template"]["spec"];
    assert_eq!((pod.get("hostNetwork"), pod.get("nodeSelector")), (None, None));
    let container = &pod["containers"][0];
    assert_eq!((container.get("stdin"), container.get("args")), (None, None));
    assert_eq!(container["env"], json!([{"name": "EMPTY"}]));
    assert_eq!(container["ports"], json!([{"containerPort": 80, "protocol": "TCP"}]));
    let probe = json!({"tcpSocket": {"port": 80}, "periodSeconds": 5, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3});
    assert_eq!(container["readinessProbe"], probe);
    Ok(())
}

async fn zeros_of_defaulted_fields_are_defaulted(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let mut wanted = deployment("web", "localhost/none:1", 0);
    wanted["spec"]["minReadySeconds"] = json!(0);
    wanted["spec"]["strategy"] = json!({"type": ""});
    let pod = &mut wanted["spec"]["template"]["spec"];
    for field in ["restartPolicy", "dnsPolicy", "schedulerName"] {
        pod[field] = json!("");
    }
    let container = &mut pod["containers"][0];
    for field in ["terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy"] {
        container[field] = json!("");
    }
    container["ports"] = json!([{"containerPort": 80, "protocol": ""}]);
    container["livenessProbe"] = json!({"httpGet": {"port": 80, "path": "", "scheme": ""}, "failureThreshold": 0,
        "timeoutSeconds": 0, "periodSeconds": 0, "successThreshold": 0});
    let made = on.create(&format!("/apis/apps/v1/namespaces/{space}/deployments"), &wanted).await?;
    assert!(made["spec"].get("minReadySeconds").is_none());
    assert_eq!(made["spec"]["strategy"]["type"], "RollingUpdate");
    let pod = &made["spec"]["template"]["spec"];
    let found = ["restartPolicy", "dnsPolicy", "schedulerName"].map(|field| pod[field].clone());
    assert_eq!(found, [json!("Always"), json!("ClusterFirst"), json!("default-scheduler")]);
    let container = &pod["containers"][0];
    let found =
        ["terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy"].map(|field| container[field].clone());
    assert_eq!(found, [json!("/dev/termination-log"), json!("File"), json!("IfNotPresent")]);
    assert_eq!(container["ports"], json!([{"containerPort": 80, "protocol": "TCP"}]));
    let probe = json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "failureThreshold": 3, "timeoutSeconds": 1,
        "periodSeconds": 10, "successThreshold": 1});
    assert_eq!(container["livenessProbe"], probe);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {
        "type": "", "sessionAffinity": "", "ports": [{"port": 80, "protocol": "", "targetPort": 0, "name": ""}]}});
    let made = on.create(&format!("/api/v1/namespaces/{space}/services"), &service).await?;
    assert_eq!((&made["spec"]["type"], &made["spec"]["sessionAffinity"]), (&json!("ClusterIP"), &json!("None")));
    assert_eq!(made["spec"]["ports"], json!([{"port": 80, "protocol": "TCP", "targetPort": 80}]));
    Ok(())
}

async fn a_quota_refuses_what_grows_too_much(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let core = format!("/api/v1/namespaces/{space}");
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"services.loadbalancers": "0", "services.nodeports": "1"}}});
    on.create(&format!("{core}/resourcequotas"), &quota).await?;
    on.until(&format!("{core}/resourcequotas/q"), |quota| quota["status"]["used"]["services.nodeports"] == "0").await?;
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    on.create(&format!("{core}/services"), &service).await?;
    let (status, answer) = on.merge(&format!("{core}/services/s"), &json!({"spec": {"type": "LoadBalancer"}})).await?;
    assert_eq!(status, 403);
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains("exceeded quota: q, requested: services.loadbalancers=1"), "{message}");
    let (status, answer) = on.merge(&format!("{core}/services/s"), &json!({"spec": {"type": "NodePort"}})).await?;
    assert_eq!(status, 200, "{answer:#}");
    let used = |quota: &Value| quota["status"]["used"]["services.nodeports"] == "1";
    on.until(&format!("{core}/resourcequotas/q"), used).await?;
    let two = json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}});
    assert_eq!(on.merge(&format!("{core}/services/s"), &two).await?.0, 403);
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}, "min": {"cpu": "10m"}}]}});
    let made = on.create(&format!("{core}/limitranges"), &range).await?;
    let limit = &made["spec"]["limits"][0];
    assert_eq!(
        (&limit["default"], &limit["defaultRequest"]),
        (&json!({"memory": "1Gi"}), &json!({"cpu": "10m", "memory": "1Gi"}))
    );
    Ok(())
}

async fn what_is_left_out_is_chosen_by_its_zero(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let sets = format!("/apis/apps/v1/namespaces/{space}/replicasets");
    assert_eq!(on.get(&format!("{sets}?fieldSelector=status.replicas%3D0")).await?.0, 400, "that is for others");
    let (status, nodes) = on.get("/api/v1/nodes?fieldSelector=spec.unschedulable%3Dfalse").await?;
    assert_eq!((status, nodes["items"].as_array().map(Vec::len)), (200, Some(3)));
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"suspend": true,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "localhost/none:1"}]}}}});
    let jobs = format!("/apis/batch/v1/namespaces/{space}/jobs");
    on.create(&jobs, &job).await?;
    let (status, list) = on.get(&format!("{jobs}?fieldSelector=status.successful%3D0")).await?;
    assert_eq!((status, list["items"].as_array().map(Vec::len)), (200, Some(1)));
    Ok(())
}

async fn namespaces_go_one_by_one(on: Subject) -> Result<()> {
    assert_eq!(on.delete("/api/v1/namespaces?labelSelector=none%3Dthere", &json!({})).await?.0, 405);
    let (_, kinds) = on.get("/api/v1").await?;
    let found = kinds["resources"].as_array().into_iter().flatten().find(|kind| kind["name"] == "namespaces");
    let verbs = found.and_then(|kind| kind["verbs"].as_array()).cloned().unwrap_or_default();
    assert!(!verbs.is_empty() && !verbs.iter().any(|verb| verb == "deletecollection"), "{verbs:?}");
    Ok(())
}

/// What kubectl looks for before it sends an object, where it is not told to leave that.
async fn the_documents_say_that_fields_are_checked(on: Subject) -> Result<()> {
    for group in ["api/v1", "apis/apps/v1"] {
        let (_, index) = on.get("/openapi/v3").await?;
        let address = index["paths"][group]["serverRelativeURL"].as_str().unwrap_or_default().to_owned();
        assert!(address.starts_with(&format!("/openapi/v3/{group}")), "{address}");
        let (status, document) = on.get(&address).await?;
        assert_eq!(status, 200);
        let paths = document["paths"].as_object().cloned().unwrap_or_default();
        let checked = paths.values().any(|path| {
            let parameters = path["patch"]["parameters"].as_array().cloned().unwrap_or_default();
            parameters.iter().any(|parameter| parameter["name"] == "fieldValidation")
        });
        assert!(checked, "{group}");
    }
    Ok(())
}
