//! The contents of versions, as the domain reads them.

use crate::{
    error::{Error, Result},
    id::VersionId,
    store::{Conn, version},
};
use ropeway_domain::VersionContent;
use std::collections::BTreeMap;

/// The contents of some revisions, by id. One that is missing is a fault of ours.
pub async fn load(conn: &mut Conn, ids: &[VersionId]) -> Result<BTreeMap<uuid::Uuid, VersionContent>> {
    let mut contents = BTreeMap::new();
    for (id, bytes) in version::contents(conn, ids).await? {
        contents.insert(id.0, read(&bytes)?);
    }
    for id in ids {
        if !contents.contains_key(&id.0) {
            return Err(Error::internal(format!("the content of the version {id} is missing")));
        }
    }
    Ok(contents)
}

/// The content that canonical bytes hold.
pub fn read(bytes: &[u8]) -> Result<VersionContent> {
    serde_json::from_slice(bytes).map_err(Error::internal)
}
