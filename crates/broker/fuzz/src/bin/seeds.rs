//! Writes inputs to start from: a well-formed request of every key and version, batches of every codec, a folder.
//!
//! usage: cargo run --bin seeds    (in this folder; fills `corpus/`)

use std::io;
use std::path::Path;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};
use streamlings_broker::log::{BatchOptions, Codec, NewRecord, build_batch};

fn save(kind: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new("corpus").join(kind);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}

fn request(key: ApiKey, version: i16) -> Option<BytesMut> {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(1)
        .with_client_id(Some(StrBytes::from_static_str("seed")));
    header.encode(&mut bytes, key.request_header_version(version)).ok()?;
    // Zeros are nulls, empty arrays and empty texts in every version.
    bytes.put_bytes(0, 48);
    let len = (bytes.len() - 4) as i32;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    Some(bytes)
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
        save("batches", &format!("{codec:?}"), &[&[3], &batch.bytes()[..]].concat())?;
        let len = (batch.size() as u16).to_be_bytes();
        let folder = [&[2, 0][..], &len, batch.bytes(), &[1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        save("folders", &format!("{codec:?}"), &folder)?;
    }
    Ok(())
}
