//! Choosing platforms of an index.

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::Platform;
use bytes::Bytes;
use oci_distribution::manifest::{ImageIndexEntry, OciImageIndex};
use serde_json::Value;

/// Annotation that ties an attestation to the image that it is about.
const ABOUT: &str = "vnd.docker.reference.digest";

/// The positions of the entries to keep: those for the platforms, and attestations about them.
///
/// # Errors
/// [`Error::Unsupported`] where one of the platforms is not in the index.
pub(super) fn choose(index: &OciImageIndex, wanted: &[Platform]) -> Result<Vec<usize>, Error> {
    let offers = |entry: &ImageIndexEntry, filter: &Platform| {
        entry.platform.as_ref().is_some_and(|offered| filter.accepts(&Platform::from(offered)))
    };
    for filter in wanted {
        if !index.manifests.iter().any(|entry| offers(entry, filter)) {
            return Err(Error::Unsupported { what: format!("the image is not available for {filter}") });
        }
    }
    let kept = |entry: &ImageIndexEntry| wanted.iter().any(|filter| offers(entry, filter));
    let images: Vec<&str> = index.manifests.iter().filter(|e| kept(e)).map(|e| e.digest.as_str()).collect();
    let about = |entry: &ImageIndexEntry| {
        let subject = entry.annotations.as_ref().and_then(|annotations| annotations.get(ABOUT));
        subject.is_some_and(|subject| images.contains(&subject.as_str()))
    };
    let entries = index.manifests.iter().enumerate();
    Ok(entries.filter(|(_, entry)| kept(entry) || about(entry)).map(|(position, _)| position).collect())
}

/// The index with only some of its entries. Everything else stays as it is, fields that this crate
/// does not know included; the bytes stay the same when all entries do.
pub(super) fn keep(bytes: &Bytes, digest: Digest, positions: &[usize]) -> Option<(Bytes, Digest)> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    let entries = value.get_mut("manifests")?.as_array_mut()?;
    if positions.len() == entries.len() {
        return Some((bytes.clone(), digest));
    }
    let kept = positions.iter().map(|position| entries.get(*position).cloned()).collect::<Option<Vec<_>>>()?;
    *entries = kept;
    let bytes = Bytes::from(serde_json::to_vec(&value).ok()?);
    let digest = Digest::of(&bytes);
    Some((bytes, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = r#"{"schemaVersion":2,"x-unknown":{"b":1,"a":2},"manifests":[
        {"mediaType":"m","digest":"sha256:1","size":1,"platform":{"os":"linux","architecture":"amd64"},"data":"e30="},
        {"mediaType":"m","digest":"sha256:2","size":1,"platform":{"os":"linux","architecture":"arm","variant":"v7"}},
        {"mediaType":"m","digest":"sha256:3","size":1,"platform":{"os":"unknown","architecture":"unknown"},
         "annotations":{"vnd.docker.reference.digest":"sha256:1"}}]}"#;

    fn index() -> OciImageIndex {
        serde_json::from_str(INDEX).expect("a valid index")
    }

    #[test]
    fn attestations_stay_with_their_image() {
        assert_eq!(choose(&index(), &[Platform::linux("amd64")]).expect("there"), [0, 2]);
        assert_eq!(choose(&index(), &[Platform::linux("arm")]).expect("there"), [1]);
    }

    #[test]
    fn a_missing_platform_is_an_error() {
        let wanted = [Platform::linux("amd64"), Platform::linux("riscv64")];
        let error = choose(&index(), &wanted).expect_err("not there");
        assert!(error.to_string().contains("linux/riscv64"), "{error}");
    }

    #[test]
    fn unknown_fields_survive_and_a_full_choice_changes_nothing() {
        let bytes = Bytes::from_static(INDEX.as_bytes());
        let digest = Digest::of(&bytes);
        assert_eq!(keep(&bytes, digest, &[0, 1, 2]), Some((bytes.clone(), digest)));
        let (filtered, other) = keep(&bytes, digest, &[0]).expect("valid");
        assert_ne!(other, digest);
        let value: Value = serde_json::from_slice(&filtered).expect("valid");
        assert_eq!(value["x-unknown"]["a"], 2);
        assert_eq!(value["manifests"][0]["data"], "e30=");
        assert_eq!(value["manifests"].as_array().map(Vec::len), Some(1));
    }
}
