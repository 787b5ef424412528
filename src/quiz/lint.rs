//! What makes a question teach, beyond what makes it work: for `author check`.

use crate::course::located::did_you_mean;
use crate::problem::{Place, Problem};
use crate::quiz::bank::{Bank, Body, Choice, Domain, Question};

/// How much longer than the longest wrong choice the right one may be before its length gives it away: letters, percent.
const TELL: (usize, usize) = (12, 140);

/// Everything that an author should mend: places without a question, wrong choices without a belief or a reason,
/// exercises that don't exist, a right choice that its length gives away. In the order of the files.
pub fn lint(bank: &Bank) -> Vec<Problem> {
    let mut problems = Vec::new();
    for domain in &bank.domains {
        places(domain, &mut problems);
        for question in &domain.questions {
            exercise(bank, question, &mut problems);
            if let Body::Choices { choices, .. } = &question.body {
                choices
                    .iter()
                    .filter(|choice| !choice.right)
                    .for_each(|choice| wrong(bank, choice, &mut problems));
                tell(question, choices, &mut problems);
            }
            if question.explain.is_empty() {
                problems.push(
                    at(&question.at, "the explanation is empty".into())
                        .next("say why the right answer is right"),
                );
            }
        }
    }
    problems
}

fn at(place: &Place, what: String) -> Problem {
    Problem::new(what).at(place.file.clone(), place.line)
}

fn places(domain: &Domain, problems: &mut Vec<Problem>) {
    for place in 1..=domain.places {
        if !domain.questions.iter().any(|question| question.place == place) {
            let what = format!("place {place} of the domain '{}' has no question", domain.id);
            problems.push(
                at(&domain.place, what).next("write one; with four of them a second try is another test"),
            );
        }
    }
}

/// A module may still wait for its exercises; an exercise of a module that is not in the course is a mistake.
fn exercise(bank: &Bank, question: &Question, problems: &mut Vec<Problem>) {
    let module = question
        .exercise
        .split_once('.')
        .and_then(|(module, number)| number.parse::<u32>().ok().and(module.parse::<u32>().ok()));
    if !bank.exercises.contains_key(&question.exercise)
        && !module.is_some_and(|module| bank.modules.contains(&module))
    {
        let what = format!("there is no exercise {}, nor its module", question.exercise);
        let known = did_you_mean(&question.exercise, bank.exercises.keys().map(String::as_str));
        let next = known.map_or_else(
            || "name an exercise of exercises/course.toml".to_owned(),
            |known| format!("did you mean {known}?"),
        );
        problems.push(at(&question.at, what).next(next));
    }
}

fn wrong(bank: &Bank, choice: &Choice, problems: &mut Vec<Problem>) {
    match &choice.belief {
        None => problems.push(
            at(&choice.at, "this wrong choice names no belief".into())
                .next("say which belief of exercises/beliefs.toml is behind it: belief = \"…\""),
        ),
        Some(belief) if !bank.beliefs.contains_key(belief) => {
            let known = did_you_mean(belief, bank.beliefs.keys().map(String::as_str));
            let next = known.map_or_else(
                || "add it to exercises/beliefs.toml".to_owned(),
                |known| format!("did you mean '{known}'? else add it to exercises/beliefs.toml"),
            );
            problems.push(at(&choice.at, format!("there is no belief '{belief}'")).next(next));
        }
        Some(_) => {}
    }
    if choice.why.as_ref().is_none_or(String::is_empty) {
        problems.push(
            at(&choice.at, "this wrong choice has no reason".into()).next("say why it is wrong: why = \"…\""),
        );
    }
}

fn tell(question: &Question, choices: &[Choice], problems: &mut Vec<Problem>) {
    let longest = |right: bool| {
        choices
            .iter()
            .filter(|choice| choice.right == right)
            .map(|choice| choice.text.chars().count())
            .max()
    };
    if let (Some(right), Some(wrong)) = (longest(true), longest(false))
        && right > wrong + TELL.0
        && right * 100 > wrong * TELL.1
    {
        let what =
            format!("the right choice is the longest by far ({right} letters, the others at most {wrong})");
        problems.push(at(&question.at, what).next("shorten it, or write the wrong ones as fully"));
    }
}
