//! The quiz in a pseudo-terminal: interrupted, gone on with, passed, and its badge verified.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use rexpect::session::{PtySession, spawn_command};
use streamlings::quiz::answers::Answer;
use streamlings::quiz::command::right_answers;
use streamlings::quiz::{DrawnQuestion, draw};

use crate::commands::run;
use crate::course::{bank, small};

/// A deadline for what takes milliseconds; on a busy machine it may take longer.
const DEADLINE_MS: u64 = 60_000;
const DOWN: &str = "\u{1b}[B";
const UP: &str = "\u{1b}[A";

fn quiz(home: &Path, course: &Path) -> PtySession {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamlings"));
    command.args(["quiz", "--seed", "5"]);
    command
        .env("STREAMLINGS_HOME", home)
        .env("STREAMLINGS_COURSE", course)
        .env("TERM", "xterm");
    spawn_command(command, Some(DEADLINE_MS)).unwrap()
}

fn exit_code(session: &PtySession) -> i32 {
    // The type of the status is not exported; `Exited(pid, code)` is what it prints.
    let status = format!("{:?}", session.process().wait().unwrap());
    let code = status.rsplit(", ").next().and_then(|end| end.strip_suffix(')'));
    code.and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("{status}"))
}

fn press(session: &mut PtySession, keys: &str) {
    session.send(keys).unwrap();
    session.flush().unwrap();
}

/// Answers one question rightly, with the keys that a learner has.
fn answer(session: &mut PtySession, drawn: &DrawnQuestion<'_>, right: &Answer) {
    match right {
        Answer::Chosen(chosen) if chosen.len() == 1 => {
            session.exp_string("Enter answers").unwrap();
            let at = drawn.shown.iter().position(|index| *index == chosen[0]).unwrap();
            press(session, &format!("{}\r", DOWN.repeat(at)));
        }
        Answer::Chosen(chosen) => {
            session.exp_string("Space marks all").unwrap();
            let mark = |index: &usize| if chosen.contains(index) { " " } else { "" };
            let keys = drawn
                .shown
                .iter()
                .fold(String::new(), |keys, index| keys + mark(index) + DOWN);
            press(session, &format!("{keys}\r"));
        }
        Answer::Ordered(order) => {
            session.exp_string("First at the top").unwrap();
            let mut shown = drawn.shown.clone();
            let (mut keys, mut cursor) = (String::new(), 0);
            for (to, wanted) in order.iter().enumerate() {
                let from = shown.iter().position(|index| index == wanted).unwrap();
                keys.push_str(&if from >= cursor {
                    DOWN.repeat(from - cursor)
                } else {
                    UP.repeat(cursor - from)
                });
                keys.push_str(&format!(" {} ", UP.repeat(from - to)));
                let item = shown.remove(from);
                shown.insert(to, item);
                cursor = to;
            }
            press(session, &format!("{keys}\r"));
        }
        Answer::Number(number) => {
            session.exp_string("A whole number").unwrap();
            press(session, &format!("{number}\r"));
        }
    }
}

#[test]
fn interrupted_gone_on_with_and_passed() {
    let ((_course, course), home) = (small(), tempfile::tempdir().unwrap());
    let bank = bank(&course);
    let drawn = draw(&bank, 5).unwrap();
    let right = right_answers(&drawn);
    let question = |at: usize| (&drawn.questions[at], &right[&drawn.questions[at].question.id]);

    // Two answers, then Ctrl-C.
    let mut session = quiz(home.path(), &course);
    session.exp_string("Begin").unwrap();
    press(&mut session, "\r");
    for at in 0..2 {
        session.exp_string(&format!("Question {} of 5", at + 1)).unwrap();
        answer(&mut session, question(at).0, question(at).1);
    }
    session.exp_string("Question 3 of 5").unwrap();
    session.exp_string("First at the top").unwrap();
    session.send_control('c').unwrap();
    session.exp_string("Stopped: 2 of 5 answered").unwrap();
    session.exp_eof().unwrap();
    assert_eq!(exit_code(&session), 1);

    // Gone on with; the third answer, then the terminal is closed.
    let mut session = quiz(home.path(), &course);
    session
        .exp_string("Go on at question 3 (2 of 5 answered)")
        .unwrap();
    press(&mut session, "\r");
    session.exp_string("Question 3 of 5").unwrap();
    answer(&mut session, question(2).0, question(2).1);
    session.exp_string("Question 4 of 5").unwrap();
    drop(session);

    // The rest, a skip that comes back in the review, and the badge.
    let mut session = quiz(home.path(), &course);
    session
        .exp_string("Go on at question 4 (3 of 5 answered)")
        .unwrap();
    press(&mut session, "\r");
    session.exp_string("A whole number").unwrap();
    press(&mut session, "skip\r");
    session.exp_string("Question 5 of 5").unwrap();
    answer(&mut session, question(4).0, question(4).1);
    session.exp_string("Review").unwrap();
    session.exp_string("Hand in with 1 open").unwrap();
    press(&mut session, &format!("{}\r", DOWN.repeat(4)));
    session.exp_string("Question 4 of 5").unwrap();
    answer(&mut session, question(3).0, question(3).1);
    session.exp_string("> Hand in").unwrap();
    press(&mut session, "\r");
    session.exp_string("5 of 5, passed (4 needed)").unwrap();
    session.exp_string("Name on the badge").unwrap();
    press(&mut session, "Ada Lovelace\r");
    session.exp_string("E-mail address").unwrap();
    press(&mut session, "\r");
    session.exp_string("badge verify FILE").unwrap();
    session.exp_eof().unwrap();
    assert_eq!(exit_code(&session), 0);

    let badges: Vec<_> = std::fs::read_dir(home.path().join("badges"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(badges.len(), 3);
    for badge in badges {
        let verified = run(
            home.path(),
            &course,
            &["badge", "verify", badge.to_str().unwrap()],
        );
        assert_eq!(verified.status.code(), Some(0));
        let text = String::from_utf8(verified.stdout).unwrap();
        assert!(text.starts_with("valid, self-issued"), "{text}");
        assert!(text.contains("Ada Lovelace") && text.contains("5 of 5"), "{text}");
    }
}
