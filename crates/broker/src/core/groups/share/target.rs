//! The target assignment, and a member's way to it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Current, Partitions, Share};
use crate::core::groups::Cx;
use crate::core::groups::assignor::{self, simple};
use crate::core::groups::records::ShareSaved;

impl Share {
    /// Makes a new target where the group has changed; not more often than `group.share.assignment.interval.ms`.
    pub(super) fn update_target(&mut self, cx: &mut Cx) {
        if self.assignment_epoch >= self.epoch {
            return;
        }
        let interval_ms = cx.rules.share.assignment_interval_ms;
        if self.assigned_ms != 0 && interval_ms != 0 && cx.now_ms < self.assigned_ms + interval_ms {
            return;
        }
        let mut made = simple::assign(&self.specs(cx));
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let partitions = made.remove(&id).unwrap_or_default();
            if self.target.get(&id) != Some(&partitions) {
                let (member, partitions) = (id, Some(partitions));
                self.put(cx, ShareSaved::Target { member, partitions });
            }
        }
        let target = Some((self.epoch, cx.now_ms));
        self.put(cx, ShareSaved::TargetEpoch(target));
    }

    /// What the assignor gets to know of each member.
    fn specs(&self, cx: &Cx) -> Vec<simple::Spec> {
        let ids: Vec<&str> = self.members.keys().map(String::as_str).collect();
        let spec = |id: &str| {
            let member = self.members.get(id)?;
            let wanted = member.metadata.topics.iter();
            let topics: BTreeMap<Uuid, _> = wanted
                .filter_map(|name| {
                    let (topic, count) = cx.topics.by_name(name)?;
                    let ready = self.states.initialized.get(&topic);
                    let ready = ready.into_iter().flat_map(|state| &state.partitions);
                    Some((topic, ready.copied().filter(|index| *index < count).collect()))
                })
                .collect();
            Some(simple::Spec {
                id: id.to_owned(),
                topics,
                has: self.target.get(id).cloned().unwrap_or_default(),
            })
        };
        // As for consumer groups, the order of the members is the one in which a hash map of Java has them.
        let members = assignor::java_order(ids).into_iter();
        members.filter_map(spec).collect()
    }

    /// Gives a member its part of the target.
    pub(super) fn reconcile(&mut self, cx: &mut Cx, id: &str, changed: bool) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let epoch = self.assignment_epoch;
        if !changed && member.current.epoch == epoch {
            return;
        }
        let mut assigned: Partitions = self.target.get(id).cloned().unwrap_or_default();
        assigned.retain(|topic, _| {
            let name = cx.topics.by_id(*topic);
            name.is_some_and(|(name, _)| member.metadata.topics.contains(&*name))
        });
        let previous = &member.current;
        let next = Current {
            epoch,
            previous_epoch: if previous.epoch == epoch {
                previous.previous_epoch
            } else {
                previous.epoch
            },
            assigned,
        };
        if next != *previous {
            let (member, current) = (id.to_owned(), Some(next));
            self.put(cx, ShareSaved::Current { member, current });
        }
    }
}
