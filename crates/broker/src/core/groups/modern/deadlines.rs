//! Until when a member must have done what.

use super::{GroupType, Modern};
use crate::core::groups::{Cx, Out, Wake};

/// A member's deadlines, none of which survives. Only a consumer group's member has others than its session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadlines {
    pub(crate) session_ms: Option<i64>,
    /// To let go of partitions, in this epoch.
    pub(crate) revoke: Option<(i64, i32)>,
    /// To join again, and to sync, for members of the classic protocol.
    pub(crate) join_ms: Option<i64>,
    pub(crate) sync_ms: Option<i64>,
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

    /// Is one over for a member of this epoch.
    fn are_over(&self, now_ms: i64, epoch: i32) -> bool {
        let revoke = self.revoke.filter(|(_, of)| *of == epoch).map(|(at, _)| at);
        let all = [self.session_ms, revoke, self.join_ms, self.sync_ms];
        all.into_iter().flatten().any(|at| at <= now_ms)
    }
}

impl<T: GroupType> Modern<T> {
    /// A member's session begins anew.
    pub(crate) fn session(&mut self, cx: &mut Cx, id: &str) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        let timeout_ms = T::session_timeout_ms(&member.metadata, cx.rules);
        member.deadlines.session_ms = Some(cx.now_ms + timeout_ms);
        self.arm(cx, id);
    }

    /// Every member's session begins anew.
    pub(crate) fn sessions(&mut self, cx: &mut Cx) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            self.session(cx, &id);
        }
    }

    /// Has the group woken up for a member's next deadline.
    pub(crate) fn arm(&mut self, cx: &mut Cx, id: &str) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        let deadlines = &mut member.deadlines;
        if let Some(next) = deadlines.next_ms()
            && deadlines.armed_ms.is_none_or(|armed| armed > next)
        {
            deadlines.armed_ms = Some(next);
            cx.out.push(Out::Wake(next, Wake::Member(id.to_owned())));
        }
    }

    /// The wake-up of a member has come: is it to be fenced. Where not, the next one is asked for.
    pub(crate) fn is_overdue(&mut self, cx: &mut Cx, id: &str) -> bool {
        let Some(member) = self.members.get_mut(id) else {
            return false;
        };
        let deadlines = &mut member.deadlines;
        deadlines.armed_ms = None;
        if deadlines.are_over(cx.now_ms, T::epoch(&member.current)) {
            return true;
        }
        // It was for an epoch that the member has left behind.
        deadlines.revoke = deadlines.revoke.filter(|(at, _)| *at > cx.now_ms);
        self.arm(cx, id);
        false
    }
}
