//! SHA-256 digests in the form of OCI, and the canonical bytes that they are taken of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is \"sha256:\" and 64 lower-case hexadecimal digits")]
pub struct InvalidDigest;

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(Sha256::digest(bytes))))
    }

    /// The digest of a value's canonical form.
    pub fn of_value(value: &impl Serialize) -> Self {
        Self::of(&canonical(value))
    }

    /// The whole text, with its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

/// The canonical JSON of a value: keys in order, no white space. The same value has the same bytes wherever and
/// whenever it is written.
pub fn canonical(value: &impl Serialize) -> Vec<u8> {
    // `serde_json::Value` keeps its keys in a BTreeMap, which orders them.
    let value = serde_json::to_value(value).expect("the types of this crate have string keys and finite numbers");
    serde_json::to_vec(&value).expect("a JSON value can be written")
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        let digits = text.strip_prefix("sha256:").ok_or(InvalidDigest)?;
        if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text))
        } else {
            Err(InvalidDigest)
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_bytes_do_not_depend_on_the_order_of_keys() {
        let one: serde_json::Value = serde_json::from_str(r#"{"b": [1, {"d": 1, "c": 2}], "a": null}"#).unwrap();
        let two: serde_json::Value = serde_json::from_str(r#"{"a": null, "b": [1, {"c": 2, "d": 1}]}"#).unwrap();
        assert_eq!(canonical(&one), canonical(&two));
        assert_eq!(canonical(&one), br#"{"a":null,"b":[1,{"c":2,"d":1}]}"#);
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for text in ["", "sha256:", "sha256:ABC", &format!("sha512:{}", "a".repeat(64)), &"a".repeat(64)] {
            assert_eq!(text.parse::<Digest>(), Err(InvalidDigest), "{text}");
        }
        assert_eq!(Digest::of(b"").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
