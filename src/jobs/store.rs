//! What the lab keeps of its jobs on disk: one folder a job, each file replaced whole.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use streamlings_stream::Snapshot;

use super::source::Split;
use super::status::{JobStatus, LogLine};
use crate::home::{Readers, write_atomic};

/// A job as it was submitted, and its last status.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredJob {
    /// The whole SQL text.
    pub(super) sql: String,
    /// How the learner calls the file.
    pub(super) file: String,
    /// The place of its INSERT INTO among the statements, from 0.
    pub(super) statement: usize,
    /// The status at the last checkpoint or change of state.
    pub(super) status: JobStatus,
    /// The last lines of its log.
    #[serde(default)]
    pub(super) log: Vec<LogLine>,
}

/// A checkpoint: state and offsets of one moment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) splits: Vec<Split>,
    pub(super) rows_out: u64,
    pub(super) count: u64,
    pub(super) job: Snapshot,
}

/// The folder of one job.
#[derive(Debug, Clone)]
pub(super) struct JobFolder(PathBuf);

impl JobFolder {
    pub(super) fn of(jobs: &Path, id: u64) -> Self {
        Self(jobs.join(id.to_string()))
    }

    pub(super) fn save(&self, job: &StoredJob) -> io::Result<()> {
        write_atomic(
            &self.0.join("job.json"),
            &serde_json::to_vec_pretty(job)?,
            Readers::Owner,
        )
    }

    pub(super) fn load(&self) -> io::Result<StoredJob> {
        Ok(serde_json::from_slice(&std::fs::read(self.0.join("job.json"))?)?)
    }

    /// Replaces the last checkpoint. Returns its size in bytes.
    pub(super) fn save_checkpoint(&self, checkpoint: &Checkpoint) -> io::Result<u64> {
        let bytes = serde_json::to_vec(checkpoint)?;
        write_atomic(&self.0.join("checkpoint.json"), &bytes, Readers::Owner)?;
        Ok(bytes.len() as u64)
    }

    /// The last checkpoint; `None`: the job had none yet.
    pub(super) fn checkpoint(&self) -> io::Result<Option<Checkpoint>> {
        match std::fs::read(self.0.join("checkpoint.json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The ids of all jobs in the folder.
pub(super) fn ids(jobs: &Path) -> io::Result<Vec<u64>> {
    let entries = match std::fs::read_dir(jobs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids = Vec::new();
    for entry in entries {
        ids.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u64>().ok()),
        );
    }
    ids.sort_unstable();
    Ok(ids)
}
