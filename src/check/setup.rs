//! What the lab makes before a step begins, and takes away on a reset. All of it may be done again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use serde_json::Value;

use super::wording::count;
use crate::course::checks::CheckKind;
use crate::course::model::{Course, Exercise, SetupCommit, SetupProduce, SetupTopic, Step};
use crate::course::script::Script;
use crate::kafka::{Admin, KafkaError, KafkaResult, NewTopic, Scanner, Target, Topic};
use crate::problem::{Exit, Outcome, Problem};

/// No call to the cluster takes longer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Making a topic, or taking one away, is seen by the whole cluster within this time.
const SETTLE: Duration = Duration::from_secs(20);
/// A topic that no broker has known for so long isn't there: after one has told of it, another may still have to hear of it.
const UNKNOWN: Duration = Duration::from_secs(3);

/// Makes what the step's setup block asks for, and only what is not so yet: topics that exist stay, records that the
/// topic holds are not written again, offsets are moved where they differ. Once a step, or it takes back what the
/// learner has read.
pub fn run(course: &Course, exercise: &Exercise, step: &Step, target: &Target) -> Outcome<()> {
    if step.setup.is_empty() {
        return Ok(());
    }
    let admin = Admin::new(target, TIMEOUT).map_err(|error| no_answer(&error))?;
    for topic in &step.setup.topic {
        make_topic(&admin, topic)?;
    }
    let seeds = seeds(course, exercise, &step.setup.produce)?;
    write_missing(target, &admin, seeds)?;
    for commit in &step.setup.commit {
        make_offsets(&admin, commit)?;
    }
    Ok(())
}

/// How long a deleted topic may still be there before it is deleted once more.
const DELETE_AGAIN: Duration = Duration::from_secs(1);

/// The topics, groups and jobs that an exercise names, in its setup, its checks or its solutions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Topics.
    pub topics: BTreeSet<String>,
    /// Consumer groups.
    pub groups: BTreeSet<String>,
    /// Jobs.
    pub jobs: BTreeSet<String>,
}

/// Collects the names of an exercise.
pub fn names(exercise: &Exercise) -> Names {
    let mut names = Names::default();
    for step in &exercise.steps {
        for topic in &step.setup.topic {
            names.topics.insert(topic.name.clone());
        }
        for produce in &step.setup.produce {
            names.topics.insert(produce.topic.clone());
        }
        for commit in &step.setup.commit {
            names.topics.insert(commit.topic.clone());
            names.groups.insert(commit.group.clone());
        }
        for check in &step.checks {
            match &check.kind {
                CheckKind::Topic(check) => drop(names.topics.insert(check.topic.clone())),
                CheckKind::Records(check) => drop(names.topics.insert(check.records.clone())),
                CheckKind::Rows(check) => drop(names.topics.insert(check.rows.clone())),
                CheckKind::Broker(_) | CheckKind::Transaction(_) => {}
                CheckKind::Job(check) => drop(names.jobs.insert(check.job.clone())),
                CheckKind::Group(check) => {
                    names.groups.insert(check.group.clone());
                    names.topics.extend(check.topic.clone());
                }
                CheckKind::Answer(check) => {
                    names
                        .topics
                        .extend(check.from.as_ref().map(|from| from.topic.clone()));
                }
            }
        }
        names.of_script(&step.solution);
        for wrong in &step.wrongs {
            names.of_script(&wrong.script);
        }
    }
    names
}

impl Names {
    fn of_script(&mut self, script: &Script) {
        for command in &script.commands {
            for pair in command.words.windows(2) {
                match pair[0].as_str() {
                    "--topic" => drop(self.topics.insert(pair[1].clone())),
                    "--group" => drop(self.groups.insert(pair[1].clone())),
                    _ => {}
                }
            }
        }
    }
}

/// Deletes the topics and groups that an exercise names, so that it can begin anew. Stop its jobs first.
/// Returns the groups that could not be deleted because they have members.
pub fn clean(names: &Names, target: &Target) -> Outcome<Vec<String>> {
    let admin = Admin::new(target, TIMEOUT).map_err(|error| no_answer(&error))?;
    let ask = |error: KafkaError| no_answer(&error);
    let there: Vec<String> = admin
        .topics()
        .map_err(ask)?
        .into_iter()
        .filter(|topic| !topic.internal && names.topics.contains(&topic.name))
        .map(|topic| topic.name)
        .collect();
    for topic in &there {
        match admin.delete_topic(topic) {
            // What is left is deleted again below.
            Err(error) if !error.is_unknown_topic() && !error.broker_left() => {
                return Err(
                    Problem::new(format!("the topic '{topic}' can't be deleted: {error}")).exit(Exit::NoLab),
                );
            }
            _ => {}
        }
    }
    let mut busy = Vec::new();
    for group in admin.groups().map_err(ask)? {
        if names.groups.contains(&group.name) && admin.delete_group(&group.name).is_err() {
            // Still there with members; or gone meanwhile, which is what was wanted.
            if admin
                .group(&group.name)
                .map_err(ask)?
                .is_some_and(|group| !group.members.is_empty())
            {
                busy.push(group.name);
            }
        }
    }
    let mut asked = Instant::now();
    wait_until(SETTLE, || {
        let mut left = admin.topics()?;
        left.retain(|topic| there.contains(&topic.name));
        // A client that was still reading may have made its topic again by asking for it.
        if !left.is_empty() && asked.elapsed() >= DELETE_AGAIN {
            for topic in &left {
                match admin.delete_topic(&topic.name) {
                    Err(error) if !error.is_unknown_topic() => return Err(error),
                    _ => {}
                }
            }
            asked = Instant::now();
        }
        Ok(left.is_empty().then_some(()))
    })
    .map_err(|error| no_answer(&error))?;
    Ok(busy)
}

/// Asks again until there is an answer or the time is over; an error then.
fn wait_until<T>(limit: Duration, ask: impl FnMut() -> KafkaResult<Option<T>>) -> KafkaResult<T> {
    wait_for(limit, ask)?.ok_or_else(|| KafkaError::of(RDKafkaErrorCode::RequestTimedOut))
}

/// Asks again until there is something or the time is over; what was answered last.
fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> KafkaResult<Option<T>>) -> KafkaResult<Option<T>> {
    let deadline = Instant::now() + limit;
    loop {
        let answer = ask();
        if matches!(answer, Ok(Some(_))) || Instant::now() >= deadline {
            return answer;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn no_answer(error: &KafkaError) -> Problem {
    Problem::new(format!(
        "the lab's cluster did not do what the step needs: {error}"
    ))
    .next("streamlings status says how it is; streamlings up starts it")
    .exit(Exit::NoLab)
}

fn make_topic(admin: &Admin, wanted: &SetupTopic) -> Outcome<()> {
    let name = &wanted.name;
    let there = admin.topic(name).map_err(|error| no_answer(&error))?;
    let topic = match there {
        Some(topic) => topic,
        None => create(admin, wanted).map_err(|error| no_answer(&error))?,
    };
    if topic.partitions.len() == wanted.partitions as usize {
        return Ok(());
    }
    Err(Problem::new(format!(
        "the topic '{name}' is there with {}, and this step begins with {}",
        count(topic.partitions.len() as u64, "partition"),
        wanted.partitions
    ))
    .next("reset: deletes the exercise's topics and begins anew")
    .exit(Exit::NotYet))
}

fn create(admin: &Admin, wanted: &SetupTopic) -> KafkaResult<Topic> {
    let new = NewTopic {
        name: wanted.name.clone(),
        partitions: Some(wanted.partitions as i32),
        replicas: Some(wanted.replicas as i32),
        config: wanted.config.clone(),
        ..NewTopic::default()
    };
    let deadline = Instant::now() + SETTLE;
    loop {
        match admin.create_topic(&new) {
            Err(error) if error.broker_left() && Instant::now() < deadline => {}
            Err(error) if error.code != RDKafkaErrorCode::TopicAlreadyExists => return Err(error),
            _ => break,
        }
    }
    wait_until(SETTLE, || {
        let topic = admin.topic(&wanted.name)?;
        let led = |topic: &Topic| {
            topic
                .partitions
                .iter()
                .all(|partition| partition.leader.is_some())
        };
        Ok(topic.filter(|topic| !topic.partitions.is_empty() && led(topic)))
    })
}

/// A record of a seed, as it is to be in the topic.
#[derive(Debug, Clone)]
struct Seed {
    partition: Option<u32>,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    timestamp_ms: Option<i64>,
}

/// The records of all seeds by topic, in the order of the files.
fn seeds(
    course: &Course,
    exercise: &Exercise,
    produce: &[SetupProduce],
) -> Outcome<BTreeMap<String, Vec<Seed>>> {
    let mut by_topic: BTreeMap<String, Vec<Seed>> = BTreeMap::new();
    for one in produce {
        let text = course.file(exercise, &one.file)?;
        let shown = course
            .files
            .shown(&format!("exercises/{}/{}", exercise.slug, one.file));
        let records = read_seed(one, &text, &shown)?;
        by_topic.entry(one.topic.clone()).or_default().extend(records);
    }
    Ok(by_topic)
}

/// Looks at the seed files of an exercise without writing them: each line JSON, with the fields that are named.
pub fn lint(course: &Course, exercise: &Exercise) -> Vec<Problem> {
    let produce = exercise.steps.iter().flat_map(|step| &step.setup.produce);
    produce
        .filter_map(|one| seeds(course, exercise, std::slice::from_ref(one)).err())
        .collect()
}

fn read_seed(produce: &SetupProduce, text: &[u8], shown: &PathBuf) -> Outcome<Vec<Seed>> {
    let text = std::str::from_utf8(text).map_err(|_| Problem::new("this is not UTF-8").at(shown, None))?;
    let mut seeds = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let fail = |what: String, next: &str| Problem::new(what).at(shown, Some(index + 1)).next(next);
        let value: Value = serde_json::from_str(line)
            .map_err(|error| fail(format!("this line is no JSON: {error}"), "one JSON value a line"))?;
        let field = |name: &String| {
            value.get(name).ok_or_else(|| {
                fail(
                    format!("this record has no field '{name}'"),
                    "the setup block names it",
                )
            })
        };
        let key = match &produce.key {
            None => None,
            Some(name) => Some(match field(name)? {
                Value::String(text) => text.clone().into_bytes(),
                Value::Null => {
                    return Err(fail(format!("the key field '{name}' is null"), "give it a value"));
                }
                other => other.to_string().into_bytes(),
            }),
        };
        let timestamp_ms = match &produce.time {
            None => None,
            Some(name) => {
                let time = field(name)?
                    .as_str()
                    .and_then(|text| text.parse::<jiff::Timestamp>().ok());
                let time = time.ok_or_else(|| {
                    fail(
                        format!("the field '{name}' is no time"),
                        "write it as \"2026-03-01T18:00:00Z\"",
                    )
                })?;
                Some(time.as_millisecond())
            }
        };
        seeds.push(Seed {
            partition: produce.partition,
            key,
            value: line.trim().as_bytes().to_vec(),
            timestamp_ms,
        });
    }
    Ok(seeds)
}

/// Writes the seeds that the topics do not hold yet: after a crash in the middle only the rest.
fn write_missing(target: &Target, admin: &Admin, seeds: BTreeMap<String, Vec<Seed>>) -> Outcome<()> {
    for (name, mut seeds) in seeds {
        let topic = wait_for(UNKNOWN, || admin.topic(&name))
            .map_err(|error| no_answer(&error))?
            .ok_or_else(|| {
                Problem::new(format!(
                    "the step writes records to '{name}', and there is no such topic"
                ))
                .next("reset begins the exercise anew")
                .exit(Exit::NotYet)
            })?;
        place_keyless(&mut seeds, topic.partitions.len() as u32);
        let mut held = held(target, &name).map_err(|error| no_answer(&error))?;
        seeds.retain(
            |seed| match held.get_mut(&(seed.key.clone(), seed.value.clone())) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    false
                }
                _ => true,
            },
        );
        write(target, &name, &seeds).map_err(|error| no_answer(&error))?;
    }
    Ok(())
}

/// Records without key and partition go round the partitions by their place in the file: the same in every lab.
fn place_keyless(seeds: &mut [Seed], partitions: u32) {
    for (index, seed) in seeds.iter_mut().enumerate() {
        if seed.key.is_none() && seed.partition.is_none() {
            seed.partition = Some(index as u32 % partitions.max(1));
        }
    }
}

type Held = BTreeMap<(Option<Vec<u8>>, Vec<u8>), u32>;

fn held(target: &Target, topic: &str) -> KafkaResult<Held> {
    let mut scanner = Scanner::new(target, topic, TIMEOUT)?;
    let mut held = Held::new();
    loop {
        let scanned = scanner.scan(10_000, |record| {
            let value = record.value.unwrap_or_default().to_vec();
            *held.entry((record.key.map(<[u8]>::to_vec), value)).or_default() += 1;
        })?;
        if scanned.complete || scanned.records == 0 {
            return Ok(held);
        }
    }
}

/// Keeps the first error of a delivery.
#[derive(Clone, Default)]
struct Deliveries(Arc<Mutex<Option<ClientError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.clone());
        }
    }
}

fn write(target: &Target, topic: &str, seeds: &[Seed]) -> KafkaResult<()> {
    if seeds.is_empty() {
        return Ok(());
    }
    let deliveries = Deliveries::default();
    let producer: BaseProducer<Deliveries> = target
        .client_config()
        // Java's partitioner: a seed's key goes where a Java program would put it.
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .set("linger.ms", "5")
        .create_with_context(deliveries.clone())?;
    let real = target.real(topic);
    for seed in seeds {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&real).payload(&seed.value);
        if let Some(key) = &seed.key {
            record = record.key(key);
        }
        if let Some(partition) = seed.partition {
            record = record.partition(partition as i32);
        }
        if let Some(timestamp) = seed.timestamp_ms {
            record = record.timestamp(timestamp);
        }
        while let Err((error, back)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(50));
            record = back;
        }
    }
    producer.flush(TIMEOUT)?;
    let failed = deliveries.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Sets the group's offsets where they differ. A group with members keeps its own, and that is an error.
fn make_offsets(admin: &Admin, commit: &SetupCommit) -> Outcome<()> {
    let committed = admin
        .committed(&commit.group)
        .map_err(|error| no_answer(&error))?;
    let offsets: Vec<((String, i32), i64)> = (0..)
        .zip(&commit.offsets)
        .map(|(partition, offset)| ((commit.topic.clone(), partition), *offset as i64))
        .filter(|(place, offset)| committed.get(place) != Some(offset))
        .collect();
    if offsets.is_empty() {
        return Ok(());
    }
    let group = &commit.group;
    let members = admin.group(group).map_err(|error| no_answer(&error))?;
    if members.is_some_and(|group| !group.members.is_empty()) {
        return Err(Problem::new(format!(
            "the step moves the offsets of the group '{group}', which has members now"
        ))
        .next(format!(
            "stop the consumers of {group} with Ctrl-C, then open the step again"
        ))
        .exit(Exit::NotYet));
    }
    let results = admin
        .alter_committed(group, &offsets)
        .map_err(|error| no_answer(&error))?;
    match results.into_iter().find_map(|(_, result)| result.err()) {
        None => Ok(()),
        Some(error) => Err(no_answer(&error)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn produce() -> SetupProduce {
        SetupProduce {
            topic: "rides".into(),
            file: "data/rides.jsonl".into(),
            key: Some("driver".into()),
            partition: None,
            time: Some("time".into()),
        }
    }

    #[test]
    fn a_seed_is_read_and_each_of_its_mistakes_has_a_line() {
        let shown = Path::new("rides.jsonl").to_path_buf();
        let text = "{\"driver\":\"d-1\",\"time\":\"2026-03-01T18:00:00Z\"}\n\n{\"driver\":7,\"time\":\"2026-03-01T18:00:01.5Z\"}\n";
        let seeds = read_seed(&produce(), text.as_bytes(), &shown).unwrap();
        assert_eq!(seeds.len(), 2);
        assert_eq!(seeds[0].timestamp_ms, Some(1_772_388_000_000));
        assert_eq!(seeds[1].key.as_deref(), Some(b"7".as_slice()));
        for (text, what) in [
            ("{}\n", "no field 'driver'"),
            ("nonsense", "no JSON"),
            ("{\"driver\":\"d\",\"time\":\"noon\"}", "is no time"),
            ("{\"driver\":null,\"time\":\"2026-03-01T18:00:00Z\"}", "is null"),
        ] {
            let problem = read_seed(&produce(), text.as_bytes(), &shown).unwrap_err();
            assert!(problem.what.contains(what), "{problem}");
            assert_eq!(problem.place.unwrap().line, Some(1));
        }
    }
}
