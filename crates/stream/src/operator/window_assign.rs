//! A window function: each event once for every window that it is in, with `window_start`, `window_end`, `window_time`.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::Operator;
use crate::error::RunError;
use crate::expr::Env;
use crate::time::Timestamp;
use crate::types::{Record, Value};
use crate::window::{Window, WindowAssigner};

pub(crate) struct WindowAssign {
    id: String,
    assigner: Arc<dyn WindowAssigner>,
    time_column: usize,
    /// The session's zone, when the event time is a TIMESTAMP_LTZ.
    zone: Option<TimeZone>,
    windows: Vec<Window>,
}

impl WindowAssign {
    pub(crate) fn new(
        id: String,
        assigner: Arc<dyn WindowAssigner>,
        time_column: usize,
        zone: Option<TimeZone>,
    ) -> Self {
        Self {
            id,
            assigner,
            time_column,
            zone,
            windows: Vec::new(),
        }
    }
}

impl Operator for WindowAssign {
    fn id(&self) -> &str {
        &self.id
    }

    fn on_record(
        &mut self,
        _input: usize,
        record: Record,
        _env: &Env,
        out: &mut Vec<Record>,
    ) -> Result<(), RunError> {
        let time = record.row.get(self.time_column).and_then(Value::timestamp_ms).ok_or_else(|| {
            RunError::Expression(
                "an event has no time: its event-time column is NULL; filter such events out with WHERE … IS NOT NULL"
                    .into(),
            )
        })?;
        let local_ms = match &self.zone {
            Some(zone) => Timestamp::from_ms(time).to_local(zone).ms,
            None => time,
        };
        self.windows.clear();
        self.assigner.assign(local_ms, &mut self.windows);
        let last = self.windows.len().saturating_sub(1);
        for (index, window) in self.windows.iter().enumerate() {
            let mut row = Vec::with_capacity(record.row.len() + 3);
            row.extend_from_slice(&record.row);
            row.push(Value::Timestamp(Timestamp::from_ms(window.start_ms)));
            row.push(Value::Timestamp(Timestamp::from_ms(window.end_ms)));
            row.push(Value::Timestamp(last_instant(window.end_ms, self.zone.as_ref())));
            out.push(Record {
                kind: record.kind,
                row,
                last_window: record.last_window && index == last,
            });
        }
        Ok(())
    }
}

/// The last millisecond of a window on the clock of the watermark: it closes when the watermark reaches it.
pub(crate) fn last_instant(end_ms: i64, zone: Option<&TimeZone>) -> Timestamp {
    let last = Timestamp::from_ms(end_ms - 1);
    zone.map_or(last, |zone| last.to_instant(zone))
}
