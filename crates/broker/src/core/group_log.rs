//! Groups and their log: what is written to `__consumer_offsets`, what is read back from there, and answers that wait
//! until what they rest on is on every replica in sync.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use super::groups::records::Saved;
use super::groups::{Cx, Kind, Out};
use super::offsets::partition_for;
use super::ports::read_all;
use super::timers::Timer;
use super::topics::OFFSETS_TOPIC;
use super::{Refusal, RequestId};
use crate::api::Response;
use crate::log::{BatchOptions, NewRecord, batches, build_batch};

/// An answer that waits.
#[derive(Debug)]
struct Pending {
    to: RequestId,
    response: Response,
    /// What is said instead when the partition gets another leader first, or when it takes too long.
    refused: Response,
    /// Until when it waits.
    until_ms: i64,
}

/// Answers that wait, by partition of the offsets topic and the offset that must be safe.
#[derive(Debug, Default)]
pub(crate) struct Unsafe {
    by_end: BTreeMap<(i32, i64), Vec<Pending>>,
}

impl super::Core {
    /// Appends records to the group's partition of the offsets topic.
    ///
    /// # Errors
    /// They could not be written; the code is what the group's members and clients get.
    pub(super) fn save(&mut self, group: &str, saved: &[Saved]) -> Result<(), Refusal> {
        if saved.is_empty() {
            return Ok(());
        }
        self.try_save(group, saved).map_err(|refusal| {
            let error = match refusal.error {
                ResponseError::NotLeaderOrFollower | ResponseError::KafkaStorageError => {
                    ResponseError::NotCoordinator
                }
                ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge => {
                    ResponseError::UnknownServerError
                }
                ResponseError::NotEnoughReplicas | ResponseError::UnknownTopicOrPartition => {
                    ResponseError::CoordinatorNotAvailable
                }
                other => other,
            };
            Refusal {
                error,
                message: refusal.message,
            }
        })
    }

    fn try_save(&mut self, group: &str, saved: &[Saved]) -> Result<(), Refusal> {
        self.ensure_offsets_topic()?;
        let now_ms = self.now_ms;
        let record = |s: &Saved| NewRecord {
            timestamp_ms: now_ms,
            key: Some(s.key()),
            value: s.value(),
        };
        let records: Vec<NewRecord> = saved.iter().map(record).collect();
        let batch = build_batch(&records, BatchOptions::default())
            .map_err(|error| Refusal::new(error.code(), error.to_string()))?;
        let min_in_sync = self.min_in_sync(OFFSETS_TOPIC);
        let Some(topic) = self.topics.get_mut(OFFSETS_TOPIC) else {
            return Err(ResponseError::UnknownTopicOrPartition.into());
        };
        let (id, at) = (topic.id, partition_for(group, topic.partitions.len() as i32));
        let Some(partition) = topic.partitions.get_mut(at as usize) else {
            return Err(ResponseError::UnknownTopicOrPartition.into());
        };
        if partition.isr.len() < min_in_sync {
            return Err(ResponseError::NotEnoughReplicas.into());
        }
        let (leader, epoch) = (partition.leader, partition.leader_epoch);
        let Some(replica) = partition.led_by_mut(leader) else {
            return Err(ResponseError::NotLeaderOrFollower.into());
        };
        replica
            .log
            .append(&batch, epoch, now_ms)
            .map_err(|e| super::admin::storage_refusal(&e))?;
        self.appended(id, at);
        Ok(())
    }

    /// High watermark and end of the log of a partition of the offsets topic.
    fn group_log_ends(&self, at: i32) -> Option<(i64, i64)> {
        let partition = self.topics.get(OFFSETS_TOPIC)?.partitions.get(at as usize)?;
        let replica = partition.led_by(partition.leader)?;
        Some((replica.high_watermark, replica.log.end_offset()))
    }

    /// Replies once everything that the group has written is safe, within `offsets.commit.timeout.ms`.
    pub(super) fn reply_when_safe(
        &mut self,
        group: &str,
        to: RequestId,
        response: Response,
        refused: Response,
    ) {
        let at = self.group_partition(group);
        match at.and_then(|at| Some((at, self.group_log_ends(at)?))) {
            Some((at, (safe, end))) if safe < end => {
                let wait_ms = self
                    .configs
                    .number(self.first_broker(), "offsets.commit.timeout.ms");
                let pending = Pending {
                    to,
                    response,
                    refused,
                    until_ms: self.now_ms + wait_ms,
                };
                self.timers.set(pending.until_ms, Timer::Acks);
                self.groups
                    .waiting
                    .by_end
                    .entry((at, end))
                    .or_default()
                    .push(pending);
            }
            _ => self.reply(to, response),
        }
    }

    /// Sends the answers whose records have become safe, and those that have waited too long.
    pub(super) fn answer_what_is_safe(&mut self) {
        if self.groups.waiting.by_end.is_empty() {
            return;
        }
        let partitions: Vec<(i32, i64)> = self.groups.waiting.by_end.keys().copied().collect();
        for (at, end) in partitions {
            if self.group_log_ends(at).is_none_or(|(safe, _)| safe < end) {
                self.refuse_late(at, end);
            } else {
                for pending in self
                    .groups
                    .waiting
                    .by_end
                    .remove(&(at, end))
                    .into_iter()
                    .flatten()
                {
                    self.reply(pending.to, pending.response);
                }
            }
        }
    }

    fn refuse_late(&mut self, at: i32, end: i64) {
        let Some(waiting) = self.groups.waiting.by_end.get_mut(&(at, end)) else {
            return;
        };
        let now_ms = self.now_ms;
        let late: Vec<Pending> = waiting
            .extract_if(.., |pending| pending.until_ms <= now_ms)
            .collect();
        if waiting.is_empty() {
            self.groups.waiting.by_end.remove(&(at, end));
        }
        for pending in late {
            self.reply(pending.to, pending.refused);
        }
    }

    /// Reads the offsets topic back at the start.
    ///
    /// # Errors
    /// A log can't be read.
    pub(crate) fn replay_offsets(&mut self) -> Result<(), Refusal> {
        let count = self
            .topics
            .get(OFFSETS_TOPIC)
            .map_or(0, |t| t.partitions.len() as i32);
        for at in 0..count {
            self.load_groups(at)?;
        }
        Ok(())
    }

    /// The leader of a partition of the offsets topic changed: the groups of that partition live on as its new leader's
    /// log knows them.
    pub(crate) fn move_groups(&mut self, at: i32) {
        if let Err(refusal) = self.load_groups(at) {
            tracing::error!(partition = at, ?refusal, "groups can't be read back");
        }
    }

    /// What a group wanted to survive was not written: its partition's groups are again what the log says.
    pub(super) fn reload_group_partition(&mut self, group: &str) {
        if let Some(at) = self.group_partition(group) {
            self.move_groups(at);
        }
    }

    /// Makes the groups of a partition what its leader's log says. Who waits for an answer of the former leader is told
    /// to look for the new one.
    ///
    /// # Errors
    /// The log can't be read.
    fn load_groups(&mut self, at: i32) -> Result<(), Refusal> {
        self.unload_groups(at);
        let Some(topic) = self.topics.get(OFFSETS_TOPIC) else {
            return Ok(());
        };
        let Some(partition) = topic.partitions.get(at as usize) else {
            return Ok(());
        };
        let Some(replica) = partition.led_by(partition.leader) else {
            return Ok(());
        };
        let chunks = read_all(&*replica.log).map_err(|e| super::admin::storage_refusal(&e))?;
        let count = topic.partitions.len() as i32;
        let pending = &mut self.transactions.pending_offsets;
        for (header, batch) in chunks.iter().flat_map(batches).flatten() {
            let mut records = Vec::new();
            pending.replay(
                &header,
                &batch,
                |group| partition_for(group, count) == at,
                &mut records,
            );
            for saved in records {
                self.groups.replay(saved, self.now_ms);
            }
        }
        for id in self.groups_of(at) {
            // Sessions begin anew; a group over its size saves nothing before it has rebalanced.
            let _ = self.with_group(&id, |group, cx| match &mut group.kind {
                Kind::Classic(classic) => classic.load(cx),
                Kind::Consumer(consumer) => consumer.load(cx),
                Kind::Share(share) => share.load(cx),
            });
        }
        Ok(())
    }

    fn groups_of(&self, at: i32) -> Vec<String> {
        let ids = self.groups.by_id.keys();
        ids.filter(|id| self.group_partition(id) == Some(at))
            .cloned()
            .collect()
    }

    fn unload_groups(&mut self, at: i32) {
        for id in self.groups_of(at) {
            let Some(mut group) = self.groups.by_id.remove(&id) else {
                continue;
            };
            let rules = super::groups::Rules::default();
            let mut cx = Cx::new(self.now_ms, &rules, &self.topics);
            if let Kind::Classic(classic) = &mut group.kind {
                classic.unload(&mut cx);
            }
            for answer in cx.out {
                match answer {
                    Out::Joined(asker, joined) => {
                        let response = crate::api::join_group::respond(asker.version, joined);
                        self.reply(asker.request, Response::message(response));
                    }
                    Out::Synced(asker, synced) => {
                        let response = crate::api::sync_group::respond(synced);
                        self.reply(asker.request, Response::message(response));
                    }
                    Out::Save(_) | Out::Wake(..) => {}
                }
            }
        }
        let count = self
            .topics
            .get(OFFSETS_TOPIC)
            .map_or(1, |t| t.partitions.len() as i32);
        let pending = &mut self.transactions.pending_offsets;
        pending.forget(|group| partition_for(group, count) == at);
        let lost = self.groups.waiting.by_end.keys().filter(|(of, _)| *of == at);
        for key in lost.copied().collect::<Vec<_>>() {
            for pending in self.groups.waiting.by_end.remove(&key).into_iter().flatten() {
                self.reply(pending.to, pending.refused);
            }
        }
    }
}
