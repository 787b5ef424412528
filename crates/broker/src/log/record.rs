//! The records inside a batch: walking over them without copying keys or values.

use std::io::{BufRead, BufReader, ErrorKind, Read};

use bytes::Bytes;

use super::batch::{BatchError, BatchHeader, HEADER_BYTES};
use super::codec;

/// One record of a batch; keys and values share the batch's (decompressed) memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordView {
    /// Offset in the log.
    pub offset: i64,
    /// Its timestamp; the batch's append time under LogAppendTime.
    pub timestamp_ms: i64,
    /// Key; none is not the same as empty.
    pub key: Option<Bytes>,
    /// Value; none is a tombstone.
    pub value: Option<Bytes>,
}

/// Decodes every record of one batch. `limit` bounds the decompressed bytes.
pub fn batch_records(batch: &Bytes, limit: u64) -> Result<Vec<RecordView>, BatchError> {
    let header = BatchHeader::parse(batch)?;
    if batch.len() < header.size {
        return Err(BatchError::Truncated {
            have: batch.len(),
            need: header.size,
        });
    }
    let records = codec::decompress(header.codec()?, batch.slice(HEADER_BYTES..header.size), limit)?;
    let mut walk = SliceSource {
        bytes: &records,
        at: 0,
    };
    // A count is only a claim: the shortest record takes 7 bytes.
    let mut views = Vec::with_capacity((header.record_count as usize).min(records.len() / 7));
    for _ in 0..header.record_count {
        let record = next_record(&mut walk)?;
        let part = |span: Option<Span>| span.map(|s| records.slice(s.start..s.start + s.len));
        views.push(RecordView {
            offset: header.base_offset.wrapping_add(i64::from(record.offset_delta)),
            timestamp_ms: record.timestamp(&header),
            key: part(record.key),
            value: part(record.value),
        });
    }
    Ok(views)
}

/// The keys of each record's headers; `records` are decompressed.
pub(super) fn header_keys(header: &BatchHeader, records: &Bytes) -> Result<Vec<Vec<String>>, BatchError> {
    let mut rests = Vec::new();
    walk_plain(header, records, &mut |_, record| rests.push(record.rest))?;
    let keys = rests.into_iter().map(|rest| {
        let mut source = SliceSource {
            bytes: records,
            at: rest.start,
        };
        // Key and value come before.
        bytes_field(&mut source)?;
        bytes_field(&mut source)?;
        let mut keys = Vec::new();
        for _ in 0..varint(&mut source)? {
            if let Some(key) = bytes_field(&mut source)? {
                let bytes = &records[key.start..key.start + key.len];
                keys.push(String::from_utf8_lossy(bytes).into_owned());
            }
            bytes_field(&mut source)?;
        }
        Ok(keys)
    });
    keys.collect()
}

/// Where a key or value lies in the decompressed records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) len: usize,
}

/// One record as it lies in its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawRecord {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<Span>,
    pub(super) value: Option<Span>,
    /// Everything after the offset: key, value and headers as they lie.
    pub(super) rest: Span,
}

impl RawRecord {
    pub(super) fn timestamp(&self, header: &BatchHeader) -> i64 {
        match header.timestamp_type() {
            super::TimestampType::LogAppendTime => header.max_timestamp,
            super::TimestampType::CreateTime => header.base_timestamp.wrapping_add(self.timestamp_delta),
        }
    }
}

/// Calls `visit` with the index of each record in turn; checks that the records are as many as the header says and
/// that nothing is left after them. Compressed records are streamed, `limit` bounds their number of bytes.
pub(super) fn walk(
    header: &BatchHeader,
    records: &Bytes,
    limit: u64,
    visit: &mut dyn FnMut(i32, RawRecord),
) -> Result<(), BatchError> {
    match header.codec()? {
        codec::Codec::None => walk_source(
            header,
            &mut SliceSource {
                bytes: records,
                at: 0,
            },
            visit,
        ),
        codec => {
            let stream = codec::reader(codec, records.clone(), limit)?;
            walk_source(header, &mut StreamSource { stream, at: 0, limit }, visit)
        }
    }
}

/// The same for records that are decompressed already.
pub(super) fn walk_plain(
    header: &BatchHeader,
    records: &Bytes,
    visit: &mut dyn FnMut(i32, RawRecord),
) -> Result<(), BatchError> {
    walk_source(
        header,
        &mut SliceSource {
            bytes: records,
            at: 0,
        },
        visit,
    )
}

fn walk_source<S: Source>(
    header: &BatchHeader,
    source: &mut S,
    visit: &mut dyn FnMut(i32, RawRecord),
) -> Result<(), BatchError> {
    for index in 0..header.record_count {
        let record = next_record(source)?;
        visit(index, record);
    }
    if source.at_end()? {
        Ok(())
    } else {
        Err(BatchError::Records(
            "Incorrect declared batch size, records still remaining in file".into(),
        ))
    }
}

/// Bytes that are read once, forwards.
trait Source {
    fn byte(&mut self) -> Result<u8, BatchError>;
    fn skip(&mut self, len: usize) -> Result<(), BatchError>;
    fn at(&self) -> usize;
    fn at_end(&mut self) -> Result<bool, BatchError>;
}

struct SliceSource<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Source for SliceSource<'_> {
    fn byte(&mut self) -> Result<u8, BatchError> {
        let byte = *self.bytes.get(self.at).ok_or_else(cut_off)?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, len: usize) -> Result<(), BatchError> {
        if self.bytes.len() - self.at < len {
            return Err(cut_off());
        }
        self.at += len;
        Ok(())
    }

    fn at(&self) -> usize {
        self.at
    }

    fn at_end(&mut self) -> Result<bool, BatchError> {
        Ok(self.at == self.bytes.len())
    }
}

struct StreamSource<R> {
    stream: BufReader<R>,
    at: usize,
    limit: u64,
}

impl<R: Read> StreamSource<R> {
    fn fill(&mut self) -> Result<&[u8], BatchError> {
        self.stream.fill_buf().map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => cut_off(),
            _ => BatchError::Decompress(error.to_string()),
        })
    }

    fn consume(&mut self, len: usize) -> Result<(), BatchError> {
        self.stream.consume(len);
        self.at += len;
        if self.at as u64 > self.limit {
            return Err(BatchError::DecompressedTooLarge { limit: self.limit });
        }
        Ok(())
    }
}

impl<R: Read> Source for StreamSource<R> {
    fn byte(&mut self) -> Result<u8, BatchError> {
        let byte = *self.fill()?.first().ok_or_else(cut_off)?;
        self.consume(1)?;
        Ok(byte)
    }

    fn skip(&mut self, mut len: usize) -> Result<(), BatchError> {
        while len > 0 {
            let there = self.fill()?.len().min(len);
            if there == 0 {
                return Err(cut_off());
            }
            self.consume(there)?;
            len -= there;
        }
        Ok(())
    }

    fn at(&self) -> usize {
        self.at
    }

    fn at_end(&mut self) -> Result<bool, BatchError> {
        Ok(self.fill()?.is_empty())
    }
}

fn next_record<S: Source>(source: &mut S) -> Result<RawRecord, BatchError> {
    let size = varint(source)?;
    let start = source.at();
    source.byte()?; // attributes: unused in v2
    let timestamp_delta = varlong(source)?;
    let offset_delta = varint(source)?;
    let rest = source.at();
    let key = bytes_field(source)?;
    let value = bytes_field(source)?;
    let headers = varint(source)?;
    if headers < 0 {
        return Err(BatchError::Records(format!(
            "Found invalid number of record headers {headers}"
        )));
    }
    for _ in 0..headers {
        if bytes_field(source)?.is_none() {
            return Err(BatchError::Records("Invalid negative header key size".into()));
        }
        bytes_field(source)?;
    }
    let read = source.at() - start;
    if i64::from(size) != read as i64 {
        return Err(BatchError::Records(format!(
            "Invalid record size: expected to read {size} bytes in record payload, but instead read {read}"
        )));
    }
    Ok(RawRecord {
        timestamp_delta,
        offset_delta,
        key,
        value,
        rest: Span {
            start: rest,
            len: source.at() - rest,
        },
    })
}

fn bytes_field<S: Source>(source: &mut S) -> Result<Option<Span>, BatchError> {
    let length = varint(source)?;
    let Ok(len) = usize::try_from(length) else {
        return Ok(None);
    };
    let start = source.at();
    source.skip(len)?;
    Ok(Some(Span { start, len }))
}

fn varint<S: Source>(source: &mut S) -> Result<i32, BatchError> {
    let raw = unsigned(source, 5)? as u32;
    Ok(((raw >> 1) as i32) ^ -((raw & 1) as i32))
}

fn varlong<S: Source>(source: &mut S) -> Result<i64, BatchError> {
    let raw = unsigned(source, 10)?;
    Ok(((raw >> 1) as i64) ^ -((raw & 1) as i64))
}

fn unsigned<S: Source>(source: &mut S, max_bytes: u32) -> Result<u64, BatchError> {
    let mut value = 0;
    for index in 0..max_bytes {
        let byte = source.byte()?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BatchError::Records(format!(
        "Varint is longer than {max_bytes} bytes"
    )))
}

fn cut_off() -> BatchError {
    BatchError::Records("Found invalid record structure: the records end inside a record".into())
}
