//! Look-ups of installations, and of the lists that belong to each.

use crate::{
    error::{Error, Result},
    graphql::loader::{Rows, Shared, by_limit},
    id::{ApplicationId, InstallationId},
    store::{installation as rows, version},
};
use async_graphql::dataloader::Loader;
use std::{collections::HashMap, sync::Arc};

/// Loads an installation by its id. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstallationKey(pub InstallationId);

/// Loads the first installations of an application, the oldest first: so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstInstallationsKey {
    /// Which application.
    pub application: ApplicationId,
    /// How many.
    pub limit: i64,
}

/// Loads how many installations an application has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstallationCountKey(pub ApplicationId);

/// Loads the first versions to which an installation can be upgraded, the greatest first: so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstUpgradesKey {
    /// Which installation.
    pub installation: InstallationId,
    /// How many.
    pub limit: i64,
}

/// Loads to how many versions an installation can be upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpgradeCountKey(pub InstallationId);

impl Loader<InstallationKey> for Rows {
    type Value = rows::Installation;
    type Error = Shared;

    async fn load(&self, keys: &[InstallationKey]) -> Result<HashMap<InstallationKey, Self::Value>, Self::Error> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let result = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = result.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (InstallationKey(row.id), row)).collect())
    }
}

impl Loader<FirstInstallationsKey> for Rows {
    type Value = Vec<rows::Installation>;
    type Error = Shared;

    async fn load(
        &self,
        keys: &[FirstInstallationsKey],
    ) -> Result<HashMap<FirstInstallationsKey, Self::Value>, Shared> {
        let found = async {
            let mut installations: HashMap<FirstInstallationsKey, Self::Value> = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for (limit, applications) in by_limit(keys.iter().map(|key| (key.limit, key.application))) {
                for row in rows::first_pages(&mut conn, &applications, limit).await? {
                    let key = FirstInstallationsKey { application: row.application_id, limit };
                    installations.entry(key).or_default().push(row);
                }
            }
            Ok::<_, Error>(installations)
        };
        found.await.map_err(Arc::new)
    }
}

impl Loader<InstallationCountKey> for Rows {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[InstallationCountKey]) -> Result<HashMap<InstallationCountKey, i64>, Shared> {
        let ids: Vec<ApplicationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::counts(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, count)| (InstallationCountKey(id), count)).collect())
    }
}

impl Loader<FirstUpgradesKey> for Rows {
    type Value = Vec<version::Version>;
    type Error = Shared;

    async fn load(&self, keys: &[FirstUpgradesKey]) -> Result<HashMap<FirstUpgradesKey, Self::Value>, Shared> {
        let found = async {
            let mut versions: HashMap<FirstUpgradesKey, Self::Value> = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for (limit, installations) in by_limit(keys.iter().map(|key| (key.limit, key.installation))) {
                for (installation, row) in version::first_upgrades(&mut conn, &installations, limit).await? {
                    versions.entry(FirstUpgradesKey { installation, limit }).or_default().push(row);
                }
            }
            Ok::<_, Error>(versions)
        };
        found.await.map_err(Arc::new)
    }
}

impl Loader<UpgradeCountKey> for Rows {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[UpgradeCountKey]) -> Result<HashMap<UpgradeCountKey, i64>, Shared> {
        let ids: Vec<InstallationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(version::upgrade_counts(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, count)| (UpgradeCountKey(id), count)).collect())
    }
}
