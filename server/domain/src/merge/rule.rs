//! What happens to a leaf, by the table of upgrades.

/// What happens to one kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It is applied.
    Take,
    /// It is listed, and applied once a person accepts it.
    Offer,
    /// As offered; the object has to be created anew for it.
    Recreate,
    /// It is listed with the reason for which it cannot be accepted.
    Never(&'static str),
}

/// What happens to a leaf that is in the target only, in both, or no longer in the target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) add: Class,
    pub(crate) change: Class,
    pub(crate) remove: Class,
    /// Whether a rollback gives it back only where it is still what the upgrade wrote, although an upgrade takes it:
    /// what people call things is theirs.
    pub(crate) only_undone: bool,
}

impl Rule {
    /// Follows the target in everything: image, command, probes, dependencies, fields of Kubernetes resources.
    pub(crate) const TAKE: Self =
        Self { add: Class::Take, change: Class::Take, remove: Class::Take, only_undone: false };
    /// Follows the target, and is a person's all the same: names, descriptions.
    pub(crate) const NAMING: Self = Self { only_undone: true, ..Self::TAKE };
    /// Added and changed, but never taken away by itself: attributes.
    pub(crate) const TAKE_AND_KEEP: Self =
        Self { add: Class::Take, change: Class::Take, remove: Class::Offer, only_undone: false };
    /// Added where it is new; what exists stays: environment, files.
    pub(crate) const CONFIGURATION: Self =
        Self { add: Class::Take, change: Class::Offer, remove: Class::Offer, only_undone: false };
    /// Everything stays until it is accepted: resources, scale, objects that are configuration.
    pub(crate) const OFFER: Self =
        Self { add: Class::Offer, change: Class::Offer, remove: Class::Offer, only_undone: false };

    /// Offered, and the object has to be created anew.
    pub(crate) const RECREATE: Self =
        Self { add: Class::Recreate, change: Class::Recreate, remove: Class::Recreate, only_undone: false };

    /// The same for everything.
    const fn of(class: Class) -> Self {
        Self { add: class, change: class, remove: class, only_undone: false }
    }

    /// Everything is listed only.
    pub(crate) const fn never(reason: &'static str) -> Self {
        Self::of(Class::Never(reason))
    }

    /// Added where it is new; otherwise listed only.
    pub(crate) const fn add_only(reason: &'static str) -> Self {
        Self { add: Class::Take, ..Self::never(reason) }
    }
}
