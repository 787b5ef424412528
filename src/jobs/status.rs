//! What the lab tells about its jobs, as JSON on the control interface and as `--json` on the command line.
//!
//! Times are milliseconds since 1970 (UTC). Fields are only ever added.

use serde::{Deserialize, Serialize};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Accepted, its thread is not reading yet.
    Created,
    /// Reading.
    Running,
    /// All its sources were bounded and have been read to their end.
    Finished,
    /// Ended by an error, which [`JobStatus::error`] tells.
    Failed,
    /// Ended by `job stop`.
    Stopped,
}

impl JobState {
    /// Whether the job has ended for good.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Stopped)
    }

    /// The word in lists and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// One job, as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Counts from 1 in a lab.
    pub id: u64,
    /// The sink table of its `INSERT INTO`.
    pub name: String,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// One entry per source and partition, in order.
    #[serde(default)]
    pub sources: Vec<SourceStatus>,
    /// The job's watermark: the lowest of its partitions that are not idle. `None`: no event yet.
    /// `i64::MAX`: every source has ended.
    #[serde(default)]
    pub watermark_ms: Option<i64>,
    /// Windows that have rows and have not been closed, oldest first; at most 100 are told.
    #[serde(default)]
    pub windows_open: Vec<WindowStatus>,
    /// Records read from the sources.
    #[serde(default)]
    pub records_in: u64,
    /// Rows written to the sink.
    #[serde(default)]
    pub rows_out: u64,
    /// Records dropped because their window was closed already.
    #[serde(default)]
    pub late: u64,
    /// Records that the format could not read, skipped because of 'json.ignore-parse-errors'.
    #[serde(default)]
    pub skipped: u64,
    /// Checkpoints so far.
    #[serde(default)]
    pub checkpoints: CheckpointStatus,
    /// The sink: a topic, or `print` or `blackhole`.
    #[serde(default)]
    pub sink: String,
    /// When it was submitted.
    #[serde(default)]
    pub submitted_ms: i64,
    /// The zone in which people read its windows and watermarks: UTC, or the session's when event times are
    /// TIMESTAMP_LTZ. An IANA name.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// One partition of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The table in the SQL.
    pub table: String,
    /// The topic as the learner knows it.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// The partition's own watermark; `None`: no event yet.
    pub watermark_ms: Option<i64>,
    /// It is left out of the minimum, since nothing came for the idle timeout.
    pub idle: bool,
    /// A bounded source has read it to its end.
    #[serde(default)]
    pub ended: bool,
}

/// One open window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowStatus {
    /// First millisecond that belongs to it.
    pub start_ms: i64,
    /// First millisecond that no longer does.
    pub end_ms: i64,
    /// Rows in it, over all keys.
    pub rows: u64,
    /// Groups in it.
    pub keys: u64,
}

/// The job's checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// How many were completed since the job was submitted.
    pub count: u64,
    /// When the last one was completed.
    pub last_ms: Option<i64>,
    /// Its size on disk.
    pub last_bytes: u64,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub time_ms: i64,
    /// What.
    pub text: String,
}

/// What `submit` takes: the body of `POST /jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submit {
    /// The whole SQL file.
    pub sql: String,
    /// How the learner calls it (`rides_per_minute.sql`), for messages.
    pub file: String,
}

/// What `submit` gives: one entry per statement, in the file's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// The statements.
    pub statements: Vec<StatementResult>,
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum StatementResult {
    /// CREATE, DROP, SET, …: known to the statements after it.
    Ok,
    /// INSERT INTO: a job runs.
    Job {
        /// Its id.
        id: u64,
        /// Its name.
        name: String,
    },
    /// A SELECT, which only a terminal can run.
    Select,
    /// EXPLAIN: the plan.
    Text {
        /// What to show.
        text: String,
    },
}

/// Why the jobs' part of the control interface refused: the body of its 4xx answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub help: Option<String>,
    /// Line in the SQL text, from 1.
    #[serde(default)]
    pub line: Option<usize>,
    /// Column in the SQL text, from 1.
    #[serde(default)]
    pub column: Option<usize>,
    /// What kind of refusal, which decides the exit code.
    pub kind: RefusalKind,
}

/// Kinds of [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The SQL is wrong or not supported (HTTP 422, exit code 2).
    Sql,
    /// No such job (HTTP 404, exit code 2).
    UnknownJob,
    /// The cluster or one of its topics can't be reached (HTTP 503, exit code 3).
    Cluster,
    /// The lab's disk (HTTP 500, exit code 3).
    Storage,
}

impl RefusalKind {
    /// The HTTP status that the control interface answers with.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Sql => 422,
            Self::UnknownJob => 404,
            Self::Cluster => 503,
            Self::Storage => 500,
        }
    }
}
