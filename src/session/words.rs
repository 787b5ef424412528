//! The words of the guided prompt, in one table: help, completion and suggestions come from it.

use crate::tools::bare_name;

/// What a word does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Goes on: the next step, exercise, or the quiz.
    Next,
    /// The step again.
    Show,
    /// The map of exercises.
    List,
    /// Opens another exercise.
    Start,
    /// What is still missing.
    Check,
    /// The next hint.
    Hint,
    /// The reference solution.
    Solution,
    /// Leaves the step undone.
    Skip,
    /// The exercise from its beginning.
    Reset,
    /// The explanation of the step again.
    Explain,
    /// Answers the step's question.
    Answer,
    /// Changes the prediction.
    Predict,
    /// A file of the exercise in `$EDITOR`.
    Edit,
    /// The exercise's files.
    Files,
    /// Runs Flink SQL.
    Sql,
    /// Streaming jobs.
    Job,
    /// What runs in the background.
    Jobs,
    /// Ends one of them as Ctrl-C would.
    Stop,
    /// Ends one of them without warning.
    Kill,
    /// What one of them has said.
    Logs,
    /// Gives one of them the screen.
    Foreground,
    /// Waits.
    Wait,
    /// Transactional producers.
    Txn,
    /// The cluster's brokers, its clock, faults.
    Hands,
    /// Where the lab runs.
    Status,
    /// Starts the lab again.
    Up,
    /// The quiz.
    Quiz,
    /// The badges that were issued here.
    Badge,
    /// An empty screen (so does Ctrl-L).
    Clear,
    /// All words.
    Help,
    /// Leaves; progress stays.
    Quit,
}

impl Word {
    /// Whether it asks the lab or its cluster.
    pub fn needs_lab(self) -> bool {
        matches!(
            self,
            Self::Check | Self::Start | Self::Reset | Self::Sql | Self::Job | Self::Txn | Self::Hands
        )
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Entry {
    /// What is typed.
    pub name: &'static str,
    /// Other spellings.
    pub also: &'static [&'static str],
    /// Its arguments, for the help.
    pub args: &'static str,
    /// What it does, in a few words.
    pub help: &'static str,
    /// Its meaning.
    pub word: Word,
}

const fn entry(
    name: &'static str,
    also: &'static [&'static str],
    args: &'static str,
    help: &'static str,
    word: Word,
) -> Entry {
    Entry {
        name,
        also,
        args,
        help,
        word,
    }
}

/// The table, in the order of `help`.
pub const WORDS: &[Entry] = &[
    entry(
        "next",
        &["n"],
        "",
        "go on (so does Enter, once a step is done)",
        Word::Next,
    ),
    entry("show", &["task", "again"], "", "this step again", Word::Show),
    entry("check", &[], "", "what is still missing", Word::Check),
    entry(
        "hint",
        &["h"],
        "",
        "a hint; each next one is stronger",
        Word::Hint,
    ),
    entry("solution", &[], "", "the reference solution", Word::Solution),
    entry("skip", &[], "", "leave this step undone and go on", Word::Skip),
    entry("reset", &[], "", "this exercise from its beginning", Word::Reset),
    entry(
        "explain",
        &[],
        "",
        "what the last finished step showed",
        Word::Explain,
    ),
    entry("answer", &[], "TEXT", "answer the step's question", Word::Answer),
    entry(
        "predict",
        &[],
        "[N]",
        "your prediction, made or changed",
        Word::Predict,
    ),
    entry(
        "files",
        &[],
        "",
        "this exercise's files and their folder",
        Word::Files,
    ),
    entry(
        "edit",
        &[],
        "FILE",
        "open a file of this exercise in $EDITOR",
        Word::Edit,
    ),
    entry("sql", &[], "FILE | -e 'SQL'", "run Flink SQL", Word::Sql),
    entry(
        "job",
        &[],
        "list|show|stop|logs [JOB]",
        "the streaming jobs",
        Word::Job,
    ),
    entry(
        "jobs",
        &[],
        "",
        "what runs in the background (COMMAND &)",
        Word::Jobs,
    ),
    entry("stop", &[], "N", "end it as Ctrl-C does", Word::Stop),
    entry(
        "kill",
        &[],
        "N",
        "end it as kill -9 does: no good-bye",
        Word::Kill,
    ),
    entry("logs", &[], "N", "what it has said", Word::Logs),
    entry(
        "fg",
        &[],
        "N",
        "give it the screen; a producer, your lines",
        Word::Foreground,
    ),
    entry(
        "wait",
        &[],
        "2s | N [LINES]",
        "so long, or until it has ended or said so much",
        Word::Wait,
    ),
    entry(
        "txn",
        &[],
        "begin|send|commit|abort",
        "transactional producers, held open",
        Word::Txn,
    ),
    entry(
        "list",
        &["ls", "map"],
        "",
        "all exercises, and how far you are",
        Word::List,
    ),
    entry(
        "start",
        &["open", "goto"],
        "EXERCISE [STEP]",
        "open another exercise or step: start 1.2",
        Word::Start,
    ),
    entry(
        "broker",
        &[],
        "list|stop|kill|start N",
        "the cluster's brokers (broker --help)",
        Word::Hands,
    ),
    entry(
        "clock",
        &[],
        "advance 7d",
        "a week passes in a second (embedded lab)",
        Word::Hands,
    ),
    entry(
        "fault",
        &[],
        "add|list|clear",
        "requests that fail on purpose (embedded lab)",
        Word::Hands,
    ),
    entry("status", &[], "", "where the lab runs", Word::Status),
    entry(
        "up",
        &[],
        "[--brokers N]",
        "start the lab again, or with more brokers",
        Word::Up,
    ),
    entry("quiz", &[], "", "the graded quiz", Word::Quiz),
    entry(
        "badge",
        &["badges"],
        "",
        "your badges, and how anyone checks them",
        Word::Badge,
    ),
    entry(
        "clear",
        &["cls"],
        "",
        "an empty screen (so does Ctrl-L)",
        Word::Clear,
    ),
    entry(
        "help",
        &["?"],
        "[TOOL]",
        "this list, or a tool's flags",
        Word::Help,
    ),
    entry(
        "quit",
        &["exit", "q"],
        "",
        "leave; the lab and your progress stay",
        Word::Quit,
    ),
];

/// The entry of a typed word.
pub fn find(typed: &str) -> Option<&'static Entry> {
    WORDS
        .iter()
        .find(|entry| entry.name == typed || entry.also.contains(&typed))
}

/// The nearest word or tool, when one is near enough to be meant.
pub fn suggest(typed: &str, tools: &[&'static str]) -> Option<&'static str> {
    let lower = typed.to_lowercase();
    let lower = bare_name(&lower);
    // `topics` means kafka-topics, and so does `topisc`.
    let near = |name: &'static str| {
        let short = name.strip_prefix("kafka-").unwrap_or(name);
        let distances = [name, short].map(|name| (strsim::damerau_levenshtein(lower, name), name.len()));
        let meant = distances
            .into_iter()
            .filter(|(distance, len)| *distance <= 1 + len / 5);
        meant.map(|(distance, _)| (distance, name)).min()
    };
    let names = WORDS.iter().map(|entry| entry.name);
    let nearest = names.chain(tools.iter().copied()).filter_map(near).min();
    nearest.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const TOOLS: &[&str] = &["kafka-topics", "kafka-console-producer"];

    #[test]
    fn every_spelling_is_of_one_word() {
        let mut seen = HashSet::new();
        for entry in WORDS {
            for name in std::iter::once(&entry.name).chain(entry.also) {
                assert!(seen.insert(*name), "{name} stands twice");
            }
            assert!(
                entry.name.len() + 1 + entry.args.len() <= 30,
                "{}: help would not fit 80 columns",
                entry.name
            );
            assert!(
                entry.help.len() <= 48,
                "{}: help would not fit 80 columns",
                entry.name
            );
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        assert_eq!(suggest("hnit", TOOLS), Some("hint"));
        assert_eq!(suggest("kafka-topcis", TOOLS), Some("kafka-topics"));
        assert_eq!(suggest("topics", TOOLS), Some("kafka-topics"));
        assert_eq!(suggest("topicss", TOOLS), Some("kafka-topics"));
        assert_eq!(suggest("bin/kafka-topic.sh", TOOLS), Some("kafka-topics"));
        assert_eq!(
            suggest("console-producer.sh", TOOLS),
            Some("kafka-console-producer")
        );
        assert_eq!(suggest("abracadabra", TOOLS), None);
    }
}
