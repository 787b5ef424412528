//! Share groups on several brokers: what members are given, what comes back, and what survives.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as AckBatch,
};
use kafka_protocol::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition as SharedPartition, FetchTopic as SharedTopic,
};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, DeleteGroupsRequest, DeleteGroupsResponse,
    DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, GroupId, ListGroupsRequest,
    ListGroupsResponse, ShareAcknowledgeRequest, ShareFetchRequest, ShareGroupDescribeRequest,
    ShareGroupDescribeResponse, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse,
};

use super::*;
use crate::api::share_wire::described::{DescribeWire, DescribedPartition, DescribedWire};
use crate::api::share_wire::{AcknowledgeWire, AcknowledgedWire, FetchWire};
use crate::api::{
    alter_share_group_offsets, delete_groups, delete_share_group_offsets, describe_share_group_offsets,
    list_groups, share_acknowledge, share_fetch, share_group_describe, share_group_heartbeat,
};
use crate::core::share::fetches::SharePlan;
use crate::core::standing::Election;

const GROUP: &str = "g";
const TOPIC: &str = "t";
const LOCK_MS: i64 = 30_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn lab(folder: &tempfile::TempDir) -> Lab {
    let three = "3";
    let mut lab = Lab::open(
        folder.path(),
        3,
        &[
            ("offsets.topic.replication.factor", three),
            ("offsets.topic.num.partitions", three),
            ("share.coordinator.state.topic.replication.factor", three),
            ("share.coordinator.state.topic.num.partitions", three),
        ],
    );
    lab.core.ensure_offsets_topic().unwrap();
    lab.topic(TOPIC, &[1, 2, 3], &[]);
    reset(&mut lab, "earliest");
    join(&mut lab, "a");
    lab
}

/// Where the group begins.
fn reset(lab: &mut Lab, to: &str) {
    set(lab, "share.auto.offset.reset", to);
}

fn set(lab: &mut Lab, name: &str, value: &str) {
    let mut own = lab.core.configs.groups.get(GROUP).cloned().unwrap_or_default();
    own.insert(name.to_owned(), value.to_owned());
    lab.core.configs.set_group(GROUP, own);
}

fn beat(lab: &mut Lab, member: &str, epoch: i32) -> ShareGroupHeartbeatResponse {
    let coordinator = lab.core.coordinator_of(GROUP).unwrap();
    let topics = (epoch == 0).then(|| vec![TopicName(text(TOPIC))]);
    let request = ShareGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(topics);
    let request = lab.send::<share_group_heartbeat::Api>(coordinator, 1, request);
    lab.pass(0);
    lab.answer(request).unwrap()
}

/// Joins, and has its assignment a moment later.
fn join(lab: &mut Lab, member: &str) {
    let joined = beat(lab, member, 0);
    assert_eq!(joined.error_code, 0);
    lab.pass(2_000);
    let told = beat(lab, member, joined.member_epoch);
    assert_eq!(told.assignment.unwrap().topic_partitions.len(), 1);
}

/// A reader, and the epoch of its session.
struct Reader {
    member: &'static str,
    epoch: i32,
}

impl Reader {
    fn new(member: &'static str) -> Self {
        Self { member, epoch: 0 }
    }

    fn request(&mut self, lab: &Lab, acks: &[(i64, i64, i8)]) -> ShareFetchRequest {
        let batch = |(first, last, word): &(i64, i64, i8)| {
            AcknowledgementBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(vec![*word])
        };
        let partition =
            SharedPartition::default().with_acknowledgement_batches(acks.iter().map(batch).collect());
        let topic = SharedTopic::default()
            .with_topic_id(lab.core.topics.get(TOPIC).unwrap().id)
            .with_partitions(vec![partition]);
        let request = ShareFetchRequest::default()
            .with_group_id(Some(GroupId(text(GROUP))))
            .with_member_id(Some(text(self.member)))
            .with_share_session_epoch(self.epoch)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(vec![topic]);
        self.epoch += 1;
        request
    }

    fn send(&mut self, lab: &mut Lab, wait_ms: i32, acks: &[(i64, i64, i8)]) -> RequestId {
        let body = self.request(lab, acks).with_max_wait_ms(wait_ms);
        let leader = lab.partition(TOPIC).leader;
        let wire = FetchWire {
            body,
            ..FetchWire::default()
        };
        lab.send::<share_fetch::Api>(leader, 1, wire)
    }

    fn plan(&mut self, lab: &mut Lab, acks: &[(i64, i64, i8)]) -> SharePlan {
        let request = self.send(lab, 0, acks);
        plan(lab, request).unwrap()
    }

    /// What it gets, with how often each was delivered; or the error.
    fn read(&mut self, lab: &mut Lab) -> Result<Vec<(i64, i64, i16)>, i16> {
        self.read_and(lab, &[])
    }

    fn read_and(&mut self, lab: &mut Lab, acks: &[(i64, i64, i8)]) -> Result<Vec<(i64, i64, i16)>, i16> {
        let plan = self.plan(lab, acks);
        given(&plan)
    }
}

fn plan(lab: &mut Lab, request: RequestId) -> Option<SharePlan> {
    match lab.late.remove(&request)? {
        Some(Response::ShareFetch(plan)) => Some(plan),
        other => panic!("no share fetch: {other:?}"),
    }
}

fn given(plan: &SharePlan) -> Result<Vec<(i64, i64, i16)>, i16> {
    if let Some(error) = plan.error {
        return Err(error.code());
    }
    let Some(part) = plan.parts.first() else {
        return Ok(Vec::new());
    };
    match part.error.or(part.ack_error) {
        Some(error) => Err(error.code()),
        None => Ok(part
            .acquired
            .iter()
            .map(|of| (of.first, of.last, of.delivery_count))
            .collect()),
    }
}

fn acknowledge(lab: &mut Lab, reader: &mut Reader, first: i64, last: i64, words: &[i8]) -> i16 {
    let batch = AckBatch::default()
        .with_first_offset(first)
        .with_last_offset(last)
        .with_acknowledge_types(words.to_vec());
    let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
    let topic = AcknowledgeTopic::default()
        .with_topic_id(lab.core.topics.get(TOPIC).unwrap().id)
        .with_partitions(vec![partition]);
    let body = ShareAcknowledgeRequest::default()
        .with_group_id(Some(GroupId(text(GROUP))))
        .with_member_id(Some(text(reader.member)))
        .with_share_session_epoch(reader.epoch)
        .with_topics(vec![topic]);
    reader.epoch += 1;
    let wire = AcknowledgeWire {
        body,
        is_renew_ack: words.contains(&4),
    };
    let leader = lab.partition(TOPIC).leader;
    let request = lab.send::<share_acknowledge::Api>(leader, 2, wire);
    lab.pass(0);
    let answer: AcknowledgedWire = lab.answer(request).unwrap();
    match answer.body.error_code {
        0 => answer.body.responses[0].partitions[0].error_code,
        code => code,
    }
}

fn produce_some(lab: &mut Lab, values: &[&str]) {
    for value in values {
        let leader = lab.partition(TOPIC).leader;
        let request = lab.produce(leader, TOPIC, -1, value);
        lab.pass(0);
        assert_eq!(lab.code(request), Some(0));
    }
}

fn offsets(lab: &mut Lab) -> DescribedPartition {
    use kafka_protocol::messages::DescribeShareGroupOffsetsRequest as Request;
    use kafka_protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup as Group;
    let group = Group::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_topics(None);
    let coordinator = lab.core.coordinator_of(GROUP).unwrap();
    let wire = DescribeWire(Request::default().with_groups(vec![group]));
    let request = lab.send::<describe_share_group_offsets::Api>(coordinator, 1, wire);
    let answer: DescribedWire = lab.answer(request).unwrap();
    let topics = &answer.groups[0].topics;
    topics
        .first()
        .map_or_else(DescribedPartition::default, |topic| topic.partitions[0].clone())
}

#[test]
fn two_members_share_the_records_of_one_partition() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    produce_some(&mut lab, &["1", "2"]);
    let (mut a, mut b) = (Reader::new("a"), Reader::new("b"));
    let got = a.plan(&mut lab, &[]);
    assert_eq!(given(&got), Ok(vec![(0, 1, 1)]));
    let bytes = got.parts[0].slice.as_ref().unwrap().read().unwrap();
    assert_eq!(values(&bytes), ["1", "2"]);
    assert_eq!(b.read(&mut lab), Ok(vec![]));
    produce_some(&mut lab, &["3"]);
    assert_eq!(b.read(&mut lab), Ok(vec![(2, 2, 1)]));
    // What is acknowledged with the next fetch is done.
    assert_eq!(a.read_and(&mut lab, &[(0, 1, 1)]), Ok(vec![]));
    let told = offsets(&mut lab);
    assert_eq!((told.start_offset, told.lag), (0, 1));
    assert_eq!(offsets_start(&mut lab), 2);
}

#[test]
fn a_fetch_waits_for_records_and_for_those_that_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let (mut a, mut b) = (Reader::new("a"), Reader::new("b"));
    let first = a.send(&mut lab, 500, &[]);
    assert!(plan(&mut lab, first).is_none());
    produce_some(&mut lab, &["1"]);
    assert_eq!(given(&plan(&mut lab, first).unwrap()), Ok(vec![(0, 0, 1)]));
    b.read(&mut lab).unwrap();
    let second = b.send(&mut lab, 500, &[]);
    assert_eq!(acknowledge(&mut lab, &mut a, 0, 0, &[2]), 0);
    assert_eq!(given(&plan(&mut lab, second).unwrap()), Ok(vec![(0, 0, 2)]));
    let third = a.send(&mut lab, 500, &[]);
    lab.pass(499);
    assert!(plan(&mut lab, third).is_none());
    lab.pass(1);
    assert_eq!(given(&plan(&mut lab, third).unwrap()), Ok(vec![]));
}

#[test]
fn a_lock_ends_by_the_labs_clock() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    produce_some(&mut lab, &["1"]);
    let (mut a, mut b) = (Reader::new("a"), Reader::new("b"));
    assert_eq!(a.read(&mut lab), Ok(vec![(0, 0, 1)]));
    lab.advance(LOCK_MS - 1);
    assert_eq!(b.read(&mut lab), Ok(vec![]));
    lab.advance(1);
    assert_eq!(b.read(&mut lab), Ok(vec![(0, 0, 2)]));
    let late = acknowledge(&mut lab, &mut a, 0, 0, &[1]);
    assert_eq!(late, ResponseError::InvalidRecordState.code());
    // A renewed lock lasts from then on.
    lab.advance(LOCK_MS - 1);
    assert_eq!(acknowledge(&mut lab, &mut b, 0, 0, &[4]), 0);
    lab.advance(LOCK_MS - 1);
    assert_eq!(acknowledge(&mut lab, &mut b, 0, 0, &[1]), 0);
    assert_eq!(offsets_start(&mut lab), 1);
}

fn offsets_start(lab: &mut Lab) -> i64 {
    lab.core.shares.partitions.values().next().unwrap().start()
}

#[test]
fn what_nobody_can_process_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    set(&mut lab, "share.delivery.count.limit", "2");
    produce_some(&mut lab, &["poison"]);
    let mut a = Reader::new("a");
    for delivery in 1..=2 {
        assert_eq!(a.read(&mut lab), Ok(vec![(0, 0, delivery)]));
        lab.advance(LOCK_MS);
    }
    assert_eq!(a.read(&mut lab), Ok(vec![]));
    assert_eq!(offsets_start(&mut lab), 1);
}

#[test]
fn a_session_has_epochs_and_ends_with_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    produce_some(&mut lab, &["1"]);
    let mut a = Reader {
        member: "a",
        epoch: 3,
    };
    assert_eq!(a.read(&mut lab), Err(ResponseError::ShareSessionNotFound.code()));
    let mut a = Reader::new("a");
    let refused = a.read_and(&mut lab, &[(0, 0, 1)]);
    assert_eq!(refused, Err(ResponseError::InvalidRequest.code()));
    let mut a = Reader::new("a");
    a.read(&mut lab).unwrap();
    a.epoch = 7;
    let code = ResponseError::InvalidShareSessionEpoch.code();
    assert_eq!(a.read(&mut lab), Err(code));
    a.epoch = 0;
    assert_eq!(acknowledge(&mut lab, &mut a, 0, 0, &[1]), code);
    let mut b = Reader::new("b");
    assert_eq!(b.read(&mut lab), Ok(vec![]));
    lab.step(Event::Closed { connection: 1 });
    assert_eq!(b.read(&mut lab), Err(ResponseError::ShareSessionNotFound.code()));
    let mut b = Reader::new("b");
    assert_eq!(b.read(&mut lab), Ok(vec![(0, 0, 2)]));
    // The last request of a session gives back what it has.
    b.epoch = -1;
    assert_eq!(b.read(&mut lab), Ok(vec![]));
    assert_eq!(Reader::new("c").read(&mut lab), Ok(vec![(0, 0, 3)]));
}

#[test]
fn another_leader_goes_on_where_the_group_was() {
    // A broker that stops gives back what its members have; of one that dies nobody knows that they had it.
    for (how, delivery) in [(Command::Stop, 2), (Command::Kill, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = lab(&folder);
        produce_some(&mut lab, &["1", "2", "3"]);
        let mut a = Reader::new("a");
        assert_eq!(a.read(&mut lab), Ok(vec![(0, 2, 1)]));
        assert_eq!(acknowledge(&mut lab, &mut a, 1, 1, &[1]), 0);
        let first = lab.partition(TOPIC).leader;
        lab.command(first, how);
        lab.pass(10_000);
        assert_ne!(lab.partition(TOPIC).leader, first);
        assert_eq!(a.read(&mut lab), Err(ResponseError::ShareSessionNotFound.code()));
        let mut a = Reader::new("a");
        assert_eq!(a.read(&mut lab), Ok(vec![(0, 0, delivery), (2, 2, delivery)]));
    }
}

#[test]
fn a_parked_fetch_learns_of_another_leader() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.command(1, Command::Stop);
    lab.command(1, Command::Start);
    let mut a = Reader::new("a");
    let parked = a.send(&mut lab, 10_000, &[]);
    assert!(plan(&mut lab, parked).is_none());
    lab.core.elect(TOPIC, 0, Election::Preferred).unwrap();
    lab.pass(0);
    let plan = plan(&mut lab, parked).unwrap();
    assert_eq!(given(&plan), Err(ResponseError::NotLeaderOrFollower.code()));
    assert_eq!(plan.nodes.len(), 1);
}

#[test]
fn a_restart_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = lab(&folder);
    produce_some(&mut before, &["1", "2"]);
    let mut a = Reader::new("a");
    a.read(&mut before).unwrap();
    assert_eq!(acknowledge(&mut before, &mut a, 0, 0, &[1]), 0);
    let told = offsets(&mut before);
    let now_ms = before.now_ms;
    drop(before);
    let mut lab = Lab::open_at(folder.path(), 3, &[], now_ms);
    assert_eq!(offsets(&mut lab), told);
    assert_eq!(Reader::new("a").read(&mut lab), Ok(vec![(1, 1, 1)]));
    let epoch = lab.core.groups.get(GROUP).unwrap().share().unwrap().epoch;
    assert_eq!(beat(&mut lab, "a", epoch).error_code, 0);
}

#[test]
fn a_group_begins_at_the_end_unless_it_is_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    reset(&mut lab, "latest");
    produce_some(&mut lab, &["1"]);
    let mut a = Reader::new("a");
    assert_eq!(a.read(&mut lab), Ok(vec![]));
    produce_some(&mut lab, &["2"]);
    assert_eq!(a.read(&mut lab), Ok(vec![(1, 1, 1)]));
}

#[test]
fn a_group_begins_so_long_ago() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    produce_some(&mut lab, &["1"]);
    lab.advance(3_600_000);
    produce_some(&mut lab, &["2"]);
    reset(&mut lab, "by_duration:PT1M");
    let code = ResponseError::OffsetNotAvailable.code();
    lab.advance(3_600_000);
    assert_eq!(Reader::new("a").read(&mut lab), Err(code), "nothing is so young");
    produce_some(&mut lab, &["3"]);
    assert_eq!(Reader::new("a").read(&mut lab), Ok(vec![(2, 2, 1)]));
}

#[test]
fn a_group_that_nobody_was_in_has_nothing_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    produce_some(&mut lab, &["1"]);
    let coordinator = lab.core.coordinator_of(GROUP).unwrap();
    beat(&mut lab, "a", -1);
    let topic = lab.core.topics.get(TOPIC).unwrap().id;
    lab.core
        .delete_share_offsets(coordinator, GROUP, &[topic])
        .unwrap();
    let code = ResponseError::UnknownServerError.code();
    assert_eq!(Reader::new("a").read(&mut lab), Err(code));
    // Kafka stumbles over a topic's id that it doesn't know.
    let mut a = Reader::new("a");
    let mut body = a.request(&lab, &[]);
    body.topics[0].topic_id = uuid::Uuid::from_u128(7);
    let wire = FetchWire {
        body,
        ..FetchWire::default()
    };
    let leader = lab.partition(TOPIC).leader;
    let request = lab.send::<share_fetch::Api>(leader, 1, wire);
    assert_eq!(given(&plan(&mut lab, request).unwrap()), Err(code));
}

#[test]
fn a_group_is_listed_described_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let coordinator = lab.core.coordinator_of(GROUP).unwrap();
    let listed = |lab: &mut Lab| {
        let request = lab.send::<list_groups::Api>(coordinator, 5, ListGroupsRequest::default());
        let answer: ListGroupsResponse = lab.answer(request).unwrap();
        let of = |group: &kafka_protocol::messages::list_groups_response::ListedGroup| {
            (
                group.group_type.to_string(),
                group.group_state.to_string(),
                group.protocol_type.to_string(),
            )
        };
        answer.groups.iter().map(of).collect::<Vec<_>>()
    };
    let share = |state: &str| vec![("share".to_owned(), state.to_owned(), "share".to_owned())];
    assert_eq!(listed(&mut lab), share("Stable"));
    let request = ShareGroupDescribeRequest::default()
        .with_group_ids(vec![GroupId(text(GROUP)), GroupId(text("none"))]);
    let request = lab.send::<share_group_describe::Api>(coordinator, 1, request);
    let answer: ShareGroupDescribeResponse = lab.answer(request).unwrap();
    let group = &answer.groups[0];
    assert_eq!((&*group.group_state, &*group.assignor_name), ("Stable", "simple"));
    assert_eq!(group.members[0].assignment.topic_partitions[0].partitions, [0]);
    assert_ne!(answer.groups[1].error_code, 0);
    let delete = |lab: &mut Lab| {
        let names = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(GROUP))]);
        let request = lab.send::<delete_groups::Api>(coordinator, 2, names);
        lab.pass(0);
        let answer: DeleteGroupsResponse = lab.answer(request).unwrap();
        answer.results[0].error_code
    };
    assert_eq!(delete(&mut lab), ResponseError::NonEmptyGroup.code());
    beat(&mut lab, "a", -1);
    assert_eq!(listed(&mut lab), share("Empty"));
    assert_eq!(delete(&mut lab), 0);
    assert!(listed(&mut lab).is_empty() && lab.core.shares.states.is_empty());
}

#[test]
fn offsets_of_an_empty_group_can_be_moved_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    produce_some(&mut lab, &["1", "2"]);
    Reader::new("a").read(&mut lab).unwrap();
    let coordinator = lab.core.coordinator_of(GROUP).unwrap();
    let alter = |lab: &mut Lab, start: i64| {
        let partition = AlterShareGroupOffsetsRequestPartition::default().with_start_offset(start);
        let topic = AlterShareGroupOffsetsRequestTopic::default()
            .with_topic_name(TopicName(text(TOPIC)))
            .with_partitions(vec![partition]);
        let request = AlterShareGroupOffsetsRequest::default()
            .with_group_id(GroupId(text(GROUP)))
            .with_topics(vec![topic]);
        let request = lab.send::<alter_share_group_offsets::Api>(coordinator, 0, request);
        lab.pass(0);
        let answer: AlterShareGroupOffsetsResponse = lab.answer(request).unwrap();
        answer.error_code
    };
    assert_eq!(alter(&mut lab, 1), ResponseError::NonEmptyGroup.code());
    beat(&mut lab, "a", -1);
    assert_eq!(alter(&mut lab, 1), 0);
    let told = offsets(&mut lab);
    assert_eq!((told.start_offset, told.lag), (1, 1));
    assert_eq!(Reader::new("b").read(&mut lab), Ok(vec![(1, 1, 1)]));
    let topic = DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(TopicName(text(TOPIC)));
    let request = DeleteShareGroupOffsetsRequest::default()
        .with_group_id(GroupId(text(GROUP)))
        .with_topics(vec![topic]);
    let request = lab.send::<delete_share_group_offsets::Api>(coordinator, 0, request);
    lab.pass(0);
    let answer: DeleteShareGroupOffsetsResponse = lab.answer(request).unwrap();
    assert_eq!((answer.error_code, answer.responses[0].error_code), (0, 0));
    assert_eq!(offsets(&mut lab), DescribedPartition::default());
}

#[test]
fn a_deleted_topic_leaves_no_state_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let topic = lab.core.topics.get(TOPIC).unwrap().id;
    lab.core.delete_topic(topic).unwrap();
    lab.pass(0);
    assert!(lab.core.shares.states.is_empty());
    let share = lab.core.groups.get(GROUP).unwrap().share().unwrap();
    assert!(share.states().initialized.is_empty());
}

#[test]
fn old_states_are_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let key = lab.core.shares.states.keys().next().unwrap().clone();
    let state = lab.core.shares.states[&key].clone();
    for _ in 0..1_200 {
        lab.core.write_state(key.clone(), Some(state.clone())).unwrap();
    }
    lab.pass(0);
    lab.core.prune_states();
    lab.pass(0);
    let home = key.home(3) as usize;
    let partition = &lab.core.topics.get("__share_group_state").unwrap().partitions[home];
    let log = &partition.logs[&partition.leader].log;
    assert!(log.end_offset() - log.start_offset() < 10);
    let now_ms = lab.now_ms;
    drop(lab);
    let lab = Lab::open_at(folder.path(), 3, &[], now_ms);
    assert_eq!(lab.core.shares.states.len(), 1);
}

#[test]
fn a_member_that_has_had_too_much_is_given_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let large = "x".repeat(7_000);
    produce_some(&mut lab, &[&large, &large]);
    let entity = BTreeMap::from([("client-id".to_owned(), None)]);
    let change = super::super::quotas::Change {
        key: "consumer_byte_rate".to_owned(),
        value: Some(1_000.0),
    };
    lab.core.alter_quotas(&entity, &[change], false).unwrap();
    let mut a = Reader::new("a");
    let plan = a.plan(&mut lab, &[]);
    assert_eq!(given(&plan), Ok(vec![(0, 0, 1)]), "ten seconds' worth is more");
    let plan = a.plan(&mut lab, &[]);
    assert!(plan.throttle_ms > 0 && plan.parts.is_empty(), "{plan:?}");
}
