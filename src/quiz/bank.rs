//! The bank of questions: `quizzes/quiz.toml` names the domains, `quizzes/DOMAIN.toml` holds the questions of one.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::course::files::{Files, QUIZ_FILE};
use crate::course::load;
use crate::course::located::{self, Lines, Located};
use crate::course::model::Belief;
use crate::problem::{Place, Problem};

/// The most questions of one attempt, and so the highest score.
const MAX_PLACES: u32 = 100;

/// `quizzes/quiz.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuizFile {
    /// The quiz's title, and the badge's: at most 80 characters.
    pub title: String,
    /// Right answers that pass.
    #[schemars(range(min = 1, max = 100))]
    pub pass: u32,
    /// The parts of the quiz, in order.
    pub domain: Vec<DomainFile>,
}

/// A `[[domain]]` of `quiz.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainFile {
    /// Names the file of its questions: `ID.toml`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Questions drawn from it: one for each place.
    #[schemars(range(min = 1, max = 100))]
    pub places: u32,
}

/// `quizzes/DOMAIN.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionsFile {
    /// The questions, in any order.
    #[serde(default)]
    pub question: Vec<QuestionFile>,
}

/// A `[[question]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionFile {
    /// Unique in the whole bank.
    pub id: String,
    /// The place that it is drawn for, from 1 to the domain's places.
    #[schemars(range(min = 1, max = 100))]
    pub place: u32,
    /// How it is answered.
    pub kind: Kind,
    /// The question, in Markdown.
    pub text: String,
    /// What was typed and printed, shown as it is.
    pub transcript: Option<String>,
    /// The exercise that shows the answer, for instance `1.2`.
    pub exercise: String,
    /// Why the right answer is right, in Markdown.
    pub explain: String,
    /// Kinds one, several and prints: the choices.
    #[serde(default)]
    pub choice: Vec<ChoiceFile>,
    /// Kind order: the items, in the right order.
    #[serde(default)]
    pub items: Vec<String>,
    /// Kind number: the answer.
    pub answer: Option<i64>,
}

/// A `[[question.choice]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChoiceFile {
    /// What is chosen.
    pub text: String,
    /// Whether it is right.
    #[serde(default)]
    pub right: bool,
    /// A wrong choice: the belief of `beliefs.toml` behind it.
    pub belief: Option<String>,
    /// A wrong choice: why it is wrong.
    pub why: Option<String>,
}

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One choice is right.
    One,
    /// One or more choices are right, and all of them are to be chosen.
    Several,
    /// Items are to be put in order.
    Order,
    /// A whole number.
    Number,
    /// One choice is right, about a transcript.
    Prints,
}

/// A bank that holds together.
#[derive(Debug, Clone)]
pub struct Bank {
    /// The quiz's title.
    pub title: String,
    /// Right answers that pass.
    pub pass: u32,
    /// The domains, in order.
    pub domains: Vec<Domain>,
    /// The course's wrong beliefs, by id.
    pub beliefs: BTreeMap<String, Belief>,
    /// The course's id, which names attempts and badges.
    pub course: String,
    /// Titles of the course's exercises, by id.
    pub exercises: BTreeMap<String, String>,
    /// Numbers of the course's modules.
    pub modules: BTreeSet<u32>,
}

/// A part of the quiz.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Its id, the name of its file.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Questions drawn from it.
    pub places: u32,
    /// All its questions.
    pub questions: Vec<Question>,
    pub(crate) place: Place,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Question {
    /// Unique in the bank.
    pub id: String,
    /// The place that it is drawn for.
    pub place: u32,
    /// The question, in Markdown.
    pub text: String,
    /// What was typed and printed.
    pub transcript: Option<String>,
    /// The exercise that shows the answer.
    pub exercise: String,
    /// Why the right answer is right.
    pub explain: String,
    /// What is asked for, and the right answer.
    pub body: Body,
    pub(crate) at: Place,
}

/// What a question asks for.
#[derive(Debug, Clone)]
pub enum Body {
    /// Choices; `several` may be right.
    Choices {
        /// Whether more than one may be chosen.
        several: bool,
        /// The choices, as in the file.
        choices: Vec<Choice>,
    },
    /// Items in the right order.
    Order(Vec<String>),
    /// A number.
    Number(i64),
}

/// A choice.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What is chosen.
    pub text: String,
    /// Whether it is right.
    pub right: bool,
    /// The belief behind a wrong one.
    pub belief: Option<String>,
    /// Why it is wrong.
    pub why: Option<String>,
    pub(crate) at: Place,
}

impl Bank {
    /// Reads `quizzes/`, with every mistake at its line.
    pub fn load(files: &Files) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let quiz = read::<QuizFile>(files, QUIZ_FILE)?;
        let mut ids = BTreeSet::new();
        let mut domains = Vec::new();
        check_quiz(&quiz, &mut problems);
        for (index, domain) in quiz.value.domain.iter().enumerate() {
            let path = format!("domain[{index}].id");
            if !is_id(&domain.id) {
                problems.push(
                    quiz.lines
                        .problem(&path, format!("'{}' is no id of a domain", domain.id))
                        .next("small letters, digits and hyphens; it names the file of its questions"),
                );
                continue;
            }
            let file = format!("quizzes/{}.toml", domain.id);
            if !files.exists(&file) {
                let what = format!(
                    "there is no file {} for this domain",
                    files.shown(&file).display()
                );
                problems.push(
                    quiz.lines
                        .problem(&path, what)
                        .next("write it, or take the domain out"),
                );
                continue;
            }
            match read::<QuestionsFile>(files, &file) {
                Ok(read) => domains.push(Domain {
                    id: domain.id.clone(),
                    title: domain.title.clone(),
                    places: domain.places,
                    questions: questions(&read, domain.places, &mut ids, &mut problems),
                    place: place(&quiz.lines, &path),
                }),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        // The questions name exercises, and only that: a broken one is the course's matter.
        let course = load::outline(files);
        let course = course.as_ref();
        Ok(Self {
            title: quiz.value.title,
            pass: quiz.value.pass,
            domains,
            beliefs: course.map(|course| course.beliefs.clone()).unwrap_or_default(),
            course: course.map_or_else(|| "quiz".into(), |course| course.id.clone()),
            exercises: course
                .map(|course| load::titles(files, course))
                .unwrap_or_default(),
            modules: course
                .iter()
                .flat_map(|course| &course.modules)
                .map(|module| module.number)
                .collect(),
        })
    }

    /// Questions in one attempt, and the highest score.
    pub fn places(&self) -> u32 {
        self.domains.iter().map(|domain| domain.places).sum()
    }

    /// A question and its domain, by the question's id.
    pub fn question(&self, id: &str) -> Option<(&Domain, &Question)> {
        self.domains.iter().find_map(|domain| {
            domain
                .questions
                .iter()
                .find(|question| question.id == id)
                .map(|question| (domain, question))
        })
    }
}

impl Question {
    /// A hash of what is asked, so that an answer kept from before is not taken for one to another question.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        add(&self.text);
        add(self.transcript.as_deref().unwrap_or_default());
        match &self.body {
            Body::Choices { several, choices } => {
                add(if *several { "several" } else { "one" });
                for choice in choices {
                    add(&choice.text);
                }
            }
            Body::Order(items) => {
                for item in items {
                    add(item);
                }
            }
            Body::Number(_) => add("number"),
        }
        hash.finalize()
            .iter()
            .take(8)
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

fn read<T>(files: &Files, path: &str) -> Result<Located<T>, Vec<Problem>>
where
    T: serde::de::DeserializeOwned + JsonSchema,
{
    let text = files.text(path).map_err(|problem| vec![problem])?;
    located::read(&text, &files.shown(path), 1)
}

fn place(lines: &Lines, path: &str) -> Place {
    Place {
        file: lines.file().to_path_buf(),
        line: Some(lines.line(path)),
        column: None,
    }
}

fn check_quiz(quiz: &Located<QuizFile>, problems: &mut Vec<Problem>) {
    let QuizFile { title, pass, domain } = &quiz.value;
    let places = domain
        .iter()
        .fold(0, |sum: u32, domain| sum.saturating_add(domain.places));
    if places == 0 || places > MAX_PLACES {
        let what = format!("the domains have {places} places together, and 1 to {MAX_PLACES} can be asked");
        problems.push(
            quiz.lines
                .problem("domain", what)
                .next("change the 'places' of the domains"),
        );
    }
    if *pass == 0 || *pass > places {
        let what = format!("{pass} right answers are needed, of {places} questions");
        problems.push(
            quiz.lines
                .problem("pass", what)
                .next("choose 'pass' between 1 and the sum of 'places'"),
        );
    }
    if title.trim() != title || title.is_empty() || title.chars().count() > streamlings_badge::MAX_NAME_CHARS
    {
        let next = "it goes on the badge: 1 to 80 characters, no white space around it";
        problems.push(
            quiz.lines
                .problem("title", "this title can't be put on a badge")
                .next(next),
        );
    }
    let mut seen = BTreeSet::new();
    for (index, domain) in domain.iter().enumerate() {
        if !seen.insert(&domain.id) {
            let what = format!("the domain '{}' is there twice", domain.id);
            problems.push(
                quiz.lines
                    .problem(&format!("domain[{index}].id"), what)
                    .next("give each its own id"),
            );
        }
    }
}

fn questions(
    read: &Located<QuestionsFile>,
    places: u32,
    ids: &mut BTreeSet<String>,
    problems: &mut Vec<Problem>,
) -> Vec<Question> {
    let mut questions = Vec::new();
    for (index, file) in read.value.question.iter().enumerate() {
        let path = format!("question[{index}]");
        let mut wrong = |part: &str, what: String, next: &str| {
            problems.push(read.lines.problem(&format!("{path}{part}"), what).next(next));
        };
        if !is_id(&file.id) {
            wrong(
                ".id",
                format!("'{}' is no id of a question", file.id),
                "small letters, digits and hyphens",
            );
        } else if !ids.insert(file.id.clone()) {
            wrong(
                ".id",
                format!("another question has the id '{}'", file.id),
                "give each its own id",
            );
        }
        if !(1..=places).contains(&file.place) {
            wrong(
                ".place",
                format!("there is no place {} in this domain", file.place),
                "places are counted from 1; quiz.toml says how many there are",
            );
        }
        if file.text.trim().is_empty() {
            wrong(".text", "the question is empty".into(), "write what is asked");
        }
        match body(file, &|part: &str| place(&read.lines, &format!("{path}{part}"))) {
            Ok(body) => questions.push(Question {
                id: file.id.clone(),
                place: file.place,
                text: file.text.trim().to_owned(),
                transcript: file
                    .transcript
                    .as_ref()
                    .map(|text| text.trim_matches('\n').to_owned()),
                exercise: file.exercise.clone(),
                explain: file.explain.trim().to_owned(),
                body,
                at: place(&read.lines, &path),
            }),
            Err((part, what, next)) => wrong(part, what, next),
        }
    }
    questions
}

type BodyError = (&'static str, String, &'static str);

fn body(file: &QuestionFile, at: &dyn Fn(&str) -> Place) -> Result<Body, BodyError> {
    let QuestionFile {
        choice,
        items,
        answer,
        ..
    } = file;
    let foreign = match file.kind {
        Kind::One | Kind::Several | Kind::Prints => !items.is_empty() || answer.is_some(),
        Kind::Order => !choice.is_empty() || answer.is_some(),
        Kind::Number => !choice.is_empty() || !items.is_empty(),
    };
    if foreign {
        let next = "one, several and prints have [[question.choice]], order has items, number has answer";
        return Err((".kind", "this question has parts of another kind".into(), next));
    }
    match file.kind {
        Kind::One | Kind::Several | Kind::Prints => choices(file, at),
        Kind::Order => {
            let distinct: BTreeSet<_> = items.iter().map(|item| item.trim()).collect();
            if items.len() < 3 || distinct.len() < items.len() || distinct.contains("") {
                let what = "an order needs three items or more, all different".into();
                return Err((
                    ".items",
                    what,
                    "write them in the right order: items = [\"first\", \"second\", \"third\"]",
                ));
            }
            Ok(Body::Order(
                items.iter().map(|item| item.trim().to_owned()).collect(),
            ))
        }
        Kind::Number => match answer {
            Some(answer) => Ok(Body::Number(*answer)),
            None => Err(("", "this question has no answer".into(), "write it: answer = 42")),
        },
    }
}

fn choices(file: &QuestionFile, at: &dyn Fn(&str) -> Place) -> Result<Body, BodyError> {
    let several = file.kind == Kind::Several;
    let right = file.choice.iter().filter(|choice| choice.right).count();
    let distinct: BTreeSet<_> = file.choice.iter().map(|choice| choice.text.trim()).collect();
    if file.choice.len() < 2 || file.choice.len() > 9 {
        return Err((
            "",
            format!("this question has {} choices", file.choice.len()),
            "write 2 to 9 [[question.choice]]",
        ));
    }
    if distinct.len() < file.choice.len() || distinct.contains("") {
        return Err((
            ".choice",
            "two choices say the same, or nothing".into(),
            "write each another text",
        ));
    }
    if right == 0 || (!several && right > 1) {
        let next = "mark the right one with right = true; more than one needs kind = \"several\"";
        return Err((".choice", format!("{right} choices are right"), next));
    }
    if file.kind == Kind::Prints && file.transcript.is_none() {
        return Err((
            "",
            "a question of kind prints needs a transcript".into(),
            "write transcript = \"\"\"…\"\"\"",
        ));
    }
    let choices = file.choice.iter().enumerate().map(|(index, choice)| Choice {
        text: choice.text.trim().to_owned(),
        right: choice.right,
        belief: choice.belief.clone(),
        why: choice.why.as_ref().map(|why| why.trim().to_owned()),
        at: at(&format!(".choice[{index}]")),
    });
    Ok(Body::Choices {
        several,
        choices: choices.collect(),
    })
}

fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 80 && text.bytes().all(plain)
}
