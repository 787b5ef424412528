//! Transactions on several brokers: who coordinates, and what a death on the way leaves behind.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId, TransactionalId,
};

use super::*;
use crate::api::{end_txn, init_producer_id};
use crate::core::brokers::Command::{Kill, PauseReplication, ResumeReplication, Start, Stop};
use crate::core::transactions::state::{Producer, Version};

const TOPIC: &str = "t";

/// What came of an attempt, once it has.
#[derive(Clone, Default)]
struct Added(Arc<std::sync::Mutex<Option<Result<(), ResponseError>>>>);

impl Added {
    fn take(&self) -> Option<Result<(), ResponseError>> {
        self.0.lock().unwrap().take()
    }
}

fn lab(folder: &tempfile::TempDir) -> Lab {
    let three = "3";
    let mut lab = Lab::open(
        folder.path(),
        3,
        &[
            ("transaction.state.log.num.partitions", three),
            ("transaction.state.log.replication.factor", three),
            ("transaction.state.log.min.isr", "2"),
        ],
    );
    lab.core.ensure_transactions_topic().unwrap();
    lab.topic(TOPIC, &[1, 2, 3], &[("min.insync.replicas", "2")]);
    lab.pass(0);
    lab
}

fn id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str("pay"))
}

impl Lab {
    fn coordinator(&self) -> i32 {
        self.core.transaction_coordinator_of("pay").unwrap()
    }

    fn state(&mut self) -> &'static str {
        let broker = self.coordinator();
        self.core
            .describe_transaction(broker, "pay")
            .unwrap()
            .state
            .name()
    }

    fn init(&mut self, broker: i32) -> Result<Producer, i16> {
        let wire = InitProducerIdRequest::default()
            .with_transactional_id(Some(id()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let request = self.send::<init_producer_id::Api>(broker, 5, wire);
        let response: InitProducerIdResponse = self.answer(request).expect("an answer");
        match response.error_code {
            0 => Ok(Producer {
                id: response.producer_id.0,
                epoch: response.producer_epoch,
            }),
            error => Err(error),
        }
    }

    fn append(&mut self, own: Producer, sequence: i32, value: &str) -> i16 {
        let record = NewRecord {
            timestamp_ms: self.now_ms,
            key: None,
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        };
        let options = BatchOptions {
            producer_id: own.id,
            producer_epoch: own.epoch,
            base_sequence: sequence,
            transactional: true,
            ..BatchOptions::default()
        };
        let batch = build_batch(&[record], options).unwrap();
        let part = PartitionProduceData::default()
            .with_index(0)
            .with_records(Some(batch.bytes().clone()));
        let data = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_static_str(TOPIC)))
            .with_partition_data(vec![part]);
        let wire = ProduceRequest::default()
            .with_transactional_id(Some(id()))
            .with_acks(-1)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![data]);
        let leader = self.partition(TOPIC).leader;
        let request = self.send::<produce::Api>(leader, 12, wire);
        self.code(request).expect("an answer at once")
    }

    fn end(&mut self, own: Producer, commit: bool) -> Result<Producer, i16> {
        let wire = EndTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(ProducerId(own.id))
            .with_producer_epoch(own.epoch)
            .with_committed(commit);
        let broker = self.coordinator();
        let request = self.send::<end_txn::Api>(broker, 5, wire);
        let response: EndTxnResponse = self.answer(request).expect("an answer");
        match response.error_code {
            0 => Ok(Producer {
                id: response.producer_id.0,
                epoch: response.producer_epoch,
            }),
            error => Err(error),
        }
    }

    /// Takes a partition into the transaction, as for a client of the second protocol; what came of it.
    fn add(&mut self, own: Producer) -> Added {
        let partition = (TOPIC.to_owned(), 0);
        let added = Added::default();
        let then = added.clone();
        self.core.now_ms = self.now_ms;
        self.core.add_to_transaction(
            None,
            "pay",
            own,
            &[partition].into(),
            Version::V2,
            move |_, result| {
                *then.0.lock().unwrap() = Some(result);
            },
        );
        self.pass(0);
        added
    }

    /// High watermark less last stable offset: what waits for the end of a transaction.
    fn unstable(&self) -> i64 {
        let partition = self.partition(TOPIC);
        let replica = &partition.logs[&partition.leader];
        replica.high_watermark - replica.log.last_stable_offset(replica.high_watermark)
    }
}

#[test]
fn the_coordinator_is_the_leader_of_the_ids_partition() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let broker = lab.coordinator();
    let other = broker % 3 + 1;
    assert_eq!(lab.init(other), Err(ResponseError::NotCoordinator.code()));
    let own = lab.init(broker).unwrap();
    assert_eq!(lab.append(own, 0, "a"), 0);
    assert_eq!(lab.unstable(), 1);
    lab.end(own, true).unwrap();
    lab.pass(0);
    assert_eq!((lab.state(), lab.unstable()), ("CompleteCommit", 0));
    for follower in [2, 3] {
        let replica = &lab.partition(TOPIC).logs[&follower];
        assert_eq!(replica.log.last_stable_offset(replica.high_watermark), 2);
    }
}

#[test]
fn another_coordinator_goes_on_where_the_dead_one_was() {
    for command in [Stop, Kill] {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = lab(&folder);
        let broker = lab.coordinator();
        let own = lab.init(broker).unwrap();
        assert_eq!(lab.append(own, 0, "a"), 0);
        lab.command(broker, command);
        // A death without a word is noticed when the session is over.
        lab.pass(10_000);
        assert_ne!(lab.coordinator(), broker);
        assert_eq!(lab.state(), "Ongoing");
        assert_eq!(lab.append(own, 1, "b"), 0);
        let next = lab.end(own, true).unwrap();
        lab.pass(0);
        assert_eq!((lab.state(), lab.unstable()), ("CompleteCommit", 0));
        let leader = lab.partition(TOPIC).leader;
        let producers = lab.partition(TOPIC).logs[&leader].log.active_producers();
        assert_eq!(
            (producers[0].epoch, producers[0].coordinator_epoch),
            (next.epoch, 1)
        );
    }
}

#[test]
fn an_end_waits_for_the_replicas_of_its_markers() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let broker = lab.coordinator();
    let own = lab.init(broker).unwrap();
    assert_eq!(lab.append(own, 0, "a"), 0);
    for follower in [2, 3] {
        lab.command(follower, PauseReplication);
    }
    let next = lab.end(own, true).unwrap();
    assert_eq!(lab.state(), "PrepareCommit");
    assert_eq!(lab.unstable(), 1, "the marker is not on its replicas");
    let again = ResponseError::ConcurrentTransactions.code();
    assert_eq!(lab.append(next, 0, "b"), again);
    assert_eq!(lab.init(broker), Err(again));
    lab.command(3, ResumeReplication);
    lab.command(2, ResumeReplication);
    assert_eq!((lab.state(), lab.unstable()), ("CompleteCommit", 0));
    assert_eq!(lab.append(next, 0, "b"), 0);
}

#[test]
fn a_marker_that_died_with_its_leader_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let broker = lab.coordinator();
    let own = lab.init(broker).unwrap();
    assert_eq!(lab.append(own, 0, "a"), 0);
    for follower in [2, 3] {
        lab.command(follower, PauseReplication);
    }
    lab.end(own, false).unwrap();
    lab.command(1, Kill);
    lab.pass(10_000);
    for follower in [2, 3] {
        lab.command(follower, ResumeReplication);
    }
    lab.pass(0);
    assert_eq!((lab.state(), lab.unstable()), ("CompleteAbort", 0));
    lab.command(1, Start);
    lab.pass(0);
    let log = |lab: &Lab, id: i32| lab.partition(TOPIC).logs[&id].log.end_offset();
    assert_eq!((log(&lab, 1), log(&lab, 2)), (2, 2));
}

/// History 3428 found this: a coordinator that had read back a partition's entry into a transaction, which no other broker
/// had, let an offset be written there. The next coordinator knew nothing of it, and the offset waited for ever.
#[test]
fn a_coordinator_goes_by_nothing_that_may_be_gone_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let coordinator = lab.coordinator();
    let own = lab.init(coordinator).unwrap();
    let others: Vec<i32> = (1..=3).filter(|id| *id != coordinator).collect();
    // Nobody has noticed yet that they are gone, and nobody copies what is written now.
    for id in &others {
        lab.command(*id, Kill);
    }
    let added = lab.add(own);
    lab.pass(31_000);
    assert_eq!(added.take(), Some(Err(ResponseError::CoordinatorNotAvailable)));
    lab.command(coordinator, Stop);
    lab.command(coordinator, Start);
    assert_eq!(lab.coordinator(), coordinator);
    let again = lab.add(own);
    assert_eq!(again.take(), Some(Err(ResponseError::CoordinatorLoadInProgress)));
    for id in others {
        lab.command(id, Start);
    }
    lab.pass(1_000);
    assert_eq!(lab.add(own).take(), Some(Ok(())));
}

#[test]
fn a_year_passes_at_once_and_ends_what_was_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let coordinator = lab.coordinator();
    let own = lab.init(coordinator).unwrap();
    assert_eq!(lab.append(own, 0, "open"), 0);
    assert!(lab.unstable() > 0);
    lab.now_ms += 366 * 24 * 3600 * 1000;
    lab.step(Event::Tick);
    assert_eq!(lab.unstable(), 0, "the coordinator has aborted it");
}

#[test]
fn a_retry_that_is_recognised_and_an_answer_that_is_lost_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    let own = lab.init(lab.coordinator()).unwrap();
    lab.answers_are_lost = true;
    assert_eq!(lab.append(own, 0, "once"), 0);
    lab.answers_are_lost = false;
    let seen = lab.core.witness.of(TOPIC);
    assert_eq!((seen.unanswered, seen.recognised), (1, 0));
    assert_eq!(lab.append(own, 0, "once"), 0);
    let seen = lab.core.witness.of(TOPIC);
    assert_eq!((seen.unanswered, seen.recognised), (1, 1));
    assert_eq!(lab.log(1, TOPIC), ["once"]);
}
