//! New logs get their folders beside the answers.

use super::Lab;
use crate::core::admin::NewTopic;

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
