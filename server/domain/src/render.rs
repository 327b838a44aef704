//! From the desired state to the model that drivers render.
//!
//! Everything is resolved here: names, hosts, images and environments. Secrets stay placeholders, which the worker fills
//! in when it applies.

use crate::{
    digest::Digest,
    installed::{Installed, InstalledComponent, InstalledResource},
    key::{ComponentKey, ResourceKey},
    model::{Component, ConfigFile, Image, Value, Volume, VolumeKind},
    preflight::claim_name,
    rendering::{
        ApplicationModel, ApplicationNaming, ComponentModel, ConfigFileModel, EnvironmentModel, ModelValue,
        ResourceModel, VolumeModel, placeholder,
    },
    text::Text,
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What rendering needs besides the desired state.
pub struct RenderContext<'a> {
    /// Host and port of the library's registry, as the cluster reaches it.
    pub registry: &'a str,
    /// The Secret with which images of the library are pulled.
    pub pull_secret: Option<&'a str>,
    /// The address that the cluster's driver wants for an image; none: leave it as it is.
    pub rewrite_image: &'a dyn Fn(&str) -> Option<String>,
    /// The installation that each component came with, by the component's own key.
    pub installations: &'a BTreeMap<ComponentKey, Uuid>,
    /// The installation that each Kubernetes resource came with, by the resource's own key.
    pub resource_installations: &'a BTreeMap<ResourceKey, Uuid>,
}

/// Why a desired state cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A text names the host of a component that is not there.
    #[error("{path} of {component} names the host of the component {host}, which is not there")]
    UnknownHost {
        /// Whose.
        component: String,
        /// Where in it.
        path: String,
        /// Which is named.
        host: ComponentKey,
    },
    /// A component depends on one that is not there.
    #[error("{component} depends on the component {dependency}, which is not there")]
    UnknownDependency {
        /// Which depends.
        component: String,
        /// On what.
        dependency: ComponentKey,
    },
    /// A component mounts a volume that is not there.
    #[error("{component} mounts the volume {volume} of the component {owner}, which is not there")]
    UnknownVolume {
        /// Which mounts it.
        component: String,
        /// The name of the volume.
        volume: String,
        /// Whose it should be.
        owner: ComponentKey,
    },
    /// A component mounts a disk of another one.
    #[error("{component} mounts the volume {volume} of the component {owner}, which has only one writer")]
    OneWriter {
        /// Which mounts it.
        component: String,
        /// The name of the volume.
        volume: String,
        /// Whose it is.
        owner: ComponentKey,
    },
}

/// The model of an application for a driver, in the keys of the application. The same state gives the same model.
pub fn application_model(
    application: ApplicationNaming,
    installed: &Installed,
    context: &RenderContext<'_>,
) -> Result<ApplicationModel, RenderError> {
    let installed = installed.to_own_keys();
    let names = installed.names();
    let all = All { installed: &installed, names: &names, context };
    let components = installed.components.values().map(|component| all.component(component));
    let resources = installed.resources.values().map(|resource| all.resource(resource));
    Ok(ApplicationModel {
        model_version: "1".to_owned(),
        application,
        components: components.collect::<Result<_, _>>()?,
        resources: resources.collect::<Result<_, _>>()?,
    })
}

struct All<'a> {
    installed: &'a Installed,
    names: &'a BTreeMap<ComponentKey, String>,
    context: &'a RenderContext<'a>,
}

impl All<'_> {
    fn component(&self, installed: &InstalledComponent) -> Result<ComponentModel, RenderError> {
        let spec = &installed.spec;
        let texts = |field: &str, texts: &[Text]| {
            let resolve = |(index, text): (usize, &Text)| self.text(&spec.name, &format!("{field}/{index}"), text);
            texts.iter().enumerate().map(resolve).collect::<Result<Vec<_>, _>>()
        };
        let (image, is_library) = self.image(&spec.image);
        let environment = self.environment(installed)?;
        let config_files =
            spec.config_files.iter().map(|file| self.file(&spec.name, file)).collect::<Result<Vec<_>, _>>()?;
        let named = self.named_configuration(spec)?;
        let content_hash = content_hash(&environment, &config_files, &named);
        Ok(ComponentModel {
            key: installed.own_key,
            installation: self.context.installations.get(&installed.own_key).copied(),
            version: installed.version.as_ref().map(|version| version.number.clone()),
            name: installed.cluster_name.clone(),
            slug: spec.slug.to_string(),
            kind: spec.kind,
            image,
            pull_secret: self.context.pull_secret.filter(|_| is_library).map(str::to_owned),
            command: texts("command", &spec.command)?,
            arguments: texts("arguments", &spec.arguments)?,
            environment,
            ports: spec.ports.clone(),
            volumes: spec.volumes.iter().map(|volume| self.volume(&spec.name, volume)).collect::<Result<_, _>>()?,
            config_files,
            probes: spec.probes.clone(),
            resources: spec.resources.clone(),
            replicas: spec.scale.replicas,
            scale_rule: spec.scale.rule.clone(),
            attributes: spec.attributes.clone(),
            content_hash,
        })
    }

    fn resource(&self, installed: &InstalledResource) -> Result<ResourceModel, RenderError> {
        let spec = &installed.spec;
        let secret_data = spec.secret_data.iter().map(|variable| {
            let path = format!("secretData/{}", variable.name);
            let value = self.value(&spec.name, &path, &variable.value)?;
            Ok(EnvironmentModel { name: variable.name.clone(), value })
        });
        Ok(ResourceModel {
            key: installed.own_key,
            installation: self.context.resource_installations.get(&installed.own_key).copied(),
            version: installed.version.as_ref().map(|version| version.number.clone()),
            manifest: spec.manifest.clone(),
            secret_data: secret_data.collect::<Result<_, _>>()?,
        })
    }

    /// What the ConfigMaps and Secrets hold that a component's attributes name, of those that the application has.
    fn named_configuration<'a>(&'a self, spec: &Component<Value>) -> Result<Vec<NamedConfiguration<'a>>, RenderError> {
        let named = spec.named_configuration();
        let found = named.iter().filter_map(|(kind, name)| self.installed.configuration(kind, name));
        let content = found.map(|resource| {
            let (data, binary_data, entries) = resource.content();
            let entries = entries
                .into_iter()
                .map(|(name, value)| Ok((name, self.value(&resource.name, &format!("secretData/{name}"), value)?)));
            Ok((&resource.kind, &resource.name, data, binary_data, entries.collect::<Result<_, RenderError>>()?))
        });
        content.collect()
    }

    /// The address of an image, and whether it is pulled from the library.
    fn image(&self, image: &Image) -> (String, bool) {
        let registry = self.context.registry;
        let (reference, is_library) = match image {
            Image::Library { repository, digest } => (format!("{registry}/{repository}@{digest}"), true),
            Image::Reference { reference } => {
                let is_library = reference.strip_prefix(registry).is_some_and(|rest| rest.starts_with('/'));
                (reference.clone(), is_library)
            }
        };
        ((self.context.rewrite_image)(&reference).unwrap_or(reference), is_library)
    }

    /// The component's own environment, then the connection info of what it depends on, by the names of those. The first
    /// of a name wins.
    fn environment(&self, installed: &InstalledComponent) -> Result<Vec<EnvironmentModel>, RenderError> {
        let spec = &installed.spec;
        let mut dependencies = Vec::new();
        for key in &spec.dependencies {
            let dependency = self
                .installed
                .components
                .get(key)
                .ok_or_else(|| RenderError::UnknownDependency { component: spec.name.clone(), dependency: *key })?;
            dependencies.push(dependency);
        }
        dependencies.sort_by(|one, two| (&one.spec.name, one.own_key).cmp(&(&two.spec.name, two.own_key)));

        let own = spec.environment.iter().map(|variable| (spec, "environment", variable));
        let offered = dependencies.iter().flat_map(|dependency| {
            dependency.spec.connection_info.iter().map(|variable| (&dependency.spec, "connectionInfo", variable))
        });
        let mut seen = BTreeSet::new();
        let mut environment = Vec::new();
        for (owner, field, variable) in own.chain(offered) {
            if seen.insert(variable.name.as_str()) {
                let value = self.value(&owner.name, &format!("{field}/{}", variable.name), &variable.value)?;
                environment.push(EnvironmentModel { name: variable.name.clone(), value });
            }
        }
        Ok(environment)
    }

    fn volume(&self, component: &str, volume: &Volume) -> Result<VolumeModel, RenderError> {
        let claim = match volume.shared_from {
            None => None,
            Some(owner) => {
                let found = self.installed.components.get(&owner).and_then(|owner| {
                    let own = |other: &&Volume| other.name == volume.name && other.shared_from.is_none();
                    Some((&owner.cluster_name, owner.spec.volumes.iter().find(own)?.kind))
                });
                let (component, name) = (component.to_owned(), volume.name.clone());
                match found {
                    Some((owner, VolumeKind::Shared)) => Some(claim_name(owner, &name)),
                    Some(_) => return Err(RenderError::OneWriter { component, volume: name, owner }),
                    None => return Err(RenderError::UnknownVolume { component, volume: name, owner }),
                }
            }
        };
        Ok(VolumeModel {
            name: volume.name.clone(),
            mount_path: volume.mount_path.clone(),
            sub_path: volume.sub_path.clone(),
            kind: volume.kind,
            size: volume.size.clone(),
            storage_class: volume.storage_class.clone(),
            read_only: volume.read_only,
            claim,
        })
    }

    fn file(&self, component: &str, file: &ConfigFile<Value>) -> Result<ConfigFileModel, RenderError> {
        let content = self.value(component, &format!("configFiles/{}", file.path), &file.content)?;
        Ok(ConfigFileModel { path: file.path.clone(), content, mode: file.mode })
    }

    fn value(&self, component: &str, path: &str, value: &Value) -> Result<ModelValue, RenderError> {
        match value {
            Value::Sealed { sealed } => Ok(ModelValue::Secret { secret: placeholder(*sealed) }),
            Value::Text(text) => self.text(component, path, text).map(ModelValue::Plain),
        }
    }

    fn text(&self, component: &str, path: &str, text: &Text) -> Result<String, RenderError> {
        text.resolve(self.names).map_err(|host| RenderError::UnknownHost {
            component: component.to_owned(),
            path: path.to_owned(),
            host,
        })
    }
}

/// Kind and name, plain entries, binary ones, and those of a Secret.
type NamedConfiguration<'a> =
    (&'a String, &'a String, Option<&'a Json>, Option<&'a Json>, BTreeMap<&'a str, ModelValue>);

/// Changes with the content of a file, with a secret of the environment, and with what named resources hold: pods see
/// none of them change. Plain variables stand in the pod template, which restarts its pods anyway.
fn content_hash(
    environment: &[EnvironmentModel],
    files: &[ConfigFileModel],
    named: &[NamedConfiguration<'_>],
) -> String {
    let secrets: BTreeMap<&str, &ModelValue> = environment
        .iter()
        .filter(|variable| matches!(variable.value, ModelValue::Secret { .. }))
        .map(|variable| (variable.name.as_str(), &variable.value))
        .collect();
    let files: BTreeMap<&str, &ConfigFileModel> = files.iter().map(|file| (file.path.as_str(), file)).collect();
    // Without any it is as it was before they counted, so that no pod is restarted for that.
    let digest =
        if named.is_empty() { Digest::of_value(&(secrets, files)) } else { Digest::of_value(&(secrets, files, named)) };
    digest.hex()[..32].to_owned()
}

#[cfg(test)]
mod tests;
