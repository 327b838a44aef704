//! The configuration of one cluster.

use crate::json::token;
use ropeway_driver_sdk::Diagnostic;
use serde::Deserialize;
use serde_json::Value as Json;

/// JSON Schema of the configuration.
pub(crate) const SCHEMA: &str = include_str!("config.schema.json");

/// The configuration of one cluster. Unknown keys are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) storage_classes: StorageClassNames,
}

/// The storage classes to use, where the cluster's own choice is not meant.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct StorageClassNames {
    /// For volumes with one writer. None: the cluster's default class.
    pub(crate) exclusive: Option<String>,
    /// For volumes with many writers. None: the first class with a provisioner that is known to serve many.
    pub(crate) shared: Option<String>,
}

/// Reads a configuration, or says all that is wrong with it.
pub(crate) fn read(text: &str) -> Result<Config, Vec<Diagnostic>> {
    let value: Json = serde_json::from_str(text).map_err(|error| {
        vec![Diagnostic::error("", "config.json", format!("the configuration is no JSON: {error}"))]
    })?;
    let mut problems = Vec::new();
    check(&value, "", &["storageClasses"], &mut problems);
    if let Some(classes) = value.get("storageClasses") {
        check(classes, "/storageClasses", &["exclusive", "shared"], &mut problems);
        for key in ["exclusive", "shared"] {
            match classes.get(key) {
                None => {}
                Some(Json::String(name)) if !name.is_empty() && name.len() <= 253 => {}
                Some(_) => problems.push(Diagnostic::error(
                    format!("/storageClasses/{key}"),
                    "config.type",
                    "the name of a StorageClass is a text of 1 to 253 characters",
                )),
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(value).map_err(|error| vec![Diagnostic::error("", "config.type", error.to_string())])
}

fn check(value: &Json, path: &str, known: &[&str], problems: &mut Vec<Diagnostic>) {
    let Json::Object(fields) = value else {
        problems.push(Diagnostic::error(path, "config.type", "this is an object"));
        return;
    };
    for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
        let message = format!("there is no such key; known here: {}", known.join(", "));
        problems.push(Diagnostic::error(format!("{path}/{}", token(key)), "config.unknown", message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_said_at_once_with_its_place() {
        let problems = read(r#"{"a/b": 1, "storageClasses": {"shared": 3, "x": ""}}"#).unwrap_err();
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["/a~1b", "/storageClasses/x", "/storageClasses/shared"]);
    }

    #[test]
    fn a_configuration_may_be_empty_and_must_be_an_object() {
        assert!(read("{}").unwrap().storage_classes.shared.is_none());
        assert_eq!(read(r#"{"storageClasses":{"shared":"nfs"}}"#).unwrap().storage_classes.shared.unwrap(), "nfs");
        for text in ["", "[]", "null", "7", r#"{"storageClasses": []}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_schema_knows_the_keys_that_are_read() {
        let schema: Json = serde_json::from_str(SCHEMA).unwrap();
        let keys =
            |pointer: &str| schema.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys("/properties"), ["storageClasses"]);
        assert_eq!(keys("/properties/storageClasses/properties"), ["exclusive", "shared"]);
    }
}
