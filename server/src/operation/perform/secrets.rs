//! Fills in placeholders: in the entries of Secrets, where they may stand, and nowhere else.

use crate::{
    app::App,
    error::{Error, Result},
    id::EnterpriseId,
    operation::Outcome,
    seal::Secret,
    store::sealed_value,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ropeway_domain::{
    SecretId,
    rendering::{PLACEHOLDER, placeholder_of},
};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// Opens sealed values of an enterprise. One that does not exist is left out.
pub(super) async fn open(
    app: &App,
    enterprise: EnterpriseId,
    ids: BTreeSet<SecretId>,
) -> Result<BTreeMap<SecretId, Secret>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<SecretId> = ids.into_iter().collect();
    let mut conn = app.database.read().await?;
    let sealed = sealed_value::by_ids(&mut conn, enterprise, &ids).await?;
    sealed.iter().map(|value| Ok((value.id.0, value.open(&app.sealer)?))).collect::<Result<_, Error>>()
}

/// What is said of a secret that is not stored.
fn missing() -> Outcome {
    Outcome::failed("a secret that it needs is not stored any more")
}

/// The object with its placeholders filled in. The entries of a Secret all become `data`; a placeholder that stands
/// anywhere else, or not as a whole entry, is refused.
pub(super) fn fill_in(manifest: &Json, values: &BTreeMap<SecretId, Secret>) -> Result<Json, Outcome> {
    let mut object = manifest.clone();
    if object["kind"] == "Secret" && object["apiVersion"] == "v1" {
        let entries = object.as_object_mut().and_then(|object| object.remove("stringData"));
        if let Some(Json::Object(entries)) = entries {
            let mut data = match object.get_mut("data").map(Json::take) {
                Some(Json::Object(data)) => data,
                _ => Map::new(),
            };
            for (name, entry) in entries {
                let Json::String(text) = entry else {
                    return Err(Outcome::failed(format!("entry {name} of a Secret is no text")));
                };
                let encoded = match placeholder_of(&text) {
                    Some(id) => STANDARD.encode(values.get(&id).ok_or_else(missing)?.expose()),
                    None if text.contains(PLACEHOLDER) => return Err(misplaced()),
                    None => STANDARD.encode(text),
                };
                data.insert(name, encoded.into());
            }
            object["data"] = Json::Object(data);
        }
    }
    if holds_placeholder(&object) { Err(misplaced()) } else { Ok(object) }
}

fn misplaced() -> Outcome {
    Outcome::failed("a secret stands where none may: the driver must put it into a Secret, as a whole entry")
}

fn holds_placeholder(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains(PLACEHOLDER),
        Json::Array(items) => items.iter().any(holds_placeholder),
        Json::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(PLACEHOLDER) || holds_placeholder(value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ropeway_domain::rendering::placeholder;
    use serde_json::json;
    use uuid::Uuid;

    fn id() -> SecretId {
        SecretId(Uuid::from_u128(1))
    }

    fn values() -> BTreeMap<SecretId, Secret> {
        [(id(), Secret::new("canary"))].into()
    }

    #[test]
    fn a_placeholder_becomes_data_of_its_secret() {
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "data": {"old": "eA=="},
            "stringData": {"PASSWORD": placeholder(id()), "user": "robot"}});
        let filled = fill_in(&manifest, &values()).unwrap();
        assert_eq!(
            filled,
            json!({"apiVersion": "v1", "kind": "Secret",
                "data": {"old": "eA==", "PASSWORD": STANDARD.encode("canary"), "user": STANDARD.encode("robot")}})
        );
    }

    #[test]
    fn a_placeholder_anywhere_else_is_refused_and_tells_nothing() {
        let text = placeholder(id());
        for manifest in [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": text}}),
            json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": format!("x{text}")}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"annotations": {"a": text}}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"env": [{"value": text}]}}),
            json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": 1}}),
        ] {
            let Err(Outcome::Failed { message, retryable: false }) = fill_in(&manifest, &values()) else {
                panic!("accepted {manifest}");
            };
            assert!(!message.contains("canary"));
        }
    }

    #[test]
    fn a_secret_that_is_gone_is_no_empty_one() {
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": placeholder(id())}});
        assert!(fill_in(&manifest, &BTreeMap::new()).is_err());
    }
}
