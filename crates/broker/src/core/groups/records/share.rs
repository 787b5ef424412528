//! Records of share groups (KIP-932), all in their first version.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::consumer::{
    first_version, read_numbers, read_pair, read_target, write_numbers, write_pair, write_target,
};
use super::wire::{Reader, Torn, Writer};
use crate::core::groups::Partitions;
use crate::core::groups::share::{Current, MemberMetadata, States, TopicState, TopicStates};

/// What one record says of a share group. A value of nothing is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ShareSaved {
    /// What a member says of itself.
    Member {
        member: String,
        metadata: Option<MemberMetadata>,
    },
    /// The group: its epoch, and a hash of the topics that the epoch is for.
    Epoch(Option<(i32, i64)>),
    /// The epoch of the target assignment, and when it was made.
    TargetEpoch(Option<(i32, i64)>),
    /// What a member is to have.
    Target {
        member: String,
        partitions: Option<Partitions>,
    },
    /// What a member has.
    Current {
        member: String,
        current: Option<Current>,
    },
    /// Which partitions have a state.
    States(Option<States>),
}

impl ShareSaved {
    /// Kafka's number for this kind of record.
    pub(super) fn kind(&self) -> i16 {
        match self {
            Self::Member { .. } => 10,
            Self::Epoch(_) => 11,
            Self::TargetEpoch(_) => 12,
            Self::Target { .. } => 13,
            Self::Current { .. } => 14,
            Self::States(_) => 15,
        }
    }

    /// The member that it is about.
    pub(super) fn member(&self) -> Option<&str> {
        match self {
            Self::Member { member, .. } | Self::Target { member, .. } | Self::Current { member, .. } => {
                Some(member)
            }
            Self::Epoch(_) | Self::TargetEpoch(_) | Self::States(_) => None,
        }
    }

    /// Does it remove something.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.value().is_none()
    }

    pub(super) fn value(&self) -> Option<Bytes> {
        match self {
            Self::Member { metadata, .. } => metadata.as_ref().map(write_member),
            Self::Epoch(epoch) => epoch.map(|(epoch, hash)| {
                let mut value = Writer::version(0);
                value.i32(epoch);
                value.i64(hash);
                value.no_tags();
                value.finish()
            }),
            Self::TargetEpoch(target) => target.map(|(epoch, at)| write_pair(epoch, at)),
            Self::Target { partitions, .. } => partitions.as_ref().map(write_target),
            Self::Current { current, .. } => current.as_ref().map(write_current),
            Self::States(states) => states.as_ref().map(write_states),
        }
    }

    /// Reads what is left of a key of this kind, and the value.
    pub(super) fn read(kind: i16, key: &mut Reader, value: Option<&mut Reader>) -> Result<Self, Torn> {
        Ok(match kind {
            10 => Self::Member {
                member: key.string()?,
                metadata: value.map(read_member).transpose()?,
            },
            11 => Self::Epoch(value.map(read_epoch).transpose()?),
            12 => Self::TargetEpoch(value.map(read_pair).transpose()?),
            13 => Self::Target {
                member: key.string()?,
                partitions: value.map(read_target).transpose()?,
            },
            14 => Self::Current {
                member: key.string()?,
                current: value.map(read_current).transpose()?,
            },
            15 => Self::States(value.map(read_states).transpose()?),
            _ => return Err(Torn),
        })
    }
}

fn write_member(member: &MemberMetadata) -> Bytes {
    let mut value = Writer::version(0);
    value.compact_nullable(member.rack.as_deref());
    value.compact(&member.client_id);
    value.compact(&member.host);
    value.compact_len(member.topics.len());
    for topic in &member.topics {
        value.compact(topic);
    }
    value.no_tags();
    value.finish()
}

fn read_member(value: &mut Reader) -> Result<MemberMetadata, Torn> {
    first_version(value)?;
    let mut member = MemberMetadata {
        rack: value.compact_nullable()?,
        client_id: value.compact()?,
        host: value.compact()?,
        topics: BTreeSet::new(),
    };
    for _ in 0..value.compact_count()? {
        member.topics.insert(value.compact()?);
    }
    value.tags()?;
    Ok(member)
}

fn read_epoch(value: &mut Reader) -> Result<(i32, i64), Torn> {
    first_version(value)?;
    let epoch = (value.i32()?, value.i64()?);
    value.tags()?;
    Ok(epoch)
}

fn write_current(current: &Current) -> Bytes {
    let mut value = Writer::version(0);
    value.i32(current.epoch);
    value.i32(current.previous_epoch);
    // A member of a share group is always stable.
    value.i8(0);
    value.compact_len(current.assigned.len());
    for (topic, indexes) in &current.assigned {
        value.uuid(*topic);
        write_numbers(&mut value, indexes.iter().copied());
        value.no_tags();
    }
    value.no_tags();
    value.finish()
}

fn read_current(value: &mut Reader) -> Result<Current, Torn> {
    first_version(value)?;
    let (epoch, previous_epoch) = (value.i32()?, value.i32()?);
    value.i8()?;
    let mut assigned = Partitions::new();
    for _ in 0..value.compact_count()? {
        let topic = value.uuid()?;
        assigned.insert(topic, read_numbers(value)?.into_iter().collect());
        value.tags()?;
    }
    value.tags()?;
    Ok(Current {
        epoch,
        previous_epoch,
        assigned,
    })
}

fn write_topics(value: &mut Writer, topics: &TopicStates) {
    value.compact_len(topics.len());
    for (topic, state) in topics {
        value.uuid(*topic);
        value.compact(&state.name);
        write_numbers(value, state.partitions.iter().copied());
        value.no_tags();
    }
}

fn read_topics(value: &mut Reader) -> Result<TopicStates, Torn> {
    let mut topics = TopicStates::new();
    for _ in 0..value.compact_count()? {
        let topic = value.uuid()?;
        let state = TopicState {
            name: value.compact()?,
            partitions: read_numbers(value)?.into_iter().collect(),
        };
        value.tags()?;
        topics.insert(topic, state);
    }
    Ok(topics)
}

fn write_states(states: &States) -> Bytes {
    let mut value = Writer::version(0);
    write_topics(&mut value, &states.initializing);
    write_topics(&mut value, &states.initialized);
    value.compact_len(states.deleting.len());
    for (topic, name) in &states.deleting {
        value.uuid(*topic);
        value.compact(name);
        value.no_tags();
    }
    value.no_tags();
    value.finish()
}

fn read_states(value: &mut Reader) -> Result<States, Torn> {
    first_version(value)?;
    let (initializing, initialized) = (read_topics(value)?, read_topics(value)?);
    let mut deleting = BTreeMap::new();
    for _ in 0..value.compact_count()? {
        let topic = value.uuid()?;
        deleting.insert(topic, value.compact()?);
        value.tags()?;
    }
    value.tags()?;
    Ok(States {
        initializing,
        initialized,
        deleting,
    })
}
