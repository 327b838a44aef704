//! Waiting for a condition.

use anyhow::bail;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a condition may take to hold.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Looks until there is something to return, for at most [`DEADLINE`].
pub async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if began.elapsed() > DEADLINE {
            bail!("waited {} s for {what}", DEADLINE.as_secs());
        }
        sleep(Duration::from_millis(50)).await;
    }
}
