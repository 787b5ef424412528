//! The leader's assignment reaches the members, who then send heartbeats.

use kafka_protocol::ResponseError;

use super::{Classic, State, Sync, Synced};
use crate::core::groups::{Cx, Out};

impl Classic {
    /// A member asks for its assignment; the leader brings them all.
    pub(crate) fn sync(&mut self, cx: &mut Cx, sync: &Sync) {
        if let Some(error) = self.sync_error(sync) {
            cx.out.push(Out::Synced(sync.asker, Synced::refused(error)));
            return;
        }
        self.unsynced.remove(&sync.member);
        if self.state == State::Stable {
            let answer = self.synced_answer(&sync.member);
            cx.out.push(Out::Synced(sync.asker, answer));
            return;
        }
        if let Some(member) = self.member_mut(&sync.member)
            && let Some(older) = member.syncing.replace(sync.asker)
        {
            let refused = Synced::refused(ResponseError::RebalanceInProgress);
            cx.out.push(Out::Synced(older, refused));
        }
        if self.is_leader(&sync.member) {
            self.assign(cx, sync);
        }
    }

    fn assign(&mut self, cx: &mut Cx, sync: &Sync) {
        for member in &mut self.members {
            let given = sync.assignments.iter().rfind(|(id, _)| *id == member.id);
            member.assignment = given.map(|(_, a)| a.clone()).unwrap_or_default();
        }
        cx.out.push(Out::Save(self.saved()));
        for id in self.ids() {
            let answer = self.synced_answer(&id);
            let asker = self.member_mut(&id).and_then(|m| m.syncing.take());
            if let Some(asker) = asker {
                cx.out.push(Out::Synced(asker, answer));
                self.heard_of(cx, &id);
            }
        }
        self.become_state(cx, State::Stable);
    }

    fn sync_error(&self, sync: &Sync) -> Option<ResponseError> {
        if self.state == State::Empty {
            return Some(ResponseError::UnknownMemberId);
        }
        if let Some(error) = self.identity_error(&sync.member, sync.instance.as_deref()) {
            return Some(error);
        }
        let differs =
            |said: &Option<String>, own: &Option<String>| said.is_some() && own.is_some() && said != own;
        if sync.generation != self.generation {
            Some(ResponseError::IllegalGeneration)
        } else if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol)
        {
            Some(ResponseError::InconsistentGroupProtocol)
        } else {
            (self.state == State::PreparingRebalance).then_some(ResponseError::RebalanceInProgress)
        }
    }

    fn synced_answer(&self, id: &str) -> Synced {
        Synced {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.member(id).map(|m| m.assignment.clone()).unwrap_or_default(),
        }
    }

    /// Members who have not asked for their assignment in time are out.
    pub(super) fn sync_due(&mut self, cx: &mut Cx, generation: i32) {
        let waits = matches!(self.state, State::CompletingRebalance | State::Stable);
        if !waits || self.generation != generation || self.unsynced.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.unsynced) {
            self.drop_member(cx, &id);
        }
        self.prepare_rebalance(cx);
    }

    /// A member says that it is alive.
    pub(crate) fn heartbeat(
        &mut self,
        cx: &mut Cx,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Option<ResponseError> {
        if let Some(error) = self.identity_error(member, instance) {
            return Some(error);
        }
        if generation != self.generation {
            return Some(ResponseError::IllegalGeneration);
        }
        self.heard_of(cx, member);
        (self.state == State::PreparingRebalance).then_some(ResponseError::RebalanceInProgress)
    }
}
