//! The files of a log as whoever prints them sees them: from their bytes, without opening the log.

use bytes::Bytes;

use super::batch::{BatchError, BatchHeader, HEADER_BYTES};
use super::index::{Entry, OffsetEntry, TimeEntry};
use super::producers::ProducerStates;
use super::record::{RecordView, batch_records, header_keys};
use super::txn_index::{self, AbortedTxn};
use super::{codec, snapshot};

/// A record with what only a reader of files asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpedRecord {
    /// Offset, timestamp, key and value.
    pub record: RecordView,
    /// Its sequence number, -1 for none.
    pub sequence: i32,
    /// The keys of its headers.
    pub header_keys: Vec<String>,
}

/// The records of one batch. `limit` bounds the decompressed bytes.
pub fn dumped_records(batch: &Bytes, limit: u64) -> Result<Vec<DumpedRecord>, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let views = batch_records(batch, limit)?;
    let records = codec::decompress(header.codec()?, batch.slice(HEADER_BYTES..header.size), limit)?;
    let keys = header_keys(&header, &records)?;
    let dumped = views.into_iter().zip(keys).map(|(record, header_keys)| {
        let delta = record.offset - header.base_offset;
        let sequence = if header.base_sequence < 0 {
            -1
        } else {
            (i64::from(header.base_sequence) + delta).rem_euclid(1 << 31) as i32
        };
        DumpedRecord {
            record,
            sequence,
            header_keys,
        }
    });
    Ok(dumped.collect())
}

/// The entries of a `.index` file: the last offset of a batch, and where the batch starts in the log file.
pub fn dumped_offset_index(bytes: &[u8], base_offset: i64) -> Vec<(i64, u32)> {
    let entries = bytes.chunks_exact(OffsetEntry::BYTES).map(OffsetEntry::parse);
    entries
        .map(|entry| (base_offset + i64::from(entry.relative_offset), entry.position))
        .collect()
}

/// The entries of a `.timeindex` file: the largest timestamp so far (ms since 1970), and the offset of its batch.
pub fn dumped_time_index(bytes: &[u8], base_offset: i64) -> Vec<(i64, i64)> {
    let entries = bytes.chunks_exact(TimeEntry::BYTES).map(TimeEntry::parse);
    entries
        .map(|entry| (entry.timestamp, base_offset + i64::from(entry.relative_offset)))
        .collect()
}

/// The entries of a `.txnindex` file.
pub fn dumped_txn_index(bytes: &[u8]) -> Vec<AbortedTxn> {
    txn_index::decode_all(bytes)
}

/// Why a `.snapshot` file can't be read, in the words of Kafka's `ProducerStateManager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotDamage {
    /// It is of another layout.
    #[error("Snapshot contained an unknown file version {0}")]
    Version(i16),
    /// It is too short, or too long, for what it says that it holds.
    #[error("Snapshot failed schema validation: null")]
    Shape,
    /// A byte of it has changed.
    #[error("Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}")]
    Checksum {
        /// The checksum in the file.
        stored: u32,
        /// That of its bytes.
        computed: u32,
    },
}

/// What a `.snapshot` file knows of producers.
///
/// # Errors
/// The file is damaged.
pub fn dumped_snapshot(bytes: &[u8]) -> Result<ProducerStates, SnapshotDamage> {
    snapshot::decode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{BatchOptions, NewRecord, build_batch};

    #[test]
    fn records_have_their_sequence_and_index_entries_their_offsets() {
        let records = [1, 2].map(|at| NewRecord {
            timestamp_ms: at,
            key: None,
            value: Some(Bytes::from_static(b"v")),
        });
        let options = BatchOptions {
            producer_id: 7,
            producer_epoch: 0,
            base_sequence: i32::MAX,
            ..BatchOptions::default()
        };
        let batch = build_batch(&records, options).unwrap();
        let dumped = dumped_records(batch.bytes(), 1024).unwrap();
        assert_eq!(
            dumped.iter().map(|record| record.sequence).collect::<Vec<_>>(),
            [i32::MAX, 0]
        );
        assert!(dumped[0].header_keys.is_empty());
        assert_eq!(dumped_offset_index(&[0, 0, 0, 5, 0, 0, 1, 0, 9], 10), [(15, 256)]);
        assert!(dumped_txn_index(&[0; 33]).is_empty());
        assert_eq!(dumped_snapshot(&[1, 2, 3]), Err(SnapshotDamage::Version(258)));
        assert_eq!(dumped_snapshot(&[0]), Err(SnapshotDamage::Shape));
        let none = snapshot::encode(&ProducerStates::default());
        assert_eq!(dumped_snapshot(&none), Ok(ProducerStates::default()));
        let mut changed = none;
        changed[2] ^= 1;
        let said = dumped_snapshot(&changed).unwrap_err().to_string();
        assert!(
            said.starts_with("Snapshot is corrupt (CRC is no longer valid). Stored crc: "),
            "{said}"
        );
    }
}
