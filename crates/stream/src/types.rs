//! SQL's types and values, as Flink has them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::time::Timestamp;

/// A column's type. Lengths of CHAR and VARCHAR are not kept: Flink's formats don't enforce them on reading.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DataType {
    /// The type of a bare NULL.
    Null,
    /// BOOLEAN.
    Boolean,
    /// TINYINT, 8 bits.
    TinyInt,
    /// SMALLINT, 16 bits.
    SmallInt,
    /// INT, 32 bits.
    Int,
    /// BIGINT, 64 bits.
    BigInt,
    /// FLOAT, 32 bits.
    Float,
    /// DOUBLE, 64 bits.
    Double,
    /// DECIMAL(precision, scale).
    Decimal(u8, u8),
    /// STRING, VARCHAR(n), CHAR(n).
    String,
    /// DATE.
    Date,
    /// TIME(precision).
    Time(u8),
    /// TIMESTAMP(precision): a wall-clock time without a zone.
    Timestamp(u8),
    /// TIMESTAMP_LTZ(precision): an instant, shown in the session's time zone.
    TimestampLtz(u8),
    /// An interval of days to seconds.
    Interval,
    /// An interval of years and months.
    IntervalMonths,
}

impl DataType {
    /// Whether arithmetic takes it.
    pub fn is_numeric(&self) -> bool {
        self.is_integer() || matches!(self, Self::Float | Self::Double | Self::Decimal(..))
    }

    /// Whether it is one of the four integer types.
    pub fn is_integer(&self) -> bool {
        matches!(self, Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt)
    }

    /// Whether it is TIMESTAMP or TIMESTAMP_LTZ.
    pub fn is_timestamp(&self) -> bool {
        matches!(self, Self::Timestamp(_) | Self::TimestampLtz(_))
    }

    /// The DECIMAL that holds every value of an exact number type.
    pub(crate) fn as_decimal(&self) -> Option<(u8, u8)> {
        match self {
            Self::TinyInt => Some((3, 0)),
            Self::SmallInt => Some((5, 0)),
            Self::Int => Some((10, 0)),
            Self::BigInt => Some((19, 0)),
            Self::Decimal(p, s) => Some((*p, *s)),
            _ => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::TinyInt => f.write_str("TINYINT"),
            Self::SmallInt => f.write_str("SMALLINT"),
            Self::Int => f.write_str("INT"),
            Self::BigInt => f.write_str("BIGINT"),
            Self::Float => f.write_str("FLOAT"),
            Self::Double => f.write_str("DOUBLE"),
            Self::Decimal(p, s) => write!(f, "DECIMAL({p}, {s})"),
            Self::String => f.write_str("STRING"),
            Self::Date => f.write_str("DATE"),
            Self::Time(p) => write!(f, "TIME({p})"),
            Self::Timestamp(p) => write!(f, "TIMESTAMP({p})"),
            Self::TimestampLtz(p) => write!(f, "TIMESTAMP_LTZ({p})"),
            Self::Interval => f.write_str("INTERVAL DAY TO SECOND"),
            Self::IntervalMonths => f.write_str("INTERVAL YEAR TO MONTH"),
        }
    }
}

/// One value. The type is the column's; all integer types share one variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Value {
    /// NULL.
    #[serde(rename = "n")]
    Null,
    /// BOOLEAN.
    #[serde(rename = "b")]
    Boolean(bool),
    /// TINYINT to BIGINT.
    #[serde(rename = "i")]
    Int(i64),
    /// FLOAT.
    #[serde(rename = "f", with = "bits32")]
    Float(f32),
    /// DOUBLE.
    #[serde(rename = "d", with = "bits64")]
    Double(f64),
    /// DECIMAL.
    #[serde(rename = "x")]
    Decimal(Decimal),
    /// STRING.
    #[serde(rename = "s")]
    String(Arc<str>),
    /// DATE: days since 1970-01-01.
    #[serde(rename = "e")]
    Date(i32),
    /// TIME: milliseconds since midnight.
    #[serde(rename = "m")]
    Time(i32),
    /// TIMESTAMP (as if UTC) and TIMESTAMP_LTZ.
    #[serde(rename = "t")]
    Timestamp(Timestamp),
    /// An interval of milliseconds, or of months.
    #[serde(rename = "v")]
    Interval(i64),
}

/// Floats in checkpoints go by their bits: JSON has no NaN, and state must come back exactly.
mod bits64 {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(value.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

mod bits32 {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(value.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        u32::deserialize(from).map(f32::from_bits)
    }
}

impl Value {
    /// A STRING.
    pub fn string(text: impl AsRef<str>) -> Self {
        Self::String(text.as_ref().into())
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The instant of a TIMESTAMP or TIMESTAMP_LTZ in milliseconds.
    pub(crate) fn timestamp_ms(&self) -> Option<i64> {
        match self {
            Self::Timestamp(timestamp) => Some(timestamp.ms),
            _ => None,
        }
    }

    /// Order of two values of one type; `None` when one is NULL.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        use Value as V;
        Some(match (self, other) {
            (V::Boolean(a), V::Boolean(b)) => a.cmp(b),
            (V::Int(a), V::Int(b)) | (V::Interval(a), V::Interval(b)) => a.cmp(b),
            (V::Float(a), V::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b)),
            (V::Double(a), V::Double(b)) => a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b)),
            (V::Decimal(a), V::Decimal(b)) => a.compare(b),
            (V::String(a), V::String(b)) => a.cmp(b),
            (V::Date(a), V::Date(b)) | (V::Time(a), V::Time(b)) => a.cmp(b),
            (V::Timestamp(a), V::Timestamp(b)) => a.cmp(b),
            // NULL is not comparable, and the binder casts both sides to one type.
            _ => return None,
        })
    }
}

/// Equality as grouping sees it: NULL equals NULL, floats by their bits.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => 0u8.hash(state),
            Self::Boolean(v) => v.hash(state),
            Self::Int(v) | Self::Interval(v) => v.hash(state),
            Self::Float(v) => v.to_bits().hash(state),
            Self::Double(v) => v.to_bits().hash(state),
            Self::Decimal(v) => v.normalized().hash(state),
            Self::String(v) => v.hash(state),
            Self::Date(v) | Self::Time(v) => v.hash(state),
            Self::Timestamp(v) => v.hash(state),
        }
    }
}

/// What a row does to the result, as in Flink's changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RowKind {
    /// `+I`: a new row.
    Insert,
    /// `-U`: the old content of a row that changes.
    UpdateBefore,
    /// `+U`: its new content.
    UpdateAfter,
    /// `-D`: a row that goes.
    Delete,
}

impl RowKind {
    /// As Flink's clients print it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Insert => "+I",
            Self::UpdateBefore => "-U",
            Self::UpdateAfter => "+U",
            Self::Delete => "-D",
        }
    }
}

/// A row on its way through the operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it does.
    pub kind: RowKind,
    /// Its values, in the order of the schema.
    pub row: Vec<Value>,
    /// Of the copies that a window function made of one event: this one is in the window that closes last.
    pub last_window: bool,
}

impl Record {
    /// A new row.
    pub fn insert(row: Vec<Value>) -> Self {
        Self {
            kind: RowKind::Insert,
            row,
            last_window: true,
        }
    }
}

/// What a column is besides its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// A plain column.
    #[default]
    Plain,
    /// The event time: its watermark travels with the stream.
    EventTime,
    /// `window_start` of a window function.
    WindowStart,
    /// `window_end`.
    WindowEnd,
    /// `window_time`, which is an event time too.
    WindowTime,
}

/// One column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name as written.
    pub name: String,
    /// The type.
    pub data_type: DataType,
    /// Whether it is a time attribute or a bound of a window.
    pub role: Role,
}

impl Field {
    /// A plain column.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            role: Role::Plain,
        }
    }
}
