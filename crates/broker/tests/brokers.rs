//! librdkafka against a cluster of three brokers: records outlive their leader, members their coordinator.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use streamlings_broker::{BrokerError, Cluster};

const LONG: Duration = Duration::from_secs(30);

fn client(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", cluster.bootstrap())
        .set("topic.metadata.refresh.interval.ms", "300")
        .set("reconnect.backoff.max.ms", "200");
    config
}

fn create(cluster: &Cluster, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client(cluster).create().unwrap();
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(3)).set("min.insync.replicas", "2");
    let made = futures_executor::block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
    assert_eq!(made, [Ok(topic.to_owned())]);
}

fn send(producer: &BaseProducer, topic: &str, values: std::ops::Range<u32>) {
    for value in values {
        let (key, value) = (value.to_string(), format!("v{value}"));
        producer
            .send(BaseRecord::to(topic).key(&key).payload(&value))
            .unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(LONG).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

fn read(consumer: &BaseConsumer, count: usize) -> BTreeSet<String> {
    let end = Instant::now() + LONG;
    let mut values = BTreeSet::new();
    while values.len() < count {
        assert!(Instant::now() < end, "only {} of {count}", values.len());
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            values.insert(String::from_utf8_lossy(message.payload().unwrap()).into_owned());
        }
    }
    values
}

/// Leader and in-sync replicas of each partition.
fn partitions(cluster: &Cluster, topic: &str) -> Vec<(i32, Vec<i32>)> {
    let asker: BaseConsumer = client(cluster).create().unwrap();
    let metadata = asker.fetch_metadata(Some(topic), LONG).unwrap();
    let all = metadata.topics()[0].partitions().iter();
    all.map(|p| (p.leader(), p.isr().to_vec())).collect()
}

#[test]
fn records_and_offsets_outlive_any_one_broker() {
    let cluster = Cluster::builder().brokers(3).start().unwrap();
    let ports: BTreeSet<u16> = cluster.brokers().iter().map(|broker| broker.port).collect();
    assert_eq!(ports.len(), 3);
    create(&cluster, "rides", 3);
    let leaders: BTreeSet<i32> = partitions(&cluster, "rides").iter().map(|p| p.0).collect();
    assert_eq!(leaders, BTreeSet::from([1, 2, 3]));

    let producer: BaseProducer = client(&cluster)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    let consumer: BaseConsumer = client(&cluster)
        .set("group.id", "readers")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "100")
        .create()
        .unwrap();
    consumer.subscribe(&["rides"]).unwrap();
    send(&producer, "rides", 0..100);
    assert_eq!(read(&consumer, 100).len(), 100);
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();

    // One after the other goes and comes back: every broker was down once, and every leader moved.
    for (round, id) in [1, 2, 3].into_iter().enumerate() {
        cluster.stop_broker(id).unwrap();
        let down = cluster.brokers()[id as usize - 1].clone();
        assert!(!down.up);
        assert!(TcpStream::connect((&*down.host, down.port)).is_err());
        for (leader, isr) in partitions(&cluster, "rides") {
            assert!(leader > 0 && leader != id && !isr.contains(&id));
        }
        let from = 100 + 100 * round as u32;
        send(&producer, "rides", from..from + 100);
        assert_eq!(read(&consumer, 100).len(), 100);
        cluster.start_broker(id).unwrap();
        for (_, isr) in partitions(&cluster, "rides") {
            assert_eq!(isr.len(), 3);
        }
    }
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    drop(consumer);
    let again: BaseConsumer = client(&cluster)
        .set("group.id", "all")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    again.subscribe(&["rides"]).unwrap();
    assert_eq!(read(&again, 400).len(), 400);
}

#[test]
fn nobody_gets_the_port_of_a_broker_that_is_down() {
    let cluster = Cluster::builder().brokers(3).start().unwrap();
    cluster.kill_broker(2).unwrap();
    let port = cluster.brokers()[1].port;
    // The system gives each attempt the next free port as its own: one of them would be the one that is asked for, and
    // the client be connected to itself.
    for _ in 0..40_000 {
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
    cluster.start_broker(2).unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn a_killed_broker_is_missed_when_its_session_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Cluster::builder()
            .brokers(3)
            .data_dir(folder.path())
            .start()
            .unwrap()
    };
    let cluster = start();
    create(&cluster, "t", 3);
    let producer: BaseProducer = client(&cluster).set("acks", "all").create().unwrap();
    send(&producer, "t", 0..10);
    let ports = |cluster: &Cluster| cluster.brokers().iter().map(|b| b.port).collect::<Vec<_>>();
    let before = ports(&cluster);
    assert!(before.is_sorted_by(|a, b| a + 1 == *b), "{before:?}");
    cluster.kill_broker(2).unwrap();
    cluster.start_broker(2).unwrap();
    assert_eq!(ports(&cluster), before);
    cluster.kill_broker(2).unwrap();
    cluster.advance(Duration::from_secs(9));
    send(&producer, "t", 10..20);
    for (leader, isr) in partitions(&cluster, "t") {
        assert!(leader != 2 && isr.len() == 2, "{leader} {isr:?}");
    }
    assert!(matches!(cluster.stop_broker(9), Err(BrokerError::Unknown(9))));
    cluster.shutdown();

    let cluster = start();
    for (_, isr) in partitions(&cluster, "t") {
        assert_eq!(isr.len(), 3);
    }
    let reader: BaseConsumer = client(&cluster)
        .set("group.id", "g")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    reader.subscribe(&["t"]).unwrap();
    assert_eq!(read(&reader, 20).len(), 20);
}
