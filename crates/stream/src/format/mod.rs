//! How records and rows become each other.

mod json;
mod raw;

pub(crate) use json::{JsonReader, JsonWriter};
pub(crate) use raw::RawColumn;

use crate::plan::options::Format;
use crate::types::{Field, Value};

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FormatError(pub(crate) String);

/// Reads keys or values into some columns of a row.
#[derive(Debug)]
pub(crate) enum Reader {
    Json(JsonReader),
    Raw(RawColumn),
}

impl Reader {
    /// `columns`: the name in the record, and the field of the row.
    pub(crate) fn new(format: &Format, columns: Vec<(String, usize, Field)>) -> Self {
        match format {
            Format::Json(options) => Self::Json(JsonReader::new(options.clone(), columns)),
            Format::Raw => Self::Raw(RawColumn {
                column: columns.first().map_or(0, |(_, index, _)| *index),
            }),
        }
    }

    /// Fills the columns. `Ok(false)`: the record is to be skipped.
    pub(crate) fn read(&self, bytes: &[u8], row: &mut [Value]) -> Result<bool, FormatError> {
        match self {
            Self::Json(json) => json.read(bytes, row),
            Self::Raw(raw) => raw.read(bytes, row).map(|()| true),
        }
    }
}

/// Writes some columns of a row as key or value.
#[derive(Debug)]
pub(crate) enum Writer {
    Json(JsonWriter),
    Raw(RawColumn),
}

impl Writer {
    pub(crate) fn new(format: &Format, columns: Vec<(String, usize, Field)>) -> Self {
        match format {
            Format::Json(options) => Self::Json(JsonWriter::new(options.clone(), columns)),
            Format::Raw => Self::Raw(RawColumn {
                column: columns.first().map_or(0, |(_, index, _)| *index),
            }),
        }
    }

    /// `None`: no bytes at all, which a tombstone is.
    pub(crate) fn write(&self, row: &[Value]) -> Result<Option<Vec<u8>>, FormatError> {
        match self {
            Self::Json(json) => json.write(row).map(Some),
            Self::Raw(raw) => raw.write(row),
        }
    }
}
