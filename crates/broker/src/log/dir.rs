//! The log dir of one broker: a folder per partition, and what belongs to all of them.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::checkpoints::Checkpoint;
use super::config::LogConfig;
use super::disk;
use super::error::LogError;
use super::files::{FileCache, META_PROPERTIES, remove_folder_if_there, remove_if_there, replace};
use super::partition::PartitionLog;
use super::recovery::Known;

pub(super) const PARTITION_METADATA: &str = "partition.metadata";
pub(super) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const LOCK: &str = ".lock";
const DELETED: &str = "-delete";

/// `meta.properties`: whose log dir this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// Cluster id, 22 characters of base64.
    pub cluster_id: String,
    /// Id of the broker.
    pub node_id: i32,
    /// Id of this folder (KIP-858).
    pub directory_id: Uuid,
}

/// A partition found in a log dir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFolder {
    /// Its topic's name.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// Its topic's id; none where nothing was ever written to it.
    pub topic_id: Option<Uuid>,
}

/// How a log dir is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirOptions {
    /// How many files may be open at a time, of all logs together.
    pub max_open_files: usize,
}

impl Default for LogDirOptions {
    fn default() -> Self {
        Self { max_open_files: 256 }
    }
}

/// The log dir of one broker; locked as long as this lives.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    files: Arc<FileCache>,
    meta: Option<MetaProperties>,
    partitions: Vec<PartitionFolder>,
    clean: bool,
    _lock: File,
}

impl LogDir {
    /// Opens a log dir, creating it where it is missing. Fails where another process has it open.
    pub fn open(path: impl Into<PathBuf>, options: LogDirOptions) -> Result<Self, LogError> {
        let path = path.into();
        std::fs::create_dir_all(&path).map_err(LogError::io("create", &path))?;
        let lock = lock(&path)?;
        let clean_marker = path.join(CLEAN_SHUTDOWN);
        let clean = clean_marker.exists();
        // From now on a crash is no clean stop, and no power cut brings the marker back.
        if clean {
            remove_if_there(&clean_marker).map_err(LogError::io("remove", &clean_marker))?;
            disk::force_folder(&path).map_err(LogError::io("flush", &path))?;
        }
        Ok(Self {
            files: Arc::new(FileCache::of_log_dir(&path, options.max_open_files)),
            meta: read_meta(&path.join(META_PROPERTIES))?,
            partitions: list_partitions(&path)?,
            clean,
            path,
            _lock: lock,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose log dir it is; none for a new one.
    pub fn meta(&self) -> Option<&MetaProperties> {
        self.meta.as_ref()
    }

    /// Says whose log dir it is.
    pub fn write_meta(&mut self, meta: MetaProperties) -> Result<(), LogError> {
        let text = format!(
            "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
            meta.cluster_id,
            meta.node_id,
            id_text(meta.directory_id)
        );
        let path = self.path.join(META_PROPERTIES);
        // Forced to the disk with the first records, so that the first start waits for none: one that a power cut leaves
        // empty or torn is written again.
        replace(&path, text.as_bytes(), false).map_err(LogError::io("write", &path))?;
        self.meta = Some(meta);
        Ok(())
    }

    /// The partitions that were there when it was opened, by name and number.
    pub fn partitions(&self) -> &[PartitionFolder] {
        &self.partitions
    }

    /// The broker that had it before was stopped in order.
    pub fn was_clean(&self) -> bool {
        self.clean
    }

    /// High watermark of a partition at the last checkpoint.
    pub fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        self.files.checkpoints.high_watermark(topic, partition)
    }

    /// Opens a partition's log, or creates it; the folder of a new one is made with
    /// [`make_folder`](PartitionLog::make_folder) or with its first record.
    pub fn open_partition(
        &self,
        topic: &str,
        partition: i32,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<PartitionLog, LogError> {
        let dir = self.path.join(format!("{topic}-{partition}"));
        let noted = self.files.checkpoints.known(topic, partition);
        // What was noted of a deleted topic says nothing of a new one with its name.
        let holds = noted == Known::NOTHING || dir.exists();
        let known = Known {
            clean: self.clean,
            ..if holds { noted } else { Known::NOTHING }
        };
        PartitionLog::open_or_plan(&dir, topic_id, &self.files, config, known, now_ms)
    }

    /// Writes the checkpoint files, for all partitions of this log dir: now and then, after DeleteRecords,
    /// after a topic was deleted, and before [`LogDir::close`].
    pub fn write_checkpoints(&self, all: impl IntoIterator<Item = Checkpoint>) -> Result<(), LogError> {
        if self.files.checkpoints.write(&self.path, all)? {
            self.force_names()?;
        }
        Ok(())
    }

    /// Takes out the files and folders that were deleted long enough ago, for [`super::remove_deleted`]; and says when there
    /// will be more.
    pub fn sweep(&self, now_ms: i64) -> (Vec<PathBuf>, Option<i64>) {
        self.files.trash.sweep(now_ms)
    }

    /// Says that everything was closed: nothing will be checked at the next start. Every log has been closed and the
    /// checkpoints written.
    pub fn close(self) -> Result<(), LogError> {
        self.replace(CLEAN_SHUTDOWN, "{\"version\":0,\"brokerEpoch\":-1}")?;
        self.force_names()
    }

    fn force_names(&self) -> Result<(), LogError> {
        self.files.folder_changed();
        self.files
            .force_log_dir(&self.path)
            .map_err(LogError::io("flush", &self.path))
    }

    fn replace(&self, name: &str, text: &str) -> Result<(), LogError> {
        let path = self.path.join(name);
        replace(&path, text.as_bytes(), true).map_err(LogError::io("write", &path))
    }
}

/// Gives a partition's folder its deleted name, `TOPIC-PARTITION.ID-delete`.
pub(super) fn rename_deleted(dir: &Path) -> Result<PathBuf, LogError> {
    let path = dir.with_file_name(deleted_name(
        &dir.file_name().unwrap_or_default().to_string_lossy(),
    ));
    std::fs::rename(dir, &path).map_err(LogError::io("rename", dir))?;
    Ok(path)
}

/// The end of a topic's name goes where the folder's would have more than 255 bytes, as in Kafka.
fn deleted_name(name: &str) -> String {
    let (topic, partition) = name.rsplit_once('-').unwrap_or((name, "0"));
    let suffix = format!("-{partition}.{}{DELETED}", Uuid::new_v4().simple());
    let kept: String = topic.chars().take(255 - suffix.len()).collect();
    kept + &suffix
}

fn lock(path: &Path) -> Result<File, LogError> {
    let lock_path = path.join(LOCK);
    let open = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path);
    let file = open.map_err(LogError::io("open", &lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(LogError::io("lock", &lock_path)(error)),
    }
}

fn list_partitions(path: &Path) -> Result<Vec<PartitionFolder>, LogError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(LogError::io("list", path))? {
        let entry = entry.map_err(LogError::io("list", path))?;
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        if name.ends_with(DELETED) {
            let leftover = entry.path();
            remove_folder_if_there(&leftover).map_err(LogError::io("remove", &leftover))?;
        } else if let Some((topic, partition)) = parse_folder_name(name) {
            let metadata = std::fs::read_to_string(entry.path().join(PARTITION_METADATA));
            let topic_id = metadata.ok().and_then(|text| parse_partition_metadata(&text));
            found.push(PartitionFolder {
                topic: topic.to_owned(),
                partition,
                topic_id,
            });
        }
    }
    found.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(found)
}

pub(super) fn parse_folder_name(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let number: i32 = partition.parse().ok().filter(|number| *number >= 0)?;
    (!topic.is_empty() && number.to_string() == partition).then_some((topic, number))
}

fn read_meta(path: &Path) -> Result<Option<MetaProperties>, LogError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) if is_torn(&text) => return Ok(None),
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io("read", path)(error)),
    };
    let values: HashMap<&str, &str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect();
    let value = |key: &str| {
        let missing = || LogError::Damaged {
            path: path.to_owned(),
            reason: format!("no valid {key}"),
        };
        values
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
            .ok_or_else(missing)
    };
    let invalid = |key: &str| LogError::Damaged {
        path: path.to_owned(),
        reason: format!("no valid {key}"),
    };
    Ok(Some(MetaProperties {
        cluster_id: value("cluster.id")?.to_owned(),
        node_id: value("node.id")?.parse().map_err(|_| invalid("node.id"))?,
        directory_id: parse_id(value("directory.id")?).ok_or_else(|| invalid("directory.id"))?,
    }))
}

/// Is it what a power cut leaves of a file that the disk did not have yet: nothing, zeros, or only the beginning.
fn is_torn(text: &str) -> bool {
    const OURS: &str = "version=1\ncluster.id=";
    text.is_empty()
        || text.contains('\0')
        || OURS.starts_with(text)
        || (text.starts_with(OURS) && !(text.ends_with('\n') && text.contains("directory.id=")))
}

/// Text of `partition.metadata`.
pub(super) fn partition_metadata(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {}", id_text(topic_id))
}

/// The topic id in a `partition.metadata`.
pub(super) fn parse_partition_metadata(text: &str) -> Option<Uuid> {
    let mut lines = text.lines();
    if lines.next()? != "version: 0" {
        return None;
    }
    parse_id(lines.next()?.strip_prefix("topic_id: ")?)
}

fn id_text(id: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn parse_id(text: &str) -> Option<Uuid> {
    Uuid::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
