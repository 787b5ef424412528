//! The lab clock: the wall clock plus whatever [`LabClock::advance`] has added.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The only source of time for the cluster, in milliseconds since the epoch. Clones share their time.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabClock {
    ahead_ms: Arc<AtomicI64>,
}

impl LabClock {
    /// Now, in milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        wall.as_millis() as i64 + self.ahead_ms.load(Ordering::Relaxed)
    }

    /// How far it is ahead of the wall clock.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed).unsigned_abs())
    }

    /// Puts the clock forward; it never goes back.
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.ahead_ms.fetch_add(by.min(i64::MAX / 4), Ordering::Relaxed);
    }
}
