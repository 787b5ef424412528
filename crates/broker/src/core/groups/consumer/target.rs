//! The target assignment: by the assignor that most members want.

use std::collections::BTreeMap;

use super::{Consumer, ConsumerType, MemberMetadata};
use crate::core::groups::assignor::{self, Assignor, Spec};
use crate::core::groups::modern::GroupType;
use crate::core::groups::{Cx, Partitions};

impl Consumer {
    /// The assignor that most members want, if any of them wants one.
    pub(crate) fn preferred_assignor(&self) -> Option<&str> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self
            .members
            .values()
            .filter_map(|m| m.metadata.assignor.as_deref())
        {
            *votes.entry(name).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        let names: Vec<&str> = votes.keys().copied().collect();
        assignor::java_order(names)
            .into_iter()
            .find(|name| votes.get(name) == Some(&most))
    }

    /// What each member is to have.
    pub(super) fn assign(&self, cx: &Cx) -> BTreeMap<String, Partitions> {
        let name = self.preferred_assignor();
        let name = name.unwrap_or(&cx.rules.default_assignor);
        let assignor = Assignor::named(name).unwrap_or(Assignor::Uniform);
        assignor.assign(&self.specs(cx), self.is_homogeneous())
    }

    /// What the assignor gets to know of each member.
    fn specs(&self, cx: &Cx) -> Vec<Spec> {
        let ids: Vec<&str> = self.members.keys().map(String::as_str).collect();
        // Kafka's assignors go through the members as a hash map has them, which decides who gets what.
        let members = assignor::java_order(ids);
        let spec = |id: &str| {
            let member = self.members.get(id)?;
            let topics = ConsumerType::wanted(&self.own, &member.metadata)
                .into_iter()
                .filter_map(|name| cx.topics.by_name(name));
            Some(Spec {
                id: id.to_owned(),
                instance: member.metadata.instance.clone(),
                topics: topics.collect(),
                has: self.target.get(id).cloned().unwrap_or_else(Partitions::new),
            })
        };
        members.into_iter().filter_map(spec).collect()
    }

    /// Do all members want the same.
    fn is_homogeneous(&self) -> bool {
        let mut members = self.members.values().map(|m| &m.metadata);
        let Some(first) = members.next() else { return true };
        let wants = |m: &MemberMetadata| (m.topics.clone(), m.regex.clone().unwrap_or_default());
        let first = wants(first);
        // By name or by an expression, but not both: then each topic may be wanted by a different number of members.
        (first.0.is_empty() || first.1.is_empty()) && members.all(|m| wants(m) == first)
    }
}
