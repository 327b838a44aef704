//! The public API: one noun a file, each with its types, queries, mutations, loaders.
//!
//! A resolver decodes, calls one function of `service`, and wraps what it returns. What a person can mend is part of a
//! mutation's payload; everything else is an error with a code, see [`error`].

pub mod application;
pub mod audit;
pub mod cluster;
pub mod component;
pub mod deployment;
pub mod driver;
pub mod enterprise;
pub mod error;
pub mod id;
pub mod installation;
pub mod library;
pub mod limits;
pub mod loader;
pub mod member;
pub mod node;
pub mod operation;
pub mod page;
pub mod plan;
pub mod pod;
pub mod publication;
pub mod record;
pub mod resource;
pub mod scalar;
pub mod settings;
pub mod team;
pub mod template;
pub mod topology;
pub mod user;
pub mod version;
pub mod viewer;
pub mod workload;

#[cfg(test)]
mod tests;

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    id::{Id, Kind},
};
use async_graphql::{Context, ID, MergedObject, MergedSubscription, Request, Schema, SchemaBuilder};
use chrono::{DateTime, Utc};
use std::net::IpAddr;

/// The schema, ready to execute.
pub type ApiSchema = Schema<Query, Mutation, Subscription>;

/// What can be asked.
#[derive(MergedObject, Default)]
pub struct Query(
    viewer::ViewerQuery,
    node::NodeQuery,
    enterprise::EnterpriseQuery,
    team::TeamQuery,
    cluster::ClusterQuery,
    driver::DriverQuery,
    application::ApplicationQuery,
    component::ComponentQuery,
    operation::OperationQuery,
    deployment::DeploymentQuery,
    template::TemplateQuery,
    version::VersionQuery,
    publication::PublicationQuery,
    installation::InstallationQuery,
    record::RecordQuery,
);

/// What can be changed.
#[derive(MergedObject, Default)]
pub struct Mutation(
    viewer::ViewerMutation,
    user::UserMutation,
    enterprise::EnterpriseMutation,
    member::MemberMutation,
    cluster::ClusterMutation,
    library::LibraryMutation,
    team::TeamMutation,
    application::ApplicationMutation,
    component::ComponentMutation,
    resource::ResourceMutation,
    operation::OperationMutation,
    deployment::DeploymentMutation,
    template::TemplateMutation,
    version::VersionMutation,
    publication::PublicationMutation,
    installation::InstallationMutation,
    record::RecordMutation,
);

/// What can be followed.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    cluster::ClusterSubscription,
    application::ApplicationSubscription,
    operation::OperationSubscription,
);

/// The schema of a process.
pub fn schema(app: App) -> ApiSchema {
    let limits = (app.config.http.max_depth, app.config.http.max_complexity);
    builder().limit_depth(limits.0).limit_complexity(limits.1).extension(limits::Bounds).data(app).finish()
}

/// The schema as text, in the schema definition language.
pub fn sdl() -> String {
    builder().finish().sdl()
}

/// A request on behalf of somebody, with what its resolvers need.
pub fn on_behalf_of(app: &App, actor: Option<Actor>, request: Request) -> Request {
    let request = request.data(loader::rows(app.clone(), actor.clone()));
    match actor {
        Some(actor) => request.data(actor),
        None => request,
    }
}

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The process.
pub fn app<'ctx>(ctx: &Context<'ctx>) -> &'ctx App {
    ctx.data_unchecked()
}

/// Who asks. Somebody who must change their password can do nothing else.
pub fn actor<'ctx>(ctx: &Context<'ctx>) -> Result<&'ctx Actor> {
    let actor = signed_in(ctx)?;
    if actor.must_change_password {
        return Err(Error::Forbidden("change your password first, with changePassword".into()));
    }
    Ok(actor)
}

/// Who asks, even where they must change their password.
pub fn signed_in<'ctx>(ctx: &Context<'ctx>) -> Result<&'ctx Actor> {
    ctx.data_opt().ok_or(Error::Unauthenticated)
}

/// The id of one kind that somebody asks for, who must be signed in.
fn asked<K: Kind>(ctx: &Context<'_>, id: &ID) -> async_graphql::Result<Id<K>> {
    actor(ctx).and_then(|_| id::decode(id, "id")).map_err(error::graphql_error)
}

fn app_and_signed_in<'ctx>(ctx: &Context<'ctx>) -> Result<(&'ctx App, &'ctx Actor)> {
    Ok((app(ctx), signed_in(ctx)?))
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .override_output_type_description::<DateTime<Utc>>("An instant, as RFC 3339 writes it, in UTC.")
}
