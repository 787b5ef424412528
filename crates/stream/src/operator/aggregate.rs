//! COUNT, SUM, MIN, MAX, AVG: one accumulator for each call and group.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::error::RunError;
use crate::expr::number::wrap;
use crate::expr::{Env, Expr};
use crate::types::{DataType, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AggregateFunction {
    Count,
    Sum,
    Min,
    Max,
    Avg,
}

/// One aggregate of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AggregateCall {
    pub(crate) function: AggregateFunction,
    /// `None`: COUNT(*).
    pub(crate) arg: Option<Expr>,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Expr>,
    pub(crate) result: DataType,
}

/// What is kept of the values so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Accumulator {
    /// Values that were not NULL (rows, for COUNT(*)).
    #[serde(rename = "c")]
    count: i64,
    /// Sum, minimum or maximum.
    #[serde(rename = "v")]
    value: Value,
    /// The values seen, for DISTINCT.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    seen: Option<HashSet<Value>>,
}

impl AggregateCall {
    pub(crate) fn start(&self) -> Accumulator {
        Accumulator {
            count: 0,
            value: Value::Null,
            seen: self.distinct.then(HashSet::new),
        }
    }

    pub(crate) fn add(
        &self,
        accumulator: &mut Accumulator,
        row: &[Value],
        env: &Env,
    ) -> Result<(), RunError> {
        if let Some(filter) = &self.filter
            && filter.truth(row, env)? != Some(true)
        {
            return Ok(());
        }
        let Some(arg) = &self.arg else {
            accumulator.count += 1;
            return Ok(());
        };
        let value = arg.eval(row, env)?;
        if value.is_null() {
            return Ok(());
        }
        if let Some(seen) = &mut accumulator.seen
            && !seen.insert(value.clone())
        {
            return Ok(());
        }
        accumulator.count += 1;
        match self.function {
            AggregateFunction::Count => {}
            AggregateFunction::Sum | AggregateFunction::Avg => self.add_up(accumulator, value),
            AggregateFunction::Min => replace_if(accumulator, value, std::cmp::Ordering::is_lt),
            AggregateFunction::Max => replace_if(accumulator, value, std::cmp::Ordering::is_gt),
        }
        Ok(())
    }

    fn add_up(&self, accumulator: &mut Accumulator, value: Value) {
        let sum = std::mem::replace(&mut accumulator.value, Value::Null);
        accumulator.value = match (sum, value) {
            (Value::Null, first) if accumulator.count == 1 => first,
            // AVG sums in BIGINT, SUM in the type of the column.
            (Value::Int(a), Value::Int(b)) if self.function == AggregateFunction::Avg => {
                Value::Int(a.wrapping_add(b))
            }
            (Value::Int(a), Value::Int(b)) => Value::Int(wrap(a.wrapping_add(b), &self.result)),
            (Value::Float(a), Value::Float(b)) => Value::Float(a + b),
            (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
            (Value::Decimal(a), Value::Decimal(b)) => a.add(b).map_or(Value::Null, Value::Decimal),
            // A DECIMAL that overflowed stays NULL.
            _ => Value::Null,
        };
    }

    pub(crate) fn result(&self, accumulator: &Accumulator) -> Value {
        match self.function {
            AggregateFunction::Count => Value::Int(accumulator.count),
            AggregateFunction::Min | AggregateFunction::Max => accumulator.value.clone(),
            AggregateFunction::Sum => match (&accumulator.value, &self.result) {
                (Value::Decimal(sum), DataType::Decimal(p, s)) => {
                    sum.fit(*p, *s).map_or(Value::Null, Value::Decimal)
                }
                (sum, _) => sum.clone(),
            },
            AggregateFunction::Avg => self.average(accumulator),
        }
    }

    fn average(&self, accumulator: &Accumulator) -> Value {
        let count = accumulator.count;
        match (&accumulator.value, &self.result) {
            (Value::Int(sum), _) if count > 0 => Value::Int(sum / count),
            (Value::Float(sum), _) => Value::Float((f64::from(*sum) / count as f64) as f32),
            (Value::Double(sum), _) => Value::Double(sum / count as f64),
            (Value::Decimal(sum), DataType::Decimal(p, s)) => sum
                .divide(Decimal::new(i128::from(count), 0), *s)
                .and_then(|average| average.fit(*p, *s))
                .map_or(Value::Null, Value::Decimal),
            _ => Value::Null,
        }
    }
}

fn replace_if(accumulator: &mut Accumulator, value: Value, wins: fn(std::cmp::Ordering) -> bool) {
    if value.compare(&accumulator.value).is_none_or(wins) {
        accumulator.value = value;
    }
}
