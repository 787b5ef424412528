//! A proposal: the replicas of each topic spread over the brokers, and over the racks where they are known.
//!
//! First replicas go round the brokers from a random one; the others of a partition follow at a distance that grows
//! after each round, so that the same brokers don't always share partitions (Kafka's `AdminUtils`).

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt as _;

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
                "Replication factor: {replicas} larger than available brokers: {}.",
                brokers.len()
            )));
        }
        let start = rand::rng().random_range(0..brokers.len().max(1));
        let shift = rand::rng().random_range(0..brokers.len().max(1));
        let spread = spread(brokers, places.len(), replicas, start, shift);
        proposed.extend(places.into_iter().cloned().zip(spread));
    }
    Ok(proposed)
}

fn spread(
    brokers: &[(i32, Option<String>)],
    partitions: usize,
    replicas: usize,
    start: usize,
    mut shift: usize,
) -> Vec<Vec<i32>> {
    let ring = by_turns(brokers);
    let racks: BTreeMap<i32, &Option<String>> = brokers.iter().map(|(id, rack)| (*id, rack)).collect();
    // Without racks, every broker is a rack of its own.
    let with_racks = brokers.iter().any(|(_, rack)| rack.is_some());
    let count: usize = if with_racks {
        racks.values().collect::<BTreeSet<_>>().len()
    } else {
        1
    };
    let mut all = Vec::with_capacity(partitions);
    for partition in 0..partitions {
        if partition > 0 && partition % ring.len() == 0 {
            shift += 1;
        }
        let first = (partition + start) % ring.len();
        let mut chosen = vec![ring[first]];
        let mut seen: BTreeSet<&Option<String>> = BTreeSet::from([racks[&ring[first]]]);
        let mut step = 0;
        while chosen.len() < replicas {
            let distance = 1 + (shift * count + step) % (ring.len() - 1);
            let broker = ring[(first + distance) % ring.len()];
            step += 1;
            let fresh_rack = !with_racks || !seen.contains(racks[&broker]) || seen.len() == count;
            if fresh_rack && !chosen.contains(&broker) {
                chosen.push(broker);
                seen.insert(racks[&broker]);
            }
        }
        all.push(chosen);
    }
    all
}

/// The brokers, racks taking turns.
fn by_turns(brokers: &[(i32, Option<String>)]) -> Vec<i32> {
    let mut racks: BTreeMap<&Option<String>, Vec<i32>> = BTreeMap::new();
    for (id, rack) in brokers {
        racks.entry(rack).or_default().push(*id);
    }
    let mut ring = Vec::with_capacity(brokers.len());
    for turn in 0..brokers.len() {
        ring.extend(racks.values().filter_map(|rack| rack.get(turn)));
    }
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(racks: &[Option<&str>]) -> Vec<(i32, Option<String>)> {
        (0..)
            .zip(racks.iter().map(|rack| rack.map(str::to_owned)))
            .collect()
    }

    #[test]
    fn first_replicas_go_round_and_the_others_follow() {
        let all = spread(&brokers(&[None; 5]), 10, 3, 0, 0);
        assert_eq!(all[..3], [[0, 1, 2], [1, 2, 3], [2, 3, 4]]);
        assert_eq!(all[5], [0, 2, 3], "another distance in the second round");
        for replicas in &all {
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3);
        }
    }

    #[test]
    fn racks_take_turns() {
        let six = brokers(&[
            Some("rack1"),
            Some("rack3"),
            Some("rack3"),
            Some("rack2"),
            Some("rack2"),
            Some("rack1"),
        ]);
        assert_eq!(by_turns(&six), [0, 3, 1, 5, 4, 2]);
        let all = spread(&six, 7, 3, 0, 0);
        assert_eq!(all[0], [0, 3, 1]);
        assert_eq!(all[6], [0, 4, 2]);
    }

    #[test]
    fn more_replicas_than_brokers_are_refused() {
        let current = Replicas::from([(("a".to_owned(), 0), vec![0, 1])]);
        assert!(propose(&current, &brokers(&[None])).is_err());
        assert!(propose(&current, &brokers(&[None, Some("r")])).is_err());
    }
}
