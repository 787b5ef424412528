//! `ListConfigResources` (KIP-1142): what has or may have configurations.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::describe_configs::{BROKER, BROKER_LOGGER, GROUP, TOPIC};
use crate::api::shape::{Field, I8, Kind::Values, since};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

/// Client metrics subscriptions; there are none.
const CLIENT_METRICS: i8 = 16;

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ListConfigResourcesRequest;
    type Call = ListConfigResourcesRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const SHAPE: &'static [Field] = &[since(1, Values(&I8))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let known = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
        let wanted = match call.resource_types.as_slice() {
            _ if caller.version == 0 => vec![CLIENT_METRICS],
            [] => known.to_vec(),
            some => some.to_vec(),
        };
        if wanted.iter().any(|kind| !known.contains(kind)) {
            return Answer::message(
                ListConfigResourcesResponse::default()
                    .with_error_code(ResponseError::UnsupportedVersion.code()),
            );
        }
        let mut resources = Vec::new();
        for kind in wanted {
            let names: Vec<String> = match kind {
                TOPIC => core.topics.iter().map(|topic| topic.name.to_string()).collect(),
                BROKER | BROKER_LOGGER => core.nodes.keys().map(ToString::to_string).collect(),
                _ => Vec::new(),
            };
            resources.extend(names.into_iter().map(|name| {
                ConfigResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(StrBytes::from_string(name))
            }));
        }
        Answer::message(ListConfigResourcesResponse::default().with_config_resources(resources))
    }
}
