//! `quiz`, `badge`, `key`, `report`.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use console::Term;
use serde_json::json;

use crate::cancel::Cancel;
use crate::course::files::{Files, QUIZ_FILE};
use crate::course::load;
use crate::home::Home;
use crate::problem::{Exit, Outcome, Problem};
use crate::quiz::answers::{self, Answer, letter};
use crate::quiz::attempt::{Attempt, Attempts};
use crate::quiz::award;
use crate::quiz::bank::{Bank, Body};
use crate::quiz::draw::{self, Drawn};
use crate::quiz::grade::{self, Graded};
use crate::quiz::keys::{Keys, OWN};
use crate::quiz::screens::{self, End, Start};
use crate::quiz::{badges, report};
use crate::ui;

/// The most bytes of a file of answers.
const MAX_ANSWERS_BYTES: u64 = 256 * 1024;

/// The commands of the quiz and its badge.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The graded quiz: 23 questions, 19 right answers earn a badge
    Quiz(Quiz),
    /// Badges: show, verify, sign
    #[command(subcommand)]
    Badge(Badge),
    /// Signing keys: create, show, list, import
    #[command(subcommand)]
    Key(KeyCommand),
    /// Results of the quiz for an instructor, as CSV or xAPI statements
    Report {
        /// The form of the report
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
    },
}

/// The options of `quiz`.
#[derive(Debug, Default, Args)]
pub struct Quiz {
    /// Take the answers from a file (JSON or TOML: question id = answer; - is stdin) instead of asking
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Draw this test: the same seed gives the same questions
    #[arg(long)]
    seed: Option<u64>,
    /// The name on the badge, readable by everyone
    #[arg(long)]
    name: Option<String>,
    /// The e-mail address of the badge's holder; it goes in as a salted hash
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Print the questions of the test, and take nothing
    #[arg(long, conflicts_with = "answers")]
    print_questions: bool,
    /// Print the questions or the result as JSON
    #[arg(long)]
    json: bool,
}

/// The commands of `badge`.
#[derive(Debug, Subcommand)]
pub enum Badge {
    /// Say what a badge says; without FILE, all of yours
    Show {
        /// A badge: .json, .svg or .png
        file: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Is a badge whole, and who says so? Exit code 0 yes, 1 no, 2 not a badge
    Verify {
        /// Badges: .json, .svg or .png
        #[arg(required = true)]
        file: Vec<PathBuf>,
        /// Accept only badges signed with this key (may be given more than once)
        #[arg(long, value_name = "DID")]
        trust: Vec<String>,
        /// Is this the holder's e-mail address?
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// For instructors: sign a learner's badge anew with a key of yours
    Sign {
        /// The learner's badge
        file: PathBuf,
        /// The name of your key (`streamlings key create NAME`)
        #[arg(long, value_name = "NAME")]
        key: String,
        /// What you call yourself on the badge
        #[arg(long, value_name = "TEXT")]
        issuer: String,
        /// The folder for the signed badge, instead of the learner's file's
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Make the badge of the last passed quiz, if it has none or should name you in another way
    Issue {
        /// The name on the badge, readable by everyone
        #[arg(long)]
        name: Option<String>,
        /// The holder's e-mail address; it goes in as a salted hash
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
    },
}

/// The commands of `key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a signing key
    Create {
        /// Its name on this machine
        #[arg(default_value = OWN)]
        name: String,
    },
    /// Print the public identifier (did:key) of a key, for those who verify
    Show {
        /// Its name on this machine
        #[arg(default_value = OWN)]
        name: String,
    },
    /// List the keys of this machine
    List,
    /// Take over a key from a file (JSON with secretKeyMultibase)
    Import {
        /// The file
        file: PathBuf,
        /// Its name on this machine
        name: String,
    },
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line a finished quiz
    Csv,
    /// xAPI 1.0.3 statements (JSON)
    Xapi,
}

/// Runs one of them.
pub fn run(command: Command) -> Outcome<Exit> {
    let home = Home::find()?;
    match command {
        Command::Quiz(options) => quiz(&home, &options),
        Command::Badge(Badge::Show { file, json }) => badges::show(&home, file.as_deref(), json),
        Command::Badge(Badge::Verify {
            file,
            trust,
            email,
            json,
        }) => badges::verify(&file, &trust, email.as_deref(), json),
        Command::Badge(Badge::Sign {
            file,
            key,
            issuer,
            out,
        }) => badges::sign(&home, &file, &key, &issuer, out.as_deref()),
        Command::Badge(Badge::Issue { name, email }) => issue(&home, name, email),
        Command::Key(command) => key(&home, command),
        Command::Report { format } => print_report(&home, format),
    }
}

/// The quiz as the guided course opens it.
pub fn take() -> Outcome<Exit> {
    quiz(&Home::find()?, &Quiz::default())
}

fn bank() -> Outcome<Bank> {
    let files = Files::find()?;
    if !files.exists(QUIZ_FILE) {
        return Err(
            Problem::new("this course has no quiz").next("its author makes one: docs/AUTHORING.md, The quiz")
        );
    }
    Bank::load(&files).map_err(|mut problems| {
        let more = problems.len() - 1;
        let first = problems.swap_remove(0);
        if more == 0 {
            first
        } else {
            first.next(format!("{more} more mistakes: streamlings author check"))
        }
    })
}

/// This home's attempts; files that can't be read are named, and stop nothing.
fn attempts_of(attempts: &Attempts, course: &str) -> Vec<Attempt> {
    let (all, notes) = attempts.all(course);
    for note in notes {
        eprint!(
            "{}",
            ui::indented(&ui::visible(&format!("note: {note}")), 0, 6, ui::width())
        );
    }
    all
}

fn quiz(home: &Home, options: &Quiz) -> Outcome<Exit> {
    let bank = bank()?;
    let attempts = Attempts::of(home);
    if options.print_questions {
        return print_questions(&bank, options);
    }
    if let Some(file) = &options.answers {
        return unattended(home, &bank, &attempts, options, file);
    }
    let term = Term::stderr();
    if !std::io::stdin().is_terminal() || !term.is_term() {
        return Err(Problem::new("the quiz needs a terminal").next(
            "without one: --print-questions --seed N prints the test, --answers FILE --seed N hands it in",
        ));
    }
    // Ctrl-C then ends the prompt instead of the process, so that the terminal is left in order.
    let _cancel = Cancel::on_interrupt();
    attended(home, &bank, &attempts, options, &term)
}

fn print_questions(bank: &Bank, options: &Quiz) -> Outcome<Exit> {
    let seed = options.seed.map_or_else(|| draw::fresh_seed(bank, &[]), Ok)?;
    let drawn = draw::draw(bank, seed)?;
    if options.json {
        return print(&format!("{:#}\n", answers::questions_json(&drawn)));
    }
    let mut text =
        format!("Seed {seed}: `streamlings quiz --seed {seed} --answers FILE` hands this test in.\n");
    for drawn in &drawn.questions {
        text.push_str(&format!("\n{}\n", drawn.question.id));
        text.push_str(&ui::indented(
            &ui::visible(&drawn.question.text),
            2,
            2,
            ui::width(),
        ));
        if let Some(transcript) = &drawn.question.transcript {
            text.push_str(&grade::transcript_box(transcript, ui::width()));
        }
        for (position, choice) in drawn.texts().iter().enumerate() {
            text.push_str(&ui::indented(
                &ui::visible(&format!("{}  {choice}", letter(position))),
                4,
                7,
                ui::width(),
            ));
        }
        let form = match &drawn.question.body {
            Body::Choices { several: false, .. } => "one letter",
            Body::Choices { .. } => "a list of letters: all that are right",
            Body::Order(_) => "a list of all letters, in order",
            Body::Number(_) => "a whole number",
        };
        text.push_str(&format!("    answer: {form}\n"));
    }
    print(&text)
}

/// Prints a result; a reader that has gone is no error.
fn print(text: &str) -> Outcome<Exit> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Problem::new(format!("the result can't be printed: {error}")))
        }
        _ => Ok(Exit::Done),
    }
}

fn unattended(home: &Home, bank: &Bank, attempts: &Attempts, options: &Quiz, file: &Path) -> Outcome<Exit> {
    let name = file.display().to_string();
    let failed =
        |error: std::io::Error| Problem::new(format!("the answers can't be read: {error}")).at(file, None);
    let mut text = String::new();
    let source: Box<dyn Read> = if name == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    source
        .take(MAX_ANSWERS_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let seed = options.seed.ok_or_else(|| {
        Problem::new("a file of answers belongs to one test, so --seed is needed")
            .next("`streamlings quiz --print-questions` draws a test and names its seed")
    })?;
    if options.name.is_some() || options.email.is_some() {
        award::check_holder(options.name.as_deref(), options.email.as_deref())?;
    }
    let drawn = draw::draw(bank, seed)?;
    let given = answers::read(&text, &name, &drawn)?;
    let mut attempt = Attempt::new(bank, &drawn);
    attempt.answers = given;
    attempt.name.clone_from(&options.name);
    attempt.email.clone_from(&options.email);
    let graded = grade::grade(bank, &drawn, &attempt.answers);
    attempt.finish(&graded);
    attempts.save(&attempt)?;
    let mut files = None;
    if graded.passed() && (options.name.is_some() || options.email.is_some()) {
        files = Some(award_badge(home, bank, attempts, &mut attempt)?);
    }
    if options.json {
        print(&format!("{:#}\n", result_json(&attempt, &graded, files.as_ref())))?;
    } else {
        print(&format!(
            "{}{}",
            grade::summary(&graded, ui::width()),
            missed(bank, &graded)
        ))?;
        match &files {
            Some(files) => print(&badge_note(files)).map(drop)?,
            None if graded.passed() => {
                eprintln!("No badge yet, since it names nobody: streamlings badge issue --name NAME");
            }
            None => {}
        }
    }
    Ok(if graded.passed() { Exit::Done } else { Exit::NotYet })
}

/// One line for each question that was not answered right.
fn missed(bank: &Bank, graded: &Graded<'_>) -> String {
    let mut text = String::new();
    for (drawn, answer) in &graded.missed {
        text.push_str(&format!("\n{}  {}\n", drawn.question.id, drawn.domain));
        text.push_str(&grade::explanation(bank, drawn, answer.as_ref(), ui::width()));
    }
    text
}

fn result_json(attempt: &Attempt, graded: &Graded<'_>, files: Option<&award::Files>) -> serde_json::Value {
    let domains: Vec<_> = graded
        .domains
        .iter()
        .map(|(title, score, max)| json!({"title": title, "score": score, "max": max}))
        .collect();
    let missed: Vec<_> = graded
        .missed
        .iter()
        .map(|(drawn, answer)| {
            json!({
                "id": drawn.question.id,
                "answered": answer.is_some(),
                "exercise": drawn.question.exercise,
                "explain": drawn.question.explain,
            })
        })
        .collect();
    json!({
        "seed": attempt.seed,
        "score": graded.score,
        "max": graded.max,
        "pass": graded.pass,
        "passed": graded.passed(),
        "domains": domains,
        "missed": missed,
        "badge": files.map(|files| json!({"json": files.json, "svg": files.svg, "png": files.png})),
    })
}

fn attended(home: &Home, bank: &Bank, attempts: &Attempts, options: &Quiz, term: &Term) -> Outcome<Exit> {
    let all = attempts_of(attempts, &bank.course);
    let last = all.last();
    if let Some(passed) = last.filter(|attempt| attempt.badge.is_none() && is_passed(attempt)) {
        eprintln!(
            "You passed on {}, and have no badge yet.",
            passed.started_at.strftime("%-d %B %Y")
        );
        if screens::confirm(term, "Make it now? (no: the quiz opens)") {
            return badge(home, bank, attempts, options, term, passed.clone());
        }
    }
    let mut pending = last.filter(|attempt| attempt.result.is_none()).cloned();
    let mut kept = pending.as_mut().and_then(|attempt| attempt.resume(bank));
    if let (Some(attempt), true) = (&pending, kept.is_none()) {
        eprintln!(
            "The questions of your test of {} have changed; a new one begins.",
            attempt.started_at.strftime("%-d %B")
        );
        pending = None;
    }
    if options
        .seed
        .is_some_and(|seed| pending.as_ref().is_some_and(|attempt| attempt.seed != seed))
    {
        (pending, kept) = (None, None);
    }
    let (mut attempt, drawn) = match (screens::start(term, bank, pending.as_ref()), pending, kept) {
        (Start::NotNow, ..) => {
            eprintln!("Nothing was changed. `streamlings quiz` opens the quiz again.");
            return Ok(Exit::NotYet);
        }
        (Start::GoOn, Some(attempt), Some((drawn, dropped))) => {
            if dropped > 0 {
                eprintln!(
                    "{dropped} of your answers were to questions that have changed since; they are open again."
                );
            }
            (attempt, drawn)
        }
        _ => begin(bank, options.seed, last)?,
    };
    if screens::take(term, attempts, &mut attempt, &drawn)? == End::Stopped {
        let (done, count) = (attempt.answers.len(), attempt.questions.len());
        let note =
            format!("Stopped: {done} of {count} answered, and saved. `streamlings quiz` goes on from here.");
        eprint!("\n{}", ui::indented(&note, 0, 0, ui::width()));
        return Ok(Exit::NotYet);
    }
    let graded = grade::grade(bank, &drawn, &attempt.answers);
    attempt.finish(&graded);
    attempts.save(&attempt)?;
    drop(term.clear_screen());
    print(&format!("{}\n", grade::summary(&graded, ui::width())))?;
    if graded.passed() {
        badge(home, bank, attempts, options, term, attempt)?;
        screens::missed(term, bank, &graded);
        return Ok(Exit::Done);
    }
    screens::missed(term, bank, &graded);
    let note = "Not this time. The next test has other questions: `streamlings quiz`, whenever you like.";
    eprint!("\n{}", ui::indented(note, 0, 0, ui::width()));
    Ok(Exit::NotYet)
}

fn is_passed(attempt: &Attempt) -> bool {
    attempt.result.as_ref().is_some_and(|result| result.passed)
}

fn begin<'a>(bank: &'a Bank, seed: Option<u64>, last: Option<&Attempt>) -> Outcome<(Attempt, Drawn<'a>)> {
    let asked: Vec<String> = last
        .iter()
        .flat_map(|last| &last.questions)
        .map(|asked| asked.id.clone())
        .collect();
    let seed = seed.map_or_else(|| draw::fresh_seed(bank, &asked), Ok)?;
    let drawn = draw::draw(bank, seed)?;
    Ok((Attempt::new(bank, &drawn), drawn))
}

/// Asks for the holder and makes the badge; left without a name, it can be made later.
fn badge(
    home: &Home,
    bank: &Bank,
    attempts: &Attempts,
    options: &Quiz,
    term: &Term,
    mut attempt: Attempt,
) -> Outcome<Exit> {
    let (mut name, mut email) = (options.name.clone(), options.email.clone());
    if name.is_none() && email.is_none() || award::check_holder(name.as_deref(), email.as_deref()).is_err() {
        let Some(given) = screens::holder(term, name, email) else {
            eprintln!(
                "\nYour result is saved. The badge can be made at any time: streamlings badge issue --name NAME"
            );
            return Ok(Exit::Done);
        };
        (name, email) = given;
    }
    (attempt.name, attempt.email) = (name, email);
    let files = award_badge(home, bank, attempts, &mut attempt)?;
    print(&badge_note(&files))
}

fn award_badge(
    home: &Home,
    bank: &Bank,
    attempts: &Attempts,
    attempt: &mut Attempt,
) -> Outcome<award::Files> {
    let files = award::issue(home, bank, attempt)?;
    attempt.badge = Some(files.json.clone());
    attempts.save(attempt)?;
    say_undrawn(&files, attempt.name.as_deref().unwrap_or_default());
    Ok(files)
}

/// Says it when the picture lacks letters of the holder's name.
fn say_undrawn(files: &award::Files, name: &str) {
    let missing = streamlings_badge::undrawable(name);
    if missing.is_empty() {
        return;
    }
    let text = format!(
        "note: no font of this machine has '{}', so {} says \"the name inside this badge\". The badge itself has the \
         name, and the SVG shows it in a browser that has such letters. `streamlings badge issue --name NAME`, on a \
         machine with such a font or with a name in other letters, makes another one.",
        missing.iter().collect::<String>(),
        files.png.display()
    );
    eprint!("{}", ui::indented(&ui::visible(&text), 0, 6, ui::width()));
}

fn badge_note(files: &award::Files) -> String {
    let svg = files.svg.display();
    format!(
        "\n  Badge   {svg}\n          (and .png to show anywhere, .json for wallets)\n\
         \x20         Signed on this machine: self-issued. Your instructor can sign it\n\
         \x20         with a key of theirs: streamlings badge sign FILE --key NAME\n\
         \x20 Anyone can check it, offline:  streamlings badge verify FILE\n\n"
    )
}

fn issue(home: &Home, name: Option<String>, email: Option<String>) -> Outcome<Exit> {
    let bank = bank()?;
    let attempts = Attempts::of(home);
    let passed = attempts_of(&attempts, &bank.course).into_iter().rfind(is_passed);
    let mut attempt = passed.ok_or_else(|| {
        Problem::new("there is no passed quiz to make a badge of")
            .next("`streamlings quiz` takes it")
            .exit(Exit::NotYet)
    })?;
    if name.is_some() || email.is_some() {
        (attempt.name, attempt.email) = (name, email);
    }
    let files = award_badge(home, &bank, &attempts, &mut attempt)?;
    print(&badge_note(&files))
}

fn key(home: &Home, command: KeyCommand) -> Outcome<Exit> {
    let keys = Keys::of(home);
    match command {
        KeyCommand::Create { name } => {
            let key = keys.create(&name)?;
            eprintln!(
                "The key is in {}: keep a copy where nobody else reads it.",
                keys.path(&name).display()
            );
            print(&format!("{}\n", key.did()))
        }
        KeyCommand::Show { name } => print(&format!("{}\n", keys.open(&name)?.did())),
        KeyCommand::Import { file, name } => print(&format!("{}\n", keys.import(&name, &file)?.did())),
        KeyCommand::List => {
            let mut text = String::new();
            for (name, did) in keys.list() {
                match did {
                    Ok(did) => text.push_str(&format!("{name}  {did}\n")),
                    Err(problem) => eprint!("{}", problem.render()),
                }
            }
            if text.is_empty() {
                eprintln!("No keys yet: the first badge makes one, or `streamlings key create NAME`.");
            }
            print(&text)
        }
    }
}

fn print_report(home: &Home, format: Format) -> Outcome<Exit> {
    let course = load::outline(&Files::find()?).map_or_else(|| "quiz".into(), |course| course.id);
    let attempts = attempts_of(&Attempts::of(home), &course);
    match format {
        Format::Csv => print(&report::csv(&attempts)?),
        Format::Xapi => print(&format!("{:#}\n", report::xapi(&attempts))),
    }
}

/// The right answers to a drawn test, in the shape of a file of answers (tests).
pub fn right_answers(drawn: &Drawn<'_>) -> BTreeMap<String, Answer> {
    drawn
        .questions
        .iter()
        .map(|drawn| (drawn.question.id.clone(), grade::right_answer(drawn.question)))
        .collect()
}
