//! The group coordinator: requests to groups, and what they want done.

use kafka_protocol::ResponseError;

use super::groups::classic::{Join, Joined, Leaving, SavedGroup, Sync, Synced};
use super::groups::consumer::ConsumerType;
use super::groups::modern::{Beaten, GroupType, Modern};
use super::groups::records::Saved;
use super::groups::share::ShareType;
use super::groups::{CommitCheck, Committer, Cx, Group, Kind, ModernRules, Out, Rules, Wake, not_found};
use super::offsets::{Committed, partition_for};
use super::timers::Timer;
use super::topics::OFFSETS_TOPIC;
use super::{Caller, Refusal};
use crate::api::{Answer, Response, join_group, sync_group};

impl super::Core {
    /// The partition of the offsets topic that a group belongs to.
    pub(crate) fn group_partition(&self, group: &str) -> Option<i32> {
        let topic = self.topics.get(OFFSETS_TOPIC)?;
        Some(partition_for(group, topic.partitions.len() as i32))
    }

    /// The broker that coordinates a group.
    pub(crate) fn coordinator_of(&self, group: &str) -> Option<i32> {
        let at = self.group_partition(group)?;
        let topic = self.topics.get(OFFSETS_TOPIC)?;
        topic
            .partitions
            .get(at as usize)
            .map(|p| p.leader)
            .filter(|leader| *leader >= 0)
    }

    /// Is the broker that was asked the one to ask.
    ///
    /// # Errors
    /// `NOT_COORDINATOR`.
    pub(crate) fn check_coordinator(&self, broker: i32, group: &str) -> Result<(), ResponseError> {
        if self.coordinator_of(group) == Some(broker) {
            Ok(())
        } else {
            Err(ResponseError::NotCoordinator)
        }
    }

    /// The same, for a request that must name a group.
    ///
    /// # Errors
    /// `INVALID_GROUP_ID`, `NOT_COORDINATOR`.
    pub(crate) fn check_group(&self, broker: i32, group: &str) -> Result<(), ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        self.check_coordinator(broker, group)
    }

    /// The settings in force for a group.
    pub(crate) fn group_rules(&self, group: &str) -> Rules {
        let broker = self.first_broker();
        let number = |name: &str| self.configs.number(broker, name);
        let text = |name: &str| self.configs.broker_value(broker, name).unwrap_or_default();
        let policy = text("group.consumer.migration.policy").to_lowercase();
        let both = policy == "bidirectional";
        let assignors = text("group.consumer.assignors");
        Rules {
            initial_delay_ms: number("group.initial.rebalance.delay.ms"),
            classic_max_size: usize::try_from(number("group.max.size")).unwrap_or(usize::MAX),
            default_assignor: assignors.split(',').next().unwrap_or_default().trim().to_owned(),
            upgrade: both || policy == "upgrade",
            downgrade: both || policy == "downgrade",
            consumer: self.modern_rules::<ConsumerType>(group),
            share: self.modern_rules::<ShareType>(group),
        }
    }

    fn modern_rules<T: GroupType>(&self, group: &str) -> ModernRules {
        let broker = self.first_broker();
        let name = T::NAME;
        let number = |name: &str| self.configs.number(broker, name);
        let own = |what: &str| {
            let own = self.configs.groups.get(group);
            let set = own.and_then(|own| own.get(&format!("{name}.{what}")));
            set.and_then(|value| value.trim().parse().ok())
                .unwrap_or_else(|| number(&format!("group.{name}.{what}")))
        };
        ModernRules {
            max_size: usize::try_from(number(&format!("group.{name}.max.size"))).unwrap_or(usize::MAX),
            session_timeout_ms: own("session.timeout.ms"),
            heartbeat_interval_ms: own("heartbeat.interval.ms") as i32,
            assignment_interval_ms: own("assignment.interval.ms"),
        }
    }

    /// Does something with a group that there is, and carries out what it wants. Nothing where there is no such group.
    ///
    /// # Errors
    /// What the group wanted to survive could not be written; the group is as it was.
    pub(crate) fn with_group<T>(
        &mut self,
        group: &str,
        act: impl FnOnce(&mut Group, &mut Cx) -> T,
    ) -> Option<Result<T, Refusal>> {
        let rules = self.group_rules(group);
        let mut cx = Cx::new(self.now_ms, &rules, &self.topics);
        let result = act(self.groups.get_mut(group)?, &mut cx);
        let out = cx.out;
        Some(self.carry_out(group, out).map(|()| result))
    }

    fn carry_out(&mut self, group: &str, out: Vec<Out>) -> Result<(), Refusal> {
        let (mut saved, mut answers) = (Vec::new(), Vec::new());
        for wish in out {
            match wish {
                Out::Save(record) => saved.push(record),
                Out::Wake(at_ms, wake) => {
                    let group = group.to_owned();
                    self.timers.set(at_ms, Timer::Group { group, wake });
                }
                answer @ (Out::Joined(..) | Out::Synced(..)) => answers.push(answer),
            }
        }
        let result = self.save(group, &saved);
        if let Err(refusal) = &result {
            tracing::warn!(group, ?refusal, "the group's state was not saved");
            self.reload_group_partition(group);
        }
        let error = result
            .as_ref()
            .err()
            .map(|_| ResponseError::CoordinatorNotAvailable);
        for answer in answers {
            let (to, response, refused) = match answer {
                Out::Joined(asker, joined) => {
                    let refuse = |error| Joined::refused(error, &joined.member);
                    let refused = join_group::respond(asker.version, refuse(ResponseError::NotCoordinator));
                    let joined = error.map_or_else(|| joined.clone(), refuse);
                    let response = Response::message(join_group::respond(asker.version, joined));
                    (asker.request, response, Response::message(refused))
                }
                Out::Synced(asker, synced) => {
                    let refused = Synced::refused(ResponseError::NotCoordinator);
                    let synced = error.map_or(synced, Synced::refused);
                    (
                        asker.request,
                        Response::message(sync_group::respond(synced)),
                        Response::message(sync_group::respond(refused)),
                    )
                }
                Out::Save(_) | Out::Wake(..) => continue,
            };
            if saved.is_empty() {
                self.reply(to, response);
            } else {
                self.reply_when_safe(group, to, response, refused);
            }
        }
        result
    }

    /// A group asked to be woken.
    pub(crate) fn wake_group(&mut self, group: &str, wake: &Wake) {
        // What could not be saved was said; the members find out with their next request.
        let _ = self.with_group(group, |group, cx| group.wake(cx, wake));
    }

    /// A member joins. The answer comes when the rebalance is through.
    pub(crate) fn join_group(&mut self, broker: i32, group: &str, join: &Join) {
        let timeout_ms = i64::from(join.session_timeout_ms);
        let refused = if let Err(error) = self.check_group(broker, group) {
            Some(error)
        } else if timeout_ms < self.configs.number(broker, "group.min.session.timeout.ms")
            || timeout_ms > self.configs.number(broker, "group.max.session.timeout.ms")
        {
            Some(ResponseError::InvalidSessionTimeout)
        } else if !join.member.is_empty() && self.groups.get(group).is_none() {
            Some(ResponseError::UnknownMemberId)
        } else {
            None
        };
        if let Some(error) = refused {
            let refused = Joined::refused(error, &join.member);
            let response = join_group::respond(join.asker.version, refused);
            self.reply(join.asker.request, Response::message(response));
            return;
        }
        let now_ms = self.now_ms;
        let is_new = self.groups.get(group).is_none();
        self.groups.get_or_create(group, now_ms);
        // Where it can't be saved, the answer says so.
        let _ = self.with_group(group, |state, cx| {
            if is_new {
                // An empty group is in the log from the first join on, whatever becomes of it.
                cx.out.push(Out::Save(Saved::Group {
                    group: state.id.clone(),
                    saved: Some(SavedGroup {
                        since_ms: Some(now_ms),
                        ..SavedGroup::default()
                    }),
                }));
            }
            state.join(cx, join);
        });
    }

    /// A member asks for its assignment.
    pub(crate) fn sync_group(&mut self, broker: i32, group: &str, sync: &Sync) {
        let refused = self.check_group(broker, group).err().or_else(|| {
            let done = self.with_group(group, |state, cx| match &mut state.kind {
                Kind::Classic(classic) => classic.sync(cx, sync),
                Kind::Consumer(consumer) => consumer.sync_classic(cx, sync),
                Kind::Share(_) => {
                    let refused = Synced::refused(ResponseError::InconsistentGroupProtocol);
                    cx.out.push(Out::Synced(sync.asker, refused));
                }
            });
            done.is_none().then_some(ResponseError::UnknownMemberId)
        });
        if let Some(error) = refused {
            let response = sync_group::respond(Synced::refused(error));
            self.reply(sync.asker.request, Response::message(response));
        }
    }

    /// A member of the classic protocol says that it is alive.
    pub(crate) fn heartbeat(
        &mut self,
        broker: i32,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Option<ResponseError> {
        if let Err(error) = self.check_group(broker, group) {
            return Some(error);
        }
        let done = self.with_group(group, |state, cx| match &mut state.kind {
            Kind::Classic(classic) => classic.heartbeat(cx, member, instance, generation),
            Kind::Consumer(consumer) => consumer.heartbeat_classic(cx, member, instance, generation),
            Kind::Share(_) => Some(ResponseError::UnknownMemberId),
        });
        match done {
            None => Some(ResponseError::UnknownMemberId),
            Some(Ok(error)) => error,
            Some(Err(refusal)) => Some(refusal.error),
        }
    }

    /// Members leave. Says for each what was wrong.
    ///
    /// # Errors
    /// What is wrong with the request as a whole.
    pub(crate) fn leave_group(
        &mut self,
        broker: i32,
        group: &str,
        leaving: &[Leaving],
    ) -> Result<Vec<Option<ResponseError>>, ResponseError> {
        self.check_group(broker, group)?;
        match self.with_group(group, |state, cx| state.leave(cx, leaving)) {
            None => Ok(vec![Some(ResponseError::UnknownMemberId); leaving.len()]),
            Some(done) => done.map_err(|refusal| refusal.error),
        }
    }

    /// A member of a modern group joins, stays or leaves; who joins makes the group where there is none.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn beat<T: GroupType>(
        &mut self,
        broker: i32,
        group: &str,
        epoch: i32,
        act: impl FnOnce(&mut Group, &mut Cx) -> Result<Beaten, Refusal>,
    ) -> Result<Beaten, Refusal> {
        self.check_coordinator(broker, group)?;
        let is_new = self.groups.get(group).is_none();
        if is_new {
            match epoch {
                0 => self.groups.make(group, T::kind(Modern::new(group))),
                ..0 => return Err(not_found("Group", group)),
                1.. => return Err(not_found(&format!("{} group", T::TITLE), group)),
            }
        }
        let done = self
            .with_group(group, act)
            .unwrap_or_else(|| Err(ResponseError::GroupIdNotFound.into()))
            .and_then(|result| result);
        if is_new && done.is_err() {
            self.groups.by_id.remove(group);
        }
        done
    }

    /// May offsets be committed by this member. A commit of a classic member is as good as a heartbeat.
    ///
    /// # Errors
    /// Kafka's code, for every partition of the request.
    pub(crate) fn check_commit(&mut self, group: &str, by: &Committer) -> Result<CommitCheck, Refusal> {
        let Some(state) = self.groups.get(group) else {
            // Whoever has no generation manages its partitions itself.
            return match by.generation {
                ..0 => Ok(CommitCheck::Done),
                0.. if by.version >= 9 && !by.transactional => Err(not_found("Group", group)),
                0.. => Err(ResponseError::IllegalGeneration.into()),
            };
        };
        let check = state.check_commit(by).map_err(|refusal| match refusal.error {
            ResponseError::StaleMemberEpoch if by.transactional => ResponseError::IllegalGeneration.into(),
            _ => refusal,
        })?;
        if !by.transactional {
            let _ = self.with_group(group, |state, cx| {
                if let Kind::Classic(classic) = &mut state.kind {
                    classic.heard_commit(cx, by.member);
                }
            });
        }
        Ok(check)
    }

    /// Writes offsets that may be committed, and notes them.
    ///
    /// # Errors
    /// They could not be written.
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
        for (topic, partition, _) in &offsets {
            let key = (group.to_owned(), topic.clone(), *partition);
            self.transactions.pending_offsets.supersede(&key);
        }
        self.note_offsets(group, offsets);
        Ok(())
    }

    /// Notes offsets that are written already, as those of a transaction that has been committed.
    pub(crate) fn note_offsets(&mut self, group: &str, offsets: Vec<(String, i32, Committed)>) {
        if offsets.is_empty() {
            return;
        }
        let state = self.groups.get_or_create(group, self.now_ms);
        for (topic, partition, committed) in offsets {
            state.offsets.set(&topic, partition, committed);
        }
    }

    /// Forgets offsets.
    ///
    /// # Errors
    /// That could not be written.
    pub(crate) fn forget_offsets(&mut self, group: &str, gone: &[(String, i32)]) -> Result<(), Refusal> {
        self.save(group, &offset_tombstones(group, gone))?;
        for (topic, partition) in gone {
            let key = (group.to_owned(), topic.clone(), *partition);
            self.transactions.pending_offsets.remove(&key);
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
            return Err(not_found("Group", group));
        };
        if !state.is_empty() {
            return Err(ResponseError::NonEmptyGroup.into());
        }
        let offsets: Vec<(String, i32)> = state.offsets.keys().collect();
        let mut saved = offset_tombstones(group, &offsets);
        saved.extend(state.tombstones());
        self.delete_states_of(group)?;
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

    /// Forgets offsets that nobody has used for `offsets.retention.minutes`, and groups without members that have none
    /// left (KIP-211); looks every `offsets.retention.check.interval.ms`.
    pub(crate) fn expire_offsets(&mut self) {
        let broker = self.first_broker();
        let interval_ms = self.configs.number(broker, "offsets.retention.check.interval.ms");
        let checked_ms = *self.groups.checked_ms.get_or_insert(self.now_ms);
        if self.now_ms < checked_ms + interval_ms {
            return;
        }
        self.groups.checked_ms = Some(self.now_ms);
        let minutes = self.configs.number(broker, "offsets.retention.minutes");
        let mut expired: Vec<Expired> = Vec::new();
        for group in self.groups.by_id.values() {
            let pending = &self.transactions.pending_offsets;
            let old = |topic: &str, partition: i32, committed: &Committed| {
                let since = group.offset_idle_since(committed.commit_ms);
                since.is_some_and(|since| self.now_ms - since >= minutes * 60_000)
                    && !group.is_subscribed_to(topic)
                    && !pending.is_pending(&group.id, topic, partition)
            };
            let gone: Vec<(String, i32)> = group
                .offsets
                .iter()
                .filter(|(topic, partition, committed)| old(topic, *partition, committed))
                .map(|(topic, partition, _)| (topic.to_owned(), partition))
                .collect();
            let all = gone.len() == group.offsets.iter().count();
            // A share group stays until somebody deletes it.
            let whole = all && group.is_empty() && group.share().is_none() && !pending.has_group(&group.id);
            if !gone.is_empty() || whole {
                expired.push(Expired {
                    group: group.id.clone(),
                    gone,
                    whole,
                });
            }
        }
        for Expired { group, gone, whole } in expired {
            let done = if whole {
                self.delete_group(&group)
            } else {
                self.forget_offsets(&group, &gone)
            };
            if let Err(refusal) = done {
                tracing::warn!(group, ?refusal, "expired offsets were left behind");
            }
        }
    }

    /// Answers with `response` once everything that the group has written is safe, with `refused` if it gets lost.
    pub(crate) fn answer_when_safe(
        &mut self,
        caller: &Caller,
        group: &str,
        response: Response,
        refused: Response,
    ) -> Answer {
        self.reply_when_safe(group, caller.request, response, refused);
        Answer::Later
    }
}

/// What of a group is too old.
struct Expired {
    group: String,
    gone: Vec<(String, i32)>,
    /// The group goes with its last offset.
    whole: bool,
}

/// The records that remove offsets.
fn offset_tombstones(group: &str, gone: &[(String, i32)]) -> Vec<Saved> {
    let tombstone = |(topic, partition): &(String, i32)| Saved::Offset {
        group: group.to_owned(),
        topic: topic.clone(),
        partition: *partition,
        committed: None,
    };
    gone.iter().map(tombstone).collect()
}
