//! `worker`: a small application of the lab's own. It reads a topic in a group and does its work, a record in another
//! topic for each one read; it commits before or after the work, and can crash between the two.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{KafkaError, Target};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran};
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "worker",
    about: "The lab's own application: its work on a record is one in another topic.",
    examples: &[
        "--from payments --to receipts --group receipts --commit after",
        "--from payments --to receipts --group receipts --commit before --crash-after 5",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

static FLAGS: [Flag; 12] = [
    flag("from", Takes::Topic, "The topic to read, from its beginning."),
    flag(
        "to",
        Takes::Topic,
        "The topic that the work is written to: the same key and value again.",
    ),
    flag("group", Takes::Group, "The group to read in."),
    flag(
        "commit",
        Takes::OneOf(&["before", "after", "auto"]),
        "Commit each record's offset before its work or after it, or let the client commit every second.",
    ),
    flag(
        "work-ms",
        Takes::Number("ms"),
        "How long the work on each record takes.",
    ),
    flag(
        "crash-after",
        Takes::Number("count"),
        "At this record, counted from the start, crash as kill -9 would: between commit and work; with auto, \
         before the work is done.",
    ),
    flag(
        "max-messages",
        Takes::Number("count"),
        "End in order after so many records.",
    ),
    flag(
        "timeout-ms",
        Takes::Number("ms"),
        "End in order when no record came for so long.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

/// How long one wait for a record may last before Ctrl-C is looked at again.
const SLICE: Duration = Duration::from_millis(50);
/// No answer of the cluster is waited for longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The shortest that brokers allow by default: who comes back after a crash waits so long for the dead one's place.
const SESSION_TIMEOUT_MS: &str = "6000";
/// When it is said that there is no place in the group yet.
const SAY_WAITING: Duration = Duration::from_secs(1);

/// When it is said that the group has nothing to read.
const SAY_IDLE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq)]
enum Commit {
    Before,
    After,
    Auto,
}

/// What is done for a record, in the order that `--commit` asks for.
enum Act {
    Commit,
    Work,
    /// At the record of `--crash-after`, and at no other.
    Crash,
}

/// The outcome of the last record that was sent.
#[derive(Clone, Default)]
struct Delivery(Arc<Mutex<Option<ClientError>>>);

impl ClientContext for Delivery {}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }
}

fn client(error: ClientError) -> Failure {
    Failure::Kafka(error.into())
}

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    args.require(&["from", "to", "group", "commit"])?;
    let commit = match args.one("commit")?.unwrap_or_default() {
        "before" => Commit::Before,
        "after" => Commit::After,
        "auto" => Commit::Auto,
        other => {
            return Err(Failure::Usage(format!(
                "--commit takes before, after or auto, not '{other}'"
            )));
        }
    };
    let target = properties::target(args, io)?;
    let from = args.one("from")?.unwrap_or_default();
    let group = args.one("group")?.unwrap_or_default();
    let delivery = Delivery::default();
    let mut worker = Worker {
        consumer: consumer(&target, group, commit)?,
        producer: target
            .client_config()
            .set("client.id", "worker")
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "10000")
            .create_with_context(delivery.clone())
            .map_err(client)?,
        delivery,
        to: args.one("to")?.unwrap_or_default().to_owned(),
        target,
        commit,
        work_time: Duration::from_millis(args.number("work-ms")?.unwrap_or(0)),
        crash_after: args.number("crash-after")?,
        count: 0,
    };
    worker
        .consumer
        .subscribe(&[&worker.target.real(from)])
        .map_err(client)?;
    let max: Option<u64> = args.number("max-messages")?;
    let idle = args.number("timeout-ms")?.map(Duration::from_millis);
    let outcome = worker.work(max, idle, io);
    io.stdout.flush()?;
    let records = if worker.count == 1 { "record" } else { "records" };
    writeln!(io.stderr, "Worked on {} {records}.", worker.count)?;
    outcome
}

fn consumer(target: &Target, group: &str, commit: Commit) -> Result<BaseConsumer, Failure> {
    let auto = if commit == Commit::Auto { "true" } else { "false" };
    target
        .consumer_config()
        .set("client.id", "worker")
        .set("group.id", target.real(group))
        .set("enable.auto.commit", auto)
        .set("enable.auto.offset.store", auto)
        .set("auto.commit.interval.ms", "1000")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", SESSION_TIMEOUT_MS)
        .set("heartbeat.interval.ms", "1000")
        .set("partition.assignment.strategy", "range")
        .set("fetch.wait.max.ms", "100")
        .create()
        .map_err(client)
}

struct Worker {
    consumer: BaseConsumer,
    producer: BaseProducer<Delivery>,
    delivery: Delivery,
    to: String,
    target: Target,
    commit: Commit,
    work_time: Duration,
    crash_after: Option<u64>,
    count: u64,
}

impl Worker {
    fn work(&mut self, max: Option<u64>, idle: Option<Duration>, io: &mut ToolIo<'_>) -> Ran {
        let started = Instant::now();
        let (mut place, mut said_waiting, mut said_idle) = (false, false, false);
        let mut last = Instant::now();
        while max.is_none_or(|max| self.count < max) {
            if io.cancel.is_cancelled() {
                return Ok(());
            }
            match self.consumer.poll(SLICE) {
                Some(Ok(message)) => {
                    let line = (message.topic().to_owned(), message.partition(), message.offset());
                    let record = Record::of(&message);
                    drop(message);
                    self.one(&line, &record, io)?;
                    last = Instant::now();
                }
                Some(Err(error)) => {
                    let error = KafkaError::from(error);
                    if !error.is_timeout() {
                        writeln!(io.stderr, "WARN {}", java::with_class(&error))?;
                    }
                }
                None if !place => {
                    place = self.consumer.assignment().is_ok_and(|held| held.count() > 0);
                    last = Instant::now();
                    if !place && !said_waiting && started.elapsed() >= SAY_WAITING {
                        said_waiting = true;
                        io.hint("no partition yet: a member that crashed keeps its partitions until its session times out (6 s)")?;
                    }
                    if !place && idle.is_some_and(|idle| started.elapsed() >= idle + 2 * PATIENCE) {
                        return Ok(());
                    }
                }
                None if idle.is_some_and(|idle| last.elapsed() >= idle) => return Ok(()),
                None if !said_idle && self.count == 0 && last.elapsed() >= SAY_IDLE => {
                    said_idle = true;
                    io.hint(
                        "nothing comes: this group has no record left to read there; Ctrl-C ends the wait",
                    )?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// One record: commit and work, in the order that was asked for.
    fn one(&mut self, place: &(String, i32, i64), record: &Record, io: &mut ToolIo<'_>) -> Ran {
        let (topic, partition, offset) = place;
        let shown = self.target.shown(topic).unwrap_or(topic);
        self.count += 1;
        let crash = self.crash_after == Some(self.count);
        write!(io.stdout, "{shown}-{partition} offset {offset}: ")?;
        let acts: &[Act] = match self.commit {
            Commit::Before => &[Act::Commit, Act::Crash, Act::Work],
            Commit::After => &[Act::Work, Act::Crash, Act::Commit],
            Commit::Auto => &[Act::Crash, Act::Work],
        };
        let mut separator = "";
        for act in acts {
            match act {
                Act::Crash if crash => {
                    if self.commit == Commit::Auto {
                        self.labour(io);
                    }
                    writeln!(io.stdout, "{separator}crash")?;
                    io.stdout.flush()?;
                    vanish();
                }
                Act::Crash => continue,
                Act::Commit => {
                    if let Err(refused) = self.commit(place) {
                        writeln!(io.stdout, "{separator}commit refused")?;
                        io.stdout.flush()?;
                        return Err(refused);
                    }
                    write!(io.stdout, "{separator}committed {}", offset + 1)?;
                }
                Act::Work => {
                    self.labour(io);
                    self.write(record)?;
                    write!(io.stdout, "{separator}work done, a record in {}", self.to)?;
                }
            }
            io.stdout.flush()?;
            separator = "; ";
        }
        writeln!(io.stdout)?;
        io.stdout.flush()?;
        Ok(())
    }

    /// The time that the work takes; Ctrl-C makes it short.
    fn labour(&self, io: &ToolIo<'_>) {
        let end = Instant::now() + self.work_time;
        while Instant::now() < end && !io.cancel.is_cancelled() {
            std::thread::park_timeout(SLICE.min(end.saturating_duration_since(Instant::now())));
        }
    }

    fn commit(&self, (topic, partition, offset): &(String, i32, i64)) -> Ran {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, *partition, Offset::Offset(offset + 1))
            .map_err(client)?;
        self.consumer.commit(&list, CommitMode::Sync).map_err(client)
    }

    fn write(&self, record: &Record) -> Ran {
        let real = self.target.real(&self.to);
        let mut new: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&real);
        new.key = record.key.as_deref();
        new.payload = record.value.as_deref();
        self.producer.send(new).map_err(|(error, _)| client(error))?;
        self.producer.flush(PATIENCE).map_err(client)?;
        let failed = self
            .delivery
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failed.map_or(Ok(()), |error| Err(client(error)))
    }
}

/// What is kept of a record while it is worked on.
struct Record {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Record {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        Self {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }
}

/// The process is gone at once: nothing is flushed, nobody is told.
fn vanish() -> ! {
    #[cfg(unix)]
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    std::process::abort()
}
