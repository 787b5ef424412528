//! Compaction (`cleanup.policy=compact`): of each key only the last record stays. As Kafka's cleaner does it: a map of
//! the dirty part's keys is built, then all closed segments below its end are written anew without what it supersedes.
//! Tombstones and transaction markers stay `delete.retention.ms` from the first pass that saw them on (KIP-534); a
//! producer's last batch stays, empty if need be, since it holds the sequence number.
//!
//! A pass is crash safe: a new segment is written beside the old ones (`.cleaned`), flushed, and renamed to `.swap`; from
//! then on a start finishes what was begun.

mod transactions;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::{BatchHeader, HEADER_BYTES, TimestampType, assemble};
use super::codec;
use super::disk;
use super::error::LogError;
use super::files::remove_if_there;
use super::partition::{PartitionLog, marker_of};
use super::record::{self, RawRecord};
use super::scan::Scan;
use super::segment::{LOG, OFFSET_INDEX, Place, Segment, TIME_INDEX, TXN_INDEX};
use super::txn_index::{self, AbortedTxn};
use transactions::Transactions;

/// The keys of one pass may take this much memory, as `log.cleaner.dedupe.buffer.size` of Kafka; what does not fit waits
/// for the next pass.
const MAX_KEY_BYTES: usize = 64 << 20;
/// A segment that is being written.
const CLEANED: &str = "log.cleaned";
/// A segment that is whole, and only has to take its place.
const SWAP: &str = "log.swap";

/// What one pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Offsets below are clean now.
    pub up_to: i64,
    /// Size of the closed segments before, in bytes.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// The part of a log that has to be looked at: from the first dirty offset to the first that must stay as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dirty {
    from: i64,
    to: i64,
}

/// The last offset of each key in the dirty part.
struct Latest {
    by_key: HashMap<Vec<u8>, i64>,
    key_bytes: usize,
    /// The map knows of everything below.
    end: i64,
}

/// What becomes of a batch without records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    Drop,
    /// Its header holds what has to be known of the producer.
    Keep,
}

impl PartitionLog {
    /// One pass, if it is due: `min.cleanable.dirty.ratio` is passed or `max.compaction.lag.ms` is over.
    ///
    /// # Errors
    /// The file system's; the log is as before, or the next start makes it so.
    pub fn compact(&mut self, now_ms: i64, high_watermark: i64) -> Result<Option<Compacted>, LogError> {
        if !self.config.cleanup.compact || self.offline {
            return Ok(None);
        }
        let Some(dirty) = self.dirty(now_ms, high_watermark) else {
            return Ok(None);
        };
        let latest = self.latest_of_keys(dirty)?;
        if latest.end <= dirty.from {
            return Ok(None);
        }
        let closed = |log: &Self| {
            let closed = &log.segments[..log.segments.len() - 1];
            closed.iter().map(|segment| u64::from(segment.size)).sum()
        };
        let bytes_before = closed(self);
        let aborted = txn_index::collect(&self.place, &self.segments, self.log_start, latest.end)?;
        let mut transactions = Transactions::new(aborted);
        let mut at = 0;
        while at + 1 < self.segments.len() && self.segments[at].base_offset < latest.end {
            let group = self.group(at, latest.end);
            self.compact_group(group, &latest, &mut transactions, now_ms)?;
            // The group is one segment now.
            at += 1;
        }
        self.cleaned_to = latest.end;
        Ok(Some(Compacted {
            up_to: latest.end,
            bytes_before,
            bytes_after: closed(self),
        }))
    }

    /// Everything below was compacted by an earlier pass.
    pub fn cleaned_to(&self) -> i64 {
        self.cleaned_to
    }

    fn dirty(&self, now_ms: i64, high_watermark: i64) -> Option<Dirty> {
        let active = self.active().base_offset;
        let known = (self.log_start..=active).contains(&self.cleaned_to);
        let from = if known { self.cleaned_to } else { self.log_start };
        let mut to = active.min(self.last_stable_offset(high_watermark));
        let (mut clean_bytes, mut dirty_bytes) = (0_u64, 0_u64);
        let mut oldest = None;
        for (at, segment) in self.segments[..self.segments.len() - 1].iter().enumerate() {
            if self.segments[at + 1].base_offset <= from {
                clean_bytes += u64::from(segment.size);
                continue;
            }
            let newest = segment.max_timestamp.map_or(now_ms, |max| max.timestamp);
            let too_young = newest > now_ms.saturating_sub(self.config.min_compaction_lag_ms);
            if self.config.min_compaction_lag_ms > 0 && too_young {
                to = to.min(segment.base_offset.max(from));
            }
            if segment.base_offset >= to {
                break;
            }
            dirty_bytes += u64::from(segment.size);
            if oldest.is_none() {
                oldest = segment.first_timestamp();
            }
        }
        if to <= from || dirty_bytes == 0 {
            return None;
        }
        let ratio = dirty_bytes as f64 / (clean_bytes + dirty_bytes) as f64;
        let overdue =
            oldest.is_some_and(|oldest| now_ms.saturating_sub(oldest) > self.config.max_compaction_lag_ms);
        let due = overdue || ratio > self.config.min_cleanable_dirty_ratio;
        due.then_some(Dirty { from, to })
    }

    fn latest_of_keys(&self, dirty: Dirty) -> Result<Latest, LogError> {
        let first = self.segment_at(dirty.from);
        let aborted = txn_index::collect(&self.place, &self.segments[first..], dirty.from, dirty.to)?;
        let mut transactions = Transactions::new(aborted);
        let mut latest = Latest {
            by_key: HashMap::new(),
            key_bytes: 0,
            end: dirty.from,
        };
        for segment in &self.segments[first..self.segments.len() - 1] {
            if segment.base_offset >= dirty.to {
                break;
            }
            let more = self.each_batch(segment, &mut |header, batch| {
                if header.last_offset() >= dirty.to || latest.key_bytes >= MAX_KEY_BYTES {
                    return Ok(false);
                }
                if header.is_control() {
                    transactions.end(header, marker_of(header, batch)?);
                } else if !transactions.is_aborted(header) {
                    self.note_keys(header, batch, dirty.from, &mut latest)?;
                }
                latest.end = latest.end.max(header.next_offset());
                Ok(true)
            })?;
            if !more {
                return Ok(latest);
            }
        }
        // Nothing is left up to there, also where the last offsets have no record any more.
        latest.end = dirty.to;
        Ok(latest)
    }

    fn note_keys(
        &self,
        header: &BatchHeader,
        batch: &Bytes,
        from: i64,
        latest: &mut Latest,
    ) -> Result<(), LogError> {
        let records = self.plain_records(header, batch)?;
        record::walk_plain(header, &records, &mut |_, record| {
            let offset = header.base_offset + i64::from(record.offset_delta);
            if let Some(key) = record.key.filter(|_| offset >= from) {
                let key = &records[key.start..key.start + key.len];
                if let Some(known) = latest.by_key.get_mut(key) {
                    *known = offset;
                } else {
                    latest.key_bytes += key.len() + size_of::<(Vec<u8>, i64)>();
                    latest.by_key.insert(key.to_vec(), offset);
                }
            }
        })?;
        Ok(())
    }

    fn plain_records(&self, header: &BatchHeader, batch: &Bytes) -> Result<Bytes, LogError> {
        let records = batch.slice(HEADER_BYTES..);
        let limit = self.config.max_decompressed_bytes;
        Ok(codec::decompress(header.codec()?, records, limit)?)
    }

    /// Shows each batch of a segment; false where `visit` wanted no more.
    fn each_batch(
        &self,
        segment: &Segment,
        visit: &mut dyn FnMut(&BatchHeader, &Bytes) -> Result<bool, LogError>,
    ) -> Result<bool, LogError> {
        if segment.size == 0 {
            return Ok(true);
        }
        let file = segment.log(&self.place)?;
        let mut scan = Scan::all(&file, u64::from(segment.size));
        let mut position = 0;
        let failed = |error| segment.scan_error(&self.place, error);
        while let Some(header) = scan.header(position).map_err(failed)? {
            let batch = scan.batch(position, &header).map_err(failed)?;
            if !visit(&header, &batch)? {
                return Ok(false);
            }
            position += header.size as u64;
        }
        Ok(true)
    }

    /// Closed segments that are small enough to become one.
    fn group(&self, first: usize, end: i64) -> Range<usize> {
        let base = self.segments[first].base_offset;
        let mut bytes = u64::from(self.segments[first].size);
        let mut last = first + 1;
        while last + 1 < self.segments.len() {
            let next = &self.segments[last];
            bytes += u64::from(next.size);
            let reach = self.segments[last + 1].base_offset - base;
            if next.base_offset >= end
                || bytes > u64::from(self.config.segment_bytes)
                || reach > i64::from(i32::MAX)
            {
                break;
            }
            last += 1;
        }
        first..last
    }

    fn compact_group(
        &mut self,
        group: Range<usize>,
        latest: &Latest,
        transactions: &mut Transactions,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let base = self.segments[group.start].base_offset;
        let path = self.place.path(base, CLEANED);
        let file = File::create(&path).map_err(LogError::io("create", &path))?;
        let mut out = BufWriter::new(file);
        let mut changed = group.len() > 1;
        for segment in &self.segments[group.clone()] {
            self.each_batch(segment, &mut |header, batch| {
                let kept = self.kept(header, batch, latest, transactions, now_ms)?;
                match kept {
                    Some(kept) => {
                        changed |= kept != *batch;
                        out.write_all(&kept).map_err(LogError::io("write", &path))?;
                    }
                    None => changed = true,
                }
                Ok(true)
            })?;
        }
        let file = out
            .into_inner()
            .map_err(|error| LogError::io("write", &path)(error.into_error()))?;
        let aborted = transactions.take_kept();
        if !changed {
            drop(file);
            return remove_if_there(&path).map_err(LogError::io("remove", &path));
        }
        disk::force(&file, &path).map_err(LogError::io("flush", &path))?;
        drop(file);
        self.install(group, &path, &aborted, now_ms)
    }

    /// A batch as it goes on, or nothing.
    fn kept(
        &self,
        header: &BatchHeader,
        batch: &Bytes,
        latest: &Latest,
        transactions: &mut Transactions,
        now_ms: i64,
    ) -> Result<Option<Bytes>, LogError> {
        // Beyond what the map knows nothing is touched.
        if header.base_offset >= latest.end {
            return Ok(Some(batch.clone()));
        }
        let horizon = header.has_delete_horizon().then_some(header.base_timestamp);
        let passed = horizon.is_some_and(|horizon| horizon <= now_ms);
        let (without_records, empty_transaction) = if header.is_control() {
            let nothing_left = transactions.end(header, marker_of(header, batch)?);
            (nothing_left && passed, nothing_left)
        } else {
            (transactions.is_aborted(header), false)
        };
        let when_empty = if self.is_last_of_producer(header) {
            Empty::Keep
        } else {
            Empty::Drop
        };
        if without_records && when_empty == Empty::Drop {
            return Ok(None);
        }
        let records = self.plain_records(header, batch)?;
        let mut kept: Vec<RawRecord> = Vec::new();
        let mut tombstones = false;
        record::walk_plain(header, &records, &mut |_, record| {
            let keep = !without_records
                && (header.is_control() || is_latest(header, &record, &records, latest, passed));
            if keep {
                tombstones |= record.value.is_none() && !header.is_control();
                kept.push(record);
            }
        })?;
        let sets_horizon = horizon.is_none() && (tombstones || empty_transaction);
        if kept.len() as i64 == i64::from(header.record_count) && !sets_horizon {
            let goes = kept.is_empty() && when_empty == Empty::Drop;
            return Ok((!goes).then(|| batch.clone()));
        }
        if kept.is_empty() {
            return Ok((when_empty == Empty::Keep).then(|| empty_batch(header)));
        }
        let horizon = sets_horizon.then(|| now_ms.saturating_add(self.config.delete_retention_ms));
        rebuilt(header, &records, &kept, horizon).map(Some)
    }

    /// Does the batch hold what has to be known of a producer: its last sequence number, or its epoch.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let Some(entry) = self
            .producers
            .get(header.producer_id)
            .filter(|_| header.has_producer())
        else {
            return false;
        };
        match entry.batches.back() {
            Some(last) => header.last_offset() == last.last_offset,
            None => header.is_control() && header.producer_epoch == entry.epoch,
        }
    }

    /// Puts a new segment in the place of a group.
    fn install(
        &mut self,
        group: Range<usize>,
        cleaned: &Path,
        aborted: &[AbortedTxn],
        now_ms: i64,
    ) -> Result<(), LogError> {
        let base = self.segments[group.start].base_offset;
        let swap = self.place.path(base, SWAP);
        std::fs::rename(cleaned, &swap).map_err(LogError::io("rename", cleaned))?;
        // A power cut must not take it when what it stands for is gone.
        let dir = &self.place.dir;
        disk::force_folder(dir).map_err(LogError::io("flush", dir))?;
        self.names_wait = true;
        let at = group.start;
        let old: Vec<Segment> = self.segments.drain(group).collect();
        let taken = self.take_place(&swap, old);
        let mut segment = Segment::new(&self.place, base, now_ms);
        let indexed = taken.and_then(|()| {
            segment.index_all(&self.place, self.config.index_interval_bytes)?;
            txn_index::write(&self.place, base, aborted)?;
            segment.flush_indexes(&self.place)
        });
        self.segments.insert(at, segment);
        if let Err(error) = indexed {
            // What is on the disk is right, but this log does not know it: the next open does.
            self.offline = true;
            return Err(error);
        }
        self.force_names()
    }

    fn take_place(&self, swap: &Path, old: Vec<Segment>) -> Result<(), LogError> {
        let mut old = old.into_iter();
        if let Some(first) = old.next() {
            let delay_ms = self.config.file_delete_delay_ms;
            first.close_files(&self.place);
            delete_beside(&self.place, first.base_offset, delay_ms)?;
            for segment in old {
                segment.delete(&self.place, delay_ms)?;
            }
            let path = self.place.path(first.base_offset, LOG);
            std::fs::rename(swap, &path).map_err(LogError::io("rename", swap))?;
        }
        Ok(())
    }
}

/// The old segment's own, but for the snapshot: that is of what lies before it.
fn delete_beside(place: &Place, base: i64, delay_ms: i64) -> Result<(), LogError> {
    for suffix in [LOG, OFFSET_INDEX, TIME_INDEX, TXN_INDEX] {
        let path = place.path(base, suffix);
        let deleted = place.files.trash.put_file(&path, delay_ms);
        deleted.map_err(LogError::io("rename", &path))?;
    }
    Ok(())
}

fn remove_beside(place: &Place, base: i64) -> Result<(), LogError> {
    for suffix in [OFFSET_INDEX, TIME_INDEX, TXN_INDEX] {
        let path = place.path(base, suffix);
        remove_if_there(&path).map_err(LogError::io("remove", &path))?;
    }
    Ok(())
}

/// Finishes compactions that were cut off: a `.swap` file takes its place, and what it holds the records of goes.
pub(super) fn finish_swaps(place: &Place) -> Result<(), LogError> {
    let dir = &place.dir;
    let mut paths: Vec<PathBuf> = Vec::new();
    for file in std::fs::read_dir(dir).map_err(LogError::io("list", dir))? {
        paths.push(file.map_err(LogError::io("list", dir))?.path());
    }
    let base_of = |path: &Path, suffix: &str| {
        let name = path.file_name()?.to_str()?;
        name.strip_suffix(suffix)?.strip_suffix('.')?.parse::<i64>().ok()
    };
    for swap in &paths {
        let Some(base) = base_of(swap, SWAP) else {
            continue;
        };
        let last = last_offset(swap)?;
        for log in &paths {
            if let Some(other) = base_of(log, LOG).filter(|other| (base + 1..=last).contains(other)) {
                Segment::new(place, other, 0).remove(place)?;
            }
        }
        remove_beside(place, base)?;
        let path = place.path(base, LOG);
        std::fs::rename(swap, &path).map_err(LogError::io("rename", swap))?;
    }
    Ok(())
}

fn last_offset(path: &Path) -> Result<i64, LogError> {
    let file = File::open(path).map_err(LogError::io("open", path))?;
    let len = file.metadata().map_err(LogError::io("look at", path))?.len();
    let mut scan = Scan::headers(&file, len);
    let (mut position, mut last) = (0, -1);
    while let Ok(Some(header)) = scan.header(position) {
        last = header.last_offset();
        position += header.size as u64;
    }
    Ok(last)
}

/// Is this the last record of its key, and, for a tombstone, one whose time is not over.
fn is_latest(
    header: &BatchHeader,
    record: &RawRecord,
    records: &Bytes,
    latest: &Latest,
    horizon_passed: bool,
) -> bool {
    let offset = header.base_offset + i64::from(record.offset_delta);
    if offset >= latest.end {
        return true;
    }
    let Some(key) = record.key else {
        return false;
    };
    let newest = latest.by_key.get(&records[key.start..key.start + key.len]);
    newest.is_none_or(|newest| offset >= *newest) && (record.value.is_some() || !horizon_passed)
}

/// The header alone, with its producer's sequence and its offsets.
fn empty_batch(header: &BatchHeader) -> Bytes {
    let mut empty = header.clone();
    empty.set_codec(codec::Codec::None);
    empty.clear_delete_horizon();
    empty.base_timestamp = -1;
    empty.record_count = 0;
    assemble(&mut empty, &[])
}

/// The batch with these of its records; its first and last offset stay, so that its sequence numbers do.
fn rebuilt(
    header: &BatchHeader,
    records: &Bytes,
    kept: &[RawRecord],
    horizon: Option<i64>,
) -> Result<Bytes, LogError> {
    let mut new = header.clone();
    if let Some(horizon) = horizon {
        new.set_delete_horizon(horizon);
    }
    let mut out = BytesMut::new();
    let mut max_timestamp = -1;
    for record in kept {
        let timestamp = record.timestamp(header);
        max_timestamp = max_timestamp.max(timestamp);
        let delta = match header.timestamp_type() {
            TimestampType::CreateTime => timestamp.wrapping_sub(new.base_timestamp),
            TimestampType::LogAppendTime => record.timestamp_delta,
        };
        let mut body = BytesMut::with_capacity(record.rest.len + 16);
        body.put_u8(0);
        put_varint(&mut body, delta);
        put_varint(&mut body, i64::from(record.offset_delta));
        body.put_slice(&records[record.rest.start..record.rest.start + record.rest.len]);
        put_varint(&mut out, body.len() as i64);
        out.put_slice(&body);
    }
    if header.timestamp_type() == TimestampType::CreateTime {
        new.max_timestamp = max_timestamp;
    }
    new.record_count = kept.len() as i32;
    let compressed = codec::compress(header.codec()?, &out)?;
    Ok(assemble(&mut new, &compressed))
}

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw > 0x7f {
        out.put_u8(raw as u8 & 0x7f | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}
