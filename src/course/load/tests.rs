use std::path::Path;

use super::*;
use crate::home::{Readers, write_atomic};

const GOOD: &str = r#"+++
id = "1.1"
title = "A topic"
minutes = 15
corrects = ["reading-deletes"]
+++
Why it matters.

## Create the topic
Create `rides`.

```sql
SELECT 1;
```
More prose.

```toml setup
[[topic]]
name = "fares"
[[produce]]
topic = "fares"
file = "data/fares.jsonl"
key = "driver"
```
```toml predict
question = "What will map get?"
[[choice]]
text = "nothing"
belief = "reading-deletes"
reply = "It got all."
[[choice]]
text = "all"
right = true
reply = "Yes."
```
```toml check
topic = "rides"
partitions = 3
```
```hint
Weak.
```
```hint
Strong.
```
```solution
kafka-topics --create --topic rides --partitions 3
```
```solution file=a.sql
SELECT 2;
```
```wrong "one partition"
kafka-topics --create --topic rides --partitions 1
expect: rides has 1 partition
```
### What you saw
It was made.

## Read on
A [link](https://kafka.apache.org).
"#;

const BELIEFS: &str = "[reading-deletes]\nbelief = \"b\"\ntruth = \"t\"\nexercise = \"1.1\"\n";
const COURSE: &str = "id = \"test\"\ntitle = \"Test\"\n[[module]]\nnumber = 1\ntitle = \"One\"\nexercises = [\"1.1-a-topic\"]\n";

fn course(exercise: &str) -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        write_atomic(&folder.path().join(name), text.as_bytes(), Readers::Anyone).unwrap();
    };
    put("exercises/course.toml", COURSE);
    put("exercises/beliefs.toml", BELIEFS);
    put("exercises/1.1-a-topic/exercise.md", exercise);
    put("exercises/1.1-a-topic/files/a.sql", "SELECT 1;\n");
    put("exercises/1.1-a-topic/data/fares.jsonl", "{\"driver\":\"d-1\"}\n");
    let files = Files::folder(folder.path()).unwrap();
    (folder, files)
}

fn shown(folder: &Path, problems: &[Problem]) -> String {
    let lines = problems
        .iter()
        .map(|problem| format!("{problem} | {}", problem.next.as_deref().unwrap_or("-")));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn a_sound_exercise_is_read_whole() {
    let (_folder, files) = course(GOOD);
    let course = Course::from_files(&files).unwrap();
    let exercise = course.exercise("1.1").unwrap();
    assert_eq!(exercise.why, "Why it matters.");
    assert_eq!(exercise.work_files, ["a.sql"]);
    assert_eq!(exercise.content_hash.len(), 64);
    assert_eq!(
        exercise.read_on.as_deref(),
        Some("A [link](https://kafka.apache.org).")
    );
    let step = &exercise.steps[0];
    assert_eq!(
        (step.title.as_str(), step.key.as_str()),
        ("Create the topic", "create-the-topic")
    );
    assert_eq!(
        step.task,
        "Create `rides`.\n\n```sql\nSELECT 1;\n```\nMore prose."
    );
    assert_eq!(step.setup.topic[0].partitions, 1);
    assert_eq!(step.predict.as_ref().unwrap().choice.len(), 2);
    assert_eq!(step.hints, ["Weak.", "Strong."]);
    assert_eq!(step.solution.commands[0].words[2], "--topic");
    assert_eq!(step.solution.files[0].content, "SELECT 2;\n");
    assert_eq!(step.wrongs[0].expects, ["rides has 1 partition"]);
    assert_eq!(step.explanation.as_deref(), Some("It was made."));
    assert_eq!(
        course.file(exercise, "data/fares.jsonl").unwrap(),
        b"{\"driver\":\"d-1\"}\n"
    );
}

#[test]
fn the_hash_of_a_step_is_its_proof_and_not_its_prose() {
    let hashes = |text: &str| {
        let (_folder, files) = course(text);
        let exercise = one(&files, "1.1-a-topic", None).unwrap();
        (exercise.content_hash, exercise.steps[0].proof_hash.clone())
    };
    let before = hashes(GOOD);
    let prose = hashes(
        &GOOD
            .replace("More prose", "Better prose")
            .replace("partitions = 3\n", "partitions = 3\ntip = \"t\"\n"),
    );
    let checks = hashes(&GOOD.replace("partitions = 3\n```\n```hint", "partitions = 4\n```\n```hint"));
    assert_ne!(before.0, prose.0);
    assert_eq!(before.1, prose.1);
    assert_ne!(before.1, checks.1);
}

/// Each mistake: what is changed in the good exercise, and everything that is then said.
#[test]
fn every_mistake_in_an_exercise_is_told_at_its_line() {
    let table: &[(&str, &str)] = &[
        ("+++\nid", "id"),
        ("minutes = 15\n", "minuts = 15\nlevel = 2\n"),
        ("minutes = 15", "minutes = \"15\""),
        ("id = \"1.1\"", "id = \"one\""),
        ("id = \"1.1\"", "id = \"1.2\""),
        ("[\"reading-deletes\"]", "[\"reading-delete\"]"),
        ("belief = \"reading-deletes\"\n", ""),
        ("right = true\n", ""),
        ("```sql", "```sqll"),
        ("```toml check", "```toml chek"),
        ("```hint\nWeak", "```hnit\nWeak"),
        (
            "topic = \"rides\"\npartitions = 3",
            "topics = \"rides\"\npartitions = 3",
        ),
        ("partitions = 3\n```", "partition = 0\n```"),
        ("topic = \"rides\"\npartitions = 3", "topic = \"ri des\""),
        ("topic = \"rides\"\npartitions = 3", "topic = \"rides\"\nlost = 1"),
        (
            "topic = \"rides\"\npartitions = 3",
            "topic = \"rides\"\nrefused = 0",
        ),
        ("topic = \"rides\"\npartitions = 3", "records = \"rides\""),
        ("topic = \"rides\"\npartitions = 3", "answer = \"Which?\""),
        ("data/fares.jsonl", "../../etc/passwd"),
        ("data/fares.jsonl", "data/fare.jsonl"),
        ("file=a.sql", "file=/etc/passwd"),
        (
            "kafka-topics --create --topic rides --partitions 3",
            "kafka-topic --create",
        ),
        ("expect: rides has 1 partition\n", ""),
        ("wrong \"one partition\"", "wrong"),
        ("## Create the topic", "# Create the topic"),
        ("### What you saw", "### What you say"),
        ("A [link](https://kafka.apache.org).", "```hint\nlate\n```"),
        ("Why it matters.", ""),
        ("```hint\nStrong.\n```", "- x\n  ```hint\n  y\n  ```\n"),
        ("It was made.", "```sql\nnot closed"),
    ];
    let mut all = String::new();
    for (from, to) in table {
        assert!(GOOD.contains(from), "{from}");
        let (folder, files) = course(&GOOD.replacen(from, to, 1));
        let loaded = load(&files);
        all.push_str(&format!(
            "--- {from:?} -> {to:?}\n{}\n",
            shown(folder.path(), &loaded.problems)
        ));
        assert!(!loaded.problems.is_empty(), "{to} was not noticed");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_block_that_cannot_be_read_is_not_missed_as_well() {
    let only_a_check = {
        let (start, end) = (
            GOOD.find("```toml predict").unwrap(),
            GOOD.find("```toml check").unwrap(),
        );
        format!("{}{}", &GOOD[..start], &GOOD[end..])
    };
    let (folder, files) = course(&only_a_check.replacen("\npartitions = 3", "\npartitons = 3", 1));
    let said = shown(folder.path(), &load(&files).problems);
    assert!(said.contains("unknown key 'partitons'"), "{said}");
    assert!(!said.contains("nothing that the learner does"), "{said}");
}

#[test]
fn mistakes_in_the_lists_are_told_too() {
    let (folder, files) = course(GOOD);
    let put = |name: &str, text: &str| {
        write_atomic(&folder.path().join(name), text.as_bytes(), Readers::Anyone).unwrap();
    };
    put("exercises/beliefs.toml", "[reading-deletes]\nbelief = \"b\"\n");
    put(
        "exercises/course.toml",
        "id = \"No Good\"\ntitle = \"Test\"\n[[module]]\nnumber = 2\ntitle = \"Two\"\nexercises = [\n  \"1.1-a-topic\",\n  \"../x\",\n  \"1.2-none\",\n]\n",
    );
    let loaded = load(&files);
    insta::assert_snapshot!(shown(folder.path(), &loaded.problems), @r#"
    exercises/beliefs.toml:1:1: 'truth' is missing in 'reading-deletes' | write: truth = "…"
    exercises/course.toml:1: 'No Good' is no id of a course | small letters, digits and hyphens: id = "kafka-flink"
    exercises/course.toml:7: exercise 1.1 stands in module 2 | move it to its module
    exercises/course.toml:8: '../x' is no name of a folder | write: "1.1-a-topic"
    exercises/course.toml:9: there is no exercises/1.2-none/exercise.md | make it with `streamlings author new 1.2-none`, or take it off this list
    "#);
    let problem = Course::from_files(&files).unwrap_err();
    assert!(problem.next.unwrap().contains("author check --syntax"));
}

#[test]
fn the_course_in_the_binary_is_sound() {
    let loaded = load(&Files::Embedded);
    let problems: Vec<String> = loaded.problems.iter().map(Problem::render).collect();
    if Files::Embedded.exists("exercises/course.toml") {
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

#[test]
fn one_exercise_is_read_without_the_others() {
    let (folder, files) = course(GOOD);
    let put = |name: &str, text: &str| {
        write_atomic(&folder.path().join(name), text.as_bytes(), Readers::Anyone).unwrap();
    };
    put(
        "exercises/course.toml",
        "id = \"test\"\ntitle = \"Test\"\n[[module]]\nnumber = 1\ntitle = \"One\"\nexercises = [\"1.1-a-topic\", \"1.2-broken\"]\n",
    );
    put("exercises/1.2-broken/exercise.md", "no front matter\n");
    assert!(Course::from_files(&files).is_err());
    for name in ["1.1", "1.1-a-topic"] {
        let course = Course::with_only(&files, Some(name)).unwrap();
        let read: Vec<_> = course.exercises().map(|exercise| exercise.id.as_str()).collect();
        assert_eq!(read, ["1.1"]);
        assert_eq!(course.modules[0].slugs.len(), 2);
    }
    assert!(Course::with_only(&files, Some("1.2")).is_err());
    let none = Course::with_only(&files, Some("9.9")).unwrap();
    assert_eq!(none.exercises().count(), 0);
    assert_eq!(
        titles(&files, &outline(&files).unwrap()),
        BTreeMap::from([(
            "1.1".to_string(),
            Course::with_only(&files, Some("1.1")).unwrap().modules[0].exercises[0]
                .title
                .clone()
        )])
    );
}
