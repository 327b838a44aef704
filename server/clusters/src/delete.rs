//! Deletes objects that are ours, and only the very object that was recorded.

use http::Method;
use serde_json::json;

use crate::{
    Cluster, Error, ObjectRef,
    apply::{OwnerCheck, check_owner},
    cluster::Ask,
};

/// Which object is meant: it must be the application's and have the UID that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preconditions {
    /// Value of the label `ropeway.dev/application`.
    pub application: String,
    /// The recorded UID.
    pub uid: String,
}

/// What happens to the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// What deleting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The cluster deletes it; it may live on until its finalizers have run.
    Requested,
    /// It did not exist any more.
    Gone,
}

impl Cluster {
    /// Deletes an object of the application. Another object of the same name is refused with [`Error::Replaced`], one
    /// without the application's label with [`Error::Foreign`].
    pub async fn delete(
        &self,
        reference: &ObjectRef,
        preconditions: &Preconditions,
        propagation: Propagation,
    ) -> Result<Deleted, Error> {
        let Some(live) = self.get(reference).await? else { return Ok(Deleted::Gone) };
        let owner = OwnerCheck {
            application: preconditions.application.clone(),
            known_uid: Some(preconditions.uid.clone()),
            may_create: false,
        };
        check_owner(reference, &live, &owner)?;
        self.delete_by_uid(reference, &preconditions.uid, propagation).await
    }

    /// Deletes the object with this UID, whoever owns it.
    pub(crate) async fn delete_by_uid(
        &self,
        reference: &ObjectRef,
        uid: &str,
        propagation: Propagation,
    ) -> Result<Deleted, Error> {
        self.delete_exactly(reference, uid, None, propagation).await
    }

    /// Deletes the object with this UID, whoever owns it. Where a version is given and the object is of another one by
    /// now, that is an [`Error::Conflict`].
    pub(crate) async fn delete_exactly(
        &self,
        reference: &ObjectRef,
        uid: &str,
        version: Option<&str>,
        propagation: Propagation,
    ) -> Result<Deleted, Error> {
        reference.check()?;
        let resource = self.resource(&reference.kind()).await?;
        let path = resource.path(reference.namespace.as_deref(), Some(&reference.name));
        let policy = match propagation {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        };
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy,
                                 "preconditions": {"uid": uid}});
        if let Some(version) = version {
            options["preconditions"]["resourceVersion"] = version.into();
        }
        let described = reference.to_string();
        match self.ask(Ask::json(Method::DELETE, path, &options, &described)?).await {
            Ok(_) => Ok(Deleted::Requested),
            Err(Error::NotFound { .. } | Error::NamespaceMissing { .. }) => Ok(Deleted::Gone),
            Err(Error::Replaced { object, .. }) => {
                Err(Error::Replaced { object, recorded: Some(uid.to_owned()), found: None })
            }
            Err(other) => Err(other),
        }
    }
}
