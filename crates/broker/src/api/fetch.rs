//! `Fetch`. The core says which bytes; the connection calls [`respond`] and sends them from the file.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I32, I64,
    Kind::{Structs, Text, Values},
    UUID, all, between, since,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::fetch_sessions::{Asked, PartKey, TopicKey};
use crate::core::fetches::{Fetch, FetchPlan, Part, Wanted};
use crate::core::{Caller, Core};
use crate::net::Stretches;

pub(crate) struct Api;

impl Handler for Api {
    type Wire = FetchRequest;
    type Call = FetchRequest;
    const VERSIONS: (i16, i16) = (4, 18);
    const SHAPE: &'static [Field] = &[
        between(0, 14, I32),
        all(I32),
        all(I32),
        since(3, I32),
        since(4, I8),
        since(7, I32),
        since(7, I32),
        all(Structs(&[
            between(0, 12, Text),
            since(13, UUID),
            all(Structs(&[
                all(I32),
                since(9, I32),
                all(I64),
                since(12, I32),
                since(5, I64),
                all(I32),
            ])),
        ])),
        since(
            7,
            Structs(&[between(0, 12, Text), since(13, UUID), all(Values(&I32))]),
        ),
        since(11, Text),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let asked = Asked {
            broker: caller.broker,
            id: call.session_id,
            epoch: call.session_epoch,
            by_id: caller.version >= 13,
            forgotten: forgotten(caller, &call),
        };
        let (wanted, session) = match core.fetch_session(&asked, wanted(caller, &call)) {
            Ok(found) => found,
            Err(error) => {
                let error = Some(error);
                return Answer::Now(Response::Fetch(FetchPlan {
                    error,
                    ..FetchPlan::default()
                }));
            }
        };
        let limit = core.configs.number(caller.broker, "fetch.max.bytes") as u32;
        // More than this would never be answered.
        let limit = limit.min(core.fetch_window_bytes(caller));
        let max_bytes = u32::try_from(call.max_bytes).unwrap_or(0).min(limit);
        let fetch = Fetch {
            wanted,
            min_bytes: u32::try_from(call.min_bytes).unwrap_or(0).min(max_bytes),
            max_bytes,
            max_wait_ms: i64::from(call.max_wait_ms),
            read_committed: call.isolation_level == 1,
            leader_only: caller.version < 11,
            session,
        };
        core.fetch(caller, fetch)
            .map_or(Answer::Later, |plan| Answer::Now(Response::Fetch(plan)))
    }
}

/// The partitions that a request names.
fn wanted(caller: &Caller, call: &FetchRequest) -> Vec<Wanted> {
    let mut all = Vec::new();
    for topic in &call.topics {
        let name: Arc<str> = Arc::from(&**topic.topic);
        all.extend(topic.partitions.iter().map(|partition| Wanted {
            topic: name.clone(),
            topic_id: topic.topic_id,
            partition: partition.partition,
            offset: partition.fetch_offset,
            max_bytes: u32::try_from(partition.partition_max_bytes).unwrap_or(0),
            leader_epoch: if caller.version >= 9 {
                partition.current_leader_epoch
            } else {
                -1
            },
            last_epoch: if caller.version >= 12 {
                partition.last_fetched_epoch
            } else {
                -1
            },
            error: None,
        }));
    }
    all
}

/// The partitions that a session is to read no more.
fn forgotten(caller: &Caller, call: &FetchRequest) -> Vec<PartKey> {
    let topics = call.forgotten_topics_data.iter();
    let of_topics = topics.flat_map(|topic| {
        let key = if caller.version >= 13 {
            TopicKey::Id(topic.topic_id)
        } else {
            TopicKey::Name(Arc::from(&**topic.topic))
        };
        topic.partitions.iter().map(move |index| (key.clone(), *index))
    });
    of_topics.collect()
}

/// The response; long runs of records stand in it for the stretches of files that they are.
pub(crate) fn respond(plan: FetchPlan, stretches: &mut Stretches) -> FetchResponse {
    let mut topics: Vec<FetchableTopicResponse> = Vec::new();
    let mut current: Option<(uuid::Uuid, Arc<str>)> = None;
    for part in plan.parts {
        // As Kafka, in the order in which they were read: a topic comes twice where another is in between.
        let is_same = current
            .as_ref()
            .is_some_and(|(id, name)| *id == part.topic_id && **name == *part.topic);
        if !is_same {
            current = Some((part.topic_id, part.topic.clone()));
            topics.push(
                FetchableTopicResponse::default()
                    .with_topic(TopicName(StrBytes::from_string(part.topic.to_string())))
                    .with_topic_id(part.topic_id),
            );
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(partition(part, stretches));
        }
    }
    let nodes = plan.nodes.into_iter().map(|(id, node)| {
        NodeEndpoint::default()
            .with_node_id(BrokerId(id))
            .with_host(StrBytes::from_string(node.host))
            .with_port(i32::from(node.port))
    });
    FetchResponse::default()
        .with_throttle_time_ms(plan.throttle_ms)
        .with_node_endpoints(nodes.collect())
        .with_error_code(plan.error.map_or(0, |error| error.code()))
        .with_session_id(plan.session_id)
        .with_responses(topics)
}

fn partition(part: Part, stretches: &mut Stretches) -> PartitionData {
    let mut error = part.error;
    let records = match part.slice.map(|slice| stretches.stand_in(slice)) {
        Some(Ok(bytes)) => bytes,
        Some(Err(why)) => {
            tracing::warn!(%why, topic = &*part.topic, partition = part.partition, "a fetch could not be read");
            error = Some(ResponseError::KafkaStorageError);
            Bytes::new()
        }
        None => Bytes::new(),
    };
    let aborted = part.aborted.map(|list| {
        list.into_iter()
            .map(|(id, first)| {
                AbortedTransaction::default()
                    .with_producer_id(ProducerId(id))
                    .with_first_offset(first)
            })
            .collect()
    });
    let diverging = part.diverging.map_or_else(EpochEndOffset::default, |end| {
        EpochEndOffset::default()
            .with_epoch(end.leader_epoch)
            .with_end_offset(end.end_offset)
    });
    let leader = part.leader.map_or_else(LeaderIdAndEpoch::default, |(id, epoch)| {
        LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(id))
            .with_leader_epoch(epoch)
    });
    PartitionData::default()
        .with_diverging_epoch(diverging)
        .with_current_leader(leader)
        .with_partition_index(part.partition)
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_high_watermark(part.high_watermark)
        .with_last_stable_offset(part.last_stable_offset)
        .with_log_start_offset(part.log_start)
        .with_aborted_transactions(aborted)
        .with_preferred_read_replica((-1).into())
        .with_records(Some(records))
}
