//! `OffsetDelete` (KIP-496).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::State;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = OffsetDeleteRequest;
    type Call = OffsetDeleteRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const SHAPE: &'static [Field] = &[all(Text), all(Structs(&[all(Text), all(Structs(&[all(I32)]))]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let refuse = |error: ResponseError| {
            Answer::message(OffsetDeleteResponse::default().with_error_code(error.code()))
        };
        let Some(group) = core.groups.get(&call.group_id) else {
            return refuse(ResponseError::GroupIdNotFound);
        };
        let busy = group.state != State::Empty;
        if busy && group.protocol_type.as_deref() != Some("consumer") {
            return refuse(ResponseError::NonEmptyGroup);
        }
        let subscribed = group.subscribed_topics();
        let mut gone = Vec::new();
        let topics = call.topics.into_iter().map(|topic| {
            let in_use = busy && subscribed.contains(topic.name.as_str());
            let partitions = topic.partitions.iter().map(|p| {
                if !in_use {
                    gone.push((topic.name.to_string(), p.partition_index));
                }
                let error = if in_use {
                    ResponseError::GroupSubscribedToTopic.code()
                } else {
                    0
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(error)
            });
            let partitions = partitions.collect();
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        gone.retain(|(topic, partition)| {
            core.groups
                .get(&call.group_id)
                .is_some_and(|group| group.offsets.get(topic, *partition).is_some())
        });
        match core.forget_offsets(&call.group_id, &gone) {
            Ok(()) => Answer::message(OffsetDeleteResponse::default().with_topics(topics)),
            Err(refusal) => refuse(refusal.error),
        }
    }
}
