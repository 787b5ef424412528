//! A librdkafka program that puts load on a cluster and measures it, for `benches/run`: one JSON object on stdout.
//!
//! usage: load BOOTSTRAP TOPIC produce RECORDS | consume RECORDS | latency RECORDS_A_SECOND SECONDS

#![allow(missing_docs, reason = "a program")]
#![allow(clippy::unwrap_used, reason = "a measurement that can't go on ends")]
#![allow(
    unsafe_code,
    reason = "librdkafka's call for many records at a time has no safe wrapper"
)]

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

/// librdkafka takes memory for each record in one thread and gives it back in another. The C library's allocator spends half of
/// a consumer's time on that, of whichever broker; with the crate's `override` this one is librdkafka's, too.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

/// Counts the records that did not arrive.
#[derive(Default)]
struct Lost(AtomicU64);

impl ClientContext for Lost {}

impl ProducerContext for Lost {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
    }
}

fn producer(cluster: &str, linger_ms: &str) -> BaseProducer<Lost> {
    client(cluster)
        .set("acks", "all")
        .set("linger.ms", linger_ms)
        .set("queue.buffering.max.messages", "1000000")
        // A report of every success costs the client as much as sending does.
        .set("delivery.report.only.error", "true")
        .create_with_context(Lost::default())
        .unwrap()
}

fn flush(producer: &BaseProducer<Lost>) {
    producer.flush(LONG).unwrap();
    assert_eq!(
        producer.context().0.load(Ordering::Relaxed),
        0,
        "every record arrives"
    );
}

fn consumer(cluster: &str) -> BaseConsumer {
    let group = format!("load-{}-{}", std::process::id(), now_us());
    client(cluster)
        .set("group.id", group)
        .set("auto.offset.reset", "latest")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "100")
        // With a full queue the client else asks for nothing during a whole second, of its own accord.
        .set("fetch.queue.backoff.ms", "0")
        .create()
        .unwrap()
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

fn rate(records: u64, began: Instant) -> Value {
    json!({ "records_per_second": records as f64 / began.elapsed().as_secs_f64() })
}

fn send(producer: &BaseProducer<Lost>, topic: &str, payload: &[u8]) {
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
    /// `RD_KAFKA_PARTITION_UA`: the partitioner says.
    const ANY_PARTITION: i32 = -1;
    let producer = producer(cluster, "5");
    let mut payload = [b'x'; RECORD_BYTES];
    let name = CString::new(topic).unwrap();
    let began = Instant::now();
    // SAFETY: the producer lives until the topic's handle is given back, and librdkafka copies the payload, which it does
    // not change, before it returns.
    unsafe {
        let handle = rd::rd_kafka_topic_new(
            producer.client().native_ptr(),
            name.as_ptr(),
            std::ptr::null_mut(),
        );
        for number in 0..records {
            while rd::rd_kafka_produce(
                handle,
                ANY_PARTITION,
                rd::RD_KAFKA_MSG_F_COPY,
                payload.as_mut_ptr().cast(),
                payload.len(),
                std::ptr::null(),
                0,
                std::ptr::null_mut(),
            ) != 0
            {
                let full = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL;
                assert_eq!(rd::rd_kafka_last_error(), full, "records go out");
                producer.poll(Duration::from_millis(1));
            }
            if number % 1000 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        rd::rd_kafka_topic_destroy(handle);
    }
    flush(&producer);
    rate(records, began)
}

fn consume(cluster: &str, topic: &str, records: u64) -> Value {
    const AT_A_TIME: usize = 10_000;
    let consumer = consumer(cluster);
    let metadata = consumer.fetch_metadata(Some(topic), LONG).unwrap();
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&all).unwrap();
    let mut batch = vec![std::ptr::null_mut(); AT_A_TIME];
    let mut began = None;
    let mut got = 0;
    // SAFETY: the consumer lives until the queue is given back; `batch` has room for as many records as it is asked for,
    // and each of those that came is looked at once and given back.
    unsafe {
        let queue = rd::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        while got < records {
            let came = rd::rd_kafka_consume_batch_queue(queue, 20, batch.as_mut_ptr(), AT_A_TIME);
            let came = usize::try_from(came).unwrap();
            if came > 0 {
                // Finding the partitions is not what is measured.
                began.get_or_insert_with(Instant::now);
            }
            for record in &batch[..came] {
                let is_record = (**record).err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
                got += u64::from(is_record && (**record).len == RECORD_BYTES);
                rd::rd_kafka_message_destroy(*record);
            }
        }
        rd::rd_kafka_queue_destroy(queue);
    }
    rate(records, began.unwrap_or_else(Instant::now))
}

/// Each record carries when it was sent; what counts is when a consumer has it.
fn latency(cluster: &str, topic: &str, per_second: u64, seconds: u64) -> Value {
    let consumer = consumer(cluster);
    consumer.subscribe(&[topic]).unwrap();
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
        flush(&producer);
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
