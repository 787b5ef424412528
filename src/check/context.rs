//! What checks look at, and what they remember between two rounds.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::Value;

use super::AskError;
use crate::course::checks::Isolation;
use crate::jobs::status::JobStatus;
use crate::kafka::{Admin, GroupListing, KafkaResult, Scanner, Target, Topic, Wire};
use crate::lab::{LabClient, Witnessed};

/// Most records of a topic that a check looks at; what comes after them is counted only.
const RECORDS_LIMIT: usize = 50_000;
/// Most bytes of keys and values that are kept of a topic.
const BYTES_LIMIT: usize = 32 * 1024 * 1024;
/// Most records that one look reads; the next one goes on from there.
const SCAN_LIMIT: usize = 20_000;
/// No look at one topic takes longer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A job as checks see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// The sink table of its `INSERT INTO`.
    pub name: String,
    /// `created`, `running`, `finished`, `failed` or `stopped`.
    pub state: &'static str,
    /// Why it failed.
    pub error: Option<String>,
    /// Records dropped because their window was closed.
    pub late: u64,
    /// Windows that have rows and are not closed.
    pub windows_open: usize,
    /// Its watermark in ms since 1970; `None` before the first event.
    pub watermark_ms: Option<i64>,
}

impl From<JobStatus> for JobFacts {
    fn from(job: JobStatus) -> Self {
        Self {
            name: job.name,
            state: job.state.word(),
            error: job.error,
            late: job.late,
            windows_open: job.windows_open.len(),
            watermark_ms: job.watermark_ms,
        }
    }
}

/// Who knows what no request of Kafka's protocol tells: the lab's process.
pub trait LabSource {
    /// All jobs, oldest first; the error says in a sentence why they can't be known.
    fn jobs(&self) -> Result<Vec<JobFacts>, String>;

    /// How far the cluster's clock is ahead of the machine's, in ms.
    fn clock_ahead_ms(&self) -> Result<u64, String>;

    /// What has happened to the records of a topic, by its name on the cluster.
    fn witnessed(&self, topic: &str) -> Result<Witnessed, String>;
}

impl LabSource for LabClient {
    fn jobs(&self) -> Result<Vec<JobFacts>, String> {
        let jobs = self.jobs().map_err(|problem| problem.what)?;
        Ok(jobs.into_iter().map(JobFacts::from).collect())
    }

    fn clock_ahead_ms(&self) -> Result<u64, String> {
        let status = self.status().map_err(|problem| problem.what)?;
        Ok(status.clock_ahead_ms)
    }

    fn witnessed(&self, topic: &str) -> Result<Witnessed, String> {
        LabClient::witnessed(self, topic).map_err(|problem| problem.what)
    }
}

/// Asks the cluster and the jobs, and keeps what need not be asked twice.
pub struct CheckContext {
    /// How the cluster is reached.
    target: Target,
    admin: Admin,
    /// Connected when the first check asks for a transaction.
    wire: Option<Wire>,
    lab: Option<Box<dyn LabSource + Send>>,
    answers: BTreeMap<String, String>,
    /// By topic and isolation level.
    records: BTreeMap<(String, &'static str), TopicRecords>,
    round: Round,
}

/// What was asked in this round.
#[derive(Default)]
struct Round {
    topics: Option<Vec<Topic>>,
    groups: Option<Vec<GroupListing>>,
    jobs: Option<Vec<JobFacts>>,
}

impl CheckContext {
    /// A context for the cluster at `target`; without `lab`, checks of jobs say that this lab has none.
    pub fn new(target: &Target, lab: Option<Box<dyn LabSource + Send>>) -> KafkaResult<Self> {
        Ok(Self {
            target: target.clone(),
            admin: Admin::new(target, TIMEOUT)?,
            wire: None,
            lab,
            answers: BTreeMap::new(),
            records: BTreeMap::new(),
            round: Round::default(),
        })
    }

    /// The learner's answer to the question of an answer check.
    pub fn set_answer(&mut self, question: &str, answer: &str) {
        self.answers.insert(question.to_string(), answer.to_string());
    }

    /// Takes all answers back (reset, or another step).
    pub fn clear_answers(&mut self) {
        self.answers.clear();
    }

    pub(super) fn answer(&self, question: &str) -> Option<&str> {
        self.answers.get(question).map(String::as_str)
    }

    /// How the cluster is reached.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// For administration, with the same limits as the checks.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// For what librdkafka can't ask.
    pub(super) fn wire(&mut self) -> KafkaResult<&mut Wire> {
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::connect(&self.target, TIMEOUT)?,
        };
        Ok(self.wire.insert(wire))
    }

    /// The next question connects anew.
    pub(super) fn forget_wire(&mut self) {
        self.wire = None;
    }

    /// Forgets topics, groups and jobs of the last round: the next check asks anew.
    pub fn new_round(&mut self) {
        self.round = Round::default();
    }

    /// All topics, by name.
    pub(super) fn topics(&mut self) -> Result<&[Topic], AskError> {
        if self.round.topics.is_none() {
            self.round.topics = Some(self.admin.topics()?);
        }
        Ok(self.round.topics.as_deref().unwrap_or_default())
    }

    pub(super) fn topic(&mut self, name: &str) -> Result<Option<Topic>, AskError> {
        Ok(self.topics()?.iter().find(|topic| topic.name == name).cloned())
    }

    pub(super) fn groups(&mut self) -> Result<&[GroupListing], AskError> {
        if self.round.groups.is_none() {
            self.round.groups = Some(self.admin.groups()?);
        }
        Ok(self.round.groups.as_deref().unwrap_or_default())
    }

    pub(super) fn jobs(&mut self) -> Result<&[JobFacts], AskError> {
        if self.round.jobs.is_none() {
            let source = self
                .lab
                .as_ref()
                .ok_or_else(|| AskError::Lab("this lab runs no jobs".into()))?;
            self.round.jobs = Some(source.jobs().map_err(AskError::Lab)?);
        }
        Ok(self.round.jobs.as_deref().unwrap_or_default())
    }

    /// The cluster's time, in ms since 1970: a cluster that no lab knows has the machine's.
    pub(super) fn now_ms(&self) -> Result<i64, AskError> {
        let ahead_ms = match &self.lab {
            Some(lab) => lab.clock_ahead_ms().map_err(AskError::Lab)?,
            None => 0,
        };
        let ahead_ms = i64::try_from(ahead_ms).unwrap_or(i64::MAX);
        Ok(jiff::Timestamp::now().as_millisecond().saturating_add(ahead_ms))
    }

    /// What has happened to the records of a topic.
    pub(super) fn witnessed(&self, topic: &str) -> Result<Witnessed, AskError> {
        let source = self.lab.as_ref();
        let source =
            source.ok_or_else(|| AskError::Lab("this lab can't tell what has happened to records".into()))?;
        source.witnessed(&self.target.real(topic)).map_err(AskError::Lab)
    }

    /// The records of a topic as far as they were read up to now.
    pub(super) fn records(
        &mut self,
        topic: &str,
        isolation: Isolation,
        anew: bool,
    ) -> Result<&TopicRecords, AskError> {
        let level = isolation.word();
        let name = (topic.to_string(), level);
        if !self.records.contains_key(&name) {
            let scanner = Scanner::with_isolation(&self.target, topic, level, TIMEOUT)?;
            self.records.insert(name.clone(), TopicRecords::new(scanner));
        }
        let Some(records) = self.records.get_mut(&name) else {
            return Err(AskError::Lab(format!("{topic} can't be read")));
        };
        if anew {
            records.forget();
        }
        records.read_on()?;
        Ok(records)
    }
}

/// One record, as much of it as checks need.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) partition: i32,
    /// In ms since 1970.
    pub(super) timestamp_ms: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    /// It has no value.
    pub(super) tombstone: bool,
    /// The value, where it is JSON.
    pub(super) value: Option<Value>,
    /// Equal for equal values, and for no others of one topic but by a chance of one in 2^64.
    pub(super) value_hash: u64,
}

/// What was read of a topic.
pub(super) struct TopicRecords {
    scanner: Scanner,
    pub(super) exists: bool,
    pub(super) seen: Vec<Seen>,
    /// Records after the limit, which are only counted.
    pub(super) beyond: u64,
    bytes: usize,
}

impl TopicRecords {
    fn new(scanner: Scanner) -> Self {
        Self {
            scanner,
            exists: false,
            seen: Vec::new(),
            beyond: 0,
            bytes: 0,
        }
    }

    fn forget(&mut self) {
        self.scanner.rewind();
        self.seen.clear();
        self.beyond = 0;
        self.bytes = 0;
    }

    fn read_on(&mut self) -> KafkaResult<()> {
        let mut new = Vec::new();
        let mut beyond = 0;
        let mut bytes = 0;
        let (kept, before) = (self.seen.len(), self.bytes);
        let scanned = self.scanner.scan(SCAN_LIMIT, |record| {
            let size = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            if kept + new.len() >= RECORDS_LIMIT || before + bytes + size > BYTES_LIMIT {
                beyond += 1;
                return;
            }
            bytes += size;
            new.push(Seen {
                partition: record.partition,
                timestamp_ms: record.timestamp_ms,
                key: record.key.map(<[u8]>::to_vec),
                tombstone: record.value.is_none(),
                value: record.value.and_then(|value| serde_json::from_slice(value).ok()),
                value_hash: hash(record.value),
            });
        })?;
        if scanned.restarted || !scanned.exists {
            self.seen.clear();
            self.beyond = 0;
            self.bytes = 0;
        }
        self.exists = scanned.exists;
        self.bytes += bytes;
        self.beyond += beyond;
        self.seen.append(&mut new);
        Ok(())
    }
}

fn hash(value: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
