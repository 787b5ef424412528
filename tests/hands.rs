//! What a lab lets one do to its cluster: brokers that stop, a clock that is advanced, faults.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn ask(home: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_streamlings"))
        .env("STREAMLINGS_HOME", home)
        .env_remove("STREAMLINGS_COURSE")
        .args(line.split(' '))
        .output()
        .unwrap()
}

/// Stdout of a command that succeeds.
fn run(home: &Path, line: &str) -> String {
    let done = ask(home, line);
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{line}\n{err}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

struct Home(tempfile::TempDir);

impl Drop for Home {
    fn drop(&mut self) {
        drop(ask(self.0.path(), "down --delete --yes"));
    }
}

fn up(home: &Path) -> Vec<bool> {
    let brokers: Value = serde_json::from_str(&run(home, "broker list --json")).unwrap();
    let brokers = brokers.as_array().unwrap();
    brokers.iter().map(|broker| broker["up"] == true).collect()
}

#[test]
fn a_lab_of_three_brokers_loses_one_and_gets_it_back() {
    let home = Home(tempfile::tempdir().unwrap());
    let home = home.0.path();
    run(home, "up --backend embedded --port 0");
    run(home, "kafka-topics --create --topic kept --partitions 1");
    let refused = ask(home, "broker stop 7");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no broker 7"));
    run(home, "down");

    // The same home with more brokers: its topics are there.
    run(home, "up --backend embedded --port 0 --brokers 3");
    assert_eq!(run(home, "kafka-topics --list"), "kept\n");
    run(
        home,
        "kafka-topics --create --topic rides --partitions 1 --replication-factor 3",
    );
    assert_eq!(up(home), [true, true, true]);
    run(home, "broker stop 2");
    assert_eq!(up(home), [true, false, true]);
    run(home, "broker kill 3");
    run(home, "clock advance 30s");
    let described = run(home, "kafka-topics --describe --topic rides");
    assert!(described.contains("Isr: 1"), "{described}");
    run(home, "broker start 2");
    run(home, "broker start 3");
    assert_eq!(up(home), [true, true, true]);
    // What the preferred leader lost it gets back by an election.
    let election = "kafka-leader-election --election-type preferred --topic rides --partition 0";
    let elected = run(home, election);
    assert!(
        elected.contains("rides-0") && !elected.contains("Error"),
        "{elected}"
    );
    assert_eq!(
        run(home, election),
        "Valid replica already elected for partitions rides-0\n"
    );
    let unknown = ask(
        home,
        "kafka-leader-election --election-type preferred --topic rides --partition 9",
    );
    assert_eq!(unknown.status.code(), Some(1));
    // A plan adds a broker, and the partition is copied there.
    let plan = home.join("plan.json");
    let text = r#"{"partitions": [{"topic": "kept", "partition": 0, "replicas": [2, 1]}]}"#;
    std::fs::write(&plan, text).unwrap();
    let plan = plan.display();
    let reassign = |action: &str| {
        run(
            home,
            &format!("kafka-reassign-partitions --{action} --reassignment-json-file {plan}"),
        )
    };
    let begun = reassign("execute");
    assert!(
        begun.ends_with("Successfully started partition reassignment for kept-0\n"),
        "{begun}"
    );
    let verified = reassign("verify");
    assert!(
        verified.contains("Reassignment of partition kept-0 is completed."),
        "{verified}"
    );
    let dirs = run(home, "kafka-log-dirs --describe --topic-list kept");
    assert_eq!(dirs.matches("\"kept-0\"").count(), 2, "{dirs}");
    let perf = "kafka-producer-perf-test --topic kept --num-records 50 --record-size 20 --throughput -1";
    let told = run(home, perf);
    assert!(told.starts_with("50 records sent, "), "{told}");
    let dumped = run(
        home,
        "kafka-dump-log --files kept-0/00000000000000000000.log --print-data-log",
    );
    assert_eq!(dumped.matches(" payload: ").count(), 50, "{dumped}");
    assert!(!dumped.contains("isvalid: false"), "{dumped}");
    let absent = ask(home, "kafka-dump-log --files kept-7/00000000000000000000.log");
    assert_eq!(absent.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&absent.stderr).contains("the logs are in"));
    let transactions = "kafka-transactions";
    let listed = run(home, &format!("{transactions} list"));
    assert!(listed.starts_with("TransactionalId\tCoordinator\t"), "{listed}");
    let nobody = ask(
        home,
        &format!("{transactions} describe --transactional-id nobody"),
    );
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("the ID could not be found"));
    run(home, "broker pause-replication 3");
    run(home, "broker resume-replication 3");
}

#[test]
fn faults_are_in_force_until_they_are_cleared() {
    let home = Home(tempfile::tempdir().unwrap());
    let home = home.0.path();
    run(home, "up --backend embedded --port 0");
    run(home, "kafka-topics --create --topic rides --partitions 1");
    assert_eq!(run(home, "fault list"), "No fault is in force.\n");
    run(home, "fault add --api ListOffsets --error REQUEST_TIMED_OUT");
    let rules: Value = serde_json::from_str(&run(home, "fault list --json")).unwrap();
    assert_eq!(rules[0]["api"], "ListOffsets");
    assert_eq!(rules[0]["action"]["error"], 7);
    run(home, "fault clear");
    assert_eq!(run(home, "kafka-get-offsets --topic rides"), "rides:0:0\n");
    let refused = ask(home, "fault add --api Nonsense --drop");
    assert_eq!(refused.status.code(), Some(2));
}
