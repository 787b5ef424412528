//! What the screens say, as text: pure functions of course, progress and width.

use std::fmt::Write as _;
use std::sync::Arc;

use super::words;
use crate::check::CheckResult;
use crate::course::{Course, Exercise, Progress, Step};
use crate::ui::{self, markdown};

/// How an exercise stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All its steps are done.
    Done,
    /// The learner has gone through it and left steps undone.
    Skipped,
    /// Some of its steps are done.
    Begun(usize),
    /// Nothing is done.
    New,
}

/// How far the learner is in an exercise.
pub fn standing(exercise: &Exercise, progress: &Progress) -> Standing {
    let done = exercise
        .steps
        .iter()
        .filter(|step| progress.is_done(exercise, step))
        .count();
    let left = exercise
        .steps
        .iter()
        .filter(|step| progress.is_settled(exercise, step))
        .count();
    match (done, left) {
        (done, _) if done == exercise.steps.len() => Standing::Done,
        (_, left) if left == exercise.steps.len() => Standing::Skipped,
        (0, 0) => Standing::New,
        (done, _) => Standing::Begun(done),
    }
}

impl Standing {
    fn mark(self) -> &'static str {
        match self {
            Self::Done => "[x]",
            Self::Skipped => "[-]",
            Self::Begun(_) => "[.]",
            Self::New => "[ ]",
        }
    }
}

/// The map: every exercise with its standing, and a mark at `here`.
pub fn map(course: &Course, progress: &Progress, here: Option<&str>, width: usize) -> String {
    let mut text = String::new();
    for module in &course.modules {
        let to_come = if module.exercises.is_empty() {
            "to come"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "{}",
            ui::sides(&format!("  {} {}", module.number, module.title), to_come, width)
        );
        for exercise in &module.exercises {
            let standing = standing(exercise, progress);
            let arrow = if here == Some(exercise.id.as_str()) {
                ">"
            } else {
                " "
            };
            let note = match standing {
                Standing::Begun(done) => format!("{done} of {} steps", exercise.steps.len()),
                Standing::Done => "done".to_string(),
                Standing::Skipped => "steps undone".to_string(),
                Standing::New => format!("{} min", exercise.minutes),
            };
            let left = format!(
                "   {arrow} {} {} {}",
                standing.mark(),
                exercise.id,
                exercise.title
            );
            let _ = writeln!(text, "{}", ui::sides(&left, &note, width));
        }
    }
    text
}

/// The line at the top of a step.
pub fn step_header(exercise: &Exercise, index: usize, width: usize) -> String {
    let left = format!("{} {}", exercise.id, exercise.title);
    let right = format!("step {} of {}", index + 1, exercise.steps.len());
    format!("{}\n{}\n", ui::sides(&left, &right, width), "-".repeat(width))
}

/// A step as it opens, without its boxes.
pub fn step_text(exercise: &Exercise, index: usize, width: usize) -> String {
    let step = &exercise.steps[index];
    let mut text = step_header(exercise, index, width);
    if index == 0 {
        text.push_str(&markdown::render(&exercise.why, width));
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "{}",
        markdown::render(&format!("**{}**\n\n{}", step.title, step.task), width).trim_end()
    );
    text
}

/// One box, with what was found and what to do about it where it is not ticked.
pub fn tick_box(result: &CheckResult, width: usize) -> String {
    let mark = if result.passed { "[x]" } else { "[ ]" };
    let mut text = ui::indented(&format!("{mark} {}", ui::visible(&result.label)), 2, 6, width);
    if !result.passed {
        if !result.found.is_empty() {
            text.push_str(&ui::indented(&ui::visible(&result.found), 6, 6, width));
        }
        if let Some(advice) = &result.advice {
            text.push_str(&ui::indented(&ui::visible(advice), 6, 6, width));
        }
    }
    text
}

/// A box alone, as a step opens.
pub fn empty_box(result: &CheckResult, width: usize) -> String {
    let mark = if result.passed { "[x]" } else { "[ ]" };
    ui::indented(&format!("{mark} {}", ui::visible(&result.label)), 2, 6, width)
}

/// What is said once a step has passed: back to the prediction, then the explanation.
pub fn explanation(step: &Step, prediction: Option<&str>, width: usize) -> String {
    let mut text = String::new();
    let made = step
        .predict
        .iter()
        .flat_map(|predict| &predict.choice)
        .find(|choice| Some(choice.text.as_str()) == prediction);
    if let Some(choice) = made {
        text.push_str(&markdown::render(&choice.reply, width));
        text.push('\n');
    }
    if let Some(explanation) = &step.explanation {
        text.push_str(&markdown::render(explanation, width));
        text.push('\n');
    }
    text
}

/// The last line of a finished step: what can be done now.
pub fn after_step(exercise: &Exercise, index: usize, width: usize) -> String {
    let text = if index + 1 == exercise.steps.len() {
        "That was the last step of this exercise. Enter goes on · explain · list"
    } else {
        "Step done. Enter goes on · explain · list"
    };
    ui::indented(text, 0, 0, width)
}

/// What is said when an exercise is behind the learner. Of the steps that are not done, this lab can only show those
/// that `is_shown` names.
pub fn end_of_exercise(
    exercise: &Exercise,
    all: &[Arc<Exercise>],
    progress: &Progress,
    is_shown: impl Fn(&Step) -> bool,
    width: usize,
) -> String {
    let done = all
        .iter()
        .filter(|one| standing(one, progress) == Standing::Done)
        .count();
    let mut text = String::new();
    let undone = exercise
        .steps
        .iter()
        .filter(|step| !progress.is_done(exercise, step));
    let (shown, skipped): (Vec<&Step>, Vec<&Step>) = undone.partition(|step| is_shown(step));
    let how = how_it_ended(skipped.len(), shown.len());
    let end = format!(
        "{} {}: {how}. {done} of {} exercises done.",
        exercise.id,
        exercise.title,
        all.len()
    );
    let _ = write!(text, "\n{}", ui::indented(&end, 0, 0, width));
    if let Some(read_on) = &exercise.read_on {
        let _ = write!(text, "\nRead on\n\n{}", markdown::render(read_on, width));
    }
    text
}

fn how_it_ended(skipped: usize, shown: usize) -> String {
    let steps = |count: usize| match count {
        1 => "one step".to_string(),
        count => format!("{count} steps"),
    };
    match (skipped, shown) {
        (0, 0) => "done".to_string(),
        (0, shown) => format!("done, {} only read", steps(shown)),
        (skipped, 0) => format!("behind you, {} skipped", steps(skipped)),
        (skipped, shown) => format!("behind you, {} skipped and {shown} only read", steps(skipped)),
    }
}

/// The prompt's words, and how to leave.
pub fn help(tools: impl Iterator<Item = &'static str>, width: usize) -> String {
    let mut text = String::new();
    for entry in words::WORDS {
        let usage = format!("{} {}", entry.name, entry.args);
        text.push_str(&ui::indented(
            &format!("{:<32}{}", usage.trim_end(), entry.help),
            2,
            34,
            width,
        ));
    }
    text.push('\n');
    let tools = format!(
        "Kafka's tools, with their own flags (--help lists them): {}",
        tools.collect::<Vec<_>>().join(", ")
    );
    text.push_str(&ui::indented(&tools, 2, 4, width));
    text.push_str(&ui::indented(
        "Input from a file of the exercise: kafka-console-producer --topic rides < FILE",
        2,
        4,
        width,
    ));
    text.push_str(&ui::indented(
        "Tab completes, the arrow keys bring back earlier lines, Ctrl-C ends a command, Ctrl-D leaves.",
        2,
        4,
        width,
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_tells_what_was_skipped_from_what_the_lab_cannot_do() {
        let ends = [(0, 0), (2, 0), (0, 1), (1, 2)].map(|(skipped, shown)| how_it_ended(skipped, shown));
        insta::assert_debug_snapshot!(ends, @r#"
        [
            "done",
            "behind you, 2 steps skipped",
            "done, one step only read",
            "behind you, one step skipped and 2 only read",
        ]
        "#);
    }
}
