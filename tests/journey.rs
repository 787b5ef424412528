//! A newcomer's whole journey through a pseudo-terminal: first start, the exercises, the quiz, a verified badge.
//!
//! On the embedded cluster by default; `STREAMLINGS_JOURNEY="--backend docker"` (or external) takes the same way on
//! another backend: `tests/real/run` does.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rexpect::session::{PtySession, spawn_command};
use serde_json::{Value, json};
use streamlings::course::{Course, Exercise, Files, Stdin, Step};
use streamlings::quiz::answers::Answer;
use streamlings::quiz::command::right_answers;
use streamlings::quiz::{Bank, DrawnQuestion, draw};

/// No screen takes longer to appear.
const PATIENCE_MS: u64 = 60_000;

struct Learner {
    terminal: PtySession,
    home: tempfile::TempDir,
    said: u32,
}

fn binary(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamlings"));
    command
        .env("STREAMLINGS_HOME", home)
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .env_remove("STREAMLINGS_COURSE")
        .env_remove("EDITOR")
        .env_remove("VISUAL");
    command
}

/// Runs a command to its end; stdout.
fn run(home: &Path, args: &[&str], expected: i32) -> String {
    let done = binary(home).args(args).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert_eq!(done.status.code(), Some(expected), "{args:?}\n{out}\n{err}");
    out.into_owned()
}

impl Learner {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let backend = std::env::var("STREAMLINGS_JOURNEY")
            .unwrap_or_else(|_| "--backend embedded --port 0 --brokers 3".into());
        let mut up = vec!["up"];
        up.extend(backend.split_whitespace());
        run(home.path(), &up, 0);
        let terminal = spawn_command(binary(home.path()), Some(PATIENCE_MS)).unwrap();
        Self {
            terminal,
            home,
            said: 0,
        }
    }

    fn sees(&mut self, text: &str) {
        if let Err(error) = self.terminal.exp_string(text) {
            panic!("waiting for {text:?}: {error}");
        }
    }

    fn types(&mut self, line: &str) {
        self.terminal.send_line(line).unwrap();
    }

    fn key(&mut self, key: &str) {
        self.terminal.send(key).unwrap();
        self.terminal.flush().unwrap();
    }

    /// Waits until the prompt has done all that was typed: an unknown word gets its answer after everything before it.
    fn settles(&mut self) {
        self.said += 1;
        let word = format!("settled-{}", self.said);
        self.types(&word);
        self.sees(&format!("there is no command '{word}' here"));
    }

    fn does(&mut self, exercise: &Exercise, step: &Step) {
        let folder = self.home.path().join("work").join(&exercise.slug);
        for file in &step.solution.files {
            std::fs::copy(self.written(&file.content), folder.join(&file.name)).unwrap();
        }
        for command in &step.solution.commands {
            self.settles();
            let beside = if command.background { " &" } else { "" };
            match &command.stdin {
                Stdin::None => self.types(&format!("{}{beside}", command.text)),
                Stdin::File(file) => self.types(&format!("{} < {file}{beside}", command.text)),
                Stdin::Text(lines) => {
                    self.types(&command.text);
                    // The command asks for its input line by line.
                    for line in lines.lines() {
                        self.sees("[K>\r");
                        self.types(line);
                    }
                    self.sees("[K>\r");
                    self.terminal.send_control('d').unwrap();
                    self.sees(&format!("[K{}> \r", exercise.id));
                }
            }
        }
    }

    /// The box may be ticked while another command runs: what counts is what another terminal sees.
    fn waits_until_done(&self, exercise: &Exercise, index: usize) {
        let deadline = Instant::now() + Duration::from_millis(PATIENCE_MS);
        loop {
            let list: Value = serde_json::from_str(&run(self.home.path(), &["list", "--json"], 0)).unwrap();
            let all = list["exercises"].as_array().unwrap();
            let this = all.iter().find(|one| one["id"] == exercise.id.as_str()).unwrap();
            if this["steps"][index]["done"] == true {
                return;
            }
            if Instant::now() > deadline {
                let checks = binary(self.home.path())
                    .args(["check", &exercise.id])
                    .output()
                    .unwrap();
                panic!(
                    "{} step {} is not done:\n{}",
                    exercise.id,
                    index + 1,
                    String::from_utf8_lossy(&checks.stdout)
                );
            }
        }
    }

    fn written(&self, content: &str) -> PathBuf {
        let path = self.home.path().join("typed");
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Whether this lab can do what the whole exercise needs.
    fn fits(&self, exercise: &Exercise) -> bool {
        let status: Value = serde_json::from_str(&run(self.home.path(), &["status", "--json"], 0)).unwrap();
        let brokers = status["brokers"].as_array().unwrap().len();
        let can = |need: &str| status["capabilities"][need] == true;
        brokers >= exercise.brokers as usize && exercise.needs.iter().all(|need| can(need.word()))
    }

    /// What this lab can't do is left undone, from another terminal; Enter then goes to the next exercise.
    fn passes_over(&mut self, exercise: &Exercise) {
        self.sees(&format!("Enter starts {}", exercise.id));
        for _ in &exercise.steps {
            run(self.home.path(), &["skip", &exercise.id], 0);
        }
    }

    /// Whether this lab lacks what the step needs: it is shown then, and not done.
    fn can_only_read(&self, step: &Step) -> bool {
        let status: Value = serde_json::from_str(&run(self.home.path(), &["status", "--json"], 0)).unwrap();
        let can = |need: &str| status["capabilities"][need] == true;
        step.setup.needs.iter().any(|need| !can(need.word()))
    }

    fn walks(&mut self, exercise: &Exercise) {
        for (index, step) in exercise.steps.iter().enumerate() {
            self.sees(&format!("step {} of {}", index + 1, exercise.steps.len()));
            if self.can_only_read(step) {
                self.sees("Enter goes on");
                self.settles();
                self.key("\r");
                continue;
            }
            if step.predict.is_some() {
                self.sees("Your prediction");
                self.key("\r");
                self.sees("You said");
            }
            if !step.checks.is_empty() {
                self.sees("[ ]");
                self.does(exercise, step);
            }
            self.settles();
            self.waits_until_done(exercise, index);
            self.key("\r");
        }
        let read = exercise.steps.iter().filter(|step| self.can_only_read(step));
        let end = match read.count() {
            0 => "done.".to_string(),
            1 => "done, one step only read.".to_string(),
            count => format!("done, {count} steps only read."),
        };
        self.sees(&format!("{}: {end}", exercise.title));
    }
}

impl Drop for Learner {
    fn drop(&mut self) {
        drop(
            binary(self.home.path())
                .args(["down", "--delete", "--yes"])
                .output(),
        );
    }
}

#[test]
fn from_the_first_start_to_a_verified_badge() {
    let course = Course::from_files(&Files::Embedded).unwrap();
    let mut learner = Learner::start();
    let mut passed_over = false;
    for exercise in course.exercises() {
        if !learner.fits(exercise) {
            learner.passes_over(exercise);
            passed_over = true;
            continue;
        }
        // The terminal is read byte by byte: only ASCII can be waited for.
        if !std::mem::take(&mut passed_over) {
            learner.sees(&format!("Enter starts {}", exercise.id));
        }
        learner.key("\r");
        let began = Instant::now();
        learner.walks(exercise);
        eprintln!(
            "{} {}: {:.1} s",
            exercise.id,
            exercise.title,
            began.elapsed().as_secs_f64()
        );
    }
    learner.sees("Enter starts the quiz");
    learner.types("quit");
    learner.sees("Your progress is kept");
    learner.terminal.exp_eof().unwrap();

    let home = learner.home.path();
    let list: Value = serde_json::from_str(&run(home, &["list", "--json"], 0)).unwrap();
    for exercise in list["exercises"].as_array().unwrap() {
        let steps = exercise["steps"].as_array().unwrap();
        // What the lab can't do was shown, and is skipped.
        let behind = |step: &Value| step["done"] == true || step["skipped"] == true;
        assert!(steps.iter().all(behind), "{exercise}");
    }
    takes_the_quiz(home);
    shows_the_badge(home);
}

#[test]
fn a_step_on_an_emptied_cluster_is_prepared_again_and_said() {
    if std::env::var_os("STREAMLINGS_JOURNEY").is_some() {
        // What is tested is the lab's own; another cluster may be somebody else's too.
        return;
    }
    let mut learner = Learner::start();
    learner.sees("Enter starts");
    learner.types("start 2.2");
    learner.sees("Your prediction");
    learner.key("\r");
    learner.sees("[ ]");
    let home = learner.home.path().to_owned();
    run(&home, &["down", "--delete", "--yes"], 0);
    assert!(!home.join("lab").exists(), "nothing of the lab is left");
    run(&home, &["up", "--backend", "embedded", "--port", "0"], 0);
    learner.types("list");
    learner.sees("This is not the cluster on which you began 2.2");
    learner.settles();
    let topics = run(&home, &["kafka-topics", "--list"], 0);
    assert!(topics.lines().any(|topic| topic == "payments"), "{topics}");
    learner.types("status");
    learner.sees("1 of 1 brokers up");
    learner.types("start 2.2 2");
    learner.sees("Your prediction");
    learner.key("\r");
    learner.settles();
    // What a learner has spoilt is made anew once it is deleted.
    learner.types("kafka-topics --delete --topic payments");
    learner.settles();
    learner.types("start 2.2 1");
    learner.sees("Preparing the cluster for this step");
    learner.sees("[ ]");
    let ends = run(&home, &["kafka-get-offsets", "--topic", "payments"], 0);
    assert_eq!(ends.trim(), "payments:0:24");
    learner.types("quit");
    learner.sees("Your progress is kept");
}

/// The quiz from a file of answers; its screens have a test of their own (`tests/quiz`).
fn takes_the_quiz(home: &Path) {
    const SEED: u64 = 7;
    let bank = Bank::load(&Files::Embedded).unwrap();
    let drawn = draw(&bank, SEED).unwrap();
    let answers = home.join("answers.json");
    let right = right_answers(&drawn);
    let texts = |drawn: &DrawnQuestion, chosen: &[usize]| -> Vec<String> {
        chosen
            .iter()
            .map(|index| drawn.text_of(*index).to_string())
            .collect()
    };
    let given: BTreeMap<&str, Value> = drawn
        .questions
        .iter()
        .map(|drawn| {
            let id = drawn.question.id.as_str();
            let answer = match &right[id] {
                Answer::Chosen(chosen) if chosen.len() == 1 => json!(texts(drawn, chosen)[0]),
                Answer::Chosen(chosen) | Answer::Ordered(chosen) => json!(texts(drawn, chosen)),
                Answer::Number(number) => json!(number),
            };
            (id, answer)
        })
        .collect();
    std::fs::write(&answers, serde_json::to_vec(&given).unwrap()).unwrap();
    let seed = SEED.to_string();
    let out = run(
        home,
        &[
            "quiz",
            "--answers",
            answers.to_str().unwrap(),
            "--seed",
            &seed,
            "--name",
            "A. Newcomer",
        ],
        0,
    );
    assert!(out.contains("23 of 23"), "{out}");
}

fn shows_the_badge(home: &Path) {
    let mut kinds: Vec<_> = std::fs::read_dir(home.join("badges"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let said = run(home, &["badge", "verify", path.to_str().unwrap()], 0);
            assert!(said.contains("self-issued"), "{said}");
            path.extension().unwrap().to_str().unwrap().to_string()
        })
        .collect();
    kinds.sort();
    assert_eq!(kinds, ["json", "png", "svg"]);
}
