//! The guided course, and its steps as single commands: `list`, `show`, `check`, `hint`, `solution`, `reset`, `skip`.

use std::io::IsTerminal;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::guide::Guide;
use super::screen::Screen;
use super::watch::Watched;
use super::{aid, open, view};
use crate::check::{self, CheckContext, CheckResult};
use crate::course::{Course, Exercise, Files, Progress, WorkFolder};
use crate::home::Home;
use crate::lab::{self, Interaction, LabClient};
use crate::problem::{Exit, Outcome, Problem};
use crate::ui;

/// The course's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The exercises, and how far you are
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The open step of an exercise: its task and what is done of it
    Show(Which),
    /// Ask whether the open step is done
    Check(Which),
    /// A hint for the open step; each call shows a stronger one
    Hint(Which),
    /// The reference solution of the open step
    Solution(Which),
    /// Take an exercise back to its beginning
    Reset {
        /// The exercise.
        #[command(flatten)]
        which: Which,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Leave the open step undone
    Skip(Which),
}

/// An exercise, and how to print it.
#[derive(Debug, Args)]
pub struct Which {
    /// The exercise, for example 1.2; without it: the one that was open last
    exercise: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The guided course, from where the learner was.
pub fn guided() -> Outcome<Exit> {
    let home = Home::find()?;
    let course = Course::open()?;
    let (progress, notes) = Progress::open(&home, &course);
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut out = String::from("\n");
    out.push_str(&ui::sides(
        "  streamlings",
        &format!("{}  ", course.title),
        ui::width(),
    ));
    out.push_str("\n\n");
    if !terminal {
        out.push_str(&view::map(
            &course,
            &progress,
            progress.here().as_deref(),
            ui::width(),
        ));
        ui::print(&out);
        return Err(Problem::new("the guided course needs a terminal to talk to you")
            .next("run `streamlings` in a terminal; in a script: streamlings list, show, check, hint, solution, skip"));
    }
    ui::print(&out);
    let up = lab::ensure_up(&home, Interaction::of_terminal())?;
    let width = ui::width();
    ui::print(&ui::indented(&format!("Lab    {}", up.line()), 2, 9, width));
    if let Some(note) = up.note() {
        ui::print(&ui::indented(&format!("({note})"), 9, 10, width));
    }
    for note in notes {
        ui::print(&ui::indented(
            &format!("Note   {}", ui::visible(&note)),
            2,
            9,
            width,
        ));
    }
    ui::print("\n");
    Guide::new(home, course, progress, up.client)?.run()?;
    Ok(Exit::Done)
}

/// Runs one of the course's commands.
pub fn run(command: Command) -> Outcome<Exit> {
    let home = Home::find()?;
    let course = match command.about() {
        None => Course::open()?,
        Some(which) => course_for(&home, which)?,
    };
    let (progress, notes) = Progress::open(&home, &course);
    for note in notes {
        let note = format!("note: {}", ui::visible(&note));
        eprint!("{}", ui::indented(&note, 0, 6, ui::width()));
    }
    let desk = Desk {
        home,
        course,
        progress,
    };
    match command {
        Command::List { json } => {
            desk.list(json);
            Ok(Exit::Done)
        }
        Command::Show(which) => desk.show(&which),
        Command::Check(which) => desk.check(&which),
        Command::Hint(which) => desk.hint(&which),
        Command::Solution(which) => desk.solution(&which),
        Command::Reset { which, yes } => desk.reset(&which, yes),
        Command::Skip(which) => desk.skip(&which),
    }
}

impl Command {
    /// The exercise that it is about; nothing for a command about all.
    fn about(&self) -> Option<&Which> {
        match self {
            Self::List { .. } => None,
            Self::Show(which)
            | Self::Check(which)
            | Self::Hint(which)
            | Self::Solution(which)
            | Self::Skip(which)
            | Self::Reset { which, .. } => Some(which),
        }
    }
}

/// The course with the exercise that is meant; the whole of it when there is no such one.
fn course_for(home: &Home, which: &Which) -> Outcome<Course> {
    let files = Files::find()?;
    let name = if let Some(name) = &which.exercise {
        Some(name.clone())
    } else {
        let list = Course::with_only(&files, None)?;
        let here = Progress::open(home, &list).0.here();
        here.or_else(|| {
            list.modules
                .iter()
                .flat_map(|module| &module.slugs)
                .next()
                .cloned()
        })
    };
    let course = Course::with_only(&files, name.as_deref())?;
    if course.exercises().next().is_some() {
        return Ok(course);
    }
    Course::from_files(&files)
}

/// What the single commands work on.
struct Desk {
    home: Home,
    course: Course,
    progress: Progress,
}

impl Desk {
    fn exercise(&self, which: &Which) -> Outcome<Arc<Exercise>> {
        let found = match &which.exercise {
            Some(name) => self.course.exercise(name),
            None => match self.progress.here() {
                Some(here) => self.course.exercise(&here),
                None => self.course.exercises().next(),
            },
        };
        found.cloned().map(Arc::new).ok_or_else(|| {
            let known: Vec<_> = self
                .course
                .exercises()
                .map(|exercise| exercise.id.as_str())
                .collect();
            Problem::new(format!(
                "there is no exercise '{}'",
                which.exercise.as_deref().unwrap_or_default()
            ))
            .next(format!("there are {}", known.join(", ")))
        })
    }

    /// The open step, or the last one when all are behind the learner.
    fn step(&self, which: &Which) -> Outcome<Watched> {
        let exercise = self.exercise(which)?;
        let index = self
            .progress
            .first_open(&exercise)
            .unwrap_or(exercise.steps.len() - 1);
        Ok(Watched { exercise, index })
    }

    fn list(&self, json: bool) {
        if !json {
            ui::print(&view::map(
                &self.course,
                &self.progress,
                self.progress.here().as_deref(),
                ui::width(),
            ));
            return;
        }
        let exercises: Vec<_> = self
            .course
            .exercises()
            .map(|exercise| {
                let steps: Vec<_> = exercise
                    .steps
                    .iter()
                    .map(|step| {
                        let record = self.progress.step(exercise, step);
                        json!({"title": step.title, "done": self.progress.is_done(exercise, step), "skipped": record.skipped,
                               "hints": record.hints, "solution_seen": record.solution_seen})
                    })
                    .collect();
                json!({"id": exercise.id, "title": exercise.title, "minutes": exercise.minutes,
                       "done": view::standing(exercise, &self.progress) == view::Standing::Done, "steps": steps})
            })
            .collect();
        ui::print_json(
            &json!({"course": self.course.id, "here": self.progress.here(), "exercises": exercises}),
        );
    }

    fn show(&self, which: &Which) -> Outcome<Exit> {
        let watched = self.step(which)?;
        let step = watched.step();
        let folder = WorkFolder::of(&self.home, &watched.exercise);
        // The task is told first: a full disk keeps nobody from reading it.
        let filled = folder.fill(&self.course, &watched.exercise);
        let labels: Vec<String> = step.checks.iter().map(check::label).collect();
        if which.json {
            ui::print_json(
                &json!({"exercise": watched.exercise.id, "step": watched.index + 1, "steps": watched.exercise.steps.len(),
                "title": step.title, "task": step.task, "checks": labels, "folder": folder.path(), "files": watched.exercise.work_files,
                "done": self.progress.is_done(&watched.exercise, step)}),
            );
            return filled.map(|()| Exit::Done);
        }
        ui::print(&view::step_text(&watched.exercise, watched.index, ui::width()));
        ui::print("\n");
        for label in labels {
            ui::print(&ui::indented(
                &format!("[ ] {}", ui::visible(&label)),
                2,
                6,
                ui::width(),
            ));
        }
        if !watched.exercise.work_files.is_empty() {
            ui::print(&format!("\nYour files: {}\n", folder.path().display()));
        }
        filled.map(|()| Exit::Done)
    }

    fn check(&self, which: &Which) -> Outcome<Exit> {
        let lab = LabClient::require(&self.home)?;
        let watched = self.step(which)?;
        let (exercise, step) = (&watched.exercise, watched.step());
        open::fits(exercise, &lab)?;
        if let Some(why) = open::only_shown(step, &lab) {
            return Err(Problem::new(why).exit(Exit::NotYet));
        }
        let quiet = Screen::new(Box::new(std::io::stderr()), None);
        open::set_up(&self.course, &watched, &self.progress, lab.target(), &quiet)?;
        let mut context = CheckContext::new(lab.target(), Some(Box::new(lab.clone())))
            .map_err(|error| Problem::new(format!("no client for the cluster: {error}")).exit(Exit::NoLab))?;
        for (question, answer) in self.progress.step(exercise, step).answers {
            context.set_answer(&question, &answer);
        }
        let results = check::evaluate_all(&step.checks, &mut context);
        let passed = results.iter().all(|result| result.passed);
        let saved = if passed {
            self.progress
                .done(exercise, step)
                .and_then(|()| self.progress.set_here(exercise))
        } else {
            Ok(())
        };
        if which.json {
            ui::print_json(&results_json(&watched, passed, &results));
        } else {
            ui::print(&format!(
                "{} {}, step {} of {}: {}\n",
                exercise.id,
                exercise.title,
                watched.index + 1,
                exercise.steps.len(),
                step.title
            ));
            for result in &results {
                ui::print(&view::tick_box(result, ui::width()));
            }
            if passed {
                let prediction = self.progress.step(exercise, step).prediction;
                ui::print(&format!(
                    "\n{}",
                    view::explanation(step, prediction.as_deref(), ui::width())
                ));
            }
        }
        if results.iter().any(|result| result.unknown) {
            return Ok(Exit::NoLab);
        }
        saved.map(|()| if passed { Exit::Done } else { Exit::NotYet })
    }

    fn hint(&self, which: &Which) -> Outcome<Exit> {
        let watched = self.step(which)?;
        let (text, saved) = aid::next_hint(&watched, &self.progress)?;
        if which.json {
            let seen = self.progress.step(&watched.exercise, watched.step()).hints;
            ui::print_json(
                &json!({"exercise": watched.exercise.id, "step": watched.index + 1, "hint": seen,
                "hints": watched.step().hints.len(), "text": watched.step().hints[seen.max(1) - 1]}),
            );
        } else {
            ui::print(&text);
        }
        saved.map(|()| Exit::Done)
    }

    fn solution(&self, which: &Which) -> Outcome<Exit> {
        let watched = self.step(which)?;
        let (text, saved) = aid::solution(&watched, &self.progress)?;
        if which.json {
            ui::print_json(
                &json!({"exercise": watched.exercise.id, "step": watched.index + 1,
                "text": aid::solution_text(watched.step())}),
            );
        } else {
            ui::print(&text);
        }
        saved.map(|()| Exit::Done)
    }

    fn reset(&self, which: &Which, yes: bool) -> Outcome<Exit> {
        let exercise = self.exercise(which)?;
        let lab = LabClient::require(&self.home)?;
        let screen = Screen::new(Box::new(std::io::stderr()), None);
        if !yes {
            if !std::io::stdin().is_terminal() {
                return Err(
                    Problem::new("reset deletes topics, and nobody can be asked here").next("add --yes")
                );
            }
            if !open::confirm_reset(&exercise, &screen)? {
                return Ok(Exit::NotYet);
            }
        }
        open::reset(&self.home, &self.course, &exercise, &self.progress, &lab, &screen)?;
        if which.json {
            ui::print_json(&json!({"exercise": exercise.id, "reset": true}));
        } else {
            ui::print(&format!("{} is back at its beginning.\n", exercise.id));
        }
        Ok(Exit::Done)
    }

    fn skip(&self, which: &Which) -> Outcome<Exit> {
        let watched = self.step(which)?;
        let (exercise, step) = (&watched.exercise, watched.step());
        if self.progress.is_settled(exercise, step) {
            return Err(
                Problem::new(format!("all steps of {} are behind you", exercise.id))
                    .next("`streamlings list` shows what is left"),
            );
        }
        self.progress
            .update(exercise, step, |record| record.skipped = true)?;
        if which.json {
            ui::print_json(&json!({"exercise": exercise.id, "skipped": watched.index + 1}));
        } else {
            ui::print(&format!(
                "Skipped: {} step {}, {}.\n",
                exercise.id,
                watched.index + 1,
                step.title
            ));
        }
        Ok(Exit::Done)
    }
}

fn results_json(watched: &Watched, passed: bool, results: &[CheckResult]) -> serde_json::Value {
    let results: Vec<_> = results
        .iter()
        .map(|result| json!({"label": result.label, "passed": result.passed, "found": result.found, "advice": result.advice}))
        .collect();
    json!({"exercise": watched.exercise.id, "step": watched.index + 1, "passed": passed, "checks": results})
}
