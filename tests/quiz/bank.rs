use std::collections::{BTreeMap, BTreeSet};

use streamlings::course::Course;
use streamlings::course::files::Files;
use streamlings::home::Home;
use streamlings::quiz::answers::Answer;
use streamlings::quiz::bank::{Body, Choice};
use streamlings::quiz::command::right_answers;
use streamlings::quiz::{Attempt, Attempts, Bank, Question, draw, grade, lint};

use crate::course::{LOG, QUIZ, TIME, bank, small, with};

#[test]
fn the_project_s_own_bank_teaches_in_every_place() {
    let bank = Bank::load(&Files::Embedded).unwrap();
    assert_eq!((bank.places(), bank.pass), (23, 19));
    let problems = lint(&bank);
    assert!(
        problems.is_empty(),
        "{}",
        problems
            .iter()
            .map(streamlings::problem::Problem::render)
            .collect::<String>()
    );
}

/// The blueprint of the course: domains and their places, four questions for each place.
#[test]
fn the_bank_fills_the_blueprint() {
    let bank = Bank::load(&Files::Embedded).unwrap();
    let domains: Vec<(&str, u32)> = bank
        .domains
        .iter()
        .map(|domain| (domain.id.as_str(), domain.places))
        .collect();
    assert_eq!(
        domains,
        [
            ("log", 4),
            ("replication", 4),
            ("groups", 5),
            ("retention", 2),
            ("delivery", 2),
            ("processing", 2),
            ("windows", 2),
            ("state", 2),
        ]
    );
    for domain in &bank.domains {
        for place in 1..=domain.places {
            let questions = domain.questions.iter().filter(|question| question.place == place);
            assert!(questions.count() >= 4, "{} place {place}", domain.id);
        }
    }
    let all = questions(&bank);
    assert!(all.len() >= 92, "{}", all.len());
    let count = |wanted: fn(&Question) -> bool| all.iter().filter(|question| wanted(question)).count();
    let several = |question: &Question| matches!(question.body, Body::Choices { several: true, .. });
    assert!(count(several) >= 8);
    assert!(count(|question| matches!(question.body, Body::Order(_))) >= 8);
    assert!(count(|question| matches!(question.body, Body::Number(_))) >= 8);
    assert!(count(|question| question.transcript.is_some()) >= 8);
}

/// Lint asks that a wrong choice names a belief that exists; here: every belief of the course is asked about.
#[test]
fn every_belief_is_a_wrong_choice_somewhere() {
    let bank = Bank::load(&Files::Embedded).unwrap();
    let asked: BTreeSet<&str> = questions(&bank)
        .into_iter()
        .flat_map(choices)
        .filter_map(|choice| choice.belief.as_deref())
        .collect();
    let never: Vec<&String> = bank
        .beliefs
        .keys()
        .filter(|belief| !asked.contains(belief.as_str()))
        .collect();
    assert!(never.is_empty(), "{never:?}");
}

#[test]
fn what_a_question_and_a_belief_point_to_is_there() {
    let bank = Bank::load(&Files::Embedded).unwrap();
    let course = Course::from_files(&Files::Embedded).unwrap();
    // Modules 4 and 5 are not all written yet.
    let written = |id: &str| id < "4" || bank.exercises.contains_key(id);
    for question in questions(&bank) {
        let exercise = &question.exercise;
        assert!(
            !written(exercise) || bank.exercises.contains_key(exercise),
            "{}: {exercise}",
            question.id
        );
    }
    for (id, belief) in &bank.beliefs {
        let exercise = belief.exercise.as_deref().unwrap();
        if written(exercise) {
            let shown = &course.exercise(exercise).unwrap().corrects;
            assert!(shown.contains(id), "{exercise} does not correct {id}");
        }
    }
}

#[test]
fn neither_length_nor_wording_gives_the_right_choice_away() {
    let bank = Bank::load(&Files::Embedded).unwrap();
    let (mut longest, mut shortest, mut of) = (0, 0, 0);
    for question in questions(&bank) {
        let letters = |right: bool| -> Vec<usize> {
            let choices = choices(question).iter().filter(|choice| choice.right == right);
            choices.map(|choice| choice.text.chars().count()).collect()
        };
        let wrong = letters(false);
        if let ([right], Some(most), Some(least)) =
            (&letters(true)[..], wrong.iter().max(), wrong.iter().min())
        {
            of += 1;
            longest += usize::from(right > most);
            shortest += usize::from(right < least);
        }
        for choice in choices(question) {
            let text = choice.text.to_lowercase();
            assert!(
                !["of the above", "all of these", "none of these"]
                    .iter()
                    .any(|words| text.contains(words)),
                "{}: {text}",
                question.id
            );
        }
    }
    // With three or four choices, chance makes it about three in ten.
    assert!(
        longest * 10 <= of * 3,
        "the right one is the longest in {longest} of {of}"
    );
    assert!(
        shortest * 10 <= of * 3,
        "the right one is the shortest in {shortest} of {of}"
    );
}

#[test]
fn the_right_choice_stands_at_each_position_as_often() {
    let bank = Bank::load(&Files::Embedded).unwrap();
    let mut at: BTreeMap<usize, [u32; 4]> = BTreeMap::new();
    for seed in 0..200 {
        for drawn in draw(&bank, seed).unwrap().questions {
            let all = choices(drawn.question);
            let right = |index: &usize| all.get(*index).is_some_and(|choice| choice.right);
            if all.iter().filter(|choice| choice.right).count() == 1
                && let Some(position) = drawn.shown.iter().position(right)
            {
                at.entry(all.len()).or_default()[position] += 1;
            }
        }
    }
    for (of, counts) in at {
        let counts = &counts[..of];
        let mean = counts.iter().sum::<u32>() / of as u32;
        assert!(
            counts.iter().all(|count| count.abs_diff(mean) * 10 <= mean * 2),
            "{of} choices: {counts:?}"
        );
    }
}

fn questions(bank: &Bank) -> Vec<&Question> {
    bank.domains.iter().flat_map(|domain| &domain.questions).collect()
}

fn choices(question: &Question) -> &[Choice] {
    match &question.body {
        Body::Choices { choices, .. } => choices,
        _ => &[],
    }
}

#[test]
fn mistakes_are_named_at_their_line() {
    let cases: &[(&str, String, &str, usize)] = &[
        (
            "quizzes/quiz.toml",
            QUIZ.replace("pass = 4", "pass = 6"),
            "6 right answers are needed, of 5",
            2,
        ),
        (
            "quizzes/quiz.toml",
            QUIZ.replace("id = \"time\"", "id = \"tiem\""),
            "there is no file",
            10,
        ),
        (
            "quizzes/quiz.toml",
            QUIZ.replace("id = \"time\"", "id = \"log\""),
            "is there twice",
            10,
        ),
        (
            "quizzes/log.toml",
            LOG.replace("log-one-b", "log-one"),
            "another question has the id",
            17,
        ),
        (
            "quizzes/log.toml",
            LOG.replacen("place = 1", "place = 9", 1),
            "there is no place 9",
            3,
        ),
        (
            "quizzes/log.toml",
            LOG.replacen("right = true", "right = false", 1),
            "0 choices are right",
            8,
        ),
        (
            "quizzes/log.toml",
            LOG.replacen("text = \"Reading\"\n", "text = \"Reading\"\nright = true\n", 1),
            "2 choices are right",
            8,
        ),
        (
            "quizzes/log.toml",
            LOG.replace("transcript = ", "# "),
            "needs a transcript",
            16,
        ),
        (
            "quizzes/log.toml",
            LOG.replace("\"third\"", "\"first\""),
            "all different",
            57,
        ),
        (
            "quizzes/time.toml",
            TIME.replace("answer = 42", ""),
            "has no answer",
            1,
        ),
        (
            "quizzes/time.toml",
            TIME.replace("answer = 42", "answers = 42"),
            "answers",
            8,
        ),
        (
            "quizzes/time.toml",
            TIME.replace("answer = 42", "answer = 42\nitems = [\"a\"]"),
            "parts of another kind",
            4,
        ),
    ];
    for (file, text, what, line) in cases {
        let (_folder, path) = with(file, text);
        let problems = Bank::load(&Files::folder(&path).unwrap()).unwrap_err();
        let place = problems[0].place.as_ref().unwrap();
        assert!(
            problems[0].what.contains(what),
            "{what}: {}",
            problems[0].render()
        );
        assert_eq!(place.line, Some(*line), "{what}: {}", problems[0].render());
        assert!(place.file.ends_with(file), "{what}");
        assert!(problems[0].next.is_some(), "{what} leaves the author alone");
    }
}

#[test]
fn lint_names_what_does_not_teach() {
    let wordy = "Retention, and nothing but retention, in its good time";
    let cases = [
        (
            "quizzes/log.toml",
            LOG.replacen("belief = \"reading-deletes\"\n", "", 1),
            "names no belief",
        ),
        (
            "quizzes/log.toml",
            LOG.replacen("reading-deletes", "reading-delets", 1),
            "there is no belief 'reading-delets'",
        ),
        (
            "quizzes/log.toml",
            LOG.replacen("why = \"Reading moves only an offset.\"", "", 1),
            "has no reason",
        ),
        (
            "quizzes/log.toml",
            LOG.replacen("exercise = \"1.1\"", "exercise = \"7.1\"", 1),
            "there is no exercise 7.1",
        ),
        (
            "quizzes/log.toml",
            LOG.replacen("\"Retention\"", &format!("\"{wordy}\""), 1),
            "the longest by far",
        ),
        (
            "quizzes/log.toml",
            LOG.replace("place = 3", "place = 2"),
            "place 3 of the domain 'log' has no question",
        ),
    ];
    let (_folder, path) = small();
    assert!(lint(&bank(&path)).is_empty());
    for (file, text, what) in cases {
        let (_folder, path) = with(file, &text);
        let problems = lint(&bank(&path));
        assert_eq!(problems.len(), 1, "{what}: {problems:?}");
        assert!(
            problems[0].what.contains(what),
            "{what}: {}",
            problems[0].render()
        );
    }
}

#[test]
fn a_seed_is_a_test_and_another_seed_another_one() {
    let bank = Bank::load(&Files::Embedded).unwrap();
    let ids = |seed| -> Vec<String> {
        draw(&bank, seed)
            .unwrap()
            .questions
            .iter()
            .map(|drawn| drawn.question.id.clone())
            .collect()
    };
    assert_eq!(ids(7), ids(7));
    assert_eq!(ids(7).len(), 23);
    let seen: BTreeSet<String> = (0..40).flat_map(ids).collect();
    let all: usize = bank.domains.iter().map(|domain| domain.questions.len()).sum();
    assert!(
        seen.len() * 10 > all * 9,
        "{} of {all} are ever drawn",
        seen.len()
    );
    // Right choices stand at every position.
    let positions: BTreeSet<usize> = (0..40)
        .flat_map(|seed| {
            let drawn = draw(&bank, seed).unwrap();
            let right = right_answers(&drawn);
            drawn
                .questions
                .iter()
                .filter_map(|drawn| match &right[&drawn.question.id] {
                    Answer::Chosen(chosen) if chosen.len() == 1 => {
                        drawn.shown.iter().position(|index| *index == chosen[0])
                    }
                    _ => None,
                })
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(positions.is_superset(&(0..4).collect()));
}

#[test]
fn several_and_orders_count_as_a_whole() {
    let (_folder, path) = small();
    let bank = bank(&path);
    let drawn = draw(&bank, 1).unwrap();
    let right = right_answers(&drawn);
    assert_eq!(grade(&bank, &drawn, &right).score, 5);
    let mut partly = right.clone();
    partly.insert("log-several".into(), Answer::Chosen(vec![0]));
    partly.insert("log-order".into(), Answer::Ordered(vec![0, 2, 1]));
    let graded = grade(&bank, &drawn, &partly);
    assert_eq!((graded.score, graded.passed()), (3, false));
    assert_eq!(graded.domains, [("The log", 1, 3), ("Time", 2, 2)]);
    assert_eq!(grade(&bank, &drawn, &BTreeMap::new()).missed.len(), 5);
}

#[test]
fn a_resumed_attempt_keeps_what_still_fits_and_a_damaged_one_stops_nothing() {
    let (_folder, path) = small();
    let home = tempfile::tempdir().unwrap();
    let attempts = Attempts::of(&Home::at(home.path()));
    let old = bank(&path);
    let drawn = draw(&old, 3).unwrap();
    let mut attempt = Attempt::new(&old, &drawn);
    attempt.answers = right_answers(&drawn);
    attempts.save(&attempt).unwrap();

    let (_other, changed) = with("quizzes/time.toml", &TIME.replace("How many?", "How many now?"));
    let changed = bank(&changed);
    let (mut all, damaged) = attempts.all("small");
    assert!(damaged.is_empty());
    let (_, dropped) = all[0].resume(&changed).unwrap();
    assert_eq!(dropped, 1);
    assert!(!all[0].answers.contains_key("time-number"));

    let (_gone, gone) = with("quizzes/time.toml", &TIME.replace("time-number", "time-other"));
    assert!(all[0].resume(&bank(&gone)).is_none());

    let file = home.path().join("quiz").join(format!("{}.json", attempt.id));
    std::fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(40)
        .unwrap();
    let (all, notes) = attempts.all("small");
    assert!(all.is_empty());
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].contains(" line 3 ") && notes[0].contains(".aside"),
        "{notes:?}"
    );
    assert!(file.with_extension("aside").exists() && !file.exists());
}
