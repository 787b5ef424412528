//! Members leave, or are taken out.

use kafka_protocol::ResponseError;

use super::{Classic, Joined, State, Synced};
use crate::core::groups::{Cx, Out};

/// A member that leaves, by its id, or as a static member by its instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaving {
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
}

impl Classic {
    /// Members leave, several at once where an administrator removes them; one rebalance for all. Says for each what
    /// was wrong.
    pub(crate) fn leave(&mut self, cx: &mut Cx, leaving: &[Leaving]) -> Vec<Option<ResponseError>> {
        let errors: Vec<_> = leaving.iter().map(|who| self.leave_one(cx, who)).collect();
        if errors.iter().any(Option::is_none) {
            self.after_leaving(cx);
        }
        errors
    }

    fn leave_one(&mut self, cx: &mut Cx, who: &Leaving) -> Option<ResponseError> {
        let instance = who.instance.as_deref();
        if who.member.is_empty() {
            let Some(known) = instance.and_then(|i| self.instance_member(i)) else {
                return Some(ResponseError::UnknownMemberId);
            };
            let id = known.id.clone();
            self.drop_member(cx, &id);
            return None;
        }
        if self.pending.remove(&who.member).is_some() {
            return None;
        }
        if let Some(error) = self.identity_error(&who.member, instance) {
            return Some(error);
        }
        self.drop_member(cx, &who.member);
        None
    }

    /// Takes a member out, answering what it waits for.
    pub(super) fn drop_member(&mut self, cx: &mut Cx, id: &str) {
        self.pending.remove(id);
        self.unsynced.remove(id);
        let Some(at) = self.members.iter().position(|m| m.id == id) else {
            return;
        };
        let member = self.members.remove(at);
        if let Some(asker) = member.joining {
            let refused = Joined::refused(ResponseError::UnknownMemberId, "");
            cx.out.push(Out::Joined(asker, refused));
        }
        if let Some(asker) = member.syncing {
            let refused = Synced::refused(ResponseError::UnknownMemberId);
            cx.out.push(Out::Synced(asker, refused));
        }
        if self.is_leader(id) {
            self.leader = self.members.first().map(|m| m.id.clone());
        }
    }

    pub(super) fn after_leaving(&mut self, cx: &mut Cx) {
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(cx),
            State::PreparingRebalance => self.complete_if_all_joined(cx),
            State::Empty => {}
        }
    }
}
