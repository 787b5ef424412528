//! How fast is the log by itself? 2 million records of 100 bytes in batches of 16 KB, validated and appended, one
//! thread; then read back; then 5,000 partitions created.
//! `cargo run --release -p streamlings-broker --example append_speed`

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use streamlings_broker::log::{
    BatchOptions, FileCache, Known, LogConfig, NewRecord, PartitionLog, build_batch, validate,
};
use uuid::Uuid;

const RECORDS: usize = 2_000_000;
const RECORD_BYTES: usize = 100;
const BATCH_RECORDS: usize = 150;
const PARTITIONS: usize = 5_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let files = Arc::new(FileCache::new(256));
    let open = |name: String| {
        let dir = folder.path().join(name);
        PartitionLog::open(
            &dir,
            Uuid::from_u128(1),
            &files,
            LogConfig::default(),
            Known::NOTHING,
            0,
        )
    };
    let record = NewRecord {
        timestamp_ms: 0,
        key: None,
        value: Some(vec![b'x'; RECORD_BYTES].into()),
    };
    let sent: Bytes = build_batch(&vec![record; BATCH_RECORDS], BatchOptions::default())?
        .bytes()
        .clone();
    let rules = LogConfig::default().produce_rules();

    let start = Instant::now();
    for _ in 0..RECORDS / BATCH_RECORDS {
        validate(sent.clone(), &rules, 0)?;
    }
    report("validate", RECORDS, start);

    let valid = validate(sent.clone(), &rules, 0)?;
    let mut log = open("speed-0".into())?;
    let start = Instant::now();
    for _ in 0..RECORDS / BATCH_RECORDS {
        log.append(&valid, 0, 0)?;
    }
    report("append", RECORDS, start);

    let start = Instant::now();
    let mut position = 0;
    let mut read = 0;
    while position < log.end_offset() {
        let bytes = log.read(position, 1 << 20, i64::MAX, true)?.read()?;
        let whole = bytes.len() / sent.len() * BATCH_RECORDS;
        position += whole as i64;
        read += whole;
    }
    report("read", read, start);

    drop(log);
    let start = Instant::now();
    let log = open("speed-0".into())?;
    report("recover", log.end_offset() as usize, start);

    let start = Instant::now();
    let logs = (0..PARTITIONS)
        .map(|p| open(format!("many-{p}")))
        .collect::<Result<Vec<_>, _>>()?;
    println!(
        "create  {:>8} partitions  {:>7.1} ms",
        logs.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
    if let Some(line) = resident() {
        println!("{line}");
    }
    Ok(())
}

fn report(what: &str, records: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what:<8}{records:>8} records  {:>7.1} ms  {:>6.2} M/s",
        seconds * 1e3,
        records as f64 / seconds / 1e6
    );
}

fn resident() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .map(str::to_owned)
}
