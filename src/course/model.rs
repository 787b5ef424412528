//! A course in memory: modules, exercises, steps. Everything in it is data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::course::checks::Check;
use crate::course::files::Files;
use crate::course::script::Script;

/// A whole course.
#[derive(Debug, Clone)]
pub struct Course {
    /// Progress is kept under this id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its modules, in order.
    pub modules: Vec<Module>,
    /// The wrong beliefs that it corrects, by id.
    pub beliefs: BTreeMap<String, Belief>,
    /// Where it was read from.
    pub files: Files,
}

/// A module: some exercises under one title.
#[derive(Debug, Clone)]
pub struct Module {
    /// Counted from 1.
    pub number: u32,
    /// Its title.
    pub title: String,
    /// The folders of its exercises, in order.
    pub slugs: Vec<String>,
    /// Its exercises that were read, in order.
    pub exercises: Vec<Exercise>,
}

/// A wrong belief, and what is true.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Belief {
    /// What many believe.
    pub belief: String,
    /// What is true.
    pub truth: String,
    /// The exercise that shows it.
    pub exercise: Option<String>,
}

/// What a lab may be able to do, beyond Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Stop a broker.
    KillBroker,
    /// Start a stopped broker again.
    StartBroker,
    /// Move the lab's clock.
    AdvanceClock,
    /// Keep a broker's followers from copying.
    PauseReplication,
    /// Delay, refuse and drop requests.
    Faults,
    /// Tell what has happened to a topic's records.
    Witness,
    /// Run Flink SQL jobs.
    Jobs,
}

impl Need {
    /// The word, as front matter writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::KillBroker => "kill_broker",
            Self::StartBroker => "start_broker",
            Self::AdvanceClock => "advance_clock",
            Self::PauseReplication => "pause_replication",
            Self::Faults => "faults",
            Self::Witness => "witness",
            Self::Jobs => "jobs",
        }
    }
}

/// One exercise.
#[derive(Debug, Clone)]
pub struct Exercise {
    /// `1.1`.
    pub id: String,
    /// The name of its folder: `1.1-a-topic`.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// About how long it takes.
    pub minutes: u32,
    /// Ids of the beliefs that it corrects.
    pub corrects: Vec<String>,
    /// What the lab has to be able to do.
    pub needs: Vec<Need>,
    /// How many brokers it needs at least.
    pub brokers: u32,
    /// Why it matters, as Markdown.
    pub why: String,
    /// Its steps, in order; never empty.
    pub steps: Vec<Step>,
    /// Where to read on, as Markdown.
    pub read_on: Option<String>,
    /// Files that are copied into the learner's work folder, by their path there.
    pub work_files: Vec<String>,
    /// SHA-256 (hex) of everything in its folder.
    pub content_hash: String,
}

/// One step: a task, and how the lab knows that it is done.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its title.
    pub title: String,
    /// The title as a name that progress is kept under.
    pub key: String,
    /// The line of its heading.
    pub line: usize,
    /// What to do, as Markdown.
    pub task: String,
    /// What the lab does once when the step opens, and again after a reset.
    pub setup: Setup,
    /// What the learner is asked before it happens.
    pub predict: Option<Predict>,
    /// When it is done. Empty for a step that only asks for a prediction.
    pub checks: Vec<Check>,
    /// Hints, weakest first, as Markdown.
    pub hints: Vec<String>,
    /// The reference solution.
    pub solution: Script,
    /// Known wrong solutions.
    pub wrongs: Vec<Wrong>,
    /// Shown once it has passed, as Markdown.
    pub explanation: Option<String>,
    /// SHA-256 (hex) of its setup and checks: while it stays, what a learner has done still counts.
    pub proof_hash: String,
}

/// A known wrong solution and what it must be told.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// What is wrong with it, in a few words.
    pub name: String,
    /// The line of its block.
    pub line: usize,
    /// What it does.
    pub script: Script,
    /// Each is a part of what the failing checks say.
    pub expects: Vec<String>,
}

/// What the lab makes before a step begins.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// What the lab has to be able to do for this step; in another lab the step is only shown.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Topics that have to be there.
    #[serde(default)]
    pub topic: Vec<SetupTopic>,
    /// Records that are written.
    #[serde(default)]
    pub produce: Vec<SetupProduce>,
    /// Offsets that a group has committed.
    #[serde(default)]
    pub commit: Vec<SetupCommit>,
}

impl Setup {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.topic.is_empty() && self.produce.is_empty() && self.commit.is_empty()
    }
}

/// A topic that has to be there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub partitions: u32,
    /// How many replicas of each.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3))]
    pub replicas: u32,
    /// Topic configuration.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}

/// Records that are written once: a file with one JSON value a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupProduce {
    /// The topic.
    pub topic: String,
    /// A file of the exercise's folder: `data/rides.jsonl`.
    pub file: String,
    /// The field whose value becomes the record's key.
    pub key: Option<String>,
    /// The partition for all of them; without it the key decides, as Java's producer does.
    pub partition: Option<u32>,
    /// The field whose value (RFC 3339) becomes the record's timestamp.
    pub time: Option<String>,
}

/// Offsets that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupCommit {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The next offset to read, one for each partition in order.
    pub offsets: Vec<u64>,
}

/// A question that is asked before its answer can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predict {
    /// The question.
    pub question: String,
    /// The choices; one of them is right.
    pub choice: Vec<PredictChoice>,
}

/// A possible prediction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictChoice {
    /// Its text.
    pub text: String,
    /// The belief behind a wrong one.
    pub belief: Option<String>,
    /// Whether it is what happens.
    #[serde(default)]
    pub right: bool,
    /// What is said about it once the step has passed.
    pub reply: String,
}

impl Course {
    /// All exercises, in order.
    pub fn exercises(&self) -> impl Iterator<Item = &Exercise> {
        self.modules.iter().flat_map(|module| &module.exercises)
    }

    /// The exercise with this id (`1.1`) or folder name.
    pub fn exercise(&self, name: &str) -> Option<&Exercise> {
        self.exercises()
            .find(|exercise| exercise.id == name || exercise.slug == name)
    }

    /// The content of a file of an exercise, relative to its folder: `files/rides.sql`, `data/rides.jsonl`.
    pub fn file(&self, exercise: &Exercise, path: &str) -> crate::problem::Outcome<Vec<u8>> {
        let path = format!("exercises/{}/{path}", exercise.slug);
        let bytes = self.files.bytes(&path, crate::course::files::DATA_LIMIT)?;
        Ok(bytes.into_owned())
    }

    /// The exercise's own file, as the user knows it.
    pub fn shown(&self, exercise: &Exercise) -> std::path::PathBuf {
        self.files
            .shown(&format!("exercises/{}/exercise.md", exercise.slug))
    }
}

impl Exercise {
    /// The step with this key.
    pub fn step(&self, key: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.key == key)
    }
}
