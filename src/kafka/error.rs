//! What went wrong between us and the cluster, in Kafka's own words.

use kafka_protocol::ResponseError;
use rdkafka::error::RDKafkaErrorCode;

/// An error of the cluster or of the way to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KafkaError {
    /// The code, for decisions.
    pub code: RDKafkaErrorCode,
    /// Kafka's name of it, such as `TOPIC_ALREADY_EXISTS`; librdkafka's own start with an underscore (`_TIMED_OUT`).
    pub name: String,
    /// The broker's text where it sent one, else librdkafka's.
    pub message: String,
}

/// The result of every call to the cluster.
pub type KafkaResult<T> = Result<T, KafkaError>;

impl KafkaError {
    /// An error with the text that librdkafka has for its code.
    pub fn of(code: RDKafkaErrorCode) -> Self {
        Self {
            code,
            name: super::sys::name_of(code),
            message: super::sys::text_of(code),
        }
    }

    /// The error that an answer on the wire names by its code; `message`: the broker's own text.
    pub(super) fn from_wire(code: i16, message: Option<String>) -> Self {
        let mut error = Self::of(super::sys::code_on_the_wire(code));
        if error.code == RDKafkaErrorCode::Unknown {
            // librdkafka has no number for this one.
            error.name = kafka_name(code);
            error.message = format!("Broker: {}", error.name);
        }
        if let Some(message) = message {
            error.message = message;
        }
        error
    }

    /// The call took longer than it may, or no broker could be reached.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.code,
            RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::TimedOutQueue
                | RDKafkaErrorCode::Resolve
        )
    }

    /// The broker that was asked is no longer one of the cluster's as this client sees it: it has stopped, or has just
    /// started. Whether it got the request is unknown; another broker can be asked.
    pub fn broker_left(&self) -> bool {
        self.code == RDKafkaErrorCode::DestroyBroker
    }

    /// librdkafka could not reach the broker that it takes for the controller, and sent nothing.
    pub(super) fn missed_controller(&self) -> bool {
        self.code == RDKafkaErrorCode::OperationTimedOut && self.message == "Timed out waiting for controller"
    }

    /// The topic or the partition isn't there.
    pub fn is_unknown_topic(&self) -> bool {
        matches!(
            self.code,
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicId
        )
    }
}

/// Kafka's name of a code: `TRANSACTIONAL_ID_NOT_FOUND`.
fn kafka_name(code: i16) -> String {
    let known = match ResponseError::try_from_code(code) {
        None | Some(ResponseError::Unknown(_)) => return format!("ERROR_{code}"),
        Some(known) => known,
    };
    let mut name = String::new();
    for letter in format!("{known:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// The code on the wire of the error that Kafka calls `name` (`NOT_LEADER_OR_FOLLOWER`); `None`: there is none.
pub fn error_code(name: &str) -> Option<i16> {
    super::sys::code_named(name)
}

impl From<rdkafka::error::KafkaError> for KafkaError {
    fn from(error: rdkafka::error::KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(code) => Self::of(code),
            None => Self {
                code: RDKafkaErrorCode::InvalidArgument,
                name: "_INVALID_ARG".into(),
                message: error.to_string(),
            },
        }
    }
}
