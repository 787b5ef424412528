//! Random histories against the real process: real clients at work while the lab is killed with SIGKILL and started again
//! from the same folder, and single brokers are killed and started. What was acknowledged then holds.
//!
//! `CRASHES=N` is how often something breaks, `CRASH_SEED=N` what breaks and what clients do. When each thing happens is
//! the machine's doing, so a seed leads to the same choices, not to the same history.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use serde_json::Value;
use streamlings::kafka::{Admin, NewTopic, Target};

#[path = "../crates/broker/src/histories/model.rs"]
#[allow(dead_code, reason = "the simulated histories ask more of it")]
mod model;

use model::{Model, Outcome, Records};

const TOPIC: &str = "rides";
const PARTITIONS: i32 = 3;
/// Commits of the transactional producer.
const TRANSACTIONS: &str = "transactions";
/// Commits of consumers.
const RIDERS: &str = "riders";
/// What is waited for ends the wait; this ends the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one call of a client may take before it is made again.
const CALL: Duration = Duration::from_secs(5);
/// How long a client waits for its next event.
const MOMENT: Duration = Duration::from_millis(20);

/// A lab of three brokers that ends with the test.
struct Lab {
    home: tempfile::TempDir,
    bootstrap: String,
    pid: Pid,
}

impl Lab {
    fn start() -> Self {
        let mut lab = Self {
            home: tempfile::tempdir().unwrap(),
            bootstrap: String::new(),
            pid: Pid::from_raw(0),
        };
        lab.up();
        lab
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_streamlings"))
            .args(words)
            .env("STREAMLINGS_HOME", self.home.path())
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn ok(&self, words: &[&str]) -> Vec<u8> {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        output.stdout
    }

    fn up(&mut self) {
        let flags = [
            "up",
            "--backend",
            "embedded",
            "--brokers",
            "3",
            "--port",
            "0",
            "--json",
        ];
        let again = ["up", "--json"];
        let said = self.ok(if self.bootstrap.is_empty() { &flags } else { &again });
        let status: Value = serde_json::from_slice(&said).unwrap();
        self.pid = Pid::from_raw(status["pid"].as_i64().unwrap().try_into().unwrap());
        let bootstrap = status["bootstrap"].as_str().unwrap();
        assert!(
            self.bootstrap.is_empty() || self.bootstrap == bootstrap,
            "clients that were left open find it again"
        );
        bootstrap.clone_into(&mut self.bootstrap);
    }

    fn kill_and_start(&mut self) {
        kill(self.pid, Signal::SIGKILL).unwrap();
        self.up();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(&["down", "--delete", "--yes"]);
    }
}

/// What all clients know.
struct Shared {
    bootstrap: String,
    seed: u64,
    model: Mutex<Model>,
    /// Acknowledgements so far.
    done: Mutex<u64>,
    more: Condvar,
    next_value: AtomicI64,
    over: AtomicBool,
}

impl Shared {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn count(&self) {
        *self.done.lock().unwrap() += 1;
        self.more.notify_all();
    }

    /// Waits for so many acknowledgements more.
    fn wait_for(&self, more: u64) {
        let deadline = Instant::now() + PATIENCE;
        let mut done = self.done.lock().unwrap();
        let wanted = *done + more;
        while *done < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{}: nothing is acknowledged any more: {done} of {wanted}",
                self.seed
            );
            done = self.more.wait_timeout(done, left).unwrap().0;
        }
    }

    fn new_value(&self) -> String {
        format!("v{:07}", self.next_value.fetch_add(1, Ordering::SeqCst))
    }

    fn config(&self) -> ClientConfig {
        Target::new(&self.bootstrap).client_config()
    }

    fn consumer(&self, group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create().unwrap()
    }
}

/// Takes note of what is acknowledged.
struct Acknowledged {
    shared: Arc<Shared>,
    /// Records that were given up: of a transaction, as other producers never give up.
    given_up: AtomicBool,
}

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let value = String::from_utf8_lossy(message.payload().unwrap_or_default());
                self.shared.model().acknowledge(&value, message.offset());
                self.shared.count();
            }
            Err(_) => self.given_up.store(true, Ordering::SeqCst),
        }
    }
}

type Client = ThreadedProducer<Acknowledged>;

fn producer(shared: &Arc<Shared>, settings: &[(&str, &str)]) -> Client {
    let mut config = shared.config();
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "1");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
        .create_with_context(Acknowledged {
            shared: Arc::clone(shared),
            given_up: AtomicBool::new(false),
        })
        .unwrap()
}

/// An idempotent producer on all partitions, a lane each, until it is over. `in_flight`: requests at once.
fn produce(shared: &Arc<Shared>, name: &str, in_flight: &str) {
    let settings = [
        ("max.in.flight.requests.per.connection", in_flight),
        // It never gives up.
        ("message.timeout.ms", "0"),
    ];
    let client = producer(shared, &settings);
    let mut sent = 0_u64;
    while !shared.is_over() {
        if client.in_flight_count() < 30 {
            let partition = (sent % 3) as i32;
            let value = shared.new_value();
            shared
                .model()
                .send(&value, &format!("{name}-{partition}"), partition, None);
            client
                .send(
                    BaseRecord::<(), str>::to(TOPIC)
                        .partition(partition)
                        .payload(&value),
                )
                .unwrap_or_else(|(error, _)| panic!("{name}: {error}"));
            sent += 1;
        } else {
            client.poll(MOMENT);
        }
    }
    client.flush(PATIENCE).unwrap();
    if let Some(error) = client.client().fatal_error() {
        panic!("{name} has failed for good: {error:?}");
    }
}

/// What a transactional producer does after an error.
enum After {
    /// The call again.
    Again,
    /// The transaction is to be aborted.
    Abort,
    /// Another producer has to go on.
    Replace,
}

fn after(error: &KafkaError) -> After {
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => After::Replace,
        KafkaError::Transaction(error) if error.txn_requires_abort() => After::Abort,
        KafkaError::Transaction(error) if error.is_retriable() => After::Again,
        _ => After::Replace,
    }
}

/// Makes a call until it succeeds, or has failed for good.
fn insist(call: impl Fn() -> Result<(), KafkaError>) -> Result<(), After> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Err(error) = call() else { return Ok(()) };
        match after(&error) {
            After::Again => assert!(Instant::now() < deadline, "a transaction can't go on: {error}"),
            other => return Err(other),
        }
    }
}

/// Transactions one after the other, with the offsets of a group, some committed and some aborted.
fn transact(shared: &Arc<Shared>, mut rng: StdRng) {
    let consumer = shared.consumer(TRANSACTIONS, &[]);
    let mut offset = 0;
    while !shared.is_over() {
        let settings = [
            ("transactional.id", "crash"),
            ("transaction.timeout.ms", "10000"),
            // librdkafka may wait, beyond the deadline of a call, for a broker that it has replaced: until that
            // connection is closed, which the cluster does after ten minutes.
            ("connections.max.idle.ms", "10000"),
        ];
        let client = producer(shared, &settings);
        if insist(|| client.init_transactions(CALL)).is_err() {
            continue;
        }
        while !shared.is_over() {
            offset += 1;
            let ended = transaction(shared, &client, &consumer, offset, &mut rng);
            let aborted = match ended {
                Ok(()) => Ok(()),
                Err(After::Abort) => abort(&client),
                Err(other) => Err(other),
            };
            if aborted.is_err() {
                break;
            }
        }
    }
}

/// Aborts a transaction when all of its records are acknowledged; another producer goes on otherwise. Of a record that waits
/// to be sent again, librdkafka (2.12 to 2.16) would give the sequence number to the next one in the same epoch: where the
/// log has the first already, a cluster takes the second for its repetition, which is acknowledged and lost.
fn abort(client: &Client) -> Result<(), After> {
    if client.flush(CALL).is_err() || client.context().given_up.load(Ordering::SeqCst) {
        return Err(After::Replace);
    }
    insist(|| client.abort_transaction(CALL))
}

fn transaction(
    shared: &Arc<Shared>,
    client: &Client,
    consumer: &BaseConsumer,
    offset: i64,
    rng: &mut StdRng,
) -> Result<(), After> {
    insist(|| client.begin_transaction())?;
    let transaction = shared.model().begin();
    for _ in 0..rng.random_range(1..5) {
        let partition = rng.random_range(0..PARTITIONS);
        let value = shared.new_value();
        let lane = format!("transactional-{partition}");
        shared.model().send(&value, &lane, partition, Some(transaction));
        let record = BaseRecord::<(), str>::to(TOPIC)
            .partition(partition)
            .payload(&value);
        client.send(record).map_err(|(error, _)| after(&error))?;
    }
    let with_offset = rng.random_bool(0.4);
    if with_offset {
        let mut model = shared.model();
        model.committing(TRANSACTIONS, 0, offset);
        model.offset_in(TRANSACTIONS, offset, transaction);
        drop(model);
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(TOPIC, 0, Offset::Offset(offset))
            .unwrap();
        let group = consumer.group_metadata().unwrap();
        insist(|| client.send_offsets_to_transaction(&offsets, &group, CALL))?;
    }
    if rng.random_bool(0.3) {
        return Err(After::Abort);
    }
    shared.model().end(transaction, Outcome::Unknown);
    insist(|| client.commit_transaction(CALL))?;
    let mut model = shared.model();
    model.end(transaction, Outcome::Committed);
    if with_offset {
        model.committed(TRANSACTIONS, 0, offset);
    }
    drop(model);
    shared.count();
    Ok(())
}

/// A member of a group that reads what is committed, and commits how far it is.
fn consume(shared: &Arc<Shared>, protocol: &str, mut rng: StdRng) {
    let consumer = shared.consumer(RIDERS, &[("group.protocol", protocol)]);
    consumer.subscribe(&[TOPIC]).unwrap();
    while !shared.is_over() {
        let Some(Ok(message)) = consumer.poll(MOMENT) else {
            continue;
        };
        let (partition, offset) = (message.partition(), message.offset());
        let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        shared.model().see(partition, offset, &value, true).unwrap();
        if rng.random_bool(0.02) {
            let next = offset + 1;
            shared.model().committing(RIDERS, partition, next);
            let mut offsets = TopicPartitionList::new();
            offsets
                .add_partition_offset(TOPIC, partition, Offset::Offset(next))
                .unwrap();
            if consumer.commit(&offsets, CommitMode::Sync).is_ok() {
                shared.model().committed(RIDERS, partition, next);
                shared.count();
            }
        }
    }
}

/// A consumer at the beginning of all partitions.
fn reader(shared: &Arc<Shared>, committed: bool) -> BaseConsumer {
    let isolation = if committed {
        "read_committed"
    } else {
        "read_uncommitted"
    };
    let consumer = shared.consumer("reader", &[("isolation.level", isolation)]);
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions
            .add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&partitions).unwrap();
    consumer
}

/// Reads while clients are at work, or, when it is over, to the end.
fn read(shared: &Arc<Shared>, committed: bool) -> BTreeMap<i32, Records> {
    let to_the_end = shared.is_over();
    let consumer = reader(shared, committed);
    let mut found: BTreeMap<i32, Records> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let done = if to_the_end {
            ended.len() == PARTITIONS as usize
        } else {
            shared.is_over()
        };
        if done {
            return found;
        }
        assert!(
            !to_the_end || Instant::now() < deadline,
            "{ended:?} alone can be read to the end"
        );
        match consumer.poll(MOMENT) {
            Some(Ok(message)) => {
                let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
                let (partition, offset) = (message.partition(), message.offset());
                shared.model().see(partition, offset, &value, committed).unwrap();
                found.entry(partition).or_default().push((offset, value));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            _ => {}
        }
    }
}

/// Waits until no transaction is open any more: what is read at read_committed ends where the log does.
fn wait_for_transactions(shared: &Arc<Shared>) {
    let readers = [false, true].map(|committed| reader(shared, committed));
    let deadline = Instant::now() + PATIENCE;
    for partition in 0..PARTITIONS {
        loop {
            let ends = readers
                .each_ref()
                .map(|reader| reader.fetch_watermarks(TOPIC, partition, CALL));
            match ends {
                [Ok((_, end)), Ok((_, stable))] if end == stable => break,
                other => assert!(
                    Instant::now() < deadline,
                    "a transaction hangs in {partition}: {other:?}"
                ),
            }
            let _ = readers[0].poll(MOMENT);
        }
    }
}

/// The committed offsets of a group are those that the model allows. The model is held meanwhile, so that no commit is
/// acknowledged in between.
fn check_commits(shared: &Arc<Shared>, group: &str) {
    let consumer = shared.consumer(group, &[]);
    let mut model = shared.model();
    let mut wanted = TopicPartitionList::new();
    let known = model.groups().into_iter().filter(|(name, _)| name == group);
    for (_, partition) in known {
        wanted.add_partition(TOPIC, partition);
    }
    if wanted.count() == 0 {
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    let offsets = loop {
        match consumer.committed_offsets(wanted.clone(), CALL) {
            Ok(offsets) => break offsets,
            Err(error) => assert!(Instant::now() < deadline, "the offsets of {group}: {error}"),
        }
    };
    for element in offsets.elements() {
        let offset = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => -1,
        };
        model.read_commit(group, element.partition(), offset).unwrap();
    }
}

fn break_something(lab: &mut Lab, shared: &Arc<Shared>, whole_only: bool, rng: &mut StdRng) {
    if whole_only || rng.random_bool(0.5) {
        println!("SIGKILL");
        lab.kill_and_start();
        return;
    }
    let broker = rng.random_range(1..=3).to_string();
    let how = if rng.random_bool(0.5) { "kill" } else { "stop" };
    println!("broker {how} {broker}");
    lab.ok(&["broker", how, &broker]);
    let more = rng.random_range(1..60);
    shared.wait_for(more);
    if rng.random_bool(0.3) {
        println!("SIGKILL while broker {broker} is down");
        lab.kill_and_start();
    } else {
        lab.ok(&["broker", "start", &broker]);
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn real_clients_lose_nothing_when_the_lab_is_killed() {
    let seed = setting("CRASH_SEED").unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("CRASH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut lab = Lab::start();
    let admin = Admin::new(&Target::new(&lab.bootstrap), PATIENCE).unwrap();
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(PARTITIONS),
        replicas: Some(3),
        ..NewTopic::default()
    };
    admin.create_topic(&topic).unwrap();
    let shared = Arc::new(Shared {
        bootstrap: lab.bootstrap.clone(),
        seed,
        model: Mutex::default(),
        done: Mutex::default(),
        more: Condvar::new(),
        next_value: AtomicI64::new(0),
        over: AtomicBool::new(false),
    });
    // A broker that starts again knows the last batch of each producer only, as in Kafka: with several in flight the
    // whole process is killed, and no single broker is stopped.
    let whole_only = rng.random_bool(0.4);
    let in_flight = if whole_only { "5" } else { "1" };
    let protocol = if rng.random_bool(0.5) {
        "classic"
    } else {
        "consumer"
    };
    println!("in flight: {in_flight}, group protocol: {protocol}");
    let in_time = std::thread::scope(|scope| {
        let shared = &shared;
        // However it ends, the clients must.
        let over = Over(shared);
        for name in ["one", "two"] {
            scope.spawn(move || produce(shared, name, in_flight));
        }
        let seeds: [u64; 3] = rng.random();
        scope.spawn(move || transact(shared, StdRng::seed_from_u64(seeds[0])));
        for seed in &seeds[1..] {
            let rng = StdRng::seed_from_u64(*seed);
            scope.spawn(move || consume(shared, protocol, rng));
        }
        let readers = [false, true].map(|committed| scope.spawn(move || read(shared, committed)));
        for _ in 0..setting("CRASHES").unwrap_or(3) {
            shared.wait_for(rng.random_range(20..2000));
            break_something(&mut lab, shared, whole_only, &mut rng);
            check_commits(shared, RIDERS);
            check_commits(shared, TRANSACTIONS);
        }
        shared.wait_for(50);
        drop(over);
        readers.map(|reader| reader.join().unwrap())
    });
    wait_for_transactions(&shared);
    let [all, committed] = [false, true].map(|committed| read(&shared, committed));
    for (partition, records) in &in_time[0] {
        assert!(
            all[partition].starts_with(records),
            "{seed}: a reader was given other records"
        );
    }
    for (partition, records) in &in_time[1] {
        assert!(
            committed[partition].starts_with(records),
            "{seed}: a reader was given other records"
        );
    }
    check_commits(&shared, RIDERS);
    check_commits(&shared, TRANSACTIONS);
    let model = shared.model();
    println!("{:?}", model.counts());
    model.check(&all, &committed).unwrap();
    assert!(model.counts()[0] > 0);
}

/// Ends the clients when it goes.
struct Over<'a>(&'a Shared);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}
