//! What consumer groups (KIP-848) and share groups (KIP-932) have in common: the groups that Kafka calls *modern*, whose
//! assignment the coordinator makes.
//!
//! A change of members, subscriptions or topics bumps the *group epoch*; an assignor makes a *target assignment* for it;
//! a member's heartbeats bring it there, and it has its *member epoch* when it has arrived.

mod deadlines;
mod hash;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use kafka_protocol::ResponseError;

use super::records::{ModernSaved, OwnRecord, Saved, Value};
use super::{Cx, Kind, ModernRules, Out, Partitions, Rules, TopicImage};
use crate::core::Refusal;
use hash::topics_hash;

pub(crate) use deadlines::Deadlines;

/// Epoch with which a member leaves for good.
pub(crate) const LEAVE_EPOCH: i32 = -1;

/// A type of modern group: what it differs in from the others.
pub(crate) trait GroupType: Debug + Clone + PartialEq {
    /// Its name in Kafka's answers.
    const NAME: &'static str;
    /// The name that begins a sentence.
    const TITLE: &'static str;

    /// What a member says of itself.
    type Metadata: Debug + Clone + PartialEq + Value;
    /// What a member has.
    type Current: Debug + Clone + PartialEq + Value;
    /// What groups of this type keep and others don't.
    type Own: Debug + Default;
    /// What one record says of that.
    type OwnSaved: Debug + Clone + PartialEq + OwnRecord;

    /// The settings that it goes by.
    fn rules(rules: &Rules) -> &ModernRules;
    /// What a member says that has said nothing.
    fn silent() -> Self::Metadata;
    /// What a member has in this epoch that has nothing.
    fn empty_handed(epoch: i32, previous_epoch: i32) -> Self::Current;
    /// The epoch of a member.
    fn epoch(current: &Self::Current) -> i32;
    /// How long a member may be silent.
    fn session_timeout_ms(metadata: &Self::Metadata, rules: &Rules) -> i64;
    /// The topics that a member wants.
    fn wanted<'a>(own: &'a Self::Own, metadata: &'a Self::Metadata) -> BTreeSet<&'a str>;
    /// What each member is to have.
    fn assign(group: &Modern<Self>, cx: &Cx) -> BTreeMap<String, Partitions>;
    /// Takes in what a record says.
    fn apply(own: &mut Self::Own, saved: &Self::OwnSaved);
    /// The records that remove it.
    fn tombstones(own: &Self::Own) -> Vec<Self::OwnSaved>;

    /// A record of a group of this type.
    fn saved(group: String, saved: ModernSaved<Self>) -> Saved;
    /// A group of this type, as one among others.
    fn kind(group: Modern<Self>) -> Kind;
    /// The group, where it is of this type.
    fn of(kind: &Kind) -> Option<&Modern<Self>>;
    /// The group, to change, where it is of this type.
    fn of_mut(kind: &mut Kind) -> Option<&mut Modern<Self>>;
}

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member<T: GroupType> {
    pub(crate) metadata: T::Metadata,
    pub(crate) current: T::Current,
    pub(super) deadlines: Deadlines,
}

impl<T: GroupType> Member<T> {
    /// One that has said nothing yet.
    pub(super) fn fresh() -> Self {
        Self {
            metadata: T::silent(),
            current: T::empty_handed(0, -1),
            deadlines: Deadlines::default(),
        }
    }
}

/// One group.
#[derive(Debug)]
pub(crate) struct Modern<T: GroupType> {
    pub(crate) id: String,
    pub(crate) epoch: i32,
    /// Of the subscribed topics, as they were at this epoch.
    pub(crate) hash: i64,
    pub(crate) assignment_epoch: i32,
    /// When the target assignment was made.
    pub(crate) assigned_ms: i64,
    pub(crate) members: BTreeMap<String, Member<T>>,
    pub(crate) target: BTreeMap<String, Partitions>,
    pub(super) own: T::Own,
    /// The hash of the subscribed topics at the last heartbeat: another now means that topics have changed.
    seen_hash: Option<i64>,
}

impl<T: GroupType> Modern<T> {
    /// A group without members.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            epoch: 1,
            hash: 0,
            assignment_epoch: 1,
            assigned_ms: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            own: T::Own::default(),
            seen_hash: None,
        }
    }

    /// Every topic that somebody wants.
    pub(super) fn subscribed(&self) -> BTreeSet<&str> {
        let members = self.members.values();
        members.flat_map(|m| T::wanted(&self.own, &m.metadata)).collect()
    }

    /// Does a member want this topic.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        let mut members = self.members.values();
        members.any(|m| T::wanted(&self.own, &m.metadata).contains(topic))
    }

    /// A hash of the subscribed topics that there are: their names, ids and numbers of partitions.
    pub(super) fn topics_hash(&self, topics: &dyn TopicImage) -> i64 {
        topics_hash(self.subscribed(), topics)
    }

    /// Have topics come, gone or changed since the last heartbeat.
    pub(super) fn topics_changed(&self, cx: &Cx) -> bool {
        self.seen_hash != Some(self.topics_hash(cx.topics))
    }

    /// Begins a new group epoch where there is cause to, or where the `topics_changed` are ones that somebody wants.
    /// Says whether there is a new one.
    pub(super) fn bump(&mut self, cx: &mut Cx, cause: bool, topics_changed: bool) -> bool {
        let hash = self.topics_hash(cx.topics);
        let bump = cause || (topics_changed && hash != self.hash);
        if bump {
            self.put_epoch(cx);
        }
        self.seen_hash = Some(hash);
        bump
    }

    /// May this member come in.
    ///
    /// # Errors
    /// `GROUP_MAX_SIZE_REACHED`.
    pub(super) fn check_room(&self, cx: &Cx, member: &str) -> Result<(), Refusal> {
        let max = T::rules(cx.rules).max_size;
        if self.members.len() < max || self.members.contains_key(member) {
            return Ok(());
        }
        let name = T::NAME;
        Err(Refusal::new(
            ResponseError::GroupMaxSizeReached,
            format!("The {name} group has reached its maximum capacity of {max} members."),
        ))
    }

    pub(super) fn not_a_member(&self, member: &str) -> Refusal {
        Refusal::new(
            ResponseError::UnknownMemberId,
            format!("Member {member} is not a member of group {}.", self.id),
        )
    }

    /// Makes a new target where the group has changed; not more often than the assignment interval allows.
    pub(super) fn update_target(&mut self, cx: &mut Cx) {
        if self.assignment_epoch >= self.epoch {
            return;
        }
        let interval_ms = T::rules(cx.rules).assignment_interval_ms;
        if self.assigned_ms != 0 && interval_ms != 0 && cx.now_ms < self.assigned_ms + interval_ms {
            return;
        }
        let mut made = T::assign(self, cx);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let partitions = made.remove(&id).unwrap_or_default();
            if self.target.get(&id) != Some(&partitions) {
                self.put(cx, ModernSaved::Target(id, Some(partitions)));
            }
        }
        let target = Some((self.epoch, cx.now_ms));
        self.put(cx, ModernSaved::TargetEpoch(target));
    }

    /// Changes the group by a record, and has the record saved.
    pub(crate) fn put(&mut self, cx: &mut Cx, saved: ModernSaved<T>) {
        self.apply(&saved);
        cx.out.push(Out::Save(T::saved(self.id.clone(), saved)));
    }

    /// Begins a new group epoch.
    pub(super) fn put_epoch(&mut self, cx: &mut Cx) {
        let next = Some((self.epoch + 1, self.topics_hash(cx.topics)));
        self.put(cx, ModernSaved::Epoch(next));
    }

    /// Notes what a member says of itself, where that is news.
    pub(super) fn put_news(&mut self, cx: &mut Cx, member: &str, before: &T::Metadata, after: T::Metadata) {
        if !self.members.contains_key(member) || after != *before {
            self.put(cx, ModernSaved::Member(member.to_owned(), Some(after)));
        }
    }

    pub(super) fn put_current(&mut self, cx: &mut Cx, member: &str, current: T::Current) {
        self.put(cx, ModernSaved::Current(member.to_owned(), Some(current)));
    }

    /// Forgets a member.
    pub(super) fn put_gone(&mut self, cx: &mut Cx, member: &str) {
        for saved in member_tombstones(member) {
            self.put(cx, saved);
        }
    }

    /// Takes in what a record says.
    pub(crate) fn apply(&mut self, saved: &ModernSaved<T>) {
        match saved {
            ModernSaved::Epoch(Some((epoch, hash))) => (self.epoch, self.hash) = (*epoch, *hash),
            ModernSaved::Epoch(None) => {}
            ModernSaved::TargetEpoch(target) => {
                (self.assignment_epoch, self.assigned_ms) = target.unwrap_or((-1, 0));
            }
            ModernSaved::Member(id, Some(metadata)) => {
                self.member(id).metadata = metadata.clone();
            }
            ModernSaved::Member(id, None) => {
                self.members.remove(id);
            }
            ModernSaved::Target(id, Some(partitions)) => {
                self.target.insert(id.clone(), partitions.clone());
            }
            ModernSaved::Target(id, None) => {
                self.target.remove(id);
            }
            ModernSaved::Current(id, Some(current)) => {
                self.member(id).current = current.clone();
            }
            ModernSaved::Current(id, None) => {
                if let Some(known) = self.members.get_mut(id) {
                    known.current = T::empty_handed(LEAVE_EPOCH, LEAVE_EPOCH);
                }
            }
            ModernSaved::Own(saved) => T::apply(&mut self.own, saved),
        }
    }

    fn member(&mut self, id: &str) -> &mut Member<T> {
        self.members.entry(id.to_owned()).or_insert_with(Member::fresh)
    }

    /// The records that remove the group.
    pub(crate) fn tombstones(&self) -> Vec<Saved> {
        let each = |kind: usize| {
            let members = self.members.keys();
            members.map(move |member| member_tombstones(member).swap_remove(kind))
        };
        let mut gone: Vec<ModernSaved<T>> = each(0).chain(each(1)).collect();
        gone.push(ModernSaved::TargetEpoch(None));
        gone.extend(each(2));
        gone.extend(T::tombstones(&self.own).into_iter().map(ModernSaved::Own));
        gone.push(ModernSaved::Epoch(None));
        let of_group = |saved| T::saved(self.id.clone(), saved);
        gone.into_iter().map(of_group).collect()
    }
}

/// The records that remove a member: what it has, what it is to have, what it said.
fn member_tombstones<T: GroupType>(member: &str) -> Vec<ModernSaved<T>> {
    let member = || member.to_owned();
    vec![
        ModernSaved::Current(member(), None),
        ModernSaved::Target(member(), None),
        ModernSaved::Member(member(), None),
    ]
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beaten {
    pub(crate) member: String,
    pub(crate) epoch: i32,
    /// 0 for a member that leaves.
    pub(crate) heartbeat_interval_ms: i32,
    /// What it is to have, where that may be news.
    pub(crate) assignment: Option<Partitions>,
}

impl Beaten {
    /// The answer to a member that leaves with this epoch.
    pub(super) fn left(member: &str, epoch: i32) -> Self {
        Self {
            member: member.to_owned(),
            epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        }
    }
}
