//! The files of a cluster, read without it: are its logs as they must be after any end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::log::{batches, check_crc};

/// A batch: its first and last offset, and its checksum.
pub(super) type Batch = (i64, i64, u32);

/// The batches of every log, by its folder below `data`.
pub(super) type Logs = BTreeMap<PathBuf, Vec<Batch>>;

/// Reads all logs.
///
/// # Errors
/// A batch is damaged, or not where it must be.
pub(super) fn read_logs(data: &Path) -> Result<Logs, String> {
    let mut logs = Logs::new();
    for broker in folders_in(data) {
        for folder in folders_in(&broker) {
            let name = folder.strip_prefix(data).unwrap_or(&folder).to_owned();
            if !name.to_string_lossy().ends_with("-delete") {
                let found = read_log(&folder).map_err(|why| format!("{}: {why}", name.display()))?;
                logs.insert(name, found);
            }
        }
    }
    Ok(logs)
}

fn folders_in(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn read_log(folder: &Path) -> Result<Vec<Batch>, String> {
    // Compaction leaves holes.
    let holes = folder.to_string_lossy().contains("__consumer_offsets")
        || folder.to_string_lossy().contains("__transaction_state");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut segments: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    segments.sort();
    let mut found: Vec<Batch> = Vec::new();
    for segment in segments {
        let base: i64 = segment
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse().ok())
            .ok_or("a segment without an offset")?;
        let next = found.last().map_or(base, |batch| batch.1 + 1);
        if base < next || (base > next && !holes) {
            return Err(format!("a segment begins at {base}, and {next} is next"));
        }
        let bytes = Bytes::from(std::fs::read(&segment).unwrap_or_default());
        let mut starts = Vec::new();
        let mut at = 0u64;
        for one in batches(&bytes) {
            let (header, batch) = one.map_err(|error| error.to_string())?;
            check_crc(&batch).map_err(|error| error.to_string())?;
            let next = found.last().map_or(base, |batch| batch.1 + 1).max(base);
            if header.base_offset < next || (header.base_offset > next && !holes) {
                return Err(format!("offset {} where {next} is next", header.base_offset));
            }
            found.push((header.base_offset, header.last_offset(), crc_of(&batch)));
            starts.push((at as u32, header.last_offset() - base));
            at += header.size as u64;
        }
        check_index(&segment.with_extension("index"), &starts)?;
    }
    Ok(found)
}

/// The whole batches of a file.
pub(super) fn batches_of(bytes: &Bytes) -> Vec<Batch> {
    let whole = batches(bytes).map_while(Result::ok);
    whole
        .map(|(header, batch)| (header.base_offset, header.last_offset(), crc_of(&batch)))
        .collect()
}

fn crc_of(batch: &Bytes) -> u32 {
    let field = batch.get(17..21).unwrap_or(&[0; 4]);
    field.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

/// Every entry names the start of a batch and its last offset.
fn check_index(path: &Path, starts: &[(u32, i64)]) -> Result<(), String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    for entry in bytes.chunks_exact(8) {
        let number = |at: usize| {
            entry[at..at + 4]
                .iter()
                .fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte))
        };
        let (offset, position) = (number(0), number(4));
        if (offset, position) != (0, 0) && !starts.contains(&(position, i64::from(offset))) {
            return Err(format!("{} names {offset} at {position}", path.display()));
        }
    }
    Ok(())
}

/// What `before` and the disk both had, and `after` has not.
pub(super) fn lost(before: &[Batch], after: &[Batch]) -> Option<Batch> {
    let first = after.first().map_or(i64::MAX, |batch| batch.0);
    let kept = |batch: &Batch| batch.1 < first || after.contains(batch);
    before.iter().find(|batch| !kept(batch)).copied()
}
