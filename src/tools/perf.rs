//! `kafka-producer-perf-test`: how many records a second a producer gets into a topic, and how long each takes.

mod stats;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use crate::kafka::Target;

use super::flags::{Args, BOOTSTRAP, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran};
use super::{Framed, Tool, ToolIo, java, properties};
use stats::{Stats, Throttle};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-producer-perf-test",
    about: "Write records as fast as it goes, or at a rate, and print records a second and latencies.",
    examples: &[
        "--topic rides --num-records 100000 --record-size 100 --throughput -1",
        "--topic rides --num-records 10000 --record-size 100 --throughput 1000 --command-property acks=1 linger.ms=0",
    ],
    syntax: Syntax::Argparse {
        program: "kafka-producer-perf-test",
        commands: &[],
    },
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

const PROPERTIES: &[&str] = &[
    "acks",
    "batch.size",
    "client.id",
    "compression.type",
    "delivery.timeout.ms",
    "enable.idempotence",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "transactional.id",
];

static FLAGS: [Flag; 19] = [
    flag("topic", Takes::Topic, "The topic to write to."),
    flag("num-records", Takes::Number("count"), "How many records."),
    flag(
        "throughput",
        Takes::Number("records/s"),
        "About so many records a second; -1: no limit.",
    ),
    flag(
        "record-size",
        Takes::Number("bytes"),
        "Random letters, so many a record.",
    ),
    flag(
        "payload-file",
        Takes::Text("file"),
        "In place of --record-size: lines of this file, at random.",
    ),
    flag(
        "payload-delimiter",
        Takes::Text("text"),
        "What is between two payloads in --payload-file; the end of a line if left out.",
    ),
    flag(
        "payload-monotonic",
        Takes::Nothing,
        "In place of --record-size: the numbers from 0.",
    ),
    flag(
        "command-property",
        Takes::Properties(PROPERTIES),
        "Producer properties: acks=all linger.ms=10.",
    ),
    flag(
        "producer-props",
        Takes::Properties(PROPERTIES),
        "The old name of --command-property.",
    ),
    flag(
        "command-config",
        Takes::Text("file"),
        "A file with producer properties.",
    ),
    flag(
        "producer.config",
        Takes::Text("file"),
        "The old name of --command-config.",
    ),
    flag(
        "transactional-id",
        Takes::Text("id"),
        "Write in transactions of this transactional.id.",
    ),
    flag(
        "transaction-duration-ms",
        Takes::Number("ms"),
        "Write in transactions, each committed after so long (3000).",
    ),
    flag(
        "warmup-records",
        Takes::Number("count"),
        "A second summary leaves out the first so many records.",
    ),
    flag(
        "reporting-interval",
        Takes::Number("ms"),
        "How often progress is printed (5000).",
    ),
    flag(
        "print-metrics",
        Takes::Nothing,
        "Not known here: they are the Java client's own.",
    ),
    BOOTSTRAP,
    HELP,
    VERSION,
];

/// How long a transaction lasts where nothing else is said.
const TRANSACTION_MS: i64 = 3_000;
const REPORT_MS: i64 = 5_000;
/// The wait for room in the client's queue, and between two looks at Ctrl-C.
const SLICE: Duration = Duration::from_millis(20);
/// How long the last records may take after everything was sent.
const FLUSH: Duration = Duration::from_secs(120);
/// How long a call to the transaction's coordinator may take.
const COORDINATOR: Duration = Duration::from_secs(60);
/// JVM's exit code after Ctrl-C (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// What is written, and how fast.
struct Plan {
    topic: String,
    count: u64,
    throughput: f64,
    payload: Payload,
    warmup: u64,
    report: Duration,
    transaction: Option<Duration>,
}

enum Payload {
    Random(usize),
    File(Vec<Vec<u8>>),
    Counted,
}

impl Payload {
    fn next(&self, number: u64, buffer: &mut Vec<u8>) {
        buffer.clear();
        match self {
            Self::Random(bytes) => {
                let mut random = rand::rng();
                buffer.extend((0..*bytes).map(|_| random.random_range(b'A'..=b'Z')));
            }
            Self::File(all) => {
                let at = rand::rng().random_range(0..all.len());
                buffer.extend_from_slice(&all[at]);
            }
            Self::Counted => buffer.extend_from_slice(number.to_string().as_bytes()),
        }
    }
}

/// Java's tool dies of these.
fn illegal(message: &str) -> Failure {
    Failure::Error(format!(
        "Exception in thread \"main\" java.lang.IllegalArgumentException: {message}"
    ))
}

/// What became of the records, told by the client's thread.
#[derive(Clone)]
struct Deliveries(Arc<Mutex<Told>>);

struct Told {
    stats: Stats,
    /// Each error once, with how often it came.
    errors: Vec<(ClientError, u64)>,
}

impl Deliveries {
    fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// When the record was sent, and its number.
    type DeliveryOpaque = Box<(Instant, u64)>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Self::DeliveryOpaque) {
        let (at, number) = *sent;
        self.told(|told| match result {
            Ok(message) => told
                .stats
                .record(at.elapsed(), message.payload().map_or(0, <[u8]>::len), number),
            Err((error, _)) => match told.errors.iter_mut().find(|(known, _)| known == error) {
                Some((_, count)) => *count += 1,
                None => told.errors.push((error.clone(), 1)),
            },
        });
    }
}

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    let plan = plan(args, io)?;
    let (producer, real) = producer(args, &plan, io)?;
    if plan.transaction.is_some() {
        producer.init_transactions(COORDINATOR).map_err(client)?;
    }
    if plan.warmup > 0 {
        writeln!(
            io.stdout,
            "Warmup first {} records. Steady state results will print after the complete test summary.",
            plan.warmup
        )?;
    }
    let deliveries = producer.client().context().as_ref().clone();
    deliveries.told(|told| told.stats.start());
    send(&plan, &real, &producer, &deliveries, io)?;
    finish(&producer, &deliveries, io)?;
    deliveries.told(|told| -> Ran {
        for (error, count) in &told.errors {
            let text = java::with_class(&error.clone().into());
            writeln!(io.stderr, "{} ({count} records)", crate::ui::visible(&text))?;
        }
        io.stdout.write_all(told.stats.total().as_bytes())?;
        Ok(())
    })
}

fn client(error: ClientError) -> Failure {
    Failure::Kafka(error.into())
}

fn plan(args: &Args, io: &mut ToolIo<'_>) -> Result<Plan, Failure> {
    args.require(&["topic", "num-records", "throughput"])?;
    let ways = ["record-size", "payload-file", "payload-monotonic"];
    match args.in_order(&ways).as_slice() {
        [] => {
            return Err(args
                .wrong("one of the arguments --record-size --payload-file --payload-monotonic is required"));
        }
        [first, second, ..] => {
            return Err(args.wrong(&format!(
                "argument --{second}: not allowed with argument --{first}"
            )));
        }
        [_] => {}
    }
    if args.has("print-metrics") {
        return Err(args.wrong("argument --print-metrics: not known here, they are the Java client's own"));
    }
    let positive = |flag: &str| -> Result<Option<i64>, Failure> {
        match args.number::<i64>(flag)? {
            Some(number) if number <= 0 => Err(args.wrong(&format!("--{flag} should be greater than zero."))),
            number => Ok(number),
        }
    };
    let count = positive("num-records")?.unwrap_or_default();
    let warmup = args.number::<i64>("warmup-records")?.unwrap_or(0).max(0);
    if warmup >= count {
        return Err(args.wrong(
            "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
        ));
    }
    let size = positive("record-size")?;
    let duration = positive("transaction-duration-ms")?;
    let report = positive("reporting-interval")?.unwrap_or(REPORT_MS);
    let milliseconds = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    for (old, new) in [
        ("producer-props", "command-property"),
        ("producer.config", "command-config"),
    ] {
        if args.has(old) {
            writeln!(
                io.stdout,
                "Option --{old} has been deprecated and will be removed in a future version. Use --{new} instead."
            )?;
        }
    }
    let payload = match (size, args.one("payload-file")?) {
        (Some(bytes), _) => Payload::Random(usize::try_from(bytes).unwrap_or(usize::MAX)),
        (None, Some(file)) => Payload::File(payloads(args, file, io)?),
        (None, None) => Payload::Counted,
    };
    let transacts = args.has("transactional-id")
        || duration.is_some()
        || given(args, io)?
            .iter()
            .any(|(name, _)| name == "transactional.id");
    Ok(Plan {
        topic: args.one("topic")?.unwrap_or_default().to_owned(),
        count: count.unsigned_abs(),
        throughput: args.number("throughput")?.unwrap_or(-1.0),
        payload,
        warmup: warmup.unsigned_abs(),
        report: milliseconds(report),
        transaction: transacts.then(|| milliseconds(duration.unwrap_or(TRANSACTION_MS))),
    })
}

fn payloads(args: &Args, file: &str, io: &mut ToolIo<'_>) -> Result<Vec<Vec<u8>>, Failure> {
    let path = io.files.path(file)?;
    let path = std::path::absolute(&path).unwrap_or(path);
    let shown = path.to_string_lossy();
    writeln!(io.stdout, "Reading payloads from: {}", crate::ui::visible(&shown))?;
    let text = io.files.read(file).unwrap_or_default();
    if text.is_empty() {
        return Err(illegal("File does not exist or empty file provided."));
    }
    let delimiter = match args.one("payload-delimiter")? {
        None | Some("\\n" | "") => "\n",
        Some(other) => other,
    };
    let mut all: Vec<Vec<u8>> = text
        .split(delimiter)
        .map(|part| part.as_bytes().to_vec())
        .collect();
    while all.len() > 1 && all.last().is_some_and(Vec::is_empty) {
        all.pop();
    }
    writeln!(io.stdout, "Number of records read: {}", all.len())?;
    Ok(all)
}

/// All producer properties of the files and the command line, later ones stronger.
fn given(args: &Args, io: &ToolIo<'_>) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    for flag in ["producer.config", "command-config"] {
        for file in args.all(flag) {
            all.extend(properties::read_file(file, io)?);
        }
    }
    for flag in ["producer-props", "command-property"] {
        for pair in args.all(flag) {
            let (name, value) = pair
                .split_once('=')
                .filter(|(_, value)| !value.is_empty() && !value.contains('='))
                .ok_or_else(|| illegal(&format!("Invalid property: {pair}")))?;
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(all)
}

/// The producer, and the topic's name on the cluster.
fn producer(
    args: &Args,
    plan: &Plan,
    io: &mut ToolIo<'_>,
) -> Result<(ThreadedProducer<Deliveries>, String), Failure> {
    let all = given(args, io)?;
    let named = |wanted: &str| all.iter().rev().find(|(name, _)| name == wanted);
    let target = match (args.one("bootstrap-server")?, named("bootstrap.servers")) {
        (Some(given), _) if given != io.target.bootstrap => Target::new(given),
        (None, Some((_, given))) if *given != io.target.bootstrap => Target::new(given.as_str()),
        _ => io.target.clone(),
    };
    let mut config = target.client_config();
    config
        .set("client.id", "perf-producer-client")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5");
    let own: Vec<(&str, &str)> = all
        .iter()
        .filter(|(name, _)| name != "bootstrap.servers" && name != "transactional.id")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    // Idempotence needs acks=all; Java's producer gives it up where it was not asked for.
    if own
        .iter()
        .any(|(name, value)| *name == "acks" && !["all", "-1"].contains(value))
    {
        config.set("enable.idempotence", "false");
    }
    properties::apply(&mut config, &own, io)?;
    if plan.transaction.is_some() {
        let id = match (args.one("transactional-id")?, named("transactional.id")) {
            (Some(id), _) => id.to_owned(),
            (None, Some((_, id))) => id.clone(),
            (None, None) => format!("performance-producer-{}", uuid::Uuid::new_v4()),
        };
        config.set("transactional.id", target.real(&id));
    }
    let told = Told {
        stats: Stats::new(plan.count, plan.warmup, plan.report),
        errors: Vec::new(),
    };
    let deliveries = Deliveries(Arc::new(Mutex::new(told)));
    let producer = config.create_with_context(deliveries).map_err(client)?;
    Ok((producer, target.real(&plan.topic)))
}

fn send(
    plan: &Plan,
    real: &str,
    producer: &ThreadedProducer<Deliveries>,
    deliveries: &Deliveries,
    io: &mut ToolIo<'_>,
) -> Ran {
    let mut throttle = Throttle::new(plan.throughput);
    let mut payload = Vec::new();
    let mut began: Option<Instant> = None;
    for number in 0..plan.count {
        if io.cancel.is_cancelled() {
            return Err(Failure::Exit(INTERRUPTED));
        }
        plan.payload.next(number, &mut payload);
        if plan.transaction.is_some() && began.is_none() {
            producer.begin_transaction().map_err(client)?;
            began = Some(Instant::now());
        }
        if plan.warmup > 0 && number == plan.warmup {
            deliveries.told(|told| told.stats.steady());
        }
        let mut record: BaseRecord<'_, [u8], Vec<u8>, _> =
            BaseRecord::with_opaque_to(real, Box::new((Instant::now(), number))).payload(&payload);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    progress(deliveries, io)?;
                    if io.cancel.is_cancelled() {
                        return Err(Failure::Exit(INTERRUPTED));
                    }
                    std::thread::park_timeout(SLICE);
                }
                Err((error, _)) => return Err(client(error)),
            }
        }
        if let (Some(longest), Some(since)) = (plan.transaction, began)
            && since.elapsed() >= longest
        {
            producer.commit_transaction(COORDINATOR).map_err(client)?;
            began = None;
        }
        progress(deliveries, io)?;
        throttle.wait(number);
    }
    if began.is_some() {
        producer.commit_transaction(COORDINATOR).map_err(client)?;
    }
    Ok(())
}

/// Prints what the last interval brought, when it is over.
fn progress(deliveries: &Deliveries, io: &mut ToolIo<'_>) -> Ran {
    if let Some(line) = deliveries.told(|told| told.stats.window()) {
        io.stdout.write_all(line.as_bytes())?;
        io.stdout.flush()?;
    }
    Ok(())
}

/// Waits for the last records.
fn finish(producer: &ThreadedProducer<Deliveries>, deliveries: &Deliveries, io: &mut ToolIo<'_>) -> Ran {
    let end = Instant::now() + FLUSH;
    while producer.in_flight_count() > 0 && Instant::now() < end {
        if io.cancel.is_cancelled() {
            return Err(Failure::Exit(INTERRUPTED));
        }
        drop(producer.flush(SLICE));
        progress(deliveries, io)?;
    }
    Ok(())
}
