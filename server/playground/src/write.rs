//! Creating, changing and deleting objects, for clients and controllers alike.

use serde_json::{Value, json};

use crate::api::{default, strict, validate};
use crate::apply::ownership::{self, Manager, Operation};
use crate::kind::Kind;
use crate::object::{deleting, has_finalizer, items, list_mut, map_mut, name, namespace, same, text};
use crate::status::{Cause, Status};
use crate::store::{Key, Object, State};
use crate::{admission, clock, unsupported};

/// The part of an object that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The object.
    Main,
    /// Its status.
    Status,
    /// Its number of replicas.
    Scale,
}

/// What is done with fields that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are dropped.
    Ignore,
    /// They are dropped, and named in a warning.
    Warn,
    /// They are an error.
    Refuse,
}

/// Who writes, and how.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// The name under which fields are owned.
    pub(crate) manager: String,
    /// Whether nothing is stored.
    pub(crate) dry_run: bool,
    /// What is done with unknown fields.
    pub(crate) unknown: Unknown,
}

/// What came of a write.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The object as it is now, or would be.
    pub(crate) object: Object,
    /// What the caller should know.
    pub(crate) warnings: Vec<String>,
    /// Whether it was not there before.
    pub(crate) created: bool,
}

impl Writer {
    /// A controller of the cluster.
    pub(crate) fn controller(name: &str) -> Self {
        Self { manager: name.to_owned(), dry_run: false, unknown: Unknown::Ignore }
    }

    fn manager(&self, kind: Kind, part: Part, operation: Operation) -> Manager {
        let subresource = match part {
            Part::Main => "",
            Part::Status => "status",
            Part::Scale => "scale",
        };
        Manager {
            operation,
            name: self.manager.clone(),
            api_version: kind.api_version(),
            subresource: subresource.to_owned(),
        }
    }
}

/// Creates an object.
pub(crate) fn create(
    state: &mut State,
    kind: Kind,
    namespace: &str,
    body: Value,
    writer: &Writer,
) -> Result<Written, Status> {
    let mut body = body;
    if !text(&body, "/metadata/resourceVersion").is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let base = text(&body, "/metadata/generateName").to_owned();
    if name(&body).is_empty() && !base.is_empty() {
        let base: String = base.chars().take(58).collect();
        body["metadata"]["name"] = json!(format!("{base}{}", clock::suffix(5)));
    }
    let (mut object, warnings) = strict::decode(kind, namespace, body, writer.unknown)?;
    let called = name(&object).to_owned();
    if kind.description().namespaced {
        admission::namespace(state, kind, &called, namespace)?;
    }
    if let Some(fields) = object.as_object_mut().filter(|_| kind.description().status) {
        fields.remove("status");
    }
    let metadata = map_mut(&mut object, &["metadata"]);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields", "generation"] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), json!(clock::uid()));
    metadata.insert("creationTimestamp".to_owned(), json!(clock::timestamp()));
    if kind.description().generation {
        metadata.insert("generation".to_owned(), json!(1));
    }
    default::fill(kind, &mut object);
    // Owned is what the client sent, with defaults; not what admission adds.
    let empty = json!({"metadata": {}, "spec": {}, "status": {}});
    let manager = writer.manager(kind, Part::Main, Operation::Update);
    ownership::track_update(kind, &empty, &mut object, &manager, &clock::timestamp());
    admission::create(state, kind, &mut object)?;
    default::fill(kind, &mut object);
    validate::object(kind, &object)?;
    unsupported::check(state, kind, &object)?;
    let key = Key::of(kind, &object);
    if state.get(&key).is_some() {
        return Err(Status::already_exists(kind, &called));
    }
    admission::quota(state, kind, None, &object)?;
    if kind == Kind::Pod {
        object["status"] = json!({"phase": "Pending", "qosClass": admission::quality(&object["spec"])});
    }
    let object = if writer.dry_run { Object::new(object) } else { state.put(kind, object) };
    Ok(Written { object, warnings, created: true })
}

/// Changes an object by a function from its present state to the new one.
pub(crate) fn change(
    state: &mut State,
    key: &Key,
    part: Part,
    writer: &Writer,
    make: impl FnOnce(&Value) -> Result<Value, Status>,
) -> Result<Written, Status> {
    let old = state.require(key)?;
    let new = make(&old)?;
    let version = text(&new, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(&old, "/metadata/resourceVersion") {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Status::conflict(key.kind, &key.name, why));
    }
    let uid = text(&new, "/metadata/uid");
    if !uid.is_empty() && uid != text(&old, "/metadata/uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            text(&old, "/metadata/uid")
        );
        return Err(Status::conflict(key.kind, &key.name, &why));
    }
    let cleared = items(&new, "/metadata/managedFields") == [json!({})]
        || new["metadata"].get("managedFields").is_some_and(|list| list.as_array().is_some_and(Vec::is_empty));
    let (mut new, warnings) = strict::decode(key.kind, &key.namespace, new, writer.unknown)?;
    keep(key.kind, part, &old, &mut new);
    admission::update(key.kind, &old, &mut new);
    if !same(&old, &new) {
        let manager = writer.manager(key.kind, part, Operation::Update);
        new = settle(state, key, part, &old, new, |new| {
            ownership::track_update(key.kind, &old, new, &manager, &clock::timestamp());
            if cleared && let Some(metadata) = new["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
        })?;
    } else if cleared && old["metadata"].get("managedFields").is_some() {
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    } else {
        return Ok(Written { object: old, warnings, created: false });
    }
    commit(state, key, &old, new, writer).map(|object| Written { object, warnings, created: false })
}

/// Server-side apply: creates the object or changes the fields that the configuration names.
pub(crate) fn apply(
    state: &mut State,
    key: &Key,
    part: Part,
    config: Value,
    force: bool,
    writer: &Writer,
) -> Result<Written, Status> {
    let mut config = config;
    if !items(&config, "/metadata/managedFields").is_empty() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    strict::identity(key.kind, &key.namespace, &mut config)?;
    if name(&config) != key.name {
        let message =
            format!("the name of the object ({}) does not match the name on the URL ({})", name(&config), key.name);
        return Err(Status::bad_request(message));
    }
    strict::declared(key.kind, &config)?;
    let manager = writer.manager(key.kind, part, Operation::Apply);
    let Some(old) = state.get(key) else {
        if part != Part::Main {
            return Err(Status::not_found(key.kind, &key.name));
        }
        if !text(&config, "/metadata/uid").is_empty() {
            let why = "uid mismatch: the provided object specified uid, and no existing object was found";
            return Err(Status::conflict(key.kind, &key.name, why));
        }
        let bare = json!({"metadata": {}});
        let owned = ownership::apply(key.kind, &bare, &config, &manager, force, &clock::timestamp())?;
        let quiet = Writer { dry_run: true, ..writer.clone() };
        let made = create(state, key.kind, &key.namespace, config, &quiet)?;
        let mut object = Value::clone(&made.object);
        object["metadata"]["managedFields"] = owned["metadata"]["managedFields"].clone();
        let object = if writer.dry_run { Object::new(object) } else { state.put(key.kind, object) };
        return Ok(Written { object, warnings: made.warnings, created: true });
    };
    let version = text(&config, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(&old, "/metadata/resourceVersion") {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(Status::conflict(key.kind, &key.name, why));
    }
    let merged = ownership::apply(key.kind, &old, &config, &manager, force, &clock::timestamp())?;
    let uid = text(&config, "/metadata/uid");
    if !uid.is_empty() && uid != text(&old, "/metadata/uid") {
        let cause = Cause::invalid("metadata.uid", &json!(uid), "field is immutable");
        return Err(Status::invalid(key.kind, &key.name, &[cause]));
    }
    let owners = merged["metadata"]["managedFields"].clone();
    let (mut new, warnings) = strict::decode(key.kind, &key.namespace, merged, Unknown::Ignore)?;
    keep(key.kind, part, &old, &mut new);
    admission::update(key.kind, &old, &mut new);
    new["metadata"]["managedFields"] = owners;
    if same(&old, &new) && ownership::same_owners(&old, &new) {
        return Ok(Written { object: old, warnings, created: false });
    }
    let new = settle(state, key, part, &old, new, |_| ())?;
    commit(state, key, &old, new, writer).map(|object| Written { object, warnings, created: false })
}

/// What a write cannot change stays: identity, and the parts that the request is not about.
fn keep(kind: Kind, part: Part, old: &Value, new: &mut Value) {
    let fields = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
        "name",
        "namespace",
        "managedFields",
        "resourceVersion",
        "generateName",
    ];
    for field in fields {
        let metadata = map_mut(new, &["metadata"]);
        match old["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
    let restore = |new: &mut Value, field: &str| {
        let top = map_mut(new, &[]);
        match old.get(field) {
            Some(value) => top.insert(field.to_owned(), value.clone()),
            None => top.remove(field),
        };
    };
    match part {
        Part::Main | Part::Scale if kind.description().status => restore(new, "status"),
        Part::Main | Part::Scale => {}
        Part::Status => {
            restore(new, "spec");
            let metadata = map_mut(new, &["metadata"]);
            match old["metadata"].get("labels") {
                Some(labels) => metadata.insert("labels".to_owned(), labels.clone()),
                None => metadata.remove("labels"),
            };
        }
    }
}

/// Defaults, rules and generation of a changed object; `own` writes its owners.
fn settle(
    state: &State,
    key: &Key,
    part: Part,
    old: &Value,
    new: Value,
    own: impl FnOnce(&mut Value),
) -> Result<Value, Status> {
    let mut new = new;
    default::fill(key.kind, &mut new);
    admission::change(state, key.kind, old, &mut new)?;
    validate::object(key.kind, &new)?;
    validate::update::object(key.kind, old, &new)?;
    unsupported::check(state, key.kind, &new)?;
    admission::quota(state, key.kind, Some(old), &new)?;
    if deleting(old) {
        let fresh = items(&new, "/metadata/finalizers")
            .iter()
            .any(|finalizer| !items(old, "/metadata/finalizers").contains(finalizer));
        if fresh {
            let why = "no new finalizers can be added if the object is being deleted";
            return Err(Status::forbidden(key.kind, &key.name, why));
        }
    }
    own(&mut new);
    let annotated = part == Part::Main
        && key.kind == Kind::Deployment
        && old["metadata"]["annotations"] != new["metadata"]["annotations"];
    if key.kind.description().generation && (respecified(old, &new) || annotated) {
        new["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
    }
    Ok(new)
}

/// Whether the spec differs; that a pod is bound to a node is no difference.
fn respecified(old: &Value, new: &Value) -> bool {
    let strip = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("nodeName");
        }
        spec
    };
    strip(old) != strip(new)
}

/// Stores a changed object; one whose last finalizer is gone goes itself.
fn commit(state: &mut State, key: &Key, old: &Value, new: Value, writer: &Writer) -> Result<Object, Status> {
    if same(old, &new) && ownership::same_owners(old, &new) {
        return state.require(key);
    }
    if writer.dry_run {
        let mut new = new;
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        return Ok(Object::new(new));
    }
    let waits = key.kind == Kind::Pod && new["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0
        || key.kind == Kind::Namespace && !items(&new, "/spec/finalizers").is_empty();
    if deleting(&new) && items(&new, "/metadata/finalizers").is_empty() && !waits {
        return state.remove(key, Some(new)).ok_or_else(|| Status::not_found(key.kind, &key.name));
    }
    Ok(state.put(key.kind, new))
}

/// How an object is deleted.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Deletion {
    /// Seconds that a pod has to end.
    pub(crate) grace_period_seconds: Option<i64>,
    /// `Foreground`, `Background` or `Orphan`.
    pub(crate) propagation_policy: Option<String>,
    /// An older way to ask for `Orphan`.
    pub(crate) orphan_dependents: Option<bool>,
    /// What must hold.
    pub(crate) preconditions: Preconditions,
    /// `All`, or nothing.
    pub(crate) dry_run: Vec<String>,
}

/// What must hold for an object to be deleted.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Preconditions {
    /// It is the one that is meant.
    pub(crate) uid: Option<String>,
    /// It has not changed.
    pub(crate) resource_version: Option<String>,
}

/// Deletes an object. Says whether it is gone, or on its way.
pub(crate) fn delete(state: &mut State, key: &Key, how: &Deletion, dry_run: bool) -> Result<(Object, bool), Status> {
    let old = state.require(key)?;
    for (asked, found, what) in [
        (&how.preconditions.uid, text(&old, "/metadata/uid"), "UID"),
        (&how.preconditions.resource_version, text(&old, "/metadata/resourceVersion"), "ResourceVersion"),
    ] {
        if let Some(asked) = asked.as_deref().filter(|asked| *asked != found) {
            let why = format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {found}");
            return Err(Status::conflict(key.kind, &key.name, &why));
        }
    }
    if key.kind == Kind::Namespace && matches!(key.name.as_str(), "default" | "kube-system" | "kube-public") {
        return Err(Status::forbidden(key.kind, &key.name, "this namespace may not be deleted"));
    }
    let mut new = Value::clone(&old);
    let policy = match (how.propagation_policy.as_deref(), how.orphan_dependents) {
        (Some(policy @ ("Foreground" | "Background" | "Orphan")), None) => policy.to_owned(),
        (None, Some(true)) => "Orphan".to_owned(),
        (None, None) if has_finalizer(&old, "foregroundDeletion") => "Foreground".to_owned(),
        (None, None) if has_finalizer(&old, "orphan") || key.kind == Kind::Job => "Orphan".to_owned(),
        (None, Some(false) | None) => "Background".to_owned(),
        (other, _) => {
            let other = other.unwrap_or_default();
            let known = ["Background", "Foreground", "Orphan"];
            let cause = Cause::unsupported("propagationPolicy", other, &known);
            return Err(Status::invalid_options("DeleteOptions", &[cause]));
        }
    };
    let finalizers = list_mut(&mut new["metadata"], "finalizers");
    finalizers.retain(|finalizer| finalizer != "foregroundDeletion" && finalizer != "orphan");
    match policy.as_str() {
        "Foreground" => finalizers.push(json!("foregroundDeletion")),
        "Orphan" => finalizers.push(json!("orphan")),
        _ => {}
    }
    let grace = grace(key.kind, &old, how);
    let waits = !finalizers.is_empty() || grace > 0 || key.kind == Kind::Namespace;
    if finalizers.is_empty() {
        map_mut(&mut new, &["metadata"]).remove("finalizers");
    }
    if dry_run {
        return Ok((old, !waits));
    }
    if !waits {
        let gone = state.remove(key, None).ok_or_else(|| Status::not_found(key.kind, &key.name))?;
        return Ok((gone, true));
    }
    let sooner = old["metadata"]["deletionGracePeriodSeconds"].as_i64().is_none_or(|before| grace < before);
    if !deleting(&old) || sooner {
        let end = clock::now() + chrono::TimeDelta::seconds(grace);
        new["metadata"]["deletionTimestamp"] = json!(clock::format(end));
        new["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        if !deleting(&old) && new["metadata"].get("generation").is_some() {
            new["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
    }
    if key.kind == Kind::Namespace {
        new["status"]["phase"] = json!("Terminating");
    }
    if same(&old, &new) { Ok((old, false)) } else { Ok((state.put(key.kind, new), false)) }
}

/// Seconds until a pod is gone: none where no node has it.
fn grace(kind: Kind, object: &Value, how: &Deletion) -> i64 {
    let finished = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    if kind != Kind::Pod || text(object, "/spec/nodeName").is_empty() || finished {
        return 0;
    }
    how.grace_period_seconds.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0)
}

/// Creates an event about an object.
pub(crate) fn event(state: &mut State, about: (Kind, &Value), source: &str, kind: &str, reason: &str, message: &str) {
    let (of, object) = about;
    let space = if namespace(object).is_empty() { "default" } else { namespace(object) };
    let now = clock::timestamp();
    let involved = json!({
        "apiVersion": of.api_version(), "kind": of.description().kind, "name": name(object), "namespace": namespace(object),
        "uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"],
    });
    let repeated = state.list(Kind::Event, Some(space)).into_iter().find(|event| {
        event["involvedObject"]["uid"] == involved["uid"] && event["reason"] == reason && event["message"] == message
    });
    let writer = Writer::controller(source);
    let result = if let Some(event) = repeated {
        change(state, &Key::of(Kind::Event, &event), Part::Main, &writer, |event| {
            let mut event = event.clone();
            event["count"] = json!(event["count"].as_i64().unwrap_or(1) + 1);
            event["lastTimestamp"] = json!(now);
            Ok(event)
        })
    } else {
        let body = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": format!("{}.{}", name(object), clock::suffix(16)), "namespace": space},
            "involvedObject": involved, "reason": reason, "message": message, "type": kind, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now, "source": {"component": source},
            "reportingComponent": source, "reportingInstance": "",
        });
        create(state, Kind::Event, space, body, &writer)
    };
    if let Err(status) = result {
        tracing::debug!(reason, "an event was not recorded: {}", status.message);
    }
}
