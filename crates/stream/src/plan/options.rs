//! The WITH clause of CREATE TABLE: the options of Flink's connectors and formats. Unknown ones are refused, as Flink does.

use std::collections::BTreeMap;

use sqlparser::tokenizer::Span;

use crate::error::{SqlError, SqlResult};
use crate::sql::Options;
use crate::watermark::Emit;

/// Where the rows of a table come from or go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connector {
    /// Topics of a Kafka cluster.
    Kafka(Box<KafkaOptions>),
    /// Rows are printed, as in Flink's task log.
    Print,
    /// Rows are dropped.
    Blackhole,
}

/// The options of the `kafka` connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// One topic, or several for a source.
    pub topics: Vec<String>,
    /// `properties.*` without the prefix: settings of the client.
    pub properties: BTreeMap<String, String>,
    /// Where a source starts.
    pub startup: Startup,
    /// Where a source ends.
    pub bounded: Bounded,
    /// The format of keys, when keys are read or written.
    pub key_format: Option<Format>,
    /// The columns that make up the key.
    pub key_fields: Vec<String>,
    /// Put before the names of key columns, and not in the key itself.
    pub key_prefix: String,
    /// The format of values.
    pub value_format: Format,
    /// Whether key columns are in the value too.
    pub value_has_key: bool,
    /// When watermarks go on.
    pub emit: Emit,
    /// When a partition counts as idle; the session's setting when it is not given.
    pub idle_timeout_ms: Option<i64>,
    /// Whether the sink waits for the brokers before a checkpoint.
    pub at_least_once: bool,
    /// The sink writes partition 0 only (Flink's `fixed`, with one task).
    pub fixed_partition: bool,
}

/// 'scan.startup.mode'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    /// From the first record that is still there.
    Earliest,
    /// From the records that come after the start.
    Latest,
    /// From what the group has committed; else by 'properties.auto.offset.reset', else an error.
    Group,
    /// From the first record with this timestamp or a later one.
    Timestamp(i64),
    /// From these offsets.
    Offsets(BTreeMap<i32, i64>),
}

/// 'scan.bounded.mode'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bounded {
    /// No end.
    Never,
    /// The end that the topic has when the job starts.
    Latest,
    /// What the group has committed.
    Group,
    /// The first record with this timestamp or a later one.
    Timestamp(i64),
    /// These offsets.
    Offsets(BTreeMap<i32, i64>),
}

/// How keys and values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json(JsonOptions),
    /// The bytes of one column.
    Raw,
}

/// The options of the `json` format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonOptions {
    /// Times are written `2026-03-01T18:00:54` (ISO-8601) instead of with a space (SQL).
    pub iso_times: bool,
    /// What can't be read becomes NULL, or is skipped when it is no JSON at all.
    pub ignore_parse_errors: bool,
    /// A field that is not there is an error instead of NULL.
    pub fail_on_missing_field: bool,
    /// Fields that are NULL are not written.
    pub ignore_null_fields: bool,
    /// DECIMALs are never written with an exponent.
    pub plain_decimals: bool,
}

/// Options of Flink's that this engine reads.
const KNOWN: &[&str] = &[
    "connector",
    "topic",
    "format",
    "key.format",
    "key.fields",
    "key.fields-prefix",
    "value.format",
    "value.fields-include",
    "scan.startup.mode",
    "scan.startup.specific-offsets",
    "scan.startup.timestamp-millis",
    "scan.bounded.mode",
    "scan.bounded.specific-offsets",
    "scan.bounded.timestamp-millis",
    "scan.watermark.emit.strategy",
    "scan.watermark.idle-timeout",
    "sink.partitioner",
    "sink.delivery-guarantee",
];

/// Options of Flink's that make no difference on one machine.
const WITHOUT_EFFECT: &[&str] = &[
    "scan.topic-partition-discovery.interval",
    "scan.parallelism",
    "sink.parallelism",
    "sink.transactional-id-prefix",
    "sink.transaction-naming-strategy",
];

/// Options of Flink's that this engine does not have yet.
const MISSING: &[&str] = &[
    "topic-pattern",
    "scan.watermark.alignment.group",
    "scan.watermark.alignment.max-drift",
    "scan.watermark.alignment.update-interval",
];

const JSON: &[&str] = &[
    "timestamp-format.standard",
    "ignore-parse-errors",
    "fail-on-missing-field",
    "encode.ignore-null-fields",
    "encode.decimal-as-plain-number",
    "map-null-key.mode",
    "map-null-key.literal",
    "decode.json-parser.enabled",
];

/// Reads options and keeps track of which were read.
struct Reader<'a> {
    options: &'a Options,
    table: Span,
}

impl Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(|(value, _)| value.as_str())
    }

    fn span(&self, key: &str) -> Span {
        self.options.get(key).map_or(self.table, |(_, span)| *span)
    }

    fn required(&self, key: &str) -> SqlResult<&str> {
        self.get(key).ok_or_else(|| {
            SqlError::new(format!("the option '{key}' is missing"))
                .help(format!("add '{key}' = '…' to WITH"))
                .at(self.table)
        })
    }

    fn wrong(&self, key: &str, expected: &str) -> SqlError {
        let value = self.get(key).unwrap_or_default();
        SqlError::new(format!("'{key}' can't be '{value}'"))
            .help(expected)
            .at(self.span(key))
    }

    fn flag(&self, key: &str) -> SqlResult<bool> {
        match self.get(key).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(self.wrong(key, "it is 'true' or 'false'")),
        }
    }

    fn millis(&self, key: &str) -> SqlResult<i64> {
        self.required(key)?
            .parse()
            .map_err(|_| self.wrong(key, "it is a number of milliseconds since 1970"))
    }

    fn offsets(&self, key: &str) -> SqlResult<BTreeMap<i32, i64>> {
        let shape = "it is written 'partition:0,offset:42;partition:1,offset:300'";
        self.required(key)?
            .split(';')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (partition, offset) = part.split_once(',')?;
                let partition = partition.trim().strip_prefix("partition:")?.parse().ok()?;
                Some((partition, offset.trim().strip_prefix("offset:")?.parse().ok()?))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong(key, shape))
    }
}

/// Reads the WITH clause of a table.
pub(crate) fn read(options: &Options, table: Span) -> SqlResult<Connector> {
    let reader = Reader { options, table };
    match reader.required("connector")? {
        "kafka" => kafka(&reader).map(|kafka| Connector::Kafka(Box::new(kafka))),
        "print" => simple(
            &reader,
            Connector::Print,
            &["print-identifier", "standard-error", "sink.parallelism"],
        ),
        "blackhole" => simple(&reader, Connector::Blackhole, &[]),
        other => {
            let error = SqlError::unsupported(format!("the connector '{other}'"));
            Err(error
                .did_you_mean(other, ["kafka", "print", "blackhole"])
                .at(reader.span("connector")))
        }
    }
}

fn simple(reader: &Reader<'_>, connector: Connector, known: &[&str]) -> SqlResult<Connector> {
    for (key, (_, span)) in reader.options {
        if key != "connector" && !known.contains(&key.as_str()) {
            return Err(unknown(key, known.iter().copied()).at(*span));
        }
    }
    Ok(connector)
}

fn unknown<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> SqlError {
    SqlError::new(format!("there is no option '{key}'")).did_you_mean(key, known)
}

fn kafka(reader: &Reader<'_>) -> SqlResult<KafkaOptions> {
    refuse_unknown(reader)?;
    let properties: BTreeMap<String, String> = reader
        .options
        .iter()
        .filter_map(|(key, (value, _))| Some((key.strip_prefix("properties.")?.to_owned(), value.clone())))
        .collect();
    let topics: Vec<String> = reader
        .required("topic")?
        .split(';')
        .map(|topic| topic.trim().to_owned())
        .collect();
    if topics.iter().any(String::is_empty) {
        return Err(reader.wrong(
            "topic",
            "it is the name of a topic, or several with ; between them",
        ));
    }
    let key_fields: Vec<String> = reader
        .get("key.fields")
        .map(|fields| fields.split(';').map(|field| field.trim().to_owned()).collect())
        .unwrap_or_default();
    let key_format = match reader.get("key.format") {
        Some(_) => Some(format(reader, "key.format", "key.")?),
        None => None,
    };
    if key_format.is_some() == key_fields.is_empty() {
        return Err(SqlError::new("'key.format' and 'key.fields' go together")
            .help("give both, or neither")
            .at(reader.table));
    }
    let value_format = match (reader.get("format"), reader.get("value.format")) {
        (Some(_), Some(_)) => {
            return Err(SqlError::new("'format' and 'value.format' are the same option")
                .help("give one of them")
                .at(reader.span("value.format")));
        }
        (_, Some(_)) => format(reader, "value.format", "value.")?,
        (Some(_), None) => format(reader, "format", "")?,
        (None, None) => {
            return Err(SqlError::new("the option 'format' is missing")
                .help("add 'format' = 'json'")
                .at(reader.table));
        }
    };
    Ok(KafkaOptions {
        startup: startup(reader, &properties)?,
        bounded: bounded(reader, &properties)?,
        key_format,
        key_fields,
        key_prefix: reader.get("key.fields-prefix").unwrap_or_default().to_owned(),
        value_format,
        value_has_key: match reader.get("value.fields-include").unwrap_or("ALL") {
            "ALL" => true,
            "EXCEPT_KEY" => false,
            _ => return Err(reader.wrong("value.fields-include", "it is 'ALL' or 'EXCEPT_KEY'")),
        },
        emit: match reader
            .get("scan.watermark.emit.strategy")
            .unwrap_or("on-periodic")
        {
            "on-periodic" => Emit::OnPeriodic,
            "on-event" => Emit::OnEvent,
            _ => {
                return Err(reader.wrong(
                    "scan.watermark.emit.strategy",
                    "it is 'on-event' or 'on-periodic'",
                ));
            }
        },
        idle_timeout_ms: match reader.get("scan.watermark.idle-timeout") {
            Some(text) => Some(
                duration_ms(text)
                    .ok_or_else(|| reader.wrong("scan.watermark.idle-timeout", "write '5 s'"))?,
            ),
            None => None,
        },
        at_least_once: match reader.get("sink.delivery-guarantee").unwrap_or("at-least-once") {
            "at-least-once" => true,
            "none" => false,
            "exactly-once" => {
                return Err(SqlError::unsupported("the delivery guarantee exactly-once")
                    .help("write 'at-least-once': after a crash some rows may come twice")
                    .at(reader.span("sink.delivery-guarantee")));
            }
            _ => {
                return Err(reader.wrong(
                    "sink.delivery-guarantee",
                    "it is 'at-least-once', 'exactly-once' or 'none'",
                ));
            }
        },
        fixed_partition: match reader.get("sink.partitioner").unwrap_or("default") {
            "default" | "round-robin" => false,
            "fixed" => true,
            _ => {
                return Err(SqlError::unsupported("a partitioner class")
                    .help("it is 'default', 'fixed' or 'round-robin'")
                    .at(reader.span("sink.partitioner")));
            }
        },
        topics,
        properties,
    })
}

fn refuse_unknown(reader: &Reader<'_>) -> SqlResult<()> {
    for (key, (_, span)) in reader.options {
        let plain = key.as_str();
        let of_format = ["json.", "key.json.", "value.json."]
            .iter()
            .find_map(|prefix| plain.strip_prefix(prefix));
        let known = KNOWN.contains(&plain)
            || WITHOUT_EFFECT.contains(&plain)
            || plain.starts_with("properties.")
            || plain.starts_with("raw.")
            || of_format.is_some_and(|option| JSON.contains(&option));
        if MISSING.contains(&plain) {
            return Err(SqlError::unsupported(format!("the option '{plain}'")).at(*span));
        }
        if !known {
            let json = [
                "json.timestamp-format.standard",
                "json.ignore-parse-errors",
                "json.fail-on-missing-field",
            ];
            let others = [
                "properties.bootstrap.servers",
                "properties.group.id",
                "properties.auto.offset.reset",
            ];
            let names = KNOWN.iter().copied().chain(json).chain(others);
            return Err(unknown(plain, names).at(*span));
        }
    }
    Ok(())
}

fn format(reader: &Reader<'_>, key: &str, prefix: &str) -> SqlResult<Format> {
    match reader.get(key).unwrap_or_default() {
        "raw" => Ok(Format::Raw),
        "json" => {
            let option = |name: &str| format!("{prefix}json.{name}");
            let times = option("timestamp-format.standard");
            Ok(Format::Json(JsonOptions {
                iso_times: match reader.get(&times).unwrap_or("SQL") {
                    "SQL" => false,
                    "ISO-8601" => true,
                    _ => return Err(reader.wrong(&times, "it is 'SQL' or 'ISO-8601'")),
                },
                ignore_parse_errors: reader.flag(&option("ignore-parse-errors"))?,
                fail_on_missing_field: reader.flag(&option("fail-on-missing-field"))?,
                ignore_null_fields: reader.flag(&option("encode.ignore-null-fields"))?,
                plain_decimals: reader.flag(&option("encode.decimal-as-plain-number"))?,
            }))
            .and_then(|format| match &format {
                Format::Json(json) if json.ignore_parse_errors && json.fail_on_missing_field => {
                    Err(SqlError::new(
                        "'json.fail-on-missing-field' and 'json.ignore-parse-errors' can't both be true",
                    )
                    .at(reader.span(key)))
                }
                _ => Ok(format),
            })
        }
        other => Err(SqlError::unsupported(format!("the format '{other}'"))
            .did_you_mean(other, ["json", "raw"])
            .at(reader.span(key))),
    }
}

fn needs_group(reader: &Reader<'_>, properties: &BTreeMap<String, String>, key: &str) -> SqlResult<()> {
    if properties.contains_key("group.id") {
        return Ok(());
    }
    Err(SqlError::new(format!("'{key}' = 'group-offsets' needs a group"))
        .help("add 'properties.group.id' = '…', or choose another mode")
        .at(reader.span(key)))
}

fn startup(reader: &Reader<'_>, properties: &BTreeMap<String, String>) -> SqlResult<Startup> {
    let key = "scan.startup.mode";
    Ok(match reader.get(key).unwrap_or("group-offsets") {
        "earliest-offset" => Startup::Earliest,
        "latest-offset" => Startup::Latest,
        "group-offsets" => {
            // A sink has no group: whether this table is read is seen by the source.
            if reader.get(key).is_some() {
                needs_group(reader, properties, key)?;
            }
            Startup::Group
        }
        "timestamp" => Startup::Timestamp(reader.millis("scan.startup.timestamp-millis")?),
        "specific-offsets" => Startup::Offsets(reader.offsets("scan.startup.specific-offsets")?),
        _ => {
            return Err(reader.wrong(
                key,
                "it is 'earliest-offset', 'latest-offset', 'group-offsets', 'timestamp' or 'specific-offsets'",
            ));
        }
    })
}

fn bounded(reader: &Reader<'_>, properties: &BTreeMap<String, String>) -> SqlResult<Bounded> {
    let key = "scan.bounded.mode";
    Ok(match reader.get(key).unwrap_or("unbounded") {
        "unbounded" => Bounded::Never,
        "latest-offset" => Bounded::Latest,
        "group-offsets" => {
            needs_group(reader, properties, key)?;
            Bounded::Group
        }
        "timestamp" => Bounded::Timestamp(reader.millis("scan.bounded.timestamp-millis")?),
        "specific-offsets" => Bounded::Offsets(reader.offsets("scan.bounded.specific-offsets")?),
        _ => {
            return Err(reader.wrong(
                key,
                "it is 'unbounded', 'latest-offset', 'group-offsets', 'timestamp' or 'specific-offsets'",
            ));
        }
    })
}

/// A duration as Flink writes it: `5 s`, `200ms`, `1 min`; a bare number is milliseconds.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}
