//! Changes objects by server-side apply, within bounds.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    Cluster, Error, FIELD_MANAGER, FieldConflict, ObjectRef, Resource,
    cluster::{Answer, Ask},
    object::{label, labels, resource_version, strip_managed_fields, uid},
};

const APPLY: &str = "application/apply-patch+yaml";

/// What a caller may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The one namespace.
    pub namespace: String,
    /// Whether objects that belong to no namespace are allowed: an administrator granted it.
    pub cluster_scoped: bool,
}

impl Scope {
    /// One namespace and nothing else.
    pub fn namespace(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), cluster_scoped: false }
    }
}

/// Who applies, and what was recorded about the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerCheck {
    /// Value of the label `ropeway.dev/application` that the object must carry, here and in the cluster.
    pub application: String,
    /// The UID that was recorded when the object was made or adopted.
    pub known_uid: Option<String>,
    /// Whether it may be made if it does not exist. An object that carries the application's label and was not recorded
    /// is then taken for one that was made a moment ago by a worker that died.
    pub may_create: bool,
}

/// How to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyOptions {
    /// What may be touched.
    pub scope: Scope,
    /// Ask what would happen, and change nothing.
    pub dry_run: bool,
    /// Take over fields of other managers. Without it they are an [`Error::Conflict`].
    pub force: bool,
    /// Whose object it is.
    pub owner: OwnerCheck,
}

/// What applying did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// UID of the object: to be recorded.
    pub uid: String,
    /// Its version after the change.
    pub resource_version: String,
    /// Whether it was made.
    pub created: bool,
    /// Whether anything is different now (dry run: would be).
    pub changed: bool,
    /// The object as it is now (dry run: would be).
    pub object: Value,
}

/// What a dry run found.
#[derive(Debug, Clone, PartialEq)]
pub struct DryRun {
    /// Fields that other managers own with other values.
    pub conflicts: Vec<FieldConflict>,
    /// The object as it is, if it exists.
    pub live_before: Option<Value>,
    /// What it would be if the conflicts were taken over; None if it is refused.
    pub would_be: Option<Value>,
    /// Why the cluster would refuse it: [`Error::Immutable`], [`Error::Invalid`], [`Error::Forbidden`],
    /// [`Error::NamespaceMissing`] or [`Error::UnknownKind`]. Or why it would not even be sent: [`Error::OutOfBounds`],
    /// which an object is whose kind turns out to belong to no namespace.
    pub refused: Option<Error>,
}

/// What [`Cluster::create_if_absent`] found.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// It was made.
    Made(Value),
    /// It was there already and was left as it is.
    Existed(Value),
}

impl Cluster {
    /// Makes or changes an object so that it has the fields given. The same object again changes nothing.
    ///
    /// The live object is read first: one that is not ours is refused ([`Error::Foreign`], [`Error::Replaced`]), and the
    /// cluster is told which object is meant, so that one that was replaced in between is not changed.
    pub async fn apply(&self, object: &Value, options: &ApplyOptions) -> Result<Applied, Error> {
        let (reference, resource) = self.admit(object, &options.scope).await?;
        let owner = &options.owner;
        if label(object, labels::APPLICATION) != Some(&owner.application) {
            let message = format!("{reference} lacks the label {} of its application", labels::APPLICATION);
            return Err(Error::OutOfBounds { message });
        }
        let live = self.get(&reference).await?;
        let mut document = object.clone();
        match &live {
            Some(live) => {
                check_owner(&reference, live, owner)?;
                if let (Some(uid), Some(metadata)) = (uid(live), document.get_mut("metadata")) {
                    metadata["uid"] = uid.into();
                }
            }
            None if owner.may_create => {}
            None => return Err(Error::NotFound { object: reference.to_string() }),
        }
        // What is not there yet has no fields to take over; if it is there by now, it is somebody's.
        let force = options.force && live.is_some();
        let answer = self.patch(&reference, &resource, &document, force, options.dry_run).await?;
        let created = answer.code == StatusCode::CREATED;
        if live.is_none() && !created && !options.dry_run {
            return Err(self.made_meanwhile(&reference, &resource, &answer.value).await);
        }
        let changed = match &live {
            None => true,
            Some(live) if options.dry_run => substance(live) != substance(&answer.value),
            Some(live) => resource_version(live) != resource_version(&answer.value),
        };
        let text = |value: Option<&str>, what| {
            value.map(str::to_owned).ok_or_else(|| Error::Internal { message: format!("{reference} has no {what}") })
        };
        Ok(Applied {
            uid: if options.dry_run && live.is_none() { String::new() } else { text(uid(&answer.value), "uid")? },
            resource_version: resource_version(&answer.value).unwrap_or_default().to_owned(),
            created: live.is_none(),
            changed,
            object: answer.value,
        })
    }

    /// The error for an object that was made between our look and our change. One that somebody else made gets back
    /// what it was: our fields, the label among them, would make it ours at the next look. One that another worker of
    /// ours made is seen when it is tried again.
    async fn made_meanwhile(&self, reference: &ObjectRef, resource: &Resource, found: &Value) -> Error {
        if !is_written_by_others(found) {
            return Error::Conflict { object: reference.to_string(), fields: Vec::new() };
        }
        let mut nothing = json!({"apiVersion": reference.api_version, "kind": reference.kind,
                                 "metadata": {"name": reference.name, "uid": uid(found)}});
        if let Some(namespace) = &reference.namespace {
            nothing["metadata"]["namespace"] = namespace.as_str().into();
        }
        if let Err(error) = self.patch(reference, resource, &nothing, false, false).await {
            tracing::warn!(
                cluster.name = self.name(),
                object = %reference,
                error = &error as &dyn std::error::Error,
                "an object that somebody else made kept fields of ours"
            );
        }
        Error::Foreign { object: reference.to_string(), owner: None }
    }

    /// Finds out what applying an object would meet, without changing anything and whoever owns it: the caller judges
    /// that by `live_before`.
    pub async fn dry_run(&self, object: &Value, scope: &Scope) -> Result<DryRun, Error> {
        let (reference, resource) = match self.admit(object, scope).await {
            Err(error @ (Error::UnknownKind { .. } | Error::OutOfBounds { .. })) => {
                return Ok(DryRun { conflicts: Vec::new(), live_before: None, would_be: None, refused: Some(error) });
            }
            other => other?,
        };
        let live_before = self.get(&reference).await?;
        let mut conflicts = Vec::new();
        let mut outcome = self.patch(&reference, &resource, object, false, true).await;
        if let Err(Error::Conflict { fields, .. }) = &mut outcome
            && !fields.is_empty()
        {
            conflicts = std::mem::take(fields);
            outcome = self.patch(&reference, &resource, object, true, true).await;
        }
        match outcome {
            Ok(answer) => Ok(DryRun { conflicts, live_before, would_be: Some(answer.value), refused: None }),
            Err(
                error @ (Error::Immutable { .. }
                | Error::Invalid { .. }
                | Error::Forbidden { .. }
                | Error::NamespaceMissing { .. }
                | Error::TooLarge { .. }),
            ) => Ok(DryRun { conflicts, live_before, would_be: None, refused: Some(error) }),
            Err(other) => Err(other),
        }
    }

    /// Makes an object if there is none of its name; one that is there is left as it is, whoever owns it.
    pub async fn create_if_absent(&self, object: &Value, scope: &Scope) -> Result<Created, Error> {
        let (reference, resource) = self.admit(object, scope).await?;
        match self.create(&reference, &resource, object).await {
            Ok(made) => Ok(Created::Made(made)),
            Err(Error::AlreadyExists { .. }) => match self.get(&reference).await? {
                Some(live) => Ok(Created::Existed(live)),
                None => Err(Error::Conflict { object: reference.to_string(), fields: Vec::new() }),
            },
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn create(
        &self,
        reference: &ObjectRef,
        resource: &Resource,
        object: &Value,
    ) -> Result<Value, Error> {
        let path = format!(
            "{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict",
            resource.path(reference.namespace.as_deref(), None)
        );
        let described = reference.to_string();
        let ask = Ask { repeatable: false, ..Ask::json(Method::POST, path, object, &described)? };
        Ok(self.ask(ask).await?.value)
    }

    /// Refuses what is outside the scope, before anything is sent.
    async fn admit(&self, object: &Value, scope: &Scope) -> Result<(ObjectRef, Resource), Error> {
        let reference = ObjectRef::of(object)?;
        let resource = self.resource(&reference.kind()).await?;
        let refuse = |message: String| Err(Error::OutOfBounds { message });
        match (&reference.namespace, resource.namespaced) {
            (Some(namespace), true) if *namespace == scope.namespace => {}
            (Some(_), true) => return refuse(format!("{reference} is outside namespace {}", scope.namespace)),
            (None, true) => return refuse(format!("{reference} names no namespace")),
            (Some(_), false) => return refuse(format!("{reference} names a namespace, but its kind has none")),
            (None, false) if scope.cluster_scoped => {}
            (None, false) => return refuse(format!("{reference} belongs to no namespace, which is not granted")),
        }
        Ok((reference, resource))
    }

    pub(crate) async fn patch(
        &self,
        reference: &ObjectRef,
        resource: &Resource,
        object: &Value,
        force: bool,
        dry_run: bool,
    ) -> Result<Answer, Error> {
        let mut document = object.clone();
        strip_managed_fields(&mut document);
        let path = format!(
            "{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict&force={force}{}",
            resource.path(reference.namespace.as_deref(), Some(&reference.name)),
            if dry_run { "&dryRun=All" } else { "" }
        );
        let described = reference.to_string();
        let is_namespace = reference.kind == "Namespace";
        let ask = Ask { content_type: APPLY, is_namespace, ..Ask::json(Method::PATCH, path, &document, &described)? };
        self.ask(ask).await
    }
}

/// Whether a live object is the one that the caller means, and the application's own.
pub(crate) fn check_owner(reference: &ObjectRef, live: &Value, owner: &OwnerCheck) -> Result<(), Error> {
    let found = label(live, labels::APPLICATION);
    if found != Some(owner.application.as_str()) {
        return Err(Error::Foreign { object: reference.to_string(), owner: found.map(str::to_owned) });
    }
    let live_uid = uid(live);
    match &owner.known_uid {
        Some(known) if live_uid == Some(known) => Ok(()),
        None if owner.may_create => Ok(()),
        recorded => Err(Error::Replaced {
            object: reference.to_string(),
            recorded: recorded.clone(),
            found: live_uid.map(str::to_owned),
        }),
    }
}

/// Whether anybody else than us wrote an object itself, and not only its status.
fn is_written_by_others(object: &Value) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    entries.filter(|entry| text(entry, "subresource").is_empty()).any(|entry| text(entry, "manager") != FIELD_MANAGER)
}

/// What of an object a change would be about.
fn substance(object: &Value) -> Value {
    let mut object = object.clone();
    strip_managed_fields(&mut object);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("generation");
    }
    object
}
