//! The jobs of a lab: submitted, listed, stopped, and gone on with after the lab's process has ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use streamlings_stream::{Connector, Executed, JobPlan, Script, Session, SqlError};

use super::cluster::target_of;
use super::display;
use super::runner::Runner;
use super::shared::{Ask, Shared, now_ms};
use super::status::{
    CheckpointStatus, JobState, JobStatus, LogLine, Refusal, RefusalKind, StatementResult, Submit, Submitted,
};
use super::store::{self, JobFolder, StoredJob};
use crate::kafka::{Admin, Target};

/// How long `submit` waits for the job to begin.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long `stop` and `shutdown` wait for the last checkpoint.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
/// How long the cluster may take to tell its topics.
const TOPICS_TIMEOUT: Duration = Duration::from_secs(5);

/// The jobs of one lab. Clones are the same.
#[derive(Clone)]
pub struct JobManager(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    target: Target,
    jobs: Mutex<BTreeMap<u64, Arc<Shared>>>,
}

impl JobManager {
    /// Opens the folder of jobs and goes on with those that were running. Connects in the jobs' own threads.
    pub fn open(folder: PathBuf, target: Target) -> Result<Self, Refusal> {
        let ids = store::ids(&folder).map_err(|error| storage(&folder, &error))?;
        let manager = Self(Arc::new(Inner {
            folder,
            target,
            jobs: Mutex::new(BTreeMap::new()),
        }));
        for id in ids {
            let folder = JobFolder::of(&manager.0.folder, id);
            match folder.load() {
                Ok(stored) => manager.go_on(id, folder, stored)?,
                // A damaged file must not stop the lab: its folder stays for whoever wants to look.
                Err(error) => {
                    tracing::error!(%error, job = id, "the job's file can't be read; it is left out");
                }
            }
        }
        Ok(manager)
    }

    fn go_on(&self, id: u64, folder: JobFolder, stored: StoredJob) -> Result<(), Refusal> {
        let shared = Arc::new(Shared::new(stored.status.clone(), stored.log.clone()));
        self.jobs().insert(id, Arc::clone(&shared));
        if stored.status.state.is_ended() {
            return Ok(());
        }
        let planned = plans(&stored.sql)
            .map_err(|error| error.message)
            .and_then(|executed| match executed.into_iter().nth(stored.statement) {
                Some(Executed::Job(plan)) => Ok(*plan),
                _ => Err("its SQL has no such statement".to_owned()),
            });
        match planned {
            Ok(plan) => self.spawn(plan, folder, stored, shared),
            Err(why) => {
                shared.update(|status| {
                    status.state = JobState::Failed;
                    status.error = Some(format!("this version of the lab can't go on with it: {why}"));
                });
                shared.leave();
                Ok(())
            }
        }
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Shared>>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(
        &self,
        plan: JobPlan,
        folder: JobFolder,
        stored: StoredJob,
        shared: Arc<Shared>,
    ) -> Result<(), Refusal> {
        let name = format!("job-{}", stored.status.id);
        let runner = Runner {
            plan,
            lab: self.0.target.clone(),
            folder,
            stored,
            shared,
        };
        let spawned = thread::Builder::new().name(name).spawn(move || runner.run());
        spawned.map(drop).map_err(|error| storage(&self.0.folder, &error))
    }

    /// Runs the statements of a text. Every INSERT INTO becomes a job; nothing is started when one statement is wrong.
    /// Blocks for the cluster's answers, some seconds at most.
    pub fn submit(&self, submit: &Submit) -> Result<Submitted, Refusal> {
        let executed = plans(&submit.sql).map_err(|error| sql_refusal(&error))?;
        for statement in &executed {
            if let Executed::Job(plan) = statement {
                check_topics(plan, &self.0.target)?;
            }
        }
        let mut statements = Vec::with_capacity(executed.len());
        for (index, statement) in executed.into_iter().enumerate() {
            statements.push(match statement {
                Executed::Job(plan) => self.start(*plan, index, submit)?,
                Executed::Query(_) => StatementResult::Select,
                Executed::Plan(text) => StatementResult::Text { text },
                Executed::Tables(tables) => StatementResult::Text {
                    text: display::tables(&tables),
                },
                Executed::Columns(columns) => StatementResult::Text {
                    text: display::columns(&columns),
                },
                Executed::Done => StatementResult::Ok,
            });
        }
        Ok(Submitted { statements })
    }

    fn start(&self, plan: JobPlan, statement: usize, submit: &Submit) -> Result<StatementResult, Refusal> {
        let stem = Path::new(&submit.file)
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("job");
        let name = plan.sink_table().unwrap_or(stem).to_owned();
        let sink = match plan.sink() {
            Some(Connector::Kafka(options)) => options.topics.join(";"),
            Some(Connector::Print) => "print".into(),
            Some(Connector::Blackhole) | None => "blackhole".into(),
        };
        let mut jobs = self.jobs();
        let id = jobs.keys().next_back().map_or(1, |last| last + 1);
        let status = JobStatus {
            id,
            name: name.clone(),
            state: JobState::Created,
            error: None,
            sources: Vec::new(),
            watermark_ms: None,
            windows_open: Vec::new(),
            records_in: 0,
            rows_out: 0,
            late: 0,
            skipped: 0,
            checkpoints: CheckpointStatus::default(),
            sink,
            submitted_ms: now_ms(),
            time_zone: plan.clock_zone().iana_name().unwrap_or("UTC").to_owned(),
        };
        let stored = StoredJob {
            sql: submit.sql.clone(),
            file: submit.file.clone(),
            statement,
            status: status.clone(),
            log: Vec::new(),
        };
        let folder = JobFolder::of(&self.0.folder, id);
        folder
            .save(&stored)
            .map_err(|error| storage(&self.0.folder, &error))?;
        let shared = Arc::new(Shared::new(status, Vec::new()));
        jobs.insert(id, Arc::clone(&shared));
        drop(jobs);
        self.spawn(plan, folder, stored, Arc::clone(&shared))?;
        shared.wait_started(START_TIMEOUT);
        Ok(StatementResult::Job { id, name })
    }

    /// All jobs, also those that have ended.
    pub fn list(&self) -> Vec<JobStatus> {
        self.jobs().values().map(|job| job.status()).collect()
    }

    fn find(&self, word: &str) -> Result<Arc<Shared>, Refusal> {
        let jobs = self.jobs();
        if let Some(job) = word.parse().ok().and_then(|id: u64| jobs.get(&id)) {
            return Ok(Arc::clone(job));
        }
        if let Some(job) = jobs.values().rev().find(|job| job.status().name == word) {
            return Ok(Arc::clone(job));
        }
        let names: Vec<String> = jobs
            .values()
            .map(|job| job.status())
            .map(|status| format!("{} {}", status.id, status.name))
            .collect();
        Err(Refusal {
            message: format!("there is no job {word}"),
            help: Some(if names.is_empty() {
                "no job was started in this lab: sql FILE starts one".into()
            } else {
                format!("there are: {}", names.join(", "))
            }),
            line: None,
            column: None,
            kind: RefusalKind::UnknownJob,
        })
    }

    /// The job with this id, or the newest of this name.
    pub fn show(&self, word: &str) -> Result<JobStatus, Refusal> {
        self.find(word).map(|job| job.status())
    }

    /// Ends a job for good, after a last checkpoint. One that has ended already stays as it is.
    pub fn stop(&self, word: &str) -> Result<JobStatus, Refusal> {
        let job = self.find(word)?;
        job.ask(Ask::Stop);
        if !job.wait_gone(Instant::now() + STOP_TIMEOUT) {
            tracing::warn!(job = word, "the job has not ended in time");
        }
        Ok(job.status())
    }

    /// The job's log.
    pub fn logs(&self, word: &str) -> Result<Vec<LogLine>, Refusal> {
        self.find(word).map(|job| job.log())
    }

    /// Ends all threads after a last checkpoint; the jobs go on when the folder is opened again.
    pub fn shutdown(&self) {
        let jobs: Vec<Arc<Shared>> = self.jobs().values().cloned().collect();
        for job in &jobs {
            job.ask(Ask::Suspend);
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        for job in &jobs {
            job.wait_gone(deadline);
        }
    }
}

/// Reads and checks a text in a session of its own, as Flink's SQL client does with a file.
pub(super) fn plans(sql: &str) -> Result<Vec<Executed>, SqlError> {
    Session::default().run(&Script::parse(sql)?)
}

/// The refusal of a text that is wrong.
pub(super) fn sql_refusal(error: &SqlError) -> Refusal {
    Refusal {
        message: error.message.clone(),
        help: error.help.clone(),
        line: error.place.map(|place| place.line as usize),
        column: error.place.map(|place| place.column as usize),
        kind: RefusalKind::Sql,
    }
}

fn storage(folder: &Path, error: &std::io::Error) -> Refusal {
    Refusal {
        message: format!("the jobs in {} can't be kept: {error}", folder.display()),
        help: Some("make room on the disk, or set STREAMLINGS_HOME to another folder".into()),
        line: None,
        column: None,
        kind: RefusalKind::Storage,
    }
}

/// Looks for the topics before anything is started: a name with a slip of the pen is the most common mistake.
pub(super) fn check_topics(plan: &JobPlan, lab: &Target) -> Result<(), Refusal> {
    let sides = [
        plan.source(),
        match plan.sink() {
            Some(Connector::Kafka(options)) => Some(&**options),
            _ => None,
        },
    ];
    for options in sides.into_iter().flatten() {
        let target = target_of(options, lab);
        let known: Vec<String> = Admin::new(&target, TOPICS_TIMEOUT)
            .and_then(|admin| admin.topics())
            .map_err(|error| unreachable(&target, lab, &error.message))?
            .into_iter()
            .map(|topic| topic.name)
            .collect();
        if let Some(missing) = options.topics.iter().find(|topic| !known.contains(topic)) {
            return Err(no_topic(missing, &known));
        }
    }
    Ok(())
}

fn unreachable(target: &Target, lab: &Target, why: &str) -> Refusal {
    let help = if target.bootstrap == lab.bootstrap {
        "streamlings status tells how the lab is".to_owned()
    } else {
        "the SQL names this cluster in 'properties.bootstrap.servers'; leave the option out, or write localhost:9092, for the lab's own".to_owned()
    };
    Refusal {
        message: format!("the cluster at {} can't be reached: {why}", target.bootstrap),
        help: Some(help),
        line: None,
        column: None,
        kind: RefusalKind::Cluster,
    }
}

fn no_topic(missing: &str, known: &[String]) -> Refusal {
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(missing, name), name))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, name)| format!("did you mean {name}? Else make it: "));
    Refusal {
        message: format!("the topic {missing} does not exist"),
        help: Some(format!(
            "{}kafka-topics --create --topic {missing}",
            near.unwrap_or_default()
        )),
        line: None,
        column: None,
        kind: RefusalKind::Sql,
    }
}
