//! Writes inputs to start from: a well-formed request of every key and version, batches of every codec, a folder.
//!
//! usage: cargo run --bin seeds    (in this folder; fills `corpus/`)

use std::io;
use std::path::Path;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition as SharedPartition, FetchTopic as SharedTopic,
};
use kafka_protocol::messages::{
    ApiKey, FetchRequest, GroupId, RequestHeader, ShareFetchRequest, ShareGroupHeartbeatRequest, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use streamlings_broker::log::{BatchOptions, Codec, NewRecord, build_batch};

fn save(kind: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new("corpus").join(kind);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}

/// Versions that the codec doesn't know, and the cluster does.
const NEWER: [(ApiKey, i16); 3] = [
    (ApiKey::ShareFetch, 2),
    (ApiKey::ShareAcknowledge, 2),
    (ApiKey::DescribeShareGroupOffsets, 1),
];

fn frame(key: ApiKey, version: i16, body: &[u8]) -> Option<BytesMut> {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(1)
        .with_client_id(Some(StrBytes::from_static_str("seed")));
    header
        .encode(&mut bytes, key.request_header_version(version))
        .ok()?;
    bytes.put_slice(body);
    let len = (bytes.len() - 4) as i32;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    Some(bytes)
}

fn request(key: ApiKey, version: i16) -> Option<BytesMut> {
    // Zeros are nulls, empty arrays and empty texts in every version.
    frame(key, version, &[0; 48])
}

fn filled(key: ApiKey, version: i16, message: &impl Encodable) -> Option<BytesMut> {
    let mut body = BytesMut::new();
    message.encode(&mut body, version).ok()?;
    frame(key, version, &body)
}

/// One connection's requests: a fetch session that is opened and gone on with, a member of a share group that joins, reads
/// and acknowledges.
fn sessions() -> Option<(BytesMut, BytesMut)> {
    let text = StrBytes::from_static_str;
    let topic = FetchTopic::default()
        .with_topic(TopicName(text("rides")))
        .with_partitions(vec![FetchPartition::default().with_partition_max_bytes(1000)]);
    let mut fetches = BytesMut::new();
    for (epoch, topics) in [(0, vec![topic]), (1, Vec::new())] {
        let fetch = FetchRequest::default()
            .with_session_id(epoch)
            .with_session_epoch(epoch)
            .with_topics(topics);
        fetches.extend(filled(ApiKey::Fetch, 12, &fetch)?);
    }
    let (group, member) = (GroupId(text("share")), text("m1"));
    let beat = ShareGroupHeartbeatRequest::default()
        .with_group_id(group.clone())
        .with_member_id(member.clone())
        .with_subscribed_topic_names(Some(vec![TopicName(text("rides"))]));
    let mut shares = filled(ApiKey::ShareGroupHeartbeat, 1, &beat)?;
    for epoch in 0..2 {
        let said = AcknowledgementBatch::default()
            .with_last_offset(1)
            .with_acknowledge_types(vec![1]);
        let partition = SharedPartition::default().with_acknowledgement_batches(vec![said; epoch as usize]);
        let fetch = ShareFetchRequest::default()
            .with_group_id(Some(group.clone()))
            .with_member_id(Some(member.clone()))
            .with_share_session_epoch(epoch)
            .with_max_bytes(1000)
            .with_max_records(10)
            .with_batch_size(10)
            .with_topics(vec![SharedTopic::default().with_partitions(vec![partition])]);
        shares.extend(filled(ApiKey::ShareFetch, 1, &fetch)?);
    }
    Some((fetches, shares))
}

fn main() -> io::Result<()> {
    for key in ApiKey::iter() {
        let versions = key.valid_versions();
        for version in versions.min..=versions.max {
            if let Some(bytes) = request(key, version) {
                save("frames", &format!("{key:?}-{version}"), &bytes)?;
            }
        }
    }
    for (key, version) in NEWER {
        if let Some(bytes) = request(key, version) {
            save("frames", &format!("{key:?}-{version}"), &bytes)?;
        }
    }
    if let Some((fetches, shares)) = sessions() {
        save("frames", "fetch-session", &fetches)?;
        save("frames", "share-group", &shares)?;
    }
    let records: Vec<NewRecord> = (0..3)
        .map(|number| NewRecord {
            timestamp_ms: 1_700_000_000_000 + number,
            key: Some("key".into()),
            value: Some("some value, some value".into()),
        })
        .collect();
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let options = BatchOptions {
            codec,
            producer_id: 5,
            producer_epoch: 0,
            base_sequence: 0,
            ..BatchOptions::default()
        };
        let batch = build_batch(&records, options).map_err(io::Error::other)?;
        save(
            "batches",
            &format!("{codec:?}"),
            &[&[3], &batch.bytes()[..]].concat(),
        )?;
        let len = (batch.size() as u16).to_be_bytes();
        let folder = [
            &[2, 0][..],
            &len,
            batch.bytes(),
            &[1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        save("folders", &format!("{codec:?}"), &folder)?;
    }
    Ok(())
}
