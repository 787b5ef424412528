//! Peers that send garbage lose their connection, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
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

/// How many records go through while others send garbage.
const RECORDS: usize = 100;
const LONG: Duration = Duration::from_secs(60);

/// Garbage of each kind, and whether the sender hangs up in the middle of it.
fn garbage() -> Vec<(&'static str, Vec<u8>, bool)> {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut byte = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    };
    let random: Vec<u8> = (0..5000).map(|_| byte()).collect();
    vec![
        ("a huge length", i32::MAX.to_be_bytes().to_vec(), false),
        ("a negative length", (-1i32).to_be_bytes().to_vec(), false),
        (
            "half a frame",
            [&100i32.to_be_bytes()[..], &head(0, 9)].concat(),
            true,
        ),
        ("random bytes", [&[0x7f][..], &random].concat(), false),
        ("random bytes in a frame", framed(&random), false),
        ("an unsupported version", framed(&head(0, 2)), false),
        (
            "a produce whose body is broken",
            framed(&[head(0, 7), random[..200].to_vec()].concat()),
            false,
        ),
        (
            "a fetch of two billion topics",
            framed(&[head(1, 11), vec![0; 17], i32::MAX.to_be_bytes().to_vec()].concat()),
            false,
        ),
    ]
}

/// Ends the others also where a test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Hands out garbage of all kinds, again and again, until it is told to end; how often.
fn pester(address: &str, end: &AtomicBool) -> usize {
    let mut sent = 0;
    while !end.load(Ordering::SeqCst) {
        for (what, bytes, hangs_up) in garbage() {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            let _ = stream.write_all(&bytes);
            if hangs_up {
                let _ = stream.shutdown(std::net::Shutdown::Write);
            }
            assert_eq!(answer(&mut stream), None, "{what}");
            sent += 1;
        }
    }
    sent
}

#[test]
fn others_go_on_while_a_peer_sends_garbage() {
    let cluster = Cluster::builder().brokers(2).start().unwrap();
    let addresses: Vec<String> = cluster.bootstrap().split(',').map(str::to_owned).collect();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", cluster.bootstrap())
        .set("group.id", "readers")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "true")
        .set("topic.metadata.refresh.interval.ms", "200");
    let producer: BaseProducer = config.create().unwrap();
    let consumer: BaseConsumer = config.create().unwrap();
    // Not one request of these two may fail, so that a broken connection would be seen.
    let send = |number: usize| {
        producer
            .send(BaseRecord::<str, str>::to("rides").payload(&number.to_string()))
            .unwrap();
        producer.flush(LONG).unwrap();
    };
    send(0);
    consumer.subscribe(&["rides"]).unwrap();

    let end = AtomicBool::new(false);
    let started = Instant::now();
    let garbage = std::thread::scope(|scope| {
        let peers: Vec<_> = addresses
            .iter()
            .map(|address| scope.spawn(|| pester(address, &end)))
            .collect();
        let _ends_with_this = Ends(&end);
        let mut read = Vec::new();
        while read.len() < RECORDS && started.elapsed() < LONG {
            let sent = read.len() + 1;
            match consumer.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => {
                    read.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
                    send(sent);
                }
                Some(Err(error)) => panic!("after {} records: {error}", read.len()),
                None => {}
            }
        }
        end.store(true, Ordering::SeqCst);
        let expected: Vec<String> = (0..RECORDS).map(|number| number.to_string()).collect();
        assert_eq!(read, expected);
        peers.into_iter().map(|peer| peer.join().unwrap()).sum::<usize>()
    });
    assert!(garbage >= 16, "{garbage} pieces of garbage in all that time");
}

/// Key, version, correlation id, no client id, and what comes after.
fn request(key: i16, version: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(key, version);
    bytes[4..8].copy_from_slice(&correlation.to_be_bytes());
    bytes.extend_from_slice(body);
    framed(&bytes)
}

#[test]
fn a_client_that_sends_ahead_gets_its_answers_in_order_and_none_waits_for_a_slow_one() {
    let cluster = Cluster::builder().start().unwrap();
    let mut stream = connect(&cluster);
    let topic = [&1i32.to_be_bytes()[..], &1i16.to_be_bytes(), b"t"].concat();
    stream.write_all(&request(3, 1, 0, &topic)).unwrap();
    answer(&mut stream).unwrap();
    // Nobody, 1500 ms, at least one byte and at most a million, partition 0 from offset 0.
    let wait = [
        &(-1i32).to_be_bytes()[..],
        &1500i32.to_be_bytes(),
        &1i32.to_be_bytes(),
        &1_000_000i32.to_be_bytes(),
        &[0],
        &topic,
        &1i32.to_be_bytes(),
        &0i32.to_be_bytes(),
        &0i64.to_be_bytes(),
        &1_000_000i32.to_be_bytes(),
    ]
    .concat();
    let mut ahead: Vec<u8> = (1..=6).flat_map(|id| request(18, 0, id, &[])).collect();
    ahead.extend(request(1, 4, 7, &wait));
    ahead.extend(request(18, 0, 8, &[]));
    // The last one comes in two parts.
    let (all, rest) = ahead.split_at(ahead.len() - 3);
    let begun = Instant::now();
    stream.write_all(all).unwrap();
    let id = |stream: &mut TcpStream| answer(stream).unwrap()[..4].to_vec();
    for expected in 1..=6i32 {
        assert_eq!(id(&mut stream), expected.to_be_bytes());
    }
    assert!(
        begun.elapsed() < Duration::from_millis(1400),
        "they wait for the fetch"
    );
    assert_eq!(id(&mut stream), 7i32.to_be_bytes());
    assert!(
        begun.elapsed() >= Duration::from_millis(1400),
        "the fetch waits for records"
    );
    stream.write_all(rest).unwrap();
    assert_eq!(id(&mut stream), 8i32.to_be_bytes());
    // What was asked before nonsense is answered.
    stream
        .write_all(&[request(18, 0, 9, &[]), request(999, 0, 10, &[])].concat())
        .unwrap();
    assert_eq!(id(&mut stream), 9i32.to_be_bytes());
    assert!(answer(&mut stream).is_none());
}
