use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn topic(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn spec(id: &str, topics: &[(u128, i32)], has: &[(u128, &[i32])]) -> Spec {
    Spec {
        id: id.to_owned(),
        instance: None,
        topics: topics.iter().map(|(t, count)| (topic(*t), *count)).collect(),
        has: has
            .iter()
            .map(|(t, indexes)| (topic(*t), indexes.iter().copied().collect()))
            .collect(),
    }
}

fn of(made: &Assigned, id: &str, number: u128) -> Vec<i32> {
    let indexes = made[id].get(&topic(number));
    indexes.into_iter().flatten().copied().collect()
}

#[test]
fn range_cuts_each_topic_for_itself() {
    let topics = [(1, 3), (2, 3)];
    let members = [spec("b", &topics, &[]), spec("a", &topics, &[])];
    let made = Assignor::Range.assign(&members, true);
    for number in [1, 2] {
        assert_eq!(of(&made, "a", number), [0, 1]);
        assert_eq!(of(&made, "b", number), [2]);
    }
}

#[test]
fn range_takes_static_members_first() {
    let mut members = [
        spec("a", &[(1, 2)], &[]),
        spec("b", &[(1, 2)], &[]),
        spec("c", &[(1, 2)], &[]),
    ];
    members[2].instance = Some("z".to_owned());
    let made = Assignor::Range.assign(&members, true);
    assert_eq!(of(&made, "c", 1), [0]);
    assert_eq!(of(&made, "a", 1), [1]);
    assert!(made["b"].is_empty());
}

#[test]
fn range_counts_the_subscribers_of_each_topic() {
    let members = [spec("a", &[(1, 4)], &[]), spec("b", &[(1, 4), (2, 2)], &[])];
    let made = Assignor::Range.assign(&members, false);
    assert_eq!((of(&made, "a", 1), of(&made, "b", 1)), (vec![0, 1], vec![2, 3]));
    assert_eq!(of(&made, "b", 2), [0, 1]);
}

#[test]
fn uniform_moves_as_little_as_it_can() {
    let topics = [(1, 4)];
    let members = [spec("a", &topics, &[(1, &[0, 1, 2, 3])]), spec("b", &topics, &[])];
    let made = Assignor::Uniform.assign(&members, true);
    assert_eq!((of(&made, "a", 1), of(&made, "b", 1)), (vec![0, 1], vec![2, 3]));
    // A third comes: each gives what is over its share.
    let members = [
        spec("a", &topics, &[(1, &[0, 1])]),
        spec("b", &topics, &[(1, &[2, 3])]),
        spec("c", &topics, &[]),
    ];
    let made = Assignor::Uniform.assign(&members, true);
    assert_eq!(of(&made, "a", 1), [0, 1]);
    assert_eq!((of(&made, "b", 1), of(&made, "c", 1)), (vec![2], vec![3]));
}

#[test]
fn uniform_leaves_the_one_more_to_who_has_it() {
    let topics = [(1, 3)];
    let members = [
        spec("a", &topics, &[(1, &[0])]),
        spec("b", &topics, &[(1, &[1, 2])]),
    ];
    let made = Assignor::Uniform.assign(&members, true);
    assert_eq!((of(&made, "a", 1), of(&made, "b", 1)), (vec![0], vec![1, 2]));
}

#[test]
fn the_order_is_that_of_javas_hash_map() {
    // new HashMap<>(Map.of("range", 1, "roundrobin", 1, "sticky", 1, "cooperative-sticky", 1)).keySet()
    assert_eq!(java_order(vec!["sticky", "range", "b", "a"])[..2], ["a", "b"]);
}

/// Members with topics of their own choice, and any target before.
fn members() -> impl Strategy<Value = Vec<Spec>> {
    let counts = proptest::collection::vec(1i32..7, 3);
    (
        counts,
        proptest::collection::vec((any::<[bool; 3]>(), 0u8..3), 1..6),
        any::<bool>(),
    )
        .prop_map(|(counts, wishes, same)| {
            let first = wishes[0].0;
            let mut taken = BTreeSet::new();
            let each = wishes.iter().enumerate().map(|(at, (wants, share))| {
                let wants = if same { first } else { *wants };
                let all = counts
                    .iter()
                    .enumerate()
                    .map(|(t, count)| (t as u128 + 1, *count));
                let topics: Vec<(u128, i32)> = all.filter(|(t, _)| wants[*t as usize - 1]).collect();
                let mut member = spec(&format!("m{at}"), &topics, &[]);
                for (number, count) in counts.iter().enumerate() {
                    for index in 0..*count {
                        let key = (number as u128 + 1, index);
                        if index % 3 < i32::from(*share) && taken.insert(key) {
                            member.has.entry(topic(key.0)).or_default().insert(index);
                        }
                    }
                }
                member
            });
            each.collect()
        })
}

proptest! {
    #[test]
    fn every_partition_has_one_owner_that_wants_it(members in members(), range in any::<bool>()) {
        let homogeneous = members.iter().all(|m| m.topics == members[0].topics);
        let assignor = if range { Assignor::Range } else { Assignor::Uniform };
        let made = assignor.assign(&members, homogeneous);
        let mut seen = BTreeSet::new();
        for member in &members {
            for (topic, indexes) in made.get(&member.id).into_iter().flatten() {
                prop_assert!(member.topics.contains_key(topic));
                for index in indexes {
                    prop_assert!(seen.insert((*topic, *index)));
                }
            }
        }
        let wanted: BTreeSet<(Uuid, i32)> = members
            .iter()
            .flat_map(|m| &m.topics)
            .flat_map(|(topic, count)| (0..*count).map(|index| (*topic, index)))
            .collect();
        prop_assert_eq!(&seen, &wanted);
        if assignor == Assignor::Uniform && homogeneous && !wanted.is_empty() {
            let sizes: Vec<usize> = members
                .iter()
                .map(|m| made[&m.id].values().map(BTreeSet::len).sum())
                .collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
        // Made again from itself, nothing moves.
        let again: Vec<Spec> = members
            .iter()
            .map(|m| Spec { has: made.get(&m.id).cloned().unwrap_or_default(), ..m.clone() })
            .collect();
        let settled = assignor.assign(&again, homogeneous);
        prop_assert_eq!(settled, made);
    }
}
