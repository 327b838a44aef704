//! Global ids: opaque to clients, carrying their kind, refused where another kind is meant.

use crate::{
    error::{Error, UserError},
    id::{Id, Kind},
};
use async_graphql::ID;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// The global id of a thing.
pub fn encode<K: Kind>(id: Id<K>) -> ID {
    ID(encode_text(id))
}

/// As [`encode`], as plain text.
pub fn encode_text<K: Kind>(id: Id<K>) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{id}", K::NAME))
}

/// The kind and the bits of any global id.
pub fn parts(id: &str) -> Option<(String, Uuid)> {
    if id.len() > 128 {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    let (kind, uuid) = text.split_once(':')?;
    Some((kind.to_owned(), Uuid::parse_str(uuid).ok()?))
}

/// The id of one kind that an argument or an input field holds.
pub fn decode<K: Kind>(id: &ID, field: &str) -> Result<Id<K>, Error> {
    match parts(&id.0) {
        Some((kind, uuid)) if kind == K::NAME => Ok(Id::new(uuid)),
        Some((kind, _)) => Err(wrong(field, format!("this is the id of a {kind}, not of a {}", K::NAME))),
        None => Err(wrong(field, format!("this is no id; use one of a {} as the server gave it", K::NAME))),
    }
}

/// As [`decode`], for what may be left out.
pub fn decode_option<K: Kind>(id: Option<&ID>, field: &str) -> Result<Option<Id<K>>, Error> {
    id.map(|id| decode(id, field)).transpose()
}

/// As [`decode`], for at most `limit` ids.
pub fn decode_list<K: Kind>(ids: &[ID], field: &str, limit: usize) -> Result<Vec<Id<K>>, Error> {
    if ids.len() > limit {
        return Err(wrong(field, format!("at most {limit} ids, not {}", ids.len())));
    }
    ids.iter().map(|id| decode(id, field)).collect()
}

fn wrong(field: &str, message: String) -> Error {
    UserError::new("INVALID_ID", message).at([field]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClusterId, ClusterKind, TeamKind};

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id: ClusterId = Id::new(Uuid::from_u128(7));
        let text = encode(id);
        assert_eq!(decode::<ClusterKind>(&text, "clusterId").unwrap(), id);
        let Err(Error::Invalid(errors)) = decode::<TeamKind>(&text, "teamId") else { panic!("accepted") };
        assert_eq!(errors[0].message, "this is the id of a Cluster, not of a Team");
        for bad in ["", "x", "Q2x1c3Rlcg", &"a".repeat(1000)] {
            assert!(decode::<ClusterKind>(&ID(bad.into()), "clusterId").is_err());
        }
    }
}
