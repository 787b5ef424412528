//! What the guide does inside a step: its boxes, its words, the commands that run.

use crate::check::CheckResult;
use crate::course::WorkFolder;
use crate::problem::{Outcome, Problem};
use crate::session::runner::{self, Input};
use crate::session::watch::Watched;
use crate::session::{aid, open, view};
use crate::{jobs, tools, ui};

use super::{At, Guide, MOST_LOOKS, OPENING, SETTLE};

impl Guide {
    /// All boxes, freshly asked.
    pub(super) fn boxes(&mut self) {
        self.boxes_of(|_| true);
    }

    /// Some boxes, freshly asked; all of them once the step is done. What is ticked by this round is said by the watcher.
    fn boxes_of(&mut self, shown: impl Fn(&CheckResult) -> bool) {
        let Ok(watched) = self.step() else { return };
        let done_before = self.watcher.passed();
        match self.watcher.ask(SETTLE) {
            // The watcher has just said so, box by box.
            Some(results) if self.watcher.passed() && !done_before => self.said = results,
            Some(results) => {
                let text: String = results
                    .iter()
                    .filter(|result| done_before || shown(result))
                    .map(|result| view::tick_box(result, ui::width()))
                    .collect();
                self.screen.say(&text);
                self.said = results;
            }
            None if watched.step().checks.is_empty() => self.predict_only(&watched),
            None => self.screen.say(&open::no_answer(&self.lab)),
        }
    }

    /// The boxes as the step opens: what is to be done, not yet what is missing.
    pub(super) fn boxes_plain(&mut self) {
        match self.watcher.ask(OPENING) {
            Some(results) => {
                if !self.watcher.passed() {
                    let text: String = results
                        .iter()
                        .map(|result| view::empty_box(result, ui::width()))
                        .collect();
                    self.screen.say(&format!("\n{text}\n"));
                }
                self.said = results;
            }
            None => self.screen.say(&open::no_answer(&self.lab)),
        }
    }

    /// After a command: the open boxes whose finding is new.
    pub(super) fn boxes_after(&mut self) {
        if !matches!(self.at, At::Step(_)) || self.watcher.passed() {
            return;
        }
        let Some(mut results) = self.watcher.ask(SETTLE) else {
            return;
        };
        // What is new and not done may be on its way: say what stays.
        let mut before = self.said.clone();
        for _ in 0..MOST_LOOKS {
            if self.watcher.passed() || results == before {
                break;
            }
            before = results;
            match self.watcher.look_again(SETTLE) {
                Some(again) => results = again,
                None => return,
            }
        }
        if self.watcher.passed() {
            self.said = results;
            return;
        }
        let said = std::mem::take(&mut self.said);
        let text: String = results
            .iter()
            .enumerate()
            .filter(|(index, result)| {
                !result.passed && said.get(*index).is_none_or(|before| before.found != result.found)
            })
            .map(|(_, result)| view::tick_box(result, ui::width()))
            .collect();
        self.screen.say(&text);
        self.said = results;
    }

    pub(super) fn hint(&mut self) -> Outcome<()> {
        let watched = self.step()?;
        let (text, saved) = aid::next_hint(&watched, &self.progress)?;
        self.screen.say(&text);
        saved
    }

    pub(super) fn solution(&mut self) -> Outcome<()> {
        let watched = self.step()?;
        let (text, saved) = aid::solution(&watched, &self.progress)?;
        self.screen.say(&text);
        saved
    }

    pub(super) fn explain(&mut self) -> Outcome<()> {
        let watched = self.step()?;
        let done = |index: &usize| {
            self.progress
                .is_done(&watched.exercise, &watched.exercise.steps[*index])
        };
        let Some(index) = (0..=watched.index).rev().find(done) else {
            return Err(Problem::new("nothing to explain yet: do this step first")
                .next("`show` tells the task again"));
        };
        let step = &watched.exercise.steps[index];
        let prediction = self.progress.step(&watched.exercise, step).prediction;
        self.screen
            .say(&view::explanation(step, prediction.as_deref(), ui::width()));
        Ok(())
    }

    pub(super) fn answer(&mut self, line: &str) -> Outcome<()> {
        let watched = self.step()?;
        let text = line
            .split_once(char::is_whitespace)
            .map_or("", |(_, rest)| rest.trim());
        aid::answer(&watched, text, &self.progress)?;
        self.boxes_of(|result| !result.passed);
        Ok(())
    }

    pub(super) fn predicting(&self) -> bool {
        self.step().is_ok_and(|watched| {
            watched.step().predict.is_some()
                && self
                    .progress
                    .step(&watched.exercise, watched.step())
                    .prediction
                    .is_none()
        })
    }

    pub(super) fn predict(&mut self, number: Option<&str>) -> Outcome<()> {
        let watched = self.step()?;
        let Some(predict) = &watched.step().predict else {
            return Err(Problem::new("this step asks for no prediction"));
        };
        if self.settled(&watched) {
            return Err(Problem::new(
                "the step has shown what happens; a prediction would be no prediction",
            ));
        }
        match number {
            None => self.ask_prediction(&watched),
            Some(number) => {
                let chosen = number
                    .parse::<usize>()
                    .ok()
                    .filter(|number| (1..=predict.choice.len()).contains(number));
                let Some(chosen) = chosen else {
                    return Err(Problem::new(format!("'{number}' is none of the choices"))
                        .next(format!("predict 1 to {}", predict.choice.len())));
                };
                self.save_prediction(&watched, chosen - 1)?;
            }
        }
        if watched.step().checks.is_empty() {
            self.predict_only(&watched);
        }
        Ok(())
    }

    pub(super) fn ask_prediction(&mut self, watched: &Watched) {
        let Some(predict) = &watched.step().predict else {
            return;
        };
        match aid::choose(predict) {
            Some(index) => {
                if let Err(problem) = self.save_prediction(watched, index) {
                    self.screen.say(&problem.render());
                }
            }
            None => self.screen.say("  (no prediction yet; `predict` asks again)\n"),
        }
    }

    pub(super) fn save_prediction(&mut self, watched: &Watched, index: usize) -> Outcome<()> {
        let Some(choice) = watched
            .step()
            .predict
            .as_ref()
            .and_then(|predict| predict.choice.get(index))
        else {
            return Ok(());
        };
        self.screen.say(&ui::indented(
            &format!("You said: {}", ui::visible(&choice.text)),
            0,
            2,
            ui::width(),
        ));
        self.progress.update(&watched.exercise, watched.step(), |record| {
            record.prediction = Some(choice.text.clone());
        })
    }

    /// A step without checks is done by its prediction, or by going on.
    pub(super) fn predict_only(&mut self, watched: &Watched) {
        let step = watched.step();
        let prediction = self.progress.step(&watched.exercise, step).prediction;
        if step.predict.is_some() && prediction.is_none() {
            return;
        }
        if let Err(problem) = self.progress.done(&watched.exercise, step) {
            self.screen.say(&problem.render());
        }
        self.screen
            .say(&view::explanation(step, prediction.as_deref(), ui::width()));
        self.screen
            .say(&view::after_step(&watched.exercise, watched.index, ui::width()));
    }

    // --- Commands

    pub(super) fn tool(&mut self, words: &[String], input: Option<&str>, line: &str) -> Outcome<()> {
        if tools::is_own_process(&words[0]) {
            return self.own_process(words, line);
        }
        let input = match input {
            None => Input::Terminal,
            Some(name) => Input::Bytes(self.read_input(name)?),
        };
        let files = self.tool_files();
        self.watcher.while_busy(|| {
            runner::run_tool(
                words,
                input,
                self.lab.target(),
                files,
                &mut self.editor,
                &self.screen,
                &self.cancel,
            )
        });
        self.boxes_after();
        Ok(())
    }

    /// A file for `<`: of the exercise's folder, or wherever the learner says.
    pub(super) fn read_input(&self, name: &str) -> Outcome<Vec<u8>> {
        let path = match &self.at {
            At::Step(watched) => WorkFolder::of(&self.home, &watched.exercise).path().join(name),
            At::Map => name.into(),
        };
        std::fs::read(&path).map_err(|error| {
            Problem::new(format!("'{name}' can't be read: {error}"))
                .at(path, None)
                .next("`files` lists the files of this exercise")
        })
    }

    pub(super) fn job(&mut self, words: &[String]) -> Outcome<()> {
        let folder = match &self.at {
            At::Step(watched) => WorkFolder::of(&self.home, &watched.exercise).path().to_path_buf(),
            At::Map => std::env::current_dir().unwrap_or_default(),
        };
        let (lab, cancel, screen) = (&self.lab, &self.cancel, &self.screen);
        let editor = &mut self.editor;
        self.watcher.while_busy(|| {
            runner::run_quietly(editor, screen, cancel, |out| {
                jobs::command::run_line(words, lab, &folder, out, &mut screen.writer(), cancel)
            })
        })?;
        self.boxes_after();
        Ok(())
    }

    pub(super) fn files(&mut self) -> Outcome<()> {
        let watched = self.step()?;
        let folder = WorkFolder::of(&self.home, &watched.exercise);
        if watched.exercise.work_files.is_empty() {
            self.screen.say("This exercise has no files of yours.\n");
            return Ok(());
        }
        let mut text = format!("{}\n", folder.path().display());
        for name in &watched.exercise.work_files {
            text.push_str(&format!("  {name}\n"));
        }
        text.push_str("`edit FILE` opens one; any other editor does as well.\n");
        self.screen.say(&text);
        Ok(())
    }

    pub(super) fn edit(&mut self, name: Option<&str>) -> Outcome<()> {
        let watched = self.step()?;
        let folder = WorkFolder::of(&self.home, &watched.exercise);
        aid::edit(&folder, &watched.exercise, name, &self.screen)
    }
}
