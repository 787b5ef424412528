//! Arithmetic, with Flink's result types.

use crate::decimal::{Decimal, MAX_PRECISION};
use crate::error::RunError;
use crate::time::Timestamp;
use crate::types::{DataType, Value};

/// The five operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// An operator on operands that were both cast to one kind of number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arithmetic {
    pub(crate) operator: Operator,
    pub(crate) result: DataType,
}

/// The type that both operands are cast to (`None`: each stays the DECIMAL that it is), and the result's.
pub(crate) fn result_type(
    operator: Operator,
    a: &DataType,
    b: &DataType,
) -> Option<(Option<DataType>, DataType)> {
    if a.is_integer() && b.is_integer() {
        let wide = wider(a, b);
        return Some((Some(wide.clone()), wide));
    }
    if let (Some(a), Some(b)) = (a.as_decimal(), b.as_decimal()) {
        return Some((None, decimal_result(operator, a, b)));
    }
    if a.is_numeric() && b.is_numeric() {
        let float = merged_number(a, b)?;
        return Some((Some(float.clone()), float));
    }
    None
}

/// Flink's rules, with its loss of scale when there would be more than 38 digits.
fn decimal_result(operator: Operator, (p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> DataType {
    let [p1, s1, p2, s2] = [p1, s1, p2, s2].map(i32::from);
    let (precision, scale) = match operator {
        Operator::Add | Operator::Subtract => {
            let scale = s1.max(s2);
            ((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
        Operator::Multiply => (p1 + p2 + 1, s1 + s2),
        Operator::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            (p1 - s1 + s2 + scale, scale)
        }
        Operator::Remainder => {
            let scale = s1.max(s2);
            ((p1 - s1).min(p2 - s2) + scale, scale)
        }
    };
    adjust(precision, scale)
}

fn adjust(precision: i32, scale: i32) -> DataType {
    let max = i32::from(MAX_PRECISION);
    if precision <= max {
        return DataType::Decimal(precision as u8, scale as u8);
    }
    let scale = (max - (precision - scale)).max(scale.min(6));
    DataType::Decimal(MAX_PRECISION, scale as u8)
}

fn rank(data_type: &DataType) -> u8 {
    match data_type {
        DataType::TinyInt => 1,
        DataType::SmallInt => 2,
        DataType::Int => 3,
        DataType::BigInt => 4,
        _ => 0,
    }
}

fn wider(a: &DataType, b: &DataType) -> DataType {
    if rank(a) >= rank(b) { a.clone() } else { b.clone() }
}

/// The type that two numbers are compared in.
pub(crate) fn common_number(a: &DataType, b: &DataType) -> Option<DataType> {
    if a == b {
        return Some(a.clone());
    }
    if a.is_integer() && b.is_integer() {
        return Some(wider(a, b));
    }
    if let (Some((p1, s1)), Some((p2, s2))) = (a.as_decimal(), b.as_decimal()) {
        let scale = s1.max(s2);
        return Some(adjust(
            i32::from((p1 - s1).max(p2 - s2) + scale),
            i32::from(scale),
        ));
    }
    if !a.is_numeric() || !b.is_numeric() {
        return None;
    }
    let float_and_integer = |a: &DataType, b: &DataType| *a == DataType::Float && b.is_integer();
    if float_and_integer(a, b) || float_and_integer(b, a) {
        return Some(DataType::Float);
    }
    Some(DataType::Double)
}

/// The type of arithmetic and CASE: of FLOAT and DOUBLE the first wins, in Flink.
pub(crate) fn merged_number(a: &DataType, b: &DataType) -> Option<DataType> {
    match (a, b) {
        (DataType::Float, DataType::Double) => Some(DataType::Float),
        _ => common_number(a, b),
    }
}

/// Java's two's complement arithmetic in the width of the type.
pub(crate) fn wrap(value: i64, data_type: &DataType) -> i64 {
    match data_type {
        DataType::TinyInt => i64::from(value as i8),
        DataType::SmallInt => i64::from(value as i16),
        DataType::Int => i64::from(value as i32),
        _ => value,
    }
}

fn division_by_zero() -> RunError {
    RunError::Expression("division by zero".into())
}

impl Arithmetic {
    pub(crate) fn apply(&self, a: &Value, b: &Value) -> Result<Value, RunError> {
        use Value as V;
        Ok(match (a, b) {
            (V::Int(a), V::Int(b)) => V::Int(wrap(self.integers(*a, *b)?, &self.result)),
            (V::Float(a), V::Float(b)) => V::Float(self.floats(f64::from(*a), f64::from(*b)) as f32),
            (V::Double(a), V::Double(b)) => V::Double(self.floats(*a, *b)),
            (V::Decimal(a), V::Decimal(b)) => self.decimals(*a, *b)?.map_or(V::Null, V::Decimal),
            (V::Timestamp(a), V::Interval(b)) => {
                let ms = if self.operator == Operator::Subtract {
                    -b
                } else {
                    *b
                };
                V::Timestamp(Timestamp {
                    ms: a.ms.saturating_add(ms),
                    ..*a
                })
            }
            (V::Interval(a), V::Interval(b) | V::Int(b)) => V::Interval(self.integers(*a, *b)?),
            _ => V::Null,
        })
    }

    fn integers(&self, a: i64, b: i64) -> Result<i64, RunError> {
        Ok(match self.operator {
            Operator::Add => a.wrapping_add(b),
            Operator::Subtract => a.wrapping_sub(b),
            Operator::Multiply => a.wrapping_mul(b),
            Operator::Divide | Operator::Remainder if b == 0 => return Err(division_by_zero()),
            Operator::Divide => a.wrapping_div(b),
            Operator::Remainder => a.wrapping_rem(b),
        })
    }

    fn floats(&self, a: f64, b: f64) -> f64 {
        match self.operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Remainder => a % b,
        }
    }

    fn decimals(&self, a: Decimal, b: Decimal) -> Result<Option<Decimal>, RunError> {
        let DataType::Decimal(precision, scale) = self.result else {
            return Ok(None);
        };
        if b.is_zero() && matches!(self.operator, Operator::Divide | Operator::Remainder) {
            return Err(division_by_zero());
        }
        let value = match self.operator {
            Operator::Add => a.add(b),
            Operator::Subtract => a.subtract(b),
            Operator::Multiply => a.multiply(b),
            Operator::Divide => a.divide(b, scale),
            Operator::Remainder => a.remainder(b),
        };
        Ok(value.and_then(|value| value.fit(precision, scale)))
    }
}
