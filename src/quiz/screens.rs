//! The quiz on a terminal: one screen a question, back and review before handing in. Everything is drawn on stderr.

use console::Term;
use dialoguer::{Input, MultiSelect, Select, Sort};

use crate::problem::{Outcome, Problem};
use crate::quiz::answers::Answer;
use crate::quiz::attempt::{Attempt, Attempts};
use crate::quiz::bank::{Bank, Body};
use crate::quiz::draw::{Drawn, DrawnQuestion};
use crate::quiz::grade::{Graded, explanation, transcript_box};
use crate::ui::{self, markdown};

/// How a sitting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Handed in.
    HandedIn,
    /// To be gone on with later; the answers are saved.
    Stopped,
}

/// What the learner wants next.
enum Move {
    Answer(Answer),
    Stay,
    Back,
    Skip,
    Review,
    Stop,
}

/// What a learner chose at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Begin,
    GoOn,
    NotNow,
}

/// The result of a prompt; nothing where the terminal was closed or Ctrl-C was pressed.
fn asked<T>(term: &Term, result: dialoguer::Result<T>) -> Option<T> {
    if result.is_err() {
        // A prompt that was left hides the cursor; on a closed terminal there is none to show.
        drop(term.show_cursor());
    }
    result.ok()
}

fn say(term: &Term, text: &str) {
    // A closed terminal is noticed by the next prompt.
    drop(term.write_str(text));
}

/// A question that Enter answers with yes.
pub(crate) fn confirm(term: &Term, question: &str) -> bool {
    ui::confirm(term, question, true).unwrap_or(false)
}

/// The first screen, with what awaits the learner, or where the last sitting stopped.
pub(crate) fn start(term: &Term, bank: &Bank, pending: Option<&Attempt>) -> Start {
    let width = ui::width();
    drop(term.clear_screen());
    let title = ui::visible(&bank.title).into_owned();
    say(
        term,
        &format!(
            "{}\n{}\n\n",
            ui::sides(&title, "quiz", width),
            "-".repeat(width.min(78))
        ),
    );
    let text = format!(
        "{} questions, {} right answers pass. There is no clock. Every answer is saved at once: Ctrl-C or a closed \
         terminal loses nothing, and `streamlings quiz` goes on where you were.\n\nAt a question, Enter answers and Esc \
         opens the menu: back, skip, review, stop. You see what was right when you hand in; a pass earns a badge.",
        bank.places(),
        bank.pass
    );
    say(term, &ui::indented(&text, 2, 2, width));
    say(term, "\n");
    let mut items = Vec::new();
    if let Some(attempt) = pending {
        let (at, done) = (attempt.at + 1, attempt.answers.len());
        items.push((
            format!(
                "Go on at question {at} ({done} of {} answered)",
                attempt.questions.len()
            ),
            Start::GoOn,
        ));
        items.push((
            "Begin another test; the one before is put away".into(),
            Start::Begin,
        ));
    } else {
        items.push(("Begin".into(), Start::Begin));
    }
    items.push(("Not now".into(), Start::NotNow));
    let texts: Vec<&String> = items.iter().map(|(text, _)| text).collect();
    let chosen = asked(term, Select::new().items(&texts).default(0).interact_on_opt(term)).flatten();
    chosen.map_or(Start::NotNow, |index| items[index].1)
}

/// Takes the quiz until it is handed in or left. Saved after each answer.
pub(crate) fn take(
    term: &Term,
    attempts: &Attempts,
    attempt: &mut Attempt,
    drawn: &Drawn<'_>,
) -> Outcome<End> {
    let count = drawn.questions.len();
    let mut reviewing = false;
    loop {
        attempts.save(attempt)?;
        if attempt.at >= count {
            match review(term, attempt, drawn) {
                Review::HandIn => return Ok(End::HandedIn),
                Review::Stop => {
                    attempt.at = count.saturating_sub(1);
                    attempts.save(attempt)?;
                    return Ok(End::Stopped);
                }
                Review::To(index) => {
                    attempt.at = index;
                    reviewing = true;
                    continue;
                }
                Review::Stay => continue,
            }
        }
        let question = &drawn.questions[attempt.at];
        let id = &question.question.id;
        show(term, attempt, question, count);
        let next = if reviewing { count } else { attempt.at + 1 };
        match ask(term, question, attempt.answers.get(id)) {
            Move::Answer(answer) => {
                attempt.answers.insert(id.clone(), answer);
                attempt.flagged.remove(id);
                attempt.at = next;
            }
            Move::Skip => {
                attempt.flagged.insert(id.clone());
                attempt.at = next;
            }
            Move::Back => attempt.at = attempt.at.saturating_sub(1),
            Move::Review => attempt.at = count,
            Move::Stay => {}
            Move::Stop => {
                attempts.save(attempt)?;
                return Ok(End::Stopped);
            }
        }
    }
}

fn show(term: &Term, attempt: &Attempt, drawn: &DrawnQuestion<'_>, count: usize) {
    let width = ui::width();
    drop(term.clear_screen());
    let number = format!("Question {} of {count}", attempt.at + 1);
    let mut screen = ui::sides(&number, &ui::visible(drawn.domain), width);
    screen.push('\n');
    screen.push_str(&progress(attempt, count));
    screen.push('\n');
    screen.push_str(&"-".repeat(width.min(78)));
    screen.push_str("\n\n");
    screen.push_str(&markdown::render(&drawn.question.text, width));
    if let Some(transcript) = &drawn.question.transcript {
        screen.push('\n');
        screen.push_str(&transcript_box(transcript, width));
    }
    screen.push('\n');
    say(term, &screen);
}

/// One character a question: `#` answered, `?` to come back to, `.` open, `>` this one.
fn progress(attempt: &Attempt, count: usize) -> String {
    let mark = |(index, asked): (usize, &crate::quiz::attempt::Asked)| {
        if index == attempt.at {
            '>'
        } else if attempt.flagged.contains(&asked.id) {
            '?'
        } else if attempt.answers.contains_key(&asked.id) {
            '#'
        } else {
            '.'
        }
    };
    let marks: String = attempt.questions.iter().enumerate().map(mark).collect();
    format!("{marks}  {} of {count} answered", attempt.answers.len())
}

fn ask(term: &Term, drawn: &DrawnQuestion<'_>, before: Option<&Answer>) -> Move {
    match &drawn.question.body {
        Body::Choices { several: false, .. } => ask_one(term, drawn, before),
        Body::Choices { .. } => ask_several(term, drawn, before),
        Body::Order(_) => ask_order(term, drawn, before),
        Body::Number(_) => ask_number(term, before),
    }
}

/// Items of a prompt that marks each line with `mark` columns: wrapped, so that none runs over the edge.
fn items(drawn: &DrawnQuestion<'_>, order: &[usize], mark: usize) -> Vec<String> {
    let room = ui::width().saturating_sub(mark + 3).max(20);
    let inner = " ".repeat(mark);
    let wrap = |text: &str| textwrap::wrap(&ui::visible(text), room).join(&format!("\n{inner}"));
    order.iter().map(|&index| wrap(drawn.text_of(index))).collect()
}

fn ask_one(term: &Term, drawn: &DrawnQuestion<'_>, before: Option<&Answer>) -> Move {
    hint(term, "Enter answers   Esc: back, skip, review, stop");
    let chosen = match before {
        Some(Answer::Chosen(chosen)) => drawn.shown.iter().position(|index| chosen.contains(index)),
        _ => None,
    };
    let select = Select::new()
        .items(items(drawn, &drawn.shown, 2))
        .default(chosen.unwrap_or(0));
    match asked(term, select.interact_on_opt(term)) {
        Some(Some(position)) => Move::Answer(Answer::Chosen(vec![drawn.shown[position]])),
        Some(None) => menu(term),
        None => Move::Stop,
    }
}

fn ask_several(term: &Term, drawn: &DrawnQuestion<'_>, before: Option<&Answer>) -> Move {
    hint(term, "Space marks all that are right, then Enter   Esc: menu");
    let marked = |index: &usize| matches!(before, Some(Answer::Chosen(chosen)) if chosen.contains(index));
    let choices = items(drawn, &drawn.shown, 6)
        .into_iter()
        .zip(drawn.shown.iter().map(marked));
    let select = MultiSelect::new().items_checked(choices);
    match asked(term, select.interact_on_opt(term)) {
        Some(Some(positions)) if positions.is_empty() => menu_after(term, "Nothing is marked: Space marks."),
        Some(Some(positions)) => {
            let mut chosen: Vec<usize> = positions.iter().map(|&position| drawn.shown[position]).collect();
            chosen.sort_unstable();
            Move::Answer(Answer::Chosen(chosen))
        }
        Some(None) => menu(term),
        None => Move::Stop,
    }
}

fn ask_order(term: &Term, drawn: &DrawnQuestion<'_>, before: Option<&Answer>) -> Move {
    hint(
        term,
        "First at the top. Space takes an item, arrows move it, Space puts it down, then Enter   Esc: menu",
    );
    let order = match before {
        Some(Answer::Ordered(order)) => order.clone(),
        _ => drawn.shown.clone(),
    };
    match asked(
        term,
        Sort::new().items(items(drawn, &order, 6)).interact_on_opt(term),
    ) {
        Some(Some(positions)) => Move::Answer(Answer::Ordered(
            positions.iter().map(|&position| order[position]).collect(),
        )),
        Some(None) => menu(term),
        None => Move::Stop,
    }
}

fn ask_number(term: &Term, before: Option<&Answer>) -> Move {
    hint(
        term,
        "A whole number, then Enter   Or a word: back, skip, review, stop",
    );
    let mut input = Input::<String>::new()
        .with_prompt("Number")
        .validate_with(|text: &String| {
            let word = matches!(text.trim(), "back" | "skip" | "review" | "stop");
            if word || text.trim().parse::<i64>().is_ok() {
                Ok(())
            } else {
                Err("a whole number, or back, skip, review, stop")
            }
        });
    if let Some(Answer::Number(number)) = before {
        input = input.default(number.to_string());
    }
    match asked(term, input.interact_text_on(term)) {
        None => Move::Stop,
        Some(text) => match text.trim() {
            "back" => Move::Back,
            "skip" => Move::Skip,
            "review" => Move::Review,
            "stop" => Move::Stop,
            // Checked by the prompt.
            number => number
                .parse()
                .map_or(Move::Stay, |number| Move::Answer(Answer::Number(number))),
        },
    }
}

fn hint(term: &Term, text: &str) {
    say(term, &ui::indented(text, 0, 0, ui::width()));
}

fn menu(term: &Term) -> Move {
    menu_after(term, "")
}

fn menu_after(term: &Term, note: &str) -> Move {
    if !note.is_empty() {
        say(term, &format!("{note}\n"));
    }
    let items = [
        "To the question",
        "Back to the question before",
        "Skip for now, and mark it",
        "Review all, and hand in",
        "Stop here and go on later",
    ];
    match asked(term, Select::new().items(items).default(0).interact_on_opt(term)) {
        Some(Some(1)) => Move::Back,
        Some(Some(2)) => Move::Skip,
        Some(Some(3)) => Move::Review,
        Some(Some(4)) | None => Move::Stop,
        Some(_) => Move::Stay,
    }
}

enum Review {
    HandIn,
    To(usize),
    Stay,
    Stop,
}

fn review(term: &Term, attempt: &Attempt, drawn: &Drawn<'_>) -> Review {
    let width = ui::width();
    drop(term.clear_screen());
    let count = drawn.questions.len();
    let open = count - attempt.answers.len();
    say(
        term,
        &format!(
            "{}\n{}\n\n",
            ui::sides("Review", &format!("{} of {count} answered", count - open), width),
            "-".repeat(width.min(78))
        ),
    );
    let mut lines = vec![if open == 0 {
        "Hand in".to_owned()
    } else {
        format!("Hand in with {open} open")
    }];
    for (index, drawn) in drawn.questions.iter().enumerate() {
        let id = &drawn.question.id;
        let mark = match (attempt.answers.contains_key(id), attempt.flagged.contains(id)) {
            (_, true) => "[?]",
            (true, false) => "[x]",
            (false, false) => "[ ]",
        };
        let first = drawn.question.text.lines().next().unwrap_or_default();
        let line = format!("{mark} {:>2}  {}", index + 1, ui::visible(first));
        lines.push(console::truncate_str(&line, width.saturating_sub(4), "…").into_owned());
    }
    lines.push("Stop here and go on later".into());
    // The head of the screen stays: what doesn't fit is on a page of its own.
    let rows = usize::from(term.size().0);
    let select = Select::new()
        .with_prompt("Hand in, or go to a question")
        .max_length(rows.saturating_sub(6).max(5))
        .items(&lines)
        .default(0);
    match asked(term, select.interact_on_opt(term)) {
        Some(None) => Review::Stay,
        Some(Some(0)) if open == 0 => Review::HandIn,
        Some(Some(0)) => match ui::confirm(term, "Open questions count as wrong. Hand in?", false) {
            Ok(true) => Review::HandIn,
            Ok(false) => Review::Stay,
            Err(_) => Review::Stop,
        },
        Some(Some(index)) if index <= count => Review::To(index - 1),
        Some(Some(_)) | None => Review::Stop,
    }
}

/// Offers the explanations of what was missed, one at a time.
pub(crate) fn missed(term: &Term, bank: &Bank, graded: &Graded<'_>) {
    let count = graded.missed.len();
    if count == 0 {
        return;
    }
    let question = if count == 1 {
        "Read the one you missed now?".to_owned()
    } else {
        format!("Read the {count} you missed now?")
    };
    if !confirm(term, &question) {
        return;
    }
    let width = ui::width();
    for (index, (drawn, answer)) in graded.missed.iter().enumerate() {
        let head = ui::sides(
            &format!("Missed {} of {count}", index + 1),
            &ui::visible(drawn.domain),
            width,
        );
        say(term, &format!("\n{head}\n{}\n\n", "-".repeat(width.min(78))));
        say(term, &explanation(bank, drawn, answer.as_ref(), width));
        say(term, "\n");
        if index + 1 < count {
            let go_on = Select::new().items(["Next", "Enough"]).default(0);
            if asked(term, go_on.interact_on_opt(term)) != Some(Some(0)) {
                return;
            }
        }
    }
}

/// Asks for a name and an e-mail address until a badge can be made of them; nothing when it was left.
pub(crate) fn holder(
    term: &Term,
    name: Option<String>,
    email: Option<String>,
) -> Option<(Option<String>, Option<String>)> {
    let note = "The badge names its holder: by a name, which everyone can read, by an e-mail address, or both. The address \
                goes in as a hash with a public salt: it isn't readable, but whoever guesses it can confirm the guess. \
                Leave empty what you don't want in it.";
    say(term, "\n");
    say(term, &ui::indented(note, 2, 2, ui::width()));
    let (mut name, mut email) = (name, email);
    loop {
        let text = |prompt: &str, before: Option<&String>| {
            let mut input = Input::<String>::new().with_prompt(prompt).allow_empty(true);
            if let Some(before) = before {
                input = input.with_initial_text(before);
            }
            let text = asked(term, input.interact_text_on(term))?.trim().to_owned();
            Some((!text.is_empty()).then_some(text))
        };
        name = text("Name on the badge", name.as_ref())?;
        email = text("E-mail address", email.as_ref())?;
        match crate::quiz::award::check_holder(name.as_deref(), email.as_deref()) {
            Ok(()) => return Some((name, email)),
            Err(Problem { what, .. }) => say(term, &format!("  {what}\n")),
        }
    }
}
