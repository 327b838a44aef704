//! Drivers.

use super::{
    actor, app,
    error::IntoGraphql as _,
    id,
    loader::{Rows, Shared},
    page::{self, Cursor, PageRequest},
};
use crate::{
    connection,
    id::DriverId,
    service::{find, list},
    store::driver as rows,
};
use async_graphql::{Context, ID, Json, Object, dataloader::Loader};
use std::{collections::HashMap, sync::Arc};

/// The WebAssembly component that knows one kind of cluster.
#[derive(Debug, Clone)]
pub struct Driver {
    row: rows::Driver,
}

/// Queries of drivers.
#[derive(Default)]
pub struct DriverQuery;

/// Loads a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DriverKey(pub DriverId);

connection! {
    /// A page of drivers.
    DriverConnection, DriverEdge, Driver
}

/// The WebAssembly component that knows one kind of cluster.
#[Object]
impl Driver {
    /// Its global id.
    pub async fn id(&self) -> ID {
        id::encode(self.row.id)
    }

    /// Its name, unique.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// Its version, as it says.
    async fn version(&self) -> &str {
        &self.row.version
    }

    /// The digest of the component.
    async fn digest(&self) -> &str {
        &self.row.digest
    }

    /// Where it came from: `built-in`.
    async fn source(&self) -> &str {
        &self.row.source
    }

    /// What it can do beyond the least.
    async fn features(&self) -> &[String] {
        &self.row.features.0
    }

    /// JSON Schema of its configuration for one cluster.
    async fn config_schema(&self) -> Json<&serde_json::Value> {
        Json(&self.row.config_schema.0)
    }

    /// What it asks the host for.
    async fn requests(&self) -> &[String] {
        &self.row.requests.0
    }
}

#[Object]
impl DriverQuery {
    /// The drivers that clusters can be registered with. For those who administer an enterprise.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn drivers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, up to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<Cursor>,
    ) -> async_graphql::Result<DriverConnection> {
        let result = async {
            let page = PageRequest::new(ctx, "Driver", first, after.as_ref())?;
            list::list_drivers(app(ctx), actor(ctx)?, page).await
        };
        result.await.map(Into::into).graphql()
    }
}

impl From<rows::Driver> for Driver {
    fn from(row: rows::Driver) -> Self {
        Self { row }
    }
}

impl Loader<DriverKey> for Rows {
    type Value = Driver;
    type Error = Shared;

    async fn load(&self, keys: &[DriverKey]) -> Result<HashMap<DriverKey, Driver>, Shared> {
        let ids: Vec<DriverId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, crate::Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (DriverKey(row.id), row.into())).collect())
    }
}

/// A driver by id.
pub(super) async fn find(ctx: &Context<'_>, id: DriverId) -> async_graphql::Result<Driver> {
    let result = async { find::find_driver(app(ctx), actor(ctx)?, id).await };
    result.await.map(Into::into).graphql()
}
