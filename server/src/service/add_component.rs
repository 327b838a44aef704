//! Adding components to applications.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Result, UserError},
    graphql::id::encode_text,
    id::ApplicationId,
    service::{
        audit::{Act, Subject, audited},
        component_settings::{Settings, Writer},
        edit,
        execute::changed_meanwhile,
        problems::Problems,
        state::ApplicationState,
    },
    store::{
        Key, Stored,
        component::{self, Component as Row},
    },
};
use ropeway_domain::{
    Component, ComponentKey,
    model::{Image, Resources, Scale, ScaleRule, Slug, WorkloadKind},
    names,
};
use serde_json::Map;
use std::collections::BTreeSet;

/// What is wanted.
#[derive(Debug)]
pub struct AddComponent {
    /// Where.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// The part of its cluster name that is its own; none: made of its name.
    pub slug: Option<String>,
    /// Which kind of workload; none: a Deployment.
    pub kind: Option<WorkloadKind>,
    /// An OCI reference.
    pub image: String,
    /// Everything else.
    pub settings: Settings,
    /// What is wrong with the input already.
    pub problems: Problems,
}

/// Adds a component. Its name in the cluster is chosen now and kept for life; it runs once it is deployed.
pub async fn add_component(app: &App, actor: &Actor, input: AddComponent) -> Result<Row> {
    let id = input.application_id;
    let act = Act::new("addComponent", Subject::Application(id), encode_text(id));
    audited(app, actor, act, async || {
        let state = edit::observe(app, actor, id).await?;
        let taken = taken(app, &state).await?;
        let (row, sealed) = decide(app, &state, &taken, input)?;
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            edit::begin(conn, &state, &sealed).await?;
            let application = &state.application;
            let names = component::names_in_namespace(conn, application.cluster_id, &application.namespace).await?;
            if names.contains(&row.cluster_name) {
                return Err(changed_meanwhile());
            }
            component::insert(conn, &row).await?;
            edit::end(conn, actor, now, "addComponent", &state, None).await
        })
        .await?;
        drop(conn);
        edit::tell(app, id);
        Ok(row)
    })
    .await
}

fn decide(
    app: &App,
    state: &ApplicationState,
    taken: &BTreeSet<String>,
    input: AddComponent,
) -> Result<(Row, Vec<crate::store::sealed_value::SealedValue>)> {
    let mut problems = input.problems;
    if state.components.len() >= edit::MAX_PARTS {
        let message = format!("an application has at most {} components", edit::MAX_PARTS);
        problems.add(UserError::new("TOO_MANY", message));
    }
    let slug = match &input.slug {
        Some(slug) => slug.parse::<Slug>().map_err(|error| error.to_string()),
        None => {
            Slug::from_display_name(&input.name).ok_or_else(|| "a slug is needed: none can be made of this name".into())
        }
    };
    let slug = match slug {
        Ok(slug) => slug,
        Err(message) => {
            problems.at("slug", "INVALID_NAME", message);
            problems.finish()?;
            return Err(changed_meanwhile());
        }
    };
    if let Some(other) = state.components.values().find(|row| row.slug == slug.as_str()) {
        let message = format!("the component {:?} has this slug; choose another", other.name);
        problems.add(UserError::new("SLUG_IN_USE", message).at(["slug"]).naming(encode_text(other.id)));
    }

    let key = ComponentKey(clock::new_uuid());
    let application: Slug = state.application.slug.parse().map_err(crate::Error::internal)?;
    let names = names::allocate(&application, [(key, &slug)], taken);
    let cluster_name = names.get(&key).cloned().unwrap_or_default();
    let mut spec = Component {
        key,
        name: input.name,
        slug: slug.clone(),
        kind: input.kind.unwrap_or(WorkloadKind::Deployment),
        image: Image::Reference { reference: input.image },
        command: Vec::new(),
        arguments: Vec::new(),
        environment: Vec::new(),
        connection_info: Vec::new(),
        ports: Vec::new(),
        volumes: Vec::new(),
        config_files: Vec::new(),
        probes: Vec::new(),
        resources: Resources::default(),
        scale: Scale { rule: ScaleRule::default(), replicas: 1 },
        dependencies: BTreeSet::new(),
        attributes: Map::new(),
    };
    if let (Some(rule), None) = (&input.settings.scale_rule, input.settings.replicas) {
        spec.scale.replicas = rule.min_replicas;
    }
    let mut writer = Writer::new(app, state, key, &cluster_name);
    writer.problems = problems;
    writer.apply(input.settings, &mut spec)?;
    let Writer { sealed, mut problems, .. } = writer;
    edit::check_component(state, &spec, &mut problems);
    problems.finish()?;
    let row = Row {
        id: clock::new_id(),
        application_id: state.id(),
        installation_id: None,
        key: Key(key),
        template_key: None,
        version_id: None,
        no_longer_in_template: false,
        name: spec.name.clone(),
        slug: slug.to_string(),
        cluster_name,
        desired: Some(Stored(spec)),
        deployed: None,
        created_at: app.clock.now(),
    };
    Ok((row, sealed))
}

/// The names that components in the namespace have.
async fn taken(app: &App, state: &ApplicationState) -> Result<BTreeSet<String>> {
    let mut conn = app.database.read().await?;
    let application = &state.application;
    let names = component::names_in_namespace(&mut conn, application.cluster_id, &application.namespace).await?;
    Ok(names.into_iter().collect())
}
