use kafka_protocol::ResponseError;

use std::collections::btree_map::Entry;

use super::*;
use crate::core::groups::modern::LEAVE_EPOCH;
use crate::core::groups::testing::{Lab, REBALANCE_MS, parts, topic};
use crate::core::groups::{CommitCheck, Committer, Kind};

const SESSION_MS: i64 = 45_000;

/// Two members, settled: `a` has 0 and 1, `b` has 2 and 3 of the four partitions.
fn pair() -> Lab {
    let mut lab = Lab::new();
    let first = lab.beat_join("a", &["t"]).unwrap();
    assert_eq!((first.epoch, first.assignment), (2, Some(parts(&[0, 1, 2, 3]))));
    let second = lab.beat_join("b", &["t"]).unwrap();
    assert_eq!((second.epoch, second.assignment), (3, Some(parts(&[]))));
    lab
}

fn settled() -> Lab {
    let mut lab = pair();
    let told = lab.beat_with("a", None).unwrap();
    let keeps = told.assignment.unwrap();
    assert_eq!(
        (told.epoch, keeps[&topic(1)].len()),
        (2, 2),
        "it has to let go first"
    );
    let done = lab.beat_with("a", Some(keeps)).unwrap();
    assert_eq!(done.epoch, 3);
    let rest = lab.beat_with("b", None).unwrap();
    assert_eq!(rest.assignment.unwrap()[&topic(1)].len(), 2);
    assert_eq!(lab.consumer().state(), State::Stable);
    lab
}

fn has(lab: &Lab, member: &str) -> BTreeSet<i32> {
    let owned = &lab.consumer().members[member].current.assigned;
    owned
        .get(&topic(1))
        .into_iter()
        .flat_map(|epochs| epochs.keys().copied())
        .collect()
}

#[test]
fn a_partition_moves_only_when_its_owner_has_let_go_of_it() {
    let mut lab = pair();
    assert_eq!(lab.consumer().state(), State::Reconciling);
    assert_eq!(lab.beat_with("b", None).unwrap().assignment, None);
    let lab = settled();
    let (a, b) = (has(&lab, "a"), has(&lab, "b"));
    assert!(a.is_disjoint(&b) && a.len() + b.len() == 4);
}

#[test]
fn what_is_saved_comes_back_as_it_was() {
    let lab = settled();
    let group = lab.reread();
    let (read, own) = (group.consumer().unwrap(), lab.consumer());
    assert_eq!((read.epoch, read.hash), (own.epoch, own.hash));
    assert_eq!(
        (read.assignment_epoch, read.assigned_ms),
        (own.assignment_epoch, own.assigned_ms)
    );
    assert_eq!(read.target, own.target);
    for (id, member) in &own.members {
        assert_eq!(read.members[id].metadata, member.metadata);
        assert_eq!(read.members[id].current, member.current);
    }
}

#[test]
fn a_silent_member_is_fenced_and_its_partitions_are_free() {
    let mut lab = settled();
    lab.pass_to(SESSION_MS - 1);
    lab.beat_with("a", None).unwrap();
    assert_eq!(lab.consumer().members.len(), 2);
    lab.pass_to(SESSION_MS);
    assert_eq!(lab.consumer().members.len(), 1);
    let all = lab.beat_with("a", None).unwrap();
    assert_eq!((all.epoch, all.assignment), (4, Some(parts(&[0, 1, 2, 3]))));
    let late = Beat {
        member: "b".to_owned(),
        epoch: 3,
        ..Beat::default()
    };
    let refused = lab.send_beat(&late).unwrap_err();
    assert_eq!(refused.error, ResponseError::UnknownMemberId);
}

#[test]
fn who_does_not_let_go_in_its_rebalance_timeout_is_fenced() {
    let mut lab = pair();
    lab.beat_with("a", None).unwrap();
    for now_ms in (0..i64::from(REBALANCE_MS)).step_by(5_000) {
        lab.pass_to(now_ms);
        lab.beat_with("a", Some(parts(&[0, 1, 2, 3]))).unwrap();
        lab.beat_with("b", None).unwrap();
    }
    lab.pass_to(i64::from(REBALANCE_MS));
    assert!(!lab.consumer().members.contains_key("a"));
    assert_eq!(
        lab.beat_with("b", None).unwrap().assignment,
        Some(parts(&[0, 1, 2, 3]))
    );
}

#[test]
fn epochs_fence_but_one_step_behind_will_do() {
    let mut lab = settled();
    let mut beat = |epoch, owned: Option<Partitions>| {
        let beat = Beat {
            member: "a".to_owned(),
            epoch,
            rebalance_timeout_ms: -1,
            owned,
            ..Beat::default()
        };
        lab.send_beat(&beat)
            .map(|beaten| beaten.epoch)
            .map_err(|refusal| refusal.error)
    };
    assert_eq!(beat(9, None), Err(ResponseError::FencedMemberEpoch));
    assert_eq!(beat(1, None), Err(ResponseError::FencedMemberEpoch));
    assert_eq!(beat(2, None), Err(ResponseError::FencedMemberEpoch));
    assert_eq!(beat(2, Some(parts(&[]))), Ok(3));
    assert_eq!(beat(3, None), Ok(3));
}

#[test]
fn a_static_member_that_means_to_come_back_keeps_its_partitions() {
    let mut lab = Lab::new();
    let beat = |member: &str, epoch| Beat {
        member: member.to_owned(),
        epoch,
        instance: Some("i".to_owned()),
        rebalance_timeout_ms: REBALANCE_MS,
        topics: Some(BTreeSet::from(["t".to_owned()])),
        owned: Some(Partitions::new()),
        ..Beat::default()
    };
    lab.send_beat(&beat("a", 0)).unwrap();
    let taken = lab.send_beat(&beat("b", 0)).unwrap_err();
    assert_eq!(taken.error, ResponseError::UnreleasedInstanceId);
    let fenced = lab.send_beat(&beat("b", 2)).unwrap_err();
    assert_eq!(fenced.error, ResponseError::FencedInstanceId);
    assert_eq!(lab.send_beat(&beat("a", LEAVE_STATIC_EPOCH)).unwrap().epoch, -2);
    assert_eq!(lab.consumer().epoch, 2, "nobody else is to get anything");
    let back = lab.send_beat(&beat("b", 0)).unwrap();
    assert_eq!((back.epoch, back.assignment), (2, Some(parts(&[0, 1, 2, 3]))));
    assert_eq!(lab.consumer().members.keys().collect::<Vec<_>>(), ["b"]);
    // One that does not come back is out with its session.
    lab.send_beat(&beat("b", LEAVE_STATIC_EPOCH)).unwrap();
    lab.pass_to(SESSION_MS);
    assert_eq!(lab.consumer().state(), State::Empty);
}

#[test]
fn a_topic_that_grows_or_comes_is_assigned() {
    let mut lab = Lab::new();
    lab.beat_join("a", &["t", "u"]).unwrap();
    lab.topics.0.insert("t".to_owned(), (topic(1), 6));
    let grown = lab.beat_with("a", None).unwrap();
    assert_eq!((grown.epoch, grown.assignment.unwrap()[&topic(1)].len()), (3, 6));
    lab.topics.0.insert("u".to_owned(), (topic(2), 1));
    let came = lab.beat_with("a", None).unwrap();
    assert_eq!((came.epoch, came.assignment.unwrap().len()), (4, 2));
    lab.topics.0.remove("t");
    let gone = lab.beat_with("a", None).unwrap();
    assert_eq!(gone.assignment.unwrap().len(), 1);
}

#[test]
fn targets_are_made_no_more_often_than_the_interval() {
    let mut lab = Lab::new();
    lab.rules.consumer.assignment_interval_ms = 1_000;
    lab.now_ms = 500;
    lab.beat_join("a", &["t"]).unwrap();
    lab.beat_join("b", &["t"]).unwrap();
    assert_eq!(lab.consumer().state(), State::Assigning);
    lab.pass_to(1_499);
    lab.beat_with("b", None).unwrap();
    assert_eq!(lab.consumer().assignment_epoch, 2);
    lab.pass_to(1_500);
    lab.beat_with("b", None).unwrap();
    assert_eq!(lab.consumer().assignment_epoch, 3);
}

#[test]
fn an_expression_stands_for_the_topics_that_match_it_whole() {
    let mut lab = Lab::new();
    for (at, name) in ["ta", "tab", "xta", "__consumer_offsets"].iter().enumerate() {
        lab.topics
            .0
            .insert((*name).to_owned(), (topic(10 + at as u128), 1));
    }
    let beat = |regex: &str| Beat {
        member: "a".to_owned(),
        rebalance_timeout_ms: REBALANCE_MS,
        regex: Some(regex.to_owned()),
        owned: Some(Partitions::new()),
        ..Beat::default()
    };
    let first = lab.send_beat(&beat("ta.*|_.*")).unwrap();
    assert_eq!(
        (first.epoch, first.assignment),
        (1, Some(Partitions::new())),
        "not resolved yet"
    );
    let next = lab.beat_with("a", None).unwrap();
    assert_eq!(
        next.assignment.unwrap().keys().copied().collect::<Vec<_>>(),
        [topic(10), topic(11)]
    );
    lab.topics.0.insert("tac".to_owned(), (topic(20), 1));
    lab.pass_to(10_001);
    lab.beat_with("a", None).unwrap();
    assert_eq!(lab.beat_with("a", None).unwrap().assignment.unwrap().len(), 3);
    assert_eq!(
        lab.reread().consumer().unwrap().regexes(),
        lab.consumer().regexes()
    );
    let wrong = lab.send_beat(&beat("(")).unwrap_err();
    assert_eq!(wrong.error, ResponseError::InvalidRegularExpression);
    for wrong in ["a)(b", "a**", "a*?+", "(a)+*"] {
        assert!(lab.send_beat(&beat(wrong)).is_err(), "{wrong}");
    }
    for right in ["a*?b+?c??", "[*+]*", r"\*\+*", "a?b*", "(a|b)?(c*)*"] {
        assert!(lab.send_beat(&beat(right)).is_ok(), "{right}");
    }
}

#[test]
fn a_group_that_is_full_takes_nobody_in() {
    let mut lab = settled();
    lab.rules.consumer.max_size = 2;
    let refused = lab.beat_join("c", &["t"]).unwrap_err();
    assert_eq!(refused.error, ResponseError::GroupMaxSizeReached);
    assert!(lab.beat_join("a", &["t"]).is_ok());
}

#[test]
fn a_member_that_is_behind_commits_only_what_it_had_already() {
    let mut lab = settled();
    let commit = |lab: &Lab, member: &str, generation, version| {
        let by = Committer {
            member,
            instance: None,
            generation,
            transactional: false,
            version,
        };
        lab.group.check_commit(&by).map_err(|refusal| refusal.error)
    };
    assert_eq!(commit(&lab, "a", 3, 9), Ok(CommitCheck::Done));
    assert_eq!(commit(&lab, "a", 3, 8), Err(ResponseError::UnsupportedVersion));
    assert_eq!(commit(&lab, "a", 4, 9), Err(ResponseError::StaleMemberEpoch));
    assert_eq!(commit(&lab, "x", 3, 9), Err(ResponseError::UnknownMemberId));
    let had = *has(&lab, "a").first().unwrap();
    let check = commit(&lab, "a", 2, 9).unwrap();
    assert_eq!(check.partition(topic(1), had), Ok(()));
    let others = *has(&lab, "b").first().unwrap();
    assert_eq!(
        check.partition(topic(1), others),
        Err(ResponseError::StaleMemberEpoch)
    );
    let check = commit(&lab, "b", 2, 9).unwrap();
    assert_eq!(
        check.partition(topic(1), others),
        Err(ResponseError::StaleMemberEpoch)
    );
    for member in ["a", "b"] {
        assert_eq!(lab.group.check_fetch(Some(member), 3), Ok(()));
    }
    let stale = lab.group.check_fetch(Some("a"), 2).unwrap_err();
    assert_eq!(stale.error, ResponseError::StaleMemberEpoch);
    lab.leave("a");
    assert!(lab.group.check_fetch(None, -1).is_ok());
}

#[test]
fn the_tombstones_of_a_group_leave_nothing() {
    let mut lab = settled();
    for member in ["a", "b"] {
        let beat = Beat {
            member: member.to_owned(),
            epoch: LEAVE_EPOCH,
            ..Beat::default()
        };
        lab.send_beat(&beat).unwrap();
    }
    assert!(lab.group.is_empty());
    let mut groups = crate::core::groups::Groups::default();
    let tombstones = lab.group.tombstones();
    for saved in lab.saved.iter().chain(&tombstones) {
        groups.replay(saved.clone(), 0);
    }
    assert!(groups.by_id.is_empty());
}

/// Random joins, heartbeats, leaves and passing time never give a partition to two members, and settle when left alone.
#[test]
fn no_partition_has_two_owners() {
    use proptest::prelude::*;
    proptest!(ProptestConfig::with_cases(200), |(steps in proptest::collection::vec((0u8..5, 0u8..4), 1..60))| {
        let mut lab = Lab::new();
        // What each client holds: it lets go when it is told, and takes when it is told.
        let mut holds: BTreeMap<String, Partitions> = BTreeMap::new();
        for (what, who) in steps {
            let id = format!("m{who}");
            match what {
                0 => { if let Entry::Vacant(free) = holds.entry(id.clone()) {
                    let told = lab.beat_join(&id, &["t"]).unwrap();
                    free.insert(told.assignment.unwrap());
                } }
                1 => { if holds.remove(&id).is_some() {
                    let beat = Beat { member: id, epoch: LEAVE_EPOCH, ..Beat::default() };
                    lab.send_beat(&beat).unwrap();
                } }
                _ => { if let Some(has) = holds.get(&id).cloned() {
                    let told = lab.beat_with(&id, Some(has)).unwrap();
                    if let Some(now) = told.assignment { holds.insert(id, now); }
                } }
            }
            let mut seen = BTreeSet::new();
            for (topic, indexes) in holds.values().flatten() {
                for index in indexes {
                    prop_assert!(seen.insert((*topic, *index)), "two have {index}");
                }
            }
        }
        for _ in 0..6 {
            for id in holds.keys().cloned().collect::<Vec<_>>() {
                let told = lab.beat_with(&id, holds.get(&id).cloned()).unwrap();
                if let Some(now) = told.assignment { holds.insert(id, now); }
            }
        }
        if let Kind::Consumer(consumer) = &lab.group.kind {
            prop_assert!(matches!(consumer.state(), State::Stable | State::Empty));
            let given: usize = holds.values().flat_map(|p| p.values()).map(BTreeSet::len).sum();
            prop_assert_eq!(given, if holds.is_empty() { 0 } else { 4 });
        }
    });
}
