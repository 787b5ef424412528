//! `DescribeProducers` (KIP-664).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::ports::ActiveProducer;
use crate::core::topics::{NOT_HOSTED, check_name};
use crate::core::{Caller, Core, Refusal};

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
            let whole = check_topic(core, &topic.name);
            let partitions = topic.partition_indexes.iter().map(|index| {
                let response = PartitionResponse::default().with_partition_index(*index);
                let found = match &whole {
                    Ok(()) => producers(core, caller.broker, &topic.name, *index).map_err(Refusal::from),
                    Err(refusal) => Err(refusal.clone()),
                };
                match found {
                    Ok(active) => response.with_error_message(None).with_active_producers(active),
                    Err(refusal) => response
                        .with_error_code(refusal.code())
                        .with_error_message(refusal.message.map(StrBytes::from_string)),
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

/// Is the topic at fault, whatever the partition.
fn check_topic(core: &Core, topic: &str) -> Result<(), Refusal> {
    check_name(topic)?;
    if core.topics.get(topic).is_none() {
        return Err(Refusal::new(ResponseError::UnknownTopicOrPartition, NOT_HOSTED));
    }
    Ok(())
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
