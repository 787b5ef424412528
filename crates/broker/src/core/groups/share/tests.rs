use kafka_protocol::ResponseError;

use super::*;
use crate::core::Refusal;
use crate::core::groups::modern::{Beaten, LEAVE_EPOCH};
use crate::core::groups::testing::{Lab, parts, topic};
use crate::core::groups::{CommitCheck, Committer, Kind};

const SESSION_MS: i64 = 45_000;

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.group.kind = Kind::Share(Share::new("g"));
    lab
}

fn send(lab: &mut Lab, member: &str, epoch: i32, topics: Option<&[&str]>) -> Result<Beaten, Refusal> {
    let beat = Beat {
        member: member.to_owned(),
        epoch,
        topics: topics.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        client_id: "c".to_owned(),
        ..Beat::default()
    };
    lab.act(|group, cx| group.share_beat(cx, &beat))
}

fn join(lab: &mut Lab, member: &str) -> Beaten {
    send(lab, member, 0, Some(&["t"])).unwrap()
}

fn beat(lab: &mut Lab, member: &str) -> Beaten {
    let epoch = lab.share().members[member].current.epoch;
    send(lab, member, epoch, None).unwrap()
}

/// The coordinator has made the states.
fn states_are_made(lab: &mut Lab) {
    lab.act(|group, cx| {
        if let Kind::Share(share) = &mut group.kind {
            share.end_states(cx);
        }
    });
}

/// One member that has all four partitions.
fn one() -> Lab {
    let mut lab = lab();
    let joined = join(&mut lab, "a");
    assert_eq!((joined.epoch, joined.assignment), (2, Some(parts(&[]))));
    states_are_made(&mut lab);
    let beaten = beat(&mut lab, "a");
    assert_eq!((beaten.epoch, beaten.assignment), (3, Some(parts(&[0, 1, 2, 3]))));
    lab
}

#[test]
fn partitions_are_assigned_once_they_have_a_state() {
    let mut lab = one();
    assert_eq!(lab.share().state_name(), "Stable");
    let quiet = beat(&mut lab, "a");
    assert_eq!((quiet.epoch, quiet.assignment), (3, None));
}

#[test]
fn members_of_a_group_can_have_the_same_partition() {
    let mut lab = one();
    for member in ["b", "c", "d", "e", "f", "g", "h"] {
        join(&mut lab, member);
    }
    let mut shared: Vec<i32> = Vec::new();
    for member in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        beat(&mut lab, member);
        let has = &lab.share().members[member].current.assigned;
        shared.extend(has.values().flatten());
    }
    shared.sort_unstable();
    assert_eq!(shared, [0, 0, 1, 1, 2, 2, 3, 3]);
}

#[test]
fn who_says_nothing_for_a_session_is_out() {
    let mut lab = one();
    lab.pass_to(SESSION_MS - 1);
    beat(&mut lab, "a");
    lab.pass_to(2 * SESSION_MS - 2);
    assert_eq!(lab.share().members.len(), 1);
    lab.pass_to(2 * SESSION_MS);
    assert_eq!(lab.share().state_name(), "Empty");
    let refusal = send(&mut lab, "a", 3, None).unwrap_err();
    assert_eq!(refusal.error, ResponseError::UnknownMemberId);
    assert_eq!(refusal.message.unwrap(), "Member a is not a member of group g.");
}

#[test]
fn a_member_leaves_and_its_partitions_go_to_others() {
    let mut lab = one();
    join(&mut lab, "b");
    beat(&mut lab, "a");
    let gone = send(&mut lab, "b", LEAVE_EPOCH, None).unwrap();
    assert_eq!((gone.epoch, gone.heartbeat_interval_ms), (-1, 0));
    assert_eq!(beat(&mut lab, "a").assignment, Some(parts(&[0, 1, 2, 3])));
    assert!(send(&mut lab, "b", LEAVE_EPOCH, None).is_err());
}

#[test]
fn an_epoch_that_a_member_never_had_is_fenced() {
    let mut lab = one();
    let why = |refusal: Refusal| (refusal.error, refusal.message.unwrap());
    let (error, message) = why(send(&mut lab, "a", 9, None).unwrap_err());
    assert_eq!(error, ResponseError::FencedMemberEpoch);
    assert!(message.starts_with("The share group member has a greater member epoch (9)"));
    // The answer to the last step may have been lost.
    assert!(send(&mut lab, "a", 2, None).is_ok());
    assert!(send(&mut lab, "a", 1, None).is_err());
}

#[test]
fn a_changed_subscription_is_a_new_assignment() {
    let mut lab = one();
    lab.topics.0.insert("u".to_owned(), (topic(2), 1));
    let epoch = lab.share().members["a"].current.epoch;
    let told = send(&mut lab, "a", epoch, Some(&["u"])).unwrap();
    assert_eq!(told.assignment, Some(Partitions::new()));
    states_are_made(&mut lab);
    let told = beat(&mut lab, "a").assignment.unwrap();
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), [topic(2)]);
}

#[test]
fn new_partitions_of_a_topic_are_read_as_well() {
    let mut lab = one();
    lab.topics.0.insert("t".to_owned(), (topic(1), 5));
    beat(&mut lab, "a");
    states_are_made(&mut lab);
    assert_eq!(beat(&mut lab, "a").assignment, Some(parts(&[0, 1, 2, 3, 4])));
}

#[test]
fn a_group_has_room_for_so_many() {
    let mut lab = one();
    lab.rules.share.max_size = 1;
    let refusal = send(&mut lab, "b", 0, Some(&["t"])).unwrap_err();
    assert_eq!(refusal.error, ResponseError::GroupMaxSizeReached);
    beat(&mut lab, "a");
}

#[test]
fn what_is_saved_comes_back_as_it_was() {
    let lab = one();
    let group = lab.reread();
    let (share, read) = (lab.share(), group.share().unwrap());
    assert_eq!((read.epoch, read.hash), (share.epoch, share.hash));
    assert_eq!(read.assignment_epoch, share.assignment_epoch);
    assert_eq!((&read.target, read.states()), (&share.target, share.states()));
    let member = |share: &Share| {
        let member = &share.members["a"];
        (member.metadata.clone(), member.current.clone())
    };
    assert_eq!(member(read), member(share));
}

#[test]
fn another_protocol_finds_no_group_of_its_own() {
    let mut lab = one();
    lab.join(1, "c", &["range"]);
    let refused = lab.answer(1).error;
    assert_eq!(refused, Some(ResponseError::InconsistentGroupProtocol));
    let refusal = lab.beat_join("x", &["t"]).unwrap_err();
    assert_eq!(refusal.message.unwrap(), "Group g is not a consumer group.");
    let commit: Result<CommitCheck, Refusal> = lab.group.check_commit(&Committer {
        member: "",
        instance: None,
        generation: -1,
        transactional: false,
        version: 9,
    });
    assert_eq!(commit.unwrap_err().error, ResponseError::GroupIdNotFound);
    let mut classic = Lab::new();
    let refusal = send(&mut classic, "a", 0, Some(&["t"])).unwrap_err();
    assert_eq!(refusal.message.unwrap(), "Group g is not a share group.");
}
