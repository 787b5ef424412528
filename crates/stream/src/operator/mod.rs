//! Operators: pure steps between a source and a sink. They know neither Kafka, nor threads, nor the time of day;
//! what they must know comes in with each call.

pub(crate) mod aggregate;
pub(crate) mod calc;
pub(crate) mod group_aggregate;
pub(crate) mod limit;
pub(crate) mod window_aggregate;
pub(crate) mod window_assign;

use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::expr::Env;
use crate::types::Record;

/// One operator's state in a checkpoint: JSON that only the operator reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorState {
    /// What the state is of (keys, aggregates, windows): a changed job must find the same.
    pub fingerprint: String,
    /// The state.
    pub data: serde_json::Value,
}

/// An open window, as a learner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenWindow {
    /// First millisecond of the window, since 1970.
    pub start_ms: i64,
    /// First millisecond after it.
    pub end_ms: i64,
    /// Rows that are in it, over all keys.
    pub rows: u64,
    /// Groups in it.
    pub keys: u64,
}

/// What an operator shows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Insides {
    /// Events dropped because all their windows were closed.
    pub late: u64,
    /// The windows that have rows and wait for the watermark, oldest first.
    pub windows_open: Vec<OpenWindow>,
}

/// One step. Calls come one after another, never at once; what it emits goes to `out` in order.
pub trait Operator: Send {
    /// Its name in checkpoints, unique in the job and the same every time the same SQL is planned.
    fn id(&self) -> &str;

    /// What its state is of, for [`OperatorState::fingerprint`].
    fn fingerprint(&self) -> String {
        String::new()
    }

    /// Takes a record from its input number `input`.
    fn on_record(
        &mut self,
        input: usize,
        record: Record,
        env: &Env,
        out: &mut Vec<Record>,
    ) -> Result<(), RunError>;

    /// Learns that no event before `watermark_ms` is expected any more. It never goes back.
    fn on_watermark(&mut self, watermark_ms: i64, env: &Env, out: &mut Vec<Record>) -> Result<(), RunError> {
        let _ = (watermark_ms, env, out);
        Ok(())
    }

    /// Its state; `None` when it has none.
    fn snapshot(&self) -> Result<Option<serde_json::Value>, RunError> {
        Ok(None)
    }

    /// Puts back what [`snapshot`](Self::snapshot) gave.
    fn restore(&mut self, state: serde_json::Value) -> Result<(), RunError> {
        let _ = state;
        Ok(())
    }

    /// What it shows of itself.
    fn insides(&self) -> Insides {
        Insides::default()
    }

    /// Whether no further record can change the result.
    fn is_done(&self) -> bool {
        false
    }
}
