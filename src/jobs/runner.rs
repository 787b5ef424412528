//! A job's thread: records from the source through the operators to the sink, and checkpoints in between.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use streamlings_stream::{Connector, Job, JobPlan, Record, RowKind, print_value};

use super::cluster::target_of;
use super::shared::{Ask, Shared, now_ms};
use super::sink::KafkaSink;
use super::source::{Polled, Source, SourceError, find_splits};
use super::status::{JobState, SourceStatus, WindowStatus};
use super::store::{Checkpoint, JobFolder, StoredJob};
use crate::kafka::Target;

/// Flink's 'pipeline.auto-watermark-interval'.
const TICK: Duration = Duration::from_millis(200);
/// Between two checkpoints, unless 'execution.checkpointing.interval' says otherwise.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at a cluster that can't be reached.
const RETRY: Duration = Duration::from_millis(500);
/// How many records are taken before anything else is looked at.
const BATCH: usize = 2000;
/// How many open windows the status tells.
const WINDOWS_TOLD: usize = 100;

/// Everything that a job's thread needs.
pub(super) struct Runner {
    pub(super) plan: JobPlan,
    pub(super) lab: Target,
    pub(super) folder: JobFolder,
    pub(super) stored: StoredJob,
    pub(super) shared: Arc<Shared>,
}

/// Where results go.
enum Sink {
    Kafka(Box<KafkaSink>),
    Print,
    Blackhole,
}

/// A job that is being run.
struct Running {
    job: Job,
    source: Source,
    sink: Sink,
    results: Vec<Record>,
    rows_out: u64,
    checkpoints: u64,
    /// What the last checkpoint held, to leave out those that would hold the same.
    saved_at: (u64, usize, u64),
}

/// Why a job failed.
struct Failed(String);

impl<E: std::fmt::Display> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Runner {
    /// Runs the job to its end. A panic in it is a failed job, not one that seems to run for ever.
    pub(super) fn run(mut self) {
        let end = panic::catch_unwind(AssertUnwindSafe(|| self.work()));
        let end = end.unwrap_or_else(|_| Err(Failed("an internal error, which is in the lab's log".into())));
        let state = match end {
            Ok(None) => Some(JobState::Finished),
            Ok(Some(Ask::Stop)) => Some(JobState::Stopped),
            Ok(Some(Ask::Suspend)) => None,
            Err(Failed(why)) => {
                self.shared.say(format!("failed: {why}"));
                self.shared.update(|status| status.error = Some(why));
                Some(JobState::Failed)
            }
        };
        if let Some(state) = state {
            if state != JobState::Failed {
                self.shared.say(state.word());
            }
            self.shared.update(|status| status.state = state);
        }
        self.save();
        self.shared.leave();
    }

    fn save(&mut self) {
        self.stored.status = self.shared.status();
        self.stored.log = self.shared.log();
        if let Err(error) = self.folder.save(&self.stored) {
            tracing::error!(%error, job = self.stored.status.id, "the job's file can't be written");
        }
    }

    fn work(&mut self) -> Result<Option<Ask>, Failed> {
        let Some(mut running) = self.open()? else {
            return Ok(self.shared.asked());
        };
        self.shared.update(|status| status.state = JobState::Running);
        self.shared.say("running");
        self.checkpoint(&mut running)?;
        let interval = self
            .plan
            .checkpoint_interval_ms()
            .map_or(CHECKPOINT_INTERVAL, |ms| Duration::from_millis(ms.max(10) as u64));
        let mut tick_at = Instant::now() + TICK;
        let mut checkpoint_at = Instant::now() + interval;
        loop {
            self.batch(&mut running, tick_at.min(checkpoint_at))?;
            let now = Instant::now();
            if now >= tick_at {
                running.job.on_tick(now_ms(), &mut running.results)?;
                tick_at = now + TICK;
            }
            self.emit(&mut running)?;
            self.publish(&running);
            let done = running.source.is_ended() || running.job.is_done();
            let asked = self.shared.asked();
            if done || asked.is_some() {
                self.checkpoint(&mut running)?;
                self.publish(&running);
                return Ok(asked);
            }
            if now >= checkpoint_at {
                self.checkpoint(&mut running)?;
                checkpoint_at = Instant::now() + interval;
            }
        }
    }

    /// Opens source and sink, waiting for a cluster that can't be reached. `None`: the end was asked for meanwhile.
    fn open(&mut self) -> Result<Option<Running>, Failed> {
        let options = self.plan.source().ok_or("the job has no source")?.clone();
        let target = target_of(&options, &self.lab);
        let checkpoint = self.folder.checkpoint()?;
        let mut job = self.plan.build();
        let (splits, rows_out, checkpoints) = match checkpoint {
            Some(checkpoint) => {
                job.restore(checkpoint.job, now_ms())?;
                self.shared
                    .say(format!("restored from checkpoint {}", checkpoint.count));
                (checkpoint.splits, checkpoint.rows_out, checkpoint.count)
            }
            None => loop {
                match find_splits(&options, &target) {
                    Ok(splits) => break (splits, 0, 0),
                    Err(error) if error.is_transient() => self.shared.say(error.to_string()),
                    Err(error) => return Err(error.into()),
                }
                if self.shared.pause(RETRY).is_some() {
                    return Ok(None);
                }
            },
        };
        for index in 0..splits.len() {
            job.add_split(index as i32, now_ms());
        }
        let ended: Vec<usize> = (0..splits.len()).filter(|index| splits[*index].ended).collect();
        let (source, without_effect) = Source::open(&options, &target, splits)
            .map_err(|error: SourceError| Failed(error.to_string()))?;
        for property in without_effect {
            self.shared.say(format!(
                "'properties.{property}' is for Java's client: it has no effect here"
            ));
        }
        let sink = match self.plan.sink() {
            Some(Connector::Kafka(options)) => Sink::Kafka(Box::new(KafkaSink::open(
                options,
                &target_of(options, &self.lab),
            )?)),
            Some(Connector::Print) => Sink::Print,
            Some(Connector::Blackhole) | None => Sink::Blackhole,
        };
        let mut running = Running {
            job,
            source,
            sink,
            results: Vec::new(),
            rows_out,
            checkpoints,
            saved_at: (u64::MAX, 0, 0),
        };
        for split in ended {
            running
                .job
                .end_split(split as i32, now_ms(), &mut running.results)?;
        }
        Ok(Some(running))
    }

    /// Takes records until there are none, or many, or something else is due.
    fn batch(&mut self, running: &mut Running, due: Instant) -> Result<(), Failed> {
        let Running {
            job, source, results, ..
        } = running;
        let mut wait = due
            .saturating_duration_since(Instant::now())
            .min(Duration::from_millis(50));
        for _ in 0..BATCH {
            let polled = source.poll(wait, |message| job.on_message(message, now_ms(), results))?;
            let ended = match polled {
                Polled::Nothing => break,
                Polled::Record => source.take_ended(),
                Polled::Ended(splits) => splits,
                Polled::Trouble(text) => {
                    let known = self.shared.log().last().is_some_and(|line| line.text == text);
                    if !known {
                        self.shared.say(text);
                    }
                    Vec::new()
                }
            };
            for split in ended {
                job.end_split(split as i32, now_ms(), results)?;
            }
            if source.is_ended() || job.is_done() {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn emit(&self, running: &mut Running) -> Result<(), Failed> {
        for record in running.results.drain(..) {
            match &running.sink {
                Sink::Kafka(sink) => {
                    if record.kind != RowKind::Insert {
                        return Err(Failed("a result that changes can't be written to a topic".into()));
                    }
                    if let Some(record) = running.job.write(&record)? {
                        sink.send(&record)?;
                    }
                }
                Sink::Print => self.shared.say(self.printed(&record)),
                Sink::Blackhole => {}
            }
            running.rows_out += 1;
        }
        Ok(())
    }

    /// A row as Flink's print sink shows it.
    fn printed(&self, record: &Record) -> String {
        let values = record.row.iter().zip(self.plan.fields());
        let values: Vec<String> = values
            .map(|(value, field)| print_value(value, &field.data_type, self.plan.zone()))
            .collect();
        format!("{}[{}]", record.kind.symbol(), values.join(", "))
    }

    /// Aligned: what was read before it is written, what comes after it is not in it.
    fn checkpoint(&mut self, running: &mut Running) -> Result<(), Failed> {
        self.emit(running)?;
        let insides = running.job.insides();
        let ended = running.source.splits().iter().filter(|split| split.ended).count();
        let mark = (insides.records_in, ended, running.rows_out);
        if mark == running.saved_at {
            return Ok(());
        }
        if let Sink::Kafka(sink) = &running.sink {
            sink.flush()?;
        }
        let checkpoint = Checkpoint {
            splits: running.source.splits().to_vec(),
            rows_out: running.rows_out,
            count: running.checkpoints + 1,
            job: running.job.snapshot()?,
        };
        let bytes = self
            .folder
            .save_checkpoint(&checkpoint)
            .map_err(|error| Failed(format!("the checkpoint can't be written: {error}")))?;
        running.checkpoints += 1;
        running.saved_at = mark;
        running.source.commit();
        let count = running.checkpoints;
        self.shared.update(|status| {
            status.checkpoints.count = count;
            status.checkpoints.last_ms = Some(now_ms());
            status.checkpoints.last_bytes = bytes;
        });
        self.publish(running);
        self.save();
        Ok(())
    }

    fn publish(&self, running: &Running) {
        let insides = running.job.insides();
        let table = self.plan.source_table();
        let sources: Vec<SourceStatus> = running
            .source
            .splits()
            .iter()
            .enumerate()
            .map(|(index, split)| {
                let watermark = insides.splits.get(&(index as i32));
                SourceStatus {
                    table: table.to_owned(),
                    topic: split.topic.clone(),
                    partition: split.partition,
                    offset: split.offset,
                    watermark_ms: watermark.and_then(|watermark| watermark.watermark_ms),
                    idle: watermark.is_some_and(|watermark| watermark.idle),
                    ended: split.ended,
                }
            })
            .collect();
        let windows: Vec<WindowStatus> = insides
            .windows_open
            .iter()
            .take(WINDOWS_TOLD)
            .map(|window| WindowStatus {
                start_ms: window.start_ms,
                end_ms: window.end_ms,
                rows: window.rows,
                keys: window.keys,
            })
            .collect();
        self.shared.update(|status| {
            status.sources = sources;
            status.watermark_ms = insides.watermark_ms;
            status.windows_open = windows;
            status.records_in = insides.records_in;
            status.skipped = insides.skipped;
            status.late = insides.late;
            status.rows_out = running.rows_out;
        });
    }
}
