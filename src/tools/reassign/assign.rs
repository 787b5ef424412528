//! A proposal: the replicas of each topic spread over the brokers, and over the racks where they are known.
//!
//! Partitions take their replicas from the racks in turn, and from each rack its brokers in turn; where that begins is left
//! to chance. After as many partitions as there are brokers racks and brokers are shuffled, so that the same brokers don't
//! always share partitions (Kafka's `StripedReplicaPlacer`, without brokers that are fenced: the tool doesn't see these).

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};

use super::plan::Replicas;
use crate::kafka::TopicPartition;
use crate::tools::io::Failure;

/// A new place for every partition of `current`, with as many replicas as its topic's first has now.
pub(super) fn propose(current: &Replicas, brokers: &[(i32, Option<String>)]) -> Result<Replicas, Failure> {
    if brokers.is_empty() {
        return Err(Failure::Error(
            "All brokers are currently fenced, or have all their log directories cordoned.".into(),
        ));
    }
    let known = brokers.iter().filter(|(_, rack)| rack.is_some()).count();
    if known != 0 && known != brokers.len() {
        return Err(Failure::Error(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment without rack information."
                .into(),
        ));
    }
    let mut topics: BTreeMap<&str, Vec<&TopicPartition>> = BTreeMap::new();
    for place in current.keys() {
        topics.entry(&place.0).or_default().push(place);
    }
    let mut proposed = Replicas::new();
    for places in topics.into_values() {
        let replicas = places.first().map_or(0, |place| current[*place].len());
        if replicas > brokers.len() {
            return Err(Failure::Error(format!(
                "The target replication factor of {replicas} cannot be reached because only {} broker(s) are registered \
                 or some brokers have all their log directories cordoned.",
                brokers.len()
            )));
        }
        let mut rng = rand::rng();
        let mut racks = Racks::new(brokers, &mut rng);
        let spread = (0..places.len()).map(|_| racks.place(replicas, &mut rng));
        proposed.extend(places.into_iter().cloned().zip(spread));
    }
    Ok(proposed)
}

/// The brokers of a rack, taken in turn.
struct Ring {
    brokers: Vec<i32>,
    /// Where a turn begins.
    offset: usize,
    /// How many have been taken in this turn.
    taken: usize,
    /// The turn.
    turn: usize,
}

impl Ring {
    /// The next broker of this turn; none when all had theirs.
    fn next(&mut self, turn: usize) -> Option<i32> {
        let count = self.brokers.len();
        if self.turn != turn {
            self.turn = turn;
            self.taken = 0;
            self.offset = (self.offset + 1) % count;
        }
        if self.taken >= count {
            return None;
        }
        self.taken += 1;
        Some(self.brokers[(self.taken - 1 + self.offset) % count])
    }
}

/// The racks of a cluster; without racks, all brokers are in one. None is empty.
struct Racks {
    rings: Vec<Ring>,
    brokers: usize,
    /// The rack of the next partition's first replica.
    offset: usize,
    /// Partitions placed since the last shuffle.
    turn: usize,
}

impl Racks {
    fn new(brokers: &[(i32, Option<String>)], rng: &mut impl Rng) -> Self {
        let mut by_rack: BTreeMap<&Option<String>, BTreeSet<i32>> = BTreeMap::new();
        for (id, rack) in brokers {
            by_rack.entry(rack).or_default().insert(*id);
        }
        let rings: Vec<Ring> = by_rack
            .into_values()
            .map(|brokers| Ring {
                offset: rng.random_range(0..brokers.len()),
                brokers: brokers.into_iter().collect(),
                taken: 0,
                turn: 0,
            })
            .collect();
        Self {
            brokers: rings.iter().map(|ring| ring.brokers.len()).sum(),
            offset: rng.random_range(0..rings.len()),
            rings,
            turn: 0,
        }
    }

    /// The brokers of the next partition, at most as many as there are.
    fn place(&mut self, replicas: usize, rng: &mut impl Rng) -> Vec<i32> {
        if self.turn == self.brokers && self.brokers > 1 {
            self.rings.shuffle(rng);
            for ring in &mut self.rings {
                ring.brokers.shuffle(rng);
            }
            self.turn = 0;
        }
        let (turn, count) = (self.turn, self.rings.len());
        let mut rack = self.offset % count;
        let mut chosen: Vec<i32> = Vec::with_capacity(replicas);
        while chosen.len() < replicas {
            chosen.extend(self.rings[rack].next(turn));
            rack = (rack + 1) % count;
        }
        self.turn += 1;
        self.offset = (self.offset + 1) % count;
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(racks: &[Option<&str>]) -> Vec<(i32, Option<String>)> {
        (0..)
            .zip(racks.iter().map(|rack| rack.map(str::to_owned)))
            .collect()
    }

    fn spread(brokers: &[(i32, Option<String>)], partitions: usize, replicas: usize) -> Vec<Vec<i32>> {
        let mut rng = rand::rng();
        let mut racks = Racks::new(brokers, &mut rng);
        (0..partitions).map(|_| racks.place(replicas, &mut rng)).collect()
    }

    fn distinct<'a>(brokers: impl Iterator<Item = &'a i32>) -> usize {
        brokers.collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn each_broker_comes_first_once_in_a_round() {
        for _ in 0..50 {
            let all = spread(&brokers(&[None; 5]), 20, 3);
            for round in all.chunks(5) {
                assert_eq!(distinct(round.iter().map(|replicas| &replicas[0])), 5, "{all:?}");
                for broker in 0..5 {
                    let of = round.iter().filter(|replicas| replicas.contains(&broker));
                    assert_eq!(of.count(), 3, "{all:?}");
                }
            }
            assert!(
                all.iter().all(|replicas| distinct(replicas.iter()) == 3),
                "{all:?}"
            );
        }
    }

    #[test]
    fn racks_take_turns() {
        let racks = ["a", "c", "c", "b", "b", "a"];
        let six = brokers(&racks.map(Some));
        for _ in 0..50 {
            for replicas in spread(&six, 18, 3) {
                let of = replicas.iter().map(|id| racks[*id as usize]);
                assert_eq!(of.collect::<BTreeSet<_>>().len(), 3, "{replicas:?}");
            }
            // More replicas than racks, and a rack that has given all its brokers.
            for replicas in spread(&brokers(&[Some("a"), Some("a"), Some("a"), Some("b")]), 8, 4) {
                assert_eq!(distinct(replicas.iter()), 4, "{replicas:?}");
            }
        }
    }

    #[test]
    fn more_replicas_than_brokers_are_refused() {
        let current = Replicas::from([(("a".to_owned(), 0), vec![0, 1])]);
        assert!(propose(&current, &brokers(&[None])).is_err());
        assert!(propose(&current, &brokers(&[None, Some("r")])).is_err());
    }
}
