//! What changes a log other than appending: rolling, retention, truncation, flushing, closing.

use super::dir::{LEADER_EPOCHS, rename_deleted};
use super::disk;
use super::error::LogError;
use super::partition::PartitionLog;
use super::retention::{SegmentFacts, expired_segments};
use super::segment::Segment;
use super::{snapshot, txn_index};

/// What retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retired {
    /// Number of segments.
    pub segments: usize,
    /// Their size, in bytes.
    pub bytes: u64,
}

impl PartitionLog {
    /// Closes the active segment and starts the next one. Nothing to do where the active one is empty.
    pub fn roll(&mut self, now_ms: i64) -> Result<(), LogError> {
        if self.active().size == 0 {
            Ok(())
        } else {
            self.roll_to(self.end_offset, now_ms)
        }
    }

    pub(super) fn roll_to(&mut self, base_offset: i64, now_ms: i64) -> Result<(), LogError> {
        let next = Segment::new(&self.place, base_offset, now_ms);
        if let Some(active) = self.segments.last_mut() {
            active.finish(&self.place)?;
        }
        if self.active().size == 0 {
            // Nothing was written since it was made; two empty segments would be one too many.
            if let Some(empty) = self.segments.pop() {
                empty.delete(&self.place, self.config.file_delete_delay_ms)?;
            }
        }
        snapshot::write(&self.place, base_offset, &self.producers, self.is_strict())?;
        // Where there is a segment, those before it are there: a log that begins later than its leader's would be one that
        // has lost records and does not know it. Where compaction leaves holes, one that a power cut has made would not be seen:
        // there the segments before are whole, too.
        self.names_wait = true;
        if self.config.cleanup.compact {
            self.flush()?;
        } else {
            self.force_names()?;
        }
        self.segments.push(next);
        Ok(())
    }

    /// Removes segments that are due by `retention.ms`, by `retention.bytes` or that lie below the log start.
    pub fn enforce_retention(&mut self, now_ms: i64, high_watermark: i64) -> Result<Retired, LogError> {
        let facts: Vec<SegmentFacts> = (0..self.segments.len())
            .map(|at| self.facts(at, now_ms))
            .collect();
        let due = expired_segments(&facts, &self.config, self.log_start, high_watermark, now_ms);
        if due == self.segments.len() {
            self.roll(now_ms)?;
        }
        self.delete_first(due)
    }

    fn facts(&self, at: usize, now_ms: i64) -> SegmentFacts {
        let segment = &self.segments[at];
        SegmentFacts {
            bytes: u64::from(segment.size),
            active: at + 1 == self.segments.len(),
            newest_ms: segment.max_timestamp.map_or(now_ms, |max| max.timestamp),
            end_offset: self
                .segments
                .get(at + 1)
                .map_or(self.end_offset, |next| next.base_offset),
        }
    }

    fn delete_first(&mut self, count: usize) -> Result<Retired, LogError> {
        let mut retired = Retired::default();
        for _ in 0..count.min(self.segments.len() - 1) {
            let segment = self.segments.remove(0);
            retired.segments += 1;
            retired.bytes += u64::from(segment.size);
            // The start moves first: a segment that could not be removed must not be readable either.
            self.move_start(self.segments[0].base_offset)?;
            segment.delete(&self.place, self.config.file_delete_delay_ms)?;
            self.names_wait = true;
        }
        Ok(retired)
    }

    fn move_start(&mut self, start: i64) -> Result<(), LogError> {
        if start > self.log_start {
            self.log_start = start;
            self.recovery_point = self.recovery_point.max(start);
            if self.epochs.truncate_start(start) {
                self.write_epochs()?;
            }
        }
        Ok(())
    }

    /// DeleteRecords: the log starts at `offset` from now on, -1 for the high watermark. Returns the log start.
    /// Whole segments below it go with the next [`PartitionLog::enforce_retention`].
    pub fn delete_records_before(&mut self, offset: i64, high_watermark: i64) -> Result<i64, LogError> {
        let offset = if offset == -1 { high_watermark } else { offset };
        if offset < 0 || offset > high_watermark {
            return Err(LogError::OffsetOutOfRange {
                offset,
                start: self.log_start,
                end: high_watermark,
            });
        }
        self.move_start(offset)?;
        Ok(self.log_start)
    }

    /// Removes everything at or above `offset`. A batch that holds it goes whole.
    pub fn truncate_to(&mut self, offset: i64) -> Result<(), LogError> {
        if offset >= self.end_offset {
            return Ok(());
        }
        if offset <= self.segments[0].base_offset {
            return self.truncate_fully(offset);
        }
        let keep = self
            .segments
            .partition_point(|segment| segment.base_offset < offset);
        let batch = self.segments[keep - 1].locate(&self.place, offset)?;
        let end = batch
            .as_ref()
            .map_or(offset, |batch| offset.min(batch.header.base_offset));
        self.note_truncation(end)?;
        for segment in self.segments.split_off(keep) {
            segment.delete(&self.place, self.config.file_delete_delay_ms)?;
        }
        if let (Some(active), Some(batch)) = (self.segments.last_mut(), batch) {
            active.truncate(&self.place, batch.position)?;
        }
        self.end_at(end)
    }

    /// Removes everything; the log goes on at `offset`.
    pub fn truncate_fully(&mut self, offset: i64) -> Result<(), LogError> {
        self.note_truncation(offset)?;
        for segment in std::mem::take(&mut self.segments) {
            segment.delete(&self.place, self.config.file_delete_delay_ms)?;
        }
        self.segments.push(Segment::new(&self.place, offset, i64::MAX));
        self.log_start = offset;
        self.end_at(offset)
    }

    fn note_truncation(&self, end: i64) -> Result<(), LogError> {
        let files = &self.place.files;
        if files.checkpoints.truncated(&self.place.dir, end)? {
            files.folder_changed();
        }
        Ok(())
    }

    fn end_at(&mut self, end: i64) -> Result<(), LogError> {
        self.make_folder()?;
        self.names_wait = true;
        self.is_whole = false;
        // A power cut must not bring back segments that are truncated.
        self.force_names()?;
        self.end_offset = end;
        self.log_start = self.log_start.min(end);
        self.recovery_point = self.recovery_point.min(end);
        self.indexed_to = self.indexed_to.min(self.active().base_offset);
        self.cleaned_to = self.cleaned_to.min(end);
        if self.epochs.truncate_end(end) {
            self.write_epochs()?;
        }
        snapshot::remove_after(&self.place, end)?;
        txn_index::truncate(&self.place, &self.segments, end)?;
        self.rebuild_producers()
    }

    /// Forces everything to the disk; blocks.
    pub fn flush(&mut self) -> Result<(), LogError> {
        let flushed = |segment: &Segment| segment.base_offset <= self.recovery_point;
        let first = self.segments.partition_point(flushed).saturating_sub(1);
        for segment in &mut self.segments[first..] {
            segment.flush(&self.place)?;
        }
        self.flush_indexes()?;
        if self.epochs_wait {
            let path = self.place.dir.join(LEADER_EPOCHS);
            disk::force_if_there(&path).map_err(LogError::io("flush", &path))?;
            self.epochs_wait = false;
        }
        self.force_names()?;
        self.recovery_point = self.end_offset;
        self.unflushed_records = 0;
        self.unflushed_since_ms = None;
        Ok(())
    }

    /// Forces the indexes of closed segments that are not on the disk for certain: below the recovery point they are taken as
    /// they are.
    fn flush_indexes(&mut self) -> Result<(), LogError> {
        let active = self.active().base_offset;
        if active <= self.indexed_to {
            return Ok(());
        }
        for pair in self.segments.windows(2) {
            if pair[1].base_offset > self.indexed_to {
                pair[0].flush_indexes(&self.place)?;
            }
        }
        self.indexed_to = active;
        Ok(())
    }

    /// Forces the names of the log's files, and of its folder: without them a power cut may take what was forced.
    pub(super) fn force_names(&mut self) -> Result<(), LogError> {
        let dir = &self.place.dir;
        if self.names_wait {
            disk::force_folder(dir).map_err(LogError::io("flush", dir))?;
            self.names_wait = false;
        }
        let parent = dir.parent().unwrap_or(dir);
        let forced = self.place.files.force_log_dir(parent);
        forced.map_err(LogError::io("flush", parent))
    }

    /// Flushes where `flush.ms` have passed since the oldest record that is not on the disk for certain.
    pub fn flush_if_due(&mut self, now_ms: i64) -> Result<(), LogError> {
        let due = |since: i64| now_ms.saturating_sub(since) >= self.config.flush_ms;
        if self.unflushed_since_ms.is_some_and(due) {
            self.flush()?;
        }
        Ok(())
    }

    /// Leaves the folder as Kafka does on a clean stop: flushed, indexes complete, producers in a snapshot.
    pub fn close(&mut self) -> Result<(), LogError> {
        if self.offline {
            return Err(LogError::Offline {
                path: self.place.dir.to_path_buf(),
            });
        }
        if self.end_offset == 0 {
            return self.make_folder();
        }
        if let Some(active) = self.segments.last_mut() {
            active.finish(&self.place)?;
        }
        if self.is_whole {
            return Ok(());
        }
        snapshot::write(&self.place, self.end_offset, &self.producers, true)?;
        self.names_wait = true;
        self.active().flush_indexes(&self.place)?;
        self.flush()?;
        self.is_whole = true;
        Ok(())
    }

    /// Gives the folder its deleted name, where it has one yet; it is removed after the delay.
    pub fn delete(self, delay_ms: i64) -> Result<(), LogError> {
        for segment in &self.segments {
            segment.close_files(&self.place);
        }
        if self.has_folder {
            let deleted = rename_deleted(&self.place.dir)?;
            self.place.files.trash.put(deleted, delay_ms);
            self.place.files.folder_changed();
        }
        Ok(())
    }
}
