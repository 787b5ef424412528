//! Reading a segment's batches one after the other, in bounded memory.

use std::fs::File;
use std::io;

use bytes::{Buf, Bytes};

use super::batch::{BatchError, BatchHeader, HEADER_BYTES};
use super::files::read_full_at;

/// Large enough that a scan is as fast as the checksum, small enough to be of no account.
const CHUNK_BYTES: usize = 128 * 1024;
/// Headers lie about an index interval apart.
const STEP_BYTES: usize = 4 * 1024;
const CRC_FROM: u64 = 21;

/// Why a scan stopped before the end.
#[derive(Debug)]
pub(super) enum ScanError {
    /// No whole, valid batch here: the log ends where it starts.
    Invalid(BatchError),
    Io(io::Error),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A window onto a file that moves forwards.
pub(super) struct Scan<'a> {
    file: &'a File,
    /// Where the file is taken to end.
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    window_bytes: usize,
}

impl<'a> Scan<'a> {
    /// To step over many batches, reading all of each.
    pub(super) fn all(file: &'a File, end: u64) -> Self {
        Self {
            file,
            end,
            window: Vec::new(),
            window_at: 0,
            window_bytes: CHUNK_BYTES,
        }
    }

    /// To look at the headers of a few.
    pub(super) fn headers(file: &'a File, end: u64) -> Self {
        Self {
            window_bytes: STEP_BYTES,
            ..Self::all(file, end)
        }
    }

    /// The header of the batch at `position`, whose bytes all lie before the end; none at the end.
    pub(super) fn header(&mut self, position: u64) -> Result<Option<BatchHeader>, ScanError> {
        if position >= self.end {
            return Ok(None);
        }
        let header = BatchHeader::parse(self.bytes(position, HEADER_BYTES)?).map_err(ScanError::Invalid)?;
        let have = self.end - position;
        if have < header.size as u64 {
            let error = BatchError::Truncated {
                have: have as usize,
                need: header.size,
            };
            return Err(ScanError::Invalid(error));
        }
        Ok(Some(header))
    }

    /// Checks the checksum of the batch at `position`.
    pub(super) fn check_crc(&mut self, position: u64, header: &BatchHeader) -> Result<(), ScanError> {
        let end = position + header.size as u64;
        let mut at = position + CRC_FROM;
        let mut computed = 0;
        while at < end {
            let piece = self.bytes(at, ((end - at) as usize).min(CHUNK_BYTES))?;
            if piece.is_empty() {
                return Err(ScanError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            computed = crc32c::crc32c_append(computed, piece);
            at += piece.len() as u64;
        }
        if computed == header.crc {
            return Ok(());
        }
        Err(ScanError::Invalid(BatchError::Crc {
            stored: header.crc,
            computed,
        }))
    }

    /// The whole batch at `position`. The caller has checked that its size is one it can hold.
    pub(super) fn batch(&mut self, position: u64, header: &BatchHeader) -> Result<Bytes, ScanError> {
        let mut bytes = vec![0; header.size];
        if read_full_at(self.file, &mut bytes, position)? < header.size {
            return Err(ScanError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes.into())
    }

    /// Up to `len` bytes at `position`, fewer only at the end of the file.
    fn bytes(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let covered =
            position >= self.window_at && position + len as u64 <= self.window_at + self.window.len() as u64;
        if !covered {
            let size = (self.end.saturating_sub(position) as usize).min(self.window_bytes.max(len));
            self.window.resize(size, 0);
            let read = read_full_at(self.file, &mut self.window, position)?;
            self.window.truncate(read);
            self.window_at = position;
        }
        let mut bytes = &self.window[..];
        bytes.advance((position - self.window_at) as usize);
        Ok(&bytes[..bytes.len().min(len)])
    }
}
