//! Reads objects: one, many, or a whole kind in pages.

use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cluster, Error, Kind, ObjectRef, cluster::Ask, object::check_segment};

/// An object that was looked at, with what is known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// What was asked for.
    pub reference: ObjectRef,
    /// The object as it is in the cluster, or None if it does not exist.
    pub object: Option<Value>,
    /// A workload's pods, newest last, at most 20. Filled in by watches only.
    pub pods: Vec<Value>,
    /// Events about the object and what it made, newest last, at most 20 of 4 KiB each. Filled in by watches only.
    pub events: Vec<Value>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The objects, each with its apiVersion and kind.
    pub items: Vec<Value>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

impl Cluster {
    /// Reads one object. None if it does not exist; an error if that is not known.
    pub async fn get(&self, reference: &ObjectRef) -> Result<Option<Value>, Error> {
        reference.check()?;
        let resource = self.resource(&reference.kind()).await?;
        if resource.namespaced && reference.namespace.is_none() {
            return Err(Error::OutOfBounds { message: format!("{reference} needs a namespace") });
        }
        let path = resource.path(reference.namespace.as_deref(), Some(&reference.name));
        let described = reference.to_string();
        match self.ask(Ask::get(path, &described)).await {
            Ok(answer) => Ok(Some(answer.value)),
            Err(Error::NotFound { .. } | Error::NamespaceMissing { .. }) => Ok(None),
            Err(error @ Error::NotServed { .. }) => {
                // The API may have gone since it was discovered: then that is the answer.
                self.forget(&reference.api_version);
                self.resource(&reference.kind()).await?;
                Err(error)
            }
            Err(other) => Err(other),
        }
    }

    /// Reads many objects at once, in the order of the references. If one of them cannot be read, it is an error:
    /// nothing is concluded from half an answer.
    pub async fn get_many(&self, references: &[ObjectRef]) -> Result<Vec<Observed>, Error> {
        let width = self.limits().concurrent_requests.max(1);
        stream::iter(references.iter().cloned().map(|reference| async move {
            let object = match self.get(&reference).await {
                // A kind that is not installed has no objects.
                Err(Error::UnknownKind { .. }) => None,
                other => other?,
            };
            Ok(Observed { reference, object, pods: Vec::new(), events: Vec::new() })
        }))
        .buffered(width)
        .try_collect()
        .await
    }

    /// Reads one page of a kind: of a namespace, or of the whole cluster. `size` is at most 500.
    pub async fn list_page(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selector: Option<&str>,
        size: u16,
        after: Option<&str>,
    ) -> Result<Page, Error> {
        self.page(kind, namespace, &query(size, selector, None, after), true).await
    }

    /// The page that a [`query`] describes, asked for again and again if one is patient.
    pub(crate) async fn page(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        query: &str,
        patient: bool,
    ) -> Result<Page, Error> {
        namespace.map_or(Ok(()), check_segment)?;
        let resource = self.resource(kind).await?;
        let path = format!("{}?{query}", resource.path(namespace, None));
        let described = format!("the list of {}", resource.plural);
        let ask = Ask { repeatable: patient, ..Ask::get(path, &described) };
        let mut answer = self.ask(ask).await?.value;
        let next = answer
            .pointer("/metadata/continue")
            .and_then(Value::as_str)
            .filter(|token| !token.is_empty())
            .map(str::to_owned);
        let Some(Value::Array(mut items)) = answer.get_mut("items").map(Value::take) else {
            return Err(Error::Internal { message: format!("{described} has no items") });
        };
        for item in &mut items {
            if let Some(item) = item.as_object_mut() {
                item.insert("apiVersion".into(), kind.api_version.clone().into());
                item.insert("kind".into(), kind.kind.clone().into());
            }
        }
        Ok(Page { items, next })
    }

    /// Reads a whole kind page by page, as the stream is polled. Ends after its first error.
    pub fn list(
        &self,
        kind: Kind,
        namespace: Option<String>,
        selector: Option<String>,
        size: u16,
    ) -> impl Stream<Item = Result<Vec<Value>, Error>> + Send + 'static {
        let cluster = self.clone();
        stream::try_unfold(Some(None::<String>), move |cursor| {
            let (cluster, kind) = (cluster.clone(), kind.clone());
            let (namespace, selector) = (namespace.clone(), selector.clone());
            async move {
                let Some(after) = cursor else { return Ok(None) };
                let page =
                    cluster.list_page(&kind, namespace.as_deref(), selector.as_deref(), size, after.as_deref()).await?;
                Ok(Some((page.items, page.next.map(Some))))
            }
        })
        .boxed()
    }
}

/// What of a kind is listed: at most so many, by labels and fields, from where a page ended.
pub(crate) fn query(size: u16, labels: Option<&str>, fields: Option<&str>, after: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &size.clamp(1, 500).to_string());
    for (key, value) in [("labelSelector", labels), ("fieldSelector", fields), ("continue", after)] {
        if let Some(value) = value {
            query.append_pair(key, value);
        }
    }
    query.finish()
}
