//! Leaders elected on request, and partitions that move to other brokers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId, CreateTopicsRequest,
    CreateTopicsResponse, ElectLeadersRequest, ElectLeadersResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::Lab;
use crate::api::{
    alter_partition_reassignments, create_topics, elect_leaders, list_partition_reassignments, metadata,
};
use crate::core::brokers::Command::{Start, Stop};

fn lab(folder: &tempfile::TempDir) -> Lab {
    Lab::open(folder.path(), 3, &[])
}

fn name(text: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(text))
}

/// Error code and message of an election.
fn elect(lab: &mut Lab, kind: i8, partition: i32) -> (i16, Option<String>) {
    let topic = TopicPartitions::default()
        .with_topic(name("t"))
        .with_partitions(vec![partition]);
    let wire = ElectLeadersRequest::default()
        .with_election_type(kind)
        .with_topic_partitions(Some(vec![topic]));
    let request = lab.send::<elect_leaders::Api>(1, 2, wire);
    let answer: ElectLeadersResponse = lab.answer(request).unwrap();
    let result = &answer.replica_election_results[0].partition_result[0];
    (
        result.error_code,
        result.error_message.as_ref().map(ToString::to_string),
    )
}

fn reassign(lab: &mut Lab, replicas: Option<&[i32]>) -> (i16, Option<String>) {
    let replicas = replicas.map(|all| all.iter().copied().map(BrokerId).collect());
    let partition = ReassignablePartition::default().with_replicas(replicas);
    let topic = ReassignableTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    let wire = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
    let request = lab.send::<alter_partition_reassignments::Api>(1, 0, wire);
    let answer: AlterPartitionReassignmentsResponse = lab.answer(request).unwrap();
    let result = &answer.responses[0].partitions[0];
    (
        result.error_code,
        result.error_message.as_ref().map(ToString::to_string),
    )
}

fn ongoing(lab: &mut Lab) -> usize {
    let wire = ListPartitionReassignmentsRequest::default().with_topics(None);
    let request = lab.send::<list_partition_reassignments::Api>(1, 0, wire);
    let answer: ListPartitionReassignmentsResponse = lab.answer(request).unwrap();
    answer.topics.len()
}

#[test]
fn elections_are_held_and_refused_in_kafkas_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[2, 1], &[]);
    let needless = ResponseError::ElectionNotNeeded;
    assert_eq!(
        elect(&mut lab, 0, 0),
        (
            needless.code(),
            Some("Leader election not needed for topic partition.".to_owned())
        )
    );
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(
        elect(&mut lab, 0, 7),
        (unknown, Some("No such partition as t-7".to_owned()))
    );
    lab.command(2, Stop);
    assert_eq!(
        elect(&mut lab, 0, 0).0,
        ResponseError::PreferredLeaderNotAvailable.code()
    );
    lab.command(2, Start);
    assert_eq!(lab.partition("t").leader, 1);
    assert_eq!(elect(&mut lab, 0, 0), (0, None));
    assert_eq!(
        (lab.partition("t").leader, lab.partition("t").leader_epoch),
        (2, 2)
    );
}

#[test]
fn an_unclean_election_is_held_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[2, 1], &[]);
    lab.command(1, Stop);
    assert_eq!(lab.produced(2, "t", -1, "lost"), 0);
    lab.command(2, Stop);
    assert_eq!(lab.partition("t").leader, -1);
    lab.command(1, Start);
    assert_eq!(
        elect(&mut lab, 0, 0).0,
        ResponseError::PreferredLeaderNotAvailable.code()
    );
    assert_eq!(elect(&mut lab, 1, 0), (0, None));
    assert_eq!(lab.partition("t").leader, 1);
    lab.command(2, Start);
    assert_eq!(lab.log(2, "t"), Vec::<String>::new());
}

#[test]
fn a_partition_moves_with_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    assert_eq!(lab.produced(1, "t", -1, "a"), 0);
    assert_eq!(reassign(&mut lab, Some(&[3, 2])), (0, None));
    let partition = lab.partition("t");
    assert_eq!((&partition.replicas[..], partition.leader), (&[3, 2][..], 3));
    assert_eq!(ongoing(&mut lab), 0);
    assert_eq!(lab.read(3, "t").unwrap(), ["a"]);
    assert!(!folder.path().join("broker-1/t-0").exists());
    assert_eq!(reassign(&mut lab, Some(&[3])), (0, None));
    assert_eq!(lab.produced(3, "t", -1, "b"), 0);
    assert_eq!(lab.read(3, "t").unwrap(), ["a", "b"]);
}

#[test]
fn a_move_to_a_broker_that_is_down_waits_and_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    lab.command(3, Stop);
    assert_eq!(reassign(&mut lab, Some(&[3, 2])), (0, None));
    assert_eq!(ongoing(&mut lab), 1);
    assert_eq!(lab.partition("t").replicas, [3, 2, 1]);
    assert_eq!(reassign(&mut lab, None), (0, None));
    assert_eq!(lab.partition("t").replicas, [2, 1]);
    assert_eq!(
        reassign(&mut lab, None),
        (ResponseError::NoReassignmentInProgress.code(), None)
    );
    assert_eq!(reassign(&mut lab, Some(&[3, 2])), (0, None));
    lab.command(3, Start);
    assert_eq!(ongoing(&mut lab), 0);
    assert_eq!(lab.partition("t").replicas, [3, 2]);
}

#[test]
fn impossible_replicas_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    assert_eq!(
        reassign(&mut lab, Some(&[1, 9])),
        (
            ResponseError::InvalidReplicaAssignment.code(),
            Some(
                "The manual partition assignment includes broker 9, but no such broker is registered."
                    .to_owned()
            )
        )
    );
    let topic = CreatableTopic::default()
        .with_name(name("u"))
        .with_num_partitions(1)
        .with_replication_factor(4);
    let request =
        lab.send::<create_topics::Api>(1, 7, CreateTopicsRequest::default().with_topics(vec![topic]));
    let answer: CreateTopicsResponse = lab.answer(request).unwrap();
    assert_eq!(
        answer.topics[0].error_code,
        ResponseError::InvalidReplicationFactor.code()
    );
    let message = answer.topics[0].error_message.as_deref().unwrap();
    assert!(
        message
            .starts_with("Unable to replicate the partition 4 time(s): The target replication factor of 4"),
        "{message}"
    );
}

#[test]
fn metadata_lists_who_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    lab.topic("u", &[1], &[]);
    lab.command(1, Stop);
    let request = lab.send::<metadata::Api>(2, 12, MetadataRequest::default().with_topics(None));
    let answer: MetadataResponse = lab.answer(request).unwrap();
    let ids: Vec<i32> = answer.brokers.iter().map(|b| b.node_id.0).collect();
    assert_eq!((ids, answer.controller_id.0), (vec![2, 3], 2));
    let (t, u) = (&answer.topics[0].partitions[0], &answer.topics[1].partitions[0]);
    assert_eq!((t.error_code, t.leader_id.0), (0, 2));
    assert_eq!(t.offline_replicas, [BrokerId(1)]);
    assert_eq!(
        (u.error_code, u.leader_id.0),
        (ResponseError::LeaderNotAvailable.code(), -1)
    );
}
