//! GROUP BY without a window: the result of a group is updated with every row, as a changelog.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Operator;
use super::aggregate::{Accumulator, AggregateCall};
use crate::error::RunError;
use crate::expr::{Env, Expr};
use crate::types::{Record, RowKind, Value};

pub(crate) struct GroupAggregate {
    id: String,
    keys: Vec<Expr>,
    calls: Vec<AggregateCall>,
    groups: HashMap<Vec<Value>, Group>,
}

#[derive(Serialize, Deserialize)]
struct Group {
    accumulators: Vec<Accumulator>,
    /// The result that was sent last.
    sent: Option<Vec<Value>>,
}

impl GroupAggregate {
    pub(crate) fn new(id: String, keys: Vec<Expr>, calls: Vec<AggregateCall>) -> Self {
        Self {
            id,
            keys,
            calls,
            groups: HashMap::new(),
        }
    }
}

impl Operator for GroupAggregate {
    fn id(&self) -> &str {
        &self.id
    }

    fn fingerprint(&self) -> String {
        format!("{:?} {:?}", self.keys, self.calls)
    }

    fn on_record(
        &mut self,
        _input: usize,
        record: Record,
        env: &Env,
        out: &mut Vec<Record>,
    ) -> Result<(), RunError> {
        let mut key = Vec::with_capacity(self.keys.len());
        for expr in &self.keys {
            key.push(expr.eval(&record.row, env)?);
        }
        let group = self.groups.entry(key.clone()).or_insert_with(|| Group {
            accumulators: self.calls.iter().map(AggregateCall::start).collect(),
            sent: None,
        });
        for (call, accumulator) in self.calls.iter().zip(&mut group.accumulators) {
            call.add(accumulator, &record.row, env)?;
        }
        let results = self
            .calls
            .iter()
            .zip(&group.accumulators)
            .map(|(call, accumulator)| call.result(accumulator));
        let row: Vec<Value> = key.into_iter().chain(results).collect();
        match group.sent.replace(row.clone()) {
            None => out.push(Record::insert(row)),
            // Flink sends no update that changes nothing.
            Some(before) if before == row => {}
            Some(before) => {
                out.push(Record {
                    kind: RowKind::UpdateBefore,
                    ..Record::insert(before)
                });
                out.push(Record {
                    kind: RowKind::UpdateAfter,
                    ..Record::insert(row)
                });
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Option<serde_json::Value>, RunError> {
        let groups: Vec<(&Vec<Value>, &Group)> = self.groups.iter().collect();
        serde_json::to_value(groups)
            .map(Some)
            .map_err(|error| RunError::State(error.to_string()))
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), RunError> {
        let groups: Vec<(Vec<Value>, Group)> =
            serde_json::from_value(state).map_err(|error| RunError::State(error.to_string()))?;
        self.groups = groups.into_iter().collect();
        Ok(())
    }
}
