//! `Metadata`: brokers, topics, leaders. Asking for a topic makes it, where that is allowed, as Kafka does by default.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::shape::{
    Field, I8,
    Kind::{Structs, Text},
    UUID, all, between, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::topics::{Topic, check_name};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = MetadataRequest;
    type Call = MetadataRequest;
    const VERSIONS: (i16, i16) = (0, 13);
    const SHAPE: &'static [Field] = &[
        all(Structs(&[since(10, UUID), all(Text)])),
        since(4, I8),
        between(8, 10, I8),
        since(8, I8),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        // Version 0 knows no null: there an empty list asks for all.
        let wanted = call
            .topics
            .filter(|topics| caller.version > 0 || !topics.is_empty());
        let topics = match wanted {
            None => core.topics.iter().map(|topic| describe(core, topic)).collect(),
            Some(wanted) => {
                let may_create = (caller.version < 4 || call.allow_auto_topic_creation)
                    && core.configs.switch(caller.broker, "auto.create.topics.enable");
                wanted
                    .into_iter()
                    .map(|topic| match topic.name {
                        Some(name) => by_name(core, &name, may_create),
                        None => by_id(core, topic.topic_id),
                    })
                    .collect()
            }
        };
        let there = core.nodes.iter().filter(|(id, _)| core.is_registered(**id));
        let brokers = there.map(|(id, node)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(*id))
                .with_host(StrBytes::from_string(node.host.clone()))
                .with_port(i32::from(node.port))
        });
        let mut response = MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(StrBytes::from_string(core.cluster_id.clone())))
            .with_controller_id(BrokerId(core.controller()))
            .with_topics(topics);
        if call.include_cluster_authorized_operations && (8..=10).contains(&caller.version) {
            response.cluster_authorized_operations = CLUSTER_OPERATIONS;
        }
        if call.include_topic_authorized_operations {
            for topic in response.topics.iter_mut().filter(|t| t.error_code == 0) {
                topic.topic_authorized_operations = TOPIC_OPERATIONS;
            }
        }
        Answer::message(response)
    }
}

/// Everything that may be done with a topic where nothing is secured: a bit per operation.
pub(crate) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// Everything that may be done with a cluster where nothing is secured.
pub(crate) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

fn by_name(core: &mut Core, name: &TopicName, may_create: bool) -> MetadataResponseTopic {
    let refuse = |error: ResponseError| {
        MetadataResponseTopic::default()
            .with_name(Some(name.clone()))
            .with_error_code(error.code())
    };
    if core.topics.get(name).is_none() {
        if check_name(name).is_err() {
            return refuse(ResponseError::InvalidTopicException);
        }
        if !may_create {
            return refuse(ResponseError::UnknownTopicOrPartition);
        }
        if let Err(refusal) = core.auto_create(name) {
            return refuse(refusal.error);
        }
    }
    match core.topics.get(name) {
        Some(topic) => describe(core, topic),
        None => refuse(ResponseError::UnknownTopicOrPartition),
    }
}

fn by_id(core: &Core, id: Uuid) -> MetadataResponseTopic {
    match core.topics.name_of(id).and_then(|name| core.topics.get(name)) {
        Some(topic) => describe(core, topic),
        None => MetadataResponseTopic::default()
            .with_name(None)
            .with_topic_id(id)
            .with_error_code(ResponseError::UnknownTopicId.code()),
    }
}

fn describe(core: &Core, topic: &Topic) -> MetadataResponseTopic {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    let partitions = topic.partitions.iter().enumerate().map(|(index, partition)| {
        let offline: Vec<i32> = partition
            .replicas
            .iter()
            .copied()
            .filter(|id| !core.is_registered(*id))
            .collect();
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(partition.leader))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(ids(&partition.replicas))
            .with_isr_nodes(ids(&partition.isr))
            .with_offline_replicas(ids(&offline))
            .with_error_code(if partition.leader < 0 {
                ResponseError::LeaderNotAvailable.code()
            } else {
                0
            })
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
        .with_topic_id(topic.id)
        .with_is_internal(topic.is_internal())
        .with_partitions(partitions.collect())
}
