//! The log as a whole, on real files.

mod append_read;
mod compaction;
mod crash;
mod kafka_tools;
mod maintenance;
mod producers;
mod validation;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::*;

/// A log of its own in a folder that vanishes.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) config: LogConfig,
}

pub(super) const NOW: i64 = 1_700_000_000_000;
pub(super) const TOPIC_ID: Uuid = Uuid::from_u128(7);

impl Bench {
    pub(super) fn new(config: LogConfig) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            config,
        }
    }

    pub(super) fn dir(&self) -> std::path::PathBuf {
        self.folder.path().join("rides-0")
    }

    pub(super) fn open(&self) -> PartitionLog {
        self.open_known(Known::NOTHING)
    }

    pub(super) fn open_known(&self, known: Known) -> PartitionLog {
        let files = Arc::new(FileCache::new(8));
        PartitionLog::open(&self.dir(), TOPIC_ID, &files, self.config.clone(), known, NOW).unwrap()
    }
}

pub(super) fn record(value: &str, timestamp_ms: i64) -> NewRecord {
    NewRecord {
        timestamp_ms,
        key: Some("k".into()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

/// A batch of `count` records named after `name`, one millisecond apart.
pub(crate) fn batch(name: &str, count: usize) -> ValidBatch {
    batch_at(name, count, NOW)
}

pub(super) fn batch_at(name: &str, count: usize, timestamp_ms: i64) -> ValidBatch {
    let records: Vec<_> = (0..count)
        .map(|i| record(&format!("{name}-{i}"), timestamp_ms + i as i64))
        .collect();
    build_batch(&records, BatchOptions::default()).unwrap()
}

pub(super) fn append(log: &mut PartitionLog, batch: &ValidBatch) -> Appended {
    let header = batch.header();
    if header.is_transactional() {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        log.start_verification(id, epoch, header.base_sequence, false, NOW)
            .unwrap();
    }
    match log.append(batch, 0, NOW).unwrap() {
        Append::Written(appended) => appended,
        Append::Duplicate { .. } => panic!("a duplicate"),
    }
}

/// Every record from `offset` on: offset and value.
pub(super) fn read_from(log: &PartitionLog, mut offset: i64) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    loop {
        let bytes = log.read(offset, 4096, i64::MAX, true).unwrap().read().unwrap();
        if bytes.is_empty() {
            return all;
        }
        for whole in batches(&bytes).map_while(Result::ok) {
            for record in batch_records(&whole.1, 1 << 20).unwrap() {
                if record.offset >= offset {
                    let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap();
                    all.push((record.offset, value));
                }
            }
        }
        offset = all.last().unwrap().0 + 1;
    }
}

pub(super) fn read_all(log: &PartitionLog) -> Vec<(i64, String)> {
    read_from(log, log.start_offset())
}

pub(super) fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
