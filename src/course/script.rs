//! What a reference or wrong solution types at the lab's prompt: commands, their stdin, files, and answers. No shell.

use std::path::Path;

use crate::course::files::safe_path;
use crate::course::located::did_you_mean;
use crate::problem::{Outcome, Problem};

/// A solution: files that are put into the learner's folder first, then prompt lines in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Files of the work folder that it replaces before its commands run.
    pub files: Vec<ScriptFile>,
    /// Prompt lines, in order.
    pub commands: Vec<Command>,
}

/// A file of the learner's work folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptFile {
    /// Its path in the work folder.
    pub name: String,
    /// Its whole content.
    pub content: String,
    /// The line of the exercise file on which the content starts.
    pub line: usize,
}

/// One prompt line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The line as it is typed, without the redirection.
    pub text: String,
    /// Its words, split as the prompt splits them.
    pub words: Vec<String>,
    /// What it reads.
    pub stdin: Stdin,
    /// It ends with `&`: it runs beside the commands after it.
    pub background: bool,
    /// The line of the exercise file.
    pub line: usize,
}

/// What a command reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    None,
    /// These lines (`| …` below the command), each with its line end.
    Text(String),
    /// A file of the learner's work folder (`< FILE`).
    File(String),
}

/// Whoever can type a script's lines: `author check`, a test.
pub trait Player {
    /// Puts a file into the work folder.
    fn put_file(&mut self, file: &ScriptFile) -> Outcome<()>;
    /// Runs one prompt line to its end. That a tool fails is no error: the checks see what came of it.
    fn run(&mut self, command: &Command) -> Outcome<()>;
}

impl Script {
    /// Files first, then the lines in order; ends at the first error.
    pub fn play(&self, player: &mut dyn Player) -> Outcome<()> {
        for file in &self.files {
            player.put_file(file)?;
        }
        for command in &self.commands {
            player.run(command)?;
        }
        Ok(())
    }
}

/// The words that a prompt line may begin with, besides the names of Kafka's tools.
pub const PROMPT_WORDS: &[&str] = &[
    "sql", "job", "answer", "broker", "clock", "fault", "txn", "jobs", "stop", "kill", "logs", "fg", "wait",
];

/// The tools that the lab has: Kafka's, and its own.
pub const TOOLS: &[&str] = &[
    "kafka-topics",
    "kafka-console-producer",
    "kafka-console-consumer",
    "kafka-consumer-groups",
    "kafka-get-offsets",
    "kafka-configs",
    "kafka-delete-records",
    "kafka-dump-log",
    "kafka-leader-election",
    "kafka-log-dirs",
    "kafka-producer-perf-test",
    "kafka-reassign-partitions",
    "kafka-transactions",
    "worker",
];

/// Reads the commands of one block, which starts at `first_line` of `file`. `expect: …` lines are returned apart.
pub fn parse(
    text: &str,
    file: &Path,
    first_line: usize,
) -> Result<(Vec<Command>, Vec<String>), Vec<Problem>> {
    let mut commands: Vec<Command> = Vec::new();
    let mut expects = Vec::new();
    let mut problems = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let line = first_line + index;
        let mut fail =
            |what: String, next: &str| problems.push(Problem::new(what).at(file, Some(line)).next(next));
        if let Some(input) = raw.strip_prefix("| ").or_else(|| raw.strip_prefix('|')) {
            match commands.last_mut() {
                Some(command) if command.background => fail(
                    "a command in the background can't be typed to".into(),
                    "let it read a file: COMMAND < FILE &",
                ),
                Some(command) if !matches!(command.stdin, Stdin::File(_)) => add_stdin(command, input),
                Some(_) => fail(
                    "this command already reads a file".into(),
                    "keep `< FILE` or the `| …` lines",
                ),
                None => fail(
                    "no command reads this line".into(),
                    "put the command above its `| …` lines",
                ),
            }
            continue;
        }
        let raw = raw.trim();
        if raw.is_empty() || raw.starts_with('#') {
            continue;
        }
        if let Some(expect) = raw.strip_prefix("expect:") {
            expects.push(expect.trim().to_string());
            continue;
        }
        match command(raw, line) {
            Ok(command) => commands.push(command),
            Err((what, next)) => fail(what, &next),
        }
    }
    if problems.is_empty() {
        Ok((commands, expects))
    } else {
        Err(problems)
    }
}

/// `<TAB>` is a tab that one can see.
fn add_stdin(command: &mut Command, input: &str) {
    let input = input.replace("<TAB>", "\t");
    match &mut command.stdin {
        Stdin::Text(text) => {
            text.push_str(&input);
            text.push('\n');
        }
        stdin => *stdin = Stdin::Text(format!("{input}\n")),
    }
}

fn command(raw: &str, line: usize) -> Result<Command, (String, String)> {
    let shorter = raw.strip_suffix('&').filter(|rest| !rest.ends_with('&'));
    let background = shorter.is_some();
    let raw = shorter.unwrap_or(raw).trim_end();
    let mut words = shell_words::split(raw).map_err(|_| {
        (
            "a quote is not closed on this line".to_string(),
            "close it".to_string(),
        )
    })?;
    let mut text = raw.to_string();
    let mut stdin = Stdin::None;
    if words.len() >= 3 && words[words.len() - 2] == "<" {
        let name = words.pop().unwrap_or_default();
        words.pop();
        safe_path(&name).map_err(|what| (what, "name a file of the exercise's work folder".to_string()))?;
        if let Some(at) = raw.rfind('<') {
            text = raw[..at].trim_end().to_string();
        }
        stdin = Stdin::File(name);
    }
    let shell = ["|", ">", ">>", "&&", "||", ";", "&", "<"];
    if let Some(word) = words.iter().find(|word| shell.contains(&word.as_str())) {
        return Err((
            format!("'{word}' is for a shell, and these lines are typed at the lab's prompt"),
            "one command a line; its input in `| …` lines below it, or `< FILE`".to_string(),
        ));
    }
    let first = words.first().map_or("", String::as_str);
    let first = first.strip_suffix(".sh").unwrap_or(first);
    if !TOOLS.contains(&first) && !PROMPT_WORDS.contains(&first) {
        let known = TOOLS.iter().chain(PROMPT_WORDS).copied();
        let next = did_you_mean(first, known.clone()).map_or_else(
            || format!("the prompt knows here: {}", known.collect::<Vec<_>>().join(", ")),
            |meant| format!("did you mean '{meant}'?"),
        );
        return Err((format!("the prompt has no command '{first}'"), next));
    }
    if background && !TOOLS.contains(&first) {
        return Err((
            format!("'{first}' can't run in the background"),
            "Kafka's tools and worker can".to_string(),
        ));
    }
    Ok(Command {
        text,
        words,
        stdin,
        background,
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stdin_files_and_expectations_are_read() {
        let text = "kafka-topics --create --topic rides\nkafka-console-producer --topic rides --property 'a=b c'\n| d-17<TAB>{\"a\":1}\n|\n# a remark\nkafka-console-producer --topic x < rides.txt\nanswer 2\nexpect: rides has 1 partition\n";
        let (commands, expects) = parse(text, Path::new("e.md"), 10).unwrap();
        assert_eq!(commands.len(), 4);
        assert_eq!(commands[1].words.last().unwrap(), "a=b c");
        assert_eq!(commands[1].stdin, Stdin::Text("d-17\t{\"a\":1}\n\n".into()));
        assert_eq!(commands[2].stdin, Stdin::File("rides.txt".into()));
        assert_eq!(commands[2].text, "kafka-console-producer --topic x");
        assert_eq!(commands[3].line, 16);
        assert_eq!(expects, ["rides has 1 partition"]);
    }

    #[test]
    fn an_ampersand_at_the_end_is_for_the_background() {
        let text = "kafka-console-consumer --topic rides &\nkafka-console-producer --topic rides < rides.txt &\nkill 1";
        let (commands, _) = parse(text, Path::new("e.md"), 1).unwrap();
        assert!(commands[0].background && commands[1].background && !commands[2].background);
        assert_eq!(commands[0].text, "kafka-console-consumer --topic rides");
        assert_eq!(commands[1].stdin, Stdin::File("rides.txt".into()));
        let typed = parse(
            "kafka-console-producer --topic rides &\n| one",
            Path::new("e.md"),
            1,
        );
        assert!(typed.unwrap_err()[0].what.contains("can't be typed to"));
    }

    #[test]
    fn what_a_shell_would_do_is_refused_at_its_line() {
        for (text, what) in [
            ("rm -rf /", "no command 'rm'"),
            ("kafka-topic --list", "no command 'kafka-topic'"),
            ("kafka-topics --list | wc -l", "for a shell"),
            (
                "kafka-console-producer --topic a < ../../x",
                "'../../x' has to be a path below",
            ),
            ("| lost", "no command reads"),
            ("answer 'x", "quote"),
            ("sql rides.sql &", "can't run in the background"),
            ("kafka-topics --list && kafka-topics --list", "for a shell"),
        ] {
            let problems = parse(text, Path::new("e.md"), 3).unwrap_err();
            assert!(problems[0].what.contains(what), "{text}: {}", problems[0]);
            assert_eq!(problems[0].place.as_ref().unwrap().line, Some(3));
        }
    }
}
