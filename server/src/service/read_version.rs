//! Reading one template, one version, and what a version contains.

use crate::{
    actor::Actor,
    app::App,
    error::Result,
    id::{TemplateId, VersionId},
    service::authorize,
    store::{template::Template, version::Version},
};
use ropeway_domain::{PublishedValue, VersionContent, change::Owner, plan::AskedValue};

/// A template that somebody may see.
pub async fn read_template(app: &App, actor: &Actor, id: TemplateId) -> Result<Template> {
    let mut conn = app.database.read().await?;
    authorize::template(&mut conn, actor, id).await
}

/// A revision of a template that somebody may see. Those that are not current, or that were hidden, are found as well:
/// installations run them.
pub async fn read_version(app: &App, actor: &Actor, id: VersionId) -> Result<Version> {
    let mut conn = app.database.read().await?;
    Ok(authorize::version(&mut conn, actor, id).await?.0)
}

/// The values that whoever installs a version must supply.
pub fn asks(content: &VersionContent) -> Vec<AskedValue> {
    let mut asks = Vec::new();
    for component in &content.components {
        let lists = [("environment", &component.environment), ("connectionInfo", &component.connection_info)];
        for (field, variable) in lists.into_iter().flat_map(|(field, list)| list.iter().map(move |one| (field, one))) {
            if matches!(variable.value, PublishedValue::Ask { .. }) {
                asks.push(AskedValue {
                    owner: Owner::Component(component.key),
                    owner_name: component.name.clone(),
                    name: format!("{field}/{}", variable.name),
                    description: variable.description.clone(),
                });
            }
        }
        for file in component.config_files.iter().filter(|file| matches!(file.content, PublishedValue::Ask { .. })) {
            asks.push(AskedValue {
                owner: Owner::Component(component.key),
                owner_name: component.name.clone(),
                name: format!("configFiles/{}", file.path),
                description: None,
            });
        }
    }
    for resource in &content.resources {
        for entry in resource.secret_data.iter().filter(|entry| matches!(entry.value, PublishedValue::Ask { .. })) {
            asks.push(AskedValue {
                owner: Owner::Resource(resource.key),
                owner_name: resource.name.clone(),
                name: format!("secretData/{}", entry.name),
                description: entry.description.clone(),
            });
        }
    }
    asks
}
