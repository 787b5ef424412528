//! The end of a transaction in its partitions: a marker in each, then the transaction is complete. A partition without
//! a leader keeps its transaction waiting until there is one.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::acks::Appended;
use super::state::{Outcome, State, TopicPartition};
use crate::core::Core;
use crate::core::topics::OFFSETS_TOPIC;
use crate::log::{EndTxnMarker, NewMarker};

impl Core {
    /// The end of a transaction is decided: its markers are written.
    pub(super) fn start_completion(&mut self, id: &str) {
        self.transactions.completing.insert(id.to_owned());
        self.push_markers(id);
    }

    /// Writes the markers that are missing; completes the transaction when none is. Says whether it wrote anything.
    pub(super) fn push_markers(&mut self, id: &str) -> bool {
        let known = self.transactions.entries.get(id).map(|entry| entry.partition);
        // An end that may be taken back must not be written anywhere.
        if known.is_some_and(|partition| !self.holds_what_was_read(partition)) {
            return false;
        }
        let transactions = &mut self.transactions;
        let Some(entry) = transactions.entries.get(id).filter(|entry| !entry.writing) else {
            return false;
        };
        let State::Prepared(outcome, partitions) = &entry.current.state else {
            transactions.completing.remove(id);
            return false;
        };
        let new = NewMarker {
            producer_id: entry.current.producer.id,
            producer_epoch: entry.current.producer.epoch,
            marker: EndTxnMarker {
                commit: *outcome == Outcome::Commit,
                coordinator_epoch: super::loaded_epoch(&transactions.loaded, entry.partition).unwrap_or(0),
            },
            bumps_epoch: entry.current.version.bumps_epoch(),
        };
        let missing: Vec<TopicPartition> = partitions.difference(&entry.sent).cloned().collect();
        let mut any = false;
        for partition in missing {
            any |= self.push_marker(id, partition, new);
        }
        self.complete_if_done(id) || any
    }

    fn push_marker(&mut self, id: &str, partition: TopicPartition, new: NewMarker) -> bool {
        match self.write_marker(&partition.0, partition.1, &new) {
            Ok(appended) => {
                if let Some(entry) = self.transactions.entries.get_mut(id) {
                    entry.sent.insert(partition.clone());
                }
                let id = id.to_owned();
                self.when_replicated(appended, move |core, result| {
                    core.marker_is_through(&id, &new, &partition, result);
                });
                return true;
            }
            // The topic is gone, and with it what there was to end.
            Err(ResponseError::UnknownTopicOrPartition) => self.forget_partition(id, &partition),
            Err(
                error @ (ResponseError::InvalidProducerEpoch | ResponseError::TransactionCoordinatorFenced),
            ) => {
                tracing::warn!(id, ?error, "a transaction is ended by another coordinator");
                self.transactions.completing.remove(id);
            }
            Err(error) => tracing::debug!(id, ?error, ?partition, "a marker has to wait"),
        }
        false
    }

    fn marker_is_through(
        &mut self,
        id: &str,
        new: &NewMarker,
        partition: &TopicPartition,
        result: Result<(), ResponseError>,
    ) {
        let Some(entry) = self.transactions.entries.get_mut(id) else {
            return;
        };
        let producer = entry.current.producer;
        if (producer.id, producer.epoch) != (new.producer_id, new.producer_epoch) {
            return;
        }
        entry.sent.remove(partition);
        if result.is_ok() {
            self.forget_partition(id, partition);
            self.complete_if_done(id);
        }
    }

    fn forget_partition(&mut self, id: &str, partition: &TopicPartition) {
        if let Some(entry) = self.transactions.entries.get_mut(id)
            && let State::Prepared(_, partitions) = &mut entry.current.state
        {
            partitions.remove(partition);
        }
    }

    /// Says whether the completion is written.
    fn complete_if_done(&mut self, id: &str) -> bool {
        let now_ms = self.now_ms;
        let Some(entry) = self.transactions.entries.get_mut(id).filter(|e| !e.writing) else {
            return false;
        };
        let outcome = match &entry.current.state {
            State::Prepared(outcome, partitions) if partitions.is_empty() => *outcome,
            _ => return false,
        };
        entry.sent = BTreeSet::new();
        let next = entry.current.complete(outcome, now_ms);
        let completed = id.to_owned();
        self.write_transaction(id, Some(next), move |core, result| {
            // Otherwise it is tried again with the next event.
            if result.is_ok() {
                core.transactions.completing.remove(&completed);
            }
        });
        let entries = &self.transactions.entries;
        entries
            .get(id)
            .is_some_and(|entry| entry.writing || !matches!(entry.current.state, State::Prepared(..)))
    }

    /// Appends a marker to a partition, and settles the offsets that were committed in the transaction.
    ///
    /// # Errors
    /// Those of [`append_as_leader`](Self::append_as_leader) and of the log.
    pub(crate) fn write_marker(
        &mut self,
        topic: &str,
        index: i32,
        new: &NewMarker,
    ) -> Result<Appended, ResponseError> {
        let appended = self.append_as_leader(topic, index, |log, epoch, now_ms| {
            log.append_marker(new, epoch, now_ms)
        })?;
        if topic == OFFSETS_TOPIC {
            self.settle_offsets(index, new.producer_id, new.marker.commit);
        }
        Ok(appended)
    }
}
