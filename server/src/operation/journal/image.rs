//! How far the copies of a publication's images are: told and written in one entry.

use super::{EventKind, Hold, Journal, JournalError, step::find};
use crate::{
    id::{ImageId, PublicationId},
    store::publication,
};
use ropeway_domain::operation::StepState;
use serde_json::Value as Json;

/// How far the copy of an image is.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageNews {
    /// Where it is.
    pub state: StepState,
    /// Bytes that the library has, or that are on their way.
    pub bytes_done: u64,
    /// Bytes altogether.
    pub bytes_total: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// For people.
    pub message: String,
    /// For programs.
    pub data: Json,
}

impl Journal {
    /// Tells how far the copy of an image is, and writes it for all components that use the image.
    pub async fn note_images(
        &self,
        hold: Hold,
        number: u32,
        images: &[ImageId],
        news: &ImageNews,
    ) -> Result<(), JournalError> {
        let count = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.entry(hold, async |conn, log| {
            let (_, step) = find(conn, hold, number).await?;
            let (done, total) = (count(news.bytes_done), count(news.bytes_total));
            for image in images {
                publication::record_image(conn, *image, news.state, done, total, news.error.as_deref()).await?;
            }
            #[expect(clippy::cast_precision_loss, reason = "a share for people")]
            let share = if total == 0 { 0.0 } else { done as f64 / total as f64 };
            log.add_of(&step, EventKind::StepProgress, &news.message, Some(share.min(1.0)), Some(news.data.clone()));
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// The library has the artifact of a publication.
    pub async fn note_artifact(
        &self,
        hold: Hold,
        publication: PublicationId,
        digest: &str,
    ) -> Result<(), JournalError> {
        self.entry(hold, async |conn, _| Ok(publication::set_artifact(conn, publication, digest).await?)).await?;
        Ok(())
    }
}
