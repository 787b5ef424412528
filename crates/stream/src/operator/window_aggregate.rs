//! GROUP BY `window_start`, `window_end`: one result for each window and group, when the watermark closes the window.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::aggregate::{Accumulator, AggregateCall};
use super::window_assign::last_instant;
use super::{Insides, OpenWindow, Operator};
use crate::error::RunError;
use crate::expr::{Env, Expr};
use crate::time::Timestamp;
use crate::types::{Record, Value};
use crate::window::Window;

/// What the planner knows of a grouped window.
#[derive(Debug, Clone)]
pub(crate) struct WindowGroups {
    pub(crate) keys: Vec<Expr>,
    pub(crate) calls: Vec<AggregateCall>,
    /// The columns `window_start` and `window_end` of the input.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The session's zone, when the event time is a TIMESTAMP_LTZ.
    pub(crate) zone: Option<TimeZone>,
}

pub(crate) struct WindowAggregate {
    id: String,
    spec: WindowGroups,
    windows: BTreeMap<Window, WindowState>,
    watermark_ms: Option<i64>,
    late: u64,
}

/// One open window. Groups come out in the order in which they came in.
#[derive(Debug, Default)]
struct WindowState {
    /// The watermark that closes it.
    closes_ms: i64,
    rows: u64,
    index: HashMap<Vec<Value>, usize>,
    groups: Vec<Vec<Accumulator>>,
    keys: Vec<Vec<Value>>,
}

/// The state in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Saved {
    watermark_ms: Option<i64>,
    late: u64,
    windows: Vec<SavedWindow>,
}

#[derive(Serialize, Deserialize)]
struct SavedWindow {
    start_ms: i64,
    end_ms: i64,
    rows: u64,
    groups: Vec<(Vec<Value>, Vec<Accumulator>)>,
}

impl WindowAggregate {
    pub(crate) fn new(id: String, spec: WindowGroups) -> Self {
        Self {
            id,
            spec,
            windows: BTreeMap::new(),
            watermark_ms: None,
            late: 0,
        }
    }

    fn window_of(&self, row: &[Value]) -> Option<Window> {
        Some(Window {
            start_ms: row.get(self.spec.start)?.timestamp_ms()?,
            end_ms: row.get(self.spec.end)?.timestamp_ms()?,
        })
    }

    fn closes_ms(&self, window: Window) -> i64 {
        last_instant(window.end_ms, self.spec.zone.as_ref()).ms
    }
}

impl WindowState {
    fn group(&mut self, key: Vec<Value>, calls: &[AggregateCall]) -> &mut Vec<Accumulator> {
        let index = if let Some(index) = self.index.get(&key) {
            *index
        } else {
            let next = self.groups.len();
            self.index.insert(key.clone(), next);
            self.keys.push(key);
            self.groups.push(calls.iter().map(AggregateCall::start).collect());
            next
        };
        &mut self.groups[index]
    }
}

impl Operator for WindowAggregate {
    fn id(&self) -> &str {
        &self.id
    }

    fn fingerprint(&self) -> String {
        format!("{:?} {:?}", self.spec.keys, self.spec.calls)
    }

    fn on_record(
        &mut self,
        _input: usize,
        record: Record,
        env: &Env,
        _out: &mut Vec<Record>,
    ) -> Result<(), RunError> {
        let Some(window) = self.window_of(&record.row) else {
            return Err(RunError::Expression(
                "an event is in no window: its window_start is NULL".into(),
            ));
        };
        if !self.windows.contains_key(&window) {
            let closes_ms = self.closes_ms(window);
            if self.watermark_ms.is_some_and(|watermark| closes_ms <= watermark) {
                // Late is what belongs to closed windows only, however far it is behind the watermark.
                self.late += u64::from(record.last_window);
                return Ok(());
            }
            self.windows.insert(
                window,
                WindowState {
                    closes_ms,
                    ..WindowState::default()
                },
            );
        }
        let mut key = Vec::with_capacity(self.spec.keys.len());
        for expr in &self.spec.keys {
            key.push(expr.eval(&record.row, env)?);
        }
        let Some(state) = self.windows.get_mut(&window) else {
            return Ok(());
        };
        state.rows += 1;
        let accumulators = state.group(key, &self.spec.calls);
        for (call, accumulator) in self.spec.calls.iter().zip(accumulators) {
            call.add(accumulator, &record.row, env)?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark_ms: i64, _env: &Env, out: &mut Vec<Record>) -> Result<(), RunError> {
        self.watermark_ms = Some(watermark_ms);
        while let Some(first) = self.windows.first_entry() {
            if first.get().closes_ms > watermark_ms {
                break;
            }
            let state = first.remove();
            for (mut row, accumulators) in state.keys.into_iter().zip(&state.groups) {
                let results = self
                    .spec
                    .calls
                    .iter()
                    .zip(accumulators)
                    .map(|(call, accumulator)| call.result(accumulator));
                row.extend(results);
                out.push(Record::insert(row));
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<serde_json::Value>, RunError> {
        let windows = self
            .windows
            .iter()
            .map(|(window, state)| SavedWindow {
                start_ms: window.start_ms,
                end_ms: window.end_ms,
                rows: state.rows,
                groups: state
                    .keys
                    .iter()
                    .cloned()
                    .zip(state.groups.iter().cloned())
                    .collect(),
            })
            .collect();
        let saved = Saved {
            watermark_ms: self.watermark_ms,
            late: self.late,
            windows,
        };
        serde_json::to_value(saved)
            .map(Some)
            .map_err(|error| RunError::State(error.to_string()))
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), RunError> {
        let saved: Saved =
            serde_json::from_value(state).map_err(|error| RunError::State(error.to_string()))?;
        self.watermark_ms = saved.watermark_ms;
        self.late = saved.late;
        for window in saved.windows {
            let bounds = Window {
                start_ms: window.start_ms,
                end_ms: window.end_ms,
            };
            let mut state = WindowState {
                closes_ms: self.closes_ms(bounds),
                rows: window.rows,
                ..WindowState::default()
            };
            for (key, accumulators) in window.groups {
                *state.group(key, &self.spec.calls) = accumulators;
            }
            self.windows.insert(bounds, state);
        }
        Ok(())
    }

    fn insides(&self) -> Insides {
        let instant = |local_ms: i64| match &self.spec.zone {
            Some(zone) => Timestamp::from_ms(local_ms).to_instant(zone).ms,
            None => local_ms,
        };
        let windows_open = self
            .windows
            .iter()
            .map(|(window, state)| OpenWindow {
                start_ms: instant(window.start_ms),
                end_ms: instant(window.end_ms),
                rows: state.rows,
                keys: state.keys.len() as u64,
            })
            .collect();
        Insides {
            late: self.late,
            windows_open,
        }
    }
}
