//! `.txnindex`: the aborted transactions of a segment, in Kafka's format. The file is there once there is one.

use std::io::{ErrorKind, Write};

use bytes::{Buf, BufMut};

use super::error::LogError;
use super::files::{open_append, replace};
use super::producers::{CompletedTxn, ProducerStates};
use super::segment::{Place, Segment, TXN_INDEX};

const VERSION: i16 = 0;
const ENTRY_BYTES: usize = 34;

/// A transaction that was aborted: readers of committed records skip its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    /// The producer.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
    /// Offset of the marker.
    pub last_offset: i64,
    /// The last stable offset once it was aborted: nothing at or above it is in an earlier entry.
    pub last_stable_offset: i64,
}

/// Aborted transactions with records in `from` (inclusive) to `upper` (exclusive), from the segment of `from` on.
pub(super) fn collect(
    place: &Place,
    segments: &[Segment],
    from: i64,
    upper: i64,
) -> Result<Vec<AbortedTxn>, LogError> {
    let mut found = Vec::new();
    for segment in segments {
        for aborted in read(place, segment.base_offset)? {
            if aborted.last_offset >= from && aborted.first_offset < upper {
                found.push(aborted);
            }
            if aborted.last_stable_offset >= upper {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Takes note of a transaction that `producers` has just seen aborted.
pub(super) fn append_completed(
    place: &Place,
    base_offset: i64,
    producers: &ProducerStates,
    completed: &CompletedTxn,
) -> Result<(), LogError> {
    let aborted = AbortedTxn {
        producer_id: completed.producer_id,
        first_offset: completed.first_offset,
        last_offset: completed.last_offset,
        last_stable_offset: producers.stable_offset_after(completed),
    };
    let path = place.path(base_offset, TXN_INDEX);
    let written = open_append(&path).and_then(|mut file| file.write_all(&encode(aborted)));
    written.map_err(LogError::io("append to", &path))
}

/// Replaces the transactions of a segment.
pub(super) fn write(place: &Place, base_offset: i64, aborted: &[AbortedTxn]) -> Result<(), LogError> {
    if aborted.is_empty() {
        return Ok(());
    }
    let path = place.path(base_offset, TXN_INDEX);
    let bytes: Vec<u8> = aborted.iter().flat_map(|aborted| encode(*aborted)).collect();
    replace(&path, &bytes, false).map_err(LogError::io("write", &path))
}

/// Offset of the marker of a segment's last entry, -1 for none.
pub(super) fn last_offset(place: &Place, base_offset: i64) -> Result<i64, LogError> {
    Ok(read(place, base_offset)?
        .last()
        .map_or(-1, |aborted| aborted.last_offset))
}

/// Forgets the transactions that ended at or above `end`, and an entry that was not written whole.
pub(super) fn truncate(place: &Place, segments: &[Segment], end: i64) -> Result<(), LogError> {
    for segment in segments {
        let path = place.path(segment.base_offset, TXN_INDEX);
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        let all = read(place, segment.base_offset)?;
        let kept: Vec<u8> = all
            .iter()
            .filter(|aborted| aborted.last_offset < end)
            .flat_map(|aborted| encode(*aborted))
            .collect();
        if kept.len() as u64 != metadata.len() {
            replace(&path, &kept, false).map_err(LogError::io("write", &path))?;
        }
    }
    Ok(())
}

fn read(place: &Place, base_offset: i64) -> Result<Vec<AbortedTxn>, LogError> {
    let path = place.path(base_offset, TXN_INDEX);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(decode_all(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(LogError::io("read", &path)(error)),
    }
}

/// The entries of a file; one that was not written whole is left out.
pub(super) fn decode_all(bytes: &[u8]) -> Vec<AbortedTxn> {
    bytes.chunks_exact(ENTRY_BYTES).map(decode).collect()
}

fn encode(aborted: AbortedTxn) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    let mut buf = &mut bytes[..];
    buf.put_i16(VERSION);
    buf.put_i64(aborted.producer_id);
    buf.put_i64(aborted.first_offset);
    buf.put_i64(aborted.last_offset);
    buf.put_i64(aborted.last_stable_offset);
    bytes
}

fn decode(mut entry: &[u8]) -> AbortedTxn {
    let _version = entry.get_i16();
    AbortedTxn {
        producer_id: entry.get_i64(),
        first_offset: entry.get_i64(),
        last_offset: entry.get_i64(),
        last_stable_offset: entry.get_i64(),
    }
}
