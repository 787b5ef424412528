use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::*;
use crate::core::groups::testing::{Lab, REBALANCE_MS};
use crate::core::groups::{CommitCheck, Committer};

#[test]
fn the_first_member_leads_and_the_second_makes_a_rebalance() {
    let lab = Lab::pair();
    let first = lab.answer(1);
    assert_eq!(
        (first.generation, first.leader.as_str(), first.members.len()),
        (1, "c-a", 1)
    );
    assert_eq!(
        (lab.answer(3).generation, lab.answer(3).members.len()),
        (2, 0),
        "only the leader gets the members"
    );
    assert_eq!((lab.answer(4).generation, lab.answer(4).members.len()), (2, 2));
    assert_eq!(&lab.assignment(5).assignment[..], b"rest");
    assert_eq!(&lab.assignment(6).assignment[..], b"half");
    assert_eq!(lab.saved.len(), 2);
}

#[test]
fn what_is_saved_comes_back_alive() {
    let lab = Lab::pair();
    let group = lab.reread();
    let classic = group.classic().unwrap();
    assert_eq!((classic.state, classic.generation), (State::Stable, 2));
    assert_eq!(
        classic.member("c-b").unwrap().assignment,
        Bytes::from_static(b"rest")
    );
    assert!(group.is_subscribed_to("t") && !group.is_subscribed_to("u"));
}

#[test]
fn a_silent_member_is_out_when_its_session_is_over_and_not_before() {
    let mut lab = Lab::pair();
    lab.pass_to(9_000);
    assert_eq!(lab.heartbeat("c-a"), None);
    lab.pass_to(9_999);
    assert_eq!(lab.classic().members.len(), 2);
    lab.pass_to(10_000);
    assert_eq!(lab.classic().ids(), ["c-a"]);
    assert_eq!(lab.state(), State::PreparingRebalance);
    lab.join(7, "c-a", &["range"]);
    assert_eq!(
        (lab.classic().generation, lab.state()),
        (3, State::CompletingRebalance)
    );
}

#[test]
fn who_does_not_rejoin_in_time_is_left_out() {
    let mut lab = Lab::pair();
    lab.join(7, "c-c", &["range"]);
    lab.join(8, "c-a", &["range"]);
    for now_ms in (0..=60_000).step_by(1_000) {
        lab.pass_to(now_ms);
        if lab.classic().member("c-b").is_some() {
            assert_eq!(lab.heartbeat("c-b"), Some(ResponseError::RebalanceInProgress));
        }
    }
    assert!(lab.classic().member("c-b").is_none());
    assert_eq!(
        (lab.classic().generation, lab.state()),
        (3, State::CompletingRebalance)
    );
}

#[test]
fn who_does_not_sync_in_time_is_left_out() {
    let mut lab = Lab::pair();
    lab.join(7, "c-c", &["range"]);
    lab.join(8, "c-a", &["range"]);
    lab.join(9, "c-b", &["range"]);
    lab.sync(10, "c-a", &[("c-a", "x"), ("c-b", "y"), ("c-c", "z")]);
    lab.sync(11, "c-b", &[]);
    for now_ms in (0..=i64::from(REBALANCE_MS)).step_by(1_000) {
        lab.pass_to(now_ms);
        for id in ["c-a", "c-b", "c-c"] {
            lab.heartbeat(id);
        }
    }
    assert!(
        lab.classic().member("c-c").is_none(),
        "it sent heartbeats, but no sync"
    );
    assert_eq!(lab.state(), State::PreparingRebalance);
}

#[test]
fn the_last_member_leaves_an_empty_group_of_the_next_generation() {
    let mut lab = Lab::new();
    lab.join(1, "c-a", &["range"]);
    lab.sync(2, "c-a", &[("c-a", "all")]);
    assert_eq!(lab.leave("c-a"), None);
    assert_eq!((lab.state(), lab.classic().generation), (State::Empty, 2));
    assert_eq!(lab.leave("c-a"), Some(ResponseError::UnknownMemberId));
    assert_eq!(lab.reread().state_name(), "Empty");
}

#[test]
fn several_leave_with_one_rebalance() {
    let mut lab = Lab::pair();
    lab.join_as(7, "i-c", "i", &["range"]);
    lab.join(8, "c-a", &["range"]);
    lab.join(9, "c-b", &["range"]);
    let leaving = |member: &str, instance: Option<&str>| Leaving {
        member: member.to_owned(),
        instance: instance.map(str::to_owned),
    };
    let all = [
        leaving("c-b", None),
        leaving("", Some("i")),
        leaving("", Some("j")),
        leaving("x", None),
        leaving("c-b", Some("i")),
    ];
    let errors = lab.act(|group, cx| group.leave(cx, &all));
    let unknown = Some(ResponseError::UnknownMemberId);
    assert_eq!(errors, [None, None, unknown, unknown, unknown]);
    assert_eq!(lab.classic().ids(), ["c-a"]);
    assert_eq!(lab.state(), State::PreparingRebalance);
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let mut lab = Lab::new();
    lab.join_as(1, "i-a", "i", &["range"]);
    lab.sync(2, "c-a", &[]);
    let id = lab.classic().ids()[0].clone();
    assert!(id.starts_with("i-"), "{id}");
    lab.sync(2, &id, &[]);
    let generation = lab.classic().generation;
    let back = Join {
        asker: Asker {
            request: 3,
            version: 9,
        },
        instance: Some("i".to_owned()),
        ..lab.joining(3, "b", &["range"])
    };
    lab.send(&back);
    assert_eq!(
        (lab.state(), lab.classic().generation),
        (State::Stable, generation)
    );
    let answer = lab.answer(3);
    assert_eq!((answer.member.as_str(), answer.error), ("i-b", None));
    assert!(answer.skip_assignment && answer.leader == "i-b" && answer.members.len() == 1);
    // An older client must not take itself for the leader.
    let older = Join {
        asker: Asker {
            request: 4,
            version: 5,
        },
        instance: Some("i".to_owned()),
        ..lab.joining(4, "d", &["range"])
    };
    lab.send(&older);
    let answer = lab.answer(4);
    assert_eq!((answer.leader.as_str(), answer.members.len()), ("i-b", 0));
    let fenced = lab.heartbeat_as("i-b", Some("i"), generation);
    assert_eq!(fenced, Some(ResponseError::FencedInstanceId));
    assert_eq!(lab.heartbeat_as("i-d", Some("i"), generation), None);
    assert_eq!(lab.reread().classic().unwrap().ids(), ["i-d"]);
}

#[test]
fn a_static_member_keeps_its_place_while_it_is_away() {
    let mut lab = Lab::pair();
    lab.join_as(7, "i-c", "i", &["range"]);
    lab.join(8, "c-a", &["range"]);
    lab.join(9, "c-b", &["range"]);
    let id = lab.classic().ids()[2].clone();
    lab.sync(10, "c-a", &[("c-a", "x"), ("c-b", "y")]);
    lab.sync(11, "c-b", &[]);
    lab.sync(12, &id, &[]);
    lab.leave("c-b");
    lab.join(13, "c-a", &["range"]);
    for now_ms in (0..=9_000).step_by(1_000) {
        lab.pass_to(now_ms);
    }
    assert!(lab.classic().member(&id).is_some());
}

#[test]
fn members_without_a_common_protocol_are_refused() {
    let mut lab = Lab::new();
    lab.join(1, "c-a", &["range"]);
    lab.join(2, "c-b", &["sticky"]);
    assert_eq!(
        lab.answer(2).error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
    let other = Join {
        protocol_type: "connect".to_owned(),
        ..lab.joining(3, "c-b", &["range"])
    };
    lab.send(&other);
    assert_eq!(
        lab.answer(3).error,
        Some(ResponseError::InconsistentGroupProtocol)
    );
}

#[test]
fn the_protocol_with_most_votes_wins() {
    let mut lab = Lab::new();
    lab.join(1, "c-a", &["range", "sticky"]);
    lab.join(2, "c-b", &["sticky", "range"]);
    lab.join(3, "c-a", &["range", "sticky"]);
    lab.join(4, "c-c", &["sticky", "range"]);
    lab.join(5, "c-a", &["range", "sticky"]);
    lab.join(6, "c-b", &["sticky", "range"]);
    assert_eq!(lab.classic().protocol.as_deref(), Some("sticky"));
}

#[test]
fn a_full_group_takes_nobody_in() {
    let mut lab = Lab::pair();
    lab.rules.classic_max_size = 2;
    lab.join(7, "c-c", &["range"]);
    assert_eq!(lab.answer(7).error, Some(ResponseError::GroupMaxSizeReached));
    assert_eq!(lab.state(), State::Stable);
    lab.join(8, "c-a", &["range"]);
    assert_eq!(lab.state(), State::PreparingRebalance, "who is in it may rejoin");
}

#[test]
fn the_first_rebalance_waits_for_others_and_longer_while_they_come() {
    let mut lab = Lab::new();
    lab.rules.initial_delay_ms = 3_000;
    lab.join(1, "c-a", &["range"]);
    lab.pass_to(2_000);
    lab.join(2, "c-b", &["range"]);
    lab.pass_to(5_999);
    assert!(lab.joined.is_empty());
    lab.pass_to(6_000);
    assert_eq!((lab.joined.len(), lab.classic().generation), (2, 1));
}

#[test]
fn a_commit_needs_the_current_generation() {
    let lab = Lab::pair();
    let commit = |member: &str, generation, transactional| {
        let by = Committer {
            member,
            instance: None,
            generation,
            transactional,
            version: 8,
        };
        lab.group.check_commit(&by).map_err(|refusal| refusal.error)
    };
    assert_eq!(commit("c-a", 2, false), Ok(CommitCheck::Done));
    assert_eq!(commit("c-a", 1, false), Err(ResponseError::IllegalGeneration));
    assert_eq!(commit("x", 2, false), Err(ResponseError::UnknownMemberId));
    assert_eq!(commit("", -1, false), Err(ResponseError::UnknownMemberId));
    // A producer of before KIP-447 says nothing of the consumer.
    assert_eq!(commit("", -1, true), Ok(CommitCheck::Done));
}

#[test]
fn a_commit_in_a_rebalance_is_refused_until_the_members_have_synced() {
    let mut lab = Lab::pair();
    lab.join(7, "c-a", &["range"]);
    let by = |generation| Committer {
        member: "c-b",
        instance: None,
        generation,
        transactional: false,
        version: 8,
    };
    assert_eq!(lab.group.check_commit(&by(2)), Ok(CommitCheck::Done));
    lab.join(8, "c-b", &["range"]);
    assert_eq!(
        lab.group.check_commit(&by(3)).unwrap_err().error,
        ResponseError::RebalanceInProgress
    );
}

#[test]
fn a_client_of_kip_394_is_given_its_id_first() {
    let mut lab = Lab::new();
    let join = |request, member: &str| Join {
        asker: Asker { request, version: 9 },
        member: member.to_owned(),
        ..lab.joining(request, "c-fresh", &["range"])
    };
    let (first, second) = (join(1, ""), join(2, "c-fresh"));
    let other = Join {
        fresh_id: "other".to_owned(),
        ..join(3, "")
    };
    lab.send(&first);
    assert_eq!(lab.answer(1).error, Some(ResponseError::MemberIdRequired));
    lab.send(&second);
    assert_eq!((lab.answer(2).error, lab.classic().generation), (None, 1));
    lab.sync(4, "c-fresh", &[]);
    // One that doesn't come back holds a rebalance up until its time is over.
    lab.send(&other);
    lab.join(5, "c-fresh", &["sticky", "range"]);
    assert_eq!(lab.state(), State::PreparingRebalance);
    lab.pass_to(10_000);
    assert_eq!(lab.state(), State::CompletingRebalance);
}

#[test]
fn offsets_of_an_empty_group_age_from_its_end_and_those_of_a_simple_group_from_the_commit() {
    let mut lab = Lab::new();
    assert_eq!(lab.group.offset_idle_since(5), Some(5));
    lab.join(1, "c-a", &["range"]);
    assert_eq!(
        lab.group.offset_idle_since(5),
        None,
        "nothing expires in a rebalance"
    );
    lab.sync(2, "c-a", &[]);
    assert_eq!(lab.group.offset_idle_since(5), Some(5));
    lab.pass_to(9_000);
    lab.leave("c-a");
    assert_eq!(lab.group.offset_idle_since(5), Some(9_000));
}
