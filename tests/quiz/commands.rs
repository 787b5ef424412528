//! `quiz --answers`, `badge`, `key`, `report`: what a script sees.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use streamlings::home::{Readers, write_atomic};
use streamlings::quiz::answers::Answer;
use streamlings::quiz::command::right_answers;
use streamlings::quiz::draw;

use crate::course::{bank, small};

pub(crate) fn run(home: &Path, course: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_streamlings"))
        .args(args)
        .env("STREAMLINGS_HOME", home)
        .env("STREAMLINGS_COURSE", course)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The right answers by letter, as `--print-questions` names them.
fn right_letters(course: &Path, seed: u64) -> Value {
    let bank = bank(course);
    let drawn = draw(&bank, seed).unwrap();
    let right = right_answers(&drawn);
    let mut answers = serde_json::Map::new();
    for drawn in &drawn.questions {
        let letters = |indices: &[usize]| -> Vec<String> {
            let at = |index: &usize| drawn.shown.iter().position(|shown| shown == index).unwrap();
            indices
                .iter()
                .map(|index| streamlings::quiz::answers::letter(at(index)).to_string())
                .collect()
        };
        let answer = match &right[&drawn.question.id] {
            Answer::Chosen(chosen) if chosen.len() == 1 => json!(letters(chosen)[0]),
            Answer::Chosen(indices) | Answer::Ordered(indices) => json!(letters(indices)),
            Answer::Number(number) => json!(number),
        };
        answers.insert(drawn.question.id.clone(), answer);
    }
    Value::Object(answers)
}

fn answers_file(home: &Path, answers: &Value) -> String {
    let file = home.join("answers.json");
    write_atomic(&file, answers.to_string().as_bytes(), Readers::Anyone).unwrap();
    file.display().to_string()
}

#[test]
fn a_script_reads_the_questions_hands_in_and_verifies_the_badge() {
    let ((_course, course), home) = (small(), tempfile::tempdir().unwrap());
    let home = home.path();
    let questions = run(
        home,
        &course,
        &["quiz", "--print-questions", "--json", "--seed", "5"],
    );
    let questions: Value = serde_json::from_slice(&questions.stdout).unwrap();
    assert_eq!(questions["seed"], 5);
    assert_eq!(questions["questions"].as_array().unwrap().len(), 5);
    assert!(!questions.to_string().contains("right"), "an answer is told");

    let file = answers_file(home, &right_letters(&course, 5));
    let args = [
        "quiz",
        "--answers",
        &file,
        "--seed",
        "5",
        "--name",
        "Ada Lovelace",
        "--email",
        "ada@example.org",
        "--json",
    ];
    let done = run(home, &course, &args);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    let result: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&result["score"], &result["passed"]), (&json!(5), &json!(true)));

    for form in ["json", "svg", "png"] {
        let badge = result["badge"][form].as_str().unwrap();
        let verified = run(
            home,
            &course,
            &["badge", "verify", badge, "--json", "--email", "ada@example.org"],
        );
        assert_eq!(verified.status.code(), Some(0), "{form}: {}", err(&verified));
        let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
        assert_eq!(verified["trust"], "self-issued");
        assert_eq!(verified["holder"], "Ada Lovelace");
        assert_eq!(verified["email_matches"], true);
        assert_eq!(verified["container"], form);
        assert_eq!(
            run(
                home,
                &course,
                &["badge", "verify", badge, "--email", "eve@example.org"]
            )
            .status
            .code(),
            Some(1)
        );
    }
    let badge = result["badge"]["json"].as_str().unwrap();
    let text = std::fs::read_to_string(badge).unwrap();
    assert!(
        !text.contains("ada@example.org"),
        "the address is readable in the badge"
    );
    let forged = home.join("forged.json");
    write_atomic(
        &forged,
        text.replace("Ada Lovelace", "Eve").as_bytes(),
        Readers::Anyone,
    )
    .unwrap();
    let refused = run(home, &course, &["badge", "verify", forged.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(out(&refused).starts_with("FALSE"), "{}", out(&refused));
    let no_badge = run(home, &course, &["badge", "verify", &file]);
    assert_eq!(no_badge.status.code(), Some(2));
    assert!(
        err(&no_badge).contains("this is not a badge"),
        "{}",
        err(&no_badge)
    );

    let csv = out(&run(home, &course, &["report"]));
    assert!(
        csv.starts_with("email,score,max,percent,passed,completed_at,name\nada@example.org,5,5,100.0,true,"),
        "{csv}"
    );
    let xapi: Value =
        serde_json::from_slice(&run(home, &course, &["report", "--format", "xapi"]).stdout).unwrap();
    assert_eq!(xapi[0]["verb"]["display"]["en"], "passed");
    assert_eq!(
        xapi[0]["result"]["score"],
        json!({"scaled": 1.0, "raw": 5, "min": 0, "max": 5})
    );
    assert_eq!(xapi[0]["actor"]["mbox"], "mailto:ada@example.org");

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &str| std::fs::metadata(home.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("keys/badge.json"), 0o600);
    }
}

#[test]
fn a_failed_quiz_has_no_badge_and_says_what_to_read() {
    let ((_course, course), home) = (small(), tempfile::tempdir().unwrap());
    let home = home.path();
    let mut answers = right_letters(&course, 5);
    answers["time-number"] = json!(41);
    answers["log-order"] = json!(["a", "b", "c"]);
    let file = answers_file(home, &answers);
    let failed = run(
        home,
        &course,
        &["quiz", "--answers", &file, "--seed", "5", "--name", "Ada"],
    );
    assert_eq!(failed.status.code(), Some(1), "{}", err(&failed));
    let text = out(&failed);
    assert!(text.contains("3 of 5, not passed (4 needed)"), "{text}");
    assert!(text.contains("Right is:  42"), "{text}");
    assert!(!home.join("badges").exists());
    let issue = run(home, &course, &["badge", "issue", "--name", "Ada"]);
    assert_eq!(issue.status.code(), Some(1));
    assert!(!home.join("badges").exists());
}

#[test]
fn a_pass_without_a_name_gets_its_badge_later() {
    let ((_course, course), home) = (small(), tempfile::tempdir().unwrap());
    let home = home.path();
    let file = answers_file(home, &right_letters(&course, 5));
    let done = run(home, &course, &["quiz", "--answers", &file, "--seed", "5"]);
    assert_eq!(done.status.code(), Some(0));
    assert!(
        err(&done).contains("streamlings badge issue --name NAME"),
        "{}",
        err(&done)
    );
    assert_eq!(run(home, &course, &["badge", "show"]).status.code(), Some(1));
    assert_eq!(run(home, &course, &["badge", "issue"]).status.code(), Some(2));
    assert_eq!(
        run(home, &course, &["badge", "issue", "--name", "Ada"])
            .status
            .code(),
        Some(0)
    );
    let shown = run(home, &course, &["badge", "show"]);
    assert!(out(&shown).contains("Ada"), "{}", out(&shown));
}

#[test]
fn answers_that_can_not_be_meant_are_refused_with_the_way_out() {
    let ((_course, course), home) = (small(), tempfile::tempdir().unwrap());
    let home = home.path();
    let cases = [
        (json!({"log-ordr": ["a", "b", "c"]}), "did you mean 'log-order'?"),
        (
            json!({"log-order": ["a", "b"]}),
            "a list of all letters, in order",
        ),
        (json!({"time-one": "z"}), "one letter or text"),
        (json!({"time-one": ["a", "b"]}), "one letter or text"),
        (json!({"time-number": "many"}), "a whole number"),
    ];
    for (answers, next) in cases {
        let file = answers_file(home, &answers);
        let refused = run(home, &course, &["quiz", "--answers", &file, "--seed", "5"]);
        assert_eq!(refused.status.code(), Some(2), "{answers}");
        assert!(err(&refused).contains(next), "{answers}: {}", err(&refused));
    }
    let toml = home.join("answers.toml");
    write_atomic(
        &toml,
        b"time-number = 42\ntime-one = \"a later event\"\n",
        Readers::Anyone,
    )
    .unwrap();
    let file = toml.display().to_string();
    let some = run(
        home,
        &course,
        &["quiz", "--answers", &file, "--seed", "5", "--json"],
    );
    let some: Value = serde_json::from_slice(&some.stdout).unwrap();
    assert_eq!(some["score"], 2);
    assert_eq!(
        run(home, &course, &["quiz", "--answers", &file]).status.code(),
        Some(2),
        "a seed is needed"
    );
    let terminal = run(home, &course, &["quiz"]);
    assert_eq!(terminal.status.code(), Some(2));
    assert!(err(&terminal).contains("--answers"), "{}", err(&terminal));
}

#[test]
fn an_instructor_signs_a_learners_badge() {
    let ((_course, course), learner, instructor) = (
        small(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let (learner, instructor) = (learner.path(), instructor.path());
    let file = answers_file(learner, &right_letters(&course, 5));
    let args = [
        "quiz",
        "--answers",
        &file,
        "--seed",
        "5",
        "--name",
        "Ada",
        "--json",
    ];
    let result: Value = serde_json::from_slice(&run(learner, &course, &args).stdout).unwrap();
    let badge = result["badge"]["svg"].as_str().unwrap();

    let did = out(&run(instructor, &course, &["key", "create", "course"]))
        .trim()
        .to_owned();
    assert!(did.starts_with("did:key:z6Mk"));
    assert_eq!(
        run(instructor, &course, &["badge", "verify", badge, "--trust", &did])
            .status
            .code(),
        Some(1)
    );
    let folder = instructor.join("signed");
    let args = [
        "badge",
        "sign",
        badge,
        "--key",
        "course",
        "--issuer",
        "Lab course",
        "--out",
        folder.to_str().unwrap(),
    ];
    let signed = run(instructor, &course, &args);
    assert_eq!(signed.status.code(), Some(0), "{}", err(&signed));
    let files = out(&signed);
    assert_eq!(files.lines().count(), 3);
    for file in files.lines() {
        let verified = run(learner, &course, &["badge", "verify", file, "--trust", &did]);
        assert_eq!(verified.status.code(), Some(0), "{}", err(&verified));
        assert!(out(&verified).starts_with("valid, trusted"), "{}", out(&verified));
    }
    let again = run(instructor, &course, &["key", "create", "course"]);
    assert_eq!(again.status.code(), Some(2), "a key is never replaced");
    assert_eq!(
        out(&run(instructor, &course, &["key", "show", "course"])).trim(),
        did
    );
    assert_eq!(
        out(&run(instructor, &course, &["key", "list"])),
        format!("course  {did}\n")
    );
    let copy = instructor.join("keys/course.json");
    let imported = run(
        learner,
        &course,
        &["key", "import", copy.to_str().unwrap(), "taken"],
    );
    assert_eq!(out(&imported).trim(), did);
}

#[test]
fn a_course_without_a_quiz_says_so() {
    let ((folder, course), home) = (small(), tempfile::tempdir().unwrap());
    std::fs::remove_file(folder.path().join("quizzes/quiz.toml")).unwrap();
    let asked = run(home.path(), &course, &["quiz", "--print-questions"]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(
        err(&asked).starts_with("error: this course has no quiz\n"),
        "{}",
        err(&asked)
    );
}
