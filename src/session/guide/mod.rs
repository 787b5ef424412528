//! The guided course: where the learner is, what is typed, what happens.

mod beside;
mod split;
mod step;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::editor::{LineEditor, SharedKnown, Typed};
use super::runner::{self, Input};
use super::screen::Screen;
use super::watch::{Watched, Watcher};
use super::words::{self, Word};
use super::{open, view};
use crate::cancel::Cancel;
use crate::check::CheckResult;
use crate::course::files::QUIZ_FILE;
use crate::course::{Course, Exercise, Progress, WorkFolder};
use crate::home::Home;
use crate::lab::{Interaction, LabClient, UpRequest};
use crate::problem::{Outcome, Problem};
use crate::tools::ToolFiles;
use crate::tools::background::Background;
use crate::tools::txn::TxnDesk;
use crate::{lab, tools, ui};

/// How long the prompt waits for the boxes after a command.
const SETTLE: Duration = Duration::from_millis(2500);

/// How long it waits for them as a step opens. A look at the step before may be under way whose cluster has just been
/// restarted, and each of its questions ends with a timeout only.
const OPENING: Duration = Duration::from_secs(15);

/// How often the boxes are asked again after a command while they change.
const MOST_LOOKS: u32 = 5;

/// Where the learner is.
#[derive(Debug, Clone)]
enum At {
    /// Looking at the map.
    Map,
    /// In a step.
    Step(Watched),
}

/// Whether the session goes on after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Quit,
}

/// The guided course on one terminal.
pub struct Guide {
    home: Home,
    course: Course,
    exercises: Vec<Arc<Exercise>>,
    progress: Progress,
    lab: LabClient,
    screen: Screen,
    editor: LineEditor,
    known: SharedKnown,
    watcher: Watcher,
    cancel: Cancel,
    background: Background,
    txn: TxnDesk,
    at: At,
    /// What the boxes said last, so that only what is new is said again.
    said: Vec<CheckResult>,
}

impl Guide {
    /// A session on this terminal.
    pub fn new(home: Home, course: Course, progress: Progress, lab: LabClient) -> Outcome<Self> {
        let known = SharedKnown::default();
        let mut editor = LineEditor::new(&home.history(), Arc::clone(&known))?;
        let screen = Screen::new(Box::new(std::io::stdout()), editor.above());
        let cancel = {
            let screen = screen.clone();
            Cancel::on_interrupt_then(move || screen.interrupted())
        };
        let watcher = Watcher::start(
            &home,
            lab.clone(),
            progress.clone(),
            screen.clone(),
            Arc::clone(&known),
            cancel.clone(),
        );
        let exercises: Vec<_> = course.exercises().cloned().map(Arc::new).collect();
        known.lock().unwrap_or_else(PoisonError::into_inner).exercises =
            exercises.iter().map(|exercise| exercise.id.clone()).collect();
        let background = {
            let screen = screen.clone();
            Background::new(Arc::new(move |text: &str| screen.say(text)))
        };
        Ok(Self {
            home,
            course,
            exercises,
            progress,
            lab,
            screen,
            editor,
            known,
            watcher,
            cancel,
            background,
            txn: TxnDesk::default(),
            at: At::Map,
            said: Vec::new(),
        })
    }

    /// Runs until the learner leaves.
    pub fn run(&mut self) -> Outcome<()> {
        self.screen.say(&view::map(
            &self.course,
            &self.progress,
            self.here().map(|here| here.id.clone()).as_deref(),
            ui::width(),
        ));
        self.screen.say(&self.invitation());
        loop {
            let prompt = match &self.at {
                At::Map => "streamlings> ".to_string(),
                At::Step(watched) => format!("{}> ", watched.exercise.id),
            };
            let typed = self.screen.while_editing(|| self.editor.command(&prompt));
            let flow = match typed {
                Typed::Line(line) => self.line(line.trim()),
                Typed::Interrupt => {
                    self.screen
                        .say("(quit or Ctrl-D leaves; help lists what you can type)\n");
                    Ok(Flow::On)
                }
                Typed::End => Ok(Flow::Quit),
            };
            match flow {
                Ok(Flow::On) => {}
                Ok(Flow::Quit) => break,
                Err(problem) => self.screen.say(&problem.render()),
            }
        }
        self.stop_all_beside();
        let lab = if self.lab.is_current() {
            "the lab goes on running. `streamlings` brings you back here; `streamlings down` stops the lab."
        } else {
            "the lab has gone. `streamlings` brings you back here and starts it again, with all its data."
        };
        self.paragraph(&format!("Your progress is kept, and {lab}"));
        Ok(())
    }

    /// Says a sentence or two, broken at the terminal's width.
    fn paragraph(&self, text: &str) {
        self.screen.say(&ui::indented(text, 0, 0, ui::width()));
    }

    /// A lab that was started again meanwhile is another process; the session goes on with it.
    fn follow_lab(&mut self) {
        if !self.lab.is_current()
            && let Ok(Some(lab)) = LabClient::connect(&self.home)
        {
            self.lab = lab;
            self.set_up_again();
        }
    }

    /// A command that needs the lab says at once that it has gone, instead of waiting for brokers in vain.
    fn lab_lives(&self) -> Outcome<()> {
        if self.lab.is_current() {
            return Ok(());
        }
        Err(open::lab_gone())
    }

    /// A tool waits for a cluster that doesn't answer, as Kafka's does; why, and what to do, is said before.
    fn warn_of_silence(&self) {
        if let Ok(status) = self.lab.status()
            && !status.reachable()
        {
            self.paragraph(&format!(
                "{} Ctrl-C ends the command.",
                open::no_broker(status.backend)
            ));
        }
    }

    /// A lab that was started again may have another cluster: the open step gets what it needs there too.
    fn set_up_again(&self) {
        if let At::Step(watched) = &self.at
            && let Err(problem) = open::set_up(
                &self.course,
                watched,
                &self.progress,
                self.lab.target(),
                &self.screen,
            )
        {
            self.screen.say(&problem.render());
        }
    }

    /// The exercise to go on with: the one that was open last, else the first that is not behind the learner.
    fn here(&self) -> Option<&Arc<Exercise>> {
        let open = |exercise: &&Arc<Exercise>| self.progress.first_open(exercise).is_some();
        let last = self.progress.here();
        self.exercises
            .iter()
            .find(|exercise| Some(&exercise.id) == last.as_ref())
            .filter(open)
            .or_else(|| self.exercises.iter().find(open))
    }

    fn has_quiz(&self) -> bool {
        self.course.files.exists(QUIZ_FILE)
    }

    fn invitation(&self) -> String {
        if let Some(exercise) = self.here() {
            let verb = match view::standing(exercise, &self.progress) {
                view::Standing::New => "starts",
                _ => "goes on with",
            };
            format!("\n  Enter {verb} {} · list · help · quit\n\n", exercise.id)
        } else {
            let quiz = if self.has_quiz() {
                "Enter starts the quiz · "
            } else {
                ""
            };
            format!("\n  All exercises are behind you. {quiz}list · help · quit\n\n")
        }
    }

    fn line(&mut self, line: &str) -> Outcome<Flow> {
        self.follow_lab();
        // What another terminal has done since counts here too.
        for note in self.progress.refresh(&self.course) {
            self.paragraph(&note);
        }
        if line.is_empty() {
            return self.enter();
        }
        let split::Line {
            words,
            input,
            background,
        } = split::split(line)?;
        let Some(first) = words.first() else {
            return Ok(Flow::On);
        };
        if tools::is_tool(first) {
            if tools::needs_lab(&words) {
                self.lab_lives()?;
                self.warn_of_silence();
            }
            if background {
                self.beside(&words, input.as_deref(), line)?;
            } else {
                self.tool(&words, input.as_deref(), line)?;
            }
            return Ok(Flow::On);
        }
        if background {
            return Err(Problem::new(format!("'{first}' can't run in the background"))
                .next("Kafka's tools and worker can; `sql` starts a job of the lab, which needs no '&'"));
        }
        if let Some(entry) = words::find(first) {
            if entry.args.is_empty() && words.len() > 1 {
                return Err(Problem::new(format!(
                    "'{}' stands alone: it is about the open step",
                    entry.name
                ))
                .next(format!("type {}; `help` lists what you can type", entry.name)));
            }
            if entry.word.needs_lab() {
                self.lab_lives()?;
            }
            return self.word(entry.word, &words, line);
        }
        if words.len() == 1 && self.exercise(first).is_some() {
            self.start(first, None)?;
            return Ok(Flow::On);
        }
        if words.len() == 1 && first.parse::<usize>().is_ok() && self.predicting() {
            self.predict(Some(first))?;
            return Ok(Flow::On);
        }
        let names: Vec<_> = tools::names().collect();
        let next = match words::suggest(first, &names) {
            Some(meant) => format!("did you mean '{meant}'? `help` lists what you can type"),
            None => "`help` lists what you can type; other programs run in another terminal".to_string(),
        };
        Err(Problem::new(format!("there is no command '{first}' here")).next(next))
    }

    fn enter(&mut self) -> Outcome<Flow> {
        match &self.at {
            At::Map => match self.here().map(|exercise| exercise.id.clone()) {
                Some(id) => self.start(&id, None)?,
                None if self.has_quiz() => return self.quiz(),
                None => self.list(),
            },
            At::Step(watched) if self.settled(watched) => return self.next(),
            At::Step(_) => {
                self.boxes();
                self.screen
                    .say("  Not done yet. hint · show · solution · skip · help\n");
            }
        }
        Ok(Flow::On)
    }

    fn word(&mut self, word: Word, words: &[String], line: &str) -> Outcome<Flow> {
        match word {
            Word::Quit => return Ok(Flow::Quit),
            Word::Next => match &self.at {
                At::Map => return self.enter(),
                At::Step(watched) if self.settled(watched) => return self.next(),
                At::Step(_) => {
                    self.boxes();
                    self.screen.say("  Not done yet; `skip` leaves it undone.\n");
                }
            },
            Word::Show => match self.step() {
                Ok(watched) => self.show(&watched),
                Err(_) => self.list(),
            },
            Word::List => self.list(),
            Word::Start => match words.get(1) {
                Some(name) => self.start(name, words.get(2).map(String::as_str))?,
                None => {
                    return Err(
                        Problem::new("which exercise?").next("`list` shows them; for example: start 1.2")
                    );
                }
            },
            Word::Check => {
                self.step()?;
                self.boxes();
            }
            Word::Hint => self.hint()?,
            Word::Solution => self.solution()?,
            Word::Skip => return self.skip(),
            Word::Reset => self.reset()?,
            Word::Explain => self.explain()?,
            Word::Answer => self.answer(line)?,
            Word::Predict => self.predict(words.get(1).map(String::as_str))?,
            Word::Edit => self.edit(words.get(1).map(String::as_str))?,
            Word::Files => self.files()?,
            Word::Sql | Word::Job => self.job(words)?,
            Word::Jobs => self.jobs_beside(),
            Word::Stop | Word::Kill | Word::Logs | Word::Foreground => self.about_one(word, words)?,
            Word::Wait => self.wait(words)?,
            Word::Txn => self.txn(words)?,
            Word::Hands => self.hands(words)?,
            Word::Up => self.up(words)?,
            Word::Badge => self.screen.say(&open::badges_text(&self.home)),
            Word::Status => self.screen.say(&open::status_text(&self.lab)),
            Word::Quiz => return self.quiz(),
            Word::Clear => drop(console::Term::stdout().clear_screen()),
            Word::Help => self.help(words.get(1).map(String::as_str)),
        }
        Ok(Flow::On)
    }

    fn help(&mut self, about: Option<&str>) {
        match about.filter(|name| tools::is_tool(name)) {
            Some(tool) => {
                let words = [tool.to_string(), "--help".to_string()];
                runner::run_tool(
                    &words,
                    Input::Bytes(Vec::new()),
                    self.lab.target(),
                    ToolFiles::default(),
                    &mut self.editor,
                    &self.screen,
                    &self.cancel,
                );
            }
            None => self.screen.say(&view::help(tools::names(), ui::width())),
        }
    }

    /// The lab again, after it has gone.
    fn up(&mut self, words: &[String]) -> Outcome<()> {
        let mut request = UpRequest::default();
        match words.get(1..).unwrap_or_default() {
            [] => {}
            [flag, count] if flag == "--brokers" => {
                let brokers = count.parse().ok().filter(|count| (1..=9).contains(count));
                request.brokers = Some(brokers.ok_or_else(|| {
                    Problem::new(format!("'{count}' is no number of brokers")).next("up --brokers 3")
                })?);
            }
            _ => {
                return Err(Problem::new("up takes --brokers N here")
                    .next("quit, then `streamlings up --help` shows all that it can"));
            }
        }
        let mut stop = false;
        if let Some(brokers) = request.brokers
            && self.lab.is_current()
            && self.lab.brokers_configured() != usize::from(brokers)
        {
            if !open::confirm_restart(&self.lab, brokers, &self.screen)? {
                return Ok(());
            }
            self.stop_all_beside();
            stop = true;
        }
        let (lab, home) = (&self.lab, &self.home);
        let up = self.watcher.while_restarting(|| {
            if stop {
                lab.down()?;
            }
            lab::up(home, &request, Interaction::of_terminal())
        })?;
        self.screen
            .say(&ui::indented(&format!("Lab   {}", up.line()), 0, 6, ui::width()));
        self.lab = up.client;
        self.set_up_again();
        Ok(())
    }

    // --- Moving

    fn exercise(&self, name: &str) -> Option<Arc<Exercise>> {
        self.exercises
            .iter()
            .find(|exercise| exercise.id == name || exercise.slug == name)
            .cloned()
    }

    fn step(&self) -> Outcome<Watched> {
        match &self.at {
            At::Step(watched) => Ok(watched.clone()),
            At::Map => {
                Err(Problem::new("no exercise is open").next("Enter opens the next one; `list` shows all"))
            }
        }
    }

    fn settled(&self, watched: &Watched) -> bool {
        self.watcher.passed() || self.progress.is_settled(&watched.exercise, watched.step())
    }

    fn list(&mut self) {
        let id = match &self.at {
            At::Step(watched) => Some(watched.exercise.id.clone()),
            At::Map => self.here().map(|exercise| exercise.id.clone()),
        };
        self.screen.say(&view::map(
            &self.course,
            &self.progress,
            id.as_deref(),
            ui::width(),
        ));
    }

    fn start(&mut self, name: &str, step: Option<&str>) -> Outcome<()> {
        let Some(exercise) = self.exercise(name) else {
            let known: Vec<_> = self
                .exercises
                .iter()
                .map(|exercise| exercise.id.as_str())
                .collect();
            return Err(Problem::new(format!("there is no exercise '{name}'"))
                .next(format!("there are {}", known.join(", "))));
        };
        open::fits(&exercise, &self.lab)?;
        let count = exercise.steps.len();
        let index = match step {
            None => {
                let undone = |step| !self.progress.is_done(&exercise, step);
                self.progress
                    .first_open(&exercise)
                    .or_else(|| exercise.steps.iter().position(undone))
                    .unwrap_or(0)
            }
            Some(number) => match number.parse::<usize>() {
                Ok(number) if (1..=count).contains(&number) => number - 1,
                _ => {
                    return Err(Problem::new(format!("{} has no step '{number}'", exercise.id))
                        .next(format!("it has the steps 1 to {count}")));
                }
            },
        };
        self.back_to_now(&exercise)?;
        if open::heal(&exercise, &self.lab) {
            self.paragraph("A fault of another exercise was still in force; it is no more.");
        }
        if let Err(problem) = self.progress.set_here(&exercise) {
            self.screen.say(&problem.render());
        }
        self.open(Watched { exercise, index })
    }

    /// Restarts a lab whose clock is ahead, for an exercise that has nothing to do with that.
    fn back_to_now(&mut self, exercise: &Exercise) -> Outcome<()> {
        let Some(ahead) = open::clock_in_the_way(exercise, &self.lab) else {
            return Ok(());
        };
        self.watcher.open(None);
        self.stop_all_beside();
        let (lab, home) = (&self.lab, &self.home);
        let up = self.watcher.while_restarting(|| {
            lab.down()?;
            lab::up(home, &UpRequest::default(), Interaction::of_terminal())
        })?;
        self.lab = up.client;
        self.paragraph(&format!(
            "The cluster's clock was {ahead} ahead. The lab was started again, and has this machine's time. Topics of \
             other exercises may have lost their records to retention in those days: `reset` begins an exercise anew."
        ));
        self.screen.say("\n");
        Ok(())
    }

    fn open(&mut self, watched: Watched) -> Outcome<()> {
        self.lab_lives()?;
        let folder = WorkFolder::of(&self.home, &watched.exercise);
        if let Err(problem) = folder.fill(&self.course, &watched.exercise) {
            // The step can still be read, and done as far as it needs no file.
            self.screen.say(&problem.render());
        }
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .files
            .clone_from(&watched.exercise.work_files);
        self.watcher.open(None);
        self.at = At::Step(watched.clone());
        open::set_up(
            &self.course,
            &watched,
            &self.progress,
            self.lab.target(),
            &self.screen,
        )?;
        match open::only_shown(watched.step(), &self.lab) {
            Some(why) => self.read_only(&watched, &why)?,
            None => self.show(&watched),
        }
        Ok(())
    }

    /// The step's text, its prediction, its boxes.
    fn show(&mut self, watched: &Watched) {
        let width = ui::width();
        self.screen
            .say(&view::step_text(&watched.exercise, watched.index, width));
        if !watched.exercise.work_files.is_empty() {
            let folder = WorkFolder::of(&self.home, &watched.exercise);
            let files = ui::indented(&format!("Your files: {}", folder.path().display()), 0, 2, width);
            self.screen.say(&format!("\n{files}"));
        }
        let record = self.progress.step(&watched.exercise, watched.step());
        if let Some(predict) = &watched.step().predict {
            match &record.prediction {
                None => self.ask_prediction(watched),
                Some(text) => {
                    let question = ui::indented(&predict.question, 0, 0, width);
                    let said = ui::indented(&format!("You said: {}", ui::visible(text)), 0, 2, width);
                    self.screen.say(&format!("\n{question}{said}"));
                }
            }
        }
        self.watcher.open(Some(watched.clone()));
        if watched.step().checks.is_empty() {
            self.predict_only(watched);
        } else {
            self.boxes_plain();
        }
    }

    /// A step that this lab can't do: its text and what it shows. It stays undone, for another lab.
    fn read_only(&mut self, watched: &Watched, why: &str) -> Outcome<()> {
        let width = ui::width();
        let (exercise, step) = (&watched.exercise, watched.step());
        self.screen.say(&view::step_text(exercise, watched.index, width));
        self.screen.say("\n");
        self.paragraph(why);
        self.screen.say("\n");
        self.screen.say(&view::explanation(step, None, width));
        self.progress.update(exercise, step, |record| {
            record.skipped = record.done_at.is_none();
        })?;
        self.screen
            .say(&ui::indented("Enter goes on · list", 0, 0, width));
        Ok(())
    }

    fn next(&mut self) -> Outcome<Flow> {
        let watched = self.step()?;
        let exercise = &watched.exercise;
        if let Some(index) = (watched.index + 1..exercise.steps.len()).next() {
            self.open(Watched {
                exercise: Arc::clone(exercise),
                index,
            })?;
            return Ok(Flow::On);
        }
        self.watcher.open(None);
        self.at = At::Map;
        let width = ui::width();
        self.screen.say(&view::end_of_exercise(
            exercise,
            &self.exercises,
            &self.progress,
            |step| open::only_shown(step, &self.lab).is_some(),
            width,
        ));
        self.screen.say(&self.invitation());
        Ok(Flow::On)
    }

    fn skip(&mut self) -> Outcome<Flow> {
        let watched = self.step()?;
        if !self.settled(&watched) {
            let saved = self
                .progress
                .update(&watched.exercise, watched.step(), |record| record.skipped = true);
            if let Err(problem) = saved {
                self.screen.say(&problem.render());
            }
            self.paragraph(&format!(
                "Skipped. `start {} {}` brings you back to it.",
                watched.exercise.id,
                watched.index + 1
            ));
            self.screen.say("\n");
        }
        self.next()
    }

    fn reset(&mut self) -> Outcome<()> {
        let watched = self.step()?;
        if !open::confirm_reset(&watched.exercise, &self.screen)? {
            return Ok(());
        }
        self.watcher.open(None);
        self.stop_all_beside();
        open::reset(
            &self.home,
            &self.course,
            &watched.exercise,
            &self.progress,
            &self.lab,
            &self.screen,
        )?;
        self.open(Watched {
            exercise: watched.exercise,
            index: 0,
        })
    }

    fn quiz(&mut self) -> Outcome<Flow> {
        self.watcher.open(None);
        self.at = At::Map;
        crate::quiz::command::take()?;
        self.screen.say(&self.invitation());
        Ok(Flow::On)
    }
}
