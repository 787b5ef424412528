//! `AlterConfigs`: replaces all that is set. Clients should use `IncrementalAlterConfigs`.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::describe_configs::{BROKER, TOPIC};
use crate::api::incremental_alter_configs::{apply, broker_id};
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
    type Wire = AlterConfigsRequest;
    type Call = AlterConfigsRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const NOTE: &'static str = "topics and brokers";
    const SHAPE: &'static [Field] = &[
        all(Structs(&[
            all(I8),
            all(Text),
            all(Structs(&[all(Text), all(Text)])),
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
        Answer::message(AlterConfigsResponse::default().with_responses(responses))
    }
}

fn alter(core: &mut Core, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    let set: Vec<String> = match resource.resource_type {
        TOPIC => core
            .topics
            .get(&resource.resource_name)
            .map(|t| t.configs.keys().cloned().collect()),
        BROKER => match broker_id(core, &resource.resource_name)? {
            Some(id) => core
                .configs
                .per_broker
                .get(&id)
                .map(|o| o.keys().cloned().collect()),
            None => Some(core.configs.for_all.keys().cloned().collect()),
        },
        _ => None,
    }
    .unwrap_or_default();
    let mut changes: Vec<_> = set.into_iter().map(|name| (name, Change::Delete, None)).collect();
    for config in &resource.configs {
        changes.push((
            config.name.to_string(),
            Change::Set,
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
