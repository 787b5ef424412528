//! Values of consumer groups (KIP-848), all in their first version.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::modern::{
    Layout, OwnRecord, Value, first_version, read_names, read_numbers, read_pair, write_names, write_numbers,
    write_pair,
};
use super::wire::{Reader, Torn, Writer};
use crate::core::groups::Owned;
use crate::core::groups::consumer::{
    ClassicMember, ConsumerType, Current, MemberMetadata, MemberState, OwnSaved, Resolved,
};

/// The kind of the record of [`OwnSaved::Topics`].
const TOPICS: i16 = 4;
/// The kind of the record of [`OwnSaved::Regex`].
const REGEX: i16 = 16;

impl Layout for ConsumerType {
    const EPOCH: i16 = 3;
    const MEMBER: i16 = 5;
    const TARGET_EPOCH: i16 = 6;
    const TARGET: i16 = 7;
    const CURRENT: i16 = 8;

    fn write_epoch(epoch: i32, hash: i64) -> Bytes {
        write_pair(epoch, hash)
    }

    fn read_epoch(value: &mut Reader) -> Result<(i32, i64), Torn> {
        read_pair(value)
    }
}

impl OwnRecord for OwnSaved {
    fn kind(&self) -> i16 {
        match self {
            Self::Topics => TOPICS,
            Self::Regex(..) => REGEX,
        }
    }

    fn write_key(&self, key: &mut Writer) {
        match self {
            Self::Topics => {}
            Self::Regex(regex, _) => key.string(regex),
        }
    }

    fn value(&self) -> Option<Bytes> {
        match self {
            Self::Topics => None,
            Self::Regex(_, resolved) => resolved.as_ref().map(Value::write),
        }
    }

    fn read(kind: i16, key: &mut Reader, value: Option<&mut Reader>) -> Result<Self, Torn> {
        Ok(match kind {
            TOPICS => Self::Topics,
            REGEX => Self::Regex(key.string()?, value.map(Value::read).transpose()?),
            _ => return Err(Torn),
        })
    }
}

impl Value for MemberMetadata {
    fn write(&self) -> Bytes {
        let mut value = Writer::version(0);
        value.compact_nullable(self.instance.as_deref());
        value.compact_nullable(self.rack.as_deref());
        value.compact(&self.client_id);
        value.compact(&self.host);
        write_names(&mut value, &self.topics);
        value.compact_nullable(self.regex.as_deref());
        value.i32(self.rebalance_timeout_ms);
        value.compact_nullable(self.assignor.as_deref());
        match &self.classic {
            None => value.no_tags(),
            Some(classic) => value.one_tag(|field| {
                // A nullable structure: a byte says that it is there.
                field.i8(1);
                field.i32(classic.session_timeout_ms);
                field.compact_len(classic.protocols.len());
                for (name, metadata) in &classic.protocols {
                    field.compact(name);
                    field.compact_bytes(metadata);
                    field.no_tags();
                }
                field.no_tags();
            }),
        }
        value.finish()
    }

    fn read(value: &mut Reader) -> Result<Self, Torn> {
        first_version(value)?;
        let mut member = Self {
            instance: value.compact_nullable()?,
            rack: value.compact_nullable()?,
            client_id: value.compact()?,
            host: value.compact()?,
            topics: read_names(value)?,
            regex: value.compact_nullable()?,
            rebalance_timeout_ms: value.i32()?,
            assignor: value.compact_nullable()?,
            classic: None,
        };
        if let Some(mut field) = value.tags()?
            && field.i8()? >= 0
        {
            let mut classic = ClassicMember {
                session_timeout_ms: field.i32()?,
                protocols: Vec::new(),
            };
            for _ in 0..field.compact_count()? {
                let (name, metadata) = (field.compact()?, field.compact_bytes()?);
                field.tags()?;
                classic.protocols.push((name, metadata));
            }
            member.classic = Some(classic);
        }
        Ok(member)
    }
}

fn write_owned(value: &mut Writer, owned: &Owned) {
    value.compact_len(owned.len());
    for (topic, epochs) in owned {
        value.uuid(*topic);
        write_numbers(value, epochs.keys().copied());
        value.one_tag(|field| write_numbers(field, epochs.values().copied()));
    }
}

/// Partitions without epochs, as Kafka before 4.3 wrote them, were assigned at the member's epoch.
fn read_owned(value: &mut Reader, member_epoch: i32) -> Result<Owned, Torn> {
    let mut owned = Owned::new();
    for _ in 0..value.compact_count()? {
        let topic = value.uuid()?;
        let indexes = read_numbers(value)?;
        let epochs = match value.tags()? {
            Some(mut field) => read_numbers(&mut field)?,
            None => Vec::new(),
        };
        let with_epochs = indexes
            .iter()
            .enumerate()
            .map(|(at, index)| (*index, epochs.get(at).copied().unwrap_or(member_epoch)));
        owned.insert(topic, with_epochs.collect::<BTreeMap<i32, i32>>());
    }
    Ok(owned)
}

impl Value for Current {
    fn write(&self) -> Bytes {
        let mut value = Writer::version(0);
        value.i32(self.epoch);
        value.i32(self.previous_epoch);
        value.i8(self.state.number());
        write_owned(&mut value, &self.assigned);
        write_owned(&mut value, &self.revoking);
        value.no_tags();
        value.finish()
    }

    fn read(value: &mut Reader) -> Result<Self, Torn> {
        first_version(value)?;
        let epoch = value.i32()?;
        let current = Self {
            epoch,
            previous_epoch: value.i32()?,
            state: MemberState::from_number(value.i8()?),
            assigned: read_owned(value, epoch)?,
            revoking: read_owned(value, epoch)?,
        };
        value.tags()?;
        Ok(current)
    }
}

impl Value for Resolved {
    fn write(&self) -> Bytes {
        let mut value = Writer::version(0);
        write_names(&mut value, &self.topics);
        value.i64(self.version);
        value.i64(self.at_ms);
        value.no_tags();
        value.finish()
    }

    fn read(value: &mut Reader) -> Result<Self, Torn> {
        first_version(value)?;
        let resolved = Self {
            topics: read_names(value)?,
            version: value.i64()?,
            at_ms: value.i64()?,
        };
        value.tags()?;
        Ok(resolved)
    }
}
