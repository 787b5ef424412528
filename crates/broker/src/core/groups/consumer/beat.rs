//! `ConsumerGroupHeartbeat`: a member joins, stays, or changes its subscription.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

use super::{Consumer, ConsumerType, Member, MemberMetadata, regex};
use crate::core::Refusal;
use crate::core::groups::modern::{Beaten, Deadlines};
use crate::core::groups::records::ModernSaved;
use crate::core::groups::{Cx, Group, Kind, Owned, Partitions};

/// A heartbeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beat {
    /// Made by the member, or for it where it speaks the first version.
    pub(crate) member: String,
    /// 0 to join.
    pub(crate) epoch: i32,
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    /// -1 where it has not changed.
    pub(crate) rebalance_timeout_ms: i32,
    /// Nothing where they have not changed.
    pub(crate) topics: Option<BTreeSet<String>>,
    pub(crate) regex: Option<String>,
    pub(crate) assignor: Option<String>,
    /// What it has; nothing where that has not changed.
    pub(crate) owned: Option<Partitions>,
    pub(crate) client_id: String,
    pub(crate) host: String,
}

impl Beat {
    /// Does it say everything that can be said.
    fn is_full(&self) -> bool {
        let subscribes = self.topics.is_some() || self.regex.is_some();
        self.rebalance_timeout_ms != -1 && subscribes && self.owned.is_some()
    }
}

impl Group {
    /// A heartbeat of a member; a first one makes a consumer group of what there is.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn beat(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Beaten, Refusal> {
        if beat.epoch < 0 {
            return self.consumer_leave(cx, beat);
        }
        // Whatever is wrong is found before anything is changed.
        if let Some(regex) = beat.regex.as_deref().filter(|regex| !regex.is_empty()) {
            regex::check(regex)?;
        }
        if self.consumer().is_none() {
            self.become_consumer(cx, beat.epoch == 0)?;
        }
        match &mut self.kind {
            Kind::Consumer(consumer) => consumer.beat(cx, beat),
            Kind::Classic(_) | Kind::Share(_) => Err(self.is_not::<ConsumerType>()),
        }
    }
}

impl Consumer {
    fn beat(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Beaten, Refusal> {
        self.check_room(cx, &beat.member)?;
        let before = self.find_or_make(cx, beat)?;
        let had = before.current.assigned.clone();
        let resolved_ms = self.resolved_ms();
        let changed = self.take_in(cx, &beat.member, &before.metadata, updated(&before, beat));
        self.update_target(cx);
        self.reconcile(cx, &beat.member, changed, beat.owned.as_ref())?;
        self.session(cx, &beat.member);
        let (epoch, has) = match self.members.get(&beat.member) {
            Some(member) => (member.current.epoch, member.current.assigned.clone()),
            None => (0, Owned::new()),
        };
        let tell = beat.epoch == 0 || beat.is_full() || has != had;
        self.refresh_regexes(cx, resolved_ms);
        Ok(Beaten {
            member: beat.member.clone(),
            epoch,
            heartbeat_interval_ms: cx.rules.consumer.heartbeat_interval_ms,
            assignment: tell.then(|| without_epochs(&has)),
        })
    }

    /// The member as it was before this heartbeat.
    fn find_or_make(&mut self, cx: &mut Cx, beat: &Beat) -> Result<Member, Refusal> {
        let joins = beat.epoch == 0;
        let Some(instance) = &beat.instance else {
            return match self.members.get(&beat.member) {
                Some(member) => {
                    check_epoch(member, beat.epoch, beat.owned.as_ref())?;
                    Ok(member.clone())
                }
                None if joins => Ok(Member::fresh()),
                None => Err(self.not_a_member(&beat.member)),
            };
        };
        let known = self
            .instance_member(instance)
            .map(|(id, member)| (id.clone(), member.clone()));
        match known {
            None if joins => Ok(self
                .members
                .get(&beat.member)
                .cloned()
                .unwrap_or_else(Member::fresh)),
            None => Err(Refusal::new(
                ResponseError::UnknownMemberId,
                format!("Instance id {instance} is unknown."),
            )),
            Some((old, member)) if joins => {
                let left = member.current.epoch == super::LEAVE_STATIC_EPOCH;
                if member.metadata.classic.is_none() && !left {
                    return Err(Refusal::new(
                        ResponseError::UnreleasedInstanceId,
                        format!(
                            "Static member {} with instance id {instance} cannot join the group because the instance \
                             id is owned by {old} member.",
                            beat.member
                        ),
                    ));
                }
                Ok(self.replace_static(cx, &old, &beat.member))
            }
            Some((id, member)) => {
                check_instance(&id, &beat.member, instance)?;
                check_epoch(&member, beat.epoch, beat.owned.as_ref())?;
                Ok(member)
            }
        }
    }

    /// A static member is back, perhaps under a new id: it gets what it had.
    pub(super) fn replace_static(&mut self, cx: &mut Cx, old: &str, new: &str) -> Member {
        let mut member = self.members.get(old).cloned().unwrap_or_else(Member::fresh);
        member.current.epoch = 0;
        member.current.previous_epoch = 0;
        member.deadlines = Deadlines::default();
        let target = self.target.get(old).cloned().unwrap_or_default();
        self.put_gone(cx, old);
        let metadata = Some(member.metadata.clone());
        self.put(cx, ModernSaved::Member(new.to_owned(), metadata));
        self.put(cx, ModernSaved::Target(new.to_owned(), Some(target)));
        self.put_current(cx, new, member.current.clone());
        member
    }

    /// Notes what a member says of itself; says whether its subscription has changed.
    pub(super) fn take_in(
        &mut self,
        cx: &mut Cx,
        id: &str,
        before: &MemberMetadata,
        after: MemberMetadata,
    ) -> bool {
        let topics_changed = self.topics_changed(cx);
        let names_changed = before.topics != after.topics;
        let text = |metadata: &MemberMetadata| metadata.regex.clone().unwrap_or_default();
        let (old_regex, new_regex) = (text(before), text(&after));
        self.put_news(cx, id, before, after);
        let regex_changed = old_regex != new_regex;
        let mut bump = names_changed;
        if regex_changed {
            let unused = !self.members.values().any(|m| m.regex() == Some(&old_regex));
            if !old_regex.is_empty() && unused {
                self.put_regex(cx, &old_regex, None);
            }
            // An expression that is not resolved yet makes its own rebalance when it is.
            bump |= if new_regex.is_empty() {
                !old_regex.is_empty()
            } else {
                self.regexes().contains_key(&new_regex)
            };
        }
        self.bump(cx, bump, topics_changed);
        names_changed || regex_changed
    }
}

/// What a member says of itself, after this heartbeat.
fn updated(member: &Member, beat: &Beat) -> MemberMetadata {
    let mut after = member.metadata.clone();
    if beat.instance.is_some() {
        after.instance.clone_from(&beat.instance);
    }
    if beat.rack.is_some() {
        after.rack.clone_from(&beat.rack);
    }
    if beat.rebalance_timeout_ms != -1 {
        after.rebalance_timeout_ms = beat.rebalance_timeout_ms;
    }
    if beat.assignor.is_some() {
        after.assignor.clone_from(&beat.assignor);
    }
    if let Some(topics) = &beat.topics {
        after.topics.clone_from(topics);
    }
    if beat.regex.is_some() {
        after.regex.clone_from(&beat.regex);
    }
    after.client_id.clone_from(&beat.client_id);
    after.host.clone_from(&beat.host);
    after.classic = None;
    after
}

/// Is this the member that has the instance.
pub(super) fn check_instance(owner: &str, member: &str, instance: &str) -> Result<(), Refusal> {
    if owner == member {
        return Ok(());
    }
    Err(Refusal::new(
        ResponseError::FencedInstanceId,
        format!("Static member {member} with instance id {instance} was fenced by member {owner}."),
    ))
}

/// Is the member where it says it is. One step behind will do, where the answer to the last step may have been lost.
fn check_epoch(member: &Member, epoch: i32, owned: Option<&Partitions>) -> Result<(), Refusal> {
    let known = member.current.epoch;
    if epoch == 0 || epoch == known {
        return Ok(());
    }
    let size = if epoch > known { "greater" } else { "smaller" };
    if epoch < known && epoch == member.current.previous_epoch && has_all(&member.current.assigned, owned) {
        return Ok(());
    }
    Err(Refusal::new(
        ResponseError::FencedMemberEpoch,
        format!(
            "The consumer group member has a {size} member epoch ({epoch}) than the one known by the group coordinator \
             ({known}). The member must abandon all its partitions and rejoin."
        ),
    ))
}

fn has_all(assigned: &Owned, owned: Option<&Partitions>) -> bool {
    owned.is_some_and(|owned| {
        owned.iter().all(|(topic, indexes)| {
            let Some(has) = assigned.get(topic) else {
                return false;
            };
            indexes.iter().all(|index| has.contains_key(index))
        })
    })
}

/// The partitions alone.
pub(crate) fn without_epochs(owned: &Owned) -> Partitions {
    owned
        .iter()
        .map(|(topic, epochs)| (*topic, epochs.keys().copied().collect()))
        .collect()
}
