//! `uniform`, where all members want the same topics: each keeps what it has up to its share, the rest is filled up.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Assigned, Spec};

pub(super) fn assign(members: &[Spec]) -> Assigned {
    let Some(topics) = members
        .first()
        .map(|m| &m.topics)
        .filter(|topics| !topics.is_empty())
    else {
        return Assigned::new();
    };
    let taken: BTreeSet<(Uuid, i32)> = members
        .iter()
        .flat_map(|m| &m.has)
        .flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)))
        .collect();
    let all = topics
        .iter()
        .flat_map(|(topic, count)| (0..*count).map(|index| (*topic, index)));
    let mut free: Vec<(Uuid, i32)> = all.filter(|partition| !taken.contains(partition)).collect();
    let total: usize = topics.values().map(|count| *count as usize).sum();
    let mut share = Share {
        least: total / members.len(),
        extras: total % members.len(),
    };
    let mut made = Assigned::new();
    let mut short: Vec<(&str, usize)> = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let (keeps, missing) = share.keep(member, topics, members.len() - at, &mut free);
        if missing > 0 {
            short.push((&member.id, missing));
        }
        made.insert(member.id.clone(), keeps);
    }
    let mut free = free.into_iter();
    for (id, missing) in short {
        let target = made.entry(id.to_owned()).or_default();
        for (topic, index) in free.by_ref().take(missing) {
            target.entry(topic).or_default().insert(index);
        }
    }
    made
}

/// What a member may have: so many partitions, and for some of them one more.
struct Share {
    least: usize,
    extras: usize,
}

impl Share {
    /// What a member keeps, and how many it lacks; what is beyond its share goes to `free`. `left`: this member and
    /// those after it.
    fn keep(
        &mut self,
        member: &Spec,
        topics: &BTreeMap<Uuid, i32>,
        left: usize,
        free: &mut Vec<(Uuid, i32)>,
    ) -> (BTreeMap<Uuid, BTreeSet<i32>>, usize) {
        let mut extra = self.extras > 0;
        let mut quota = self.least + usize::from(extra);
        let mut keeps = BTreeMap::new();
        for (topic, indexes) in member.has.iter().filter(|(topic, _)| topics.contains_key(topic)) {
            let kept: BTreeSet<i32> = indexes.iter().copied().take(quota).collect();
            free.extend(indexes.iter().skip(quota).map(|index| (*topic, *index)));
            quota -= kept.len();
            if !kept.is_empty() {
                keeps.insert(*topic, kept);
            }
        }
        // One more is left to others who have it already, unless there are only as many members left.
        if quota > 0 && extra && left > self.extras {
            quota -= 1;
            extra = false;
        }
        if extra {
            self.extras -= 1;
        }
        (keeps, quota)
    }
}
