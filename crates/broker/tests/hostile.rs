//! Peers that send garbage lose their connection, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use streamlings_broker::Cluster;

fn connect(cluster: &Cluster) -> TcpStream {
    let stream = TcpStream::connect(cluster.bootstrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as i32).to_be_bytes()[..], body].concat()
}

/// Key, version, correlation id 7, no client id.
fn head(key: i16, version: i16) -> Vec<u8> {
    [
        &key.to_be_bytes()[..],
        &version.to_be_bytes(),
        &7i32.to_be_bytes(),
        &(-1i16).to_be_bytes(),
    ]
    .concat()
}

fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let mut body = vec![0; i32::from_be_bytes(len) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

#[test]
fn garbage_costs_only_its_own_connection() {
    let cluster = Cluster::builder().start().unwrap();
    let mut good = connect(&cluster);
    let metadata_of_all = framed(&[head(3, 1), (-1i32).to_be_bytes().to_vec()].concat());
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("a negative length", (-5i32).to_be_bytes().to_vec()),
        ("an enormous length", i32::MAX.to_be_bytes().to_vec()),
        (
            "a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "an HTTP request",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        ("an unknown key", framed(&head(999, 0))),
        ("a version too far", framed(&head(3, 99))),
        (
            "an array of two billion topics",
            framed(&[head(3, 1), i32::MAX.to_be_bytes().to_vec()].concat()),
        ),
        (
            "a compact array of four billion",
            framed(&[head(3, 9), vec![0], vec![0xff; 5]].concat()),
        ),
        ("a request that ends early", framed(&head(0, 7))),
        (
            "a client id that is no text",
            framed(&[0, 3, 0, 1, 0, 0, 0, 7, 0, 2, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff]),
        ),
    ];
    for (what, bytes) in hostile {
        let mut bad = connect(&cluster);
        // The other side may be gone before all is written.
        let _ = bad.write_all(&bytes);
        assert_eq!(answer(&mut bad), None, "{what}");
        good.write_all(&metadata_of_all).unwrap();
        assert_eq!(
            &answer(&mut good).unwrap()[..4],
            7i32.to_be_bytes(),
            "after {what}"
        );
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let cluster = Cluster::builder().start().unwrap();
    let mut stream = connect(&cluster);
    stream.write_all(&framed(&head(18, 77))).unwrap();
    let answer = answer(&mut stream).unwrap();
    assert_eq!(
        &answer[..6],
        [0, 0, 0, 7, 0, 35],
        "correlation id, then UNSUPPORTED_VERSION"
    );
}

#[test]
fn a_request_in_pieces_is_a_request() {
    let cluster = Cluster::builder().start().unwrap();
    let mut stream = connect(&cluster);
    stream.set_nodelay(true).unwrap();
    for byte in framed(&[head(3, 1), (-1i32).to_be_bytes().to_vec()].concat()) {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(answer(&mut stream).is_some());
}
