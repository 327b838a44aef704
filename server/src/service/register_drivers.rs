//! Listing the drivers that are part of the product.

use crate::{
    app::App,
    clock,
    error::{Error, Result},
    store::{
        Stored,
        driver::{self, Driver},
    },
};

/// Where these drivers come from.
pub const BUILT_IN: &str = "built-in";

/// Stores what the built-in drivers of this build say of themselves. Done at every start.
pub async fn register_drivers(app: &App) -> Result<()> {
    let now = app.clock.now();
    let rows: Vec<Driver> = app
        .clusters
        .drivers()
        .map(|driver| Driver {
            id: clock::new_id(),
            name: driver.id().to_owned(),
            version: driver.version().to_owned(),
            digest: driver.digest().to_string(),
            source: BUILT_IN.into(),
            features: Stored(driver.features().to_vec()),
            config_schema: Stored(driver.config_schema().clone()),
            requests: Stored(driver.imports().to_vec()),
            created_at: now,
        })
        .collect();
    let mut conn = app.database.write().await?;
    conn.transaction(async |conn| {
        for row in &rows {
            driver::upsert(conn, row).await?;
        }
        Ok::<_, Error>(())
    })
    .await
}
