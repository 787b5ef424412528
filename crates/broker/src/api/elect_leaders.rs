//! `ElectLeaders`: preferred (KIP-460), or unclean.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I32,
    Kind::{Structs, Text, Values},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::standing::Election;
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ElectLeadersRequest;
    type Call = ElectLeadersRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const SHAPE: &'static [Field] = &[
        since(1, I8),
        all(Structs(&[all(Text), all(Values(&I32))])),
        all(I32),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let election = match call.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            _ => {
                let refused =
                    ElectLeadersResponse::default().with_error_code(ResponseError::InvalidRequest.code());
                return Answer::message(refused);
            }
        };
        let every = call.topic_partitions.is_none();
        let wanted: Vec<(String, Vec<i32>)> = match call.topic_partitions {
            Some(topics) => topics
                .into_iter()
                .map(|topic| (topic.topic.to_string(), topic.partitions))
                .collect(),
            None => core
                .topics
                .iter()
                .map(|topic| {
                    (
                        topic.name.to_string(),
                        (0..topic.partitions.len() as i32).collect(),
                    )
                })
                .collect(),
        };
        let mut results = Vec::with_capacity(wanted.len());
        for (name, partitions) in wanted {
            let mut elected = Vec::with_capacity(partitions.len());
            for index in partitions {
                let result = core.elect(&name, index, election);
                let needless =
                    matches!(&result, Err(refusal) if refusal.error == ResponseError::ElectionNotNeeded);
                if !(every && needless) {
                    elected.push(told(index, result));
                }
            }
            results.push(
                ReplicaElectionResult::default()
                    .with_topic(TopicName(StrBytes::from_string(name)))
                    .with_partition_result(elected),
            );
        }
        Answer::message(ElectLeadersResponse::default().with_replica_election_results(results))
    }
}

fn told(index: i32, result: Result<(), Refusal>) -> PartitionResult {
    let told = PartitionResult::default().with_partition_id(index);
    match result {
        Ok(()) => told.with_error_message(None),
        Err(refusal) => told
            .with_error_code(refusal.code())
            .with_error_message(refusal.message.map(StrBytes::from_string)),
    }
}
