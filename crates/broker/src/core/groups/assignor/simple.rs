//! `simple` (KIP-932): each partition has about as many members, and each member about as many partitions; who has a
//! partition keeps it as far as that goes.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Assigned;
use crate::core::groups::Partitions;

/// What the assignor knows of a member.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) id: String,
    /// The partitions that it may have, of the topics that it wants and that there are.
    pub(crate) topics: Partitions,
    /// Its target until now.
    pub(crate) has: Partitions,
}

type Partition = (Uuid, i32);

/// Makes a target for each member, in the order in which they are given.
pub(crate) fn assign(members: &[Spec]) -> Assigned {
    let Some(first) = members.first() else {
        return Assigned::new();
    };
    let topics = |spec: &Spec| spec.topics.keys().copied().collect::<BTreeSet<Uuid>>();
    let wanted = topics(first);
    let mut made: Vec<BTreeSet<Partition>> = vec![BTreeSet::new(); members.len()];
    if members.iter().all(|spec| topics(spec) == wanted) {
        let everyone: Vec<usize> = (0..members.len()).collect();
        Round::new(members, &everyone, &wanted, true).run(&mut made);
    } else {
        let all: BTreeSet<Uuid> = members.iter().flat_map(topics).collect();
        for topic in all {
            let subscribed: Vec<usize> = (0..members.len())
                .filter(|at| members[*at].topics.contains_key(&topic))
                .collect();
            Round::new(members, &subscribed, &BTreeSet::from([topic]), false).run(&mut made);
        }
    }
    let mut assigned = Assigned::new();
    for (spec, partitions) in members.iter().zip(made) {
        let target: &mut Partitions = assigned.entry(spec.id.clone()).or_default();
        for (topic, index) in partitions {
            target.entry(topic).or_default().insert(index);
        }
    }
    assigned
}

/// Some topics, and the members that want them.
struct Round {
    /// How many members a partition is to have.
    sharing: usize,
    /// How many partitions each member is to have.
    desired: BTreeMap<usize, usize>,
    by_partition: BTreeMap<Partition, BTreeSet<usize>>,
    by_member: BTreeMap<usize, BTreeSet<Partition>>,
    /// Where all want the same, too many members of a partition are looked at before too many partitions of a member.
    same: bool,
}

impl Round {
    /// What the members have of these topics now.
    fn new(members: &[Spec], who: &[usize], topics: &BTreeSet<Uuid>, same: bool) -> Self {
        let mut by_partition: BTreeMap<Partition, BTreeSet<usize>> = BTreeMap::new();
        let mut by_member: BTreeMap<usize, BTreeSet<Partition>> = BTreeMap::new();
        let wanted = who.first().map(|at| &members[*at].topics);
        for (topic, indexes) in wanted.into_iter().flatten() {
            if topics.contains(topic) {
                by_partition.extend(indexes.iter().map(|index| ((*topic, *index), BTreeSet::new())));
            }
        }
        let count = by_partition.len();
        let sharing = if count == 0 { 0 } else { who.len().div_ceil(count) };
        let precise = (sharing * count) as f64 / who.len().max(1) as f64;
        let upto = |place: usize| (precise * place as f64).ceil() as usize;
        let places = who.iter().enumerate();
        let desired = places
            .map(|(place, at)| (*at, upto(place + 1) - upto(place)))
            .collect();
        for at in who {
            let own = by_member.entry(*at).or_default();
            for (topic, indexes) in &members[*at].has {
                for index in indexes {
                    if let Some(holders) = by_partition.get_mut(&(*topic, *index)) {
                        holders.insert(*at);
                        own.insert((*topic, *index));
                    }
                }
            }
        }
        Self {
            sharing,
            desired,
            by_partition,
            by_member,
            same,
        }
    }

    fn run(mut self, made: &mut [BTreeSet<Partition>]) {
        if self.same {
            self.revoke_overshared();
            self.revoke_overfilled();
        } else {
            self.revoke_overfilled();
            self.revoke_overshared();
        }
        self.fill();
        for (at, partitions) in self.by_member {
            made[at].extend(partitions);
        }
    }

    fn is_overfilled(&self, at: usize) -> bool {
        self.by_member.get(&at).map_or(0, BTreeSet::len) > self.desired.get(&at).copied().unwrap_or(0)
    }

    fn revoke(&mut self, partition: Partition, at: usize) {
        if let Some(holders) = self.by_partition.get_mut(&partition) {
            holders.remove(&at);
        }
        if let Some(own) = self.by_member.get_mut(&at) {
            own.remove(&partition);
        }
    }

    /// Partitions with too many members lose some, those first that have too many partitions.
    fn revoke_overshared(&mut self) {
        let overfilled: BTreeSet<usize> = self
            .desired
            .keys()
            .copied()
            .filter(|at| self.is_overfilled(*at))
            .collect();
        for (partition, holders) in self.by_partition.clone() {
            let excess = holders.len().saturating_sub(self.sharing);
            let (full, others): (Vec<usize>, Vec<usize>) =
                holders.iter().partition(|at| overfilled.contains(at));
            for at in full.into_iter().chain(others).take(excess) {
                self.revoke(partition, at);
            }
        }
    }

    /// Members with too many partitions lose some.
    fn revoke_overfilled(&mut self) {
        for (at, desired) in self.desired.clone() {
            let own = self.by_member.get(&at).cloned().unwrap_or_default();
            let excess = own.len().saturating_sub(desired);
            for partition in own.into_iter().take(excess) {
                self.revoke(partition, at);
            }
        }
    }

    /// Partitions with too few members get some, one member after the other. Where every member that lacks partitions has
    /// this one already, it stays as it is.
    fn fill(&mut self) {
        let lacks = |round: &Self, at: usize| {
            round.by_member.get(&at).map_or(0, BTreeSet::len) < round.desired.get(&at).copied().unwrap_or(0)
        };
        let mut unfilled: Vec<usize> = self
            .desired
            .keys()
            .copied()
            .filter(|at| lacks(self, *at))
            .collect();
        let mut next = 0;
        let mut given_since_turn = false;
        for partition in self.by_partition.keys().copied().collect::<Vec<_>>() {
            let mut missing = self.sharing.saturating_sub(self.by_partition[&partition].len());
            while missing > 0 && !unfilled.is_empty() {
                if next >= unfilled.len() {
                    if !given_since_turn {
                        break;
                    }
                    next = 0;
                    given_since_turn = false;
                }
                let at = unfilled[next];
                next += 1;
                let Some(holders) = self.by_partition.get_mut(&partition) else {
                    break;
                };
                if !holders.insert(at) {
                    continue;
                }
                self.by_member.entry(at).or_default().insert(partition);
                missing -= 1;
                given_since_turn = true;
                if !lacks(self, at) {
                    next -= 1;
                    unfilled.remove(next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Uuid = Uuid::from_u128(1);
    const U: Uuid = Uuid::from_u128(2);

    fn topic(topic: Uuid, count: i32) -> Partitions {
        Partitions::from([(topic, (0..count).collect())])
    }

    fn member(id: &str, topics: &[Partitions]) -> Spec {
        Spec {
            id: id.to_owned(),
            topics: topics.iter().flatten().map(|(t, p)| (*t, p.clone())).collect(),
            has: Partitions::new(),
        }
    }

    fn run(members: &mut [Spec]) -> Vec<Vec<(u128, i32)>> {
        let mut made = assign(members);
        for spec in &mut *members {
            spec.has = made.remove(&spec.id).unwrap();
        }
        let list = |spec: &Spec| {
            let all = spec.has.iter();
            all.flat_map(|(t, indexes)| indexes.iter().map(|i| (t.as_u128(), *i)))
                .collect()
        };
        members.iter().map(list).collect()
    }

    #[test]
    fn with_fewer_members_than_partitions_each_partition_has_one() {
        let topics = [topic(T, 3)];
        let mut members = vec![member("a", &topics), member("b", &topics)];
        assert_eq!(run(&mut members), [vec![(1, 0), (1, 2)], vec![(1, 1)]]);
        // Nothing moves without a reason.
        assert_eq!(run(&mut members), [vec![(1, 0), (1, 2)], vec![(1, 1)]]);
    }

    #[test]
    fn with_more_members_than_partitions_members_share() {
        let topics = [topic(T, 2)];
        let mut members: Vec<Spec> = ["a", "b", "c", "d"].map(|id| member(id, &topics)).into();
        let made = run(&mut members);
        let of = |index| made.iter().filter(|own| own.contains(&(1, index))).count();
        assert_eq!((of(0), of(1)), (2, 2));
        assert!(made.iter().all(|own| own.len() == 1));
    }

    #[test]
    fn who_leaves_makes_room_and_who_stays_keeps_what_it_has() {
        let topics = [topic(T, 4)];
        let mut members = vec![member("a", &topics), member("b", &topics)];
        let before = run(&mut members);
        members.remove(1);
        let after = run(&mut members);
        assert!(before[0].iter().all(|own| after[0].contains(own)));
        assert_eq!(after[0].len(), 4);
        members.push(member("b", &topics));
        let again = run(&mut members);
        assert_eq!((again[0].len(), again[1].len()), (2, 2));
    }

    #[test]
    fn different_subscriptions_are_balanced_topic_by_topic() {
        let (t, u) = (topic(T, 2), topic(U, 2));
        let mut members = vec![
            member("a", std::slice::from_ref(&t)),
            member("b", std::slice::from_ref(&u)),
            member("c", &[t, u]),
        ];
        let made = run(&mut members);
        assert_eq!(made, [vec![(1, 0)], vec![(2, 0)], vec![(1, 1), (2, 1)]]);
    }

    #[test]
    fn a_topic_without_ready_partitions_gives_nothing() {
        let mut members = vec![member("a", &[topic(T, 0)])];
        assert_eq!(run(&mut members), [Vec::<(u128, i32)>::new()]);
        assert!(assign(&[]).is_empty());
    }
}
