//! Share groups (KIP-932), whose members share the records of a partition.
//!
//! They are modern groups in whose target assignment a partition may have several members; a member has its part with its
//! next heartbeat, since nobody has to let go of anything first. Only partitions whose share state is *initialized* are assigned: see [`States`].

mod beat;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::modern::{self, GroupType, Modern};
use super::records::{ModernSaved, Saved};
use super::{Cx, Kind, ModernRules, Partitions, Rules, TopicImage};

pub(crate) use beat::{Beat, merge};

/// The protocol type of share groups.
pub(crate) const PROTOCOL_TYPE: &str = "share";
/// The one assignor of Kafka's share groups.
pub(crate) const ASSIGNOR: &str = "simple";

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MemberMetadata {
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) topics: BTreeSet<String>,
}

/// What a member has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Current {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) assigned: Partitions,
}

/// Partitions of one topic that have, or are getting, a state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TopicState {
    pub(crate) name: String,
    pub(crate) partitions: BTreeSet<i32>,
}

/// Topics by id.
pub(crate) type TopicStates = BTreeMap<Uuid, TopicState>;

/// The partitions for which the share coordinator keeps a state of this group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct States {
    /// The state is being made.
    pub(crate) initializing: TopicStates,
    /// There is one.
    pub(crate) initialized: TopicStates,
    /// It is being removed: topics by id, with their names.
    pub(crate) deleting: BTreeMap<Uuid, String>,
}

/// The type of share groups.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShareType;

/// One member.
pub(crate) type Member = modern::Member<ShareType>;
/// One share group.
pub(crate) type Share = Modern<ShareType>;

impl GroupType for ShareType {
    const NAME: &'static str = "share";
    const TITLE: &'static str = "Share";

    type Metadata = MemberMetadata;
    type Current = Current;
    type Own = States;
    type OwnSaved = Option<States>;

    fn rules(rules: &Rules) -> &ModernRules {
        &rules.share
    }

    fn silent() -> MemberMetadata {
        MemberMetadata::default()
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

    fn session_timeout_ms(_: &MemberMetadata, rules: &Rules) -> i64 {
        rules.share.session_timeout_ms
    }

    fn wanted<'a>(_: &'a States, metadata: &'a MemberMetadata) -> BTreeSet<&'a str> {
        metadata.topics.iter().map(String::as_str).collect()
    }

    fn assign(group: &Share, cx: &Cx) -> BTreeMap<String, Partitions> {
        group.assign(cx)
    }

    fn apply(states: &mut States, saved: &Option<States>) {
        *states = saved.clone().unwrap_or_default();
    }

    fn tombstones(_: &States) -> Vec<Option<States>> {
        vec![None]
    }

    fn saved(group: String, saved: ModernSaved<Self>) -> Saved {
        Saved::Share { group, saved }
    }

    fn kind(group: Share) -> Kind {
        Kind::Share(group)
    }

    fn of(kind: &Kind) -> Option<&Share> {
        match kind {
            Kind::Share(share) => Some(share),
            Kind::Classic(_) | Kind::Consumer(_) => None,
        }
    }

    fn of_mut(kind: &mut Kind) -> Option<&mut Share> {
        match kind {
            Kind::Share(share) => Some(share),
            Kind::Classic(_) | Kind::Consumer(_) => None,
        }
    }
}

impl Share {
    /// The partitions for which there is a state of this group.
    pub(crate) fn states(&self) -> &States {
        &self.own
    }

    /// The name of its state that Kafka shows.
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else {
            "Stable"
        }
    }

    /// Subscribed partitions that have no state yet.
    pub(crate) fn without_state(&self, topics: &dyn TopicImage) -> TopicStates {
        let mut missing = TopicStates::new();
        for name in self.subscribed() {
            let Some((id, count)) = topics.by_name(name) else {
                continue;
            };
            let has = self.states().initialized.get(&id);
            let partitions: BTreeSet<i32> = (0..count)
                .filter(|index| !has.is_some_and(|state| state.partitions.contains(index)))
                .collect();
            if !partitions.is_empty() {
                let name = name.to_owned();
                missing.insert(id, TopicState { name, partitions });
            }
        }
        missing
    }

    /// Are there partitions with a state that nobody is to have, though their topic is wanted.
    fn has_unassigned_states(&self) -> bool {
        let subscribed = self.subscribed();
        let mut assigned = Partitions::new();
        for (topic, indexes) in self.target.values().flatten() {
            assigned.entry(*topic).or_default().extend(indexes);
        }
        self.states().initialized.iter().any(|(id, state)| {
            subscribed.contains(state.name.as_str()) && assigned.get(id) != Some(&state.partitions)
        })
    }

    /// Notes for which partitions there is a state.
    pub(crate) fn put_states(&mut self, cx: &mut Cx, states: States) {
        self.put(cx, ModernSaved::Own(Some(states)));
    }

    /// The log is read: members' sessions begin anew, and whatever was being made is made again.
    pub(crate) fn load(&mut self, cx: &mut Cx) {
        self.own.initializing.clear();
        self.sessions(cx);
    }

    /// A member's session may be over.
    pub(crate) fn member_due(&mut self, cx: &mut Cx, id: &str) {
        if self.is_overdue(cx, id) {
            self.remove(cx, id);
        }
    }
}

#[cfg(test)]
mod tests;
