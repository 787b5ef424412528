//! The header of a record batch, format v2 (KIP-98): parsing, checking, patching. Pure.
//!
//! Records themselves are in [`super::record`].

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use thiserror::Error;

use super::codec::Codec;

/// Bytes of a batch before its first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes of a batch that `batchLength` doesn't count: the base offset and the length itself.
pub const LENGTH_PREFIX_BYTES: usize = 12;
/// The only record format since Kafka 4.0.
pub const MAGIC: i8 = 2;

const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
pub(super) const TIMESTAMP_TYPE_BIT: i16 = 1 << 3;
const TRANSACTIONAL_BIT: i16 = 1 << 4;
const CONTROL_BIT: i16 = 1 << 5;
const DELETE_HORIZON_BIT: i16 = 1 << 6;
const CODEC_BITS: i16 = 0b111;

/// Bytes that are no record batch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Fewer bytes than the batch, or its header, has.
    #[error("Record batch is cut off: {have} of {need} bytes")]
    Truncated {
        /// Bytes there.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// A length that can't be.
    #[error("Record size {0} is less than the minimum record overhead")]
    Length(i32),
    /// A format that Kafka 4 no longer knows, or never did.
    #[error("Record batch has unsupported magic {0}")]
    Magic(i8),
    /// The checksum doesn't match.
    #[error("Record is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Crc {
        /// CRC-32C in the header.
        stored: u32,
        /// CRC-32C of the bytes.
        computed: u32,
    },
    /// Codec bits 5 to 7.
    #[error("Unknown compression type id: {0}")]
    Codec(i16),
    /// Negative counts or offsets.
    #[error("Record batch header is invalid: {0}")]
    Header(&'static str),
    /// The records inside don't match the format or the header.
    #[error("{0}")]
    Records(String),
    /// The records don't decompress.
    #[error("Failed to decompress record stream: {0}")]
    Decompress(String),
    /// The records decompress to more than the limit.
    #[error("Record batch holds more than {limit} bytes when decompressed")]
    DecompressedTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
}

/// No record of any format is smaller: an old format's header, and what comes before it.
const LEAST_RECORD_BYTES: usize = LENGTH_PREFIX_BYTES + 14;

impl BatchError {
    /// The error code a producer gets for this.
    pub fn code(&self) -> ResponseError {
        match self {
            Self::Truncated { .. } | Self::Length(_) | Self::Crc { .. } => ResponseError::CorruptMessage,
            Self::Magic(_) | Self::Header(_) | Self::Records(_) => ResponseError::InvalidRecord,
            Self::Codec(_) => ResponseError::UnsupportedCompressionType,
            Self::DecompressedTooLarge { .. } => ResponseError::MessageTooLarge,
            // Kafka's own answer to a stream that doesn't decompress.
            Self::Decompress(_) => ResponseError::UnknownServerError,
        }
    }
}

/// What the timestamps of a batch mean (topic config `message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// Set by the producer.
    #[default]
    CreateTime,
    /// Set by the broker on append.
    LogAppendTime,
}

/// The header of one record batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Size of the whole batch, in bytes.
    pub size: usize,
    /// Epoch of the leader that wrote the batch.
    pub leader_epoch: i32,
    /// CRC-32C of everything after it.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: i16,
    /// Offset of the last record, from the base offset.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas count from; the delete horizon where that flag is set.
    pub base_timestamp: i64,
    /// Largest timestamp of the records, or the append time.
    pub max_timestamp: i64,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 for none.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads a header from the start of `bytes`, which may end after the header. The CRC is not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() < HEADER_BYTES {
            return Err(short_header(bytes));
        }
        let mut buf = bytes;
        let base_offset = buf.get_i64();
        let length = buf.get_i32();
        let leader_epoch = buf.get_i32();
        let magic = buf.get_i8();
        let size = usize::try_from(length).map_err(|_| BatchError::Length(length))? + LENGTH_PREFIX_BYTES;
        if size < LEAST_RECORD_BYTES {
            return Err(BatchError::Length(length));
        }
        if magic != MAGIC {
            return Err(BatchError::Magic(magic));
        }
        if size < HEADER_BYTES {
            return Err(BatchError::Length(length));
        }
        let header = Self {
            base_offset,
            size,
            leader_epoch,
            crc: buf.get_u32(),
            attributes: buf.get_i16(),
            last_offset_delta: buf.get_i32(),
            base_timestamp: buf.get_i64(),
            max_timestamp: buf.get_i64(),
            producer_id: buf.get_i64(),
            producer_epoch: buf.get_i16(),
            base_sequence: buf.get_i32(),
            record_count: buf.get_i32(),
        };
        header.codec()?;
        if header.last_offset_delta < 0
            || header
                .base_offset
                .checked_add(i64::from(header.last_offset_delta))
                .is_none()
        {
            return Err(BatchError::Header("last offset delta"));
        }
        if header.record_count < 0 {
            return Err(BatchError::Header("record count"));
        }
        Ok(header)
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// Sequence number of the last record, -1 without a sequence; wraps to 0 after `i32::MAX`.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        (i64::from(self.base_sequence) + i64::from(self.last_offset_delta)).rem_euclid(1 << 31) as i32
    }

    /// How the records are compressed.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let id = self.attributes & CODEC_BITS;
        Codec::from_id(id).ok_or(BatchError::Codec(id))
    }

    /// What the timestamps mean.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// A transaction marker or another control record.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Compaction has set a delete horizon in place of the base timestamp.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON_BIT != 0
    }

    /// From an idempotent or transactional producer.
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The header as bytes, its CRC computed over itself and `records`.
    pub(super) fn seal(&mut self, records: &[u8]) -> [u8; HEADER_BYTES] {
        let mut bytes = self.to_bytes();
        self.crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[CRC_FROM..]), records);
        bytes[CRC_AT..CRC_FROM].copy_from_slice(&self.crc.to_be_bytes());
        bytes
    }

    /// The header as bytes, with the CRC it has.
    pub(super) fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut buf = &mut bytes[..];
        buf.put_i64(self.base_offset);
        buf.put_i32((self.size - LENGTH_PREFIX_BYTES) as i32);
        buf.put_i32(self.leader_epoch);
        buf.put_i8(MAGIC);
        buf.put_u32(self.crc);
        buf.put_i16(self.attributes);
        buf.put_i32(self.last_offset_delta);
        buf.put_i64(self.base_timestamp);
        buf.put_i64(self.max_timestamp);
        buf.put_i64(self.producer_id);
        buf.put_i16(self.producer_epoch);
        buf.put_i32(self.base_sequence);
        buf.put_i32(self.record_count);
        bytes
    }

    pub(super) fn set_codec(&mut self, codec: Codec) {
        self.attributes = (self.attributes & !CODEC_BITS) | codec.id();
    }

    /// Records of this batch that wait to be removed may go at this time; record timestamps count from it now (KIP-534).
    pub(super) fn set_delete_horizon(&mut self, at_ms: i64) {
        self.attributes |= DELETE_HORIZON_BIT;
        self.base_timestamp = at_ms;
    }

    pub(super) fn clear_delete_horizon(&mut self) {
        self.attributes &= !DELETE_HORIZON_BIT;
    }

    pub(super) fn set_append_time(&mut self, now_ms: i64) {
        self.attributes |= TIMESTAMP_TYPE_BIT;
        self.max_timestamp = now_ms;
    }
}

fn short_header(bytes: &[u8]) -> BatchError {
    match bytes.get(MAGIC_AT) {
        // v0 and v1 message sets may be shorter than a v2 header.
        Some(&magic) if magic as i8 != MAGIC => BatchError::Magic(magic as i8),
        _ => BatchError::Truncated {
            have: bytes.len(),
            need: HEADER_BYTES,
        },
    }
}

/// Checks the CRC of one whole batch.
pub fn check_crc(batch: &[u8]) -> Result<(), BatchError> {
    let Some(rest) = batch.get(CRC_FROM..) else {
        return Err(BatchError::Truncated {
            have: batch.len(),
            need: HEADER_BYTES,
        });
    };
    let stored = (&batch[CRC_AT..]).get_u32();
    let computed = crc32c::crc32c(rest);
    if stored == computed {
        Ok(())
    } else {
        Err(BatchError::Crc { stored, computed })
    }
}

/// The batches in `bytes`, one after the other; ends with the first error. CRCs are not checked.
pub fn batches(bytes: &Bytes) -> impl Iterator<Item = Result<(BatchHeader, Bytes), BatchError>> + use<> {
    let mut rest = bytes.clone();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = BatchHeader::parse(&rest).and_then(|header| {
            if rest.len() < header.size {
                return Err(BatchError::Truncated {
                    have: rest.len(),
                    need: header.size,
                });
            }
            let batch = rest.split_to(header.size);
            Ok((header, batch))
        });
        if next.is_err() {
            rest.clear();
        }
        Some(next)
    })
}

/// A batch from its header and its (already compressed) records.
pub(super) fn assemble(header: &mut BatchHeader, records: &[u8]) -> Bytes {
    header.size = HEADER_BYTES + records.len();
    let sealed = header.seal(records);
    let mut bytes = BytesMut::with_capacity(header.size);
    bytes.put_slice(&sealed);
    bytes.put_slice(records);
    bytes.freeze()
}
