//! `IncrementalAlterConfigs` (KIP-339) of topics, brokers, groups, client metrics and broker loggers.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::configs::{Change, Scope};
use crate::core::{Caller, Core, Refusal, loggers};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = IncrementalAlterConfigsRequest;
    type Call = IncrementalAlterConfigsRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const NOTE: &'static str = "of loggers, the root logger's level: kept and told";
    const SHAPE: &'static [Field] = &[
        all(Structs(&[
            all(I8),
            all(Text),
            all(Structs(&[all(Text), all(I8), all(Text)])),
        ])),
        all(I8),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let twice = repeated(
            call.resources
                .iter()
                .map(|resource| (resource.resource_type, resource.resource_name.as_str())),
        );
        let twice: HashSet<(i8, String)> = twice
            .into_iter()
            .map(|(kind, name)| (kind, name.to_owned()))
            .collect();
        let mut responses = Vec::new();
        for resource in call.resources {
            let altered = if twice.contains(&(resource.resource_type, resource.resource_name.to_string())) {
                Err(duplicate_resource())
            } else {
                alter(core, caller.broker, &resource, call.validate_only)
            };
            let response = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name);
            responses.push(match altered {
                Ok(()) => response.with_error_message(None),
                Err(refusal) => response
                    .with_error_code(refusal.code())
                    .with_error_message(refusal.message.map(StrBytes::from_string)),
            });
        }
        Answer::message(IncrementalAlterConfigsResponse::default().with_responses(responses))
    }
}

/// The resources that are named more than once.
pub(crate) fn repeated<'a>(names: impl Iterator<Item = (i8, &'a str)>) -> HashSet<(i8, &'a str)> {
    let mut seen = HashSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}

/// What Kafka says of a resource that is named twice in one request.
pub(crate) fn duplicate_resource() -> Refusal {
    Refusal::new(
        ResponseError::InvalidRequest,
        "Each resource must appear at most once.",
    )
}

fn alter(
    core: &mut Core,
    asked: i32,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::new(ResponseError::InvalidRequest, why));
    let mut seen = HashSet::new();
    if !resource
        .configs
        .iter()
        .all(|config| seen.insert(config.name.as_str()))
    {
        return refuse("Error due to duplicate config keys".to_owned());
    }
    let nulls: Vec<&str> = resource
        .configs
        .iter()
        .filter(|c| c.value.is_none() && c.config_operation != 1)
        .map(|c| c.name.as_str())
        .collect();
    if !nulls.is_empty() {
        return refuse(format!("Null value not supported for : {}", nulls.join(",")));
    }
    let mut changes = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        let Some(change) = Change::from_code(config.config_operation) else {
            // Kafka's controller has no answer for it, its brokers have one.
            if resource.resource_type == Scope::Topic as i8 {
                return Err(ResponseError::UnknownServerError.into());
            }
            return refuse(format!("Unknown operations type {}", config.config_operation));
        };
        changes.push((
            config.name.to_string(),
            change,
            config.value.as_ref().map(ToString::to_string),
        ));
    }
    if resource.resource_type == Scope::BrokerLogger as i8 {
        return alter_loggers(core, asked, &resource.resource_name, &changes, validate_only);
    }
    let (kind, name) = (resource.resource_type, &resource.resource_name);
    apply(core, asked, kind, name, &changes, validate_only)
}

fn alter_loggers(
    core: &mut Core,
    asked: i32,
    name: &str,
    changes: &[(String, Change, Option<String>)],
    validate_only: bool,
) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::new(ResponseError::InvalidRequest, why));
    let Ok(id) = name.parse::<i32>() else {
        return refuse(format!("Node id must be an integer, but it is: {name}"));
    };
    if id != asked {
        return refuse(format!("Unexpected node id. Expected {asked}, but received {id}"));
    }
    loggers::check(changes)?;
    for (_, _, level) in changes {
        if let Some(level) = level.as_deref().filter(|_| !validate_only) {
            core.loggers.set(asked, level);
        }
    }
    Ok(())
}

/// Applies changes to a topic, a broker, all brokers (the empty name), a group or a subscription of client metrics.
pub(crate) fn apply(
    core: &mut Core,
    asked: i32,
    kind: i8,
    name: &str,
    changes: &[(String, Change, Option<String>)],
    validate_only: bool,
) -> Result<(), Refusal> {
    match Scope::from_code(kind) {
        Some(Scope::Topic) => {
            let configs = core.changed_topic_configs(name, changes)?;
            if validate_only {
                Ok(())
            } else {
                core.set_topic_configs(name, configs)
            }
        }
        Some(Scope::Broker) => {
            let broker = broker_id(asked, name)?;
            let configs = core.changed_broker_configs(broker, changes)?;
            if validate_only {
                Ok(())
            } else {
                core.set_broker_configs(broker, configs)
            }
        }
        Some(Scope::Group) => core.change_group_configs(name, changes, validate_only),
        Some(Scope::ClientMetrics) => core.change_client_metrics(name, changes, validate_only),
        Some(Scope::BrokerLogger) | None => Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("Unknown resource type {kind}"),
        )),
    }
}

/// The broker behind a resource's name, nothing for all of them. A broker's own configurations are altered through itself.
pub(crate) fn broker_id(asked: i32, name: &str) -> Result<Option<i32>, Refusal> {
    let refuse = |why: String| Err(Refusal::new(ResponseError::InvalidRequest, why));
    if name.is_empty() {
        return Ok(None);
    }
    match name.parse::<i32>() {
        Ok(id) if id == asked => Ok(Some(id)),
        Ok(id) => refuse(format!(
            "Unexpected broker id, expected {asked}, but received {id}"
        )),
        Err(_) => refuse(format!("Node id must be an integer, but it is: {name}")),
    }
}
