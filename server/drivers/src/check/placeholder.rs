//! Placeholders of secrets: only those of the application, only as whole values of `stringData` of a Secret.

use crate::error::InvalidOutput;
use ropeway_domain::rendering::{ApplicationModel, ModelValue, PLACEHOLDER};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// The placeholders that a driver was given.
pub(super) struct Placeholders(BTreeSet<String>);

impl Placeholders {
    pub(super) fn of(model: &ApplicationModel) -> Self {
        let components = model.components.iter().flat_map(|component| {
            let variables = component.environment.iter().map(|variable| &variable.value);
            variables.chain(component.config_files.iter().map(|file| &file.content))
        });
        let entries = model.resources.iter().flat_map(|it| it.secret_data.iter().map(|entry| &entry.value));
        let placeholders = components.chain(entries).filter_map(|value| match value {
            ModelValue::Secret { secret } => Some(secret.clone()),
            ModelValue::Plain(_) => None,
        });
        Self(placeholders.collect())
    }

    pub(super) fn check(&self, path: &str, object: &Json, is_secret: bool) -> Result<(), InvalidOutput> {
        let Json::Object(fields) = object else { return Ok(()) };
        for (field, value) in fields {
            let path = format!("{path}/{field}");
            match value {
                Json::Object(entries) if is_secret && field == "stringData" => {
                    for (key, value) in entries {
                        self.check_entry(&format!("{path}/{key}"), value)?;
                        refuse(&path, &Json::from(key.as_str()))?;
                    }
                }
                value => refuse(&path, value)?,
            }
        }
        Ok(())
    }

    fn check_entry(&self, path: &str, value: &Json) -> Result<(), InvalidOutput> {
        match value.as_str() {
            Some(text) if self.0.contains(text) => Ok(()),
            Some(text) if text.contains(PLACEHOLDER) => Err(InvalidOutput::new(
                path,
                "a placeholder that the driver was not given, or only a part of the value",
            )),
            Some(_) => Ok(()),
            None => Err(InvalidOutput::new(path, "the entries of stringData are texts")),
        }
    }
}

fn refuse(path: &str, value: &Json) -> Result<(), InvalidOutput> {
    let is_clean = match value {
        Json::String(text) => !text.contains(PLACEHOLDER),
        Json::Array(items) => return items.iter().try_for_each(|item| refuse(path, item)),
        Json::Object(fields) => {
            fields.values().try_for_each(|item| refuse(path, item))?;
            !fields.keys().any(|key| key.contains(PLACEHOLDER))
        }
        _ => true,
    };
    if is_clean {
        Ok(())
    } else {
        Err(InvalidOutput::new(path, "the placeholder of a secret stands only in stringData of a Secret"))
    }
}
