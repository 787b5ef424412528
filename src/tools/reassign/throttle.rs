//! The limits on copying that `--throttle` sets and `--verify` takes away: configurations of topics and brokers.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Replicas, joined};
use crate::kafka::{Admin, ConfigChange, Reassignment, Resource, TopicPartition};
use crate::tools::io::{Failure, Ran};

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIRS_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// From which brokers a partition is copied, and to which.
pub(super) struct Move {
    from: BTreeSet<i32>,
    to: BTreeSet<i32>,
}

/// All copies that are under way or planned.
pub(super) fn moves(
    moving: &BTreeMap<TopicPartition, Reassignment>,
    proposed: &Replicas,
    current: &Replicas,
) -> BTreeMap<TopicPartition, Move> {
    let mut moves: BTreeMap<TopicPartition, Move> = moving
        .iter()
        .map(|(place, found)| {
            let to: BTreeSet<i32> = found.adding.iter().copied().collect();
            let from = found.replicas.iter().copied().filter(|id| !to.contains(id));
            let from = from.collect();
            (place.clone(), Move { from, to })
        })
        .collect();
    for (place, replicas) in proposed {
        let from: BTreeSet<i32> = match moves.remove(place) {
            Some(under_way) => under_way.from,
            None => current.get(place).into_iter().flatten().copied().collect(),
        };
        let to = replicas.iter().copied().filter(|id| !from.contains(id)).collect();
        moves.insert(place.clone(), Move { from, to });
    }
    moves
}

fn set(name: &str, value: impl ToString) -> ConfigChange {
    ConfigChange::Set(name.to_owned(), value.to_string())
}

/// Limits copying between brokers, in bytes a second.
pub(super) fn between_brokers(admin: &Admin, moves: &BTreeMap<TopicPartition, Move>, rate: i64) -> Ran {
    let topics: BTreeSet<&String> = moves.keys().map(|(topic, _)| topic).collect();
    for topic in topics {
        let replicas = |side: fn(&Move) -> &BTreeSet<i32>| {
            let all: BTreeSet<String> = moves
                .iter()
                .filter(|((name, _), _)| name == topic)
                .flat_map(|((_, partition), copy)| {
                    side(copy)
                        .iter()
                        .map(move |broker| format!("{partition}:{broker}"))
                })
                .collect();
            joined(all, ",")
        };
        let changes = [
            set(LEADER_REPLICAS, replicas(|copy| &copy.from)),
            set(FOLLOWER_REPLICAS, replicas(|copy| &copy.to)),
        ];
        admin.alter_configs(&Resource::Topic(topic.clone()), &changes)?;
    }
    let brokers: BTreeSet<i32> = moves
        .values()
        .flat_map(|copy| copy.from.union(&copy.to).copied())
        .collect();
    for broker in brokers {
        let changes = [set(LEADER_RATE, rate), set(FOLLOWER_RATE, rate)];
        admin.alter_configs(&Resource::Broker(broker), &changes)?;
    }
    Ok(())
}

/// Limits copying between the log folders of brokers, in bytes a second.
pub(super) fn inside_brokers(admin: &Admin, brokers: &BTreeSet<i32>, rate: i64) -> Ran {
    for broker in brokers {
        admin.alter_configs(&Resource::Broker(*broker), &[set(DIRS_RATE, rate)])?;
    }
    Ok(())
}

/// Takes away all limits of these brokers.
pub(super) fn clear_brokers(admin: &Admin, brokers: &BTreeSet<i32>) -> Ran {
    let changes = [LEADER_RATE, FOLLOWER_RATE, DIRS_RATE].map(|name| ConfigChange::Delete(name.to_owned()));
    for broker in brokers {
        admin
            .alter_configs(&Resource::Broker(*broker), &changes)
            .map_err(Failure::Kafka)?;
    }
    Ok(())
}

/// Takes away all limits of these topics.
pub(super) fn clear_topics<'a>(admin: &Admin, topics: impl Iterator<Item = &'a String>) -> Ran {
    let changes = [LEADER_REPLICAS, FOLLOWER_REPLICAS].map(|name| ConfigChange::Delete(name.to_owned()));
    for topic in topics {
        admin
            .alter_configs(&Resource::Topic(topic.clone()), &changes)
            .map_err(Failure::Kafka)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_under_way_keeps_its_sources() {
        let place = ("a".to_owned(), 0);
        let moving = BTreeMap::from([(
            place.clone(),
            Reassignment {
                replicas: vec![3, 1],
                adding: vec![3],
                removing: vec![1],
            },
        )]);
        let proposed = Replicas::from([(place.clone(), vec![2])]);
        let current = Replicas::from([(place.clone(), vec![3, 1])]);
        let moves = moves(&moving, &proposed, &current);
        assert_eq!(moves[&place].from, BTreeSet::from([1]));
        assert_eq!(moves[&place].to, BTreeSet::from([2]));
    }
}
