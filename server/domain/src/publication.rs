//! Publication: from an application that runs to the content of a version, reviewed before it is submitted.

mod content;
mod keys;
mod leaks;
mod secrets;

use crate::{
    change::Owner,
    digest::Digest,
    key::{ComponentKey, ResourceKey, SecretId},
    model::{Component, ConfigFile, Resource, ScaleRule, SecretDecision, Value, Variable},
    plan::Blocker,
    validate::{self, Code, Problem},
    version::VersionContent,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that decides what is published. Keys are those of the application.
#[derive(Debug, Clone, Default)]
pub struct PublicationInput {
    /// The application's components, as deployed.
    pub components: Vec<SourceComponent>,
    /// The application's Kubernetes resources, as deployed.
    pub resources: Vec<SourceResource>,
    /// The host names of the components, see [`crate::names::host_names`].
    pub hosts: BTreeMap<String, ComponentKey>,
    /// Components that are left out.
    pub excluded_components: BTreeSet<ComponentKey>,
    /// Kubernetes resources that are left out.
    pub excluded_resources: BTreeSet<ResourceKey>,
    /// What is published otherwise than it is deployed.
    pub edits: BTreeMap<ComponentKey, ComponentEdit>,
    /// Which component of the template a component is, where the caller says so.
    pub key_mapping: BTreeMap<ComponentKey, ComponentKey>,
    /// What becomes of secrets. It comes before what a variable or a file says in advance.
    pub decisions: BTreeMap<SecretPlace, SecretDecision>,
    /// Where in the library each component's image will be.
    pub images: BTreeMap<ComponentKey, LibraryImage>,
    /// The plain text of the sealed values that are decided to be public, and of no others.
    pub plaintexts: BTreeMap<SecretId, String>,
    /// The plain text of the other sealed values: only to see whether they stand elsewhere as well, unsealed.
    pub hidden_texts: BTreeMap<SecretId, String>,
    /// The components of the template's latest content; none for a template that has no version.
    pub template_keys: Option<BTreeSet<ComponentKey>>,
    /// The current revision of the number that is published.
    pub current: Option<CurrentRevision>,
}

/// A component of the application.
#[derive(Debug, Clone)]
pub struct SourceComponent {
    /// As deployed, in the application's keys.
    pub component: Component<Value>,
    /// Its key in the template that is published to, where it was installed from that template.
    pub template_key: Option<ComponentKey>,
    /// Whether it runs.
    pub run: SourceRun,
}

/// A Kubernetes resource of the application.
#[derive(Debug, Clone)]
pub struct SourceResource {
    /// As deployed, in the application's keys.
    pub resource: Resource<Value>,
    /// Its key in the template that is published to, where it was installed from that template.
    pub template_key: Option<ResourceKey>,
}

/// Whether a component runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceRun {
    /// It was never brought into its cluster: nobody knows whether it works.
    NeverRan,
    /// It has run, and was stopped.
    Stopped,
    /// It runs.
    Running,
}

/// What is published of a component otherwise than it is deployed. A list replaces the whole list.
#[derive(Debug, Clone, Default)]
pub struct ComponentEdit {
    /// Instead of its environment.
    pub environment: Option<Vec<Variable<Value>>>,
    /// Instead of its connection info.
    pub connection_info: Option<Vec<Variable<Value>>>,
    /// Instead of its configuration files.
    pub config_files: Option<Vec<ConfigFile<Value>>>,
    /// Instead of its scale rule.
    pub scale_rule: Option<ScaleRule>,
}

/// Where an image will be in the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryImage {
    /// The repository within the library's registry.
    pub repository: String,
    /// The digest that its reference has in its source registry.
    pub digest: Digest,
}

/// The revision that a number has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentRevision {
    /// Which one.
    pub revision: u32,
    /// The digest of its content.
    pub digest: Digest,
}

/// The place of a value in the application.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretPlace {
    /// What it belongs to, in the application's keys.
    pub owner: Owner,
    /// `environment/<name>`, `connectionInfo/<name>`, `configFiles/<path>`, `secretData/<name>`; for values that can
    /// only be public, `attributes/env/<name>`, `command/<index>`, `arguments/<index>` and `manifest/data/<name>`.
    pub path: String,
}

/// A value that looks like a secret and lacks a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Undecided {
    /// Where it is; a decision names it.
    pub place: SecretPlace,
    /// The display name of what it belongs to.
    pub owner_name: String,
    /// The name of the variable or entry, or the path of the file.
    pub name: String,
    /// What is proposed, and what the preview's content shows.
    pub proposal: SecretDecision,
}

/// What publishing would do to the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The template gets another number.
    NewVersion,
    /// The number gets another revision; the one that it has now is kept for those who run it.
    Replaces {
        /// The revision that it has now.
        revision: u32,
    },
    /// The content is that of the number's current revision: there will be no new one.
    Unchanged {
        /// The revision that it has now.
        revision: u32,
    },
}

/// Everything that a publication would contain.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicationPreview {
    /// What would be published; proposals stand where decisions are missing. It never holds a secret.
    pub content: VersionContent,
    /// Of the content.
    pub digest: Digest,
    /// What must be settled before it can be submitted; all reasons at once.
    pub blockers: Vec<Blocker>,
    /// What does not stop it.
    pub warnings: Vec<String>,
    /// The secrets that lack a decision.
    pub undecided: Vec<Undecided>,
    /// What publishing would do to the number.
    pub outcome: Outcome,
    /// The published key of each component and the key that it has in the application.
    pub keys: BTreeMap<ComponentKey, ComponentKey>,
}

/// Why a publication cannot be submitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the publication has {} blockers and {} secrets without a decision", .0.blockers.len(), .0.undecided.len())]
pub struct NotSubmittable(pub Box<PublicationPreview>);

/// The most bytes that a version's content may have.
pub const MAX_CONTENT: usize = 4 << 20;

/// What would be published. The same input in any order gives the same content.
pub fn preview(input: &PublicationInput) -> PublicationPreview {
    let mut notes = Notes::default();
    let sources = content::sources(input);
    let keys = keys::published(input, &sources, &mut notes);
    let decided = secrets::decide(input, &sources, &keys, &mut notes);
    let content = content::build(input, &sources, &keys, &decided, &mut notes);
    leaks::check(&content, &decided, &mut notes);
    for problem in validate::application(&content.components, &content.resources) {
        notes.blockers.push(invalid(&problem, &content));
    }
    let bytes = content.canonical_bytes();
    if bytes.len() > MAX_CONTENT {
        notes.block(
            "CONTENT_TOO_LARGE",
            None,
            format!("a version has at most {MAX_CONTENT} bytes, not {}", bytes.len()),
        );
    }
    if content.components.is_empty() && content.resources.is_empty() {
        notes.block("NOTHING_TO_PUBLISH", None, "there is nothing to publish".to_owned());
    }
    let digest = Digest::of(&bytes);
    let outcome = match &input.current {
        None => Outcome::NewVersion,
        Some(current) if current.digest == digest => Outcome::Unchanged { revision: current.revision },
        Some(current) => Outcome::Replaces { revision: current.revision },
    };
    notes.blockers.sort();
    notes.blockers.dedup();
    notes.warnings.sort();
    notes.warnings.dedup();
    PublicationPreview {
        content,
        digest,
        blockers: notes.blockers,
        warnings: notes.warnings,
        undecided: decided.undecided,
        outcome,
        keys: keys.components.iter().map(|(own, published)| (*published, *own)).collect(),
    }
}

impl PublicationPreview {
    /// The content, where nothing stands in the way of submitting it.
    pub fn submit(self) -> Result<VersionContent, NotSubmittable> {
        if self.blockers.is_empty() && self.undecided.is_empty() {
            Ok(self.content)
        } else {
            Err(NotSubmittable(Box::new(self)))
        }
    }
}

/// Reasons and warnings, as they are found.
#[derive(Default)]
struct Notes {
    blockers: Vec<Blocker>,
    warnings: Vec<String>,
}

impl Notes {
    fn block(&mut self, code: &str, component: Option<ComponentKey>, message: String) {
        self.blockers.push(Blocker { code: code.to_owned(), message, component });
    }
}

/// A problem of the content, with the component that it is about.
fn invalid(problem: &Problem, content: &VersionContent) -> Blocker {
    let code = if problem.code == Code::Cycle { "DEPENDENCY_CYCLE" } else { "CONTENT_INVALID" };
    let component = match problem.path.as_slice() {
        [list, index, ..] if list == "components" => {
            index.parse::<usize>().ok().and_then(|index| content.components.get(index))
        }
        _ => None,
    };
    let place = match component {
        Some(component) => format!("{}, {}: ", component.name, problem.path[2..].join("/")),
        None if problem.code == Code::Cycle => String::new(),
        None => format!("{}: ", problem.path.join("/")),
    };
    Blocker {
        code: code.to_owned(),
        message: format!("{place}{}", problem.message),
        component: component.map(|component| component.key),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
