//! `AlterPartitionReassignments` (KIP-455), and whether the number of replicas may change (KIP-860).

use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I32,
    Kind::{Structs, Text, Values},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = AlterPartitionReassignmentsRequest;
    type Call = AlterPartitionReassignmentsRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const SHAPE: &'static [Field] = &[
        all(I32),
        since(1, I8),
        all(Structs(&[
            all(Text),
            all(Structs(&[all(I32), all(Values(&I32))])),
        ])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let may_change_factor = caller.version < 1 || call.allow_replication_factor_change;
        let mut responses = Vec::with_capacity(call.topics.len());
        for topic in call.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let target: Option<Vec<i32>> = partition
                    .replicas
                    .map(|replicas| replicas.into_iter().map(|id| id.0).collect());
                let index = partition.partition_index;
                let told = ReassignablePartitionResponse::default().with_partition_index(index);
                let result = core.reassign(&topic.name, index, target.as_deref(), may_change_factor);
                partitions.push(match result {
                    Ok(()) => told.with_error_message(None),
                    Err(refusal) => told
                        .with_error_code(refusal.code())
                        .with_error_message(refusal.message.map(StrBytes::from_string)),
                });
            }
            responses.push(
                ReassignableTopicResponse::default()
                    .with_name(topic.name)
                    .with_partitions(partitions),
            );
        }
        Answer::message(
            AlterPartitionReassignmentsResponse::default()
                .with_allow_replication_factor_change(may_change_factor)
                .with_error_message(None)
                .with_responses(responses),
        )
    }
}
