//! A table's topics as the source of a job: which partitions from which offsets to which, and their records.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, Timestamp, TopicPartitionList};
use serde::{Deserialize, Serialize};
use streamlings_stream::{Bounded, KafkaOptions, Message, Startup};

use super::cluster::client_config;
use crate::kafka::{Admin, At, KafkaError, Target};

/// How long a question to the cluster may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// One partition of the source; its place in the list is its number in the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Split {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The next to read.
    pub(super) offset: i64,
    /// Where a bounded source ends: the first offset that is not read.
    pub(super) end: Option<i64>,
    #[serde(default)]
    pub(super) ended: bool,
}

/// Why a source can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("the cluster at {address} can't be reached: {why}")]
    Cluster { address: String, why: String },
    #[error("the topic {0} does not exist")]
    NoTopic(String),
    #[error(
        "the group {group} has no offset for partition {partition} of {topic}: set 'properties.auto.offset.reset', or start with 'scan.startup.mode' = 'earliest-offset'"
    )]
    NoOffset {
        group: String,
        topic: String,
        partition: i32,
    },
    #[error("{0}")]
    Client(String),
}

impl SourceError {
    /// Whether it may go away by itself.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Cluster { .. })
    }

    fn of(target: &Target, error: &KafkaError) -> Self {
        if error.is_timeout() {
            return Self::Cluster {
                address: target.bootstrap.clone(),
                why: error.message.clone(),
            };
        }
        Self::Client(error.message.clone())
    }
}

/// Finds the partitions of a table's topics, where to start, and where to end.
pub(super) fn find_splits(options: &KafkaOptions, target: &Target) -> Result<Vec<Split>, SourceError> {
    let admin = Admin::new(target, ADMIN_TIMEOUT).map_err(|error| SourceError::of(target, &error))?;
    let mut splits = Vec::new();
    for topic in &options.topics {
        let partitions = partitions_of(&admin, target, topic)?;
        let ask = |at| {
            let found = admin
                .offsets(topic, &partitions, at)
                .map_err(|error| SourceError::of(target, &error))?;
            Ok(found.into_iter().collect::<BTreeMap<i32, Option<i64>>>())
        };
        let starts = starts(options, &admin, target, topic, &ask)?;
        let ends = ends(options, &admin, target, topic, &ask)?;
        for partition in &partitions {
            let offset = starts.get(partition).copied().flatten().unwrap_or_default();
            let end = ends
                .as_ref()
                .map(|ends| ends.get(partition).copied().flatten().unwrap_or_default());
            splits.push(Split {
                topic: topic.clone(),
                partition: *partition,
                offset,
                end,
                ended: end.is_some_and(|end| offset >= end),
            });
        }
    }
    Ok(splits)
}

/// The partitions of a topic, in order.
pub(super) fn partitions_of(admin: &Admin, target: &Target, topic: &str) -> Result<Vec<i32>, SourceError> {
    let found = admin
        .topic(topic)
        .map_err(|error| SourceError::of(target, &error))?;
    let found = found.ok_or_else(|| SourceError::NoTopic(topic.to_owned()))?;
    let mut partitions: Vec<i32> = found.partitions.iter().map(|partition| partition.id).collect();
    partitions.sort_unstable();
    Ok(partitions)
}

type Offsets = BTreeMap<i32, Option<i64>>;
type Ask<'a> = &'a dyn Fn(At) -> Result<Offsets, SourceError>;

fn starts(
    options: &KafkaOptions,
    admin: &Admin,
    target: &Target,
    topic: &str,
    ask: Ask<'_>,
) -> Result<Offsets, SourceError> {
    match &options.startup {
        Startup::Earliest => ask(At::Earliest),
        Startup::Latest => ask(At::Latest),
        Startup::Timestamp(ms) => or_latest(ask(At::Timestamp(*ms))?, ask),
        Startup::Offsets(given) => {
            let mut offsets = ask(At::Earliest)?;
            for (partition, offset) in &mut offsets {
                if let Some(given) = given.get(partition) {
                    *offset = Some(*given);
                }
            }
            Ok(offsets)
        }
        Startup::Group => {
            let group = options.properties.get("group.id").cloned().unwrap_or_default();
            let committed = committed(admin, target, &group, topic)?;
            let reset = match options.properties.get("auto.offset.reset").map(String::as_str) {
                Some("earliest") => Some(ask(At::Earliest)?),
                Some("latest") => Some(ask(At::Latest)?),
                _ => None,
            };
            let mut offsets = ask(At::Earliest)?;
            for (partition, offset) in &mut offsets {
                let found = committed.get(partition).copied();
                let found = found.or_else(|| reset.as_ref()?.get(partition).copied().flatten());
                *offset = Some(found.ok_or_else(|| SourceError::NoOffset {
                    group: group.clone(),
                    topic: topic.to_owned(),
                    partition: *partition,
                })?);
            }
            Ok(offsets)
        }
    }
}

fn ends(
    options: &KafkaOptions,
    admin: &Admin,
    target: &Target,
    topic: &str,
    ask: Ask<'_>,
) -> Result<Option<Offsets>, SourceError> {
    Ok(Some(match &options.bounded {
        Bounded::Never => return Ok(None),
        Bounded::Latest => ask(At::Latest)?,
        Bounded::Timestamp(ms) => or_latest(ask(At::Timestamp(*ms))?, ask)?,
        Bounded::Offsets(given) => given
            .iter()
            .map(|(partition, offset)| (*partition, Some(*offset)))
            .collect(),
        Bounded::Group => {
            let group = options.properties.get("group.id").cloned().unwrap_or_default();
            let committed = committed(admin, target, &group, topic)?;
            committed
                .into_iter()
                .map(|(partition, offset)| (partition, Some(offset)))
                .collect()
        }
    }))
}

/// A time after the last record: the end of the partition.
fn or_latest(mut offsets: Offsets, ask: Ask<'_>) -> Result<Offsets, SourceError> {
    if offsets.values().any(Option::is_none) {
        let latest = ask(At::Latest)?;
        for (partition, offset) in &mut offsets {
            *offset = offset.or_else(|| latest.get(partition).copied().flatten());
        }
    }
    Ok(offsets)
}

fn committed(
    admin: &Admin,
    target: &Target,
    group: &str,
    topic: &str,
) -> Result<BTreeMap<i32, i64>, SourceError> {
    let all = match admin.committed(group) {
        Ok(all) => all,
        Err(error) if error.is_timeout() => return Err(SourceError::of(target, &error)),
        // A group that nobody has used yet has no offsets.
        Err(_) => BTreeMap::new(),
    };
    Ok(all
        .into_iter()
        .filter(|((of, _), _)| of == topic)
        .map(|((_, partition), offset)| (partition, offset))
        .collect())
}

/// What a poll brought.
pub(super) enum Polled {
    /// Nothing, within the time.
    Nothing,
    /// A record was handed over.
    Record,
    /// These bounded splits were read to their ends.
    Ended(Vec<usize>),
    /// Something that librdkafka tries again by itself.
    Trouble(String),
}

/// The records of all splits.
pub(super) struct Source {
    consumer: BaseConsumer,
    splits: Vec<Split>,
    target: Target,
    commits: bool,
}

impl Source {
    /// Starts to read at the offsets of `splits`. Also returns the properties without effect.
    pub(super) fn open(
        options: &KafkaOptions,
        target: &Target,
        splits: Vec<Split>,
    ) -> Result<(Self, Vec<String>), SourceError> {
        let client = |error: ClientError| SourceError::Client(error.to_string());
        let (mut config, without_effect) = client_config(options, target.consumer_config());
        let group = options.properties.get("group.id");
        config
            // librdkafka assigns only in a group; without 'properties.group.id' nothing is ever committed to it.
            .set(
                "group.id",
                target.real(group.map_or("streamlings-jobs", String::as_str)),
            )
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest");
        if !options.properties.contains_key("isolation.level") {
            // The default of Java's consumer, and so of Flink's source.
            config.set("isolation.level", "read_uncommitted");
        }
        let consumer: BaseConsumer = config.create().map_err(client)?;
        let mut list = TopicPartitionList::with_capacity(splits.len());
        for split in splits.iter().filter(|split| !split.ended) {
            list.add_partition_offset(
                &target.real(&split.topic),
                split.partition,
                Offset::Offset(split.offset),
            )
            .map_err(client)?;
        }
        consumer.assign(&list).map_err(client)?;
        Ok((
            Self {
                consumer,
                splits,
                target: target.clone(),
                commits: group.is_some(),
            },
            without_effect,
        ))
    }

    /// The splits, with the next offset of each.
    pub(super) fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// Whether all splits were read to their ends.
    pub(super) fn is_ended(&self) -> bool {
        self.splits.iter().all(|split| split.ended)
    }

    /// Waits for a record and hands it to `take`.
    pub(super) fn poll<E>(
        &mut self,
        timeout: Duration,
        take: impl FnOnce(&Message<'_>) -> Result<(), E>,
    ) -> Result<Polled, E> {
        let message = match self.consumer.poll(timeout) {
            None => return Ok(Polled::Nothing),
            Some(Ok(message)) => message,
            Some(Err(ClientError::PartitionEOF(partition))) => {
                return Ok(Polled::Ended(self.ends_at(partition)));
            }
            Some(Err(error)) => return Ok(Polled::Trouble(trouble(&error))),
        };
        let Some(topic) = self.target.shown(message.topic()) else {
            return Ok(Polled::Nothing);
        };
        let found = self
            .splits
            .iter()
            .position(|split| split.topic == topic && split.partition == message.partition());
        let Some(index) = found else {
            return Ok(Polled::Nothing);
        };
        let split = &mut self.splits[index];
        if split.ended || split.end.is_some_and(|end| message.offset() >= end) {
            split.ended = true;
            return Ok(Polled::Ended(vec![index]));
        }
        take(&of_client(&message, topic, index))?;
        split.offset = message.offset() + 1;
        Ok(Polled::Record)
    }

    /// Bounded splits whose last record was taken.
    pub(super) fn take_ended(&mut self) -> Vec<usize> {
        let done = |split: &Split| !split.ended && split.end.is_some_and(|end| split.offset >= end);
        let ended: Vec<usize> = (0..self.splits.len())
            .filter(|index| done(&self.splits[*index]))
            .collect();
        for index in &ended {
            self.splits[*index].ended = true;
        }
        ended
    }

    /// The end of a partition was reached: bounded splits of that number end, if they are read that far.
    fn ends_at(&mut self, partition: i32) -> Vec<usize> {
        let Ok(position) = self.consumer.position() else {
            return Vec::new();
        };
        let mut ended = Vec::new();
        for (index, split) in self.splits.iter_mut().enumerate() {
            let at = position.find_partition(&self.target.real(&split.topic), partition);
            let Some(Offset::Offset(at)) = at.map(|element| element.offset()) else {
                continue;
            };
            if split.partition == partition && !split.ended && split.end.is_some_and(|end| at >= end) {
                split.ended = true;
                ended.push(index);
            }
        }
        ended
    }

    /// Tells the group, when the SQL names one, how far a checkpoint has come. Recovery does not use it.
    pub(super) fn commit(&self) {
        if !self.commits {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(self.splits.len());
        for split in &self.splits {
            let topic = self.target.real(&split.topic);
            if list
                .add_partition_offset(&topic, split.partition, Offset::Offset(split.offset))
                .is_err()
            {
                return;
            }
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "offsets were not committed to the group");
        }
    }
}

fn of_client<'a>(message: &'a BorrowedMessage<'_>, topic: &'a str, split: usize) -> Message<'a> {
    let timestamp = message.timestamp();
    Message {
        split: split as i32,
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: timestamp.to_millis(),
        log_append_time: matches!(timestamp, Timestamp::LogAppendTime(_)),
        key: message.key(),
        value: message.payload(),
    }
}

fn trouble(error: &ClientError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
            "the cluster can't be reached; the job waits for it".to_owned()
        }
        Some(code) => format!("{code}"),
        None => error.to_string(),
    }
}
