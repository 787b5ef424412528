//! One segment: a log file and its two indexes.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::BatchHeader;
use super::config::LogConfig;
use super::disk;
use super::error::LogError;
use super::files::{self, FileCache, open_append};
use super::index::{Entry, Index, OffsetEntry, TimeEntry};
use super::scan::{Scan, ScanError};

/// The folder of a log, and the files that are open in it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) dir: Arc<Path>,
    pub(super) files: Arc<FileCache>,
}

impl Place {
    /// A file of the segment that starts at `base_offset`.
    pub(super) fn path(&self, base_offset: i64, suffix: &str) -> PathBuf {
        self.dir.join(format!("{base_offset:020}.{suffix}"))
    }
}

/// Suffixes of a segment's files.
pub(super) const LOG: &str = "log";
pub(super) const OFFSET_INDEX: &str = "index";
pub(super) const TIME_INDEX: &str = "timeindex";
pub(super) const TXN_INDEX: &str = "txnindex";
pub(super) const SNAPSHOT: &str = "snapshot";

/// Where a batch starts in its segment.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub(super) position: u32,
    pub(super) header: BatchHeader,
}

/// The largest timestamp, and the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaxTimestamp {
    pub(super) timestamp: i64,
    pub(super) offset: i64,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    pub(super) size: u32,
    /// When it was created, for `segment.ms` where records carry no timestamp.
    created_ms: i64,
    /// Largest timestamp of its first batch: `segment.ms` counts from there.
    first_timestamp: Option<i64>,
    pub(super) max_timestamp: Option<MaxTimestamp>,
    offsets: Index<OffsetEntry>,
    times: Index<TimeEntry>,
    bytes_since_index: u32,
    log_id: u64,
    offsets_id: u64,
    times_id: u64,
}

impl Segment {
    /// A segment without files yet.
    pub(super) fn new(place: &Place, base_offset: i64, now_ms: i64) -> Self {
        Self {
            base_offset,
            size: 0,
            created_ms: now_ms,
            first_timestamp: None,
            max_timestamp: None,
            offsets: Index::empty(),
            times: Index::empty(),
            bytes_since_index: 0,
            log_id: place.files.new_id(),
            offsets_id: place.files.new_id(),
            times_id: place.files.new_id(),
        }
    }

    /// A segment as it was closed. None where its indexes are missing or can't be right: recover it then.
    pub(super) fn open(place: &Place, base_offset: i64, now_ms: i64) -> Result<Option<Self>, LogError> {
        let mut segment = Self::new(place, base_offset, now_ms);
        let size = segment.file_size(place)?;
        let Ok(size) = u32::try_from(size) else {
            return Ok(None);
        };
        segment.size = size;
        if size == 0 {
            return Ok(Some(segment));
        }
        let Some(offsets) = open_index::<OffsetEntry>(place, base_offset, OFFSET_INDEX, segment.offsets_id)?
        else {
            return Ok(None);
        };
        let Some(times) = open_index::<TimeEntry>(place, base_offset, TIME_INDEX, segment.times_id)? else {
            return Ok(None);
        };
        // A segment that was closed has its last timestamp in the index, unless no record has one.
        let last = times.last();
        // Zeros at the end are the space that a Kafka broker had in reserve when it was killed.
        let sane = offsets
            .last()
            .is_none_or(|entry| entry.position < size && entry.position > 0)
            && last.is_none_or(|entry| entry.timestamp > 0 || times.len() == 1);
        if !sane {
            return Ok(None);
        }
        segment.max_timestamp = last.map(|entry| MaxTimestamp {
            timestamp: entry.timestamp,
            offset: base_offset + i64::from(entry.relative_offset),
        });
        segment.offsets = offsets;
        segment.times = times;
        let file = segment.log(place)?;
        let first = Scan::headers(&file, u64::from(size)).header(0);
        segment.first_timestamp = first
            .ok()
            .flatten()
            .map(|header| header.max_timestamp)
            .filter(|t| *t >= 0);
        segment.size = offsets_end(segment.offsets.last());
        match segment.reindex_tail(place, size) {
            Ok(()) => Ok(Some(segment)),
            Err(LogError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn file_size(&self, place: &Place) -> Result<u64, LogError> {
        let path = place.path(self.base_offset, LOG);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(LogError::io("look at", &path)(error)),
        }
    }

    /// Makes an index file that has nothing of an older life in it.
    pub(super) fn reset_indexes(&mut self, place: &Place) -> Result<(), LogError> {
        for (suffix, id) in [(OFFSET_INDEX, self.offsets_id), (TIME_INDEX, self.times_id)] {
            place.files.close(id);
            let path = place.path(self.base_offset, suffix);
            files::remove_if_there(&path).map_err(LogError::io("remove", &path))?;
        }
        self.offsets = Index::empty();
        self.times = Index::empty();
        self.max_timestamp = None;
        self.first_timestamp = None;
        self.bytes_since_index = 0;
        self.size = 0;
        // Replaying the producers makes it again.
        let path = place.path(self.base_offset, TXN_INDEX);
        files::remove_if_there(&path).map_err(LogError::io("remove", &path))
    }

    /// The log file, for reading and appending.
    pub(super) fn log(&self, place: &Place) -> Result<Arc<File>, LogError> {
        self.file(place, LOG, self.log_id)
    }

    fn file(&self, place: &Place, suffix: &str, id: u64) -> Result<Arc<File>, LogError> {
        let path = || place.path(self.base_offset, suffix);
        place
            .files
            .get(id, || open_append(&path()))
            .map_err(|source| LogError::Io {
                action: "open",
                path: path(),
                source,
            })
    }

    fn index_file<E: Entry>(
        &self,
        place: &Place,
        index: &Index<E>,
        suffix: &str,
        id: u64,
    ) -> Result<Option<Arc<File>>, LogError> {
        if index.needs_file() {
            self.file(place, suffix, id).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Writes one batch at the end. On failure the file is as before, or the error is [`LogError::Offline`].
    pub(super) fn append(
        &mut self,
        place: &Place,
        header: &BatchHeader,
        parts: [&[u8]; 2],
        config: &LogConfig,
    ) -> Result<(), LogError> {
        if self.size == 0 {
            self.reserve_indexes(place)?;
        }
        let file = self.log(place)?;
        if let Err(source) = write_parts(&file, parts) {
            let undone = file.set_len(u64::from(self.size));
            let path = place.path(self.base_offset, LOG);
            return Err(match undone {
                Ok(()) => LogError::Io {
                    action: "append to",
                    path,
                    source,
                },
                Err(_) => LogError::Offline {
                    path: place.dir.to_path_buf(),
                },
            });
        }
        self.index(place, header, config.index_interval_bytes);
        Ok(())
    }

    /// Takes note of a batch that is now the last of the log file.
    pub(super) fn index(&mut self, place: &Place, header: &BatchHeader, interval_bytes: u32) {
        let mut write_due = false;
        let last_offset = header.last_offset();
        if header.max_timestamp >= 0
            && self
                .max_timestamp
                .is_none_or(|max| max.timestamp < header.max_timestamp)
        {
            self.max_timestamp = Some(MaxTimestamp {
                timestamp: header.max_timestamp,
                offset: last_offset,
            });
        }
        if self.size == 0 && header.max_timestamp >= 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        if self.bytes_since_index > interval_bytes {
            let relative_offset = (last_offset - self.base_offset) as u32;
            write_due = self.offsets.push(OffsetEntry {
                relative_offset,
                position: self.size,
            });
            self.index_max_timestamp();
            self.bytes_since_index = 0;
        }
        self.bytes_since_index = self.bytes_since_index.saturating_add(header.size as u32);
        self.size += header.size as u32;
        if write_due && let Err(error) = self.write_indexes(place) {
            // The batch is in the log. Entries wait for the next time, and a start makes them anew.
            tracing::debug!(%error, "an index could not be written");
        }
    }

    /// Indexes the log file from its start; the segment is new and the file is there.
    pub(super) fn index_all(&mut self, place: &Place, interval_bytes: u32) -> Result<(), LogError> {
        let size = self.file_size(place)?;
        let file = self.log(place)?;
        let mut scan = Scan::all(&file, size);
        while let Some(header) = scan
            .header(u64::from(self.size))
            .map_err(|error| self.scan_error(place, error))?
        {
            self.index(place, &header, interval_bytes);
        }
        if self.size == 0 {
            self.reserve_indexes(place)
        } else {
            self.finish(place)
        }
    }

    /// Its first batch comes now: `segment.ms` counts from here.
    pub(super) fn begin(&mut self, now_ms: i64) {
        self.created_ms = now_ms;
    }

    /// Largest timestamp of the first batch.
    pub(super) fn first_timestamp(&self) -> Option<i64> {
        self.first_timestamp
    }

    fn index_max_timestamp(&mut self) {
        let Some(max) = self.max_timestamp else {
            return;
        };
        if self
            .times
            .last()
            .is_none_or(|last| last.timestamp < max.timestamp)
        {
            let relative_offset = (max.offset - self.base_offset) as u32;
            self.times.push(TimeEntry {
                timestamp: max.timestamp,
                relative_offset,
            });
        }
    }

    fn write_indexes(&mut self, place: &Place) -> Result<(), LogError> {
        if self.offsets.has_pending() {
            let file = self.file(place, OFFSET_INDEX, self.offsets_id)?;
            let path = place.path(self.base_offset, OFFSET_INDEX);
            self.offsets
                .write(&file)
                .map_err(LogError::io("append to", &path))?;
        }
        if self.times.has_pending() {
            let file = self.file(place, TIME_INDEX, self.times_id)?;
            let path = place.path(self.base_offset, TIME_INDEX);
            self.times
                .write(&file)
                .map_err(LogError::io("append to", &path))?;
        }
        Ok(())
    }

    /// Makes index files that Kafka's tools read, for a segment that is written to.
    pub(super) fn reserve_indexes(&self, place: &Place) -> Result<(), LogError> {
        let file = self.file(place, OFFSET_INDEX, self.offsets_id)?;
        let path = place.path(self.base_offset, OFFSET_INDEX);
        self.offsets
            .reserve(&file)
            .map_err(LogError::io("write", &path))?;
        let file = self.file(place, TIME_INDEX, self.times_id)?;
        let path = place.path(self.base_offset, TIME_INDEX);
        self.times.reserve(&file).map_err(LogError::io("write", &path))
    }

    /// Leaves the files as Kafka leaves those of a closed segment: both indexes there, the largest timestamp last.
    pub(super) fn finish(&mut self, place: &Place) -> Result<(), LogError> {
        if self.size == 0 {
            return Ok(());
        }
        self.index_max_timestamp();
        self.write_indexes(place)?;
        let file = self.file(place, OFFSET_INDEX, self.offsets_id)?;
        let path = place.path(self.base_offset, OFFSET_INDEX);
        self.offsets
            .trim(&file)
            .map_err(LogError::io("truncate", &path))?;
        let file = self.file(place, TIME_INDEX, self.times_id)?;
        let path = place.path(self.base_offset, TIME_INDEX);
        self.times.trim(&file).map_err(LogError::io("truncate", &path))
    }

    /// Is it time for a new segment before a batch of `bytes` bytes is appended? Kafka's rules.
    pub(super) fn is_full(
        &self,
        bytes: usize,
        last_offset: i64,
        timestamp: i64,
        now_ms: i64,
        config: &LogConfig,
    ) -> bool {
        let relative_fits = (last_offset - self.base_offset) <= i64::from(i32::MAX);
        if self.size == 0 {
            return !relative_fits;
        }
        // As Kafka, by the records' own time. The clock of this cluster may be ahead of its clients', so that its time
        // since the segment was made counts as well.
        let by_records = match self.first_timestamp {
            Some(first) if timestamp >= 0 => timestamp.saturating_sub(first),
            _ => i64::MIN,
        };
        let waited = by_records.max(now_ms.saturating_sub(self.created_ms));
        let entries = |bytes: usize| config.segment_index_bytes as usize / bytes;
        u64::from(self.size) + bytes as u64 > u64::from(config.segment_bytes)
            || waited > config.segment_life_ms(self.base_offset)
            || self.offsets.len() >= entries(OffsetEntry::BYTES)
            // The last place is for the largest timestamp of all, which is written when the segment is closed.
            || self.times.len() + 1 >= entries(TimeEntry::BYTES)
            || !relative_fits
    }

    /// The first batch whose last offset is not below `offset`.
    pub(super) fn locate(&self, place: &Place, offset: i64) -> Result<Option<Located>, LogError> {
        let relative = offset - self.base_offset;
        let index = self.index_file(place, &self.offsets, OFFSET_INDEX, self.offsets_id)?;
        let path = place.path(self.base_offset, OFFSET_INDEX);
        let before = |entry: &OffsetEntry| i64::from(entry.relative_offset) <= relative;
        let entry = self
            .offsets
            .last_before(index.as_deref(), before)
            .map_err(LogError::io("read", &path))?;
        let from = entry.map_or(0, |entry| entry.position);
        self.find(place, from, |header| header.last_offset() >= offset)
    }

    /// The offset of the first index entry for `position` or a later one.
    pub(super) fn indexed_from(&self, place: &Place, position: u64) -> Result<Option<i64>, LogError> {
        let index = self.index_file(place, &self.offsets, OFFSET_INDEX, self.offsets_id)?;
        let path = place.path(self.base_offset, OFFSET_INDEX);
        let before = |entry: &OffsetEntry| u64::from(entry.position) < position;
        let entry = self
            .offsets
            .first_not(index.as_deref(), before)
            .map_err(LogError::io("read", &path))?;
        Ok(entry.map(|entry| self.base_offset + i64::from(entry.relative_offset)))
    }

    /// The first batch, from the one that starts at `position`, that `wanted` takes.
    pub(super) fn find(
        &self,
        place: &Place,
        position: u32,
        mut wanted: impl FnMut(&BatchHeader) -> bool,
    ) -> Result<Option<Located>, LogError> {
        if position >= self.size {
            return Ok(None);
        }
        let file = self.log(place)?;
        let mut scan = Scan::headers(&file, u64::from(self.size));
        let mut position = u64::from(position);
        while let Some(header) = scan
            .header(position)
            .map_err(|error| self.scan_error(place, error))?
        {
            if wanted(&header) {
                return Ok(Some(Located {
                    position: position as u32,
                    header,
                }));
            }
            position += header.size as u64;
        }
        Ok(None)
    }

    /// Shows `visit` the header of the last batch; it may see a few before it.
    pub(super) fn visit_last(
        &self,
        place: &Place,
        mut visit: impl FnMut(&BatchHeader),
    ) -> Result<(), LogError> {
        let found = self.find(place, offsets_end(self.offsets.last()), |header| {
            visit(header);
            false
        });
        found.map(|_| ())
    }

    /// The first batch that may hold a record of at least this timestamp.
    pub(super) fn locate_time(&self, place: &Place, timestamp: i64) -> Result<Option<Located>, LogError> {
        if self.max_timestamp.is_none_or(|max| max.timestamp < timestamp) {
            return Ok(None);
        }
        let index = self.index_file(place, &self.times, TIME_INDEX, self.times_id)?;
        let path = place.path(self.base_offset, TIME_INDEX);
        let before = |entry: &TimeEntry| entry.timestamp < timestamp;
        let entry = self
            .times
            .last_before(index.as_deref(), before)
            .map_err(LogError::io("read", &path))?;
        let from = match entry {
            Some(entry) => self
                .locate(place, self.base_offset + i64::from(entry.relative_offset))?
                .map_or(0, |at| at.position),
            None => 0,
        };
        self.find(place, from, |header| header.max_timestamp >= timestamp)
    }

    /// Cuts the segment off before the batch at `position`, which starts at `base_offset` or later.
    pub(super) fn truncate(&mut self, place: &Place, position: u32) -> Result<(), LogError> {
        let path = place.path(self.base_offset, LOG);
        let log = self.log(place)?;
        log.set_len(u64::from(position))
            .map_err(LogError::io("truncate", &path))?;
        // What comes next may go to another segment: a power cut must not bring back what was there in its place.
        disk::force(&log, &path).map_err(LogError::io("flush", &path))?;
        let index = self.index_file(place, &self.offsets, OFFSET_INDEX, self.offsets_id)?;
        let kept = |entry: &OffsetEntry| entry.position < position;
        let path = place.path(self.base_offset, OFFSET_INDEX);
        self.offsets
            .truncate(index.as_deref(), kept)
            .map_err(LogError::io("truncate", &path))?;
        let from = self.offsets.last();
        // The time index may name a batch after the last one that the offset index still knows.
        let known = from.map_or(0, |entry| entry.relative_offset);
        let index = self.index_file(place, &self.times, TIME_INDEX, self.times_id)?;
        let path = place.path(self.base_offset, TIME_INDEX);
        let kept = |entry: &TimeEntry| entry.relative_offset <= known && from.is_some();
        self.times
            .truncate(index.as_deref(), kept)
            .map_err(LogError::io("truncate", &path))?;
        self.size = offsets_end(from);
        self.max_timestamp = self.times.last().map(|entry| MaxTimestamp {
            timestamp: entry.timestamp,
            offset: self.base_offset + i64::from(entry.relative_offset),
        });
        self.bytes_since_index = 0;
        if self.size == 0 {
            self.first_timestamp = None;
        }
        self.reindex_tail(place, position)
    }

    /// Takes note again of the batches after the last index entry.
    fn reindex_tail(&mut self, place: &Place, end: u32) -> Result<(), LogError> {
        let file = self.log(place)?;
        let mut scan = Scan::headers(&file, u64::from(end));
        while let Some(header) = scan
            .header(u64::from(self.size))
            .map_err(|error| self.scan_error(place, error))?
        {
            self.index(place, &header, u32::MAX);
        }
        Ok(())
    }

    pub(super) fn scan_error(&self, place: &Place, error: ScanError) -> LogError {
        let path = place.path(self.base_offset, LOG);
        match error {
            ScanError::Io(source) => LogError::Io {
                action: "read",
                path,
                source,
            },
            ScanError::Invalid(error) => LogError::Damaged {
                path,
                reason: error.to_string(),
            },
        }
    }

    /// Forces the records to the disk.
    pub(super) fn flush(&mut self, place: &Place) -> Result<(), LogError> {
        if self.size == 0 {
            return Ok(());
        }
        self.write_indexes(place)?;
        let path = place.path(self.base_offset, LOG);
        disk::force(&*self.log(place)?, &path).map_err(LogError::io("flush", &path))
    }

    /// Forces the indexes of a segment that is closed, which are taken as they are from then on.
    pub(super) fn flush_indexes(&self, place: &Place) -> Result<(), LogError> {
        for suffix in [OFFSET_INDEX, TIME_INDEX, TXN_INDEX] {
            let path = place.path(self.base_offset, suffix);
            disk::force_if_there(&path).map_err(LogError::io("flush", &path))?;
        }
        Ok(())
    }

    /// Closes the segment's files, as far as nobody reads them.
    pub(super) fn close_files(&self, place: &Place) {
        for id in [self.log_id, self.offsets_id, self.times_id] {
            place.files.close(id);
        }
    }

    /// Gives the segment's files their deleted names; they are removed after the delay.
    pub(super) fn delete(self, place: &Place, delay_ms: i64) -> Result<(), LogError> {
        self.close_files(place);
        for suffix in [LOG, OFFSET_INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT] {
            let path = place.path(self.base_offset, suffix);
            let deleted = place.files.trash.put_file(&path, delay_ms);
            deleted.map_err(LogError::io("rename", &path))?;
        }
        Ok(())
    }

    /// Removes the segment's files.
    pub(super) fn remove(self, place: &Place) -> Result<(), LogError> {
        self.close_files(place);
        for suffix in [LOG, OFFSET_INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT] {
            let path = place.path(self.base_offset, suffix);
            files::remove_if_there(&path).map_err(LogError::io("remove", &path))?;
        }
        Ok(())
    }
}

/// Where the batch of an offset index's last entry starts.
fn offsets_end(last: Option<OffsetEntry>) -> u32 {
    last.map_or(0, |entry| entry.position)
}

fn open_index<E: Entry>(
    place: &Place,
    base_offset: i64,
    suffix: &str,
    id: u64,
) -> Result<Option<Index<E>>, LogError> {
    let path = place.path(base_offset, suffix);
    let Ok(metadata) = std::fs::metadata(&path) else {
        return Ok(None);
    };
    let file = place
        .files
        .get(id, || open_append(&path))
        .map_err(LogError::io("open", &path))?;
    Index::open(&file, metadata.len()).map_err(LogError::io("read", &path))
}

/// Writes both parts, in one call where the system takes them.
fn write_parts(mut file: &File, [head, body]: [&[u8]; 2]) -> io::Result<()> {
    let written = loop {
        match file.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    if let Some(written) = written.checked_sub(head.len()) {
        return file.write_all(&body[written..]);
    }
    file.write_all(&head[written..])?;
    file.write_all(body)
}
