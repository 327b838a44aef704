//! The list of objects in clusters that are ours, as steps make and delete them.

use super::{Hold, Journal, JournalError};
use crate::{
    clock,
    id::{ApplicationId, ClusterId},
    store::cluster_object::{self, ClusterObject, OwnerKey},
};
use ropeway_clusters::ObjectRef;

/// An object that was made, adopted or found made by an earlier attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// Where.
    pub cluster_id: ClusterId,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which component or resource it belongs to.
    pub owner_key: Option<OwnerKey>,
    /// Its name.
    pub reference: ObjectRef,
    /// As the cluster gave it.
    pub uid: String,
}

impl Journal {
    /// Lists an object as ours, or with the UID that it has now.
    pub async fn record_object(&self, hold: Hold, object: &NewObject) -> Result<(), JournalError> {
        self.entry(hold, async |conn, log| {
            let reference = &object.reference;
            let namespace = reference.namespace.as_deref().unwrap_or_default();
            let listed = cluster_object::find(
                conn,
                object.cluster_id,
                namespace,
                &reference.api_version,
                &reference.kind,
                &reference.name,
            )
            .await?;
            match listed {
                Some(listed) if listed.application_id != object.application_id => {
                    return Err(JournalError::ForeignObject { object: reference.to_string() });
                }
                Some(listed) if listed.uid == object.uid && listed.owner_key == object.owner_key => {}
                Some(listed) => {
                    cluster_object::set_uid(conn, listed.id, &object.uid, object.owner_key).await?;
                }
                None => {
                    // It may be listed by another version of its kind.
                    cluster_object::forget_uid(conn, object.application_id, &object.uid).await?;
                    let new = ClusterObject {
                        id: clock::new_id(),
                        application_id: object.application_id,
                        cluster_id: object.cluster_id,
                        owner_key: object.owner_key,
                        api_version: reference.api_version.clone(),
                        kind: reference.kind.clone(),
                        namespace: namespace.to_owned(),
                        name: reference.name.clone(),
                        uid: object.uid.clone(),
                        created_at: log.now,
                    };
                    cluster_object::insert(conn, &new).await?;
                }
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Takes an object off the list: it is gone.
    pub async fn forget_object(&self, hold: Hold, object: &ClusterObject) -> Result<(), JournalError> {
        self.entry(hold, async |conn, _| Ok(cluster_object::delete(conn, object.id, &object.uid).await?)).await?;
        Ok(())
    }
}
