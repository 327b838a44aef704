//! Kubernetes resources of applications: created or replaced by apiVersion, kind and name.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Result, UserError},
    graphql::id::encode_text,
    id::ApplicationId,
    seal::Secret,
    service::{
        audit::{Act, Subject, audited},
        edit,
        problems::Problems,
        state::ApplicationState,
    },
    store::{
        Key, Stored,
        resource::{self, KubernetesResource as Row},
        sealed_value::SealedValue,
    },
};
use ropeway_domain::{ResourceKey, manifest, validate::MAX_FILE};
use serde_json::{Map, Value as Json};

/// Creates or replaces a Kubernetes resource. The entries of a Secret are sealed. It is applied with the next
/// deployment.
pub async fn set_kubernetes_resource(
    app: &App,
    actor: &Actor,
    application: ApplicationId,
    manifest: Map<String, Json>,
) -> Result<Row> {
    let act = Act::new("setKubernetesResource", Subject::Application(application), encode_text(application));
    audited(app, actor, act, async || {
        let state = edit::observe(app, actor, application).await?;
        let (row, is_new, sealed) = decide(app, &state, manifest)?;
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            edit::begin(conn, &state, &sealed).await?;
            if is_new {
                resource::insert(conn, &row).await?;
            } else {
                resource::update_desired(conn, &row).await?;
            }
            edit::end(conn, actor, now, "setKubernetesResource", &state, row.installation_id).await
        })
        .await?;
        drop(conn);
        edit::tell(app, application);
        Ok(row)
    })
    .await
}

fn decide(app: &App, state: &ApplicationState, manifest: Map<String, Json>) -> Result<(Row, bool, Vec<SealedValue>)> {
    let now = app.clock.now();
    let new_key = ResourceKey(clock::new_uuid());
    let parsed = manifest::parse(new_key, manifest).map_err(|error| edit::manifest_error(&error))?;
    let identity = parsed.identity();
    let existing = state
        .resources
        .values()
        .find(|row| row.api_version == identity.api_version && row.kind == identity.kind && row.name == identity.name);
    let mut problems = Problems::new();
    if existing.is_none() && state.resources.len() >= edit::MAX_PARTS {
        let message = format!("an application has at most {} Kubernetes resources", edit::MAX_PARTS);
        problems.add(UserError::new("TOO_MANY", message));
    }
    let mut sealed = Vec::new();
    let mut spec = parsed.into_resource(|name, plain| {
        if plain.len() > MAX_FILE {
            let message = format!("at most {MAX_FILE} bytes, not {}", plain.len());
            problems.add(UserError::new("TOO_LONG", message).at(["manifest", "data", name]));
        }
        let row = SealedValue::seal(&app.sealer, state.application.enterprise_id, &Secret::new(plain), now)?;
        let id = row.id.0;
        sealed.push(row);
        Ok::<_, crate::Error>(id)
    })?;
    spec.key = existing.map_or(new_key, |row| row.key.0);
    edit::check_resource(state, &spec, &mut problems);
    problems.finish()?;
    let row = match existing {
        Some(row) => Row { desired: Some(Stored(spec)), ..row.clone() },
        None => Row {
            id: clock::new_id(),
            application_id: state.id(),
            installation_id: None,
            key: Key(spec.key),
            template_key: None,
            version_id: None,
            no_longer_in_template: false,
            api_version: spec.api_version.clone(),
            kind: spec.kind.clone(),
            name: spec.name.clone(),
            desired: Some(Stored(spec)),
            deployed: None,
            created_at: now,
        },
    };
    Ok((row, existing.is_none(), sealed))
}
