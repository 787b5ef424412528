//! Groups of the classic protocol, where one member, the leader, makes the assignment.
//!
//! `Empty → PreparingRebalance → CompletingRebalance → Stable`. A join waits until all members have joined or the
//! rebalance time-out is over; a sync waits for the leader's assignment. Static members: KIP-345.

mod commit;
mod join;
mod leave;
mod rebalance;
mod sync;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::records::Saved;
use super::{Asker, Cx, Out, Wake, assignor, embedded};

pub(crate) use leave::Leaving;

/// How long a new member may wait in its first join: it doesn't know its id yet, so it can't send heartbeats.
const NEW_MEMBER_MS: i64 = 5 * 60 * 1000;

/// Where a group is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl State {
    /// The name that Kafka shows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// One member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// Set for a static member.
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// Name and metadata of each protocol that it can do, best first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// When its session ends unless it is heard of.
    pub(crate) deadline_ms: Option<i64>,
    /// It has never got an answer to a join.
    pub(crate) is_new: bool,
    /// The join that it waits for.
    pub(crate) joining: Option<Asker>,
    /// The sync that it waits for.
    pub(crate) syncing: Option<Asker>,
    /// The earliest wake-up that was asked for.
    pub(crate) armed_ms: Option<i64>,
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

    fn can(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

/// A request to join.
#[derive(Debug, Clone, Default)]
pub(crate) struct Join {
    pub(crate) asker: Asker,
    /// Empty for a new member.
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Something random, for the id of a new member of a classic group.
    pub(crate) fresh_id: String,
    /// The id of a new member of a consumer group.
    pub(crate) fresh_consumer_id: String,
}

impl Join {
    /// Must a new member come back with the id that it is given (KIP-394).
    pub(crate) fn id_required(&self) -> bool {
        self.asker.version >= 4 && self.instance.is_none()
    }

    /// The member's id in a consumer group: the one that it has, or something random.
    pub(crate) fn id_in_consumer_group(&self) -> String {
        if self.member.is_empty() {
            self.fresh_consumer_id.clone()
        } else {
            self.member.clone()
        }
    }

    /// The id of a new member of a classic group: its name for itself, and something random.
    fn new_id(&self) -> String {
        let name = self.instance.as_deref().unwrap_or(&self.client_id);
        format!("{name}-{}", self.fresh_id)
    }
}

/// The answer to a join.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Joined {
    pub(crate) error: Option<ResponseError>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    /// The leader has nothing to do: it is back, and the assignment stands (KIP-814).
    pub(crate) skip_assignment: bool,
    pub(crate) member: String,
    /// For the leader: id, instance and metadata of every member.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

impl Joined {
    /// A consumer has joined a group whose coordinator makes the assignment: there is no leader.
    pub(crate) fn without_leader(join: &Join, member: &str, generation: i32) -> Self {
        Self {
            error: None,
            generation,
            protocol_type: Some(embedded::PROTOCOL_TYPE.to_owned()),
            protocol: join.protocols.first().map(|(name, _)| name.clone()),
            leader: String::new(),
            skip_assignment: false,
            member: member.to_owned(),
            members: Vec::new(),
        }
    }

    /// A refusal.
    pub(crate) fn refused(error: ResponseError, member: &str) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member: member.to_owned(),
            members: Vec::new(),
        }
    }
}

/// A request for an assignment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sync {
    pub(crate) asker: Asker,
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

impl Synced {
    /// A refusal.
    pub(crate) fn refused(error: ResponseError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

/// What survives of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SavedGroup {
    pub(crate) protocol_type: String,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) since_ms: Option<i64>,
    pub(crate) members: Vec<SavedMember>,
}

/// What survives of a member.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SavedMember {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

/// One group of the classic protocol.
#[derive(Debug)]
pub(crate) struct Classic {
    pub(crate) id: String,
    pub(crate) state: State,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: Vec<Member>,
    /// When the state last changed.
    pub(crate) since_ms: Option<i64>,
    /// Ids that were given out and not yet used, with the end of their time.
    pending: BTreeMap<String, i64>,
    /// Members of this generation that have not asked for their assignment.
    unsynced: BTreeSet<String>,
    /// Set while the first members of an empty group may still gather: how much longer than the next wake-up.
    gathering: Option<Gathering>,
    /// Counts rebalances, so that a wake-up for an older one means nothing.
    round: u64,
    /// What consumers want; nothing where it can't be known.
    subscribed: Option<BTreeSet<String>>,
}

/// An empty group's first rebalance, which waits longer each time that somebody comes (KIP-134).
#[derive(Debug, Clone, Copy)]
struct Gathering {
    delay_ms: i64,
    remaining_ms: i64,
    came: bool,
}

impl Classic {
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
            since_ms: Some(now_ms),
            pending: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            gathering: None,
            round: 0,
            subscribed: None,
        }
    }

    /// A group as a log has it; its members are alive again once [`load`](Self::load) is called.
    pub(crate) fn revive(id: &str, saved: &SavedGroup) -> Self {
        let protocol = saved.protocol.clone().unwrap_or_default();
        let members = saved.members.iter().map(|m| Member {
            id: m.id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            host: m.host.clone(),
            rebalance_timeout_ms: m.rebalance_timeout_ms,
            session_timeout_ms: m.session_timeout_ms,
            protocols: vec![(protocol.clone(), m.subscription.clone())],
            assignment: m.assignment.clone(),
            ..Member::default()
        });
        let mut group = Self::new(id, 0);
        group.members = members.collect();
        if !group.members.is_empty() {
            group.state = State::Stable;
        }
        group.generation = saved.generation;
        group.protocol_type = Some(saved.protocol_type.clone()).filter(|kind| !kind.is_empty());
        group.protocol.clone_from(&saved.protocol);
        group.leader.clone_from(&saved.leader);
        group.since_ms = saved.since_ms;
        group.subscribed = group.compute_subscribed();
        group
    }

    /// The log is read: members' sessions begin anew.
    pub(crate) fn load(&mut self, cx: &mut Cx) {
        for id in self.ids() {
            self.heard_of(cx, &id);
        }
        if self.members.len() > cx.rules.classic_max_size {
            self.prepare_rebalance(cx);
        }
    }

    /// The group moves to another broker: who waits must ask there.
    pub(crate) fn unload(&mut self, cx: &mut Cx) {
        for member in &mut self.members {
            if let Some(asker) = member.joining.take() {
                let refused = Joined::refused(ResponseError::NotCoordinator, &member.id);
                cx.out.push(Out::Joined(asker, refused));
            }
            if let Some(asker) = member.syncing.take() {
                let refused = Synced::refused(ResponseError::NotCoordinator);
                cx.out.push(Out::Synced(asker, refused));
            }
        }
    }

    /// What survives of it.
    pub(crate) fn saved(&self) -> Saved {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|m| SavedMember {
            id: m.id.clone(),
            instance: m.instance.clone(),
            client_id: m.client_id.clone(),
            host: m.host.clone(),
            rebalance_timeout_ms: m.rebalance_timeout_ms,
            session_timeout_ms: m.session_timeout_ms,
            subscription: m.metadata(&protocol),
            assignment: m.assignment.clone(),
        });
        Saved::Group {
            group: self.id.clone(),
            saved: Some(SavedGroup {
                protocol_type: self.protocol_type.clone().unwrap_or_default(),
                generation: self.generation,
                protocol: self.protocol.clone(),
                leader: self.leader.clone(),
                since_ms: self.since_ms,
                members: members.collect(),
            }),
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

    fn ids(&self) -> Vec<String> {
        self.members.iter().map(|m| m.id.clone()).collect()
    }

    fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    fn become_state(&mut self, cx: &Cx, state: State) {
        self.state = state;
        self.since_ms = Some(cx.now_ms);
    }

    /// Are its members consumers, whose metadata can be read.
    pub(crate) fn is_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(embedded::PROTOCOL_TYPE)
    }

    /// Is it a group that consumers with assigned partitions commit to, without members.
    pub(crate) fn is_simple(&self) -> bool {
        self.protocol_type.is_none() && self.state == State::Empty && self.pending.is_empty()
    }

    /// Does a member want this topic; consumers whose metadata can't be read may want any.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_consumers(),
        }
    }

    /// Notes what its members want, after they were put in by hand.
    pub(crate) fn note_subscribed(&mut self) {
        self.subscribed = self.compute_subscribed();
    }

    fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut all = BTreeSet::new();
        for member in &self.members {
            all.extend(embedded::topics(&member.metadata(protocol)).ok()?);
        }
        Some(all)
    }

    /// When an offset's time to live began, if it can expire (KIP-211).
    pub(crate) fn offset_idle_since(&self, commit_ms: i64) -> Option<i64> {
        if self.protocol_type.is_none() {
            return Some(commit_ms);
        }
        match self.state {
            State::Empty => Some(self.since_ms.unwrap_or(commit_ms)),
            State::Stable if self.is_consumers() && self.subscribed.is_some() => Some(commit_ms),
            _ => None,
        }
    }

    /// Does it fit the members that there are.
    fn supports(&self, kind: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.state == State::Empty {
            return !kind.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(kind)
            && protocols
                .iter()
                .any(|(name, _)| self.members.iter().all(|m| m.can(name)))
    }

    /// Each member votes for the best protocol that all can do.
    pub(crate) fn elect_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in &self.members {
            let best = member
                .protocols
                .iter()
                .find(|(name, _)| self.members.iter().all(|m| m.can(name)));
            if let Some((name, _)) = best {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        // With as many votes for each of several, Kafka takes the first of a hash map.
        let names: Vec<&str> = votes.keys().copied().collect();
        assignor::java_order(names)
            .into_iter()
            .find(|name| votes.get(name) == Some(&most))
            .map(str::to_owned)
    }

    /// Is this member the one that it says it is.
    fn identity_error(&self, member: &str, instance: Option<&str>) -> Option<ResponseError> {
        if let Some(instance) = instance {
            match self.instance_member(instance) {
                None => return Some(ResponseError::UnknownMemberId),
                Some(known) if known.id != member => return Some(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.member(member).is_some() {
            None
        } else {
            Some(ResponseError::UnknownMemberId)
        }
    }

    /// A member's session starts anew.
    fn heard_of(&mut self, cx: &mut Cx, id: &str) {
        if let Some(member) = self.member_mut(id) {
            let deadline = cx.now_ms + i64::from(member.session_timeout_ms);
            self.set_deadline(cx, id, deadline);
        }
    }

    fn set_deadline(&mut self, cx: &mut Cx, id: &str, deadline_ms: i64) {
        if let Some(member) = self.member_mut(id) {
            member.deadline_ms = Some(deadline_ms);
            if member.armed_ms.is_none_or(|armed| armed > deadline_ms) {
                member.armed_ms = Some(deadline_ms);
                cx.out.push(Out::Wake(deadline_ms, Wake::Member(id.to_owned())));
            }
        }
    }

    /// A deadline may be over.
    pub(crate) fn wake(&mut self, cx: &mut Cx, wake: &Wake) {
        match wake {
            Wake::Member(id) => self.member_due(cx, id),
            Wake::Rebalance(round) if *round == self.round => self.rebalance_due(cx),
            Wake::Rebalance(_) => {}
            Wake::Sync(generation) => self.sync_due(cx, *generation),
        }
    }

    fn member_due(&mut self, cx: &mut Cx, id: &str) {
        if let Some(deadline) = self.pending.get(id) {
            if *deadline <= cx.now_ms {
                self.pending.remove(id);
                self.complete_if_all_joined(cx);
            }
            return;
        }
        let Some(member) = self.member_mut(id) else { return };
        member.armed_ms = None;
        let Some(deadline) = member.deadline_ms else {
            return;
        };
        if deadline > cx.now_ms {
            self.set_deadline(cx, id, deadline);
            return;
        }
        // Who waits for an answer can't send heartbeats; the answer starts its session anew.
        if !member.is_new && (member.joining.is_some() || member.syncing.is_some()) {
            member.deadline_ms = None;
            return;
        }
        self.drop_member(cx, id);
        self.after_leaving(cx);
    }
}

#[cfg(test)]
mod tests;
