//! `DeleteTopics`, by name or by id.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text, Values},
    UUID, all, between, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::throttles::Mutations;
use crate::core::topics::NOT_HOSTED;
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DeleteTopicsRequest;
    type Call = DeleteTopicsRequest;
    const VERSIONS: (i16, i16) = (1, 6);
    const SHAPE: &'static [Field] = &[
        since(6, Structs(&[all(Text), all(UUID)])),
        between(0, 5, Values(&Text)),
        all(I32),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let mut mutations = core.mutations(caller, 5);
        let mut wanted: Vec<(Option<TopicName>, Uuid)> = call
            .topic_names
            .into_iter()
            .map(|name| (Some(name), Uuid::nil()))
            .collect();
        wanted.extend(call.topics.into_iter().map(|topic| (topic.name, topic.topic_id)));
        let mut results = Vec::with_capacity(wanted.len());
        let mut told = HashSet::new();
        for (name, id) in &wanted {
            let twice = wanted
                .iter()
                .filter(|other| **other == (name.clone(), *id))
                .count()
                > 1;
            if twice && !told.insert((name.clone(), *id)) {
                continue;
            }
            let known = name.clone().or_else(|| {
                core.topics
                    .name_of(*id)
                    .map(|name| TopicName(StrBytes::from_string(name.to_string())))
            });
            let result = DeletableTopicResult::default()
                .with_name(known.clone())
                .with_topic_id(*id);
            let invalid = |why: &str| Err(Refusal::new(ResponseError::InvalidRequest, why));
            let deleted = match (name, id.is_nil()) {
                (None, true) => invalid("Neither topic name nor id were specified."),
                (Some(_), false) => invalid("You may not specify both topic name and topic id."),
                (Some(_), true) if twice => invalid("Duplicate topic name."),
                (None, false) if twice => invalid("Duplicate topic id."),
                _ => delete(core, known.as_ref(), name.is_some(), &mut mutations),
            };
            results.push(match deleted {
                Ok(id) => result.with_topic_id(id),
                Err(refusal) => {
                    let message = refusal.message.clone().filter(|_| caller.version >= 5);
                    result
                        .with_error_code(refusal.code())
                        .with_error_message(message.map(StrBytes::from_string))
                }
            });
        }
        let throttle_ms = core.end_mutations(caller, &mutations);
        let response = DeleteTopicsResponse::default().with_throttle_time_ms(throttle_ms);
        Answer::message(response.with_responses(results))
    }
}

fn delete(
    core: &mut Core,
    name: Option<&TopicName>,
    by_name: bool,
    mutations: &mut Mutations,
) -> Result<Uuid, Refusal> {
    if !core.configs.switch(core.first_broker(), "delete.topic.enable") {
        return Err(Refusal::new(
            ResponseError::TopicDeletionDisabled,
            "Topic deletion is disabled.",
        ));
    }
    let known = name.and_then(|name| core.topics.get(name));
    match known.map(|topic| (topic.id, topic.partitions.len())) {
        Some((id, partitions)) => {
            core.count_mutations(mutations, partitions)?;
            core.delete_topic(id).map(|()| id)
        }
        None if by_name => Err(Refusal::new(ResponseError::UnknownTopicOrPartition, NOT_HOSTED)),
        None => Err(Refusal::new(
            ResponseError::UnknownTopicId,
            "This server does not host this topic ID.",
        )),
    }
}
