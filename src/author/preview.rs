//! `author preview`: an exercise as the learner will see it, shown again whenever a file of it changes.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use console::Term;

use super::check::files;
use crate::cancel::Cancel;
use crate::check::label;
use crate::course::load::{self, Loaded};
use crate::course::{Exercise, Files, Step};
use crate::problem::{Exit, Outcome, Problem};
use crate::ui::{self, markdown};

/// How often the files are looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows it once, or until Ctrl-C where a person watches.
pub fn run(name: &str, folder: Option<&Path>, once: bool) -> Outcome<Exit> {
    let files = files(folder)?;
    let terminal = Term::stdout();
    let live = !once && terminal.is_term() && matches!(files, Files::Folder(_));
    if !live {
        let text = page(&files, name, ui::width())?;
        print(&text);
        return Ok(Exit::Done);
    }
    let cancel = Cancel::on_interrupt();
    let mut shown = None;
    while !cancel.is_cancelled() {
        let state = (newest(&files), terminal.size());
        if shown != Some(state) {
            shown = Some(state);
            let text = page(&files, name, ui::width()).unwrap_or_else(|problem| problem.render());
            drop(terminal.clear_screen());
            print(&text);
            print("\nShown again when a file changes. Ctrl-C ends.\n");
        }
        std::thread::park_timeout(PAUSE);
    }
    Ok(Exit::Done)
}

fn print(text: &str) {
    use std::io::Write;
    let mut stdout = std::io::stdout();
    // A reader who has gone away is no error.
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// The last change of any file of the course.
fn newest(files: &Files) -> Option<SystemTime> {
    let names = files.below("exercises").unwrap_or_default();
    names
        .iter()
        .filter_map(|name| {
            fs::metadata(files.shown(&format!("exercises/{name}")))
                .ok()?
                .modified()
                .ok()
        })
        .max()
}

/// The exercise, or what is wrong with its files.
fn page(files: &Files, name: &str, width: usize) -> Outcome<String> {
    let Loaded { course, problems } = load::load(files);
    let found = course.as_ref().and_then(|course| course.exercise(name));
    if let Some(exercise) = found {
        return Ok(render(exercise, width));
    }
    let of_it = |problem: &&Problem| {
        let file = problem
            .place
            .as_ref()
            .map(|place| place.file.to_string_lossy().into_owned());
        file.is_some_and(|file| {
            let folder = format!("exercises/{name}");
            file.contains(&format!("{folder}/")) || file.contains(&format!("{folder}-"))
        })
    };
    let mine: Vec<&Problem> = problems.iter().filter(of_it).collect();
    let told = if mine.is_empty() {
        problems.iter().collect()
    } else {
        mine
    };
    if told.is_empty() {
        return Err(Problem::new(format!("the course has no exercise '{name}'"))
            .next("streamlings author new makes one; exercises/course.toml lists them"));
    }
    Ok(told
        .iter()
        .map(|problem| problem.render())
        .collect::<Vec<_>>()
        .concat())
}

/// All of an exercise on one page.
pub fn render(exercise: &Exercise, width: usize) -> String {
    let mut text = String::new();
    let minutes = format!("{} min", exercise.minutes);
    text.push_str(&ui::sides(
        &format!("{} {}", exercise.id, ui::visible(&exercise.title)),
        &minutes,
        width,
    ));
    text.push_str(&format!("\n{}\n", "-".repeat(width)));
    text.push_str(&markdown::render(&exercise.why, width));
    let of = exercise.steps.len();
    for (index, step) in exercise.steps.iter().enumerate() {
        let place = format!("step {} of {of}", index + 1);
        text.push_str(&format!(
            "\n{}\n",
            ui::sides(&ui::visible(&step.title), &place, width)
        ));
        text.push_str(&format!("{}\n", "-".repeat(width)));
        step_text(step, width, &mut text);
    }
    if let Some(read_on) = &exercise.read_on {
        text.push_str("\nRead on\n");
        text.push_str(&markdown::render(read_on, width));
    }
    text
}

fn step_text(step: &Step, width: usize, text: &mut String) {
    text.push_str(&markdown::render(&step.task, width));
    if let Some(predict) = &step.predict {
        text.push('\n');
        text.push_str(&markdown::render(&predict.question, width));
        for choice in &predict.choice {
            let mark = if choice.right { "  (right) " } else { "  " };
            text.push_str(&ui::indented(
                &format!("{mark}{}", ui::visible(&choice.text)),
                2,
                6,
                width,
            ));
            text.push_str(&ui::indented(
                &format!("-> {}", ui::visible(&choice.reply)),
                6,
                9,
                width,
            ));
        }
    }
    if !step.checks.is_empty() {
        text.push('\n');
    }
    for check in &step.checks {
        text.push_str(&ui::indented(
            &format!("[ ] {}", ui::visible(&label(check))),
            2,
            6,
            width,
        ));
    }
    for (index, hint) in step.hints.iter().enumerate() {
        text.push_str(&format!("\nhint {} of {}\n", index + 1, step.hints.len()));
        text.push_str(&markdown::render(hint, width));
    }
    if let Some(explanation) = &step.explanation {
        text.push_str("\nwhat you saw\n");
        text.push_str(&markdown::render(explanation, width));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exercise_is_shown_whole_within_its_width() {
        let folder = tempfile::tempdir().unwrap();
        super::super::new::run("1.1-my-first", folder.path()).unwrap();
        let files = Files::folder(folder.path()).unwrap();
        console::set_colors_enabled(false);
        let text = page(&files, "1.1", 60).unwrap();
        insta::assert_snapshot!(text);
        // Commands in code are never broken: what is copied from the screen must work.
        let long = text.lines().filter(|line| line.chars().count() > 60);
        assert!(
            long.clone().all(|line| line.contains("--")),
            "{:?}",
            long.collect::<Vec<_>>()
        );
        assert!(page(&files, "9.9", 60).is_err());
    }
}
