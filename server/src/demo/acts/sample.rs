//! The sample application: a small shop in two releases.

use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Its name, and its slug in the first cluster.
pub const NAME: &str = "shop";

/// The component of which a value, a file, a probe and the image change.
pub const API: &str = "api";

/// The component that release 3.0 adds.
pub const WORKER: &str = "worker";

/// The variable whose value release 3.0 changes.
pub const VARIABLE: &str = "LOG_LEVEL";

/// Its values in both releases.
pub const VARIABLE_VALUES: [&str; 2] = ["info", "debug"];

/// The variable that release 3.0 adds.
pub const NEW_VARIABLE: &str = "FEATURE_SEARCH";

/// The configuration file whose content release 3.0 changes.
pub const FILE: &str = "/etc/shop/api.toml";

/// Its contents in both releases.
pub const FILE_CONTENTS: [&str; 2] = [
    "# how the shop answers\nworkers = 4\ncurrency = \"EUR\"\n",
    "# how the shop answers\nworkers = 8\ncurrency = \"EUR\"\n",
];

/// What the readiness probe asks in both releases.
pub const READINESS: [&str; 2] = ["/ready", "/health/ready"];

/// The secret that whoever installs it supplies.
pub const ASKED: &str = "PAYMENT_TOKEN";

/// One component: its slug and the rest of an `AddComponentInput` but for the application.
pub struct Part {
    /// Its slug, which is also its name.
    pub slug: &'static str,
    /// `kind`, `image` and `settings`.
    pub input: Json,
}

/// The components of release 2.9, those that others depend on first. `ids` has the global ids of those that were added
/// before, `source` is the registry with the images.
pub fn part(slug: &str, source: &str, ids: &BTreeMap<String, String>) -> Option<Part> {
    match slug {
        "database" => Some(database(source)),
        "cache" => Some(cache(source)),
        "api" => Some(api(source, ids)),
        "web" => Some(web(source, ids)),
        WORKER => Some(worker(source, ids)),
        _ => None,
    }
}

/// The slugs of release 2.9, in an order in which they can be added.
pub const PARTS: [&str; 4] = ["database", "cache", "api", "web"];

/// The object besides the components: only the team's own pods may speak to its pods.
pub fn network_policy() -> Json {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "shop-own-pods-only" },
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{ "from": [{ "podSelector": {} }] }],
        },
    })
}

/// The settings of the API component: in release 0 (2.9) or 1 (3.0).
pub fn api_settings(release: usize) -> Json {
    let mut environment = vec![
        json!({ "name": VARIABLE, "value": VARIABLE_VALUES[release] }),
        json!({ "name": ASKED, "secret": true, "description": "The token of the payment provider" }),
    ];
    if release == 0 {
        environment[1]["value"] = json!("tok-made-for-the-demo-only");
    } else {
        environment.push(json!({ "name": NEW_VARIABLE, "value": "on" }));
    }
    json!({
        "environment": environment,
        "configFiles": [{ "path": FILE, "content": FILE_CONTENTS[release], "mode": 0o644 }],
        "probes": [
            { "kind": "READINESS", "httpPath": READINESS[release], "port": 8080, "periodSeconds": 5 },
            { "kind": "LIVENESS", "httpPath": "/live", "port": 8080, "initialDelaySeconds": 10 },
        ],
    })
}

fn database(source: &str) -> Part {
    let password = json!({ "length": 24, "group": "db" });
    Part {
        slug: "database",
        input: json!({
            "kind": "STATEFUL_SET",
            "image": image(source, "database", "16"),
            "settings": {
                "environment": [
                    { "name": "POSTGRES_USER", "value": "shop" },
                    { "name": "POSTGRES_PASSWORD", "decision": "GENERATE", "generate": password },
                ],
                "connectionInfo": [
                    { "name": "DB_HOST", "value": "shop-database" },
                    { "name": "DB_PORT", "value": "5432" },
                    { "name": "DB_USER", "value": "shop" },
                    { "name": "DB_PASSWORD", "decision": "GENERATE", "generate": password },
                ],
                "ports": [{ "number": 5432, "protocol": "TCP", "name": "sql", "isOpen": true }],
                "volumes": [{
                    "name": "data", "mountPath": "/var/lib/postgresql/data", "kind": "EXCLUSIVE", "size": "20Gi",
                }],
                "probes": [{ "kind": "READINESS", "tcp": true, "port": 5432 }],
                "resources": { "cpuRequest": "100m", "memoryRequest": "256Mi", "memoryLimit": "512Mi" },
            },
        }),
    }
}

fn cache(source: &str) -> Part {
    Part {
        slug: "cache",
        input: json!({
            "kind": "DEPLOYMENT",
            "image": image(source, "cache", "7"),
            "settings": {
                "connectionInfo": [
                    { "name": "CACHE_HOST", "value": "shop-cache" },
                    { "name": "CACHE_PORT", "value": "6379" },
                ],
                "ports": [{ "number": 6379, "protocol": "TCP", "name": "cache", "isOpen": true }],
                "resources": { "cpuRequest": "50m", "memoryRequest": "64Mi" },
            },
        }),
    }
}

fn api(source: &str, ids: &BTreeMap<String, String>) -> Part {
    let mut settings = api_settings(0);
    settings["connectionInfo"] = json!([{ "name": "API_URL", "value": "http://shop-api:8080" }]);
    settings["ports"] = json!([{ "number": 8080, "protocol": "TCP", "name": "http", "isOpen": true }]);
    settings["resources"] = json!({ "cpuRequest": "100m", "memoryRequest": "128Mi" });
    settings["scaleRule"] = json!({ "minReplicas": 2, "maxReplicas": 6, "step": 2, "minMemory": "128Mi" });
    settings["replicas"] = json!(2);
    settings["dependencies"] = json!([ids.get("database"), ids.get("cache")]);
    let input = json!({ "kind": "DEPLOYMENT", "image": image(source, "api", "2.9"), "settings": settings });
    Part { slug: "api", input }
}

fn web(source: &str, ids: &BTreeMap<String, String>) -> Part {
    Part {
        slug: "web",
        input: json!({
            "kind": "DEPLOYMENT",
            "image": image(source, "web", "2.9"),
            "settings": {
                "environment": [
                    { "name": "GREETING", "value": "Welcome to the shop" },
                    { "name": "SESSION_SECRET", "secret": true, "value": "sess-made-for-the-demo-only" },
                ],
                "ports": [{ "number": 80, "protocol": "TCP", "name": "http", "isOpen": true }],
                "probes": [{ "kind": "READINESS", "httpPath": "/", "port": 80 }],
                "resources": { "cpuRequest": "50m", "memoryRequest": "64Mi" },
                "dependencies": [ids.get("api")],
            },
        }),
    }
}

fn worker(source: &str, ids: &BTreeMap<String, String>) -> Part {
    Part {
        slug: WORKER,
        input: json!({
            "kind": "DEPLOYMENT",
            "image": image(source, WORKER, "3.0"),
            "settings": {
                "environment": [{ "name": "QUEUE", "value": "orders" }],
                "resources": { "cpuRequest": "50m", "memoryRequest": "64Mi" },
                "dependencies": [ids.get("database"), ids.get("cache")],
            },
        }),
    }
}

/// The reference of an image of the sample application.
pub fn image(source: &str, name: &str, release: &str) -> String {
    format!("{source}/shop/{name}:{release}")
}
