//! Watches the open step: asks its checks again and again, ticks boxes, and says when the step is done, whatever the
//! learner is doing meanwhile and in whichever terminal.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::editor::SharedKnown;
use super::screen::Screen;
use super::view;
use crate::cancel::Cancel;
use crate::check::{self, CheckContext, CheckResult};
use crate::course::{Exercise, Progress, Step};
use crate::home::Home;
use crate::kafka::Admin;
use crate::lab::LabClient;
use crate::ui;

/// Between two rounds of questions to the cluster.
const PAUSE: Duration = Duration::from_millis(400);
/// How long one question for Tab's names may take.
const NAMES_TIMEOUT: Duration = Duration::from_secs(2);
/// Tab's names are asked for once in so many rounds.
const NAMES_EVERY: u32 = 5;

/// The step that is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its exercise.
    pub exercise: Arc<Exercise>,
    /// Its index there.
    pub index: usize,
}

impl Watched {
    /// The step.
    pub fn step(&self) -> &Step {
        &self.exercise.steps[self.index]
    }
}

#[derive(Default)]
struct State {
    watched: Option<Watched>,
    /// Changes with each step that is opened, so that a late round of the step before is dropped.
    generation: u64,
    results: Vec<CheckResult>,
    passed: bool,
    /// A command is running; what the finished step has to say waits for its end.
    busy: bool,
    /// The learner is restarting the lab: that it has gone is no news.
    restarting: bool,
    /// The learner has restarted it: that it goes again is.
    restarted: bool,
    held: String,
    /// Rounds that have ended, and the round that somebody waits for.
    round: u64,
    wanted: u64,
    over: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watcher; it ends when it is dropped.
pub struct Watcher {
    shared: Arc<Shared>,
    screen: Screen,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts watching; nothing is asked until a step is [opened](Self::open).
    pub fn start(
        home: &Home,
        lab: LabClient,
        progress: Progress,
        screen: Screen,
        known: SharedKnown,
        cancel: Cancel,
    ) -> Self {
        let said_on = screen.clone();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let eye = Eye {
            shared: Arc::clone(&shared),
            context: None,
            lab,
            progress,
            screen,
            known,
            home: home.clone(),
            cancel,
            gone: 0,
        };
        Self {
            shared,
            screen: said_on,
            thread: Some(std::thread::spawn(move || eye.run())),
        }
    }

    /// Watches this step from now on, or none.
    pub fn open(&self, watched: Option<Watched>) {
        let mut state = self.shared.state();
        state.watched = watched;
        state.generation += 1;
        state.results.clear();
        state.passed = false;
        state.held.clear();
        state.wanted = state.round + 1;
        self.shared.changed.notify_all();
    }

    /// Asks all checks once more, and waits for the answers, but not longer than `patience`. The results are of after
    /// the call; `None` when the cluster takes too long, or nothing is watched.
    pub fn ask(&self, patience: Duration) -> Option<Vec<CheckResult>> {
        let mut state = self.shared.state();
        // The round that may be under way began before this call.
        let round = state.round + 2;
        state.wanted = state.wanted.max(round);
        self.shared.changed.notify_all();
        self.results_of(round, state, patience)
    }

    /// Waits for the round after the one that has just ended, at the watcher's own pace: what was under way a moment
    /// ago (a job that starts, a group that joins) has moved on. `None` as for [`ask`](Self::ask).
    pub fn look_again(&self, patience: Duration) -> Option<Vec<CheckResult>> {
        let state = self.shared.state();
        self.results_of(state.round + 1, state, patience)
    }

    /// The results once `round` has ended.
    fn results_of(
        &self,
        round: u64,
        mut state: MutexGuard<'_, State>,
        patience: Duration,
    ) -> Option<Vec<CheckResult>> {
        let deadline = Instant::now() + patience;
        while state.round < round {
            let left = deadline.checked_duration_since(Instant::now())?;
            if state.watched.is_none() || state.over {
                return None;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Some(state.results.clone())
    }

    /// Runs a command. Boxes are ticked meanwhile; the explanation of a step that gets done is said at its end.
    pub fn while_busy<T>(&self, work: impl FnOnce() -> T) -> T {
        self.shared.state().busy = true;
        let result = work();
        let mut state = self.shared.state();
        state.busy = false;
        let held = std::mem::take(&mut state.held);
        self.screen.say(&held);
        result
    }

    /// Restarts the lab, without saying that it has gone.
    pub fn while_restarting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.shared.state().restarting = true;
        let result = work();
        let mut state = self.shared.state();
        (state.restarting, state.restarted) = (false, true);
        result
    }

    /// Whether all checks of the watched step have passed.
    pub fn passed(&self) -> bool {
        self.shared.state().passed
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Its panic was printed already.
            drop(thread.join());
        }
    }
}

struct Eye {
    shared: Arc<Shared>,
    context: Option<CheckContext>,
    lab: LabClient,
    progress: Progress,
    screen: Screen,
    known: SharedKnown,
    home: Home,
    cancel: Cancel,
    /// Looks in a row that found no lab.
    gone: u32,
}

impl Eye {
    fn run(mut self) {
        let mut names_in = 0;
        loop {
            let (watched, generation) = {
                let state = self.shared.state();
                if state.over {
                    return;
                }
                (state.watched.clone(), state.generation)
            };
            self.follow_lab();
            let results = watched
                .as_ref()
                .map(|watched| self.ask(watched))
                .unwrap_or_default();
            self.tell(watched.as_ref(), generation, results);
            if names_in == 0 && self.gone == 0 {
                self.learn_names();
                names_in = NAMES_EVERY;
            }
            names_in = names_in.saturating_sub(1);
            self.wait();
        }
    }

    /// A lab that was started again is another process. One that has ended is said as it happens: a command that runs
    /// would wait for it without a word.
    fn follow_lab(&mut self) {
        if self.lab.is_current() {
            return;
        }
        match LabClient::connect(&self.home) {
            Ok(Some(lab)) => {
                self.lab = lab;
                self.context = None;
                self.gone = 0;
            }
            Ok(None) => {
                let (busy, anew, restarting) = {
                    let mut state = self.shared.state();
                    (state.busy, std::mem::take(&mut state.restarted), state.restarting)
                };
                if anew || restarting {
                    self.gone = 0;
                }
                self.gone = self.gone.saturating_add(u32::from(!restarting));
                // The first look may have begun while it was restarted.
                if self.gone == 2 {
                    let then = if busy { " Ctrl-C ends the command." } else { "" };
                    let text = format!("{}{then}", super::open::LAB_GONE);
                    self.screen.say(&ui::indented(&text, 2, 2, ui::width()));
                }
            }
            Err(_) => {}
        }
    }

    /// All checks of the step; none when there is no client for the cluster.
    fn ask(&mut self, watched: &Watched) -> Vec<CheckResult> {
        if self.context.is_none() {
            let jobs = Box::new(self.lab.clone());
            self.context = CheckContext::new(self.lab.target(), Some(jobs)).ok();
        }
        let Some(context) = &mut self.context else {
            return Vec::new();
        };
        let step = watched.step();
        context.clear_answers();
        for (question, answer) in self.progress.step(&watched.exercise, step).answers {
            context.set_answer(&question, &answer);
        }
        check::evaluate_all(&step.checks, context)
    }

    /// Ticks what is new; says that the step is done.
    fn tell(&self, watched: Option<&Watched>, generation: u64, results: Vec<CheckResult>) {
        let mut text = String::new();
        {
            let mut state = self.shared.state();
            if state.generation == generation
                && let Some(watched) = watched
            {
                if !state.passed {
                    text = news(&state.results, &results);
                    state.passed = !results.is_empty() && results.iter().all(|result| result.passed);
                    if state.passed {
                        let finish = finish(watched, &self.progress);
                        if state.busy {
                            state.held = finish;
                            if !self.cancel.is_cancelled() {
                                let all = "That is all for this step. When you have seen enough, Ctrl-C ends the command.";
                                text.push_str(&ui::indented(all, 2, 2, ui::width()));
                            }
                        } else {
                            text.push_str(&finish);
                        }
                    }
                }
                state.results = results;
            }
            // What is said comes before the prompt that waits for this round.
            self.screen.say(&text);
            state.round += 1;
        }
        self.shared.changed.notify_all();
    }

    fn wait(&self) {
        let deadline = Instant::now() + PAUSE;
        let mut state = self.shared.state();
        while !state.over && state.wanted <= state.round {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return;
            };
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Topics and groups for Tab. A cluster that doesn't answer leaves the old ones.
    fn learn_names(&self) {
        let Ok(admin) = Admin::new(self.lab.target(), NAMES_TIMEOUT) else {
            return;
        };
        let topics = admin.topics().map(|topics| {
            topics
                .into_iter()
                .filter(|topic| !topic.internal)
                .map(|topic| topic.name)
                .collect::<Vec<_>>()
        });
        let groups = admin
            .groups()
            .map(|groups| groups.into_iter().map(|group| group.name).collect::<Vec<_>>());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(topics) = topics {
            known.topics = topics;
        }
        if let Ok(groups) = groups {
            known.groups = groups;
        }
    }
}

/// The boxes that are ticked now and were not before. At the first round of a step nothing is news: its boxes have
/// shown as the step opens, unless all are ticked.
fn news(before: &[CheckResult], now: &[CheckResult]) -> String {
    let width = ui::width();
    if before.is_empty() && !now.iter().all(|result| result.passed) {
        return String::new();
    }
    now.iter()
        .enumerate()
        .filter(|(index, result)| result.passed && before.get(*index).is_none_or(|before| !before.passed))
        .map(|(_, result)| view::tick_box(result, width))
        .collect()
}

/// Saves that the step is done, and says what it has shown.
fn finish(watched: &Watched, progress: &Progress) -> String {
    let step = watched.step();
    let mut text = String::from("\n");
    if let Err(problem) = progress.done(&watched.exercise, step) {
        text.push_str(&problem.render());
    }
    let prediction = progress.step(&watched.exercise, step).prediction;
    text.push_str(&view::explanation(step, prediction.as_deref(), ui::width()));
    text.push_str(&view::after_step(&watched.exercise, watched.index, ui::width()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(passed: bool) -> CheckResult {
        CheckResult {
            passed,
            label: "topic rides".into(),
            found: "no topic".into(),
            advice: None,
            unknown: false,
        }
    }

    #[test]
    fn only_a_box_that_was_open_is_news() {
        assert_eq!(news(&[result(false)], &[result(true)]), "  [x] topic rides\n");
        assert_eq!(news(&[result(true)], &[result(true)]), "");
        assert_eq!(news(&[], &[result(true), result(false)]), "");
        assert_eq!(news(&[], &[result(true)]), "  [x] topic rides\n");
    }
}
