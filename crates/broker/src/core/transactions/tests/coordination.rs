use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTransaction;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, GroupId, ListTransactionsRequest, OffsetFetchRequest, TxnOffsetCommitRequest,
    WriteTxnMarkersRequest,
};

use super::*;
use crate::core::topics::Partition;

fn code(error: ResponseError) -> i16 {
    error.code()
}

impl Bench {
    fn partition(&mut self, topic: &str, index: usize) -> &mut Partition {
        &mut self.core.topics.get_mut(topic).unwrap().partitions[index]
    }

    fn commit_offset(&mut self, version: i16, id: &str, producer: Producer, offset: i64) -> i16 {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(id_of(id))
            .with_group_id(group())
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_generation_id(-1)
            .with_topics(vec![
                TxnOffsetCommitRequestTopic::default()
                    .with_name(topic("t"))
                    .with_partitions(vec![partition]),
            ]);
        let response = self.ask::<api::txn_offset_commit::Api>(version, request);
        response.topics[0].partitions[0].error_code
    }

    /// Error and offset.
    fn offset(&mut self, require_stable: bool) -> (i16, i64) {
        let request = OffsetFetchRequest::default()
            .with_group_id(group())
            .with_topics(Some(vec![
                OffsetFetchRequestTopic::default()
                    .with_name(topic("t"))
                    .with_partition_indexes(vec![0]),
            ]))
            .with_require_stable(require_stable);
        let response = self.ask::<api::offset_fetch::Api>(7, request);
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.committed_offset)
    }
}

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str("g"))
}

#[test]
fn committed_records_are_read_and_aborted_ones_are_not() {
    let mut bench = Bench::new();
    let first = bench.init("pay").unwrap();
    assert_eq!(bench.produce(12, Some("pay"), first, 0, 0, &["a", "b"]), Ok(0));
    assert_eq!(bench.state("pay"), Some("Ongoing"));
    let open = bench.fetch(0, 0, true);
    assert_eq!((open.values, open.last_stable), (vec![], 0));
    assert_eq!(bench.fetch(0, 0, false).values, ["a", "b"]);

    let second = bench.end(5, "pay", first, false).unwrap();
    assert_eq!((second.id, second.epoch), (first.id, first.epoch + 1));
    assert_eq!(bench.state("pay"), Some("CompleteAbort"));
    let aborted = bench.fetch(0, 0, true);
    assert_eq!(aborted.aborted, [(first.id, 0)]);
    assert_eq!((aborted.values, aborted.last_stable), (vec![], 3));

    assert_eq!(bench.produce(12, Some("pay"), second, 0, 0, &["c"]), Ok(3));
    bench.end(5, "pay", second, true).unwrap();
    assert_eq!(bench.committed(0), ["c"]);
    // Beyond the marker of the abort nobody has to know of it.
    assert_eq!(bench.fetch(0, 3, true).aborted, []);
}

#[test]
fn clients_of_the_first_protocol_add_partitions_themselves() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    let refused = |bench: &mut Bench, version| bench.produce(version, Some("pay"), own, 0, 0, &["a"]);
    assert_eq!(
        refused(&mut bench, 11),
        Err(code(ResponseError::TransactionAbortable))
    );
    assert_eq!(refused(&mut bench, 10), Err(code(ResponseError::InvalidTxnState)));
    assert_eq!(bench.add("pay", own, 0), 0);
    assert_eq!(
        bench.add("pay", own, 7),
        code(ResponseError::UnknownTopicOrPartition)
    );
    assert_eq!(bench.produce(11, Some("pay"), own, 0, 0, &["a"]), Ok(0));
    assert_eq!(bench.produce(11, Some("pay"), own, 0, 1, &["b"]), Ok(1));
    bench.end(4, "pay", own, true).unwrap();
    assert_eq!(bench.end(4, "pay", own, true).map(|_| ()), Ok(()), "a retry");
    assert_eq!(
        bench.end(4, "pay", own, false),
        Err(code(ResponseError::InvalidTxnState))
    );
    // The sequence goes on in the same epoch.
    bench.add("pay", own, 0);
    assert_eq!(
        bench.produce(11, Some("pay"), own, 0, 3, &["d"]),
        Err(code(ResponseError::OutOfOrderSequenceNumber))
    );
    assert_eq!(bench.produce(11, Some("pay"), own, 0, 2, &["c"]), Ok(3));
    bench.end(4, "pay", own, true).unwrap();
    assert_eq!(bench.committed(0), ["a", "b", "c"]);
}

#[test]
fn transactional_batches_need_a_transactional_id_and_one_producer() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    let other = Producer {
        id: own.id + 1000,
        ..own
    };
    assert_eq!(
        bench.produce(12, Some("pay"), other, 0, 0, &["a"]),
        Err(code(ResponseError::InvalidProducerIdMapping))
    );
    assert_eq!(
        bench.produce(12, Some("ghost"), own, 0, 0, &["a"]),
        Err(code(ResponseError::InvalidProducerIdMapping))
    );
    let old = bench.init("pay").map(|_| own).unwrap();
    assert_eq!(
        bench.produce(12, Some("pay"), old, 0, 0, &["a"]),
        Err(code(ResponseError::InvalidProducerEpoch))
    );
    assert_eq!(bench.add("pay", old, 0), code(ResponseError::ProducerFenced));
}

#[test]
fn a_new_producer_of_the_same_id_ends_the_transaction_of_the_old_one() {
    let mut bench = Bench::new();
    let old = bench.init("pay").unwrap();
    bench.produce(12, Some("pay"), old, 0, 0, &["a"]).unwrap();
    assert_eq!(
        bench.init("pay"),
        Err(code(ResponseError::ConcurrentTransactions))
    );
    let new = bench.init("pay").unwrap();
    assert_eq!(new.epoch, old.epoch + 2);
    assert_eq!(
        bench.produce(12, Some("pay"), old, 0, 1, &["b"]),
        Err(code(ResponseError::InvalidProducerEpoch))
    );
    assert_eq!(
        bench.end(5, "pay", old, true),
        Err(code(ResponseError::ProducerFenced))
    );
    assert_eq!(
        bench.end(1, "pay", old, true),
        Err(code(ResponseError::InvalidProducerEpoch))
    );
    assert_eq!(
        bench.init_as("pay", Some(old)),
        Err(code(ResponseError::ProducerFenced))
    );
    bench.produce(12, Some("pay"), new, 0, 0, &["c"]).unwrap();
    bench.end(5, "pay", new, true).unwrap();
    assert_eq!(bench.committed(0), ["c"]);
}

#[test]
fn a_transaction_that_is_open_too_long_is_aborted() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    bench.produce(12, Some("pay"), own, 0, 0, &["a"]).unwrap();
    bench.pass(60_000);
    assert_eq!(bench.state("pay"), Some("Ongoing"));
    bench.pass(10_000);
    assert_eq!(bench.state("pay"), Some("CompleteAbort"));
    assert_eq!(bench.fetch(0, 0, true).last_stable, 2);
    assert_eq!(
        bench.produce(12, Some("pay"), own, 0, 1, &["b"]),
        Err(code(ResponseError::InvalidProducerEpoch))
    );
    assert_eq!(bench.init("pay").unwrap().epoch, own.epoch + 2);
}

#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    bench.pass(7 * 24 * 3_600_000);
    bench.pass(3_600_000);
    assert_eq!(bench.state("pay"), None);
    assert_eq!(
        bench.end(5, "pay", own, false),
        Err(code(ResponseError::InvalidProducerIdMapping))
    );
    let mut again = bench.killed();
    assert_eq!(again.state("pay"), None);
}

#[test]
fn an_open_transaction_survives_a_kill() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    bench.produce(12, Some("pay"), own, 0, 0, &["a"]).unwrap();
    let mut bench = bench.killed();
    assert_eq!(bench.state("pay"), Some("Ongoing"));
    bench.produce(12, Some("pay"), own, 0, 1, &["b"]).unwrap();
    assert_eq!(bench.committed(0), [""; 0]);
    bench.end(5, "pay", own, true).unwrap();
    assert_eq!(bench.committed(0), ["a", "b"]);
    let mut bench = bench.killed();
    assert_eq!(bench.committed(0), ["a", "b"]);
    // And the time that it may be open goes on.
    let next = bench.init("pay").unwrap();
    bench.produce(12, Some("pay"), next, 1, 0, &["c"]).unwrap();
    let mut bench = bench.killed();
    bench.pass(70_001);
    assert_eq!(bench.state("pay"), Some("CompleteAbort"));
}

#[test]
fn an_end_that_was_decided_is_carried_out_when_there_is_a_leader_or_after_a_kill() {
    for killed in [false, true] {
        let mut bench = Bench::new();
        let own = bench.init("pay").unwrap();
        bench.produce(12, Some("pay"), own, 0, 0, &["a"]).unwrap();
        bench.produce(12, Some("pay"), own, 1, 0, &["b"]).unwrap();
        bench.partition("t", 1).standing.leader = -1;
        let next = bench.end(5, "pay", own, true).unwrap();
        assert_eq!(bench.state("pay"), Some("PrepareCommit"));
        assert_eq!(bench.committed(0), ["a"], "this one has its marker");
        assert_eq!(
            bench.init("pay"),
            Err(code(ResponseError::ConcurrentTransactions))
        );
        assert_eq!(
            bench.produce(12, Some("pay"), next, 0, 0, &["c"]),
            Err(code(ResponseError::ConcurrentTransactions))
        );
        assert_eq!(
            bench.end(5, "pay", own, true),
            Err(code(ResponseError::ConcurrentTransactions))
        );
        if killed {
            bench = bench.killed();
        } else {
            bench.partition("t", 1).standing.leader = 1;
        }
        bench.pass(1);
        assert_eq!(bench.state("pay"), Some("CompleteCommit"));
        assert_eq!(bench.committed(1), ["b"]);
        bench.produce(12, Some("pay"), next, 0, 0, &["c"]).unwrap();
        bench.end(5, "pay", next, true).unwrap();
        assert_eq!(bench.committed(0), ["a", "c"]);
    }
}

#[test]
fn a_deleted_topic_does_not_hold_up_the_end() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    bench.produce(12, Some("pay"), own, 0, 0, &["a"]).unwrap();
    let id = bench.core.topics.get("t").unwrap().id;
    bench.core.delete_topic(id).unwrap();
    bench.end(5, "pay", own, true).unwrap();
    assert_eq!(bench.state("pay"), Some("CompleteCommit"));
}

#[test]
fn without_its_leader_there_is_no_coordinator_and_a_new_one_reads_the_state() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    for index in 0..3 {
        bench.partition("__transaction_state", index).standing.leader = -1;
    }
    assert_eq!(bench.init("pay"), Err(code(ResponseError::NotCoordinator)));
    assert_eq!(
        bench.produce(11, Some("pay"), own, 0, 0, &["a"]),
        Err(code(ResponseError::NotEnoughReplicas))
    );
    for index in 0..3 {
        let partition = bench.partition("__transaction_state", index);
        partition.standing.leader = 1;
        partition.standing.leader_epoch = 4;
    }
    bench.produce(12, Some("pay"), own, 0, 0, &["a"]).unwrap();
    bench.end(5, "pay", own, true).unwrap();
    let log = &bench.partition("t", 0).logs[&1].log;
    assert_eq!(log.active_producers()[0].coordinator_epoch, 4);
}

#[test]
fn offsets_hold_once_the_transaction_commits() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    assert_eq!(bench.commit_offset(5, "pay", own, 5), 0);
    assert_eq!(bench.offset(false), (0, -1));
    assert_eq!(
        bench.offset(true),
        (code(ResponseError::UnstableOffsetCommit), -1)
    );
    let mut bench = bench.killed();
    assert_eq!(
        bench.offset(true),
        (code(ResponseError::UnstableOffsetCommit), -1)
    );
    let own = bench.end(5, "pay", own, true).unwrap();
    assert_eq!(bench.offset(true), (0, 5));
    assert_eq!(bench.commit_offset(5, "pay", own, 9), 0);
    bench.end(5, "pay", own, false).unwrap();
    assert_eq!(bench.offset(true), (0, 5));
    let mut bench = bench.killed();
    assert_eq!(bench.offset(true), (0, 5));
}

#[test]
fn offsets_of_the_first_protocol_are_announced() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    assert_eq!(
        bench.commit_offset(4, "pay", own, 5),
        code(ResponseError::TransactionAbortable)
    );
    assert_eq!(
        bench.commit_offset(3, "pay", own, 5),
        code(ResponseError::InvalidTxnState)
    );
    let announce = AddOffsetsToTxnRequest::default()
        .with_transactional_id(id_of("pay"))
        .with_producer_id(ProducerId(own.id))
        .with_producer_epoch(own.epoch)
        .with_group_id(group());
    let announced = bench.ask::<api::add_offsets_to_txn::Api>(3, announce);
    assert_eq!(announced.error_code, 0);
    assert_eq!(bench.commit_offset(3, "pay", own, 5), 0);
    bench.end(4, "pay", own, true).unwrap();
    assert_eq!(bench.offset(true), (0, 5));
}

#[test]
fn brokers_may_ask_for_several_transactions_at_once() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    let ask = |id: &str, verify_only| {
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(id_of(id))
            .with_producer_id(ProducerId(own.id))
            .with_producer_epoch(own.epoch)
            .with_verify_only(verify_only)
            .with_topics(vec![
                AddPartitionsToTxnTopic::default()
                    .with_name(topic("t"))
                    .with_partitions(vec![1]),
            ])
    };
    let mut send = |transactions| {
        let request = AddPartitionsToTxnRequest::default().with_transactions(transactions);
        let response = bench.ask::<api::add_partitions_to_txn::Api>(5, request);
        let errors = response.results_by_transaction.iter();
        let errors: Vec<i16> = errors
            .map(|result| result.topic_results[0].results_by_partition[0].partition_error_code)
            .collect();
        errors
    };
    let (absent, unknown) = (
        code(ResponseError::TransactionAbortable),
        code(ResponseError::InvalidProducerIdMapping),
    );
    assert_eq!(
        send(vec![ask("pay", true), ask("ghost", true)]),
        [absent, unknown]
    );
    assert_eq!(send(vec![ask("pay", false), ask("ghost", false)]), [0, unknown]);
    assert_eq!(send(vec![ask("pay", true)]), [0]);
}

#[test]
fn a_hanging_transaction_is_ended_by_a_marker_from_outside() {
    let mut bench = Bench::new();
    let own = bench.init("pay").unwrap();
    bench.produce(12, Some("pay"), own, 0, 0, &["a"]).unwrap();
    let marker = |partition| {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(topic("t"))
            .with_partition_indexes(vec![partition]);
        WritableTxnMarker::default()
            .with_producer_id(ProducerId(own.id))
            .with_producer_epoch(own.epoch)
            .with_topics(vec![topic])
    };
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker(0), marker(9)]);
    let response = bench.ask::<api::write_txn_markers::Api>(1, request);
    let errors: Vec<i16> = response
        .markers
        .iter()
        .map(|marker| marker.topics[0].partitions[0].error_code)
        .collect();
    assert_eq!(errors, [0, code(ResponseError::UnknownTopicOrPartition)]);
    assert_eq!(bench.fetch(0, 0, true).aborted, [(own.id, 0)]);
}

#[test]
fn transactions_are_listed_by_state_producer_age_and_pattern() {
    let mut bench = Bench::new();
    let own = bench.init("pay-1").unwrap();
    bench.init("pay-2").unwrap();
    bench.produce(12, Some("pay-1"), own, 0, 0, &["a"]).unwrap();
    bench.pass(500);
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let none = || ListTransactionsRequest::default().with_duration_filter(-1);
    let mut list = |request| {
        let response = bench.ask::<api::list_transactions::Api>(2, request);
        let ids = response.transaction_states.iter();
        let ids: Vec<String> = ids.map(|state| state.transactional_id.to_string()).collect();
        (response.error_code, ids, response.unknown_state_filters.len())
    };
    let both = || vec!["pay-1".to_owned(), "pay-2".to_owned()];
    let first = || vec!["pay-1".to_owned()];
    assert_eq!(list(none()), (0, both(), 0));
    let states = none().with_state_filters(vec![text("Ongoing"), text("Dead"), text("Nope")]);
    assert_eq!(list(states), (0, first(), 1));
    let ids = none().with_producer_id_filters(vec![ProducerId(own.id)]);
    assert_eq!(list(ids), (0, first(), 0));
    let pattern = none().with_transactional_id_pattern(Some(text("pay-[1x]")));
    assert_eq!(list(pattern), (0, first(), 0));
    let part = none().with_transactional_id_pattern(Some(text("pay")));
    assert_eq!(list(part), (0, vec![], 0));
    let broken = none().with_transactional_id_pattern(Some(text("(")));
    assert_eq!(
        list(broken),
        (code(ResponseError::InvalidRegularExpression), vec![], 0)
    );
    // Who has no transaction began at -1, and is as old as can be: Kafka lists it too.
    assert_eq!(list(none().with_duration_filter(499)), (0, both(), 0));
    assert_eq!(list(none().with_duration_filter(500)).1, ["pay-2"]);
}
