//! The declarative checks of a step, as they are written. `crate::check` asks the cluster whether they hold.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// One check of a step: its question and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The question to the lab.
    pub kind: CheckKind,
    /// The line of the exercise file on which it begins.
    pub line: usize,
}

/// The kinds of check; the key that names the subject decides.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CheckKind {
    /// `topic = …`
    Topic(TopicCheck),
    /// `records = …`
    Records(RecordsCheck),
    /// `group = …`
    Group(GroupCheck),
    /// `transaction = …`
    Transaction(TransactionCheck),
    /// `broker = …`
    Broker(BrokerCheck),
    /// `job = …`
    Job(JobCheck),
    /// `rows = …`
    Rows(RowsCheck),
    /// `answer = …`
    Answer(AnswerCheck),
}

/// The keys that name a check's subject.
pub const SUBJECTS: &[&str] = &[
    "topic",
    "records",
    "group",
    "transaction",
    "broker",
    "job",
    "rows",
    "answer",
];

/// A topic exists, and looks like this.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TopicCheck {
    /// The topic's name.
    pub topic: String,
    /// How many partitions it has.
    #[schemars(range(min = 1, max = 1000))]
    pub partitions: Option<u32>,
    /// How many replicas each partition has.
    #[schemars(range(min = 1, max = 9))]
    pub replicas: Option<u32>,
    /// Topic configuration as `kafka-configs` shows it.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// How many replicas of each partition are in sync.
    #[schemars(range(min = 0, max = 9))]
    pub in_sync: Option<u32>,
    /// The broker that leads a partition, by partition.
    #[serde(default)]
    pub leaders: BTreeMap<String, i32>,
    /// Offset of the first record that is left, by partition.
    #[serde(default)]
    pub starts: BTreeMap<String, u64>,
    /// Offset of the next record to come, by partition.
    #[serde(default)]
    pub ends: BTreeMap<String, u64>,
    /// So many writes to it, or more, were handled without an answer.
    #[schemars(range(min = 1))]
    pub unanswered: Option<u64>,
    /// So many retries, or more, were recognised and not written again.
    #[schemars(range(min = 1))]
    pub recognised: Option<u64>,
    /// So many writes with acks=all, or more, were refused: too few replicas in sync.
    #[schemars(range(min = 1))]
    pub refused: Option<u64>,
    /// So many records, or more, are lost: on a leader that died, and on none of the others.
    #[schemars(range(min = 1))]
    pub lost: Option<u64>,
    /// Write `false` for a topic that must be gone.
    pub exists: Option<bool>,
    /// The line with the box, if the lab's own wording is not right.
    pub label: Option<String>,
    /// Added to what a failing check says.
    pub tip: Option<String>,
}

impl TopicCheck {
    /// What must have happened to its records: how often each, `None` where it isn't asked.
    pub fn happened(&self) -> [Option<u64>; 4] {
        [self.unanswered, self.recognised, self.refused, self.lost]
    }
}

/// A topic holds these records.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecordsCheck {
    /// The topic's name.
    pub records: String,
    /// Exactly so many records.
    pub count: Option<u64>,
    /// So many records or more.
    pub at_least: Option<u64>,
    /// Every record has a key.
    pub keyed: Option<bool>,
    /// `"one"`: all records of one key are in one partition.
    pub key_partition: Option<KeyPartition>,
    /// So many different keys.
    pub distinct_keys: Option<u64>,
    /// So many different values.
    pub distinct_values: Option<u64>,
    /// So many partitions hold records.
    #[schemars(range(min = 1, max = 1000))]
    pub partitions_used: Option<u32>,
    /// Only records whose JSON value has these fields.
    #[serde(default, rename = "where")]
    pub fields: BTreeMap<String, Value>,
    /// Only records with this key.
    pub key: Option<String>,
    /// Only records without a value.
    #[serde(default)]
    pub tombstones: bool,
    /// Only records that are older than this by the cluster's clock: `7d`, `36h`.
    pub older_than: Option<String>,
    /// Whether records of transactions that are open or aborted count as well; without it they don't.
    pub isolation: Option<Isolation>,
    /// Records may go away (retention, compaction): all are read again each time.
    #[serde(default)]
    pub anew: bool,
    /// The line with the box, if the lab's own wording is not right.
    pub label: Option<String>,
    /// Added to what a failing check says.
    pub tip: Option<String>,
}

impl RecordsCheck {
    /// The age, in ms, that a record must have to be looked at; the outer option is empty where it is no length of time.
    pub fn least_age_ms(&self) -> Option<Option<i64>> {
        let Some(text) = &self.older_than else {
            return Some(None);
        };
        let span: jiff::Span = text.parse().ok()?;
        let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
        let ms = i64::try_from(length.as_millis()).ok()?;
        (ms > 0).then_some(Some(ms))
    }
}

/// Where the records of one key may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPartition {
    /// All in one partition.
    One,
}

/// Which records of transactions a reader gets (`isolation.level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Those of committed transactions.
    ReadCommitted,
    /// Those of open and aborted ones too.
    ReadUncommitted,
}

impl Isolation {
    /// The value of `isolation.level`.
    pub fn word(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::ReadUncommitted => "read_uncommitted",
        }
    }
}

/// A consumer group has read this far.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GroupCheck {
    /// The group's name.
    pub group: String,
    /// The topic that it reads.
    pub topic: Option<String>,
    /// The committed offsets of all partitions add up to so many or more.
    pub read: Option<u64>,
    /// Records between the committed offsets and the ends, over all partitions.
    pub lag: Option<u64>,
    /// Committed offset per partition.
    #[serde(default)]
    pub committed: BTreeMap<String, u64>,
    /// So many members now.
    pub members: Option<u32>,
    /// How many of its members have no partition.
    pub idle: Option<u32>,
    /// Its state, as Kafka's tools name it.
    pub state: Option<GroupStateWord>,
    /// How many partitions each member has, by its `client.id`.
    #[serde(default)]
    pub assigned: BTreeMap<String, u32>,
    /// The `client.id` of the member that has a partition of the topic, by partition.
    #[serde(default)]
    pub readers: BTreeMap<String, String>,
    /// The line with the box, if the lab's own wording is not right.
    pub label: Option<String>,
    /// Added to what a failing check says.
    pub tip: Option<String>,
}

/// The states of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum GroupStateWord {
    /// Members join.
    PreparingRebalance,
    /// Members wait for their partitions.
    CompletingRebalance,
    /// Every member knows its partitions.
    Stable,
    /// No member; committed offsets are kept.
    Empty,
}

impl GroupStateWord {
    /// The word, as Kafka's tools print it.
    pub fn word(self) -> &'static str {
        match self {
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Empty => "Empty",
        }
    }
}

/// The last transaction of a transactional id.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TransactionCheck {
    /// The `transactional.id`.
    pub transaction: String,
    /// What its coordinator knows of it, as Kafka's tools name it.
    pub state: TransactionStateWord,
    /// The line with the box, if the lab's own wording is not right.
    pub label: Option<String>,
    /// Added to what a failing check says.
    pub tip: Option<String>,
}

/// The states of a transactional id that last longer than a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TransactionStateWord {
    /// No transaction has ended yet, and none is open.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The last one was committed.
    CompleteCommit,
    /// The last one was aborted.
    CompleteAbort,
}

impl TransactionStateWord {
    /// The word, as Kafka's tools print it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }
}

/// A broker is up, or down.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BrokerCheck {
    /// Its id.
    pub broker: i32,
    /// Whether the cluster names it among its brokers.
    pub up: bool,
    /// The line with the box, if the lab's own wording is not right.
    pub label: Option<String>,
    /// Added to what a failing check says.
    pub tip: Option<String>,
}

/// A job is in this state.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct JobCheck {
    /// The job's name: its sink table, or the file's name without `.sql`.
    pub job: String,
    /// Its state.
    pub state: Option<JobState>,
    /// So many records were late.
    pub late: Option<u64>,
    /// So many windows are open.
    pub windows_open: Option<u64>,
    /// Its watermark has reached this time (RFC 3339).
    pub watermark_at_least: Option<String>,
    /// The line with the box, if the lab's own wording is not right.
    pub label: Option<String>,
    /// Added to what a failing check says.
    pub tip: Option<String>,
}

/// The states of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It runs.
    Running,
    /// Its input ended and it is done.
    Finished,
    /// It was stopped with `job stop`.
    Stopped,
    /// It ended with an error.
    Failed,
}

impl JobState {
    /// The word, as it is written in a check.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// A job's output topic holds these rows.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RowsCheck {
    /// The output topic.
    pub rows: String,
    /// Rows that are there; each names the fields that matter.
    #[serde(default)]
    pub contains: Vec<BTreeMap<String, Value>>,
    /// So many rows in all.
    pub count: Option<u64>,
    /// The line with the box, if the lab's own wording is not right.
    pub label: Option<String>,
    /// Added to what a failing check says.
    pub tip: Option<String>,
}

/// The learner has answered a question.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AnswerCheck {
    /// The question.
    pub answer: String,
    /// Answers that are right.
    #[serde(default)]
    pub accept: Vec<String>,
    /// The right answer as the cluster knows it.
    pub from: Option<AnswerFrom>,
    /// What to say to an answer that a mistake leads to.
    #[serde(default)]
    pub wrong: BTreeMap<String, String>,
    /// The line with the box, if the lab's own wording is not right.
    pub label: Option<String>,
    /// Added to what a failing check says.
    pub tip: Option<String>,
}

/// An answer that depends on the cluster.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AnswerFrom {
    /// The partition that holds the records of this key.
    pub partition_of_key: String,
    /// In this topic.
    pub topic: String,
}

impl CheckKind {
    /// The author's own wording of the box.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Topic(check) => check.label.as_deref(),
            Self::Records(check) => check.label.as_deref(),
            Self::Group(check) => check.label.as_deref(),
            Self::Transaction(check) => check.label.as_deref(),
            Self::Broker(check) => check.label.as_deref(),
            Self::Job(check) => check.label.as_deref(),
            Self::Rows(check) => check.label.as_deref(),
            Self::Answer(check) => check.label.as_deref(),
        }
    }

    /// The author's addition to what a failing check says.
    pub fn tip(&self) -> Option<&str> {
        match self {
            Self::Topic(check) => check.tip.as_deref(),
            Self::Records(check) => check.tip.as_deref(),
            Self::Group(check) => check.tip.as_deref(),
            Self::Transaction(check) => check.tip.as_deref(),
            Self::Broker(check) => check.tip.as_deref(),
            Self::Job(check) => check.tip.as_deref(),
            Self::Rows(check) => check.tip.as_deref(),
            Self::Answer(check) => check.tip.as_deref(),
        }
    }

    /// Takes away what only words it, so that a better wording leaves progress as it is.
    pub(crate) fn forget_wording(&mut self) {
        let (label, tip) = match self {
            Self::Topic(check) => (&mut check.label, &mut check.tip),
            Self::Records(check) => (&mut check.label, &mut check.tip),
            Self::Group(check) => (&mut check.label, &mut check.tip),
            Self::Transaction(check) => (&mut check.label, &mut check.tip),
            Self::Broker(check) => (&mut check.label, &mut check.tip),
            Self::Job(check) => (&mut check.label, &mut check.tip),
            Self::Rows(check) => (&mut check.label, &mut check.tip),
            Self::Answer(check) => (&mut check.label, &mut check.tip),
        };
        *label = None;
        *tip = None;
    }
}
