//! Groups where several brokers are: who coordinates, what an answer rests on, and what a new coordinator knows.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};

use uuid::Uuid;

use super::*;
use crate::api::{consumer_group_heartbeat, list_groups, offset_commit, offset_fetch};

const MINUTE_MS: i64 = 60_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group() -> GroupId {
    GroupId(text("g"))
}

fn cluster(folder: &Path, brokers: i32) -> Lab {
    let mut lab = Lab::open(
        folder,
        brokers,
        &[
            ("offsets.topic.replication.factor", "3"),
            ("offsets.topic.num.partitions", "3"),
        ],
    );
    lab.core.ensure_offsets_topic().unwrap();
    lab.topic("t", &[1, 2, 3], &[]);
    lab.pass(0);
    lab
}

fn send_commit(lab: &mut Lab, broker: i32, offset: i64) -> RequestId {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("t")))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    lab.send::<offset_commit::Api>(broker, 9, request)
}

fn committed(lab: &mut Lab, request: RequestId) -> Option<i16> {
    let answer: OffsetCommitResponse = lab.answer(request)?;
    Some(answer.topics[0].partitions[0].error_code)
}

fn commit(lab: &mut Lab, broker: i32, offset: i64) -> i16 {
    let request = send_commit(lab, broker, offset);
    lab.pass(0);
    committed(lab, request).unwrap()
}

fn fetched(lab: &mut Lab, broker: i32) -> Result<Option<i64>, i16> {
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let request = lab.send::<offset_fetch::Api>(broker, 8, request);
    lab.pass(0);
    let answer: OffsetFetchResponse = lab.answer(request).unwrap();
    let group = &answer.groups[0];
    if group.error_code != 0 {
        return Err(group.error_code);
    }
    Ok(group.topics.first().map(|t| t.partitions[0].committed_offset))
}

fn listed(lab: &mut Lab, broker: i32) -> usize {
    let request = lab.send::<list_groups::Api>(broker, 5, ListGroupsRequest::default());
    let answer: ListGroupsResponse = lab.answer(request).unwrap();
    answer.groups.len()
}

fn beat(lab: &mut Lab, broker: i32, epoch: i32) -> ConsumerGroupHeartbeatResponse {
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_member_id(text("m"))
        .with_member_epoch(epoch);
    let request = if epoch == 0 {
        request
            .with_rebalance_timeout_ms(1_000)
            .with_subscribed_topic_names(Some(vec![TopicName(text("t"))]))
            .with_topic_partitions(Some(Vec::<TopicPartitions>::new()))
    } else {
        request
            .with_rebalance_timeout_ms(-1)
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None)
    };
    let request = lab.send::<consumer_group_heartbeat::Api>(broker, 1, request);
    lab.pass(0);
    lab.answer(request).unwrap()
}

#[test]
fn the_leader_of_the_groups_partition_coordinates_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = cluster(folder.path(), 3);
    let coordinator = lab.core.coordinator_of("g").unwrap();
    let other = coordinator % 3 + 1;
    assert_eq!(commit(&mut lab, other, 5), ResponseError::NotCoordinator.code());
    assert_eq!(
        fetched(&mut lab, other),
        Err(ResponseError::NotCoordinator.code())
    );
    assert_eq!(
        beat(&mut lab, other, 0).error_code,
        ResponseError::NotCoordinator.code()
    );
    assert_eq!(commit(&mut lab, coordinator, 5), 0);
    assert_eq!(fetched(&mut lab, coordinator), Ok(Some(5)));
    assert_eq!((listed(&mut lab, coordinator), listed(&mut lab, other)), (1, 0));
}

/// Answers of partition 0 to a commit of these topics, by id: topic and error.
fn commit_by_id(lab: &mut Lab, broker: i32, ids: &[Uuid]) -> Vec<(Uuid, i16)> {
    let topic = |id: &Uuid| {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(5);
        OffsetCommitRequestTopic::default()
            .with_topic_id(*id)
            .with_partitions(vec![partition])
    };
    let request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(ids.iter().map(topic).collect());
    let request = lab.send::<offset_commit::Api>(broker, 10, request);
    lab.pass(0);
    let answer: OffsetCommitResponse = lab.answer(request).unwrap();
    let topics = answer.topics.iter();
    topics.map(|t| (t.topic_id, t.partitions[0].error_code)).collect()
}

/// Offset and error of partition 0 of each of these topics, in the order of the answer.
fn fetched_by_id(lab: &mut Lab, broker: i32, ids: Option<&[Uuid]>) -> Vec<(Uuid, i64, i16)> {
    let topic = |id: &Uuid| {
        OffsetFetchRequestTopics::default()
            .with_topic_id(*id)
            .with_partition_indexes(vec![0])
    };
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_topics(ids.map(|ids| ids.iter().map(topic).collect()));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let request = lab.send::<offset_fetch::Api>(broker, 10, request);
    lab.pass(0);
    let answer: OffsetFetchResponse = lab.answer(request).unwrap();
    let topics = answer.groups[0].topics.iter();
    let shown = topics.map(|t| {
        (
            t.topic_id,
            t.partitions[0].committed_offset,
            t.partitions[0].error_code,
        )
    });
    shown.collect()
}

#[test]
fn offsets_are_committed_and_read_by_topic_ids() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = cluster(folder.path(), 3);
    let broker = lab.core.coordinator_of("g").unwrap();
    let (id, ghost) = (lab.core.topics.get("t").unwrap().id, Uuid::from_u128(7));
    let unknown = ResponseError::UnknownTopicId.code();
    assert_eq!(commit_by_id(&mut lab, broker, &[ghost]), [(ghost, unknown)]);
    assert_eq!(
        commit_by_id(&mut lab, broker, &[ghost, id]),
        [(ghost, unknown), (id, 0)]
    );
    assert_eq!(
        fetched_by_id(&mut lab, broker, Some(&[ghost, id])),
        [(id, 5, 0), (ghost, -1, unknown)]
    );
    assert_eq!(fetched_by_id(&mut lab, broker, None), [(id, 5, 0)]);
    assert_eq!(fetched(&mut lab, broker), Ok(Some(5)));
}

#[test]
fn requests_with_topic_ids_are_read_from_their_bytes() {
    let id = Uuid::from_u128(0xfeed);
    let partition = [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4, 2, b'm', 0];
    let topic = [id.as_bytes().as_slice(), &[2], &partition, &[0]].concat();
    let mut body = Bytes::from([&[2, b'g', 0, 0, 0, 1, 1, 0, 2], topic.as_slice(), &[0]].concat());
    let request = offset_commit::Api::decode(&mut body, 10).unwrap();
    let topic = &request.topics[0];
    assert_eq!((topic.topic_id, &**topic.name), (id, ""));
    assert_eq!(
        (
            topic.partitions[0].partition_index,
            topic.partitions[0].committed_offset
        ),
        (3, 9)
    );
    let group = [
        &[2, b'g', 0, 0, 0, 0, 0, 2],
        id.as_bytes().as_slice(),
        &[2, 0, 0, 0, 3, 0, 0],
    ]
    .concat();
    let mut body = Bytes::from([&[2], group.as_slice(), &[1, 0]].concat());
    let request = offset_fetch::Api::decode(&mut body, 10).unwrap();
    let topics = request.groups[0].topics.as_ref().unwrap();
    assert_eq!(
        (topics[0].topic_id, topics[0].partition_indexes.as_slice()),
        (id, &[3][..])
    );
    assert!(request.require_stable);
}

#[test]
fn a_new_coordinator_knows_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = cluster(folder.path(), 3);
    let first = lab.core.coordinator_of("g").unwrap();
    assert_eq!(commit(&mut lab, first, 5), 0);
    let joined = beat(&mut lab, first, 0);
    assert_eq!((joined.error_code, joined.member_epoch), (0, 2));
    lab.command(first, Command::Stop);
    let second = lab.core.coordinator_of("g").unwrap();
    assert_ne!(first, second);
    assert_eq!(fetched(&mut lab, second), Ok(Some(5)));
    let goes_on = beat(&mut lab, second, 2);
    assert_eq!((goes_on.error_code, goes_on.member_epoch), (0, 2));
    // Its session is the new coordinator's to watch.
    lab.pass(MINUTE_MS);
    assert_eq!(
        beat(&mut lab, second, 2).error_code,
        ResponseError::UnknownMemberId.code()
    );
}

#[test]
fn what_survives_a_restart_is_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = cluster(folder.path(), 3);
    let coordinator = lab.core.coordinator_of("g").unwrap();
    commit(&mut lab, coordinator, 7);
    beat(&mut lab, coordinator, 0);
    let now_ms = lab.now_ms;
    drop(lab);
    let mut lab = Lab::open_at(folder.path(), 3, &[], now_ms);
    let coordinator = lab.core.coordinator_of("g").unwrap();
    assert_eq!(fetched(&mut lab, coordinator), Ok(Some(7)));
    assert_eq!(beat(&mut lab, coordinator, 2).member_epoch, 2);
}

#[test]
fn offsets_expire_when_nobody_has_used_them_for_a_week() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = cluster(folder.path(), 3);
    let coordinator = lab.core.coordinator_of("g").unwrap();
    // Without it there is nobody to look.
    lab.core.housekeeping();
    commit(&mut lab, coordinator, 7);
    lab.advance(10_079 * MINUTE_MS);
    assert_eq!(fetched(&mut lab, coordinator), Ok(Some(7)));
    // It is looked at every ten minutes.
    lab.advance(12 * MINUTE_MS);
    assert_eq!(fetched(&mut lab, coordinator), Ok(None));
    assert_eq!(listed(&mut lab, coordinator), 0);
}

#[test]
fn too_few_replicas_in_sync_refuse_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = cluster(folder.path(), 3);
    lab.core
        .set_topic_configs(
            "__consumer_offsets",
            Overrides::from([("min.insync.replicas".to_owned(), "3".to_owned())]),
        )
        .unwrap();
    let coordinator = lab.core.coordinator_of("g").unwrap();
    lab.command(coordinator % 3 + 1, Command::Stop);
    let coordinator = lab.core.coordinator_of("g").unwrap();
    assert_eq!(
        commit(&mut lab, coordinator, 5),
        ResponseError::CoordinatorNotAvailable.code()
    );
    assert_eq!(fetched(&mut lab, coordinator), Ok(None));
}
