//! Services: their addresses and ports.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::{Subject, causes};

on_both!(a_service_keeps_its_address, a_service_gets_what_its_new_type_needs, a_port_of_nodes_is_in_their_range);

async fn a_service_keeps_its_address(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/services");
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {
        "type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}});
    let made = on.create(&all, &body).await?;
    let port = &made["spec"]["ports"][0];
    assert_eq!((&port["protocol"], &port["targetPort"]), (&json!("TCP"), &json!(80)));
    assert!(port["nodePort"].as_i64().is_some_and(|port| (30_000..32_768).contains(&port)));
    let address = made["spec"]["clusterIP"].clone();
    assert!(address.as_str().is_some_and(|address| address.starts_with("10.96.")));
    let balanced = |service: &Value| {
        let ip = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str();
        ip.is_some_and(|ip| ip.starts_with("203.0.113."))
    };
    let now = on.until(&format!("{all}/s"), balanced).await?;
    let mut replaced = body.clone();
    replaced["spec"]["ports"][0]["port"] = json!(81);
    replaced["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
    let (status, replaced) = on.put(&format!("{all}/s"), &replaced).await?;
    assert_eq!((status, &replaced["spec"]["clusterIP"]), (200, &address));
    let (status, _) = on.merge(&format!("{all}/s"), &json!({"spec": {"clusterIP": "10.96.200.200"}})).await?;
    assert_eq!(status, 422);
    Ok(())
}

async fn a_port_of_nodes_is_in_their_range(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/services");
    for port in [80, 29_999, 32_768] {
        let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {
            "type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}});
        let (status, answer) = on.post(&all, &body).await?;
        assert_eq!(status, 422, "{port}: {answer:#}");
        assert_eq!(causes(&answer), [("FieldValueInvalid".to_owned(), "spec.ports[0].nodePort".to_owned())]);
    }
    Ok(())
}

async fn a_service_gets_what_its_new_type_needs(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let all = format!("/api/v1/namespaces/{space}/services");
    let path = format!("{all}/s");
    let mut body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {
        "selector": {"app": "web"}, "ports": [{"name": "a", "port": 80}]}});
    let made = on.create(&all, &body).await?;
    assert!(made["spec"]["ports"][0].get("nodePort").is_none());
    let port = |service: &Value, index: usize| service["spec"]["ports"][index]["nodePort"].as_i64();
    let (status, open) = on.merge(&path, &json!({"spec": {"type": "LoadBalancer"}})).await?;
    assert_eq!(status, 200, "{open:#}");
    let given = port(&open, 0);
    assert!(given.is_some_and(|port| (30_000..32_768).contains(&port)), "{open:#}");
    assert_eq!(open["spec"]["externalTrafficPolicy"], "Cluster");
    assert_eq!(open["spec"]["clusterIP"], made["spec"]["clusterIP"]);
    on.until(&path, |service| service["status"]["loadBalancer"]["ingress"][0]["ip"].is_string()).await?;
    // What a replacement leaves out stays; a new port gets its own.
    body["spec"]["type"] = json!("LoadBalancer");
    body["spec"]["ports"] = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    let (status, replaced) = on.put(&path, &body).await?;
    assert_eq!(status, 200, "{replaced:#}");
    assert_eq!(port(&replaced, 0), given);
    assert!(port(&replaced, 1).is_some_and(|port| Some(port) != given), "{replaced:#}");
    let (status, closed) = on.merge(&path, &json!({"spec": {"type": "ClusterIP"}})).await?;
    assert_eq!(status, 200, "{closed:#}");
    assert_eq!((port(&closed, 0), port(&closed, 1)), (None, None), "{closed:#}");
    for field in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts"] {
        assert!(closed["spec"].get(field).is_none(), "{closed:#}");
    }
    on.until(&path, |service| service["status"]["loadBalancer"] == json!({})).await?;
    let (status, away) =
        on.merge(&path, &json!({"spec": {"type": "ExternalName", "externalName": "example.org"}})).await?;
    assert_eq!((status, away["spec"].get("clusterIP"), away["spec"].get("clusterIPs")), (200, None, None), "{away:#}");
    let (status, back) = on.merge(&path, &json!({"spec": {"type": "ClusterIP", "externalName": null}})).await?;
    assert!(status == 200 && back["spec"]["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.96.")), "{back:#}");
    let other = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other"}, "spec": {
        "type": "LoadBalancer", "loadBalancerClass": "example.org/other", "ports": [{"port": 80}]}});
    let made = on.create(&all, &other).await?;
    assert!(port(&made, 0).is_some());
    Ok(())
}
