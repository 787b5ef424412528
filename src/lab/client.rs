//! The lab as every other command sees it: a client of the control interface.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::LabFiles;
use super::status::{BackendKind, BrokerVerb, Capabilities, FaultRule, LabInfo, LabStatus, Witnessed};
use crate::home::Home;
use crate::jobs::status::{JobStatus, LogLine, Refusal, Submit, Submitted};
use crate::kafka::Target;
use crate::problem::{Exit, Outcome, Problem};

/// Answers that come from the process's memory.
const QUICK: Duration = Duration::from_secs(5);
/// How long a process that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(3);
/// Answers that wait for the cluster: a job's start, a broker's end.
const SLOW: Duration = Duration::from_secs(60);

/// A running lab. Clones share the connection; every call ends within a minute, most within milliseconds.
#[derive(Debug, Clone)]
pub struct LabClient {
    agent: ureq::Agent,
    base: String,
    authorization: Authorization,
    info: LabInfo,
    files: LabFiles,
}

/// The value of the header; its `Debug` shows nothing.
#[derive(Clone)]
struct Authorization(String);

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl LabClient {
    /// The running lab of this home; `None` when none runs. What a killed process left behind is cleaned up.
    ///
    /// # Errors
    /// A process lives and doesn't answer.
    pub fn connect(home: &Home) -> Outcome<Option<Self>> {
        let files = LabFiles::of(home);
        let Some(running) = files.running() else {
            return files.damaged_state().map_or(Ok(None), Err);
        };
        if !files.process_lives() {
            files.retract_dead();
            return Ok(None);
        }
        let silent = |why: String| {
            Problem::new(format!("the lab's process {} doesn't answer: {why}", running.pid))
                .next(format!(
                    "wait a moment and try again; else end it with `kill {}`, then `streamlings up`: \
                     records and jobs are kept",
                    running.pid
                ))
                .exit(Exit::NoLab)
        };
        let token = files
            .token()
            .map_err(|error| silent(format!("its token can't be read: {error}")))?;
        let agent = ureq::Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(QUICK))
            .timeout_global(Some(SLOW))
            .build()
            .new_agent();
        let mut client = Self {
            agent,
            base: format!("http://127.0.0.1:{}/v1", running.control_port),
            authorization: Authorization(format!("Bearer {token}")),
            info: LabInfo {
                backend: BackendKind::Embedded,
                target: Target::new(""),
                capabilities: Capabilities::default(),
                brokers: 0,
                reason: String::new(),
                pid: running.pid,
            },
            files,
        };
        let answer = client.call("GET", "/lab", None::<&()>, QUICK);
        if answer.as_ref().is_ok_and(|answer| answer.status == UNAUTHORIZED) {
            return Err(client.refused_token(running.pid));
        }
        match answer.and_then(Answer::value) {
            Ok(info) => client.info = info,
            // It ended between the two looks; or it is being killed: then its port is closed before its lock is free.
            Err(_) if client.files.process_ends_within(DYING) => {
                client.files.retract_dead();
                return Ok(None);
            }
            Err(problem) => return Err(silent(problem.what)),
        }
        Ok(Some(client))
    }

    /// The running lab, or the problem that tells how to start one.
    pub fn require(home: &Home) -> Outcome<Self> {
        Self::connect(home)?.ok_or_else(no_lab)
    }

    /// Whether this is the lab that runs now. A lab that ended and was started again has another process; connect anew.
    pub fn is_current(&self) -> bool {
        self.files
            .running()
            .is_some_and(|running| running.pid == self.info.pid)
            && self.files.process_lives()
    }

    /// How to reach the cluster.
    pub fn target(&self) -> &Target {
        &self.info.target
    }

    /// Where the cluster runs.
    pub fn backend(&self) -> BackendKind {
        self.info.backend
    }

    /// What this lab can do.
    pub fn capabilities(&self) -> Capabilities {
        self.info.capabilities
    }

    /// How many brokers the cluster was started with; for an external one, how many it had then.
    pub fn brokers_configured(&self) -> usize {
        self.info.brokers
    }

    /// Why the cluster runs there.
    pub(super) fn reason(&self) -> &str {
        &self.info.reason
    }

    /// The lab as it is now.
    pub fn status(&self) -> Outcome<LabStatus> {
        self.call("GET", "/status", None::<&()>, SLOW)?.value()
    }

    /// The jobs of this lab, ended ones too.
    pub fn jobs(&self) -> Outcome<Vec<JobStatus>> {
        self.call("GET", "/jobs", None::<&()>, QUICK)?.value()
    }

    /// Runs the statements of an SQL file.
    ///
    /// # Errors
    /// The outer error: the lab can't be asked. The inner one: it refused.
    pub fn submit(&self, submit: &Submit) -> Outcome<Result<Submitted, Refusal>> {
        self.call("POST", "/jobs", Some(submit), SLOW)?.value_or_refusal()
    }

    /// The job with this id or name.
    pub fn job(&self, word: &str) -> Outcome<Result<JobStatus, Refusal>> {
        let path = format!("/jobs/{}", path_segment(word));
        self.call("GET", &path, None::<&()>, QUICK)?.value_or_refusal()
    }

    /// Ends the job with this id or name.
    pub fn stop_job(&self, word: &str) -> Outcome<Result<JobStatus, Refusal>> {
        let path = format!("/jobs/{}/stop", path_segment(word));
        self.call("POST", &path, Some(&()), SLOW)?.value_or_refusal()
    }

    /// The log of the job with this id or name.
    pub fn job_logs(&self, word: &str) -> Outcome<Result<Vec<LogLine>, Refusal>> {
        let path = format!("/jobs/{}/logs", path_segment(word));
        self.call("GET", &path, None::<&()>, QUICK)?.value_or_refusal()
    }

    /// Stops, kills or starts a broker, or lets it fall behind.
    pub fn broker(&self, id: i32, verb: BrokerVerb) -> Outcome<()> {
        self.call("POST", &format!("/brokers/{id}"), Some(&verb), SLOW)?
            .value()
    }

    /// The faults in force. Needs the capability `faults`.
    pub fn faults(&self) -> Outcome<Vec<FaultRule>> {
        self.call("GET", "/faults", None::<&()>, QUICK)?.value()
    }

    /// Puts a fault in force. Needs the capability `faults`.
    pub fn add_fault(&self, rule: &FaultRule) -> Outcome<()> {
        self.call("POST", "/faults", Some(rule), QUICK)?.value()
    }

    /// Ends all faults. Needs the capability `faults`.
    pub fn clear_faults(&self) -> Outcome<()> {
        self.call("POST", "/faults/clear", Some(&()), QUICK)?.value()
    }

    /// What has happened to the records of a topic, by its name on the cluster. Needs the capability `witness`.
    pub fn witnessed(&self, topic: &str) -> Outcome<Witnessed> {
        let path = format!("/topics/{}/witnessed", path_segment(topic));
        self.call("GET", &path, None::<&()>, QUICK)?.value()
    }

    /// Moves the cluster's clock forward. Needs the capability `advance_clock`.
    pub fn advance_clock(&self, by: Duration) -> Outcome<()> {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.call("POST", "/clock/advance", Some(&by_ms), SLOW)?.value()
    }

    /// Stops the lab and waits for the end of its process; records and jobs are kept for the next `up`.
    pub fn down(&self) -> Outcome<()> {
        self.call("POST", "/down", Some(&()), QUICK)?.value::<()>()?;
        // The process holds this lock until its very end.
        if self.files.process_ends_within(SLOW) {
            return Ok(());
        }
        Err(Problem::new(format!(
            "the lab's process {} is still stopping after {} s",
            self.info.pid,
            SLOW.as_secs()
        ))
        .next(format!(
            "look at {}, or `kill {}`",
            self.files.log().display(),
            self.info.pid
        ))
        .exit(Exit::NoLab))
    }

    /// The token's file is not as the process wrote it.
    fn refused_token(&self, pid: u32) -> Problem {
        Problem::new(format!(
            "the lab's process {pid} doesn't take the token in {}: something has changed that file",
            self.files.token_path().display()
        ))
        .next(format!(
            "end the process with `kill {pid}`, then `streamlings up` starts one with a new token: records and jobs are kept"
        ))
        .exit(Exit::NoLab)
    }

    fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> Outcome<Answer> {
        let gone = |why: String| {
            if !self.files.process_lives() {
                return Problem::new("the lab has gone")
                    .next("`streamlings up` brings it back with all its data")
                    .exit(Exit::NoLab);
            }
            Problem::new(format!("the lab can't be asked: {why}"))
                .next("`streamlings status` says whether it runs, `streamlings up` starts it again")
                .exit(Exit::NoLab)
        };
        let url = format!("{}{path}", self.base);
        let sent = if method == "POST" {
            let body = body.map(serde_json::to_string).transpose();
            let body = body.map_err(|error| gone(error.to_string()))?.unwrap_or_default();
            self.agent
                .post(&url)
                .header("authorization", &self.authorization.0)
                .header("content-type", "application/json")
                .config()
                .timeout_global(Some(limit))
                .build()
                .send(body)
        } else {
            self.agent
                .get(&url)
                .header("authorization", &self.authorization.0)
                .config()
                .timeout_global(Some(limit))
                .build()
                .call()
        };
        let mut response = sent.map_err(|error| gone(error.to_string()))?;
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_LIMIT_BYTES)
            .read_to_vec();
        Ok(Answer {
            status,
            body: body.map_err(|error| gone(error.to_string()))?,
        })
    }
}

/// HTTP's status for a wrong token.
const UNAUTHORIZED: u16 = 401;
/// More than any answer needs: a job tells at most 100 windows.
const ANSWER_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// What the lab answered.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn value<T: DeserializeOwned>(self) -> Outcome<T> {
        if self.status == 200 {
            return serde_json::from_slice(&self.body).map_err(|error| {
                Problem::new(format!("the lab's answer makes no sense: {error}"))
                    .next("it may run another version of streamlings: `streamlings down`, then `streamlings up`")
                    .exit(Exit::NoLab)
            });
        }
        match serde_json::from_slice::<super::control::Refused>(&self.body) {
            Ok(refused) => Err(refused.into_problem()),
            Err(_) => Err(
                Problem::new(format!("the lab answered with HTTP status {}", self.status)).exit(Exit::NoLab),
            ),
        }
    }

    fn value_or_refusal<T: DeserializeOwned>(self) -> Outcome<Result<T, Refusal>> {
        if self.status != 200
            && let Ok(refusal) = serde_json::from_slice(&self.body)
        {
            return Ok(Err(refusal));
        }
        self.value().map(Ok)
    }
}

/// A word that a person typed, as one segment of a path.
fn path_segment(word: &str) -> String {
    let mut segment = String::with_capacity(word.len());
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            segment.push(byte as char);
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// There is no lab.
fn no_lab() -> Problem {
    Problem::new("no lab is running")
        .next("`streamlings up` starts one")
        .exit(Exit::NoLab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_without_a_lab_has_no_client_and_what_a_dead_one_left_is_cleaned_up() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        assert!(LabClient::connect(&home).unwrap().is_none());
        let problem = LabClient::require(&home).unwrap_err();
        assert_eq!(problem.exit, Exit::NoLab);

        let files = LabFiles::of(&home);
        let running = super::super::state::Running {
            pid: 1,
            control_port: 1,
            version: String::new(),
        };
        files.publish(&running, "t").unwrap();
        assert!(LabClient::connect(&home).unwrap().is_none());
        assert_eq!(files.running(), None);
    }

    #[test]
    fn a_typed_word_stays_one_segment_of_the_path() {
        assert_eq!(path_segment("rides_per_minute"), "rides_per_minute");
        assert_eq!(path_segment("../down?x"), "%2E%2E%2Fdown%3Fx");
    }
}
