//! `OffsetFetch`, one group or several (KIP-709); since version 10 with topic ids (KIP-848).

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::{Decodable, StrBytes};
use uuid::Uuid;

use crate::api::shape::{
    self, Field, I8, I32,
    Kind::{Structs, Text, Values},
    Malformed, UUID, all, between, since,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::groups::{Group, TopicImage};
use crate::core::offsets::Committed;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = OffsetFetchRequest;
    type Call = OffsetFetchRequest;
    const VERSIONS: (i16, i16) = (1, 10);
    const SHAPE: &'static [Field] = &[
        between(0, 7, Text),
        between(0, 7, Structs(&[all(Text), all(Values(&I32))])),
        since(
            8,
            Structs(&[
                all(Text),
                since(9, Text),
                since(9, I32),
                all(Structs(&[
                    between(8, 9, Text),
                    since(10, UUID),
                    all(Values(&I32)),
                ])),
            ]),
        ),
        since(7, I8),
    ];

    /// The protocol crate knows version 10 of the response alone; the request has a topic's id for its name.
    fn decode(body: &mut Bytes, version: i16) -> Result<Self::Wire, Malformed> {
        let wrong = |_| Malformed("it can't be decoded");
        if version < 10 {
            return OffsetFetchRequest::decode(body, version).map_err(wrong);
        }
        let mut older = shape::ids_as_names(body, Self::SHAPE, version)?.freeze();
        let mut request = OffsetFetchRequest::decode(&mut older, 9).map_err(wrong)?;
        for topic in request
            .groups
            .iter_mut()
            .flat_map(|group| group.topics.iter_mut().flatten())
        {
            topic.topic_id = shape::id_of_name(&topic.name);
            topic.name = TopicName::default();
        }
        Ok(request)
    }

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let (groups, last) = if caller.version >= 8 {
            let last = call.groups.last().map(|g| g.group_id.clone());
            let asked = call.groups.into_iter().map(|group| Asked {
                id: group.group_id,
                member: group.member_id.map(|m| m.to_string()),
                epoch: group.member_epoch,
                topics: group.topics.map(|topics| {
                    let topics = topics.into_iter().map(|topic| Topic {
                        name: topic.name,
                        id: topic.topic_id,
                        partitions: topic.partition_indexes,
                    });
                    topics.collect()
                }),
            });
            (asked.collect::<Vec<_>>(), last)
        } else {
            let asked = Asked {
                id: call.group_id.clone(),
                member: None,
                epoch: -1,
                topics: call.topics.map(|topics| {
                    let topics = topics.into_iter().map(|topic| Topic {
                        name: topic.name,
                        id: Uuid::nil(),
                        partitions: topic.partition_indexes,
                    });
                    topics.collect()
                }),
            };
            (vec![asked], Some(call.group_id))
        };
        let stable = call.require_stable;
        let found = groups.into_iter().map(|asked| fetch(core, caller, asked, stable));
        let response = respond(caller.version, found.collect());
        // An offset that is not safe yet could be gone with its leader: it waits, as one of a transaction does.
        match last {
            Some(group) => {
                let mut lost = OffsetFetchResponseGroup::default().with_group_id(group.clone());
                lost.error_code = ResponseError::NotCoordinator.code();
                let refused = Response::message(respond(caller.version, vec![lost]));
                core.answer_when_safe(caller, &group, Response::message(response), refused)
            }
            None => Answer::message(response),
        }
    }
}

/// One group's part of a request.
struct Asked {
    id: GroupId,
    member: Option<String>,
    epoch: i32,
    /// Nothing for all that there is.
    topics: Option<Vec<Topic>>,
}

/// Partitions of one topic.
struct Topic {
    /// Empty where the request says the id.
    name: TopicName,
    id: Uuid,
    partitions: Vec<i32>,
}

fn respond(version: i16, groups: Vec<OffsetFetchResponseGroup>) -> OffsetFetchResponse {
    if version >= 8 {
        return OffsetFetchResponse::default().with_groups(groups);
    }
    let Some(only) = groups.into_iter().next() else {
        return OffsetFetchResponse::default();
    };
    let topics = only.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|p| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_committed_offset(p.committed_offset)
                .with_committed_leader_epoch(p.committed_leader_epoch)
                .with_metadata(p.metadata)
                .with_error_code(p.error_code)
        });
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    let response = OffsetFetchResponse::default().with_topics(topics.collect());
    if version >= 2 {
        response.with_error_code(only.error_code)
    } else {
        response
    }
}

fn fetch(core: &Core, caller: &Caller, asked: Asked, stable: bool) -> OffsetFetchResponseGroup {
    let group = core.groups.get(&asked.id);
    let error = core
        .check_coordinator(caller.broker, &asked.id)
        .err()
        .or_else(|| {
            let check = group?.check_fetch(asked.member.as_deref(), asked.epoch);
            check.err().map(|refusal| refusal.error)
        });
    let response = OffsetFetchResponseGroup::default().with_group_id(asked.id.clone());
    match error {
        None => {
            let pending = &core.transactions.pending_offsets;
            let waits = |topic: &str, index| stable && pending.is_pending(&asked.id, topic, index);
            let (topics, unknown) = named(core, caller.version >= 10, group, asked.topics);
            let mut topics = offsets(group, topics, waits);
            // As Kafka, at the end.
            topics.extend(
                unknown
                    .into_iter()
                    .map(|topic| refuse(topic, ResponseError::UnknownTopicId)),
            );
            response.with_topics(topics)
        }
        // The first version has a place for errors in partitions only.
        Some(error) => {
            let topics = asked.topics.unwrap_or_default().into_iter();
            response
                .with_error_code(error.code())
                .with_topics(if caller.version < 2 {
                    topics.map(|topic| refuse(topic, error)).collect()
                } else {
                    Vec::new()
                })
        }
    }
}

/// An error for every partition of a topic.
fn refuse(topic: Topic, error: ResponseError) -> OffsetFetchResponseTopics {
    let partitions = topic.partitions.into_iter();
    let partitions = partitions.map(|index| partition(index, None).with_error_code(error.code()));
    OffsetFetchResponseTopics::default()
        .with_name(topic.name)
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}

/// The topics wanted, or all that the group has offsets of, with name and id; and those whose id nobody knows.
fn named(
    core: &Core,
    by_id: bool,
    group: Option<&Group>,
    wanted: Option<Vec<Topic>>,
) -> (Vec<Topic>, Vec<Topic>) {
    let Some(mut wanted) = wanted else {
        let all = group.into_iter().flat_map(|group| &group.offsets.by_topic);
        let topics = all.filter_map(|(name, partitions)| {
            let id = core.topics.by_name(name).map(|(id, _)| id);
            Some(Topic {
                name: TopicName(StrBytes::from_string(name.clone())),
                // Without an id, such an answer has no place for the topic.
                id: if by_id { id? } else { Uuid::nil() },
                partitions: partitions.keys().copied().collect(),
            })
        });
        return (topics.collect(), Vec::new());
    };
    if by_id {
        for topic in &mut wanted {
            let name = core.topics.name_of(topic.id).map(ToString::to_string);
            topic.name = TopicName(StrBytes::from_string(name.unwrap_or_default()));
        }
    }
    wanted
        .into_iter()
        .partition(|topic| !by_id || !topic.name.is_empty())
}

/// A group's offsets. Who requires stable ones (KIP-447) has to ask again while a transaction has one that waits.
fn offsets(
    group: Option<&Group>,
    wanted: Vec<Topic>,
    waits: impl Fn(&str, i32) -> bool,
) -> Vec<OffsetFetchResponseTopics> {
    let topics = wanted.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|index| {
            if waits(&topic.name, index) {
                let error = ResponseError::UnstableOffsetCommit;
                return partition(index, None).with_error_code(error.code());
            }
            let committed = group.and_then(|group| group.offsets.get(&topic.name, index));
            // One of an earlier topic of the name is none of this one.
            let of_it = |committed: &&Committed| {
                topic.id.is_nil() || committed.topic_id.is_nil() || committed.topic_id == topic.id
            };
            partition(index, committed.filter(of_it))
        });
        let partitions = partitions.collect();
        OffsetFetchResponseTopics::default()
            .with_name(topic.name)
            .with_topic_id(topic.id)
            .with_partitions(partitions)
    });
    topics.collect()
}

fn partition(index: i32, committed: Option<&Committed>) -> OffsetFetchResponsePartitions {
    let response = OffsetFetchResponsePartitions::default().with_partition_index(index);
    match committed {
        Some(committed) => response
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(StrBytes::from_string(committed.metadata.clone()))),
        None => response
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default())),
    }
}
