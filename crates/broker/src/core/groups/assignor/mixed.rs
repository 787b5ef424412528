//! `uniform`, where members want different topics: the free partitions go to those of a topic's subscribers who have
//! least, then partitions move from those who have most, topic by topic, until no move helps.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Assigned, Spec};

/// Rounds over all topics: an even spread is nearly always reached before.
const MAX_ROUNDS: usize = 16;

/// Members by their place in the list.
struct Work<'a> {
    members: &'a [Spec],
    sizes: Vec<usize>,
    /// By topic: the number of its partitions, and who wants it.
    topics: BTreeMap<Uuid, (i32, Vec<usize>)>,
    owners: BTreeMap<Uuid, Vec<Option<usize>>>,
}

pub(super) fn assign(members: &[Spec]) -> Assigned {
    let mut topics: BTreeMap<Uuid, (i32, Vec<usize>)> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        for (topic, partitions) in &member.topics {
            topics
                .entry(*topic)
                .or_insert((*partitions, Vec::new()))
                .1
                .push(at);
        }
    }
    let mut work = Work {
        members,
        sizes: vec![0; members.len()],
        owners: topics
            .iter()
            .map(|(topic, (count, _))| (*topic, vec![None; *count as usize]))
            .collect(),
        topics,
    };
    work.keep();
    let order = work.order();
    for topic in &order {
        work.fill(*topic);
    }
    work.balance(&order);
    work.finish()
}

impl Work<'_> {
    /// Everybody keeps what it has and still wants.
    fn keep(&mut self) {
        for (at, member) in self.members.iter().enumerate() {
            for (topic, indexes) in &member.has {
                if !member.topics.contains_key(topic) {
                    continue;
                }
                for index in indexes {
                    let slot = self
                        .owners
                        .get_mut(topic)
                        .and_then(|o| o.get_mut(*index as usize));
                    if let Some(slot @ None) = slot {
                        *slot = Some(at);
                        self.sizes[at] += 1;
                    }
                }
            }
        }
    }

    /// The topics with most partitions for each subscriber first, then those with fewest subscribers.
    fn order(&self) -> Vec<Uuid> {
        let mut order: Vec<Uuid> = self.topics.keys().copied().collect();
        let load = |topic: &Uuid| {
            let (count, subscribers) = &self.topics[topic];
            (f64::from(*count) / subscribers.len() as f64, subscribers.len())
        };
        order.sort_by(|a, b| {
            let (a, b) = (load(a), load(b));
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
        });
        order
    }

    fn least_loaded(&self, subscribers: &[usize]) -> Option<usize> {
        subscribers.iter().copied().min_by_key(|at| self.sizes[*at])
    }

    fn fill(&mut self, topic: Uuid) {
        // Of those with as many, who had least at the start is first.
        let mut subscribers = self.topics[&topic].1.clone();
        subscribers.sort_by_key(|at| (self.sizes[*at], *at));
        for index in 0..self.owners[&topic].len() {
            if self.owners[&topic][index].is_none()
                && let Some(to) = self.least_loaded(&subscribers)
            {
                self.give(topic, index, to);
            }
        }
    }

    fn give(&mut self, topic: Uuid, index: usize, to: usize) {
        if let Some(slot) = self.owners.get_mut(&topic).and_then(|o| o.get_mut(index)) {
            if let Some(from) = slot.replace(to) {
                self.sizes[from] -= 1;
            }
            self.sizes[to] += 1;
        }
    }

    fn balance(&mut self, order: &[Uuid]) {
        for _ in 0..MAX_ROUNDS {
            let mut moved = false;
            for topic in order {
                while self.move_one(*topic) {
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Moves a topic's partition from the subscriber that has most to the one that has least; says whether that helped.
    fn move_one(&mut self, topic: Uuid) -> bool {
        let subscribers = &self.topics[&topic].1;
        let Some(to) = self.least_loaded(subscribers) else {
            return false;
        };
        let owners = &self.owners[&topic];
        let from = subscribers
            .iter()
            .copied()
            .filter(|at| owners.contains(&Some(*at)))
            .max_by_key(|at| (self.sizes[*at], *at));
        let Some(from) = from.filter(|from| self.sizes[*from] > self.sizes[to] + 1) else {
            return false;
        };
        let Some(index) = owners.iter().rposition(|owner| *owner == Some(from)) else {
            return false;
        };
        self.give(topic, index, to);
        true
    }

    fn finish(self) -> Assigned {
        if self.topics.is_empty() {
            return Assigned::new();
        }
        let mut made: Assigned = self
            .members
            .iter()
            .map(|m| (m.id.clone(), BTreeMap::new()))
            .collect();
        for (topic, owners) in &self.owners {
            for (index, owner) in owners.iter().enumerate() {
                if let Some(target) = owner.and_then(|at| made.get_mut(&self.members[at].id)) {
                    target.entry(*topic).or_default().insert(index as i32);
                }
            }
        }
        made
    }
}
