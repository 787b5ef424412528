//! The cluster's data folder: the metadata journal, and one folder of logs per broker.
//!
//! ```text
//! DATA/metadata.log        the journal: a checksum and a JSON record a line
//! DATA/broker-1/           Kafka's own layout: TOPIC-PARTITION/*.log and so on
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::core::journal::Record;
use crate::core::ports::{ActiveProducer, FirstBatch, Journal, LogPosition, ReplicaLog, Storage};
use crate::log::{
    Append, Checkpoint, EpochEnd, LogConfig, LogDir, LogDirOptions, LogError, LogSlice, NewMarker,
    PartitionLog, TimestampOffset, TimestampQuery, ValidBatch, disk, remove_deleted,
};

/// The journal's file.
const JOURNAL: &str = "metadata.log";
/// The format that this version writes.
const FORMAT: u32 = 1;

/// The journal's first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    cluster_id: String,
}

/// What a journal can't be read for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{}:{line}: {reason}", path.display())]
    Damaged {
        path: PathBuf,
        line: usize,
        reason: String,
    },
}

/// The metadata journal on disk.
pub(crate) struct FileJournal {
    path: PathBuf,
    file: File,
    pub(crate) cluster_id: String,
    len: u64,
    disk: JournalDisk,
}

/// What the disk may not have of the journal yet. A log that forces records to the disk forces the journal first: after a
/// power cut a partition whose topic nobody knows would be a stray.
#[derive(Clone)]
pub(crate) struct JournalDisk {
    path: PathBuf,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// There are lines that the disk may not have.
    file: Option<File>,
    /// The journal's name, and those of the brokers' folders beside it, are on the disk.
    is_named: bool,
}

impl JournalDisk {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self, file: &File) -> io::Result<()> {
        let mut waiting = self.waiting();
        if waiting.file.is_none() {
            waiting.file = Some(file.try_clone()?);
        }
        Ok(())
    }

    fn replaced(&self) -> io::Result<()> {
        let mut waiting = self.waiting();
        *waiting = Waiting::default();
        self.force_name(&mut waiting)
    }

    fn force_name(&self, waiting: &mut Waiting) -> io::Result<()> {
        if !waiting.is_named {
            disk::force_folder(self.path.parent().unwrap_or(Path::new(".")))?;
            waiting.is_named = true;
        }
        Ok(())
    }

    /// Returns once the disk has all that was written before.
    fn force(&self) -> Result<(), LogError> {
        let mut waiting = self.waiting();
        let forced = waiting
            .file
            .as_ref()
            .map_or(Ok(()), |file| disk::force(file, &self.path));
        let forced = forced.and_then(|()| self.force_name(&mut waiting));
        forced.map_err(|source| LogError::Io {
            action: "flush",
            path: self.path.clone(),
            source,
        })?;
        waiting.file = None;
        Ok(())
    }
}

impl FileJournal {
    /// For the logs of this cluster.
    pub(crate) fn disk(&self) -> JournalDisk {
        self.disk.clone()
    }

    /// Opens the journal, or starts one; gives the records of earlier runs.
    pub(crate) fn open(
        data: &Path,
        fresh_cluster_id: impl FnOnce() -> String,
    ) -> Result<(Self, Vec<Record>), JournalError> {
        let path = data.join(JOURNAL);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let (header, records, len) = parse(&path, &text)?;
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(len)?;
        let disk = JournalDisk {
            path: path.clone(),
            waiting: Arc::default(),
        };
        let mut journal = Self {
            path,
            file,
            cluster_id: String::new(),
            len,
            disk,
        };
        // A process that was killed may have left lines that the disk has not.
        journal.disk.written(&journal.file)?;
        if let Some(header) = header {
            journal.cluster_id = header.cluster_id;
        } else {
            journal.cluster_id = fresh_cluster_id();
            let header = Header {
                format: FORMAT,
                cluster_id: journal.cluster_id.clone(),
            };
            journal.write(&line(&header)?)?;
        }
        Ok((journal, records))
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(text) {
            // Half a line must not stand before the next one.
            self.file.set_len(self.len)?;
            return Err(error);
        }
        self.len += text.len() as u64;
        self.disk.written(&self.file)
    }
}

impl Journal for FileJournal {
    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            text.extend(line(record)?);
        }
        self.write(&text)
    }

    fn compact(&mut self, records: &[Record]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        let header = Header {
            format: FORMAT,
            cluster_id: self.cluster_id.clone(),
        };
        let mut text = line(&header)?;
        for record in records {
            text.extend(line(record)?);
        }
        new.write_all(&text)?;
        disk::force(new.as_file(), new.path())?;
        new.persist(&self.path).map_err(|error| error.error)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.len = text.len() as u64;
        self.disk.replaced()
    }

    fn force(&mut self) -> io::Result<()> {
        self.disk.force().map_err(io::Error::other)
    }
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let mut line = format!("{:08x} ", crc32c::crc32c(&json)).into_bytes();
    line.extend(json);
    line.push(b'\n');
    Ok(line)
}

/// Header, records and the length of what is whole. A last line without its end was never acknowledged and is passed
/// over; anything else that can't be read is damage, and nothing is cut off then.
fn parse(path: &Path, text: &[u8]) -> Result<(Option<Header>, Vec<Record>, u64), JournalError> {
    let mut header = None;
    let mut records = Vec::new();
    let mut whole = 0;
    for (at, raw) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        let last = whole + raw.len() == text.len();
        let damaged = |reason: String| JournalError::Damaged {
            path: path.to_owned(),
            line: at + 1,
            reason,
        };
        let Some(json) = checked(raw) else {
            let torn = last && !raw.ends_with(b"\n");
            if torn && (at > 0 || is_begun_header(raw)) {
                break;
            }
            return Err(damaged(if at == 0 {
                "this is no journal of a cluster".to_owned()
            } else {
                "the line is not as it was written (its checksum differs)".to_owned()
            }));
        };
        if at == 0 {
            let read: Header = serde_json::from_slice(json).map_err(|e| damaged(e.to_string()))?;
            if read.format != FORMAT {
                return Err(damaged(format!(
                    "format {} is not one that this version reads",
                    read.format
                )));
            }
            header = Some(read);
        } else {
            records.push(serde_json::from_slice(json).map_err(|e| damaged(e.to_string()))?);
        }
        whole += raw.len();
    }
    Ok((header, records, whole as u64))
}

/// What a crash at the very first write leaves, or a power cut soon after it: the start of a header, zeros, or both.
fn is_begun_header(raw: &[u8]) -> bool {
    const AFTER_SUM: &[u8] = b" {\"format\":";
    let zeros = raw.iter().rev().take_while(|byte| **byte == 0).count();
    let raw = &raw[..raw.len() - zeros];
    let (sum, rest) = raw.split_at(raw.len().min(8));
    sum.iter().all(u8::is_ascii_hexdigit)
        && (rest.starts_with(AFTER_SUM) || AFTER_SUM.starts_with(rest))
        && rest.is_ascii()
}

/// A whole line's JSON.
fn checked(raw: &[u8]) -> Option<&[u8]> {
    let line = raw.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum.strip_suffix(b" ")?).ok()?;
    (u32::from_str_radix(sum, 16).ok()? == crc32c::crc32c(json)).then_some(json)
}

/// One broker's folder.
pub(crate) struct DiskStorage {
    dir: Option<LogDir>,
    path: PathBuf,
    journal: JournalDisk,
}

impl DiskStorage {
    /// Takes over an open folder.
    pub(crate) fn new(dir: LogDir, journal: JournalDisk) -> Self {
        let path = dir.path().to_owned();
        Self {
            dir: Some(dir),
            path,
            journal,
        }
    }
}

impl Storage for DiskStorage {
    fn open(
        &mut self,
        topic: &str,
        partition: i32,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Box<dyn ReplicaLog>, LogError> {
        let Some(dir) = &mut self.dir else {
            return Err(LogError::Offline {
                path: self.path.clone(),
            });
        };
        let log = dir.open_partition(topic, partition, topic_id, config, now_ms)?;
        Ok(Box::new(DiskLog {
            log,
            failing: false,
            journal: self.journal.clone(),
        }))
    }

    fn checkpoint(&mut self, positions: &[LogPosition]) {
        let Some(dir) = &mut self.dir else { return };
        let all = positions.iter().map(|position| Checkpoint {
            topic: position.topic.to_string(),
            partition: position.partition,
            recovery_point: position.recovery_point,
            high_watermark: position.high_watermark,
            log_start: position.log_start,
            cleaned_to: position.cleaned_to,
        });
        if let Err(error) = dir.write_checkpoints(all) {
            tracing::warn!(%error, "the checkpoints could not be written");
        }
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn directory_id(&self) -> Uuid {
        let meta = self.dir.as_ref().and_then(LogDir::meta);
        meta.map(|meta| meta.directory_id).unwrap_or_default()
    }

    fn volume_bytes(&self) -> Option<(u64, u64)> {
        volume_bytes(&self.path)
    }

    fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        self.dir.as_ref()?.high_watermark(topic, partition)
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        self.dir = None;
        self.dir = Some(LogDir::open(&self.path, LogDirOptions::default())?);
        Ok(())
    }

    fn remove_strays(&mut self, keep: &dyn Fn(&str, i32, Option<Uuid>) -> bool) {
        let Some(dir) = &self.dir else { return };
        for found in dir.partitions() {
            if keep(&found.topic, found.partition, found.topic_id) {
                continue;
            }
            let folder = self.path.join(format!("{}-{}", found.topic, found.partition));
            if let Err(error) = std::fs::remove_dir_all(&folder) {
                tracing::warn!(%error, folder = %folder.display(), "a stray replica could not be removed");
            }
        }
    }

    fn sweep(&mut self, now_ms: i64) -> Option<i64> {
        let (due, next_ms) = self.dir.as_ref()?.sweep(now_ms);
        for path in due {
            // Without that thread it goes at the next start.
            let _ = REMOVER.send(path);
        }
        next_ms
    }

    fn close(&mut self) {
        if let Some(Err(error)) = self.dir.take().map(LogDir::close) {
            tracing::warn!(%error, "the clean shutdown could not be noted");
        }
    }

    fn abandon(&mut self) {
        self.dir = None;
    }
}

#[cfg(unix)]
fn volume_bytes(path: &Path) -> Option<(u64, u64)> {
    let volume = rustix::fs::statvfs(path).ok()?;
    Some((
        volume.f_blocks * volume.f_frsize,
        volume.f_bavail * volume.f_frsize,
    ))
}

#[cfg(not(unix))]
fn volume_bytes(_path: &Path) -> Option<(u64, u64)> {
    None
}

/// A thread that removes deleted files and folders, one after the other: bytes are freed beside the core.
static REMOVER: LazyLock<mpsc::Sender<PathBuf>> = LazyLock::new(|| {
    let (sender, deleted) = mpsc::channel::<PathBuf>();
    std::thread::spawn(move || {
        for path in deleted {
            if let Err(error) = remove_deleted(&path) {
                tracing::warn!(%error, path = %path.display(), "what is deleted is left for the next start");
            }
        }
    });
    sender
});

/// A log on disk behind the core's port.
struct DiskLog {
    log: PartitionLog,
    /// The last write failed.
    failing: bool,
    journal: JournalDisk,
}

impl DiskLog {
    /// Says once that writes fail, and once that they don't any more.
    fn tell<T>(&mut self, written: Result<T, LogError>) -> Result<T, LogError> {
        match &written {
            Err(error @ (LogError::Io { .. } | LogError::Offline { .. })) if !self.failing => {
                tracing::error!(%error, "a log can't be written to: clients get KAFKA_STORAGE_ERROR until it can");
                self.failing = true;
            }
            Ok(_) if self.failing => {
                tracing::info!("a log can be written to again");
                self.failing = false;
            }
            _ => {}
        }
        written
    }

    /// A write; where it forced records to the disk, the journal is there before the answer.
    fn write<T>(
        &mut self,
        write: impl FnOnce(&mut PartitionLog) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if !self.log.has_folder() {
            self.journal.force()?;
        }
        let forced = self.log.recovery_point();
        let written = write(&mut self.log)?;
        if self.log.recovery_point() > forced {
            self.journal.force()?;
        }
        Ok(written)
    }
}

impl ReplicaLog for DiskLog {
    fn append(&mut self, batch: &ValidBatch, leader_epoch: i32, now_ms: i64) -> Result<Append, LogError> {
        let written = self.write(|log| log.append(batch, leader_epoch, now_ms));
        self.tell(written)
    }

    fn append_replicated(&mut self, records: &Bytes, now_ms: i64) -> Result<(), LogError> {
        self.write(|log| log.append_replicated(records, now_ms))
            .map(|_| ())
    }

    fn truncate_to(&mut self, offset: i64) -> Result<(), LogError> {
        self.log.truncate_to(offset)
    }

    fn truncate_fully(&mut self, offset: i64) -> Result<(), LogError> {
        self.log.truncate_fully(offset)
    }

    fn begin_epoch(&mut self, epoch: i32) -> Result<(), LogError> {
        self.log.assign_epoch(epoch, self.log.end_offset())
    }

    fn latest_epoch(&self) -> Option<i32> {
        self.log.latest_epoch()
    }

    fn read(
        &self,
        offset: i64,
        max_bytes: u32,
        upper_bound: i64,
        min_one: bool,
    ) -> Result<LogSlice, LogError> {
        self.log.read(offset, max_bytes, upper_bound, min_one)
    }

    fn start_offset(&self) -> i64 {
        self.log.start_offset()
    }

    fn end_offset(&self) -> i64 {
        self.log.end_offset()
    }

    fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }

    fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        self.log.last_stable_offset(high_watermark)
    }

    fn offset_for_timestamp(&self, query: TimestampQuery) -> Result<Option<TimestampOffset>, LogError> {
        self.log.offset_for_timestamp(query)
    }

    fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.log.epoch_at(offset)
    }

    fn offset_for_leader_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        self.log.offset_for_leader_epoch(epoch)
    }

    fn delete_records_before(&mut self, offset: i64, high_watermark: i64) -> Result<i64, LogError> {
        self.log.delete_records_before(offset, high_watermark)
    }

    fn enforce_retention(&mut self, now_ms: i64, high_watermark: i64) -> Result<(), LogError> {
        self.log.expire_producers(now_ms);
        self.log.enforce_retention(now_ms, high_watermark).map(|_| ())
    }

    fn compact(&mut self, now_ms: i64, high_watermark: i64) -> Result<(), LogError> {
        self.log.compact(now_ms, high_watermark).map(|_| ())
    }

    fn cleaned_to(&self) -> i64 {
        self.log.cleaned_to()
    }

    fn flush_if_due(&mut self, now_ms: i64) -> Result<(), LogError> {
        self.write(|log| log.flush_if_due(now_ms))
    }

    fn set_config(&mut self, config: LogConfig) {
        if let Err(error) = self.log.set_config(config) {
            tracing::warn!(%error, "a log that is compacted from now on is not on the disk");
        }
    }

    fn start_verification(&mut self, first: &FirstBatch, now_ms: i64) -> Result<bool, LogError> {
        self.log.start_verification(
            first.producer_id,
            first.epoch,
            first.sequence,
            first.bumps_epoch,
            now_ms,
        )
    }

    fn append_marker(&mut self, marker: &NewMarker, leader_epoch: i32, now_ms: i64) -> Result<i64, LogError> {
        let appended = self.write(|log| log.append_marker(marker, leader_epoch, now_ms))?;
        Ok(appended.last_offset + 1)
    }

    fn high_watermark_advanced(&mut self, high_watermark: i64) {
        self.log.high_watermark_advanced(high_watermark);
    }

    fn aborted_transactions(&self, from: i64, slice: &LogSlice) -> Vec<(i64, i64)> {
        let aborted = self.log.aborted_transactions(from, slice).unwrap_or_default();
        aborted
            .into_iter()
            .map(|txn| (txn.producer_id, txn.first_offset))
            .collect()
    }

    fn active_producers(&self) -> Vec<ActiveProducer> {
        let state = |(id, entry): (i64, &crate::log::ProducerEntry)| ActiveProducer {
            id,
            epoch: entry.epoch,
            last_sequence: entry.last_sequence(),
            last_timestamp_ms: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            transaction_start: entry.txn_first_offset,
        };
        self.log.producers().iter().map(state).collect()
    }

    fn close(&mut self) -> Result<(), LogError> {
        self.log.close()
    }

    fn has_folder(&self) -> bool {
        self.log.has_folder()
    }

    fn make_folder(&mut self) -> Result<(), LogError> {
        // After a power cut it would be the folder of a topic that nobody knows.
        if !self.log.has_folder() {
            self.journal.force()?;
        }
        self.log.make_folder()
    }

    fn recovery_point(&self) -> i64 {
        self.log.recovery_point()
    }

    fn delete(self: Box<Self>, delay_ms: i64) -> Result<(), LogError> {
        self.log.delete(delay_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::batch;

    #[test]
    fn a_torn_line_is_passed_over_and_a_damaged_one_is_said() {
        let data = tempfile::tempdir().unwrap();
        let record = Record::ProducerIds { next: 1000 };
        let (mut journal, none) = FileJournal::open(data.path(), || "c".to_owned()).unwrap();
        assert_eq!(none, []);
        journal.append(&[record.clone(), record.clone()]).unwrap();
        let path = data.path().join(JOURNAL);
        let whole = std::fs::read(&path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(whole.len() as u64 - 3).unwrap();
        let (mut journal, records) = FileJournal::open(data.path(), || "d".to_owned()).unwrap();
        assert_eq!((journal.cluster_id.as_str(), records.len()), ("c", 1));
        journal.append(std::slice::from_ref(&record)).unwrap();
        assert_eq!(
            FileJournal::open(data.path(), || "d".to_owned()).unwrap().1,
            [record.clone(), record]
        );

        let mut text = std::fs::read(&path).unwrap();
        let at = text.iter().position(|b| *b == b'\n').unwrap() + 12;
        text[at] ^= 1;
        let mut file = File::create(&path).unwrap();
        file.write_all(&text).unwrap();
        assert!(matches!(
            FileJournal::open(data.path(), || "d".to_owned()),
            Err(JournalError::Damaged { line: 2, .. })
        ));
    }

    #[test]
    fn records_that_are_forced_to_the_disk_take_the_journal_with_them() {
        let data = tempfile::tempdir().unwrap();
        let (mut journal, _) = FileJournal::open(data.path(), || "c".to_owned()).unwrap();
        let disk = journal.disk();
        let dir = LogDir::open(data.path().join("broker-1"), LogDirOptions::default()).unwrap();
        let mut storage = DiskStorage::new(dir, journal.disk());
        for (topic, flush_messages, waits) in [("lax", u64::MAX, true), ("strict", 1, false)] {
            let config = LogConfig {
                flush_messages,
                ..LogConfig::default()
            };
            let mut log = storage.open(topic, 0, Uuid::from_u128(1), config, 0).unwrap();
            // A topic is on the disk before its folder is made.
            log.make_folder().unwrap();
            assert!(disk.waiting().file.is_none(), "{topic}");
            journal.append(&[Record::ProducerIds { next: 1000 }]).unwrap();
            log.append(&batch(topic, 1), 0, 0).unwrap();
            assert_eq!(disk.waiting().file.is_some(), waits, "{topic}");
        }
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused_and_left_as_it_is() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(JOURNAL);
        for garbage in [
            &b"garbage"[..],
            b"garbage\n",
            b"\0\0\0garbage",
            b"\n",
            b"12345678 {\"x\"",
        ] {
            File::create(&path).unwrap().write_all(garbage).unwrap();
            assert!(matches!(
                FileJournal::open(data.path(), || "c".to_owned()),
                Err(JournalError::Damaged { line: 1, .. })
            ));
            assert_eq!(std::fs::read(&path).unwrap(), garbage);
        }
        for begun in [
            &b""[..],
            b"\0\0\0\0",
            b"0a1",
            b"0a1b2c3d {\"for\0\0\0\0\0\0",
            b"0a1b2c3d {\"for",
            b"0a1b2c3d {\"format\":1,\"cl",
        ] {
            File::create(&path).unwrap().write_all(begun).unwrap();
            let (journal, records) = FileJournal::open(data.path(), || "c".to_owned()).unwrap();
            assert_eq!((journal.cluster_id.as_str(), records.len()), ("c", 0));
        }
    }
}
