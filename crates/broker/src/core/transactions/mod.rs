//! The transaction coordinator: transactional ids and their transactions (KIP-98, KIP-890).
//!
//! [`state`] has the rules, pure. A transition is written to the id's partition of `__transaction_state` ([`record`]),
//! and holds once it is replicated ([`acks`]); then the client is answered, and [`markers`] go to each partition of a
//! transaction that ends. [`expire`] ends what was open for too long. [`verify`] is what a partition's leader asks before
//! the first append to a transaction, [`offsets`] the offsets that a transaction commits.

pub(crate) mod acks;
mod expire;
mod markers;
pub(crate) mod offsets;
pub(crate) mod record;
pub(crate) mod state;
#[cfg(test)]
mod tests;
pub(crate) mod verify;

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::Core;
use super::offsets::partition_for;
use super::ports::read_all;
use super::topics::TRANSACTIONS_TOPIC;
use crate::log::{BatchOptions, LogError, NewRecord, batch_records, batches, build_batch};
use acks::{Acks, Appended, leader_of};
use offsets::PendingOffsets;
use state::{End, Init, NOBODY, Outcome, Partitions, Producer, State, TopicPartition, Transaction, Version};

/// Records of the topic are small; a batch that decompresses to more than this is not ours.
const MAX_BATCH_BYTES: u64 = 64 << 20;

/// One transactional id.
#[derive(Debug)]
struct Entry {
    current: Transaction,
    /// The next state is written, and not yet replicated.
    writing: bool,
    /// Partitions whose marker is written, and not yet replicated.
    sent: BTreeSet<TopicPartition>,
    /// The partition of `__transaction_state` that it belongs to.
    partition: i32,
}

/// A partition of `__transaction_state` as its leader has read it.
#[derive(Debug, Clone, Copy)]
struct Loaded {
    /// The leader epoch in which that was.
    epoch: i32,
    /// The end of the log then.
    end: i64,
}

/// The coordinators' state: of all brokers, each for the partitions of `__transaction_state` that it leads.
#[derive(Default)]
pub(crate) struct Transactions {
    entries: BTreeMap<String, Entry>,
    /// What was read of each partition, by its index.
    loaded: Vec<Option<Loaded>>,
    /// Ids whose transaction is ending.
    completing: BTreeSet<String>,
    acks: Acks,
    pub(crate) pending_offsets: PendingOffsets,
}

impl Core {
    /// The broker that coordinates a transactional id.
    pub(crate) fn transaction_coordinator_of(&self, id: &str) -> Option<i32> {
        let topic = self.topics.get(TRANSACTIONS_TOPIC)?;
        let at = partition_for(id, topic.partitions.len() as i32);
        topic
            .partitions
            .get(at as usize)
            .map(|partition| partition.leader)
            .filter(|leader| *leader >= 0)
    }

    /// What is known of a transactional id; `broker` is the one that was asked, none for the cluster itself.
    ///
    /// # Errors
    /// `NOT_COORDINATOR` where another broker leads, `COORDINATOR_NOT_AVAILABLE` where none does,
    /// `COORDINATOR_LOAD_IN_PROGRESS` while what the leader has read is not committed.
    fn transaction(&mut self, broker: Option<i32>, id: &str) -> Result<Option<&mut Entry>, ResponseError> {
        let leader = self.transaction_coordinator_of(id);
        match (broker, leader) {
            (Some(asked), leader) if leader != Some(asked) => return Err(ResponseError::NotCoordinator),
            (None, None) => return Err(ResponseError::CoordinatorNotAvailable),
            _ => {}
        }
        self.load_transactions();
        let count = self
            .topics
            .get(TRANSACTIONS_TOPIC)
            .map_or(1, |t| t.partitions.len());
        if !self.holds_what_was_read(partition_for(id, count as i32)) {
            return Err(ResponseError::CoordinatorLoadInProgress);
        }
        Ok(self.transactions.entries.get_mut(id))
    }

    /// A transactional id that a client asks about.
    ///
    /// # Errors
    /// `NOT_COORDINATOR`, `TRANSACTIONAL_ID_NOT_FOUND`.
    pub(crate) fn describe_transaction(
        &mut self,
        broker: i32,
        id: &str,
    ) -> Result<&Transaction, ResponseError> {
        match self.transaction(Some(broker), id)? {
            Some(entry) => Ok(&entry.current),
            None => Err(ResponseError::TransactionalIdNotFound),
        }
    }

    /// The transactional ids that a broker coordinates.
    pub(crate) fn transactions_of(&mut self, broker: i32) -> Vec<(&str, &Transaction)> {
        self.load_transactions();
        let topic = self.topics.get(TRANSACTIONS_TOPIC);
        let led = |partition: i32| {
            topic
                .and_then(|topic| topic.partitions.get(partition as usize))
                .is_some_and(|partition| partition.leader == broker)
        };
        let entries = self.transactions.entries.iter();
        entries
            .filter(|(_, entry)| led(entry.partition))
            .map(|(id, entry)| (id.as_str(), &entry.current))
            .collect()
    }

    /// `InitProducerId` with a transactional id.
    pub(crate) fn init_transaction(
        &mut self,
        broker: i32,
        id: &str,
        timeout_ms: i32,
        expected: Option<Producer>,
        then: impl FnOnce(&mut Core, Result<Producer, ResponseError>) + Send + 'static,
    ) {
        match self.plan_init(broker, id, timeout_ms, expected) {
            Err(error) => then(self, Err(error)),
            Ok(Init::Ready(next)) => {
                let producer = next.producer;
                self.write_transaction(id, Some(next), move |core, result| {
                    then(core, result.map(|()| producer));
                });
            }
            Ok(Init::Fence(next)) => {
                let ending = id.to_owned();
                self.write_transaction(id, Some(next), move |core, result| {
                    let again = result.and(Err(ResponseError::ConcurrentTransactions));
                    then(core, again);
                    if result.is_ok() {
                        core.start_completion(&ending);
                    }
                });
            }
        }
    }

    fn plan_init(
        &mut self,
        broker: i32,
        id: &str,
        timeout_ms: i32,
        expected: Option<Producer>,
    ) -> Result<Init, ResponseError> {
        let now_ms = self.now_ms;
        let known = self
            .transaction(Some(broker), id)?
            .map(|entry| (entry.writing, entry.current.clone()));
        let current = match known {
            Some((true, _)) => return Err(ResponseError::ConcurrentTransactions),
            Some((false, current)) => current,
            None => {
                let fresh = Transaction::new(self.new_producer_id()?, timeout_ms, now_ms);
                self.insert_transaction(id, fresh.clone());
                fresh
            }
        };
        current.init(timeout_ms, expected, now_ms, &mut || self.new_producer_id())
    }

    /// Takes partitions into a transaction; `broker` as for [`transaction`](Self::transaction).
    pub(crate) fn add_to_transaction(
        &mut self,
        broker: Option<i32>,
        id: &str,
        producer: Producer,
        partitions: &Partitions,
        version: Version,
        then: impl FnOnce(&mut Core, Result<(), ResponseError>) + Send + 'static,
    ) {
        let now_ms = self.now_ms;
        let planned = match self.transaction(broker, id) {
            Err(error) => Err(error),
            Ok(None) => Err(ResponseError::InvalidProducerIdMapping),
            Ok(Some(entry)) if entry.writing => Err(ResponseError::ConcurrentTransactions),
            Ok(Some(entry)) => entry.current.add(producer, partitions, version, now_ms),
        };
        match planned {
            Err(error) => then(self, Err(error)),
            Ok(None) => then(self, Ok(())),
            Ok(Some(next)) => self.write_transaction(id, Some(next), then),
        }
    }

    /// Is a partition in a transaction.
    ///
    /// # Errors
    /// Those of [`Transaction::verify`] and [`transaction`](Self::transaction).
    pub(crate) fn verify_in_transaction(
        &mut self,
        broker: Option<i32>,
        id: &str,
        producer: Producer,
        partition: &TopicPartition,
    ) -> Result<(), ResponseError> {
        match self.transaction(broker, id)? {
            None => Err(ResponseError::InvalidProducerIdMapping),
            Some(entry) => entry.current.verify(producer, partition),
        }
    }

    /// `EndTxn`. The producer that goes on is known as soon as the end is decided; the markers follow.
    pub(crate) fn end_transaction(
        &mut self,
        broker: i32,
        id: &str,
        producer: Producer,
        outcome: Outcome,
        version: Version,
        then: impl FnOnce(&mut Core, Result<Producer, ResponseError>) + Send + 'static,
    ) {
        match self.plan_end(broker, id, producer, outcome, version) {
            Err(error) => then(self, Err(error)),
            Ok(End::Done(producer)) => then(self, Ok(producer)),
            Ok(End::Prepare(next)) => {
                let goes_on = next.after_completion();
                let ending = id.to_owned();
                self.write_transaction(id, Some(next), move |core, result| {
                    then(core, result.map(|()| goes_on));
                    if result.is_ok() {
                        core.start_completion(&ending);
                    }
                });
            }
        }
    }

    fn plan_end(
        &mut self,
        broker: i32,
        id: &str,
        producer: Producer,
        outcome: Outcome,
        version: Version,
    ) -> Result<End, ResponseError> {
        let now_ms = self.now_ms;
        let Some(entry) = self.transaction(Some(broker), id)? else {
            return Err(ResponseError::InvalidProducerIdMapping);
        };
        if entry.writing {
            // The first protocol says first who is wrong, the second one may be about to change who is right.
            let own = entry.current.producer;
            return Err(if version.bumps_epoch() {
                ResponseError::ConcurrentTransactions
            } else if own.id != producer.id {
                ResponseError::InvalidProducerIdMapping
            } else if own.epoch != producer.epoch {
                ResponseError::ProducerFenced
            } else {
                ResponseError::ConcurrentTransactions
            });
        }
        let current = entry.current.clone();
        current.end(producer, outcome, version, now_ms, &mut || self.new_producer_id())
    }

    fn insert_transaction(&mut self, id: &str, current: Transaction) {
        let partitions = self
            .topics
            .get(TRANSACTIONS_TOPIC)
            .map_or(1, |t| t.partitions.len());
        let entry = Entry {
            current,
            writing: false,
            sent: BTreeSet::new(),
            partition: partition_for(id, partitions as i32),
        };
        self.transactions.entries.insert(id.to_owned(), entry);
    }

    /// Writes the next state of an id, nothing to forget it; `then` learns whether it holds.
    fn write_transaction(
        &mut self,
        id: &str,
        next: Option<Transaction>,
        then: impl FnOnce(&mut Core, Result<(), ResponseError>) + Send + 'static,
    ) {
        let appended = match self.append_transaction(id, next.as_ref()) {
            Ok(appended) => appended,
            Err(error) => return then(self, Err(coordinator_error(error))),
        };
        if let Some(entry) = self.transactions.entries.get_mut(id) {
            entry.writing = true;
        }
        let (id, epoch) = (id.to_owned(), appended.leader_epoch);
        self.when_replicated(appended, move |core, result| {
            let result = match result {
                Ok(()) => core.apply_transaction(&id, epoch, next),
                Err(error) => {
                    if let Some(entry) = core.transactions.entries.get_mut(&id) {
                        entry.writing = false;
                    }
                    Err(coordinator_error(error))
                }
            };
            then(core, result);
        });
    }

    fn append_transaction(
        &mut self,
        id: &str,
        next: Option<&Transaction>,
    ) -> Result<Appended, ResponseError> {
        let record = NewRecord {
            timestamp_ms: self.now_ms,
            key: Some(record::key(id)),
            value: next.map(record::value),
        };
        let batch = build_batch(&[record], BatchOptions::default()).map_err(|error| error.code())?;
        let topic = self.topics.get(TRANSACTIONS_TOPIC);
        let topic = topic.ok_or(ResponseError::NotCoordinator)?;
        let partition = partition_for(id, topic.partitions.len() as i32);
        self.append_as_leader(TRANSACTIONS_TOPIC, partition, |log, epoch, now_ms| {
            log.append(&batch, epoch, now_ms)?;
            Ok(log.end_offset())
        })
    }

    fn apply_transaction(
        &mut self,
        id: &str,
        epoch: i32,
        next: Option<Transaction>,
    ) -> Result<(), ResponseError> {
        let Transactions { entries, loaded, .. } = &mut self.transactions;
        let current = |entry: &&mut Entry| loaded_epoch(loaded, entry.partition) == Some(epoch);
        let Some(entry) = entries.get_mut(id).filter(current) else {
            return Err(ResponseError::NotCoordinator);
        };
        entry.writing = false;
        match next {
            Some(next) => entry.current = next,
            None => {
                entries.remove(id);
            }
        }
        Ok(())
    }

    /// Appends to a partition as its leader, on behalf of the cluster.
    ///
    /// # Errors
    /// What a producer with `acks=all` would get.
    pub(crate) fn append_as_leader(
        &mut self,
        topic: &str,
        index: i32,
        write: impl FnOnce(&mut dyn super::ports::ReplicaLog, i32, i64) -> Result<i64, LogError>,
    ) -> Result<Appended, ResponseError> {
        let now_ms = self.now_ms;
        let min_isr = self.min_in_sync(topic);
        let unknown = ResponseError::UnknownTopicOrPartition;
        let topic = self.topics.get_mut(topic).ok_or(unknown)?;
        let at = usize::try_from(index).map_err(|_| unknown)?;
        let partition = topic.partitions.get_mut(at).ok_or(unknown)?;
        let (leader, leader_epoch) = (partition.leader, partition.leader_epoch);
        let in_sync = partition.isr.len();
        let replica = partition
            .led_by_mut(leader)
            .ok_or(ResponseError::NotLeaderOrFollower)?;
        if in_sync < min_isr {
            return Err(ResponseError::NotEnoughReplicas);
        }
        let end_offset = write(&mut *replica.log, leader_epoch, now_ms).map_err(|error| error.code())?;
        let appended = Appended {
            topic: topic.name.clone(),
            topic_id: topic.id,
            partition: index,
            leader_epoch,
            end_offset,
        };
        self.appended(appended.topic_id, index);
        Ok(appended)
    }

    /// Does what has become possible: state of new leaders is read, waiting appends are gone on from, markers that had
    /// no leader are tried again. Called after every event; says whether there may be more once followers have copied.
    pub(crate) fn settle_transactions(&mut self) -> bool {
        self.load_transactions();
        let mut any = self.settle_acks();
        if !self.transactions.completing.is_empty() {
            let ids: Vec<String> = self.transactions.completing.iter().cloned().collect();
            for id in ids {
                any |= self.push_markers(&id);
            }
        }
        any
    }

    /// Is what a partition's leader has read on every replica in sync. A record that is not, and may go with this leader,
    /// would be answered and acted upon as if it held.
    fn holds_what_was_read(&self, partition: i32) -> bool {
        let loaded = self
            .transactions
            .loaded
            .get(partition as usize)
            .copied()
            .flatten();
        let replica = self
            .topics
            .get(TRANSACTIONS_TOPIC)
            .and_then(|topic| topic.partitions.get(partition as usize))
            .and_then(leader_of);
        match (loaded, replica) {
            (Some(loaded), Some(replica)) => replica.high_watermark >= loaded.end,
            _ => true,
        }
    }

    /// Reads the partitions of `__transaction_state` that have a new leader, and forgets those of the old one.
    fn load_transactions(&mut self) {
        let partitions = self
            .topics
            .get(TRANSACTIONS_TOPIC)
            .map_or(&[][..], |t| &t.partitions);
        let loaded = &mut self.transactions.loaded;
        loaded.resize(loaded.len().max(partitions.len()), None);
        let mut changed: Vec<(i32, Option<Loaded>)> = Vec::new();
        for (index, known) in (0..).zip(loaded.iter()) {
            let partition = partitions.get(index as usize);
            let led = partition.and_then(|partition| {
                leader_of(partition).map(|replica| Loaded {
                    epoch: partition.leader_epoch,
                    end: replica.log.end_offset(),
                })
            });
            if known.map(|known| known.epoch) != led.map(|led| led.epoch) {
                changed.push((index, led));
            }
        }
        for (index, led) in changed {
            let transactions = &mut self.transactions;
            transactions.entries.retain(|_, entry| entry.partition != index);
            transactions.loaded[index as usize] = led;
            if led.is_some() {
                self.read_transactions(index);
            }
            let Transactions {
                entries, completing, ..
            } = &mut self.transactions;
            completing.retain(|id| entries.contains_key(id));
        }
    }

    fn read_transactions(&mut self, index: i32) {
        let partition = self
            .topics
            .get(TRANSACTIONS_TOPIC)
            .and_then(|topic| topic.partitions.get(index as usize));
        let Some(replica) = partition.and_then(leader_of) else {
            return;
        };
        let chunks = match read_all(&*replica.log) {
            Ok(chunks) => chunks,
            Err(error) => {
                tracing::error!(%error, index, "the state of transactions can't be read");
                return;
            }
        };
        let mut found: BTreeMap<String, Transaction> = BTreeMap::new();
        for (_, batch) in chunks.iter().flat_map(batches).flatten() {
            for record in batch_records(&batch, MAX_BATCH_BYTES).into_iter().flatten() {
                let Some(id) = record.key.as_ref().and_then(record::read_key) else {
                    continue;
                };
                match record.value.as_ref().map(record::read_value) {
                    Some(Some(transaction)) => found.insert(id, transaction),
                    Some(None) => None,
                    None => found.remove(&id),
                };
            }
        }
        for (id, current) in found {
            if matches!(current.state, State::Prepared(..)) {
                self.transactions.completing.insert(id.clone());
            }
            self.insert_transaction(&id, current);
        }
    }
}

fn loaded_epoch(loaded: &[Option<Loaded>], partition: i32) -> Option<i32> {
    let loaded = loaded.get(partition as usize).copied().flatten();
    loaded.map(|loaded| loaded.epoch)
}

/// What a coordinator says where its own append failed.
pub(crate) fn coordinator_error(error: ResponseError) -> ResponseError {
    match error {
        ResponseError::UnknownTopicOrPartition
        | ResponseError::NotEnoughReplicas
        | ResponseError::NotEnoughReplicasAfterAppend
        | ResponseError::RequestTimedOut => ResponseError::CoordinatorNotAvailable,
        ResponseError::NotLeaderOrFollower | ResponseError::KafkaStorageError => {
            ResponseError::NotCoordinator
        }
        ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge => {
            ResponseError::UnknownServerError
        }
        other => other,
    }
}

/// A producer as a response has it: nobody where the request is refused.
pub(crate) fn or_nobody(result: Result<Producer, ResponseError>) -> (i16, Producer) {
    match result {
        Ok(producer) => (0, producer),
        Err(error) => (error.code(), NOBODY),
    }
}
