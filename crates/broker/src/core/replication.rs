//! Followers: what they copy from their leader's log, who is in sync, and how far a partition may be read.
//!
//! A follower's fetch is not a request here: whenever something has changed, [`Core::settle`](super::Core::settle) lets
//! every follower that is there copy what it lacks, before any answer leaves the core. What a follower of Apache Kafka
//! does some milliseconds later, it does at once; a broker whose replication is paused does not, and falls behind.

use std::sync::Arc;

use uuid::Uuid;

use super::standing::{Election, Standing};
use super::timers::Timer;
use super::topics::{Partition, Replica};
use crate::log::LogError;

/// How much a follower copies from one partition before others have their turn.
const ROUND_BYTES: usize = 16 << 20;
/// How much of it at a time.
const CHUNK_BYTES: u32 = 4 << 20;

/// A partition, by its topic's id.
pub(crate) type Key = (Uuid, i32);

impl Replica {
    /// Copies from the leader what this follower lacks; says whether there is more. `lost` grows by the offsets that it
    /// had to cut off before.
    fn follow(
        &mut self,
        leader: &Replica,
        epoch: i32,
        now_ms: i64,
        lost: &mut u64,
    ) -> Result<bool, LogError> {
        if self.agreed_epoch != epoch {
            let end = self.log.end_offset();
            self.agree_with(leader)?;
            self.agreed_epoch = epoch;
            *lost += u64::try_from(end - self.log.end_offset()).unwrap_or_default();
        }
        let start = leader.log.start_offset();
        if self.log.end_offset() < start {
            self.log.truncate_fully(start)?;
        }
        let mut copied = 0;
        while self.log.end_offset() < leader.log.end_offset() {
            if copied >= ROUND_BYTES {
                return Ok(true);
            }
            let from = self.log.end_offset();
            let slice = leader
                .log
                .read(from, CHUNK_BYTES, leader.log.end_offset(), true)?;
            let records = slice.read().map_err(|source| LogError::Io {
                action: "read",
                path: std::path::PathBuf::new(),
                source,
            })?;
            self.log.append_replicated(&records, now_ms)?;
            if self.log.end_offset() == from {
                return Ok(false);
            }
            copied += records.len();
        }
        if self.log.start_offset() < start {
            self.log.delete_records_before(start, self.log.end_offset())?;
        }
        Ok(false)
    }

    /// Cuts off what the leader's log does not have (KIP-101, KIP-279): step by step back to the last epoch and offset
    /// that both know.
    fn agree_with(&mut self, leader: &Replica) -> Result<(), LogError> {
        while let Some(epoch) = self.log.latest_epoch() {
            let Some(end) = leader.log.offset_for_leader_epoch(epoch) else {
                self.log.truncate_to(self.high_watermark)?;
                break;
            };
            let own = self.log.offset_for_leader_epoch(end.leader_epoch);
            let own = own.map_or(self.log.start_offset(), |own| own.end_offset);
            let before = self.log.end_offset();
            self.log.truncate_to(end.end_offset.min(own))?;
            if end.leader_epoch == epoch || self.log.end_offset() == before {
                break;
            }
        }
        if self.log.end_offset() > leader.log.end_offset() {
            self.log.truncate_to(leader.log.end_offset())?;
        }
        self.high_watermark = self.high_watermark.min(self.log.end_offset());
        Ok(())
    }
}

impl Partition {
    /// Is there but one copy, so that what its leader has is committed.
    pub(crate) fn is_sole(&self) -> bool {
        self.replicas.len() == 1
    }

    /// Lets every follower that fetches copy; says whether there is more to copy. See [`Replica::follow`] for `lost`.
    fn replicate(&mut self, now_ms: i64, fetches: impl Fn(i32) -> bool, lost: &mut u64) -> bool {
        let (leader, epoch) = (self.leader, self.leader_epoch);
        let mut more = false;
        for id in self.standing.replicas.clone() {
            if id == leader || !fetches(id) {
                continue;
            }
            let Some(mut follower) = self.logs.remove(&id) else {
                continue;
            };
            if let Some(leading) = self.logs.get(&leader) {
                match follower.follow(leading, epoch, now_ms, lost) {
                    Ok(rest) => more |= rest,
                    Err(error) => tracing::warn!(%error, broker = id, "a follower can't copy"),
                }
            }
            self.logs.insert(id, follower);
        }
        self.look_at_followers(now_ms);
        more
    }

    /// Brings the leader's view of its followers up to date.
    fn look_at_followers(&mut self, now_ms: i64) {
        let Some(end) = self.logs.get(&self.leader).map(|r| r.log.end_offset()) else {
            return;
        };
        for id in &self.standing.replicas {
            if *id == self.standing.leader {
                continue;
            }
            let follower = self.followers.entry(*id).or_default();
            if let Some(replica) = self.logs.get(id)
                && replica.agreed_epoch == self.standing.leader_epoch
            {
                follower.end_offset = replica.log.end_offset();
            }
            follower.behind_since_ms = if follower.end_offset >= end {
                None
            } else {
                follower.behind_since_ms.or(Some(now_ms))
            };
        }
    }

    /// The ISR as the leader would have it now: without those who lack records for too long, with those who caught up.
    fn wanted_isr(&self, now_ms: i64, max_lag_ms: i64, joins: impl Fn(i32) -> bool) -> Vec<i32> {
        let committed = self.logs.get(&self.leader).map_or(0, |r| r.high_watermark);
        let mut isr = self.isr.clone();
        isr.retain(|id| {
            let behind = self.followers.get(id).and_then(|f| f.behind_since_ms);
            *id == self.leader || behind.is_none_or(|since| now_ms - since <= max_lag_ms)
        });
        for id in &self.replicas {
            let caught_up = self.followers.get(id).is_some_and(|follower| {
                follower.end_offset >= committed.max(self.epoch_start) && self.logs.contains_key(id)
            });
            if !isr.contains(id) && caught_up && joins(*id) {
                isr.push(*id);
            }
        }
        isr
    }

    /// Moves the leader's high watermark to what all replicas in sync have, unless these are too few (KIP-966); says
    /// whether it moved.
    fn advance_high_watermark(&mut self, min_in_sync: usize) -> bool {
        if self.isr.len() < min_in_sync {
            return false;
        }
        let leader = self.leader;
        let ends = self.isr.iter().map(|id| {
            if *id == leader {
                self.logs.get(id).map_or(0, |r| r.log.end_offset())
            } else {
                self.followers.get(id).map_or(0, |f| f.end_offset)
            }
        });
        match (ends.min(), self.logs.get_mut(&leader)) {
            (Some(end), Some(replica)) if end > replica.high_watermark => {
                replica.high_watermark = end;
                replica.log.high_watermark_advanced(end);
                true
            }
            _ => false,
        }
    }

    /// Followers that fetch learn the high watermark.
    fn tell_high_watermark(&mut self, fetches: impl Fn(i32) -> bool) {
        let Some(committed) = self.logs.get(&self.leader).map(|r| r.high_watermark) else {
            return;
        };
        let leader = self.leader;
        for (id, replica) in &mut self.logs {
            if *id != leader && fetches(*id) {
                replica.high_watermark = committed.min(replica.log.end_offset());
                replica.log.high_watermark_advanced(replica.high_watermark);
            }
        }
    }

    /// When the next follower in sync will have been behind for too long.
    fn lag_deadline_ms(&self, max_lag_ms: i64) -> Option<i64> {
        let behind = self.isr.iter().filter_map(|id| {
            let since = self.followers.get(id)?.behind_since_ms?;
            Some(since + max_lag_ms + 1)
        });
        behind.min()
    }

    /// A leader was elected: its log goes on in a new epoch, and it knows nothing of its followers yet.
    fn begin_epoch(&mut self) {
        self.followers.clear();
        let epoch = self.leader_epoch;
        let Some(leader) = self.logs.get_mut(&self.standing.leader) else {
            return;
        };
        self.epoch_start = leader.log.end_offset();
        leader.agreed_epoch = epoch;
        if let Err(error) = leader.log.begin_epoch(epoch) {
            tracing::warn!(%error, "a leader epoch could not be noted");
        }
    }
}

impl super::Core {
    /// Something was appended to the log of a partition's leader: whoever waits for it gets it, at once where there is
    /// but one replica, otherwise when [`settle`](Self::settle) finds it committed.
    pub(crate) fn appended(&mut self, topic_id: Uuid, index: i32) {
        let Some(partition) = self.topics.partition_mut(topic_id, index) else {
            return;
        };
        if partition.is_sole() {
            if partition.advance_high_watermark(1) {
                self.wake_fetches(topic_id, index);
            }
        } else {
            self.unsettled.push((topic_id, index));
        }
    }

    /// Lets followers copy, adjusts the ISR and the high watermark, and wakes those who wait, until nothing changes.
    pub(crate) fn settle(&mut self) {
        let mut unfinished = Vec::new();
        while !self.unsettled.is_empty() {
            let mut keys = std::mem::take(&mut self.unsettled);
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                if self.settle_partition(key) {
                    unfinished.push(key);
                }
            }
        }
        self.unsettled = unfinished;
    }

    /// Says whether there is more to copy.
    fn settle_partition(&mut self, key: Key) -> bool {
        let now_ms = self.now_ms;
        let Some(name) = self.topics.name_of(key.0).cloned() else {
            return false;
        };
        let min_in_sync = self.min_in_sync(&name);
        let brokers = &self.brokers;
        let internal = super::topics::is_internal(&name);
        // A coordinator's answers don't wait for followers: who has not copied at once is not in sync, so that what was
        // answered is on every broker that may lead next.
        let max_lag_ms = if internal {
            -1
        } else {
            self.configs
                .number(self.first_broker(), "replica.lag.time.max.ms")
        };
        let fetches = |id: i32| {
            brokers
                .get(&id)
                .is_some_and(|broker| broker.running && (internal || !broker.paused))
        };
        let joins = |id: i32| brokers.get(&id).is_some_and(super::brokers::Broker::is_active);
        let Some(partition) = self.topics.partition_mut(key.0, key.1) else {
            return false;
        };
        if !partition.logs.contains_key(&partition.leader) {
            return false;
        }
        let mut lost = 0;
        let more = partition.replicate(now_ms, fetches, &mut lost);
        if lost > 0 {
            self.witness.note(key.0, &name, |seen| seen.lost += lost);
        }
        let isr = partition.wanted_isr(now_ms, max_lag_ms, |id| joins(id) && fetches(id));
        // With a smaller `min.insync.replicas` the ISR may be enough: what it commits, those who left it don't have.
        let elr_ends = !partition.elr.is_empty() && isr.len() >= min_in_sync;
        if isr != partition.isr || elr_ends {
            let mut wish = partition.wish(Election::Online);
            wish.isr = isr;
            let next = partition.decide(wish, min_in_sync, joins);
            if let Some(next) = next
                && self.change_partitions(vec![(key, next)]).is_ok()
            {
                // It is unsettled again, with what has changed.
                return more;
            }
        }
        let Some(partition) = self.topics.partition_mut(key.0, key.1) else {
            return false;
        };
        let moved = partition.advance_high_watermark(min_in_sync);
        let brokers = &self.brokers;
        partition.tell_high_watermark(|id| {
            brokers
                .get(&id)
                .is_some_and(|broker| broker.running && (internal || !broker.paused))
        });
        let deadline_ms = partition.lag_deadline_ms(max_lag_ms);
        if let Some(at_ms) = deadline_ms.filter(|at_ms| *at_ms > now_ms)
            && partition.lag_timer_ms != at_ms
        {
            partition.lag_timer_ms = at_ms;
            let (topic, partition) = key;
            self.timers.set(at_ms, Timer::Lag { topic, partition });
        }
        if moved {
            self.wake_fetches(key.0, key.1);
            self.wake_produces(key);
        }
        more
    }

    /// Gives partitions the standing that was decided: journalled first, then in force.
    ///
    /// # Errors
    /// The journal can't be written; nothing has changed then.
    pub(crate) fn change_partitions(&mut self, changes: Vec<(Key, Standing)>) -> Result<(), super::Refusal> {
        let records: Vec<_> = changes
            .iter()
            .map(
                |((id, partition), standing)| super::journal::Record::PartitionChange {
                    id: *id,
                    partition: *partition,
                    standing: standing.clone(),
                },
            )
            .collect();
        if records.is_empty() {
            return Ok(());
        }
        self.journal(&records)?;
        for (key, standing) in changes {
            self.change_partition(key, standing);
        }
        Ok(())
    }

    fn change_partition(&mut self, key: Key, standing: Standing) {
        let delay_ms = self.delete_delay_ms();
        let Some(partition) = self.topics.partition_mut(key.0, key.1) else {
            return;
        };
        let before = std::mem::replace(&mut partition.standing, standing);
        let epoch_begins = before.leader_epoch != partition.leader_epoch;
        if epoch_begins {
            partition.begin_epoch();
        }
        let gone: Vec<i32> = before
            .replicas
            .iter()
            .copied()
            .filter(|id| !partition.replicas.contains(id))
            .collect();
        for id in gone {
            partition.followers.remove(&id);
            if let Some(Err(error)) = partition.logs.remove(&id).map(|r| r.log.delete(delay_ms)) {
                tracing::warn!(%error, "a removed replica's log was left behind");
            }
        }
        let added: Vec<i32> = partition
            .replicas
            .iter()
            .copied()
            .filter(|id| !before.replicas.contains(id))
            .collect();
        let name = self
            .topics
            .name_of(key.0)
            .cloned()
            .unwrap_or_else(|| Arc::from(""));
        for id in added {
            let config = self.log_config_of(&name);
            if let Err(refusal) = self.open_replica(key, id, config) {
                tracing::warn!(?refusal, broker = id, "a new replica can't be opened");
            }
        }
        self.unsettled.push(key);
        if epoch_begins {
            self.wake_fetches(key.0, key.1);
            self.wake_produces(key);
            self.watch_balance(key);
            self.leader_changed(key, before.leader);
        }
    }

    /// A partition has another leader; the coordinator of an internal one is another, too.
    fn leader_changed(&mut self, key: Key, before: i32) {
        let Some(name) = self.topics.name_of(key.0).cloned() else {
            return;
        };
        let leader = self.topics.partition(key.0, key.1).map_or(-1, |p| p.leader);
        if leader == before {
            return;
        }
        self.drop_share_partitions(key.0, key.1);
        match &*name {
            super::topics::OFFSETS_TOPIC => self.move_groups(key.1),
            super::topics::SHARE_STATE_TOPIC => self.move_states(key.1),
            _ => {}
        }
    }
}
