//! What is expected of each kind of person.

use super::world::Who::{self, Administrator, Developer, Member, Nobody, OneTime, Outsider, Owner, Viewer};

/// Who may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Everybody, also who is not signed in.
    Anybody,
    /// Whoever is signed in, also with a one-time password.
    SignedIn,
    /// Whoever administers some enterprise; others see that there is something that they may not.
    AdministratorOfAny,
    /// The same, of what others do not see.
    AdministratorOfAnySees,
    /// The members of the enterprise.
    Members,
    /// The administrators of the enterprise; its members see that there is something that they may not.
    Administrators,
    /// The same, of what its members do not see.
    AdministratorsSee,
    /// Whoever sees the team.
    TeamSees,
    /// The developers and owners of the team.
    Developers,
    /// Developers of the team who administer its enterprise as well: here is nobody who is both.
    AdministratingDevelopers,
    /// The owners of the team, and the administrators of its enterprise.
    Owners,
    /// The author of a publication that is published.
    Author,
    /// The author of one that is not: to others it does not exist.
    AuthorAlone,
}

/// What comes of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Unauthenticated,
    Forbidden,
    NotFound,
    /// Whatever else, also that something else is wrong.
    Allowed,
}

impl Answer {
    /// What the code of an answer's first error says.
    pub(super) fn of(code: Option<&str>) -> Self {
        match code {
            Some("UNAUTHENTICATED") => Self::Unauthenticated,
            Some("FORBIDDEN") => Self::Forbidden,
            Some("NOT_FOUND") => Self::NotFound,
            Some(_) | None => Self::Allowed,
        }
    }
}

pub(super) fn expected(rule: Rule, who: Who) -> Answer {
    use Answer::{Allowed, Forbidden, NotFound, Unauthenticated};
    match (rule, who) {
        (Rule::Anybody, Nobody | OneTime | Outsider | Member | Viewer | Developer | Owner | Administrator)
        | (Rule::SignedIn, OneTime | Outsider | Member | Viewer | Developer | Owner | Administrator)
        | (Rule::AdministratorOfAny | Rule::AdministratorOfAnySees, Outsider | Administrator)
        | (Rule::Members, Member | Viewer | Developer | Owner | Administrator)
        | (Rule::Administrators | Rule::AdministratorsSee, Administrator)
        | (Rule::TeamSees, Viewer | Developer | Owner | Administrator)
        | (Rule::Developers | Rule::Author, Developer | Owner)
        | (Rule::Owners, Owner | Administrator)
        | (Rule::AuthorAlone, Developer) => Allowed,
        (
            Rule::SignedIn
            | Rule::AdministratorOfAny
            | Rule::AdministratorOfAnySees
            | Rule::Members
            | Rule::Administrators
            | Rule::AdministratorsSee
            | Rule::TeamSees
            | Rule::Developers
            | Rule::AdministratingDevelopers
            | Rule::Owners
            | Rule::Author
            | Rule::AuthorAlone,
            Nobody,
        ) => Unauthenticated,
        (
            Rule::AdministratorOfAny
            | Rule::AdministratorOfAnySees
            | Rule::Members
            | Rule::Administrators
            | Rule::AdministratorsSee
            | Rule::TeamSees
            | Rule::Developers
            | Rule::AdministratingDevelopers
            | Rule::Owners
            | Rule::Author
            | Rule::AuthorAlone,
            OneTime,
        )
        | (Rule::AdministratorOfAny | Rule::Administrators, Member | Viewer | Developer | Owner)
        | (Rule::Developers | Rule::Author, Viewer | Administrator)
        | (Rule::AdministratingDevelopers, Viewer | Developer | Owner | Administrator)
        | (Rule::Owners, Viewer | Developer) => Forbidden,
        (
            Rule::Members
            | Rule::Administrators
            | Rule::AdministratorsSee
            | Rule::TeamSees
            | Rule::Developers
            | Rule::AdministratingDevelopers
            | Rule::Owners
            | Rule::Author
            | Rule::AuthorAlone,
            Outsider,
        )
        | (Rule::AdministratorOfAnySees | Rule::AdministratorsSee, Member | Viewer | Developer | Owner)
        | (Rule::TeamSees | Rule::Developers | Rule::AdministratingDevelopers | Rule::Owners | Rule::Author, Member)
        | (Rule::AuthorAlone, Member | Viewer | Owner | Administrator) => NotFound,
    }
}
