//! Groups where several brokers are: who coordinates, what an answer rests on, and what a new coordinator knows.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};

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
