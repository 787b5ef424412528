//! Checks: is a step done? Declarative questions to the state of cluster, jobs and answers.
//!
//! A check only looks. It may be asked again every half second: what was read of a topic is kept, and a round of
//! checks asks the cluster for its topics, groups and jobs once. Every wait has an end.

mod answer;
mod broker;
mod context;
mod group;
mod job;
mod records;
mod rows;
pub mod setup;
mod topic;
mod transaction;
mod wording;

use crate::course::checks::{Check, CheckKind};
use crate::kafka::KafkaError;

pub use context::{CheckContext, JobFacts, LabSource};
pub use wording::label;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Whether it holds.
    pub passed: bool,
    /// The line with the box: what is wanted.
    pub label: String,
    /// What there is now, in a few words.
    pub found: String,
    /// What to do about this mistake.
    pub advice: Option<String>,
    /// The lab could not be asked; what is found says why.
    pub unknown: bool,
}

impl CheckResult {
    /// All of it as one text: label, what was found, advice. `expect:` lines of a course are parts of it.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}", self.label, self.found);
        if let Some(advice) = &self.advice {
            text.push_str(". ");
            text.push_str(advice);
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// What one kind of check found, before it gets its label and tip.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    passed: bool,
    found: String,
    advice: Option<String>,
}

impl Finding {
    fn pass(found: impl Into<String>) -> Self {
        Self {
            passed: true,
            found: found.into(),
            advice: None,
        }
    }

    fn fail(found: impl Into<String>) -> Self {
        Self {
            passed: false,
            found: found.into(),
            advice: None,
        }
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// Why a check could not be asked.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the cluster did not answer: {0}")]
    Kafka(KafkaError),
    #[error("{0}")]
    Lab(String),
}

impl From<KafkaError> for AskError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

/// Asks one check. Call [`CheckContext::new_round`] first; [`evaluate_all`] does.
pub fn evaluate(check: &Check, context: &mut CheckContext) -> CheckResult {
    let asked = match &check.kind {
        CheckKind::Topic(check) => topic::look(check, context),
        CheckKind::Records(check) => records::look(check, context),
        CheckKind::Group(check) => group::look(check, context),
        CheckKind::Transaction(check) => transaction::look(check, context),
        CheckKind::Broker(check) => broker::look(check, context),
        CheckKind::Job(check) => job::look(check, context),
        CheckKind::Rows(check) => rows::look(check, context),
        CheckKind::Answer(check) => answer::look(check, context),
    };
    let unknown = asked.is_err();
    let finding = asked.unwrap_or_else(|error| {
        Finding::fail(error.to_string()).advise("Is the lab up? `streamlings status` says.")
    });
    let tip = check.kind.tip().filter(|_| !finding.passed && !unknown);
    let advice = match (finding.advice, tip) {
        (Some(advice), Some(tip)) => {
            let stop = if advice.ends_with(['.', '?', '!', '…']) {
                ""
            } else {
                "."
            };
            Some(format!("{advice}{stop} {tip}"))
        }
        (advice, tip) => advice.or_else(|| tip.map(str::to_string)),
    };
    CheckResult {
        passed: finding.passed,
        label: label(check),
        found: finding.found,
        advice,
        unknown,
    }
}

/// Asks the checks of a step, in one round.
pub fn evaluate_all(checks: &[Check], context: &mut CheckContext) -> Vec<CheckResult> {
    context.new_round();
    checks.iter().map(|check| evaluate(check, context)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
