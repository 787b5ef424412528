//! Compression of record batches. Compressing goes through `kafka-protocol`; decompressing streams through the
//! libraries beneath it, because `kafka-protocol` decompresses a whole batch into memory without a bound.

use std::io::{self, BufReader, Read};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::compression::{Compressor, Gzip, Lz4, Snappy, Zstd};

use super::batch::BatchError;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Snappy, in the framing of xerial's Java library.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// All codecs, by their id.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this id in a batch's attributes.
    pub fn from_id(id: i16) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// Id in a batch's attributes.
    pub fn id(self) -> i16 {
        self as i16
    }

    /// Name as in `compression.type`: `uncompressed` is `none` there only on the producer's side.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Compresses the records of a batch.
pub(super) fn compress(codec: Codec, records: &[u8]) -> Result<Bytes, BatchError> {
    let mut out = BytesMut::new();
    let put = |buf: &mut BytesMut| {
        buf.put_slice(records);
        Ok(())
    };
    match codec {
        Codec::None => put(&mut out),
        Codec::Gzip => Gzip::compress(&mut out, put),
        Codec::Snappy => Snappy::compress(&mut out, put),
        Codec::Lz4 => Lz4::compress(&mut out, put),
        Codec::Zstd => Zstd::compress(&mut out, put),
    }
    .map_err(|error| BatchError::Decompress(error.to_string()))?;
    Ok(out.freeze())
}

/// A stream of the decompressed records.
pub(super) fn reader(
    codec: Codec,
    records: Bytes,
    limit: u64,
) -> Result<BufReader<Box<dyn Read>>, BatchError> {
    let failed = |error: io::Error| BatchError::Decompress(error.to_string());
    let stream: Box<dyn Read> = match codec {
        Codec::None => Box::new(records.reader()),
        Codec::Gzip => Box::new(flate2::read::MultiGzDecoder::new(records.reader())),
        Codec::Snappy => Box::new(XerialReader::new(records, limit)),
        Codec::Lz4 => Box::new(lz4::Decoder::new(records.reader()).map_err(failed)?),
        Codec::Zstd => Box::new(zstd::Decoder::with_buffer(records.reader()).map_err(failed)?),
    };
    Ok(BufReader::with_capacity(16 * 1024, stream))
}

/// The decompressed records in one piece; `records` itself where they are not compressed.
pub(super) fn decompress(codec: Codec, records: Bytes, limit: u64) -> Result<Bytes, BatchError> {
    if codec == Codec::None {
        return Ok(records);
    }
    let mut out = Vec::new();
    reader(codec, records, limit)?
        .take(limit + 1)
        .read_to_end(&mut out)
        .map_err(|error| BatchError::Decompress(error.to_string()))?;
    if out.len() as u64 > limit {
        return Err(BatchError::DecompressedTooLarge { limit });
    }
    Ok(out.into())
}

/// Snappy blocks in xerial's framing, or one bare block as some clients send; one block in memory at a time.
struct XerialReader {
    rest: Bytes,
    framed: bool,
    limit: u64,
    block: Bytes,
}

const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;

impl XerialReader {
    fn new(mut records: Bytes, limit: u64) -> Self {
        let framed = records.starts_with(XERIAL_MAGIC) && records.len() >= XERIAL_HEADER_BYTES;
        if framed {
            records.advance(XERIAL_HEADER_BYTES);
        }
        Self {
            rest: records,
            framed,
            limit,
            block: Bytes::new(),
        }
    }

    fn next_block(&mut self) -> io::Result<Bytes> {
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
        let compressed = if self.framed {
            let length = self
                .rest
                .try_get_u32()
                .map_err(|_| invalid("snappy block length is cut off"))?;
            if self.rest.len() < length as usize {
                return Err(invalid("snappy block is cut off"));
            }
            self.rest.split_to(length as usize)
        } else {
            std::mem::take(&mut self.rest)
        };
        let length = snap::raw::decompress_len(&compressed).map_err(io::Error::other)?;
        // A few bytes can claim 4 GiB; snappy never shrinks data by more than about 21.
        if length as u64 > self.limit || length > compressed.len().saturating_mul(32) {
            return Err(invalid("snappy block claims more bytes than it can hold"));
        }
        Ok(snap::raw::Decoder::new()
            .decompress_vec(&compressed)
            .map_err(io::Error::other)?
            .into())
    }
}

impl Read for XerialReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.block = self.next_block()?;
        }
        let taken = buf.len().min(self.block.len());
        self.block.copy_to_slice(&mut buf[..taken]);
        Ok(taken)
    }
}
