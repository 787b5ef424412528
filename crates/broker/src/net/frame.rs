//! Frames: four bytes of length, then that many bytes.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The peer has closed the connection between two frames.
    #[error("closed by the peer")]
    Closed,
    /// The peer has closed the connection within a frame.
    #[error("closed by the peer within a request")]
    Torn,
    /// The length can't be a request's.
    #[error("a frame of {0} bytes is not allowed")]
    Length(i32),
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Room that is kept for the next small requests.
const ROOM: usize = 4096;
/// Room that a length is believed for at a time: a request of the usual size is read in one go, and who claims more
/// sends it first.
const BELIEVED: usize = 256 << 10;
/// A buffer that one large request has left behind is given back.
const KEEP: usize = 256 << 10;

/// The next frame, where all of it has arrived.
pub(crate) fn arrived(
    stream: &TcpStream,
    buf: &mut BytesMut,
    max_bytes: usize,
) -> Result<Option<Bytes>, FrameError> {
    if let Some(frame) = take(buf, max_bytes)? {
        return Ok(Some(frame));
    }
    make_room(buf);
    match stream.try_read_buf(buf) {
        // An end is found again by whoever reads next.
        Ok(0) => Ok(None),
        Ok(_) => take(buf, max_bytes),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn make_room(buf: &mut BytesMut) {
    if buf.is_empty() && buf.capacity() > KEEP {
        *buf = BytesMut::new();
    }
    buf.reserve(missing(buf).clamp(ROOM, BELIEVED.max(buf.len().min(1 << 20))));
}

/// Reads the next frame. Beyond [`BELIEVED`], room grows with what arrives, not with what a length claims.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buf: &mut BytesMut,
    max_bytes: usize,
) -> Result<Bytes, FrameError> {
    loop {
        if let Some(frame) = take(buf, max_bytes)? {
            return Ok(frame);
        }
        make_room(buf);
        if stream.read_buf(buf).await? == 0 {
            return Err(if buf.is_empty() {
                FrameError::Closed
            } else {
                FrameError::Torn
            });
        }
    }
}

/// How many bytes the frame that has begun to arrive still lacks, by its own account.
fn missing(buf: &[u8]) -> usize {
    let claimed = buf.first_chunk::<4>().map_or(0, |head| i32::from_be_bytes(*head));
    (4 + usize::try_from(claimed).unwrap_or(0)).saturating_sub(buf.len())
}

/// The first frame of what has arrived, or nothing while it is incomplete.
fn take(buf: &mut BytesMut, max_bytes: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(head) = buf.first_chunk::<4>() else {
        return Ok(None);
    };
    let claimed = i32::from_be_bytes(*head);
    let len = usize::try_from(claimed).map_err(|_| FrameError::Length(claimed))?;
    // The shortest request has a key, a version and a correlation id.
    if len > max_bytes || len < 8 {
        return Err(FrameError::Length(claimed));
    }
    if buf.len() < 4 + len {
        return Ok(None);
    }
    buf.advance(4);
    Ok(Some(buf.split_to(len).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_is_not_malformed() {
        let whole = [&8i32.to_be_bytes()[..], &[7; 8], &[1]].concat();
        for cut in 0..12 {
            let mut buf = BytesMut::from(&whole[..cut]);
            assert!(matches!(take(&mut buf, 100), Ok(None)), "{cut}");
        }
        let mut buf = BytesMut::from(&whole[..]);
        assert_eq!(take(&mut buf, 100).unwrap().unwrap().len(), 8);
        assert_eq!(&buf[..], [1]);
    }

    #[test]
    fn room_is_made_for_what_a_frame_lacks() {
        assert_eq!(missing(&[]), 4);
        assert_eq!(missing(&100i32.to_be_bytes()), 100);
        assert_eq!(missing(&[&100i32.to_be_bytes()[..], &[0; 60]].concat()), 40);
        assert_eq!(missing(&(-1i32).to_be_bytes()), 0);
    }

    #[test]
    fn lengths_that_no_request_has_are_refused() {
        for claimed in [-1, 0, 7, 101, i32::MAX, i32::MIN] {
            let mut buf = BytesMut::from(&claimed.to_be_bytes()[..]);
            assert!(matches!(take(&mut buf, 100), Err(FrameError::Length(c)) if c == claimed));
        }
    }
}
