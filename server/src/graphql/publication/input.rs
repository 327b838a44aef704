//! What is to be published, as it is written.

use crate::{
    error::{Error, Result, UserError},
    graphql::{
        id,
        plan::decode_digest,
        settings::{
            EnvironmentVariableInput, GenerateRuleInput, ScaleRuleInput, read_decision, read_scale_rule, read_variable,
        },
        workload::SecretDecision,
    },
    service::{
        component_settings::GivenVariable,
        problems::Problems,
        publication::{ComponentRequest, DriftChoice, FileRequest, PublicationRequest, ResourceRequest},
    },
};
use async_graphql::{ID, InputObject};

/// The most entries of a list.
const MAX_ENTRIES: usize = 1000;

/// Input of `planPublication` and `submitPublication`.
#[derive(InputObject)]
pub struct SubmitPublicationInput {
    /// Which application is published.
    pub application_id: ID,
    /// To which template.
    pub template_id: ID,
    /// The number of the version: a semantic version at best. The same number again replaces what it has now; different
    /// spellings of an equal number are the same.
    pub number: String,
    /// Such as "advanced edition".
    pub alias: Option<String>,
    /// For people, 10 KiB at most.
    pub description: Option<String>,
    /// Only the components that are published otherwise than they are deployed.
    pub components: Option<Vec<PublishComponentInput>>,
    /// Only the Kubernetes resources about whose data something is decided.
    pub kubernetes_resources: Option<Vec<PublishResourceInput>>,
    /// Components that are left out.
    pub exclude_components: Option<Vec<ID>>,
    /// Kubernetes resources that are left out.
    pub exclude_kubernetes_resources: Option<Vec<ID>>,
    /// The platforms that are copied of images for several, such as `linux/amd64`; by default all of them.
    pub platforms: Option<Vec<String>>,
    /// What is published where edits are not deployed or the cluster differs from what was deployed. Required then.
    pub on_drift: Option<DriftChoice>,
    /// The digest of the plan that was reviewed. By default whatever it is now is published.
    pub plan_digest: Option<String>,
    /// Which component of the template each component is, when publishing to a template from an application that does
    /// not share its keys.
    pub component_keys: Option<Vec<ComponentKeyInput>>,
}

/// How a component is published otherwise than it is deployed.
#[derive(InputObject)]
pub struct PublishComponentInput {
    /// Which one.
    pub component_id: ID,
    /// Instead of its environment: the whole list. An entry without a value keeps the one that it has.
    pub environment: Option<Vec<EnvironmentVariableInput>>,
    /// Instead of its connection info: the whole list. An entry without a value keeps the one that it has.
    pub connection_info: Option<Vec<EnvironmentVariableInput>>,
    /// Files about which something is decided or that get another content; the others stay.
    pub config_files: Option<Vec<PublishConfigFileInput>>,
    /// Instead of its scale rule.
    pub scale_rule: Option<ScaleRuleInput>,
    /// Places of values that look like secrets and are none, where there is no other way to say so: `command/<index>`,
    /// `arguments/<index>`, `probes/<kind>/<index>`, `attributes/env/<name>`.
    pub public_values: Option<Vec<String>>,
}

/// A configuration file as it is to be published.
#[derive(InputObject)]
pub struct PublishConfigFileInput {
    /// Its path.
    pub path: String,
    /// What becomes of a secret content.
    pub decision: Option<SecretDecision>,
    /// How it is generated, where the decision is GENERATE.
    pub generate: Option<GenerateRuleInput>,
    /// Another content; by default the one that it has.
    #[graphql(secret)]
    pub content: Option<String>,
}

/// Decisions about the data of a Kubernetes resource.
#[derive(InputObject)]
pub struct PublishResourceInput {
    /// Which one.
    pub kubernetes_resource_id: ID,
    /// Decisions for the entries of a Secret, or that an entry of a ConfigMap is public. Values are not changed here.
    pub data: Vec<EnvironmentVariableInput>,
}

/// Which component of the template a component is.
#[derive(InputObject)]
pub struct ComponentKeyInput {
    /// The component of the application.
    pub component_id: ID,
    /// The key of the template's component.
    pub key: ID,
}

impl SubmitPublicationInput {
    /// Reads the input; all that cannot be read is told at once.
    pub fn read(self) -> Result<PublicationRequest> {
        let mut problems = Problems::new();
        let application_id = id::decode(&self.application_id, "applicationId")?;
        let template_id = id::decode(&self.template_id, "templateId")?;
        let exclude_components =
            id::decode_list(&self.exclude_components.unwrap_or_default(), "excludeComponents", MAX_ENTRIES)?;
        let exclude_resources = id::decode_list(
            &self.exclude_kubernetes_resources.unwrap_or_default(),
            "excludeKubernetesResources",
            MAX_ENTRIES,
        )?;
        let mut components = Vec::new();
        for (place, input) in self.components.unwrap_or_default().into_iter().enumerate() {
            let path = vec!["components".to_owned(), place.to_string()];
            components.extend(component(input, &mut problems, &path));
        }
        let mut resources = Vec::new();
        for (place, input) in self.kubernetes_resources.unwrap_or_default().into_iter().enumerate() {
            let path = vec!["kubernetesResources".to_owned(), place.to_string()];
            resources.extend(resource(input, &mut problems, &path));
        }
        let mut component_keys = Vec::new();
        for (place, input) in self.component_keys.unwrap_or_default().into_iter().enumerate() {
            let path = vec!["componentKeys".to_owned(), place.to_string()];
            let id = decoded(id::decode(&input.component_id, "componentId"), &mut problems, &path, "componentId");
            match (id, input.key.parse()) {
                (Some(id), Ok(key)) => component_keys.push((id, key)),
                (None, _) => {}
                (_, Err(_)) => {
                    let message = "this is no key of a component; use one that a version of the template shows";
                    problems.add(UserError::new("INVALID_KEY", message).at(below(&path, "key")));
                }
            }
        }
        problems.finish()?;
        Ok(PublicationRequest {
            application_id,
            template_id,
            number: self.number,
            alias: self.alias,
            description: self.description.unwrap_or_default(),
            components,
            resources,
            exclude_components,
            exclude_resources,
            platforms: self.platforms.unwrap_or_default(),
            on_drift: self.on_drift,
            plan_digest: decode_digest(self.plan_digest)?,
            component_keys,
        })
    }
}

fn component(input: PublishComponentInput, problems: &mut Problems, path: &[String]) -> Option<ComponentRequest> {
    let id = decoded(id::decode(&input.component_id, "componentId"), problems, path, "componentId");
    let environment = input.environment.map(|list| variables(list, problems, path, "environment"));
    let connection_info = input.connection_info.map(|list| variables(list, problems, path, "connectionInfo"));
    let mut config_files = Vec::new();
    for (place, file) in input.config_files.unwrap_or_default().into_iter().enumerate() {
        let path = below(&below(path, "configFiles"), &place.to_string());
        let decision = read_decision(file.decision, file.generate, problems, path);
        config_files.push(FileRequest { path: file.path, decision, content: file.content });
    }
    let scale_rule = input.scale_rule.map(|rule| read_scale_rule(rule, problems, below(path, "scaleRule")));
    let public_values = input.public_values.unwrap_or_default();
    Some(ComponentRequest { component_id: id?, environment, connection_info, config_files, scale_rule, public_values })
}

fn resource(input: PublishResourceInput, problems: &mut Problems, path: &[String]) -> Option<ResourceRequest> {
    let field = "kubernetesResourceId";
    let id = decoded(id::decode(&input.kubernetes_resource_id, field), problems, path, field);
    let mut data = Vec::new();
    for (place, entry) in input.data.into_iter().enumerate() {
        let path = below(&below(path, "data"), &place.to_string());
        let entry = read_variable(entry, problems, path.clone());
        if entry.value.is_some() {
            let message = "values of Kubernetes resources are not changed by publishing; only decide about them";
            problems.add(UserError::new("VALUE_NOT_ALLOWED", message).at(below(&path, "value")));
        }
        match entry.decision {
            Some(decision) => data.push((entry.name, decision)),
            None => {
                let message = "a decision is needed";
                problems.add(UserError::new("REQUIRED", message).at(below(&path, "decision")));
            }
        }
    }
    Some(ResourceRequest { resource_id: id?, data })
}

fn variables(
    list: Vec<EnvironmentVariableInput>,
    problems: &mut Problems,
    path: &[String],
    field: &str,
) -> Vec<GivenVariable> {
    let path = below(path, field);
    let entries = list.into_iter().enumerate();
    entries.map(|(place, entry)| read_variable(entry, problems, below(&path, &place.to_string()))).collect()
}

fn decoded<T>(result: Result<T, Error>, problems: &mut Problems, path: &[String], field: &str) -> Option<T> {
    match result {
        Ok(decoded) => Some(decoded),
        Err(error) => {
            problems.add(UserError::new("INVALID_ID", error.to_string()).at(below(path, field)));
            None
        }
    }
}

fn below(path: &[String], segment: &str) -> Vec<String> {
    path.iter().cloned().chain([segment.to_owned()]).collect()
}
