//! `DeleteShareGroupOffsets` (KIP-932): an empty share group forgets topics.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use kafka_protocol::messages::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::alter_share_group_offsets::NO_GROUP;
use crate::api::shape::{
    Field,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::groups::TopicImage;
use crate::core::topics::NOT_HOSTED;
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DeleteShareGroupOffsetsRequest;
    type Call = DeleteShareGroupOffsetsRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const SHAPE: &'static [Field] = &[all(Text), all(Structs(&[all(Text)]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let group = call.group_id.to_string();
        if group.is_empty() {
            let refusal = Refusal::new(ResponseError::InvalidGroupId, NO_GROUP);
            return Answer::message(refuse(refusal));
        }
        let names: Vec<TopicName> = call.topics.into_iter().map(|topic| topic.topic_name).collect();
        let ids: Vec<Option<Uuid>> = names
            .iter()
            .map(|name| core.topics.by_name(name).map(|(id, _)| id))
            .collect();
        let known: Vec<Uuid> = ids.iter().copied().flatten().collect();
        match core.delete_share_offsets(caller.broker, &group, &known) {
            Err(refusal) => Answer::message(refuse(refusal)),
            Ok(forgotten) => {
                let topics = names.into_iter().zip(ids).map(|(name, id)| {
                    let answer = DeleteShareGroupOffsetsResponseTopic::default().with_topic_name(name);
                    let why = match id {
                        Some(id) if forgotten.contains(&id) => return answer.with_topic_id(id),
                        Some(_) => "There is no offset information to delete.",
                        None => NOT_HOSTED,
                    };
                    answer
                        .with_error_code(ResponseError::UnknownTopicOrPartition.code())
                        .with_error_message(Some(StrBytes::from_static_str(why)))
                });
                let response = DeleteShareGroupOffsetsResponse::default().with_responses(topics.collect());
                let refused = refuse(ResponseError::NotCoordinator.into());
                core.answer_when_safe(
                    caller,
                    &group,
                    Response::message(response),
                    Response::message(refused),
                )
            }
        }
    }
}

fn refuse(refusal: Refusal) -> DeleteShareGroupOffsetsResponse {
    DeleteShareGroupOffsetsResponse::default()
        .with_error_code(refusal.code())
        .with_error_message(refusal.message.map(StrBytes::from_string))
}
