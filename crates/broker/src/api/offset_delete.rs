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
use crate::api::{Answer, Aside, Handler, Response};
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

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let refuse = |error: ResponseError| {
            Answer::message(OffsetDeleteResponse::default().with_error_code(error.code()))
        };
        if let Err(error) = core.check_group(caller.broker, &call.group_id) {
            return refuse(error);
        }
        let Some(group) = core.groups.get(&call.group_id) else {
            return refuse(ResponseError::GroupIdNotFound);
        };
        if let Err(refusal) = group.check_offset_delete() {
            return refuse(refusal.error);
        }
        let mut gone = Vec::new();
        let topics = call.topics.into_iter().map(|topic| {
            let count = core
                .topics
                .get(&topic.name)
                .map_or(0, |t| t.partitions.len() as i32);
            let in_use = group.is_subscribed_to(&topic.name);
            let partitions = topic.partitions.iter().map(|p| {
                let index = p.partition_index;
                let code = if !(0..count).contains(&index) {
                    ResponseError::UnknownTopicOrPartition.code()
                } else if in_use {
                    ResponseError::GroupSubscribedToTopic.code()
                } else {
                    if group.offsets.get(&topic.name, index).is_some() {
                        gone.push((topic.name.to_string(), index));
                    }
                    0
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        if let Err(refusal) = core.forget_offsets(&call.group_id, &gone) {
            return refuse(refusal.error);
        }
        let response = OffsetDeleteResponse::default().with_topics(topics);
        let refused = OffsetDeleteResponse::default().with_error_code(ResponseError::NotCoordinator.code());
        core.answer_when_safe(
            caller,
            &call.group_id,
            Response::message(response),
            Response::message(refused),
        )
    }
}
