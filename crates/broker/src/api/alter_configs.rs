//! `AlterConfigs`: replaces all that is set. Clients should use `IncrementalAlterConfigs`.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::api::configs::{alter_each, apply, broker_id, check_keys};
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
        Answer::message(AlterConfigsResponse::default().with_responses(responses.collect()))
    }
}

fn alter(
    core: &mut Core,
    asked: i32,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    check_keys(
        resource
            .configs
            .iter()
            .map(|config| (&*config.name, config.value.is_none())),
    )?;
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
