//! Watches: what they see, when they end, and what the cluster does when it is ill.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use crate::setup::Subject;

on_both!(a_watch_sees_objects_come_and_go, a_watcher_follows);

fn config(name: &str, shown: bool) -> ConfigMap {
    let labels = json!({"shown": shown.to_string()});
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).expect("a ConfigMap")
}

async fn a_watch_sees_objects_come_and_go(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let api: Api<ConfigMap> = Api::namespaced(on.client.clone(), &space);
    let version = api.list(&ListParams::default()).await?.metadata.resource_version.context("a version")?;
    let chosen = WatchParams::default().labels("shown=true").timeout(60);
    let mut events = api.watch(&chosen, &version).await?.boxed();
    for shown in [false, true, true, false, true] {
        let mut object = config("a", shown);
        match api.get_opt("a").await? {
            None => drop(api.create(&PostParams::default(), &object).await?),
            Some(found) => {
                object.metadata.resource_version = found.metadata.resource_version;
                object.data = Some([("n".to_owned(), found.metadata.uid.unwrap_or_default())].into());
                api.replace("a", &PostParams::default(), &object).await?;
            }
        }
    }
    api.delete("a", &DeleteParams::default()).await?;
    let mut seen = Vec::new();
    let mut last = version.parse::<u64>()?;
    while seen.len() < 4 {
        let event = tokio::time::timeout(Duration::from_secs(20), events.try_next()).await??;
        let (word, object) = match event.context("the watch ended")? {
            WatchEvent::Added(object) => ("ADDED", object),
            WatchEvent::Modified(object) => ("MODIFIED", object),
            WatchEvent::Deleted(object) => ("DELETED", object),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(status) => bail!("an error: {status:?}"),
        };
        let version: u64 = object.metadata.resource_version.context("a version")?.parse()?;
        assert!(version > last, "versions grow");
        last = version;
        seen.push(word);
    }
    assert_eq!(seen, ["ADDED", "DELETED", "ADDED", "DELETED"]);
    Ok(())
}

async fn a_watcher_follows(on: Subject) -> Result<()> {
    let space = on.namespace().await?;
    let api: Api<ConfigMap> = Api::namespaced(on.client.clone(), &space);
    api.create(&PostParams::default(), &config("before", true)).await?;
    for settings in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let settings = settings.labels("shown=true");
        let mut objects = watcher(api.clone(), settings).default_backoff().applied_objects().boxed();
        let mut next = async || tokio::time::timeout(Duration::from_secs(20), objects.try_next()).await;
        let first = next().await??.context("the first")?;
        assert_eq!(first.metadata.name.as_deref(), Some("before"));
        api.create(&PostParams::default(), &config("after", true)).await?;
        let second = next().await??.context("the second")?;
        assert_eq!(second.metadata.name.as_deref(), Some("after"));
        api.delete("after", &DeleteParams::default()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_old_version_has_expired() -> Result<()> {
    let on = Subject::playground().await?;
    let playground = on.playground.as_ref().context("a playground")?;
    let api: Api<ConfigMap> = Api::namespaced(on.client.clone(), "default");
    let version = api.list(&ListParams::default()).await?.metadata.resource_version.context("a version")?;
    let mut open = api.watch(&WatchParams::default(), &version).await?.boxed();
    api.create(&PostParams::default(), &config("a", true)).await?;
    assert!(matches!(open.try_next().await?, Some(WatchEvent::Added(_))));
    playground.compact();
    let mut late = api.watch(&WatchParams::default(), &version).await?.boxed();
    let Some(WatchEvent::Error(status)) = late.try_next().await? else { bail!("a watch from a forgotten version") };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    api.create(&PostParams::default(), &config("b", true)).await?;
    assert!(matches!(open.try_next().await?, Some(WatchEvent::Added(_))), "an open watch goes on");
    playground.expire_watches();
    let Some(WatchEvent::Error(status)) = open.try_next().await? else { bail!("the watch went on") };
    assert_eq!(status.code, 410);
    assert_eq!(
        on.get(&format!("/api/v1/configmaps?resourceVersion={version}&resourceVersionMatch=Exact")).await?.0,
        410
    );
    Ok(())
}

#[tokio::test]
async fn an_ill_cluster_says_so_or_says_nothing() -> Result<()> {
    let on = Subject::playground().await?;
    let playground = on.playground.as_ref().context("a playground")?;
    // Without kube's client, which tries again by itself.
    let http = reqwest::Client::builder().timeout(Duration::from_millis(500)).build()?;
    let url = format!("http://{}/a-token/api/v1/nodes", playground.address());
    playground.set_unavailable(true);
    assert_eq!(http.get(&url).send().await?.status().as_u16(), 503);
    playground.set_unavailable(false);
    assert_eq!(http.get(&url).send().await?.status().as_u16(), 200);
    playground.set_frozen(true);
    assert!(http.get(&url).send().await.is_err_and(|error| error.is_timeout()), "it answered");
    playground.set_frozen(false);
    assert_eq!(http.get(&url).send().await?.status().as_u16(), 200);
    Ok(())
}

#[tokio::test]
async fn only_who_has_the_token_is_answered() -> Result<()> {
    let on = Subject::playground().await?;
    let playground = on.playground.as_ref().context("a playground")?;
    let http = reqwest::Client::new();
    let url = format!("http://{}", playground.address());
    for (path, token, expected) in [
        ("/api/v1/nodes", None, 401),
        ("/api/v1/nodes", Some("wrong"), 401),
        ("/api/v1/nodes", Some("a-token"), 200),
        ("/a-token/api/v1/nodes", None, 200),
        ("/b-token/api/v1/nodes", None, 401),
        ("/readyz", None, 200),
    ] {
        let mut request = http.get(format!("{url}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await?.status().as_u16(), expected, "{path} {token:?}");
    }
    let address = playground.address();
    on.playground.context("a playground")?.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "a stopped cluster does not listen");
    Ok(())
}
