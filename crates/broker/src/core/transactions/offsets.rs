//! Offsets that a transaction commits: they wait for its marker, and hold once it is there.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::acks::Appended;
use super::state::Producer;
use crate::core::Core;
use crate::core::groups::Committer;
use crate::core::groups::records::Saved;
use crate::core::offsets::{Committed, partition_for};
use crate::core::topics::OFFSETS_TOPIC;
use crate::log::{
    BatchHeader, BatchOptions, EndTxnMarker, NewRecord, RecordView, batch_records, build_batch,
};

/// Records of the offsets topic are small; a batch that decompresses to more than this is not ours.
const MAX_BATCH_BYTES: u64 = 64 << 20;

/// Group, topic and partition.
pub(crate) type OffsetKey = (String, String, i32);

/// One offset that waits.
#[derive(Debug, Clone)]
struct Pending {
    committed: Committed,
    /// When it was logged, counted.
    order: u64,
    /// A later commit holds already.
    superseded: bool,
}

/// Offsets of transactions that are not over, by producer id.
#[derive(Debug, Default)]
pub(crate) struct PendingOffsets {
    by_producer: BTreeMap<i64, BTreeMap<OffsetKey, Pending>>,
    logged: u64,
}

impl PendingOffsets {
    /// A transaction has logged an offset.
    pub(crate) fn add(&mut self, producer_id: i64, key: OffsetKey, committed: Committed) {
        self.logged += 1;
        let pending = Pending {
            committed,
            order: self.logged,
            superseded: false,
        };
        self.by_producer
            .entry(producer_id)
            .or_default()
            .insert(key, pending);
    }

    /// Does an offset wait for the end of a transaction.
    pub(crate) fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        let is = |key: &OffsetKey| key.0 == group && key.1 == topic && key.2 == partition;
        self.by_producer.values().any(|offsets| offsets.keys().any(is))
    }

    /// Has a group offsets that wait.
    pub(crate) fn has_group(&self, group: &str) -> bool {
        let mut keys = self.by_producer.values().flat_map(BTreeMap::keys);
        keys.any(|key| key.0 == group)
    }

    /// An offset was committed outside of transactions: what was logged before it waits on, and must not replace it.
    pub(crate) fn supersede(&mut self, key: &OffsetKey) {
        self.supersede_before(key, u64::MAX);
    }

    fn supersede_before(&mut self, key: &OffsetKey, order: u64) {
        let known = self
            .by_producer
            .values_mut()
            .filter_map(|offsets| offsets.get_mut(key));
        for pending in known.filter(|pending| pending.order < order) {
            pending.superseded = true;
        }
    }

    /// An offset was removed, and with it what waits.
    pub(crate) fn remove(&mut self, key: &OffsetKey) {
        self.by_producer.retain(|_, offsets| {
            offsets.remove(key);
            !offsets.is_empty()
        });
    }

    /// Reads a batch of the offsets topic back at the start: what holds goes to `records`, what waits stays. `here` takes
    /// the groups of the batch's partition.
    pub(crate) fn replay(
        &mut self,
        header: &BatchHeader,
        batch: &Bytes,
        here: impl Fn(&str) -> bool,
        records: &mut Vec<Saved>,
    ) {
        for record in batch_records(batch, MAX_BATCH_BYTES).into_iter().flatten() {
            if header.is_control() {
                self.replay_marker(header.producer_id, &record, &here, records);
                continue;
            }
            let saved = record
                .key
                .as_ref()
                .and_then(|key| Saved::read(key, record.value.as_ref()));
            match saved {
                Some(Saved::Offset {
                    group,
                    topic,
                    partition,
                    committed: Some(committed),
                }) if header.is_transactional() => {
                    self.add(header.producer_id, (group, topic, partition), committed);
                }
                Some(saved) => {
                    if let Saved::Offset {
                        group,
                        topic,
                        partition,
                        committed,
                    } = &saved
                    {
                        let key = (group.clone(), topic.clone(), *partition);
                        if committed.is_some() {
                            self.supersede(&key);
                        } else {
                            self.remove(&key);
                        }
                    }
                    records.push(saved);
                }
                None => {}
            }
        }
    }

    fn replay_marker(
        &mut self,
        producer_id: i64,
        record: &RecordView,
        here: impl Fn(&str) -> bool,
        records: &mut Vec<Saved>,
    ) {
        let (Some(key), Some(value)) = (&record.key, &record.value) else {
            return;
        };
        let Some(marker) = EndTxnMarker::parse(key, value) else {
            return;
        };
        let settled = self.settle(producer_id, marker.commit, here);
        records.extend(
            settled
                .into_iter()
                .map(|((group, topic, partition), committed)| Saved::Offset {
                    group,
                    topic,
                    partition,
                    committed: Some(committed),
                }),
        );
    }

    /// The groups that `gone` takes are gone, or have another coordinator, who reads what waits from its log.
    pub(crate) fn forget(&mut self, gone: impl Fn(&str) -> bool) {
        self.by_producer.retain(|_, offsets| {
            offsets.retain(|key, _| !gone(&key.0));
            !offsets.is_empty()
        });
    }

    /// A transaction is over in one partition of the offsets topic, the one of the groups that `here` takes: the offsets
    /// that hold from now on.
    pub(crate) fn settle(
        &mut self,
        producer_id: i64,
        commit: bool,
        here: impl Fn(&str) -> bool,
    ) -> Vec<(OffsetKey, Committed)> {
        let Some(offsets) = self.by_producer.remove(&producer_id) else {
            return Vec::new();
        };
        let (ended, left): (BTreeMap<_, _>, BTreeMap<_, _>) =
            offsets.into_iter().partition(|(key, _)| here(&key.0));
        if !left.is_empty() {
            self.by_producer.insert(producer_id, left);
        }
        if !commit {
            return Vec::new();
        }
        for (key, pending) in &ended {
            self.supersede_before(key, pending.order);
        }
        ended
            .into_iter()
            .filter(|(_, pending)| !pending.superseded)
            .map(|(key, pending)| (key, pending.committed))
            .collect()
    }
}

impl Core {
    /// May a transaction commit these offsets of a group: as its member, or as nobody.
    ///
    /// # Errors
    /// As for a commit outside of a transaction; a rebalance doesn't matter.
    pub(crate) fn check_transactional_commit(
        &mut self,
        group: &str,
        by: &Committer,
        offsets: &[(String, i32, Committed)],
    ) -> Result<(), ResponseError> {
        let check = self.check_commit(group, by).map_err(|refusal| refusal.error)?;
        for (_, index, committed) in offsets {
            check
                .partition(committed.topic_id, *index)
                .map_err(|_| ResponseError::IllegalGeneration)?;
        }
        self.groups.get_or_create(group, self.now_ms);
        Ok(())
    }

    /// Logs offsets as part of a transaction; they wait for its end.
    ///
    /// # Errors
    /// What the log or its replication says, in the coordinator's terms.
    pub(crate) fn append_offsets(
        &mut self,
        group: &str,
        producer: Producer,
        offsets: Vec<(String, i32, Committed)>,
    ) -> Result<Appended, ResponseError> {
        let now_ms = self.now_ms;
        let saved = offsets.iter().map(|(topic, partition, committed)| Saved::Offset {
            group: group.to_owned(),
            topic: topic.clone(),
            partition: *partition,
            committed: Some(committed.clone()),
        });
        let records: Vec<NewRecord> = saved
            .map(|saved| NewRecord {
                timestamp_ms: now_ms,
                key: Some(saved.key()),
                value: saved.value(),
            })
            .collect();
        let options = BatchOptions {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            transactional: true,
            ..BatchOptions::default()
        };
        let batch = build_batch(&records, options).map_err(|error| error.code())?;
        let count = self.topics.get(OFFSETS_TOPIC).map_or(1, |t| t.partitions.len());
        let index = partition_for(group, count as i32);
        let appended = self.append_as_leader(OFFSETS_TOPIC, index, |log, epoch, now_ms| {
            log.append(&batch, epoch, now_ms)?;
            Ok(log.end_offset())
        })?;
        for (topic, partition, committed) in offsets {
            let key = (group.to_owned(), topic, partition);
            self.transactions.pending_offsets.add(producer.id, key, committed);
        }
        Ok(appended)
    }

    /// A marker is in a partition of the offsets topic.
    pub(super) fn settle_offsets(&mut self, index: i32, producer_id: i64, commit: bool) {
        let count = self.topics.get(OFFSETS_TOPIC).map_or(1, |t| t.partitions.len()) as i32;
        let settled = self
            .transactions
            .pending_offsets
            .settle(producer_id, commit, |group| partition_for(group, count) == index);
        for ((group, topic, partition), committed) in settled {
            self.note_offsets(&group, vec![(topic, partition, committed)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group: &str) -> OffsetKey {
        (group.to_owned(), "t".to_owned(), 0)
    }

    fn committed(offset: i64) -> Committed {
        Committed {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            commit_ms: 0,
            topic_id: uuid::Uuid::nil(),
        }
    }

    fn settled(pending: &mut PendingOffsets, producer_id: i64, commit: bool) -> Vec<i64> {
        let settled = pending.settle(producer_id, commit, |_| true);
        settled
            .into_iter()
            .map(|(_, committed)| committed.offset)
            .collect()
    }

    #[test]
    fn offsets_wait_for_the_end_of_their_transaction() {
        let mut pending = PendingOffsets::default();
        pending.add(1, key("g"), committed(5));
        assert!(pending.is_pending("g", "t", 0) && pending.has_group("g"));
        assert!(!pending.is_pending("g", "t", 1) && !pending.has_group("h"));
        assert_eq!(pending.settle(1, true, |group| group == "h"), []);
        assert_eq!(settled(&mut pending, 1, true), [5]);
        assert!(!pending.is_pending("g", "t", 0));
        pending.add(1, key("g"), committed(6));
        assert_eq!(settled(&mut pending, 1, false), [0; 0]);
        assert!(!pending.has_group("g"));
    }

    #[test]
    fn the_offset_that_was_logged_last_holds() {
        let mut pending = PendingOffsets::default();
        pending.add(1, key("g"), committed(5));
        pending.add(2, key("g"), committed(6));
        assert_eq!(settled(&mut pending, 2, true), [6]);
        assert_eq!(settled(&mut pending, 1, true), [0; 0]);
        pending.add(1, key("g"), committed(7));
        pending.supersede(&key("g"));
        assert!(pending.is_pending("g", "t", 0), "it waits all the same");
        assert_eq!(settled(&mut pending, 1, true), [0; 0]);
        pending.add(1, key("g"), committed(7));
        pending.remove(&key("g"));
        assert!(!pending.is_pending("g", "t", 0));
        pending.add(1, key("g"), committed(8));
        pending.add(1, key("h"), committed(8));
        pending.forget(|group| group == "g");
        assert_eq!(settled(&mut pending, 1, true), [8]);
    }
}
