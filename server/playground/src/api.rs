//! The API server: from a request to an answer.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cluster::Cluster;

pub(crate) mod default;
pub(crate) mod discovery;
pub(crate) mod list;
mod openapi;
pub(crate) mod patch;
pub(crate) mod path;
pub(crate) mod router;
pub(crate) mod scale;
pub(crate) mod strict;
pub(crate) mod table;
pub(crate) mod validate;
pub(crate) mod watch_stream;

/// Serves the API until told to stop.
pub(crate) async fn serve(cluster: Arc<Cluster>, listener: TcpListener, stopped: watch::Receiver<bool>) {
    let routes = axum::Router::new().fallback(router::handle).with_state(router::Server { cluster, stopped });
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!("the playground's API server ended: {error}");
    }
}
