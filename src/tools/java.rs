//! Kafka's own words for an error: what its Java client says where librdkafka says something else.

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::kafka::KafkaError;

/// Class and text of the exception that Kafka's Java client throws for an error code, for those that learners meet.
fn exception(error: &KafkaError) -> Option<(&'static str, &'static str)> {
    Some(match error.code {
        Code::GroupIdNotFound => ("GroupIdNotFoundException", "The group id does not exist."),
        Code::NonEmptyGroup => ("GroupNotEmptyException", "The group is not empty."),
        Code::GroupSubscribedToTopic => (
            "GroupSubscribedToTopicException",
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.",
        ),
        Code::InvalidConfig => ("InvalidConfigurationException", "The configuration is invalid."),
        Code::InvalidGroupId => ("InvalidGroupIdException", "The group id is invalid."),
        Code::UnknownMemberId => (
            "UnknownMemberIdException",
            "The coordinator is not aware of this member.",
        ),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => (
            "UnknownTopicOrPartitionException",
            "This server does not host this topic-partition.",
        ),
        Code::OffsetOutOfRange => (
            "OffsetOutOfRangeException",
            "The requested offset is not within the range of offsets maintained by the server.",
        ),
        Code::InvalidTopic => (
            "InvalidTopicException",
            "The request attempted to perform an operation on an invalid topic.",
        ),
        Code::CoordinatorNotAvailable => (
            "CoordinatorNotAvailableException",
            "The coordinator is not available.",
        ),
        Code::InvalidRecord => (
            "InvalidRecordException",
            "This record has failed the validation on broker and hence will be rejected.",
        ),
        Code::NotEnoughReplicas => (
            "NotEnoughReplicasException",
            "Messages are rejected since there are fewer in-sync replicas than required.",
        ),
        Code::MessageSizeTooLarge => (
            "RecordTooLargeException",
            "The request included a message larger than the max message size the server will accept.",
        ),
        Code::NotLeaderForPartition => (
            "NotLeaderOrFollowerException",
            "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition.",
        ),
        Code::ClusterAuthorizationFailed => {
            ("ClusterAuthorizationException", "Cluster authorization failed.")
        }
        Code::TopicAuthorizationFailed => ("TopicAuthorizationException", "Topic authorization failed."),
        Code::TransactionalIdAuthorizationFailed => (
            "TransactionalIdAuthorizationException",
            "Transactional Id authorization failed.",
        ),
        Code::InvalidReplicaAssignment => (
            "InvalidReplicaAssignmentException",
            "Replica assignment is invalid.",
        ),
        Code::NoReassignmentInProgress => (
            "NoReassignmentInProgressException",
            "No partition reassignment is in progress.",
        ),
        Code::InvalidProducerEpoch => (
            "InvalidProducerEpochException",
            "Producer attempted to produce with an old epoch.",
        ),
        Code::TransactionCoordinatorFenced => (
            "TransactionCoordinatorFencedException",
            "Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current coordinator for a given producer.",
        ),
        Code::PreferredLeaderNotAvailable => (
            "PreferredLeaderNotAvailableException",
            "The preferred leader was not available.",
        ),
        Code::EligibleLeadersNotAvailable => (
            "EligibleLeadersNotAvailableException",
            "Eligible topic partition leaders are not available.",
        ),
        Code::ReplicaNotAvailable => (
            "ReplicaNotAvailableException",
            "The replica is not available for the requested topic-partition. Produce/Fetch requests and other requests intended only for the leader or follower return NOT_LEADER_OR_FOLLOWER if the broker is not a replica of the topic-partition.",
        ),
        Code::LogDirNotFound => (
            "LogDirNotFoundException",
            "The user-specified log directory is not found in the broker config.",
        ),
        Code::KafkaStorageError => (
            "KafkaStorageException",
            "Disk error when trying to access log file on the disk.",
        ),
        Code::Unknown if error.name == "TRANSACTIONAL_ID_NOT_FOUND" => (
            "TransactionalIdNotFoundException",
            "The transactionalId could not be found.",
        ),
        Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::AllBrokersDown
        | Code::BrokerTransportFailure
        | Code::TimedOutQueue
        | Code::Resolve => ("TimeoutException", "Timed out waiting for a node assignment."),
        _ => return None,
    })
}

/// The broker's own message where it sent one, else the Java client's.
pub(super) fn message(error: &KafkaError) -> String {
    let from_librdkafka = error.message.contains("Broker: ") || error.message.contains("Local: ");
    // librdkafka puts its request before the broker's message of a group.
    let own = error.message.strip_prefix("ConsumerGroupDescribe: ");
    let own = own.unwrap_or(&error.message);
    match exception(error) {
        Some((_, text)) if from_librdkafka || error.is_timeout() || own.trim().is_empty() => text.to_owned(),
        _ => own.to_owned(),
    }
}

/// The class of the exception alone.
pub(super) fn class(error: &KafkaError) -> String {
    let class = exception(error).map_or("UnknownServerException", |(class, _)| class);
    qualified(class)
}

fn qualified(class: &str) -> String {
    // The only one that is not in the package of the others.
    let package = if class == "InvalidRecordException" {
        ""
    } else {
        "errors."
    };
    format!("org.apache.kafka.common.{package}{class}")
}

/// As the Java client prints an exception: class and message.
pub(super) fn with_class(error: &KafkaError) -> String {
    match exception(error) {
        Some((class, _)) => format!("{}: {}", qualified(class), message(error)),
        None => message(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_error_is_told_without_librdkafkas_request() {
        let told = |text: &str| {
            let mut error = KafkaError::of(rdkafka::error::RDKafkaErrorCode::InvalidGroupId);
            error.message = text.to_owned();
            with_class(&error)
        };
        let class = "org.apache.kafka.common.errors.InvalidGroupIdException";
        assert_eq!(
            told("ConsumerGroupDescribe: "),
            format!("{class}: The group id is invalid.")
        );
        assert_eq!(
            told("ConsumerGroupDescribe: Group x is not a consumer group."),
            format!("{class}: Group x is not a consumer group.")
        );
    }
}
