//! `DescribeConfigs` of topics and brokers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8,
    Kind::{Structs, Text, Values},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::configs::{Described, Type};
use crate::core::topics::check_name;
use crate::core::{Caller, Core, Refusal};

/// A topic, in the protocol's numbers.
pub(crate) const TOPIC: i8 = 2;
/// A broker.
pub(crate) const BROKER: i8 = 4;
/// A broker's loggers.
pub(crate) const BROKER_LOGGER: i8 = 8;
/// A group.
pub(crate) const GROUP: i8 = 32;

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeConfigsRequest;
    type Call = DescribeConfigsRequest;
    const VERSIONS: (i16, i16) = (1, 4);
    const NOTE: &'static str = "topics and brokers";
    const SHAPE: &'static [Field] = &[
        all(Structs(&[all(I8), all(Text), all(Values(&Text))])),
        all(I8),
        since(3, I8),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let results = call.resources.iter().map(|resource| {
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match describe(
                core,
                caller.broker,
                resource.resource_type,
                &resource.resource_name,
            ) {
                Ok(lines) => {
                    let wanted = |line: &Described| {
                        resource
                            .configuration_keys
                            .as_ref()
                            .is_none_or(|keys| keys.iter().any(|key| key.as_str() == line.name))
                    };
                    let lines = lines.into_iter().filter(wanted);
                    // Kafka answers an empty message, not a missing one, beside no error.
                    result
                        .with_error_message(Some(StrBytes::default()))
                        .with_configs(lines.map(|line| entry(line, call.include_synonyms)).collect())
                }
                Err(refusal) => result
                    .with_error_code(refusal.code())
                    .with_error_message(Some(StrBytes::from_string(refusal.message.unwrap_or_default()))),
            }
        });
        Answer::message(DescribeConfigsResponse::default().with_results(results.collect()))
    }
}

fn describe(core: &Core, asked: i32, kind: i8, name: &str) -> Result<Vec<Described>, Refusal> {
    match kind {
        TOPIC => {
            if let Some(topic) = core.topics.get(name) {
                return Ok(core.configs.describe_topic(asked, &topic.configs));
            }
            check_name(name)?;
            Err(Refusal::new(ResponseError::UnknownTopicOrPartition, ""))
        }
        BROKER if name.is_empty() => Ok(core.configs.describe_all_brokers()),
        BROKER => {
            let id: i32 = name.parse().map_err(|_| {
                Refusal::new(
                    ResponseError::InvalidRequest,
                    format!("Broker id must be an integer, but it is: {name}"),
                )
            })?;
            if id == asked {
                Ok(core.configs.describe_broker(id))
            } else {
                Err(Refusal::new(
                    ResponseError::InvalidRequest,
                    format!("Unexpected broker id, expected {asked} or empty string, but received {name}"),
                ))
            }
        }
        GROUP if name.is_empty() => Err(Refusal::new(
            ResponseError::InvalidRequest,
            "Group name must not be empty",
        )),
        BROKER_LOGGER | GROUP => Ok(Vec::new()),
        other => Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("Unsupported resource type: {other}"),
        )),
    }
}

fn entry(line: Described, with_synonyms: bool) -> DescribeConfigsResourceResult {
    let synonyms = line.synonyms.into_iter().map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_string(name))
            .with_value(value.map(StrBytes::from_string))
            .with_source(source as i8)
    });
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(line.name))
        .with_value(line.value.map(StrBytes::from_string))
        .with_read_only(line.read_only)
        .with_config_source(line.source as i8)
        .with_is_sensitive(line.kind == Type::Password)
        .with_synonyms(if with_synonyms {
            synonyms.collect()
        } else {
            Vec::new()
        })
        .with_config_type(line.kind as i8)
        .with_documentation(None)
}
