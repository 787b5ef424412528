//! Reading a topic's records for a check: without a group, up to where the log ends now, and only what is new.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::{Admin, At, KafkaResult, Target};

/// A record, borrowed from the client for the length of a call.
#[derive(Debug)]
pub struct Record<'a> {
    /// The partition it is in.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// In ms since 1970, as its producer or the broker set it.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl<'a> Record<'a> {
    fn of(message: &'a BorrowedMessage<'_>) -> Self {
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key(),
            value: message.payload(),
            headers: message.headers().map_or_else(Vec::new, |headers| {
                headers.iter().map(|header| (header.key, header.value)).collect()
            }),
        }
    }
}

/// What one scan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// How many records were handed out.
    pub records: usize,
    /// Everything up to the end of the log was read; else the next scan goes on from here.
    pub complete: bool,
    /// The topic is not the one of the scan before (deleted, or made again): forget what was counted before this scan.
    pub restarted: bool,
    /// The topic is there.
    pub exists: bool,
}

/// Reads a topic bit by bit. Each [`scan`](Self::scan) hands out what came since the last one, so that a check can
/// be repeated every second: without news it costs two small requests and no fetch.
pub struct Scanner {
    admin: Admin,
    consumer: BaseConsumer,
    real: String,
    topic: String,
    /// How far a scan goes: a reader with `read_committed` stops in front of the first open transaction, and must not
    /// think that it has read what is behind.
    end: At,
    /// The topic's id at the last scan.
    id: Option<String>,
    /// The next offset to read, by partition.
    next: BTreeMap<i32, i64>,
    timeout: Duration,
}

impl Scanner {
    /// A scanner at the beginning of `topic`, which need not exist yet. Each scan ends within about `timeout`.
    /// Records of open and aborted transactions are passed over.
    pub fn new(target: &Target, topic: &str, timeout: Duration) -> KafkaResult<Self> {
        Self::with_isolation(target, topic, "read_committed", timeout)
    }

    /// The same with an `isolation.level`: `read_uncommitted` hands out records of open and aborted transactions too.
    pub fn with_isolation(
        target: &Target,
        topic: &str,
        isolation: &str,
        timeout: Duration,
    ) -> KafkaResult<Self> {
        let mut config = target.consumer_config();
        config
            // Required by the client; nothing is ever committed in its name.
            .set("group.id", target.real("streamlings-scan"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // A scan reads what is there: it never waits for more.
            .set("fetch.wait.max.ms", "10");
        Ok(Self {
            admin: Admin::new(target, timeout)?,
            consumer: config.create()?,
            real: target.real(topic),
            topic: topic.to_owned(),
            end: if isolation == "read_committed" {
                At::Stable
            } else {
                At::Latest
            },
            id: None,
            next: BTreeMap::new(),
            timeout,
        })
    }

    /// The next scan starts at the beginning again.
    pub fn rewind(&mut self) {
        self.next.clear();
    }

    /// Hands every new record to `each`, at most `max`, each partition in its order.
    pub fn scan(&mut self, max: usize, mut each: impl FnMut(&Record<'_>)) -> KafkaResult<Scanned> {
        let deadline = Instant::now() + self.timeout;
        let mut done = Scanned {
            records: 0,
            complete: true,
            restarted: false,
            exists: true,
        };
        let Some(topic) = self.admin.topic(&self.topic)? else {
            done.restarted = self.id.take().is_some();
            done.exists = false;
            self.next.clear();
            return Ok(done);
        };
        let mut partitions: Vec<i32> = topic.partitions.iter().map(|partition| partition.id).collect();
        let ends = self.ends(&mut partitions)?;
        let shrunk = ends
            .iter()
            .any(|(partition, end)| self.next.get(partition).is_some_and(|next| next > end));
        if (self.id.is_some() && self.id != topic.id) || shrunk {
            done.restarted = true;
            self.next.clear();
        }
        self.id = topic.id;

        let mut open: BTreeMap<i32, i64> = ends
            .into_iter()
            .filter(|(partition, end)| self.next.get(partition).copied().unwrap_or(0) < *end)
            .collect();
        if open.is_empty() {
            return Ok(done);
        }
        self.assign(&open)?;
        let read = self.read(&mut open, max, deadline, &mut done, &mut each);
        self.consumer.unassign()?;
        read?;
        done.complete = open.is_empty();
        Ok(done)
    }

    /// Where each partition ends; one without a leader can't say, and is left for a later scan.
    fn ends(&self, partitions: &mut Vec<i32>) -> KafkaResult<BTreeMap<i32, i64>> {
        let places: Vec<(String, i32)> = partitions
            .drain(..)
            .map(|partition| (self.topic.clone(), partition))
            .collect();
        let offsets = self.admin.offsets_at(&places, self.end)?;
        Ok(offsets
            .into_iter()
            .filter_map(|((_, partition), offset)| Some((partition, offset.ok()?)))
            .collect())
    }

    fn assign(&self, open: &BTreeMap<i32, i64>) -> KafkaResult<()> {
        if open.keys().any(|partition| !self.next.contains_key(partition)) {
            // Else the client looks for the partition's leader only at its next turn, up to a second later.
            self.consumer.fetch_metadata(Some(&self.real), self.timeout)?;
        }
        let mut list = TopicPartitionList::new();
        for partition in open.keys() {
            let offset = self
                .next
                .get(partition)
                .map_or(Offset::Beginning, |next| Offset::Offset(*next));
            list.add_partition_offset(&self.real, *partition, offset)?;
        }
        Ok(self.consumer.assign(&list)?)
    }

    fn read(
        &mut self,
        open: &mut BTreeMap<i32, i64>,
        max: usize,
        deadline: Instant,
        done: &mut Scanned,
        each: &mut impl FnMut(&Record<'_>),
    ) -> KafkaResult<()> {
        while !open.is_empty() && done.records < max {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.consumer.poll(left) {
                None => break,
                Some(Ok(message)) => {
                    let record = Record::of(&message);
                    let next = record.offset + 1;
                    self.next.insert(record.partition, next);
                    each(&record);
                    done.records += 1;
                    if open.get(&record.partition).is_some_and(|end| next >= *end) {
                        open.remove(&record.partition);
                    }
                }
                // The end may be a marker of a transaction or a compacted record, which is never handed out.
                Some(Err(ClientError::PartitionEOF(partition))) => {
                    if let Some(end) = open.remove(&partition) {
                        let next = self.next.entry(partition).or_insert(end);
                        *next = (*next).max(end);
                    }
                }
                Some(Err(error)) => {
                    let error = super::KafkaError::from(error);
                    // librdkafka goes on by itself while a broker is away: the deadline decides.
                    if !error.is_timeout() {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}
