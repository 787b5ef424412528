//! Window functions: which windows an event belongs to. One file a function; [`KINDS`] lists them.

mod cumulate;
mod hop;
mod tumble;

use std::fmt;
use std::sync::Arc;

use crate::error::SqlResult;

/// A window: from `start_ms`, up to but without `end_ms`. Its times are those of the event-time column: for a
/// TIMESTAMP_LTZ the wall clock of the session's time zone, since windows are aligned to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// First millisecond after the window; the order of windows is the order of their ends.
    pub end_ms: i64,
    /// First millisecond of the window.
    pub start_ms: i64,
}

/// Which windows an event is in.
pub trait WindowAssigner: fmt::Debug + Send + Sync {
    /// Appends the windows of an event, those that close first coming first.
    fn assign(&self, time_ms: i64, windows: &mut Vec<Window>);
}

/// One window function.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// How it is written, for error messages.
    pub(crate) usage: &'static str,
    /// How many intervals it needs; one more would be the offset.
    pub(crate) intervals: usize,
    /// From intervals in milliseconds.
    pub(crate) build: fn(&[i64]) -> SqlResult<Arc<dyn WindowAssigner>>,
}

/// The window functions.
pub(crate) static KINDS: &[Kind] = &[tumble::KIND, hop::KIND, cumulate::KIND];

/// The start of the window of `size_ms` that holds `time_ms`; windows are aligned to 1970.
pub(crate) fn aligned_start(time_ms: i64, size_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(size_ms)
}
