//! `ShareGroupHeartbeat`: a member joins, stays, changes its subscription, or leaves.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::{Member, MemberMetadata, Share, ShareType, States, TopicStates};
use crate::core::Refusal;
use crate::core::groups::modern::{Beaten, LEAVE_EPOCH};
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
            Kind::Classic(_) | Kind::Consumer(_) => Err(self.is_not::<ShareType>()),
        }
    }
}

impl Share {
    fn beat(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Beaten, Refusal> {
        self.check_room(cx, &beat.member)?;
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

    /// Notes what a member says of itself; says whether there is a new group epoch because of it.
    fn take_in(&mut self, cx: &mut Cx, beat: &Beat, before: &MemberMetadata) -> bool {
        let topics_changed = self.topics_changed(cx);
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
        self.put_news(cx, &beat.member, before, after);
        self.bump(cx, bump, topics_changed)
    }

    /// Notes the partitions that are to get a state.
    fn begin_states(&mut self, cx: &mut Cx) {
        let missing = self.without_state(cx.topics);
        if missing.is_empty() {
            return;
        }
        let mut states = self.states().clone();
        states.deleting.retain(|topic, _| !missing.contains_key(topic));
        merge(&mut states.initializing, missing);
        self.put_states(cx, states);
    }

    /// What was being made is there.
    pub(crate) fn end_states(&mut self, cx: &mut Cx) {
        let mut states = self.states().clone();
        let made = std::mem::take(&mut states.initializing);
        merge(&mut states.initialized, made);
        self.put_states(cx, states);
    }

    /// What was being made could not be made.
    pub(crate) fn abandon_states(&mut self, cx: &mut Cx) {
        let states = States {
            initializing: TopicStates::new(),
            ..self.states().clone()
        };
        self.put_states(cx, states);
    }

    /// A member leaves.
    fn leave(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Beaten, Refusal> {
        if !self.members.contains_key(&beat.member) {
            return Err(self.not_a_member(&beat.member));
        }
        self.remove(cx, &beat.member);
        Ok(Beaten::left(&beat.member, beat.epoch))
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, cx: &mut Cx, id: &str) {
        self.put_gone(cx, id);
        self.put_epoch(cx);
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
