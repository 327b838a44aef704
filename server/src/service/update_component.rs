//! Changing components, those of installations included.

use crate::{
    actor::Actor,
    app::App,
    error::{Error, Result},
    graphql::id::encode_text,
    id::ComponentId,
    service::{
        audit::{Act, Subject, audited},
        component_settings::{Settings, Writer},
        edit,
        problems::Problems,
        state::ApplicationState,
    },
    store::{
        Stored,
        component::{self, Component as Row},
        sealed_value::SealedValue,
    },
};
use ropeway_domain::model::Image;

/// What is wanted; what is none stays.
#[derive(Debug)]
pub struct UpdateComponent {
    /// Which.
    pub component_id: ComponentId,
    /// What people call it.
    pub name: Option<String>,
    /// An OCI reference.
    pub image: Option<String>,
    /// Everything else.
    pub settings: Settings,
    /// What is wrong with the input already.
    pub problems: Problems,
}

/// Changes what a component shall be. It takes effect with the next deployment.
pub async fn update_component(app: &App, actor: &Actor, input: UpdateComponent) -> Result<Row> {
    let id = input.component_id;
    let application = application_of(app, id).await?;
    let subject = application.map_or(Subject::Nothing, Subject::Application);
    audited(app, actor, Act::new("updateComponent", subject, encode_text(id)), async || {
        let application = application.ok_or(Error::NotFound("the component"))?;
        let state = edit::observe(app, actor, application).await.map_err(hide)?;
        let (row, sealed) = decide(app, &state, input)?;
        let now = app.clock.now();
        let mut conn = app.database.write().await?;
        conn.transaction(async |conn| {
            edit::begin(conn, &state, &sealed).await?;
            component::update_desired(conn, &row).await?;
            edit::end(conn, actor, now, "updateComponent", &state, row.installation_id).await
        })
        .await?;
        drop(conn);
        edit::tell(app, application);
        Ok(row)
    })
    .await
}

/// Which application a component belongs to.
pub(super) async fn application_of(app: &App, id: ComponentId) -> Result<Option<crate::id::ApplicationId>> {
    let mut conn = app.database.read().await?;
    Ok(component::find(&mut conn, id).await?.map(|row| row.application_id))
}

/// An application that may not be seen has no component that may be.
pub(super) fn hide(error: Error) -> Error {
    match error {
        Error::NotFound(_) => Error::NotFound("the component"),
        error => error,
    }
}

fn decide(app: &App, state: &ApplicationState, input: UpdateComponent) -> Result<(Row, Vec<SealedValue>)> {
    let row = state.component(input.component_id).ok_or(Error::NotFound("the component"))?;
    let Some(before) = &row.desired else {
        let message = "this component is to be removed with the next deployment; it cannot be changed any more";
        return Err(Error::invalid("COMPONENT_REMOVED", ["componentId"], message));
    };
    let mut spec = before.0.clone();
    if let Some(name) = input.name {
        spec.name = name;
    }
    if let Some(reference) = input.image {
        let same = matches!(&spec.image, Image::Reference { reference: before, .. } if *before == reference);
        if !same {
            spec.image = Image::Reference { reference };
        }
    }
    let mut writer = Writer::new(app, state, row.key.0, &row.cluster_name);
    writer.problems = input.problems;
    writer.apply(input.settings, &mut spec)?;
    let Writer { sealed, mut problems, .. } = writer;
    edit::check_component(state, &spec, &mut problems);
    problems.finish()?;
    let row = Row { name: spec.name.clone(), desired: Some(Stored(spec)), ..row.clone() };
    Ok((row, sealed))
}
