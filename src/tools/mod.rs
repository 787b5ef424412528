//! Kafka's command-line tools with the real syntax and the real output.
//!
//! One file a tool; each has one table of flags (`flags.rs`). The reference is Apache Kafka 4.3.1: `tests/tools/` holds
//! what its tools said to the same command lines, and `tests/real/tools/compare` asks them again.

pub mod background;
mod complete;
mod configs;
mod consumer;
mod coordinator;
mod delete_records;
mod dump_log;
mod flags;
mod groups;
mod io;
mod java;
mod leader_election;
mod log_dirs;
mod names;
mod offsets;
mod perf;
mod producer;
mod properties;
mod reassign;
mod table;
mod topics;
mod transactions;
pub mod txn;
mod worker;

pub mod command;

pub use complete::{Candidate, Names, complete};
pub use io::{ToolFiles, ToolIo, terminal_input};

use flags::{Args, Flag, Syntax};
use io::{Failure, Ran};

/// The version of Kafka whose tools these follow.
const KAFKA_VERSION: &str = "4.3.1";

/// A tool: its table of flags and its body.
struct Tool {
    name: &'static str,
    about: &'static str,
    /// Command lines worth copying, without the tool's name.
    examples: &'static [&'static str],
    syntax: Syntax,
    flags: &'static [Flag],
    run: fn(&Args, &mut ToolIo<'_>) -> Ran,
    /// How the tool frames an error.
    frame: fn(&str) -> Framed,
}

/// An error as a tool prints it.
struct Framed {
    /// Kafka's tools tell some errors on stdout.
    on_stdout: bool,
    text: String,
    exit: i32,
}

impl Framed {
    /// The message alone on stderr, and exit code 1: as most of the tools end.
    fn plain(message: &str) -> Self {
        Self {
            on_stdout: false,
            text: format!("{message}\n"),
            exit: 1,
        }
    }
}

/// All tools, by name.
static TOOLS: [&Tool; 14] = [
    &configs::TOOL,
    &consumer::TOOL,
    &producer::TOOL,
    &groups::TOOL,
    &delete_records::TOOL,
    &dump_log::TOOL,
    &offsets::TOOL,
    &leader_election::TOOL,
    &log_dirs::TOOL,
    &perf::TOOL,
    &reassign::TOOL,
    &topics::TOOL,
    &transactions::TOOL,
    &worker::TOOL,
];

/// The names of all tools.
pub fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|tool| tool.name)
}

/// Whether a word names a tool; Kafka's own `.sh` may follow.
pub fn is_tool(word: &str) -> bool {
    find(word).is_some()
}

/// Whether a tool reads standard input.
pub fn reads_input(word: &str) -> bool {
    find(word).is_some_and(|tool| tool.name == producer::TOOL.name)
}

/// Whether a command line asks the lab's cluster: it names no other one, and asks for more than help.
pub fn needs_lab(words: &[String]) -> bool {
    !words.iter().skip(1).any(|word| {
        let name = word.split('=').next().unwrap_or_default();
        ["--bootstrap-server", "--help", "--version"].contains(&name)
    })
}

/// Whether a tool can do without a cluster: it reads files.
fn reads_files(word: &str) -> bool {
    find(word).is_some_and(|tool| tool.name == dump_log::TOOL.name)
}

/// Whether a tool has to be a process of its own, also in the foreground: it may end itself as `kill -9` would.
pub fn is_own_process(word: &str) -> bool {
    find(word).is_some_and(|tool| tool.name == worker::TOOL.name)
}

/// What a tool is for, in one sentence.
pub fn about(word: &str) -> Option<&'static str> {
    find(word).map(|tool| tool.about)
}

/// The tool's name in a word that is typed: Kafka's scripts are copied from its documentation with their folder and
/// suffix (`bin/kafka-topics.sh`).
pub(crate) fn bare_name(word: &str) -> &str {
    match word.strip_suffix(".sh") {
        Some(path) => path.rsplit_once('/').map_or(path, |(_, name)| name),
        None => word,
    }
}

fn find(word: &str) -> Option<&'static Tool> {
    let name = bare_name(word);
    TOOLS.iter().find(|tool| tool.name == name).copied()
}

/// Runs the tool that `words[0]` names with the flags after it; the result is the exit code of Kafka's own tool.
pub fn run(words: &[String], io: &mut ToolIo<'_>) -> i32 {
    let Some((tool, rest)) = words
        .split_first()
        .and_then(|(name, rest)| Some((find(name)?, rest)))
    else {
        let word = words.first().map_or("", String::as_str);
        drop(writeln!(io.stderr, "{}: no such tool", crate::ui::visible(word)));
        return 1;
    };
    let outcome = run_tool(tool, rest, io);
    let told = match outcome {
        Ok(()) => Ok(0),
        Err(failure) => tell(tool, failure, io),
    };
    let flushed = io.stdout.flush();
    match told.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit,
        // Nobody reads any more: the reader's choice.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            drop(writeln!(io.stderr, "{error}"));
            1
        }
    }
}

fn run_tool(tool: &Tool, words: &[String], io: &mut ToolIo<'_>) -> Ran {
    let args = flags::parse(tool.syntax, tool.flags, words)?;
    if args.has("help") {
        let help = flags::help(tool.name, tool.about, tool.examples, tool.flags);
        io.stdout.write_all(help.as_bytes())?;
        return Ok(());
    }
    if args.has("version") {
        writeln!(
            io.stdout,
            "{KAFKA_VERSION} (streamlings {})",
            env!("CARGO_PKG_VERSION")
        )?;
        return Ok(());
    }
    (tool.run)(&args, io)
}

/// Tells what went wrong as the tool would; the exit code.
fn tell(tool: &Tool, failure: Failure, io: &mut ToolIo<'_>) -> std::io::Result<i32> {
    // What was printed before comes before.
    io.stdout.flush()?;
    let (message, unreachable) = match failure {
        Failure::Usage(message) => {
            writeln!(io.stderr, "{}", crate::ui::visible(&message))?;
            writeln!(io.stderr, "Run {} --help for its flags.", tool.name)?;
            return Ok(1);
        }
        Failure::UnknownFlag(name) => {
            let shown = crate::ui::visible(&name);
            match tool.syntax {
                Syntax::Jopt => writeln!(io.stderr, "{shown} is not a recognized option")?,
                Syntax::Argparse { program, .. } => {
                    writeln!(io.stderr, "{program}: error: unrecognized arguments: '--{shown}'")?;
                }
            }
            if let Some(near) = flags::similar(tool.flags, &name) {
                writeln!(io.stderr, "Did you mean --{near}?")?;
            }
            writeln!(io.stderr, "Run {} --help for its flags.", tool.name)?;
            return Ok(1);
        }
        Failure::Bare(message) => {
            writeln!(io.stderr, "{}", crate::ui::visible(&message))?;
            return Ok(1);
        }
        Failure::Exit(code) => return Ok(code),
        Failure::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(0),
        Failure::Io(error) => (error.to_string(), false),
        Failure::Error(message) => (message, false),
        Failure::Kafka(error) => (java::message(&error), error.is_timeout()),
    };
    let framed = (tool.frame)(&crate::ui::visible(&message));
    if framed.on_stdout {
        io.stdout.write_all(framed.text.as_bytes())?;
    } else {
        io.stderr.write_all(framed.text.as_bytes())?;
    }
    if unreachable {
        io.hint("no broker answered; `streamlings status` says how the lab is")?;
    }
    Ok(framed.exit)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_tables_of_flags_are_consistent() {
        for tool in TOOLS {
            let mut seen = BTreeSet::new();
            for flag in tool.flags {
                assert!(seen.insert(flag.name), "{}: --{} twice", tool.name, flag.name);
                assert!(
                    flag.name
                        .chars()
                        .all(|c| c.is_ascii_alphabetic() || c == '-' || c == '.'),
                    "{}: --{}",
                    tool.name,
                    flag.name
                );
                assert!(
                    flag.help.ends_with('.') && flag.help.starts_with(|c: char| c.is_uppercase() || c == '`'),
                    "{}: --{}: {}",
                    tool.name,
                    flag.name,
                    flag.help
                );
            }
            for common in ["bootstrap-server", "command-config", "help", "version"] {
                assert!(seen.contains(common), "{}: no --{common}", tool.name);
            }
            for example in tool.examples {
                let words: Vec<String> = example.split_whitespace().map(str::to_owned).collect();
                assert!(
                    flags::parse(tool.syntax, tool.flags, &words).is_ok(),
                    "{}: {example}",
                    tool.name
                );
            }
            let help = flags::help(tool.name, tool.about, tool.examples, tool.flags);
            assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        }
        let names: Vec<&str> = names().collect();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn a_tool_that_names_its_cluster_or_asks_for_help_needs_no_lab() {
        let needs = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            needs_lab(&words)
        };
        assert!(needs("kafka-topics --list"));
        assert!(!needs("kafka-topics --list --bootstrap-server 127.0.0.1:9092"));
        assert!(!needs("kafka-topics --bootstrap-server=127.0.0.1:9092 --list"));
        assert!(!needs("kafka-topics --help"));
    }

    #[test]
    fn the_shell_suffix_of_kafkas_scripts_is_accepted() {
        assert!(is_tool("kafka-topics") && is_tool("kafka-topics.sh"));
        assert!(is_tool("bin/kafka-topics.sh") && is_tool("/opt/kafka/bin/kafka-topics.sh"));
        assert!(
            !is_tool("kafka-topic") && !is_tool("") && !is_tool("bin/kafka-topics") && !is_tool("bin/.sh")
        );
    }
}
