//! The JSON that `kafka-reassign-partitions` reads and prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::{Value, json};

use crate::kafka::TopicPartition;
use crate::tools::io::Failure;

/// The brokers of partitions, the preferred leader first.
pub(super) type Replicas = BTreeMap<TopicPartition, Vec<i32>>;
/// The log folders of replicas.
pub(super) type Dirs = BTreeMap<(i32, TopicPartition), String>;

/// A log folder that the broker may choose.
const ANY_DIR: &str = "any";

/// `topic-partition`.
pub(super) fn named((topic, partition): &TopicPartition) -> String {
    format!("{topic}-{partition}")
}

pub(super) fn joined<T: Display>(all: impl IntoIterator<Item = T>, separator: &str) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    all.join(separator)
}

fn error(text: impl Into<String>) -> Failure {
    Failure::Error(text.into())
}

/// What was given, as `--reassignment-json-file` says it.
pub(super) struct Plan {
    pub(super) partitions: Vec<(TopicPartition, Vec<i32>)>,
    /// Only those that are named.
    pub(super) dirs: Dirs,
}

impl Plan {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let document = document(text)?;
        let mut plan = Self {
            partitions: Vec::new(),
            dirs: Dirs::new(),
        };
        for entry in list(&document, "partitions")? {
            let place = (topic(entry)?, number(field(entry, "partition")?)?);
            let replicas = items(field(entry, "replicas")?)?
                .iter()
                .map(number)
                .collect::<Result<Vec<i32>, _>>()?;
            let dirs = match entry.get("log_dirs") {
                None => vec![ANY_DIR.to_owned(); replicas.len()],
                Some(dirs) => items(dirs)?.iter().map(text_of).collect::<Result<_, _>>()?,
            };
            if dirs.len() != replicas.len() {
                return Err(error(format!(
                    "Size of replicas list [{}] is different from size of log dirs list [{}] for partition {}",
                    joined(&replicas, ", "),
                    dirs.join(", "),
                    named(&place)
                )));
            }
            let named_dirs = replicas.iter().zip(dirs).filter(|(_, dir)| dir != ANY_DIR);
            plan.dirs
                .extend(named_dirs.map(|(broker, dir)| ((*broker, place.clone()), dir)));
            plan.partitions.push((place, replicas));
        }
        Ok(plan)
    }

    /// The partitions, once the plan is one that can be executed.
    pub(super) fn to_execute(&self) -> Result<Replicas, Failure> {
        if self.partitions.is_empty() {
            return Err(error("Partition reassignment list cannot be empty"));
        }
        if self.partitions.iter().any(|(_, replicas)| replicas.is_empty()) {
            return Err(error("Partition replica list cannot be empty"));
        }
        let twice = duplicates(self.partitions.iter().map(|(place, _)| place));
        if !twice.is_empty() {
            return Err(error(format!(
                "Partition reassignment contains duplicate topic partitions: {}",
                joined(twice.into_iter().map(named), ",")
            )));
        }
        let wrong: Vec<String> = self
            .partitions
            .iter()
            .filter_map(|(place, replicas)| {
                let twice = duplicates(replicas);
                let told = || {
                    format!(
                        "{} contains multiple entries for {}",
                        named(place),
                        joined(&twice, ",")
                    )
                };
                (!twice.is_empty()).then(told)
            })
            .collect();
        if !wrong.is_empty() {
            return Err(error(format!(
                "Partition replica lists may not contain duplicate entries: {}",
                wrong.join(". ")
            )));
        }
        Ok(self.partitions.iter().cloned().collect())
    }
}

fn duplicates<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for one in all {
        if let Some(again) = seen.replace(one) {
            twice.insert(again);
        }
    }
    twice
}

/// The topics of `--topics-to-move-json-file`.
pub(super) fn topics(text: &str) -> Result<BTreeSet<String>, Failure> {
    let document = document(text)?;
    let topics = list(&document, "topics")?
        .iter()
        .map(topic)
        .collect::<Result<Vec<String>, _>>()?;
    let twice = duplicates(&topics);
    if !twice.is_empty() {
        return Err(error(format!(
            "List of topics to reassign contains duplicate entries: [{}]",
            joined(twice, ", ")
        )));
    }
    Ok(topics.into_iter().collect())
}

/// The brokers of `--broker-list`.
pub(super) fn brokers(text: &str) -> Result<Vec<i32>, Failure> {
    let brokers = text
        .split(',')
        .map(|word| {
            word.parse()
                .map_err(|_| error(format!("For input string: \"{word}\"")))
        })
        .collect::<Result<Vec<i32>, _>>()?;
    let twice = duplicates(&brokers);
    if twice.is_empty() {
        return Ok(brokers);
    }
    Err(error(format!(
        "Broker list contains duplicate entries: [{}]",
        joined(twice, ", ")
    )))
}

/// An assignment as `--reassignment-json-file` takes it.
pub(super) fn json(replicas: &Replicas, dirs: &Dirs) -> Value {
    let partitions: Vec<Value> = replicas
        .iter()
        .map(|(place, brokers)| {
            let dirs: Vec<&str> = brokers
                .iter()
                .map(|broker| {
                    dirs.get(&(*broker, place.clone()))
                        .map_or(ANY_DIR, String::as_str)
                })
                .collect();
            json!({ "topic": place.0, "partition": place.1, "replicas": brokers, "log_dirs": dirs })
        })
        .collect();
    json!({ "version": 1, "partitions": partitions })
}

fn document(text: &str) -> Result<Value, Failure> {
    let document: Value = serde_json::from_str(text)
        .map_err(|wrong| error(format!("The input string is not a valid JSON: {wrong}")))?;
    if !document.is_object() {
        return Err(error("Expected JSON object, received a value that is none"));
    }
    match document.get("version").map(number).transpose()? {
        None | Some(1) => Ok(document),
        Some(other) => Err(error(format!("Not supported version field value {other}"))),
    }
}

/// A list that may be left out.
fn list<'a>(document: &'a Value, name: &str) -> Result<&'a [Value], Failure> {
    document.get(name).map_or(Ok(&[]), items)
}

fn items(value: &Value) -> Result<&[Value], Failure> {
    let items = value.as_array().map(Vec::as_slice);
    items.ok_or_else(|| error(format!("Expected JSON array, received {value}")))
}

fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, Failure> {
    value
        .get(name)
        .ok_or_else(|| error(format!("No such field exists: `{name}`")))
}

fn topic(value: &Value) -> Result<String, Failure> {
    text_of(field(value, "topic")?)
}

fn text_of(value: &Value) -> Result<String, Failure> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| error(format!("Expected `String` value, received {value}")))
}

fn number(value: &Value) -> Result<i32, Failure> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| error(format!("Expected `Integer` value, received {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match Plan::parse(text).and_then(|plan| plan.to_execute()) {
            Err(Failure::Error(message)) => message,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_plan_is_printed_as_it_is_read() {
        let text = r#"{"version":1,"partitions":[{"topic":"rides","partition":0,"replicas":[2,1],"log_dirs":["any","/d"]}]}"#;
        let plan = Plan::parse(text).unwrap();
        let replicas = plan.to_execute().unwrap();
        assert_eq!(json(&replicas, &plan.dirs).to_string(), text);
        assert_eq!(plan.dirs.len(), 1);
    }

    #[test]
    fn plans_that_make_no_sense_are_refused() {
        assert_eq!(refusal("{}"), "Partition reassignment list cannot be empty");
        assert_eq!(
            refusal(r#"{"partitions":[{"topic":"a","partition":0,"replicas":[1,1]}]}"#),
            "Partition replica lists may not contain duplicate entries: a-0 contains multiple entries for 1"
        );
        assert_eq!(refusal(r#"{"version":2}"#), "Not supported version field value 2");
        assert_eq!(
            refusal(r#"{"partitions":[{"topic":"a","replicas":[1]}]}"#),
            "No such field exists: `partition`"
        );
    }
}
