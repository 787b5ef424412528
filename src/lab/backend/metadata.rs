//! Which brokers a cluster says it has, asked through one client that stays connected.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::super::status::BrokerStatus;
use crate::kafka::Target;

/// What the client's own threads said was wrong, newest last.
#[derive(Default)]
struct Errors(Mutex<Vec<(Option<RDKafkaErrorCode>, String)>>);

impl ClientContext for Errors {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < 16 {
            errors.push((error.rdkafka_error_code(), reason.to_owned()));
        }
    }
}

impl ConsumerContext for Errors {}

/// Asks for the brokers, as often as one likes.
pub(super) struct Metadata {
    consumer: BaseConsumer<Errors>,
    /// Brokers that were there once: those that are gone are shown as down.
    known: Mutex<Vec<BrokerStatus>>,
}

impl Metadata {
    /// A client of `target`; connects in the background.
    pub(super) fn new(target: &Target) -> Result<Self, KafkaError> {
        let mut config = target.client_config();
        // Never joins it, but librdkafka wants a name for a consumer.
        config
            .set("group.id", "streamlings-lab")
            .set("enable.auto.commit", "false");
        Ok(Self {
            consumer: config.create_with_context(Errors::default())?,
            known: Mutex::default(),
        })
    }

    /// Waits until the cluster answers.
    ///
    /// # Errors
    /// Why it didn't, as the client's threads told it.
    pub(super) fn wait(&self, limit: Duration) -> Result<Vec<BrokerStatus>, String> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match self.ask(left.min(Duration::from_millis(500))) {
                Ok(brokers) => return Ok(brokers),
                Err(error) => error,
            };
            // Serves the error callback; there is nothing to consume.
            drop(self.consumer.poll(Duration::ZERO));
            let hopeless = self.why(|code| {
                matches!(
                    code,
                    RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL | RDKafkaErrorCode::Resolve
                )
            });
            if let Some(why) = hopeless {
                return Err(why);
            }
            if left.is_zero() {
                return Err(self.why(|_| true).unwrap_or_else(|| error.to_string()));
            }
        }
    }

    /// The newest thing said about codes that `wanted` takes.
    fn why(&self, wanted: impl Fn(RDKafkaErrorCode) -> bool) -> Option<String> {
        let errors = self
            .consumer_errors()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let summary = |code: RDKafkaErrorCode| code == RDKafkaErrorCode::AllBrokersDown;
        let mut said = errors.iter().rev().filter(|(code, _)| code.is_none_or(&wanted));
        let first = said.clone().find(|(code, _)| !code.is_some_and(summary));
        first.or_else(|| said.next()).map(|(_, text)| text.clone())
    }

    fn consumer_errors(&self) -> &Mutex<Vec<(Option<RDKafkaErrorCode>, String)>> {
        let client: &Client<Errors> = self.consumer.client();
        &client.context().0
    }

    /// Every broker seen so far; those that the cluster names now are up.
    pub(super) fn brokers(&self, limit: Duration) -> Vec<BrokerStatus> {
        if let Err(error) = self.ask(limit) {
            tracing::info!(%error, "the cluster doesn't answer");
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for broker in known.iter_mut() {
                broker.up = false;
            }
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(&self, limit: Duration) -> Result<Vec<BrokerStatus>, KafkaError> {
        // All topics come along; asking for one that isn't there could create it.
        let metadata = self.consumer.fetch_metadata(None, limit)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for broker in known.iter_mut() {
            broker.up = false;
        }
        for broker in metadata.brokers() {
            let now = BrokerStatus {
                id: broker.id(),
                host: broker.host().to_owned(),
                port: u16::try_from(broker.port()).unwrap_or_default(),
                up: true,
            };
            match known.iter_mut().find(|known| known.id == now.id) {
                Some(known) => *known = now,
                None => known.push(now),
            }
        }
        known.sort_by_key(|broker| broker.id);
        Ok(known.clone())
    }
}
