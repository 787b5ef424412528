//! The requests that the clients of a history send.

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ConsumerGroupHeartbeatRequest, EndTxnRequest,
    FetchRequest, FindCoordinatorRequest, GroupId, InitProducerIdRequest, MetadataRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, ProducerId, TopicName, TransactionalId,
    TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::TOPIC;
use crate::log::{BatchOptions, NewRecord, build_batch};

/// Who writes: a producer's id and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic() -> TopicName {
    TopicName(text(TOPIC))
}

fn transactional(id: &str) -> TransactionalId {
    TransactionalId(text(id))
}

/// A batch as its producer makes it.
pub(super) fn batch(
    who: Identity,
    sequence: i32,
    transactional: bool,
    values: &[String],
    now_ms: i64,
) -> Bytes {
    let records: Vec<NewRecord> = values
        .iter()
        .map(|value| NewRecord {
            timestamp_ms: now_ms,
            key: None,
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        })
        .collect();
    let options = BatchOptions {
        producer_id: who.id,
        producer_epoch: who.epoch,
        base_sequence: sequence,
        transactional,
        ..BatchOptions::default()
    };
    build_batch(&records, options).unwrap().bytes().clone()
}

pub(super) fn produce(partition: i32, transaction: Option<&str>, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(topic())
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(transaction.map(transactional))
        .with_acks(-1)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![topic])
}

pub(super) fn init_producer(transaction: Option<&str>) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(transaction.map(transactional))
        .with_transaction_timeout_ms(20_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}

pub(super) fn add_partition(transaction: &str, who: Identity, partition: i32) -> AddPartitionsToTxnRequest {
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(topic())
        .with_partitions(vec![partition]);
    AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(transactional(transaction))
        .with_v3_and_below_producer_id(ProducerId(who.id))
        .with_v3_and_below_producer_epoch(who.epoch)
        .with_v3_and_below_topics(vec![topic])
}

pub(super) fn add_offsets(transaction: &str, who: Identity, group: &str) -> AddOffsetsToTxnRequest {
    AddOffsetsToTxnRequest::default()
        .with_transactional_id(transactional(transaction))
        .with_producer_id(ProducerId(who.id))
        .with_producer_epoch(who.epoch)
        .with_group_id(GroupId(text(group)))
}

pub(super) fn txn_commit(
    transaction: &str,
    who: Identity,
    group: &str,
    offset: i64,
) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(topic())
        .with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_transactional_id(transactional(transaction))
        .with_group_id(GroupId(text(group)))
        .with_producer_id(ProducerId(who.id))
        .with_producer_epoch(who.epoch)
        .with_generation_id(-1)
        .with_topics(vec![topic])
}

pub(super) fn end(transaction: &str, who: Identity, commit: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(transactional(transaction))
        .with_producer_id(ProducerId(who.id))
        .with_producer_epoch(who.epoch)
        .with_committed(commit)
}

/// `member`: its id and epoch; none for who is no member.
pub(super) fn commit(
    group: &str,
    partition: i32,
    offset: i64,
    member: Option<(&str, i32)>,
) -> OffsetCommitRequest {
    let (id, epoch) = member.unwrap_or(("", -1));
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic())
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(id))
        .with_generation_id_or_member_epoch(epoch)
        .with_topics(vec![topic])
}

/// `member` as for [`commit`].
pub(super) fn committed(group: &str, partition: i32, member: Option<(&str, i32)>) -> OffsetFetchRequest {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic())
        .with_partition_indexes(vec![partition]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(member.map(|(id, _)| text(id)))
        .with_member_epoch(member.map_or(-1, |(_, epoch)| epoch))
        .with_topics(Some(vec![topic]));
    OffsetFetchRequest::default()
        .with_groups(vec![group])
        .with_require_stable(true)
}

/// A member's heartbeat: it joins with epoch 0.
pub(super) fn heartbeat(
    group: &str,
    member: &str,
    epoch: i32,
    owned: Vec<i32>,
    topic_id: uuid::Uuid,
) -> ConsumerGroupHeartbeatRequest {
    let owned = if owned.is_empty() {
        Vec::new()
    } else {
        vec![
            TopicPartitions::default()
                .with_topic_id(topic_id)
                .with_partitions(owned),
        ]
    };
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(10_000)
        .with_subscribed_topic_names(Some(vec![topic()]))
        .with_topic_partitions(Some(owned))
}

pub(super) fn coordinator(key: &str, transaction: bool) -> FindCoordinatorRequest {
    FindCoordinatorRequest::default()
        .with_key_type(i8::from(transaction))
        .with_coordinator_keys(vec![text(key)])
}

pub(super) fn metadata() -> MetadataRequest {
    let wanted = MetadataRequestTopic::default().with_name(Some(topic()));
    MetadataRequest::default().with_topics(Some(vec![wanted]))
}

pub(super) fn fetch(partition: i32, offset: i64, read_committed: bool) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(30_000);
    let topic = FetchTopic::default()
        .with_topic(topic())
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(30_000)
        .with_isolation_level(i8::from(read_committed))
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}
