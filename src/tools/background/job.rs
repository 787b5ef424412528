//! One tool in the background: its process, its label, and what it has said.

use std::collections::VecDeque;
use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Start, Tell, locked};
use crate::tools::reads_input;

/// Lines that are kept of each job.
const KEPT_LINES: usize = 1000;
/// A line without an end is shown after so many bytes.
const LINE_LIMIT: usize = 64 * 1024;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this exit code.
    Code(i32),
    /// After `stop`.
    Stopped,
    /// Without warning.
    Killed,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(0) => f.write_str("ended"),
            Self::Code(code) => write!(f, "ended with exit code {code}"),
            Self::Stopped => f.write_str("stopped"),
            Self::Killed => f.write_str("killed"),
        }
    }
}

/// A job, as `jobs` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its number.
    pub id: usize,
    /// Its label: `[1 consumer]`.
    pub tag: String,
    /// How it ended; `None` while it runs.
    pub ending: Option<Ending>,
    /// Lines that it has said.
    pub said: u64,
    /// What was typed.
    pub text: String,
}

/// What changes while a job runs.
#[derive(Default)]
pub(super) struct State {
    lines: VecDeque<String>,
    pub(super) said: u64,
    pub(super) ending: Option<Ending>,
    attached: bool,
    asked_to_stop: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Job {
    pub(super) id: usize,
    label: String,
    text: String,
    child: Arc<Mutex<Child>>,
    stdin: Mutex<Option<ChildStdin>>,
    reads: bool,
    shared: Arc<Shared>,
    /// It had the screen from its start: nobody knows its number.
    unnumbered: bool,
}

/// What a tool is called beside its number: `consumer` for kafka-console-consumer.
fn label(word: &str) -> String {
    let name = crate::tools::bare_name(word);
    let name = name.strip_prefix("kafka-").unwrap_or(name);
    name.strip_prefix("console-").unwrap_or(name).to_string()
}

impl Job {
    /// Follows a process that was just started.
    pub(super) fn watch(id: usize, mut child: Child, start: &Start<'_>, tell: Tell) -> Self {
        let shared = Arc::new(Shared::default());
        shared.state().attached = start.attached;
        let label = label(&start.words[0]);
        let (stdout, stderr, stdin) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
        let child = Arc::new(Mutex::new(child));
        let printer = Printer {
            prefix: prefix(id, &label),
            shared: Arc::clone(&shared),
            tell,
        };
        let reads = reads_input(&start.words[0]) && start.input.is_none();
        let job = Self {
            id,
            label,
            text: start.text.to_string(),
            child: Arc::clone(&child),
            stdin: Mutex::default(),
            reads,
            shared,
            unnumbered: start.attached,
        };
        match (stdin, start.input.clone()) {
            // What it reads may be more than a pipe holds; and its end is the end of the input.
            (Some(mut stdin), Some(input)) if reads_input(&start.words[0]) => {
                std::thread::spawn(move || drop(stdin.write_all(&input)));
            }
            (stdin, _) => *job.stdin.lock().unwrap_or_else(PoisonError::into_inner) = stdin,
        }
        std::thread::spawn(move || printer.follow(stdout, stderr, &child));
        job
    }

    pub(super) fn tag(&self) -> String {
        format!("[{} {}]", self.id, self.label)
    }

    pub(super) fn was_attached(&self) -> bool {
        self.unnumbered
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        self.shared.state().ending
    }

    pub(super) fn summary(&self) -> Summary {
        let state = self.shared.state();
        Summary {
            id: self.id,
            tag: self.tag(),
            ending: state.ending,
            said: state.said,
            text: self.text.clone(),
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.shared.state().lines.iter().cloned().collect()
    }

    pub(super) fn attach(&self, attached: bool) {
        self.shared.state().attached = attached;
    }

    pub(super) fn takes_input(&self) -> bool {
        self.reads
            && self
                .stdin
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some()
    }

    pub(super) fn write(&self, line: &str) -> bool {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        stdin.as_mut().is_some_and(|stdin| {
            stdin
                .write_all(line.as_bytes())
                .and_then(|()| stdin.flush())
                .is_ok()
        })
    }

    pub(super) fn close_input(&self) {
        self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// As Ctrl-C: by the signal where there is one, else by the end of the input.
    pub(super) fn interrupt(&self) {
        self.shared.state().asked_to_stop = true;
        #[cfg(unix)]
        {
            use nix::sys::signal::{Signal, kill};
            use nix::unistd::Pid;
            let child = locked(&self.child);
            // Not reaped while it is locked, so the number is still its own; one that has ended gets nothing.
            if self.ending().is_none()
                && let Ok(pid) = i32::try_from(child.id())
            {
                let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
            }
        }
        self.close_input();
    }

    pub(super) fn kill(&self) {
        // One that has ended meanwhile can't be killed, and need not be.
        drop(locked(&self.child).kill());
    }

    /// Waits until the state is as wanted; `false` when the deadline came first.
    pub(super) fn wait(&self, deadline: Instant, wanted: impl Fn(&State) -> bool) -> bool {
        let mut state = self.shared.state();
        while !wanted(&state) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

/// `[1 consumer] `, each number in a colour of its own.
fn prefix(id: usize, label: &str) -> String {
    use console::Color::{Blue, Cyan, Green, Magenta, Red, Yellow};
    const COLOURS: [console::Color; 6] = [Cyan, Magenta, Yellow, Green, Blue, Red];
    let colour = COLOURS[(id - 1) % COLOURS.len()];
    format!("{} ", console::style(format!("[{id} {label}]")).fg(colour))
}

/// Says what the process says, and how it ended.
struct Printer {
    prefix: String,
    shared: Arc<Shared>,
    tell: Tell,
}

impl Printer {
    fn follow(
        &self,
        stdout: Option<impl Read + Send>,
        stderr: Option<impl Read + Send>,
        child: &Mutex<Child>,
    ) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.copy(stderr));
            self.copy(stdout);
        });
        // Both pipes are closed: it has ended, or is about to.
        let status = locked(child).wait();
        let (ending, attached) = {
            let mut state = self.shared.state();
            let ending = ending(status.as_ref().ok(), state.asked_to_stop);
            state.ending = Some(ending);
            (ending, state.attached)
        };
        self.shared.changed.notify_all();
        if !attached || ending == Ending::Killed {
            (self.tell)(&format!("{}{ending}\n", if attached { "" } else { &self.prefix }));
        }
    }

    fn copy(&self, from: Option<impl Read>) {
        let Some(mut from) = from else { return };
        let mut buffer = vec![0; 8 * 1024];
        let mut pending: Vec<u8> = Vec::new();
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            pending.extend_from_slice(&buffer[..count]);
            let end = pending.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
            let whole = if count == 0 || pending.len() > LINE_LIMIT {
                pending.len()
            } else {
                end.unwrap_or(0)
            };
            if whole > 0 {
                self.lines(&String::from_utf8_lossy(&pending[..whole]));
                pending.drain(..whole);
            }
            if count == 0 {
                return;
            }
        }
    }

    fn lines(&self, text: &str) {
        let mut told = String::with_capacity(text.len() + 64);
        {
            let mut state = self.shared.state();
            for line in text.lines() {
                state.said += 1;
                if state.lines.len() == KEPT_LINES {
                    state.lines.pop_front();
                }
                state.lines.push_back(line.to_string());
                if !state.attached {
                    told.push_str(&self.prefix);
                }
                told.push_str(line);
                told.push('\n');
            }
        }
        self.shared.changed.notify_all();
        (self.tell)(&told);
    }
}

fn ending(status: Option<&ExitStatus>, asked_to_stop: bool) -> Ending {
    match status.and_then(ExitStatus::code) {
        Some(0 | 130) if asked_to_stop => Ending::Stopped,
        Some(code) => Ending::Code(code),
        None => Ending::Killed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_called_by_what_it_does() {
        assert_eq!(label("kafka-console-consumer.sh"), "consumer");
        assert_eq!(label("kafka-console-producer"), "producer");
        assert_eq!(label("kafka-producer-perf-test"), "producer-perf-test");
        assert_eq!(label("worker"), "worker");
    }

    #[test]
    fn endings_are_told_apart() {
        assert_eq!(Ending::Code(0).to_string(), "ended");
        assert_eq!(Ending::Code(1).to_string(), "ended with exit code 1");
        assert_eq!(ending(None, true), Ending::Killed);
    }
}
