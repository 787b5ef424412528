//! Tools that run beside a prompt. Each is a process of its own, so that `kill` is what it says: no farewell to the
//! group, nothing flushed, and the others go on.
//!
//! The process is this binary with a hidden subcommand. Its order is the first line of its standard input; what
//! follows is the tool's own input. When that pipe closes, because the prompt has gone, the tool ends as after Ctrl-C.

mod job;
mod process;
mod wait;

use std::process::Child;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::kafka::Target;
use crate::problem::{Outcome, Problem};

use super::ToolFiles;
use job::Job;
pub use job::{Ending, Summary};
pub use process::serve;
pub use wait::Wait;

/// How long what is stopped may take, before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);
/// Between two looks at a flag.
const LOOK: Duration = Duration::from_millis(50);
/// More than anybody can follow, and each is a process.
const MOST_RUNNING: usize = 16;

/// Where the output goes: whole lines, at the start of a line.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What to run.
pub struct Start<'a> {
    /// The tool's name and its flags.
    pub words: &'a [String],
    /// The line as it was typed.
    pub text: &'a str,
    /// All that it reads; `None`: what is given to it later ([`Background::write`]).
    pub input: Option<Vec<u8>>,
    /// The cluster.
    pub target: &'a Target,
    /// Where file names begin.
    pub files: &'a ToolFiles,
    /// Adds the lab's own hints.
    pub hints: bool,
    /// Its lines come without a label: it has the screen.
    pub attached: bool,
}

/// The tools that one prompt has started. Dropped, it kills those that still run.
pub struct Background {
    jobs: Vec<Job>,
    next: usize,
    tell: Tell,
}

impl Background {
    /// None yet; what they say goes to `tell`.
    pub fn new(tell: Tell) -> Self {
        Self {
            jobs: Vec::new(),
            next: 1,
            tell,
        }
    }

    /// Starts a tool; returns its number.
    pub fn start(&mut self, start: Start<'_>) -> Outcome<usize> {
        if self.running().count() >= MOST_RUNNING {
            return Err(
                Problem::new(format!("{MOST_RUNNING} commands run in the background already"))
                    .next("`jobs` lists them, `stop N` ends one"),
            );
        }
        // Numbers begin anew when nobody refers to the old ones any more.
        if self.running().next().is_none() && self.jobs.iter().all(Job::was_attached) {
            self.jobs.clear();
            self.next = 1;
        }
        let id = self.next;
        let child = process::spawn(&start)?;
        self.jobs
            .push(Job::watch(id, child, &start, Arc::clone(&self.tell)));
        self.next += 1;
        Ok(id)
    }

    fn running(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| job.ending().is_none())
    }

    /// The job of a typed number: `2`, or `%2` as in a shell.
    pub fn find(&self, word: Option<&str>) -> Outcome<usize> {
        let known = || {
            let numbers: Vec<String> = self.jobs.iter().map(|job| job.id.to_string()).collect();
            match numbers.as_slice() {
                [] => "nothing was started in the background: COMMAND & does that".to_string(),
                _ => format!("`jobs` lists them: {}", numbers.join(", ")),
            }
        };
        let Some(word) = word else {
            // The only one that runs is the one that is meant.
            let mut running = self.running();
            return match (running.next(), running.next()) {
                (Some(only), None) => Ok(only.id),
                _ => Err(Problem::new("which one?").next(known())),
            };
        };
        let id = word.trim_start_matches('%').parse::<usize>().ok();
        id.filter(|id| self.jobs.iter().any(|job| job.id == *id))
            .ok_or_else(|| Problem::new(format!("there is no background command '{word}'")).next(known()))
    }

    fn job(&self, id: usize) -> Outcome<&Job> {
        self.jobs
            .iter()
            .find(|job| job.id == id)
            .ok_or_else(|| Problem::new(format!("there is no background command '{id}'")))
    }

    fn live(&self, id: usize) -> Outcome<&Job> {
        let job = self.job(id)?;
        match job.ending() {
            None => Ok(job),
            Some(ending) => Err(Problem::new(format!("{} has ended: {ending}", job.tag()))),
        }
    }

    /// All of them, in the order of their start.
    pub fn list(&self) -> Vec<Summary> {
        self.jobs.iter().map(Job::summary).collect()
    }

    /// Asks a job to end, as Ctrl-C would: a consumer leaves its group and commits. Waits until it has, for up to ten
    /// seconds; then it is killed.
    pub fn stop(&self, id: usize) -> Outcome<()> {
        let job = self.live(id)?;
        job.interrupt();
        if !job.wait(Instant::now() + FAREWELL, |state| state.ending.is_some()) {
            job.kill();
        }
        Ok(())
    }

    /// Ends a job without a chance to say good-bye, as `kill -9` or a power cut would.
    pub fn kill(&self, id: usize) -> Outcome<()> {
        let job = self.live(id)?;
        job.kill();
        job.wait(Instant::now() + FAREWELL, |state| state.ending.is_some());
        Ok(())
    }

    /// What a job has said, as far as it is kept: its last lines.
    pub fn logs(&self, id: usize) -> Outcome<Vec<String>> {
        Ok(self.job(id)?.lines())
    }

    /// Whether a job takes lines that are typed.
    pub fn takes_input(&self, id: usize) -> bool {
        self.live(id).is_ok_and(Job::takes_input)
    }

    /// Gives a line (with its end) to a job; `false` when it takes none any more.
    pub fn write(&self, id: usize, line: &str) -> bool {
        self.live(id).is_ok_and(|job| job.write(line))
    }

    /// Ends a job's input, as Ctrl-D would.
    pub fn close_input(&self, id: usize) {
        if let Ok(job) = self.job(id) {
            job.close_input();
        }
    }

    /// Gives a job the screen (its lines come without a label), or takes it back.
    pub fn attach(&self, id: usize, attached: bool) {
        if let Ok(job) = self.job(id) {
            job.attach(attached);
        }
    }

    /// How a job ended; `None` while it runs.
    pub fn ending(&self, id: usize) -> Option<Ending> {
        self.job(id).ok().and_then(Job::ending)
    }

    /// Waits until a job has ended or, with `lines`, has said so many lines since its start; `false` when `cancel`
    /// or the deadline came first.
    pub fn wait(
        &self,
        id: usize,
        lines: Option<u64>,
        deadline: Option<Instant>,
        cancel: &Cancel,
    ) -> Outcome<bool> {
        let job = self.job(id)?;
        loop {
            let look = Instant::now() + LOOK;
            if job.wait(look, |state| {
                state.ending.is_some() || lines.is_some_and(|lines| state.said >= lines)
            }) {
                return Ok(true);
            }
            if cancel.is_cancelled() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(false);
            }
        }
    }

    /// The labels of those that run: `[1 consumer]`.
    pub fn running_tags(&self) -> Vec<String> {
        self.running().map(Job::tag).collect()
    }

    /// Stops all that run, at the same time, and waits for them; what takes longer than `patience` is killed.
    pub fn stop_all(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        for job in self.running() {
            job.interrupt();
        }
        for job in &self.jobs {
            if !job.wait(deadline, |state| state.ending.is_some()) {
                job.kill();
                job.wait(Instant::now() + FAREWELL, |state| state.ending.is_some());
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for job in self.running() {
            job.kill();
        }
    }
}

/// Locks a child; a thread that panicked with it has at worst waited for it.
fn locked(child: &std::sync::Mutex<Child>) -> std::sync::MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}
