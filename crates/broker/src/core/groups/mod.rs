//! Groups of consumers: a state machine each, without sockets, clock or log.
//!
//! A group is of the [`classic`] protocol, where a member makes the assignment, or a [`consumer`] group (KIP-848), where
//! the coordinator does; it becomes one from the other ([`migrate`]). A [`share`] group (KIP-932) is of a kind of its own.
//! What the latter two have in common is in [`modern`]. What a group wants done it says in a [`Cx`]: what must survive,
//! whom to answer, when to be woken.

pub(crate) mod assignor;
pub(crate) mod classic;
pub(crate) mod consumer;
pub(crate) mod embedded;
pub(crate) mod migrate;
pub(crate) mod modern;
pub(crate) mod records;
pub(crate) mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::group_log::Unsafe;
use super::offsets::Offsets;
use super::topics::Topics;
use super::{Refusal, RequestId};
use classic::{Classic, Joined, Synced};
use consumer::{Consumer, ConsumerType};
use modern::{GroupType, Modern};
use records::{Layout, ModernSaved, Saved};
use share::{Share, ShareType};

/// A member id made by the coordinator of a consumer group, written as Kafka writes its ids.
pub(crate) fn random_id(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// Partitions by topic.
pub(crate) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;
/// Partitions by topic, each with the epoch at which its owner got it.
pub(crate) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// The settings that groups go by, as the broker's configuration has them.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// `group.initial.rebalance.delay.ms`
    pub(crate) initial_delay_ms: i64,
    /// `group.max.size`
    pub(crate) classic_max_size: usize,
    /// The first of `group.consumer.assignors`.
    pub(crate) default_assignor: String,
    /// May a classic group become a consumer group while it has members (`group.consumer.migration.policy`).
    pub(crate) upgrade: bool,
    /// May a consumer group become a classic group while it has members.
    pub(crate) downgrade: bool,
    pub(crate) consumer: ModernRules,
    pub(crate) share: ModernRules,
}

/// The settings that modern groups of a type go by; TYPE is `consumer` or `share`.
#[derive(Debug, Clone)]
pub(crate) struct ModernRules {
    /// `group.TYPE.max.size`
    pub(crate) max_size: usize,
    /// `group.TYPE.session.timeout.ms`, or the group's own `TYPE.session.timeout.ms`
    pub(crate) session_timeout_ms: i64,
    /// `group.TYPE.heartbeat.interval.ms`, or the group's own `TYPE.heartbeat.interval.ms`
    pub(crate) heartbeat_interval_ms: i32,
    /// `group.TYPE.assignment.interval.ms`, or the group's own `TYPE.assignment.interval.ms`
    pub(crate) assignment_interval_ms: i64,
}

impl Default for ModernRules {
    fn default() -> Self {
        Self {
            max_size: usize::MAX,
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            assignment_interval_ms: 0,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            initial_delay_ms: 0,
            classic_max_size: usize::MAX,
            default_assignor: "uniform".to_owned(),
            upgrade: true,
            downgrade: true,
            consumer: ModernRules::default(),
            share: ModernRules::default(),
        }
    }
}

/// The topics that there are.
pub(crate) trait TopicImage {
    /// Id and number of partitions.
    fn by_name(&self, name: &str) -> Option<(Uuid, i32)>;
    /// Name and number of partitions.
    fn by_id(&self, id: Uuid) -> Option<(Arc<str>, i32)>;
    /// Every name.
    fn names(&self) -> Vec<Arc<str>>;
}

impl TopicImage for Topics {
    fn by_name(&self, name: &str) -> Option<(Uuid, i32)> {
        self.get(name)
            .map(|topic| (topic.id, topic.partitions.len() as i32))
    }

    fn by_id(&self, id: Uuid) -> Option<(Arc<str>, i32)> {
        let topic = self.get(self.name_of(id)?)?;
        Some((topic.name.clone(), topic.partitions.len() as i32))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.iter().map(|topic| topic.name.clone()).collect()
    }
}

/// Who waits for an answer, and in which version of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Asker {
    pub(crate) request: RequestId,
    pub(crate) version: i16,
}

/// What a group asked to be woken for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// One of a member's deadlines may be over.
    Member(String),
    /// A rebalance has waited long enough for its members.
    Rebalance(u64),
    /// Members of this generation must have sent SyncGroup by now.
    Sync(i32),
}

/// What a group wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Out {
    /// Answer a join.
    Joined(Asker, Joined),
    /// Answer a sync.
    Synced(Asker, Synced),
    /// Wake the group up.
    Wake(i64, Wake),
    /// This must survive, before anything after it is answered.
    Save(Saved),
}

/// What a group's step works with, and what it wants done.
pub(crate) struct Cx<'a> {
    pub(crate) now_ms: i64,
    pub(crate) rules: &'a Rules,
    pub(crate) topics: &'a dyn TopicImage,
    pub(crate) out: Vec<Out>,
}

impl<'a> Cx<'a> {
    /// With nothing wanted yet.
    pub(crate) fn new(now_ms: i64, rules: &'a Rules, topics: &'a dyn TopicImage) -> Self {
        Self {
            now_ms,
            rules,
            topics,
            out: Vec::new(),
        }
    }
}

/// The protocol that a group is of.
#[derive(Debug)]
pub(crate) enum Kind {
    Classic(Classic),
    Consumer(Consumer),
    Share(Share),
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) offsets: Offsets,
    pub(crate) kind: Kind,
}

impl Group {
    /// A group of the classic protocol without members.
    pub(crate) fn new(id: &str, now_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            offsets: Offsets::default(),
            kind: Kind::Classic(Classic::new(id, now_ms)),
        }
    }

    /// The group, where it is of the classic protocol.
    pub(crate) fn classic(&self) -> Option<&Classic> {
        match &self.kind {
            Kind::Classic(classic) => Some(classic),
            Kind::Consumer(_) | Kind::Share(_) => None,
        }
    }

    /// The group, where it is a consumer group.
    pub(crate) fn consumer(&self) -> Option<&Consumer> {
        ConsumerType::of(&self.kind)
    }

    /// The group, where it is a share group.
    pub(crate) fn share(&self) -> Option<&Share> {
        ShareType::of(&self.kind)
    }

    /// The name of its state that Kafka shows.
    pub(crate) fn state_name(&self) -> &'static str {
        match &self.kind {
            Kind::Classic(classic) => classic.state.name(),
            Kind::Consumer(consumer) => consumer.state().name(),
            Kind::Share(share) => share.state_name(),
        }
    }

    /// The name of its type that Kafka shows.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Classic(_) => "classic",
            Kind::Consumer(_) => ConsumerType::NAME,
            Kind::Share(_) => ShareType::NAME,
        }
    }

    /// What kind of protocol its members speak: "consumer" for consumers.
    pub(crate) fn protocol_type(&self) -> &str {
        match &self.kind {
            Kind::Classic(classic) => classic.protocol_type.as_deref().unwrap_or_default(),
            Kind::Consumer(_) => embedded::PROTOCOL_TYPE,
            Kind::Share(_) => share::PROTOCOL_TYPE,
        }
    }

    /// Has it no members.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Classic(classic) => classic.state == classic::State::Empty,
            Kind::Consumer(consumer) => consumer.members.is_empty(),
            Kind::Share(share) => share.members.is_empty(),
        }
    }

    /// Does a member want this topic, as far as can be known.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.kind {
            Kind::Classic(classic) => classic.is_subscribed_to(topic),
            Kind::Consumer(consumer) => consumer.is_subscribed_to(topic),
            Kind::Share(share) => share.is_subscribed_to(topic),
        }
    }

    /// May offsets be deleted at all.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` where the members' protocol says nothing about topics, `GROUP_ID_NOT_FOUND` for a share group.
    pub(crate) fn check_offset_delete(&self) -> Result<(), Refusal> {
        match &self.kind {
            Kind::Classic(classic) if !self.is_empty() && !classic.is_consumers() => {
                Err(ResponseError::NonEmptyGroup.into())
            }
            Kind::Classic(_) | Kind::Consumer(_) => Ok(()),
            Kind::Share(_) => Err(self.is_not::<ConsumerType>()),
        }
    }

    /// When an offset's time to live began: nothing where it can't expire now (KIP-211).
    pub(crate) fn offset_idle_since(&self, commit_ms: i64) -> Option<i64> {
        match &self.kind {
            Kind::Classic(classic) => classic.offset_idle_since(commit_ms),
            Kind::Consumer(_) => Some(commit_ms),
            Kind::Share(_) => None,
        }
    }

    /// May this member, in this generation or epoch, commit offsets.
    ///
    /// # Errors
    /// Kafka's code, for the request as a whole.
    pub(crate) fn check_commit(&self, by: &Committer) -> Result<CommitCheck, Refusal> {
        match &self.kind {
            Kind::Classic(classic) => classic.check_commit(by),
            Kind::Consumer(consumer) => consumer.check_commit(by),
            Kind::Share(_) => Err(self.is_not::<ConsumerType>()),
        }
    }

    /// It is not of this type.
    pub(crate) fn is_not<T: GroupType>(&self) -> Refusal {
        let name = T::NAME;
        Refusal::new(
            ResponseError::GroupIdNotFound,
            format!("Group {} is not a {name} group.", self.id),
        )
    }

    /// May this member read offsets.
    ///
    /// # Errors
    /// Kafka's code, for the group.
    pub(crate) fn check_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), Refusal> {
        match &self.kind {
            Kind::Classic(_) => Ok(()),
            Kind::Consumer(consumer) => consumer.check_fetch(member, epoch),
            Kind::Share(_) if member.is_none() && epoch < 0 => Ok(()),
            Kind::Share(_) => Err(self.is_not::<ConsumerType>()),
        }
    }

    /// Wakes the group up.
    pub(crate) fn wake(&mut self, cx: &mut Cx, wake: &Wake) {
        match &mut self.kind {
            Kind::Classic(classic) => classic.wake(cx, wake),
            Kind::Consumer(_) => {
                if let Wake::Member(member) = wake {
                    self.consumer_member_due(cx, member);
                }
            }
            Kind::Share(share) => {
                if let Wake::Member(member) = wake {
                    share.member_due(cx, member);
                }
            }
        }
    }

    /// The records that remove it, offsets not included.
    pub(crate) fn tombstones(&self) -> Vec<Saved> {
        match &self.kind {
            Kind::Classic(_) => vec![Saved::Group {
                group: self.id.clone(),
                saved: None,
            }],
            Kind::Consumer(consumer) => consumer.tombstones(),
            Kind::Share(share) => share.tombstones(),
        }
    }
}

/// Who commits offsets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committer<'a> {
    pub(crate) member: &'a str,
    pub(crate) instance: Option<&'a str>,
    /// The generation, or the member's epoch; negative for none.
    pub(crate) generation: i32,
    /// As part of a transaction.
    pub(crate) transactional: bool,
    /// The request's version.
    pub(crate) version: i16,
}

/// What is left to check of a commit, partition by partition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CommitCheck {
    /// Nothing.
    Done,
    /// The member is behind: what it got later than this epoch isn't its to commit (KIP-1251).
    Owned {
        epoch: i32,
        owned: Box<Owned>,
        /// Does the member speak the classic protocol, which has another error for it.
        classic: bool,
    },
}

impl CommitCheck {
    /// May this partition be committed.
    ///
    /// # Errors
    /// `STALE_MEMBER_EPOCH` or `ILLEGAL_GENERATION`, for the request as a whole.
    pub(crate) fn partition(&self, topic: Uuid, index: i32) -> Result<(), ResponseError> {
        let Self::Owned {
            epoch,
            owned,
            classic,
        } = self
        else {
            return Ok(());
        };
        match owned.get(&topic).and_then(|epochs| epochs.get(&index)) {
            Some(since) if epoch >= since => Ok(()),
            _ if *classic => Err(ResponseError::IllegalGeneration),
            _ => Err(ResponseError::StaleMemberEpoch),
        }
    }
}

/// There is no such group. `what`: how its name is introduced.
pub(crate) fn not_found(what: &str, id: &str) -> Refusal {
    Refusal::new(ResponseError::GroupIdNotFound, format!("{what} {id} not found."))
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) by_id: BTreeMap<String, Group>,
    /// When offsets were last looked at for their age.
    pub(crate) checked_ms: Option<i64>,
    /// Answers that wait until what they rest on is safe.
    pub(crate) waiting: Unsafe,
}

impl Groups {
    /// The group of this id.
    pub(crate) fn get(&self, id: &str) -> Option<&Group> {
        self.by_id.get(id)
    }

    /// The group of this id and type.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`: there is none, or it is of another type.
    pub(crate) fn of_type<T: GroupType>(&self, id: &str) -> Result<&Modern<T>, Refusal> {
        let group = self.get(id).ok_or_else(|| not_found("Group", id))?;
        T::of(&group.kind).ok_or_else(|| group.is_not::<T>())
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

    /// Makes a group.
    pub(crate) fn make(&mut self, id: &str, kind: Kind) {
        let group = Group {
            id: id.to_owned(),
            offsets: Offsets::default(),
            kind,
        };
        self.by_id.insert(id.to_owned(), group);
    }

    /// Takes in what a log says, in the order in which it says it.
    pub(crate) fn replay(&mut self, saved: Saved, now_ms: i64) {
        match saved {
            Saved::Offset {
                group,
                topic,
                partition,
                committed,
            } => match committed {
                Some(committed) => {
                    let group = self.get_or_create(&group, now_ms);
                    group.offsets.set(&topic, partition, committed);
                }
                None => {
                    if let Some(group) = self.get_mut(&group) {
                        group.offsets.remove(&topic, partition);
                    }
                }
            },
            Saved::Group {
                group,
                saved: Some(saved),
            } => {
                let state = self.get_or_create(&group, now_ms);
                state.kind = Kind::Classic(Classic::revive(&group, &saved));
            }
            Saved::Group { group, saved: None } => {
                self.retire(&group, |kind| matches!(kind, Kind::Classic(_)));
            }
            Saved::Consumer { group, saved } => self.replay_modern(&group, &saved, now_ms),
            Saved::Share { group, saved } => self.replay_modern(&group, &saved, now_ms),
        }
    }

    /// A record of a modern group; a tombstone makes none.
    fn replay_modern<T: Layout>(&mut self, id: &str, saved: &ModernSaved<T>, now_ms: i64) {
        if *saved == ModernSaved::Epoch(None) {
            self.retire(id, |kind| T::of(kind).is_some());
            return;
        }
        let there = self.get(id).is_some_and(|group| T::of(&group.kind).is_some());
        if !there {
            if saved.is_tombstone() {
                return;
            }
            self.get_or_create(id, now_ms).kind = T::kind(Modern::new(id));
        }
        if let Some(known) = self.get_mut(id).and_then(|group| T::of_mut(&mut group.kind)) {
            known.apply(saved);
        }
    }

    /// A group is gone; its offsets, should there be any, are those of a simple group.
    fn retire(&mut self, id: &str, of_kind: impl Fn(&Kind) -> bool) {
        let Some(group) = self.by_id.get_mut(id) else {
            return;
        };
        if !of_kind(&group.kind) {
            return;
        }
        if group.offsets.is_empty() {
            self.by_id.remove(id);
        } else {
            group.kind = Kind::Classic(Classic::new(id, 0));
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
