//! New logs get their folders beside the answers; those of deleted ones go when their time has come.

use std::time::Instant;

use super::Lab;
use crate::core::admin::NewTopic;
use crate::core::brokers::Command;

fn make(lab: &mut Lab, partitions: i32) {
    let new = NewTopic {
        name: "t".to_owned(),
        partitions,
        replication_factor: 1,
        ..NewTopic::default()
    };
    let (placed, configs) = lab.core.plan_topic(&new).unwrap();
    lab.core.create_topic("t", placed, configs).unwrap();
}

fn folders(at: &tempfile::TempDir) -> usize {
    let there = std::fs::read_dir(at.path().join("broker-1")).unwrap();
    let of_topic = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("t-");
    there.map(Result::unwrap).filter(of_topic).count()
}

#[test]
fn the_folders_of_many_new_partitions_come_a_few_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::open(folder.path(), 1, &[]);
    make(&mut lab, 300);
    assert_eq!(folders(&folder), 0);
    assert_eq!(lab.produced(1, "t", -1, "a"), 0);
    assert_eq!(folders(&folder), 1, "a record needs its folder");
    lab.pass(1);
    assert!((1..300).contains(&folders(&folder)));
    lab.pass(20);
    assert_eq!(folders(&folder), 300);
    assert_eq!(lab.read(1, "t").unwrap(), ["a"]);
}

#[test]
fn a_topic_that_is_deleted_before_it_has_folders_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::open(folder.path(), 1, &[]);
    make(&mut lab, 100);
    let id = lab.core.topics.get("t").unwrap().id;
    lab.core.delete_topic(id).unwrap();
    lab.pass(100);
    assert_eq!(folders(&folder), 0);
    make(&mut lab, 3);
    lab.pass(100);
    assert_eq!(folders(&folder), 3);
}

#[test]
fn a_start_makes_the_folders_that_a_killed_cluster_has_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::open(folder.path(), 1, &[]);
    make(&mut lab, 100);
    drop(lab);
    let mut lab = Lab::open(folder.path(), 1, &[]);
    lab.pass(100);
    assert_eq!(folders(&folder), 100);
    assert_eq!(lab.produced(1, "t", -1, "a"), 0);
}

/// What there is in a folder whose name ends with this.
fn names(at: &std::path::Path, end: &str) -> Vec<String> {
    let there = std::fs::read_dir(at).unwrap().map(Result::unwrap);
    let names = there.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(end)).collect();
    names.sort();
    names
}

/// Files are removed beside the core.
fn until_gone(at: &std::path::Path, end: &str) {
    let begun = Instant::now();
    while !names(at, end).is_empty() {
        assert!(begun.elapsed().as_secs() < 20, "{:?}", names(at, end));
        std::thread::yield_now();
    }
}

#[test]
fn the_folder_of_a_deleted_topic_stays_for_the_delay() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::open(folder.path(), 1, &[("log.segment.delete.delay.ms", "5000")]);
    let at = folder.path().join("broker-1");
    // What is set for the topic is about its segments.
    lab.topic("t", &[1], &[("file.delete.delay.ms", "1")]);
    assert_eq!(lab.produced(1, "t", -1, "a"), 0);
    let id = lab.core.topics.get("t").unwrap().id;
    lab.core.delete_topic(id).unwrap();
    lab.pass(0);
    lab.pass(4_999);
    let left = names(&at, "-delete");
    assert!(left.len() == 1 && left[0].starts_with("t-0."), "{left:?}");
    // Another of its name has nothing to do with it.
    lab.topic("t", &[1], &[]);
    assert_eq!(lab.produced(1, "t", -1, "b"), 0);
    lab.pass(1);
    until_gone(&at, "-delete");
    assert_eq!(lab.read(1, "t").unwrap(), ["b"]);
}

#[test]
fn a_new_topic_inherits_nothing_from_a_deleted_one_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::open(folder.path(), 1, &[]);
    lab.topic("t", &[1], &[]);
    for value in ["a", "b", "c"] {
        assert_eq!(lab.produced(1, "t", -1, value), 0);
    }
    let id = lab.core.topics.get("t").unwrap().id;
    let partition = lab.core.topics.partition_mut(id, 0).unwrap();
    let log = &mut partition.logs.get_mut(&1).unwrap().log;
    assert_eq!(log.delete_records_before(2, 3).unwrap(), 2);
    lab.core.checkpoint();
    lab.core.delete_topic(id).unwrap();
    lab.topic("t", &[1], &[]);
    assert_eq!(lab.produced(1, "t", -1, "new"), 0);
    assert_eq!(lab.partition("t").logs[&1].log.end_offset(), 1);
    assert_eq!(lab.read(1, "t").unwrap(), ["new"]);
    // Nor does it after the death of the process.
    drop(lab);
    let lab = Lab::open(folder.path(), 1, &[]);
    assert_eq!(lab.partition("t").logs[&1].log.start_offset(), 0);
    assert_eq!(lab.log(1, "t"), ["new"]);
}

#[test]
fn deleted_segments_stay_for_the_delay_of_their_topic() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::open(folder.path(), 1, &[]);
    lab.core.keep_house_later();
    let configs = [
        ("retention.ms", "1000"),
        ("segment.ms", "100"),
        ("file.delete.delay.ms", "7000"),
    ];
    lab.topic("t", &[1], &configs);
    let at = folder.path().join("broker-1").join("t-0");
    for value in ["a", "b"] {
        assert_eq!(lab.produced(1, "t", -1, value), 0);
        lab.pass(200);
    }
    let size = |lab: &Lab| lab.partition("t").logs[&1].log.size_bytes();
    assert!(size(&lab) > 0);
    // Retention is looked at half a minute after the start.
    lab.pass(30_000);
    let deleted = names(&at, ".deleted");
    assert!(
        deleted.contains(&"00000000000000000000.log.deleted".to_owned()),
        "{deleted:?}"
    );
    assert!(
        deleted.contains(&"00000000000000000001.log.deleted".to_owned()),
        "{deleted:?}"
    );
    assert_eq!(
        (size(&lab), names(&at, ".log").len()),
        (0, 0),
        "they are no part of the log"
    );
    lab.pass(7_000);
    until_gone(&at, ".deleted");
}

#[test]
fn what_a_stop_leaves_of_the_deleted_is_gone_after_the_start() {
    for command in [Command::Stop, Command::Kill] {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = Lab::open(folder.path(), 1, &[]);
        lab.core.keep_house_later();
        let at = folder.path().join("broker-1");
        for topic in ["t", "gone"] {
            lab.topic(topic, &[1], &[("retention.ms", "1000"), ("segment.ms", "100")]);
            assert_eq!(lab.produced(1, topic, -1, "a"), 0);
        }
        lab.pass(31_000);
        let id = lab.core.topics.get("gone").unwrap().id;
        lab.core.delete_topic(id).unwrap();
        lab.pass(0);
        assert!(!names(&at, "-delete").is_empty() && !names(&at.join("t-0"), ".deleted").is_empty());
        lab.command(1, command);
        lab.command(1, Command::Start);
        assert_eq!(names(&at, "-delete"), [""; 0]);
        assert_eq!(names(&at.join("t-0"), ".deleted"), [""; 0]);
        assert_eq!(lab.produced(1, "t", -1, "b"), 0);
    }
}
