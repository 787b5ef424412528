//! Jobs on the embedded cluster: from an SQL file to the rows in a topic, through a restart, and to their end.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use streamlings::jobs::JobManager;
use streamlings::jobs::status::{JobState, JobStatus, RefusalKind, StatementResult, Submit};
use streamlings::kafka::{Admin, NewTopic, Target};
use streamlings_broker::Cluster;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

const SQL: &str = "
CREATE TABLE rides (driver STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'kafka', 'topic' = 'rides', 'properties.bootstrap.servers' = 'localhost:9092',
      'scan.startup.mode' = 'earliest-offset', 'scan.watermark.emit.strategy' = 'on-event', 'format' = 'json');
CREATE TABLE per_minute (window_start TIMESTAMP(3), rides BIGINT)
WITH ('connector' = 'kafka', 'topic' = 'per_minute', 'properties.bootstrap.servers' = 'localhost:9092', 'format' = 'json');
INSERT INTO per_minute
SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;";

struct Lab {
    _cluster: Cluster,
    target: Target,
    folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::builder()
            .data_dir(folder.path().join("data"))
            .port(0)
            .start()
            .unwrap();
        let target = Target::new(cluster.bootstrap());
        let admin = Admin::new(&target, DEADLINE).unwrap();
        for (name, partitions) in [("rides", 2), ("per_minute", 1)] {
            let topic = NewTopic {
                name: name.to_owned(),
                partitions: Some(partitions),
                replicas: Some(1),
                ..NewTopic::default()
            };
            admin.create_topic(&topic).unwrap();
        }
        Self {
            _cluster: cluster,
            target,
            folder,
        }
    }

    fn jobs(&self) -> JobManager {
        JobManager::open(self.folder.path().join("jobs"), self.target.clone()).unwrap()
    }

    fn ride(&self, partition: i32, time: &str) {
        let producer: BaseProducer = self.target.client_config().create().unwrap();
        let value = format!(r#"{{"driver":"d-17","ts":"2026-03-01 {time}"}}"#);
        producer
            .send(
                BaseRecord::<(), str>::to("rides")
                    .partition(partition)
                    .payload(&value),
            )
            .unwrap();
        producer.flush(DEADLINE).unwrap();
    }

    /// The first `count` rows of the result.
    fn rows(&self, count: usize) -> Vec<String> {
        let mut config = self.target.client_config();
        config.set("group.id", "check").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset("per_minute", 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&from).unwrap();
        let end = Instant::now() + DEADLINE;
        let mut rows = Vec::new();
        while rows.len() < count && Instant::now() < end {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                rows.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
            }
        }
        rows
    }
}

fn submit(jobs: &JobManager, sql: &str) -> String {
    let submit = Submit {
        sql: sql.to_owned(),
        file: "rides.sql".to_owned(),
    };
    let submitted = jobs.submit(&submit).unwrap();
    match submitted.statements.last() {
        Some(StatementResult::Job { id, name }) => {
            assert_eq!(name, "per_minute");
            id.to_string()
        }
        other => panic!("no job: {other:?}"),
    }
}

/// Waits for a status, looking again and again until the deadline.
fn wait(jobs: &JobManager, job: &str, holds: impl Fn(&JobStatus) -> bool) -> JobStatus {
    let end = Instant::now() + DEADLINE;
    loop {
        let status = jobs.show(job).unwrap();
        if holds(&status) || Instant::now() > end {
            assert!(holds(&status), "{status:#?}");
            return status;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_window_closes_when_the_slowest_partition_has_passed_it_also_after_a_restart() {
    let lab = Lab::new();
    let jobs = lab.jobs();
    let job = submit(&jobs, SQL);
    lab.ride(0, "18:00:10");
    lab.ride(1, "18:00:57");
    lab.ride(0, "18:01:05");
    let status = wait(&jobs, &job, |status| status.records_in == 3);
    assert_eq!(status.state, JobState::Running);
    assert_eq!(
        status.watermark_ms,
        Some(1_772_388_052_000),
        "18:00:57 less 5 seconds: partition 1 decides"
    );
    jobs.shutdown();
    assert_eq!(
        jobs.show(&job).unwrap().state,
        JobState::Running,
        "it goes on with the next lab"
    );

    let jobs = lab.jobs();
    lab.ride(1, "18:01:07");
    wait(&jobs, "per_minute", |status| status.rows_out == 1);
    assert_eq!(
        lab.rows(1),
        [r#"{"window_start":"2026-03-01 18:00:00","rides":2}"#]
    );
    let stopped = jobs.stop(&job).unwrap();
    assert_eq!((stopped.state, stopped.late), (JobState::Stopped, 0));
    assert_eq!(
        lab.jobs().show(&job).unwrap().state,
        JobState::Stopped,
        "a stopped job stays stopped"
    );
}

#[test]
fn a_bounded_job_closes_all_windows_and_finishes() {
    let lab = Lab::new();
    for (partition, time) in [(0, "18:00:10"), (1, "18:30:00"), (0, "18:00:20")] {
        lab.ride(partition, time);
    }
    let bounded = SQL.replacen("'format'", "'scan.bounded.mode' = 'latest-offset', 'format'", 1);
    let jobs = lab.jobs();
    let job = submit(&jobs, &bounded);
    let status = wait(&jobs, &job, |status| status.state == JobState::Finished);
    assert_eq!((status.rows_out, status.watermark_ms), (2, Some(i64::MAX)));
    assert_eq!(lab.rows(2).len(), 2);
}

#[test]
fn a_record_that_is_no_json_fails_the_job_with_its_place() {
    let lab = Lab::new();
    let producer: BaseProducer = lab.target.client_config().create().unwrap();
    producer
        .send(BaseRecord::<(), str>::to("rides").partition(1).payload("no json"))
        .unwrap();
    producer.flush(DEADLINE).unwrap();
    let jobs = lab.jobs();
    let job = submit(&jobs, SQL);
    let status = wait(&jobs, &job, |status| status.state == JobState::Failed);
    let error = status.error.unwrap();
    assert!(
        error.contains("'no json'") && error.contains("partition 1, offset 0"),
        "{error}"
    );
}

#[test]
fn what_cannot_run_is_refused_before_anything_starts() {
    let lab = Lab::new();
    let jobs = lab.jobs();
    let refused = |sql: &str| {
        jobs.submit(&Submit {
            sql: sql.to_owned(),
            file: "f.sql".into(),
        })
        .unwrap_err()
    };
    let topic = refused(&SQL.replace("'topic' = 'rides'", "'topic' = 'ridse'"));
    assert_eq!(
        (topic.kind, topic.message.as_str()),
        (RefusalKind::Sql, "the topic ridse does not exist")
    );
    assert!(topic.help.unwrap().starts_with("did you mean rides?"));
    let column = refused(&SQL.replace("COUNT(*)", "COUNT(nope)"));
    assert_eq!((column.kind, column.line), (RefusalKind::Sql, Some(8)));
    assert_eq!(jobs.show("1").unwrap_err().kind, RefusalKind::UnknownJob);
    assert!(jobs.list().is_empty() && !Path::new(&lab.folder.path().join("jobs/1")).exists());
}
