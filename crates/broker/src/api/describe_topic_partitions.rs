//! `DescribeTopicPartitions` (KIP-966), page by page.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::api::metadata::TOPIC_OPERATIONS;
use crate::api::shape::{
    Field, I32,
    Kind::{Maybe, Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::topics::{Partition, check_name};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeTopicPartitionsRequest;
    type Call = DescribeTopicPartitionsRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const SHAPE: &'static [Field] = &[
        all(Structs(&[all(Text)])),
        all(I32),
        all(Maybe(&[all(Text), all(I32)])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let most = core
            .configs
            .number(caller.broker, "max.request.partition.size.limit");
        let mut left = i64::from(call.response_partition_limit).clamp(1, most.max(1)) as usize;
        let mut names: Vec<String> = call.topics.iter().map(|topic| topic.name.to_string()).collect();
        if names.is_empty() {
            names = core.topics.iter().map(|topic| topic.name.to_string()).collect();
        }
        names.sort();
        names.dedup();
        let mut first = 0;
        if let Some(cursor) = &call.cursor {
            names.retain(|name| name.as_str() >= cursor.topic_name.as_str());
            if names
                .first()
                .is_some_and(|name| *name == cursor.topic_name.as_str())
            {
                first = usize::try_from(cursor.partition_index).unwrap_or(0);
            }
        }
        let mut response = DescribeTopicPartitionsResponse::default().with_next_cursor(None);
        for name in names {
            let from = std::mem::take(&mut first);
            if left == 0 {
                response.next_cursor = Some(cursor(name, from));
                break;
            }
            let (topic, more) = describe(core, &name, from, left);
            left -= topic.partitions.len();
            let next = from + topic.partitions.len();
            response.topics.push(topic);
            if more {
                response.next_cursor = Some(cursor(name, next));
                break;
            }
        }
        Answer::message(response)
    }
}

fn cursor(name: String, partition: usize) -> Cursor {
    Cursor::default()
        .with_topic_name(TopicName(StrBytes::from_string(name)))
        .with_partition_index(partition as i32)
}

/// A topic's partitions from one on, and whether there are more than fit.
fn describe(
    core: &Core,
    name: &str,
    from: usize,
    limit: usize,
) -> (DescribeTopicPartitionsResponseTopic, bool) {
    let response = DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
        .with_topic_authorized_operations(TOPIC_OPERATIONS);
    let Some(topic) = core.topics.get(name) else {
        let error = match check_name(name) {
            Ok(()) => ResponseError::UnknownTopicOrPartition,
            Err(refusal) => refusal.error,
        };
        return (
            response
                .with_error_code(error.code())
                .with_topic_authorized_operations(i32::MIN),
            false,
        );
    };
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .enumerate()
        .skip(from)
        .take(limit)
        .map(|(i, p)| partition(core, i, p))
        .collect();
    let more = from + partitions.len() < topic.partitions.len();
    (
        response
            .with_topic_id(topic.id)
            .with_is_internal(topic.is_internal())
            .with_partitions(partitions),
        more,
    )
}

fn partition(core: &Core, index: usize, partition: &Partition) -> DescribeTopicPartitionsResponsePartition {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    let replicas = partition.replicas.iter().copied();
    let offline: Vec<i32> = replicas.filter(|id| !core.is_registered(*id)).collect();
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index as i32)
        .with_leader_id(BrokerId(partition.leader))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(ids(&partition.replicas))
        .with_isr_nodes(ids(&partition.isr))
        .with_eligible_leader_replicas(Some(ids(&partition.elr)))
        .with_last_known_elr(Some(ids(&partition.last_known_elr)))
        .with_offline_replicas(ids(&offline))
}
