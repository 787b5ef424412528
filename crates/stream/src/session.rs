//! A session: the tables, views and settings that one statement leaves for the next, as in Flink's SQL client.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::error::{SqlError, SqlResult};
use crate::job::JobPlan;
use crate::plan::TableKind;
use crate::plan::catalog::{self, Catalog, Entry, View};
use crate::plan::options::{Connector, duration_ms};
use crate::plan::query::Planner;
use crate::sql::{self, Parsed, Statement};
use crate::types::DataType;

const ZONE: &str = "table.local-time-zone";
const IDLE_TIMEOUT: &str = "table.exec.source.idle-timeout";
const CHECKPOINT_INTERVAL: &str = "execution.checkpointing.interval";
const RUNTIME_MODE: &str = "execution.runtime-mode";

/// What a statement did, or asks its caller to do.
#[derive(Debug, Clone)]
pub enum Executed {
    /// Nothing more is to be done.
    Done,
    /// INSERT INTO: run this job.
    Job(Box<JobPlan>),
    /// SELECT: run this job and show its result.
    Query(Box<JobPlan>),
    /// EXPLAIN.
    Plan(String),
    /// SHOW TABLES.
    Tables(Vec<(String, TableKind)>),
    /// DESCRIBE: names and types.
    Columns(Vec<(String, DataType)>),
}

/// The statements of a text, read but not yet checked.
#[derive(Debug, Clone)]
pub struct Script {
    statements: Vec<Parsed>,
}

impl Script {
    /// Reads a text of statements with `;` between them.
    pub fn parse(text: &str) -> SqlResult<Self> {
        sql::parse(text).map(|statements| Self { statements })
    }

    /// How many statements there are.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

/// Tables, views and settings.
#[derive(Debug, Default)]
pub struct Session {
    catalog: Catalog,
    settings: BTreeMap<String, String>,
}

impl Session {
    /// Without tables, with the settings given (as by SET).
    pub fn new(settings: impl IntoIterator<Item = (String, String)>) -> SqlResult<Self> {
        let mut session = Self::default();
        for (key, value) in settings {
            session.set(key, value)?;
        }
        Ok(session)
    }

    /// Runs the statements in their order. The first error ends it; nothing has been started by then.
    pub fn run(&mut self, script: &Script) -> SqlResult<Vec<Executed>> {
        script
            .statements
            .iter()
            .map(|parsed| self.execute(parsed))
            .collect()
    }

    fn execute(&mut self, parsed: &Parsed) -> SqlResult<Executed> {
        self.statement(&parsed.statement)
            .map_err(|error| error.at(parsed.span))
    }

    fn statement(&mut self, statement: &Statement) -> SqlResult<Executed> {
        match statement {
            Statement::CreateTable(create) => {
                let exists = self.catalog.contains_key(&create.name.value);
                if exists && create.if_not_exists {
                    return Ok(Executed::Done);
                }
                self.refuse_twice(&create.name.value)
                    .map_err(|error| error.at(create.name.span))?;
                let table = catalog::table(create, &self.zone()?)?;
                self.catalog
                    .insert(create.name.value.clone(), Entry::Table(Arc::new(table)));
            }
            Statement::CreateView {
                name,
                columns,
                query,
                if_not_exists,
            } => {
                if *if_not_exists && self.catalog.contains_key(&name.value) {
                    return Ok(Executed::Done);
                }
                self.refuse_twice(&name.value)
                    .map_err(|error| error.at(name.span))?;
                self.planner(&self.zone()?).query(query)?;
                let view = View {
                    columns: columns.clone(),
                    query: query.clone(),
                };
                self.catalog.insert(name.value.clone(), Entry::View(view));
            }
            Statement::Drop { name, if_exists } => {
                if self.catalog.remove(&name.value).is_none() && !if_exists {
                    return Err(SqlError::new(format!("there is no table {}", name.value))
                        .did_you_mean(&name.value, self.catalog.keys().map(String::as_str))
                        .at(name.span));
                }
            }
            Statement::Set { key, value } => self.set(key.clone(), value.clone())?,
            Statement::Reset { key: Some(key) } => {
                self.settings.remove(key);
            }
            Statement::Reset { key: None } => self.settings.clear(),
            Statement::Insert(insert) => {
                let zone = self.zone()?;
                let (relation, sink) = self.planner(&zone).insert(insert)?;
                return Ok(Executed::Job(Box::new(self.plan(relation, Some(sink), zone))));
            }
            Statement::Query(query) => {
                let zone = self.zone()?;
                let relation = self.planner(&zone).query(query)?;
                return Ok(Executed::Query(Box::new(self.plan(relation, None, zone))));
            }
            Statement::Explain(inner) => {
                return Ok(Executed::Plan(match self.execute(inner)? {
                    Executed::Job(plan) => {
                        let sink = plan.sink_table().unwrap_or_default().to_owned();
                        format!("{}\nsink {sink}", plan.relation)
                    }
                    Executed::Query(plan) => plan.relation.to_string(),
                    _ => String::new(),
                }));
            }
            Statement::ShowTables => {
                let kind = |entry: &Entry| match entry {
                    Entry::Table(_) => TableKind::Table,
                    Entry::View(_) => TableKind::View,
                };
                let tables = self
                    .catalog
                    .iter()
                    .map(|(name, entry)| (name.clone(), kind(entry)));
                return Ok(Executed::Tables(tables.collect()));
            }
            Statement::Describe { name } => return self.describe(name),
        }
        Ok(Executed::Done)
    }

    fn describe(&self, name: &sqlparser::ast::Ident) -> SqlResult<Executed> {
        let fields = match self.catalog.get(&name.value) {
            Some(Entry::Table(table)) => table.fields(),
            Some(Entry::View(view)) => self.planner(&self.zone()?).query(&view.query)?.fields,
            None => {
                return Err(SqlError::new(format!("there is no table {}", name.value))
                    .did_you_mean(&name.value, self.catalog.keys().map(String::as_str))
                    .at(name.span));
            }
        };
        Ok(Executed::Columns(
            fields
                .into_iter()
                .map(|field| (field.name, field.data_type))
                .collect(),
        ))
    }

    fn refuse_twice(&self, name: &str) -> SqlResult<()> {
        if self.catalog.contains_key(name) {
            return Err(SqlError::new(format!("{name} exists already")).help(format!(
                "choose another name, or write DROP TABLE {name} before it"
            )));
        }
        Ok(())
    }

    fn planner<'a>(&'a self, zone: &'a TimeZone) -> Planner<'a> {
        Planner {
            catalog: &self.catalog,
            zone,
        }
    }

    fn plan(
        &self,
        relation: crate::plan::query::Relation,
        sink: Option<Arc<catalog::Table>>,
        zone: TimeZone,
    ) -> JobPlan {
        let duration = |key: &str| self.settings.get(key).and_then(|text| duration_ms(text));
        JobPlan {
            relation,
            sink,
            zone,
            idle_timeout_ms: duration(IDLE_TIMEOUT),
            checkpoint_interval_ms: duration(CHECKPOINT_INTERVAL),
        }
    }

    fn zone(&self) -> SqlResult<TimeZone> {
        match self.settings.get(ZONE) {
            None => Ok(TimeZone::system()),
            Some(name) => zone_of(name),
        }
    }

    /// SET: settings that this engine does not read are kept, as Flink keeps them.
    fn set(&mut self, key: String, value: String) -> SqlResult<()> {
        match key.as_str() {
            ZONE => drop(zone_of(&value)?),
            IDLE_TIMEOUT | CHECKPOINT_INTERVAL if duration_ms(&value).is_none() => {
                return Err(
                    SqlError::new(format!("'{value}' is no duration")).help("write '5 s' or '200 ms'")
                );
            }
            RUNTIME_MODE if !value.eq_ignore_ascii_case("streaming") => {
                return Err(SqlError::unsupported(format!("'{RUNTIME_MODE}' = '{value}'"))
                    .help("leave it at 'streaming': with 'scan.bounded.mode' = 'latest-offset' the job ends by itself"));
            }
            _ => {}
        }
        self.settings.insert(key, value);
        Ok(())
    }

    /// Every topic that a table of the session names, for completion and checks.
    pub fn topics(&self) -> Vec<&str> {
        let tables = self.catalog.values().filter_map(|entry| match entry {
            Entry::Table(table) => Some(table),
            Entry::View(_) => None,
        });
        tables
            .filter_map(|table| match &table.connector {
                Connector::Kafka(kafka) => Some(kafka.topics.iter().map(String::as_str)),
                Connector::Print | Connector::Blackhole => None,
            })
            .flatten()
            .collect()
    }
}

/// `UTC`, `Europe/Berlin`, `GMT+02:00`, `+02:00`.
fn zone_of(name: &str) -> SqlResult<TimeZone> {
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let offset = name
        .strip_prefix("GMT")
        .or_else(|| name.strip_prefix("UTC"))
        .unwrap_or(name);
    let parsed = || -> Option<TimeZone> {
        let (sign, rest) = match offset.as_bytes().first()? {
            b'+' => (1, &offset[1..]),
            b'-' => (-1, &offset[1..]),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
        let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
        Some(TimeZone::fixed(
            jiff::tz::Offset::from_seconds(sign * seconds).ok()?,
        ))
    };
    parsed().ok_or_else(|| {
        SqlError::new(format!("there is no time zone '{name}'")).help("write 'UTC' or 'Europe/Berlin'")
    })
}
