//! `AlterShareGroupOffsets` (KIP-932): an empty share group begins elsewhere.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use kafka_protocol::messages::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::shape::{
    Field, I32, I64,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::groups::TopicImage;
use crate::core::share::offsets::NewOffset;
use crate::core::topics::NOT_HOSTED;
use crate::core::{Caller, Core, Refusal};

/// What Kafka says where no group is named.
pub(super) const NO_GROUP: &str = "The group id is invalid.";

pub(crate) struct Api;

impl Handler for Api {
    type Wire = AlterShareGroupOffsetsRequest;
    type Call = AlterShareGroupOffsetsRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(Structs(&[all(Text), all(Structs(&[all(I32), all(I64)]))])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let group = call.group_id.to_string();
        if group.is_empty() {
            let refusal = Refusal::new(ResponseError::InvalidGroupId, NO_GROUP);
            return Answer::message(refuse(refusal));
        }
        if call.topics.is_empty() {
            return Answer::message(AlterShareGroupOffsetsResponse::default());
        }
        let mut wanted = Vec::new();
        let mut topics = Vec::new();
        for topic in call.topics {
            let found = core.topics.by_name(&topic.topic_name);
            let partitions = topic.partitions.into_iter().map(|partition| {
                let index = partition.partition_index;
                let id = found
                    .filter(|(_, count)| (0..*count).contains(&index))
                    .map(|(id, _)| id);
                if let Some(id) = id {
                    wanted.push(NewOffset {
                        topic: id,
                        name: topic.topic_name.to_string(),
                        partition: index,
                        start: partition.start_offset,
                    });
                }
                answer(index, id.is_some())
            });
            let partitions: Vec<_> = partitions.collect();
            topics.push(
                AlterShareGroupOffsetsResponseTopic::default()
                    .with_topic_name(TopicName(StrBytes::from_string(topic.topic_name.to_string())))
                    .with_topic_id(found.map_or(Uuid::nil(), |(id, _)| id))
                    .with_partitions(partitions),
            );
        }
        if let Err(refusal) = core.alter_share_offsets(caller.broker, &group, wanted) {
            return Answer::message(refuse(refusal));
        }
        let response = AlterShareGroupOffsetsResponse::default().with_responses(topics);
        let refused = refuse(ResponseError::NotCoordinator.into());
        core.answer_when_safe(
            caller,
            &group,
            Response::message(response),
            Response::message(refused),
        )
    }
}

fn answer(index: i32, is_known: bool) -> AlterShareGroupOffsetsResponsePartition {
    let answer = AlterShareGroupOffsetsResponsePartition::default().with_partition_index(index);
    if is_known {
        return answer;
    }
    answer
        .with_error_code(ResponseError::UnknownTopicOrPartition.code())
        .with_error_message(Some(StrBytes::from_static_str(NOT_HOSTED)))
}

fn refuse(refusal: Refusal) -> AlterShareGroupOffsetsResponse {
    AlterShareGroupOffsetsResponse::default()
        .with_error_code(refusal.code())
        .with_error_message(refusal.message.map(StrBytes::from_string))
}
