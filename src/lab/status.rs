//! What the lab tells about itself, as JSON on the control interface and in `status --json`. Fields are only added.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::jobs::status::JobStatus;
use crate::kafka::Target;
use crate::problem::{Outcome, Problem};

/// Where the cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// Apache Kafka in containers.
    Docker,
    /// The cluster of `streamlings-broker`, inside the lab's process.
    Embedded,
    /// A cluster that the user named.
    External,
}

impl BackendKind {
    /// The word on the command line and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Embedded => "embedded",
            Self::External => "external",
        }
    }

    /// As a sentence calls it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Docker => "Apache Kafka in Docker",
            Self::Embedded => "embedded cluster",
            Self::External => "external cluster",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a lab can do beyond speaking the Kafka protocol. Exercises name the ones that they need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// A broker can be killed without warning.
    pub kill_broker: bool,
    /// A killed broker can be started again.
    pub start_broker: bool,
    /// The cluster's clock can be advanced.
    pub advance_clock: bool,
    /// A broker's followers can be kept from copying.
    pub pause_replication: bool,
    /// Requests can be delayed, refused and dropped.
    pub faults: bool,
    /// It can be asked what has happened to a topic's records.
    pub witness: bool,
    /// Streaming jobs can run.
    pub jobs: bool,
}

impl Capabilities {
    /// Whether the capability of this name is there; `false` for a name that no lab knows.
    pub fn has(self, name: &str) -> bool {
        match name {
            "kill_broker" => self.kill_broker,
            "start_broker" => self.start_broker,
            "advance_clock" => self.advance_clock,
            "pause_replication" => self.pause_replication,
            "faults" => self.faults,
            "witness" => self.witness,
            "jobs" => self.jobs,
            _ => false,
        }
    }

    /// Those of `needs` that are not there, in their order.
    pub fn missing<S: AsRef<str>>(self, needs: &[S]) -> Vec<&str> {
        let needs = needs.iter().map(AsRef::as_ref);
        needs.filter(|name| !self.has(name)).collect()
    }
}

/// What can be done to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerVerb {
    /// End it in order.
    Stop,
    /// End it without warning.
    Kill,
    /// Start it again.
    Start,
    /// Its followers don't fetch.
    PauseReplication,
    /// Its followers fetch again.
    ResumeReplication,
}

/// What has happened to a topic's records since it was made, and no request of Kafka's protocol tells of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Witnessed {
    /// Writes that were handled, and whose answer a fault has dropped.
    pub unanswered: u64,
    /// Retries of idempotent producers that were recognised, and not written again.
    pub recognised: u64,
    /// Writes with acks=all that were refused, as too few replicas were in sync.
    pub refused: u64,
    /// Records that a replica had to cut off its log, as the leader of now never had them.
    pub lost: u64,
}

impl From<streamlings_broker::Witnessed> for Witnessed {
    fn from(seen: streamlings_broker::Witnessed) -> Self {
        Self {
            unanswered: seen.unanswered,
            recognised: seen.recognised,
            refused: seen.refused,
            lost: seen.lost,
        }
    }
}

/// A fault that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// The kind of request, by Kafka's name; `None`: every kind.
    pub api: Option<String>,
    /// The broker that is asked; `None`: every broker.
    pub broker: Option<i32>,
    /// How many requests it still happens to; `None`: all.
    pub times: Option<u32>,
    /// What happens to them.
    pub action: FaultAction,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultAction {
    /// It waits so many milliseconds.
    DelayMs(u64),
    /// It is answered with this error code.
    Error(i16),
    /// It is not handled, and its connection is closed.
    Drop,
    /// It is handled, and its connection is closed before the answer.
    DropAnswer,
}

/// The kinds of request that clients send, and their keys (<https://kafka.apache.org/protocol#protocol_api_keys>).
pub(super) const APIS: &[(&str, i16)] = &[
    ("Produce", 0),
    ("Fetch", 1),
    ("ListOffsets", 2),
    ("Metadata", 3),
    ("OffsetCommit", 8),
    ("OffsetFetch", 9),
    ("FindCoordinator", 10),
    ("JoinGroup", 11),
    ("Heartbeat", 12),
    ("LeaveGroup", 13),
    ("SyncGroup", 14),
    ("CreateTopics", 19),
    ("DeleteTopics", 20),
    ("InitProducerId", 22),
    ("AddPartitionsToTxn", 24),
    ("AddOffsetsToTxn", 25),
    ("EndTxn", 26),
    ("TxnOffsetCommit", 28),
    ("ConsumerGroupHeartbeat", 68),
];

impl FaultRule {
    /// The key of its kind of request.
    pub fn api_key(&self) -> Outcome<Option<i16>> {
        let Some(api) = &self.api else { return Ok(None) };
        let found = APIS.iter().find(|(name, _)| name.eq_ignore_ascii_case(api));
        found.map(|(_, key)| Some(*key)).ok_or_else(|| {
            let names: Vec<&str> = APIS.iter().map(|(name, _)| *name).collect();
            Problem::new(format!("faults are not made for requests '{api}'"))
                .next(format!("--api takes {}", names.join(", ")))
        })
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            Some(1) => f.write_str("the next request")?,
            Some(times) => write!(f, "the next {times} requests")?,
            None => f.write_str("all requests")?,
        }
        if let Some(api) = &self.api {
            write!(f, " {api}")?;
        }
        if let Some(broker) = self.broker {
            write!(f, " to broker {broker}")?;
        }
        let (wait, be) = if self.times == Some(1) {
            ("waits", "is")
        } else {
            ("wait", "are")
        };
        match self.action {
            FaultAction::DelayMs(ms) => write!(f, " {wait} {ms} ms"),
            FaultAction::Error(code) => write!(f, " {be} answered with error {code}"),
            FaultAction::Drop => write!(f, " {be} dropped with the connection"),
            FaultAction::DropAnswer => write!(f, " {be} handled, and the answer is dropped"),
        }
    }
}

/// One broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// Its node id.
    pub id: i32,
    /// The host that clients are told to connect to.
    pub host: String,
    /// The port on that host.
    pub port: u16,
    /// Whether it serves now.
    pub up: bool,
}

/// The lab as it is now: the object that `status --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabStatus {
    /// Where the cluster runs.
    pub backend: BackendKind,
    /// `bootstrap.servers` of any client.
    pub bootstrap: String,
    /// What every topic and group name starts with on the cluster; empty when the cluster is the lab's own.
    pub prefix: String,
    /// Every broker that the lab knows, by id.
    pub brokers: Vec<BrokerStatus>,
    /// The jobs of this lab, ended ones too.
    pub jobs: Vec<JobStatus>,
    /// What this lab can do.
    pub capabilities: Capabilities,
    /// The lab's process.
    pub pid: u32,
    /// When that process started, RFC 3339 in UTC.
    pub started: String,
    /// The folder with the cluster's data, when it is on this machine and the lab's own.
    pub data: Option<PathBuf>,
    /// Why the cluster runs there.
    pub reason: String,
    /// How far the cluster's clock is ahead of this machine's, in milliseconds; only the embedded one can be.
    #[serde(default)]
    pub clock_ahead_ms: u64,
}

impl LabStatus {
    /// The same for a reader: `20 days`; nothing when the clock is that of the machine.
    pub fn clock_ahead(&self) -> Option<String> {
        let (count, unit) = match self.clock_ahead_ms / 1000 {
            0 => return None,
            seconds @ 1..=119 => (seconds, "second"),
            seconds @ 120..=7199 => (seconds / 60, "minute"),
            seconds @ 7200..=172_799 => (seconds / 3600, "hour"),
            seconds => (seconds / 86_400, "day"),
        };
        Some(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
    }

    /// Whether any broker answers.
    pub fn reachable(&self) -> bool {
        self.brokers.iter().any(|broker| broker.up)
    }
}

/// What stays the same as long as the process lives: a client asks for it once, when it connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LabInfo {
    pub(super) backend: BackendKind,
    pub(super) target: Target,
    pub(super) capabilities: Capabilities,
    pub(super) brokers: usize,
    pub(super) reason: String,
    pub(super) pid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_ahead_is_told_in_whole_units() {
        let ahead = |clock_ahead_ms| {
            let status = LabStatus {
                backend: BackendKind::Embedded,
                bootstrap: String::new(),
                prefix: String::new(),
                brokers: Vec::new(),
                jobs: Vec::new(),
                capabilities: Capabilities::default(),
                pid: 1,
                started: String::new(),
                data: None,
                reason: String::new(),
                clock_ahead_ms,
            };
            status.clock_ahead().unwrap_or_default()
        };
        assert_eq!(ahead(0), "");
        assert_eq!(ahead(1_000), "1 second");
        assert_eq!(ahead(120_000), "2 minutes");
        assert_eq!(ahead(86_400_000), "24 hours");
        assert_eq!(ahead(20 * 86_400_000 + 60_000), "20 days");
    }

    #[test]
    fn a_need_that_no_lab_knows_is_missing() {
        let lab = Capabilities {
            jobs: true,
            ..Capabilities::default()
        };
        assert!(lab.missing(&["jobs"]).is_empty());
        assert_eq!(
            lab.missing(&["kill_broker", "jobs", "teleport"]),
            ["kill_broker", "teleport"]
        );
    }
}
