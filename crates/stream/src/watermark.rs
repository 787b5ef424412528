//! Watermarks of a source: one for each partition, their minimum for the job, and partitions that are idle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// When a new watermark reaches the operators ('scan.watermark.emit.strategy').
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// At the next tick (Flink: every 200 ms); the default.
    OnPeriodic,
    /// With the event that raised it.
    OnEvent,
}

/// The watermark of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionWatermark {
    /// The highest seen, in milliseconds; `None`: no event yet.
    pub watermark_ms: Option<i64>,
    /// It is left out of the minimum until its next event.
    #[serde(default)]
    pub idle: bool,
    /// It has been read to its end.
    #[serde(default)]
    pub ended: bool,
    /// What the minimum knows of it: with [`Emit::OnPeriodic`] the watermark of the last tick.
    #[serde(default)]
    told_ms: Option<i64>,
    /// Processing time of the last event, or of the start.
    #[serde(skip)]
    active_ms: i64,
}

/// The watermarks of one source.
#[derive(Debug)]
pub struct SourceWatermarks {
    emit: Emit,
    idle_timeout_ms: Option<i64>,
    partitions: BTreeMap<i32, PartitionWatermark>,
    /// Given to the operators last. It never goes back.
    current_ms: Option<i64>,
}

impl SourceWatermarks {
    /// Without partitions. `idle_timeout_ms` `None`: a partition without events holds the others for ever.
    pub fn new(emit: Emit, idle_timeout_ms: Option<i64>) -> Self {
        Self {
            emit,
            idle_timeout_ms: idle_timeout_ms.filter(|ms| *ms > 0),
            partitions: BTreeMap::new(),
            current_ms: None,
        }
    }

    /// Makes a partition count. Until its first event it holds the minimum down.
    pub fn add_partition(&mut self, partition: i32, now_ms: i64) {
        self.partitions.entry(partition).or_default().active_ms = now_ms;
    }

    /// An event of `partition`, whose watermark is `watermark_ms` (`None`: its event time is NULL).
    /// Returns the source's watermark when it rose.
    pub fn on_event(&mut self, partition: i32, watermark_ms: Option<i64>, now_ms: i64) -> Option<i64> {
        let state = self.partitions.entry(partition).or_default();
        state.active_ms = now_ms;
        let woke = std::mem::take(&mut state.idle);
        let rose = watermark_ms.is_some() && watermark_ms > state.watermark_ms;
        if rose {
            state.watermark_ms = watermark_ms;
        }
        if self.emit == Emit::OnPeriodic || !(rose || woke) {
            return None;
        }
        state.told_ms = state.watermark_ms;
        self.advance()
    }

    /// The tick. Returns the source's watermark when it rose.
    pub fn on_tick(&mut self, now_ms: i64) -> Option<i64> {
        for state in self.partitions.values_mut() {
            if self.emit == Emit::OnPeriodic {
                state.told_ms = state.watermark_ms;
            }
            if let Some(timeout_ms) = self.idle_timeout_ms {
                state.idle |= now_ms.saturating_sub(state.active_ms) >= timeout_ms;
            }
        }
        self.advance()
    }

    /// A bounded partition was read to its end: it no longer holds the others. After the last one, `i64::MAX`.
    pub fn end_partition(&mut self, partition: i32) -> Option<i64> {
        self.partitions.entry(partition).or_default().ended = true;
        self.advance()
    }

    fn advance(&mut self) -> Option<i64> {
        let lowest = if !self.partitions.is_empty() && self.partitions.values().all(|state| state.ended) {
            Some(i64::MAX)
        } else {
            let reading = || self.partitions.values().filter(|state| !state.ended);
            if reading().all(|state| state.idle) {
                // Nothing is waited for: the fastest decides, whichever went idle first (Flink 2.2).
                let fastest = reading().map(|state| state.told_ms).max().flatten();
                return self.raise(fastest);
            }
            let counting = reading().filter(|state| !state.idle);
            // A partition without a watermark is the lowest of all: None sorts before Some.
            counting.map(|state| state.told_ms).min().flatten()
        };
        self.raise(lowest)
    }

    fn raise(&mut self, to_ms: Option<i64>) -> Option<i64> {
        if to_ms > self.current_ms {
            self.current_ms = to_ms;
            return to_ms;
        }
        None
    }

    /// The source's watermark.
    pub fn current_ms(&self) -> Option<i64> {
        self.current_ms
    }

    /// The partitions.
    pub fn partitions(&self) -> &BTreeMap<i32, PartitionWatermark> {
        &self.partitions
    }

    /// Puts back what a checkpoint held.
    pub fn restore(
        &mut self,
        partitions: BTreeMap<i32, PartitionWatermark>,
        current_ms: Option<i64>,
        now_ms: i64,
    ) {
        self.partitions = partitions;
        for state in self.partitions.values_mut() {
            state.active_ms = now_ms;
        }
        self.current_ms = current_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_partition_decides() {
        let mut source = SourceWatermarks::new(Emit::OnEvent, None);
        source.add_partition(0, 0);
        source.add_partition(1, 0);
        assert_eq!(
            source.on_event(0, Some(54), 0),
            None,
            "partition 1 has no event yet"
        );
        assert_eq!(source.on_event(1, Some(52), 0), Some(52));
        assert_eq!(source.on_event(0, Some(60), 0), None);
        assert_eq!(
            source.on_event(1, Some(50), 0),
            None,
            "a watermark never goes back"
        );
        assert_eq!(source.on_event(1, Some(70), 0), Some(60));
    }

    #[test]
    fn periodic_watermarks_wait_for_the_tick() {
        let mut source = SourceWatermarks::new(Emit::OnPeriodic, None);
        source.add_partition(0, 0);
        assert_eq!(source.on_event(0, Some(54), 0), None);
        assert_eq!(source.on_tick(200), Some(54));
        assert_eq!(source.on_tick(400), None);
    }

    #[test]
    fn an_idle_partition_is_left_out_until_its_next_event() {
        let mut source = SourceWatermarks::new(Emit::OnEvent, Some(1000));
        source.add_partition(0, 0);
        source.add_partition(1, 0);
        assert_eq!(source.on_event(0, Some(54), 500), None);
        assert_eq!(source.on_tick(999), None);
        assert_eq!(source.on_tick(1000), Some(54));
        assert!(source.partitions()[&1].idle && !source.partitions()[&0].idle);
        assert_eq!(
            source.on_event(1, Some(10), 1100),
            None,
            "it is behind, and the watermark stays"
        );
        assert_eq!(source.on_event(0, Some(60), 1200), None, "and it counts again");
        assert_eq!(source.on_event(1, Some(58), 1300), Some(58));
    }

    #[test]
    fn when_all_are_idle_the_fastest_decides() {
        let mut source = SourceWatermarks::new(Emit::OnEvent, Some(1000));
        source.add_partition(0, 0);
        source.add_partition(1, 0);
        source.add_partition(2, 0);
        source.on_event(0, Some(54), 0);
        source.on_event(1, Some(52), 0);
        assert_eq!(source.on_tick(5000), Some(54));
        assert_eq!(source.on_event(2, Some(40), 6000), None);
        assert_eq!(source.current_ms(), Some(54));
    }

    #[test]
    fn the_end_of_all_partitions_is_the_last_watermark() {
        let mut source = SourceWatermarks::new(Emit::OnEvent, None);
        source.add_partition(0, 0);
        source.add_partition(1, 0);
        source.on_event(0, Some(54), 0);
        assert_eq!(source.end_partition(1), Some(54));
        assert_eq!(source.end_partition(0), Some(i64::MAX));
    }
}
