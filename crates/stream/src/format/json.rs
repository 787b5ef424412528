//! The `json` format, reading and printing as Flink's does.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::FormatError;
use crate::decimal::Decimal;
use crate::expr::cast::{print_double, print_float};
use crate::expr::number::wrap;
use crate::plan::options::JsonOptions;
use crate::time::{self, Timestamp};
use crate::types::{DataType, Field, Value};

/// How much of a bad record an error shows.
const SHOWN_CHARS: usize = 120;

#[derive(Debug)]
pub(crate) struct JsonReader {
    options: JsonOptions,
    columns: Vec<(String, usize, Field)>,
}

impl JsonReader {
    pub(super) fn new(options: JsonOptions, columns: Vec<(String, usize, Field)>) -> Self {
        Self { options, columns }
    }

    pub(super) fn read(&self, bytes: &[u8], row: &mut [Value]) -> Result<bool, FormatError> {
        let mut problem = None;
        let mut seen = 0u64;
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let filled = Fill {
            reader: self,
            row,
            problem: &mut problem,
            seen: &mut seen,
        }
        .deserialize(&mut json);
        let read = filled.and_then(|()| json.end());
        if let Err(error) = read {
            if self.options.ignore_parse_errors {
                return Ok(false);
            }
            let shown: String = String::from_utf8_lossy(bytes).chars().take(SHOWN_CHARS).collect();
            return Err(FormatError(format!("'{shown}' is no JSON object ({error})")));
        }
        if let Some(problem) = problem {
            return Err(FormatError(problem));
        }
        if self.options.fail_on_missing_field {
            for (bit, (name, ..)) in self.columns.iter().enumerate() {
                if bit < 64 && seen & (1 << bit) == 0 {
                    return Err(FormatError(format!("the field '{name}' is missing")));
                }
            }
        }
        Ok(true)
    }

    fn value(&self, raw: &str, data_type: &DataType) -> Option<Value> {
        if raw == "null" {
            return Some(Value::Null);
        }
        let is_number = raw.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        let text: Cow<'_, str> = if raw.starts_with('"') {
            serde_json::from_str::<Text<'_>>(raw).ok()?.0
        } else {
            Cow::Borrowed(raw)
        };
        let trimmed = text.trim();
        Some(match data_type {
            DataType::String if raw.starts_with(['{', '[']) => {
                Value::string(serde_json::from_str::<serde_json::Value>(raw).ok()?.to_string())
            }
            DataType::String => Value::string(&text),
            DataType::Boolean => Value::Boolean(trimmed.eq_ignore_ascii_case("true")),
            // A number with a point loses what comes after it; a text with a point is no number.
            integer if integer.is_integer() && is_number && trimmed.contains(['.', 'e', 'E']) => {
                let whole = Decimal::parse(trimmed)?.to_i64()?;
                (wrap(whole, integer) == whole).then_some(Value::Int(whole))?
            }
            DataType::TinyInt => Value::Int(i64::from(trimmed.parse::<i8>().ok()?)),
            DataType::SmallInt => Value::Int(i64::from(trimmed.parse::<i16>().ok()?)),
            DataType::Int => Value::Int(i64::from(trimmed.parse::<i32>().ok()?)),
            DataType::BigInt => Value::Int(trimmed.parse().ok()?),
            DataType::Float => Value::Float(trimmed.parse().ok()?),
            DataType::Double => Value::Double(trimmed.parse().ok()?),
            DataType::Decimal(p, s) => Decimal::parse(trimmed)?
                .fit(*p, *s)
                .map_or(Value::Null, Value::Decimal),
            DataType::Date => Value::Date(time::parse_date(&text)?),
            DataType::Time(_) => Value::Time(time::parse_time(text.strip_suffix('Z').unwrap_or(&text))?),
            DataType::Timestamp(_) => Value::Timestamp(self.timestamp(&text, "")?),
            DataType::TimestampLtz(_) => Value::Timestamp(self.timestamp(&text, "Z")?),
            DataType::Null | DataType::Interval | DataType::IntervalMonths => return None,
        })
    }

    fn timestamp(&self, text: &str, end: &str) -> Option<Timestamp> {
        time::parse_timestamp(text, if self.options.iso_times { 'T' } else { ' ' }, end)
    }

    fn problem(&self, name: &str, raw: &str, data_type: &DataType) -> String {
        let shown: String = raw.chars().take(SHOWN_CHARS).collect();
        let mut text = format!("the field '{name}' is {shown}, which is no {data_type}");
        if data_type.is_timestamp() && raw.contains('T') && !self.options.iso_times {
            text.push_str(
                "; times like 2026-03-01T18:00:54 need 'json.timestamp-format.standard' = 'ISO-8601'",
            );
        } else if matches!(data_type, DataType::TimestampLtz(_)) && !raw.contains('Z') {
            text.push_str(" (a Z must end it)");
        } else if data_type.is_timestamp() && raw.ends_with("Z\"") {
            text.push_str(": a time that ends with Z is a TIMESTAMP_LTZ(3)");
        }
        text
    }
}

/// A JSON text, borrowed where nothing is escaped in it.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Fill<'a> {
    reader: &'a JsonReader,
    row: &'a mut [Value],
    problem: &'a mut Option<String>,
    seen: &'a mut u64,
}

impl<'de> DeserializeSeed<'de> for Fill<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fill<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let found = self
                .reader
                .columns
                .iter()
                .enumerate()
                .find(|(_, (column, ..))| *column == name);
            let Some((bit, (name, index, field))) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let raw = map.next_value::<&RawValue>()?.get();
            if bit < 64 {
                *self.seen |= 1 << bit;
            }
            let value = self.reader.value(raw, &field.data_type);
            if value.is_none() && !self.reader.options.ignore_parse_errors && self.problem.is_none() {
                *self.problem = Some(self.reader.problem(name, raw, &field.data_type));
            }
            if let Some(slot) = self.row.get_mut(*index) {
                *slot = value.unwrap_or(Value::Null);
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct JsonWriter {
    options: JsonOptions,
    /// The name as JSON, with its quotes and colon.
    columns: Vec<(String, usize, Field)>,
}

impl JsonWriter {
    pub(super) fn new(options: JsonOptions, columns: Vec<(String, usize, Field)>) -> Self {
        let columns = columns
            .into_iter()
            .map(|(name, index, field)| (format!("{}:", serde_json::Value::from(name)), index, field))
            .collect();
        Self { options, columns }
    }

    pub(super) fn write(&self, row: &[Value]) -> Result<Vec<u8>, FormatError> {
        let mut out = Vec::with_capacity(32 * self.columns.len());
        out.push(b'{');
        for (name, index, field) in &self.columns {
            let value = row.get(*index).unwrap_or(&Value::Null);
            if value.is_null() && self.options.ignore_null_fields {
                continue;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
            self.value(&mut out, value, &field.data_type)
                .map_err(|error| FormatError(error.to_string()))?;
        }
        out.push(b'}');
        Ok(out)
    }

    fn value(&self, out: &mut Vec<u8>, value: &Value, data_type: &DataType) -> std::io::Result<()> {
        let separator = if self.options.iso_times { 'T' } else { ' ' };
        match value {
            Value::Null => out.write_all(b"null"),
            Value::Boolean(v) => write!(out, "{v}"),
            Value::Int(v) | Value::Interval(v) => write!(out, "{v}"),
            // What JSON has no number for is written as a text, as Jackson does.
            Value::Float(v) if !v.is_finite() => write!(out, "\"{}\"", print_float(*v)),
            Value::Double(v) if !v.is_finite() => write!(out, "\"{}\"", print_double(*v)),
            Value::Float(v) => out.write_all(print_float(*v).as_bytes()),
            Value::Double(v) => out.write_all(print_double(*v).as_bytes()),
            Value::Decimal(v) => out.write_all(v.to_json(self.options.plain_decimals).as_bytes()),
            Value::String(v) => serde_json::to_writer(out, &**v).map_err(std::io::Error::from),
            Value::Date(v) => write!(out, "\"{}\"", time::print_date(*v)),
            Value::Time(v) => write!(out, "\"{}\"", time::print_time(*v)),
            Value::Timestamp(v) => {
                let zone = if matches!(data_type, DataType::TimestampLtz(_)) {
                    "Z"
                } else {
                    ""
                };
                write!(out, "\"{}{zone}\"", v.print(separator))
            }
        }
    }
}
