//! Look-ups that are gathered, so that a page costs a constant number of queries.
//!
//! Each noun's file defines a key, a newtype, and implements `async_graphql::dataloader::Loader` of it for [`Rows`].

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
};
use async_graphql::{
    Context,
    dataloader::{DataLoader, Loader},
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// What loads rows for one request.
pub struct Rows {
    /// The process.
    pub app: App,
    /// On whose behalf, if anybody signed in.
    pub actor: Option<Actor>,
}

/// How long a loader gathers what is asked for. In tests long enough for slow machines: they count statements.
const GATHERING: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1 });

/// The loader of one request.
pub fn rows(app: App, actor: Option<Actor>) -> DataLoader<Rows> {
    DataLoader::new(Rows { app, actor }, tokio::spawn).max_batch_size(200).delay(GATHERING)
}

/// What a row that cannot be loaded says; loaders share it between those who wait.
pub type Shared = Arc<Error>;

/// Loads one row through the request's loader.
pub async fn load<K>(ctx: &Context<'_>, key: K) -> Result<Option<<Rows as Loader<K>>::Value>>
where
    K: Send + Sync + std::hash::Hash + Eq + Clone + 'static,
    Rows: Loader<K, Error = Shared>,
{
    ctx.data_unchecked::<DataLoader<Rows>>().load_one(key).await.map_err(share)
}

fn share(error: Shared) -> Error {
    match &*error {
        Error::Unavailable { message, .. } => Error::unavailable(message.clone()),
        _ => Error::Internal(error.into()),
    }
}

/// The parents of which first pages are loaded, by how many items each page has.
pub fn by_limit<P>(pages: impl IntoIterator<Item = (i64, P)>) -> HashMap<i64, Vec<P>> {
    let mut by_limit: HashMap<i64, Vec<P>> = HashMap::new();
    for (limit, parent) in pages {
        by_limit.entry(limit).or_default().push(parent);
    }
    by_limit
}
