//! What the core needs from the outside world. Nothing in the core opens a file or asks for the time by another way.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use uuid::Uuid;

use super::journal::Record;
use crate::log::{
    Append, EpochEnd, LogConfig, LogError, LogSlice, NewMarker, ProduceRules, TimestampOffset,
    TimestampQuery, ValidBatch,
};

/// One replica's log.
pub(crate) trait ReplicaLog: Send {
    /// Appends as the leader; a producer's repeated batch is answered, not written again.
    fn append(&mut self, batch: &ValidBatch, leader_epoch: i32, now_ms: i64) -> Result<Append, LogError>;
    /// Appends what a follower fetched: whole batches with the offsets and epochs that they have.
    fn append_replicated(&mut self, records: &Bytes, now_ms: i64) -> Result<(), LogError>;
    /// Removes everything at or above `offset`.
    fn truncate_to(&mut self, offset: i64) -> Result<(), LogError>;
    /// Removes everything; the log goes on at `offset`.
    fn truncate_fully(&mut self, offset: i64) -> Result<(), LogError>;
    /// A leader of this epoch writes from now on.
    fn begin_epoch(&mut self, epoch: i32) -> Result<(), LogError>;
    /// The newest leader epoch.
    fn latest_epoch(&self) -> Option<i32>;
    /// Batches from `offset` on, below `upper_bound`; read outside the core.
    fn read(
        &self,
        offset: i64,
        max_bytes: u32,
        upper_bound: i64,
        min_one: bool,
    ) -> Result<LogSlice, LogError>;
    /// The first offset that can be read.
    fn start_offset(&self) -> i64;
    /// The offset that the next record gets.
    fn end_offset(&self) -> i64;
    /// Bytes on disk.
    fn size_bytes(&self) -> u64;
    /// The offset below which no transaction is open.
    fn last_stable_offset(&self, high_watermark: i64) -> i64;
    /// Looks a time up.
    fn offset_for_timestamp(&self, query: TimestampQuery) -> Result<Option<TimestampOffset>, LogError>;
    /// The leader epoch of a record.
    fn epoch_at(&self, offset: i64) -> Option<i32>;
    /// Where an epoch ended.
    fn offset_for_leader_epoch(&self, epoch: i32) -> Option<EpochEnd>;
    /// Moves the start of the log.
    fn delete_records_before(&mut self, offset: i64, high_watermark: i64) -> Result<i64, LogError>;
    /// Drops what the topic's retention no longer wants.
    fn enforce_retention(&mut self, now_ms: i64, high_watermark: i64) -> Result<(), LogError>;
    /// Compacts, where the topic wants that and it is due.
    fn compact(&mut self, now_ms: i64, high_watermark: i64) -> Result<(), LogError>;
    /// Everything below was compacted.
    fn cleaned_to(&self) -> i64;
    /// Forces to the disk what has waited for `flush.ms`.
    fn flush_if_due(&mut self, now_ms: i64) -> Result<(), LogError>;
    /// Takes a changed configuration.
    fn set_config(&mut self, config: LogConfig);
    /// Says that the coordinator is asked about a producer's transaction; false where it is open already.
    fn start_verification(&mut self, first: &FirstBatch, now_ms: i64) -> Result<bool, LogError>;
    /// Ends a transaction as the leader; the offset after the marker.
    fn append_marker(&mut self, marker: &NewMarker, leader_epoch: i32, now_ms: i64) -> Result<i64, LogError>;
    /// Records below are on every replica in sync.
    fn high_watermark_advanced(&mut self, high_watermark: i64);
    /// Aborted transactions that a reader from `from` on has to know for `slice`: producer id and first offset.
    fn aborted_transactions(&self, from: i64, slice: &LogSlice) -> Vec<(i64, i64)>;
    /// Producers with state in this log.
    fn active_producers(&self) -> Vec<ActiveProducer>;
    /// Flushes and closes for a clean shutdown.
    fn close(&mut self) -> Result<(), LogError>;
    /// Is its folder there; a new log's comes with its first record at the latest.
    fn has_folder(&self) -> bool;
    /// Makes the folder, where it isn't there.
    fn make_folder(&mut self) -> Result<(), LogError>;
    /// The offset up to which everything is on the disk.
    fn recovery_point(&self) -> i64;
    /// Takes the log out of its broker's folder; its files go after the delay, when [`Storage::sweep`] is called.
    fn delete(self: Box<Self>, delay_ms: i64) -> Result<(), LogError>;
}

/// The first batch of a producer in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstBatch {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// -1 where the coordinator of a group writes.
    pub(crate) sequence: i32,
    /// The client has the second protocol (KIP-890): each transaction has an epoch of its own.
    pub(crate) bumps_epoch: bool,
}

/// What `DescribeProducers` says of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActiveProducer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) last_sequence: i32,
    pub(crate) last_timestamp_ms: i64,
    pub(crate) coordinator_epoch: i32,
    pub(crate) transaction_start: Option<i64>,
}

/// How far a replica's log is safe, for the checkpoints.
#[derive(Debug, Clone)]
pub(crate) struct LogPosition {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) recovery_point: i64,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    pub(crate) cleaned_to: i64,
}

/// One broker's folder of logs.
pub(crate) trait Storage: Send {
    /// Opens a replica's log, making it where it does not exist.
    fn open(
        &mut self,
        topic: &str,
        partition: i32,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Box<dyn ReplicaLog>, LogError>;
    /// Notes positions, so that the next start has less to check.
    fn checkpoint(&mut self, positions: &[LogPosition]);
    /// The folder, as `DescribeLogDirs` names it.
    fn path(&self) -> String;
    /// The folder's own id, as in its `meta.properties`.
    fn directory_id(&self) -> Uuid;
    /// Total and usable bytes of its volume.
    fn volume_bytes(&self) -> Option<(u64, u64)>;
    /// The high watermark of a replica at the last checkpoint.
    fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64>;
    /// Opens the folder again after [`close`](Self::close) or [`abandon`](Self::abandon).
    fn reopen(&mut self) -> Result<(), LogError>;
    /// Removes the folders of partitions that `keep` does not know by topic, partition and topic id.
    fn remove_strays(&mut self, keep: &dyn Fn(&str, i32, Option<Uuid>) -> bool);
    /// Removes what was deleted long enough ago; when there is more of it.
    fn sweep(&mut self, now_ms: i64) -> Option<i64>;
    /// Notes a clean shutdown.
    fn close(&mut self);
    /// Lets go of the folder as a broker does that is killed.
    fn abandon(&mut self);
}

/// Where the cluster's metadata survives.
pub(crate) trait Journal: Send {
    /// Writes records so that they survive the process; a power cut they survive with [`force`](Self::force).
    fn append(&mut self, records: &[Record]) -> std::io::Result<()>;
    /// Returns once the disk has all that was appended.
    fn force(&mut self) -> std::io::Result<()>;
    /// Replaces the history by records that amount to the same.
    fn compact(&mut self, records: &[Record]) -> std::io::Result<()>;
}

/// Where ids come from.
pub(crate) trait Ids: Send {
    /// A new random id.
    fn uuid(&mut self) -> Uuid;
}

/// Random ids.
#[derive(Debug)]
pub(crate) struct RandomIds;

impl Ids for RandomIds {
    fn uuid(&mut self) -> Uuid {
        // Kafka never gives an id whose text starts with a dash: command lines would take it for a flag.
        loop {
            let id = Uuid::new_v4();
            if id.as_bytes()[0] >> 2 != 62 {
                return id;
            }
        }
    }
}

/// What connection tasks may know of topics, so that they can check batches without asking the core.
#[derive(Debug, Default)]
pub(crate) struct TopicRules {
    /// By topic name.
    pub(crate) by_name: HashMap<Arc<str>, ProduceRules>,
    /// By topic id.
    pub(crate) by_id: HashMap<Uuid, ProduceRules>,
}

/// The rules, shared: the core writes, connections read.
pub(crate) type SharedRules = Arc<RwLock<TopicRules>>;

/// The records of one batch, decoded for replay.
pub(crate) fn read_all(log: &dyn ReplicaLog) -> Result<Vec<Bytes>, LogError> {
    let mut chunks = Vec::new();
    let mut offset = log.start_offset();
    while offset < log.end_offset() {
        let slice = log.read(offset, 4 << 20, log.end_offset(), true)?;
        if slice.is_empty() {
            break;
        }
        let bytes = slice.read().map_err(|source| LogError::Io {
            action: "read",
            path: PathBuf::new(),
            source,
        })?;
        let mut next = offset;
        for batch in crate::log::batches(&bytes).flatten() {
            next = batch.0.last_offset() + 1;
        }
        if next <= offset {
            break;
        }
        offset = next;
        chunks.push(bytes);
    }
    Ok(chunks)
}
