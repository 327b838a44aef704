//! Giving and taking roles.
//!
//! Nobody raises their own role, and neither an enterprise nor a team is ever left without somebody who can give roles.

use super::{Denial, EnterpriseAction, EnterpriseRole, Standing, TeamAction, TeamRole, check_enterprise, check_team};
use std::collections::BTreeMap;

/// Why a role cannot be given or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// The person who asks may not.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The person who asks would become more than they are.
    #[error("nobody can raise their own role: ask somebody else who has the role {needed}")]
    OwnRole {
        /// Who could do it.
        needed: &'static str,
    },
    /// Nobody would be left to give roles.
    #[error("this is the last {role}: give the role to somebody else first")]
    Last {
        /// The role that somebody must have.
        role: &'static str,
    },
    /// The person is no member of what they would get a role in.
    #[error("not a member of the {of}")]
    NoMember {
        /// `enterprise` or `team`.
        of: &'static str,
    },
}

/// Gives `subject` a role in the enterprise. `roles` are the roles of all of its members.
pub fn set_member<P: Ord>(
    roles: &BTreeMap<P, EnterpriseRole>,
    actor: &P,
    subject: &P,
    role: EnterpriseRole,
) -> Result<(), MembershipError> {
    check_enterprise(roles.get(actor).copied(), EnterpriseAction::ManageMembers)?;
    let before = roles.get(subject).copied();
    if actor == subject && Some(role) > before {
        return Err(MembershipError::OwnRole { needed: EnterpriseRole::Administrator.as_str() });
    }
    if role < EnterpriseRole::Administrator {
        check_not_last(roles, subject, EnterpriseRole::Administrator)?;
    }
    Ok(())
}

/// Takes `subject` out of the enterprise. Everybody may leave.
pub fn remove_member<P: Ord>(
    roles: &BTreeMap<P, EnterpriseRole>,
    actor: &P,
    subject: &P,
) -> Result<(), MembershipError> {
    let action = if actor == subject { EnterpriseAction::View } else { EnterpriseAction::ManageMembers };
    check_enterprise(roles.get(actor).copied(), action)?;
    if !roles.contains_key(subject) {
        return Err(MembershipError::NoMember { of: "enterprise" });
    }
    check_not_last(roles, subject, EnterpriseRole::Administrator)
}

/// Gives `subject` a role in a team. `members` are the roles in the enterprise, `roles` those in the team.
pub fn set_team_member<P: Ord>(
    members: &BTreeMap<P, EnterpriseRole>,
    roles: &BTreeMap<P, TeamRole>,
    actor: &P,
    subject: &P,
    role: TeamRole,
) -> Result<(), MembershipError> {
    check_team(standing(members, roles, actor), TeamAction::ManageMembers)?;
    if !members.contains_key(subject) {
        return Err(MembershipError::NoMember { of: "enterprise" });
    }
    if actor == subject && Some(role) > roles.get(subject).copied() {
        return Err(MembershipError::OwnRole { needed: TeamRole::Owner.as_str() });
    }
    if role < TeamRole::Owner {
        check_not_last(roles, subject, TeamRole::Owner)?;
    }
    Ok(())
}

/// Takes `subject` out of a team. Everybody may leave.
pub fn remove_team_member<P: Ord>(
    members: &BTreeMap<P, EnterpriseRole>,
    roles: &BTreeMap<P, TeamRole>,
    actor: &P,
    subject: &P,
) -> Result<(), MembershipError> {
    let action = if actor == subject { TeamAction::View } else { TeamAction::ManageMembers };
    check_team(standing(members, roles, actor), action)?;
    if !roles.contains_key(subject) {
        return Err(MembershipError::NoMember { of: "team" });
    }
    check_not_last(roles, subject, TeamRole::Owner)
}

fn standing<P: Ord>(members: &BTreeMap<P, EnterpriseRole>, roles: &BTreeMap<P, TeamRole>, person: &P) -> Standing {
    Standing { enterprise: members.get(person).copied(), team: roles.get(person).copied() }
}

/// Whether `subject` may lose the role `top`, which somebody must have.
fn check_not_last<P: Ord, R: Copy + Eq + Into<&'static str>>(
    roles: &BTreeMap<P, R>,
    subject: &P,
    top: R,
) -> Result<(), MembershipError> {
    let has_it = roles.get(subject) == Some(&top);
    let others = roles.iter().any(|(person, role)| person != subject && *role == top);
    if has_it && !others { Err(MembershipError::Last { role: top.into() }) } else { Ok(()) }
}

impl From<EnterpriseRole> for &'static str {
    fn from(role: EnterpriseRole) -> Self {
        role.as_str()
    }
}

impl From<TeamRole> for &'static str {
    fn from(role: TeamRole) -> Self {
        role.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EnterpriseRole::{Administrator, Member};
    use TeamRole::{Developer, Owner, Viewer};
    use proptest::prelude::*;

    fn enterprise() -> BTreeMap<&'static str, EnterpriseRole> {
        [("ada", Administrator), ("bob", Member), ("eve", Member)].into()
    }

    fn team() -> BTreeMap<&'static str, TeamRole> {
        [("bob", Owner), ("eve", Viewer)].into()
    }

    #[test]
    fn nobody_raises_their_own_role() {
        let own = |role| Err(MembershipError::OwnRole { needed: role });
        assert_eq!(set_team_member(&enterprise(), &team(), &"ada", &"ada", Viewer), own("OWNER"));
        let forbidden = Err(MembershipError::Denied(Denial::Forbidden { needed: "OWNER" }));
        assert_eq!(set_team_member(&enterprise(), &team(), &"eve", &"eve", Owner), forbidden);
        let forbidden = Err(MembershipError::Denied(Denial::Forbidden { needed: "ADMINISTRATOR" }));
        assert_eq!(set_member(&enterprise(), &"bob", &"bob", Administrator), forbidden);
    }

    #[test]
    fn the_last_who_can_give_roles_stays() {
        let last = |role| Err(MembershipError::Last { role });
        assert_eq!(set_member(&enterprise(), &"ada", &"ada", Member), last("ADMINISTRATOR"));
        assert_eq!(remove_member(&enterprise(), &"ada", &"ada"), last("ADMINISTRATOR"));
        assert_eq!(set_team_member(&enterprise(), &team(), &"ada", &"bob", Developer), last("OWNER"));
        assert_eq!(remove_team_member(&enterprise(), &team(), &"bob", &"bob"), last("OWNER"));
        let mut two = enterprise();
        two.insert("bob", Administrator);
        assert_eq!(remove_member(&two, &"ada", &"ada"), Ok(()));
    }

    #[test]
    fn those_who_may_give_and_take_roles_can() {
        assert_eq!(set_member(&enterprise(), &"ada", &"bob", Administrator), Ok(()));
        assert_eq!(set_member(&enterprise(), &"ada", &"new", Member), Ok(()));
        assert_eq!(set_team_member(&enterprise(), &team(), &"bob", &"eve", Developer), Ok(()));
        assert_eq!(set_team_member(&enterprise(), &team(), &"ada", &"eve", Owner), Ok(()));
        assert_eq!(remove_team_member(&enterprise(), &team(), &"eve", &"eve"), Ok(()));
        let no_member = Err(MembershipError::NoMember { of: "enterprise" });
        assert_eq!(set_team_member(&enterprise(), &team(), &"bob", &"new", Viewer), no_member);
        let no_member = Err(MembershipError::NoMember { of: "team" });
        assert_eq!(remove_team_member(&enterprise(), &team(), &"bob", &"ada"), no_member);
    }

    proptest! {
        /// Whatever is done in whatever order, somebody can always give roles, and nobody becomes more by their own act.
        #[test]
        fn no_order_of_acts_raises_oneself_or_empties_the_top(
            acts in prop::collection::vec((0_u8..4, 0_u8..4, prop::option::of(0_usize..3)), 0..40),
        ) {
            let members: BTreeMap<u8, EnterpriseRole> = (0..4).map(|person| (person, Member)).collect();
            let mut roles: BTreeMap<u8, TeamRole> = [(0, Owner)].into();
            for (actor, subject, role) in acts {
                let before = roles.get(&actor).copied();
                match role.map(|role| TeamRole::ALL[role]) {
                    Some(role) if set_team_member(&members, &roles, &actor, &subject, role).is_ok() => {
                        roles.insert(subject, role);
                    }
                    None if remove_team_member(&members, &roles, &actor, &subject).is_ok() => {
                        roles.remove(&subject);
                    }
                    _ => {}
                }
                prop_assert!(roles.get(&actor).copied() <= before);
                prop_assert!(roles.values().any(|role| *role == Owner));
            }
        }
    }
}
