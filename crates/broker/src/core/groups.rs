//! Groups of the classic protocol: one state machine a group, no sockets, no clock.
//!
//! `Empty → PreparingRebalance → CompletingRebalance → Stable`, and `Dead` once it is deleted. A join waits until all
//! members have joined or the rebalance time-out is over; a sync waits for the leader's assignment.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::RequestId;
use super::offsets::Offsets;
use super::timers::Timer;

/// Where a group is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

impl State {
    /// The name that Kafka shows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// One member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// Set for a static member (KIP-345).
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// Name and metadata of each protocol that it can do, best first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// When its session ends unless it is heard of.
    pub(crate) deadline_ms: i64,
    /// The join that it waits for.
    pub(crate) joining: Option<RequestId>,
    /// The sync that it waits for.
    pub(crate) syncing: Option<RequestId>,
    /// Is there a timer for its deadline.
    pub(crate) timer_set: bool,
}

impl Member {
    /// The metadata for a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, m)| m.clone())
            .unwrap_or_default()
    }
}

/// A request to join.
#[derive(Debug, Clone, Default)]
pub(crate) struct Join {
    pub(crate) request: RequestId,
    /// Empty for a new member.
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Must a new member come back with the id that it is given (KIP-394).
    pub(crate) id_required: bool,
    /// The id for a new member.
    pub(crate) fresh_id: String,
}

/// The answer to a join.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Joined {
    pub(crate) error: Option<ResponseError>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    pub(crate) member: String,
    /// For the leader: id, instance and metadata of every member.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// A request for an assignment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sync {
    pub(crate) request: RequestId,
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// The answer to a sync.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Synced {
    pub(crate) error: Option<ResponseError>,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Bytes,
}

/// What a group wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Out {
    /// Answer a join.
    Joined(RequestId, Joined),
    /// Answer a sync.
    Synced(RequestId, Synced),
    /// Wake the group up.
    Timer(i64, Timer),
    /// Its members or generation changed in a way that must survive.
    Save,
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) state: State,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: Vec<Member>,
    /// When the state last changed.
    pub(crate) since_ms: i64,
    pub(crate) offsets: Offsets,
    /// Ids that were given out and not yet used, with the end of their time.
    pending: BTreeMap<String, i64>,
    /// Set while the first members of an empty group may still gather.
    gathering: bool,
    initial_delay_ms: i64,
    round: u64,
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) by_id: BTreeMap<String, Group>,
}

impl Groups {
    /// The group of this id.
    pub(crate) fn get(&self, id: &str) -> Option<&Group> {
        self.by_id.get(id)
    }

    /// The group of this id, to change.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Group> {
        self.by_id.get_mut(id)
    }

    /// The group of this id, made where there is none.
    pub(crate) fn get_or_create(&mut self, id: &str, now_ms: i64) -> &mut Group {
        self.by_id
            .entry(id.to_owned())
            .or_insert_with(|| Group::new(id, now_ms))
    }
}

impl Group {
    /// A group without members.
    pub(crate) fn new(id: &str, now_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Vec::new(),
            since_ms: now_ms,
            offsets: Offsets::default(),
            pending: BTreeMap::new(),
            gathering: false,
            initial_delay_ms: 0,
            round: 0,
        }
    }

    /// The member of this id.
    pub(crate) fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.id == id)
    }

    fn instance_member(&self, instance: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|m| m.instance.as_deref() == Some(instance))
    }

    fn become_state(&mut self, state: State, now_ms: i64) {
        self.state = state;
        self.since_ms = now_ms;
    }

    /// Is it a group that consumers with assigned partitions commit to, without members.
    pub(crate) fn is_simple(&self) -> bool {
        self.protocol_type.is_none()
    }

    /// Members join, or join again.
    pub(crate) fn join(&mut self, now_ms: i64, join: Join, initial_delay_ms: i64, out: &mut Vec<Out>) {
        self.initial_delay_ms = initial_delay_ms;
        let refuse = |error, member: &str| {
            Out::Joined(
                join.request,
                Joined {
                    error: Some(error),
                    generation: -1,
                    member: member.to_owned(),
                    ..Joined::default()
                },
            )
        };
        if self.state == State::Dead {
            out.push(refuse(ResponseError::CoordinatorNotAvailable, &join.member));
        } else if !self.supports(&join) {
            out.push(refuse(ResponseError::InconsistentGroupProtocol, &join.member));
        } else if join.member.is_empty() {
            self.join_new(now_ms, &join, out);
        } else if let Some(error) = self.identity_error(&join.member, join.instance.as_deref()) {
            if error == ResponseError::UnknownMemberId && self.pending.remove(&join.member).is_some() {
                self.add_member(now_ms, join.member.clone(), &join, out);
            } else {
                out.push(refuse(error, &join.member));
            }
        } else {
            self.rejoin(now_ms, &join, out);
        }
    }

    fn supports(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| {
                self.members
                    .iter()
                    .all(|m| m.protocols.iter().any(|(own, _)| own == name))
            })
    }

    /// Is this member the one that it says it is.
    fn identity_error(&self, member: &str, instance: Option<&str>) -> Option<ResponseError> {
        if let Some(instance) = instance {
            return match self.instance_member(instance) {
                Some(known) if known.id == member => None,
                Some(_) => Some(ResponseError::FencedInstanceId),
                None => Some(ResponseError::UnknownMemberId),
            };
        }
        if self.member(member).is_some() {
            None
        } else {
            Some(ResponseError::UnknownMemberId)
        }
    }

    fn join_new(&mut self, now_ms: i64, join: &Join, out: &mut Vec<Out>) {
        let id = join.fresh_id.clone();
        let known = join
            .instance
            .as_deref()
            .and_then(|i| self.instance_member(i))
            .map(|m| m.id.clone());
        if let Some(old) = known {
            self.replace_static(now_ms, &old, id, join, out);
        } else if join.id_required && join.instance.is_none() {
            let deadline = now_ms + i64::from(join.session_timeout_ms);
            self.pending.insert(id.clone(), deadline);
            out.push(Out::Timer(
                deadline,
                Timer::Member {
                    group: self.id.clone(),
                    member: id.clone(),
                },
            ));
            let answer = Joined {
                error: Some(ResponseError::MemberIdRequired),
                generation: -1,
                member: id,
                ..Joined::default()
            };
            out.push(Out::Joined(join.request, answer));
        } else {
            self.add_member(now_ms, id, join, out);
        }
    }

    /// A static member is back under a new id: it keeps its assignment where nothing else changed.
    fn replace_static(&mut self, now_ms: i64, old: &str, id: String, join: &Join, out: &mut Vec<Out>) {
        let stable = self.state == State::Stable;
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(id.clone());
        }
        let protocol = self.protocol.clone().unwrap_or_default();
        let mut same = false;
        if let Some(member) = self.member_mut(old) {
            if let Some(request) = member.joining.take() {
                out.push(Out::Joined(request, fenced(old)));
            }
            if let Some(request) = member.syncing.take() {
                let error = Some(ResponseError::FencedInstanceId);
                out.push(Out::Synced(
                    request,
                    Synced {
                        error,
                        ..Synced::default()
                    },
                ));
            }
            let before = member.metadata(&protocol);
            member.id.clone_from(&id);
            member.timer_set = false;
            member.protocols.clone_from(&join.protocols);
            same = before == member.metadata(&protocol);
        }
        self.heard_of(now_ms, &id, out);
        if stable && same {
            out.push(Out::Save);
            let answer = self.joined_answer(&id);
            out.push(Out::Joined(join.request, answer));
        } else {
            self.update_and_rebalance(now_ms, &id, join, out);
        }
    }

    fn add_member(&mut self, now_ms: i64, id: String, join: &Join, out: &mut Vec<Out>) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.members.push(Member {
            id: id.clone(),
            instance: join.instance.clone(),
            client_id: join.client_id.clone(),
            host: join.host.clone(),
            ..Member::default()
        });
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.update_and_rebalance(now_ms, &id, join, out);
    }

    fn rejoin(&mut self, now_ms: i64, join: &Join, out: &mut Vec<Out>) {
        let unchanged = self
            .member(&join.member)
            .is_some_and(|m| m.protocols == join.protocols);
        let is_leader = self.leader.as_deref() == Some(&join.member);
        let answer_now = match self.state {
            State::CompletingRebalance => unchanged,
            State::Stable => unchanged && !is_leader,
            _ => false,
        };
        if answer_now {
            self.heard_of(now_ms, &join.member, out);
            let answer = self.joined_answer(&join.member);
            out.push(Out::Joined(join.request, answer));
        } else {
            self.update_and_rebalance(now_ms, &join.member, join, out);
        }
    }

    fn update_and_rebalance(&mut self, now_ms: i64, id: &str, join: &Join, out: &mut Vec<Out>) {
        if let Some(member) = self.member_mut(id) {
            member.protocols.clone_from(&join.protocols);
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.session_timeout_ms = join.session_timeout_ms;
            // A second join replaces the first: the client gave that one up.
            if let Some(older) = member.joining.replace(join.request) {
                let error = Some(ResponseError::RebalanceInProgress);
                out.push(Out::Joined(
                    older,
                    Joined {
                        error,
                        generation: -1,
                        member: id.to_owned(),
                        ..Joined::default()
                    },
                ));
            }
        }
        self.heard_of(now_ms, id, out);
        self.prepare_rebalance(now_ms, out);
    }

    /// The answer for a member of the current generation.
    fn joined_answer(&self, id: &str) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if self.leader.as_deref() == Some(id) {
            self.members
                .iter()
                .map(|m| (m.id.clone(), m.instance.clone(), m.metadata(&protocol)))
                .collect()
        } else {
            Vec::new()
        };
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member: id.to_owned(),
            members,
        }
    }

    /// A member's session starts anew.
    fn heard_of(&mut self, now_ms: i64, id: &str, out: &mut Vec<Out>) {
        let group = self.id.clone();
        if let Some(member) = self.member_mut(id) {
            member.deadline_ms = now_ms + i64::from(member.session_timeout_ms);
            if !member.timer_set {
                member.timer_set = true;
                out.push(Out::Timer(
                    member.deadline_ms,
                    Timer::Member {
                        group,
                        member: member.id.clone(),
                    },
                ));
            }
        }
    }

    fn prepare_rebalance(&mut self, now_ms: i64, out: &mut Vec<Out>) {
        if self.state != State::PreparingRebalance {
            self.fail_syncs(ResponseError::RebalanceInProgress, out);
            self.gathering = self.state == State::Empty;
            let wait_ms = if self.gathering {
                self.initial_delay_ms
            } else {
                self.rebalance_timeout_ms()
            };
            self.round += 1;
            out.push(Out::Timer(
                now_ms + wait_ms,
                Timer::Rebalance {
                    group: self.id.clone(),
                    round: self.round,
                },
            ));
            self.become_state(State::PreparingRebalance, now_ms);
        }
        self.complete_if_all_joined(now_ms, out);
    }

    fn rebalance_timeout_ms(&self) -> i64 {
        self.members
            .iter()
            .map(|m| i64::from(m.rebalance_timeout_ms))
            .max()
            .unwrap_or(0)
    }

    fn complete_if_all_joined(&mut self, now_ms: i64, out: &mut Vec<Out>) {
        let all = self.pending.is_empty() && self.members.iter().all(|m| m.joining.is_some());
        if self.state == State::PreparingRebalance && !self.gathering && all {
            self.complete_join(now_ms, out);
        }
    }

    /// The rebalance has waited long enough.
    pub(crate) fn rebalance_timer(&mut self, now_ms: i64, round: u64, out: &mut Vec<Out>) {
        if self.state == State::PreparingRebalance && self.round == round {
            self.gathering = false;
            self.complete_join(now_ms, out);
        }
    }

    fn complete_join(&mut self, now_ms: i64, out: &mut Vec<Out>) {
        // Who has not come back is out, but for static members: they may be restarting.
        self.members
            .retain(|m| m.joining.is_some() || m.instance.is_some());
        if !self.members.is_empty() && self.members.iter().all(|m| m.joining.is_none()) {
            self.round += 1;
            let at = now_ms + self.rebalance_timeout_ms();
            out.push(Out::Timer(
                at,
                Timer::Rebalance {
                    group: self.id.clone(),
                    round: self.round,
                },
            ));
            return;
        }
        self.generation += 1;
        let leader_is_here = self
            .members
            .iter()
            .any(|m| Some(&m.id) == self.leader.as_ref() && m.joining.is_some());
        if !leader_is_here {
            self.leader = self
                .members
                .iter()
                .find(|m| m.joining.is_some())
                .map(|m| m.id.clone());
        }
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.become_state(State::Empty, now_ms);
            out.push(Out::Save);
            return;
        }
        self.protocol = self.elect_protocol();
        self.become_state(State::CompletingRebalance, now_ms);
        let ids: Vec<String> = self.members.iter().map(|m| m.id.clone()).collect();
        for id in ids {
            self.heard_of(now_ms, &id, out);
            let answer = self.joined_answer(&id);
            if let Some(request) = self.member_mut(&id).and_then(|m| m.joining.take()) {
                out.push(Out::Joined(request, answer));
            }
        }
        let at = now_ms + self.rebalance_timeout_ms();
        out.push(Out::Timer(
            at,
            Timer::Sync {
                group: self.id.clone(),
                generation: self.generation,
            },
        ));
    }

    /// Each member votes for the best protocol that all can do.
    fn elect_protocol(&self) -> Option<String> {
        let can_all = |name: &str| {
            self.members
                .iter()
                .all(|m| m.protocols.iter().any(|(own, _)| own == name))
        };
        let mut votes: Vec<(&str, usize)> = Vec::new();
        for member in &self.members {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| can_all(name)) {
                match votes.iter_mut().find(|(known, _)| known == name) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((name, 1)),
                }
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.to_owned())
    }

    fn fail_syncs(&mut self, error: ResponseError, out: &mut Vec<Out>) {
        for member in &mut self.members {
            if let Some(request) = member.syncing.take() {
                out.push(Out::Synced(
                    request,
                    Synced {
                        error: Some(error),
                        ..Synced::default()
                    },
                ));
            }
        }
    }

    /// A member asks for its assignment; the leader brings them all.
    pub(crate) fn sync(&mut self, now_ms: i64, sync: Sync, out: &mut Vec<Out>) {
        let error = self.sync_error(&sync);
        if let Some(error) = error {
            out.push(Out::Synced(
                sync.request,
                Synced {
                    error: Some(error),
                    ..Synced::default()
                },
            ));
            return;
        }
        self.heard_of(now_ms, &sync.member, out);
        if self.state == State::Stable {
            let answer = self.synced_answer(&sync.member);
            out.push(Out::Synced(sync.request, answer));
            return;
        }
        if let Some(member) = self.member_mut(&sync.member) {
            member.syncing = Some(sync.request);
        }
        if self.leader.as_deref() != Some(&sync.member) {
            return;
        }
        for member in &mut self.members {
            let given = sync.assignments.iter().find(|(id, _)| *id == member.id);
            member.assignment = given.map(|(_, a)| a.clone()).unwrap_or_default();
        }
        self.become_state(State::Stable, now_ms);
        out.push(Out::Save);
        for at in 0..self.members.len() {
            let answer = self.synced_answer(&self.members[at].id);
            if let Some(request) = self.members[at].syncing.take() {
                out.push(Out::Synced(request, answer));
            }
        }
    }

    fn sync_error(&self, sync: &Sync) -> Option<ResponseError> {
        if self.state == State::Dead {
            return Some(ResponseError::CoordinatorNotAvailable);
        }
        if let Some(error) = self.identity_error(&sync.member, sync.instance.as_deref()) {
            return Some(error);
        }
        let differs = |said: &Option<String>, own: &Option<String>| said.is_some() && said != own;
        match self.state {
            _ if sync.generation != self.generation => Some(ResponseError::IllegalGeneration),
            _ if differs(&sync.protocol_type, &self.protocol_type)
                || differs(&sync.protocol, &self.protocol) =>
            {
                Some(ResponseError::InconsistentGroupProtocol)
            }
            State::PreparingRebalance => Some(ResponseError::RebalanceInProgress),
            State::Empty | State::Dead => Some(ResponseError::UnknownMemberId),
            State::CompletingRebalance | State::Stable => None,
        }
    }

    fn synced_answer(&self, id: &str) -> Synced {
        Synced {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.member(id).map(|m| m.assignment.clone()).unwrap_or_default(),
        }
    }

    /// Members who have not asked for their assignment in time are out.
    pub(crate) fn sync_timer(&mut self, now_ms: i64, generation: i32, out: &mut Vec<Out>) {
        if self.state == State::CompletingRebalance && self.generation == generation {
            let late: Vec<String> = self
                .members
                .iter()
                .filter(|m| m.syncing.is_none())
                .map(|m| m.id.clone())
                .collect();
            if !late.is_empty() {
                for id in late {
                    self.drop_member(&id, out);
                }
                self.after_leaving(now_ms, out);
            }
        }
    }

    /// A member says that it is alive.
    pub(crate) fn heartbeat(
        &mut self,
        now_ms: i64,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        out: &mut Vec<Out>,
    ) -> Option<ResponseError> {
        if self.state == State::Dead {
            return Some(ResponseError::CoordinatorNotAvailable);
        }
        if let Some(error) = self.identity_error(member, instance) {
            return Some(error);
        }
        if generation != self.generation {
            return Some(ResponseError::IllegalGeneration);
        }
        self.heard_of(now_ms, member, out);
        (self.state == State::PreparingRebalance).then_some(ResponseError::RebalanceInProgress)
    }

    /// May this member commit offsets now.
    pub(crate) fn commit_error(
        &mut self,
        now_ms: i64,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        out: &mut Vec<Out>,
    ) -> Option<ResponseError> {
        if generation < 0 && self.state == State::Empty {
            return None;
        }
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            if let Some(error) = self.identity_error(member, instance) {
                return Some(error);
            }
            if generation != self.generation {
                return Some(ResponseError::IllegalGeneration);
            }
        } else {
            return Some(ResponseError::UnknownMemberId);
        }
        if self.state == State::CompletingRebalance {
            return Some(ResponseError::RebalanceInProgress);
        }
        self.heard_of(now_ms, member, out);
        None
    }

    /// A member leaves, by its id or as a static member by its instance.
    pub(crate) fn leave(
        &mut self,
        now_ms: i64,
        member: &str,
        instance: Option<&str>,
        out: &mut Vec<Out>,
    ) -> Option<ResponseError> {
        if self.state == State::Dead {
            return Some(ResponseError::CoordinatorNotAvailable);
        }
        let id = match instance {
            Some(instance) if member.is_empty() => match self.instance_member(instance) {
                Some(known) => known.id.clone(),
                None => return Some(ResponseError::UnknownMemberId),
            },
            _ => member.to_owned(),
        };
        if self.pending.remove(&id).is_some() {
            self.complete_if_all_joined(now_ms, out);
            return None;
        }
        if let Some(error) = self.identity_error(&id, instance) {
            return Some(error);
        }
        self.drop_member(&id, out);
        self.after_leaving(now_ms, out);
        None
    }

    fn drop_member(&mut self, id: &str, out: &mut Vec<Out>) {
        let Some(at) = self.members.iter().position(|m| m.id == id) else {
            return;
        };
        let member = self.members.remove(at);
        let error = Some(ResponseError::UnknownMemberId);
        if let Some(request) = member.joining {
            out.push(Out::Joined(
                request,
                Joined {
                    error,
                    generation: -1,
                    member: id.to_owned(),
                    ..Joined::default()
                },
            ));
        }
        if let Some(request) = member.syncing {
            out.push(Out::Synced(
                request,
                Synced {
                    error,
                    ..Synced::default()
                },
            ));
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.first().map(|m| m.id.clone());
        }
    }

    fn after_leaving(&mut self, now_ms: i64, out: &mut Vec<Out>) {
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(now_ms, out),
            State::PreparingRebalance => self.complete_if_all_joined(now_ms, out),
            State::Empty | State::Dead => {}
        }
    }

    /// A member's time may be over.
    pub(crate) fn member_timer(&mut self, now_ms: i64, id: &str, out: &mut Vec<Out>) {
        if let Some(deadline) = self.pending.get(id).copied() {
            if deadline <= now_ms {
                self.pending.remove(id);
                self.complete_if_all_joined(now_ms, out);
            }
            return;
        }
        let group = self.id.clone();
        let Some(member) = self.member_mut(id) else { return };
        // Who waits for an answer can't send heartbeats.
        if member.joining.is_some() || member.syncing.is_some() {
            member.deadline_ms = now_ms + i64::from(member.session_timeout_ms);
        }
        if member.deadline_ms > now_ms {
            out.push(Out::Timer(
                member.deadline_ms,
                Timer::Member {
                    group,
                    member: id.to_owned(),
                },
            ));
            return;
        }
        self.drop_member(id, out);
        self.after_leaving(now_ms, out);
    }

    /// Puts back what a log says of the group.
    pub(crate) fn restore_members(&mut self, now_ms: i64, members: Vec<Member>, out: &mut Vec<Out>) {
        self.members = members;
        self.state = if self.members.is_empty() {
            State::Empty
        } else {
            State::Stable
        };
        for id in self.members.iter().map(|m| m.id.clone()).collect::<Vec<_>>() {
            self.heard_of(now_ms, &id, out);
        }
    }

    /// The topics that consumers of the group have subscribed to, as far as their metadata can be read.
    pub(crate) fn subscribed_topics(&self) -> BTreeSet<String> {
        if self.protocol_type.as_deref() != Some("consumer") {
            return BTreeSet::new();
        }
        self.members
            .iter()
            .flat_map(|m| &m.protocols)
            .flat_map(|(_, metadata)| subscription(metadata))
            .collect()
    }
}

/// The topics in a consumer's subscription: version, then an array of names.
fn subscription(metadata: &Bytes) -> Vec<String> {
    use bytes::Buf;
    let mut rest = metadata.clone();
    let mut topics = Vec::new();
    if rest.remaining() < 6 {
        return topics;
    }
    rest.advance(2);
    let count = rest.get_i32();
    for _ in 0..count.max(0) {
        if rest.remaining() < 2 {
            break;
        }
        let len = usize::from(rest.get_u16());
        if rest.remaining() < len {
            break;
        }
        topics.push(String::from_utf8_lossy(&rest.split_to(len)).into_owned());
    }
    topics
}

fn fenced(member: &str) -> Joined {
    Joined {
        error: Some(ResponseError::FencedInstanceId),
        generation: -1,
        member: member.to_owned(),
        ..Joined::default()
    }
}

#[cfg(test)]
mod tests;
