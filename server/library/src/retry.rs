//! Trying again with growing pauses, a bounded number of times.

use crate::endpoint::Limits;
use crate::error::Error;
use backon::{ExponentialBuilder, Retryable};
use std::time::Duration;

/// Runs `attempt` until it succeeds, fails for good, or was tried `limits.attempts` times.
pub(crate) async fn retrying<T, F, Fut>(limits: &Limits, attempt: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(limits.min_pause)
        .with_max_delay(limits.max_pause)
        .with_max_times(limits.attempts.saturating_sub(1))
        .with_jitter();
    attempt
        .retry(pauses)
        .when(Error::retryable)
        .adjust(|error, pause| pause.map(|pause| wait(error, pause, limits.max_retry_after)))
        .notify(|error, pause| {
            tracing::debug!(
                error = error as &dyn std::error::Error,
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "a registry request is tried again"
            );
        })
        .await
}

/// At least what the registry asks for, within the cap.
fn wait(error: &Error, pause: Duration, cap: Duration) -> Duration {
    error.retry_after().map_or(pause, |asked| asked.min(cap).max(pause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::Instant;

    fn throttled(seconds: u64) -> Error {
        Error::Throttled { host: "r".into(), action: "testing".into(), retry_after: Some(Duration::from_secs(seconds)) }
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honoured_up_to_its_cap() {
        let limits = Limits { attempts: 2, max_retry_after: Duration::from_secs(20), ..Limits::default() };
        for (asked, waited) in [(7, 7), (3600, 20)] {
            let begun = Instant::now();
            let result: Result<(), _> = retrying(&limits, || async { Err(throttled(asked)) }).await;
            assert!(matches!(result, Err(Error::Throttled { .. })));
            assert_eq!(begun.elapsed().as_secs(), waited);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_bounded_and_permanent_errors_are_not_repeated() {
        let limits = Limits { attempts: 4, ..Limits::default() };
        let calls = AtomicUsize::new(0);
        let _: Result<(), _> = retrying(&limits, || async {
            calls.fetch_add(1, Ordering::SeqCst);
            Err(throttled(0))
        })
        .await;
        assert_eq!(calls.load(Ordering::SeqCst), 4);

        calls.store(0, Ordering::SeqCst);
        let _: Result<(), _> = retrying(&limits, || async {
            calls.fetch_add(1, Ordering::SeqCst);
            Err(Error::Unsupported { what: "this".into() })
        })
        .await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
