//! Indexes and snapshots, compared with the log beside them.

use std::path::Path;

use streamlings_broker::log::{
    dumped_offset_index, dumped_records, dumped_snapshot, dumped_time_index, dumped_txn_index,
};

use super::{Batches, Findings, MOST_BYTES, Options, base_offset};
use crate::tools::io::{Failure, Ran, ToolIo};

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Error(format!("{}: {error}", path.display())))
}

/// Last offsets and positions of a log's batches; empty where the log isn't there.
fn batches(index: &Path) -> Vec<(u64, i64)> {
    let mut all = Vec::new();
    let Ok(mut batches) = Batches::open(&index.with_extension("log")) else {
        return all;
    };
    while let Ok(Some((position, header, _))) = batches.next() {
        all.push((position, header.last_offset()));
    }
    all
}

/// `.index`.
pub(super) fn offset_index(
    name: &str,
    path: &Path,
    options: &Options,
    findings: &mut Findings,
    io: &mut ToolIo<'_>,
) -> Ran {
    let base = base_offset(path)?;
    let bytes = read(path)?;
    let entries = dumped_offset_index(&bytes, base);
    if entries.is_empty() {
        writeln!(io.stdout, "{name} is empty.")?;
        return Ok(());
    }
    if options.sanity_only {
        return sanity(name, &bytes, 8, io);
    }
    let batches = batches(path);
    let mut wrong = Vec::new();
    for (at, (offset, position)) in entries.into_iter().enumerate() {
        // Room for entries that are not there yet is all zeros.
        if offset == base && at > 0 {
            break;
        }
        let there = batches
            .iter()
            .find(|(start, _)| *start >= u64::from(position))
            .map_or(-1, |(_, last)| *last);
        if there != offset {
            wrong.push(format!("  Index offset: {offset}, log offset: {there}"));
        }
        if !options.verify_only {
            writeln!(io.stdout, "offset: {offset} position: {position}")?;
        }
    }
    wrong.reverse();
    findings.add(&format!("Mismatches in :{}", path.display()), &wrong);
    Ok(())
}

fn sanity(name: &str, bytes: &[u8], entry: usize, io: &mut ToolIo<'_>) -> Ran {
    if !bytes.len().is_multiple_of(entry) {
        return Err(Failure::Error(format!(
            "Index file {name} is corrupt, found {} bytes which is neither positive nor a multiple of {entry}.",
            bytes.len()
        )));
    }
    writeln!(io.stdout, "{name} passed sanity check.")?;
    Ok(())
}

/// `.timeindex`.
pub(super) fn time_index(
    name: &str,
    path: &Path,
    options: &Options,
    findings: &mut Findings,
    io: &mut ToolIo<'_>,
) -> Ran {
    let base = base_offset(path)?;
    let bytes = read(path)?;
    if options.sanity_only {
        return sanity(name, &bytes, 12, io);
    }
    let log = path.with_extension("log");
    let (mut mismatched, mut disordered, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    let mut before = -1;
    for (at, (timestamp, offset)) in dumped_time_index(&bytes, base).into_iter().enumerate() {
        if offset == base && at > 0 {
            break;
        }
        match largest_timestamp(&log, offset) {
            Err(last) => absent.push(format!("Indexed offset: {offset}, found log offset: {last}")),
            Ok(largest) => {
                if largest != timestamp {
                    mismatched.push(format!(
                        "  Index timestamp: {timestamp}, log timestamp: {largest}"
                    ));
                }
                if before >= timestamp {
                    disordered.push(format!(
                        "  Index timestamp: {timestamp}, Previously indexed timestamp: {before}"
                    ));
                }
            }
        }
        if !options.verify_only {
            writeln!(io.stdout, "timestamp: {timestamp} offset: {offset}")?;
        }
        before = timestamp;
    }
    let shown = path.display();
    findings.add(&format!("Found timestamp mismatch in :{shown}"), &mismatched);
    findings.add(&format!("Found out of order timestamp in :{shown}"), &disordered);
    findings.add("The following indexed offsets are not found in the log.", &absent);
    Ok(())
}

/// The largest timestamp of the batch that ends with `offset`; else the last offset of the batch that is there, -1 for none.
fn largest_timestamp(log: &Path, offset: i64) -> Result<i64, i64> {
    let mut batches = Batches::open(log).map_err(|_| -1)?;
    while let Ok(Some((_, header, batch))) = batches.next() {
        if header.last_offset() < offset {
            continue;
        }
        if header.last_offset() > offset {
            return Err(header.last_offset());
        }
        let records = dumped_records(&batch, MOST_BYTES).unwrap_or_default();
        let times = records.iter().map(|dumped| dumped.record.timestamp_ms);
        return Ok(times.max().unwrap_or(-1));
    }
    Err(-1)
}

/// `.txnindex`.
pub(super) fn txn_index(path: &Path, io: &mut ToolIo<'_>) -> Ran {
    for aborted in dumped_txn_index(&read(path)?) {
        writeln!(
            io.stdout,
            "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            aborted.producer_id, aborted.first_offset, aborted.last_offset, aborted.last_stable_offset
        )?;
    }
    Ok(())
}

/// `.snapshot`.
pub(super) fn snapshot(path: &Path, io: &mut ToolIo<'_>) -> Ran {
    let Some(producers) = dumped_snapshot(&read(path)?) else {
        writeln!(io.stderr, "{}: the snapshot is damaged", path.display())?;
        return Ok(());
    };
    let mut all: Vec<_> = producers.iter().collect();
    all.sort_by_key(|(id, _)| *id);
    for (id, entry) in all {
        let first = entry
            .txn_first_offset
            .map_or_else(|| "OptionalLong.empty".into(), |at| format!("OptionalLong[{at}]"));
        write!(
            io.stdout,
            "producerId: {id} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {first} lastTimestamp: {} ",
            entry.epoch, entry.coordinator_epoch, entry.last_timestamp
        )?;
        if let Some(batch) = entry.batches.front() {
            let first = (i64::from(batch.last_sequence) - i64::from(batch.offset_delta)).rem_euclid(1 << 31);
            write!(
                io.stdout,
                "firstSequence: {first} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                batch.last_sequence, batch.last_offset, batch.offset_delta, batch.timestamp
            )?;
        }
        writeln!(io.stdout)?;
    }
    Ok(())
}
