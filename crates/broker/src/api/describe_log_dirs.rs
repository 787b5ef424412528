//! `DescribeLogDirs`: sizes of replicas on disk.

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::topics::Topic;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeLogDirsRequest;
    type Call = DescribeLogDirsRequest;
    const VERSIONS: (i16, i16) = (1, 4);
    const SHAPE: &'static [Field] = &[all(Structs(&[all(Text), all(Values(&I32))]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let Some(storage) = core.outside.storage.get(&caller.broker) else {
            return Answer::message(DescribeLogDirsResponse::default());
        };
        let topics = match call.topics {
            None => core
                .topics
                .iter()
                .filter_map(|topic| describe(topic, caller.broker, None))
                .collect(),
            Some(wanted) => wanted
                .iter()
                .filter_map(|w| describe(core.topics.get(&w.topic)?, caller.broker, Some(&w.partitions)))
                .collect(),
        };
        let (total, usable) = storage.volume_bytes().unwrap_or((0, 0));
        let result = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from_string(storage.path()))
            .with_topics(topics)
            .with_total_bytes(i64::try_from(total).unwrap_or(-1))
            .with_usable_bytes(i64::try_from(usable).unwrap_or(-1));
        Answer::message(DescribeLogDirsResponse::default().with_results(vec![result]))
    }
}

fn describe(topic: &Topic, broker: i32, wanted: Option<&[i32]>) -> Option<DescribeLogDirsTopic> {
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .enumerate()
        .filter(|(index, _)| wanted.is_none_or(|wanted| wanted.contains(&(*index as i32))))
        .filter_map(|(index, partition)| {
            let replica = partition.logs.get(&broker)?;
            Some(
                DescribeLogDirsPartition::default()
                    .with_partition_index(index as i32)
                    .with_partition_size(i64::try_from(replica.log.size_bytes()).unwrap_or(i64::MAX))
                    .with_offset_lag(0)
                    .with_is_future_key(false),
            )
        })
        .collect();
    if partitions.is_empty() {
        return None;
    }
    let name = TopicName(StrBytes::from_string(topic.name.to_string()));
    Some(
        DescribeLogDirsTopic::default()
            .with_name(name)
            .with_partitions(partitions),
    )
}
