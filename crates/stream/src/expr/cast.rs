//! CAST and TRY_CAST, also where Flink casts by itself.

use jiff::tz::TimeZone;

use super::number::wrap;
use crate::decimal::Decimal;
use crate::error::RunError;
use crate::time::{self, DAY_MS, Timestamp};
use crate::types::{DataType, Value};

/// A cast whose two types fit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cast {
    pub(crate) from: DataType,
    pub(crate) to: DataType,
    /// What can't be cast becomes NULL instead of failing the job.
    pub(crate) or_null: bool,
    pub(crate) zone: TimeZone,
}

/// Whether Flink has a cast from one to the other.
pub(crate) fn can_cast(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if from == to || *from == T::Null || *to == T::String {
        return true;
    }
    match from {
        T::String => !matches!(to, T::Interval | T::IntervalMonths),
        T::Boolean => to.is_numeric(),
        T::Timestamp(_) | T::TimestampLtz(_) => to.is_timestamp() || matches!(to, T::Date | T::Time(_)),
        T::Date => to.is_timestamp(),
        T::Time(_) => matches!(to, T::Time(_)),
        from if from.is_numeric() => to.is_numeric() || *to == T::Boolean,
        _ => false,
    }
}

impl Cast {
    pub(crate) fn apply(&self, value: Value) -> Result<Value, RunError> {
        if value.is_null() {
            return Ok(value);
        }
        if let Some(cast) = self.convert(&value) {
            return Ok(cast);
        }
        // A DECIMAL with too many digits is NULL in Flink, whatever the cast.
        if self.or_null || matches!(self.to, DataType::Decimal(..)) && self.from.is_numeric() {
            return Ok(Value::Null);
        }
        Err(RunError::Expression(format!(
            "'{}' is no {}: CAST fails, TRY_CAST would give NULL",
            print_value(&value, &self.from, &self.zone),
            self.to
        )))
    }

    fn convert(&self, value: &Value) -> Option<Value> {
        use DataType as T;
        Some(match &self.to {
            T::String => Value::string(print_value(value, &self.from, &self.zone)),
            T::Boolean => match value {
                Value::Boolean(_) => value.clone(),
                Value::Int(v) => Value::Boolean(*v != 0),
                Value::Decimal(v) => Value::Boolean(!v.is_zero()),
                Value::Float(v) => Value::Boolean(*v != 0.0),
                Value::Double(v) => Value::Boolean(*v != 0.0),
                Value::String(text) => Value::Boolean(parse_boolean(text)?),
                _ => return None,
            },
            T::TinyInt | T::SmallInt | T::Int | T::BigInt => Value::Int(self.integer(value)?),
            T::Float => Value::Float(float(value)? as f32),
            T::Double => Value::Double(float(value)?),
            T::Decimal(precision, scale) => Value::Decimal(decimal(value)?.fit(*precision, *scale)?),
            T::Date => match value {
                Value::Date(_) => value.clone(),
                Value::String(text) => Value::Date(time::parse_date(text.trim())?),
                Value::Timestamp(v) => Value::Date(self.local(*v).ms.div_euclid(DAY_MS) as i32),
                _ => return None,
            },
            T::Time(_) => match value {
                Value::Time(_) => value.clone(),
                Value::String(text) => Value::Time(time::parse_time(text.trim())?),
                Value::Timestamp(v) => Value::Time(self.local(*v).ms.rem_euclid(DAY_MS) as i32),
                _ => return None,
            },
            T::Timestamp(precision) => Value::Timestamp(self.wall_clock(value)?.cut(*precision)),
            T::TimestampLtz(precision) => match (value, &self.from) {
                (Value::Timestamp(v), T::TimestampLtz(_)) => Value::Timestamp(v.cut(*precision)),
                _ => Value::Timestamp(self.wall_clock(value)?.to_instant(&self.zone).cut(*precision)),
            },
            T::Null | T::Interval | T::IntervalMonths => return None,
        })
    }

    fn local(&self, time: Timestamp) -> Timestamp {
        match self.from {
            DataType::TimestampLtz(_) => time.to_local(&self.zone),
            _ => time,
        }
    }

    fn wall_clock(&self, value: &Value) -> Option<Timestamp> {
        match value {
            Value::Timestamp(time) => Some(self.local(*time)),
            Value::Date(days) => Some(Timestamp::from_ms(i64::from(*days) * DAY_MS)),
            Value::String(text) => time::parse_timestamp_leniently(text),
            _ => None,
        }
    }

    fn integer(&self, value: &Value) -> Option<i64> {
        match value {
            Value::Boolean(v) => Some(i64::from(*v)),
            Value::Int(v) => Some(wrap(*v, &self.to)),
            // Java's narrowing: saturate at 32 bits (64 for BIGINT), then wrap.
            Value::Float(_) | Value::Double(_) => {
                let v = float(value)?;
                Some(if self.to == DataType::BigInt {
                    v as i64
                } else {
                    wrap(i64::from(v as i32), &self.to)
                })
            }
            Value::Decimal(v) => v.to_i64().map(|v| wrap(v, &self.to)),
            Value::String(text) => {
                let v = Decimal::parse(text)?.to_i64()?;
                (wrap(v, &self.to) == v).then_some(v)
            }
            _ => None,
        }
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Boolean(v) => Some(f64::from(u8::from(*v))),
        Value::Int(v) => Some(*v as f64),
        Value::Float(v) => Some(f64::from(*v)),
        Value::Double(v) => Some(*v),
        Value::Decimal(v) => Some(v.to_f64()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Boolean(v) => Some(Decimal::new(i128::from(*v), 0)),
        Value::Int(v) => Some(Decimal::new(i128::from(*v), 0)),
        Value::Float(v) => Decimal::parse(&format!("{v:e}")),
        Value::Double(v) => Decimal::from_f64(*v),
        Value::Decimal(v) => Some(*v),
        Value::String(text) => Decimal::parse(text),
        _ => None,
    }
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A value as `CAST(… AS STRING)` prints it; TIMESTAMP_LTZ in the time zone given.
pub fn print_value(value: &Value, data_type: &DataType, zone: &TimeZone) -> String {
    match (value, data_type) {
        (Value::Null, _) => "NULL".to_owned(),
        (Value::Boolean(v), _) => if *v { "TRUE" } else { "FALSE" }.to_owned(),
        (Value::Int(v), _) => v.to_string(),
        (Value::Float(v), _) => print_float(*v),
        (Value::Double(v), _) => print_double(*v),
        (Value::Decimal(v), _) => v.to_string(),
        (Value::String(v), _) => v.to_string(),
        (Value::Date(v), _) => time::print_date(*v),
        (Value::Time(v), _) => time::print_time(*v),
        (Value::Timestamp(v), DataType::TimestampLtz(p)) => v.to_local(zone).print_fixed(*p),
        (Value::Timestamp(v), DataType::Timestamp(p)) => v.print_fixed(*p),
        (Value::Timestamp(v), _) => v.print(' '),
        (Value::Interval(v), _) => format!("{v} ms"),
    }
}

/// As Java's `Double.toString`: a point always, an exponent from 10^7 and below 10^-3.
pub(crate) fn print_double(value: f64) -> String {
    java_float(value.is_finite(), value, &format!("{value:e}"))
}

/// As Java's `Float.toString`.
pub(crate) fn print_float(value: f32) -> String {
    java_float(value.is_finite(), f64::from(value), &format!("{value:e}"))
}

fn java_float(finite: bool, value: f64, scientific: &str) -> String {
    if !finite {
        let text = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        return text.to_owned();
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if value == 0.0 {
        return format!("{sign}0.0");
    }
    if (-3..7).contains(&exponent) {
        let point = exponent + 1;
        let text = if point <= 0 {
            format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize))
        } else if digits.len() as i32 <= point {
            format!("{digits:0<width$}.0", width = point as usize)
        } else {
            format!("{}.{}", &digits[..point as usize], &digits[point as usize..])
        };
        return format!("{sign}{text}");
    }
    let rest = if digits.len() > 1 { &digits[1..] } else { "0" };
    format!("{sign}{}.{rest}E{exponent}", &digits[..1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_javas() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e10, "1.25E10"),
            (100.0, "100.0"),
            (123.456, "123.456"),
        ] {
            assert_eq!(print_double(value), text);
        }
        assert_eq!(print_float(0.1), "0.1");
    }
}
