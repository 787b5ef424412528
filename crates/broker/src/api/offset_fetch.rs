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
use crate::api::{Answer, Aside, Handler};
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
        if caller.version >= 8 {
            let groups = call.groups.into_iter().map(|group| {
                let wanted = group
                    .topics
                    .map(|ts| ts.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
                let topics = offsets(core, &group.group_id, wanted, call.require_stable);
                OffsetFetchResponseGroup::default()
                    .with_group_id(group.group_id)
                    .with_topics(topics)
            });
            let groups = groups.collect();
            return Answer::message(OffsetFetchResponse::default().with_groups(groups));
        }
        let wanted = call
            .topics
            .map(|ts| ts.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
        let topics = offsets(core, &call.group_id, wanted, call.require_stable);
        let topics = topics.into_iter().map(|topic| {
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
        Answer::message(OffsetFetchResponse::default().with_topics(topics.collect()))
    }
}

/// A group's offsets: of the topics wanted, or all that there are. Who requires stable ones (KIP-447) has to ask again
/// while a transaction has one that waits.
fn offsets(
    core: &Core,
    group: &GroupId,
    wanted: Option<Vec<(TopicName, Vec<i32>)>>,
    require_stable: bool,
) -> Vec<OffsetFetchResponseTopics> {
    let pending = &core.transactions.pending_offsets;
    let waits = |topic: &str, index| require_stable && pending.is_pending(group, topic, index);
    let group = core.groups.get(group);
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
