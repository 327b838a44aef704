//! Who may do what.
//!
//! Two tables say which role an action asks for. What one may not see does not exist for one: [`Denial`] tells the two
//! refusals apart, so that nobody learns from the second what the first hides.

mod membership;

pub use membership::{MembershipError, remove_member, remove_team_member, set_member, set_team_member};

use crate::spelling::spelled;

spelled! {
    /// What a person is in the enterprise. The greater may do more.
    "role in an enterprise" enum EnterpriseRole {
        /// Sees the names of clusters, and the templates of the enterprise; opens teams.
        Member = "MEMBER",
        /// Keeps clusters, drivers, the library and the members.
        Administrator = "ADMINISTRATOR",
    }

    /// What a person is in a team. The greater may do more.
    "role in a team" enum TeamRole {
        /// Looks on.
        Viewer = "VIEWER",
        /// Composes, publishes, installs, upgrades.
        Developer = "DEVELOPER",
        /// Says who belongs to the team, and opens and deletes it.
        Owner = "OWNER",
    }

    /// What can be done in an enterprise.
    "action in an enterprise" enum EnterpriseAction {
        /// See that it exists, its members' names, clusters' names and status, and templates of enterprise scope.
        View = "VIEW",
        /// Open a team, and become its owner.
        CreateTeam = "CREATE_TEAM",
        /// See clusters' configuration, capabilities, and why they are not well.
        ViewPlatform = "VIEW_PLATFORM",
        /// Register, change and remove clusters.
        ManageClusters = "MANAGE_CLUSTERS",
        /// Register drivers and grant what they ask for.
        ManageDrivers = "MANAGE_DRIVERS",
        /// Configure the library, probe it, import from it.
        ManageLibrary = "MANAGE_LIBRARY",
        /// Create users, and say who is what.
        ManageMembers = "MANAGE_MEMBERS",
        /// Change and delete templates that belong to no team.
        ManageTemplates = "MANAGE_TEMPLATES",
        /// Read the audit log.
        ViewAudit = "VIEW_AUDIT",
    }

    /// What can be done in a team.
    "action in a team" enum TeamAction {
        /// See the team, its applications, its templates and what happens to them.
        View = "VIEW",
        /// Compose and change applications: components, resources, environment, configuration.
        EditApplications = "EDIT_APPLICATIONS",
        /// Bring edits into the cluster; start, stop, restart, scale.
        Deploy = "DEPLOY",
        /// Delete applications.
        DeleteApplications = "DELETE_APPLICATIONS",
        /// Create, change and delete templates, and publish.
        Publish = "PUBLISH",
        /// Install, upgrade, roll back, uninstall.
        Install = "INSTALL",
        /// Retry and cancel operations.
        ControlOperations = "CONTROL_OPERATIONS",
        /// Open the team on another cluster.
        OpenOnClusters = "OPEN_ON_CLUSTERS",
        /// Say who belongs to the team, as what.
        ManageMembers = "MANAGE_MEMBERS",
        /// Delete the team.
        Delete = "DELETE",
    }
}

/// What a person is, where something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// In the enterprise; none: no member of it.
    pub enterprise: Option<EnterpriseRole>,
    /// In the team that the matter belongs to; none: no member of it, or it belongs to no team.
    pub team: Option<TeamRole>,
}

/// Why somebody may not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// They may not even see it: to them it does not exist.
    #[error("not found")]
    NotFound,
    /// They may see it, and need a greater role for this.
    #[error("this needs the role {needed}")]
    Forbidden {
        /// The least role that may.
        needed: &'static str,
    },
}

impl EnterpriseAction {
    /// The least role that may.
    pub fn required(self) -> EnterpriseRole {
        match self {
            Self::View | Self::CreateTeam => EnterpriseRole::Member,
            Self::ViewPlatform
            | Self::ManageClusters
            | Self::ManageDrivers
            | Self::ManageLibrary
            | Self::ManageMembers
            | Self::ManageTemplates
            | Self::ViewAudit => EnterpriseRole::Administrator,
        }
    }
}

impl TeamAction {
    /// The least role that may.
    pub fn required(self) -> TeamRole {
        match self {
            Self::View => TeamRole::Viewer,
            Self::EditApplications
            | Self::Deploy
            | Self::DeleteApplications
            | Self::Publish
            | Self::Install
            | Self::ControlOperations => TeamRole::Developer,
            Self::OpenOnClusters | Self::ManageMembers | Self::Delete => TeamRole::Owner,
        }
    }

    /// Whether an administrator of the enterprise may without belonging to the team. They see all teams and say who
    /// belongs to them, so that a team never stays without an owner; they do not reach into its applications.
    pub fn open_to_administrators(self) -> bool {
        matches!(self, Self::View | Self::ManageMembers | Self::OpenOnClusters | Self::Delete)
    }
}

/// Whether a person may do something in their enterprise.
pub fn check_enterprise(role: Option<EnterpriseRole>, action: EnterpriseAction) -> Result<(), Denial> {
    match role {
        None => Err(Denial::NotFound),
        Some(role) if role >= action.required() => Ok(()),
        Some(_) => Err(Denial::Forbidden { needed: action.required().as_str() }),
    }
}

/// Whether a person may do something in a team of their enterprise.
pub fn check_team(standing: Standing, action: TeamAction) -> Result<(), Denial> {
    let Some(enterprise) = standing.enterprise else {
        return Err(Denial::NotFound);
    };
    let administrates = enterprise == EnterpriseRole::Administrator;
    match standing.team {
        Some(role) if role >= action.required() => Ok(()),
        _ if administrates && action.open_to_administrators() => Ok(()),
        None if !administrates => Err(Denial::NotFound),
        _ => Err(Denial::Forbidden { needed: action.required().as_str() }),
    }
}

/// Whether a person may see a template. `team` is the standing in the team that it belongs to; a template of enterprise
/// scope is seen by every member, one of team scope by that team and by the administrators, who keep the library.
pub fn check_template(standing: Standing, is_team_scope: bool) -> Result<(), Denial> {
    match standing.enterprise {
        Some(_) if !is_team_scope || standing.team.is_some() => Ok(()),
        Some(EnterpriseRole::Administrator) => Ok(()),
        Some(EnterpriseRole::Member) | None => Err(Denial::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_table_of_actions_and_roles() {
        let mut table = String::new();
        for action in EnterpriseAction::ALL {
            let by: Vec<_> = EnterpriseRole::ALL
                .iter()
                .filter(|role| check_enterprise(Some(**role), *action).is_ok())
                .map(|role| role.as_str())
                .collect();
            writeln!(table, "{action}: {}", by.join(" ")).unwrap();
        }
        for action in TeamAction::ALL {
            let standing = |enterprise, team| Standing { enterprise: Some(enterprise), team };
            let mut by: Vec<_> = TeamRole::ALL
                .iter()
                .filter(|role| check_team(standing(EnterpriseRole::Member, Some(**role)), *action).is_ok())
                .map(|role| role.as_str())
                .collect();
            if check_team(standing(EnterpriseRole::Administrator, None), *action).is_ok() {
                by.push("(administrator)");
            }
            writeln!(table, "team {action}: {}", by.join(" ")).unwrap();
        }
        insta::assert_snapshot!(table, @r"
        VIEW: MEMBER ADMINISTRATOR
        CREATE_TEAM: MEMBER ADMINISTRATOR
        VIEW_PLATFORM: ADMINISTRATOR
        MANAGE_CLUSTERS: ADMINISTRATOR
        MANAGE_DRIVERS: ADMINISTRATOR
        MANAGE_LIBRARY: ADMINISTRATOR
        MANAGE_MEMBERS: ADMINISTRATOR
        MANAGE_TEMPLATES: ADMINISTRATOR
        VIEW_AUDIT: ADMINISTRATOR
        team VIEW: VIEWER DEVELOPER OWNER (administrator)
        team EDIT_APPLICATIONS: DEVELOPER OWNER
        team DEPLOY: DEVELOPER OWNER
        team DELETE_APPLICATIONS: DEVELOPER OWNER
        team PUBLISH: DEVELOPER OWNER
        team INSTALL: DEVELOPER OWNER
        team CONTROL_OPERATIONS: DEVELOPER OWNER
        team OPEN_ON_CLUSTERS: OWNER (administrator)
        team MANAGE_MEMBERS: OWNER (administrator)
        team DELETE: OWNER (administrator)
        ");
    }

    #[test]
    fn what_one_may_not_see_does_not_exist() {
        let stranger = Standing { enterprise: None, team: Some(TeamRole::Owner) };
        let outsider = Standing { enterprise: Some(EnterpriseRole::Member), team: None };
        let viewer = Standing { enterprise: Some(EnterpriseRole::Member), team: Some(TeamRole::Viewer) };
        for &action in TeamAction::ALL {
            assert_eq!(check_team(stranger, action), Err(Denial::NotFound));
            assert_eq!(check_team(outsider, action), Err(Denial::NotFound));
        }
        assert_eq!(check_team(viewer, TeamAction::Install), Err(Denial::Forbidden { needed: "DEVELOPER" }));
        assert_eq!(check_enterprise(None, EnterpriseAction::View), Err(Denial::NotFound));
    }

    #[test]
    fn a_template_of_a_team_is_seen_by_that_team_and_by_administrators_alone() {
        let standing = |enterprise, team| Standing { enterprise, team };
        for (standing, of_team, of_enterprise) in [
            (standing(None, None), false, false),
            (standing(Some(EnterpriseRole::Member), None), false, true),
            (standing(Some(EnterpriseRole::Member), Some(TeamRole::Viewer)), true, true),
            (standing(Some(EnterpriseRole::Administrator), None), true, true),
        ] {
            assert_eq!(check_template(standing, true).is_ok(), of_team, "{standing:?}");
            assert_eq!(check_template(standing, false).is_ok(), of_enterprise, "{standing:?}");
        }
    }
}
