//! The state of an application, between the rows that hold it and the domain that decides over it.
//!
//! Rows are in the keys of the application. What belongs to an installation is compared in the keys of its template.

use crate::{
    clock,
    error::Result,
    id::{ApplicationId, ComponentId, InstallationId, ResourceId, VersionId},
    service::rollout::blocker,
    store::{
        self, Conn, Instant, Key, Stored, application::Application, component::Component as ComponentRow,
        installation::Installation, resource::KubernetesResource as ResourceRow, version::Version,
    },
};
use ropeway_domain::{
    ComponentKey, ResourceKey,
    installed::{Installed, InstalledComponent, InstalledResource, VersionRef},
    plan::Blocker,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// An application with everything that it consists of.
#[derive(Debug, Clone)]
pub struct ApplicationState {
    /// Its row.
    pub application: Application,
    /// Its components, by key; those that are to be removed included.
    pub components: BTreeMap<ComponentKey, ComponentRow>,
    /// Its Kubernetes resources, by key; those that are to be removed included.
    pub resources: BTreeMap<ResourceKey, ResourceRow>,
    /// The installations that live in it.
    pub installations: Vec<Installation>,
    /// The revisions that anything in it is at.
    pub versions: BTreeMap<VersionId, Version>,
}

/// Which side of the rows is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What shall run.
    Desired,
    /// What was applied last.
    Deployed,
}

impl ApplicationState {
    /// Reads it. Four queries, whatever its size.
    pub async fn load(conn: &mut Conn, application: Application) -> Result<Self> {
        let ids = [application.id];
        let components = store::component::of_applications(conn, &ids).await?;
        let resources = store::resource::of_applications(conn, &ids).await?;
        let installations = store::installation::of_applications(conn, &ids).await?;
        let at: BTreeSet<VersionId> = components
            .iter()
            .filter_map(|row| row.version_id)
            .chain(resources.iter().filter_map(|row| row.version_id))
            .chain(installations.iter().map(|row| row.version_id))
            .collect();
        let versions = store::version::by_ids(conn, &Vec::from_iter(at)).await?;
        Ok(Self {
            application,
            components: components.into_iter().map(|row| (row.key.0, row)).collect(),
            resources: resources.into_iter().map(|row| (row.key.0, row)).collect(),
            installations,
            versions: versions.into_iter().map(|row| (row.id, row)).collect(),
        })
    }

    /// The whole application, in its own keys.
    pub fn whole(&self, side: Side) -> Installed {
        self.collect(side, |_| true)
    }

    /// What belongs to an installation, in the keys of its template. References to what is elsewhere in the application
    /// stay in the application's keys.
    pub fn of_installation(&self, installation: &Installation, side: Side) -> Installed {
        let mut installed = self.collect(side, |of| of == Some(installation.id));
        installed.secret_groups.clone_from(&installation.secret_groups.0);
        let components = self.components.values().filter(|row| row.installation_id == Some(installation.id));
        let components = components.filter_map(|row| Some((row.key.0, row.template_key?.0))).collect();
        let resources = self.resources.values().filter(|row| row.installation_id == Some(installation.id));
        let resources = resources.filter_map(|row| Some((row.key.0, row.template_key?.0))).collect();
        installed.to_template_keys(&components, &resources)
    }

    /// What the volumes of an installation were written by: what was deployed of it, and of the rest what was to be.
    pub fn as_it_runs(&self, installation: &Installation) -> Installed {
        let mut whole = self.of_installation(installation, Side::Desired);
        let deployed = self.of_installation(installation, Side::Deployed);
        whole.components.extend(deployed.components);
        whole.resources.extend(deployed.resources);
        whole
    }

    /// The revision that something is at, as the domain knows it.
    pub fn version_ref(&self, id: VersionId) -> Option<VersionRef> {
        self.versions.get(&id).map(version_ref)
    }

    /// The own keys of all components and Kubernetes resources, those that are to be removed included.
    pub fn own_keys(&self) -> BTreeSet<Uuid> {
        self.components.keys().map(|key| key.0).chain(self.resources.keys().map(|key| key.0)).collect()
    }

    /// The installation that each component came with, by its own key.
    pub fn component_installations(&self) -> BTreeMap<ComponentKey, Uuid> {
        self.components.iter().filter_map(|(key, row)| Some((*key, row.installation_id?.0))).collect()
    }

    /// The installation that each Kubernetes resource came with, by its own key.
    pub fn resource_installations(&self) -> BTreeMap<ResourceKey, Uuid> {
        self.resources.iter().filter_map(|(key, row)| Some((*key, row.installation_id?.0))).collect()
    }

    fn collect(&self, side: Side, belongs: impl Fn(Option<InstallationId>) -> bool) -> Installed {
        let components = self.components.iter().filter(|(_, row)| belongs(row.installation_id));
        let components = components.filter_map(|(key, row)| {
            let spec = match side {
                Side::Desired => row.desired.as_ref(),
                Side::Deployed => row.deployed.as_ref(),
            }?;
            let component = InstalledComponent {
                own_key: *key,
                cluster_name: row.cluster_name.clone(),
                spec: spec.0.clone(),
                version: row.version_id.and_then(|id| self.version_ref(id)),
                no_longer_in_template: row.no_longer_in_template,
            };
            Some((*key, component))
        });
        let resources = self.resources.iter().filter(|(_, row)| belongs(row.installation_id));
        let resources = resources.filter_map(|(key, row)| {
            let spec = match side {
                Side::Desired => row.desired.as_ref(),
                Side::Deployed => row.deployed.as_ref(),
            }?;
            let resource = InstalledResource {
                own_key: *key,
                spec: spec.0.clone(),
                version: row.version_id.and_then(|id| self.version_ref(id)),
                no_longer_in_template: row.no_longer_in_template,
            };
            Some((*key, resource))
        });
        Installed { components: components.collect(), resources: resources.collect(), secret_groups: BTreeMap::new() }
    }

    /// Writes the desired state of an installation, given in the keys of its template, within the caller's transaction.
    /// Components and resources that are new get rows; those that are missing are to be removed. The revisions that
    /// they are at are written by whoever learns that they got there.
    pub async fn write_installation(
        &self,
        conn: &mut Conn,
        installation: InstallationId,
        after: &Installed,
        now: Instant,
    ) -> Result<()> {
        let own = after.to_own_keys();
        for (template_key, component) in &after.components {
            let spec = own.components.get(&component.own_key).map(|one| Stored(one.spec.clone()));
            match self.components.get(&component.own_key) {
                Some(row) => {
                    let row = ComponentRow {
                        name: component.spec.name.clone(),
                        desired: spec,
                        no_longer_in_template: component.no_longer_in_template,
                        ..row.clone()
                    };
                    store::component::update_desired(conn, &row).await?;
                }
                None => {
                    let row = ComponentRow {
                        id: clock::new_id(),
                        application_id: self.application.id,
                        installation_id: Some(installation),
                        key: Key(component.own_key),
                        template_key: Some(Key(*template_key)),
                        version_id: component.version.as_ref().map(|version| VersionId::new(version.id)),
                        no_longer_in_template: component.no_longer_in_template,
                        name: component.spec.name.clone(),
                        slug: self.free_slug(&component.cluster_name, component.spec.slug.as_str()),
                        cluster_name: component.cluster_name.clone(),
                        desired: spec,
                        deployed: None,
                        created_at: now,
                    };
                    store::component::insert(conn, &row).await?;
                }
            }
        }
        for (template_key, resource) in &after.resources {
            let spec = own.resources.get(&resource.own_key).map(|one| Stored(one.spec.clone()));
            match self.resources.get(&resource.own_key) {
                Some(row) => {
                    // One that was to be removed comes back with this version.
                    let at = resource.version.as_ref().map(|version| VersionId::new(version.id));
                    let row = ResourceRow {
                        installation_id: Some(installation),
                        template_key: Some(Key(*template_key)),
                        version_id: if row.desired.is_some() { row.version_id } else { at },
                        desired: spec,
                        no_longer_in_template: resource.no_longer_in_template,
                        ..row.clone()
                    };
                    store::resource::update_desired(conn, &row).await?;
                }
                None => {
                    let row = ResourceRow {
                        id: clock::new_id(),
                        application_id: self.application.id,
                        installation_id: Some(installation),
                        key: Key(resource.own_key),
                        template_key: Some(Key(*template_key)),
                        version_id: resource.version.as_ref().map(|version| VersionId::new(version.id)),
                        no_longer_in_template: resource.no_longer_in_template,
                        api_version: resource.spec.api_version.clone(),
                        kind: resource.spec.kind.clone(),
                        name: resource.spec.name.clone(),
                        desired: spec,
                        deployed: None,
                        created_at: now,
                    };
                    store::resource::insert(conn, &row).await?;
                }
            }
        }
        for (key, row) in &self.resources {
            if row.installation_id == Some(installation) && !own.resources.contains_key(key) && row.desired.is_some() {
                store::resource::update_desired(conn, &ResourceRow { desired: None, ..row.clone() }).await?;
            }
        }
        Ok(())
    }

    /// Gives what is new the keys of what is to be removed and is the same object: that has one row.
    pub fn take_over_removed(&self, after: &mut Installed) {
        let is_new = |one: &&mut InstalledResource| !self.resources.contains_key(&one.own_key);
        for one in after.resources.values_mut().filter(is_new) {
            let mut removed = self.resources.values().filter(|row| row.desired.is_none());
            if let Some(row) = removed.find(|row| one.spec.is_object(&row.api_version, &row.kind, &row.name)) {
                one.own_key = row.key.0;
            }
        }
    }

    /// Kubernetes resources that are new, while the application has another one of the same kind and name.
    pub fn resources_in_the_way(&self, after: &Installed) -> Vec<Blocker> {
        let is_new = |one: &&InstalledResource| !self.resources.contains_key(&one.own_key);
        let is_there = |one: &&InstalledResource| {
            self.resources.values().any(|row| one.spec.is_object(&row.api_version, &row.kind, &row.name))
        };
        let message = |one: &InstalledResource| {
            let (kind, name) = (&one.spec.kind, &one.spec.name);
            format!("the application has a {kind} {name} already, which is not of this installation: remove that first")
        };
        let there = after.resources.values().filter(is_new).filter(is_there);
        there.map(|one| blocker("NAME_IN_USE", message(one))).collect()
    }

    /// The slug of a component that comes from a template, where another component has it already.
    fn free_slug(&self, cluster_name: &str, slug: &str) -> String {
        if self.components.values().any(|row| row.slug == slug) { cluster_name.to_owned() } else { slug.to_owned() }
    }

    /// The row of a component by its id.
    pub fn component(&self, id: ComponentId) -> Option<&ComponentRow> {
        self.components.values().find(|row| row.id == id)
    }

    /// The row of a Kubernetes resource by its id.
    pub fn resource(&self, id: ResourceId) -> Option<&ResourceRow> {
        self.resources.values().find(|row| row.id == id)
    }

    /// Which application it is.
    pub fn id(&self) -> ApplicationId {
        self.application.id
    }
}

/// A revision, as the domain knows it.
pub fn version_ref(version: &Version) -> VersionRef {
    VersionRef { id: version.id.0, number: version.number.clone() }
}
