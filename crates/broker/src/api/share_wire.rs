//! Versions of share groups' messages that the codec doesn't know. Version 2 of `ShareFetch` and `ShareAcknowledge`
//! (KIP-1206, KIP-1222) is version 1 with some more bytes in one place; version 1 of `DescribeShareGroupOffsets` (KIP-1226)
//! is in [`described`].

pub(crate) mod described;

use anyhow::{Result, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ShareAcknowledgeRequest, ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse,
};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, VersionRange};

const VERSIONS: VersionRange = VersionRange { min: 1, max: 2 };

/// `ShareFetch`.
#[derive(Debug, Clone, Default)]
pub(crate) struct FetchWire {
    pub(crate) body: ShareFetchRequest,
    /// 0 for whole batches, 1 for so many records and no more.
    pub(crate) acquire_mode: i8,
    /// Some locks are to last longer; then nothing is fetched.
    pub(crate) is_renew_ack: bool,
}

/// The answer to `ShareFetch`: the same in both versions.
#[derive(Debug, Clone, Default)]
pub(crate) struct FetchedWire(pub(crate) ShareFetchResponse);

/// `ShareAcknowledge`.
#[derive(Debug, Clone, Default)]
pub(crate) struct AcknowledgeWire {
    pub(crate) body: ShareAcknowledgeRequest,
    /// Some locks are to last longer.
    pub(crate) is_renew_ack: bool,
}

/// The answer to `ShareAcknowledge`.
#[derive(Debug, Clone, Default)]
pub(crate) struct AcknowledgedWire {
    pub(crate) body: ShareAcknowledgeResponse,
    pub(crate) lock_ms: i32,
}

/// Where so many compact strings end that begin at `at`, and then so many bytes more.
fn after(bytes: &[u8], at: usize, strings: usize, fixed: usize) -> Result<usize> {
    let mut rest = bytes;
    skip(&mut rest, at)?;
    for _ in 0..strings {
        let mut len = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let byte = rest.try_get_u8()?;
            len |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        skip(&mut rest, len.saturating_sub(1))?;
    }
    skip(&mut rest, fixed)?;
    Ok(bytes.len() - rest.len())
}

fn skip(rest: &mut &[u8], len: usize) -> Result<()> {
    if rest.len() < len {
        bail!("it ends early");
    }
    rest.advance(len);
    Ok(())
}

/// Takes `len` bytes out of `bytes`, and gives what is left.
fn take_out(bytes: &Bytes, at: usize, len: usize) -> Result<(Bytes, Bytes)> {
    if bytes.len() < at + len {
        bail!("it ends early");
    }
    let mut rest = BytesMut::with_capacity(bytes.len() - len);
    rest.put_slice(&bytes[..at]);
    rest.put_slice(&bytes[at + len..]);
    Ok((bytes.slice(at..at + len), rest.freeze()))
}

/// Version 1 of a message, with `more` at the place that `place` finds.
fn put_in<M: Encodable, B: ByteBufMut>(
    message: &M,
    buf: &mut B,
    place: impl Fn(&[u8]) -> Result<usize>,
    more: &[u8],
) -> Result<()> {
    let mut first = BytesMut::new();
    message.encode(&mut first, 1)?;
    let at = place(&first)?;
    buf.put_slice(&first[..at]);
    buf.put_slice(more);
    buf.put_slice(&first[at..]);
    Ok(())
}

/// Group, member, and six numbers.
fn fetch_place(bytes: &[u8]) -> Result<usize> {
    after(bytes, 0, 2, 24)
}

/// Group, member, and the session's epoch.
fn acknowledge_place(bytes: &[u8]) -> Result<usize> {
    after(bytes, 0, 2, 4)
}

/// Throttle time, error and message.
fn acknowledged_place(bytes: &[u8]) -> Result<usize> {
    after(bytes, 6, 1, 0)
}

impl Decodable for FetchWire {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        let mut bytes = buf.copy_to_bytes(buf.remaining());
        let mut wire = Self::default();
        if version >= 2 {
            let (mut more, rest) = take_out(&bytes, fetch_place(&bytes)?, 2)?;
            wire.acquire_mode = more.get_i8();
            wire.is_renew_ack = more.get_i8() != 0;
            bytes = rest;
        }
        wire.body = ShareFetchRequest::decode(&mut bytes, 1)?;
        Ok(wire)
    }
}

impl Encodable for FetchWire {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version < 2 {
            return self.body.encode(buf, 1);
        }
        let more = [self.acquire_mode as u8, u8::from(self.is_renew_ack)];
        put_in(&self.body, buf, fetch_place, &more)
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        Ok(self.body.compute_size(1)? + if version < 2 { 0 } else { 2 })
    }
}

impl Decodable for FetchedWire {
    fn decode<B: ByteBuf>(buf: &mut B, _version: i16) -> Result<Self> {
        ShareFetchResponse::decode(buf, 1).map(Self)
    }
}

impl Encodable for FetchedWire {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, _version: i16) -> Result<()> {
        self.0.encode(buf, 1)
    }

    fn compute_size(&self, _version: i16) -> Result<usize> {
        self.0.compute_size(1)
    }
}

impl Decodable for AcknowledgeWire {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        let mut bytes = buf.copy_to_bytes(buf.remaining());
        let mut wire = Self::default();
        if version >= 2 {
            let (mut more, rest) = take_out(&bytes, acknowledge_place(&bytes)?, 1)?;
            wire.is_renew_ack = more.get_i8() != 0;
            bytes = rest;
        }
        wire.body = ShareAcknowledgeRequest::decode(&mut bytes, 1)?;
        Ok(wire)
    }
}

impl Encodable for AcknowledgeWire {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version < 2 {
            return self.body.encode(buf, 1);
        }
        put_in(&self.body, buf, acknowledge_place, &[u8::from(self.is_renew_ack)])
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        Ok(self.body.compute_size(1)? + usize::from(version >= 2))
    }
}

impl Decodable for AcknowledgedWire {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        let mut bytes = buf.copy_to_bytes(buf.remaining());
        let mut wire = Self::default();
        if version >= 2 {
            let (mut more, rest) = take_out(&bytes, acknowledged_place(&bytes)?, 4)?;
            wire.lock_ms = more.get_i32();
            bytes = rest;
        }
        wire.body = ShareAcknowledgeResponse::decode(&mut bytes, 1)?;
        Ok(wire)
    }
}

impl Encodable for AcknowledgedWire {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version < 2 {
            return self.body.encode(buf, 1);
        }
        put_in(&self.body, buf, acknowledged_place, &self.lock_ms.to_be_bytes())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        Ok(self.body.compute_size(1)? + if version < 2 { 0 } else { 4 })
    }
}

macro_rules! message {
    ($($wire:ty => $body:ty),*) => {$(
        impl Message for $wire {
            const VERSIONS: VersionRange = VERSIONS;
            const DEPRECATED_VERSIONS: Option<VersionRange> = None;
        }

        impl HeaderVersion for $wire {
            fn header_version(_version: i16) -> i16 {
                <$body>::header_version(1)
            }
        }
    )*};
}

message!(
    FetchWire => ShareFetchRequest,
    FetchedWire => ShareFetchResponse,
    AcknowledgeWire => ShareAcknowledgeRequest,
    AcknowledgedWire => ShareAcknowledgeResponse
);

impl Request for FetchWire {
    const KEY: i16 = ApiKey::ShareFetch as i16;
    type Response = FetchedWire;
}

impl Request for AcknowledgeWire {
    const KEY: i16 = ApiKey::ShareAcknowledge as i16;
    type Response = AcknowledgedWire;
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::GroupId;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    #[test]
    fn both_versions_of_a_fetch_come_back_as_they_were_written() {
        let wire = FetchWire {
            body: ShareFetchRequest::default()
                .with_group_id(Some(GroupId(text("group"))))
                .with_member_id(Some(text("member")))
                .with_batch_size(7),
            acquire_mode: 1,
            is_renew_ack: true,
        };
        for version in [1, 2] {
            let mut bytes = BytesMut::new();
            wire.encode(&mut bytes, version).unwrap();
            assert_eq!(bytes.len(), wire.compute_size(version).unwrap());
            let read = FetchWire::decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!(read.body, wire.body);
            let newer = (read.acquire_mode, read.is_renew_ack);
            assert_eq!(newer, if version == 2 { (1, true) } else { (0, false) });
        }
    }

    #[test]
    fn both_versions_of_an_acknowledgement_come_back_as_they_were_written() {
        let wire = AcknowledgeWire {
            body: ShareAcknowledgeRequest::default().with_group_id(None),
            is_renew_ack: true,
        };
        let answer = AcknowledgedWire {
            body: ShareAcknowledgeResponse::default().with_error_message(Some(text("why"))),
            lock_ms: 30_000,
        };
        for version in [1, 2] {
            let mut bytes = BytesMut::new();
            wire.encode(&mut bytes, version).unwrap();
            let read = AcknowledgeWire::decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!((read.body, read.is_renew_ack), (wire.body.clone(), version == 2));
            let mut bytes = BytesMut::new();
            answer.encode(&mut bytes, version).unwrap();
            let read = AcknowledgedWire::decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!(read.body, answer.body);
            assert_eq!(read.lock_ms, if version == 2 { 30_000 } else { 0 });
        }
    }

    #[test]
    fn what_ends_early_is_no_request() {
        assert!(FetchWire::decode(&mut Bytes::from_static(&[2, b'g', 9]), 2).is_err());
        assert!(AcknowledgeWire::decode(&mut Bytes::from_static(&[]), 2).is_err());
    }
}
