//! What a tool gets from its caller, and how it can end.

use std::io::{self, BufRead, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::kafka::{Admin, KafkaError, Target, Wire};

/// How long a tool waits for the cluster.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the files are that a command line names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToolFiles {
    /// Relative names begin here; `None`: in the process's folder.
    folder: Option<PathBuf>,
    /// No other file may be read: the command line is a course's.
    only_there: bool,
}

impl ToolFiles {
    /// A learner's: relative names begin in the exercise's folder, and any file may be named.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
            only_there: false,
        }
    }

    /// A course's: files of this folder and no others.
    pub fn only(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
            only_there: true,
        }
    }

    /// Where a file is.
    pub(super) fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        let below = |part| matches!(part, Component::Normal(_));
        if self.only_there && !Path::new(name).components().all(below) {
            return Err(Failure::Error(format!(
                "{name}: a course names files of its own folder only"
            )));
        }
        let folder = self.folder.as_ref();
        Ok(folder.map_or_else(|| name.into(), |folder| folder.join(name)))
    }

    /// The entries of a JSON file `{"partitions": […]}`, as several tools take it.
    pub(super) fn read_partitions<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, Failure> {
        #[derive(Deserialize)]
        struct File<T> {
            partitions: Vec<T>,
        }
        let file: File<T> = serde_json::from_str(&self.read(name)?)
            .map_err(|error| Failure::Error(format!("{name}:{}: {error}", error.line())))?;
        Ok(file.partitions)
    }

    /// The text of a file.
    pub(super) fn read(&self, name: &str) -> Result<String, Failure> {
        std::fs::read_to_string(self.path(name)?).map_err(|error| Failure::Error(format!("{name}: {error}")))
    }
}

/// Everything that a tool reads, writes and obeys.
pub struct ToolIo<'a> {
    /// The lab's cluster; `--bootstrap-server` names another one.
    pub target: &'a Target,
    /// Where the files are that its flags name.
    pub files: ToolFiles,
    /// Standard input: the producer's records. [`terminal_input`] for a real one, so that Ctrl-C ends the wait for a line.
    pub stdin: Box<dyn BufRead + Send>,
    /// A person types: the producer prints its prompt `>`.
    pub stdin_is_terminal: bool,
    /// Results.
    pub stdout: &'a mut (dyn Write + Send),
    /// Control characters in records are made visible.
    pub stdout_is_terminal: bool,
    /// All else.
    pub stderr: &'a mut (dyn Write + Send),
    /// Ctrl-C.
    pub cancel: Cancel,
    /// The lab adds lines of its own to stderr (`hint: …`) where Kafka's tool leaves a learner alone.
    pub hints: bool,
}

impl ToolIo<'_> {
    /// Advice of the lab's own: one line, wrapped where a person reads it.
    pub(super) fn hint(&mut self, text: &str) -> io::Result<()> {
        if !self.hints {
            return Ok(());
        }
        let line = format!("hint: {}", crate::ui::visible(text));
        if self.stdout_is_terminal {
            let wrapped = crate::ui::indented(&line, 0, 6, crate::ui::width());
            return self.stderr.write_all(wrapped.as_bytes());
        }
        writeln!(self.stderr, "{line}")
    }
}

/// An administration client for a tool.
pub(super) fn admin(target: &Target) -> Result<Admin, Failure> {
    Ok(Admin::new(target, PATIENCE)?)
}

/// A client for what librdkafka can't ask.
pub(super) fn wire(target: &Target) -> Result<Wire, Failure> {
    Ok(Wire::connect(target, PATIENCE)?)
}

/// Why a tool ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Wrong usage, in the tool's words.
    Usage(String),
    /// A flag that the tool doesn't have.
    UnknownFlag(String),
    /// What went wrong; each tool has its own frame for it.
    Error(String),
    /// As [`Error`](Self::Error), from the cluster.
    Kafka(KafkaError),
    /// A message for stderr without the tool's frame, and exit code 1.
    Bare(String),
    /// Already told; the exit code.
    Exit(i32),
    /// Output that nobody reads any more, or input that can't be read.
    Io(io::Error),
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The result of a tool.
pub(super) type Ran = Result<(), Failure>;

/// How long a read waits before it looks at the flag again.
const LOOK_AGAIN_MS: u16 = 50;

/// Standard input as lines that a [`Cancel`] ends: waiting for a key must not keep the tool from ending, nor swallow
/// the line that is typed next at the prompt.
pub fn terminal_input(cancel: Cancel) -> Box<dyn BufRead + Send> {
    // Larger than the buffer inside `std::io::Stdin`, which is then passed by: what was read ahead would be lost.
    Box::new(io::BufReader::with_capacity(64 * 1024, Input { cancel }))
}

struct Input {
    cancel: Cancel,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.cancel.is_cancelled() {
                return Ok(0);
            }
            if is_readable()? {
                return io::stdin().read(buffer);
            }
        }
    }
}

#[cfg(unix)]
fn is_readable() -> io::Result<bool> {
    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, poll};
    use std::os::fd::AsFd;

    let stdin = io::stdin();
    let mut files = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut files, LOOK_AGAIN_MS) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn is_readable() -> io::Result<bool> {
    Ok(true)
}
