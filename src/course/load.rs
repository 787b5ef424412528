//! Loads a course: its list, its beliefs, its exercises, and what only the whole can show to be wrong.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::course::checks::{Check, CheckKind};
use crate::course::exercise;
use crate::course::files::{DATA_LIMIT, FILES_LIMIT, Files, safe_path};
use crate::course::located::{self, Located, did_you_mean};
use crate::course::model::{Belief, Course, Exercise, Module, Setup, Step};
use crate::problem::{Outcome, Problem};

/// `exercises/course.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CourseFile {
    /// Progress is kept under this id: small letters, digits and hyphens.
    pub id: String,
    /// The course's title.
    pub title: String,
    /// The modules, in order.
    #[serde(default)]
    pub module: Vec<ModuleFile>,
}

/// A `[[module]]` of `course.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleFile {
    /// Its number, from 1.
    #[schemars(range(min = 1, max = 99))]
    pub number: u32,
    /// Its title.
    pub title: String,
    /// The folders of its exercises, in order.
    #[serde(default)]
    pub exercises: Vec<String>,
}

/// `exercises/beliefs.toml`: beliefs by their id.
pub type BeliefsFile = BTreeMap<String, Belief>;

/// What could be read of a course, and everything that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// The course, without the exercises that are broken; nothing when `course.toml` itself is.
    pub course: Option<Course>,
    /// What is wrong, in the order of the files.
    pub problems: Vec<Problem>,
}

impl Course {
    /// The course that this process works with: `STREAMLINGS_COURSE`, else the one in the binary.
    pub fn open() -> Outcome<Self> {
        Self::from_files(&Files::find()?)
    }

    /// A course without mistakes; the error is its first mistake.
    pub fn from_files(files: &Files) -> Outcome<Self> {
        load(files).whole(files)
    }

    /// A course with one of its exercises, by id or folder name: what a command about a single exercise reads, so that
    /// it takes no longer in a long course, and a mistake elsewhere is not in its way. `None`: with none of them.
    pub fn with_only(files: &Files, name: Option<&str>) -> Outcome<Self> {
        load_some(files, &|slug| {
            name.is_some_and(|name| slug == name || id_of(slug) == name)
        })
        .whole(files)
    }
}

impl Loaded {
    /// The course, when nothing is wrong with it.
    fn whole(self, files: &Files) -> Outcome<Course> {
        let Self { course, mut problems } = self;
        match (course, problems.len()) {
            (Some(course), 0) => Ok(course),
            (None, 0) => {
                Err(Problem::new("the course is empty").at(files.shown("exercises/course.toml"), None))
            }
            (_, count) => {
                let mut first = problems.swap_remove(0);
                if count > 1 {
                    let all =
                        format!("all {count} mistakes of this course: streamlings author check --syntax");
                    first.next = Some(match first.next {
                        Some(next) => format!("{next}\n       {all}"),
                        None => all,
                    });
                }
                Err(first)
            }
        }
    }
}

/// Loads all that can be loaded and collects every mistake.
pub fn load(files: &Files) -> Loaded {
    load_some(files, &|_| true)
}

/// The course without its exercises, whatever is wrong elsewhere; nothing when `course.toml` is broken.
pub fn outline(files: &Files) -> Option<Course> {
    load_some(files, &|_| false).course
}

/// The titles of all exercises, by id, without reading their steps. Those that are broken are left out.
pub fn titles(files: &Files, course: &Course) -> BTreeMap<String, String> {
    let title = |slug: &String| {
        let path = format!("exercises/{slug}/exercise.md");
        let front = exercise::front(&files.text(&path).ok()?, &files.shown(&path))?;
        Some((front.id, front.title))
    };
    let slugs = course.modules.iter().flat_map(|module| &module.slugs);
    slugs.filter_map(title).collect()
}

/// The id of the exercise in this folder: a sound exercise's folder begins with it.
fn id_of(slug: &str) -> &str {
    slug.split_once('-').map_or(slug, |(id, _)| id)
}

/// Loads the exercises whose folders are `wanted`, and what is around them.
fn load_some(files: &Files, wanted: &dyn Fn(&str) -> bool) -> Loaded {
    let mut problems = Vec::new();
    let beliefs = beliefs(files, &mut problems);
    let Some(list) = toml_file::<CourseFile>(files, "exercises/course.toml", &mut problems) else {
        return Loaded {
            course: None,
            problems,
        };
    };
    if !is_id(&list.value.id) {
        problems.push(
            list.lines
                .problem("id", format!("'{}' is no id of a course", list.value.id))
                .next("small letters, digits and hyphens: id = \"kafka-flink\""),
        );
    }
    let mut modules = Vec::new();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (index, module) in list.value.module.iter().enumerate() {
        let mut exercises = Vec::new();
        for (at, slug) in module.exercises.iter().enumerate() {
            if !wanted(slug) {
                continue;
            }
            let path = format!("module[{index}].exercises[{at}]");
            if let Err(problem) = entry(files, slug) {
                let line = list.lines.line(&path);
                problems.push(problem.at(list.lines.file(), Some(line)));
                continue;
            }
            match one(files, slug, beliefs.as_ref()) {
                Ok(exercise) => {
                    let of_module = exercise.id.split('.').next() == Some(module.number.to_string().as_str());
                    if !of_module {
                        let what = format!("exercise {} stands in module {}", exercise.id, module.number);
                        problems.push(list.lines.problem(&path, what).next("move it to its module"));
                    }
                    if let Some(first) = seen.insert(exercise.id.clone(), slug.clone()) {
                        let what = format!("'{slug}' and '{first}' have the same id {}", exercise.id);
                        problems.push(list.lines.problem(&path, what).next("give each its own"));
                    }
                    exercises.push(exercise);
                }
                Err(found) => problems.extend(found),
            }
        }
        modules.push(Module {
            number: module.number,
            title: module.title.clone(),
            slugs: module.exercises.clone(),
            exercises,
        });
    }
    let course = Course {
        id: list.value.id,
        title: list.value.title,
        modules,
        beliefs: beliefs.unwrap_or_default(),
        files: files.clone(),
    };
    Loaded {
        course: Some(course),
        problems,
    }
}

/// Loads one exercise by its folder's name; the course's beliefs, where they could be read, are looked up.
pub fn one(
    files: &Files,
    slug: &str,
    beliefs: Option<&BTreeMap<String, Belief>>,
) -> Result<Exercise, Vec<Problem>> {
    let folder = format!("exercises/{slug}");
    let path = format!("{folder}/exercise.md");
    let shown = files.shown(&path);
    let text = files.text(&path).map_err(|problem| vec![problem])?;
    let mut exercise = exercise::parse(&text, &shown, slug)?;
    let mut found = Vec::new();
    let names = files.below(&folder).map_err(|problem| vec![problem])?;
    if names.len() > FILES_LIMIT {
        found.push(
            Problem::new(format!("an exercise has at most {FILES_LIMIT} files"))
                .at(files.shown(&folder), None),
        );
    }
    exercise.content_hash = content_hash(files, &folder, &names, &mut found);
    exercise.work_files = names
        .iter()
        .filter_map(|name| name.strip_prefix("files/"))
        .map(str::to_string)
        .collect();
    for step in &mut exercise.steps {
        step.proof_hash = proof_hash(step);
    }
    let mut say = |line: usize, what: String, next: String| {
        found.push(Problem::new(what).at(&shown, Some(line)).next(next));
    };
    if let Some(beliefs) = beliefs {
        unknown_beliefs(&exercise, &text, beliefs, &mut say);
    }
    for step in &exercise.steps {
        let setup_line = line_after(&text, step.line, "```toml setup");
        setup(&step.setup, setup_line, &names, &mut say);
        for check in &step.checks {
            check_names(check, &mut say);
        }
    }
    if found.is_empty() {
        Ok(exercise)
    } else {
        found.sort_by_key(|problem| problem.place.as_ref().and_then(|place| place.line));
        Err(found)
    }
}

fn entry(files: &Files, slug: &str) -> Outcome<()> {
    if slug.contains('/') || safe_path(slug).is_err() {
        return Err(Problem::new(format!("'{slug}' is no name of a folder")).next("write: \"1.1-a-topic\""));
    }
    if !files.exists(&format!("exercises/{slug}/exercise.md")) {
        return Err(
            Problem::new(format!("there is no exercises/{slug}/exercise.md")).next(format!(
                "make it with `streamlings author new {slug}`, or take it off this list"
            )),
        );
    }
    Ok(())
}

fn beliefs(files: &Files, problems: &mut Vec<Problem>) -> Option<BeliefsFile> {
    if !files.exists("exercises/beliefs.toml") {
        return Some(BTreeMap::new());
    }
    toml_file::<BeliefsFile>(files, "exercises/beliefs.toml", problems).map(|read| read.value)
}

fn toml_file<T: serde::de::DeserializeOwned + JsonSchema>(
    files: &Files,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<Located<T>> {
    let text = match files.text(path) {
        Ok(text) => text,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    match located::read(&text, &files.shown(path), 1) {
        Ok(read) => Some(read),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

type Say<'a> = &'a mut dyn FnMut(usize, String, String);

fn unknown_beliefs(exercise: &Exercise, text: &str, beliefs: &BTreeMap<String, Belief>, say: Say<'_>) {
    let mut look = |id: &String, from: usize| {
        if beliefs.contains_key(id) {
            return;
        }
        let next = did_you_mean(id, beliefs.keys().map(String::as_str)).map_or_else(
            || "add it to exercises/beliefs.toml".to_string(),
            |meant| format!("did you mean '{meant}'?"),
        );
        let line = line_after(text, from, &format!("\"{id}\""));
        say(
            line,
            format!("the belief '{id}' is not in exercises/beliefs.toml"),
            next,
        );
    };
    for id in &exercise.corrects {
        look(id, 1);
    }
    for step in &exercise.steps {
        for choice in step.predict.iter().flat_map(|predict| &predict.choice) {
            if let Some(id) = &choice.belief {
                look(id, step.line);
            }
        }
    }
}

/// The first line from `from` on that holds `part`; `from` itself when none does.
fn line_after(text: &str, from: usize, part: &str) -> usize {
    text.lines()
        .enumerate()
        .skip(from.saturating_sub(1))
        .find(|(_, line)| line.contains(part))
        .map_or(from, |(index, _)| index + 1)
}

fn setup(setup: &Setup, line: usize, names: &[String], say: Say<'_>) {
    for topic in &setup.topic {
        topic_name(&topic.name, line, say);
    }
    for produce in &setup.produce {
        topic_name(&produce.topic, line, say);
        if let Err(what) = safe_path(&produce.file) {
            say(line, what, "write: file = \"data/rides.jsonl\"".to_string());
        } else if !names.contains(&produce.file) {
            let next = did_you_mean(&produce.file, names.iter().map(String::as_str)).map_or_else(
                || "put it into the exercise's folder, one JSON value a line".to_string(),
                |meant| format!("did you mean '{meant}'?"),
            );
            say(line, format!("the exercise has no file '{}'", produce.file), next);
        }
        if produce.key.is_some() && produce.partition.is_some() {
            say(
                line,
                "a record's partition comes from its key or is given, not both".into(),
                "keep 'key' or 'partition'".into(),
            );
        }
    }
    for commit in &setup.commit {
        topic_name(&commit.topic, line, say);
        group_name(&commit.group, line, say);
        let partitions = setup
            .topic
            .iter()
            .find(|topic| topic.name == commit.topic)
            .map(|topic| topic.partitions as usize);
        if let Some(partitions) = partitions.filter(|count| *count != commit.offsets.len()) {
            say(
                line,
                format!(
                    "{} has {partitions} partitions, and {} offsets are committed",
                    commit.topic,
                    commit.offsets.len()
                ),
                "write one offset for each partition".into(),
            );
        }
    }
}

fn check_names(check: &Check, say: Say<'_>) {
    let line = check.line;
    match &check.kind {
        CheckKind::Topic(check) => topic_name(&check.topic, line, say),
        CheckKind::Records(check) => topic_name(&check.records, line, say),
        CheckKind::Rows(check) => topic_name(&check.rows, line, say),
        CheckKind::Group(check) => {
            group_name(&check.group, line, say);
            if let Some(topic) = &check.topic {
                topic_name(topic, line, say);
            }
        }
        CheckKind::Answer(check) => {
            if let Some(from) = &check.from {
                topic_name(&from.topic, line, say);
            }
        }
        CheckKind::Job(_) | CheckKind::Broker(_) | CheckKind::Transaction(_) => {}
    }
}

/// Kafka's rule for topic names (`org.apache.kafka.common.internals.Topic`), less the internal ones that begin
/// with two underscores.
fn topic_name(name: &str, line: usize, say: Say<'_>) {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let valid = !name.is_empty()
        && name.len() <= 200
        && name != "."
        && name != ".."
        && !name.starts_with("__")
        && name.chars().all(legal);
    if !valid {
        say(
            line,
            format!("'{name}' can't be the name of a topic"),
            "letters, digits, '.', '_' and '-', at most 200, not beginning with '__'".into(),
        );
    }
}

fn group_name(name: &str, line: usize, say: Say<'_>) {
    if name.is_empty() || name.len() > 200 {
        say(
            line,
            format!("'{name}' can't be the name of a group"),
            "write: group = \"billing\"".into(),
        );
    }
}

/// A course's id becomes a folder's name.
fn is_id(id: &str) -> bool {
    matches!(id.len(), 1..=64)
        && id
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn content_hash(files: &Files, folder: &str, names: &[String], problems: &mut Vec<Problem>) -> String {
    let mut hash = Sha256::new();
    for name in names {
        match files.bytes(&format!("{folder}/{name}"), DATA_LIMIT) {
            Ok(bytes) => {
                hash.update((name.len() as u64).to_be_bytes());
                hash.update(name);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(&bytes);
            }
            Err(problem) => problems.push(problem),
        }
    }
    hex(&hash.finalize())
}

/// What a learner has proved: the setup and the checks, without their wording.
fn proof_hash(step: &Step) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{:?}", step.setup));
    for check in &step.checks {
        let mut kind = check.kind.clone();
        kind.forget_wording();
        hash.update(format!("{kind:?}"));
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests;
