//! What a job's thread and everybody who asks about the job share.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::status::{JobState, JobStatus, LogLine};

/// How many lines of a log are kept.
const LOG_LINES: usize = 1000;

/// Why a job's thread is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// `job stop`: for good.
    Stop,
    /// The lab goes down; the job goes on with the next one.
    Suspend,
}

#[derive(Debug)]
struct Inner {
    status: JobStatus,
    log: VecDeque<LogLine>,
    ask: Option<Ask>,
    /// The thread has left.
    gone: bool,
}

/// The job as others see it.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

impl Shared {
    pub(super) fn new(status: JobStatus, log: Vec<LogLine>) -> Self {
        let gone = status.state.is_ended();
        Self {
            inner: Mutex::new(Inner {
                status,
                log: log.into(),
                ask: None,
                gone,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> JobStatus {
        self.lock().status.clone()
    }

    pub(super) fn log(&self) -> Vec<LogLine> {
        self.lock().log.iter().cloned().collect()
    }

    /// Changes the status and wakes those who wait for a change of state.
    pub(super) fn update(&self, change: impl FnOnce(&mut JobStatus)) {
        change(&mut self.lock().status);
        self.changed.notify_all();
    }

    pub(super) fn say(&self, text: impl Into<String>) {
        let mut inner = self.lock();
        if inner.log.len() == LOG_LINES {
            inner.log.pop_front();
        }
        inner.log.push_back(LogLine {
            time_ms: now_ms(),
            text: text.into(),
        });
    }

    /// Asks the thread to end.
    pub(super) fn ask(&self, ask: Ask) {
        self.lock().ask.get_or_insert(ask);
        self.changed.notify_all();
    }

    pub(super) fn asked(&self) -> Option<Ask> {
        self.lock().ask
    }

    /// Waits until the end is asked for, at most this long.
    pub(super) fn pause(&self, time: Duration) -> Option<Ask> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), time, |inner| inner.ask.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.ask
    }

    /// The thread has left.
    pub(super) fn leave(&self) {
        self.lock().gone = true;
        self.changed.notify_all();
    }

    /// Waits until the thread has left; `false`: it has not, within the time.
    pub(super) fn wait_gone(&self, deadline: Instant) -> bool {
        let time = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), time, |inner| !inner.gone);
        waited.unwrap_or_else(PoisonError::into_inner).0.gone
    }

    /// Waits until the job has begun, or has failed to.
    pub(super) fn wait_started(&self, time: Duration) -> JobStatus {
        let created = |inner: &mut Inner| inner.status.state == JobState::Created;
        let waited = self.changed.wait_timeout_while(self.lock(), time, created);
        waited.unwrap_or_else(PoisonError::into_inner).0.status.clone()
    }
}
