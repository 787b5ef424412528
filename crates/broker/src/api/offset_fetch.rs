//! `OffsetFetch`, one group or several (KIP-709).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I32,
    Kind::{Structs, Text, Values},
    all, between, since,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::groups::Group;
use crate::core::offsets::Committed;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = OffsetFetchRequest;
    type Call = OffsetFetchRequest;
    const VERSIONS: (i16, i16) = (1, 9);
    const SHAPE: &'static [Field] = &[
        between(0, 7, Text),
        between(0, 7, Structs(&[all(Text), all(Values(&I32))])),
        since(
            8,
            Structs(&[
                all(Text),
                since(9, Text),
                since(9, I32),
                all(Structs(&[all(Text), all(Values(&I32))])),
            ]),
        ),
        since(7, I8),
    ];

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
                topics: group
                    .topics
                    .map(|ts| ts.into_iter().map(|t| (t.name, t.partition_indexes)).collect()),
            });
            (asked.collect::<Vec<_>>(), last)
        } else {
            let asked = Asked {
                id: call.group_id.clone(),
                member: None,
                epoch: -1,
                topics: call
                    .topics
                    .map(|ts| ts.into_iter().map(|t| (t.name, t.partition_indexes)).collect()),
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
    topics: Option<Vec<(TopicName, Vec<i32>)>>,
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
            response.with_topics(offsets(group, asked.topics, waits))
        }
        // The first version has a place for errors in partitions only.
        Some(error) => {
            let topics = asked
                .topics
                .unwrap_or_default()
                .into_iter()
                .map(|(name, indexes)| {
                    let partitions = indexes
                        .into_iter()
                        .map(|index| partition(index, None).with_error_code(error.code()));
                    OffsetFetchResponseTopics::default()
                        .with_name(name)
                        .with_partitions(partitions.collect())
                });
            response
                .with_error_code(error.code())
                .with_topics(if caller.version < 2 {
                    topics.collect()
                } else {
                    Vec::new()
                })
        }
    }
}

/// A group's offsets: of the topics wanted, or all that there are. Who requires stable ones (KIP-447) has to ask again
/// while a transaction has one that waits.
fn offsets(
    group: Option<&Group>,
    wanted: Option<Vec<(TopicName, Vec<i32>)>>,
    waits: impl Fn(&str, i32) -> bool,
) -> Vec<OffsetFetchResponseTopics> {
    let wanted = wanted.unwrap_or_else(|| {
        let all = group.into_iter().flat_map(|group| &group.offsets.by_topic);
        all.map(|(topic, partitions)| {
            (
                TopicName(StrBytes::from_string(topic.clone())),
                partitions.keys().copied().collect(),
            )
        })
        .collect()
    });
    let topics = wanted.into_iter().map(|(topic, partitions)| {
        let partitions = partitions
            .into_iter()
            .map(|index| {
                if waits(&topic, index) {
                    let error = ResponseError::UnstableOffsetCommit;
                    return partition(index, None).with_error_code(error.code());
                }
                partition(index, group.and_then(|group| group.offsets.get(&topic, index)))
            })
            .collect();
        OffsetFetchResponseTopics::default()
            .with_name(topic)
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
