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

    /// A line of a prompt or of a course that clap has refused: its first word is `word`.
    pub fn of_line(error: &clap::Error, word: &str) -> Self {
        let text = error.to_string();
        if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1);
            let words = listed.take_while(|line| !line.is_empty()).filter_map(|line| {
                let at = line.len() - line.trim_start().len();
                // What is further in goes on with the description above.
                (at == 2).then(|| line.split_whitespace().next()).flatten()
            });
            let words: Vec<&str> = words.collect();
            return Self::new(format!("{word} what?")).next(format!("{word} {}", words.join("|")));
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let mut what = first.strip_prefix("error: ").unwrap_or(first).to_string();
        let mut next = format!("{word} --help");
        for line in lines {
            if let Some(tip) = line.strip_prefix("tip: ") {
                // How to pass a dash as a value helps nobody here.
                if !tip.contains("similar") {
                    continue;
                }
                next = tip.to_string();
            } else if let Some(usage) = line.strip_prefix("Usage: ") {
                if error.kind() == clap::error::ErrorKind::MissingRequiredArgument {
                    next = format!("write: {usage}");
                }
                break;
            } else {
                what = format!("{what} {line}");
            }
        }
        Self::new(what).next(next)
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

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::Problem;

    #[test]
    fn a_line_that_is_refused_says_what_is_missing_or_was_meant() {
        let told = |line: &str| {
            let stop = Command::new("stop").arg(Arg::new("ID").required(true));
            let broker = Command::new("broker")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .disable_help_subcommand(true);
            let broker = broker.subcommand(stop).subcommand(Command::new("list"));
            let command = Command::new("").no_binary_name(true).subcommand(broker);
            let words: Vec<&str> = line.split_whitespace().collect();
            Problem::of_line(&command.try_get_matches_from(&words).unwrap_err(), words[0]).render()
        };
        for (line, said) in [
            ("broker", "broker what?\n next: broker stop|list\n"),
            (
                "broker stop",
                "not provided: <ID>\n next: write: broker stop <ID>\n",
            ),
            (
                "broker stopp 3",
                "unrecognized subcommand 'stopp'\n next: a similar subcommand exists: 'stop'\n",
            ),
            (
                "broker stop 3 --now",
                "unexpected argument '--now' found\n next: broker --help\n",
            ),
        ] {
            let text = told(line);
            assert!(
                text.starts_with("error: ") && text.ends_with(said),
                "{line}: {text}"
            );
        }
    }
}
