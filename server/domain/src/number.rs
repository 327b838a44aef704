//! Numbers of versions, and their order, which decides upgrades.
//!
//! A number that begins with a digit (or with `v` and a digit) is read as a semantic version, tolerantly: parts may be
//! missing or more than three (`2.9` is `2.9.0`), leading zeros count for nothing, what follows a `-` is a pre-release
//! and comes before its release, build metadata after a `+` is ignored. Dates with dashes (`2024-01-15`) are as if they
//! had dots. Whatever else follows the digits compares by runs of digits and letters: words such as `rc` or `beta` make
//! a pre-release of it, anything else comes after the plain number (`1.0.2a` is later than `1.0.2`). A number that
//! begins with a letter (`latest`, `release-7`) compares by runs alone and comes before all that begin with a digit.

mod order;

use order::Order;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

/// The number of a version as a person wrote it. Two spellings of an equal number are equal, and hash alike; the
/// spelling is kept for display.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct VersionNumber {
    spelling: String,
    key: Vec<u8>,
}

/// Why a text is no version number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVersionNumber {
    /// Empty, or too long to be read by people.
    #[error("a version number has 1 to 64 characters, not {0}")]
    Length(usize),
    /// Something that cannot be seen, or that stands for something else in addresses and paths.
    #[error("a version number has no spaces, slashes or invisible characters; there is {0:?}")]
    Character(char),
    /// Nothing to compare by.
    #[error("a version number begins with a letter or a digit, such as 2.9, v3.0.1-rc.1 or 2024-01-15")]
    Start,
}

/// What an installation runs, and what it could run: a number and the revision of that number.
pub type Revision<'a> = (&'a VersionNumber, u32);

/// Whether `candidate` is an upgrade of what is installed: a greater number, or a later revision of the same. Newer
/// time alone is none.
pub fn is_upgrade(installed: Revision<'_>, candidate: Revision<'_>) -> bool {
    match candidate.0.cmp(installed.0) {
        Ordering::Greater => true,
        Ordering::Equal => candidate.1 > installed.1,
        Ordering::Less => false,
    }
}

/// Those of the candidates to which an installation can be upgraded, the greatest first. Candidates are the current
/// revisions of the confirmed versions that the team may see, each with what the caller knows it by.
pub fn upgradable<'a, T>(
    installed: Revision<'_>,
    candidates: impl IntoIterator<Item = (Revision<'a>, T)>,
) -> Vec<(Revision<'a>, T)> {
    let mut found: Vec<_> = candidates.into_iter().filter(|(candidate, _)| is_upgrade(installed, *candidate)).collect();
    found.sort_by(|(one, _), (two, _)| two.cmp(one));
    found
}

impl VersionNumber {
    /// The longest number, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.spelling
    }

    /// Bytes whose order is that of the numbers, and which are equal for equal numbers: databases store and index them.
    pub fn sort_key(&self) -> &[u8] {
        &self.key
    }

    /// The one spelling that all spellings of this number have in common.
    pub fn normal_form(&self) -> String {
        Order::of(&self.spelling).normal_form()
    }

    /// Whether it is a pre-release, which comes before its release.
    pub fn is_pre_release(&self) -> bool {
        Order::of(&self.spelling).is_pre_release()
    }
}

impl FromStr for VersionNumber {
    type Err = InvalidVersionNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for VersionNumber {
    type Error = InvalidVersionNumber;

    fn try_from(spelling: String) -> Result<Self, Self::Error> {
        let length = spelling.chars().count();
        if !(1..=Self::MAX_LENGTH).contains(&length) {
            return Err(InvalidVersionNumber::Length(length));
        }
        if let Some(character) = spelling.chars().find(|c| !is_allowed(*c)) {
            return Err(InvalidVersionNumber::Character(character));
        }
        if spelling.starts_with(|c: char| c.is_ascii_punctuation()) {
            return Err(InvalidVersionNumber::Start);
        }
        let key = Order::of(&spelling).key();
        Ok(Self { spelling, key })
    }
}

impl From<VersionNumber> for String {
    fn from(number: VersionNumber) -> Self {
        number.spelling
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelling)
    }
}

impl PartialEq for VersionNumber {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for VersionNumber {}

impl Hash for VersionNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialOrd for VersionNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VersionNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

/// Printable, and neither space nor slash. Invisible marks would make two numbers look like one.
fn is_allowed(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    !(c.is_control() || c.is_whitespace() || invisible || c == '/' || c == '\\')
}

#[cfg(test)]
mod tests;
