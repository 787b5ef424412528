//! `ShareGroupHeartbeat`: a member joins, stays, changes its subscription, or leaves.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::{Member, MemberMetadata, Share, States, TopicStates};
use crate::core::Refusal;
use crate::core::groups::consumer::{Beaten, LEAVE_EPOCH};
use crate::core::groups::records::ShareSaved;
use crate::core::groups::{Cx, Group, Kind};

/// A heartbeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beat {
    /// Made by the member.
    pub(crate) member: String,
    /// 0 to join.
    pub(crate) epoch: i32,
    pub(crate) rack: Option<String>,
    /// Nothing where they have not changed.
    pub(crate) topics: Option<BTreeSet<String>>,
    pub(crate) client_id: String,
    pub(crate) host: String,
}

impl Group {
    /// A heartbeat of a member of a share group.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn share_beat(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Beaten, Refusal> {
        match &mut self.kind {
            Kind::Share(share) if beat.epoch == LEAVE_EPOCH => share.leave(cx, beat),
            Kind::Share(share) => share.beat(cx, beat),
            Kind::Classic(_) | Kind::Consumer(_) => Err(Refusal::new(
                ResponseError::GroupIdNotFound,
                format!("Group {} is not a share group.", self.id),
            )),
        }
    }
}

impl Share {
    fn beat(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Beaten, Refusal> {
        let max = cx.rules.share.max_size;
        if self.members.len() >= max && !self.members.contains_key(&beat.member) {
            return Err(Refusal::new(
                ResponseError::GroupMaxSizeReached,
                format!("The share group has reached its maximum capacity of {max} members."),
            ));
        }
        let before = match self.members.get(&beat.member) {
            Some(member) => {
                check_epoch(member, beat.epoch)?;
                member.clone()
            }
            None if beat.epoch == 0 => Member::fresh(),
            None => return Err(self.not_a_member(&beat.member)),
        };
        let bumped = self.take_in(cx, beat, &before.metadata);
        self.update_target(cx);
        self.reconcile(cx, &beat.member, bumped);
        self.session(cx, &beat.member);
        self.begin_states(cx);
        let (epoch, has) = match self.members.get(&beat.member) {
            Some(member) => (member.current.epoch, member.current.assigned.clone()),
            None => (0, super::Partitions::new()),
        };
        let tell = beat.epoch == 0 || beat.topics.is_some() || has != before.current.assigned;
        Ok(Beaten {
            member: beat.member.clone(),
            epoch,
            heartbeat_interval_ms: cx.rules.share.heartbeat_interval_ms,
            assignment: tell.then_some(has),
        })
    }

    fn not_a_member(&self, member: &str) -> Refusal {
        Refusal::new(
            ResponseError::UnknownMemberId,
            format!("Member {member} is not a member of group {}.", self.id),
        )
    }

    /// Notes what a member says of itself; says whether there is a new group epoch because of it.
    fn take_in(&mut self, cx: &mut Cx, beat: &Beat, before: &MemberMetadata) -> bool {
        let topics_changed = self.seen_hash != Some(self.topics_hash(cx.topics));
        // Where an assignment is due already, it will have them.
        let mut bump =
            !self.members.is_empty() && self.assignment_epoch == self.epoch && self.has_unassigned_states();
        let mut after = before.clone();
        if beat.rack.is_some() {
            after.rack.clone_from(&beat.rack);
        }
        if let Some(topics) = &beat.topics {
            after.topics.clone_from(topics);
        }
        after.client_id.clone_from(&beat.client_id);
        after.host.clone_from(&beat.host);
        bump |= after.topics != before.topics;
        if !self.members.contains_key(&beat.member) || after != *before {
            let member = beat.member.clone();
            let metadata = Some(after);
            self.put(cx, ShareSaved::Member { member, metadata });
        }
        let hash = self.topics_hash(cx.topics);
        bump |= topics_changed && hash != self.hash;
        if bump {
            self.put_epoch(cx, hash);
        }
        self.seen_hash = Some(hash);
        bump
    }

    /// Notes the partitions that are to get a state.
    fn begin_states(&mut self, cx: &mut Cx) {
        let missing = self.without_state(cx.topics);
        if missing.is_empty() {
            return;
        }
        let mut states = self.states.clone();
        states.deleting.retain(|topic, _| !missing.contains_key(topic));
        merge(&mut states.initializing, missing);
        self.put(cx, ShareSaved::States(Some(states)));
    }

    /// What was being made is there.
    pub(crate) fn end_states(&mut self, cx: &mut Cx) {
        let mut states = self.states.clone();
        let made = std::mem::take(&mut states.initializing);
        merge(&mut states.initialized, made);
        self.put(cx, ShareSaved::States(Some(states)));
    }

    /// What was being made could not be made.
    pub(crate) fn abandon_states(&mut self, cx: &mut Cx) {
        let states = States {
            initializing: TopicStates::new(),
            ..self.states.clone()
        };
        self.put(cx, ShareSaved::States(Some(states)));
    }

    /// A member leaves.
    fn leave(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Beaten, Refusal> {
        if !self.members.contains_key(&beat.member) {
            return Err(self.not_a_member(&beat.member));
        }
        self.remove(cx, &beat.member);
        Ok(Beaten {
            member: beat.member.clone(),
            epoch: beat.epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, cx: &mut Cx, id: &str) {
        self.put_gone(cx, id);
        let hash = self.topics_hash(cx.topics);
        self.put_epoch(cx, hash);
    }
}

/// Adds partitions to those that are there.
pub(crate) fn merge(into: &mut TopicStates, more: TopicStates) {
    for (id, state) in more {
        let known = into.entry(id).or_default();
        known.name = state.name;
        known.partitions.extend(state.partitions);
    }
}

/// Is the member where it says it is. One step behind will do, where the answer to the last step may have been lost.
fn check_epoch(member: &Member, epoch: i32) -> Result<(), Refusal> {
    let known = member.current.epoch;
    let previous = member.current.previous_epoch;
    let why = match epoch {
        0 => return Ok(()),
        epoch if epoch == known || epoch == previous => return Ok(()),
        epoch if epoch > known => format!(
            "The share group member has a greater member epoch ({epoch}) than the one known by the group coordinator \
             ({known}). The member must abandon all its partitions and rejoin."
        ),
        epoch => format!(
            "The share group member has a smaller member epoch ({epoch}) than the one known by the group coordinator \
             ({known}), and it does not match the previous member epoch ({previous}). The member must abandon all its \
             partitions and rejoin."
        ),
    };
    Err(Refusal::new(ResponseError::FencedMemberEpoch, why))
}
