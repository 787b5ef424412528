//! `.snapshot` files: what a log knew of its producers when it reached an offset, in Kafka's format, so that opening
//! the log reads only what came after.

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::{Buf, BufMut};

use super::dump::SnapshotDamage;
use super::error::LogError;
use super::files::{remove_if_there, replace};
use super::producers::{BatchMeta, ProducerEntry, ProducerStates};
use super::segment::{Place, SNAPSHOT, Segment};

const VERSION: i16 = 1;
const ENTRY_BYTES: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// Writes the producers as of `offset`.
pub(super) fn write(
    place: &Place,
    offset: i64,
    producers: &ProducerStates,
    sync: bool,
) -> Result<(), LogError> {
    let path = place.path(offset, SNAPSHOT);
    replace(&path, &encode(producers), sync).map_err(LogError::io("write", &path))
}

/// The newest readable snapshot that is not beyond `end`, and its offset.
pub(super) fn newest(place: &Place, end: i64) -> Result<Option<(i64, ProducerStates)>, LogError> {
    for (offset, path) in list(place)?
        .into_iter()
        .rev()
        .filter(|(offset, _)| *offset <= end)
    {
        let bytes = std::fs::read(&path).map_err(LogError::io("read", &path))?;
        if let Ok(producers) = decode(&bytes) {
            return Ok(Some((offset, producers)));
        }
        tracing::warn!(path = %path.display(), "producer snapshot is damaged, an older one is used");
    }
    Ok(None)
}

/// Removes the snapshots beyond `end`: the log no longer holds what they speak of.
pub(super) fn remove_after(place: &Place, end: i64) -> Result<(), LogError> {
    for (_, path) in list(place)?.into_iter().filter(|(offset, _)| *offset > end) {
        remove_if_there(&path).map_err(LogError::io("remove", &path))?;
    }
    Ok(())
}

/// Removes snapshots that belong to no segment's start, except the newest: older stops in order have left them.
pub(super) fn remove_stray(place: &Place, segments: &[Segment]) -> Result<(), LogError> {
    let mut all = list(place)?;
    all.pop();
    let stray = |offset: i64| !segments.iter().any(|segment| segment.base_offset == offset);
    for (_, path) in all.into_iter().filter(|(offset, _)| stray(*offset)) {
        remove_if_there(&path).map_err(LogError::io("remove", &path))?;
    }
    Ok(())
}

fn list(place: &Place) -> Result<Vec<(i64, PathBuf)>, LogError> {
    let dir = &place.dir;
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).map_err(LogError::io("list", dir))? {
        let path = file.map_err(LogError::io("list", dir))?.path();
        let offset = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse().ok());
        if let Some(offset) = offset.filter(|_| path.extension().is_some_and(|suffix| suffix == SNAPSHOT)) {
            found.push((offset, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub(super) fn encode(producers: &ProducerStates) -> Vec<u8> {
    let mut entries: Vec<_> = producers.iter().collect();
    entries.sort_unstable_by_key(|(id, _)| *id);
    let mut body = Vec::with_capacity(4 + entries.len() * ENTRY_BYTES);
    body.put_i32(entries.len() as i32);
    for (id, entry) in entries {
        let last = entry.batches.back();
        body.put_i64(id);
        body.put_i16(entry.epoch);
        body.put_i32(entry.last_sequence());
        body.put_i64(last.map_or(-1, |batch| batch.last_offset));
        body.put_i32(last.map_or(0, |batch| batch.offset_delta));
        body.put_i64(entry.last_timestamp);
        body.put_i32(entry.coordinator_epoch);
        body.put_i64(entry.txn_first_offset.unwrap_or(-1));
    }
    let mut bytes = Vec::with_capacity(6 + body.len());
    bytes.put_i16(VERSION);
    bytes.put_u32(crc32c::crc32c(&body));
    bytes.extend_from_slice(&body);
    bytes
}

pub(super) fn decode(mut bytes: &[u8]) -> Result<ProducerStates, SnapshotDamage> {
    let version = bytes.try_get_i16().map_err(|_| SnapshotDamage::Shape)?;
    if version != VERSION {
        return Err(SnapshotDamage::Version(version));
    }
    let stored = bytes.try_get_u32().map_err(|_| SnapshotDamage::Shape)?;
    let computed = crc32c::crc32c(bytes);
    let count = bytes.try_get_i32().map_err(|_| SnapshotDamage::Shape)?;
    let wanted = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(ENTRY_BYTES));
    if wanted != Some(bytes.len()) {
        return Err(SnapshotDamage::Shape);
    }
    if stored != computed {
        return Err(SnapshotDamage::Checksum { stored, computed });
    }
    let entries = bytes.chunks_exact(ENTRY_BYTES).map(|mut entry| {
        let id = entry.get_i64();
        let epoch = entry.get_i16();
        let last_sequence = entry.get_i32();
        let last_offset = entry.get_i64();
        let offset_delta = entry.get_i32();
        let timestamp = entry.get_i64();
        let coordinator_epoch = entry.get_i32();
        let txn_first_offset = Some(entry.get_i64()).filter(|offset| *offset >= 0);
        let batch = BatchMeta {
            last_sequence,
            last_offset,
            offset_delta,
            timestamp,
        };
        let batches: VecDeque<_> = (last_offset >= 0).then_some(batch).into_iter().collect();
        (
            id,
            ProducerEntry {
                epoch,
                batches,
                coordinator_epoch,
                last_timestamp: timestamp,
                txn_first_offset,
            },
        )
    });
    Ok(ProducerStates::from_entries(entries))
}
