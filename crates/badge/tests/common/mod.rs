//! A badge to tamper with, and the tools of a forger who can bake any text.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::trivially_copy_pass_by_ref
)]

use jiff::Timestamp;
use streamlings_badge::{Achievement, Award, Email, Holder, Key, SignedCredential, Verifier};

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn key() -> Key {
    Key::from_secret([7; 32])
}

pub fn award() -> Award {
    Award {
        id: [1; 16],
        achievement: Achievement {
            seed: "kafka-flink".into(),
            name: "Kafka and Flink, hands on".into(),
            description: "Reads, writes and windows streams.".into(),
            criteria: "19 of 23 questions answered right.".into(),
            max: 23,
            required: 19,
        },
        holder: Holder {
            name: Some("Ada Lovelace".into()),
            email: Some(Email {
                address: "ada@example.org".into(),
                salt: "pepper".into(),
            }),
        },
        score: 21,
        passed_at: at("2026-11-22T18:00:00Z"),
        issuer_name: "A machine of Ada's".into(),
    }
}

pub fn sign(award: &Award) -> SignedCredential {
    key()
        .sign(award.credential(key().did()).unwrap(), at("2026-11-22T18:00:01Z"))
        .unwrap()
}

pub fn signed() -> SignedCredential {
    sign(&award())
}

pub fn verifier() -> Verifier {
    Verifier::at(at("2026-11-23T09:00:00Z"))
}

/// The SVG with another text in its credential.
pub fn rebake_svg(svg: &str, json: &str) -> String {
    let from = svg.find("<![CDATA[").unwrap() + 9;
    let to = svg.find("]]></openbadges").unwrap();
    format!(
        "{}{}{}",
        &svg[..from],
        json.replace("]]>", "]]\\u003e"),
        &svg[to..]
    )
}

pub fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = crc32fast::Hasher::new();
    sum.update(kind);
    sum.update(data);
    [
        &(data.len() as u32).to_be_bytes()[..],
        kind,
        data,
        &sum.finalize().to_be_bytes(),
    ]
    .concat()
}

pub fn text_chunk(json: &str) -> Vec<u8> {
    chunk(
        b"iTXt",
        &[b"openbadgecredential\0\0\0\0\0", json.as_bytes()].concat(),
    )
}

/// A PNG's chunks with their frames, without the signature.
pub fn chunks(png: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &png[8..];
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize + 12;
        chunks.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    chunks
}

pub fn png_of(chunks: &[Vec<u8>]) -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat()
}

/// The PNG with another text in its chunk.
pub fn rebake_png(png: &[u8], json: &str) -> Vec<u8> {
    let mut parts = chunks(png);
    parts[1] = text_chunk(json);
    png_of(&parts)
}
