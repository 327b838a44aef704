//! Copies an image into the library, and tells how far it is.

use crate::{
    app::App,
    error::Error as ServiceError,
    operation::{
        JournalError, Outcome, StepContext,
        action::{COPY_DEADLINE_SECONDS, CopyImage},
        journal::ImageNews,
    },
    service::resolve_images::{copy_options, domain_digest, explain, library_digest, source_registry},
};
use ropeway_domain::operation::StepState;
use ropeway_library::{
    Error as RegistryError, Limits, RepositoryName,
    copy::{self, CopyRequest, Progress},
};
use serde_json::json;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// Progress is told at most this often: each telling is a write.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Each request was tried several times by then. For so long after its first start a step is begun again by itself;
/// later, a person is told and may retry, which copies only what is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the library has is skipped. It succeeds when every manifest was read back by its digest.
pub(super) async fn copy(app: &App, step: &StepContext, action: &CopyImage) -> Result<(), Outcome> {
    let library = app.library(action.enterprise_id).await?;
    let source = source_registry(app, &library, &action.host, Limits::default()).await?;
    let target = app.library_registry(&library).await?;
    let request = CopyRequest {
        source: &source,
        source_repository: repository(&action.repository)?,
        digest: library_digest(&action.source_digest),
        target: &target,
        target_repository: repository(&action.target)?,
        tag: None,
        platforms: action.platforms.clone(),
        mount_from: action.mount_from.iter().map(|name| repository(name)).collect::<Result<_, _>>()?,
    };
    let options = copy_options(&app.config.library);
    let (sender, progress) = watch::channel(Progress { bytes_total: action.bytes, ..Progress::default() });
    let copying = async {
        let copied = copy::copy(&request, &options, move |now| {
            sender.send_replace(now);
        })
        .await;
        Ok::<_, JournalError>(copied)
    };
    let (copied, last) = tokio::try_join!(copying, tell(step, action, progress))?;
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) => return Err(failed(step, action, last, &error).await?),
    };
    if domain_digest(&copied.digest) != action.digest {
        let message = format!(
            "the copy has the digest {} and not {}, which the version names: publish again",
            copied.digest, action.digest
        );
        return Err(Outcome::failed(message));
    }
    let message = format!(
        "{}: {} blobs copied, {} mounted, {} there already",
        action.target, copied.blobs_copied, copied.blobs_mounted, copied.blobs_skipped
    );
    let done = Progress { bytes_done: action.bytes, bytes_total: action.bytes, ..last };
    step.note_images(&action.images, &news(action, done, StepState::Running, None, message)).await?;
    Ok(())
}

/// Tells what is new until nothing more will be, and gives back the last of it.
async fn tell(
    step: &StepContext,
    action: &CopyImage,
    mut progress: watch::Receiver<Progress>,
) -> Result<Progress, JournalError> {
    let mut told = *progress.borrow();
    while progress.changed().await.is_ok() {
        let now = *progress.borrow_and_update();
        if !is_news(told, now) {
            continue;
        }
        let message = format!("{}: {} of {} bytes", action.target, now.bytes_done, now.bytes_total);
        step.note_images(&action.images, &news(action, now, StepState::Running, None, message)).await?;
        told = now;
        tokio::select! {
            () = sleep(TELL_EVERY) => {}
            () = ended(progress.clone()) => {}
        }
    }
    Ok(*progress.borrow())
}

/// Another blob, or a hundredth of all bytes.
fn is_news(told: Progress, now: Progress) -> bool {
    now.blobs_done != told.blobs_done
        || now.blobs_total != told.blobs_total
        || now.bytes_done < told.bytes_done
        || now.bytes_done - told.bytes_done >= (now.bytes_total / 100).max(1)
}

async fn ended(mut progress: watch::Receiver<Progress>) {
    while progress.changed().await.is_ok() {}
}

/// Why it failed, and whether it is worth another attempt by itself.
async fn failed(
    step: &StepContext,
    action: &CopyImage,
    last: Progress,
    error: &RegistryError,
) -> Result<Outcome, Outcome> {
    let message = explain(error);
    let started = step.deadline().checked_sub(Duration::from_secs(COPY_DEADLINE_SECONDS.into()));
    let is_young = started.is_some_and(|started| started.elapsed() < PATIENCE) && step.deadline() > Instant::now();
    let retryable = error.retryable() && is_young;
    if !retryable {
        let news = news(action, last, StepState::Failed, Some(message.clone()), message.clone());
        step.note_images(&action.images, &news).await?;
    }
    Ok(Outcome::Failed { message, retryable })
}

fn news(action: &CopyImage, at: Progress, state: StepState, error: Option<String>, message: String) -> ImageNews {
    ImageNews {
        state,
        bytes_done: at.bytes_done,
        bytes_total: at.bytes_total,
        error,
        message,
        data: json!({
            "repository": action.target,
            "digest": action.digest,
            "bytesDone": at.bytes_done,
            "bytesTotal": at.bytes_total,
            "blobsDone": at.blobs_done,
            "blobsTotal": at.blobs_total,
        }),
    }
}

/// Names were checked when the step was planned.
pub(super) fn repository(name: &str) -> Result<RepositoryName, Outcome> {
    name.parse().map_err(|error: ropeway_library::name::InvalidName| ServiceError::internal(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_news_with_every_blob_and_every_hundredth() {
        let at = |bytes_done, blobs_done| Progress { bytes_done, bytes_total: 1000, blobs_done, blobs_total: 4 };
        assert!(!is_news(at(100, 1), at(100, 1)));
        assert!(!is_news(at(100, 1), at(109, 1)));
        assert!(is_news(at(100, 1), at(110, 1)));
        assert!(is_news(at(100, 1), at(100, 2)));
        assert!(is_news(at(100, 1), at(50, 1)), "a blob began again");
        assert!(!is_news(Progress::default(), Progress::default()));
    }
}
