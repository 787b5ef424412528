//! `kafka-console-producer`: each line of standard input becomes a record.

use std::io::BufRead;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::kafka::{KafkaError, Target};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin};
use super::names::with_question;
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-console-producer",
    about: "Read lines from standard input and write them to a topic.",
    examples: &[
        "--topic rides",
        "--topic rides --reader-property parse.key=true --reader-property key.separator=:",
        "--topic rides --command-property acks=1",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

const READER_PROPERTIES: &[&str] = &[
    "parse.key",
    "key.separator",
    "parse.headers",
    "headers.delimiter",
    "headers.separator",
    "headers.key.separator",
    "null.marker",
    "ignore.error",
];

const CLIENT_PROPERTIES: &[&str] = &[
    "acks",
    "batch.size",
    "compression.type",
    "enable.idempotence",
    "linger.ms",
];

static FLAGS: [Flag; 25] = [
    flag("topic", Takes::Topic, "The topic to write to."),
    flag(
        "reader-property",
        Takes::Property(READER_PROPERTIES),
        "How lines are read: parse.key=true, key.separator=:, null.marker=NULL and others.",
    ),
    flag(
        "property",
        Takes::Property(READER_PROPERTIES),
        "The old name of --reader-property.",
    ),
    flag(
        "reader-config",
        Takes::Text("file"),
        "A file with reader properties.",
    ),
    flag(
        "command-property",
        Takes::Property(CLIENT_PROPERTIES),
        "A producer property, such as acks=1.",
    ),
    flag(
        "producer-property",
        Takes::Property(CLIENT_PROPERTIES),
        "The old name of --command-property.",
    ),
    flag(
        "producer.config",
        Takes::Text("file"),
        "The old name of --command-config.",
    ),
    flag(
        "sync",
        Takes::Nothing,
        "Wait for the broker's answer after each record.",
    ),
    flag(
        "compression-codec",
        Takes::Maybe(&["none", "gzip", "snappy", "lz4", "zstd"]),
        "Compress batches; without a word, gzip.",
    ),
    flag(
        "request-required-acks",
        Takes::OneOf(&["all", "-1", "0", "1"]),
        "The acks of the producer; all by default.",
    ),
    flag(
        "request-timeout-ms",
        Takes::Number("ms"),
        "How long the broker may wait for the replicas.",
    ),
    flag(
        "timeout",
        Takes::Number("ms"),
        "How long a record may wait for others in its batch (linger.ms).",
    ),
    flag("batch-size", Takes::Number("bytes"), "Size of a batch."),
    flag(
        "max-partition-memory-bytes",
        Takes::Number("bytes"),
        "The old name of --batch-size.",
    ),
    flag(
        "max-memory-bytes",
        Takes::Number("bytes"),
        "Memory for records that wait.",
    ),
    flag(
        "max-block-ms",
        Takes::Number("ms"),
        "How long a record may wait for the topic to be there.",
    ),
    flag(
        "message-send-max-retries",
        Takes::Number("count"),
        "How often a record is sent again.",
    ),
    flag(
        "retry-backoff-ms",
        Takes::Number("ms"),
        "The time between two tries.",
    ),
    flag(
        "metadata-expiry-ms",
        Takes::Number("ms"),
        "How old what is known of the cluster may get.",
    ),
    flag(
        "socket-buffer-size",
        Takes::Number("bytes"),
        "Size of the socket's buffer.",
    ),
    flag(
        "line-reader",
        Takes::Text("class"),
        "Only Kafka's own LineMessageReader is known.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

/// How long the topic may take to appear, unless `--max-block-ms` says otherwise. Kafka's tool waits for 60 s.
const TOPIC_PATIENCE_MS: u64 = 10_000;
/// A keyless record goes where the last one went until this many bytes did (KIP-794, `batch.size`).
const STICKY_BYTES: usize = 16_384;
/// How long records may take to arrive once the input has ended.
const FLUSH: Duration = Duration::from_secs(30);
/// The same after Ctrl-C.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// How lines are taken apart.
struct Reader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    null_marker: Option<String>,
    ignore_error: bool,
}

/// What a line says.
#[derive(Debug, PartialEq)]
struct Parsed<'a> {
    headers: Vec<(&'a str, Option<&'a str>)>,
    key: Option<&'a str>,
    value: Option<&'a str>,
}

impl Reader {
    fn new(properties: &[(String, String)]) -> Result<Self, String> {
        let get = |name: &str| {
            properties
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        let is = |name: &str| get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let text = |name: &str, default: &str| get(name).unwrap_or_else(|| default.to_owned());
        let reader = Self {
            parse_key: is("parse.key"),
            key_separator: text("key.separator", "\t"),
            parse_headers: is("parse.headers"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            null_marker: get("null.marker"),
            ignore_error: is("ignore.error"),
        };
        reader.check()?;
        Ok(reader)
    }

    fn check(&self) -> Result<(), String> {
        let marker = self.null_marker.as_deref();
        let pairs = [
            (
                "headers.delimiter",
                Some(&*self.headers_delimiter),
                "headers.separator",
                Some(&*self.headers_separator),
            ),
            (
                "headers.delimiter",
                Some(&*self.headers_delimiter),
                "headers.key.separator",
                Some(&*self.headers_key_separator),
            ),
            (
                "headers.separator",
                Some(&*self.headers_separator),
                "headers.key.separator",
                Some(&*self.headers_key_separator),
            ),
            ("null.marker", marker, "key.separator", Some(&*self.key_separator)),
            (
                "null.marker",
                marker,
                "headers.separator",
                Some(&*self.headers_separator),
            ),
            (
                "null.marker",
                marker,
                "headers.delimiter",
                Some(&*self.headers_delimiter),
            ),
            (
                "null.marker",
                marker,
                "headers.key.separator",
                Some(&*self.headers_key_separator),
            ),
        ];
        match pairs.iter().find(|(_, a, _, b)| a == b) {
            None => Ok(()),
            Some((a, _, b, _)) => Err(format!("{a} and {b} may not be equal")),
        }
    }

    fn parse<'a>(&self, line: &'a str, number: usize) -> Result<Parsed<'a>, String> {
        let (headers, rest) = self.cut(
            self.parse_headers,
            line,
            line,
            &self.headers_delimiter,
            "headers delimiter",
            number,
        )?;
        let (key, value) = self.cut(
            self.parse_key,
            line,
            rest,
            &self.key_separator,
            "key separator",
            number,
        )?;
        let headers = match self.unless_null(headers) {
            None => Vec::new(),
            Some(headers) => self.headers(headers, number)?,
        };
        Ok(Parsed {
            headers,
            key: self.unless_null(key),
            value: self.unless_null(Some(value)),
        })
    }

    fn unless_null<'a>(&self, text: Option<&'a str>) -> Option<&'a str> {
        text.filter(|text| self.null_marker.as_deref() != Some(text))
    }

    /// What is before a separator, and the rest.
    fn cut<'a>(
        &self,
        enabled: bool,
        line: &str,
        rest: &'a str,
        separator: &str,
        name: &str,
        number: usize,
    ) -> Result<(Option<&'a str>, &'a str), String> {
        if !enabled {
            return Ok((None, rest));
        }
        match rest.split_once(separator) {
            Some((before, after)) => Ok((Some(before), after)),
            None if self.ignore_error => Ok((None, rest)),
            None => Err(format!("No {name} found on line number {number}: '{line}'")),
        }
    }

    fn headers<'a>(&self, text: &'a str, number: usize) -> Result<Vec<(&'a str, Option<&'a str>)>, String> {
        text.split(self.headers_separator.as_str())
            .map(
                |pair| match pair.split_once(self.headers_key_separator.as_str()) {
                    Some((key, _)) if self.null_marker.as_deref() == Some(key) => Err(format!(
                        "Header keys should not be equal to the null marker '{key}' as they can't be null"
                    )),
                    Some((key, value)) => Ok((key, self.unless_null(Some(value)))),
                    None if self.ignore_error => Ok((pair, None)),
                    None => Err(format!(
                        "No header key separator found in pair '{pair}' on line number {number}"
                    )),
                },
            )
            .collect()
    }
}

/// A record that did not arrive.
struct Lost {
    key_bytes: Option<usize>,
    value_bytes: Option<usize>,
    error: KafkaError,
}

#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Vec<Lost>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Lost {
                key_bytes: message.key().map(<[u8]>::len),
                value_bytes: message.payload().map(<[u8]>::len),
                error: error.clone().into(),
            });
        }
    }
}

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    args.require(&["topic"])?;
    if let Some(class) = args.one("line-reader")?
        && !class.ends_with("LineMessageReader")
    {
        return Err(Failure::Bare(format!(
            "{class}: only LineMessageReader is known here"
        )));
    }
    for (old, new) in [
        ("property", "reader-property"),
        ("producer-property", "command-property"),
        ("producer.config", "command-config"),
    ] {
        if args.has(old) {
            writeln!(
                io.stdout,
                "Warning: --{old} is deprecated and will be removed in a future version. Use --{new} instead."
            )?;
            io.stdout.flush()?;
        }
    }
    let topic = args.one("topic")?.unwrap_or_default().to_owned();
    let reader = Reader::new(&reader_properties(args, io)?).map_err(exception)?;
    let target = properties::target(args, io)?;
    let deliveries = Deliveries::default();
    let producer: BaseProducer<Deliveries> = config(args, &target, io)?
        .create_with_context(deliveries.clone())
        .map_err(|error| Failure::Kafka(error.into()))?;
    let existed = admin(&target)?.topic(&topic)?;
    if existed.is_none() {
        missing(&topic, &target, io)?;
    }
    let mut session = Session {
        producer,
        deliveries,
        real: target.real(&topic),
        topic,
        sticky: Sticky::new(existed.map_or(0, |topic| topic.partitions.len())),
        sync: args.has("sync"),
    };
    session.copy(&reader, io)
}

/// The Java tool dies of these, and shows the exception.
fn exception(message: String) -> Failure {
    Failure::Bare(format!("org.apache.kafka.common.KafkaException: {message}"))
}

fn reader_properties(args: &Args, io: &ToolIo<'_>) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    for file in args.all("reader-config") {
        all.extend(properties::read_file(file, io)?);
    }
    for name in ["property", "reader-property"] {
        for (name, value) in args.properties(name)? {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(all)
}

fn config(args: &Args, target: &Target, io: &mut ToolIo<'_>) -> Result<ClientConfig, Failure> {
    let mut target = target.clone();
    for file in args.all("producer.config") {
        target.properties.extend(properties::read_file(file, io)?);
    }
    let mut config = target.client_config();
    config
        .set("client.id", "console-producer")
        // Kafka's own hash of keys; librdkafka's default is another one, and would send them elsewhere.
        .set("partitioner", "murmur2_random")
        .set("acks", "all")
        .set("linger.ms", "5");
    let codec = if args.has("compression-codec") {
        args.one("compression-codec")?.or(Some("gzip"))
    } else {
        None
    };
    if let Some(codec) = codec {
        if !["none", "gzip", "snappy", "lz4", "zstd"].contains(&codec) {
            return Err(Failure::Bare(format!(
                "org.apache.kafka.common.config.ConfigException: Invalid value {codec} for configuration compression.type: String must be one of: none, gzip, snappy, lz4, zstd"
            )));
        }
        config.set("compression.type", codec);
    }
    let block: u64 = args.number("max-block-ms")?.unwrap_or(TOPIC_PATIENCE_MS);
    config.set("topic.metadata.propagation.max.ms", block.to_string());
    for (flag, property) in [
        ("request-timeout-ms", "request.timeout.ms"),
        ("timeout", "linger.ms"),
        ("batch-size", "batch.size"),
        ("max-partition-memory-bytes", "batch.size"),
        ("message-send-max-retries", "retries"),
        ("retry-backoff-ms", "retry.backoff.ms"),
        ("metadata-expiry-ms", "metadata.max.age.ms"),
        ("socket-buffer-size", "socket.send.buffer.bytes"),
    ] {
        if let Some(value) = args.number::<u64>(flag)? {
            config.set(property, value.to_string());
        }
    }
    let acks = args.one("request-required-acks")?.map(|acks| ("acks", acks));
    let mut given: Vec<(&str, &str)> = acks.into_iter().collect();
    given.extend(args.properties("producer-property")?);
    given.extend(args.properties("command-property")?);
    for (name, value) in &given {
        if *name == "acks" && !["all", "-1", "0", "1"].contains(value) {
            return Err(Failure::Bare(format!(
                "org.apache.kafka.common.config.ConfigException: Invalid value {value} for configuration acks: String must be one of: all, -1, 0, 1"
            )));
        }
    }
    properties::apply(&mut config, &given, io)?;
    Ok(config)
}

/// The topic isn't there: Kafka's tool warns and writes on, and most brokers then make it.
fn missing(topic: &str, target: &Target, io: &mut ToolIo<'_>) -> Result<(), Failure> {
    writeln!(
        io.stderr,
        "WARN [Producer clientId=console-producer] The metadata response from the cluster reported a recoverable issue : {{{}=UNKNOWN_TOPIC_OR_PARTITION}}",
        crate::ui::visible(topic)
    )?;
    let topics = admin(target)?.topics()?;
    let hint = with_question(
        &format!("topic '{topic}' does not exist; the first record may make it."),
        topic,
        topics.iter().map(|topic| topic.name.as_str()),
    );
    io.hint(&hint)?;
    Ok(())
}

/// Where records without a key go (KIP-794): to one partition until it got a batch's worth, then to another.
struct Sticky {
    partitions: usize,
    partition: usize,
    bytes: usize,
}

impl Sticky {
    fn new(partitions: usize) -> Self {
        let partition = if partitions == 0 {
            0
        } else {
            rand::rng().random_range(0..partitions)
        };
        Self {
            partitions,
            partition,
            bytes: 0,
        }
    }

    /// The partition of the next record; `None`: the partitions aren't known, the client chooses.
    fn next(&mut self, bytes: usize) -> Option<i32> {
        if self.partitions == 0 {
            return None;
        }
        if self.bytes >= STICKY_BYTES {
            *self = Self::new(self.partitions);
        }
        self.bytes += bytes;
        i32::try_from(self.partition).ok()
    }
}

/// Looks like a line for the prompt: somebody has forgotten that the producer still runs.
fn is_a_command(line: &str) -> bool {
    const WORDS: &[&str] = &["answer", "broker", "clock", "fault", "txn"];
    line.split_once(' ')
        .is_some_and(|(first, _)| WORDS.contains(&first) || first.starts_with("kafka-"))
}

struct Session {
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
    topic: String,
    real: String,
    sticky: Sticky,
    sync: bool,
}

impl Session {
    fn copy(&mut self, reader: &Reader, io: &mut ToolIo<'_>) -> Ran {
        let mut line = Vec::new();
        let mut number = 0;
        let outcome = loop {
            number += 1;
            if io.stdin_is_terminal {
                write!(io.stdout, ">")?;
                io.stdout.flush()?;
            }
            line.clear();
            if io.cancel.is_cancelled() || io.stdin.read_until(b'\n', &mut line)? == 0 {
                break Ok(());
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            let text = String::from_utf8_lossy(&line);
            let parsed = match reader.parse(&text, number) {
                Ok(parsed) => parsed,
                Err(message) => break Err(exception(message)),
            };
            self.send(&parsed)?;
            if self.sync || io.stdin_is_terminal {
                self.flush(io);
            }
            self.report(io)?;
            if io.stdin_is_terminal && is_a_command(&text) {
                let topic = &self.topic;
                io.hint(&format!(
                    "that line is a record in '{topic}' now, as every line here. Ctrl-D ends the producer."
                ))?;
            }
        };
        if io.stdin_is_terminal {
            writeln!(io.stdout)?;
        }
        // What was read before is sent, whatever ended the input.
        self.flush(io);
        self.report(io)?;
        let open = self.producer.in_flight_count();
        if open > 0 {
            // Kafka's tool would go on trying: whoever waits for a prompt is told instead.
            writeln!(
                io.stderr,
                "ERROR {open} message(s) to topic {} were not confirmed in time, and may be missing: the broker doesn't \
                 answer, or can't write (is its disk full?)",
                crate::ui::visible(&self.topic)
            )?;
        }
        outcome
    }

    fn send(&mut self, parsed: &Parsed<'_>) -> Ran {
        let bytes = parsed.key.map_or(0, str::len) + parsed.value.map_or(0, str::len);
        let partition = if parsed.key.is_none() {
            self.sticky.next(bytes)
        } else {
            None
        };
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&self.real);
        record.key = parsed.key;
        record.payload = parsed.value;
        record.partition = partition;
        if !parsed.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(parsed.headers.len());
            record.headers = Some(parsed.headers.iter().fold(headers, |headers, (key, value)| {
                headers.insert(Header { key, value: *value })
            }));
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(100));
                    record = back;
                }
                Err((error, _)) => return Err(Failure::Kafka(error.into())),
            }
        }
    }

    /// Waits for what was sent, or for Ctrl-C.
    fn flush(&self, io: &ToolIo<'_>) {
        let start = Instant::now();
        loop {
            // What was typed before Ctrl-C still gets a moment.
            let patience = if io.cancel.is_cancelled() {
                LAST_MOMENT
            } else {
                FLUSH
            };
            if self.producer.in_flight_count() == 0 || start.elapsed() >= patience {
                break;
            }
            drop(self.producer.flush(Duration::from_millis(100)));
        }
    }

    /// Tells what did not arrive, as Kafka's tool logs it.
    fn report(&self, io: &mut ToolIo<'_>) -> Ran {
        self.producer.poll(Duration::ZERO);
        let lost = std::mem::take(&mut *self.deliveries.0.lock().unwrap_or_else(PoisonError::into_inner));
        let size =
            |bytes: Option<usize>| bytes.map_or_else(|| "null".to_owned(), |bytes| format!("{bytes} bytes"));
        let keyless = lost
            .iter()
            .any(|record| record.key_bytes.is_none() && record.error.code == RDKafkaErrorCode::InvalidRecord);
        for record in lost {
            writeln!(
                io.stderr,
                "ERROR Error when sending message to topic {} with key: {}, value: {} with error:\n{}",
                crate::ui::visible(&self.topic),
                size(record.key_bytes),
                size(record.value_bytes),
                java::with_class(&record.error)
            )?;
        }
        if keyless {
            io.hint("a compacted topic takes no record without a key: --reader-property parse.key=true")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> Reader {
        let owned: Vec<(String, String)> = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Reader::new(&owned).unwrap_or_else(|message| panic!("{message}"))
    }

    #[test]
    fn lines_are_taken_apart_as_the_properties_say() {
        let plain = reader(&[]);
        assert_eq!(plain.parse("a\tb", 1).unwrap().value, Some("a\tb"));
        let keyed = reader(&[
            ("parse.key", "true"),
            ("key.separator", ":"),
            ("null.marker", "NULL"),
        ]);
        let parsed = keyed.parse("d-17:x:y", 1).unwrap();
        assert_eq!((parsed.key, parsed.value), (Some("d-17"), Some("x:y")));
        let parsed = keyed.parse("NULL:NULL", 1).unwrap();
        assert_eq!((parsed.key, parsed.value), (None, None));
        assert_eq!(
            keyed.parse("nothing", 7).unwrap_err(),
            "No key separator found on line number 7: 'nothing'"
        );
        let full = reader(&[("parse.key", "true"), ("parse.headers", "TRUE")]);
        let parsed = full.parse("h1:v1,h2:v2\tk\tv", 1).unwrap();
        assert_eq!(parsed.headers, [("h1", Some("v1")), ("h2", Some("v2"))]);
        assert_eq!((parsed.key, parsed.value), (Some("k"), Some("v")));
        let lenient = reader(&[("parse.key", "true"), ("ignore.error", "true")]);
        assert_eq!(lenient.parse("nokey", 1).unwrap().value, Some("nokey"));
    }

    #[test]
    fn a_line_for_the_prompt_is_told_from_a_record() {
        for line in [
            "broker kill 2",
            "kafka-topics --describe",
            "answer 2",
            "fault clear",
        ] {
            assert!(is_a_command(line), "{line}");
        }
        for line in [
            "fare-1",
            "kafka-1",
            "d-17:{\"event\": \"broker\"}",
            "",
            "brokers are up",
        ] {
            assert!(!is_a_command(line), "{line}");
        }
    }

    #[test]
    fn equal_separators_are_refused() {
        let equal = [("headers.delimiter".to_owned(), ",".to_owned())];
        assert_eq!(
            Reader::new(&equal).err().as_deref(),
            Some("headers.delimiter and headers.separator may not be equal")
        );
    }

    #[test]
    fn keyless_records_stay_together_until_a_batch_is_full() {
        let mut sticky = Sticky::new(3);
        let first = sticky.next(STICKY_BYTES);
        assert!(first.is_some_and(|partition| (0..3).contains(&partition)));
        assert_eq!(sticky.bytes, STICKY_BYTES);
        sticky.next(1);
        assert_eq!(sticky.bytes, 1, "another partition was drawn");
        assert_eq!(Sticky::new(0).next(1), None);
    }
}
