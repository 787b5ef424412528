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

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Takes, VERSION, flag};
use super::io::{Failure, Ran};
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "worker",
    about: "The lab's own application: its work on a record is one in another topic.",
    examples: &[
        "--from payments --to receipts --group receipts --commit after",
        "--from payments --to receipts --group receipts --commit before --crash-after 5",
    ],
    flags: &FLAGS,
    run,
    frame: |message| Framed {
        on_stdout: false,
        text: format!("{message}\n"),
        exit: 1,
    },
};

static FLAGS: [Flag; 11] = [
    flag("from", Takes::Topic, "The topic to read, from its beginning."),
    flag(
        "to",
        Takes::Topic,
        "The topic that the work is written to: the same key and value again.",
    ),
    flag("group", Takes::Group, "The group to read in."),
    flag(
        "commit",
        Takes::OneOf(&["before", "after"]),
        "Commit each record's offset before its work or after it.",
    ),
    flag(
        "crash-after",
        Takes::Number("count"),
        "At this record, counted from the start, crash between commit and work, as kill -9 would.",
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

#[derive(Clone, Copy, PartialEq)]
enum Commit {
    Before,
    After,
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
        other => {
            return Err(Failure::Usage(format!(
                "--commit takes before or after, not '{other}'"
            )));
        }
    };
    let target = properties::target(args, io)?;
    let from = args.one("from")?.unwrap_or_default();
    let group = args.one("group")?.unwrap_or_default();
    let delivery = Delivery::default();
    let mut worker = Worker {
        consumer: consumer(&target, group)?,
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

fn consumer(target: &Target, group: &str) -> Result<BaseConsumer, Failure> {
    target
        .client_config()
        .set("client.id", "worker")
        .set("group.id", target.real(group))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
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
    crash_after: Option<u64>,
    count: u64,
}

impl Worker {
    fn work(&mut self, max: Option<u64>, idle: Option<Duration>, io: &mut ToolIo<'_>) -> Ran {
        let started = Instant::now();
        let (mut place, mut said_waiting) = (false, false);
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
        for (step, what) in [
            (self.commit == Commit::Before, "first"),
            (self.commit == Commit::After, "second"),
        ] {
            if step {
                self.commit(place)?;
                write!(io.stdout, "committed {}", offset + 1)?;
            } else {
                self.write(record)?;
                write!(io.stdout, "work done, a record in {}", self.to)?;
            }
            if what == "first" && crash {
                writeln!(io.stdout, " ... crash")?;
                io.stdout.flush()?;
                vanish();
            }
            if what == "first" {
                write!(io.stdout, "; ")?;
            }
        }
        writeln!(io.stdout)?;
        io.stdout.flush()?;
        Ok(())
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
