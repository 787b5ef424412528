//! `ListConfigResources` (KIP-1142): what has or may have configurations.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{Field, I8, Kind::Values, since};
use crate::api::{Answer, Aside, Handler};
use crate::core::configs::Scope;
use crate::core::{Caller, Core};

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
        let wanted: Option<Vec<Scope>> = match call.resource_types.as_slice() {
            _ if caller.version == 0 => Some(vec![Scope::ClientMetrics]),
            [] => Some(Scope::ALL.to_vec()),
            some => some.iter().map(|kind| Scope::from_code(*kind)).collect(),
        };
        let Some(wanted) = wanted else {
            return Answer::message(
                ListConfigResourcesResponse::default()
                    .with_error_code(ResponseError::UnsupportedVersion.code()),
            );
        };
        let mut resources = Vec::new();
        for scope in wanted {
            let names: Vec<String> = match scope {
                Scope::Topic => core.topics.iter().map(|topic| topic.name.to_string()).collect(),
                Scope::Broker | Scope::BrokerLogger => core.nodes.keys().map(ToString::to_string).collect(),
                Scope::ClientMetrics => core.configs.client_metrics.keys().cloned().collect(),
                Scope::Group => core.group_config_names(),
            };
            resources.extend(names.into_iter().map(|name| {
                ConfigResource::default()
                    .with_resource_type(scope as i8)
                    .with_resource_name(StrBytes::from_string(name))
            }));
        }
        Answer::message(ListConfigResourcesResponse::default().with_config_resources(resources))
    }
}
