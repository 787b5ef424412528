//! Members leave, or are fenced because their time is over.

use kafka_protocol::ResponseError;

use super::beat::{Beat, check_instance};
use super::{Consumer, ConsumerType, LEAVE_STATIC_EPOCH, Owned};
use crate::core::Refusal;
use crate::core::groups::modern::Beaten;
use crate::core::groups::{Cx, Group, Kind};

impl Group {
    /// A member leaves, for good or, as a static member, for a while.
    pub(super) fn consumer_leave(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Beaten, Refusal> {
        let Kind::Consumer(consumer) = &mut self.kind else {
            return Err(self.is_not::<ConsumerType>());
        };
        let answer = Beaten::left(&beat.member, beat.epoch);
        match &beat.instance {
            None if !consumer.members.contains_key(&beat.member) => {
                return Err(consumer.not_a_member(&beat.member));
            }
            None => {}
            Some(instance) => {
                let Some((id, _)) = consumer.instance_member(instance) else {
                    return Err(Refusal::new(
                        ResponseError::UnknownMemberId,
                        format!("Instance id {instance} is unknown."),
                    ));
                };
                check_instance(id, &beat.member, instance)?;
                if beat.epoch == LEAVE_STATIC_EPOCH {
                    consumer.go_away(cx, &beat.member);
                    return Ok(answer);
                }
            }
        }
        self.fence(cx, std::slice::from_ref(&beat.member));
        Ok(answer)
    }

    /// Takes members out. Where only members of the classic protocol are left, the group becomes classic.
    pub(crate) fn fence(&mut self, cx: &mut Cx, ids: &[String]) {
        let Kind::Consumer(consumer) = &mut self.kind else {
            return;
        };
        if ids.is_empty() {
            return;
        }
        if consumer.downgrades_without(cx, ids) {
            self.become_classic(cx, ids);
        } else {
            consumer.remove(cx, ids);
        }
    }

    /// One of a member's deadlines may be over.
    pub(crate) fn consumer_member_due(&mut self, cx: &mut Cx, id: &str) {
        let Kind::Consumer(consumer) = &mut self.kind else {
            return;
        };
        if consumer.is_overdue(cx, id) {
            self.fence(cx, &[id.to_owned()]);
        }
    }
}

impl Consumer {
    /// A static member goes away for as long as its session lasts; its partitions stay its own.
    fn go_away(&mut self, cx: &mut Cx, id: &str) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let mut current = member.current.clone();
        current.epoch = LEAVE_STATIC_EPOCH;
        current.revoking = Owned::new();
        for epochs in current.assigned.values_mut() {
            // Whatever it commits when it is back under a new id is its to commit.
            for epoch in epochs.values_mut() {
                *epoch = 0;
            }
        }
        self.put_current(cx, id, current);
    }

    fn remove(&mut self, cx: &mut Cx, ids: &[String]) {
        for id in ids {
            self.put_gone(cx, id);
        }
        let unused: Vec<String> = self
            .regexes()
            .keys()
            .filter(|regex| !self.members.values().any(|m| m.regex() == Some(regex)))
            .cloned()
            .collect();
        for regex in unused {
            self.put_regex(cx, &regex, None);
        }
        self.put_epoch(cx);
    }
}
