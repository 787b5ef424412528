//! `kafka-console-consumer`: records of a topic are printed as lines.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, Timestamp, TopicPartitionList};

use crate::kafka::{KafkaError, Target};

use super::coordinator::Formatter;
use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin};
use super::names::{Pattern, with_question};
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-console-consumer",
    about: "Read records of a topic and print them, until Ctrl-C.",
    examples: &[
        "--topic rides --from-beginning",
        "--topic rides --group map --from-beginning --max-messages 10",
        "--topic rides --partition 0 --offset 5 --formatter-property print.key=true",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

/// How long the consumer may take to leave its group and commit.
const LEAVE: Duration = Duration::from_secs(10);
/// The same where no broker answered just before.
const LEAVE_SILENCE: Duration = Duration::from_secs(1);
/// That no broker answers is said again after so long.
const SAY_AGAIN: Duration = Duration::from_secs(30);
const FORMATTER_PROPERTIES: &[&str] = &[
    "print.timestamp",
    "print.key",
    "print.offset",
    "print.epoch",
    "print.partition",
    "print.headers",
    "print.value",
    "key.separator",
    "line.separator",
    "headers.separator",
    "null.literal",
];

const FORMATTERS: &[&str] = &[
    "org.apache.kafka.tools.consumer.DefaultMessageFormatter",
    "org.apache.kafka.tools.consumer.OffsetsMessageFormatter",
    "org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter",
    "org.apache.kafka.tools.consumer.TransactionLogMessageFormatter",
    "org.apache.kafka.tools.consumer.group.share.ShareGroupStateMessageFormatter",
    "org.apache.kafka.tools.consumer.NoOpMessageFormatter",
];

const CLIENT_PROPERTIES: &[&str] = &[
    "auto.offset.reset",
    "client.id",
    "enable.auto.commit",
    "group.id",
    "group.instance.id",
    "isolation.level",
    "partition.assignment.strategy",
    "session.timeout.ms",
];

static FLAGS: [Flag; 24] = [
    flag("topic", Takes::Topic, "The topic to read."),
    flag(
        "include",
        Takes::Text("pattern"),
        "A regular expression: all topics that it fits.",
    ),
    flag(
        "from-beginning",
        Takes::Nothing,
        "Start at the oldest record, unless the group has a committed offset.",
    ),
    flag(
        "group",
        Takes::Group,
        "The group to read in; else a new one with a number.",
    ),
    flag(
        "max-messages",
        Takes::Number("count"),
        "End after so many records.",
    ),
    flag(
        "timeout-ms",
        Takes::Number("ms"),
        "End when no record came for so long.",
    ),
    flag(
        "partition",
        Takes::Number("number"),
        "Read this partition alone, without a group.",
    ),
    flag(
        "offset",
        Takes::OneOf(&["earliest", "latest"]),
        "Where to start in --partition: a number, earliest or latest.",
    ),
    flag(
        "formatter-property",
        Takes::Property(FORMATTER_PROPERTIES),
        "What is printed: print.key=true, print.partition=true and others.",
    ),
    flag(
        "property",
        Takes::Property(FORMATTER_PROPERTIES),
        "The old name of --formatter-property.",
    ),
    flag(
        "formatter-config",
        Takes::Text("file"),
        "A file with formatter properties.",
    ),
    flag(
        "formatter",
        Takes::OneOf(FORMATTERS),
        "How records are printed: DefaultMessageFormatter, or OffsetsMessageFormatter (__consumer_offsets), TransactionLogMessageFormatter (__transaction_state), ShareGroupStateMessageFormatter (__share_group_state).",
    ),
    flag(
        "isolation-level",
        Takes::OneOf(&["read_uncommitted", "read_committed"]),
        "With read_committed, leave out records of transactions that did not commit.",
    ),
    flag(
        "command-property",
        Takes::Property(CLIENT_PROPERTIES),
        "A consumer property, such as session.timeout.ms=10000.",
    ),
    flag(
        "consumer-property",
        Takes::Property(CLIENT_PROPERTIES),
        "The old name of --command-property.",
    ),
    flag(
        "consumer.config",
        Takes::Text("file"),
        "The old name of --command-config.",
    ),
    flag(
        "key-deserializer",
        Takes::Text("class"),
        "How keys are read: StringDeserializer, LongDeserializer and others.",
    ),
    flag(
        "value-deserializer",
        Takes::Text("class"),
        "How values are read: StringDeserializer, LongDeserializer and others.",
    ),
    flag(
        "skip-message-on-error",
        Takes::Nothing,
        "Pass over a record that can't be printed.",
    ),
    flag(
        "enable-systest-events",
        Takes::Nothing,
        "Accepted and without effect: for Kafka's own tests.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

/// How long one wait for records may last before Ctrl-C is looked at again.
const SLICE: Duration = Duration::from_millis(50);

/// How long a question about a group's start may take.
const LOOK: Duration = Duration::from_secs(3);

/// JVM's exit code after Ctrl-C (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// How many records are printed between two flushes while more are waiting.
const FLUSH_RECORDS: usize = 500;

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    for (old, new) in [
        ("property", "formatter-property"),
        ("consumer-property", "command-property"),
        ("consumer.config", "command-config"),
    ] {
        if args.has(old) {
            writeln!(
                io.stdout,
                "Option --{old} is deprecated and will be removed in a future version. Use --{new} instead."
            )?;
        }
    }
    let start = check(args)?;
    let format = Format::new(args, io)?;
    let max: Option<i64> = args.number("max-messages")?;
    let idle = args
        .number::<i64>("timeout-ms")?
        .and_then(|ms| u64::try_from(ms).ok());
    let target = properties::target(args, io)?;
    let consumer: BaseConsumer = config(args, &target, io)?
        .create()
        .map_err(|error| Failure::Kafka(error.into()))?;
    subscribe(&consumer, args, start, &target, io)?;
    let mut reading = Reading {
        consumer: &consumer,
        format: &format,
        max: max
            .and_then(|max| usize::try_from(max).ok())
            .filter(|max| *max > 0),
        idle: idle.map(Duration::from_millis),
        count: 0,
        starts: None,
        unanswered: None,
    };
    let outcome = reading.copy(args, &target, io);
    let count = reading.count;
    let answered = reading.unanswered.is_none();
    if args.has("group") && answered {
        reading.commit_starts();
    }
    leave(consumer, if answered { LEAVE } else { LEAVE_SILENCE }, io)?;
    let flushed = io.stdout.flush();
    writeln!(io.stderr, "Processed a total of {count} messages")?;
    flushed?;
    outcome
}

/// Leaves the group and commits, before the count tells that all is done. A cluster that doesn't answer is not waited
/// for longer than `patience`.
fn leave(consumer: BaseConsumer, patience: Duration, io: &mut ToolIo<'_>) -> std::io::Result<()> {
    let (left, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(consumer);
        // Nobody listens any more after the patience.
        let _ = left.send(());
    });
    if heard.recv_timeout(patience).is_err() {
        writeln!(
            io.stderr,
            "WARN no broker answers: what was read last may not be committed"
        )?;
    }
    Ok(())
}

/// Where a single partition is read from; `None`: the group decides.
fn check(args: &Args) -> Result<Option<(i32, Offset)>, Failure> {
    if args.count(&["topic", "include"]) != 1 {
        return Err(Failure::Usage(
            "Exactly one of the following arguments is required: [topic], [include]".into(),
        ));
    }
    let partition: Option<i32> = args.number("partition")?;
    let Some(partition) = partition else {
        if args.has("offset") {
            return Err(Failure::Usage(
                "The partition is required when offset is specified.".into(),
            ));
        }
        return Ok(None);
    };
    if !args.has("topic") {
        return Err(Failure::Usage(
            "The topic is required when partition is specified.".into(),
        ));
    }
    if args.has("from-beginning") && args.has("offset") {
        return Err(Failure::Usage(
            "Options from-beginning and offset cannot be specified together.".into(),
        ));
    }
    let offset = match args.one("offset")? {
        None if args.has("from-beginning") => Offset::Beginning,
        None => Offset::End,
        Some(word) => match (word.to_ascii_lowercase().as_str(), word.parse::<i64>()) {
            ("earliest", _) => Offset::Beginning,
            ("latest", _) => Offset::End,
            (_, Ok(offset)) if offset >= 0 => Offset::Offset(offset),
            _ => {
                return Err(Failure::Usage(format!(
                    "The provided offset value '{word}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
                )));
            }
        },
    };
    if args.has("group") {
        return Err(Failure::Usage(
            "Options group and partition cannot be specified together.".into(),
        ));
    }
    Ok(Some((partition, offset)))
}

fn config(args: &Args, target: &Target, io: &mut ToolIo<'_>) -> Result<ClientConfig, Failure> {
    let mut target = target.clone();
    for file in args.all("consumer.config") {
        target.properties.extend(properties::read_file(file, io)?);
    }
    let mut given = args.properties("consumer-property")?;
    given.extend(args.properties("command-property")?);
    let isolation = args.one("isolation-level")?.unwrap_or("read_uncommitted");
    if !["read_committed", "read_uncommitted"].contains(&isolation) {
        return Err(Failure::Bare(format!(
            "org.apache.kafka.common.config.ConfigException: Invalid value {isolation} for configuration isolation.level: String must be one of: read_committed, read_uncommitted"
        )));
    }
    let mut groups: BTreeSet<&str> = args.one("group")?.into_iter().collect();
    groups.extend(
        given
            .iter()
            .filter(|(name, _)| *name == "group.id")
            .map(|(_, value)| *value),
    );
    if groups.len() > 1 {
        let listed: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
        return Err(Failure::Usage(format!(
            "The group ids provided in different places (directly using '--group', via '--command-property', or via '--command-config') do not match. Detected group ids: {}",
            listed.join(", ")
        )));
    }
    let reset = given
        .iter()
        .find(|(name, _)| *name == "auto.offset.reset")
        .map(|(_, value)| *value);
    if let Some(reset) = reset.filter(|reset| args.has("from-beginning") && *reset != "earliest") {
        return Err(Failure::Bare(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
        )));
    }
    let group = match groups.first() {
        Some(group) => (*group).to_owned(),
        None => format!("console-consumer-{}", rand::rng().random_range(0..100_000)),
    };
    let mut config = target.consumer_config();
    config
        .set("client.id", "console-consumer")
        // A group of the tool's own is never used again: nothing is committed in its name.
        .set(
            "enable.auto.commit",
            if groups.is_empty() { "false" } else { "true" },
        )
        // Only a printed record counts as read: leaving the group polls what was fetched beyond --max-messages.
        .set("enable.auto.offset.store", "false")
        .set(
            "auto.offset.reset",
            if args.has("from-beginning") {
                "earliest"
            } else {
                "latest"
            },
        )
        .set("isolation.level", isolation)
        // What Kafka's Java consumers can agree on: both may be members of one group.
        .set("partition.assignment.strategy", "range")
        // As the Java consumer: reading a topic that isn't there may make it.
        .set("allow.auto.create.topics", "true")
        .set("fetch.wait.max.ms", "100");
    given.retain(|(name, _)| *name != "group.id");
    properties::apply(&mut config, &given, io)?;
    config.set("group.id", target.real(&group));
    Ok(config)
}

fn subscribe(
    consumer: &BaseConsumer,
    args: &Args,
    start: Option<(i32, Offset)>,
    target: &Target,
    io: &mut ToolIo<'_>,
) -> Ran {
    let client = |error: rdkafka::error::KafkaError| Failure::Kafka(error.into());
    let Some(topic) = args.one("topic")? else {
        let pattern = args.one("include")?.unwrap_or_default();
        Pattern::new(pattern)?;
        let prefix = regex::escape(&target.prefix);
        let pattern = pattern.trim().replace(',', "|");
        return consumer
            .subscribe(&[&format!("^{prefix}(?:{pattern})$").replace("(?:", "(")])
            .map_err(client);
    };
    let real = target.real(topic);
    if let Some((partition, offset)) = start {
        // So that the client knows the partition's leader at once.
        let metadata = consumer
            .fetch_metadata(Some(&real), Duration::from_secs(10))
            .map_err(client)?;
        let count = metadata
            .topics()
            .first()
            .map_or(0, |topic| topic.partitions().len());
        if count > 0 && usize::try_from(partition).is_ok_and(|partition| partition >= count) {
            // Kafka's tool waits for it without a word.
            io.hint(&format!(
                "topic '{topic}' has no partition {partition}: they are counted from 0, and the last is {}",
                count - 1
            ))?;
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&real, partition, offset)
            .map_err(client)?;
        consumer.assign(&list).map_err(client)
    } else {
        let topics = admin(target)?.topics()?;
        if topics.iter().all(|known| known.name != topic) {
            writeln!(
                io.stderr,
                "WARN [Consumer clientId=console-consumer] The metadata response from the cluster reported a recoverable issue : {{{}=UNKNOWN_TOPIC_OR_PARTITION}}",
                crate::ui::visible(topic)
            )?;
            let hint = with_question(
                &format!("topic '{topic}' does not exist."),
                topic,
                topics.iter().map(|topic| topic.name.as_str()),
            );
            io.hint(&hint)?;
            // The Java consumer asks for the topic by its name, and brokers that make topics by themselves then do.
            drop(consumer.fetch_metadata(Some(&real), SLICE));
        }
        consumer.subscribe(&[&real]).map_err(client)
    }
}

struct Reading<'a> {
    consumer: &'a BaseConsumer,
    format: &'a Format,
    max: Option<usize>,
    idle: Option<Duration>,
    count: usize,
    /// Where each partition of a group was when it was first held, once it is known.
    starts: Option<TopicPartitionList>,
    /// When it was said last that no broker answers; `None`: one does.
    unanswered: Option<Instant>,
}

impl Reading<'_> {
    fn copy(&mut self, args: &Args, target: &Target, io: &mut ToolIo<'_>) -> Ran {
        let mut last = Instant::now();
        let mut unflushed = 0;
        while self.max.is_none_or(|max| self.count < max) {
            if io.cancel.is_cancelled() {
                return Err(Failure::Exit(INTERRUPTED));
            }
            let wait = if unflushed > 0 { Duration::ZERO } else { SLICE };
            match self.consumer.poll(wait) {
                None if unflushed > 0 => {
                    io.stdout.flush()?;
                    unflushed = 0;
                }
                None => {
                    if self.starts.is_none() && args.has("group") {
                        self.starts = self.starts(args.has("from-beginning"));
                    }
                    if self.idle.is_some_and(|idle| last.elapsed() >= idle) {
                        return Ok(());
                    }
                }
                Some(Ok(message)) => {
                    self.format.write(&message, io.stdout)?;
                    if args.has("group") {
                        // Refused when the partition was just taken away: its next member reads the record again.
                        drop(self.consumer.store_offset_from_message(&message));
                    }
                    self.count += 1;
                    self.unanswered = None;
                    unflushed += 1;
                    last = Instant::now();
                    if unflushed >= FLUSH_RECORDS {
                        io.stdout.flush()?;
                        unflushed = 0;
                    }
                }
                Some(Err(error)) => self.on_error(KafkaError::from(error), args, target, io)?,
            }
        }
        Ok(())
    }

    /// The partitions that are held and have no committed offset.
    fn uncommitted(&self) -> Option<Vec<(String, i32)>> {
        let held = self.consumer.assignment().ok().filter(|held| held.count() > 0)?;
        let committed = self.consumer.committed_offsets(held, LOOK).ok()?;
        let without = committed
            .elements()
            .into_iter()
            .filter(|element| element.offset() == Offset::Invalid);
        Some(
            without
                .map(|element| (element.topic().to_owned(), element.partition()))
                .collect(),
        )
    }

    /// Where the group begins to read in partitions without a committed offset; `None`: it holds none yet.
    fn starts(&self, from_beginning: bool) -> Option<TopicPartitionList> {
        let mut starts = TopicPartitionList::new();
        for (topic, partition) in self.uncommitted()? {
            let (low, high) = self.consumer.fetch_watermarks(&topic, partition, LOOK).ok()?;
            let offset = Offset::Offset(if from_beginning { low } else { high });
            starts.add_partition_offset(&topic, partition, offset).ok()?;
        }
        Some(starts)
    }

    /// Java's consumer commits where it stands also in partitions that gave it nothing; librdkafka only what it read.
    /// Best effort, as Java's commit at the end is.
    fn commit_starts(&self) {
        let Some(starts) = self.starts.as_ref().filter(|starts| starts.count() > 0) else {
            return;
        };
        let (Some(uncommitted), Ok(read)) = (self.uncommitted(), self.consumer.position()) else {
            return;
        };
        let mut untouched = TopicPartitionList::new();
        for (topic, partition) in uncommitted {
            let position = read
                .find_partition(&topic, partition)
                .map(|element| element.offset());
            let start = starts
                .find_partition(&topic, partition)
                .map(|element| element.offset());
            if let (None | Some(Offset::Invalid), Some(start)) = (position, start) {
                drop(untouched.add_partition_offset(&topic, partition, start));
            }
        }
        if untouched.count() > 0 {
            drop(self.consumer.commit(&untouched, CommitMode::Sync));
        }
    }

    /// The client goes on by itself after most errors, as Kafka's tool does; the others end the tool.
    fn on_error(&mut self, error: KafkaError, args: &Args, target: &Target, io: &mut ToolIo<'_>) -> Ran {
        if error.code == RDKafkaErrorCode::UnknownPartition && args.has("partition") {
            return Err(Failure::Error(format!(
                "The partition {} of topic {} does not exist",
                args.one("partition")?.unwrap_or_default(),
                args.one("topic")?.unwrap_or_default()
            )));
        }
        if error.is_timeout() || error.is_unknown_topic() {
            let due = self.unanswered.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
            if error.code == RDKafkaErrorCode::AllBrokersDown && due {
                self.unanswered = Some(Instant::now());
                writeln!(io.stderr, "WARN no broker answers at {}", target.bootstrap)?;
                io.hint("if the lab has gone, `streamlings up` in another terminal brings it back; this consumer then goes on. Ctrl-C ends it.")?;
            }
            return Ok(());
        }
        if matches!(
            error.code,
            RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::InvalidGroupId
                | RDKafkaErrorCode::FencedInstanceId
                | RDKafkaErrorCode::InconsistentGroupProtocol
                | RDKafkaErrorCode::InvalidTopic
        ) {
            return Err(Failure::Error(java::with_class(&error)));
        }
        writeln!(io.stderr, "WARN {}", java::with_class(&error))?;
        Ok(())
    }
}

/// How a field's bytes become text.
#[derive(Clone, Copy)]
enum Decode {
    Text,
    Long,
    Integer,
    Double,
}

impl Decode {
    fn named(class: Option<&str>) -> Result<Self, Failure> {
        match class.map(|class| class.rsplit('.').next().unwrap_or(class)) {
            None | Some("StringDeserializer" | "ByteArrayDeserializer" | "BytesDeserializer") => {
                Ok(Self::Text)
            }
            Some("LongDeserializer") => Ok(Self::Long),
            Some("IntegerDeserializer") => Ok(Self::Integer),
            Some("DoubleDeserializer") => Ok(Self::Double),
            Some(other) => Err(Failure::Bare(format!(
                "{other} is not known here: String, ByteArray, Long, Integer and DoubleDeserializer are"
            ))),
        }
    }
}

/// What of a record is printed, and how.
struct Format {
    /// Records of Kafka's own topics as JSON, in place of all else.
    internal: Option<Formatter>,
    timestamp: bool,
    key: bool,
    offset: bool,
    epoch: bool,
    partition: bool,
    headers: bool,
    value: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null: Vec<u8>,
    decode_key: Decode,
    decode_value: Decode,
    /// Control characters are made visible.
    visible: bool,
}

impl Format {
    fn new(args: &Args, io: &ToolIo<'_>) -> Result<Self, Failure> {
        let class = args.one("formatter")?.unwrap_or("DefaultMessageFormatter");
        let internal = Formatter::named(class);
        if internal.is_none() && !class.ends_with("DefaultMessageFormatter") {
            let mut known: Vec<&str> = FORMATTERS
                .iter()
                .filter_map(|name| name.rsplit('.').next())
                .collect();
            let last = known.pop().unwrap_or_default();
            return Err(Failure::Bare(format!(
                "{class}: {} and {last} are known here",
                known.join(", ")
            )));
        }
        let mut properties = Vec::new();
        for file in args.all("formatter-config") {
            properties.extend(properties::read_file(file, io)?);
        }
        for name in ["property", "formatter-property"] {
            for (name, value) in args.properties(name)? {
                properties.push((name.to_owned(), value.to_owned()));
            }
        }
        let get = |name: &str| {
            properties
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let is = |name: &str| get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let bytes = |name: &str, default: &str| get(name).unwrap_or(default).as_bytes().to_vec();
        Ok(Self {
            internal,
            timestamp: is("print.timestamp"),
            key: is("print.key"),
            offset: is("print.offset"),
            epoch: is("print.epoch"),
            partition: is("print.partition"),
            headers: is("print.headers"),
            value: get("print.value").is_none() || is("print.value"),
            key_separator: bytes("key.separator", "\t"),
            line_separator: bytes("line.separator", "\n"),
            headers_separator: bytes("headers.separator", ","),
            null: bytes("null.literal", "null"),
            decode_key: Decode::named(args.one("key-deserializer")?.or(get("key.deserializer")))?,
            decode_value: Decode::named(args.one("value-deserializer")?.or(get("value.deserializer")))?,
            visible: io.stdout_is_terminal,
        })
    }

    /// One record: the fields that are on, separated, and the end of the line.
    fn write(&self, message: &BorrowedMessage<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        if let Some(formatter) = self.internal {
            // Kafka's formatters end no line.
            return match formatter.json(message.key(), message.payload()) {
                Some(json) => write!(out, "{json}"),
                None => Ok(()),
            };
        }
        let mut fields: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            fields.push(
                match message.timestamp() {
                    Timestamp::CreateTime(ms) => format!("CreateTime:{ms}"),
                    Timestamp::LogAppendTime(ms) => format!("LogAppendTime:{ms}"),
                    Timestamp::NotAvailable => "NO_TIMESTAMP".to_owned(),
                }
                .into_bytes(),
            );
        }
        if self.partition {
            fields.push(format!("Partition:{}", message.partition()).into_bytes());
        }
        if self.offset {
            fields.push(format!("Offset:{}", message.offset()).into_bytes());
        }
        if self.epoch {
            // librdkafka does not hand out a record's leader epoch.
            fields.push(b"Epoch:NOT_PRESENT".to_vec());
        }
        if self.headers {
            fields.push(self.headers(message));
        }
        if self.key {
            fields.push(self.field(message.key(), self.decode_key));
        }
        if self.value {
            fields.push(self.field(message.payload(), self.decode_value));
        }
        out.write_all(&fields.join(self.key_separator.as_slice()))?;
        out.write_all(&self.line_separator)
    }

    fn headers(&self, message: &BorrowedMessage<'_>) -> Vec<u8> {
        let Some(headers) = message.headers().filter(|headers| headers.count() > 0) else {
            return b"NO_HEADERS".to_vec();
        };
        let all: Vec<Vec<u8>> = headers
            .iter()
            .map(|header| {
                let mut text = self.shown(header.key.as_bytes());
                text.push(b':');
                text.extend(self.field(header.value, Decode::Text));
                text
            })
            .collect();
        all.join(self.headers_separator.as_slice())
    }

    fn field(&self, bytes: Option<&[u8]>, decode: Decode) -> Vec<u8> {
        let Some(bytes) = bytes else {
            return self.null.clone();
        };
        let number = match decode {
            Decode::Text => None,
            Decode::Long => bytes
                .try_into()
                .ok()
                .map(|bytes| i64::from_be_bytes(bytes).to_string()),
            Decode::Integer => bytes
                .try_into()
                .ok()
                .map(|bytes| i32::from_be_bytes(bytes).to_string()),
            Decode::Double => bytes
                .try_into()
                .ok()
                .map(|bytes| f64::from_be_bytes(bytes).to_string()),
        };
        number.map_or_else(|| self.shown(bytes), String::into_bytes)
    }

    /// A record is somebody else's text: on a terminal its control characters are shown, in a pipe they stay.
    fn shown(&self, bytes: &[u8]) -> Vec<u8> {
        if self.visible {
            let text = String::from_utf8_lossy(bytes);
            crate::ui::visible(&text).into_owned().into_bytes()
        } else {
            bytes.to_vec()
        }
    }
}
