//! The target assignment, and a member's way to it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Current, Partitions, Share};
use crate::core::groups::Cx;
use crate::core::groups::assignor::{self, simple};

impl Share {
    /// What each member is to have.
    pub(super) fn assign(&self, cx: &Cx) -> BTreeMap<String, Partitions> {
        simple::assign(&self.specs(cx))
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
                    let ready = self.states().initialized.get(&topic);
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
            self.put_current(cx, id, next);
        }
    }
}
