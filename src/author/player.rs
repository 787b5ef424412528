//! Types a script's lines as a learner would, without a terminal.

use std::io::{BufRead, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::check::CheckContext;
use crate::course::checks::CheckKind;
use crate::course::files::safe_path;
use crate::course::script::{Command, Player, ScriptFile, Stdin};
use crate::course::{Course, Exercise, Step};
use crate::home::{Readers, write_atomic};
use crate::jobs::status::Submit;
use crate::kafka::{Admin, GroupState, Target};
use crate::lab::{LabClient, hands};
use crate::problem::{Exit, Outcome, Problem};
use crate::tools::background::{Background, Start, Wait};
use crate::tools::txn::TxnDesk;
use crate::tools::{self, ToolFiles, ToolIo};

/// A command that has not ended by itself is ended as Ctrl-C would.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(20);
/// Most output that is kept of a command.
const OUTPUT_LIMIT: usize = 16 * 1024;

/// A learner that is none: a work folder, a cluster, and what was said.
pub struct Typist<'a> {
    /// How the cluster is reached.
    pub target: &'a Target,
    /// For jobs and brokers.
    pub lab: Option<&'a LabClient>,
    /// The work folder.
    pub folder: &'a Path,
    /// What runs beside the script.
    pub background: &'a mut Background,
    /// The transactional producers that it holds.
    pub txn: &'a mut TxnDesk,
    /// Where answers go.
    pub context: &'a mut CheckContext,
    /// The step whose questions are answered.
    pub step: &'a Step,
    /// The questions that are answered, in order.
    pub answered: Vec<String>,
    /// The last command and what it said, for the report.
    pub last: Said,
    /// The first command that did not end by itself.
    pub endless: Option<String>,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

/// A command and what it said.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The line.
    pub command: String,
    /// Its output and its errors.
    pub output: String,
}

/// Copies an exercise's files into a work folder.
pub fn copy_files(course: &Course, exercise: &Exercise, folder: &Path) -> Outcome<()> {
    for name in &exercise.work_files {
        put(folder, name, &course.file(exercise, &format!("files/{name}"))?)?;
    }
    Ok(())
}

fn put(folder: &Path, name: &str, content: &[u8]) -> Outcome<()> {
    let path = inside(folder, name)?;
    write_atomic(&path, content, Readers::Anyone)
        .map_err(|error| Problem::new(format!("the work folder can't be written: {error}")).at(path, None))
}

fn inside(folder: &Path, name: &str) -> Outcome<PathBuf> {
    safe_path(name).map_err(Problem::new)?;
    Ok(folder.join(name))
}

impl Player for Typist<'_> {
    fn put_file(&mut self, file: &ScriptFile) -> Outcome<()> {
        put(self.folder, &file.name, file.content.as_bytes())
    }

    fn run(&mut self, command: &Command) -> Outcome<()> {
        let stdin = match &command.stdin {
            Stdin::None => Vec::new(),
            Stdin::Text(text) => text.clone().into_bytes(),
            Stdin::File(name) => std::fs::read(inside(self.folder, name)?).map_err(|error| {
                Problem::new(format!("the work folder has no file '{name}': {error}"))
                    .next("put it into the exercise's files/ folder, or add a block file=NAME")
            })?,
        };
        self.last = Said {
            command: command.text.clone(),
            ..Said::default()
        };
        let words = &command.words;
        match words[0].as_str() {
            "answer" => self.answer(&words[1..]),
            "sql" | "job" => self.job(words),
            "broker" | "clock" | "fault" => self.lab_word(words),
            "jobs" | "logs" => Ok(()),
            "stop" | "kill" | "fg" | "wait" => self.beside(words),
            "txn" => {
                self.transaction(words);
                Ok(())
            }
            _ if command.background => self.start_beside(command, stdin),
            word if tools::is_own_process(word) => self.own_process(command),
            _ => {
                self.tool(words, stdin);
                Ok(())
            }
        }
    }
}

impl Typist<'_> {
    /// As the prompt takes it: the first question that has no answer yet, or `answer 2 TEXT`.
    fn answer(&mut self, words: &[String]) -> Outcome<()> {
        let questions: Vec<&str> = self
            .step
            .checks
            .iter()
            .filter_map(|check| match &check.kind {
                CheckKind::Answer(check) => Some(check.answer.as_str()),
                _ => None,
            })
            .collect();
        let numbered = words.first().and_then(|word| {
            let index = word.parse::<usize>().ok()?.checked_sub(1)?;
            (questions.len() > 1 && words.len() > 1 && index < questions.len()).then_some(index)
        });
        let open = questions
            .iter()
            .find(|question| !self.answered.iter().any(|answered| answered == *question));
        let question = numbered.map_or(open.or(questions.last()), |index| questions.get(index));
        let words = &words[usize::from(numbered.is_some())..];
        let Some(question) = question else {
            return Err(Problem::new("this step asks no question"));
        };
        self.context.set_answer(question, &words.join(" "));
        self.answered.push((*question).to_string());
        Ok(())
    }

    fn tool(&mut self, words: &[String], stdin: Vec<u8>) {
        let (target, files) = (self.target, ToolFiles::only(self.folder));
        let (said, endless) = watched(self.cancel, |cancel, mut stdout, mut stderr| {
            let stdin: Box<dyn BufRead + Send> = Box::new(Cursor::new(stdin));
            tools::run(
                words,
                &mut ToolIo {
                    target,
                    files,
                    stdin,
                    stdin_is_terminal: false,
                    stdout: &mut stdout,
                    stdout_is_terminal: true,
                    stderr: &mut stderr,
                    cancel,
                    hints: false,
                },
            );
        });
        self.last.output = said;
        if endless {
            self.ended_by_us();
        }
    }

    fn ended_by_us(&mut self) {
        self.endless.get_or_insert_with(|| self.last.command.clone());
    }

    fn start(&mut self, command: &Command, input: Vec<u8>, attached: bool) -> Outcome<usize> {
        self.background.start(Start {
            words: &command.words,
            text: &command.text,
            input: Some(input),
            target: self.target,
            files: &ToolFiles::only(self.folder),
            hints: false,
            attached,
        })
    }

    /// `COMMAND &`. A consumer has its place in its group before the next line, as somebody who looks would wait for.
    fn start_beside(&mut self, command: &Command, input: Vec<u8>) -> Outcome<()> {
        let joins = Joins::of(&command.words, self.target);
        let id = self.start(command, input, false)?;
        if let Some(joins) = joins {
            let deadline = Instant::now() + COMMAND_LIMIT;
            while self.background.ending(id).is_none()
                && Instant::now() < deadline
                && !self.cancel.is_cancelled()
                && !joins.done()
            {
                std::thread::park_timeout(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    fn own_process(&mut self, command: &Command) -> Outcome<()> {
        let id = self.start(command, Vec::new(), true)?;
        self.until_end(id)?;
        self.last.output = self.background.logs(id)?.join("\n");
        Ok(())
    }

    /// Waits until a job has ended; ends it as Ctrl-C would when it takes too long.
    fn until_end(&mut self, id: usize) -> Outcome<()> {
        let deadline = Some(Instant::now() + COMMAND_LIMIT);
        if !self.background.wait(id, None, deadline, self.cancel)? {
            self.background.stop(id)?;
            self.ended_by_us();
        }
        Ok(())
    }

    fn beside(&mut self, words: &[String]) -> Outcome<()> {
        if words[0] == "wait" {
            let deadline = Some(Instant::now() + COMMAND_LIMIT);
            return Wait::of(&words[1..], self.background)?.run(self.background, deadline, self.cancel);
        }
        let id = self.background.find(words.get(1).map(String::as_str))?;
        match words[0].as_str() {
            "stop" => self.background.stop(id),
            "kill" => self.background.kill(id),
            _ => {
                self.until_end(id)?;
                self.last.output = self.background.logs(id)?.join("\n");
                Ok(())
            }
        }
    }

    /// A refusal belongs to the play: a zombie's commit has to fail.
    fn transaction(&mut self, words: &[String]) {
        let mut said = Vec::new();
        self.last.output = match self.txn.run(words, self.target, &mut said) {
            Ok(()) => String::from_utf8_lossy(&said).into_owned(),
            Err(problem) => problem.render(),
        };
    }

    /// `sql FILE` and `job stop NAME`. A refusal belongs to the play: a wrong solution may be refused.
    fn job(&mut self, words: &[String]) -> Outcome<()> {
        let Some(lab) = self.lab else {
            return Err(Problem::new("this lab runs no jobs").exit(Exit::NoLab));
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let refusal = match words.as_slice() {
            ["sql", name] => {
                let path = inside(self.folder, name)?;
                let sql = std::fs::read_to_string(&path).map_err(|error| {
                    Problem::new(format!("the work folder has no file '{name}': {error}"))
                        .next("put it into the exercise's files/ folder, or add a block file=NAME")
                })?;
                let file = (*name).to_string();
                lab.submit(&Submit { sql, file })?.err()
            }
            ["job", "stop", name] => lab.stop_job(name)?.err(),
            ["job", "list" | "show" | "logs", ..] => None,
            _ => {
                return Err(
                    Problem::new(format!("a solution can't type '{}'", words.join(" ")))
                        .next("sql FILE, job stop NAME"),
                );
            }
        };
        self.last.output = refusal.map_or_else(String::new, |refusal| {
            let line = refusal
                .line
                .map_or_else(String::new, |line| format!(" (line {line})"));
            let help = refusal.help.map_or_else(String::new, |help| format!("\n{help}"));
            crate::ui::visible(&format!("{}{line}{help}", refusal.message)).into_owned()
        });
        Ok(())
    }

    fn lab_word(&mut self, words: &[String]) -> Outcome<()> {
        let Some(lab) = self.lab else {
            return Err(Problem::new("this needs a lab that owns its brokers").exit(Exit::NoLab));
        };
        // A refusal is no part of a play: the lab can't do what the exercise needs.
        let mut said = Vec::new();
        hands::run_line(words, lab, &mut said)?;
        self.last.output = String::from_utf8_lossy(&said).into_owned();
        Ok(())
    }
}

/// A consumer that is about to join a group, and the members that were there before.
struct Joins {
    admin: Admin,
    group: Option<String>,
    before: Vec<String>,
}

impl Joins {
    /// `None`: the command joins no group.
    fn of(words: &[String], target: &Target) -> Option<Self> {
        let consumes = words[0].starts_with("kafka-console-consumer") || tools::is_own_process(&words[0]);
        let flag = |name: &str| words.iter().position(|word| word == name);
        if !consumes || flag("--partition").is_some() {
            return None;
        }
        let admin = Admin::new(target, Duration::from_secs(5)).ok()?;
        let mut joins = Self {
            admin,
            group: flag("--group").and_then(|at| words.get(at + 1)).cloned(),
            before: Vec::new(),
        };
        joins.before = joins.members();
        Some(joins)
    }

    /// The members that have their partitions, of the group or of all that consumers without one have made.
    fn members(&self) -> Vec<String> {
        let groups = if let Some(group) = &self.group {
            vec![group.clone()]
        } else {
            let listed = self.admin.groups().unwrap_or_default();
            let names = listed.into_iter().map(|group| group.name);
            names
                .filter(|name| name.starts_with("console-consumer-"))
                .collect()
        };
        groups
            .iter()
            .filter_map(|group| self.admin.group(group).ok().flatten())
            .filter(|group| group.state == GroupState::Stable)
            .flat_map(|group| group.members)
            .map(|member| member.id)
            .collect()
    }

    fn done(&self) -> bool {
        self.members().iter().any(|member| !self.before.contains(member))
    }
}

/// Runs a command with a limit of time and of output. What it said, and whether it had to be ended.
fn watched(outer: &Cancel, run: impl FnOnce(Cancel, Capture, Capture) + Send) -> (String, bool) {
    let cancel = Cancel::default();
    let (stdout, stderr) = (Capture::default(), Capture::default());
    let output = (stdout.clone(), stderr.clone());
    let (ended, end) = channel::<()>();
    let endless = std::thread::scope(|scope| {
        let worker = cancel.clone();
        scope.spawn(move || {
            run(worker, stdout, stderr);
            drop(ended);
        });
        let deadline = std::time::Instant::now() + COMMAND_LIMIT;
        loop {
            match end.recv_timeout(Duration::from_millis(50)) {
                Err(RecvTimeoutError::Timeout) if outer.is_cancelled() => cancel.cancel(),
                Err(RecvTimeoutError::Timeout) if std::time::Instant::now() >= deadline => {
                    cancel.cancel();
                    return true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                _ => return false,
            }
        }
    });
    (format!("{}{}", output.0.text(), output.1.text()), endless)
}

/// Keeps the first part of what is written.
#[derive(Debug, Clone, Default)]
struct Capture(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Capture {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        crate::ui::visible(&String::from_utf8_lossy(&bytes)).into_owned()
    }
}

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let room = OUTPUT_LIMIT.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
