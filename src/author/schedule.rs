//! Plays side by side. Most of a play's time is waiting, for sessions to end and for groups to divide their
//! partitions; each play has topics and groups of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::labs::{Labs, Venue};
use super::play::{self, Play, Stage};
use crate::cancel::Cancel;
use crate::course::{Course, Exercise};
use crate::lab::Temporary;
use crate::problem::{Outcome, Problem};

/// How an exercise went.
#[derive(Debug, Default)]
pub struct Played {
    /// Why it was not played.
    pub not_played: Option<String>,
    /// The reference from first step to last, then the wrong solutions in their order.
    pub plays: Vec<Play>,
    /// Steps that this lab only shows, and why.
    pub only_shown: Vec<String>,
    /// From its first play's begin to its last one's end.
    pub milliseconds: u128,
}

impl Played {
    /// It was not played, and why.
    pub fn not(why: impl Into<String>) -> Self {
        Self {
            not_played: Some(why.into()),
            ..Self::default()
        }
    }
}

/// What one worker does at a time.
#[derive(Debug, Clone, Copy)]
struct Unit {
    exercise: usize,
    part: Part,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    /// The solutions from first step to last.
    Reference,
    /// A wrong solution of a step, on the solutions before it.
    Wrong(usize, usize),
}

/// An exercise under way.
#[derive(Default)]
struct Item {
    began: Option<Instant>,
    played: Played,
    wrongs: BTreeMap<(usize, usize), Play>,
    /// Units that have not ended.
    left: usize,
}

#[derive(Default)]
struct State {
    side: VecDeque<Unit>,
    alone: VecDeque<Unit>,
    in_flight: usize,
    /// What is in flight bears nothing beside it.
    is_alone: bool,
    items: Vec<Item>,
    failure: Option<Problem>,
}

struct Queue<'a> {
    course: &'a Course,
    wanted: &'a [&'a Exercise],
    labs: &'a Labs,
    cancel: &'a Cancel,
    state: Mutex<State>,
    changed: Condvar,
    ended: Sender<(usize, Played)>,
}

/// Plays exercises, `jobs` plays at a time, and tells how each went, in their order. The error is that of a lab
/// without which nothing can be played.
pub fn play_all(
    course: &Course,
    wanted: &[&Exercise],
    labs: &Labs,
    jobs: usize,
    cancel: &Cancel,
    mut tell: impl FnMut(&Exercise, Played),
) -> Outcome<()> {
    let (ended, results) = channel();
    let queue = Queue {
        course,
        wanted,
        labs,
        cancel,
        state: Mutex::default(),
        changed: Condvar::new(),
        ended,
    };
    for exercise in 0..wanted.len() {
        let mut state = queue.state();
        state.items.push(Item {
            left: 1,
            ..Item::default()
        });
        let part = Part::Reference;
        queue.add(&mut state, Unit { exercise, part });
    }
    let mut early = BTreeMap::new();
    let mut told = 0;
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                Worker {
                    queue: &queue,
                    own: None,
                }
                .run();
            });
        }
        while told < wanted.len() {
            // Each exercise is told once, also one that wasn't played.
            let Ok((exercise, played)) = results.recv() else {
                break;
            };
            early.insert(exercise, played);
            while let Some(played) = early.remove(&told) {
                if queue.state().failure.is_none() {
                    tell(wanted[told], played);
                }
                told += 1;
            }
        }
    });
    let failure = queue.state().failure.take();
    failure.map_or(Ok(()), Err)
}

/// A unit that somebody plays; dropped, it is over, whatever became of it.
struct Flight<'q, 'a>(&'q Queue<'a>);

impl Drop for Flight<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        state.is_alone = false;
        if std::thread::panicking() {
            state
                .failure
                .get_or_insert_with(|| Problem::new("a play ended with a panic"));
            self.0.give_up(&mut state, "a play ended with a panic");
        }
        self.0.changed.notify_all();
    }
}

impl<'a> Queue<'a> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, state: &mut State, unit: Unit) {
        match self.labs.venue(self.wanted[unit.exercise]) {
            Venue::Alone => state.alone.push_back(unit),
            Venue::Shared | Venue::Own => state.side.push_back(unit),
        }
    }

    /// The next unit; `None` when nothing is left to play.
    fn next(&self) -> Option<(Unit, Flight<'_, 'a>)> {
        let mut state = self.state();
        loop {
            if self.cancel.is_cancelled() {
                self.give_up(&mut state, "interrupted");
            }
            let side = if state.is_alone {
                None
            } else {
                state.side.pop_front()
            };
            let unit = match side {
                None if state.in_flight == 0 => {
                    let alone = state.alone.pop_front();
                    state.is_alone = alone.is_some();
                    alone
                }
                side => side,
            };
            if let Some(unit) = unit {
                state.in_flight += 1;
                let item = &mut state.items[unit.exercise];
                item.began.get_or_insert_with(Instant::now);
                return Some((unit, Flight(self)));
            }
            if state.in_flight == 0 {
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing more is played; what has not ended is told with the reason.
    fn give_up(&self, state: &mut State, why: &str) {
        state.side.clear();
        state.alone.clear();
        for (exercise, item) in state.items.iter_mut().enumerate() {
            if item.left > 0 {
                item.left = 0;
                drop(self.ended.send((exercise, Played::not(why))));
            }
        }
    }

    /// Keeps how a unit went, adds what may be played after it, and tells of an exercise that has ended.
    fn finish(&self, unit: Unit, outcome: Result<Done, Problem>) {
        let mut state = self.state();
        let exercise = self.wanted[unit.exercise];
        match outcome {
            Err(problem) => {
                let what = format!("exercise {}: {}", exercise.id, problem.what);
                state.failure.get_or_insert(Problem { what, ..problem });
                self.give_up(&mut state, "another exercise could not be played");
                return;
            }
            Ok(Done::NotPlayed(why)) => {
                let item = &mut state.items[unit.exercise];
                if std::mem::take(&mut item.left) > 0 {
                    drop(self.ended.send((unit.exercise, Played::not(why))));
                }
                return;
            }
            Ok(Done::Reference(played)) => {
                let wrongs = wrongs(exercise, &played);
                for part in &wrongs {
                    let part = *part;
                    self.add(&mut state, Unit { part, ..unit });
                }
                let item = &mut state.items[unit.exercise];
                item.played = played;
                item.left += wrongs.len();
            }
            Ok(Done::Wrong(step, wrong, play)) => {
                state.items[unit.exercise].wrongs.insert((step, wrong), play);
            }
        }
        let item = &mut state.items[unit.exercise];
        item.left = item.left.saturating_sub(1);
        if item.left == 0
            && let Some(began) = item.began.take()
        {
            let mut played = std::mem::take(&mut item.played);
            played
                .plays
                .extend(std::mem::take(&mut item.wrongs).into_values());
            played.milliseconds = began.elapsed().as_millis();
            drop(self.ended.send((unit.exercise, played)));
        }
    }
}

/// The wrong solutions that can be played, those of the last step first: each takes all steps before it. None where the
/// reference on which they stand went wrong.
fn wrongs(exercise: &Exercise, reference: &Played) -> Vec<Part> {
    if reference.plays.iter().any(|play| !play.ok) {
        return Vec::new();
    }
    let playable = |step: &str| reference.plays.iter().any(|play| play.step == step);
    let steps = exercise.steps.iter().enumerate().rev();
    steps
        .filter(|(_, step)| playable(&step.title))
        .flat_map(|(at, step)| (0..step.wrongs.len()).map(move |wrong| Part::Wrong(at, wrong)))
        .collect()
}

/// How a unit went.
enum Done {
    NotPlayed(String),
    Reference(Played),
    Wrong(usize, usize, Play),
}

/// One of those that play.
struct Worker<'q, 'a> {
    queue: &'q Queue<'a>,
    /// A lab that only this one uses.
    own: Option<(Stage, Temporary)>,
}

impl Worker<'_, '_> {
    fn run(mut self) {
        while let Some((unit, flight)) = self.queue.next() {
            let outcome = self.play(unit);
            self.queue.finish(unit, outcome);
            drop(flight);
        }
    }

    fn stage(&mut self, venue: Venue) -> Outcome<&Stage> {
        let labs = self.queue.labs;
        if venue != Venue::Own
            && let Some(stage) = labs.shared()
        {
            return Ok(stage);
        }
        if self.own.is_none() {
            self.own = Some(labs.start_own()?);
        }
        let own = self.own.as_ref().map(|(stage, _)| stage);
        own.ok_or_else(|| Problem::new("no lab runs"))
    }

    fn play(&mut self, unit: Unit) -> Outcome<Done> {
        let (course, cancel, labs) = (self.queue.course, self.queue.cancel, self.queue.labs);
        let exercise = self.queue.wanted[unit.exercise];
        let stage = match self.stage(labs.venue(exercise)) {
            Ok(stage) => stage,
            Err(problem) if labs.running().is_some() => {
                return Ok(Done::NotPlayed(format!(
                    "it needs a lab of its own: {}",
                    problem.what
                )));
            }
            Err(problem) => return Err(problem),
        };
        match unit.part {
            Part::Reference => {
                if let Some(why) = play::hindrance(stage, exercise) {
                    return Ok(Done::NotPlayed(why));
                }
                Ok(Done::Reference(Played {
                    plays: play::reference(stage, course, exercise, cancel)?,
                    only_shown: play::unplayed(stage, exercise),
                    ..Played::default()
                }))
            }
            Part::Wrong(step, wrong) => {
                let play = play::wrong(stage, course, exercise, step, wrong, cancel)?;
                Ok(Done::Wrong(step, wrong, play))
            }
        }
    }
}
