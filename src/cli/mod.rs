//! The command line: one table of commands, each run by its room's `command` module.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::problem::{Exit, Outcome, Problem};
use crate::{author, jobs, lab, quiz, session, tools};

/// A training lab for Apache Kafka and Apache Flink, in the terminal.
///
/// Without a command: the guided course, from where you were.
#[derive(Debug, Parser)]
#[command(
    name = "streamlings",
    version,
    max_term_width = 100,
    infer_subcommands = false
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Lab(lab::command::Command),
    #[command(flatten)]
    Course(session::command::Command),
    #[command(flatten)]
    Jobs(jobs::command::Command),
    #[command(flatten)]
    Quiz(quiz::command::Command),
    #[command(subcommand, about = "Make exercises and questions, and check them")]
    Author(author::command::Command),
    /// Print the completions of a shell, to be loaded by it
    #[command(after_help = "bash: source <(streamlings completions bash)\n\
        zsh:  source <(streamlings completions zsh)\n\
        fish: streamlings completions fish | source")]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// A tool beside a prompt.
    #[command(name = "tool-process", hide = true)]
    ToolProcess,
    /// One of Kafka's tools, with its own flags: kafka-topics, kafka-console-producer, …
    #[command(external_subcommand)]
    Tool(Vec<OsString>),
}

/// The names of the lab's own commands, for a suggestion.
pub fn command_names() -> Vec<String> {
    use clap::CommandFactory;
    Cli::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_owned())
        .collect()
}

/// Parses the command line, runs the command, renders what went wrong.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // A closed pipe is the reader's choice, not an error.
            drop(error.print());
            return code.into();
        }
    };
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(problem) => {
            eprint!("{}", problem.render());
            problem.exit.into()
        }
    }
}

fn run(cli: Cli) -> Outcome<Exit> {
    match cli.command {
        None => session::command::guided(),
        Some(Command::Lab(command)) => lab::command::run(command),
        Some(Command::Course(command)) => session::command::run(command),
        Some(Command::Jobs(command)) => jobs::command::run(command),
        Some(Command::Quiz(command)) => quiz::command::run(command),
        Some(Command::Author(command)) => author::command::run(command),
        Some(Command::Completions { shell }) => {
            completions(shell);
            Ok(Exit::Done)
        }
        Some(Command::ToolProcess) => tools::background::serve(),
        Some(Command::Tool(words)) => tool(words),
    }
}

fn completions(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "streamlings", &mut script);
    // A closed pipe is the reader's choice, not an error.
    drop(std::io::stdout().write_all(&script));
}

fn tool(words: Vec<OsString>) -> Outcome<Exit> {
    let mut args = Vec::with_capacity(words.len());
    for word in words {
        args.push(
            word.into_string()
                .map_err(|word| Problem::new(format!("'{}' is not valid UTF-8", word.to_string_lossy())))?,
        );
    }
    tools::command::run(&args)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_table_of_commands_is_consistent() {
        super::Cli::command().debug_assert();
    }

    /// Commands and flags that docs/CLI.md doesn't name.
    fn untold(command: &clap::Command, path: &str, doc: &str, missing: &mut Vec<String>) {
        for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
            if let Some(long) = flag.get_long()
                && !doc.contains(&format!("--{long}"))
            {
                missing.push(format!("{path} --{long}"));
            }
        }
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let name = inner.get_name();
            let path = format!("{path} {name}");
            let said = doc
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .any(|word| word == name);
            if !said {
                missing.push(path.clone());
            }
            untold(inner, &path, doc, missing);
        }
    }

    #[test]
    fn the_page_of_the_command_line_names_every_command_and_flag() {
        let mut missing = Vec::new();
        untold(
            &super::Cli::command(),
            "streamlings",
            include_str!("../../docs/CLI.md"),
            &mut missing,
        );
        assert!(missing.is_empty(), "docs/CLI.md says nothing of {missing:?}");
    }
}
