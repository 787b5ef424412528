//! Members that speak the classic protocol in a consumer group: JoinGroup and SyncGroup stand for heartbeats, member
//! epochs for generations.

use kafka_protocol::ResponseError;

use super::beat::{check_instance, without_epochs};
use super::{ClassicMember, Consumer, Member, MemberMetadata, MemberState};
use crate::core::Refusal;
use crate::core::groups::classic::{Join, Joined, Leaving, Sync, Synced};
use crate::core::groups::embedded::{self, PROTOCOL_TYPE, Subscription};
use crate::core::groups::{Cx, Group, Kind, Out};

impl Consumer {
    /// A member joins with the classic protocol. Says whether the group is to become classic, with the joining member
    /// in the place of its last other one, and whether that needs a rebalance.
    pub(crate) fn join_classic(&mut self, cx: &mut Cx, join: &Join) -> Result<Option<bool>, Refusal> {
        if !cx.rules.upgrade && !cx.rules.downgrade {
            return Err(ResponseError::InconsistentGroupProtocol.into());
        }
        let unknown = join.member.is_empty();
        let id = &join.id_in_consumer_group();
        self.check_room(cx, id)?;
        let subscription = self.subscription_of(join)?;
        if unknown && join.id_required() {
            let refused = Joined::refused(ResponseError::MemberIdRequired, id);
            cx.out.push(Out::Joined(join.asker, refused));
            return Ok(None);
        }
        let downgrade = join
            .instance
            .as_deref()
            .is_some_and(|i| self.downgrades_by(cx, i));
        let before = self.find_or_make_classic(cx, join, id, unknown)?;
        let after = updated(&before, join, &subscription);
        let changed = self.take_in(cx, id, &before.metadata, after);
        let owned = embedded::with_ids(&subscription.owned, cx.topics);
        if downgrade {
            let rebalance = self.assignment_epoch < self.epoch;
            if !rebalance {
                self.reconcile(cx, id, changed, Some(&owned))?;
            }
            return Ok(Some(rebalance));
        }
        self.update_target(cx);
        self.reconcile(cx, id, changed, Some(&owned))?;
        self.answer_join(cx, join, id);
        Ok(None)
    }

    fn answer_join(&mut self, cx: &mut Cx, join: &Join, id: &str) {
        let epoch = self.members.get(id).map_or(0, |m| m.current.epoch);
        if let Some(member) = self.members.get_mut(id) {
            member.deadlines.join_ms = None;
            member.deadlines.sync_ms = Some(cx.now_ms + i64::from(join.rebalance_timeout_ms));
        }
        self.session(cx, id);
        let joined = Joined::without_leader(join, id, epoch);
        cx.out.push(Out::Joined(join.asker, joined));
    }

    /// What a join subscribes to, where its protocols fit those of the other classic members.
    fn subscription_of(&self, join: &Join) -> Result<Subscription, Refusal> {
        let others: Vec<&ClassicMember> = self
            .members
            .values()
            .filter_map(|m| m.metadata.classic.as_ref())
            .collect();
        let all_can = |name: &str| {
            others
                .iter()
                .all(|m| m.protocols.iter().any(|(own, _)| own == name))
        };
        let fits = join.protocols.iter().any(|(name, _)| all_can(name));
        if join.protocol_type != PROTOCOL_TYPE || !fits {
            return Err(ResponseError::InconsistentGroupProtocol.into());
        }
        let metadata = join.protocols.first().map(|(_, metadata)| metadata.clone());
        embedded::subscription(&metadata.unwrap_or_default())
            .map_err(|_| ResponseError::UnknownServerError.into())
    }

    fn find_or_make_classic(
        &mut self,
        cx: &mut Cx,
        join: &Join,
        id: &str,
        unknown: bool,
    ) -> Result<Member, Refusal> {
        let there = || self.members.get(id).cloned().unwrap_or_else(Member::fresh);
        let Some(instance) = &join.instance else {
            return Ok(there());
        };
        match self.instance_member(instance).map(|(old, _)| old.clone()) {
            None if unknown => Ok(there()),
            None => Err(ResponseError::UnknownMemberId.into()),
            Some(old) if unknown => Ok(self.replace_static(cx, &old, id)),
            Some(old) => {
                check_instance(&old, id, instance)?;
                Ok(there())
            }
        }
    }

    /// The member that a request of the classic protocol speaks of, with its epoch as it believes it to be.
    fn classic_member(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<&Member, ResponseError> {
        if let Some(instance) = instance {
            let (owner, _) = self
                .instance_member(instance)
                .ok_or(ResponseError::UnknownMemberId)?;
            check_instance(owner, id, instance).map_err(|refusal| refusal.error)?;
        }
        let member = self.members.get(id).ok_or(ResponseError::UnknownMemberId)?;
        if member.metadata.classic.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        if member.current.epoch != generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(member)
    }

    /// A classic member asks for its assignment.
    pub(crate) fn sync_classic(&mut self, cx: &mut Cx, sync: &Sync) {
        let synced = match self.sync_error(cx, sync) {
            Err(error) => Synced::refused(error),
            Ok(version) => {
                if let Some(member) = self.members.get_mut(&sync.member) {
                    member.deadlines.sync_ms = None;
                }
                self.session(cx, &sync.member);
                let assigned = self.members.get(&sync.member).map(|m| &m.current.assigned);
                let partitions = assigned.map(without_epochs).unwrap_or_default();
                Synced {
                    error: None,
                    protocol_type: sync.protocol_type.clone(),
                    protocol: sync.protocol.clone(),
                    assignment: embedded::write_assignment(&partitions, version, cx.topics),
                }
            }
        };
        cx.out.push(Out::Synced(sync.asker, synced));
    }

    /// The version of the assignment that the member reads, or what is wrong.
    fn sync_error(&mut self, cx: &mut Cx, sync: &Sync) -> Result<i16, ResponseError> {
        let member = self.classic_member(&sync.member, sync.instance.as_deref(), sync.generation)?;
        let first = member.metadata.classic.as_ref().and_then(|c| c.protocols.first());
        let (name, metadata) = first.ok_or(ResponseError::InconsistentGroupProtocol)?;
        let other_type = sync
            .protocol_type
            .as_deref()
            .is_some_and(|own| own != PROTOCOL_TYPE);
        if other_type || sync.protocol.as_ref().is_some_and(|own| own != name) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let version = embedded::subscription(metadata).map_or(0, |read| read.version);
        // A member that has to let go of partitions has joined for this rebalance already.
        let current = &member.current;
        if self.assignment_epoch > current.epoch && current.state != MemberState::UnrevokedPartitions {
            self.expect_join(cx, &sync.member);
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(version)
    }

    /// A classic member says that it is alive; it is told to join again where there is something for it.
    pub(crate) fn heartbeat_classic(
        &mut self,
        cx: &mut Cx,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Option<ResponseError> {
        let member = match self.classic_member(id, instance, generation) {
            Ok(member) => member,
            Err(error) => return Some(error),
        };
        let behind = member.current.epoch < self.assignment_epoch;
        let joins = match member.current.state {
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !self.waits_for_others(id),
            MemberState::Stable | MemberState::Unknown => false,
        };
        self.session(cx, id);
        if !behind && !joins {
            return None;
        }
        self.expect_join(cx, id);
        Some(ResponseError::RebalanceInProgress)
    }

    /// A member has been told to join: it has its rebalance time-out for it.
    fn expect_join(&mut self, cx: &mut Cx, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            let at_ms = cx.now_ms + i64::from(member.metadata.rebalance_timeout_ms);
            member.deadlines.join_ms.get_or_insert(at_ms);
        }
        self.arm(cx, id);
    }

    /// Who of these leaves, and what is wrong with the others.
    fn leaving(&self, who: &Leaving) -> Result<String, ResponseError> {
        let Some(instance) = &who.instance else {
            let known = self.members.contains_key(&who.member);
            return known
                .then(|| who.member.clone())
                .ok_or(ResponseError::UnknownMemberId);
        };
        let (owner, _) = self
            .instance_member(instance)
            .ok_or(ResponseError::UnknownMemberId)?;
        if !who.member.is_empty() {
            check_instance(owner, &who.member, instance).map_err(|refusal| refusal.error)?;
        }
        Ok(owner.clone())
    }

    /// Would the group have members of the classic protocol only, without these.
    pub(super) fn downgrades_without(&self, cx: &Cx, gone: &[String]) -> bool {
        let mut left = self.members.iter().filter(|(id, _)| !gone.contains(id));
        let count = self.members.len() - gone.iter().filter(|id| self.members.contains_key(*id)).count();
        cx.rules.downgrade
            && count > 0
            && count <= cx.rules.classic_max_size
            && left.all(|(_, m)| m.metadata.classic.is_some())
    }

    /// Would it, with a classic member in the place of this static one.
    fn downgrades_by(&self, cx: &Cx, instance: &str) -> bool {
        let Some((replaced, member)) = self.instance_member(instance) else {
            return false;
        };
        let mut others = self.members.iter().filter(|(id, _)| *id != replaced);
        cx.rules.downgrade
            && member.metadata.classic.is_none()
            && self.members.len() <= cx.rules.classic_max_size
            && others.all(|(_, m)| m.metadata.classic.is_some())
    }
}

impl Group {
    /// Members leave by the classic protocol's request. Says for each what was wrong.
    pub(crate) fn leave(&mut self, cx: &mut Cx, leaving: &[Leaving]) -> Vec<Option<ResponseError>> {
        match &mut self.kind {
            Kind::Classic(classic) => classic.leave(cx, leaving),
            Kind::Consumer(consumer) => {
                let found: Vec<_> = leaving.iter().map(|who| consumer.leaving(who)).collect();
                let mut gone: Vec<String> = found.iter().flatten().cloned().collect();
                gone.dedup();
                self.fence(cx, &gone);
                found.into_iter().map(Result::err).collect()
            }
            Kind::Share(_) => vec![Some(ResponseError::UnknownMemberId); leaving.len()],
        }
    }
}

/// What a member says of itself, after this join.
fn updated(member: &Member, join: &Join, subscription: &Subscription) -> MemberMetadata {
    let mut after = member.metadata.clone();
    if join.instance.is_some() {
        after.instance.clone_from(&join.instance);
    }
    if subscription.rack.is_some() {
        after.rack.clone_from(&subscription.rack);
    }
    after.rebalance_timeout_ms = join.rebalance_timeout_ms;
    after.topics.clone_from(&subscription.topics);
    // There are no expressions in the classic protocol.
    after.regex = Some(String::new());
    after.client_id.clone_from(&join.client_id);
    after.host.clone_from(&join.host);
    after.classic = Some(ClassicMember {
        session_timeout_ms: join.session_timeout_ms,
        protocols: join.protocols.clone(),
    });
    after
}
