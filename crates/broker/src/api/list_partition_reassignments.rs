//! `ListPartitionReassignments` (KIP-455).

use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    BrokerId, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::topics::{Partition, Topic};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ListPartitionReassignmentsRequest;
    type Call = ListPartitionReassignmentsRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const SHAPE: &'static [Field] = &[all(I32), all(Structs(&[all(Text), all(Values(&I32))]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let topics: Vec<_> = match call.topics {
            None => core
                .topics
                .iter()
                .filter_map(|topic| ongoing(topic, None))
                .collect(),
            Some(wanted) => wanted
                .iter()
                .filter_map(|w| ongoing(core.topics.get(&w.name)?, Some(&w.partition_indexes)))
                .collect(),
        };
        Answer::message(
            ListPartitionReassignmentsResponse::default()
                .with_error_message(None)
                .with_topics(topics),
        )
    }
}

fn ongoing(topic: &Topic, wanted: Option<&[i32]>) -> Option<OngoingTopicReassignment> {
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .enumerate()
        .map(|(index, partition)| (index as i32, partition))
        .filter(|(index, partition)| {
            partition.is_reassigning() && wanted.is_none_or(|wanted| wanted.contains(index))
        })
        .map(|(index, partition)| describe(index, partition))
        .collect();
    if partitions.is_empty() {
        return None;
    }
    let name = TopicName(StrBytes::from_string(topic.name.to_string()));
    let ongoing = OngoingTopicReassignment::default();
    Some(ongoing.with_name(name).with_partitions(partitions))
}

fn describe(index: i32, partition: &Partition) -> OngoingPartitionReassignment {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    OngoingPartitionReassignment::default()
        .with_partition_index(index)
        .with_replicas(ids(&partition.replicas))
        .with_adding_replicas(ids(&partition.adding))
        .with_removing_replicas(ids(&partition.removing))
}
