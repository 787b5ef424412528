//! Opening a log: what was closed is taken as it is, the rest is checked batch by batch and cut off at the first
//! byte that is not a whole, valid batch.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::config::LogConfig;
use super::dir::{LEADER_EPOCHS, PARTITION_METADATA, parse_partition_metadata};
use super::epochs::LeaderEpochs;
use super::error::LogError;
use super::files::{FileCache, remove_if_there};
use super::partition::{PartitionLog, marker_of};
use super::producers::{ProducerStates, Verifications};
use super::scan::{Scan, ScanError};
use super::segment::{LOG, OFFSET_INDEX, Place, Segment, TIME_INDEX, TXN_INDEX};
use super::trash::DELETED_FILE;
use super::{compact, snapshot, txn_index};

/// What is known of a log before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The broker was stopped in order: nothing needs checking.
    pub clean: bool,
    /// Everything below was forced to the disk.
    pub recovery_point: i64,
    /// First offset of the log, as DeleteRecords and retention left it.
    pub log_start: i64,
    /// Everything below was compacted.
    pub cleaned_to: i64,
}

impl Known {
    /// Nothing: every batch is checked.
    pub const NOTHING: Self = Self {
        clean: false,
        recovery_point: 0,
        log_start: 0,
        cleaned_to: 0,
    };
}

/// Removes what was deleted and left behind.
fn remove_deleted_files(dir: &Path) -> Result<(), LogError> {
    for file in std::fs::read_dir(dir).map_err(LogError::io("list", dir))? {
        let path = file.map_err(LogError::io("list", dir))?.path();
        if path.extension().is_some_and(|suffix| suffix == DELETED_FILE) {
            remove_if_there(&path).map_err(LogError::io("remove", &path))?;
        }
    }
    Ok(())
}

impl PartitionLog {
    /// Opens the log in `dir`, or creates it. Files are opened when they are used, and created when they are written.
    pub fn open(
        dir: &Path,
        topic_id: Uuid,
        files: &Arc<FileCache>,
        config: LogConfig,
        known: Known,
        now_ms: i64,
    ) -> Result<Self, LogError> {
        let mut log = Self::open_or_plan(dir, topic_id, files, config, known, now_ms)?;
        log.make_folder()?;
        Ok(log)
    }

    /// Opens the log in `dir`; the folder of a new one comes with [`make_folder`](Self::make_folder) or with its first
    /// record.
    pub(super) fn open_or_plan(
        dir: &Path,
        topic_id: Uuid,
        files: &Arc<FileCache>,
        config: LogConfig,
        known: Known,
        now_ms: i64,
    ) -> Result<Self, LogError> {
        let place = Place {
            dir: dir.into(),
            files: Arc::clone(files),
        };
        let has_folder = dir.try_exists().map_err(LogError::io("look at", dir))?;
        let first = Segment::new(&place, known.log_start, now_ms);
        let mut log = Self {
            place,
            topic_id,
            config,
            segments: vec![first],
            log_start: known.log_start,
            end_offset: known.log_start,
            recovery_point: known.log_start,
            epochs: LeaderEpochs::default(),
            producers: ProducerStates::default(),
            verifications: Verifications::default(),
            has_folder,
            has_metadata: false,
            unflushed_records: 0,
            unflushed_since_ms: None,
            cleaned_to: known.cleaned_to,
            offline: false,
            // Who had it before may have been killed.
            names_wait: true,
            epochs_wait: !known.clean,
            indexed_to: known.log_start,
            is_whole: known.clean,
        };
        if has_folder {
            log.load(known, now_ms)?;
        }
        Ok(log)
    }

    fn load(&mut self, known: Known, now_ms: i64) -> Result<(), LogError> {
        self.load_metadata()?;
        let stored = self.load_epochs();
        let checked_from = self.load_segments(known, now_ms)?;
        self.end_offset = self.find_end()?;
        let first = self.segments[0].base_offset;
        self.log_start = known.log_start.max(first);
        if self.log_start > self.end_offset {
            return self.truncate_fully(self.log_start);
        }
        self.recovery_point = known.recovery_point.clamp(self.log_start, self.end_offset);
        if known.clean {
            self.recovery_point = self.end_offset;
        }
        self.cleaned_to = self.cleaned_to.min(self.end_offset);
        self.indexed_to = checked_from.map_or(self.recovery_point, |base| base.min(self.recovery_point));
        self.epochs.truncate_end(self.end_offset);
        self.epochs.truncate_start(self.log_start);
        if self.epochs != stored {
            self.write_epochs()?;
        }
        snapshot::remove_after(&self.place, self.end_offset)?;
        snapshot::remove_stray(&self.place, &self.segments)?;
        if !known.clean {
            txn_index::truncate(&self.place, &self.segments, self.end_offset)?;
        }
        self.rebuild_producers_from(checked_from)
    }

    fn load_metadata(&mut self) -> Result<(), LogError> {
        let path = self.place.dir.join(PARTITION_METADATA);
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Ok(());
        };
        // A file that a crash left empty is written again.
        let Some(found) = parse_partition_metadata(&text) else {
            return Ok(());
        };
        if found != self.topic_id {
            return Err(LogError::TopicIdMismatch {
                path: self.place.dir.to_path_buf(),
                found: found.to_string(),
                expected: self.topic_id.to_string(),
            });
        }
        self.has_metadata = true;
        Ok(())
    }

    fn load_epochs(&mut self) -> LeaderEpochs {
        let path = self.place.dir.join(LEADER_EPOCHS);
        if let Ok(text) = std::fs::read_to_string(&path) {
            self.epochs = LeaderEpochs::parse(&text).unwrap_or_default();
        }
        self.epochs.clone()
    }

    /// The base offset of the first segment that was checked, if one was.
    fn load_segments(&mut self, known: Known, now_ms: i64) -> Result<Option<i64>, LogError> {
        remove_deleted_files(&self.place.dir)?;
        compact::finish_swaps(&self.place)?;
        let bases = self.list_segments()?;
        let mut segments = Vec::with_capacity(bases.len().max(1));
        let mut check: Option<Check> = None;
        for (at, &base) in bases.iter().enumerate() {
            if check.as_ref().is_some_and(|check| !check.goes_on_at(base)) {
                // What follows a hole can't be reached without a lie about what is missing.
                Segment::new(&self.place, base, now_ms).remove(&self.place)?;
                continue;
            }
            let next_base = bases.get(at + 1).copied().unwrap_or(i64::MAX);
            let trusted = known.clean || next_base <= known.recovery_point;
            let opened = if trusted {
                Segment::open(&self.place, base, now_ms)?
            } else {
                None
            };
            if let Some(segment) = opened {
                segments.push(segment);
                continue;
            }
            let check = check.get_or_insert_with(|| {
                // The batches say again who wrote them: the file may be older or newer than they are.
                self.epochs.truncate_end(base);
                Check::new(base, known.cleaned_to, self.config.cleanup.compact)
            });
            segments.push(recover(
                &self.place,
                &self.config,
                &mut self.epochs,
                base,
                check,
                now_ms,
            )?);
        }
        if !segments.is_empty() {
            self.segments = segments;
        }
        let last = self.segments.len() - 1;
        for segment in &mut self.segments[..last] {
            segment.finish(&self.place)?;
        }
        if self.active().size > 0 {
            self.active().reserve_indexes(&self.place)?;
        }
        Ok(check.map(|check| check.from))
    }

    fn list_segments(&self) -> Result<Vec<i64>, LogError> {
        let dir = &self.place.dir;
        let (mut bases, mut indexes) = (Vec::new(), Vec::new());
        for file in std::fs::read_dir(dir).map_err(LogError::io("list", dir))? {
            let path = file.map_err(LogError::io("list", dir))?.path();
            let base = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| stem.parse::<i64>().ok());
            match path.extension().and_then(|suffix| suffix.to_str()) {
                Some(LOG) => bases.extend(base.filter(|base| *base >= 0)),
                Some(OFFSET_INDEX | TIME_INDEX | TXN_INDEX) => {
                    indexes.extend(base.map(|base| (base, path)));
                }
                // Left by a crash in the middle of a replacement, a deletion or a compaction.
                Some("tmp" | "deleted" | "cleaned") => {
                    super::files::remove_if_there(&path).map_err(LogError::io("remove", &path))?;
                }
                _ => {}
            }
        }
        bases.sort_unstable();
        for (base, path) in indexes {
            if bases.binary_search(&base).is_err() {
                // It would speak for the next segment that begins there.
                super::files::remove_if_there(&path).map_err(LogError::io("remove", &path))?;
            }
        }
        Ok(bases)
    }

    /// Offset after the last batch.
    fn find_end(&self) -> Result<i64, LogError> {
        let active = self.active();
        let mut end = active.base_offset;
        active.visit_last(&self.place, |header| end = header.next_offset())?;
        Ok(end)
    }

    /// What the log knows of its producers, from the newest snapshot and the batches after it.
    pub(super) fn rebuild_producers(&mut self) -> Result<(), LogError> {
        self.rebuild_producers_from(None)
    }

    /// The same; segments from `checked_from` on have been checked, and have no index of aborted transactions yet.
    fn rebuild_producers_from(&mut self, checked_from: Option<i64>) -> Result<(), LogError> {
        let newest = checked_from.map_or(self.end_offset, |base| base.min(self.end_offset));
        let snapshot = snapshot::newest(&self.place, newest)?;
        let (from, producers) = snapshot.unwrap_or_default();
        let from = from.max(self.log_start);
        self.producers = producers;
        for at in 0..self.segments.len() {
            let next_base = self
                .segments
                .get(at + 1)
                .map_or(self.end_offset, |next| next.base_offset);
            if next_base > from {
                self.replay_producers(at, from)?;
            }
        }
        Ok(())
    }

    fn replay_producers(&mut self, at: usize, from: i64) -> Result<(), LogError> {
        let Self {
            segments,
            place,
            producers,
            ..
        } = self;
        let segment = &segments[at];
        let Some(first) = segment.locate(place, from)? else {
            return Ok(());
        };
        let file = segment.log(place)?;
        let mut scan = Scan::headers(&file, u64::from(segment.size));
        let mut position = u64::from(first.position);
        let mut indexed = txn_index::last_offset(place, segment.base_offset)?;
        while let Some(header) = scan
            .header(position)
            .map_err(|error| segment.scan_error(place, error))?
        {
            if header.has_producer() {
                let mut marker = None;
                if header.is_control() {
                    let batch = scan
                        .batch(position, &header)
                        .map_err(|error| segment.scan_error(place, error))?;
                    marker = marker_of(&header, &batch)?;
                }
                let completed = producers.update(&header, marker);
                if let Some(completed) = completed.filter(|txn| txn.aborted && txn.last_offset > indexed) {
                    txn_index::append_completed(place, segment.base_offset, producers, &completed)?;
                    indexed = completed.last_offset;
                }
            }
            position += header.size as u64;
        }
        Ok(())
    }
}

/// What is known of the batches that were checked, one segment after the other.
struct Check {
    from: i64,
    /// The offset that comes next; none where the segment before was not checked.
    next_offset: Option<i64>,
    /// Something had to be cut off.
    cut: bool,
    /// Compaction may have taken records up to here.
    holes_to: i64,
}

impl Check {
    fn new(from: i64, cleaned_to: i64, compacts: bool) -> Self {
        Self {
            from,
            next_offset: None,
            cut: false,
            holes_to: if compacts { i64::MAX } else { cleaned_to },
        }
    }

    /// Can a segment or batch that begins at `offset` be the next.
    fn goes_on_at(&self, offset: i64) -> bool {
        let follows = |next: i64| offset == next || (offset > next && offset <= self.holes_to);
        !self.cut && self.next_offset.is_none_or(follows)
    }
}

/// Checks every batch of a segment and makes its indexes anew. A log ends where a batch is not whole, or is not the one that
/// comes next.
fn recover(
    place: &Place,
    config: &LogConfig,
    epochs: &mut LeaderEpochs,
    base: i64,
    check: &mut Check,
    now_ms: i64,
) -> Result<Segment, LogError> {
    let mut segment = Segment::new(place, base, now_ms);
    let size = segment.file_size(place)?;
    segment.reset_indexes(place)?;
    check.next_offset = Some(base);
    if size == 0 {
        return Ok(segment);
    }
    let file = segment.log(place)?;
    let mut scan = Scan::all(&file, size.min(u64::from(u32::MAX)));
    let stopped = loop {
        let position = u64::from(segment.size);
        let header = match scan.header(position) {
            Ok(Some(header)) => header,
            Ok(None) => break None,
            Err(ScanError::Invalid(error)) => break Some(error.to_string()),
            Err(error) => return Err(segment.scan_error(place, error)),
        };
        if !check.goes_on_at(header.base_offset) || header.last_offset() - base > i64::from(i32::MAX) {
            let next = check.next_offset.unwrap_or(base);
            break Some(format!("offset {} where {next} was to come", header.base_offset));
        }
        match scan.check_crc(position, &header) {
            Ok(()) => {}
            Err(ScanError::Invalid(error)) => break Some(error.to_string()),
            Err(error) => return Err(segment.scan_error(place, error)),
        }
        check.next_offset = Some(header.next_offset());
        if epochs.latest().is_none_or(|latest| latest < header.leader_epoch) {
            epochs.assign(header.leader_epoch, header.base_offset);
        }
        segment.index(place, &header, config.index_interval_bytes);
    };
    if u64::from(segment.size) < size {
        check.cut = true;
        let path = place.path(base, LOG);
        tracing::warn!(
            path = %path.display(), size, kept = segment.size, reason = stopped.unwrap_or_default(),
            "log ends in what is no valid batch: cut off"
        );
        file.set_len(u64::from(segment.size))
            .map_err(LogError::io("truncate", &path))?;
    }
    Ok(segment)
}
