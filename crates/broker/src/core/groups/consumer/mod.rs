//! Consumer groups (KIP-848): modern groups in which a partition is given to a member only when its last owner has let go
//! of it.

mod beat;
mod check;
mod classic_members;
mod leave;
mod reconcile;
mod regex;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use uuid::Uuid;

use super::modern::{self, GroupType, Modern};
use super::records::{ModernSaved, Saved};
use super::{Cx, Kind, ModernRules, Owned, Partitions, Rules};

pub(crate) use beat::{Beat, without_epochs};

/// Epoch with which a static member goes away and means to come back.
pub(crate) const LEAVE_STATIC_EPOCH: i32 = -2;

/// Where a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    Assigning,
    Reconciling,
    Stable,
}

impl State {
    /// The name that Kafka shows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// Where a member is on its way to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MemberState {
    /// It has what it is to have.
    #[default]
    Stable,
    /// It has to let go of partitions.
    UnrevokedPartitions,
    /// It waits for partitions that others still have.
    UnreleasedPartitions,
    /// A newer Kafka has written something else.
    Unknown,
}

impl MemberState {
    /// Kafka's number.
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    /// The state of a number.
    pub(crate) fn from_number(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// A member that speaks the classic protocol in a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ClassicMember {
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MemberMetadata {
    /// Set for a static member.
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) regex: Option<String>,
    pub(crate) rebalance_timeout_ms: i32,
    /// The server-side assignor that it wants.
    pub(crate) assignor: Option<String>,
    pub(crate) classic: Option<ClassicMember>,
}

/// What a member has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Current {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: Owned,
    /// Taken from it, and not let go yet.
    pub(crate) revoking: Owned,
}

/// What a regular expression stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Resolved {
    pub(crate) topics: BTreeSet<String>,
    /// Of the metadata it was resolved with.
    pub(crate) version: i64,
    pub(crate) at_ms: i64,
}

/// What one record says of what only consumer groups keep.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OwnSaved {
    /// The topics that a regular expression stands for.
    Regex(String, Option<Resolved>),
    /// The subscribed topics as Kafka kept them before 4.1: only ever removed.
    Topics,
}

/// The type of consumer groups.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConsumerType;

/// One member.
pub(crate) type Member = modern::Member<ConsumerType>;
/// One consumer group.
pub(crate) type Consumer = Modern<ConsumerType>;

impl GroupType for ConsumerType {
    const NAME: &'static str = "consumer";
    const TITLE: &'static str = "Consumer";

    type Metadata = MemberMetadata;
    type Current = Current;
    /// What the members' regular expressions stand for.
    type Own = BTreeMap<String, Resolved>;
    type OwnSaved = OwnSaved;

    fn rules(rules: &Rules) -> &ModernRules {
        &rules.consumer
    }

    fn silent() -> MemberMetadata {
        MemberMetadata {
            regex: Some(String::new()),
            rebalance_timeout_ms: -1,
            ..MemberMetadata::default()
        }
    }

    fn empty_handed(epoch: i32, previous_epoch: i32) -> Current {
        Current {
            epoch,
            previous_epoch,
            ..Current::default()
        }
    }

    fn epoch(current: &Current) -> i32 {
        current.epoch
    }

    fn session_timeout_ms(metadata: &MemberMetadata, rules: &Rules) -> i64 {
        match &metadata.classic {
            Some(classic) => i64::from(classic.session_timeout_ms),
            None => rules.consumer.session_timeout_ms,
        }
    }

    fn wanted<'a>(regexes: &'a Self::Own, metadata: &'a MemberMetadata) -> BTreeSet<&'a str> {
        let resolved = metadata.used_regex().and_then(|regex| regexes.get(regex));
        let by_regex = resolved.into_iter().flat_map(|r| &r.topics);
        let all = metadata.topics.iter().chain(by_regex);
        all.map(String::as_str).collect()
    }

    fn assign(group: &Consumer, cx: &Cx) -> BTreeMap<String, Partitions> {
        group.assign(cx)
    }

    fn apply(regexes: &mut Self::Own, saved: &OwnSaved) {
        match saved {
            OwnSaved::Regex(regex, Some(resolved)) => {
                regexes.insert(regex.clone(), resolved.clone());
            }
            OwnSaved::Regex(regex, None) => {
                regexes.remove(regex);
            }
            OwnSaved::Topics => {}
        }
    }

    fn tombstones(regexes: &Self::Own) -> Vec<OwnSaved> {
        let regexes = regexes.keys();
        let gone = regexes.map(|regex| OwnSaved::Regex(regex.clone(), None));
        gone.chain([OwnSaved::Topics]).collect()
    }

    fn saved(group: String, saved: ModernSaved<Self>) -> Saved {
        Saved::Consumer { group, saved }
    }

    fn kind(group: Consumer) -> Kind {
        Kind::Consumer(group)
    }

    fn of(kind: &Kind) -> Option<&Consumer> {
        match kind {
            Kind::Consumer(consumer) => Some(consumer),
            Kind::Classic(_) | Kind::Share(_) => None,
        }
    }

    fn of_mut(kind: &mut Kind) -> Option<&mut Consumer> {
        match kind {
            Kind::Consumer(consumer) => Some(consumer),
            Kind::Classic(_) | Kind::Share(_) => None,
        }
    }
}

impl MemberMetadata {
    /// The regular expression that the member subscribes to, if any.
    fn used_regex(&self) -> Option<&str> {
        self.regex.as_deref().filter(|regex| !regex.is_empty())
    }
}

impl Member {
    /// Has it arrived at the target of this epoch.
    fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }

    /// The regular expression that it subscribes to, if any.
    pub(crate) fn regex(&self) -> Option<&str> {
        self.metadata.used_regex()
    }
}

impl Consumer {
    /// What the members' regular expressions stand for.
    pub(crate) fn regexes(&self) -> &BTreeMap<String, Resolved> {
        &self.own
    }

    /// Where it is.
    pub(crate) fn state(&self) -> State {
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch > self.assignment_epoch {
            State::Assigning
        } else if self
            .members
            .values()
            .all(|m| m.is_reconciled_to(self.assignment_epoch))
        {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    /// Id and state of the static member of this instance.
    pub(crate) fn instance_member(&self, instance: &str) -> Option<(&String, &Member)> {
        self.members
            .iter()
            .find(|(_, m)| m.metadata.instance.as_deref() == Some(instance))
    }

    /// Who has a partition, or has not let go of it.
    fn owners(&self) -> BTreeSet<(Uuid, i32)> {
        let held = self
            .members
            .values()
            .flat_map(|m| m.current.assigned.iter().chain(&m.current.revoking));
        held.flat_map(|(topic, epochs)| epochs.keys().map(move |index| (*topic, *index)))
            .collect()
    }

    fn put_regex(&mut self, cx: &mut Cx, regex: &str, resolved: Option<Resolved>) {
        let saved = OwnSaved::Regex(regex.to_owned(), resolved);
        self.put(cx, ModernSaved::Own(saved));
    }

    /// The records that make the group, as it is.
    pub(crate) fn snapshot(&self) -> Vec<Saved> {
        let members = || self.members.iter();
        let targets = self.target.iter();
        let mut all: Vec<ModernSaved<ConsumerType>> = Vec::new();
        all.extend(members().map(|(id, m)| ModernSaved::Member(id.clone(), Some(m.metadata.clone()))));
        all.push(ModernSaved::Epoch(Some((self.epoch, self.hash))));
        all.extend(targets.map(|(id, target)| ModernSaved::Target(id.clone(), Some(target.clone()))));
        let made = (self.assignment_epoch, self.assigned_ms);
        all.push(ModernSaved::TargetEpoch(Some(made)));
        all.extend(members().map(|(id, m)| ModernSaved::Current(id.clone(), Some(m.current.clone()))));
        let of_group = |saved| ConsumerType::saved(self.id.clone(), saved);
        all.into_iter().map(of_group).collect()
    }

    /// The log is read: members' sessions begin anew.
    pub(crate) fn load(&mut self, cx: &mut Cx) {
        self.sessions(cx);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            self.watch_revocation(cx, &id);
        }
    }

    /// A member that has to let go of partitions has its rebalance time-out for it.
    fn watch_revocation(&mut self, cx: &mut Cx, member: &str) {
        let Some(known) = self.members.get_mut(member) else {
            return;
        };
        // Members of the classic protocol are timed by their joins and syncs.
        if known.metadata.classic.is_some() {
            return;
        }
        let revokes = known.current.state == MemberState::UnrevokedPartitions;
        let at_ms = cx.now_ms + i64::from(known.metadata.rebalance_timeout_ms);
        known.deadlines.revoke = revokes.then_some((at_ms, known.current.epoch));
        self.arm(cx, member);
    }
}

#[cfg(test)]
mod tests;
