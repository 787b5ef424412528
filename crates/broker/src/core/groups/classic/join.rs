//! Members join, or join again.

use kafka_protocol::ResponseError;

use super::{Classic, Gathering, Join, Joined, Member, NEW_MEMBER_MS, State, Synced};
use crate::core::groups::{Cx, Out, Wake};

impl Classic {
    /// Members join, or join again. The answer comes when the rebalance is through.
    pub(crate) fn join(&mut self, cx: &mut Cx, join: &Join) {
        if !self.has_room(cx, &join.member) {
            self.drop_member(cx, &join.member);
            refuse(cx, join, ResponseError::GroupMaxSizeReached, "");
        } else if !self.supports(&join.protocol_type, &join.protocols) {
            refuse(cx, join, ResponseError::InconsistentGroupProtocol, &join.member);
        } else if join.member.is_empty() {
            self.join_new(cx, join);
        } else if self.pending.remove(&join.member).is_some() {
            self.add_member(cx, join.member.clone(), join);
        } else if let Some(error) = self.identity_error(&join.member, join.instance.as_deref()) {
            refuse(cx, join, error, &join.member);
        } else {
            self.rejoin(cx, join);
        }
    }

    fn has_room(&self, cx: &Cx, id: &str) -> bool {
        let max = cx.rules.classic_max_size;
        let member = self.member(id);
        match self.state {
            State::Empty => true,
            // Who is back first stays, so that a group over its size loses the slowest.
            State::PreparingRebalance => {
                let waiting = self.members.iter().filter(|m| m.joining.is_some()).count();
                member.is_some_and(|m| m.joining.is_some()) || waiting < max
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < max,
        }
    }

    fn join_new(&mut self, cx: &mut Cx, join: &Join) {
        let id = join.new_id();
        let known = join.instance.as_deref().and_then(|i| self.instance_member(i));
        if let Some(old) = known.map(|m| m.id.clone()) {
            self.replace_static(cx, &old, id, join);
        } else if join.id_required() {
            let deadline = cx.now_ms + i64::from(join.session_timeout_ms);
            self.pending.insert(id.clone(), deadline);
            cx.out.push(Out::Wake(deadline, Wake::Member(id.clone())));
            refuse(cx, join, ResponseError::MemberIdRequired, &id);
        } else {
            self.add_member(cx, id, join);
        }
    }

    fn add_member(&mut self, cx: &mut Cx, id: String, join: &Join) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        if let Some(gathering) = &mut self.gathering {
            gathering.came = true;
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.members.push(Member {
            id: id.clone(),
            instance: join.instance.clone(),
            client_id: join.client_id.clone(),
            host: join.host.clone(),
            is_new: true,
            ..Member::default()
        });
        self.take_in(cx, &id, join);
        self.set_deadline(cx, &id, cx.now_ms + NEW_MEMBER_MS);
        self.rebalance(cx);
    }

    /// Notes what a join says of its member.
    fn take_in(&mut self, cx: &mut Cx, id: &str, join: &Join) {
        let Some(member) = self.member_mut(id) else { return };
        member.protocols.clone_from(&join.protocols);
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.session_timeout_ms = join.session_timeout_ms;
        // A second join replaces the first: the client gave that one up.
        if let Some(older) = member.joining.replace(join.asker) {
            let refused = Joined::refused(ResponseError::RebalanceInProgress, id);
            cx.out.push(Out::Joined(older, refused));
        }
    }

    fn rejoin(&mut self, cx: &mut Cx, join: &Join) {
        let unchanged = self
            .member(&join.member)
            .is_some_and(|m| m.protocols == join.protocols);
        match self.state {
            State::Empty => refuse(cx, join, ResponseError::UnknownMemberId, &join.member),
            // It missed the first answer, or nothing has changed for it.
            State::CompletingRebalance if unchanged => self.answer_now(cx, join),
            State::Stable if unchanged && !self.is_leader(&join.member) => self.answer_now(cx, join),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.take_in(cx, &join.member, join);
                self.rebalance(cx);
            }
        }
    }

    fn answer_now(&mut self, cx: &mut Cx, join: &Join) {
        let answer = self.joined_answer(&join.member);
        cx.out.push(Out::Joined(join.asker, answer));
    }

    /// A static member is back under a new id: it keeps its assignment where the protocol stays the same.
    fn replace_static(&mut self, cx: &mut Cx, old: &str, id: String, join: &Join) {
        let leader_before = self.leader.clone();
        if self.is_leader(old) {
            self.leader = Some(id.clone());
        }
        if let Some(member) = self.member_mut(old) {
            if let Some(asker) = member.joining.take() {
                let refused = Joined::refused(ResponseError::FencedInstanceId, old);
                cx.out.push(Out::Joined(asker, refused));
            }
            if let Some(asker) = member.syncing.take() {
                let refused = Synced::refused(ResponseError::FencedInstanceId);
                cx.out.push(Out::Synced(asker, refused));
            }
            member.id.clone_from(&id);
            member.armed_ms = None;
        }
        self.heard_of(cx, &id);
        self.take_in(cx, &id, join);
        match self.state {
            State::Stable if self.protocol == self.elect_protocol() => {
                cx.out.push(Out::Save(self.saved()));
                let mut answer = self.joined_answer(&id);
                if join.asker.version >= 9 {
                    answer.skip_assignment = self.is_leader(&id);
                } else {
                    // It must not take itself for the leader, or it would assign anew.
                    answer.leader = leader_before.unwrap_or_default();
                    answer.members = Vec::new();
                }
                if let Some(member) = self.member_mut(&id) {
                    member.joining = None;
                }
                cx.out.push(Out::Joined(join.asker, answer));
            }
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(cx),
            State::PreparingRebalance | State::Empty => self.complete_if_all_joined(cx),
        }
    }

    /// The answer for a member of the current generation.
    pub(super) fn joined_answer(&self, id: &str) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if self.is_leader(id) {
            self.members
                .iter()
                .map(|m| (m.id.clone(), m.instance.clone(), m.metadata(&protocol)))
                .collect()
        } else {
            Vec::new()
        };
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member: id.to_owned(),
            members,
        }
    }

    /// The first rebalance of an empty group waits for more to come.
    pub(super) fn gather(&mut self, cx: &mut Cx) {
        let delay_ms = cx.rules.initial_delay_ms;
        self.gathering = Some(Gathering {
            delay_ms,
            remaining_ms: (self.rebalance_timeout_ms() - delay_ms).max(0),
            came: false,
        });
        self.wait_for_members(cx, delay_ms);
    }

    /// The wait is over, or goes on because somebody came.
    pub(super) fn gathered(&mut self, cx: &mut Cx, gathering: Gathering) {
        if !gathering.came || gathering.remaining_ms == 0 {
            self.complete_join(cx);
            return;
        }
        let delay_ms = cx.rules.initial_delay_ms.min(gathering.remaining_ms);
        self.gathering = Some(Gathering {
            delay_ms,
            remaining_ms: (gathering.remaining_ms - gathering.delay_ms).max(0),
            came: false,
        });
        self.wait_for_members(cx, delay_ms);
    }
}

fn refuse(cx: &mut Cx, join: &Join, error: ResponseError, member: &str) {
    cx.out
        .push(Out::Joined(join.asker, Joined::refused(error, member)));
}
