//! What is asked of installations, and what is answered.

use super::Installation;
use crate::{
    graphql::{operation::Operation, plan::Plan, record::UpgradeRecord},
    payload,
};
use async_graphql::{Enum, ID, InputObject};

/// What happens when an upgrade fails.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It stays as it is: it can be retried or rolled back.
    Stop,
    /// It is rolled back by itself, and nobody else changes the application in between.
    RollBack,
}

/// A new team.
#[derive(InputObject)]
pub struct NewTeamInput {
    /// What people call it: 1 to 100 characters.
    pub name: String,
    /// Its English name, a DNS label: the name of its namespaces.
    pub slug: String,
}

/// A value that a version asks for.
#[derive(InputObject)]
pub struct SuppliedValueInput {
    /// The key of the component or Kubernetes resource, as the plan's `asks` name it.
    pub owner: ID,
    /// The place, as the plan's `asks` name it.
    pub name: String,
    /// The value: at most 32 KiB. It is sealed.
    #[graphql(secret)]
    pub value: String,
}

/// Input of `planInstallation`. Either `teamId` or `newTeam`; either `applicationId` or `applicationName`.
#[derive(InputObject)]
pub struct PlanInstallationInput {
    /// Which revision of a version.
    pub version_id: ID,
    /// In which cluster.
    pub cluster_id: ID,
    /// For which team.
    pub team_id: Option<ID>,
    /// For a team that is made on the way; whoever asks becomes its owner.
    pub new_team: Option<NewTeamInput>,
    /// Into an application that exists, of the same team in the same cluster.
    pub application_id: Option<ID>,
    /// The name of the new application; by default that of the template.
    pub application_name: Option<String>,
    /// An installation of the same template that was uninstalled from the same application and left volumes: they are
    /// taken over, with names, sizes and secrets as it had them. A CLAIMS_LEFT blocker names it.
    pub reuse_volumes_of: Option<ID>,
    /// The values that the version asks for.
    pub values: Option<Vec<SuppliedValueInput>>,
}

/// Input of `installTemplate`. Either `teamId` or `newTeam`; either `applicationId` or `applicationName`.
#[derive(InputObject)]
pub struct InstallTemplateInput {
    /// Which revision of a version.
    pub version_id: ID,
    /// In which cluster.
    pub cluster_id: ID,
    /// For which team.
    pub team_id: Option<ID>,
    /// For a team that is made on the way; whoever asks becomes its owner.
    pub new_team: Option<NewTeamInput>,
    /// Into an application that exists, of the same team in the same cluster.
    pub application_id: Option<ID>,
    /// The name of the new application; by default that of the template.
    pub application_name: Option<String>,
    /// An installation of the same template that was uninstalled from the same application and left volumes: they are
    /// taken over, with names, sizes and secrets as it had them. A CLAIMS_LEFT blocker names it.
    pub reuse_volumes_of: Option<ID>,
    /// The values that the version asks for.
    pub values: Option<Vec<SuppliedValueInput>>,
    /// The digest of the plan that was looked at. Without it the current plan is executed.
    pub plan_digest: Option<String>,
    /// Seconds until a component that does not become healthy has failed: 1 to 86400; by default as configured (600).
    pub progress_deadline_seconds: Option<i32>,
}

/// Input of `planUpgrade`.
#[derive(InputObject)]
pub struct PlanUpgradeInput {
    /// Which installation.
    pub installation_id: ID,
    /// To which revision: one of its `upgradableVersions`.
    pub version_id: ID,
    /// Only these components, by their keys in the template; by default all.
    pub components: Option<Vec<ID>>,
    /// The ids of offered changes that are accepted.
    pub accept: Option<Vec<ID>>,
    /// The values that the version asks for.
    pub values: Option<Vec<SuppliedValueInput>>,
}

/// Input of `upgradeInstallation`.
#[derive(InputObject)]
pub struct UpgradeInstallationInput {
    /// Which installation.
    pub installation_id: ID,
    /// To which revision: one of its `upgradableVersions`.
    pub version_id: ID,
    /// Only these components, by their keys in the template; by default all.
    pub components: Option<Vec<ID>>,
    /// The ids of offered changes that are accepted.
    pub accept: Option<Vec<ID>>,
    /// The values that the version asks for.
    pub values: Option<Vec<SuppliedValueInput>>,
    /// The digest of the plan that was looked at. Without it the current plan is made, recorded and executed.
    pub plan_digest: Option<String>,
    /// What happens when it fails; by default STOP.
    pub on_failure: Option<OnFailure>,
    /// Seconds until a component that does not become healthy has failed: 1 to 86400; by default as configured (600).
    pub progress_deadline_seconds: Option<i32>,
}

/// Input of `planUninstall` and `uninstall`.
#[derive(InputObject)]
pub struct UninstallInput {
    /// Which installation.
    pub installation_id: ID,
    /// Whether its persistent volumes are deleted as well, with all that is in them; by default they are kept.
    pub delete_volumes: Option<bool>,
}

payload! {
    /// Answer of `installTemplate`.
    InstallTemplatePayload {
        /// The new installation.
        installation: Installation,
        /// The operation that carries it out.
        operation: Operation,
        /// The new plan, where the one that was named does not hold any more.
        plan: Plan,
    }
}

payload! {
    /// Answer of `upgradeInstallation`.
    UpgradeInstallationPayload {
        /// The record of the upgrade.
        upgrade_record: UpgradeRecord,
        /// The operation that carries it out.
        operation: Operation,
        /// The new plan, where the one that was named does not hold any more.
        plan: Plan,
    }
}

payload! {
    /// Answer of `uninstall`.
    UninstallPayload {
        /// The installation that ends.
        installation: Installation,
        /// The operation that carries it out.
        operation: Operation,
    }
}
