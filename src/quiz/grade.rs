//! Grading: what was right, in which domain, and what to read about the rest.

use std::collections::BTreeMap;

use crate::quiz::answers::Answer;
use crate::quiz::bank::{Bank, Body, Question};
use crate::quiz::draw::{Drawn, DrawnQuestion};
use crate::ui;
use crate::ui::markdown;

/// A graded test.
#[derive(Debug, Clone)]
pub struct Graded<'a> {
    /// Right answers.
    pub score: u32,
    /// Questions.
    pub max: u32,
    /// Right answers that pass.
    pub pass: u32,
    /// Domain title, right answers, questions; in the order of the blueprint.
    pub domains: Vec<(&'a str, u32, u32)>,
    /// The questions that were not answered right, with the answer if there was one.
    pub missed: Vec<(DrawnQuestion<'a>, Option<Answer>)>,
}

impl Graded<'_> {
    /// Whether it is a pass.
    pub fn passed(&self) -> bool {
        self.score >= self.pass
    }
}

/// Whether an answer is right: several choices and orders count only when they are right as a whole.
pub fn is_right(question: &Question, answer: &Answer) -> bool {
    match (&question.body, answer) {
        (Body::Choices { choices, .. }, Answer::Chosen(chosen)) => choices
            .iter()
            .enumerate()
            .all(|(index, choice)| choice.right == chosen.contains(&index)),
        (Body::Order(items), Answer::Ordered(order)) => order.iter().copied().eq(0..items.len()),
        (Body::Number(right), Answer::Number(given)) => right == given,
        _ => false,
    }
}

/// Grades a test.
pub fn grade<'a>(bank: &'a Bank, drawn: &Drawn<'a>, answers: &BTreeMap<String, Answer>) -> Graded<'a> {
    let mut graded = Graded {
        score: 0,
        max: 0,
        pass: bank.pass,
        domains: Vec::new(),
        missed: Vec::new(),
    };
    for drawn in &drawn.questions {
        let answer = answers.get(&drawn.question.id);
        let right = answer.is_some_and(|answer| is_right(drawn.question, answer));
        if graded
            .domains
            .last()
            .is_none_or(|(title, _, _)| *title != drawn.domain)
        {
            graded.domains.push((drawn.domain, 0, 0));
        }
        if let Some((_, score, max)) = graded.domains.last_mut() {
            *score += u32::from(right);
            *max += 1;
        }
        graded.score += u32::from(right);
        graded.max += 1;
        if !right {
            graded.missed.push((drawn.clone(), answer.cloned()));
        }
    }
    graded
}

/// The result as a screen: score, then a bar for each domain.
pub fn summary(graded: &Graded<'_>, width: usize) -> String {
    let verdict = if graded.passed() { "passed" } else { "not passed" };
    let mut text = format!(
        "  {} of {}, {verdict} ({} needed)\n\n",
        graded.score, graded.max, graded.pass
    );
    let longest = graded
        .domains
        .iter()
        .map(|(title, ..)| title.chars().count())
        .max()
        .unwrap_or(0);
    let room = longest.min(width.saturating_sub(18).max(12));
    for (title, score, max) in &graded.domains {
        let title = ui::visible(title);
        let title = console::truncate_str(&title, room, "…");
        let bar = "#".repeat(*score as usize) + &".".repeat((max - score) as usize);
        text.push_str(&format!("  {title:room$}  {score:>2}/{max:<2}  {bar}\n"));
    }
    text
}

/// What to read about one question that was not answered right.
pub fn explanation(bank: &Bank, drawn: &DrawnQuestion<'_>, answer: Option<&Answer>, width: usize) -> String {
    let question = drawn.question;
    let mut text = markdown::render(&question.text, width);
    if let Some(transcript) = &question.transcript {
        text.push('\n');
        text.push_str(&transcript_box(transcript, width));
    }
    text.push('\n');
    let mut line = |label: &str, value: &str| {
        text.push_str(&ui::indented(
            &ui::visible(&format!("{label}{value}")),
            2,
            4,
            width,
        ));
    };
    match answer {
        None => line("You gave no answer.", ""),
        Some(answer) => line("You said:  ", &words(drawn, answer)),
    }
    line("Right is:  ", &words(drawn, &right_answer(question)));
    if let (Body::Choices { several, choices }, Some(Answer::Chosen(chosen))) = (&question.body, answer) {
        for (index, choice) in choices
            .iter()
            .enumerate()
            .filter(|(index, choice)| chosen.contains(index) != choice.right)
        {
            if choice.right && !several {
                continue;
            }
            text.push('\n');
            if choice.right {
                text.push_str(&ui::indented(
                    &ui::visible(&format!("You left out: {}", drawn.text_of(index))),
                    2,
                    4,
                    width,
                ));
                continue;
            }
            if let Some(why) = &choice.why {
                text.push_str(&markdown::render(why, width));
            }
            if let Some(belief) = choice.belief.as_ref().and_then(|id| bank.beliefs.get(id)) {
                let told = format!(
                    "Many believe: {}. In truth: {}.",
                    belief.belief.trim_end_matches('.'),
                    belief.truth.trim_end_matches('.')
                );
                text.push_str(&ui::indented(&ui::visible(&told), 0, 0, width));
            }
        }
    }
    text.push('\n');
    text.push_str(&markdown::render(&question.explain, width));
    let title = bank.exercises.get(&question.exercise);
    let shown = match title {
        Some(title) => format!("Exercise {} shows it: {title}", question.exercise),
        None => format!(
            "Exercise {} is about it (not in this course yet)",
            question.exercise
        ),
    };
    text.push_str(&ui::indented(&ui::visible(&shown), 0, 0, width));
    text
}

/// A transcript in a frame that copes with any width: a bar at the left, long lines cut.
pub fn transcript_box(transcript: &str, width: usize) -> String {
    // A line is broken at spaces only, where it has some: what a tool printed keeps its look. Tables of Kafka's tools
    // are up to 78 columns wide.
    let options = textwrap::Options::new(width.saturating_sub(2).max(20))
        .subsequent_indent("  ")
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    let mut text = String::new();
    for line in transcript.lines() {
        let line = ui::visible(line).replace('\t', "    ");
        for part in textwrap::wrap(&line, &options) {
            text.push_str(&format!("| {part}\n"));
        }
        if line.is_empty() {
            text.push_str("|\n");
        }
    }
    text
}

/// The right answer.
pub fn right_answer(question: &Question) -> Answer {
    match &question.body {
        Body::Choices { choices, .. } => {
            Answer::Chosen((0..choices.len()).filter(|&index| choices[index].right).collect())
        }
        Body::Order(items) => Answer::Ordered((0..items.len()).collect()),
        Body::Number(right) => Answer::Number(*right),
    }
}

fn words(drawn: &DrawnQuestion<'_>, answer: &Answer) -> String {
    let texts = |indices: &[usize], between: &str| {
        indices
            .iter()
            .map(|&index| drawn.text_of(index))
            .collect::<Vec<_>>()
            .join(between)
    };
    match answer {
        Answer::Chosen(chosen) if chosen.is_empty() => "none of them".into(),
        Answer::Chosen(chosen) => texts(chosen, "; "),
        Answer::Ordered(order) => {
            let numbered = order
                .iter()
                .enumerate()
                .map(|(at, &index)| format!("{}. {}", at + 1, drawn.text_of(index)));
            numbered.collect::<Vec<_>>().join("  ")
        }
        Answer::Number(number) => number.to_string(),
    }
}
