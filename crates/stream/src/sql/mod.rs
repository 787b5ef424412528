//! Flink's SQL dialect: from text to statements.

mod dialect;
mod statement;

pub(crate) use statement::{ColumnKind, CreateTable, Insert, Options, Parsed, Statement, parse};
