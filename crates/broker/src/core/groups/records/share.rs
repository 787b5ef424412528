//! Values of share groups (KIP-932), all in their first version.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::modern::{
    Layout, OwnRecord, Value, first_version, read_names, read_numbers, read_partitions, write_names,
    write_numbers, write_partitions,
};
use super::wire::{Reader, Torn, Writer};
use crate::core::groups::share::{Current, MemberMetadata, ShareType, States, TopicState, TopicStates};

/// The kind of the record of [`States`].
const STATES: i16 = 15;

impl Layout for ShareType {
    const MEMBER: i16 = 10;
    const EPOCH: i16 = 11;
    const TARGET_EPOCH: i16 = 12;
    const TARGET: i16 = 13;
    const CURRENT: i16 = 14;

    fn write_epoch(epoch: i32, hash: i64) -> Bytes {
        let mut value = Writer::version(0);
        value.i32(epoch);
        value.i64(hash);
        value.no_tags();
        value.finish()
    }

    fn read_epoch(value: &mut Reader) -> Result<(i32, i64), Torn> {
        first_version(value)?;
        let epoch = (value.i32()?, value.i64()?);
        value.tags()?;
        Ok(epoch)
    }
}

impl OwnRecord for Option<States> {
    fn kind(&self) -> i16 {
        STATES
    }

    fn write_key(&self, _: &mut Writer) {}

    fn value(&self) -> Option<Bytes> {
        self.as_ref().map(Value::write)
    }

    fn read(kind: i16, _: &mut Reader, value: Option<&mut Reader>) -> Result<Self, Torn> {
        match kind {
            STATES => value.map(Value::read).transpose(),
            _ => Err(Torn),
        }
    }
}

impl Value for MemberMetadata {
    fn write(&self) -> Bytes {
        let mut value = Writer::version(0);
        value.compact_nullable(self.rack.as_deref());
        value.compact(&self.client_id);
        value.compact(&self.host);
        write_names(&mut value, &self.topics);
        value.no_tags();
        value.finish()
    }

    fn read(value: &mut Reader) -> Result<Self, Torn> {
        first_version(value)?;
        let member = Self {
            rack: value.compact_nullable()?,
            client_id: value.compact()?,
            host: value.compact()?,
            topics: read_names(value)?,
        };
        value.tags()?;
        Ok(member)
    }
}

impl Value for Current {
    fn write(&self) -> Bytes {
        let mut value = Writer::version(0);
        value.i32(self.epoch);
        value.i32(self.previous_epoch);
        // A member of a share group is always stable.
        value.i8(0);
        write_partitions(&mut value, &self.assigned);
        value.no_tags();
        value.finish()
    }

    fn read(value: &mut Reader) -> Result<Self, Torn> {
        first_version(value)?;
        let (epoch, previous_epoch) = (value.i32()?, value.i32()?);
        value.i8()?;
        let assigned = read_partitions(value)?;
        value.tags()?;
        Ok(Self {
            epoch,
            previous_epoch,
            assigned,
        })
    }
}

impl Value for States {
    fn write(&self) -> Bytes {
        let mut value = Writer::version(0);
        write_topics(&mut value, &self.initializing);
        write_topics(&mut value, &self.initialized);
        value.compact_len(self.deleting.len());
        for (topic, name) in &self.deleting {
            value.uuid(*topic);
            value.compact(name);
            value.no_tags();
        }
        value.no_tags();
        value.finish()
    }

    fn read(value: &mut Reader) -> Result<Self, Torn> {
        first_version(value)?;
        let (initializing, initialized) = (read_topics(value)?, read_topics(value)?);
        let mut deleting = BTreeMap::new();
        for _ in 0..value.compact_count()? {
            let topic = value.uuid()?;
            deleting.insert(topic, value.compact()?);
            value.tags()?;
        }
        value.tags()?;
        Ok(Self {
            initializing,
            initialized,
            deleting,
        })
    }
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
