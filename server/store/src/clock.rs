//! The one home of time, ids and random values. Everything else gets them from here, as arguments.

use crate::{Instant, id::Id};
use rand::{Rng as _, RngCore as _, distr::Alphanumeric};
use uuid::Uuid;

/// Where instants come from.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    #[cfg(debug_assertions)]
    ahead: std::sync::Arc<std::sync::atomic::AtomicI64>,
}

impl Clock {
    /// Now, to the microsecond.
    #[expect(clippy::disallowed_methods, reason = "this is the home of time")]
    pub fn now(&self) -> Instant {
        let now = chrono::Utc::now();
        #[cfg(debug_assertions)]
        let now = now + chrono::Duration::milliseconds(self.ahead.load(std::sync::atomic::Ordering::Relaxed));
        Instant::new(now)
    }

    /// Lets a test go ahead in time.
    #[cfg(debug_assertions)]
    pub fn advance(&self, by: std::time::Duration) {
        let milliseconds = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead.fetch_add(milliseconds, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A new UUID, later ones sorting after earlier ones.
#[expect(clippy::disallowed_methods, reason = "this is the home of ids")]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

/// A new id.
pub fn new_id<K>() -> Id<K> {
    Id::new(new_uuid())
}

/// Letters and digits from the operating system's generator.
#[expect(clippy::disallowed_methods, reason = "this is the home of randomness")]
pub fn random_text(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}

/// Bytes from the operating system's generator.
#[expect(clippy::disallowed_methods, reason = "this is the home of randomness")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}
