//! Tables and views of a session.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use sqlparser::ast::{self, Spanned};

use super::options::{self, Connector};
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;
use crate::expr::bind::{Scope, type_of};
use crate::sql::{ColumnKind, CreateTable};
use crate::types::{DataType, Field, Role};

/// Whether a name is a table or a view, for SHOW TABLES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// CREATE TABLE.
    Table,
    /// CREATE VIEW.
    View,
}

#[derive(Debug)]
pub(crate) enum Entry {
    Table(Arc<Table>),
    View(View),
}

#[derive(Debug)]
pub(crate) struct View {
    pub(crate) columns: Vec<ast::Ident>,
    pub(crate) query: Box<ast::Query>,
}

pub(crate) type Catalog = BTreeMap<String, Entry>;

/// A table: its columns in the order of their declaration, and where its rows are.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The index of the event time, and the watermark of a row.
    pub(crate) watermark: Option<(usize, Expr)>,
    pub(crate) connector: Connector,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) field: Field,
    pub(crate) not_null: bool,
    pub(crate) source: ColumnSource,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ColumnSource {
    /// The record's key or value.
    Physical,
    /// The record itself.
    Metadata { key: Metadata, is_virtual: bool },
    /// The columns before it are physical and metadata ones only, so that one pass is enough.
    Computed(Expr),
}

/// What a record has besides key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    Topic,
    Partition,
    Offset,
    Timestamp,
    TimestampType,
}

impl Metadata {
    const ALL: [(&'static str, Self); 5] = [
        ("topic", Self::Topic),
        ("partition", Self::Partition),
        ("offset", Self::Offset),
        ("timestamp", Self::Timestamp),
        ("timestamp-type", Self::TimestampType),
    ];

    /// The type that the connector gives.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Topic | Self::TimestampType => DataType::String,
            Self::Partition => DataType::Int,
            Self::Offset => DataType::BigInt,
            Self::Timestamp => DataType::TimestampLtz(3),
        }
    }
}

impl Table {
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|column| column.field.clone()).collect()
    }
}

/// Checks a CREATE TABLE.
pub(crate) fn table(create: &CreateTable, zone: &TimeZone) -> SqlResult<Table> {
    let connector = options::read(&create.options, create.name.span)?;
    let mut columns: Vec<Column> = Vec::with_capacity(create.columns.len());
    // Computed columns see all others, wherever they stand.
    for decl in &create.columns {
        if columns.iter().any(|column| column.field.name == decl.name.value) {
            return Err(
                SqlError::new(format!("the column {} is declared twice", decl.name.value)).at(decl.name.span),
            );
        }
        let (data_type, not_null, source) = match &decl.kind {
            ColumnKind::Physical { data_type, not_null } => {
                let data_type = type_of(data_type).map_err(|error| error.at(decl.name.span))?;
                (data_type, *not_null, ColumnSource::Physical)
            }
            ColumnKind::Metadata {
                data_type,
                from,
                is_virtual,
            } => {
                let key = from.as_deref().unwrap_or(&decl.name.value);
                let data_type = type_of(data_type).map_err(|error| error.at(decl.name.span))?;
                let source = metadata(key, *is_virtual).map_err(|error| error.at(decl.name.span))?;
                (data_type, false, source)
            }
            ColumnKind::Computed(_) => (
                DataType::Null,
                false,
                ColumnSource::Computed(Expr::Column(usize::MAX)),
            ),
        };
        columns.push(Column {
            field: Field::new(&decl.name.value, data_type),
            not_null,
            source,
        });
    }
    bind_computed(create, &mut columns, zone)?;
    let watermark = watermark(create, &mut columns, zone)?;
    for key in &create.primary_key {
        if !columns.iter().any(|column| column.field.name == key.value) {
            return Err(SqlError::new(format!("the primary key names no column {}", key.value)).at(key.span));
        }
    }
    if let (Connector::Kafka(_), Some(key)) = (&connector, create.primary_key.first()) {
        return Err(
            SqlError::new("the connector 'kafka' takes no PRIMARY KEY, since its table only grows")
                .help("leave the PRIMARY KEY out; 'key.format' and 'key.fields' set the key of the records")
                .at(key.span),
        );
    }
    let table = Table {
        name: create.name.value.clone(),
        columns,
        watermark,
        connector,
    };
    check_key_fields(&table).map_err(|error| error.at(create.name.span))?;
    Ok(table)
}

fn metadata(key: &str, is_virtual: bool) -> SqlResult<ColumnSource> {
    if key == "headers" || key == "leader-epoch" {
        return Err(SqlError::unsupported(format!("the metadata '{key}'")));
    }
    let Some((_, metadata)) = Metadata::ALL.into_iter().find(|(name, _)| *name == key) else {
        return Err(SqlError::new(format!("a record has no metadata '{key}'"))
            .did_you_mean(key, Metadata::ALL.iter().map(|(name, _)| *name)));
    };
    // Flink asks for VIRTUAL only when the table is written to; so does the sink.
    Ok(ColumnSource::Metadata {
        key: metadata,
        is_virtual,
    })
}

fn bind_computed(create: &CreateTable, columns: &mut [Column], zone: &TimeZone) -> SqlResult<()> {
    let visible: Vec<Field> = columns
        .iter()
        .map(|column| match column.source {
            // A name that nothing can be called by: computed columns don't see each other.
            ColumnSource::Computed(_) => Field::new("", DataType::Null),
            _ => column.field.clone(),
        })
        .collect();
    let scope = Scope {
        relation: None,
        fields: &visible,
        zone,
    };
    for (decl, column) in create.columns.iter().zip(columns) {
        if let ColumnKind::Computed(expr) = &decl.kind {
            let typed = scope.bind(expr)?;
            column.field.data_type = typed.data_type;
            column.source = ColumnSource::Computed(typed.expr);
        }
    }
    Ok(())
}

fn watermark(
    create: &CreateTable,
    columns: &mut [Column],
    zone: &TimeZone,
) -> SqlResult<Option<(usize, Expr)>> {
    let Some((name, delay)) = &create.watermark else {
        return Ok(None);
    };
    let fields: Vec<Field> = columns.iter().map(|column| column.field.clone()).collect();
    let scope = Scope {
        relation: None,
        fields: &fields,
        zone,
    };
    let index = scope.column(&name.value, name.span)?;
    let data_type = &fields[index].data_type;
    if !matches!(
        data_type,
        DataType::Timestamp(0..=3) | DataType::TimestampLtz(0..=3)
    ) {
        let help = match data_type {
            DataType::Timestamp(_) | DataType::TimestampLtz(_) => {
                "declare it with at most 3 digits: TIMESTAMP(3)".into()
            }
            DataType::BigInt => format!(
                "add a column: ts AS TO_TIMESTAMP_LTZ({}, 3), and WATERMARK FOR ts",
                name.value
            ),
            DataType::String => format!(
                "add a column: ts AS TO_TIMESTAMP({}), and WATERMARK FOR ts",
                name.value
            ),
            _ => "declare it as TIMESTAMP(3) or TIMESTAMP_LTZ(3)".into(),
        };
        return Err(SqlError::new(format!(
            "{} can't be the event time, since it is {data_type}",
            name.value
        ))
        .help(help)
        .at(name.span));
    }
    let typed = scope.bind(delay)?;
    if !typed.data_type.is_timestamp() {
        return Err(SqlError::new(format!(
            "the watermark must be a time, and this is {}",
            typed.data_type
        ))
        .help(format!(
            "write WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND",
            name.value
        ))
        .at(delay.span()));
    }
    columns[index].field.role = Role::EventTime;
    Ok(Some((index, typed.expr)))
}

fn check_key_fields(table: &Table) -> SqlResult<()> {
    let Connector::Kafka(kafka) = &table.connector else {
        return Ok(());
    };
    let physical = || {
        let physical = table
            .columns
            .iter()
            .filter(|column| column.source == ColumnSource::Physical);
        physical.map(|column| &column.field)
    };
    for key in &kafka.key_fields {
        if !physical().any(|field| field.name == *key) {
            return Err(SqlError::new(format!("'key.fields' names no column {key}"))
                .did_you_mean(key, physical().map(|field| field.name.as_str())));
        }
        if !key.starts_with(&kafka.key_prefix) {
            return Err(SqlError::new(format!(
                "the key column {key} must start with '{}'",
                kafka.key_prefix
            )));
        }
    }
    let raw_with = |columns: usize, what: &str| {
        SqlError::new(format!(
            "the format 'raw' holds one column, and the {what} has {columns}"
        ))
        .help("use 'json', or one column")
    };
    if kafka.key_format == Some(options::Format::Raw) && kafka.key_fields.len() != 1 {
        return Err(raw_with(kafka.key_fields.len(), "key"));
    }
    let value_columns = physical()
        .filter(|field| kafka.value_has_key || !kafka.key_fields.contains(&field.name))
        .count();
    if kafka.value_format == options::Format::Raw && value_columns != 1 {
        return Err(raw_with(value_columns, "value"));
    }
    Ok(())
}
