//! Answers that say an error which somebody wants to see: what [`Action::Error`](crate::fault::Action::Error) sends.

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey, BrokerId,
    ConsumerGroupHeartbeatResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, EndTxnResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatResponse, InitProducerIdResponse, JoinGroupResponse,
    LeaveGroupResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceRequest,
    ProduceResponse, ShareAcknowledgeResponse, ShareFetchResponse, ShareGroupHeartbeatResponse,
    SyncGroupResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::Decodable;

use super::share_wire::{AcknowledgedWire, FetchedWire};
use super::{Handler, Response};

/// What a request whose every part fails is answered.
pub(crate) enum Faulty {
    Answer(Response),
    /// A produce with acks=0 is never answered.
    Silent,
    /// The key has no such answer; its connection is closed.
    Unknown,
}

/// The answer to the request in `body` (its shape is checked) in which everything failed with this code.
pub(crate) fn answer(key: i16, version: i16, body: &mut Bytes, code: i16) -> Faulty {
    let response = ApiKey::try_from(key)
        .ok()
        .and_then(|key| simple(key, version, code).or_else(|| itemized(key, version, body, code)));
    match response {
        Some(response) => response,
        None => Faulty::Unknown,
    }
}

/// Keys whose response has its error at the top.
fn simple(key: ApiKey, version: i16, code: i16) -> Option<Faulty> {
    macro_rules! top {
        ($($response:ident),*) => {
            match key {
                $(ApiKey::$response => top!(@ $response),)*
                _ => return None,
            }
        };
        (@ JoinGroup) => {
            Response::message(JoinGroupResponse::default().with_error_code(code).with_generation_id(-1))
        };
        (@ InitProducerId) => {
            Response::message(
                InitProducerIdResponse::default()
                    .with_error_code(code)
                    .with_producer_id((-1).into())
                    .with_producer_epoch(-1),
            )
        };
        (@ FindCoordinator) => {
            if version >= 4 {
                return None;
            } else {
                let nobody = FindCoordinatorResponse::default().with_error_code(code);
                Response::message(nobody.with_node_id(BrokerId(-1)).with_port(-1))
            }
        };
        (@ Heartbeat) => { Response::message(HeartbeatResponse::default().with_error_code(code)) };
        (@ LeaveGroup) => { Response::message(LeaveGroupResponse::default().with_error_code(code)) };
        (@ SyncGroup) => { Response::message(SyncGroupResponse::default().with_error_code(code)) };
        (@ AddOffsetsToTxn) => { Response::message(AddOffsetsToTxnResponse::default().with_error_code(code)) };
        (@ EndTxn) => { Response::message(EndTxnResponse::default().with_error_code(code)) };
        (@ ConsumerGroupHeartbeat) => {
            Response::message(ConsumerGroupHeartbeatResponse::default().with_error_code(code))
        };
        (@ ShareGroupHeartbeat) => {
            Response::message(ShareGroupHeartbeatResponse::default().with_error_code(code))
        };
        (@ ShareFetch) => {
            Response::message(FetchedWire(ShareFetchResponse::default().with_error_code(code)))
        };
        (@ ShareAcknowledge) => {
            Response::message(AcknowledgedWire {
                body: ShareAcknowledgeResponse::default().with_error_code(code),
                lock_ms: 0,
            })
        };
    }
    Some(Faulty::Answer(top!(
        JoinGroup,
        InitProducerId,
        FindCoordinator,
        Heartbeat,
        LeaveGroup,
        SyncGroup,
        AddOffsetsToTxn,
        EndTxn,
        ConsumerGroupHeartbeat,
        ShareGroupHeartbeat,
        ShareFetch,
        ShareAcknowledge
    )))
}

/// Keys whose response has an error for each thing asked for.
fn itemized(key: ApiKey, version: i16, body: &mut Bytes, code: i16) -> Option<Faulty> {
    let response = match key {
        ApiKey::Produce => {
            let request = ProduceRequest::decode(body, version).ok()?;
            if request.acks == 0 {
                return Some(Faulty::Silent);
            }
            produce(request, code)
        }
        ApiKey::Fetch => fetch(FetchRequest::decode(body, version).ok()?, code),
        ApiKey::ListOffsets => list_offsets(ListOffsetsRequest::decode(body, version).ok()?, code),
        ApiKey::Metadata => metadata(MetadataRequest::decode(body, version).ok()?, code),
        ApiKey::OffsetCommit => offset_commit(super::offset_commit::Api::decode(body, version).ok()?, code),
        ApiKey::OffsetFetch => offset_fetch(super::offset_fetch::Api::decode(body, version).ok()?, code),
        ApiKey::FindCoordinator => {
            let request = FindCoordinatorRequest::decode(body, version).ok()?;
            let nobody = request.coordinator_keys.into_iter().map(|key| {
                let nobody = Coordinator::default().with_key(key).with_error_code(code);
                nobody.with_node_id(BrokerId(-1)).with_port(-1)
            });
            Response::message(FindCoordinatorResponse::default().with_coordinators(nobody.collect()))
        }
        ApiKey::CreateTopics => {
            let request = CreateTopicsRequest::decode(body, version).ok()?;
            let failed = request.topics.into_iter().map(|topic| {
                CreatableTopicResult::default()
                    .with_name(topic.name)
                    .with_error_code(code)
            });
            Response::message(CreateTopicsResponse::default().with_topics(failed.collect()))
        }
        ApiKey::DeleteTopics => {
            let request = DeleteTopicsRequest::decode(body, version).ok()?;
            let named = request
                .topic_names
                .into_iter()
                .map(|name| DeletableTopicResult::default().with_name(Some(name)));
            let by_id = request.topics.into_iter().map(|topic| {
                DeletableTopicResult::default()
                    .with_name(topic.name)
                    .with_topic_id(topic.topic_id)
            });
            let failed = named.chain(by_id).map(|result| result.with_error_code(code));
            Response::message(DeleteTopicsResponse::default().with_responses(failed.collect()))
        }
        ApiKey::AddPartitionsToTxn => add_partitions(
            AddPartitionsToTxnRequest::decode(body, version).ok()?,
            version,
            code,
        ),
        ApiKey::TxnOffsetCommit => {
            txn_offset_commit(TxnOffsetCommitRequest::decode(body, version).ok()?, code)
        }
        _ => return None,
    };
    Some(Faulty::Answer(response))
}

fn produce(request: ProduceRequest, code: i16) -> Response {
    let topics = request.topic_data.into_iter().map(|topic| {
        let failed = topic.partition_data.iter().map(|p| {
            PartitionProduceResponse::default()
                .with_index(p.index)
                .with_error_code(code)
                .with_base_offset(-1)
        });
        let failed = failed.collect();
        TopicProduceResponse::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
            .with_partition_responses(failed)
    });
    Response::message(ProduceResponse::default().with_responses(topics.collect()))
}

fn fetch(request: FetchRequest, code: i16) -> Response {
    let topics = request.topics.into_iter().map(|topic| {
        let failed = topic.partitions.iter().map(|p| {
            PartitionData::default()
                .with_partition_index(p.partition)
                .with_error_code(code)
                .with_high_watermark(-1)
                .with_records(Some(Bytes::new()))
        });
        let failed = failed.collect();
        FetchableTopicResponse::default()
            .with_topic(topic.topic)
            .with_topic_id(topic.topic_id)
            .with_partitions(failed)
    });
    Response::message(FetchResponse::default().with_responses(topics.collect()))
}

fn list_offsets(request: ListOffsetsRequest, code: i16) -> Response {
    let topics = request.topics.into_iter().map(|topic| {
        let failed = topic.partitions.iter().map(|p| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code)
                .with_timestamp(-1)
                .with_offset(-1)
        });
        let failed = failed.collect();
        ListOffsetsTopicResponse::default()
            .with_name(topic.name)
            .with_partitions(failed)
    });
    Response::message(ListOffsetsResponse::default().with_topics(topics.collect()))
}

fn metadata(request: MetadataRequest, code: i16) -> Response {
    let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
        MetadataResponseTopic::default()
            .with_error_code(code)
            .with_name(Some(topic.name.unwrap_or_default()))
            .with_topic_id(topic.topic_id)
    });
    Response::message(MetadataResponse::default().with_topics(topics.collect()))
}

fn offset_commit(request: OffsetCommitRequest, code: i16) -> Response {
    let topics = request.topics.into_iter().map(|topic| {
        let failed = topic.partitions.iter().map(|p| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code)
        });
        let failed = failed.collect();
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
            .with_partitions(failed)
    });
    Response::message(OffsetCommitResponse::default().with_topics(topics.collect()))
}

fn offset_fetch(request: OffsetFetchRequest, code: i16) -> Response {
    let groups = request.groups.into_iter().map(|group| {
        OffsetFetchResponseGroup::default()
            .with_group_id(group.group_id)
            .with_error_code(code)
    });
    let groups: Vec<_> = groups.collect();
    let response = OffsetFetchResponse::default();
    // Before version 8 there is one group, and its error is at the top.
    Response::message(if groups.is_empty() {
        response.with_error_code(code)
    } else {
        response.with_groups(groups)
    })
}

fn add_partitions(request: AddPartitionsToTxnRequest, version: i16, code: i16) -> Response {
    let failed =
        |topics: Vec<kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic>| {
            let topics = topics.into_iter().map(|topic| {
                let failed = topic.partitions.iter().map(|p| {
                    AddPartitionsToTxnPartitionResult::default()
                        .with_partition_index(*p)
                        .with_partition_error_code(code)
                });
                let failed = failed.collect();
                AddPartitionsToTxnTopicResult::default()
                    .with_name(topic.name)
                    .with_results_by_partition(failed)
            });
            topics.collect()
        };
    let response = AddPartitionsToTxnResponse::default();
    Response::message(if version >= 4 {
        let results = request.transactions.into_iter().map(|txn| {
            AddPartitionsToTxnResult::default()
                .with_transactional_id(txn.transactional_id)
                .with_topic_results(failed(txn.topics))
        });
        response.with_results_by_transaction(results.collect())
    } else {
        response.with_results_by_topic_v3_and_below(failed(request.v3_and_below_topics))
    })
}

fn txn_offset_commit(request: TxnOffsetCommitRequest, code: i16) -> Response {
    let topics = request.topics.into_iter().map(|topic| {
        let failed = topic.partitions.iter().map(|p| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code)
        });
        let failed = failed.collect();
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(failed)
    });
    Response::message(TxnOffsetCommitResponse::default().with_topics(topics.collect()))
}
