//! From the first join to the answers of all.

use kafka_protocol::ResponseError;

use super::{Classic, State, Synced};
use crate::core::groups::{Cx, Out, Wake};

impl Classic {
    /// Something has changed: a rebalance begins, or goes on.
    pub(super) fn rebalance(&mut self, cx: &mut Cx) {
        if self.state == State::PreparingRebalance {
            self.complete_if_all_joined(cx);
        } else {
            self.prepare_rebalance(cx);
        }
    }

    /// A rebalance begins: all must join again.
    pub(crate) fn prepare_rebalance(&mut self, cx: &mut Cx) {
        if self.state == State::CompletingRebalance {
            for member in &mut self.members {
                member.assignment.clear();
            }
            self.fail_syncs(cx, ResponseError::RebalanceInProgress);
        }
        self.unsynced.clear();
        let first = self.state == State::Empty;
        self.become_state(cx, State::PreparingRebalance);
        if first {
            self.gather(cx);
            return;
        }
        if self.all_joined() {
            self.complete_join(cx);
        } else {
            self.wait_for_members(cx, self.rebalance_timeout_ms());
        }
    }

    pub(super) fn wait_for_members(&mut self, cx: &mut Cx, wait_ms: i64) {
        self.round += 1;
        cx.out
            .push(Out::Wake(cx.now_ms + wait_ms, Wake::Rebalance(self.round)));
    }

    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        let timeouts = self.members.iter().map(|m| i64::from(m.rebalance_timeout_ms));
        timeouts.max().unwrap_or(0)
    }

    fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.iter().all(|m| m.joining.is_some())
    }

    pub(super) fn complete_if_all_joined(&mut self, cx: &mut Cx) {
        if self.state == State::PreparingRebalance && self.gathering.is_none() && self.all_joined() {
            self.complete_join(cx);
        }
    }

    /// The rebalance has waited long enough.
    pub(super) fn rebalance_due(&mut self, cx: &mut Cx) {
        if self.state != State::PreparingRebalance {
            return;
        }
        match self.gathering.take() {
            Some(gathering) => self.gathered(cx, gathering),
            None => self.complete_join(cx),
        }
    }

    pub(super) fn complete_join(&mut self, cx: &mut Cx) {
        self.gathering = None;
        // Who has not come back is out, but for static members: they may be restarting.
        self.members
            .retain(|m| m.joining.is_some() || m.instance.is_some());
        if let Some(leader) = &self.leader
            && self.member(leader).is_none()
        {
            self.leader = self.members.first().map(|m| m.id.clone());
        }
        if !self.members.is_empty() && !self.elect_leader() {
            self.wait_for_members(cx, self.rebalance_timeout_ms());
            return;
        }
        self.generation += 1;
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.subscribed = self.compute_subscribed();
            self.become_state(cx, State::Empty);
            cx.out.push(Out::Save(self.saved()));
            return;
        }
        self.protocol = self.elect_protocol();
        self.subscribed = self.compute_subscribed();
        self.become_state(cx, State::CompletingRebalance);
        self.unsynced = self.members.iter().map(|m| m.id.clone()).collect();
        for id in self.ids() {
            let answer = self.joined_answer(&id);
            self.heard_of(cx, &id);
            if let Some(member) = self.member_mut(&id) {
                member.is_new = false;
                if let Some(asker) = member.joining.take() {
                    cx.out.push(Out::Joined(asker, answer));
                }
            }
        }
        let at_ms = cx.now_ms + self.rebalance_timeout_ms();
        cx.out.push(Out::Wake(at_ms, Wake::Sync(self.generation)));
    }

    /// Keeps the leader, or takes the first member that has joined; says whether there is one.
    fn elect_leader(&mut self) -> bool {
        let leader = self.leader.as_deref().and_then(|id| self.member(id));
        if leader.is_some_and(|m| m.joining.is_some()) {
            return true;
        }
        match self.members.iter().find(|m| m.joining.is_some()) {
            Some(next) => {
                self.leader = Some(next.id.clone());
                true
            }
            None => false,
        }
    }

    pub(super) fn fail_syncs(&mut self, cx: &mut Cx, error: ResponseError) {
        for at in 0..self.members.len() {
            if let Some(asker) = self.members[at].syncing.take() {
                cx.out.push(Out::Synced(asker, Synced::refused(error)));
                let id = self.members[at].id.clone();
                self.heard_of(cx, &id);
            }
        }
    }
}
