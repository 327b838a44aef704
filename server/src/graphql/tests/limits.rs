//! What a request may cost.

use super::bed::{Bed, document, text, unknown};
use serde_json::{Value as Json, json};

/// What the demonstration asks, as any client would.
const DEMO: [&str; 9] = [
    include_str!("../../demo/acts.rs"),
    include_str!("../../demo/acts/change.rs"),
    include_str!("../../demo/acts/compose.rs"),
    include_str!("../../demo/acts/install.rs"),
    include_str!("../../demo/acts/prepare.rs"),
    include_str!("../../demo/acts/publish.rs"),
    include_str!("../../demo/acts/rollback.rs"),
    include_str!("../../demo/acts/upgrade.rs"),
    include_str!("../../demo/progress.rs"),
];

fn nested(levels: usize, around: (&str, &str)) -> String {
    format!("{}name{}", around.0.repeat(levels), around.1.repeat(levels))
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_nested_multiply() {
    let bed = Bed::new().await;
    let application = unknown("Application");
    for (levels, around) in [
        (3, ("components(first: 30) { nodes { application { ", " } } }")),
        (4, ("components(first: 1) { nodes { dependencies { dependencies { application { ", " } } } } }")),
        (3, ("topology { nodes { component { dependencies { application { ", " } } } } }")),
    ] {
        let query = format!("query {{ application(id: \"{application}\") {{ {} }} }}", nested(levels, around));
        assert_eq!(bed.refusal(Some(&bed.admin), &query, json!({})).await, "TOO_COMPLEX", "{query}");
        let query = format!("query {{ application(id: \"{application}\") {{ {} }} }}", nested(1, around));
        assert_eq!(bed.refusal(Some(&bed.admin), &query, json!({})).await, "NOT_FOUND", "{query}");
    }
    let installation = unknown("Installation");
    for (levels, code) in [(3, "NOT_FOUND"), (4, "TOO_COMPLEX")] {
        let components = "components { name installation { ".repeat(levels);
        let query =
            format!("query {{ installation(id: \"{installation}\") {{ {components} id {} }} }}", " } }".repeat(levels));
        assert_eq!(bed.refusal(Some(&bed.admin), &query, json!({})).await, code, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_holds_few_mutations_and_plans() {
    let bed = Bed::new().await;
    let query = "query($of: String!) { __type(name: $of) { fields { name args { name type { ofType { name } } } } } }";
    for (kind, of, few, many) in [("mutation", "Mutation", 50, 101), ("query", "Query", 30, 41)] {
        let found = bed.data(&bed.admin, query, json!({ "of": of })).await;
        let fields = found["__type"]["fields"].as_array().unwrap();
        let inputs = fields.iter().filter_map(|field| {
            let input = field["args"].as_array().unwrap().iter().find(|argument| argument["name"] == "input")?;
            Some((text(&field["name"]), text(&input["type"]["ofType"]["name"])))
        });
        let inputs: Vec<(String, String)> = inputs.collect();
        assert!(inputs.len() > 5, "{inputs:?}");
        for (name, input) in inputs {
            let ask = |times: usize| {
                let one = |n: usize| format!("a{n}: {name}(input: $input) {{ __typename }}");
                let all: Vec<String> = (0..times).map(one).collect();
                format!("{kind}($input: {input}!) {{ {} }}", all.join(" "))
            };
            assert_eq!(bed.refusal(None, &ask(many), json!({})).await, "TOO_COMPLEX", "{many} times {name}");
            let answer = bed.ask(None, &ask(few), json!({})).await;
            assert_ne!(answer["errors"][0]["extensions"]["code"], "TOO_COMPLEX", "{few} times {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_demonstration_asks_is_not_too_much() {
    let bed = Bed::new().await;
    let is_document = |text: &&str| {
        let text = text.trim_start();
        ["query", "mutation", "subscription"].iter().any(|kind| text.starts_with(kind)) && text.contains('{')
    };
    let documents: Vec<&str> = DEMO.iter().flat_map(|source| source.split('"')).filter(is_document).collect();
    assert!(documents.len() >= 15, "{documents:?}");
    for query in documents {
        let answer = bed.ask(None, query, json!({})).await;
        let error = &answer["errors"][0];
        let code = &error["extensions"]["code"];
        // A field was tried where there is a path: only its variables are missing here.
        let is_refused = *code == "TOO_COMPLEX" || (*code == "BAD_REQUEST" && error["path"].is_null());
        assert!(!is_refused, "{query}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_are_limited_as_well() {
    let bed = Bed::new().await;
    let mut answers: Vec<Json> = Vec::new();
    for place in 0..11 {
        answers.push(bed.sign_in(&format!("No Name {place}"), "a password").await);
    }
    assert_eq!(answers[9]["errors"][0]["code"], "INVALID_CREDENTIALS");
    assert_eq!(answers[10]["errors"][0]["extensions"]["code"], "RATE_LIMITED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_named_by_a_digest() {
    let bed = Bed::new().await;
    let (installation, version) = (unknown("Installation"), unknown("TemplateVersion"));
    let (application, cluster) = (unknown("Application"), unknown("Cluster"));
    let long = "x".repeat(100_000);
    for (mutation, mut input) in [
        ("deployApplication", json!({ "applicationId": application })),
        ("installTemplate", json!({ "versionId": version, "clusterId": cluster, "teamId": unknown("Team") })),
        ("upgradeInstallation", json!({ "installationId": installation, "versionId": version })),
        ("rollBackUpgrade", json!({ "recordId": unknown("UpgradeRecord") })),
        (
            "submitPublication",
            json!({
                "applicationId": application, "templateId": unknown("AppTemplate"), "number": "1.0",
            }),
        ),
    ] {
        for digest in ["", "sha256:0", &long] {
            input["planDigest"] = json!(digest);
            let problems = bed.problems(&bed.admin, mutation, input.clone()).await;
            assert_eq!(problems, ["INVALID_DIGEST planDigest"], "{mutation}");
        }
        input["planDigest"] = json!(format!("sha256:{}", "0".repeat(64)));
        let variables = json!({ "input": input });
        assert_eq!(bed.refusal(Some(&bed.admin), &document(mutation, ""), variables).await, "NOT_FOUND");
    }
    let keys: Vec<String> = (0..1001).map(|n| uuid::Uuid::from_u128(n).to_string()).collect();
    let input = json!({ "installationId": installation, "versionId": version, "components": keys });
    assert_eq!(bed.problems(&bed.admin, "upgradeInstallation", input).await, ["TOO_MANY components"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_that_cannot_be_decoded_have_a_code() {
    let bed = Bed::new().await;
    let application = unknown("Application");
    let add = document("addComponent", "");
    let component =
        |volumes: Json| json!({ "applicationId": application, "name": "api", "image": "nginx", "volumes": volumes });
    let volume = json!([{ "path": "/data", "size": "20 GiB" }]);
    let teams = "query($id: ID!, $after: Cursor) { enterprise(id: $id) { teams(after: $after) { totalCount } } }";
    for (query, variables) in [
        (add.as_str(), json!({ "input": component(volume) })),
        (add.as_str(), json!({})),
        (teams, json!({ "id": bed.enterprise, "after": "x".repeat(10_000) })),
        (teams, json!({})),
    ] {
        assert_eq!(bed.refusal(Some(&bed.admin), query, variables).await, "BAD_REQUEST", "{query}");
    }
}

/// A few hundred bytes stand for millions of fields; somebody who has not signed in sends them.
#[tokio::test(flavor = "multi_thread")]
async fn fragments_in_fragments_are_refused_before_they_are_spread() {
    let bed = Bed::new().await;
    let each = |n: usize| format!("fragment f{n} on Query {{ {} }}", format!("...f{} ", n + 1).repeat(4));
    let levels: Vec<String> = (0..30).map(each).collect();
    let query = format!("{{ ...f0 }} {} fragment f30 on Query {{ __typename }}", levels.join(" "));
    assert_eq!(bed.refusal(None, &query, json!({})).await, "TOO_COMPLEX");
    let many: Vec<String> = (0..100).map(|n| format!("a{n}: description")).collect();
    let query = format!("{{ __schema {{ types {{ fields {{ {} }} }} }} }}", many.join(" "));
    assert_eq!(bed.refusal(None, &query, json!({})).await, "TOO_COMPLEX");
    let component = unknown("Component");
    let many: Vec<String> = (0..100).map(|n| format!("a{n}: attributes")).collect();
    let query = format!("{{ component(id: \"{component}\") {{ {} }} }}", many.join(" "));
    assert_eq!(bed.refusal(Some(&bed.admin), &query, json!({})).await, "TOO_COMPLEX");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_database_can_hold_is_a_mistake_of_whoever_asks() {
    let bed = Bed::new().await;
    let query = format!(
        "query($search: String) {{ enterprise(id: \"{}\") {{ teams(search: $search) {{ totalCount }} }} }}",
        bed.enterprise
    );
    assert_eq!(bed.refusal(Some(&bed.admin), &query, json!({ "search": "a\u{0}" })).await, "INVALID");
    let input = json!({ "enterpriseId": bed.enterprise, "userName": "a\u{0}", "role": "MEMBER" });
    let problems = bed.problems(&bed.admin, "setMember", input).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
}
