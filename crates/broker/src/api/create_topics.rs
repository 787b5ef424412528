//! `CreateTopics`.

use std::collections::HashMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I16, I32,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::admin::NewTopic;
use crate::core::configs::Overrides;
use crate::core::throttles::Mutations;
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = CreateTopicsRequest;
    type Call = CreateTopicsRequest;
    const VERSIONS: (i16, i16) = (2, 7);
    const SHAPE: &'static [Field] = &[
        all(Structs(&[
            all(Text),
            all(I32),
            all(I16),
            all(Structs(&[all(I32), all(Values(&I32))])),
            all(Structs(&[all(Text), all(Text)])),
        ])),
        all(I32),
        all(I8),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let mut mutations = core.mutations(caller, 6);
        let mut times: HashMap<String, usize> = HashMap::new();
        for topic in &call.topics {
            *times.entry(topic.name.to_string()).or_default() += 1;
        }
        let mut results: Vec<CreatableTopicResult> = Vec::new();
        for topic in &call.topics {
            let name = topic.name.clone();
            let repeated = times.get(name.as_str()).is_some_and(|count| *count > 1);
            if repeated && results.iter().any(|result| result.name == name) {
                continue;
            }
            let made = if repeated {
                Err(Refusal::new(
                    ResponseError::InvalidRequest,
                    "Duplicate topic name.",
                ))
            } else {
                create(core, topic, call.validate_only, &mut mutations)
            };
            results.push(
                made.unwrap_or_else(|refusal| {
                    CreatableTopicResult::default()
                        .with_error_code(refusal.code())
                        .with_error_message(refusal.message.map(StrBytes::from_string))
                        .with_num_partitions(-1)
                        .with_replication_factor(-1)
                        .with_configs(Some(Vec::new()))
                })
                .with_name(name),
            );
        }
        let throttle_ms = core.end_mutations(caller, &mutations);
        let response = CreateTopicsResponse::default().with_throttle_time_ms(throttle_ms);
        Answer::message(response.with_topics(results))
    }
}

fn create(
    core: &mut Core,
    topic: &CreatableTopic,
    validate_only: bool,
    mutations: &mut Mutations,
) -> Result<CreatableTopicResult, Refusal> {
    let new = NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|a| (a.partition_index, a.broker_ids.iter().map(|id| id.0).collect()))
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|c| (c.name.to_string(), c.value.as_ref().map(ToString::to_string)))
            .collect(),
    };
    let (partitions, configs) = core.plan_topic(&new)?;
    core.count_mutations(mutations, partitions.len())?;
    let factor = partitions.first().map_or(0, Vec::len);
    let result = CreatableTopicResult::default()
        .with_error_message(None)
        .with_num_partitions(partitions.len() as i32)
        .with_replication_factor(factor as i16)
        .with_configs(Some(described(core, &configs)));
    if validate_only {
        // Kafka gives an id to what it would have made, too.
        return Ok(result.with_topic_id(core.outside.ids.uuid()));
    }
    let id = core.create_topic(&new.name, partitions, configs)?;
    Ok(result.with_topic_id(id))
}

fn described(core: &Core, configs: &Overrides) -> Vec<CreatableTopicConfigs> {
    core.configs
        .describe_topic(core.first_broker(), configs)
        .into_iter()
        .map(|config| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_string(config.name))
                .with_value(config.value.map(StrBytes::from_string))
                .with_config_source(config.source as i8)
                .with_read_only(config.read_only)
        })
        .collect()
}
