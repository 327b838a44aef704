//! Submitting a publication: stores it and begins the sync of its images.

use crate::{
    actor::Actor,
    app::App,
    clock,
    error::{Error, Result, UserError},
    graphql::id::encode_text,
    id::{EnterpriseId, ImageId, PublicationId},
    operation::{
        Action,
        action::{CopyImage, Effect, PushArtifact},
        journal::{self, Lock, NewOperation, NewStep},
    },
    service::{
        audit::{self, Act, MayBeStale, Subject, audited_plan},
        authorize, execute,
        plan_publication::{PlannedImage, Prepared, PublicationPlan, prepare, target, template_repository},
        publication::PublicationRequest,
        resolve_images::ImageSource,
    },
    store::{
        Conn, Key, Stored, Word,
        operation::Operation,
        publication::{self, Publication, PublicationImage},
    },
};
use ropeway_domain::{
    Digest, VersionContent, VersionNumber,
    access::TeamAction,
    change::Owner,
    operation::{OperationKind, PublicationState, StepState},
};
use std::collections::{BTreeMap, BTreeSet};

/// The most repositories that a copy may mount blobs from.
const MAX_MOUNTS: usize = 4;

/// The most characters of a number in a tag.
const MAX_NUMBER_IN_TAG: usize = 64;

/// What became of a submission.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub enum Submitted {
    /// The sync is under way.
    Begun {
        /// As it is stored.
        publication: Publication,
        /// The sync.
        operation: Operation,
    },
    /// The plan that was named does not hold any more; this is the new one.
    Stale(Box<PublicationPlan>),
}

impl MayBeStale for Submitted {
    fn is_stale(&self) -> bool {
        matches!(self, Self::Stale(_))
    }
}

/// Submits. Without a named plan the current one is carried out. It is refused, with every reason at once, while
/// anything stands in its way or any secret is undecided.
pub async fn submit_publication(app: &App, actor: &Actor, request: &PublicationRequest) -> Result<Submitted> {
    let subject = Subject::Application(request.application_id);
    let act = Act::new("submitPublication", subject, encode_text(request.application_id))
        .with_plan(request.plan_digest.as_ref());
    audited_plan(app, actor, act, async || {
        let prepared = prepare(app, actor, request).await?;
        if let Some(operation) = prepared.state.application.locked_by {
            return Err(execute::busy(operation));
        }
        if request.plan_digest.as_ref().is_some_and(|digest| *digest != prepared.plan.digest) {
            return Ok(Submitted::Stale(Box::new(prepared.plan)));
        }
        let plan_digest = prepared.plan.digest.clone();
        let warnings = prepared.plan.preview.warnings.clone();
        let Prepared { plan, state, template, number, images, known_repositories } = prepared;
        let content = plan.preview.submit().map_err(|refused| {
            let undecided = refused.0.undecided.iter().map(|item| {
                let (owner, component) = match item.place.owner {
                    Owner::Component(key) => (key.0, state.components.get(&key).map(|row| encode_text(row.id))),
                    Owner::Resource(key) => (key.0, state.resources.get(&key).map(|row| encode_text(row.id))),
                };
                let message = format!(
                    "{} of {} looks like a secret: decide whether each installation generates it, whoever installs is \
                     asked for it, or it is public",
                    item.place.path, item.owner_name
                );
                let mut error = UserError::new("SECRET_UNDECIDED", message);
                error.path = vec![owner.to_string(), item.place.path.clone()];
                error.objects.extend(component);
                error
            });
            let blockers = refused.0.blockers.iter().map(|one| UserError::new(&one.code, &one.message));
            Error::Invalid(blockers.chain(undecided).collect())
        })?;
        let library = app.library(state.application.enterprise_id).await?;

        let now = app.clock.now();
        let row = Publication {
            id: clock::new_id(),
            application_id: state.application.id,
            template_id: template.id,
            number: number.as_str().to_owned(),
            sort_key: number.sort_key().to_vec(),
            alias: request.alias.clone(),
            description: request.description.clone(),
            installable_as_add_ons: false,
            state: Word(PublicationState::Draft.sync().map_err(Error::internal)?),
            digest: content.digest().to_string(),
            content: content.canonical_bytes(),
            warnings: Stored(warnings),
            artifact_digest: None,
            operation_id: None,
            version_id: None,
            created_by: actor.user_id,
            created_at: now,
        };
        let rows: Vec<PublicationImage> = images.iter().map(|image| image_row(row.id, image)).collect();
        let enterprise = state.application.enterprise_id;
        let mut steps = copies(enterprise, &images, &rows, &known_repositories);
        let repository = format!("{}/version", template_repository(&library.prefix, template.id));
        let annotations = annotations(&template.name, &number, &content);
        steps.push(NewStep {
            name: format!("push the version {number}"),
            component_key: None,
            component_name: None,
            needs: (1..=u32::try_from(steps.len()).unwrap_or(u32::MAX)).collect(),
            action: Action::PushArtifact(PushArtifact {
                enterprise_id: enterprise,
                publication_id: row.id,
                repository,
                tag: tag(&number, &content.digest()),
                annotations,
            }),
        });

        let mut conn = app.database.write().await?;
        let (publication, operation) = conn
            .transaction(async |conn| {
                let application =
                    authorize::application(conn, actor, state.application.id, TeamAction::Publish).await?;
                if application.generation != state.application.generation || application.locked_by.is_some() {
                    return Err(execute::changed_meanwhile());
                }
                target(conn, actor, &application, template.id).await?;
                let new = NewOperation {
                    kind: OperationKind::SyncImages,
                    enterprise_id: enterprise,
                    team_id: Some(application.team_id),
                    application_id: Some(application.id),
                    cluster_id: None,
                    publication_id: Some(row.id),
                    installation_id: None,
                    record_id: None,
                    retry_of: None,
                    created_by: actor.display_name.clone(),
                    plan_digest: Some(plan_digest.to_string()),
                    lock: Lock::Free,
                    steps,
                };
                let stored = store(conn, row, &rows, new, now).await?;
                let (object, digest) = (Some(encode_text(stored.0.id)), Some(plan_digest.to_string()));
                audit::done(conn, actor, now, "submitPublication", Some(enterprise), object, digest).await?;
                Ok(stored)
            })
            .await?;
        drop(conn);
        execute::wake(app, &operation);
        Ok(Submitted::Begun { publication, operation })
    })
    .await
}

async fn store(
    conn: &mut Conn,
    mut row: Publication,
    images: &[PublicationImage],
    new: NewOperation,
    now: crate::store::Instant,
) -> Result<(Publication, Operation)> {
    publication::insert(conn, &row).await?;
    for image in images {
        publication::insert_image(conn, image).await?;
    }
    let operation = journal::begin(conn, new, now).await?;
    publication::set_operation(conn, row.id, operation.id).await?;
    row.operation_id = Some(operation.id);
    Ok((row, operation))
}

fn image_row(publication: PublicationId, image: &PlannedImage) -> PublicationImage {
    let bytes = i64::try_from(image.found.bytes).unwrap_or(i64::MAX);
    let (source, state, done) = match &image.found.source {
        ImageSource::Library { repository } => (repository.clone(), StepState::Succeeded, bytes),
        ImageSource::Elsewhere { host, repository } => (format!("{host}/{repository}"), StepState::Pending, 0),
    };
    PublicationImage {
        id: clock::new_id(),
        publication_id: publication,
        component_key: Key(image.key),
        component_name: image.component_name.clone(),
        source: format!("{source}@{}", image.found.source_digest),
        repository: image.repository.clone(),
        digest: image.found.digest.to_string(),
        platforms: Stored(image.found.platforms.iter().map(ToString::to_string).collect()),
        state: Word(state),
        bytes_done: done,
        bytes_total: bytes,
        error: None,
    }
}

/// One step for each image that the library does not have yet, however many components use it.
fn copies(
    enterprise: EnterpriseId,
    images: &[PlannedImage],
    rows: &[PublicationImage],
    known_repositories: &[String],
) -> Vec<NewStep> {
    type Place<'a> = (&'a ImageSource, &'a Digest, &'a str);
    let mut distinct: BTreeMap<Place<'_>, (Vec<&PlannedImage>, Vec<ImageId>)> = BTreeMap::new();
    for (image, row) in images.iter().zip(rows) {
        let entry = distinct.entry((&image.found.source, &image.found.source_digest, &image.repository)).or_default();
        entry.0.push(image);
        entry.1.push(row.id);
    }
    let mut steps = Vec::new();
    for ((source, source_digest, target), (users, ids)) in distinct {
        let ImageSource::Elsewhere { host, repository } = source else { continue };
        let Some(first) = users.first() else { continue };
        let names: Vec<&str> = users.iter().map(|image| image.component_name.as_str()).collect();
        let of = match users.as_slice() {
            [only] => Some((only.own_key, only.component_name.clone())),
            _ => None,
        };
        let (component_key, component_name) = of.unzip();
        let mount_from = known_repositories.iter().filter(|known| *known != target).take(MAX_MOUNTS);
        steps.push(NewStep {
            name: format!("copy the image of {}", names.join(", ")),
            component_key,
            component_name,
            needs: BTreeSet::new(),
            action: Action::CopyImage(CopyImage {
                enterprise_id: enterprise,
                host: host.clone(),
                repository: repository.clone(),
                source_digest: source_digest.clone(),
                platforms: first.found.chosen.clone(),
                target: target.to_owned(),
                digest: first.found.digest.clone(),
                bytes: first.found.bytes,
                mount_from: mount_from.cloned().collect(),
                images: ids.clone(),
                on_success: vec![Effect::ImagesCopied(ids)],
            }),
        });
    }
    steps
}

/// What people see of the artifact in the registry.
fn annotations(name: &str, number: &VersionNumber, content: &VersionContent) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("org.opencontainers.image.title".to_owned(), name.to_owned()),
        ("org.opencontainers.image.version".to_owned(), number.as_str().to_owned()),
        ("dev.ropeway.version.digest".to_owned(), content.digest().to_string()),
    ])
}

/// The tag of a version's artifact: its number, and what tells its content from that of other revisions.
fn tag(number: &VersionNumber, digest: &Digest) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let number: String = number.normal_form().chars().take(MAX_NUMBER_IN_TAG).map(allowed).collect();
    let number = number.trim_start_matches(['.', '-']);
    format!("v{number}-{}", &digest.hex()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_one_for_any_number_and_tells_contents_apart() {
        for number in ["2.9", "v3.0.1-rc.1", "2024-01-15", "release-7", "1.0+build", "版本1", &"9".repeat(64)] {
            let Ok(number) = number.parse::<VersionNumber>() else { continue };
            let one = tag(&number, &Digest::of(b"one"));
            assert!(one.parse::<ropeway_library::Tag>().is_ok(), "{one}");
            assert_ne!(one, tag(&number, &Digest::of(b"other")));
        }
        let (short, long) = ("2.9".parse().unwrap(), "v2.9.0".parse().unwrap());
        assert_eq!(tag(&short, &Digest::of(b"")), tag(&long, &Digest::of(b"")));
    }
}
