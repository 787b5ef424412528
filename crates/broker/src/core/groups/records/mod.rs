//! The records in which groups and their offsets survive, in Kafka's own keys and values, so that
//! `kafka-dump-log --offsets-decoder` and the formatters of `kafka-console-consumer` read the topic, and Kafka ours.

mod classic;
mod consumer;
mod share;
pub(crate) mod wire;

use bytes::Bytes;

use super::consumer::{Current, MemberMetadata, Resolved};
use super::{Partitions, classic::SavedGroup};
use crate::core::offsets::Committed;
use wire::{Reader, Torn, Writer};

pub(crate) use share::ShareSaved;

/// What one record of the offsets topic says. A value of nothing is a tombstone: it is gone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Saved {
    /// A committed offset.
    Offset {
        group: String,
        topic: String,
        partition: i32,
        committed: Option<Committed>,
    },
    /// A group of the classic protocol, members included.
    Group {
        group: String,
        saved: Option<SavedGroup>,
    },
    /// A consumer group's subscribed topics as Kafka kept them before 4.1: only ever removed.
    Topics { group: String },
    /// A consumer group: its epoch, and a hash of the topics that the epoch is for.
    Epoch {
        group: String,
        epoch: Option<(i32, i64)>,
    },
    /// What a member says of itself.
    Member {
        group: String,
        member: String,
        metadata: Option<MemberMetadata>,
    },
    /// The epoch of the target assignment, and when it was made.
    TargetEpoch {
        group: String,
        target: Option<(i32, i64)>,
    },
    /// What a member is to have.
    Target {
        group: String,
        member: String,
        partitions: Option<Partitions>,
    },
    /// What a member has.
    Current {
        group: String,
        member: String,
        current: Option<Current>,
    },
    /// The topics that a regular expression stands for.
    Regex {
        group: String,
        regex: String,
        resolved: Option<Resolved>,
    },
    /// Something of a share group.
    Share { group: String, saved: ShareSaved },
}

impl Saved {
    /// The group that it is about.
    pub(crate) fn group(&self) -> &str {
        match self {
            Self::Offset { group, .. }
            | Self::Group { group, .. }
            | Self::Topics { group }
            | Self::Epoch { group, .. }
            | Self::Member { group, .. }
            | Self::TargetEpoch { group, .. }
            | Self::Target { group, .. }
            | Self::Current { group, .. }
            | Self::Regex { group, .. }
            | Self::Share { group, .. } => group,
        }
    }

    /// Kafka's number for this kind of record.
    fn kind(&self) -> i16 {
        match self {
            Self::Offset { .. } => 1,
            Self::Group { .. } => 2,
            Self::Epoch { .. } => 3,
            Self::Topics { .. } => 4,
            Self::Member { .. } => 5,
            Self::TargetEpoch { .. } => 6,
            Self::Target { .. } => 7,
            Self::Current { .. } => 8,
            Self::Regex { .. } => 16,
            Self::Share { saved, .. } => saved.kind(),
        }
    }

    /// The record's key.
    pub(crate) fn key(&self) -> Bytes {
        let mut key = Writer::version(self.kind());
        key.string(self.group());
        match self {
            Self::Offset { topic, partition, .. } => {
                key.string(topic);
                key.i32(*partition);
            }
            Self::Member { member, .. } | Self::Target { member, .. } | Self::Current { member, .. } => {
                key.string(member);
            }
            Self::Regex { regex, .. } => key.string(regex),
            Self::Share { saved, .. } => {
                if let Some(member) = saved.member() {
                    key.string(member);
                }
            }
            Self::Group { .. } | Self::Topics { .. } | Self::Epoch { .. } | Self::TargetEpoch { .. } => {}
        }
        key.finish()
    }

    /// The record's value, nothing for a tombstone.
    pub(crate) fn value(&self) -> Option<Bytes> {
        match self {
            Self::Offset { committed, .. } => committed.as_ref().map(classic::write_offset),
            Self::Group { saved, .. } => saved.as_ref().map(classic::write_group),
            Self::Topics { .. } => None,
            Self::Epoch { epoch, .. } => epoch.map(|(epoch, hash)| consumer::write_pair(epoch, hash)),
            Self::Member { metadata, .. } => metadata.as_ref().map(consumer::write_member),
            Self::TargetEpoch { target, .. } => target.map(|(epoch, at)| consumer::write_pair(epoch, at)),
            Self::Target { partitions, .. } => partitions.as_ref().map(consumer::write_target),
            Self::Current { current, .. } => current.as_ref().map(consumer::write_current),
            Self::Regex { resolved, .. } => resolved.as_ref().map(consumer::write_regex),
            Self::Share { saved, .. } => saved.value(),
        }
    }

    /// Reads a record; nothing where it is damaged, or of a kind or version that this cluster doesn't know.
    pub(crate) fn read(key: &Bytes, value: Option<&Bytes>) -> Option<Self> {
        Self::try_read(&mut Reader(key.clone()), value.cloned().map(Reader)).ok()
    }

    fn try_read(key: &mut Reader, mut value: Option<Reader>) -> Result<Self, Torn> {
        let kind = key.i16()?;
        let group = key.string()?;
        let value = value.as_mut();
        Ok(match kind {
            0 | 1 => Self::Offset {
                group,
                topic: key.string()?,
                partition: key.i32()?,
                committed: value.map(classic::read_offset).transpose()?,
            },
            2 => Self::Group {
                group,
                saved: value.map(classic::read_group).transpose()?,
            },
            3 => Self::Epoch {
                group,
                epoch: value.map(consumer::read_pair).transpose()?,
            },
            4 => Self::Topics { group },
            5 => Self::Member {
                group,
                member: key.string()?,
                metadata: value.map(consumer::read_member).transpose()?,
            },
            6 => Self::TargetEpoch {
                group,
                target: value.map(consumer::read_pair).transpose()?,
            },
            7 => Self::Target {
                group,
                member: key.string()?,
                partitions: value.map(consumer::read_target).transpose()?,
            },
            8 => Self::Current {
                group,
                member: key.string()?,
                current: value.map(consumer::read_current).transpose()?,
            },
            10..=15 => Self::Share {
                saved: ShareSaved::read(kind, key, value)?,
                group,
            },
            16 => Self::Regex {
                group,
                regex: key.string()?,
                resolved: value.map(consumer::read_regex).transpose()?,
            },
            _ => return Err(Torn),
        })
    }
}

#[cfg(test)]
mod tests;
