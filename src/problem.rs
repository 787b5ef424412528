//! The one shape in which anything that went wrong reaches the user.
//!
//! Crates and rooms have typed errors of their own; at the edge each becomes a [`Problem`]: what happened, where,
//! what to do next, and the exit code. [`Problem::render`] is the only place that words it.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Not yet: a check that does not hold, a failed quiz, a false badge.
    NotYet = 1,
    /// Wrong usage, or a broken file.
    Usage = 2,
    /// No lab, or a cluster that can't be reached.
    NoLab = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A place in a file that a person wrote; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user knows it.
    pub file: PathBuf,
    /// The line, when it is known.
    pub line: Option<usize>,
    /// The column, when it is known.
    pub column: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// What happened, where, and what to do next.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What happened, in one sentence without a final full stop.
    pub what: String,
    /// The line of a file that it is about.
    pub place: Option<Place>,
    /// What the user can do now: a sentence or a command.
    pub next: Option<String>,
    /// The code that the process ends with.
    pub exit: Exit,
}

impl Problem {
    /// Wrong usage or a broken file, unless [`exit`](Self::exit) says otherwise.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            place: None,
            next: None,
            exit: Exit::Usage,
        }
    }

    /// Names the file and, when known, its line.
    #[must_use]
    pub fn at(mut self, file: impl Into<PathBuf>, line: Option<usize>) -> Self {
        self.place = Some(Place {
            file: file.into(),
            line,
            column: None,
        });
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Sets the exit code.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The problem as text: `error: …`, then the place and the next step, each on a line of its own.
    /// Control characters of untrusted text are made visible.
    pub fn render(&self) -> String {
        let mut text = format!("error: {}\n", self.what);
        if let Some(place) = &self.place {
            text.push_str(&format!("   at: {place}\n"));
        }
        if let Some(next) = &self.next {
            text.push_str(&format!(" next: {next}\n"));
        }
        crate::ui::visible(&text).into_owned()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

/// The result of everything at the edge.
pub type Outcome<T> = Result<T, Problem>;
