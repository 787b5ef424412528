//! What survives which death, and who leads afterwards.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;

use super::Lab;
use crate::core::brokers::Command::{Kill, PauseReplication, ResumeReplication, Start, Stop};

fn lab(folder: &tempfile::TempDir) -> Lab {
    Lab::open(folder.path(), 3, &[])
}

#[test]
fn followers_have_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2, 3], &[]);
    assert_eq!(lab.produced(1, "t", -1, "a"), 0);
    assert_eq!(lab.produced(1, "t", 1, "b"), 0);
    assert_eq!(lab.read(1, "t").unwrap(), ["a", "b"]);
    let bytes = |id: i32| {
        std::fs::read(
            folder
                .path()
                .join(format!("broker-{id}/t-0/00000000000000000000.log")),
        )
    };
    assert_eq!(bytes(1).unwrap(), bytes(2).unwrap());
    assert_eq!(bytes(1).unwrap(), bytes(3).unwrap());
}

#[test]
fn only_the_leader_is_written_to_and_read_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[2, 1], &[]);
    let not_leader = ResponseError::NotLeaderOrFollower.code();
    assert_eq!(lab.produced(1, "t", 1, "a"), not_leader);
    assert_eq!(lab.produced(3, "t", 1, "a"), not_leader);
    assert_eq!(lab.read(1, "t"), Err(not_leader));
    assert_eq!(lab.produced(2, "t", 1, "a"), 0);
}

#[test]
fn an_acks_1_record_that_no_follower_has_is_lost_with_its_leader() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2, 3], &[]);
    assert_eq!(lab.produced(1, "t", -1, "kept"), 0);
    lab.command(2, PauseReplication);
    lab.command(3, PauseReplication);
    assert_eq!(lab.produced(1, "t", 1, "lost"), 0);
    assert_eq!(lab.read(1, "t").unwrap(), ["kept"], "it is not committed");
    lab.command(1, Stop);
    assert_eq!(
        (lab.partition("t").leader, lab.partition("t").leader_epoch),
        (2, 1)
    );
    lab.command(2, ResumeReplication);
    lab.command(3, ResumeReplication);
    assert_eq!(lab.produced(2, "t", -1, "next"), 0);
    assert_eq!(lab.read(2, "t").unwrap(), ["kept", "next"]);
    lab.command(1, Start);
    assert_eq!(lab.log(1, "t"), ["kept", "next"], "it is cut off");
    assert_eq!(lab.partition("t").isr, [2, 3, 1]);
    assert_eq!(lab.core.witness.of("t").lost, 1);
}

#[test]
fn an_acks_all_record_waits_for_the_replicas_in_sync() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2, 3], &[]);
    lab.command(3, PauseReplication);
    let request = lab.produce(1, "t", -1, "a");
    assert_eq!(lab.code(request), None);
    lab.command(3, ResumeReplication);
    assert_eq!(lab.code(request), Some(0));
    assert_eq!(lab.log(3, "t"), ["a"]);

    lab.command(3, PauseReplication);
    let request = lab.produce(1, "t", -1, "b");
    lab.pass(4_999);
    assert_eq!(lab.code(request), None);
    lab.pass(1);
    assert_eq!(lab.code(request), Some(ResponseError::RequestTimedOut.code()));

    let request = lab.produce(1, "t", -1, "c");
    lab.command(1, Kill);
    assert!(
        matches!(lab.late.remove(&request), Some(None)),
        "its broker is gone"
    );
    lab.pass(10_000);
    assert_eq!(lab.partition("t").leader, 2);
}

#[test]
fn a_follower_that_lags_leaves_the_isr_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2, 3], &[]);
    lab.command(3, PauseReplication);
    lab.pass(60_000);
    assert_eq!(lab.partition("t").isr, [1, 2, 3], "it lacks nothing");
    assert_eq!(lab.produced(1, "t", 1, "a"), 0);
    lab.pass(30_000);
    assert_eq!(lab.partition("t").isr, [1, 2, 3]);
    assert_eq!(lab.read(1, "t").unwrap(), Vec::<String>::new());
    lab.pass(1);
    assert_eq!(lab.partition("t").isr, [1, 2]);
    assert_eq!(lab.partition("t").leader_epoch, 0);
    assert_eq!(lab.read(1, "t").unwrap(), ["a"]);
    assert_eq!(lab.produced(1, "t", -1, "b"), 0);
    lab.command(3, ResumeReplication);
    assert_eq!(lab.partition("t").isr, [1, 2, 3]);
    assert_eq!(lab.log(3, "t"), ["a", "b"]);
}

#[test]
fn too_few_in_sync_refuse_acks_all_and_commit_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2, 3], &[("min.insync.replicas", "2")]);
    lab.command(3, Stop);
    assert_eq!(lab.produced(1, "t", -1, "two"), 0);
    lab.command(2, Stop);
    assert_eq!(
        lab.produced(1, "t", -1, "refused"),
        ResponseError::NotEnoughReplicas.code()
    );
    assert_eq!(lab.core.witness.of("t").refused, 1);
    assert_eq!(lab.produced(1, "t", 1, "alone"), 0);
    assert_eq!(lab.read(1, "t").unwrap(), ["two"]);
    lab.command(2, Start);
    assert_eq!(lab.read(1, "t").unwrap(), ["two", "alone"]);
}

#[test]
fn without_a_replica_in_sync_there_is_no_leader_unless_unclean() {
    for (unclean, leader) in [("false", -1), ("true", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = lab(&folder);
        lab.topic("t", &[1, 2], &[("unclean.leader.election.enable", unclean)]);
        lab.command(2, Stop);
        assert_eq!(lab.produced(1, "t", -1, "only on 1"), 0);
        lab.command(1, Stop);
        assert_eq!(lab.partition("t").leader, -1);
        assert_eq!(lab.partition("t").elr, [1]);
        lab.command(2, Start);
        assert_eq!(lab.partition("t").leader, leader, "{unclean}");
        lab.command(1, Start);
        let kept = if unclean == "true" {
            vec![]
        } else {
            vec!["only on 1"]
        };
        let leader = lab.partition("t").leader;
        assert_eq!(lab.read(leader, "t").unwrap(), kept);
        assert_eq!(lab.log(1, "t"), lab.log(2, "t"));
    }
}

#[test]
fn a_killed_broker_is_missed_after_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2, 3], &[]);
    lab.command(1, Kill);
    lab.pass(8_999);
    assert_eq!(lab.partition("t").leader, 1);
    lab.pass(1);
    assert_eq!(
        (lab.partition("t").leader, &lab.partition("t").isr[..]),
        (2, &[2, 3][..])
    );
    lab.command(1, Start);
    assert_eq!(lab.partition("t").isr, [2, 3, 1]);
    lab.pass(300_000);
    assert_eq!(lab.partition("t").leader, 1, "the preferred leader is back");
    assert_eq!(lab.partition("t").leader_epoch, 2);
}

#[test]
fn a_broker_that_is_back_before_it_is_missed_leads_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    lab.command(1, Kill);
    lab.command(1, Start);
    assert_eq!(lab.partition("t").leader, 2);
    lab.pass(20_000);
    assert_eq!(lab.partition("t").isr, [2, 1]);
}

#[test]
fn a_restart_of_all_keeps_leaders_epochs_and_records() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut lab = lab(&folder);
        lab.topic("t", &[1, 2, 3], &[]);
        assert_eq!(lab.produced(1, "t", -1, "a"), 0);
        lab.command(1, Stop);
        assert_eq!(lab.produced(2, "t", -1, "b"), 0);
        // Killed: nothing is closed.
    }
    let mut lab = Lab::open_at(folder.path(), 3, &[], 2_000_000);
    let partition = lab.partition("t");
    assert_eq!((partition.leader, partition.leader_epoch), (2, 1));
    assert_eq!(partition.isr, [2, 3, 1]);
    assert_eq!(lab.log(1, "t"), ["a", "b"]);
    assert_eq!(lab.read(2, "t").unwrap(), ["a", "b"]);
}

#[test]
fn a_topic_deleted_while_a_broker_is_down_is_gone_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    assert_eq!(lab.produced(1, "t", -1, "old"), 0);
    lab.command(2, Stop);
    let id = lab.core.topics.get("t").unwrap().id;
    lab.core.delete_topic(id).unwrap();
    lab.topic("t", &[1, 2], &[]);
    assert_eq!(lab.produced(1, "t", -1, "new"), 0);
    lab.command(2, Start);
    assert_eq!(lab.log(2, "t"), ["new"]);
    assert_eq!(lab.partition("t").isr, [1, 2]);
}

#[test]
fn a_newer_client_may_read_from_a_follower_and_is_told_of_another_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    assert_eq!(lab.produced(1, "t", -1, "a"), 0);
    let ask = || FetchPartition::default().with_partition_max_bytes(1 << 20);
    let part = lab.fetch(2, 12, "t", ask());
    assert_eq!((part.error, part.high_watermark), (None, 1));
    assert!(!part.slice.unwrap().is_empty());
    lab.command(1, Stop);
    let old = lab.fetch(2, 12, "t", ask().with_current_leader_epoch(0));
    assert_eq!(old.error, Some(ResponseError::FencedLeaderEpoch));
    let new = lab.fetch(2, 12, "t", ask().with_current_leader_epoch(2));
    assert_eq!(new.error, Some(ResponseError::UnknownLeaderEpoch));
    assert_eq!(lab.produced(2, "t", -1, "b"), 0);
    let ahead = ask().with_fetch_offset(2).with_last_fetched_epoch(0);
    let diverging = lab.fetch(2, 12, "t", ahead).diverging.unwrap();
    assert_eq!((diverging.leader_epoch, diverging.end_offset), (0, 1));
    let equal = ask().with_fetch_offset(1).with_last_fetched_epoch(0);
    assert!(lab.fetch(2, 12, "t", equal).diverging.is_none());
}

#[test]
fn a_log_longer_than_a_round_is_copied_in_several() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    lab.command(2, Stop);
    let large = "x".repeat(900_000);
    for _ in 0..25 {
        assert_eq!(lab.produced(1, "t", 1, &large), 0);
    }
    lab.command(2, Start);
    assert_eq!(lab.partition("t").isr, [1, 2]);
    assert_eq!(lab.partition("t").logs[&2].log.end_offset(), 25);
}

#[test]
fn records_deleted_on_the_leader_are_deleted_on_followers() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[]);
    for value in ["a", "b", "c"] {
        assert_eq!(lab.produced(1, "t", -1, value), 0);
    }
    let topic = lab.core.topics.get_mut("t").unwrap();
    let id = topic.id;
    let leader = topic.partitions[0].led_by_mut(1).unwrap();
    leader.log.delete_records_before(2, 3).unwrap();
    lab.core.appended(id, 0);
    lab.pass(0);
    assert_eq!(lab.partition("t").logs[&2].log.start_offset(), 2);
}

#[test]
fn what_a_changed_configuration_allows_happens() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(&folder);
    lab.topic("t", &[1, 2], &[("min.insync.replicas", "2")]);
    lab.command(2, Stop);
    assert_eq!(lab.produced(1, "t", 1, "a"), 0);
    assert_eq!(lab.read(1, "t").unwrap(), Vec::<String>::new());
    let set = |lab: &mut Lab, name: &str, value: &str| {
        let configs = [(name.to_owned(), value.to_owned())].into();
        lab.core.set_topic_configs("t", configs).unwrap();
        lab.pass(0);
    };
    set(&mut lab, "min.insync.replicas", "1");
    assert_eq!(lab.read(1, "t").unwrap(), ["a"]);

    lab.command(1, Stop);
    lab.command(2, Start);
    set(&mut lab, "unclean.leader.election.enable", "true");
    assert_eq!(lab.partition("t").leader, -1);
    lab.pass(300_000);
    assert_eq!(lab.partition("t").leader, 2);
}
