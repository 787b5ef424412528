//! Answers: what one is, and the file of answers for a quiz without a terminal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::course::located::did_you_mean;
use crate::problem::{Outcome, Problem};
use crate::quiz::bank::Body;
use crate::quiz::draw::{Drawn, DrawnQuestion};

/// An answer. Choices and items are counted from 0 as in the bank's file, whatever order they were shown in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The chosen ones, sorted.
    Chosen(Vec<usize>),
    /// All items in the order that was given.
    Ordered(Vec<usize>),
    /// A number.
    Number(i64),
}

/// The letter of a position on the screen.
pub fn letter(position: usize) -> char {
    char::from(b'a' + (position % 26) as u8)
}

impl Answer {
    /// Whether it is an answer that the question could have.
    pub fn fits(&self, body: &Body) -> bool {
        match (self, body) {
            (Self::Chosen(chosen), Body::Choices { several, choices }) => {
                chosen.iter().all(|index| *index < choices.len()) && (*several || chosen.len() == 1)
            }
            (Self::Ordered(order), Body::Order(items)) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                sorted.into_iter().eq(0..items.len())
            }
            (Self::Number(_), Body::Number(_)) => true,
            _ => false,
        }
    }
}

/// The questions as a script needs them: ids, texts, choices with their letters. No answer is in it.
pub fn questions_json(drawn: &Drawn<'_>) -> Value {
    let question = |drawn: &DrawnQuestion<'_>| {
        let (kind, texts): (_, Vec<&str>) = match &drawn.question.body {
            Body::Choices { several: true, .. } => ("several", drawn.texts()),
            Body::Choices { .. } => ("one", drawn.texts()),
            Body::Order(_) => ("order", drawn.texts()),
            Body::Number(_) => ("number", Vec::new()),
        };
        let choices: serde_json::Map<String, Value> = texts
            .iter()
            .enumerate()
            .map(|(position, text)| (letter(position).to_string(), json!(text)))
            .collect();
        json!({
            "id": drawn.question.id,
            "domain": drawn.domain,
            "kind": kind,
            "text": drawn.question.text,
            "transcript": drawn.question.transcript,
            "choices": choices,
        })
    };
    json!({
        "seed": drawn.seed,
        "questions": drawn.questions.iter().map(question).collect::<Vec<_>>(),
    })
}

impl DrawnQuestion<'_> {
    /// The choices or items, in the order in which they are shown.
    pub fn texts(&self) -> Vec<&str> {
        self.shown.iter().map(|&index| self.text_of(index)).collect()
    }

    /// The text of one choice or item.
    pub fn text_of(&self, index: usize) -> &str {
        match &self.question.body {
            Body::Choices { choices, .. } => choices.get(index).map_or("", |choice| &choice.text),
            Body::Order(items) => items.get(index).map_or("", String::as_str),
            Body::Number(_) => "",
        }
    }
}

/// Reads a file of answers, JSON or TOML: question id → a letter or the text of a choice, a list of them, or a number.
pub fn read(text: &str, file: &str, drawn: &Drawn<'_>) -> Outcome<BTreeMap<String, Answer>> {
    let broken = |what: String, line: Option<usize>| {
        Problem::new(format!("the answers can't be read: {what}"))
            .at(file, line)
            .next("JSON or TOML, question id = answer; `streamlings quiz --print-questions` lists the ids")
    };
    let given: BTreeMap<String, Value> = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| broken(error.to_string(), Some(error.line())))?
    } else {
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            broken(error.message().to_owned(), line)
        })?
    };
    let mut answers = BTreeMap::new();
    for (id, value) in given {
        let Some(question) = drawn.questions.iter().find(|drawn| drawn.question.id == id) else {
            let known = did_you_mean(
                &id,
                drawn.questions.iter().map(|drawn| drawn.question.id.as_str()),
            );
            let next = known.map_or_else(
                || {
                    format!(
                        "`streamlings quiz --print-questions --seed {}` lists this test's questions",
                        drawn.seed
                    )
                },
                |known| format!("did you mean '{known}'?"),
            );
            return Err(Problem::new(format!(
                "'{id}' is no question of the test with seed {}",
                drawn.seed
            ))
            .at(file, None)
            .next(next));
        };
        let answer = answer(question, &value).map_err(|next| {
            Problem::new(format!("this is no answer to '{id}': {value}"))
                .at(file, None)
                .next(next)
        })?;
        answers.insert(id, answer);
    }
    Ok(answers)
}

fn answer(drawn: &DrawnQuestion<'_>, value: &Value) -> Result<Answer, String> {
    let letters = || {
        let shown = drawn
            .texts()
            .iter()
            .enumerate()
            .map(|(at, text)| format!("{}: {text}", letter(at)))
            .collect::<Vec<_>>();
        shown.join("; ")
    };
    let one = |value: &Value| -> Option<usize> {
        let text = value.as_str()?.trim();
        let by_letter = (0..drawn.shown.len()).find(|&at| text.eq_ignore_ascii_case(&letter(at).to_string()));
        let by_text = || drawn.texts().iter().position(|shown| *shown == text);
        by_letter.or_else(by_text).map(|position| drawn.shown[position])
    };
    let many = |value: &Value| -> Option<Vec<usize>> {
        match value {
            Value::Array(values) => values.iter().map(one).collect(),
            value => Some(vec![one(value)?]),
        }
    };
    let answer = match &drawn.question.body {
        Body::Number(_) => {
            let number = value
                .as_i64()
                .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
            return number
                .map(Answer::Number)
                .ok_or_else(|| "write a whole number".to_owned());
        }
        Body::Choices { .. } => many(value).map(|mut chosen| {
            chosen.sort_unstable();
            chosen.dedup();
            Answer::Chosen(chosen)
        }),
        Body::Order(_) => many(value).map(Answer::Ordered),
    };
    let form = match &drawn.question.body {
        Body::Choices { several: false, .. } => "one letter or text",
        Body::Choices { .. } => "a list of letters or texts",
        _ => "a list of all letters, in order",
    };
    answer
        .filter(|answer| answer.fits(&drawn.question.body))
        .ok_or_else(|| format!("write {form}, of {}", letters()))
}
