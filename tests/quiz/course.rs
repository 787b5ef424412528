//! A small course: one question of each kind, two in the first place.

use std::path::{Path, PathBuf};

use streamlings::course::files::Files;
use streamlings::quiz::Bank;
use tempfile::TempDir;

pub(crate) const QUIZ: &str = r#"title = "A small quiz"
pass = 4

[[domain]]
id = "log"
title = "The log"
places = 3

[[domain]]
id = "time"
title = "Time"
places = 2
"#;

pub(crate) const LOG: &str = r#"[[question]]
id = "log-one"
place = 1
kind = "one"
text = "What removes records?"
exercise = "1.1"
explain = "Retention does."
[[question.choice]]
text = "Retention"
right = true
[[question.choice]]
text = "Reading"
belief = "reading-deletes"
why = "Reading moves only an offset."

[[question]]
id = "log-one-b"
place = 1
kind = "prints"
text = "What does it print?"
transcript = "$ kafka-get-offsets --topic rides"
exercise = "1.1"
explain = "The end offset."
[[question.choice]]
text = "rides:0:10"
right = true
[[question.choice]]
text = "rides:0:0"
belief = "reading-deletes"
why = "Reading moves only an offset."

[[question]]
id = "log-several"
place = 2
kind = "several"
text = "Which keep an order?"
exercise = "1.1"
explain = "A partition does."
[[question.choice]]
text = "one partition"
right = true
[[question.choice]]
text = "the records of one key"
right = true
[[question.choice]]
text = "a topic with one producer"
belief = "reading-deletes"
why = "Between partitions there is no order."

[[question]]
id = "log-order"
place = 3
kind = "order"
text = "Put in order."
exercise = "1.1"
explain = "As it goes."
items = ["first", "second", "third"]
"#;

pub(crate) const TIME: &str = r#"[[question]]
id = "time-number"
place = 1
kind = "number"
text = "How many?"
exercise = "1.1"
explain = "Counted."
answer = 42

[[question]]
id = "time-one"
place = 2
kind = "one"
text = "What closes a window?"
exercise = "1.1"
explain = "A later event."
[[question.choice]]
text = "a later event"
right = true
[[question.choice]]
text = "the wall clock"
belief = "reading-deletes"
why = "No clock is asked."
"#;

/// The course in a folder, with one file replaced.
pub(crate) fn with(file: &str, text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        streamlings::home::write_atomic(&path, text.as_bytes(), streamlings::home::Readers::Anyone).unwrap();
    };
    write(
        "exercises/course.toml",
        "id = \"small\"\ntitle = \"Small\"\n[[module]]\nnumber = 1\ntitle = \"The log\"\nexercises = []\n",
    );
    write(
        "exercises/beliefs.toml",
        "[reading-deletes]\nbelief = \"Reading deletes\"\ntruth = \"Retention deletes\"\nexercise = \"1.1\"\n",
    );
    write("quizzes/quiz.toml", QUIZ);
    write("quizzes/log.toml", LOG);
    write("quizzes/time.toml", TIME);
    if !file.is_empty() {
        write(file, text);
    }
    let path = folder.path().to_path_buf();
    (folder, path)
}

pub(crate) fn small() -> (TempDir, PathBuf) {
    with("", "")
}

pub(crate) fn bank(path: &Path) -> Bank {
    Bank::load(&Files::folder(path).unwrap()).unwrap()
}
