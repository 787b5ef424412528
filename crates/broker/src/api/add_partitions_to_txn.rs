//! `AddPartitionsToTxn`: a producer takes partitions into its transaction. From version 4 on brokers ask for several
//! transactions at once, also only whether partitions are in (KIP-890); Kafka answers that to anybody where nothing is
//! authorized, and so does this cluster.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use crate::api::shape::{
    Field, I8, I16, I32, I64,
    Kind::{Structs, Text, Values},
    all, between, since,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::transactions::state::{Partitions, Producer, Version};
use crate::core::{Caller, Core};

pub(crate) struct Api;

const TOPICS: &[Field] = &[all(Text), all(Values(&I32))];

impl Handler for Api {
    type Wire = AddPartitionsToTxnRequest;
    type Call = AddPartitionsToTxnRequest;
    const VERSIONS: (i16, i16) = (0, 5);
    const SHAPE: &'static [Field] = &[
        since(
            4,
            Structs(&[all(Text), all(I64), all(I16), all(I8), all(Structs(TOPICS))]),
        ),
        between(0, 3, Text),
        between(0, 3, I64),
        between(0, 3, I16),
        between(0, 3, Structs(TOPICS)),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let transactions = if caller.version < 4 {
            vec![
                AddPartitionsToTxnTransaction::default()
                    .with_transactional_id(call.v3_and_below_transactional_id)
                    .with_producer_id(call.v3_and_below_producer_id)
                    .with_producer_epoch(call.v3_and_below_producer_epoch)
                    .with_topics(call.v3_and_below_topics),
            ]
        } else {
            call.transactions
        };
        next(core, caller.clone(), transactions, Vec::new());
        Answer::Later
    }
}

/// One transaction after the other; then the answer.
fn next(
    core: &mut Core,
    caller: Caller,
    mut left: Vec<AddPartitionsToTxnTransaction>,
    mut done: Vec<AddPartitionsToTxnResult>,
) {
    if left.is_empty() {
        let response = if caller.version < 4 {
            let topics = done.into_iter().flat_map(|result| result.topic_results);
            AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
        } else {
            AddPartitionsToTxnResponse::default().with_results_by_transaction(done)
        };
        return core.reply(caller.request, Response::message(response));
    }
    let transaction = left.remove(0);
    if let Some(result) = answered_at_once(core, &caller, &transaction) {
        done.push(result);
        return next(core, caller, left, done);
    }
    let id = transaction.transactional_id.to_string();
    let version = if caller.version > 3 {
        Version::V2
    } else {
        Version::V0
    };
    let (producer, partitions) = (producer(&transaction), partitions(&transaction.topics));
    core.add_to_transaction(
        Some(caller.broker),
        &id,
        producer,
        &partitions,
        version,
        move |core, result| {
            let error = result
                .err()
                .map(|error| super::older_fence(error, caller.version < 2));
            done.push(results(&transaction, |_, _| error));
            next(core, caller, left, done);
        },
    );
}

/// What needs no change of state: a wrong request, or one that only asks.
fn answered_at_once(
    core: &mut Core,
    caller: &Caller,
    transaction: &AddPartitionsToTxnTransaction,
) -> Option<AddPartitionsToTxnResult> {
    let exists = |core: &Core, topic: &str, index: i32| {
        let topic = core.topics.get(topic);
        topic.is_some_and(|topic| (0..topic.partitions.len() as i32).contains(&index))
    };
    let unknown = transaction.topics.iter().any(|topic| {
        topic
            .partitions
            .iter()
            .any(|index| !exists(core, &topic.name, *index))
    });
    if unknown {
        return Some(results(transaction, |topic, index| {
            Some(if exists(core, topic, index) {
                ResponseError::OperationNotAttempted
            } else {
                ResponseError::UnknownTopicOrPartition
            })
        }));
    }
    if transaction.transactional_id.is_empty() {
        return Some(results(transaction, |_, _| Some(ResponseError::InvalidRequest)));
    }
    if !transaction.verify_only {
        return None;
    }
    let producer = producer(transaction);
    Some(results(transaction, |topic, index| {
        let partition = (topic.to_owned(), index);
        core.verify_in_transaction(
            Some(caller.broker),
            &transaction.transactional_id,
            producer,
            &partition,
        )
        .err()
    }))
}

fn producer(transaction: &AddPartitionsToTxnTransaction) -> Producer {
    Producer {
        id: transaction.producer_id.0,
        epoch: transaction.producer_epoch,
    }
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> Partitions {
    let of = |topic: &AddPartitionsToTxnTopic| {
        let name = topic.name.to_string();
        topic
            .partitions
            .iter()
            .map(|index| (name.clone(), *index))
            .collect::<Vec<_>>()
    };
    topics.iter().flat_map(of).collect()
}

fn results(
    transaction: &AddPartitionsToTxnTransaction,
    mut error: impl FnMut(&str, i32) -> Option<ResponseError>,
) -> AddPartitionsToTxnResult {
    let topics = transaction.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(error(&topic.name, *index).map_or(0, |error| error.code()))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    AddPartitionsToTxnResult::default()
        .with_transactional_id(transaction.transactional_id.clone())
        .with_topic_results(topics.collect())
}
