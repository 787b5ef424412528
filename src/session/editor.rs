//! The line editor of the prompt: history, completion with Tab, and printing above the line.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};

use super::screen::Above;
use super::words;
use crate::problem::{Outcome, Problem};
use crate::tools;

/// What Tab knows of the cluster and the course; the session's watcher keeps it fresh, so that Tab never waits.
#[derive(Debug, Default)]
pub struct Known {
    /// Topics.
    pub topics: Vec<String>,
    /// Consumer groups.
    pub groups: Vec<String>,
    /// Files of the open exercise.
    pub files: Vec<String>,
    /// Ids of the course's exercises.
    pub exercises: Vec<String>,
}

impl tools::Names for Known {
    fn topics(&self) -> Vec<String> {
        self.topics.clone()
    }
    fn groups(&self) -> Vec<String> {
        self.groups.clone()
    }
}

/// Shared between the watcher, which writes it, and Tab, which reads it.
pub type SharedKnown = Arc<Mutex<Known>>;

/// What a line editor came back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A line.
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or a terminal that has gone.
    End,
}

/// The editor.
pub struct LineEditor {
    editor: Editor<Tab, FileHistory>,
    history: PathBuf,
}

impl LineEditor {
    /// An editor on this terminal, with the history of earlier sessions.
    pub fn new(history: &Path, known: SharedKnown) -> Outcome<Self> {
        let no_terminal =
            |error: ReadlineError| Problem::new(format!("this terminal can't be used: {error}"));
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .max_history_size(1000)
            .map_err(no_terminal)?
            .build();
        let mut editor = Editor::with_config(config).map_err(no_terminal)?;
        editor.set_helper(Some(Tab {
            known,
            hinter: HistoryHinter::new(),
            on: true,
        }));
        if history.exists() {
            // A damaged history is only a lost convenience.
            drop(editor.load_history(history));
        }
        Ok(Self {
            editor,
            history: history.to_path_buf(),
        })
    }

    /// What prints above the edited line; `None` on a terminal that can't.
    pub fn above(&mut self) -> Option<Box<dyn Above>> {
        let printer = self.editor.create_external_printer().ok()?;
        Some(Box::new(Printer(printer)))
    }

    /// Reads a line of the lab's own prompt; it goes into the history.
    pub fn command(&mut self, prompt: &str) -> Typed {
        let typed = self.read(prompt);
        if let Typed::Line(line) = &typed
            && !line.trim().is_empty()
            && self.editor.add_history_entry(line).unwrap_or(false)
            && let Some(folder) = self.history.parent()
            && std::fs::create_dir_all(folder).is_ok()
        {
            // Appending keeps what another terminal has added meanwhile.
            drop(self.editor.append_history(&self.history));
        }
        typed
    }

    /// Reads a line for a running command; it stays out of the history.
    pub fn input(&mut self, prompt: &str) -> Typed {
        self.assist(false);
        let typed = self.read(prompt);
        self.assist(true);
        typed
    }

    fn assist(&mut self, on: bool) {
        if let Some(tab) = self.editor.helper_mut() {
            tab.on = on;
        }
    }

    fn read(&mut self, prompt: &str) -> Typed {
        match self.editor.readline(prompt) {
            Ok(line) => Typed::Line(line),
            Err(ReadlineError::Interrupted) => Typed::Interrupt,
            Err(_) => Typed::End,
        }
    }
}

struct Printer<P>(P);

impl<P: ExternalPrinter + Send> Above for Printer<P> {
    fn print(&mut self, text: &str) -> io::Result<()> {
        self.0.print(text.to_string()).map_err(io::Error::other)
    }
}

struct Tab {
    known: SharedKnown,
    hinter: HistoryHinter,
    /// Records that are typed are no commands: nothing is suggested for them.
    on: bool,
}

impl Completer for Tab {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        if !self.on {
            return Ok((pos, Vec::new()));
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(complete(&line[..pos], &known))
    }
}

/// What can stand where the cursor is: the place at which it starts, and the candidates.
fn complete(before: &str, known: &Known) -> (usize, Vec<Pair>) {
    let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let partial = &before[start..];
    let words: Vec<String> = before[..start].split_whitespace().map(str::to_string).collect();
    let mut found: Vec<(String, &str)> = Vec::new();
    match words.first().map(String::as_str) {
        None => {
            found.extend(
                words::WORDS
                    .iter()
                    .map(|entry| (entry.name.to_string(), entry.help)),
            );
            found.extend(tools::names().map(|name| (name.to_string(), "")));
        }
        Some(_) if words.last().is_some_and(|word| word == "<") => found.extend(plain(&known.files)),
        Some(tool) if tools::is_tool(tool) => {
            found.extend(
                tools::complete(&words, partial, known)
                    .into_iter()
                    .map(|one| (one.text, one.help)),
            );
        }
        Some(typed) => match words::find(typed).map(|entry| entry.word) {
            Some(words::Word::Sql | words::Word::Edit) => found.extend(plain(&known.files)),
            Some(words::Word::Start) => found.extend(plain(&known.exercises)),
            Some(words::Word::Job) if words.len() == 1 => {
                found.extend(["list", "show", "stop", "logs"].map(|verb| (verb.to_string(), "")));
            }
            Some(words::Word::Hands) if words.len() == 1 => {
                let verbs: &[&str] = match words[0].as_str() {
                    "broker" => &[
                        "list",
                        "stop",
                        "kill",
                        "start",
                        "pause-replication",
                        "resume-replication",
                    ],
                    "clock" => &["advance"],
                    _ => &["add", "list", "clear"],
                };
                found.extend(verbs.iter().map(|verb| ((*verb).to_string(), "")));
            }
            Some(words::Word::Txn) if words.len() == 1 => {
                let verbs = ["begin", "send", "commit", "abort", "close", "list"];
                found.extend(verbs.map(|verb| (verb.to_string(), "")));
            }
            Some(words::Word::Help) => found.extend(tools::names().map(|name| (name.to_string(), ""))),
            _ => {}
        },
    }
    let candidates = found
        .into_iter()
        .filter(|(text, _)| text.starts_with(partial))
        .map(|(text, _)| Pair {
            display: text.clone(),
            replacement: text + " ",
        })
        .collect();
    (start, candidates)
}

fn plain(names: &[String]) -> impl Iterator<Item = (String, &'static str)> + '_ {
    names.iter().map(|name| (name.clone(), ""))
}

impl Hinter for Tab {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
        if self.on {
            self.hinter.hint(line, pos, context)
        } else {
            None
        }
    }
}

impl Highlighter for Tab {
    fn highlight_hint<'h>(&self, hint: &'h str) -> std::borrow::Cow<'h, str> {
        console::style(hint).dim().to_string().into()
    }
}

impl Validator for Tab {
    /// A backslash at the end of a command goes on in the next line, as in a shell.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        if self.on && context.input().ends_with('\\') {
            return Ok(ValidationResult::Incomplete);
        }
        Ok(ValidationResult::Valid(None))
    }
}
impl Helper for Tab {}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(before: &str) -> Vec<String> {
        let known = Known {
            topics: vec!["rides".into()],
            groups: vec!["billing".into()],
            files: vec!["rides_per_minute.sql".into()],
            exercises: vec!["1.1".into(), "1.2".into()],
        };
        complete(before, &known)
            .1
            .into_iter()
            .map(|pair| pair.replacement)
            .collect()
    }

    #[test]
    fn tab_completes_words_tools_files_and_exercises() {
        assert_eq!(texts("hi"), ["hint "]);
        assert!(texts("kafka-t").contains(&"kafka-topics ".to_string()));
        assert_eq!(texts("sql r"), ["rides_per_minute.sql "]);
        assert_eq!(texts("start 1."), ["1.1 ", "1.2 "]);
        assert_eq!(
            texts("kafka-console-producer --topic rides < "),
            ["rides_per_minute.sql "]
        );
        assert_eq!(texts("kafka-topics --describe --topic r"), ["rides "]);
        assert!(texts("nonsense x").is_empty());
    }
}
