//! `DescribeQuorum`: the metadata journal as the partition of `__cluster_metadata` that it is in Kafka. Every broker is a
//! voter; the first one leads.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use kafka_protocol::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::topics::{METADATA_TOPIC, NOT_HOSTED};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeQuorumRequest;
    type Call = DescribeQuorumRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const NOTE: &'static str = "one journal, which the first broker leads";
    const SHAPE: &'static [Field] = &[all(Structs(&[all(Text), all(Structs(&[all(I32)]))]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let mut known = false;
        let topics = call.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| {
                let data = PartitionData::default().with_partition_index(p.partition_index);
                if topic.topic_name.as_str() == METADATA_TOPIC && p.partition_index == 0 {
                    known = true;
                    journal(core, caller.version, data)
                } else {
                    data.with_error_code(ResponseError::UnknownTopicOrPartition.code())
                        .with_error_message(Some(StrBytes::from_static_str(NOT_HOSTED)))
                }
            });
            let partitions = partitions.collect();
            TopicData::default()
                .with_topic_name(topic.topic_name)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        let response = DescribeQuorumResponse::default()
            .with_error_message(Some(StrBytes::default()))
            .with_topics(topics);
        Answer::message(if known && caller.version >= 2 {
            response.with_nodes(nodes(core))
        } else {
            response
        })
    }
}

fn journal(core: &Core, version: i16, data: PartitionData) -> PartitionData {
    let voters = core.nodes.keys().map(|id| {
        let directory = core.outside.storage.get(id).map(|storage| storage.directory_id());
        let state = ReplicaState::default()
            .with_replica_id(BrokerId(*id))
            .with_log_end_offset(core.journalled)
            .with_last_fetch_timestamp(core.now_ms)
            .with_last_caught_up_timestamp(core.now_ms);
        if version >= 2 {
            state.with_replica_directory_id(directory.unwrap_or_default())
        } else {
            state
        }
    });
    data.with_error_message(Some(StrBytes::default()))
        .with_leader_id(BrokerId(core.first_broker()))
        .with_leader_epoch(1)
        .with_high_watermark(core.journalled)
        .with_current_voters(voters.collect())
}

fn nodes(core: &Core) -> Vec<Node> {
    let node = |(id, node): (&i32, &crate::core::Node)| {
        Node::default().with_node_id(BrokerId(*id)).with_listeners(vec![
            Listener::default()
                .with_name(StrBytes::from_static_str("PLAINTEXT"))
                .with_host(StrBytes::from_string(node.host.clone()))
                .with_port(node.port),
        ])
    };
    core.nodes.iter().map(node).collect()
}
