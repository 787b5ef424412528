//! May a batch be appended? Kafka's rules for what a producer sends, as a stateless function, so that it runs where
//! the request was read and not where the log is written.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use thiserror::Error;

use super::batch::{
    BatchError, BatchHeader, HEADER_BYTES, TIMESTAMP_TYPE_BIT, TimestampType, assemble, check_crc,
};
use super::codec::{self, Codec};
use super::record;

/// Refused records named in one answer. Kafka names all, which lets a peer buy megabytes with a few bytes.
pub const MAX_RECORD_ERRORS: usize = 1000;

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A producer.
    Client,
    /// A coordinator of this cluster: control batches are allowed.
    Coordinator,
}

/// The topic's configuration, as far as validation needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceRules {
    /// Who appends.
    pub origin: Origin,
    /// `max.message.bytes`: largest batch, in bytes, after (re)compression.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
    /// `compression.type`; none is `producer`: keep what the producer chose.
    pub compression: Option<Codec>,
    /// How many bytes a batch may decompress to. Kafka has no such limit.
    pub max_decompressed_bytes: u64,
}

/// Why a compacted topic refuses a record without a key.
pub const NO_KEY: &str = "Compacted topic cannot accept message without key";

/// One record of a refused batch, and why (`record_errors` of a Produce response).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Index of the record in its batch.
    pub index: i32,
    /// Kafka's message.
    pub message: String,
}

/// Why a batch is refused. Where it has [`record_errors`](Self::record_errors), `Display` is the `error_message` of a
/// Produce response; elsewhere that has none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidBatch {
    /// The bytes are no record batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Not exactly one batch.
    #[error(
        "Produce requests with version 3 or later are required to have exactly one record batch per partition"
    )]
    NotOneBatch,
    /// The header contradicts itself, or has what producers may not send.
    #[error("{0}")]
    Rule(String),
    /// Larger than `max.message.bytes`.
    #[error(
        "The record batch size is {size} bytes which exceeds the maximum configured value of {limit} bytes"
    )]
    TooLarge {
        /// Size of the batch, in bytes.
        size: usize,
        /// `max.message.bytes`.
        limit: u32,
    },
    /// Timestamps out of the allowed range, or of the wrong type.
    #[error("One or more records have been rejected due to invalid timestamp")]
    Timestamps(Vec<RecordError>),
    /// Records that the topic doesn't take.
    #[error("One or more records have been rejected due to {} record errors in total", .0.len())]
    Records(Vec<RecordError>),
}

impl InvalidBatch {
    /// The error code of the Produce response.
    pub fn code(&self) -> ResponseError {
        match self {
            // Kafka's codec table has no such line, and its answer no better word.
            Self::Batch(BatchError::Codec(_)) => ResponseError::UnknownServerError,
            Self::Batch(BatchError::Magic(magic)) if !(0..=2).contains(magic) => {
                ResponseError::CorruptMessage
            }
            // A part of a batch is no batch.
            Self::Batch(BatchError::Truncated { .. })
            | Self::NotOneBatch
            | Self::Rule(_)
            | Self::Records(_) => ResponseError::InvalidRecord,
            Self::Batch(error) => error.code(),
            Self::TooLarge { .. } => ResponseError::MessageTooLarge,
            Self::Timestamps(_) => ResponseError::InvalidTimestamp,
        }
    }

    /// Does Kafka find it when it reads the request, before it looks at the log; the answer then has no log start.
    pub fn is_before_log(&self) -> bool {
        match self {
            Self::Batch(error) => matches!(
                error,
                BatchError::Truncated { .. }
                    | BatchError::Length(_)
                    | BatchError::Magic(_)
                    | BatchError::Crc { .. }
            ),
            Self::NotOneBatch | Self::TooLarge { .. } => true,
            Self::Rule(_) | Self::Timestamps(_) | Self::Records(_) => false,
        }
    }

    /// The `error_message` of a Produce response. Kafka has words of its own for bytes that are no batch and where single
    /// records are at fault, and none elsewhere.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Batch(BatchError::Magic(magic)) if !(0..=2).contains(magic) => {
                Some(format!("Invalid magic found in record: {magic}"))
            }
            Self::Batch(BatchError::Length(size)) => Some(format!(
                "Record size {size} is less than the minimum record overhead (14)"
            )),
            Self::Timestamps(_) => Some(self.to_string()),
            Self::Records(errors) => {
                let first: Vec<String> = errors
                    .iter()
                    .take(3)
                    .map(|e| format!("RecordError(batchIndex={}, message='{}')", e.index, e.message))
                    .collect();
                Some(format!(
                    "{self}, and only showing the first three errors at most: [{}]",
                    first.join(", ")
                ))
            }
            _ => None,
        }
    }

    /// The records at fault, where it is about records.
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            Self::Timestamps(errors) | Self::Records(errors) => errors,
            _ => &[],
        }
    }
}

/// One batch that may be appended. Only [`validate`] and [`super::build_batch`] make one.
#[derive(Debug, Clone)]
pub struct ValidBatch {
    header: BatchHeader,
    bytes: Bytes,
    timestamp_type: TimestampType,
}

impl ValidBatch {
    /// Header of the batch, with a base offset that the log will replace.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch as bytes, before the log gives it its offsets.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The header and its bytes as they go into the log; the records follow it unchanged.
    pub(super) fn place(
        &self,
        base_offset: i64,
        leader_epoch: i32,
        now_ms: i64,
    ) -> (BatchHeader, [u8; HEADER_BYTES]) {
        let mut header = self.header.clone();
        header.base_offset = base_offset;
        header.leader_epoch = leader_epoch;
        if self.timestamp_type == TimestampType::LogAppendTime && !header.is_control() {
            header.set_append_time(now_ms);
            let bytes = header.seal(self.records());
            return (header, bytes);
        }
        // Base offset and leader epoch lie before what the CRC covers.
        let bytes = header.to_bytes();
        (header, bytes)
    }

    pub(super) fn records(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    pub(super) fn timestamp_type(&self) -> TimestampType {
        self.timestamp_type
    }
}

/// Checks what a producer sent for one partition: exactly one v2 batch, intact, within the topic's rules.
/// Recompresses where the topic asks for another codec, and corrects a wrong maximal timestamp, as Kafka does.
pub fn validate(records: Bytes, rules: &ProduceRules, now_ms: i64) -> Result<ValidBatch, InvalidBatch> {
    if records.is_empty() {
        return Err(InvalidBatch::NotOneBatch);
    }
    let mut header = BatchHeader::parse(&records)?;
    if records.len() < header.size {
        return Err(BatchError::Truncated {
            have: records.len(),
            need: header.size,
        }
        .into());
    }
    if records.len() > header.size {
        return Err(InvalidBatch::NotOneBatch);
    }
    check_size(header.size, rules)?;
    check_crc(&records)?;
    check_header(&header, rules.origin)?;
    let inside = inspect(&header, &records.slice(HEADER_BYTES..), rules, now_ms)?;

    let target = rules.compression.filter(|_| !header.is_control());
    let target = target.unwrap_or(header.codec()?);
    let mut bytes = records;
    if target != header.codec()? || (!inside.offsets_in_order && target != Codec::None) {
        bytes = recompress(&mut header, &bytes, &inside, target, rules)?;
    } else if rules.timestamp_type == TimestampType::CreateTime
        && (header.max_timestamp != inside.max_timestamp
            || header.timestamp_type() == TimestampType::LogAppendTime)
    {
        header.max_timestamp = inside.max_timestamp;
        header.attributes &= !TIMESTAMP_TYPE_BIT;
        bytes = assemble(&mut header, &bytes[HEADER_BYTES..]);
    }
    check_size(header.size, rules)?;
    Ok(ValidBatch {
        header,
        bytes,
        timestamp_type: rules.timestamp_type,
    })
}

fn check_size(size: usize, rules: &ProduceRules) -> Result<(), InvalidBatch> {
    if rules.origin == Origin::Client && size > rules.max_message_bytes as usize {
        return Err(InvalidBatch::TooLarge {
            size,
            limit: rules.max_message_bytes,
        });
    }
    Ok(())
}

fn check_header(header: &BatchHeader, origin: Origin) -> Result<(), InvalidBatch> {
    if origin == Origin::Coordinator {
        return Ok(());
    }
    let (base, last, count) = (header.base_offset, header.last_offset(), header.record_count);
    if base != 0 {
        return Err(InvalidBatch::Rule(format!(
            "The baseOffset of the record batch should be 0, but it is {base}"
        )));
    }
    if count <= 0 {
        return Err(InvalidBatch::Rule(format!(
            "Invalid reported count for record batch: {count}"
        )));
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(count) {
        return Err(InvalidBatch::Rule(format!(
            "Inconsistent batch offset range [{base}, {last}] and count of records {count}"
        )));
    }
    if header.is_control() {
        return Err(InvalidBatch::Rule(
            "Clients are not allowed to write control records".into(),
        ));
    }
    if header.has_producer() && header.base_sequence < 0 {
        return Err(InvalidBatch::Rule(format!(
            "Invalid sequence number {} in record batch with producerId {}",
            header.base_sequence, header.producer_id
        )));
    }
    Ok(())
}

/// What only a look at each record tells.
struct Inside {
    max_timestamp: i64,
    /// Offset deltas run 0, 1, 2 … as the log assigns offsets.
    offsets_in_order: bool,
}

fn inspect(
    header: &BatchHeader,
    records: &Bytes,
    rules: &ProduceRules,
    now_ms: i64,
) -> Result<Inside, InvalidBatch> {
    let mut inside = Inside {
        max_timestamp: -1,
        offsets_in_order: true,
    };
    let (mut no_key, mut bad_time) = (Vec::new(), Vec::new());
    record::walk(
        header,
        records,
        rules.max_decompressed_bytes,
        &mut |index, record| {
            let timestamp = record.timestamp(header);
            inside.max_timestamp = inside.max_timestamp.max(timestamp);
            inside.offsets_in_order &= record.offset_delta == index;
            if no_key.len() + bad_time.len() >= MAX_RECORD_ERRORS {
                return;
            }
            if rules.compacted && record.key.is_none() && !header.is_control() {
                let message = NO_KEY.into();
                no_key.push(RecordError { index, message });
            } else if let Some(message) = timestamp_error(header, timestamp, index, rules, now_ms) {
                bad_time.push(RecordError { index, message });
            }
        },
    )?;
    if !bad_time.is_empty() {
        bad_time.append(&mut no_key);
        bad_time.sort_by_key(|error| error.index);
        return Err(InvalidBatch::Timestamps(bad_time));
    }
    if no_key.is_empty() {
        Ok(inside)
    } else {
        Err(InvalidBatch::Records(no_key))
    }
}

fn timestamp_error(
    header: &BatchHeader,
    timestamp: i64,
    index: i32,
    rules: &ProduceRules,
    now_ms: i64,
) -> Option<String> {
    if rules.timestamp_type == TimestampType::CreateTime && timestamp != -1 {
        let age = i128::from(now_ms) - i128::from(timestamp);
        if age <= i128::from(rules.before_max_ms) && -age <= i128::from(rules.after_max_ms) {
            return None;
        }
        return Some(format!(
            "Timestamp {timestamp} of message with offset {} is out of range. The timestamp should be within [{}, {}]",
            header.base_offset.wrapping_add(i64::from(index)),
            now_ms.wrapping_sub(rules.before_max_ms),
            now_ms.wrapping_add(rules.after_max_ms),
        ));
    }
    (header.timestamp_type() == TimestampType::LogAppendTime).then(|| {
        "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime."
            .to_owned()
    })
}

fn recompress(
    header: &mut BatchHeader,
    batch: &Bytes,
    inside: &Inside,
    target: Codec,
    rules: &ProduceRules,
) -> Result<Bytes, InvalidBatch> {
    if !inside.offsets_in_order {
        return Err(InvalidBatch::Rule(
            "Offset deltas of the records are not consecutive".into(),
        ));
    }
    let plain = codec::decompress(
        header.codec()?,
        batch.slice(HEADER_BYTES..),
        rules.max_decompressed_bytes,
    )?;
    header.max_timestamp = inside.max_timestamp;
    header.set_codec(target);
    Ok(assemble(header, &codec::compress(target, &plain)?))
}

/// A record to be written by a coordinator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// Create time.
    pub timestamp_ms: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; none is a tombstone.
    pub value: Option<Bytes>,
}

/// Who writes a batch made by [`build_batch`]; the default is nobody in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Compression.
    pub codec: Codec,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// First sequence number, -1 for none.
    pub base_sequence: i32,
    /// Part of a transaction.
    pub transactional: bool,
    /// A control batch.
    pub control: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            codec: Codec::None,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            transactional: false,
            control: false,
        }
    }
}

/// A batch of a coordinator's own records, ready for the log. Fails only without records, or with more than 2 GiB.
pub fn build_batch(records: &[NewRecord], options: BatchOptions) -> Result<ValidBatch, BatchError> {
    use kafka_protocol::records::{
        Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType as Wire,
    };

    let rows: Vec<Record> = (0..)
        .zip(records)
        .map(|(offset, record)| Record {
            transactional: options.transactional,
            control: options.control,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            timestamp_type: Wire::Creation,
            offset,
            // The encoder counts the sequence back from here, so that each record's has to run with its offset.
            sequence: options.base_sequence.wrapping_add(offset as i32),
            timestamp: record.timestamp_ms,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: <_>::default(),
        })
        .collect();
    let mut plain = BytesMut::new();
    RecordBatchEncoder::encode(
        &mut plain,
        &rows,
        &RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        },
    )
    .map_err(|error| BatchError::Records(error.to_string()))?;
    let plain = plain.freeze();
    let mut header = BatchHeader::parse(&plain)?;
    if plain.len() != header.size {
        return Err(BatchError::Records("the records don't fit into one batch".into()));
    }
    let mut bytes = plain;
    if options.codec != Codec::None {
        header.set_codec(options.codec);
        bytes = assemble(
            &mut header,
            &codec::compress(options.codec, &bytes[HEADER_BYTES..])?,
        );
    }
    Ok(ValidBatch {
        header,
        bytes,
        timestamp_type: TimestampType::CreateTime,
    })
}
