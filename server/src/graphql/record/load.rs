//! Look-ups of upgrade records.

use crate::{
    error::{Error, Result},
    graphql::loader::{Rows, Shared, by_limit},
    id::{ApplicationId, InstallationId, RecordId},
    store::record as rows,
};
use async_graphql::dataloader::Loader;
use std::{collections::HashMap, sync::Arc};

/// Loads the sequence of the newest record of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewestKey(pub InstallationId);

/// Loads a record by its id. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKey(pub RecordId);

/// Whose records are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordsOf {
    /// All of an application.
    Application(ApplicationId),
    /// Those of one installation.
    Installation(InstallationId),
}

/// Loads the newest records, the newest first: so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstRecordsKey {
    /// Of what.
    pub of: RecordsOf,
    /// How many.
    pub limit: i64,
}

/// Loads how many records there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordCountKey(pub RecordsOf);

impl RecordsOf {
    /// The applications, and the installations.
    fn split(all: impl IntoIterator<Item = Self>) -> (Vec<ApplicationId>, Vec<InstallationId>) {
        let (mut applications, mut installations) = (Vec::new(), Vec::new());
        for of in all {
            match of {
                Self::Application(id) => applications.push(id),
                Self::Installation(id) => installations.push(id),
            }
        }
        (applications, installations)
    }
}

impl Loader<NewestKey> for Rows {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[NewestKey]) -> Result<HashMap<NewestKey, i64>, Self::Error> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let result = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::newest_sequences(&mut conn, &ids).await?)
        };
        let found = result.await.map_err(Arc::new)?;
        Ok(found.into_iter().filter_map(|(id, newest)| Some((NewestKey(id), newest?))).collect())
    }
}

impl Loader<RecordKey> for Rows {
    type Value = rows::Record;
    type Error = Shared;

    async fn load(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Self::Value>, Self::Error> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let result = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = result.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (RecordKey(row.id), row)).collect())
    }
}

impl Loader<FirstRecordsKey> for Rows {
    type Value = Vec<rows::Record>;
    type Error = Shared;

    async fn load(&self, keys: &[FirstRecordsKey]) -> Result<HashMap<FirstRecordsKey, Self::Value>, Shared> {
        let found = async {
            let mut records: HashMap<FirstRecordsKey, Self::Value> = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for (limit, all) in by_limit(keys.iter().map(|key| (key.limit, key.of))) {
                let (applications, installations) = RecordsOf::split(all);
                for row in rows::first_of_applications(&mut conn, &applications, limit).await? {
                    let of = RecordsOf::Application(row.application_id);
                    records.entry(FirstRecordsKey { of, limit }).or_default().push(row);
                }
                for row in rows::first_of_installations(&mut conn, &installations, limit).await? {
                    let of = RecordsOf::Installation(row.installation_id);
                    records.entry(FirstRecordsKey { of, limit }).or_default().push(row);
                }
            }
            Ok::<_, Error>(records)
        };
        found.await.map_err(Arc::new)
    }
}

impl Loader<RecordCountKey> for Rows {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[RecordCountKey]) -> Result<HashMap<RecordCountKey, i64>, Shared> {
        let (applications, installations) = RecordsOf::split(keys.iter().map(|key| key.0));
        let found = async {
            let mut conn = self.app.database.read().await?;
            let of_applications = rows::counts_of_applications(&mut conn, &applications).await?;
            let of_installations = rows::counts_of_installations(&mut conn, &installations).await?;
            let all = of_applications.into_iter().map(|(id, count)| (RecordsOf::Application(id), count));
            let all = all.chain(of_installations.into_iter().map(|(id, count)| (RecordsOf::Installation(id), count)));
            Ok::<_, Error>(all.map(|(of, count)| (RecordCountKey(of), count)).collect())
        };
        found.await.map_err(Arc::new)
    }
}
