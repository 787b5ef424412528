//! librdkafka against the cluster's real sockets.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use streamlings_broker::{Cluster, StartError};

const LONG: Duration = Duration::from_secs(30);

fn client(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap());
    config
}

fn produce(cluster: &Cluster, topic: &str, codec: &str, values: &[&str]) {
    let producer: BaseProducer = client(cluster)
        .set("compression.type", codec)
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for value in values {
        producer
            .send(BaseRecord::<str, str>::to(topic).payload(value))
            .unwrap();
    }
    producer.flush(LONG).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

fn consumer(cluster: &Cluster, group: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = client(cluster)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "100")
        .set("topic.metadata.refresh.interval.ms", "500")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

/// Polls until `count` values are there.
fn values(consumer: &BaseConsumer, count: usize) -> Vec<String> {
    let end = Instant::now() + LONG;
    let mut values = Vec::new();
    while values.len() < count {
        assert!(Instant::now() < end, "only {values:?} of {count}");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            values.push(String::from_utf8_lossy(message.payload().unwrap()).into_owned());
        }
    }
    values
}

fn create(cluster: &Cluster, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = client(cluster).create().unwrap();
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let made = futures_executor::block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
    assert_eq!(made, [Ok(topic.to_owned())]);
}

#[test]
fn every_codec_comes_back() {
    let cluster = Cluster::builder().start().unwrap();
    let mut sent = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let batch: Vec<String> = (0..50)
            .map(|i| format!("{codec}-{i}-{}", "x".repeat(100)))
            .collect();
        produce(
            &cluster,
            "codecs",
            codec,
            &batch.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        sent.extend(batch);
    }
    assert_eq!(values(&consumer(&cluster, "g", "codecs"), sent.len()), sent);
}

#[test]
fn long_and_short_runs_of_records_come_as_they_were_written() {
    let cluster = Cluster::builder().start().unwrap();
    // Of several partitions in one answer some are longer than what is copied, some are not.
    create(&cluster, "mixed", 6);
    let producer: BaseProducer = client(&cluster).set("linger.ms", "20").create().unwrap();
    let mut sent = Vec::new();
    for number in 0..600 {
        let partition = number % 6;
        let size = if partition < 3 { 10 } else { 3_000 };
        let value = format!("{number:04}-{}", "y".repeat(size));
        let record = BaseRecord::<str, str>::to("mixed")
            .partition(partition)
            .payload(&value);
        producer.send(record).unwrap();
        sent.push(value);
    }
    producer.flush(LONG).unwrap();
    let mut got = values(&consumer(&cluster, "g", "mixed"), sent.len());
    got.sort();
    assert!(got == sent, "{} records, others than were sent", got.len());
}

#[test]
fn more_replicas_in_sync_than_there_are_is_no_demand() {
    let cluster = Cluster::builder()
        .config("min.insync.replicas", "2")
        .start()
        .unwrap();
    create(&cluster, "strict", 1);
    produce(&cluster, "strict", "none", &["a"]);
    assert_eq!(values(&consumer(&cluster, "g", "strict"), 1), ["a"]);
}

#[test]
fn a_second_member_takes_its_share() {
    let cluster = Cluster::builder().start().unwrap();
    create(&cluster, "shared", 4);
    let first = consumer(&cluster, "pair", "shared");
    let second = consumer(&cluster, "pair", "shared");
    let partitions = |consumer: &BaseConsumer| -> BTreeSet<i32> {
        consumer
            .assignment()
            .unwrap()
            .elements()
            .iter()
            .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
            .collect()
    };
    let end = Instant::now() + LONG;
    loop {
        first.poll(Duration::from_millis(20));
        second.poll(Duration::from_millis(20));
        let (a, b) = (partitions(&first), partitions(&second));
        if a.len() == 2 && b.len() == 2 && a.is_disjoint(&b) {
            break;
        }
        assert!(Instant::now() < end, "assignments stay at {a:?} and {b:?}");
    }
}

#[test]
fn a_restart_keeps_topics_records_and_offsets() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().data_dir(folder.path()).start().unwrap();
    let cluster = start();
    create(&cluster, "kept", 3);
    produce(&cluster, "kept", "none", &["a", "b", "c"]);
    let reader = consumer(&cluster, "reader", "kept");
    values(&reader, 3);
    reader.commit_consumer_state(CommitMode::Sync).unwrap();
    let committed = |cluster: &Cluster| {
        let reader: BaseConsumer = client(cluster).set("group.id", "reader").create().unwrap();
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range("kept", 0, 2);
        let found = reader.committed_offsets(wanted, LONG).unwrap();
        found
            .elements()
            .iter()
            .map(|e| {
                if let Offset::Offset(at) = e.offset() {
                    at
                } else {
                    0
                }
            })
            .sum::<i64>()
    };
    assert_eq!(committed(&cluster), 3);
    drop(reader);
    cluster.shutdown();

    let cluster = start();
    let other: BaseConsumer = client(&cluster).set("group.id", "other").create().unwrap();
    let metadata = other.fetch_metadata(Some("kept"), LONG).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
    let ends: i64 = (0..3)
        .map(|p| other.fetch_watermarks("kept", p, LONG).unwrap().1)
        .sum();
    assert_eq!(ends, 3);
    assert_eq!(committed(&cluster), 3);
}

#[test]
fn a_port_and_a_folder_in_use_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder().data_dir(folder.path()).start().unwrap();
    let port = cluster.brokers()[0].port;
    let error = Cluster::builder().port(port).start().unwrap_err();
    assert!(
        matches!(error, StartError::PortInUse { port: p } if p == port),
        "{error}"
    );
    let error = Cluster::builder().data_dir(folder.path()).start().unwrap_err();
    assert!(matches!(error, StartError::Locked { .. }), "{error}");
}
