//! Where exercises are played: on the running lab, or on labs of our own for what would touch the learner's.

use super::play::{self, Stage};
use crate::course::{Exercise, Need};
use crate::home::Home;
use crate::lab::{BackendKind, LabClient, Temporary};
use crate::problem::Outcome;

/// How an exercise's plays may run beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Venue {
    /// In the lab that all share, under names of their own.
    Shared,
    /// In that lab, with nothing beside: its brokers or its clock are touched.
    Alone,
    /// In a lab that nobody else uses meanwhile: jobs, whose topics can't have a prefix, and what would touch a
    /// learner's brokers or clock.
    Own,
}

/// The lab that plays share.
pub struct Labs {
    /// It is somebody's, and not started for the plays.
    running: bool,
    /// With what keeps it alive, where it was started for the plays.
    shared: Option<(Stage, Option<Temporary>)>,
    own_brokers: u16,
}

impl Labs {
    /// The running lab, else one that is started where these exercises can share one.
    pub fn find(wanted: &[&Exercise]) -> Outcome<Self> {
        let running = LabClient::connect(&Home::find()?)?;
        let mut labs = Self {
            running: running.is_some(),
            shared: running.map(|lab| (stage(&lab, false), None)),
            own_brokers: 1,
        };
        let most = |venue: Venue| {
            let those = wanted.iter().filter(|exercise| labs.venue(exercise) == venue);
            those.map(|exercise| brokers(exercise)).max()
        };
        let (own, shared) = (most(Venue::Own), most(Venue::Shared));
        labs.own_brokers = own.unwrap_or(1);
        if let Some(brokers) = shared.filter(|_| !labs.running) {
            let lab = Temporary::start(brokers)?;
            labs.shared = Some((stage(lab.client(), true), Some(lab)));
        }
        Ok(labs)
    }

    /// A stage that somebody else has set.
    #[cfg(test)]
    pub fn only(stage: Stage) -> Self {
        Self {
            running: true,
            shared: Some((stage, None)),
            own_brokers: 1,
        }
    }

    /// The lab that was there before the plays.
    pub fn running(&self) -> Option<&LabClient> {
        self.shared().filter(|_| self.running)?.lab.as_ref()
    }

    /// The lab that plays share; there is none when each needs one of its own.
    pub fn shared(&self) -> Option<&Stage> {
        self.shared.as_ref().map(|(stage, _)| stage)
    }

    /// Where this exercise is played.
    pub fn venue(&self, exercise: &Exercise) -> Venue {
        if exercise.needs.contains(&Need::Jobs) {
            return Venue::Own;
        }
        let Some(lab) = self.shared().and_then(|stage| stage.lab.as_ref()) else {
            let own = !self.running && touches(exercise, None);
            return if own { Venue::Own } else { Venue::Shared };
        };
        let touches = touches(exercise, Some(lab));
        if lab.backend() == BackendKind::Embedded {
            let small = lab.brokers_configured() < usize::from(brokers(exercise));
            return if touches || small {
                Venue::Own
            } else {
                Venue::Shared
            };
        }
        if touches { Venue::Alone } else { Venue::Shared }
    }

    /// A lab that nobody else uses.
    pub fn start_own(&self) -> Outcome<(Stage, Temporary)> {
        let lab = Temporary::start(self.own_brokers)?;
        Ok((stage(lab.client(), true), lab))
    }
}

fn brokers(exercise: &Exercise) -> u16 {
    u16::try_from(exercise.brokers).unwrap_or(1).max(1)
}

fn stage(lab: &LabClient, own: bool) -> Stage {
    Stage {
        target: lab.target().clone(),
        lab: Some(lab.clone()),
        own,
        patience: play::PATIENCE,
    }
}

/// Whether an exercise does more to a cluster than its clients can, as far as this lab is able to.
pub fn touches(exercise: &Exercise, lab: Option<&LabClient>) -> bool {
    let of_steps = exercise.steps.iter().flat_map(|step| &step.setup.needs);
    let mut needs = exercise.needs.iter().chain(of_steps);
    let only_looks = |need: &Need| matches!(need, Need::Jobs | Need::Witness);
    needs.any(|need| !only_looks(need) && lab.is_none_or(|lab| lab.capabilities().has(need.word())))
}
