//! A librdkafka program that puts load on a cluster and measures it, for `benches/run`: one JSON object on stdout.
//!
//! usage: load BOOTSTRAP TOPIC produce RECORDS | consume RECORDS | latency RECORDS_A_SECOND SECONDS

#![allow(missing_docs, reason = "a program")]
#![allow(clippy::unwrap_used, reason = "a measurement that can't go on ends")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(120);
const RECORD_BYTES: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        [cluster, topic, "produce", records] => produce(cluster, topic, records.parse().unwrap()),
        [cluster, topic, "consume", records] => consume(cluster, topic, records.parse().unwrap()),
        [cluster, topic, "latency", rate, seconds] => {
            latency(cluster, topic, rate.parse().unwrap(), seconds.parse().unwrap())
        }
        // `cargo bench` and `cargo test` start it without words.
        _ => {
            eprintln!(
                "usage: load BOOTSTRAP TOPIC produce N | consume N | latency RATE SECONDS; see benches/run"
            );
            return;
        }
    };
    println!("{result}");
}

fn client(cluster: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster);
    config
}

fn producer(cluster: &str, linger_ms: &str) -> BaseProducer {
    client(cluster)
        .set("acks", "all")
        .set("linger.ms", linger_ms)
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap()
}

fn consumer(cluster: &str, topic: &str, reset: &str) -> BaseConsumer {
    let group = format!("load-{}-{}", std::process::id(), now_us());
    let consumer: BaseConsumer = client(cluster)
        .set("group.id", group)
        .set("auto.offset.reset", reset)
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "100")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

fn rate(records: u64, began: Instant) -> Value {
    json!({ "records_per_second": records as f64 / began.elapsed().as_secs_f64() })
}

fn send(producer: &BaseProducer, topic: &str, payload: &[u8]) {
    let mut record = BaseRecord::<(), [u8]>::to(topic).payload(payload);
    while let Err((error, back)) = producer.send(record) {
        assert_eq!(
            error,
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
            "records go out"
        );
        producer.poll(Duration::from_millis(1));
        record = back;
    }
}

fn produce(cluster: &str, topic: &str, records: u64) -> Value {
    let producer = producer(cluster, "5");
    let payload = [b'x'; RECORD_BYTES];
    let began = Instant::now();
    for number in 0..records {
        send(&producer, topic, &payload);
        if number % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(LONG).unwrap();
    rate(records, began)
}

fn consume(cluster: &str, topic: &str, records: u64) -> Value {
    let consumer = consumer(cluster, topic, "earliest");
    let mut began = None;
    let mut left = records;
    while left > 0 {
        if consumer
            .poll(Duration::from_secs(1))
            .is_some_and(|record| record.is_ok())
        {
            // Joining the group is not what is measured.
            began.get_or_insert_with(Instant::now);
            left -= 1;
        }
    }
    rate(records, began.unwrap_or_else(Instant::now))
}

/// Each record carries when it was sent; what counts is when a consumer has it.
fn latency(cluster: &str, topic: &str, per_second: u64, seconds: u64) -> Value {
    let consumer = consumer(cluster, topic, "latest");
    let producer = producer(cluster, "0");
    let done = AtomicBool::new(false);
    let mut took: Vec<u64> = Vec::new();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut took = Vec::new();
            while !done.load(Ordering::Relaxed) {
                if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
                    let sent: [u8; 8] = record.payload().unwrap()[..8].try_into().unwrap();
                    took.push(now_us().saturating_sub(u64::from_be_bytes(sent)));
                }
            }
            took
        });
        // Until the consumer has its partitions, records go past it.
        while consumer.assignment().unwrap().count() == 0 {
            std::thread::yield_now();
        }
        let began = Instant::now();
        let mut sent = 0;
        while began.elapsed() < Duration::from_secs(seconds) {
            let due = (began.elapsed().as_secs_f64() * per_second as f64) as u64;
            while sent < due {
                let mut payload = [b'x'; RECORD_BYTES];
                payload[..8].copy_from_slice(&now_us().to_be_bytes());
                send(&producer, topic, &payload);
                sent += 1;
            }
            producer.poll(Duration::from_micros(500));
        }
        producer.flush(LONG).unwrap();
        std::thread::park_timeout(Duration::from_millis(500));
        done.store(true, Ordering::Relaxed);
        took = reader.join().unwrap();
    });
    // The first second warms both sides up.
    took.drain(..took.len().min(per_second as usize));
    took.sort_unstable();
    assert!(!took.is_empty(), "records arrive");
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
    json!({ "records": took.len(), "p50_ms": at(0.5), "p99_ms": at(0.99) })
}
