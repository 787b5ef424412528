//! Reading a log: by offset, as a place in a file, and by timestamp.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::batch::BatchHeader;
use super::error::LogError;
use super::files::read_full_at;
use super::partition::PartitionLog;
use super::record::{RecordView, batch_records};
use super::scan::{Scan, ScanError};
use super::segment::{LOG, MaxTimestamp, Segment};
use super::txn_index::{self, AbortedTxn};

/// Bytes of a segment, to be read wherever it suits: the log's own thread never touches them. Stays readable when the
/// segment is deleted. Starts with the batch that holds the offset asked for; the last batch may be cut off.
#[derive(Debug, Clone)]
pub struct LogSlice {
    file: Option<Arc<File>>,
    position: u64,
    bytes: u32,
    /// Base offset of the segment.
    segment: i64,
}

impl LogSlice {
    const EMPTY: Self = Self {
        file: None,
        position: 0,
        bytes: 0,
        segment: 0,
    };

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes as usize
    }

    /// There is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The file, to read [`LogSlice::len`] bytes from [`LogSlice::position`].
    pub fn file(&self) -> Option<&Arc<File>> {
        self.file.as_ref()
    }

    /// Where in the file the bytes start.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The whole batches in it, at most `max`, with where they lie: from its first byte on. Reads headers alone.
    pub fn heads(&self, max: usize) -> io::Result<Vec<(u32, BatchHeader)>> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        let mut scan = Scan::headers(file, self.position + u64::from(self.bytes));
        let mut heads = Vec::new();
        let mut at = 0;
        while heads.len() < max {
            match scan.header(self.position + u64::from(at)) {
                Ok(Some(header)) => {
                    let size = header.size as u32;
                    heads.push((at, header));
                    at += size;
                }
                Ok(None) | Err(ScanError::Invalid(_)) => break,
                Err(ScanError::Io(error)) => return Err(error),
            }
        }
        Ok(heads)
    }

    /// Some of its bytes.
    #[must_use]
    pub fn part(&self, from: u32, to: u32) -> Self {
        let from = from.min(self.bytes);
        Self {
            position: self.position + u64::from(from),
            bytes: to.min(self.bytes).saturating_sub(from),
            ..self.clone()
        }
    }

    /// Reads the bytes; blocks on the disk. Fewer where the log was truncated in the meantime.
    pub fn read(&self) -> io::Result<Bytes> {
        let Some(file) = &self.file else {
            return Ok(Bytes::new());
        };
        let mut bytes = vec![0; self.len()];
        let read = read_full_at(file, &mut bytes, self.position)?;
        bytes.truncate(read);
        Ok(bytes.into())
    }
}

/// What ListOffsets asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampQuery {
    /// The first record of at least this timestamp.
    At(i64),
    /// The record with the largest timestamp (KIP-734).
    Max,
}

/// A record found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Timestamp of the record.
    pub timestamp_ms: i64,
    /// Its offset.
    pub offset: i64,
    /// Epoch of the leader that wrote it, -1 for unknown.
    pub leader_epoch: i32,
}

impl PartitionLog {
    /// Bytes from the batch that holds `offset` on, at most `max_bytes`, and none at or above `upper_bound` (the high
    /// watermark or the last stable offset). With `min_one` the first batch comes whole even where it is larger.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: u32,
        upper_bound: i64,
        min_one: bool,
    ) -> Result<LogSlice, LogError> {
        if offset < self.log_start || offset > self.end_offset {
            return Err(LogError::OffsetOutOfRange {
                offset,
                start: self.log_start,
                end: self.end_offset,
            });
        }
        let upper = upper_bound.min(self.end_offset);
        if offset >= upper {
            return Ok(LogSlice::EMPTY);
        }
        for at in self.segment_at(offset)..self.segments.len() {
            let segment = &self.segments[at];
            if segment.base_offset >= upper {
                break;
            }
            let Some(first) = segment.locate(&self.place, offset)? else {
                continue;
            };
            let end = self.end_position(at, upper)?;
            let there = end.saturating_sub(first.position);
            let size = first.header.size as u32;
            let wanted = if min_one { max_bytes.max(size) } else { max_bytes };
            if there == 0 || wanted < size {
                return Ok(LogSlice::EMPTY);
            }
            let file = Some(segment.log(&self.place)?);
            return Ok(LogSlice {
                file,
                position: u64::from(first.position),
                bytes: there.min(wanted),
                segment: segment.base_offset,
            });
        }
        Ok(LogSlice::EMPTY)
    }

    /// Where in a segment the batches below `upper` end.
    fn end_position(&self, at: usize, upper: i64) -> Result<u32, LogError> {
        let segment = &self.segments[at];
        let segment_end = self
            .segments
            .get(at + 1)
            .map_or(self.end_offset, |next| next.base_offset);
        if upper >= segment_end {
            return Ok(segment.size);
        }
        Ok(segment
            .locate(&self.place, upper)?
            .map_or(segment.size, |beyond| beyond.position))
    }

    /// Index of the segment that would hold `offset`.
    pub(super) fn segment_at(&self, offset: i64) -> usize {
        self.segments
            .partition_point(|segment| segment.base_offset <= offset)
            .saturating_sub(1)
    }

    /// Finds a record by its timestamp.
    pub fn offset_for_timestamp(&self, query: TimestampQuery) -> Result<Option<TimestampOffset>, LogError> {
        match query {
            TimestampQuery::At(timestamp) => self.first_at(timestamp),
            TimestampQuery::Max => self.newest(),
        }
    }

    fn first_at(&self, timestamp: i64) -> Result<Option<TimestampOffset>, LogError> {
        for segment in &self.segments {
            let mut next = segment.locate_time(&self.place, timestamp)?;
            while let Some(batch) = next {
                let found = self
                    .records_of(segment, batch.position, &batch.header)?
                    .into_iter()
                    .find(|record| record.timestamp_ms >= timestamp && record.offset >= self.log_start);
                if let Some(record) = found {
                    return Ok(Some(TimestampOffset {
                        timestamp_ms: record.timestamp_ms,
                        offset: record.offset,
                        leader_epoch: batch.header.leader_epoch,
                    }));
                }
                let after = batch.position + batch.header.size as u32;
                next = segment.find(&self.place, after, |header| header.max_timestamp >= timestamp)?;
            }
        }
        Ok(None)
    }

    fn newest(&self) -> Result<Option<TimestampOffset>, LogError> {
        let mut newest: Option<(&Segment, MaxTimestamp)> = None;
        for segment in &self.segments {
            if let Some(max) = segment.max_timestamp
                && newest.is_none_or(|(_, known)| known.timestamp < max.timestamp)
            {
                newest = Some((segment, max));
            }
        }
        let Some((segment, max)) = newest else {
            return self.first_record();
        };
        let Some(batch) = segment.locate(&self.place, max.offset)? else {
            return Ok(None);
        };
        let records = self.records_of(segment, batch.position, &batch.header)?;
        Ok(records
            .into_iter()
            .find(|record| record.timestamp_ms == max.timestamp)
            .map(|record| TimestampOffset {
                timestamp_ms: record.timestamp_ms,
                offset: record.offset,
                leader_epoch: batch.header.leader_epoch,
            }))
    }

    /// The first record, where none has a timestamp: it is as new as any other.
    fn first_record(&self) -> Result<Option<TimestampOffset>, LogError> {
        for segment in &self.segments {
            let Some(batch) = segment.locate(&self.place, self.log_start)? else {
                continue;
            };
            let records = self.records_of(segment, batch.position, &batch.header)?;
            let first = records.into_iter().find(|record| record.offset >= self.log_start);
            return Ok(first.map(|record| TimestampOffset {
                timestamp_ms: record.timestamp_ms,
                offset: record.offset,
                leader_epoch: batch.header.leader_epoch,
            }));
        }
        Ok(None)
    }

    fn records_of(
        &self,
        segment: &Segment,
        position: u32,
        header: &BatchHeader,
    ) -> Result<Vec<RecordView>, LogError> {
        let file = segment.log(&self.place)?;
        let slice = LogSlice {
            file: Some(file),
            position: u64::from(position),
            bytes: header.size as u32,
            segment: segment.base_offset,
        };
        let path = self.place.path(segment.base_offset, LOG);
        let bytes = slice.read().map_err(LogError::io("read", &path))?;
        Ok(batch_records(&bytes, self.config.max_decompressed_bytes)?)
    }

    /// Aborted transactions that a reader has to know who asked for `from` and gets `slice`. As in Kafka, the upper
    /// bound is what the offset index says, so that there may be some more than the bytes have.
    pub fn aborted_transactions(&self, from: i64, slice: &LogSlice) -> Result<Vec<AbortedTxn>, LogError> {
        if slice.is_empty() {
            return Ok(Vec::new());
        }
        let at = self.segment_at(slice.segment);
        let end = slice.position + u64::from(slice.bytes);
        let next = self.segments.get(at + 1).map(|next| next.base_offset);
        let upper = self.segments[at]
            .indexed_from(&self.place, end)?
            .or(next)
            .unwrap_or(self.end_offset);
        txn_index::collect(&self.place, &self.segments[at..], from, upper)
    }
}
