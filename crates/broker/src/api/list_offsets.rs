//! `ListOffsets`: earliest (-2), latest (-1), greatest timestamp (-3, KIP-734), local start (-4, KIP-405), tiered
//! (-5, KIP-1005; there is no tiered storage), or the first record at or after a time.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::api::shape::{
    Field, I8, I32, I64,
    Kind::{Structs, Text},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};
use crate::log::TimestampQuery;

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ListOffsetsRequest;
    type Call = ListOffsetsRequest;
    const VERSIONS: (i16, i16) = (1, 10);
    const SHAPE: &'static [Field] = &[
        all(I32),
        since(2, I8),
        all(Structs(&[
            all(Text),
            all(Structs(&[all(I32), since(4, I32), all(I64)])),
        ])),
        since(10, I32),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let committed = call.isolation_level == 1;
        let topics = call.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| {
                let epoch = if caller.version >= 4 {
                    p.current_leader_epoch
                } else {
                    -1
                };
                let found = look_up(
                    core,
                    caller.broker,
                    &topic.name,
                    p.partition_index,
                    epoch,
                    p.timestamp,
                    caller.version,
                    committed,
                );
                // Older clients don't know the error.
                let found = found.map_err(|error| match error {
                    ResponseError::OffsetNotAvailable if caller.version < 5 => {
                        ResponseError::LeaderNotAvailable
                    }
                    error => error,
                });
                let response =
                    ListOffsetsPartitionResponse::default().with_partition_index(p.partition_index);
                match found {
                    Ok((offset, timestamp, epoch)) => {
                        // Versions before 4 can't say an epoch.
                        let epoch = if caller.version >= 4 { epoch } else { -1 };
                        response
                            .with_offset(offset)
                            .with_timestamp(timestamp)
                            .with_leader_epoch(epoch)
                    }
                    Err(error) => response
                        .with_error_code(error.code())
                        .with_offset(-1)
                        .with_timestamp(-1)
                        .with_leader_epoch(-1),
                }
            });
            let partitions = partitions.collect();
            ListOffsetsTopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        Answer::message(ListOffsetsResponse::default().with_topics(topics))
    }
}

/// Offset, timestamp and leader epoch.
#[expect(
    clippy::too_many_arguments,
    reason = "what one partition of the request says, field by field"
)]
fn look_up(
    core: &Core,
    broker: i32,
    topic: &str,
    index: i32,
    epoch: i32,
    timestamp: i64,
    version: i16,
    committed: bool,
) -> Result<(i64, i64, i32), ResponseError> {
    let (partition, replica) = core.replica_of(broker, topic, index, epoch, true)?;
    let log = &replica.log;
    let end = if committed {
        log.last_stable_offset(replica.high_watermark)
    } else {
        replica.high_watermark
    };
    // A new leader that doesn't know yet what is committed can't say where the end is.
    let lags = partition.epoch_start > replica.high_watermark;
    let query = match timestamp {
        // Each came with a version of its own: KIP-734, KIP-405, KIP-1005, KIP-1023.
        -3 if version < 7 => return Err(ResponseError::UnsupportedVersion),
        -4 if version < 8 => return Err(ResponseError::UnsupportedVersion),
        -5 if version < 9 => return Err(ResponseError::UnsupportedVersion),
        -6 if version < 11 => return Err(ResponseError::UnsupportedVersion),
        -1 if lags => return Err(ResponseError::OffsetNotAvailable),
        -1 => return Ok((end, -1, partition.leader_epoch)),
        -2 | -4 => {
            let start = log.start_offset();
            return Ok((start, -1, log.epoch_at(start).unwrap_or(partition.leader_epoch)));
        }
        -5 | -6 => return Ok((-1, -1, -1)),
        -3 => TimestampQuery::Max,
        at if at >= 0 => TimestampQuery::At(at),
        _ => return Err(ResponseError::UnsupportedVersion),
    };
    match log.offset_for_timestamp(query).map_err(|error| error.code())? {
        Some(found) if found.offset < end => Ok((found.offset, found.timestamp_ms, found.leader_epoch)),
        Some(_) if lags => Err(ResponseError::OffsetNotAvailable),
        _ => Ok((-1, -1, -1)),
    }
}
