//! What helps inside a step: hints, the solution, answers, predictions, the editor.

use std::process::Command as Process;

use dialoguer::Select;
use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};

use super::screen::Screen;
use super::watch::Watched;
use crate::course::{CheckKind, Exercise, Predict, Progress, Stdin, Step, WorkFolder};
use crate::problem::{Outcome, Problem};
use crate::ui::{self, markdown};

/// The next hint that the learner has not seen; after the last one, the last again. The second value: whether it could
/// be remembered that this one was shown.
pub fn next_hint(watched: &Watched, progress: &Progress) -> Outcome<(String, Outcome<()>)> {
    let step = watched.step();
    if step.hints.is_empty() {
        return Err(Problem::new("this step has no hints")
            .next("`check` says what is missing, `solution` shows a way"));
    }
    let seen = progress.step(&watched.exercise, step).hints;
    let index = seen.min(step.hints.len() - 1);
    let saved = progress.update(&watched.exercise, step, |record| {
        record.hints = (index + 1).max(record.hints);
    });
    let more = if index + 1 < step.hints.len() {
        "`hint` again tells more"
    } else {
        "`solution` shows a way"
    };
    let text = format!(
        "Hint {} of {}\n{}  ({more})\n",
        index + 1,
        step.hints.len(),
        markdown::render(&step.hints[index], ui::width())
    );
    Ok((text, saved))
}

/// The reference solution, as it would be typed. The second value: whether it could be remembered that it was shown.
pub fn solution(watched: &Watched, progress: &Progress) -> Outcome<(String, Outcome<()>)> {
    let step = watched.step();
    let text = solution_text(step);
    if text.is_empty() {
        return Err(Problem::new("this step has nothing to type").next("Enter goes on"));
    }
    let saved = progress.update(&watched.exercise, step, |record| record.solution_seen = true);
    Ok((
        format!("One way to do it; the step still wants you to:\n{text}"),
        saved,
    ))
}

/// The solution's text; lines that a command reads are marked with `|`.
pub fn solution_text(step: &Step) -> String {
    let mut text = String::new();
    for file in &step.solution.files {
        text.push_str(&format!("  The file {}:\n", file.name));
        for line in file.content.lines() {
            text.push_str(format!("    {line}").trim_end());
            text.push('\n');
        }
    }
    for command in &step.solution.commands {
        let beside = if command.background { " &" } else { "" };
        match &command.stdin {
            Stdin::File(file) => text.push_str(&format!("    {} < {file}{beside}\n", command.text)),
            Stdin::None => text.push_str(&format!("    {}{beside}\n", command.text)),
            Stdin::Text(lines) => {
                text.push_str(&format!("    {}\n", command.text));
                for line in lines.lines() {
                    text.push_str(&format!("    | {}\n", line.replace('\t', "<TAB>")));
                }
                text.push_str("    (type the lines after |, then Ctrl-D)\n");
            }
        }
    }
    ui::visible(&text).into_owned()
}

/// Gives the answer to the step's question. With several questions: `answer 2 TEXT` answers the second.
pub fn answer(watched: &Watched, text: &str, progress: &Progress) -> Outcome<()> {
    let questions: Vec<&str> = watched
        .step()
        .checks
        .iter()
        .filter_map(|check| match &check.kind {
            CheckKind::Answer(check) => Some(check.answer.as_str()),
            _ => None,
        })
        .collect();
    if questions.is_empty() {
        return Err(Problem::new("this step asks no question").next("`show` tells the task again"));
    }
    if text.is_empty() {
        return Err(
            Problem::new("what is your answer?").next(format!("{} For example: answer 42", questions[0]))
        );
    }
    let numbered = text.split_once(char::is_whitespace).and_then(|(number, rest)| {
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        (questions.len() > 1 && index < questions.len()).then(|| (questions[index], rest.trim()))
    });
    let record = progress.step(&watched.exercise, watched.step());
    let open = questions
        .iter()
        .find(|question| !record.answers.contains_key(**question));
    let (question, text) = match numbered {
        Some(found) => found,
        None => (*open.unwrap_or(&questions[questions.len() - 1]), text),
    };
    progress.update(&watched.exercise, watched.step(), |record| {
        record.answers.insert(question.to_string(), text.to_string());
    })
}

/// Asks for a prediction; `None` when the learner would rather not now.
pub fn choose(predict: &Predict) -> Option<usize> {
    let (plain, colorful) = (SimpleTheme, ColorfulTheme::default());
    let theme: &dyn Theme = if console::colors_enabled() {
        &colorful
    } else {
        &plain
    };
    let width = ui::width();
    eprintln!("\n{}", markdown::render(&predict.question, width).trim_end());
    let items: Vec<String> = predict
        .choice
        .iter()
        .map(|choice| console::truncate_str(&ui::visible(&choice.text), width - 4, "…").into_owned())
        .collect();
    let chosen = Select::with_theme(theme)
        .with_prompt("Your prediction (arrow keys, Enter; Esc: later)")
        .items(&items)
        .default(0)
        .report(false)
        .interact_opt();
    // Ctrl-C leaves the cursor hidden.
    drop(console::Term::stderr().show_cursor());
    chosen.ok().flatten()
}

/// Opens a file of the exercise in the learner's editor.
pub fn edit(folder: &WorkFolder, exercise: &Exercise, name: Option<&str>, screen: &Screen) -> Outcome<()> {
    let name = match (name, exercise.work_files.as_slice()) {
        (Some(name), files) if files.iter().any(|file| file == name) => name,
        (None, [only]) => only,
        (_, []) => return Err(Problem::new("this exercise has no files to edit")),
        (Some(name), files) => {
            return Err(Problem::new(format!("this exercise has no file '{name}'"))
                .next(format!("edit {}", files.join(", edit "))));
        }
        (None, files) => {
            return Err(Problem::new("which file?").next(format!("edit {}", files.join(", edit "))));
        }
    };
    let path = folder.path().join(name);
    let Some(editor) = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|e| !e.is_empty())
    else {
        screen.say(&ui::indented(
            "$EDITOR is not set. Open the file in any editor and save it; the lab sees the change:",
            0,
            0,
            ui::width(),
        ));
        screen.say(&format!("  {}\n", path.display()));
        return Ok(());
    };
    let mut words = shell_words::split(&editor)
        .unwrap_or_else(|_| vec![editor.clone()])
        .into_iter();
    let program = words.next().unwrap_or_default();
    let status = Process::new(&program).args(words).arg(&path).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Problem::new(format!("{program} ended with {status}")).at(path, None)),
        Err(error) => Err(Problem::new(format!("{program} can't be started: {error}"))
            .at(path, None)
            .next("set EDITOR to an editor of yours, or open the file in another terminal")),
    }
}
