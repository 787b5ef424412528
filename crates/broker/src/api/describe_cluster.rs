//! `DescribeCluster` (KIP-700).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::metadata::CLUSTER_OPERATIONS;
use crate::api::shape::{Field, I8, all, since};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeClusterRequest;
    type Call = DescribeClusterRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const SHAPE: &'static [Field] = &[all(I8), since(1, I8), since(2, I8)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let response = DescribeClusterResponse::default().with_endpoint_type(call.endpoint_type);
        if call.endpoint_type == 2 {
            let message = "This endpoint does not appear to be a CONTROLLER.";
            return Answer::message(
                response
                    .with_error_code(ResponseError::MismatchedEndpointType.code())
                    .with_error_message(Some(StrBytes::from_static_str(message))),
            );
        }
        let listed = core
            .nodes
            .iter()
            .filter(|(id, _)| call.include_fenced_brokers || core.is_registered(**id));
        let brokers = listed.map(|(id, node)| {
            DescribeClusterBroker::default()
                .with_is_fenced(!core.is_registered(*id))
                .with_broker_id(BrokerId(*id))
                .with_host(StrBytes::from_string(node.host.clone()))
                .with_port(i32::from(node.port))
        });
        let operations = if call.include_cluster_authorized_operations {
            CLUSTER_OPERATIONS
        } else {
            i32::MIN
        };
        Answer::message(
            response
                .with_error_message(None)
                .with_cluster_id(StrBytes::from_string(core.cluster_id.clone()))
                .with_controller_id(BrokerId(core.controller()))
                .with_cluster_authorized_operations(operations)
                .with_brokers(brokers.collect()),
        )
    }
}
