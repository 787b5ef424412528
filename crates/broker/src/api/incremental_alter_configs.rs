//! `IncrementalAlterConfigs` (KIP-339) of topics, brokers, groups, client metrics and broker loggers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::api::configs::{alter_each, apply, check_keys, refuse};
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
        let altered = alter_each(
            &call.resources,
            |resource| (resource.resource_type, &resource.resource_name),
            |resource| alter(core, caller.broker, resource, call.validate_only),
        );
        let responses = call.resources.into_iter().zip(altered);
        let responses = responses.map(|(resource, (code, message))| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
                .with_error_code(code)
                .with_error_message(message)
        });
        Answer::message(IncrementalAlterConfigsResponse::default().with_responses(responses.collect()))
    }
}

fn alter(
    core: &mut Core,
    asked: i32,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    check_keys(resource.configs.iter().map(|config| {
        let deletes = matches!(Change::from_code(config.config_operation), Some(Change::Delete));
        (&*config.name, config.value.is_none() && !deletes)
    }))?;
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
