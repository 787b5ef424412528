//! `DescribeConfigs` of topics, brokers, groups, client metrics and broker loggers.

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
use crate::core::client_metrics::describe_metrics;
use crate::core::configs::{Described, Scope, Source, Type, shown};
use crate::core::group_configs::describe_group;
use crate::core::topics::check_name;
use crate::core::{Caller, Core, Refusal, loggers};

/// What Kafka says of a request that its broker can't make sense of.
const MALFORMED: &str = "This most likely occurs because of a request being malformed by the client library or the \
                         message was sent to an incompatible broker. See the broker logs for more details.";

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeConfigsRequest;
    type Call = DescribeConfigsRequest;
    const VERSIONS: (i16, i16) = (1, 4);
    const NOTE: &'static str = "of loggers, the root logger's level; no documentation texts";
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
                Ok((scope, lines)) => {
                    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
                    let wanted = |line: &Described| {
                        keys.is_empty() || keys.iter().any(|key| key.as_str() == line.name)
                    };
                    let lines = lines
                        .into_iter()
                        .filter(wanted)
                        .map(|line| entry(line, scope, call.include_synonyms));
                    // Kafka answers an empty message, not a missing one, beside no error.
                    result
                        .with_error_message(Some(StrBytes::default()))
                        .with_configs(lines.collect())
                }
                Err(refusal) => result
                    .with_error_code(refusal.code())
                    .with_error_message(Some(StrBytes::from_string(refusal.message.unwrap_or_default()))),
            }
        });
        Answer::message(DescribeConfigsResponse::default().with_results(results.collect()))
    }
}

fn describe(core: &Core, asked: i32, kind: i8, name: &str) -> Result<(Scope, Vec<Described>), Refusal> {
    let refuse = |why: String| Err(Refusal::new(ResponseError::InvalidRequest, why));
    let Some(scope) = Scope::from_code(kind) else {
        return refuse(MALFORMED.to_owned());
    };
    let lines = match scope {
        Scope::Topic => {
            check_name(name)?;
            let Some(topic) = core.topics.get(name) else {
                return Err(Refusal::new(ResponseError::UnknownTopicOrPartition, ""));
            };
            core.configs.describe_topic(asked, &topic.configs)
        }
        Scope::Broker if name.is_empty() => core.configs.describe_all_brokers(),
        Scope::Broker => {
            let Ok(id) = name.parse::<i32>() else {
                return refuse(format!("Broker id must be an integer, but it is: {name}"));
            };
            if id != asked {
                return refuse(format!(
                    "Unexpected broker id, expected {asked} or empty string, but received {name}"
                ));
            }
            core.configs.describe_broker(id)
        }
        Scope::BrokerLogger if name.is_empty() => return refuse("Broker id must not be empty".to_owned()),
        Scope::BrokerLogger => {
            let Ok(id) = name.parse::<i32>() else {
                return refuse(format!("Broker id must be an integer, but it is: {name}"));
            };
            if id != asked {
                return refuse(format!(
                    "Unexpected broker id, expected {asked} but received {name}"
                ));
            }
            vec![Described {
                name: loggers::ROOT.to_owned(),
                value: Some(core.loggers.root(id).to_owned()),
                kind: Type::Unknown,
                source: Source::BrokerLogger,
                read_only: false,
                synonyms: Vec::new(),
            }]
        }
        Scope::ClientMetrics if name.is_empty() => {
            return refuse("Client metrics subscription name must not be empty".to_owned());
        }
        Scope::ClientMetrics => describe_metrics(&core.configs, name),
        Scope::Group if name.is_empty() => return refuse("Group name must not be empty".to_owned()),
        Scope::Group => describe_group(&core.configs, asked, name),
    };
    Ok((scope, lines))
}

fn entry(line: Described, scope: Scope, with_synonyms: bool) -> DescribeConfigsResourceResult {
    let kind = line.kind;
    let sensitive = is_sensitive(&line, scope);
    let read = |value: Option<String>| value.map(|value| StrBytes::from_string(shown(kind, &value)));
    let synonyms = line.synonyms.into_iter().map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_string(name))
            .with_value(read(value))
            .with_source(source as i8)
    });
    DescribeConfigsResourceResult::default()
        .with_is_sensitive(sensitive)
        .with_name(StrBytes::from_string(line.name))
        .with_value(read(line.value))
        .with_read_only(line.read_only)
        .with_config_source(line.source as i8)
        .with_synonyms(if with_synonyms {
            synonyms.collect()
        } else {
            Vec::new()
        })
        .with_config_type(line.kind as i8)
}

/// Passwords, and a broker's configurations that Kafka doesn't know.
fn is_sensitive(line: &Described, scope: Scope) -> bool {
    line.kind == Type::Password || (scope == Scope::Broker && line.kind == Type::Unknown)
}
