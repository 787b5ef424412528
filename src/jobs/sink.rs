//! Where a job's results go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use streamlings_stream::{KafkaOptions, SinkRecord};

use super::cluster::client_config;
use crate::kafka::Target;

/// How long a checkpoint waits for the brokers.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// The first delivery that failed for good.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Option<String>>>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.to_string());
        }
    }
}

/// A topic that results are written to.
pub(super) struct KafkaSink {
    producer: BaseProducer<Failures>,
    failures: Failures,
    topic: String,
    partition: Option<i32>,
    at_least_once: bool,
}

impl KafkaSink {
    /// Connects nothing yet.
    pub(super) fn open(options: &KafkaOptions, target: &Target) -> Result<Self, String> {
        let (mut config, _) = client_config(options, target.client_config());
        // The partition of a key is the one that Flink's sink, a Java client, would choose.
        config.set("partitioner", "murmur2_random").set("linger.ms", "5");
        let failures = Failures::default();
        let producer = config
            .create_with_context(failures.clone())
            .map_err(|error: ClientError| error.to_string())?;
        Ok(Self {
            producer,
            failures,
            topic: target.real(options.topics.first().map_or("", String::as_str)),
            partition: options.fixed_partition.then_some(0),
            at_least_once: options.at_least_once,
        })
    }

    /// Hands a record to the client, waiting when its queue is full.
    pub(super) fn send(&self, record: &SinkRecord) -> Result<(), String> {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let mut message = BaseRecord::<[u8], [u8]>::to(&self.topic);
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.timestamp = record.timestamp_ms;
        message.partition = self.partition;
        loop {
            self.producer.poll(Duration::ZERO);
            match self.producer.send(message) {
                Ok(()) => return self.check(),
                Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    message = back;
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => return Err(error.to_string()),
            }
        }
    }

    /// Waits until the brokers have what was sent.
    pub(super) fn flush(&self) -> Result<(), String> {
        if self.at_least_once {
            self.producer
                .flush(FLUSH_TIMEOUT)
                .map_err(|error| error.to_string())?;
        } else {
            self.producer.poll(Duration::ZERO);
        }
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        let first = self.failures.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*first {
            Some(error) if self.at_least_once => Err(format!("a result could not be written: {error}")),
            _ => Ok(()),
        }
    }
}
