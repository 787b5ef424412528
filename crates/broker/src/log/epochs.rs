//! Which leader wrote which part of a log (KIP-101), and its file `leader-epoch-checkpoint`. Pure.

use std::fmt::Write;

/// A leader epoch and the offset it starts at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: i32,
    /// Its first offset.
    pub start_offset: i64,
}

/// Answer to OffsetForLeaderEpoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch in the log that is not above the one asked for.
    pub leader_epoch: i32,
    /// Where it ends: the first offset of the next epoch, or the log end offset.
    pub end_offset: i64,
}

/// The leader epochs of one log, in ascending order of epoch and of offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochStart>,
}

impl LeaderEpochs {
    /// All epochs, oldest first.
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The newest epoch.
    pub fn latest(&self) -> Option<i32> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// From `start_offset` on, `epoch` writes. True if that is news. Entries that contradict it go.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if epoch < 0 || self.latest() == Some(epoch) {
            return false;
        }
        self.entries
            .retain(|entry| entry.epoch < epoch && entry.start_offset < start_offset);
        self.entries.push(EpochStart { epoch, start_offset });
        true
    }

    /// The epoch that wrote the record at `offset`.
    pub fn at(&self, offset: i64) -> Option<i32> {
        let after = self.entries.partition_point(|entry| entry.start_offset <= offset);
        Some(self.entries[after.checked_sub(1)?].epoch)
    }

    /// Where `epoch`, or else the largest one below it, ends. None where the log knows none so old, or `epoch` is newer
    /// than all (Kafka answers UNDEFINED_EPOCH, -1).
    pub fn end_of(&self, epoch: i32, log_end: i64) -> Option<EpochEnd> {
        if epoch < 0 || self.latest()? < epoch {
            return None;
        }
        let after = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let Some(found) = after.checked_sub(1) else {
            // Older than the oldest: its end is where the oldest starts.
            let end_offset = self.entries.first()?.start_offset;
            return Some(EpochEnd {
                leader_epoch: epoch,
                end_offset,
            });
        };
        let end_offset = self.entries.get(after).map_or(log_end, |next| next.start_offset);
        Some(EpochEnd {
            leader_epoch: self.entries[found].epoch,
            end_offset,
        })
    }

    /// The log was cut off at `end`. True if that changed anything.
    pub fn truncate_end(&mut self, end: i64) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start_offset < end);
        self.entries.len() != before
    }

    /// The log now starts at `start`. True if that changed anything.
    pub fn truncate_start(&mut self, start: i64) -> bool {
        let after = self.entries.partition_point(|entry| entry.start_offset <= start);
        let Some(current) = after.checked_sub(1) else {
            return false;
        };
        let moved = self.entries[current].start_offset != start;
        self.entries[current].start_offset = start;
        self.entries.drain(..current);
        moved
    }

    /// Text of `leader-epoch-checkpoint`.
    pub fn to_text(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
        }
        text
    }

    /// Reads `leader-epoch-checkpoint`. None where it is no such file.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != "0" {
            return None;
        }
        let count: usize = lines.next()?.parse().ok()?;
        let mut epochs = Self::default();
        for line in lines.filter(|line| !line.is_empty()) {
            let (epoch, start_offset) = line.split_once(' ')?;
            epochs.entries.push(EpochStart {
                epoch: epoch.parse().ok()?,
                start_offset: start_offset.parse().ok()?,
            });
        }
        let ascending = |pair: &[EpochStart]| {
            pair[0].epoch < pair[1].epoch && pair[0].start_offset <= pair[1].start_offset
        };
        (epochs.entries.len() == count && epochs.entries.windows(2).all(ascending)).then_some(epochs)
    }
}
