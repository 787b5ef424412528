//! `DescribeProducers` (KIP-664).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::ports::ActiveProducer;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeProducersRequest;
    type Call = DescribeProducersRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const SHAPE: &'static [Field] = &[all(Structs(&[all(Text), all(Values(&I32))]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let topics = call.topics.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                let response = PartitionResponse::default().with_partition_index(*index);
                match producers(core, caller.broker, &topic.name, *index) {
                    Ok(active) => response.with_error_message(None).with_active_producers(active),
                    Err(error) => response.with_error_code(error.code()).with_error_message(None),
                }
            });
            let partitions = partitions.collect();
            TopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        Answer::message(DescribeProducersResponse::default().with_topics(topics))
    }
}

fn producers(core: &Core, broker: i32, topic: &str, index: i32) -> Result<Vec<ProducerState>, ResponseError> {
    let partition = core
        .topics
        .get(topic)
        .and_then(|t| t.partitions.get(usize::try_from(index).ok()?))
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let replica = partition
        .led_by(broker)
        .ok_or(ResponseError::NotLeaderOrFollower)?;
    Ok(replica.log.active_producers().into_iter().map(state).collect())
}

fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp_ms)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.transaction_start.unwrap_or(-1))
}
