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
    beside(path)?;
    let entries = dumped_offset_index(&bytes, base);
    let Some((last, _)) = entries.last().copied() else {
        writeln!(io.stdout, "{name} is empty.")?;
        return Ok(());
    };
    if options.sanity_only {
        let shown = path.display();
        if last < base {
            return Err(corrupt(&format!(
                "Corrupt index found, index file ({shown}) has non-zero size but the last offset is {last} which is less \
                 than the base offset {base}."
            )));
        }
        if !bytes.len().is_multiple_of(8) {
            let length = bytes.len();
            return Err(corrupt(&format!(
                "Index file {shown} is corrupt, found {length} bytes which is neither positive nor a multiple of 8"
            )));
        }
        writeln!(io.stdout, "{name} passed sanity check.")?;
        return Ok(());
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

/// An index that is none.
fn corrupt(why: &str) -> Failure {
    Failure::Bare(format!(
        "Exception in thread \"main\" org.apache.kafka.storage.internals.log.CorruptIndexException: {why}"
    ))
}

/// The log that an index belongs to has to lie beside it.
fn beside(index: &Path) -> Ran {
    let log = index.with_extension("log");
    if log.is_file() {
        return Ok(());
    }
    let why = format!("java.nio.file.NoSuchFileException: {}", log.display());
    Err(Failure::Bare(format!("Exception in thread \"main\" {why}")))
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
    beside(path)?;
    let entries = dumped_time_index(&bytes, base);
    if options.sanity_only {
        time_index_sanity(path, base, &entries, bytes.len())?;
        writeln!(io.stdout, "{name} passed sanity check.")?;
        return Ok(());
    }
    let log = path.with_extension("log");
    let (mut mismatched, mut disordered, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    let mut before = -1;
    for (at, (timestamp, offset)) in entries.into_iter().enumerate() {
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
    findings.add(
        &format!("The following indexed offsets are not found in :{shown}"),
        &absent,
    );
    Ok(())
}

/// What Kafka asks of a time index as it opens it. The room in the index of an active segment, all zeros, fails too.
fn time_index_sanity(path: &Path, base: i64, entries: &[(i64, i64)], bytes: usize) -> Ran {
    let shown = path.display();
    if let (Some((first, _)), Some((last, offset))) = (entries.first(), entries.last()) {
        let found =
            format!("Corrupt time index found, time index file ({shown}) has non-zero size but the last");
        if last < first {
            return Err(corrupt(&format!(
                "{found} timestamp is {last} which is less than the first timestamp {first}"
            )));
        }
        if *offset < base {
            return Err(corrupt(&format!(
                "{found} offset is {offset} which is less than the first offset {base}"
            )));
        }
    }
    if !bytes.is_multiple_of(12) {
        return Err(corrupt(&format!(
            "Time index file {shown} is corrupt, found {bytes} bytes which is neither positive nor a multiple of 12"
        )));
    }
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
    let producers = match dumped_snapshot(&read(path)?) {
        Ok(producers) => producers,
        Err(damage) => {
            writeln!(io.stderr, "{damage}")?;
            return Ok(());
        }
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
