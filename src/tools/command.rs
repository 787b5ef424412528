//! A tool from the shell: `streamlings kafka-topics …`.

use std::io::{BufWriter, IsTerminal};

use crate::cancel::Cancel;
use crate::home::Home;
use crate::kafka::Target;
use crate::problem::{Exit, Outcome, Problem};

use super::flags::nearest;
use super::{ToolIo, is_tool, names, run as run_tool, terminal_input};

/// Runs the tool that `args[0]` names, with the rest as its flags; ends the process with the tool's own exit code.
pub fn run(args: &[String]) -> Outcome<Exit> {
    let Some(name) = args.first() else {
        return Err(Problem::new("no command was given").next("streamlings --help"));
    };
    if !is_tool(name) {
        return Err(unknown(name));
    }
    let target = target(args)?;
    let cancel = Cancel::on_interrupt();
    let mut stdout = BufWriter::new(std::io::stdout());
    let mut stderr = std::io::stderr();
    let mut io = ToolIo {
        target: &target,
        files: super::ToolFiles::default(),
        stdin: terminal_input(cancel.clone()),
        stdin_is_terminal: std::io::stdin().is_terminal(),
        stdout: &mut stdout,
        stdout_is_terminal: std::io::stdout().is_terminal(),
        stderr: &mut stderr,
        cancel,
        hints: true,
    };
    match run_tool(args, &mut io) {
        0 => Ok(Exit::Done),
        1 => Ok(Exit::NotYet),
        // Codes of Kafka's tools that the lab's own commands don't have (130 after Ctrl-C).
        code => std::process::exit(code),
    }
}

/// The running lab, unless the command line names a cluster or asks for none.
fn target(args: &[String]) -> Outcome<Target> {
    let names_cluster =
        |word: &String| word == "--bootstrap-server" || word.starts_with("--bootstrap-server=");
    let needs_none = |word: &String| word == "--help" || word == "--version";
    let lab = crate::lab::LabClient::connect(&Home::find()?)?;
    if let Some(lab) = lab {
        return Ok(lab.target().clone());
    }
    let reads_files = args.first().is_some_and(|name| super::reads_files(name));
    if reads_files || args.iter().any(|word| names_cluster(word) || needs_none(word)) {
        return Ok(Target::new(""));
    }
    Err(Problem::new("no lab is running")
        .next("start one with `streamlings up`, or name a cluster with --bootstrap-server host:port")
        .exit(Exit::NoLab))
}

/// A word that is no command: the one that was meant, among the lab's commands and the tools.
fn unknown(word: &str) -> Problem {
    let mut all: Vec<String> = names().map(str::to_owned).collect();
    all.extend(crate::cli::command_names());
    let shown = crate::ui::visible(word);
    let problem = Problem::new(format!("there is no command '{shown}'"));
    let bare = super::bare_name(word);
    // `ktopics`, `topics`, `console-consumer`: what a tool's name ends with.
    let ending = bare
        .strip_prefix("kafka")
        .or(bare.strip_prefix('k'))
        .unwrap_or(bare)
        .trim_start_matches('-');
    let by_ending = all
        .iter()
        .find(|name| ending.len() > 3 && (name.ends_with(ending) || name.ends_with(&format!("-{ending}s"))))
        .map(String::as_str);
    match nearest(bare, all.iter().map(String::as_str)).or(by_ending) {
        Some(name) => problem.next(format!("did you mean `streamlings {name}`?")),
        None => problem.next("`streamlings --help` lists the commands"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_gets_a_suggestion() {
        let next = |word: &str| unknown(word).next.unwrap_or_default();
        assert_eq!(next("ktopics"), "did you mean `streamlings kafka-topics`?");
        assert_eq!(next("kafka-topic"), "did you mean `streamlings kafka-topics`?");
        assert_eq!(
            next("console-consumer"),
            "did you mean `streamlings kafka-console-consumer`?"
        );
        assert_eq!(
            next("consumer-group"),
            "did you mean `streamlings kafka-consumer-groups`?"
        );
        assert_eq!(next("zzz"), "`streamlings --help` lists the commands");
    }
}
