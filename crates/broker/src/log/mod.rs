//! The log of a partition's replica, on disk in Apache Kafka's own layout.
//!
//! ```text
//! LOGDIR/meta.properties, *-offset-checkpoint, .kafka_cleanshutdown, .lock
//! LOGDIR/TOPIC-PARTITION/00000000000000000000.log .index .timeindex .txnindex .snapshot
//!                        leader-epoch-checkpoint, partition.metadata
//! ```
//! There is no clock, no thread and no queue in here: the time is an argument, and one owner calls. [`validate`] needs
//! no log and runs where requests are read; [`PartitionLog::append`] then only patches the header and writes;
//! [`PartitionLog::read`] only says where the bytes are.

mod batch;
mod checkpoints;
mod codec;
mod compact;
mod config;
mod dir;
pub(crate) mod disk;
mod dump;
mod epochs;
mod error;
mod files;
mod index;
mod maintain;
mod partition;
mod producers;
mod read;
mod record;
mod recovery;
mod retention;
mod scan;
mod segment;
mod snapshot;
mod trash;
mod txn_index;
mod validate;

#[cfg(test)]
pub(crate) mod tests;

pub use batch::{
    BatchError, BatchHeader, HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC, TimestampType, batches, check_crc,
};
pub use checkpoints::Checkpoint;
pub use codec::Codec;
pub use compact::Compacted;
pub use config::{CleanupPolicy, LogConfig};
pub use dir::{LogDir, LogDirOptions, MetaProperties, PartitionFolder};
pub use dump::{
    DumpedRecord, SnapshotDamage, dumped_offset_index, dumped_records, dumped_snapshot, dumped_time_index,
    dumped_txn_index,
};
pub use epochs::{EpochEnd, EpochStart, LeaderEpochs};
pub use error::LogError;
pub use files::FileCache;
pub use maintain::Retired;
pub use partition::{Append, Appended, PartitionLog};
pub use producers::{
    BatchMeta, CACHED_BATCHES, CompletedTxn, EndTxnMarker, NewMarker, ProducerEntry, ProducerError,
    ProducerStates, Sequence, Verifications,
};
pub use read::{LogSlice, TimestampOffset, TimestampQuery};
pub use record::{RecordView, batch_records};
pub use recovery::Known;
pub use retention::{SegmentFacts, expired_segments};
pub use trash::remove_deleted;
pub use txn_index::AbortedTxn;
pub use validate::{
    BatchOptions, InvalidBatch, MAX_RECORD_ERRORS, NO_KEY, NewRecord, Origin, ProduceRules, RecordError,
    ValidBatch, build_batch, validate,
};
