//! `author check`: reads a course and plays it.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::labs::Labs;
use super::play::Play;
use super::schedule;
use crate::cancel::Cancel;
use crate::check::setup;
use crate::course::load::{self, Loaded};
use crate::course::{Course, Exercise, Files};
use crate::problem::{Exit, Outcome, Problem};
use crate::quiz::{self, Bank};

/// The options of `author check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The course (a folder with exercises/ and quizzes/), an exercise (1.1), or both
    #[arg(value_name = "FOLDER | EXERCISE")]
    what: Vec<String>,
    /// Read the files only, start no lab
    #[arg(long)]
    syntax: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// How many plays run side by side
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    jobs: u16,
}

/// What is said about the course.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Mistakes in the files.
    mistakes: Vec<Mistake>,
    /// One entry for each exercise that was looked at.
    exercises: Vec<ExerciseReport>,
}

/// A mistake in a file.
#[derive(Debug, Serialize)]
struct Mistake {
    what: String,
    file: Option<PathBuf>,
    line: Option<usize>,
    next: Option<String>,
}

/// How an exercise went.
#[derive(Debug, Serialize)]
struct ExerciseReport {
    id: String,
    title: String,
    /// Why it was not played.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_played: Option<String>,
    plays: Vec<Play>,
    /// Steps that this lab only shows, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    only_shown: Vec<String>,
    milliseconds: u128,
}

impl ExerciseReport {
    fn failed(&self) -> usize {
        self.plays.iter().filter(|play| !play.ok).count()
    }
}

/// The course folder that a command means: the one it names, else the course as every other command finds it.
pub fn files(folder: Option<&Path>) -> Outcome<Files> {
    folder.map_or_else(Files::find, Files::folder)
}

/// Runs it. Exit code 2 for broken files, 1 for a play that went wrong, 3 without any lab.
pub fn run(options: &Check) -> Outcome<Exit> {
    let (folder, exercise) = arguments(&options.what)?;
    let files = files(folder.as_deref())?;
    let Loaded { course, mut problems } = load::load(&files);
    if let Some(course) = &course {
        for exercise in course.exercises() {
            problems.extend(setup::lint(course, exercise));
        }
    }
    if exercise.is_none() && files.exists("quizzes/quiz.toml") {
        problems.extend(Bank::load(&files).map_or_else(|found| found, |bank| quiz::lint(&bank)));
    }
    let mut report = Report {
        mistakes: problems.iter().map(mistake).collect(),
        ..Report::default()
    };
    let Some(course) = course else {
        return finish(&report, &problems, options);
    };
    let wanted = wanted(&course, exercise.as_deref(), &problems)?;
    if options.syntax {
        report.exercises = wanted
            .iter()
            .map(|exercise| unplayed(exercise, "--syntax"))
            .collect();
    } else if !wanted.is_empty() {
        play_all(&course, &wanted, options, &mut report)?;
    }
    finish(&report, &problems, options)
}

/// A folder and an exercise, either of them optional.
fn arguments(what: &[String]) -> Outcome<(Option<PathBuf>, Option<String>)> {
    let (mut folder, mut exercise) = (None, None);
    for word in what {
        if Path::new(word).is_dir() && folder.is_none() {
            folder = Some(PathBuf::from(word));
        } else if exercise.is_none() && !word.contains(std::path::MAIN_SEPARATOR) {
            exercise = Some(word.clone());
        } else {
            return Err(Problem::new(format!("there is no folder '{word}'"))
                .next("streamlings author check [FOLDER] [EXERCISE]"));
        }
    }
    Ok((folder, exercise))
}

fn wanted<'a>(course: &'a Course, name: Option<&str>, problems: &[Problem]) -> Outcome<Vec<&'a Exercise>> {
    let Some(name) = name else {
        return Ok(course.exercises().collect());
    };
    if let Some(exercise) = course.exercise(name) {
        return Ok(vec![exercise]);
    }
    if !problems.is_empty() {
        // It may be one of the broken ones, and they are told.
        return Ok(Vec::new());
    }
    let known: Vec<&str> = course.exercises().map(|exercise| exercise.id.as_str()).collect();
    Err(Problem::new(format!("the course has no exercise '{name}'"))
        .next(format!("it has {}", known.join(", "))))
}

fn mistake(problem: &Problem) -> Mistake {
    Mistake {
        what: problem.what.clone(),
        file: problem.place.as_ref().map(|place| place.file.clone()),
        line: problem.place.as_ref().and_then(|place| place.line),
        next: problem.next.clone(),
    }
}

fn unplayed(exercise: &Exercise, why: &str) -> ExerciseReport {
    ExerciseReport {
        id: exercise.id.clone(),
        title: exercise.title.clone(),
        not_played: Some(why.to_string()),
        plays: Vec::new(),
        only_shown: Vec::new(),
        milliseconds: 0,
    }
}

fn play_all(course: &Course, wanted: &[&Exercise], options: &Check, report: &mut Report) -> Outcome<()> {
    let cancel = Cancel::on_interrupt();
    let labs = Labs::find(wanted)?;
    if let Some(lab) = labs.running() {
        eprintln!(
            "Playing on the running lab ({}), in topics of its own.",
            lab.backend().noun()
        );
    }
    let jobs = usize::from(options.jobs);
    schedule::play_all(course, wanted, &labs, jobs, &cancel, |exercise, played| {
        let played = ExerciseReport {
            id: exercise.id.clone(),
            title: exercise.title.clone(),
            not_played: played.not_played,
            plays: played.plays,
            only_shown: played.only_shown,
            milliseconds: played.milliseconds,
        };
        tell(played, course, options, report);
    })
}

/// Says how an exercise went as soon as it is known, and keeps it for the report.
fn tell(played: ExerciseReport, course: &Course, options: &Check, report: &mut Report) {
    let shown = course.exercise(&played.id).map(|exercise| course.shown(exercise));
    if !options.json {
        let text = exercise_text(&played, &shown.unwrap_or_default());
        print(&text);
    }
    report.exercises.push(played);
}

fn exercise_text(played: &ExerciseReport, file: &Path) -> String {
    let title = format!("{} {}", played.id, crate::ui::visible(&played.title));
    if let Some(why) = &played.not_played {
        return format!("{title}\n  not played: {why}\n");
    }
    let seconds = played.milliseconds as f64 / 1000.0;
    let failed = played.failed();
    let verdict = if failed == 0 {
        format!("{} plays, all as they have to be", played.plays.len())
    } else {
        format!("{failed} of {} plays went wrong", played.plays.len())
    };
    let mut text = format!("{title}\n  {verdict} ({seconds:.1} s)\n");
    for step in &played.only_shown {
        text.push_str(&format!("  not played: {step}\n"));
    }
    for play in played.plays.iter().filter(|play| !play.ok) {
        let what = play.problem.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "  {}:{}: {} / {}: {what}\n",
            file.display(),
            play.line,
            play.step,
            play.play
        ));
        for line in &play.said {
            text.push_str(&format!("      {line}\n"));
        }
    }
    crate::ui::visible(&text).into_owned()
}

/// A reader who has gone away is no error.
fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

fn finish(report: &Report, problems: &[Problem], options: &Check) -> Outcome<Exit> {
    let failed: usize = report.exercises.iter().map(ExerciseReport::failed).sum();
    if options.json {
        let text = serde_json::to_string_pretty(report)
            .map_err(|error| Problem::new(format!("the report can't be worded as JSON: {error}")))?;
        print(&format!("{text}\n"));
    } else {
        for problem in problems {
            eprint!("{}", problem.render());
        }
        print(&summary(report, failed));
    }
    Ok(if !problems.is_empty() {
        Exit::Usage
    } else if failed > 0 {
        Exit::NotYet
    } else {
        Exit::Done
    })
}

fn summary(report: &Report, failed: usize) -> String {
    let exercises = report.exercises.len();
    let plural = |number: usize, noun: &str| match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    };
    let plays: usize = report.exercises.iter().map(|exercise| exercise.plays.len()).sum();
    let unplayed = report
        .exercises
        .iter()
        .filter(|exercise| exercise.not_played.is_some())
        .count();
    let mut parts = vec![plural(exercises, "exercise")];
    parts.push(plural(report.mistakes.len(), "mistake") + " in the files");
    parts.push(plural(plays, "play"));
    if failed > 0 {
        parts.push(format!("{failed} wrong"));
    }
    if unplayed > 0 {
        parts.push(format!("{} not played", plural(unplayed, "exercise")));
    }
    format!("{}\n", parts.join(", "))
}
