//! `OffsetCommit`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::api::shape::{
    Field, I32, I64,
    Kind::{Structs, Text},
    all, between, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::offsets::Committed;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = OffsetCommitRequest;
    type Call = OffsetCommitRequest;
    const VERSIONS: (i16, i16) = (2, 9);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(I32),
        all(Text),
        since(7, Text),
        between(2, 4, I64),
        all(Structs(&[
            all(Text),
            all(Structs(&[all(I32), all(I64), since(6, I32), all(Text)])),
        ])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let refused = refusal(core, &call);
        let limit = core
            .configs
            .number(core.first_broker(), "offset.metadata.max.bytes") as usize;
        let now_ms = core.now_ms;
        let mut accepted = Vec::new();
        let mut topics = Vec::with_capacity(call.topics.len());
        for topic in call.topics {
            let count = core.topics.get(&topic.name).map(|t| t.partitions.len() as i32);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for p in &topic.partitions {
                let metadata = p
                    .committed_metadata
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let error = refused.or_else(|| match count {
                    Some(count) if (0..count).contains(&p.partition_index) => {
                        (metadata.len() > limit).then_some(ResponseError::OffsetMetadataTooLarge)
                    }
                    _ => Some(ResponseError::UnknownTopicOrPartition),
                });
                if error.is_none() {
                    let committed = Committed {
                        offset: p.committed_offset,
                        leader_epoch: p.committed_leader_epoch,
                        metadata,
                        commit_ms: now_ms,
                    };
                    accepted.push((topic.name.to_string(), p.partition_index, committed));
                }
                partitions.push(
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(p.partition_index)
                        .with_error_code(error.map_or(0, |error| error.code())),
                );
            }
            topics.push(
                OffsetCommitResponseTopic::default()
                    .with_name(topic.name)
                    .with_partitions(partitions),
            );
        }
        if let Err(refusal) = core.commit(&call.group_id, accepted) {
            for partition in topics
                .iter_mut()
                .flat_map(|t| &mut t.partitions)
                .filter(|p| p.error_code == 0)
            {
                partition.error_code = refusal.code();
            }
        }
        Answer::message(OffsetCommitResponse::default().with_topics(topics))
    }
}

/// May this member of this generation commit at all.
fn refusal(core: &mut Core, call: &OffsetCommitRequest) -> Option<ResponseError> {
    if call.group_id.is_empty() {
        return Some(ResponseError::InvalidGroupId);
    }
    let generation = call.generation_id_or_member_epoch;
    let known = core.with_group(&call.group_id, |group, now_ms, out| {
        group.commit_error(
            now_ms,
            &call.member_id,
            call.group_instance_id.as_deref(),
            generation,
            out,
        )
    });
    // A group that nobody knows may be committed to by who has no generation: it manages its partitions itself.
    known.unwrap_or((generation >= 0).then_some(ResponseError::IllegalGeneration))
}
