//! A group changes its protocol: while it is empty, or with its members on board (`group.consumer.migration.policy`).

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::classic::{self, Classic, Join, Joined, Synced};
use super::consumer::{ClassicMember, Consumer, Current, MemberMetadata, MemberState};
use super::records::{ModernSaved, Saved};
use super::{Cx, Group, Kind, Out, Partitions, embedded};
use crate::core::Refusal;

impl Group {
    /// A member joins with the classic protocol.
    pub(crate) fn join(&mut self, cx: &mut Cx, join: &Join) {
        if let Kind::Consumer(consumer) = &mut self.kind {
            if !consumer.members.is_empty() {
                self.join_as_classic(cx, join);
                return;
            }
            for saved in consumer.tombstones() {
                cx.out.push(Out::Save(saved));
            }
            self.kind = Kind::Classic(Classic::new(&self.id, cx.now_ms));
            // Kafka has no group now for a member that says it was in one.
            if let Kind::Classic(classic) = &self.kind {
                cx.out.push(Out::Save(classic.saved()));
            }
        }
        match &mut self.kind {
            Kind::Classic(classic) => classic.join(cx, join),
            Kind::Share(_) => {
                let refused = Joined::refused(ResponseError::InconsistentGroupProtocol, "");
                cx.out.push(Out::Joined(join.asker, refused));
            }
            Kind::Consumer(_) => {}
        }
    }

    fn join_as_classic(&mut self, cx: &mut Cx, join: &Join) {
        let Kind::Consumer(consumer) = &mut self.kind else {
            return;
        };
        match consumer.join_classic(cx, join) {
            Ok(None) => {}
            Ok(Some(rebalance)) => self.downgrade_by_join(cx, join, rebalance),
            Err(refusal) => {
                let refused = Joined::refused(refusal.error, "");
                cx.out.push(Out::Joined(join.asker, refused));
            }
        }
    }

    /// The last member of the consumer protocol was a static one, and is back with the classic protocol.
    fn downgrade_by_join(&mut self, cx: &mut Cx, join: &Join, rebalance: bool) {
        self.turn_classic(cx, &[]);
        let Kind::Classic(classic) = &mut self.kind else {
            return;
        };
        let id = &join.id_in_consumer_group();
        let joined = Joined::without_leader(join, id, classic.generation);
        cx.out.push(Out::Joined(join.asker, joined));
        if rebalance {
            classic.prepare_rebalance(cx);
        }
    }

    /// The last member of the consumer protocol has left.
    pub(super) fn become_classic(&mut self, cx: &mut Cx, gone: &[String]) {
        self.turn_classic(cx, gone);
        if let Kind::Classic(classic) = &mut self.kind {
            classic.prepare_rebalance(cx);
        }
    }

    fn turn_classic(&mut self, cx: &mut Cx, gone: &[String]) {
        let Kind::Consumer(consumer) = &self.kind else {
            return;
        };
        for saved in consumer.tombstones() {
            cx.out.push(Out::Save(saved));
        }
        let mut classic = classic_of(consumer, cx, gone);
        cx.out.push(Out::Save(classic.saved()));
        classic.load(cx);
        self.kind = Kind::Classic(classic);
    }

    /// A member has come with the consumer protocol.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` where the group can't become a consumer group.
    pub(super) fn become_consumer(&mut self, cx: &mut Cx, joins: bool) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::new(ResponseError::GroupIdNotFound, why));
        let id = &self.id;
        let Kind::Classic(classic) = &mut self.kind else {
            return Ok(());
        };
        if !joins {
            return refuse(format!("Group {id} is not a consumer group."));
        }
        if classic.state == classic::State::Empty {
            // A group that only has offsets is nowhere in the log.
            if !classic.is_simple() || classic.generation > 0 {
                cx.out.push(Out::Save(Saved::Group {
                    group: id.clone(),
                    saved: None,
                }));
            }
            self.kind = Kind::Consumer(Consumer::new(id));
            return Ok(());
        }
        let cannot = format!("Cannot upgrade classic group {id} to consumer group because");
        if !cx.rules.upgrade {
            return refuse(format!("{cannot} online upgrade is disabled."));
        }
        if !classic.is_consumers() {
            return refuse(format!(
                "{cannot} the group does not use the consumer embedded protocol."
            ));
        }
        if classic.members.len() > cx.rules.consumer.max_size {
            return refuse(format!(
                "{cannot} the group size exceeds the consumer group maximum size."
            ));
        }
        let consumer = match consumer_of(classic, cx) {
            Ok(consumer) => consumer,
            Err(CannotRead::Malformed) => {
                return refuse(format!("{cannot} the embedded consumer protocol is malformed."));
            }
            Err(CannotRead::CustomAssignor) => {
                return refuse(format!(
                    "{cannot} an unsupported custom assignor is in use. Please refer to the documentation or switch \
                     to a default assignor before re-attempting the upgrade."
                ));
            }
        };
        send_back(classic, cx);
        cx.out.push(Out::Save(Saved::Group {
            group: id.clone(),
            saved: None,
        }));
        for saved in consumer.snapshot() {
            cx.out.push(Out::Save(saved));
        }
        self.kind = Kind::Consumer(consumer);
        if let Kind::Consumer(consumer) = &mut self.kind {
            consumer.load(cx);
        }
        Ok(())
    }
}

/// Who waits in a rebalance of the classic group joins again, as a member of the consumer group.
fn send_back(classic: &mut Classic, cx: &mut Cx) {
    for member in &mut classic.members {
        if let Some(asker) = member.joining.take() {
            let refused = Joined::refused(ResponseError::RebalanceInProgress, &member.id);
            cx.out.push(Out::Joined(asker, refused));
        }
        if let Some(asker) = member.syncing.take() {
            let refused = Synced::refused(ResponseError::RebalanceInProgress);
            cx.out.push(Out::Synced(asker, refused));
        }
    }
}

/// Why a classic group can't become a consumer group.
enum CannotRead {
    Malformed,
    CustomAssignor,
}

/// The consumer group that has what the classic group had.
fn consumer_of(classic: &Classic, cx: &Cx) -> Result<Consumer, CannotRead> {
    let mut consumer = Consumer::new(&classic.id);
    consumer.epoch = classic.generation;
    consumer.assignment_epoch = classic.generation;
    let protocol = classic.protocol.clone().unwrap_or_default();
    for member in &classic.members {
        // Before its first answer a member has no protocol that all have agreed on.
        let metadata = match member.metadata(&protocol) {
            empty if empty.is_empty() => member
                .protocols
                .first()
                .map(|(_, m)| m.clone())
                .unwrap_or_default(),
            metadata => metadata,
        };
        let (partitions, has_data) =
            embedded::assignment(&member.assignment, cx.topics).map_err(|_| CannotRead::Malformed)?;
        if has_data {
            return Err(CannotRead::CustomAssignor);
        }
        let subscription = embedded::subscription(&metadata).map_err(|_| CannotRead::Malformed)?;
        let with_epoch = |indexes: &std::collections::BTreeSet<i32>| {
            indexes.iter().map(|index| (*index, classic.generation)).collect()
        };
        let assigned = partitions
            .iter()
            .map(|(topic, indexes)| (*topic, with_epoch(indexes)));
        let current = Current {
            epoch: classic.generation,
            previous_epoch: classic.generation,
            state: MemberState::Stable,
            assigned: assigned.collect(),
            ..Current::default()
        };
        let metadata = metadata_of(member, subscription);
        let id = || member.id.clone();
        consumer.apply(&ModernSaved::Member(id(), Some(metadata)));
        consumer.apply(&ModernSaved::Target(id(), Some(partitions)));
        consumer.apply(&ModernSaved::Current(id(), Some(current)));
    }
    consumer.hash = consumer.topics_hash(cx.topics);
    Ok(consumer)
}

fn metadata_of(member: &classic::Member, subscription: embedded::Subscription) -> MemberMetadata {
    MemberMetadata {
        instance: member.instance.clone(),
        rack: subscription.rack,
        client_id: member.client_id.clone(),
        host: member.host.clone(),
        topics: subscription.topics,
        regex: Some(String::new()),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicMember {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    }
}

/// The classic group that has what the consumer group had; all of its members speak the classic protocol.
fn classic_of(consumer: &Consumer, cx: &Cx, gone: &[String]) -> Classic {
    let mut classic = Classic::new(&consumer.id, cx.now_ms);
    classic.state = classic::State::Stable;
    classic.generation = consumer.epoch;
    classic.protocol_type = Some(embedded::PROTOCOL_TYPE.to_owned());
    let left = consumer.members.iter().filter(|(id, _)| !gone.contains(id));
    for (id, member) in left {
        let spoken = member.metadata.classic.clone().unwrap_or_default();
        let first = spoken.protocols.first().map(|(_, m)| m.clone());
        let version = embedded::subscription(&first.unwrap_or_default()).map_or(0, |read| read.version);
        let nothing = Partitions::new();
        let target = consumer.target.get(id).unwrap_or(&nothing);
        let assignment: Bytes = embedded::write_assignment(target, version, cx.topics);
        classic.members.push(classic::Member {
            id: id.clone(),
            instance: member.metadata.instance.clone(),
            client_id: member.metadata.client_id.clone(),
            host: member.metadata.host.clone(),
            rebalance_timeout_ms: member.metadata.rebalance_timeout_ms,
            session_timeout_ms: spoken.session_timeout_ms,
            protocols: spoken.protocols,
            assignment,
            ..classic::Member::default()
        });
    }
    classic.leader = classic.members.first().map(|m| m.id.clone());
    classic.protocol = classic.elect_protocol();
    classic.note_subscribed();
    classic
}
