//! Look-ups of publications.

use crate::{
    error::{Error, Result},
    graphql::loader::{Rows, Shared, by_limit},
    id::{ApplicationId, PublicationId, UserId},
    store::{publication as rows, user},
};
use async_graphql::dataloader::Loader;
use std::{collections::HashMap, sync::Arc};

/// Loads a publication. Whoever uses it knows that it may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicationKey(pub PublicationId);

/// Loads the images of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicationImagesKey(pub PublicationId);

/// Loads what people call the author of something that may be seen, also where they have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuthorKey(pub UserId);

/// Loads the first publications of an application that the person who asks may see, the newest first: so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstPublicationsKey {
    /// Which application.
    pub application: ApplicationId,
    /// How many.
    pub limit: i64,
}

/// Loads how many publications of an application the person who asks may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicationCountKey(pub ApplicationId);

impl Loader<PublicationKey> for Rows {
    type Value = rows::Publication;
    type Error = Shared;

    async fn load(&self, keys: &[PublicationKey]) -> Result<HashMap<PublicationKey, rows::Publication>, Shared> {
        let ids: Vec<PublicationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::by_ids(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|row| (PublicationKey(row.id), row)).collect())
    }
}

impl Loader<PublicationImagesKey> for Rows {
    type Value = Vec<rows::PublicationImage>;
    type Error = Shared;

    async fn load(&self, keys: &[PublicationImagesKey]) -> Result<HashMap<PublicationImagesKey, Self::Value>, Shared> {
        let ids: Vec<PublicationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::images(&mut conn, &ids).await?)
        };
        let mut of: HashMap<PublicationImagesKey, Self::Value> = HashMap::new();
        for row in found.await.map_err(Arc::new)? {
            of.entry(PublicationImagesKey(row.publication_id)).or_default().push(row);
        }
        Ok(of)
    }
}

impl Loader<AuthorKey> for Rows {
    type Value = String;
    type Error = Shared;

    async fn load(&self, keys: &[AuthorKey]) -> Result<HashMap<AuthorKey, String>, Shared> {
        let ids: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(user::display_names(&mut conn, &ids).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, name)| (AuthorKey(id), name)).collect())
    }
}

impl Loader<FirstPublicationsKey> for Rows {
    type Value = Vec<rows::Publication>;
    type Error = Shared;

    async fn load(&self, keys: &[FirstPublicationsKey]) -> Result<HashMap<FirstPublicationsKey, Self::Value>, Shared> {
        let Some(actor) = &self.actor else { return Ok(HashMap::new()) };
        let found = async {
            let mut publications: HashMap<FirstPublicationsKey, Self::Value> = HashMap::new();
            let mut conn = self.app.database.read().await?;
            for (limit, applications) in by_limit(keys.iter().map(|key| (key.limit, key.application))) {
                for row in rows::first_pages(&mut conn, &applications, actor.user_id, limit).await? {
                    let key = FirstPublicationsKey { application: row.application_id, limit };
                    publications.entry(key).or_default().push(row);
                }
            }
            Ok::<_, Error>(publications)
        };
        found.await.map_err(Arc::new)
    }
}

impl Loader<PublicationCountKey> for Rows {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[PublicationCountKey]) -> Result<HashMap<PublicationCountKey, i64>, Shared> {
        let Some(actor) = &self.actor else { return Ok(HashMap::new()) };
        let ids: Vec<ApplicationId> = keys.iter().map(|key| key.0).collect();
        let found = async {
            let mut conn = self.app.database.read().await?;
            Ok::<_, Error>(rows::counts(&mut conn, &ids, actor.user_id).await?)
        };
        let found = found.await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, count)| (PublicationCountKey(id), count)).collect())
    }
}
