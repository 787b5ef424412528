//! `WriteTxnMarkers`: ends a transaction in single partitions. Between the brokers of this cluster no request is needed;
//! `kafka-transactions abort` sends it to end a transaction that has lost its coordinator.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use crate::api::shape::{
    Field, I8, I16, I32, I64,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::{Caller, Core};
use crate::log::{EndTxnMarker, NewMarker};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = WriteTxnMarkersRequest;
    type Call = WriteTxnMarkersRequest;
    const VERSIONS: (i16, i16) = (1, 1);
    const SHAPE: &'static [Field] = &[all(Structs(&[
        all(I64),
        all(I16),
        all(I8),
        all(Structs(&[all(Text), all(Values(&I32))])),
        all(I32),
    ]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let mut results: Vec<WritableTxnMarkerResult> = Vec::with_capacity(call.markers.len());
        let mut todo = Vec::new();
        for (at, marker) in call.markers.into_iter().enumerate() {
            let new = new_marker(&marker);
            results.push(WritableTxnMarkerResult::default().with_producer_id(marker.producer_id));
            for topic in marker.topics {
                for partition in topic.partition_indexes {
                    todo.push(One {
                        at,
                        new,
                        topic: topic.name.clone(),
                        partition,
                    });
                }
            }
        }
        next(core, caller.clone(), todo, results);
        Answer::Later
    }
}

/// One marker for one partition.
struct One {
    /// Index of the marker in the request.
    at: usize,
    new: NewMarker,
    topic: TopicName,
    partition: i32,
}

fn new_marker(marker: &WritableTxnMarker) -> NewMarker {
    NewMarker {
        producer_id: marker.producer_id.0,
        producer_epoch: marker.producer_epoch,
        marker: EndTxnMarker {
            commit: marker.transaction_result,
            coordinator_epoch: marker.coordinator_epoch,
        },
        bumps_epoch: false,
    }
}

/// One partition after the other; then the answer.
fn next(core: &mut Core, caller: Caller, mut left: Vec<One>, mut results: Vec<WritableTxnMarkerResult>) {
    let Some(one) = left.pop() else {
        let response = WriteTxnMarkersResponse::default().with_markers(results);
        return core.reply(caller.request, Response::message(response));
    };
    let leads = core
        .topics
        .get(&one.topic)
        .and_then(|topic| topic.partitions.get(usize::try_from(one.partition).ok()?))
        .is_some_and(|partition| partition.led_by(caller.broker).is_some());
    let written = if !leads {
        Err(ResponseError::UnknownTopicOrPartition)
    } else if one.new.producer_id < 0 || one.new.producer_epoch < 0 {
        // Kafka can't make such a batch either.
        Err(ResponseError::UnknownServerError)
    } else {
        core.write_marker(&one.topic, one.partition, &one.new)
    };
    match written {
        Err(error) => {
            note(&mut results[one.at], &one, Some(error));
            next(core, caller, left, results);
        }
        Ok(appended) => core.when_replicated(appended, move |core, result| {
            note(&mut results[one.at], &one, result.err());
            next(core, caller, left, results);
        }),
    }
}

fn note(result: &mut WritableTxnMarkerResult, one: &One, error: Option<ResponseError>) {
    let partition = WritableTxnMarkerPartitionResult::default()
        .with_partition_index(one.partition)
        .with_error_code(error.map_or(0, |error| error.code()));
    match result.topics.iter_mut().find(|topic| topic.name == one.topic) {
        Some(topic) => topic.partitions.push(partition),
        None => result.topics.push(
            WritableTxnMarkerTopicResult::default()
                .with_name(one.topic.clone())
                .with_partitions(vec![partition]),
        ),
    }
}
