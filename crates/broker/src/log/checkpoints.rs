//! The checkpoint files of a log dir: how far each of its logs is safe.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dir::parse_folder_name;
use super::error::LogError;
use super::files::replace;
use super::recovery::Known;

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const CLEANED: &str = "cleaner-offset-checkpoint";

/// What the checkpoint files say of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Everything below is on the disk for certain.
    pub recovery_point: i64,
    /// High watermark.
    pub high_watermark: i64,
    /// First offset of the log.
    pub log_start: i64,
    /// Everything below was compacted.
    pub cleaned_to: i64,
}

type Offsets = HashMap<(String, i32), i64>;

/// What the files say, by partition.
#[derive(Debug, Default)]
struct Noted {
    recovery_points: Offsets,
    high_watermarks: Offsets,
    log_starts: Offsets,
    cleaned: Offsets,
}

/// The checkpoint files, shared by the logs of a log dir.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    noted: Mutex<Noted>,
}

impl Checkpoints {
    /// Reads the files of a log dir.
    pub(super) fn read(log_dir: &Path) -> Self {
        let read = |name| read_offsets(&log_dir.join(name));
        Self {
            noted: Mutex::new(Noted {
                recovery_points: read(RECOVERY_POINTS),
                high_watermarks: read(HIGH_WATERMARKS),
                log_starts: read(LOG_STARTS),
                cleaned: read(CLEANED),
            }),
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // Each map is whole after every statement that can panic.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        let key = (topic.to_owned(), partition);
        self.noted().high_watermarks.get(&key).copied()
    }

    /// What is noted of a log; whether its broker was stopped in order is told elsewhere.
    pub(super) fn known(&self, topic: &str, partition: i32) -> Known {
        let key = (topic.to_owned(), partition);
        let noted = self.noted();
        let of = |offsets: &Offsets| offsets.get(&key).copied().unwrap_or(0);
        Known {
            clean: false,
            recovery_point: of(&noted.recovery_points),
            log_start: of(&noted.log_starts),
            cleaned_to: of(&noted.cleaned),
        }
    }

    /// Writes the files, where they don't say it already: that costs no wait for the disk. Says whether their names have to be
    /// forced.
    pub(super) fn write(
        &self,
        log_dir: &Path,
        all: impl IntoIterator<Item = Checkpoint>,
    ) -> Result<bool, LogError> {
        let mut new = Noted::default();
        for one in all {
            let key = (one.topic, one.partition);
            new.recovery_points.insert(key.clone(), one.recovery_point);
            new.high_watermarks.insert(key.clone(), one.high_watermark);
            new.log_starts.insert(key.clone(), one.log_start);
            new.cleaned.insert(key, one.cleaned_to);
        }
        // As in Kafka, a log that starts at 0 needs no entry, nor one that was never compacted.
        new.log_starts.retain(|_, offset| *offset > 0);
        new.cleaned.retain(|_, offset| *offset > 0);
        let mut noted = self.noted();
        let noted = &mut *noted;
        let mut written = false;
        for (name, old, new) in [
            (RECOVERY_POINTS, &mut noted.recovery_points, new.recovery_points),
            (HIGH_WATERMARKS, &mut noted.high_watermarks, new.high_watermarks),
            (LOG_STARTS, &mut noted.log_starts, new.log_starts),
            (CLEANED, &mut noted.cleaned, new.cleaned),
        ] {
            if *old != new {
                write_offsets(log_dir, name, &new)?;
                *old = new;
                written = true;
            }
        }
        Ok(written)
    }

    /// The log in `dir` is about to be cut off at `end`: what comes there next is neither forced nor compacted. Says it before the
    /// cut (Kafka, which notices its own death, right after): a start that took the old offsets at their word would not check
    /// what a power cut has damaged. Says whether names have to be forced.
    pub(super) fn truncated(&self, dir: &Path, end: i64) -> Result<bool, LogError> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let (Some(log_dir), Some((topic, partition))) = (dir.parent(), parse_folder_name(&name)) else {
            return Ok(false);
        };
        let key = (topic.to_owned(), partition);
        let mut noted = self.noted();
        let mut written = false;
        let Noted {
            recovery_points,
            cleaned,
            ..
        } = &mut *noted;
        for (name, offsets) in [(RECOVERY_POINTS, recovery_points), (CLEANED, cleaned)] {
            if let Some(offset) = offsets.get_mut(&key).filter(|offset| **offset > end) {
                *offset = end;
                write_offsets(log_dir, name, offsets)?;
                written = true;
            }
        }
        Ok(written)
    }
}

fn write_offsets(log_dir: &Path, name: &str, offsets: &Offsets) -> Result<(), LogError> {
    let path = log_dir.join(name);
    replace(&path, offsets_text(offsets).as_bytes(), true).map_err(LogError::io("write", &path))
}

/// A checkpoint that can't be read says nothing: everything is checked then.
fn read_offsets(path: &Path) -> Offsets {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Some(offsets) = parse_offsets(&text) else {
        if !text.is_empty() {
            tracing::warn!(path = %path.display(), "offset checkpoint is damaged, it is not used");
        }
        return Offsets::new();
    };
    offsets
}

fn parse_offsets(text: &str) -> Option<Offsets> {
    let mut lines = text.lines();
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let mut offsets = Offsets::new();
    for line in lines {
        let mut words = line.split(' ');
        let key = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        offsets.insert(key, words.next()?.parse().ok().filter(|offset| *offset >= 0)?);
    }
    (offsets.len() == count).then_some(offsets)
}

fn offsets_text(offsets: &Offsets) -> String {
    let mut sorted: Vec<_> = offsets.iter().collect();
    sorted.sort_unstable();
    let mut text = format!("0\n{}\n", sorted.len());
    for ((topic, partition), offset) in sorted {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{topic} {partition} {offset}");
    }
    text
}
