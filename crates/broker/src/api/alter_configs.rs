//! `AlterConfigs`: replaces all that is set. Clients should use `IncrementalAlterConfigs`.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::incremental_alter_configs::{apply, broker_id, duplicate_resource, repeated};
use crate::api::shape::{
    Field, I8,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::configs::{Change, Scope};
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = AlterConfigsRequest;
    type Call = AlterConfigsRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const NOTE: &'static str = "loggers only incrementally, as in Kafka";
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
        let responses = call.resources.into_iter().map(|resource| {
            let altered = if twice.contains(&(resource.resource_type, resource.resource_name.to_string())) {
                Err(duplicate_resource())
            } else {
                alter(core, caller.broker, &resource, call.validate_only)
            };
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
        .filter(|c| c.value.is_none())
        .map(|c| c.name.as_str())
        .collect();
    if !nulls.is_empty() {
        return refuse(format!("Null value not supported for : {}", nulls.join(",")));
    }
    let name = &resource.resource_name;
    let set = match Scope::from_code(resource.resource_type) {
        Some(Scope::Topic) => core.topics.get(name).map(|topic| &topic.configs),
        Some(Scope::Broker) => match broker_id(asked, name)? {
            Some(id) => core.configs.per_broker.get(&id),
            None => Some(&core.configs.for_all),
        },
        Some(Scope::Group) => core.configs.groups.get(name.as_str()),
        Some(Scope::ClientMetrics) => core.configs.client_metrics.get(name.as_str()),
        Some(Scope::BrokerLogger) | None => None,
    };
    let set: Vec<String> = set.map(|set| set.keys().cloned().collect()).unwrap_or_default();
    let mut changes: Vec<_> = set.into_iter().map(|name| (name, Change::Delete, None)).collect();
    for config in &resource.configs {
        let value = config.value.as_ref().map(ToString::to_string);
        changes.push((config.name.to_string(), Change::Set, value));
    }
    apply(core, asked, resource.resource_type, name, &changes, validate_only)
}
