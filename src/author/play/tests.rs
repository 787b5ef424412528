use super::super::labs::Labs;
use super::super::schedule;
use super::*;
use crate::course::Files;
use crate::home::{Readers, write_atomic};

/// Plays the exercise of `author new` after these changes, and words what went wrong.
fn played(changes: &[(&str, &str)]) -> (usize, String) {
    let folder = tempfile::tempdir().unwrap();
    crate::author::new::run("1.1-my-first", folder.path()).unwrap();
    let file = folder.path().join("exercises/1.1-my-first/exercise.md");
    let mut text = std::fs::read_to_string(&file).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    write_atomic(&file, text.as_bytes(), Readers::Anyone).unwrap();
    let course = Course::from_files(&Files::folder(folder.path()).unwrap())
        .unwrap_or_else(|problem| panic!("{}", problem.render()));
    let (_cluster, target) = crate::check::tests::cluster();
    let stage = Stage {
        target,
        lab: None,
        own: false,
        patience: Duration::from_secs(2),
    };
    let mut plays = Vec::new();
    schedule::play_all(
        &course,
        &[course.exercise("1.1").unwrap()],
        &Labs::only(stage),
        3,
        &Cancel::default(),
        |_, played| plays = played.plays,
    )
    .unwrap();
    let wrong: Vec<String> = plays
        .iter()
        .filter(|play| !play.ok)
        .map(|play| {
            let what = play.problem.as_deref().unwrap_or_default();
            format!(
                "{}: {} / {}: {what}\n  {}",
                play.line,
                play.step,
                play.play,
                play.said.join("\n  ")
            )
        })
        .collect();
    (plays.len(), wrong.join("\n"))
}

#[test]
fn the_template_passes_as_it_is() {
    assert_eq!(played(&[]), (7, String::new()));
}

#[test]
fn a_step_that_this_lab_cannot_do_is_only_shown() {
    // Without a lab of its own there is no clock to advance, and no wrong solution of the step is played either.
    let (plays, wrong) = played(&[(
        "```toml check\ntopic = \"topic-1-1\"",
        "```toml setup\nneeds = [\"advance_clock\"]\n```\n```toml check\ntopic = \"topic-1-1\"",
    )]);
    assert!(plays < 7, "{plays}: {wrong}");
}

#[test]
fn each_way_in_which_an_exercise_is_wrong_is_told() {
    let (_, start) = played(&[(
        "```toml check\ntopic = \"topic-1-1\"",
        "```toml setup\n[[topic]]\nname = \"topic-1-1\"\npartitions = 3\n```\n```toml check\ntopic = \"topic-1-1\"",
    )]);
    let (_, solution) = played(&[("partitions = 3", "partitions = 4")]);
    let (_, passes) = played(&[(
        "--partitions 1\nexpect: topic-1-1 has 1 partition, and this step needs 3",
        "--partitions 3\nexpect: x",
    )]);
    let (_, message) = played(&[("expect: none has a key", "expect: no such sentence")]);
    insta::assert_snapshot!([start, solution, passes, message].join("\n---\n"));
}
