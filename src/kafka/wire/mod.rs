//! A small client on the wire, for the admin requests that librdkafka lacks: transactions and their producers,
//! reassignments, log folders.
//!
//! It speaks plain Kafka protocol over TCP, one request at a time, and has no TLS and no SASL: [`Wire::connect`] says so
//! where the target's properties ask for them. Every call has a deadline, every answer a limit in bytes. Versions are
//! negotiated for each connection (ApiVersions), so that old and new brokers both get what they know.
//!
//! [`mod@requests`] holds the requests; names in there are the lab's, as in [`Admin`](super::Admin).

mod connection;
mod requests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::{Request, StrBytes};
use rdkafka::error::RDKafkaErrorCode;

use super::admin::is_internal;
use super::{KafkaError, KafkaResult, Target};
use connection::Connection;
pub use requests::{
    ActiveProducer, LogDir, Marker, Reassignment, ReplicaLog, TransactionDescription, TransactionFilter,
    TransactionListing,
};

/// Pause before a request is sent again that the cluster can't answer yet.
const AGAIN: Duration = Duration::from_millis(100);

/// A client of a whole cluster: a connection for each broker that was asked something.
pub struct Wire {
    target: Target,
    timeout: Duration,
    /// The brokers that are up.
    nodes: BTreeMap<i32, Node>,
    controller: Option<i32>,
    open: BTreeMap<i32, Connection>,
}

/// A broker as the metadata name it.
struct Node {
    /// `host:port`.
    address: String,
    rack: Option<String>,
}

impl Wire {
    /// Connects to the first bootstrap server that answers. Every later call ends within `timeout`.
    pub fn connect(target: &Target, timeout: Duration) -> KafkaResult<Self> {
        refuse_security(target)?;
        let mut wire = Self {
            target: target.clone(),
            timeout,
            nodes: BTreeMap::new(),
            controller: None,
            open: BTreeMap::new(),
        };
        let mut failed = KafkaError::of(RDKafkaErrorCode::AllBrokersDown);
        for address in target
            .bootstrap
            .split(',')
            .map(str::trim)
            .filter(|a| !a.is_empty())
        {
            match wire.learn(address) {
                Ok(()) => return Ok(wire),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Takes the brokers' addresses from the metadata of the server at `address`.
    fn learn(&mut self, address: &str) -> KafkaResult<()> {
        // `SSL://host:port` and the like are librdkafka's way to name a protocol.
        let address = address.rsplit_once("://").map_or(address, |(_, rest)| rest);
        let mut connection = Connection::open(address, self.timeout)?;
        let metadata = connection.ask(&MetadataRequest::default().with_topics(Some(Vec::new())))?;
        for broker in &metadata.brokers {
            let host = broker.host.as_str();
            let address = if host.contains(':') {
                format!("[{host}]:{}", broker.port)
            } else {
                format!("{host}:{}", broker.port)
            };
            let rack = broker.rack.as_ref().map(ToString::to_string);
            self.nodes.insert(broker.node_id.0, Node { address, rack });
        }
        self.controller = Some(metadata.controller_id.0).filter(|id| self.nodes.contains_key(id));
        if self.nodes.is_empty() {
            return Err(KafkaError::of(RDKafkaErrorCode::AllBrokersDown));
        }
        Ok(())
    }

    /// The brokers that are up.
    pub fn brokers(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// The brokers that are up, with their racks.
    pub fn racks(&self) -> Vec<(i32, Option<String>)> {
        let nodes = self.nodes.iter();
        nodes.map(|(id, node)| (*id, node.rack.clone())).collect()
    }

    /// Sends a request to one broker.
    fn ask<R: Request>(&mut self, broker: i32, request: &R) -> KafkaResult<R::Response> {
        let connection = match self.open.entry(broker) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let node = self
                    .nodes
                    .get(&broker)
                    .ok_or_else(|| KafkaError::of(RDKafkaErrorCode::UnknownBroker))?;
                place.insert(Connection::open(&node.address, self.timeout)?)
            }
        };
        let answer = connection.ask(request);
        if answer.is_err() {
            // What comes next on it may be the late answer to this.
            self.open.remove(&broker);
        }
        answer
    }

    /// Sends a request to the controller: since KRaft any broker passes it on.
    fn ask_controller<R: Request>(&mut self, request: &R) -> KafkaResult<R::Response> {
        let broker = self.any_broker()?;
        self.ask(self.controller.unwrap_or(broker), request)
    }

    fn any_broker(&self) -> KafkaResult<i32> {
        let first = self.nodes.keys().next().copied();
        first.ok_or_else(|| KafkaError::of(RDKafkaErrorCode::AllBrokersDown))
    }

    /// Asks again while the answer is one that passes by itself (an election, a coordinator that loads).
    fn patiently<T>(&mut self, mut ask: impl FnMut(&mut Self) -> KafkaResult<T>) -> KafkaResult<T> {
        let end = Instant::now() + self.timeout;
        loop {
            match ask(self) {
                Err(error) if passes(error.code) && Instant::now() + AGAIN < end => {
                    std::thread::park_timeout(AGAIN);
                }
                outcome => return outcome,
            }
        }
    }

    /// The leader of a partition.
    fn leader(&mut self, topic: &str, partition: i32) -> KafkaResult<i32> {
        let wanted = MetadataRequestTopic::default().with_name(Some(self.topic(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(false);
        let broker = self.any_broker()?;
        let answer: MetadataResponse = self.ask(broker, &request)?;
        for topic in &answer.topics {
            check(topic.error_code, None)?;
            for found in &topic.partitions {
                if found.partition_index == partition {
                    check(found.error_code, None)?;
                    return Ok(found.leader_id.0);
                }
            }
        }
        Err(KafkaError::of(RDKafkaErrorCode::UnknownTopicOrPartition))
    }

    /// A topic's name on the cluster.
    fn topic(&self, name: &str) -> TopicName {
        TopicName(if is_internal(name) {
            text(name)
        } else {
            text(&self.target.real(name))
        })
    }

    /// The lab's name of a topic; `None`: somebody else's.
    fn shown_topic(&self, real: &TopicName) -> Option<String> {
        if is_internal(real.as_str()) {
            return Some(real.to_string());
        }
        self.target.shown(real.as_str()).map(str::to_owned)
    }
}

/// Errors after which the same request may succeed a moment later.
fn passes(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::UnknownBroker
            | RDKafkaErrorCode::ConcurrentTransactions
    )
}

/// An error code of an answer, with the broker's text where it sent one.
fn check(code: i16, message: Option<&StrBytes>) -> KafkaResult<()> {
    if code == 0 {
        return Ok(());
    }
    let message = message.map(ToString::to_string).filter(|text| !text.is_empty());
    Err(KafkaError::from_wire(code, message))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// This client has neither TLS nor SASL.
fn refuse_security(target: &Target) -> KafkaResult<()> {
    let protocol = target.properties.get("security.protocol").map(String::as_str);
    match protocol {
        None => Ok(()),
        Some(plain) if plain.eq_ignore_ascii_case("plaintext") => Ok(()),
        Some(secured) => Err(KafkaError {
            message: format!(
                "this command speaks to the brokers by itself, without TLS and SASL, and this cluster wants {}: run \
                 Kafka's own tool of this name there",
                secured.to_ascii_uppercase()
            ),
            ..KafkaError::of(RDKafkaErrorCode::UnsupportedFeature)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secured_cluster_is_refused_with_a_reason() {
        let mut target = Target::new("127.0.0.1:1");
        target
            .properties
            .insert("security.protocol".into(), "sasl_ssl".into());
        let error = Wire::connect(&target, AGAIN).err().map(|error| error.message);
        assert!(error.is_some_and(|text| text.contains("SASL_SSL")));
    }

    #[test]
    fn nobody_at_the_address_is_a_timeout() {
        let error = Wire::connect(&Target::new("127.0.0.1:1,"), AGAIN).err();
        assert!(error.is_some_and(|error| error.is_timeout()));
    }

    #[test]
    fn codes_that_librdkafka_does_not_know_keep_their_name() {
        let error = KafkaError::from_wire(105, None);
        assert_eq!(error.name, "TRANSACTIONAL_ID_NOT_FOUND");
        let error = KafkaError::from_wire(3, Some("gone".into()));
        assert_eq!(error.code, RDKafkaErrorCode::UnknownTopicOrPartition);
        assert_eq!(error.message, "gone");
    }
}
