//! The records in which groups and their offsets survive, in Kafka's own keys and values, so that
//! `kafka-dump-log --offsets-decoder` and the formatters of `kafka-console-consumer` read the topic, and Kafka ours.

mod classic;
mod consumer;
mod modern;
mod share;
pub(crate) mod wire;

use bytes::Bytes;

use super::classic::SavedGroup;
use super::consumer::ConsumerType;
use super::share::ShareType;
use crate::core::offsets::Committed;
use wire::{Reader, Torn, Writer};

pub(crate) use modern::{Layout, ModernSaved, OwnRecord, Value};

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
    /// Something of a consumer group.
    Consumer {
        group: String,
        saved: ModernSaved<ConsumerType>,
    },
    /// Something of a share group.
    Share {
        group: String,
        saved: ModernSaved<ShareType>,
    },
}

impl Saved {
    /// The group that it is about.
    fn group(&self) -> &str {
        match self {
            Self::Offset { group, .. }
            | Self::Group { group, .. }
            | Self::Consumer { group, .. }
            | Self::Share { group, .. } => group,
        }
    }

    /// Kafka's number for this kind of record.
    fn kind(&self) -> i16 {
        match self {
            Self::Offset { .. } => 1,
            Self::Group { .. } => 2,
            Self::Consumer { saved, .. } => saved.kind(),
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
            Self::Group { .. } => {}
            Self::Consumer { saved, .. } => saved.write_key(&mut key),
            Self::Share { saved, .. } => saved.write_key(&mut key),
        }
        key.finish()
    }

    /// The record's value, nothing for a tombstone.
    pub(crate) fn value(&self) -> Option<Bytes> {
        match self {
            Self::Offset { committed, .. } => committed.as_ref().map(classic::write_offset),
            Self::Group { saved, .. } => saved.as_ref().map(classic::write_group),
            Self::Consumer { saved, .. } => saved.value(),
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
            3..=8 | 16 => Self::Consumer {
                saved: ModernSaved::read(kind, key, value)?,
                group,
            },
            10..=15 => Self::Share {
                saved: ModernSaved::read(kind, key, value)?,
                group,
            },
            _ => return Err(Torn),
        })
    }
}

#[cfg(test)]
mod tests;
