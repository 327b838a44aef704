//! Containers: the rules of their ports and probes.

use anyhow::Result;
use serde_json::{Value, json};

use crate::setup::{Subject, causes};
use crate::workloads::deployment;

on_both!(ports_and_probes_have_rules);

async fn ports_and_probes_have_rules(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let port = |name: &str, number: u16| json!({"name": name, "containerPort": number});
    let tcp = |more: Value| {
        let mut probe = json!({"tcpSocket": {"port": 1}});
        probe
            .as_object_mut()
            .into_iter()
            .for_each(|fields| fields.extend(more.as_object().cloned().unwrap_or_default()));
        probe
    };
    let (successes, grace) = (json!({"successThreshold": 2}), json!({"terminationGracePeriodSeconds": 1}));
    for (field, value, expected) in [
        ("ports", json!([port("abcdefghijklmnop", 1)]), Some("FieldValueInvalid ports[0].name")),
        ("ports", json!([port("Web", 1)]), Some("FieldValueInvalid ports[0].name")),
        ("ports", json!([port("web", 1), port("web", 2)]), Some("FieldValueDuplicate ports[1].name")),
        ("ports", json!([port("abcdefghijklmno", 1), port("web", 2)]), None),
        ("livenessProbe", tcp(successes.clone()), Some("FieldValueInvalid livenessProbe.successThreshold")),
        ("startupProbe", tcp(successes.clone()), Some("FieldValueInvalid startupProbe.successThreshold")),
        ("readinessProbe", tcp(grace.clone()), Some("FieldValueInvalid readinessProbe.terminationGracePeriodSeconds")),
        ("livenessProbe", tcp(grace), None),
        ("readinessProbe", tcp(successes), None),
    ] {
        let mut body = deployment("web", "127.0.0.1:1/none:1", 1);
        body["spec"]["template"]["spec"]["containers"][0][field] = value;
        let path = format!("/apis/apps/v1/namespaces/{space}/deployments?dryRun=All");
        let (status, answer) = on.post(&path, &body).await?;
        let found: Vec<String> = causes(&answer)
            .iter()
            .map(|(reason, field)| format!("{reason} {}", field.replace("spec.template.spec.containers[0].", "")))
            .collect();
        assert_eq!(found, Vec::from_iter(expected.map(str::to_owned)), "{status} {answer:#}");
    }
    Ok(())
}
