//! The one place of this crate that asks the system for the time and for randomness.

use chrono::{DateTime, SecondsFormat, Utc};
use rand::Rng;

/// Letters that Kubernetes uses for generated suffixes: no vowels, nothing that looks like another.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "this is their home")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The present instant as Kubernetes writes it: RFC 3339, whole seconds.
pub(crate) fn timestamp() -> String {
    format(now())
}

/// An instant as Kubernetes writes it.
pub(crate) fn format(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A new unique id of an object.
#[expect(clippy::disallowed_methods, reason = "this is their home")]
pub(crate) fn uid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Letters and digits for the end of a generated name.
#[expect(clippy::disallowed_methods, reason = "this is their home")]
pub(crate) fn suffix(length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}
