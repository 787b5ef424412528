//! What can go wrong in the log, and which Kafka error code says it.

use std::io;
use std::path::{Path, PathBuf};

use kafka_protocol::ResponseError;
use thiserror::Error;

use super::batch::BatchError;
use super::producers::ProducerError;

/// A failure of the log. `Display` is fit for the `error_message` of a response.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file system refused. The log is unchanged by the call that failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "write", "open".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A read outside of the log.
    #[error("Received request for offset {offset}, but the log only has offsets from {start} to {end}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: i64,
        /// First offset of the log.
        start: i64,
        /// Log end offset.
        end: i64,
    },
    /// A batch that is no valid batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The producer's epoch or sequence doesn't fit what the log knows of it.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// A batch that fits into no segment.
    #[error("The record batch of {size} bytes exceeds the segment size of {limit} bytes")]
    BatchTooLarge {
        /// Size of the batch, in bytes.
        size: u64,
        /// `segment.bytes`.
        limit: u64,
    },
    /// A follower was given batches that don't follow its log end.
    #[error("Replicated batch starts at offset {offset}, but the log ends at {end}")]
    NotConsecutive {
        /// Base offset of the batch.
        offset: i64,
        /// Log end offset.
        end: i64,
    },
    /// The log folder is in use by another process.
    #[error("The log folder {} is in use by another process", path.display())]
    Locked {
        /// The log folder.
        path: PathBuf,
    },
    /// A file of the log folder that can't be read as what it should be.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder on disk belongs to another topic of the same name.
    #[error("The folder {} belongs to topic id {found}, not {expected}", path.display())]
    TopicIdMismatch {
        /// The partition's folder.
        path: PathBuf,
        /// Topic id in `partition.metadata`.
        found: String,
        /// Topic id that was asked for.
        expected: String,
    },
    /// An earlier write failed and could not be undone; only a new open can help.
    #[error("The log in {} is offline after a failed write", path.display())]
    Offline {
        /// The partition's folder.
        path: PathBuf,
    },
}

impl LogError {
    /// The error code a client gets for this.
    pub fn code(&self) -> ResponseError {
        match self {
            Self::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
            Self::Batch(error) => error.code(),
            Self::Producer(error) => error.code(),
            Self::BatchTooLarge { .. } => ResponseError::RecordListTooLarge,
            Self::TopicIdMismatch { .. } => ResponseError::InconsistentTopicId,
            Self::NotConsecutive { .. } => ResponseError::UnknownServerError,
            Self::Io { .. } | Self::Locked { .. } | Self::Damaged { .. } | Self::Offline { .. } => {
                ResponseError::KafkaStorageError
            }
        }
    }

    /// For `map_err`: an [`io::Error`] with what was tried on which path.
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
