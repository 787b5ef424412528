//! The end of the process in the middle of a step: between any two writes, or in one. The core's ports are wrapped, and
//! the one that is the last panics in its own way; nothing of the core is asked after that.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use crate::core::Outside;
use crate::core::journal::Record;
use crate::core::ports::{ActiveProducer, FirstBatch, Ids, Journal, LogPosition, ReplicaLog, Storage};
use crate::log::{
    Append, EpochEnd, LogConfig, LogError, LogSlice, NewMarker, TimestampOffset, TimestampQuery, ValidBatch,
};

/// What a wrapped port panics with.
pub(super) struct Killed;

/// Counts writes down to the last one.
#[derive(Clone, Default)]
pub(super) struct Fuse(Arc<Mutex<Option<Burning>>>);

struct Burning {
    writes: u32,
    rng: StdRng,
}

impl Fuse {
    /// The process ends with the write after this many.
    pub(super) fn light(&self, writes: u32, seed: u64) {
        let rng = StdRng::seed_from_u64(seed);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Burning { writes, rng });
    }

    /// It does not, for now.
    pub(super) fn put_out(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Chance, where this write is the last one.
    fn burn(&self) -> Option<StdRng> {
        let mut burning = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = burning.as_mut()?;
        if state.writes > 0 {
            state.writes -= 1;
            return None;
        }
        burning.take().map(|state| state.rng)
    }

    /// Writes to a file in `folder`; as the last write it is left out, torn, or whole.
    fn write<T>(&self, folder: &Path, write: impl FnOnce() -> T) -> T {
        let Some(mut rng) = self.burn() else {
            return write();
        };
        if rng.random_bool(0.7) {
            let before = newest(folder);
            let _ = write();
            if rng.random_bool(0.6) {
                tear(before, newest(folder), &mut rng);
            }
        }
        std::panic::resume_unwind(Box::new(Killed))
    }
}

/// The file that appends go to, and its length.
fn newest(folder: &Path) -> Option<(PathBuf, u64)> {
    let files = std::fs::read_dir(folder).ok()?;
    let logs = files
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    let path = logs.map(|file| file.path()).max()?;
    let len = std::fs::metadata(&path).ok()?.len();
    Some((path, len))
}

/// Cuts off some of what a file has gained.
fn tear(before: Option<(PathBuf, u64)>, after: Option<(PathBuf, u64)>, rng: &mut StdRng) {
    let Some((path, len)) = after else { return };
    let from = before.map_or(0, |(was, len)| if was == path { len } else { 0 });
    if from < len {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(rng.random_range(from..len)).unwrap();
    }
}

/// Ids that a history's seed leads to; they go on when the process starts again.
#[derive(Clone)]
pub(super) struct SeededIds(Arc<Mutex<StdRng>>);

impl SeededIds {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }
}

impl Ids for SeededIds {
    fn uuid(&mut self) -> uuid::Uuid {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).random();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// Puts a fuse to the ports of a cluster whose data is in `data`, and gives it ids.
pub(super) fn wrap(outside: Outside, data: &Path, fuse: &Fuse, ids: &SeededIds) -> Outside {
    let storage = outside.storage.into_iter().map(|(id, inner)| {
        let fragile = FragileStorage {
            inner,
            fuse: fuse.clone(),
        };
        (id, Box::new(fragile) as Box<dyn Storage>)
    });
    Outside {
        storage: storage.collect(),
        journal: Box::new(FragileJournal {
            inner: outside.journal,
            fuse: fuse.clone(),
            data: data.to_owned(),
        }),
        ids: Box::new(ids.clone()),
        ..outside
    }
}

struct FragileJournal {
    inner: Box<dyn Journal>,
    fuse: Fuse,
    data: PathBuf,
}

impl Journal for FragileJournal {
    fn append(&mut self, records: &[Record]) -> std::io::Result<()> {
        self.fuse.write(&self.data, || self.inner.append(records))
    }

    fn compact(&mut self, records: &[Record]) -> std::io::Result<()> {
        self.inner.compact(records)
    }

    fn force(&mut self) -> std::io::Result<()> {
        self.fuse.write(&self.data, || self.inner.force())
    }
}

struct FragileStorage {
    inner: Box<dyn Storage>,
    fuse: Fuse,
}

impl Storage for FragileStorage {
    fn open(
        &mut self,
        topic: &str,
        partition: i32,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Box<dyn ReplicaLog>, LogError> {
        let folder = PathBuf::from(self.inner.path()).join(format!("{topic}-{partition}"));
        let inner = self.inner.open(topic, partition, topic_id, config, now_ms)?;
        Ok(Box::new(FragileLog {
            inner,
            fuse: self.fuse.clone(),
            folder,
        }))
    }

    fn checkpoint(&mut self, positions: &[LogPosition]) {
        let folder = PathBuf::from(self.inner.path());
        self.fuse.write(&folder, || self.inner.checkpoint(positions));
    }

    fn path(&self) -> String {
        self.inner.path()
    }

    fn directory_id(&self) -> Uuid {
        self.inner.directory_id()
    }

    fn volume_bytes(&self) -> Option<(u64, u64)> {
        self.inner.volume_bytes()
    }

    fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        self.inner.high_watermark(topic, partition)
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        self.inner.reopen()
    }

    fn remove_strays(&mut self, keep: &dyn Fn(&str, i32, Option<Uuid>) -> bool) {
        self.inner.remove_strays(keep);
    }

    fn close(&mut self) {
        let folder = PathBuf::from(self.inner.path());
        self.fuse.write(&folder, || self.inner.close());
    }

    fn sweep(&mut self, now_ms: i64) -> Option<i64> {
        self.inner.sweep(now_ms)
    }

    fn abandon(&mut self) {
        self.inner.abandon();
    }
}

struct FragileLog {
    inner: Box<dyn ReplicaLog>,
    fuse: Fuse,
    folder: PathBuf,
}

impl ReplicaLog for FragileLog {
    fn append(&mut self, batch: &ValidBatch, leader_epoch: i32, now_ms: i64) -> Result<Append, LogError> {
        self.fuse
            .write(&self.folder, || self.inner.append(batch, leader_epoch, now_ms))
    }

    fn append_replicated(&mut self, records: &Bytes, now_ms: i64) -> Result<(), LogError> {
        self.fuse
            .write(&self.folder, || self.inner.append_replicated(records, now_ms))
    }

    fn truncate_to(&mut self, offset: i64) -> Result<(), LogError> {
        self.fuse.write(&self.folder, || self.inner.truncate_to(offset))
    }

    fn truncate_fully(&mut self, offset: i64) -> Result<(), LogError> {
        self.fuse
            .write(&self.folder, || self.inner.truncate_fully(offset))
    }

    fn begin_epoch(&mut self, epoch: i32) -> Result<(), LogError> {
        self.fuse.write(&self.folder, || self.inner.begin_epoch(epoch))
    }

    fn delete_records_before(&mut self, offset: i64, high_watermark: i64) -> Result<i64, LogError> {
        self.fuse.write(&self.folder, || {
            self.inner.delete_records_before(offset, high_watermark)
        })
    }

    fn enforce_retention(&mut self, now_ms: i64, high_watermark: i64) -> Result<(), LogError> {
        self.fuse.write(&self.folder, || {
            self.inner.enforce_retention(now_ms, high_watermark)
        })
    }

    fn compact(&mut self, now_ms: i64, high_watermark: i64) -> Result<(), LogError> {
        self.fuse
            .write(&self.folder, || self.inner.compact(now_ms, high_watermark))
    }

    fn flush_if_due(&mut self, now_ms: i64) -> Result<(), LogError> {
        self.fuse.write(&self.folder, || self.inner.flush_if_due(now_ms))
    }

    fn append_marker(&mut self, marker: &NewMarker, leader_epoch: i32, now_ms: i64) -> Result<i64, LogError> {
        self.fuse.write(&self.folder, || {
            self.inner.append_marker(marker, leader_epoch, now_ms)
        })
    }

    fn make_folder(&mut self) -> Result<(), LogError> {
        self.fuse.write(&self.folder, || self.inner.make_folder())
    }

    fn has_folder(&self) -> bool {
        self.inner.has_folder()
    }

    fn close(&mut self) -> Result<(), LogError> {
        self.fuse.write(&self.folder, || self.inner.close())
    }

    fn latest_epoch(&self) -> Option<i32> {
        self.inner.latest_epoch()
    }

    fn read(
        &self,
        offset: i64,
        max_bytes: u32,
        upper_bound: i64,
        min_one: bool,
    ) -> Result<LogSlice, LogError> {
        self.inner.read(offset, max_bytes, upper_bound, min_one)
    }

    fn start_offset(&self) -> i64 {
        self.inner.start_offset()
    }

    fn end_offset(&self) -> i64 {
        self.inner.end_offset()
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        self.inner.last_stable_offset(high_watermark)
    }

    fn offset_for_timestamp(&self, query: TimestampQuery) -> Result<Option<TimestampOffset>, LogError> {
        self.inner.offset_for_timestamp(query)
    }

    fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.inner.epoch_at(offset)
    }

    fn offset_for_leader_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        self.inner.offset_for_leader_epoch(epoch)
    }

    fn cleaned_to(&self) -> i64 {
        self.inner.cleaned_to()
    }

    fn set_config(&mut self, config: LogConfig) {
        self.inner.set_config(config);
    }

    fn start_verification(&mut self, first: &FirstBatch, now_ms: i64) -> Result<bool, LogError> {
        self.inner.start_verification(first, now_ms)
    }

    fn high_watermark_advanced(&mut self, high_watermark: i64) {
        self.inner.high_watermark_advanced(high_watermark);
    }

    fn aborted_transactions(&self, from: i64, slice: &LogSlice) -> Vec<(i64, i64)> {
        self.inner.aborted_transactions(from, slice)
    }

    fn active_producers(&self) -> Vec<ActiveProducer> {
        self.inner.active_producers()
    }

    fn recovery_point(&self) -> i64 {
        self.inner.recovery_point()
    }

    fn delete(self: Box<Self>, delay_ms: i64) -> Result<(), LogError> {
        self.inner.delete(delay_ms)
    }
}
