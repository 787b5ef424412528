//! `IncrementalAlterConfigs` (KIP-339).

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::describe_configs::{BROKER, TOPIC};
use crate::api::shape::{
    Field, I8,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::configs::Change;
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = IncrementalAlterConfigsRequest;
    type Call = IncrementalAlterConfigsRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const NOTE: &'static str = "topics and brokers";
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

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let responses = call.resources.into_iter().map(|resource| {
            let altered = alter(core, &resource, call.validate_only);
            let response = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name);
            match altered {
                Ok(()) => response.with_error_message(None),
                Err(refusal) => response
                    .with_error_code(refusal.code())
                    .with_error_message(refusal.message.map(StrBytes::from_string)),
            }
        });
        let responses = responses.collect();
        Answer::message(IncrementalAlterConfigsResponse::default().with_responses(responses))
    }
}

fn alter(core: &mut Core, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    if !resource
        .configs
        .iter()
        .all(|config| seen.insert(config.name.as_str()))
    {
        return Err(Refusal::new(
            ResponseError::InvalidRequest,
            "Error due to duplicate config keys",
        ));
    }
    let nulls: Vec<&str> = resource
        .configs
        .iter()
        .filter(|c| c.value.is_none() && c.config_operation != 1)
        .map(|c| c.name.as_str())
        .collect();
    if !nulls.is_empty() {
        let names = nulls.join(",");
        return Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("Null value not supported for : {names}"),
        ));
    }
    let mut changes = Vec::with_capacity(resource.configs.len());
    for config in &resource.configs {
        let change = Change::from_code(config.config_operation).ok_or_else(|| {
            Refusal::new(
                ResponseError::InvalidRequest,
                format!("Unknown operation type {}", config.config_operation),
            )
        })?;
        changes.push((
            config.name.to_string(),
            change,
            config.value.as_ref().map(ToString::to_string),
        ));
    }
    apply(
        core,
        resource.resource_type,
        &resource.resource_name,
        &changes,
        validate_only,
    )
}

/// Applies changes to a topic, a broker, or all brokers (the empty name).
pub(crate) fn apply(
    core: &mut Core,
    kind: i8,
    name: &str,
    changes: &[(String, Change, Option<String>)],
    validate_only: bool,
) -> Result<(), Refusal> {
    match kind {
        TOPIC => {
            let configs = core.changed_topic_configs(name, changes)?;
            if validate_only {
                Ok(())
            } else {
                core.set_topic_configs(name, configs)
            }
        }
        BROKER => {
            let broker = broker_id(core, name)?;
            let configs = core.changed_broker_configs(broker, changes)?;
            if validate_only {
                Ok(())
            } else {
                core.set_broker_configs(broker, configs)
            }
        }
        other => Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("Unknown resource type {other}"),
        )),
    }
}

/// The broker behind a resource's name, nothing for all of them.
pub(crate) fn broker_id(core: &Core, name: &str) -> Result<Option<i32>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    match name.parse::<i32>() {
        Ok(id) if core.nodes.contains_key(&id) => Ok(Some(id)),
        Ok(id) => Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("No such broker: {id}"),
        )),
        Err(_) => Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("Node id must be an integer, but it is: {name}"),
        )),
    }
}
