//! `DescribeTransactions` (KIP-664).

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field,
    Kind::{Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::transactions::state::Transaction;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeTransactionsRequest;
    type Call = DescribeTransactionsRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const SHAPE: &'static [Field] = &[all(Values(&Text))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let states = call
            .transactional_ids
            .into_iter()
            .map(|id| describe(core, caller.broker, &id).with_transactional_id(id));
        let states = states.collect();
        Answer::message(DescribeTransactionsResponse::default().with_transaction_states(states))
    }
}

fn describe(core: &mut Core, broker: i32, id: &TransactionalId) -> TransactionState {
    let found = if id.is_empty() {
        Err(ResponseError::InvalidRequest)
    } else {
        core.describe_transaction(broker, id)
    };
    match found {
        Ok(transaction) => state(transaction),
        Err(error) => TransactionState::default().with_error_code(error.code()),
    }
}

fn state(transaction: &Transaction) -> TransactionState {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in transaction.state.partitions().into_iter().flatten() {
        by_topic.entry(topic).or_default().push(*partition);
    }
    let topics = by_topic.into_iter().map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partitions(partitions)
    });
    TransactionState::default()
        .with_transaction_state(StrBytes::from_static_str(transaction.state.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.start_ms)
        .with_producer_id(ProducerId(transaction.producer.id))
        .with_producer_epoch(transaction.producer.epoch)
        .with_topics(topics.collect())
}
