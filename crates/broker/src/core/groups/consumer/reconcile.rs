//! A member's next step towards its target: first it lets go of what it is to lose, then it gets what nobody has.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::{Consumer, ConsumerType, Current, MemberState};
use crate::core::Refusal;
use crate::core::groups::modern::GroupType;
use crate::core::groups::{Cx, Owned, Partitions};

/// What a member's next step depends on.
struct Step<'a> {
    member: &'a Current,
    target: &'a Partitions,
    target_epoch: i32,
    /// The topics that it wants and that there are.
    wanted: BTreeSet<Uuid>,
    /// Who has a partition, or has not let go of it.
    owners: BTreeSet<(Uuid, i32)>,
    /// What the member says it has.
    owned: Option<&'a Partitions>,
}

impl Consumer {
    /// Brings a member as far towards its target as it can go.
    ///
    /// # Errors
    /// `FENCED_MEMBER_EPOCH` for a member in a state that only a newer Kafka knows.
    pub(super) fn reconcile(
        &mut self,
        cx: &mut Cx,
        id: &str,
        subscription_changed: bool,
        owned: Option<&Partitions>,
    ) -> Result<(), Refusal> {
        let Some(member) = self.members.get(id) else {
            return Ok(());
        };
        if !subscription_changed && member.is_reconciled_to(self.assignment_epoch) {
            return Ok(());
        }
        let nothing = Partitions::new();
        let wanted = ConsumerType::wanted(&self.own, &member.metadata);
        let step = Step {
            member: &member.current,
            target: self.target.get(id).unwrap_or(&nothing),
            target_epoch: self.assignment_epoch,
            wanted: wanted
                .into_iter()
                .filter_map(|name| Some(cx.topics.by_name(name)?.0))
                .collect(),
            owners: self.owners(),
            owned,
        };
        let next = step.next(subscription_changed)?;
        if next != member.current {
            self.put_current(cx, id, next);
            self.watch_revocation(cx, id);
        }
        Ok(())
    }

    /// Does somebody still have a partition that this member waits for.
    pub(super) fn waits_for_others(&self, id: &str) -> bool {
        let (Some(member), Some(target)) = (self.members.get(id), self.target.get(id)) else {
            return false;
        };
        if member.current.state != MemberState::UnreleasedPartitions {
            return false;
        }
        let owners = self.owners();
        target.iter().any(|(topic, indexes)| {
            let has = member.current.assigned.get(topic);
            indexes.iter().any(|index| {
                !has.is_some_and(|has| has.contains_key(index)) && owners.contains(&(*topic, *index))
            })
        })
    }
}

impl Step<'_> {
    fn next(&self, subscription_changed: bool) -> Result<Current, Refusal> {
        let member = self.member;
        match member.state {
            MemberState::Stable if member.epoch != self.target_epoch => Ok(self.compute(member.epoch)),
            MemberState::Stable if subscription_changed => Ok(self.drop_unwanted()),
            MemberState::Stable => Ok(member.clone()),
            MemberState::UnrevokedPartitions if self.still_has(&member.revoking) => {
                // It goes on letting go; a new subscription may have added to it.
                Ok(if subscription_changed {
                    self.drop_unwanted()
                } else {
                    member.clone()
                })
            }
            MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                Ok(self.compute(member.epoch))
            }
            MemberState::Unknown if self.owned.is_some_and(BTreeMap::is_empty) => {
                Ok(self.compute(self.target_epoch))
            }
            MemberState::Unknown => Err(Refusal::new(
                ResponseError::FencedMemberEpoch,
                "The consumer group member is in a unknown state. The member must abandon all its partitions and \
                 rejoin.",
            )),
        }
    }

    /// Says the member that it has one of these; who says nothing may.
    fn still_has(&self, partitions: &Owned) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|(topic, indexes)| {
            let Some(has) = partitions.get(topic) else {
                return false;
            };
            indexes.iter().any(|index| has.contains_key(index))
        })
    }

    /// The same epoch, without the topics that the member no longer wants.
    fn drop_unwanted(&self) -> Current {
        let mut next = self.member.clone();
        next.assigned.retain(|topic, epochs| {
            let keeps = self.wanted.contains(topic);
            if !keeps {
                next.revoking.entry(*topic).or_default().append(epochs);
            }
            keeps
        });
        if next.assigned == self.member.assigned {
            return next;
        }
        next.previous_epoch = self.member.epoch;
        if self.still_has(&next.revoking) {
            next.state = MemberState::UnrevokedPartitions;
        } else {
            next.revoking.clone_from(&self.member.revoking);
        }
        next
    }

    /// The next step from `epoch`.
    fn compute(&self, epoch: i32) -> Current {
        let none = BTreeSet::new();
        let (mut assigned, mut revoking) = (Owned::new(), Owned::new());
        let mut given: Vec<(Uuid, i32)> = Vec::new();
        let mut unreleased = false;
        let topics: BTreeSet<&Uuid> = self.target.keys().chain(self.member.assigned.keys()).collect();
        for topic in topics {
            let wants = self.wanted.contains(topic);
            let target = self.target.get(topic).filter(|_| wants).unwrap_or(&none);
            let has = self.member.assigned.get(topic).cloned().unwrap_or_default();
            for index in target.iter().filter(|index| !has.contains_key(index)) {
                let own = self.member.revoking.get(topic);
                let own = own.is_some_and(|epochs| epochs.contains_key(index));
                if self.owners.contains(&(*topic, *index)) && !own {
                    unreleased = true;
                } else {
                    given.push((*topic, *index));
                }
            }
            let (keeps, loses): (BTreeMap<i32, i32>, _) =
                has.into_iter().partition(|(index, _)| target.contains(index));
            if !keeps.is_empty() {
                assigned.insert(*topic, keeps);
            }
            if !loses.is_empty() {
                revoking.insert(*topic, loses);
            }
        }
        if !revoking.is_empty() && self.still_has(&revoking) {
            return Current {
                epoch,
                previous_epoch: self.member.epoch,
                state: MemberState::UnrevokedPartitions,
                assigned,
                revoking,
            };
        }
        for (topic, index) in given {
            assigned
                .entry(topic)
                .or_default()
                .insert(index, self.target_epoch);
        }
        Current {
            epoch: self.target_epoch,
            previous_epoch: self.member.epoch,
            state: if unreleased {
                MemberState::UnreleasedPartitions
            } else {
                MemberState::Stable
            },
            assigned,
            revoking: Owned::new(),
        }
    }
}
