//! A job run from literals, with a clock that the test moves.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each file of tests uses a part of it"
)]

use streamlings_stream::{
    Executed, Field, Job, JobPlan, Message, Record, RunError, Script, Session, SqlError, print_value,
};

/// The rides of the course: two columns, event time in the value, watermark 5 s behind, told with each event.
pub(crate) const RIDES: &str = "
CREATE TABLE rides (ride STRING, driver STRING, minutes INT, fare DECIMAL(6, 2), ts TIMESTAMP(3),
                    WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'kafka', 'topic' = 'rides', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset',
      'scan.watermark.emit.strategy' = 'on-event');
";

pub(crate) fn plan(sql: &str) -> Result<JobPlan, SqlError> {
    let settings = [("table.local-time-zone".to_owned(), "UTC".to_owned())];
    let mut session = Session::new(settings)?;
    match session.run(&Script::parse(sql)?)?.pop() {
        Some(Executed::Query(plan) | Executed::Job(plan)) => Ok(*plan),
        other => panic!("no query: {other:?}"),
    }
}

/// A running job, its results and its clock.
pub(crate) struct Run {
    pub(crate) job: Job,
    pub(crate) plan: JobPlan,
    pub(crate) now_ms: i64,
    pub(crate) results: Vec<Record>,
    offset: i64,
}

impl Run {
    pub(crate) fn new(sql: &str, splits: i32) -> Self {
        let plan = plan(sql).unwrap_or_else(|error| panic!("{error:?}"));
        let mut job = plan.build();
        for split in 0..splits {
            job.add_split(split, 0);
        }
        Self {
            job,
            plan,
            now_ms: 0,
            results: Vec::new(),
            offset: 0,
        }
    }

    pub(crate) fn send(&mut self, split: i32, value: &str) -> Result<(), RunError> {
        let message = Message {
            split,
            topic: "rides",
            partition: split,
            offset: self.offset,
            timestamp_ms: Some(1_772_388_000_000),
            log_append_time: false,
            key: None,
            value: Some(value.as_bytes()),
        };
        self.offset += 1;
        self.job.on_message(&message, self.now_ms, &mut self.results)
    }

    /// A ride at a time of day of 2026-03-01.
    pub(crate) fn ride(&mut self, split: i32, time: &str) {
        self.send(
            split,
            &format!(r#"{{"driver":"d-17","minutes":12,"ts":"2026-03-01 {time}"}}"#),
        )
        .unwrap();
    }

    pub(crate) fn tick(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.job.on_tick(now_ms, &mut self.results).unwrap();
    }

    pub(crate) fn end(&mut self, split: i32) {
        self.job.end_split(split, self.now_ms, &mut self.results).unwrap();
    }

    /// The results since the last call, as `+I[a, b]`.
    pub(crate) fn rows(&mut self) -> Vec<String> {
        let fields: Vec<Field> = self.plan.fields().to_vec();
        let zone = self.plan.zone().clone();
        let print = |record: Record| {
            let values = record.row.iter().zip(&fields);
            let values: Vec<String> = values
                .map(|(value, field)| print_value(value, &field.data_type, &zone))
                .collect();
            format!("{}[{}]", record.kind.symbol(), values.join(", "))
        };
        self.results.drain(..).map(print).collect()
    }
}
