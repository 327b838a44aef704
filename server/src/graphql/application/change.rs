//! Following applications.

use super::{Application, WholeKey};
use crate::{
    graphql::{
        actor, app,
        component::Component,
        error::IntoGraphql as _,
        id,
        installation::{Installation, InstallationKey},
        loader::load,
        publication::{Publication, PublicationKey},
        record::{RecordKey, UpgradeRecord},
    },
    service::follow_application::{self, News, What},
};
use async_graphql::{Context, ID, Object, Subscription};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};

/// Something new of an application.
#[derive(Debug, Clone)]
pub struct ApplicationChange {
    news: News,
}

/// Subscriptions of applications.
#[derive(Default)]
pub struct ApplicationSubscription;

/// Something new of an application.
#[Object]
impl ApplicationChange {
    /// When it was seen.
    async fn at(&self) -> DateTime<Utc> {
        self.news.at.0
    }

    /// What is new: `STATE` (how it is when following begins), `APPLICATION`, `COMPONENT`, `COMPONENT_REMOVED`,
    /// `INSTALLATION`, `UPGRADE_RECORD`, `PUBLICATION` or `CLUSTER` (it stopped answering, or answers again).
    async fn kind(&self) -> &str {
        self.news.what.kind()
    }

    /// The application as it is now.
    async fn application(&self) -> Application {
        self.news.application.clone().into()
    }

    /// The component that changed.
    async fn component(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Component>> {
        let What::Component(key) = self.news.what else { return Ok(None) };
        let whole = load(ctx, WholeKey(self.news.application.id)).await.graphql()?;
        Ok(whole.and_then(|whole| Component::by_key(&whole, key)))
    }

    /// The installation that changed.
    async fn installation(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Installation>> {
        let What::Installation(id) = self.news.what else { return Ok(None) };
        Ok(load(ctx, InstallationKey(id)).await.graphql()?.map(Into::into))
    }

    /// The upgrade record that changed.
    async fn upgrade_record(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<UpgradeRecord>> {
        let What::Record(id) = self.news.what else { return Ok(None) };
        Ok(load(ctx, RecordKey(id)).await.graphql()?.map(Into::into))
    }

    /// The publication that changed.
    async fn publication(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Publication>> {
        let What::Publication(id) = self.news.what else { return Ok(None) };
        Ok(load(ctx, PublicationKey(id)).await.graphql()?.map(Into::into))
    }
}

#[Subscription]
impl ApplicationSubscription {
    /// The state now, then every change in an application: components, installations, records, publications. It ends when
    /// the application is gone, or may not be seen any more. One person follows 100 things at the same time
    /// (RATE_LIMITED).
    async fn application_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] application_id: ID,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<ApplicationChange>>> {
        let result = async {
            let actor = actor(ctx)?;
            let id = id::decode(&application_id, "applicationId")?;
            follow_application::follow_application(app(ctx), actor, id).await
        };
        let changes = result.await.graphql()?;
        Ok(changes.map(|news| news.map(|news| ApplicationChange { news }).graphql()))
    }
}
