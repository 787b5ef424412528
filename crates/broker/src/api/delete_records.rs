//! `DeleteRecords`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::api::shape::{
    Field, I32, I64,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DeleteRecordsRequest;
    type Call = DeleteRecordsRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const SHAPE: &'static [Field] = &[
        all(Structs(&[all(Text), all(Structs(&[all(I32), all(I64)]))])),
        all(I32),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let topics = call.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| {
                let result = DeleteRecordsPartitionResult::default().with_partition_index(p.partition_index);
                match delete(core, caller.broker, &topic.name, p.partition_index, p.offset) {
                    Ok(low) => result.with_low_watermark(low),
                    Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
                }
            });
            let partitions = partitions.collect();
            DeleteRecordsTopicResult::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        core.checkpoint();
        Answer::message(DeleteRecordsResponse::default().with_topics(topics))
    }
}

/// Removes what is before `offset` (-1: everything); gives the new low watermark.
fn delete(core: &mut Core, broker: i32, name: &str, index: i32, offset: i64) -> Result<i64, ResponseError> {
    let policy = core
        .topics
        .get(name)
        .map(|t| core.configs.topic_value(broker, &t.configs, "cleanup.policy"));
    let topic = core
        .topics
        .get_mut(name)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    if topic.is_internal() {
        return Err(ResponseError::InvalidTopicException);
    }
    let id = topic.id;
    let partition = usize::try_from(index)
        .ok()
        .and_then(|at| topic.partitions.get_mut(at));
    let partition = partition.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let replica = partition
        .led_by_mut(broker)
        .ok_or(ResponseError::NotLeaderOrFollower)?;
    if !policy.is_some_and(|policy| policy.contains("delete") || policy.is_empty()) {
        return Err(ResponseError::PolicyViolation);
    }
    let offset = if offset == -1 {
        replica.high_watermark
    } else {
        offset
    };
    if offset < 0 || offset > replica.high_watermark {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let low = replica
        .log
        .delete_records_before(offset, replica.high_watermark)
        .map_err(|error| error.code())?;
    core.appended(id, index);
    Ok(low)
}
