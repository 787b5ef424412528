//! Share groups (KIP-932), whose members share the records of a partition.
//!
//! A change of members, subscriptions or topics bumps the *group epoch*; the assignor makes a *target assignment* for it,
//! in which a partition may have several members; a member has its part with its next heartbeat, since nobody has to let
//! go of anything first. Only partitions whose share state is *initialized* are assigned: see [`States`].

mod beat;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::hash::topics_hash;
use super::records::{Saved, ShareSaved};
use super::{Cx, Out, Partitions, TopicImage, Wake};

pub(crate) use super::consumer::LEAVE_EPOCH;
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

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) metadata: MemberMetadata,
    pub(crate) current: Current,
    session_ms: Option<i64>,
    /// The wake-up that was asked for.
    armed_ms: Option<i64>,
}

impl Member {
    fn fresh() -> Self {
        Self {
            metadata: MemberMetadata::default(),
            current: Current {
                previous_epoch: -1,
                ..Current::default()
            },
            session_ms: None,
            armed_ms: None,
        }
    }
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

/// One share group.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) id: String,
    pub(crate) epoch: i32,
    /// Of the subscribed topics, as they were at this epoch.
    pub(crate) hash: i64,
    pub(crate) assignment_epoch: i32,
    /// When the target assignment was made.
    pub(crate) assigned_ms: i64,
    pub(crate) members: BTreeMap<String, Member>,
    pub(crate) target: BTreeMap<String, Partitions>,
    pub(crate) states: States,
    /// The hash of the subscribed topics at the last heartbeat: another now means that topics have changed.
    seen_hash: Option<i64>,
}

impl Share {
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
            states: States::default(),
            seen_hash: None,
        }
    }

    /// The name of its state that Kafka shows.
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else {
            "Stable"
        }
    }

    /// Every topic that somebody wants.
    fn subscribed(&self) -> BTreeSet<&str> {
        let topics = self.members.values().flat_map(|m| &m.metadata.topics);
        topics.map(String::as_str).collect()
    }

    /// Does a member want this topic.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|m| m.metadata.topics.contains(topic))
    }

    fn topics_hash(&self, topics: &dyn TopicImage) -> i64 {
        topics_hash(self.subscribed(), topics)
    }

    /// Subscribed partitions that have no state yet.
    pub(crate) fn without_state(&self, topics: &dyn TopicImage) -> TopicStates {
        let mut missing = TopicStates::new();
        for name in self.subscribed() {
            let Some((id, count)) = topics.by_name(name) else {
                continue;
            };
            let has = self.states.initialized.get(&id);
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
        self.states.initialized.iter().any(|(id, state)| {
            subscribed.contains(state.name.as_str()) && assigned.get(id) != Some(&state.partitions)
        })
    }

    /// Changes the group by a record, and has the record saved.
    pub(crate) fn put(&mut self, cx: &mut Cx, saved: ShareSaved) {
        self.apply(&saved);
        let group = self.id.clone();
        cx.out.push(Out::Save(Saved::Share { group, saved }));
    }

    fn put_epoch(&mut self, cx: &mut Cx, hash: i64) {
        let next = Some((self.epoch + 1, hash));
        self.put(cx, ShareSaved::Epoch(next));
    }

    /// Forgets a member.
    fn put_gone(&mut self, cx: &mut Cx, member: &str) {
        for saved in member_tombstones(member) {
            self.put(cx, saved);
        }
    }

    /// Takes in what a record says.
    pub(crate) fn apply(&mut self, saved: &ShareSaved) {
        match saved {
            ShareSaved::Epoch(Some((epoch, hash))) => (self.epoch, self.hash) = (*epoch, *hash),
            ShareSaved::Epoch(None) => {}
            ShareSaved::TargetEpoch(target) => {
                (self.assignment_epoch, self.assigned_ms) = target.unwrap_or((-1, 0));
            }
            ShareSaved::Member {
                member,
                metadata: Some(metadata),
            } => {
                let known = self.members.entry(member.clone()).or_insert_with(Member::fresh);
                known.metadata.clone_from(metadata);
            }
            ShareSaved::Member {
                member,
                metadata: None,
            } => {
                self.members.remove(member);
            }
            ShareSaved::Target {
                member,
                partitions: Some(partitions),
            } => {
                self.target.insert(member.clone(), partitions.clone());
            }
            ShareSaved::Target {
                member,
                partitions: None,
            } => {
                self.target.remove(member);
            }
            ShareSaved::Current {
                member,
                current: Some(current),
            } => {
                let known = self.members.entry(member.clone()).or_insert_with(Member::fresh);
                known.current.clone_from(current);
            }
            ShareSaved::Current {
                member,
                current: None,
            } => {
                if let Some(known) = self.members.get_mut(member) {
                    known.current = Current {
                        epoch: LEAVE_EPOCH,
                        previous_epoch: LEAVE_EPOCH,
                        ..Current::default()
                    };
                }
            }
            ShareSaved::States(states) => self.states = states.clone().unwrap_or_default(),
        }
    }

    /// The records that remove the group.
    pub(crate) fn tombstones(&self) -> Vec<Saved> {
        let each = |kind: usize| {
            let members = self.members.keys();
            members.map(move |member| member_tombstones(member).swap_remove(kind))
        };
        let mut gone: Vec<ShareSaved> = each(0).chain(each(1)).collect();
        gone.push(ShareSaved::TargetEpoch(None));
        gone.extend(each(2));
        gone.push(ShareSaved::States(None));
        gone.push(ShareSaved::Epoch(None));
        let of_group = |saved| Saved::Share {
            group: self.id.clone(),
            saved,
        };
        gone.into_iter().map(of_group).collect()
    }

    /// The log is read: members' sessions begin anew, and whatever was being made is made again.
    pub(crate) fn load(&mut self, cx: &mut Cx) {
        self.states.initializing.clear();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            self.session(cx, &id);
        }
    }

    /// A member's session begins anew.
    fn session(&mut self, cx: &mut Cx, id: &str) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        let until_ms = cx.now_ms + cx.rules.share.session_timeout_ms;
        member.session_ms = Some(until_ms);
        if member.armed_ms.is_none_or(|armed| armed > until_ms) {
            member.armed_ms = Some(until_ms);
            cx.out.push(Out::Wake(until_ms, Wake::Member(id.to_owned())));
        }
    }

    /// A member's session may be over.
    pub(crate) fn member_due(&mut self, cx: &mut Cx, id: &str) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.armed_ms = None;
        match member.session_ms {
            Some(until_ms) if until_ms > cx.now_ms => {
                member.armed_ms = Some(until_ms);
                cx.out.push(Out::Wake(until_ms, Wake::Member(id.to_owned())));
            }
            _ => self.remove(cx, id),
        }
    }
}

/// The records that remove a member: what it has, what it is to have, what it said.
fn member_tombstones(member: &str) -> Vec<ShareSaved> {
    let member = member.to_owned();
    vec![
        ShareSaved::Current {
            member: member.clone(),
            current: None,
        },
        ShareSaved::Target {
            member: member.clone(),
            partitions: None,
        },
        ShareSaved::Member {
            member,
            metadata: None,
        },
    ]
}

#[cfg(test)]
mod tests;
