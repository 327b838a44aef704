//! Does what a step says. Nothing else in this crate changes anything outside the database.
//!
//! Every action is idempotent: it may have been begun before, by this process or by one that died, at any point.

mod apply;
mod artifact;
mod copy;
mod delete;
mod health;
mod namespace;
mod probe;
mod secrets;

use super::{Action, Outcome, StepContext};
use crate::app::App;

/// One attempt at an action.
pub async fn perform(app: &App, step: &StepContext, action: Action) -> Outcome {
    match action {
        Action::EnsureNamespace(action) => namespace::ensure(app, step, &action).await,
        Action::Apply(action) => apply::apply(app, step, &action).await,
        Action::Delete(action) => delete::delete(app, step, &action).await,
        Action::ProbeLibrary(action) => probe::probe(app, step, &action).await,
        Action::CopyImage(action) => copy::copy(app, step, &action).await,
        Action::PushArtifact(action) => artifact::push(app, step, &action).await,
    }
    .into()
}
