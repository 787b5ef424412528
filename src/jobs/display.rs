//! Jobs as a learner sees them.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use streamlings_stream::{DataType, TableKind};

use super::status::{JobState, JobStatus, LogLine, SourceStatus};
use crate::ui;

/// Width of the names on the left.
const LABEL: usize = 15;

/// Prints times of one job: without the date when all are of one day.
struct Clock {
    zone: TimeZone,
    dated: bool,
}

impl Clock {
    fn of(job: &JobStatus) -> Self {
        let zone = TimeZone::get(&job.time_zone).unwrap_or(TimeZone::UTC);
        let windows = job
            .windows_open
            .iter()
            .flat_map(|window| [window.start_ms, window.end_ms - 1]);
        let watermarks = job
            .sources
            .iter()
            .filter_map(|source| source.watermark_ms)
            .chain(job.watermark_ms);
        let mut clock = Self { zone, dated: false };
        let mut days: Vec<_> = windows
            .chain(watermarks)
            .filter_map(|ms| Some(clock.wall(ms)?.date()))
            .collect();
        days.sort_unstable();
        days.dedup();
        clock.dated = days.len() > 1;
        clock
    }

    fn wall(&self, ms: i64) -> Option<jiff::civil::DateTime> {
        if ms == i64::MAX {
            return None;
        }
        Timestamp::from_millisecond(ms)
            .ok()
            .map(|time| self.zone.to_datetime(time))
    }

    fn time(&self, ms: i64) -> String {
        let Some(wall) = self.wall(ms) else {
            return "the end".to_owned();
        };
        let mut text = if self.dated {
            format!("{} ", wall.date())
        } else {
            String::new()
        };
        let _ = write!(
            text,
            "{:02}:{:02}:{:02}",
            wall.hour(),
            wall.minute(),
            wall.second()
        );
        if ms.rem_euclid(1000) != 0 {
            let _ = write!(text, ".{:03}", ms.rem_euclid(1000));
        }
        text
    }

    /// `18:00` for a bound at a full minute.
    fn bound(&self, ms: i64) -> String {
        let text = self.time(ms);
        match text.strip_suffix(":00") {
            Some(short) if ms.rem_euclid(60_000) == 0 => short.to_owned(),
            _ => text,
        }
    }
}

fn line(label: &str, value: &str) -> String {
    format!("  {label:<LABEL$}{value}\n")
}

/// `1 row`, `41 rows`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `job show`: everything that decides when a result comes out.
pub(super) fn show(job: &JobStatus, now_ms: i64) -> String {
    let clock = Clock::of(job);
    let mut text = format!("Job {} {} is {}", job.id, job.name, job.state.word());
    if let (false, Some(ms)) = (clock.dated, job.watermark_ms)
        && let Some(wall) = clock.wall(ms)
    {
        let _ = write!(text, "; its events are of {}", wall.date());
    }
    text.push('\n');
    if let Some(error) = &job.error {
        text.push_str(&line("error", error));
    }
    text.push_str(&sources(job, &clock));
    let watermark = match job.watermark_ms {
        None => "none yet".to_owned(),
        Some(i64::MAX) => "the end: every partition was read to its end".to_owned(),
        Some(ms) => clock.time(ms),
    };
    text.push_str(&line("watermark", &watermark));
    if job.windows_open.is_empty() {
        text.push_str(&line("windows open", "none"));
    }
    for (index, window) in job.windows_open.iter().enumerate() {
        let label = if index == 0 { "windows open" } else { "" };
        let mut value = format!(
            "[{}, {})  {}",
            clock.bound(window.start_ms),
            clock.bound(window.end_ms),
            count(window.rows, "row")
        );
        if window.keys > 1 {
            let _ = write!(value, " in {} groups", window.keys);
        }
        text.push_str(&line(label, &value));
    }
    let results = if job.rows_out == 0 {
        "none yet".to_owned()
    } else {
        format!("{} in {}", count(job.rows_out, "row"), job.sink)
    };
    text.push_str(&line("results", &results));
    text.push_str(&line("late", &job.late.to_string()));
    text.push_str(&line("records read", &job.records_in.to_string()));
    if job.skipped > 0 {
        text.push_str(&line(
            "unreadable",
            &format!("{} skipped", count(job.skipped, "record")),
        ));
    }
    if let Some(last_ms) = job.checkpoints.last_ms {
        let ago = (now_ms - last_ms).max(0) / 1000;
        let value = format!(
            "{}, the last {ago} s ago, {} bytes",
            job.checkpoints.count, job.checkpoints.last_bytes
        );
        text.push_str(&line("checkpoints", &value));
    }
    ui::visible(&text).into_owned()
}

fn sources(job: &JobStatus, clock: &Clock) -> String {
    let mut text = String::new();
    let slowest = slowest(&job.sources);
    let mut before = None;
    for (index, source) in job.sources.iter().enumerate() {
        if before != Some(&source.topic) {
            text.push_str(&line("source", &source.topic));
            before = Some(&source.topic);
        }
        let mut value = match source.watermark_ms {
            Some(ms) => format!("watermark {}", clock.time(ms)),
            None => "no event yet".to_owned(),
        };
        if source.ended {
            value.push_str("  read to its end");
        } else if source.idle {
            value.push_str("  idle: left out");
        } else if slowest == Some(index) {
            value.push_str("  <- the slowest decides");
        }
        text.push_str(&line(&format!("  partition {}", source.partition), &value));
    }
    text
}

/// The partition that holds the watermark; `None` when there is one alone, or all are equal.
fn slowest(sources: &[SourceStatus]) -> Option<usize> {
    let counting = || {
        sources
            .iter()
            .enumerate()
            .filter(|(_, source)| !source.idle && !source.ended)
    };
    let (index, lowest) = counting().min_by_key(|(_, source)| source.watermark_ms)?;
    counting()
        .any(|(_, source)| source.watermark_ms > lowest.watermark_ms)
        .then_some(index)
}

/// `job list`.
pub(super) fn list(jobs: &[JobStatus]) -> String {
    if jobs.is_empty() {
        return "No jobs. Start one: sql FILE\n".to_owned();
    }
    let width = jobs
        .iter()
        .map(|job| job.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(4);
    let mut text = format!(
        "{:>4}  {:<width$}  {:<8}  {:>8}  {:>8}  {:>5}\n",
        "JOB", "NAME", "STATE", "READ", "RESULTS", "LATE"
    );
    for job in jobs {
        let _ = writeln!(
            text,
            "{:>4}  {:<width$}  {:<8}  {:>8}  {:>8}  {:>5}",
            job.id,
            job.name,
            job.state.word(),
            job.records_in,
            job.rows_out,
            job.late
        );
    }
    ui::visible(&text).into_owned()
}

/// `job logs`.
pub(super) fn logs(lines: &[LogLine]) -> String {
    let mut text = String::new();
    for line in lines {
        let time = Timestamp::from_millisecond(line.time_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let wall = TimeZone::system().to_datetime(time);
        let _ = writeln!(
            text,
            "{:02}:{:02}:{:02} {}",
            wall.hour(),
            wall.minute(),
            wall.second(),
            line.text
        );
    }
    ui::visible(&text).into_owned()
}

/// SHOW TABLES: one name a line.
pub(super) fn tables(tables: &[(String, TableKind)]) -> String {
    let mut text = String::new();
    for (name, _) in tables {
        let _ = writeln!(text, "{name}");
    }
    ui::visible(&text).into_owned()
}

/// DESCRIBE: a column a line.
pub(super) fn columns(columns: &[(String, DataType)]) -> String {
    let mut text = String::new();
    for (name, data_type) in columns {
        let _ = writeln!(text, "{name} {data_type}");
    }
    ui::visible(&text).into_owned()
}

/// What `sql` says of a job that it started.
pub(super) fn started(job: &JobStatus) -> String {
    let JobStatus { id, name, state, .. } = job;
    match state {
        JobState::Created => format!("Job {id} {name} is starting (job show {id}, job logs {id}).\n"),
        JobState::Running => format!("Job {id} {name} is running (job show {id}, job logs {id}).\n"),
        JobState::Finished => {
            format!(
                "Job {id} {name} has finished: {} in {} (job show {id}).\n",
                count(job.rows_out, "row"),
                job.sink
            )
        }
        JobState::Failed | JobState::Stopped => {
            let why = job.error.as_deref().unwrap_or("it was stopped");
            format!("Job {id} {name} {}: {why}\n", state.word())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::status::{CheckpointStatus, WindowStatus};

    fn source(partition: i32, watermark_ms: Option<i64>) -> SourceStatus {
        SourceStatus {
            table: "rides".into(),
            topic: "rides".into(),
            partition,
            offset: 20,
            watermark_ms,
            idle: false,
            ended: false,
        }
    }

    fn job() -> JobStatus {
        let six = 1_772_388_000_000;
        JobStatus {
            id: 1,
            name: "rides_per_minute".into(),
            state: JobState::Running,
            error: None,
            sources: vec![source(0, Some(six + 54_000)), source(1, Some(six + 52_000))],
            watermark_ms: Some(six + 52_000),
            windows_open: vec![WindowStatus {
                start_ms: six,
                end_ms: six + 60_000,
                rows: 41,
                keys: 1,
            }],
            records_in: 41,
            rows_out: 0,
            late: 0,
            skipped: 0,
            checkpoints: CheckpointStatus {
                count: 2,
                last_ms: Some(six),
                last_bytes: 812,
            },
            sink: "rides_per_minute".into(),
            submitted_ms: six,
            time_zone: "UTC".into(),
        }
    }

    #[test]
    fn the_slowest_partition_and_the_open_window_are_told() {
        let text = show(&job(), 1_772_388_003_000);
        assert_eq!(
            text,
            "\
Job 1 rides_per_minute is running; its events are of 2026-03-01
  source         rides
    partition 0  watermark 18:00:54
    partition 1  watermark 18:00:52  <- the slowest decides
  watermark      18:00:52
  windows open   [18:00, 18:01)  41 rows
  results        none yet
  late           0
  records read   41
  checkpoints    2, the last 3 s ago, 812 bytes
"
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= 63),
            "60 columns and a little"
        );
    }

    #[test]
    fn a_partition_without_events_decides_and_an_idle_one_does_not() {
        let mut job = job();
        job.sources[1].watermark_ms = None;
        job.watermark_ms = None;
        assert!(show(&job, 0).contains("partition 1  no event yet  <- the slowest decides"));
        job.sources[1].idle = true;
        let text = show(&job, 0);
        assert!(
            text.contains("no event yet  idle: left out") && !text.contains("decides"),
            "{text}"
        );
    }

    #[test]
    fn names_from_a_peer_move_no_cursor() {
        let mut job = job();
        job.name = "\u{1b}[2Jx".into();
        assert!(!list(&[job]).contains('\u{1b}'));
    }
}
