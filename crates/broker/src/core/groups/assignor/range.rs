//! `range`: each topic's partitions are cut into as many ranges as it has subscribers, who get them in the order of
//! their ids, static members first.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Assigned, Spec};
use crate::core::groups::Partitions;

/// How far a topic has been given out.
struct Topic {
    partitions: i32,
    members: i32,
    next: i32,
    extra: i32,
}

pub(super) fn assign(members: &[Spec]) -> Assigned {
    let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
    for (topic, partitions) in members.iter().flat_map(|m| &m.topics) {
        let known = topics.entry(*topic).or_insert(Topic {
            partitions: *partitions,
            members: 0,
            next: 0,
            extra: 0,
        });
        known.members += 1;
    }
    for topic in topics.values_mut() {
        topic.extra = topic.partitions % topic.members;
    }
    let mut sorted: Vec<&Spec> = members.iter().collect();
    sorted.sort_by_key(|m| match &m.instance {
        Some(instance) => (0, instance),
        None => (1, &m.id),
    });
    let each = sorted.into_iter().map(|member| {
        let mut partitions = Partitions::new();
        for id in member.topics.keys() {
            if let Some(topic) = topics.get_mut(id) {
                let range = topic.cut();
                if !range.is_empty() {
                    partitions.insert(*id, range.collect());
                }
            }
        }
        (member.id.clone(), partitions)
    });
    each.collect()
}

impl Topic {
    fn cut(&mut self) -> std::ops::Range<i32> {
        let start = self.next;
        self.next += self.partitions / self.members;
        if self.extra > 0 {
            self.extra -= 1;
            self.next += 1;
        }
        start..self.next
    }
}
