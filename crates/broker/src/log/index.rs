//! Sparse indexes of a segment, in Kafka's format: sorted entries of fixed size, searched where they lie.
//!
//! New entries wait in memory and are written some at a time, which costs an append nothing; what a crash takes is
//! rebuilt from the log. Kafka fills the index files of the active segment with zeros up to `segment.index.bytes`; ours
//! have one entry of zeros while there is none else, which its tools take the same way, and are exactly as long as
//! their entries from then on. That is how Kafka itself leaves them when it closes a segment.

use std::fs::File;
use std::io::{self, Write};

use super::files::read_full_at;

/// Entries that wait in memory before they are written.
const PENDING_ENTRIES: usize = 64;

/// One entry of an index.
pub(super) trait Entry: Copy {
    const BYTES: usize;
    fn parse(bytes: &[u8]) -> Self;
    fn put(self, out: &mut Vec<u8>);
}

/// `.index`: where in the log file a batch starts, and its last offset (from the segment's base offset).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetEntry {
    pub(super) relative_offset: u32,
    pub(super) position: u32,
}

/// `.timeindex`: the largest timestamp so far, and the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeEntry {
    pub(super) timestamp: i64,
    pub(super) relative_offset: u32,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(raw)
}

impl Entry for OffsetEntry {
    const BYTES: usize = 8;

    fn parse(bytes: &[u8]) -> Self {
        Self {
            relative_offset: u32_at(bytes, 0),
            position: u32_at(bytes, 4),
        }
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }
}

impl Entry for TimeEntry {
    const BYTES: usize = 12;

    fn parse(bytes: &[u8]) -> Self {
        let timestamp = (u64::from(u32_at(bytes, 0)) << 32 | u64::from(u32_at(bytes, 4))) as i64;
        Self {
            timestamp,
            relative_offset: u32_at(bytes, 8),
        }
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
    }
}

/// Number of leading entries for which `before` holds; they come first because entries are sorted.
pub(super) fn partition_point<E>(
    len: usize,
    mut entry: impl FnMut(usize) -> io::Result<E>,
    before: impl Fn(&E) -> bool,
) -> io::Result<usize> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(&entry(middle)?) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The entries of one index file: so many in the file, the rest in memory.
#[derive(Debug)]
pub(super) struct Index<E> {
    in_file: usize,
    pending: Vec<E>,
    last: Option<E>,
}

impl<E: Entry> Index<E> {
    /// An index without a file yet.
    pub(super) const fn empty() -> Self {
        Self {
            in_file: 0,
            pending: Vec::new(),
            last: None,
        }
    }

    /// Takes over a file of this length. None where the length can't be one.
    pub(super) fn open(file: &File, bytes: u64) -> io::Result<Option<Self>> {
        if !bytes.is_multiple_of(E::BYTES as u64) {
            return Ok(None);
        }
        let mut index = Self {
            in_file: (bytes / E::BYTES as u64) as usize,
            pending: Vec::new(),
            last: None,
        };
        if index.in_file > 0 {
            index.last = Some(index.entry(index.in_file - 1, Some(file))?);
        }
        Ok(Some(index))
    }

    pub(super) fn len(&self) -> usize {
        self.in_file + self.pending.len()
    }

    pub(super) fn last(&self) -> Option<E> {
        self.last
    }

    /// Whether a search needs the file.
    pub(super) fn needs_file(&self) -> bool {
        self.in_file > 0
    }

    /// Adds an entry; true when it is time to [`Index::write`].
    pub(super) fn push(&mut self, entry: E) -> bool {
        self.pending.push(entry);
        self.last = Some(entry);
        self.pending.len() >= PENDING_ENTRIES
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Gives a file without entries one of zeros: Kafka's tools refuse an index of the active segment that is empty.
    pub(super) fn reserve(&self, file: &File) -> io::Result<()> {
        if self.in_file == 0 {
            file.set_len(E::BYTES as u64)?;
        }
        Ok(())
    }

    /// Takes away what [`Index::reserve`] put there, once everything is written.
    pub(super) fn trim(&self, file: &File) -> io::Result<()> {
        if self.in_file == 0 && file.metadata()?.len() > 0 {
            file.set_len(0)?;
        }
        Ok(())
    }

    /// Writes what waits in memory to the end of `file`, which is open for appending.
    pub(super) fn write(&mut self, mut file: &File) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.pending.len() * E::BYTES);
        for entry in &self.pending {
            entry.put(&mut bytes);
        }
        // A half-written entry of an earlier failure must not shift all that follow.
        let end = (self.in_file * E::BYTES) as u64;
        if file.metadata()?.len() != end {
            file.set_len(end)?;
        }
        file.write_all(&bytes)?;
        self.in_file += self.pending.len();
        self.pending = Vec::new();
        Ok(())
    }

    /// The last entry for which `before` holds.
    pub(super) fn last_before(
        &self,
        file: Option<&File>,
        before: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        if self.last.is_none_or(|last| before(&last)) {
            return Ok(self.last);
        }
        match partition_point(self.len(), |i| self.entry(i, file), before)? {
            0 => Ok(None),
            after => Ok(Some(self.entry(after - 1, file)?)),
        }
    }

    /// The first entry for which `before` does not hold.
    pub(super) fn first_not(
        &self,
        file: Option<&File>,
        before: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        if self.last.is_none_or(|last| before(&last)) {
            return Ok(None);
        }
        let at = partition_point(self.len(), |i| self.entry(i, file), before)?;
        self.entry(at, file).map(Some)
    }

    /// Keeps the leading entries for which `keep` holds.
    pub(super) fn truncate(&mut self, file: Option<&File>, keep: impl Fn(&E) -> bool) -> io::Result<()> {
        let kept = partition_point(self.len(), |i| self.entry(i, file), keep)?;
        self.last = if kept == 0 {
            None
        } else {
            Some(self.entry(kept - 1, file)?)
        };
        self.pending.truncate(kept.saturating_sub(self.in_file));
        if kept < self.in_file {
            self.in_file = kept;
            if let Some(file) = file {
                file.set_len((kept * E::BYTES) as u64)?;
            }
        }
        Ok(())
    }

    fn entry(&self, at: usize, file: Option<&File>) -> io::Result<E> {
        if let Some(entry) = at.checked_sub(self.in_file).and_then(|at| self.pending.get(at)) {
            return Ok(*entry);
        }
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = [0; 16];
        let bytes = &mut bytes[..E::BYTES];
        if read_full_at(file, bytes, (at * E::BYTES) as u64)? < E::BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(E::parse(bytes))
    }
}
