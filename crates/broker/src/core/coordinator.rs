//! The group coordinator: requests to groups, what they want done, and what of them survives.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::Refusal;
use super::groups::{Group, Groups, Join, Joined, Out, State, Sync, Synced};
use super::offsets::{Committed, Saved, SavedGroup, partition_for};
use super::ports::read_all;
use super::timers::Timer;
use super::topics::OFFSETS_TOPIC;
use crate::api::{Response, join_group, sync_group};
use crate::log::{BatchOptions, NewRecord, batches, build_batch};

impl super::Core {
    /// The broker that coordinates a group.
    pub(crate) fn coordinator_of(&self, group: &str) -> Option<i32> {
        let topic = self.topics.get(OFFSETS_TOPIC)?;
        let at = partition_for(group, topic.partitions.len() as i32);
        topic
            .partitions
            .get(at as usize)
            .map(|p| p.leader)
            .filter(|leader| *leader >= 0)
    }

    /// A member joins. The answer comes when the rebalance is through.
    pub(crate) fn join_group(&mut self, group: &str, join: Join) {
        let broker = self.first_broker();
        let delay_ms = self.configs.number(broker, "group.initial.rebalance.delay.ms");
        let timeout = i64::from(join.session_timeout_ms);
        let refused = if group.is_empty() {
            Some(ResponseError::InvalidGroupId)
        } else if timeout < self.configs.number(broker, "group.min.session.timeout.ms")
            || timeout > self.configs.number(broker, "group.max.session.timeout.ms")
        {
            Some(ResponseError::InvalidSessionTimeout)
        } else if !join.member.is_empty() && self.groups.get(group).is_none() {
            Some(ResponseError::UnknownMemberId)
        } else {
            None
        };
        let mut out = Vec::new();
        match refused {
            Some(error) => out.push(Out::Joined(
                join.request,
                Joined {
                    error: Some(error),
                    generation: -1,
                    member: join.member,
                    ..Joined::default()
                },
            )),
            None => self
                .groups
                .get_or_create(group, self.now_ms)
                .join(self.now_ms, join, delay_ms, &mut out),
        }
        self.carry_out(group, out);
    }

    /// A member asks for its assignment.
    pub(crate) fn sync_group(&mut self, group: &str, sync: Sync) {
        let mut out = Vec::new();
        if let Some(state) = self.groups.get_mut(group) {
            state.sync(self.now_ms, sync, &mut out);
        } else {
            let error = if group.is_empty() {
                ResponseError::InvalidGroupId
            } else {
                ResponseError::UnknownMemberId
            };
            let refused = Synced {
                error: Some(error),
                ..Synced::default()
            };
            out.push(Out::Synced(sync.request, refused));
        }
        self.carry_out(group, out);
    }

    /// Does something with a group that there is, and carries out what it wants.
    pub(crate) fn with_group<T>(
        &mut self,
        group: &str,
        act: impl FnOnce(&mut Group, i64, &mut Vec<Out>) -> T,
    ) -> Option<T> {
        let mut out = Vec::new();
        let result = act(self.groups.get_mut(group)?, self.now_ms, &mut out);
        self.carry_out(group, out);
        Some(result)
    }

    fn carry_out(&mut self, group: &str, out: Vec<Out>) {
        for wish in out {
            match wish {
                Out::Joined(to, joined) => self.reply(to, Response::message(join_group::respond(joined))),
                Out::Synced(to, synced) => self.reply(to, Response::message(sync_group::respond(synced))),
                Out::Timer(at_ms, timer) => self.timers.set(at_ms, timer),
                Out::Save => self.save_group(group),
            }
        }
    }

    pub(crate) fn fire_group_timer(&mut self, timer: &Timer) {
        match timer {
            Timer::Member { group, member } => {
                self.with_group(group, |g, now, out| g.member_timer(now, member, out))
            }
            Timer::Rebalance { group, round } => {
                self.with_group(group, |g, now, out| g.rebalance_timer(now, *round, out))
            }
            Timer::Sync { group, generation } => {
                self.with_group(group, |g, now, out| g.sync_timer(now, *generation, out))
            }
            _ => None,
        };
    }

    fn save_group(&mut self, group: &str) {
        let Some(state) = self.groups.get(group) else {
            return;
        };
        let saved = Saved::Group {
            group: group.to_owned(),
            saved: Some(SavedGroup::of(state)),
        };
        if let Err(refusal) = self.save(group, &[saved]) {
            // The members go on: what is lost is only that a restart must rebalance.
            tracing::warn!(group, ?refusal, "the group's state was not saved");
        }
    }

    /// Appends records to the group's partition of the offsets topic.
    fn save(&mut self, group: &str, saved: &[Saved]) -> Result<(), Refusal> {
        if saved.is_empty() {
            return Ok(());
        }
        self.ensure_offsets_topic()?;
        let now_ms = self.now_ms;
        let records: Vec<NewRecord> = saved
            .iter()
            .map(|s| NewRecord {
                timestamp_ms: now_ms,
                key: Some(s.key()),
                value: s.value(),
            })
            .collect();
        let batch = build_batch(&records, BatchOptions::default())
            .map_err(|error| Refusal::new(error.code(), error.to_string()))?;
        let Some(topic) = self.topics.get_mut(OFFSETS_TOPIC) else {
            return Err(ResponseError::CoordinatorNotAvailable.into());
        };
        let (id, at) = (topic.id, partition_for(group, topic.partitions.len() as i32));
        let Some(partition) = topic.partitions.get_mut(at as usize) else {
            return Err(ResponseError::CoordinatorNotAvailable.into());
        };
        let (leader, epoch) = (partition.leader, partition.leader_epoch);
        let Some(replica) = partition.led_by_mut(leader) else {
            return Err(ResponseError::NotCoordinator.into());
        };
        replica
            .log
            .append(&batch, epoch, now_ms)
            .map_err(|e| super::admin::storage_refusal(&e))?;
        self.appended(id, at);
        Ok(())
    }

    /// Commits offsets of a group that may have them committed.
    pub(crate) fn commit(
        &mut self,
        group: &str,
        offsets: Vec<(String, i32, Committed)>,
    ) -> Result<(), Refusal> {
        let saved: Vec<Saved> = offsets
            .iter()
            .map(|(topic, partition, committed)| Saved::Offset {
                group: group.to_owned(),
                topic: topic.clone(),
                partition: *partition,
                committed: Some(committed.clone()),
            })
            .collect();
        self.save(group, &saved)?;
        let state = self.groups.get_or_create(group, self.now_ms);
        for (topic, partition, committed) in offsets {
            let key = (group.to_owned(), topic, partition);
            self.transactions.pending_offsets.supersede(&key);
            state.offsets.set(&key.1, partition, committed);
        }
        Ok(())
    }

    /// Forgets offsets, and the group with the last of them where it has no members.
    pub(crate) fn forget_offsets(&mut self, group: &str, gone: &[(String, i32)]) -> Result<(), Refusal> {
        let saved: Vec<Saved> = gone
            .iter()
            .map(|(topic, partition)| Saved::Offset {
                group: group.to_owned(),
                topic: topic.clone(),
                partition: *partition,
                committed: None,
            })
            .collect();
        self.save(group, &saved)?;
        for (topic, partition) in gone {
            let key = (group.to_owned(), topic.clone(), *partition);
            self.transactions.pending_offsets.supersede(&key);
        }
        if let Some(state) = self.groups.get_mut(group) {
            for (topic, partition) in gone {
                state.offsets.remove(topic, *partition);
            }
        }
        Ok(())
    }

    /// Deletes a group without members.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`, `NON_EMPTY_GROUP`.
    pub(crate) fn delete_group(&mut self, group: &str) -> Result<(), Refusal> {
        let Some(state) = self.groups.get(group) else {
            return Err(Refusal::new(
                ResponseError::GroupIdNotFound,
                format!("Group {group} not found."),
            ));
        };
        if state.state != State::Empty {
            return Err(ResponseError::NonEmptyGroup.into());
        }
        let mut saved: Vec<Saved> = state
            .offsets
            .iter()
            .map(|(topic, partition, _)| Saved::Offset {
                group: group.to_owned(),
                topic: topic.to_owned(),
                partition,
                committed: None,
            })
            .collect();
        saved.push(Saved::Group {
            group: group.to_owned(),
            saved: None,
        });
        self.save(group, &saved)?;
        self.groups.by_id.remove(group);
        self.transactions.pending_offsets.forget(|gone| gone == group);
        Ok(())
    }

    /// A topic is gone, and with it what groups had committed there.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        let gone: Vec<(String, Vec<(String, i32)>)> = self
            .groups
            .by_id
            .values()
            .filter_map(|group| {
                let partitions = group.offsets.by_topic.get(topic)?;
                Some((
                    group.id.clone(),
                    partitions.keys().map(|p| (topic.to_owned(), *p)).collect(),
                ))
            })
            .collect();
        for (group, offsets) in gone {
            if let Err(refusal) = self.forget_offsets(&group, &offsets) {
                tracing::warn!(group, ?refusal, "offsets of a deleted topic were left behind");
            }
        }
    }

    /// Forgets offsets that nobody has used for `offsets.retention.minutes` (KIP-211), and groups that have none left.
    pub(crate) fn expire_offsets(&mut self) {
        let keep_ms = self
            .configs
            .number(self.first_broker(), "offsets.retention.minutes")
            * 60_000;
        let now_ms = self.now_ms;
        let mut expired: Vec<(String, Vec<(String, i32)>)> = Vec::new();
        for group in self.groups.by_id.values().filter(|g| g.state == State::Empty) {
            let old = |c: &Committed| {
                let since = if group.is_simple() {
                    c.commit_ms
                } else {
                    group.since_ms.max(c.commit_ms)
                };
                now_ms - since >= keep_ms
            };
            let gone: Vec<(String, i32)> = group
                .offsets
                .iter()
                .filter(|(t, p, c)| old(c) && !self.transactions.pending_offsets.is_pending(&group.id, t, *p))
                .map(|(t, p, _)| (t.to_owned(), p))
                .collect();
            if !gone.is_empty() {
                expired.push((group.id.clone(), gone));
            }
        }
        for (group, gone) in expired {
            let left = self.forget_offsets(&group, &gone);
            let empty = self.groups.get(&group).is_some_and(|g| g.offsets.is_empty())
                && !self.transactions.pending_offsets.has_group(&group);
            if left.is_ok() && empty && self.delete_group(&group).is_err() {
                tracing::warn!(group, "an expired group was left behind");
            }
        }
    }

    /// Does this broker coordinate the group. The coordinator is the leader of the group's partition of the offsets
    /// topic.
    pub(crate) fn coordinates_group(&self, broker: i32, group: &str) -> bool {
        self.coordinator_of(group) == Some(broker)
    }

    /// The leader of a partition of the offsets topic changed: the groups of that partition live on as its new leader's
    /// log knows them. Members that wait are told to look for the new coordinator.
    pub(crate) fn move_groups(&mut self, index: i32) {
        let Some(topic) = self.topics.get(OFFSETS_TOPIC) else {
            return;
        };
        let count = topic.partitions.len() as i32;
        let ids = self.groups.by_id.keys();
        let moved: Vec<String> = ids
            .filter(|id| partition_for(id, count) == index)
            .cloned()
            .collect();
        for id in moved {
            let Some(group) = self.groups.by_id.remove(&id) else {
                continue;
            };
            for member in group.members {
                if let Some(to) = member.joining {
                    let refused = Joined {
                        error: Some(ResponseError::NotCoordinator),
                        generation: -1,
                        ..Joined::default()
                    };
                    self.reply(to, Response::message(join_group::respond(refused)));
                }
                if let Some(to) = member.syncing {
                    let refused = Synced {
                        error: Some(ResponseError::NotCoordinator),
                        ..Synced::default()
                    };
                    self.reply(to, Response::message(sync_group::respond(refused)));
                }
            }
        }
        if let Err(refusal) = self.replay_partition(index) {
            tracing::error!(index, ?refusal, "groups could not be read back");
        }
    }

    /// Reads the offsets topic back at the start.
    pub(crate) fn replay_offsets(&mut self) -> Result<(), Refusal> {
        let count = self.topics.get(OFFSETS_TOPIC).map_or(0, |t| t.partitions.len());
        for index in 0..count {
            self.replay_partition(index as i32)?;
        }
        Ok(())
    }

    /// Reads one partition of the offsets topic back.
    fn replay_partition(&mut self, index: i32) -> Result<(), Refusal> {
        let topic = self.topics.get(OFFSETS_TOPIC);
        let Some(replica) = topic
            .and_then(|topic| topic.partitions.get(index as usize))
            .and_then(|partition| partition.led_by(partition.leader))
        else {
            return Ok(());
        };
        let count = topic.map_or(1, |topic| topic.partitions.len() as i32);
        let here = |group: &str| partition_for(group, count) == index;
        let pending = &mut self.transactions.pending_offsets;
        pending.forget(here);
        let mut records = Vec::new();
        let chunks = read_all(&*replica.log).map_err(|e| super::admin::storage_refusal(&e))?;
        for (header, batch) in chunks.iter().flat_map(batches).flatten() {
            pending.replay(&header, &batch, here, &mut records);
        }
        let revived = replay(&mut self.groups, records, self.now_ms);
        for (group, out) in revived {
            self.carry_out(&group, out);
        }
        Ok(())
    }
}

/// Applies saved records, oldest first; the groups with members come back alive.
fn replay(groups: &mut Groups, records: Vec<Saved>, now_ms: i64) -> Vec<(String, Vec<Out>)> {
    let mut last: std::collections::BTreeMap<String, SavedGroup> = std::collections::BTreeMap::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for record in records {
        let (Saved::Offset { group, .. } | Saved::Group { group, .. }) = &record;
        seen.insert(group.clone());
        match record {
            Saved::Offset {
                group,
                topic,
                partition,
                committed: Some(committed),
            } => {
                groups
                    .get_or_create(&group, now_ms)
                    .offsets
                    .set(&topic, partition, committed);
            }
            Saved::Offset {
                group,
                topic,
                partition,
                committed: None,
            } => {
                if let Some(state) = groups.get_mut(&group) {
                    state.offsets.remove(&topic, partition);
                }
            }
            Saved::Group {
                group,
                saved: Some(saved),
            } => {
                groups.get_or_create(&group, now_ms);
                last.insert(group, saved);
            }
            Saved::Group { group, saved: None } => {
                last.remove(&group);
                groups.by_id.remove(&group);
            }
        }
    }
    groups
        .by_id
        .retain(|id, group| !seen.contains(id) || last.contains_key(id) || !group.offsets.is_empty());
    let mut revived = Vec::new();
    for (id, saved) in last {
        let group = groups.get_or_create(&id, now_ms);
        group.generation = saved.generation;
        group.protocol_type = Some(saved.protocol_type.clone()).filter(|kind| !kind.is_empty());
        group.protocol.clone_from(&saved.protocol);
        group.leader.clone_from(&saved.leader);
        let mut out = Vec::new();
        group.restore_members(now_ms, saved.revive(), &mut out);
        group.since_ms = saved.since_ms;
        revived.push((id, out));
    }
    revived
}
