//! Plays an exercise on a cluster: each step's checks fail at its start, pass for the solution, and fail for each
//! wrong solution with its message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;

use super::labs;
use super::player::{COMMAND_LIMIT, Said, Typist, copy_files};
use crate::cancel::Cancel;
use crate::check::{self, CheckContext, CheckResult, JobFacts, LabSource, setup};
use crate::course::model::Wrong;
use crate::course::{Course, Exercise, Need, Script, Step};
use crate::kafka::{Admin, Target};
use crate::lab::{BrokerVerb, LabClient, Witnessed};
use crate::problem::{Exit, Outcome, Problem};
use crate::tools::background::Background;
use crate::tools::txn::TxnDesk;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How long what runs in the background may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where exercises are played.
pub struct Stage {
    /// How its cluster is reached, with the user's own prefix.
    pub target: Target,
    /// The lab behind it.
    pub lab: Option<LabClient>,
    /// The lab is ours alone: names need no prefix, and everything in it may be deleted.
    pub own: bool,
    /// How long the effects of a solution, or the message of a wrong one, may take to be seen.
    pub patience: Duration,
}

/// Enough for a group that joins on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What came of one play.
#[derive(Debug, Clone, Serialize)]
pub struct Play {
    /// The step's title.
    pub step: String,
    /// `start`, `solution`, or the wrong solution's name.
    pub play: String,
    /// It went as it has to.
    pub ok: bool,
    /// The line of the exercise file that it is about.
    pub line: usize,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the checks and the last command said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
}

/// Plays the reference from first step to last.
pub fn reference(stage: &Stage, course: &Course, exercise: &Exercise, cancel: &Cancel) -> Outcome<Vec<Play>> {
    let mut plays = Vec::new();
    let mut run = Run::begin(stage, course, exercise, cancel)?;
    let played = run.reference(&mut plays);
    run.end()?;
    played.map(|()| plays)
}

/// Plays a wrong solution of a step, from a fresh start and on the reference of the steps before it.
pub fn wrong(
    stage: &Stage,
    course: &Course,
    exercise: &Exercise,
    step: usize,
    wrong: usize,
    cancel: &Cancel,
) -> Outcome<Play> {
    let mut run = Run::begin(stage, course, exercise, cancel)?;
    let play = run.wrong(step, &exercise.steps[step].wrongs[wrong]);
    run.end()?;
    play
}

/// The jobs of one run: those of the runs before stay in the lab's list.
struct NewJobs {
    lab: LabClient,
    before: Option<u64>,
}

impl LabSource for NewJobs {
    fn jobs(&self) -> Result<Vec<JobFacts>, String> {
        let mut jobs = self.lab.jobs().map_err(|problem| problem.what)?;
        jobs.retain(|job| Some(job.id) > self.before);
        Ok(jobs.into_iter().map(JobFacts::from).collect())
    }

    fn clock_ahead_ms(&self) -> Result<u64, String> {
        let status = self.lab.status().map_err(|problem| problem.what)?;
        Ok(status.clock_ahead_ms)
    }

    fn witnessed(&self, topic: &str) -> Result<Witnessed, String> {
        self.lab.witnessed(topic).map_err(|problem| problem.what)
    }
}

/// One run through an exercise, in topics of its own.
struct Run<'a> {
    course: &'a Course,
    exercise: &'a Exercise,
    lab: Option<&'a LabClient>,
    target: Target,
    context: CheckContext,
    patience: Duration,
    folder: tempfile::TempDir,
    background: Background,
    txn: TxnDesk,
    cancel: &'a Cancel,
}

impl<'a> Run<'a> {
    fn begin(
        stage: &'a Stage,
        course: &'a Course,
        exercise: &'a Exercise,
        cancel: &'a Cancel,
    ) -> Outcome<Self> {
        let mut target = stage.target.clone();
        // A member that was killed stays in its group until its session times out: the next play needs other names.
        // The topics of an SQL file can have no prefix.
        if !stage.own || !exercise.needs.contains(&Need::Jobs) {
            let id = Uuid::new_v4().simple().to_string();
            target.prefix = format!("{}author-check-{}-", target.prefix, &id[..8]);
        }
        let folder = tempfile::tempdir()
            .map_err(|error| Problem::new(format!("no temporary folder can be made: {error}")))?;
        copy_files(course, exercise, folder.path())?;
        let jobs = match &stage.lab {
            None => None,
            Some(lab) => {
                let before = lab.jobs().unwrap_or_default().iter().map(|job| job.id).max();
                let lab = lab.clone();
                Some(Box::new(NewJobs { lab, before }) as Box<dyn LabSource + Send>)
            }
        };
        let context = CheckContext::new(&target, jobs).map_err(|error| {
            Problem::new(format!("the lab's cluster can't be reached: {error}")).exit(Exit::NoLab)
        })?;
        Ok(Self {
            course,
            exercise,
            lab: stage.lab.as_ref(),
            target,
            context,
            patience: stage.patience,
            folder,
            background: Background::new(Arc::new(|_: &str| {})),
            txn: TxnDesk::default(),
            cancel,
        })
    }

    /// Takes away all that the run has made: what has its prefix, or all of an own lab.
    fn end(mut self) -> Outcome<()> {
        self.txn.end_all();
        self.background.stop_all(FAREWELL);
        self.heal()?;
        if let Some(lab) = self.lab {
            let names = setup::names(self.exercise);
            for job in lab.jobs().unwrap_or_default() {
                if !job.state.is_ended() && names.jobs.contains(&job.name) {
                    // A job that ended meanwhile refuses, and that is as good.
                    drop(lab.stop_job(&job.id.to_string())?);
                }
            }
        }
        let admin = Admin::new(&self.target, Duration::from_secs(10)).map_err(unreachable)?;
        let topics = admin.topics().map_err(unreachable)?;
        let groups = admin.groups().map_err(unreachable)?;
        let all = setup::Names {
            topics: topics
                .into_iter()
                .filter(|topic| !topic.internal)
                .map(|topic| topic.name)
                .collect(),
            groups: groups.into_iter().map(|group| group.name).collect(),
            ..setup::Names::default()
        };
        setup::clean(&all, &self.target).map(drop)
    }

    /// All brokers are up and no fault is in force: the next play begins as this one did.
    fn heal(&self) -> Outcome<()> {
        let Some(lab) = self.lab else { return Ok(()) };
        if !labs::touches(self.exercise, Some(lab)) {
            return Ok(());
        }
        let can = lab.capabilities();
        if can.faults && !lab.faults()?.is_empty() {
            lab.clear_faults()?;
        }
        if can.start_broker {
            for broker in lab.status()?.brokers {
                if !broker.up {
                    lab.broker(broker.id, BrokerVerb::Start)?;
                }
                if can.pause_replication {
                    lab.broker(broker.id, BrokerVerb::ResumeReplication)?;
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, step: &Step) -> Outcome<()> {
        self.context.clear_answers();
        setup::run(self.course, self.exercise, step, &self.target)
    }

    /// Types it; a command that did not end by itself is told with what the last one said.
    fn type_script(&mut self, step: &Step, script: &Script) -> Outcome<(Said, Option<String>)> {
        let mut typist = Typist {
            target: &self.target,
            lab: self.lab,
            folder: self.folder.path(),
            context: &mut self.context,
            background: &mut self.background,
            txn: &mut self.txn,
            step,
            answered: Vec::new(),
            last: Said::default(),
            endless: None,
            cancel: self.cancel,
        };
        script.play(&mut typist)?;
        Ok((typist.last, typist.endless))
    }

    fn reference(&mut self, plays: &mut Vec<Play>) -> Outcome<()> {
        for step in &self.exercise.steps {
            self.open(step)?;
            if step.checks.is_empty() || !lacking(self.lab, step).is_empty() {
                continue;
            }
            let start = check::evaluate_all(&step.checks, &mut self.context);
            let passed = start.iter().all(|result| result.passed);
            plays.push(Play {
                step: step.title.clone(),
                play: "start".into(),
                ok: !passed,
                line: step.checks[0].line,
                problem: passed.then(|| "the checks pass before the learner has done anything".into()),
                said: if passed {
                    said(&start, &Said::default())
                } else {
                    Vec::new()
                },
            });
            let (last, unended) = self.type_script(step, &step.solution)?;
            let results = self.until(step, |results| results.iter().all(|result| result.passed));
            let passed = results.iter().all(|result| result.passed);
            let line = step
                .solution
                .commands
                .first()
                .map_or(step.line, |command| command.line);
            plays.push(Play {
                step: step.title.clone(),
                play: "solution".into(),
                ok: passed && unended.is_none(),
                line,
                problem: match (&unended, passed) {
                    (Some(command), _) => Some(endless(command)),
                    (None, false) => Some("the solution does not pass".into()),
                    (None, true) => None,
                },
                said: if passed { Vec::new() } else { said(&results, &last) },
            });
            if !passed || unended.is_some() || self.cancel.is_cancelled() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn wrong(&mut self, index: usize, wrong: &Wrong) -> Outcome<Play> {
        for step in &self.exercise.steps[..index] {
            self.open(step)?;
            if !lacking(self.lab, step).is_empty() {
                continue;
            }
            self.type_script(step, &step.solution)?;
            if !step.checks.is_empty() {
                self.until(step, |results| results.iter().all(|result| result.passed));
            }
        }
        let step = &self.exercise.steps[index];
        self.open(step)?;
        let (last, unended) = self.type_script(step, &wrong.script)?;
        let results = self.until(step, |results| missing(wrong, results).is_none());
        let passed = results.iter().all(|result| result.passed);
        let problem = if passed {
            Some("the wrong solution passes".to_string())
        } else if let Some(command) = &unended {
            Some(endless(command))
        } else {
            missing(wrong, &results).map(|expect| format!("no failing check says: {expect}"))
        };
        Ok(Play {
            step: step.title.clone(),
            play: wrong.name.clone(),
            ok: problem.is_none(),
            line: wrong.line,
            said: if problem.is_some() {
                said(&results, &last)
            } else {
                Vec::new()
            },
            problem,
        })
    }

    /// Asks the checks until they are as wanted, or the time is over.
    fn until(&mut self, step: &Step, mut wanted: impl FnMut(&[CheckResult]) -> bool) -> Vec<CheckResult> {
        let deadline = Instant::now() + self.patience;
        loop {
            let results = check::evaluate_all(&step.checks, &mut self.context);
            if wanted(&results) || Instant::now() >= deadline || self.cancel.is_cancelled() {
                return results;
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}

fn unreachable(error: crate::kafka::KafkaError) -> Problem {
    Problem::new(format!("the lab's cluster can't be reached: {error}")).exit(Exit::NoLab)
}

/// The first expectation that no failing check meets.
fn missing<'w>(wrong: &'w Wrong, results: &[CheckResult]) -> Option<&'w str> {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let failing: Vec<String> = results
        .iter()
        .filter(|result| !result.passed)
        .map(CheckResult::text)
        .collect();
    wrong
        .expects
        .iter()
        .find(|expect| !failing.iter().any(|text| text.contains(&squeeze(expect))))
        .map(String::as_str)
}

fn endless(command: &str) -> String {
    format!(
        "'{command}' did not end within {} s (a consumer ends with --max-messages or --timeout-ms)",
        COMMAND_LIMIT.as_secs()
    )
}

fn said(results: &[CheckResult], last: &Said) -> Vec<String> {
    let mut lines: Vec<String> = results
        .iter()
        .map(|result| format!("[{}] {}", if result.passed { 'x' } else { ' ' }, result.text()))
        .collect();
    if !last.command.is_empty() {
        lines.push(format!("$ {}", last.command));
        let output: Vec<&str> = last.output.lines().collect();
        let from = output.len().saturating_sub(8);
        lines.extend(output[from..].iter().map(|line| (*line).to_string()));
    }
    lines
}

/// What a step needs and this lab can't do.
fn lacking(lab: Option<&LabClient>, step: &Step) -> Vec<&'static str> {
    let capabilities = lab.map(LabClient::capabilities).unwrap_or_default();
    let needs = step.setup.needs.iter().map(|need| need.word());
    needs.filter(|need| !capabilities.has(need)).collect()
}

/// The steps that are only shown on this lab, each with what the lab lacks.
pub fn unplayed(stage: &Stage, exercise: &Exercise) -> Vec<String> {
    let missing = exercise
        .steps
        .iter()
        .map(|step| (step, lacking(stage.lab.as_ref(), step)));
    missing
        .filter(|(_, missing)| !missing.is_empty())
        .map(|(step, missing)| format!("{}: this lab has no {}", step.title, missing.join(", ")))
        .collect()
}

/// Why an exercise can't be played on this lab.
pub fn hindrance(stage: &Stage, exercise: &Exercise) -> Option<String> {
    let Some(lab) = &stage.lab else {
        return (!exercise.needs.is_empty()).then(|| "it needs more than a cluster".to_string());
    };
    let needs: Vec<&str> = exercise.needs.iter().map(|need| need.word()).collect();
    let missing = lab.capabilities().missing(&needs);
    if !missing.is_empty() {
        return Some(format!(
            "this lab ({}) has no {}",
            lab.backend(),
            missing.join(", ")
        ));
    }
    let brokers = lab.brokers_configured();
    (brokers < exercise.brokers as usize).then(|| {
        format!(
            "it needs {} brokers, and this lab has {brokers}",
            exercise.brokers
        )
    })
}

#[cfg(test)]
mod tests;
