//! Environment, connection info, and which of their values are secrets.

use crate::{key::SecretId, text::Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One variable of an environment or of connection info.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "V: Deserialize<'de>"))]
pub struct Variable<V> {
    /// Its name, as a C identifier that may contain `.` and `-`.
    pub name: String,
    /// What it holds.
    pub value: V,
    /// For the people who have to supply it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What a publication shall do with it, where that was said in advance. Versions have none: there the value itself
    /// says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<SecretDecision>,
}

/// A value of an application that runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A secret, sealed in the store.
    Sealed {
        /// Where it is.
        sealed: SecretId,
    },
    /// No secret.
    Text(Text),
}

/// What becomes of a secret when it is published. Secrets themselves never enter a version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SecretDecision {
    /// Every installation generates a value of its own, once.
    Generate(GenerateRule),
    /// The installer supplies it.
    Ask,
    /// A person says that it is no secret: the value itself is published.
    Public,
}

/// How an installation generates a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenerateRule {
    /// Letters and digits: 22 (128 bits) to 256.
    pub length: u16,
    /// Entries that share a group have the same value within one installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Why a rule cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGenerateRule {
    /// Too short to be a secret, or too long to be useful.
    #[error("a generated value has 22 (128 bits) to 256 letters and digits, not {0}")]
    Length(u16),
    /// A group's name is for people and files.
    #[error("a group's name has 1 to 64 characters")]
    Group,
}

impl GenerateRule {
    /// The shortest value that has 128 bits: 62^22 > 2^128.
    pub const MIN_LENGTH: u16 = 22;

    /// What is generated where nobody said more.
    pub const DEFAULT_LENGTH: u16 = 24;

    /// Checks length and group.
    pub fn new(length: u16, group: Option<String>) -> Result<Self, InvalidGenerateRule> {
        if !(Self::MIN_LENGTH..=256).contains(&length) {
            return Err(InvalidGenerateRule::Length(length));
        }
        if group.as_ref().is_some_and(|group| group.is_empty() || group.len() > 64) {
            return Err(InvalidGenerateRule::Group);
        }
        Ok(Self { length, group })
    }
}

impl Default for GenerateRule {
    fn default() -> Self {
        Self { length: Self::DEFAULT_LENGTH, group: None }
    }
}

/// Whether a name is one that people give to secrets. Such a value needs a decision before it is published.
pub fn looks_like_secret(name: &str) -> bool {
    const WORDS: [&str; 13] = [
        "PASSWORD",
        "PASSWD",
        "PASS",
        "PWD",
        "SECRET",
        "TOKEN",
        "APIKEY",
        "PRIVATEKEY",
        "ACCESSKEY",
        "CREDENTIAL",
        "PASSPHRASE",
        "SECRETKEY",
        "AUTHKEY",
    ];
    /// What a key is of that is a secret.
    const KEYS: [&str; 11] =
        ["API", "PRIVATE", "ACCESS", "SECRET", "ENCRYPTION", "SIGNING", "MASTER", "SESSION", "SSH", "AUTH", "LICENSE"];
    let words = words(name);
    let one = |word: &String| {
        let single = if word == "PASS" { word } else { word.strip_suffix('S').unwrap_or(word) };
        WORDS.contains(&single) || single.ends_with("PASSWORD") || single.ends_with("SECRET")
    };
    let is_key = |word: &str| matches!(word, "KEY" | "KEYS");
    words.iter().any(one) || words.windows(2).any(|two| KEYS.contains(&two[0].as_str()) && is_key(&two[1]))
}

/// The words of `DB_PASSWORD`, `dbPassword` and `db-password`, in capitals.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        let new_word = !c.is_alphanumeric() || c.is_uppercase() && after_lower;
        if new_word && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("never empty").extend(c.to_uppercase());
        }
        after_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_recognized() {
        for (name, secret) in [
            ("DB_PASSWORD", true),
            ("dbPassword", true),
            ("PGPASSWORD", true),
            ("MYSQL_ROOT_PASSWD", true),
            ("API_KEY", true),
            ("apiKey", true),
            ("AWS_SECRET_ACCESS_KEY", true),
            ("GITHUB_TOKEN", true),
            ("client-secret", true),
            ("DB_PASSWORDS", true),
            ("API_TOKENS", true),
            ("REDIS_PASS", true),
            ("SIGNING_KEY", true),
            ("MASTER_KEYS", true),
            ("sessionKey", true),
            ("SSH_KEY", true),
            ("SORT_KEY", false),
            ("PRIMARY_KEY", false),
            ("DB_HOST", false),
            ("PASSENGERS", false),
            ("KEYBOARD", false),
            ("COMPASS", false),
            ("TOKENIZER", false),
            ("", false),
        ] {
            assert_eq!(looks_like_secret(name), secret, "{name}");
        }
    }
}
