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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
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
    /// `producer.id.expiration.ms` of the broker.
    pub producer_expiration_ms: i64,
    /// How many bytes one batch may decompress to. Kafka has no such limit.
    pub max_decompressed_bytes: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        const HOUR_MS: i64 = 3_600_000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 168 * HOUR_MS,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 168 * HOUR_MS,
            retention_bytes: -1,
            cleanup: CleanupPolicy {
                delete: true,
                compact: false,
            },
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: HOUR_MS,
            compression: None,
            flush_messages: u64::MAX,
            producer_expiration_ms: 24 * HOUR_MS,
            max_decompressed_bytes: 100 << 20,
        }
    }
}

impl LogConfig {
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
