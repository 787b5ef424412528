//! Consumer groups (KIP-848), where the coordinator makes the assignment.
//!
//! A change of members, subscriptions or topics bumps the *group epoch*; an assignor makes a *target assignment* for it;
//! each member is brought there by its heartbeats, and has its *member epoch* when it has arrived. A partition is given
//! to a member only when its last owner has let go of it.

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

use super::hash::topics_hash;
use super::records::Saved;
use super::{Cx, Out, Owned, Partitions, TopicImage, Wake};

pub(crate) use beat::{Beat, Beaten, without_epochs};

/// Epoch with which a dynamic member leaves.
pub(crate) const LEAVE_EPOCH: i32 = -1;
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

/// Until when a member must have done what; none of it survives.
#[derive(Debug, Clone, Copy, Default)]
struct Deadlines {
    session_ms: Option<i64>,
    /// To let go of partitions, in this epoch.
    revoke: Option<(i64, i32)>,
    /// To join again, and to sync, for members of the classic protocol.
    join_ms: Option<i64>,
    sync_ms: Option<i64>,
    /// The earliest wake-up that was asked for.
    armed_ms: Option<i64>,
}

impl Deadlines {
    fn next_ms(&self) -> Option<i64> {
        let revoke = self.revoke.map(|(at, _)| at);
        [self.session_ms, revoke, self.join_ms, self.sync_ms]
            .into_iter()
            .flatten()
            .min()
    }
}

/// One member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) metadata: MemberMetadata,
    pub(crate) current: Current,
    deadlines: Deadlines,
}

impl Member {
    fn fresh() -> Self {
        Self {
            metadata: MemberMetadata {
                regex: Some(String::new()),
                rebalance_timeout_ms: -1,
                ..MemberMetadata::default()
            },
            current: Current {
                previous_epoch: -1,
                ..Current::default()
            },
            deadlines: Deadlines::default(),
        }
    }

    /// Has it arrived at the target of this epoch.
    fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }

    /// The regular expression that it subscribes to, if any.
    pub(crate) fn regex(&self) -> Option<&str> {
        self.metadata.regex.as_deref().filter(|regex| !regex.is_empty())
    }
}

/// One consumer group.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: String,
    pub(crate) epoch: i32,
    /// Of the subscribed topics, as they were at this epoch.
    pub(crate) hash: i64,
    pub(crate) assignment_epoch: i32,
    /// When the target assignment was made.
    pub(crate) assigned_ms: i64,
    pub(crate) members: BTreeMap<String, Member>,
    pub(crate) target: BTreeMap<String, Partitions>,
    pub(crate) regexes: BTreeMap<String, Resolved>,
    /// The hash of the subscribed topics at the last heartbeat: another now means that topics have changed.
    seen_hash: Option<i64>,
}

impl Consumer {
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
            regexes: BTreeMap::new(),
            seen_hash: None,
        }
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

    /// The topics that a member wants, by name or by a resolved expression.
    fn wanted<'a>(&'a self, metadata: &'a MemberMetadata) -> BTreeSet<&'a str> {
        let regex = metadata.regex.as_deref().filter(|regex| !regex.is_empty());
        let resolved = regex.and_then(|regex| self.regexes.get(regex));
        let by_regex = resolved.into_iter().flat_map(|r| &r.topics);
        metadata
            .topics
            .iter()
            .chain(by_regex)
            .map(String::as_str)
            .collect()
    }

    /// Every topic that somebody wants.
    fn subscribed(&self) -> BTreeSet<&str> {
        self.members
            .values()
            .flat_map(|m| self.wanted(&m.metadata))
            .collect()
    }

    /// Does a member want this topic.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members
            .values()
            .any(|m| self.wanted(&m.metadata).contains(topic))
    }

    /// A hash of the subscribed topics that there are: their names, ids and numbers of partitions.
    pub(crate) fn topics_hash(&self, topics: &dyn TopicImage) -> i64 {
        topics_hash(self.subscribed(), topics)
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

    /// Changes the group by a record, and has the record saved.
    fn put(&mut self, cx: &mut Cx, saved: Saved) {
        self.apply(&saved);
        cx.out.push(Out::Save(saved));
    }

    fn put_epoch(&mut self, cx: &mut Cx, epoch: i32, hash: i64) {
        let group = self.id.clone();
        let epoch = Some((epoch, hash));
        self.put(cx, Saved::Epoch { group, epoch });
    }

    fn put_metadata(&mut self, cx: &mut Cx, member: &str, metadata: MemberMetadata) {
        let saved = Saved::Member {
            group: self.id.clone(),
            member: member.to_owned(),
            metadata: Some(metadata),
        };
        self.put(cx, saved);
    }

    fn put_current(&mut self, cx: &mut Cx, member: &str, current: Current) {
        let saved = Saved::Current {
            group: self.id.clone(),
            member: member.to_owned(),
            current: Some(current),
        };
        self.put(cx, saved);
    }

    fn put_target(&mut self, cx: &mut Cx, member: &str, partitions: Partitions) {
        let saved = Saved::Target {
            group: self.id.clone(),
            member: member.to_owned(),
            partitions: Some(partitions),
        };
        self.put(cx, saved);
    }

    fn put_regex(&mut self, cx: &mut Cx, regex: &str, resolved: Option<Resolved>) {
        let saved = Saved::Regex {
            group: self.id.clone(),
            regex: regex.to_owned(),
            resolved,
        };
        self.put(cx, saved);
    }

    /// Forgets a member.
    fn put_gone(&mut self, cx: &mut Cx, member: &str) {
        for saved in member_tombstones(&self.id, member) {
            self.put(cx, saved);
        }
    }

    /// Takes in what a record says.
    pub(crate) fn apply(&mut self, saved: &Saved) {
        match saved {
            Saved::Epoch {
                epoch: Some((epoch, hash)),
                ..
            } => (self.epoch, self.hash) = (*epoch, *hash),
            Saved::TargetEpoch { target, .. } => {
                (self.assignment_epoch, self.assigned_ms) = target.unwrap_or((-1, 0));
            }
            Saved::Member {
                member,
                metadata: Some(metadata),
                ..
            } => {
                let known = self.members.entry(member.clone()).or_insert_with(Member::fresh);
                known.metadata.clone_from(metadata);
            }
            Saved::Member {
                member,
                metadata: None,
                ..
            } => {
                self.members.remove(member);
            }
            Saved::Target {
                member,
                partitions: Some(partitions),
                ..
            } => {
                self.target.insert(member.clone(), partitions.clone());
            }
            Saved::Target {
                member,
                partitions: None,
                ..
            } => {
                self.target.remove(member);
            }
            Saved::Current {
                member,
                current: Some(current),
                ..
            } => {
                let known = self.members.entry(member.clone()).or_insert_with(Member::fresh);
                known.current.clone_from(current);
            }
            Saved::Current {
                member,
                current: None,
                ..
            } => {
                if let Some(known) = self.members.get_mut(member) {
                    known.current = Current {
                        epoch: LEAVE_EPOCH,
                        previous_epoch: LEAVE_EPOCH,
                        ..Current::default()
                    };
                }
            }
            Saved::Regex { regex, resolved, .. } => {
                match resolved {
                    Some(resolved) => self.regexes.insert(regex.clone(), resolved.clone()),
                    None => self.regexes.remove(regex),
                };
            }
            Saved::Epoch { epoch: None, .. }
            | Saved::Topics { .. }
            | Saved::Offset { .. }
            | Saved::Group { .. }
            | Saved::Share { .. } => {}
        }
    }

    /// The records that remove the group.
    pub(crate) fn tombstones(&self) -> Vec<Saved> {
        let group = || self.id.clone();
        let mut gone = Vec::new();
        let each = |kind: usize| {
            self.members
                .keys()
                .map(move |member| member_tombstones(&self.id, member).swap_remove(kind))
        };
        gone.extend(each(0));
        gone.extend(each(1));
        gone.push(Saved::TargetEpoch {
            group: group(),
            target: None,
        });
        gone.extend(each(2));
        gone.extend(self.regexes.keys().map(|regex| Saved::Regex {
            group: group(),
            regex: regex.clone(),
            resolved: None,
        }));
        gone.push(Saved::Topics { group: group() });
        gone.push(Saved::Epoch {
            group: group(),
            epoch: None,
        });
        gone
    }

    /// The records that make the group, as it is.
    pub(crate) fn snapshot(&self) -> Vec<Saved> {
        let group = || self.id.clone();
        let mut all = Vec::new();
        all.extend(self.members.iter().map(|(member, known)| Saved::Member {
            group: group(),
            member: member.clone(),
            metadata: Some(known.metadata.clone()),
        }));
        all.push(Saved::Epoch {
            group: group(),
            epoch: Some((self.epoch, self.hash)),
        });
        all.extend(self.target.iter().map(|(member, partitions)| Saved::Target {
            group: group(),
            member: member.clone(),
            partitions: Some(partitions.clone()),
        }));
        all.push(Saved::TargetEpoch {
            group: group(),
            target: Some((self.assignment_epoch, self.assigned_ms)),
        });
        all.extend(self.members.iter().map(|(member, known)| Saved::Current {
            group: group(),
            member: member.clone(),
            current: Some(known.current.clone()),
        }));
        all
    }

    /// The log is read: members' sessions begin anew.
    pub(crate) fn load(&mut self, cx: &mut Cx) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            self.session(cx, &id);
            self.watch_revocation(cx, &id);
        }
    }

    /// A member's session begins anew.
    fn session(&mut self, cx: &mut Cx, member: &str) {
        let Some(known) = self.members.get_mut(member) else {
            return;
        };
        let timeout_ms = match &known.metadata.classic {
            Some(classic) => i64::from(classic.session_timeout_ms),
            None => cx.rules.session_timeout_ms,
        };
        known.deadlines.session_ms = Some(cx.now_ms + timeout_ms);
        self.arm(cx, member);
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

    /// Has the group woken up for a member's next deadline.
    fn arm(&mut self, cx: &mut Cx, member: &str) {
        let Some(known) = self.members.get_mut(member) else {
            return;
        };
        if let Some(next) = known.deadlines.next_ms()
            && known.deadlines.armed_ms.is_none_or(|armed| armed > next)
        {
            known.deadlines.armed_ms = Some(next);
            cx.out.push(Out::Wake(next, Wake::Member(member.to_owned())));
        }
    }
}

/// The records that remove a member: what it has, what it is to have, what it said.
fn member_tombstones(group: &str, member: &str) -> Vec<Saved> {
    let (group, member) = (group.to_owned(), member.to_owned());
    vec![
        Saved::Current {
            group: group.clone(),
            member: member.clone(),
            current: None,
        },
        Saved::Target {
            group: group.clone(),
            member: member.clone(),
            partitions: None,
        },
        Saved::Member {
            group,
            member,
            metadata: None,
        },
    ]
}

#[cfg(test)]
mod tests;
