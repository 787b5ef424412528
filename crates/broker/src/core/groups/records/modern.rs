//! Records of consumer groups (KIP-848) and share groups (KIP-932): the same kinds for both, each with numbers of its own.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::wire::{Reader, Torn, Writer};
use crate::core::groups::Partitions;
use crate::core::groups::modern::GroupType;

/// What one record says of a modern group. A value of nothing is a tombstone: it is gone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ModernSaved<T: GroupType> {
    /// The group: its epoch, and a hash of the topics that the epoch is for.
    Epoch(Option<(i32, i64)>),
    /// What a member says of itself.
    Member(String, Option<T::Metadata>),
    /// The epoch of the target assignment, and when it was made.
    TargetEpoch(Option<(i32, i64)>),
    /// What a member is to have.
    Target(String, Option<Partitions>),
    /// What a member has.
    Current(String, Option<T::Current>),
    /// Something that only groups of this type keep.
    Own(T::OwnSaved),
}

/// A record's value.
pub(crate) trait Value: Sized {
    fn write(&self) -> Bytes;
    fn read(value: &mut Reader) -> Result<Self, Torn>;
}

/// A record of something that only one type of groups keeps.
pub(crate) trait OwnRecord: Sized {
    /// Kafka's number for this kind of record.
    fn kind(&self) -> i16;
    /// Writes what the key has after the group.
    fn write_key(&self, key: &mut Writer);
    fn value(&self) -> Option<Bytes>;
    /// Reads what is left of a key of this kind, and the value.
    fn read(kind: i16, key: &mut Reader, value: Option<&mut Reader>) -> Result<Self, Torn>;
}

/// How the records of a type of group are told apart.
pub(crate) trait Layout: GroupType {
    const EPOCH: i16;
    const MEMBER: i16;
    const TARGET_EPOCH: i16;
    const TARGET: i16;
    const CURRENT: i16;

    /// The value of a group's epoch and hash, in which the types differ.
    fn write_epoch(epoch: i32, hash: i64) -> Bytes;
    fn read_epoch(value: &mut Reader) -> Result<(i32, i64), Torn>;
}

impl<T: Layout> ModernSaved<T> {
    /// Kafka's number for this kind of record.
    pub(super) fn kind(&self) -> i16 {
        match self {
            Self::Epoch(_) => T::EPOCH,
            Self::Member(..) => T::MEMBER,
            Self::TargetEpoch(_) => T::TARGET_EPOCH,
            Self::Target(..) => T::TARGET,
            Self::Current(..) => T::CURRENT,
            Self::Own(own) => own.kind(),
        }
    }

    /// Writes what the key has after the group.
    pub(super) fn write_key(&self, key: &mut Writer) {
        match self {
            Self::Member(member, _) | Self::Target(member, _) | Self::Current(member, _) => {
                key.string(member);
            }
            Self::Epoch(_) | Self::TargetEpoch(_) => {}
            Self::Own(own) => own.write_key(key),
        }
    }

    /// Does it remove something.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.value().is_none()
    }

    pub(super) fn value(&self) -> Option<Bytes> {
        match self {
            Self::Epoch(epoch) => epoch.map(|(epoch, hash)| T::write_epoch(epoch, hash)),
            Self::Member(_, metadata) => metadata.as_ref().map(Value::write),
            Self::TargetEpoch(target) => target.map(|(epoch, at)| write_pair(epoch, at)),
            Self::Target(_, partitions) => partitions.as_ref().map(Value::write),
            Self::Current(_, current) => current.as_ref().map(Value::write),
            Self::Own(own) => own.value(),
        }
    }

    /// Reads what is left of a key of this kind, and the value.
    pub(super) fn read(kind: i16, key: &mut Reader, value: Option<&mut Reader>) -> Result<Self, Torn> {
        Ok(if kind == T::EPOCH {
            Self::Epoch(value.map(T::read_epoch).transpose()?)
        } else if kind == T::MEMBER {
            Self::Member(key.string()?, value.map(Value::read).transpose()?)
        } else if kind == T::TARGET_EPOCH {
            Self::TargetEpoch(value.map(read_pair).transpose()?)
        } else if kind == T::TARGET {
            Self::Target(key.string()?, value.map(Value::read).transpose()?)
        } else if kind == T::CURRENT {
            Self::Current(key.string()?, value.map(Value::read).transpose()?)
        } else {
            Self::Own(OwnRecord::read(kind, key, value)?)
        })
    }
}

/// Only the first version is known.
pub(super) fn first_version(value: &mut Reader) -> Result<(), Torn> {
    if value.i16()? == 0 { Ok(()) } else { Err(Torn) }
}

/// An epoch, and a number as a tagged field that is left out where it is 0.
pub(super) fn write_pair(epoch: i32, number: i64) -> Bytes {
    let mut value = Writer::version(0);
    value.i32(epoch);
    if number == 0 {
        value.no_tags();
    } else {
        value.one_tag(|field| field.i64(number));
    }
    value.finish()
}

pub(super) fn read_pair(value: &mut Reader) -> Result<(i32, i64), Torn> {
    first_version(value)?;
    let epoch = value.i32()?;
    let number = match value.tags()? {
        Some(mut field) => field.i64()?,
        None => 0,
    };
    Ok((epoch, number))
}

pub(super) fn write_numbers(value: &mut Writer, numbers: impl ExactSizeIterator<Item = i32>) {
    value.compact_len(numbers.len());
    for number in numbers {
        value.i32(number);
    }
}

pub(super) fn read_numbers(value: &mut Reader) -> Result<Vec<i32>, Torn> {
    let count = value.compact_count()?;
    (0..count).map(|_| value.i32()).collect()
}

pub(super) fn write_names(value: &mut Writer, names: &BTreeSet<String>) {
    value.compact_len(names.len());
    for name in names {
        value.compact(name);
    }
}

pub(super) fn read_names(value: &mut Reader) -> Result<BTreeSet<String>, Torn> {
    let count = value.compact_count()?;
    (0..count).map(|_| value.compact()).collect()
}

pub(super) fn write_partitions(value: &mut Writer, partitions: &Partitions) {
    value.compact_len(partitions.len());
    for (topic, indexes) in partitions {
        value.uuid(*topic);
        write_numbers(value, indexes.iter().copied());
        value.no_tags();
    }
}

pub(super) fn read_partitions(value: &mut Reader) -> Result<Partitions, Torn> {
    let mut partitions = Partitions::new();
    for _ in 0..value.compact_count()? {
        let topic = value.uuid()?;
        partitions.insert(topic, read_numbers(value)?.into_iter().collect());
        value.tags()?;
    }
    Ok(partitions)
}

/// A target assignment.
impl Value for Partitions {
    fn write(&self) -> Bytes {
        let mut value = Writer::version(0);
        write_partitions(&mut value, self);
        value.no_tags();
        value.finish()
    }

    fn read(value: &mut Reader) -> Result<Self, Torn> {
        first_version(value)?;
        let partitions = read_partitions(value)?;
        value.tags()?;
        Ok(partitions)
    }
}
