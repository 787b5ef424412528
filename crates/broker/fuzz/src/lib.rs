//! What strangers can put before the crate: bytes on a socket, record batches, a folder of a log.
//!
//! Each function takes whatever a fuzzer makes, and panics where a promise is broken. `tests/fuzzed.rs` of the crate
//! plays the inputs in `regression/` through the same functions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use streamlings_broker::Cluster;
use streamlings_broker::log::{
    BatchOptions, CleanupPolicy, FileCache, HEADER_BYTES, Known, LogConfig, NewRecord, PartitionLog,
    batch_records, batches as split, build_batch, validate,
};
use uuid::Uuid;

/// The time at which all of it happens.
const NOW_MS: i64 = 1_700_000_000_000;
/// How many inputs one cluster sees: topics and groups that they make would fill it.
const INPUTS: u32 = 500;
/// How much of an answer is read.
const ANSWER_BYTES: u64 = 1 << 20;

struct Server {
    cluster: Cluster,
    good: TcpStream,
    inputs: u32,
}

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

impl Server {
    fn start() -> Self {
        let cluster = Cluster::builder().start().expect("a cluster starts");
        let good = TcpStream::connect(cluster.bootstrap()).expect("a cluster listens");
        good.set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a socket has a time-out");
        Self {
            cluster,
            good,
            inputs: 0,
        }
    }

    /// A client that does nothing wrong gets its answer.
    fn ask(&mut self) {
        // Metadata version 1, correlation id 7, no client id, no topics.
        let request = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0];
        self.good
            .write_all(&request)
            .expect("a good client's connection holds");
        let mut head = [0; 8];
        self.good
            .read_exact(&mut head)
            .expect("a good client is answered");
        assert_eq!(head[4..], [0, 0, 0, 7], "the answer is to the question");
        let len = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]])) - 4;
        let mut rest = Vec::new();
        (&self.good)
            .take(len)
            .read_to_end(&mut rest)
            .expect("an answer comes whole");
    }
}

/// Bytes on a connection. Whatever they are, the sender gets an answer or loses the connection, and nobody else notices.
pub fn frames(data: &[u8]) {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if server.as_ref().is_none_or(|server| server.inputs >= INPUTS) {
        *server = Some(Server::start());
    }
    let Some(server) = server.as_mut() else { return };
    server.inputs += 1;
    let mut hostile = TcpStream::connect(server.cluster.bootstrap()).expect("a cluster listens");
    // Some requests are to wait: for records, for other members.
    let patience = Some(Duration::from_millis(20));
    hostile
        .set_read_timeout(patience)
        .expect("a socket has a time-out");
    if hostile.write_all(data).is_ok() {
        // Whether it is closed, answered or left waiting is the cluster's matter.
        let _ = hostile.shutdown(std::net::Shutdown::Write);
        let _ = (&hostile).take(ANSWER_BYTES).read_to_end(&mut Vec::new());
    }
    server.ask();
}

fn config(flags: u8) -> LogConfig {
    LogConfig {
        segment_bytes: 4000,
        index_interval_bytes: 100,
        max_message_bytes: 4000,
        max_decompressed_bytes: 1 << 20,
        cleanup: CleanupPolicy {
            delete: true,
            compact: flags & 1 != 0,
        },
        ..LogConfig::default()
    }
}

/// Gives every batch the checksum that belongs to it: a stranger can do that as well.
fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at + HEADER_BYTES <= bytes.len() {
        let len = i32::from_be_bytes([bytes[at + 8], bytes[at + 9], bytes[at + 10], bytes[at + 11]]);
        let Some(end) = usize::try_from(len).ok().and_then(|len| at.checked_add(12 + len)) else {
            break;
        };
        if end > bytes.len() || end < at + HEADER_BYTES {
            break;
        }
        let sum = crc32c::crc32c(&bytes[at + 21..end]);
        bytes[at + 17..at + 21].copy_from_slice(&sum.to_be_bytes());
        at = end;
    }
    bytes
}

/// A produced batch: it is refused, or every record of it can be read and there are as many as it says.
pub fn batches(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else {
        return;
    };
    let bytes = if flags & 2 != 0 {
        with_checksums(data.to_vec())
    } else {
        data.to_vec()
    };
    let rules = config(*flags).produce_rules();
    let Ok(valid) = validate(Bytes::from(bytes), &rules, NOW_MS) else {
        return;
    };
    let records =
        batch_records(valid.bytes(), rules.max_decompressed_bytes).expect("a valid batch can be read");
    assert_eq!(records.len() as i32, valid.header().record_count);
}

/// The files that a folder may hold, by the byte that names them.
const FILES: [&str; 9] = [
    "00000000000000000000.log",
    "00000000000000000000.index",
    "00000000000000000000.timeindex",
    "00000000000000000000.txnindex",
    "00000000000000000003.snapshot",
    "leader-epoch-checkpoint",
    "00000000000000000003.log",
    "00000000000000000003.index",
    "partition.metadata",
];

/// A folder as a crash, a full disk or a stranger left it. It is refused, or what is read from it is in order, records
/// can be added, and the next start finds the same.
pub fn folders(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let dir = folder.path().join("rides-0");
    std::fs::create_dir(&dir).expect("a folder can be made");
    fill(&dir, data, flags & 2 != 0);
    let known = Known {
        clean: flags & 4 != 0,
        ..Known::NOTHING
    };
    let files = Arc::new(FileCache::new(8));
    let open = |known| PartitionLog::open(&dir, Uuid::from_u128(7), &files, config(*flags), known, NOW_MS);
    let Ok(mut log) = open(known) else { return };
    let Some(found) = read(&log) else {
        // Whoever forges a checksum, or claims that all is whole, is believed until somebody reads it.
        assert!(
            known.clean || flags & 2 != 0,
            "a log that was checked can be read"
        );
        return;
    };
    if known.clean {
        return;
    }
    assert!(
        flags & 2 != 0 || found.is_sorted_by(|a, b| a < b),
        "offsets rise where checksums are right"
    );
    let record = NewRecord {
        timestamp_ms: NOW_MS,
        key: Some("k".into()),
        value: Some("v".into()),
    };
    let batch = build_batch(&[record], BatchOptions::default()).expect("a batch of one record");
    if log.append(&batch, i32::MAX, NOW_MS).is_err() {
        return;
    }
    let end = log.end_offset();
    drop(log);
    let again = open(Known::NOTHING).expect("what was opened opens again");
    assert_eq!(again.end_offset(), end);
    let more = read(&again).expect("what was read is read again");
    assert_eq!(&more[..found.len()], &found[..]);
    assert_eq!(more.len(), found.len() + 1);
}

/// Writes files: a byte that names it, two of length, the bytes.
fn fill(dir: &Path, mut data: &[u8], checksums: bool) {
    while let [name, high, low, rest @ ..] = data {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (content, after) = rest.split_at(len);
        data = after;
        let name = FILES[usize::from(*name) % FILES.len()];
        let content = if checksums && Path::new(name).extension().is_some_and(|end| end == "log") {
            with_checksums(content.to_vec())
        } else {
            content.to_vec()
        };
        let mut file = std::fs::File::create(dir.join(name)).expect("a file can be made");
        file.write_all(&content).expect("a file can be written");
    }
}

/// The offsets of all records.
fn read(log: &PartitionLog) -> Option<Vec<i64>> {
    let mut offsets = Vec::new();
    let mut next = log.start_offset();
    loop {
        let bytes = log.read(next, 4096, i64::MAX, true).ok()?.read().ok()?;
        let before = next;
        for whole in split(&bytes).map_while(Result::ok) {
            let (header, batch) = whole;
            let records = batch_records(&batch, 1 << 20).ok()?;
            offsets.extend(
                records
                    .iter()
                    .map(|record| record.offset)
                    .filter(|at| *at >= next),
            );
            next = next.max(header.last_offset() + 1);
        }
        if next == before {
            return Some(offsets);
        }
    }
}
