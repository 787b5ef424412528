//! Which segments are old enough to go. Pure; the rules of `retention.ms`, `retention.bytes` and of the log start.

use super::config::LogConfig;

/// What the decision needs to know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Size of the log file, in bytes.
    pub bytes: u64,
    /// Its largest timestamp, or when it was created where no record has one.
    pub newest_ms: i64,
    /// First offset after it.
    pub end_offset: i64,
    /// Is it the one that is written to.
    pub active: bool,
}

/// How many of the oldest segments go. As in Kafka the active segment goes too where all its records are due, and
/// nothing at or above the high watermark does.
pub fn expired_segments(
    segments: &[SegmentFacts],
    config: &LogConfig,
    log_start: i64,
    high_watermark: i64,
    now_ms: i64,
) -> usize {
    let mut excess = match u64::try_from(config.retention_bytes) {
        Ok(limit) => segments
            .iter()
            .map(|segment| segment.bytes)
            .sum::<u64>()
            .saturating_sub(limit),
        Err(_) => 0,
    };
    let due = |segment: &&SegmentFacts| {
        if segment.end_offset > high_watermark {
            return false;
        }
        if segment.bytes == 0 {
            // The active one, or one that compaction has left empty.
            return !segment.active && config.cleanup.delete;
        }
        let below_start = segment.end_offset <= log_start;
        let by_size = config.cleanup.delete && excess >= segment.bytes;
        let by_time = config.cleanup.delete
            && config.retention_ms >= 0
            && now_ms.saturating_sub(segment.newest_ms) > config.retention_ms;
        let goes = below_start || by_size || by_time;
        if goes {
            excess = excess.saturating_sub(segment.bytes);
        }
        goes
    };
    segments.iter().take_while(due).count()
}
