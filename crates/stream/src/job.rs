//! A job: one source, a chain of operators, a sink. It moves only when it is called, and knows no Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::expr::{Env, Expr};
use crate::format::{FormatError, Reader, Writer};
use crate::operator::calc::Calc;
use crate::operator::group_aggregate::GroupAggregate;
use crate::operator::limit::Limit;
use crate::operator::window_aggregate::WindowAggregate;
use crate::operator::window_assign::WindowAssign;
use crate::operator::{OpenWindow, Operator, OperatorState};
use crate::plan::catalog::{ColumnSource, Metadata, Table};
use crate::plan::options::{Connector, KafkaOptions};
use crate::plan::query::{Relation, Step, writable_columns};
use crate::time::Timestamp;
use crate::types::{Field, Record, Value};
use crate::watermark::{PartitionWatermark, SourceWatermarks};

/// A record of the source as it came.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Which of the job's splits it comes from; the caller numbers topic and partition as it likes.
    pub split: i32,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's timestamp, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// The broker set the timestamp, not the producer.
    pub log_append_time: bool,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes.
    pub value: Option<&'a [u8]>,
}

/// A record for the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkRecord {
    /// The key's bytes.
    pub key: Option<Vec<u8>>,
    /// The value's bytes.
    pub value: Option<Vec<u8>>,
    /// The record's timestamp, when a column sets it.
    pub timestamp_ms: Option<i64>,
}

/// A job as the planner leaves it: everything but its state.
#[derive(Debug, Clone)]
pub struct JobPlan {
    pub(crate) relation: Relation,
    pub(crate) sink: Option<Arc<Table>>,
    pub(crate) zone: TimeZone,
    pub(crate) idle_timeout_ms: Option<i64>,
    pub(crate) checkpoint_interval_ms: Option<i64>,
}

impl JobPlan {
    /// The sink table, or nothing for a SELECT.
    pub fn sink_table(&self) -> Option<&str> {
        self.sink.as_ref().map(|sink| sink.name.as_str())
    }

    /// Where results go; `None` for a SELECT.
    pub fn sink(&self) -> Option<&Connector> {
        self.sink.as_ref().map(|sink| &sink.connector)
    }

    /// The source table.
    pub fn source_table(&self) -> &str {
        &self.relation.source.name
    }

    /// Where rows come from.
    pub fn source(&self) -> Option<&KafkaOptions> {
        match &self.relation.source.connector {
            Connector::Kafka(kafka) => Some(kafka),
            Connector::Print | Connector::Blackhole => None,
        }
    }

    /// The columns of the result.
    pub fn fields(&self) -> &[Field] {
        &self.relation.fields
    }

    /// The session's time zone, in which TIMESTAMP_LTZ is printed.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The zone in which windows and watermarks are read by people: UTC when event times are TIMESTAMPs.
    pub fn clock_zone(&self) -> TimeZone {
        if self.relation.has_instants() {
            self.zone.clone()
        } else {
            TimeZone::UTC
        }
    }

    /// 'execution.checkpointing.interval', when it is set.
    pub fn checkpoint_interval_ms(&self) -> Option<i64> {
        self.checkpoint_interval_ms
    }

    /// Whether results change what was sent before.
    pub fn is_updating(&self) -> bool {
        self.relation.updating
    }

    /// A job without state.
    pub fn build(&self) -> Job {
        Job::new(self)
    }
}

/// One job with its state.
pub struct Job {
    source: Source,
    operators: Vec<Box<dyn Operator>>,
    /// The output of each operator, kept for its memory.
    buffers: Vec<Vec<Record>>,
    writer: Option<SinkWriter>,
    records_in: u64,
    skipped: u64,
    restored_watermark: Option<i64>,
}

/// A checkpoint of the job's own state. Offsets are the caller's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    records_in: u64,
    skipped: u64,
    watermark_ms: Option<i64>,
    splits: BTreeMap<i32, PartitionWatermark>,
    operators: BTreeMap<String, OperatorState>,
}

/// What a job shows of itself.
#[derive(Debug, Clone, Default)]
pub struct JobInsides {
    /// Records read.
    pub records_in: u64,
    /// Records that the format skipped.
    pub skipped: u64,
    /// Events dropped because their windows were closed.
    pub late: u64,
    /// The job's watermark.
    pub watermark_ms: Option<i64>,
    /// The watermark of each split.
    pub splits: BTreeMap<i32, PartitionWatermark>,
    /// The windows that wait for the watermark.
    pub windows_open: Vec<OpenWindow>,
}

impl Job {
    fn new(plan: &JobPlan) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let operators: Vec<Box<dyn Operator>> = plan
            .relation
            .steps
            .iter()
            .map(|step| {
                let count = counts.entry(step.name()).or_default();
                *count += 1;
                operator(format!("{}-{count}", step.name()), step)
            })
            .collect();
        Self {
            source: Source::new(plan),
            buffers: operators.iter().map(|_| Vec::new()).collect(),
            operators,
            writer: plan.sink.as_ref().and_then(|sink| SinkWriter::new(sink)),
            records_in: 0,
            skipped: 0,
            restored_watermark: None,
        }
    }

    /// Makes a split count for the watermark, from before its first record.
    pub fn add_split(&mut self, split: i32, now_ms: i64) {
        self.source.watermarks.add_partition(split, now_ms);
    }

    /// Takes a record. Results are appended to `out`.
    pub fn on_message(
        &mut self,
        message: &Message<'_>,
        now_ms: i64,
        out: &mut Vec<Record>,
    ) -> Result<(), RunError> {
        self.records_in += 1;
        let env = Env {
            now_ms,
            watermark_ms: self.source.watermarks.current_ms(),
        };
        let Some((row, watermark_ms)) = self.source.read(message, &env)? else {
            self.skipped += u64::from(message.value.is_some());
            return Ok(());
        };
        self.push(0, Record::insert(row), &env, out)?;
        if self.source.table.watermark.is_some()
            && let Some(risen) = self
                .source
                .watermarks
                .on_event(message.split, watermark_ms, now_ms)
        {
            self.advance(risen, now_ms, out)?;
        }
        Ok(())
    }

    /// The tick of the processing-time clock: periodic watermarks, idle partitions. Flink's is every 200 ms.
    pub fn on_tick(&mut self, now_ms: i64, out: &mut Vec<Record>) -> Result<(), RunError> {
        match self.source.watermarks.on_tick(now_ms) {
            Some(risen) if self.source.table.watermark.is_some() => self.advance(risen, now_ms, out),
            _ => Ok(()),
        }
    }

    /// A bounded split was read to its end. After the last one all windows close.
    pub fn end_split(&mut self, split: i32, now_ms: i64, out: &mut Vec<Record>) -> Result<(), RunError> {
        match self.source.watermarks.end_partition(split) {
            Some(risen) => self.advance(risen, now_ms, out),
            None => Ok(()),
        }
    }

    /// Whether no further record can change the result (LIMIT).
    pub fn is_done(&self) -> bool {
        self.operators.iter().any(|operator| operator.is_done())
    }

    fn push(&mut self, at: usize, record: Record, env: &Env, out: &mut Vec<Record>) -> Result<(), RunError> {
        let Some(operator) = self.operators.get_mut(at) else {
            out.push(record);
            return Ok(());
        };
        let mut emitted = std::mem::take(&mut self.buffers[at]);
        let mut done = operator.on_record(0, record, env, &mut emitted);
        for record in emitted.drain(..) {
            if done.is_ok() {
                done = self.push(at + 1, record, env, out);
            }
        }
        self.buffers[at] = emitted;
        done
    }

    /// Every operator learns of the watermark, after the results that it brought about before it.
    fn advance(&mut self, watermark_ms: i64, now_ms: i64, out: &mut Vec<Record>) -> Result<(), RunError> {
        debug_assert!(
            self.restored_watermark
                .is_none_or(|before| before <= watermark_ms),
            "a watermark went back"
        );
        self.restored_watermark = Some(watermark_ms);
        let env = Env {
            now_ms,
            watermark_ms: Some(watermark_ms),
        };
        for at in 0..self.operators.len() {
            let mut emitted = std::mem::take(&mut self.buffers[at]);
            self.operators[at].on_watermark(watermark_ms, &env, &mut emitted)?;
            for record in emitted.drain(..) {
                self.push(at + 1, record, &env, out)?;
            }
            self.buffers[at] = emitted;
        }
        Ok(())
    }

    /// Writes a result for the sink. `None`: there is no topic to write to.
    pub fn write(&self, record: &Record) -> Result<Option<SinkRecord>, RunError> {
        self.writer
            .as_ref()
            .map(|writer| writer.write(&record.row))
            .transpose()
    }

    /// The state, between two calls.
    pub fn snapshot(&self) -> Result<Snapshot, RunError> {
        let mut operators = BTreeMap::new();
        for operator in &self.operators {
            if let Some(data) = operator.snapshot()? {
                let state = OperatorState {
                    fingerprint: operator.fingerprint(),
                    data,
                };
                operators.insert(operator.id().to_owned(), state);
            }
        }
        Ok(Snapshot {
            records_in: self.records_in,
            skipped: self.skipped,
            watermark_ms: self.source.watermarks.current_ms(),
            splits: self.source.watermarks.partitions().clone(),
            operators,
        })
    }

    /// Puts a state back into a job that was just built. State belongs to operators: each finds its own by its id, and
    /// must be what it was; state that no operator claims is an error, since rows would be lost without a word.
    pub fn restore(&mut self, mut snapshot: Snapshot, now_ms: i64) -> Result<(), RunError> {
        for operator in &mut self.operators {
            let Some(state) = snapshot.operators.remove(operator.id()) else {
                continue;
            };
            if state.fingerprint != operator.fingerprint() {
                return Err(RunError::State(format!(
                    "{} groups or aggregates something else now",
                    operator.id()
                )));
            }
            operator.restore(state.data)?;
        }
        if let Some(id) = snapshot.operators.keys().next() {
            return Err(RunError::State(format!("the job has no {id} any more")));
        }
        self.records_in = snapshot.records_in;
        self.skipped = snapshot.skipped;
        self.restored_watermark = snapshot.watermark_ms;
        self.source
            .watermarks
            .restore(snapshot.splits, snapshot.watermark_ms, now_ms);
        Ok(())
    }

    /// What it shows of itself.
    pub fn insides(&self) -> JobInsides {
        let mut insides = JobInsides {
            records_in: self.records_in,
            skipped: self.skipped,
            watermark_ms: self.source.watermarks.current_ms(),
            splits: self.source.watermarks.partitions().clone(),
            ..JobInsides::default()
        };
        for operator in &self.operators {
            let own = operator.insides();
            insides.late += own.late;
            insides.windows_open.extend(own.windows_open);
        }
        insides
    }
}

fn operator(id: String, step: &Step) -> Box<dyn Operator> {
    match step {
        Step::Calc { filter, projection } => Box::new(Calc::new(id, filter.clone(), projection.clone())),
        Step::WindowAssign {
            assigner,
            time_column,
            zone,
            ..
        } => Box::new(WindowAssign::new(
            id,
            Arc::clone(assigner),
            *time_column,
            zone.clone(),
        )),
        Step::WindowAggregate(groups) => Box::new(WindowAggregate::new(id, groups.clone())),
        Step::GroupAggregate { keys, calls } => {
            Box::new(GroupAggregate::new(id, keys.clone(), calls.clone()))
        }
        Step::Limit(count) => Box::new(Limit::new(id, *count)),
    }
}

/// A row and its watermark.
type Read = (Vec<Value>, Option<i64>);

/// Reads records into rows of the source table.
struct Source {
    table: Arc<Table>,
    key: Option<Reader>,
    value: Reader,
    metadata: Vec<(usize, Metadata, Expr)>,
    computed: Vec<(usize, Expr)>,
    watermarks: SourceWatermarks,
}

impl Source {
    fn new(plan: &JobPlan) -> Self {
        let table = Arc::clone(&plan.relation.source);
        // The planner reads from 'kafka' only; the others have no format and no rows.
        let (key, value, emit, idle_timeout_ms) = match &table.connector {
            Connector::Kafka(kafka) => {
                let (key, value) = split_columns(&table, kafka);
                let key = kafka.key_format.as_ref().map(|format| Reader::new(format, key));
                let idle = kafka.idle_timeout_ms.or(plan.idle_timeout_ms);
                (key, Reader::new(&kafka.value_format, value), kafka.emit, idle)
            }
            Connector::Print | Connector::Blackhole => {
                let none = Reader::new(&crate::plan::options::Format::Raw, Vec::new());
                (None, none, crate::watermark::Emit::OnPeriodic, None)
            }
        };
        let mut metadata = Vec::new();
        let mut computed = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            match &column.source {
                ColumnSource::Physical => {}
                ColumnSource::Metadata { key, .. } => {
                    let typed = crate::expr::Typed::new(Expr::Column(0), key.data_type());
                    let cast = crate::expr::functions::cast(typed, &column.field.data_type, &plan.zone);
                    metadata.push((index, *key, cast.expr));
                }
                ColumnSource::Computed(expr) => computed.push((index, expr.clone())),
            }
        }
        Self {
            table,
            key,
            value,
            metadata,
            computed,
            watermarks: SourceWatermarks::new(emit, idle_timeout_ms),
        }
    }

    /// The row and its watermark; `None`: the record is skipped.
    fn read(&self, message: &Message<'_>, env: &Env) -> Result<Option<Read>, RunError> {
        let Some(bytes) = message.value else {
            return Ok(None);
        };
        let at = |FormatError(what): FormatError| RunError::Record {
            what: format!("{}: {what}", message.topic),
            partition: message.partition,
            offset: message.offset,
        };
        let mut row = vec![Value::Null; self.table.columns.len()];
        if let (Some(reader), Some(key)) = (&self.key, message.key)
            && !reader.read(key, &mut row).map_err(at)?
        {
            return Ok(None);
        }
        if !self.value.read(bytes, &mut row).map_err(at)? {
            return Ok(None);
        }
        for (index, key, cast) in &self.metadata {
            row[*index] = cast.eval(&[metadata(*key, message)], env)?;
        }
        for (index, expr) in &self.computed {
            row[*index] = expr.eval(&row, env)?;
        }
        let watermark_ms = match &self.table.watermark {
            Some((_, expr)) => expr.eval(&row, env)?.timestamp_ms(),
            None => None,
        };
        Ok(Some((row, watermark_ms)))
    }
}

fn metadata(key: Metadata, message: &Message<'_>) -> Value {
    match key {
        Metadata::Topic => Value::string(message.topic),
        Metadata::Partition => Value::Int(i64::from(message.partition)),
        Metadata::Offset => Value::Int(message.offset),
        Metadata::Timestamp => message
            .timestamp_ms
            .map_or(Value::Null, |ms| Value::Timestamp(Timestamp::from_ms(ms))),
        Metadata::TimestampType => Value::string(match (message.timestamp_ms, message.log_append_time) {
            (None, _) => "NoTimestampType",
            (_, true) => "LogAppendTime",
            (_, false) => "CreateTime",
        }),
    }
}

type FormatColumns = Vec<(String, usize, Field)>;

/// The physical columns, of the key and of the value, under their names in the record.
fn split_columns(table: &Table, kafka: &KafkaOptions) -> (FormatColumns, FormatColumns) {
    let physical = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.source == ColumnSource::Physical);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for (index, column) in physical {
        let name = column.field.name.clone();
        let is_key = kafka.key_fields.contains(&name);
        if is_key {
            let in_key = name.strip_prefix(&kafka.key_prefix).unwrap_or(&name).to_owned();
            key.push((in_key, index, column.field.clone()));
        }
        if !is_key || kafka.value_has_key {
            value.push((name, index, column.field.clone()));
        }
    }
    // The key's fields come in the order of 'key.fields'.
    key.sort_by_key(|(_, index, _)| {
        kafka
            .key_fields
            .iter()
            .position(|name| *name == table.columns[*index].field.name)
    });
    (key, value)
}

/// Writes rows of the sink table as records.
struct SinkWriter {
    key: Option<Writer>,
    value: Writer,
    timestamp: Option<usize>,
    /// Columns declared NOT NULL, with their names.
    not_null: Vec<(usize, String)>,
    table: String,
}

impl SinkWriter {
    fn new(table: &Table) -> Option<Self> {
        let Connector::Kafka(kafka) = &table.connector else {
            return None;
        };
        // Rows for the sink hold the writable columns only.
        let writable = writable_columns(table).unwrap_or_default();
        let place = |columns: FormatColumns| -> FormatColumns {
            let at = |index| writable.iter().position(|column| *column == index);
            columns
                .into_iter()
                .filter_map(|(name, index, field)| Some((name, at(index)?, field)))
                .collect()
        };
        let (key, value) = split_columns(table, kafka);
        let is_timestamp = |index: &usize| {
            matches!(
                table.columns[*index].source,
                ColumnSource::Metadata {
                    key: Metadata::Timestamp,
                    ..
                }
            )
        };
        Some(Self {
            key: kafka
                .key_format
                .as_ref()
                .map(|format| Writer::new(format, place(key))),
            value: Writer::new(&kafka.value_format, place(value)),
            timestamp: writable.iter().position(is_timestamp),
            not_null: writable
                .iter()
                .enumerate()
                .filter(|(_, column)| table.columns[**column].not_null)
                .map(|(index, column)| (index, table.columns[*column].field.name.clone()))
                .collect(),
            table: table.name.clone(),
        })
    }

    fn write(&self, row: &[Value]) -> Result<SinkRecord, RunError> {
        for (index, name) in &self.not_null {
            if row.get(*index).is_none_or(Value::is_null) {
                return Err(RunError::Sink(format!(
                    "the column {name} of {} is NOT NULL, and a row has NULL for it",
                    self.table
                )));
            }
        }
        let failed = |FormatError(what): FormatError| RunError::Sink(what);
        Ok(SinkRecord {
            key: match &self.key {
                Some(writer) => writer.write(row).map_err(failed)?,
                None => None,
            },
            value: self.value.write(row).map_err(failed)?,
            timestamp_ms: self.timestamp.and_then(|index| row.get(index)?.timestamp_ms()),
        })
    }
}
