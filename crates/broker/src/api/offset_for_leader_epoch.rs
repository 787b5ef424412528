//! `OffsetForLeaderEpoch`: where an epoch ended (KIP-101, KIP-320).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = OffsetForLeaderEpochRequest;
    type Call = OffsetForLeaderEpochRequest;
    const VERSIONS: (i16, i16) = (2, 4);
    const SHAPE: &'static [Field] = &[
        since(3, I32),
        all(Structs(&[
            all(Text),
            all(Structs(&[all(I32), since(2, I32), all(I32)])),
        ])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let topics = call.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| {
                let found = end_of(
                    core,
                    caller.broker,
                    &topic.topic,
                    p.partition,
                    p.current_leader_epoch,
                    p.leader_epoch,
                );
                let result = EpochEndOffset::default().with_partition(p.partition);
                match found {
                    Ok((epoch, end)) => result.with_leader_epoch(epoch).with_end_offset(end),
                    Err(error) => result
                        .with_error_code(error.code())
                        .with_leader_epoch(-1)
                        .with_end_offset(-1),
                }
            });
            let partitions = partitions.collect();
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        Answer::message(OffsetForLeaderEpochResponse::default().with_topics(topics))
    }
}

fn end_of(
    core: &Core,
    broker: i32,
    topic: &str,
    index: i32,
    current: i32,
    epoch: i32,
) -> Result<(i32, i64), ResponseError> {
    let (partition, replica) = core.replica_of(broker, topic, index, current, true)?;
    if epoch == partition.leader_epoch {
        return Ok((epoch, replica.log.end_offset()));
    }
    Ok(replica
        .log
        .offset_for_leader_epoch(epoch)
        .map_or((-1, -1), |end| (end.leader_epoch, end.end_offset)))
}
