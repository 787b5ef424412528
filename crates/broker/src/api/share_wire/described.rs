//! `DescribeShareGroupOffsets`: version 1 also tells the lag (KIP-1226).

use anyhow::{Result, anyhow};
use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, VersionRange};
use uuid::Uuid;

use crate::core::groups::records::wire::{Reader, Torn, Writer};

const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };

/// The request: the same in both versions.
#[derive(Debug, Clone, Default)]
pub(crate) struct DescribeWire(pub(crate) DescribeShareGroupOffsetsRequest);

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DescribedWire {
    pub(crate) groups: Vec<DescribedOffsets>,
}

/// Offsets of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DescribedOffsets {
    pub(crate) group: String,
    pub(crate) topics: Vec<DescribedTopic>,
    pub(crate) error: i16,
    pub(crate) message: Option<String>,
}

/// Offsets of one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DescribedTopic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<DescribedPartition>,
}

/// Offsets of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DescribedPartition {
    pub(crate) index: i32,
    /// -1 while nobody has read.
    pub(crate) start_offset: i64,
    pub(crate) leader_epoch: i32,
    /// Records that are yet to be done; -1 where that is not known.
    pub(crate) lag: i64,
    pub(crate) error: i16,
    pub(crate) message: Option<String>,
}

impl DescribedWire {
    fn write(&self, version: i16) -> Bytes {
        let mut out = Writer::default();
        // Nobody is throttled.
        out.i32(0);
        out.compact_len(self.groups.len());
        for group in &self.groups {
            out.compact(&group.group);
            out.compact_len(group.topics.len());
            for topic in &group.topics {
                out.compact(&topic.name);
                out.uuid(topic.id);
                out.compact_len(topic.partitions.len());
                for partition in &topic.partitions {
                    partition.write(&mut out, version);
                }
                out.no_tags();
            }
            out.i16(group.error);
            out.compact_nullable(group.message.as_deref());
            out.no_tags();
        }
        out.no_tags();
        out.finish()
    }

    fn read(rest: &mut Reader, version: i16) -> Result<Self, Torn> {
        rest.i32()?;
        let mut read = Self::default();
        for _ in 0..rest.compact_count()? {
            let mut group = DescribedOffsets {
                group: rest.compact()?,
                ..DescribedOffsets::default()
            };
            for _ in 0..rest.compact_count()? {
                let mut topic = DescribedTopic {
                    name: rest.compact()?,
                    id: rest.uuid()?,
                    partitions: Vec::new(),
                };
                for _ in 0..rest.compact_count()? {
                    topic.partitions.push(DescribedPartition::read(rest, version)?);
                }
                rest.tags()?;
                group.topics.push(topic);
            }
            group.error = rest.i16()?;
            group.message = rest.compact_nullable()?;
            rest.tags()?;
            read.groups.push(group);
        }
        rest.tags()?;
        Ok(read)
    }
}

impl DescribedPartition {
    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.index);
        out.i64(self.start_offset);
        out.i32(self.leader_epoch);
        if version >= 1 {
            out.i64(self.lag);
        }
        out.i16(self.error);
        out.compact_nullable(self.message.as_deref());
        out.no_tags();
    }

    fn read(rest: &mut Reader, version: i16) -> Result<Self, Torn> {
        let read = Self {
            index: rest.i32()?,
            start_offset: rest.i64()?,
            leader_epoch: rest.i32()?,
            lag: if version >= 1 { rest.i64()? } else { -1 },
            error: rest.i16()?,
            message: rest.compact_nullable()?,
        };
        rest.tags()?;
        Ok(read)
    }
}

impl Decodable for DescribedWire {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        let mut rest = Reader(buf.copy_to_bytes(buf.remaining()));
        Self::read(&mut rest, version).map_err(|Torn| anyhow!("it ends early"))
    }
}

impl Encodable for DescribedWire {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        buf.put_slice(&self.write(version));
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        Ok(self.write(version).len())
    }
}

impl Decodable for DescribeWire {
    fn decode<B: ByteBuf>(buf: &mut B, _version: i16) -> Result<Self> {
        DescribeShareGroupOffsetsRequest::decode(buf, 0).map(Self)
    }
}

impl Encodable for DescribeWire {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, _version: i16) -> Result<()> {
        self.0.encode(buf, 0)
    }

    fn compute_size(&self, _version: i16) -> Result<usize> {
        self.0.compute_size(0)
    }
}

impl Message for DescribeWire {
    const VERSIONS: VersionRange = VERSIONS;
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl Message for DescribedWire {
    const VERSIONS: VersionRange = VERSIONS;
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl HeaderVersion for DescribeWire {
    fn header_version(_version: i16) -> i16 {
        DescribeShareGroupOffsetsRequest::header_version(0)
    }
}

impl HeaderVersion for DescribedWire {
    fn header_version(_version: i16) -> i16 {
        DescribeShareGroupOffsetsResponse::header_version(0)
    }
}

impl Request for DescribeWire {
    const KEY: i16 = ApiKey::DescribeShareGroupOffsets as i16;
    type Response = DescribedWire;
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn version_0_is_what_the_codec_reads_and_version_1_tells_the_lag() {
        let wire = DescribedWire {
            groups: vec![DescribedOffsets {
                group: "g".to_owned(),
                topics: vec![DescribedTopic {
                    name: "t".to_owned(),
                    id: Uuid::from_u128(7),
                    partitions: vec![DescribedPartition {
                        index: 1,
                        start_offset: 5,
                        leader_epoch: 2,
                        lag: 9,
                        error: 3,
                        message: Some("why".to_owned()),
                    }],
                }],
                ..DescribedOffsets::default()
            }],
        };
        let mut bytes = BytesMut::new();
        wire.encode(&mut bytes, 0).unwrap();
        let plain = DescribeShareGroupOffsetsResponse::decode(&mut bytes.freeze(), 0).unwrap();
        let partition = &plain.groups[0].topics[0].partitions[0];
        assert_eq!((partition.start_offset, partition.error_code), (5, 3));
        let mut bytes = BytesMut::new();
        wire.encode(&mut bytes, 1).unwrap();
        assert_eq!(DescribedWire::decode(&mut bytes.freeze(), 1).unwrap(), wire);
    }
}
