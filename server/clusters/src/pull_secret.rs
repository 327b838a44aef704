//! Secrets with which nodes pull images.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::object::labels;

/// Name and namespace of a pull secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullSecretName {
    /// The namespace of the pods that use it.
    pub namespace: String,
    /// The secret's name.
    pub name: String,
}

/// The content of a `.dockerconfigjson` for one registry. `host` has a port but neither scheme nor path.
pub fn docker_config_json(host: &str, user: &str, password: &str) -> Value {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    json!({"auths": {host: {"username": user, "password": password, "auth": auth}}})
}

/// The Secret that holds such a content, to be applied. The caller adds its own labels.
pub fn pull_secret(at: &PullSecretName, docker_config: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {
            "name": at.name, "namespace": at.namespace,
            "labels": {labels::MANAGED_BY: labels::ROPEWAY},
        },
        "data": {".dockerconfigjson": STANDARD.encode(docker_config.to_string())},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_holds_what_a_kubelet_reads() {
        let config = docker_config_json("registry.example:5000", "robot", "pw:1");
        assert_eq!(config["auths"]["registry.example:5000"]["auth"], STANDARD.encode("robot:pw:1"));
        let secret = pull_secret(&PullSecretName { namespace: "team".into(), name: "pull".into() }, &config);
        let data = secret["data"][".dockerconfigjson"].as_str().expect("data");
        let decoded: Value = serde_json::from_slice(&STANDARD.decode(data).expect("base64")).expect("json");
        assert_eq!(decoded, config);
    }
}
