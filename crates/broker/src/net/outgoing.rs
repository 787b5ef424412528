//! An answer on its way out: bytes of our own, with stretches of log files between them.
//!
//! The records of a fetch go from the file to the socket as they lie (`sendfile`), never through a buffer of ours. So
//! that the codec can still write the whole response, each stretch stands in it as a [`Stretches::stand_in`] of the same
//! length: a slice of memory that nobody reads. [`Outgoing`] knows such a slice by its address, and notes the place.
//!
//! `unsafe` is here for one reason: `BufMut` is an unsafe trait. Its promises are `BytesMut`'s, to which every call goes.
#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::buf::UninitSlice;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::buf::ByteBufMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::log::LogSlice;

/// Shorter stretches are copied: one write is faster than three system calls.
const WORTH_BYTES: usize = 32 << 10;
/// Longer stretches, as a single enormous record makes, are copied too.
const STAND_IN_BYTES: usize = 64 << 20;
/// More stretches in one answer are copied.
const MAX_STRETCHES: usize = 64 << 10;

/// Zeroed pages that the system only promises: nothing reads or writes them, so they take no memory.
static STAND_IN: LazyLock<&'static [u8]> =
    LazyLock::new(|| Vec::leak(vec![0; STAND_IN_BYTES + MAX_STRETCHES]));

/// The stretches of files that an answer holds, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Stretches(Vec<LogSlice>);

impl Stretches {
    /// What stands in the response for a stretch of a file: the bytes themselves, where that is cheaper.
    pub(crate) fn stand_in(&mut self, slice: LogSlice) -> io::Result<Bytes> {
        let at = self.0.len();
        if !(WORTH_BYTES..=STAND_IN_BYTES).contains(&slice.len()) || at >= MAX_STRETCHES {
            return slice.read();
        }
        let bytes = Bytes::from_static(&STAND_IN[at..at + slice.len()]);
        self.0.push(slice);
        Ok(bytes)
    }
}

/// Which stretch a slice of bytes stands for.
fn stretch_of(bytes: &[u8]) -> Option<usize> {
    let at = (bytes.as_ptr() as usize).checked_sub(STAND_IN.as_ptr() as usize)?;
    (bytes.len() >= WORTH_BYTES && at < MAX_STRETCHES).then_some(at)
}

/// A whole answer.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    own: BytesMut,
    stretches: Stretches,
    /// Where in `own` a stretch comes, and which.
    places: Vec<(usize, usize)>,
}

impl Outgoing {
    /// An answer that may hold these stretches, with room for `capacity` bytes of our own.
    pub(crate) fn new(stretches: Stretches, capacity: usize) -> Self {
        Self {
            own: BytesMut::with_capacity(capacity),
            stretches,
            places: Vec::new(),
        }
    }

    /// All bytes, those of the files included.
    pub(crate) fn len(&self) -> usize {
        let files = self
            .places
            .iter()
            .map(|(_, which)| self.stretches.0[*which].len());
        self.own.len() + files.sum::<usize>()
    }

    /// The bytes of our own.
    pub(crate) fn own_mut(&mut self) -> &mut BytesMut {
        &mut self.own
    }

    /// Sends it all. A file that has lost its end in the meantime is an error, and costs the connection.
    pub(crate) async fn send(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut sent = 0;
        for (place, which) in &self.places {
            stream.write_all(&self.own[sent..*place]).await?;
            send_stretch(stream, &self.stretches.0[*which]).await?;
            sent = *place;
        }
        stream.write_all(&self.own[sent..]).await
    }
}

/// At most so many answers wait for those after them.
const MAX_HELD: usize = 4;
/// Larger answers, and what they would wait with, go out at once.
const MAX_HELD_BYTES: usize = 16 << 10;

/// Small answers to a client that has sent the next request already: they go out together, in one call, and the client
/// is woken once. Nothing is held while there is nothing more to answer.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: BytesMut,
    count: usize,
}

impl Held {
    /// Is there no answer held.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Holds an answer, or sends it and those before it.
    pub(crate) async fn take(&mut self, answer: Outgoing, stream: &mut TcpStream) -> io::Result<()> {
        if !answer.places.is_empty() || answer.own.len() > MAX_HELD_BYTES {
            self.send(stream).await?;
            return answer.send(stream).await;
        }
        if self.count == 0 {
            self.bytes = answer.own;
        } else {
            self.bytes.extend_from_slice(&answer.own);
        }
        self.count += 1;
        if self.count >= MAX_HELD || self.bytes.len() > MAX_HELD_BYTES {
            self.send(stream).await?;
        }
        Ok(())
    }

    /// Sends what is held.
    pub(crate) async fn send(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if self.count > 0 {
            let bytes = std::mem::take(&mut self.bytes);
            self.count = 0;
            stream.write_all(&bytes).await?;
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
async fn send_stretch(stream: &mut TcpStream, slice: &LogSlice) -> io::Result<()> {
    let Some(file) = slice.file() else { return Ok(()) };
    let mut at = slice.position();
    let end = at + slice.len() as u64;
    while at < end {
        let some = || {
            let left = (end - at) as usize;
            rustix::fs::sendfile(&*stream, file, Some(&mut at), left).map_err(io::Error::from)
        };
        if stream.async_io(tokio::io::Interest::WRITABLE, some).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
async fn send_stretch(stream: &mut TcpStream, slice: &LogSlice) -> io::Result<()> {
    let bytes = slice.read()?;
    if bytes.len() < slice.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    stream.write_all(&bytes).await
}

// SAFETY: every method is that of `BytesMut`, which keeps the promises of the trait; `put_slice` writes all or, for a
// stand-in, nothing, and both are allowed to it.
unsafe impl BufMut for Outgoing {
    fn remaining_mut(&self) -> usize {
        self.own.remaining_mut()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller's promise is the one that is asked here.
        unsafe { self.own.advance_mut(count) }
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.own.chunk_mut()
    }

    fn put_slice(&mut self, bytes: &[u8]) {
        match stretch_of(bytes) {
            Some(which) => self.places.push((self.own.len(), which)),
            None => self.own.put_slice(bytes),
        }
    }
}

impl ByteBufMut for Outgoing {
    fn offset(&self) -> usize {
        self.own.len()
    }

    fn seek(&mut self, offset: usize) {
        self.own.seek(offset);
    }

    fn range(&mut self, range: Range<usize>) -> &mut [u8] {
        self.own.range(range)
    }
}
