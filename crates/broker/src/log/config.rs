//! The configuration of one log: the topic configs that storage looks at, with Kafka's defaults.

use super::batch::TimestampType;
use super::codec::Codec;
use super::validate::{Origin, ProduceRules};

/// `cleanup.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted by time and size.
    pub delete: bool,
    /// Only the last value of each key is kept.
    pub compact: bool,
}

/// Topic configs of one log. Times in milliseconds, -1 is "no limit" where Kafka has it so.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: segments are rolled up to this much earlier, each at another time.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when an index would grow beyond this.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `retention.ms`.
    pub retention_ms: i64,
    /// `retention.bytes`.
    pub retention_bytes: i64,
    /// `cleanup.policy`.
    pub cleanup: CleanupPolicy,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone or a transaction marker stays after the pass that first saw it.
    pub delete_retention_ms: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`; none is `producer`.
    pub compression: Option<Codec>,
    /// `flush.messages`: fsync after this many records; 1 makes every append survive the machine's crash.
    pub flush_messages: u64,
    /// `flush.ms`: fsync where a record has waited this long; 0 is as strict as `flush.messages` of 1.
    pub flush_ms: i64,
    /// `producer.id.expiration.ms` of the broker.
    pub producer_expiration_ms: i64,
    /// How many bytes one batch may decompress to. Kafka has no such limit.
    pub max_decompressed_bytes: u64,
    /// Deleted files are removed after so long, `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        const HOUR_MS: i64 = 3_600_000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 168 * HOUR_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 168 * HOUR_MS,
            retention_bytes: -1,
            cleanup: CleanupPolicy {
                delete: true,
                compact: false,
            },
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * HOUR_MS,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: HOUR_MS,
            compression: None,
            flush_messages: u64::MAX,
            flush_ms: i64::MAX,
            producer_expiration_ms: 24 * HOUR_MS,
            file_delete_delay_ms: 60_000,
            max_decompressed_bytes: 100 << 20,
        }
    }
}

impl LogConfig {
    /// How long after its first record the segment from `base_offset` on is rolled: `segment.ms`, with compaction at most
    /// `max.compaction.lag.ms`, less a jitter that is the segment's own.
    pub fn segment_life_ms(&self, base_offset: i64) -> i64 {
        let life = if self.cleanup.compact {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        };
        let most = self.segment_jitter_ms.min(life);
        if most <= 0 {
            return life;
        }
        // The same after a restart, and spread as well as chance would.
        let spread = u64::from(crc32c::crc32c(&base_offset.to_be_bytes()));
        life - i64::try_from(spread % most.unsigned_abs()).unwrap_or(0)
    }

    /// What [`super::validate`] needs to know, for a producer's batches.
    pub fn produce_rules(&self) -> ProduceRules {
        ProduceRules {
            origin: Origin::Client,
            max_message_bytes: self.max_message_bytes,
            timestamp_type: self.timestamp_type,
            before_max_ms: self.timestamp_before_max_ms,
            after_max_ms: self.timestamp_after_max_ms,
            compacted: self.cleanup.compact,
            compression: self.compression,
            max_decompressed_bytes: self.max_decompressed_bytes,
        }
    }
}
