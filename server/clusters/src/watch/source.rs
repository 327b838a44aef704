//! One watch of one kind, resumed for ever.

use std::{collections::BTreeMap, time::Duration};

use futures::{Stream, StreamExt};
use http::StatusCode;
use kube::{
    Api,
    core::{DynamicObject, Status},
    runtime::{
        WatchStreamExt,
        utils::Backoff,
        watcher::{self, Event},
    },
};
use serde_json::Value;

use super::Watch;
use crate::{Cluster, Error, Kind, ObjectRef, Resource, object::strip_managed_fields, status::About};

/// A watch is made anew after this many seconds, so that one whose connection died unnoticed does not stay.
const WATCH_SECONDS: u32 = 30;

/// The objects of one kind that are watched.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Option<String>,
    pub(crate) fields: Option<String>,
    pub(crate) role: Role,
}

/// What the objects of a source are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// They are judged.
    Judged,
    /// They are pods of judged ones.
    Pods,
    /// They are events about the others.
    Events,
}

/// What a watch saw. Objects have their kind and no managed fields.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// All objects follow, whatever was known before.
    Restart,
    /// One of all.
    Initial(Value),
    /// These were all.
    Complete,
    /// Made or changed.
    Applied(Value),
    /// Deleted.
    Deleted(Value),
}

impl Cluster {
    /// What has to be watched.
    pub(super) async fn sources(&self, watch: &Watch) -> Result<Vec<Source>, Error> {
        let mut by_kind: BTreeMap<(Kind, Option<&str>), Vec<&ObjectRef>> = BTreeMap::new();
        for reference in &watch.references {
            reference.check()?;
            by_kind.entry((reference.kind(), reference.namespace.as_deref())).or_default().push(reference);
        }
        let mut sources = Vec::new();
        for ((kind, namespace), references) in by_kind {
            let resource = self.resource(&kind).await?;
            if resource.namespaced != namespace.is_some() {
                let message = format!("a {} is in a namespace or in none, but named otherwise", kind.kind);
                return Err(Error::OutOfBounds { message });
            }
            let only = match references.as_slice() {
                [one] if watch.selector.is_none() => Some(format!("metadata.name={}", one.name)),
                _ => None,
            };
            sources.push(Source {
                namespace: namespace.map(str::to_owned),
                resource,
                labels: watch.selector.clone(),
                fields: only,
                role: Role::Judged,
            });
        }
        if watch.details {
            for (kind, role) in [("Pod", Role::Pods), ("Event", Role::Events)] {
                sources.push(Source {
                    resource: self.resource(&Kind::new("v1", kind)).await?,
                    namespace: Some(watch.namespace.clone()),
                    labels: None,
                    fields: None,
                    role,
                });
            }
        }
        Ok(sources)
    }
}

/// Watches a source for ever. After an error the stream goes on, later each time.
pub(crate) fn watch_kind(
    cluster: &Cluster,
    source: Source,
) -> impl Stream<Item = Result<Change, Error>> + Send + 'static {
    let api_resource = source.resource.api_resource();
    let api: Api<DynamicObject> = match &source.namespace {
        Some(namespace) => Api::namespaced_with(cluster.client(), namespace, &api_resource),
        None => Api::all_with(cluster.client(), &api_resource),
    };
    let config = watcher::Config {
        label_selector: source.labels,
        field_selector: source.fields,
        timeout: Some(WATCH_SECONDS),
        page_size: Some(250),
        ..watcher::Config::default()
    };
    let cluster = cluster.clone();
    let kind = source.resource.kind;
    watcher::watcher(api, config).backoff(Pause::default()).map(move |event| match event {
        Ok(Event::Init) => Ok(Change::Restart),
        Ok(Event::InitDone) => Ok(Change::Complete),
        Ok(Event::InitApply(object)) => value_of(&kind, &object).map(Change::Initial),
        Ok(Event::Apply(object)) => value_of(&kind, &object).map(Change::Applied),
        Ok(Event::Delete(object)) => value_of(&kind, &object).map(Change::Deleted),
        Err(error) => Err(error_of(&cluster, &kind, error)),
    })
}

fn value_of(kind: &Kind, object: &DynamicObject) -> Result<Value, Error> {
    let mut value = serde_json::to_value(object)
        .map_err(|_| Error::Internal { message: format!("a watched {} cannot be read", kind.kind) })?;
    strip_managed_fields(&mut value);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".into(), kind.api_version.clone().into());
        fields.insert("kind".into(), kind.kind.clone().into());
    }
    Ok(value)
}

fn error_of(cluster: &Cluster, kind: &Kind, error: watcher::Error) -> Error {
    let object = format!("the watch of {}", kind.kind);
    match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => cluster.transport(cause, &object),
        watcher::Error::WatchError(status) => of_status(cluster, &object, &status),
        watcher::Error::NoResourceVersion => Error::Internal { message: format!("{object} has no version") },
    }
}

fn of_status(cluster: &Cluster, object: &str, status: &Status) -> Error {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    crate::status::error_of(About { cluster: cluster.name(), object, is_namespace: false }, code, status, None)
}

/// The pauses between attempts to watch again: short at first, since an API server is back in seconds.
#[derive(Default)]
struct Pause {
    attempts: u32,
}

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(200) * 2_u32.pow(self.attempts.min(5));
        self.attempts = self.attempts.saturating_add(1);
        Some(pause.min(Duration::from_secs(5)))
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {
        self.attempts = 0;
    }
}
