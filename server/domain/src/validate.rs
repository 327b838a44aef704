//! Checks of what users write. Every check reports all problems at once, each with the place where it is.
//!
//! The limits are those of Kubernetes where it has one, and else generous bounds that keep one application from
//! exhausting a server that many share.

mod application;
mod attributes;
mod checker;
mod component;
mod image;
mod resource;
mod runtime;
mod storage;
pub(crate) mod syntax;

pub use application::application;
pub use attributes::attributes;
pub(crate) use attributes::is_reserved;
pub use component::component;
pub use image::{InvalidReference, image_reference};
pub use resource::resource;

use crate::{model::Value, text::Text, version::PublishedValue};
use serde::Serialize;

/// One thing that is wrong in what a user wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Where, from the outside in: names of fields as in JSON, and indices of lists.
    pub path: Vec<String>,
    /// For programs: which sort of problem.
    pub code: Code,
    /// For people: what is wrong and what would be right. It never holds a value of an environment or of a file.
    pub message: String,
}

/// Sorts of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// Something must be given.
    Required,
    /// Not of the form that it must have.
    Invalid,
    /// A number outside its bounds.
    OutOfRange,
    /// More characters or bytes than allowed.
    TooLong,
    /// More entries than allowed.
    TooMany,
    /// What must be unique is not.
    Duplicate,
    /// It names something that is not there.
    Unknown,
    /// It would give more power over the cluster than an application may have.
    Forbidden,
    /// It belongs to Ropeway.
    Reserved,
    /// Components wait for each other.
    Cycle,
}

impl Code {
    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "REQUIRED",
            Self::Invalid => "INVALID",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::TooLong => "TOO_LONG",
            Self::TooMany => "TOO_MANY",
            Self::Duplicate => "DUPLICATE",
            Self::Unknown => "UNKNOWN",
            Self::Forbidden => "FORBIDDEN",
            Self::Reserved => "RESERVED",
            Self::Cycle => "CYCLE",
        }
    }
}

/// What the values of an application and of a version have in common for checks.
pub trait Content: Serialize {
    /// The text, where it is one.
    fn text(&self) -> Option<&Text>;

    /// What is wrong with a value that is no text.
    fn problem(&self) -> Option<String> {
        None
    }
}

impl Content for Value {
    fn text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            Self::Sealed { .. } => None,
        }
    }
}

impl Content for PublishedValue {
    fn text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            Self::Generate { .. } | Self::Ask { .. } => None,
        }
    }

    fn problem(&self) -> Option<String> {
        match self {
            Self::Generate { generate } => crate::model::GenerateRule::new(generate.length, generate.group.clone())
                .err()
                .map(|error| error.to_string()),
            Self::Ask { .. } | Self::Text(_) => None,
        }
    }
}

/// The most bytes that one value may have.
pub const MAX_VALUE: usize = 32 << 10;
/// The most bytes that one configuration file, or one entry of a Secret, may have.
pub const MAX_FILE: usize = 512 << 10;
/// The most bytes that one component may have as JSON.
pub const MAX_COMPONENT: usize = 1 << 20;
/// The most components, and the most Kubernetes resources, that an application may have.
pub const MAX_PARTS: usize = 200;

#[cfg(test)]
mod tests;
