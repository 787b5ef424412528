//! Values of consumer groups (KIP-848), all in their first version.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::wire::{Reader, Torn, Writer};
use crate::core::groups::consumer::{ClassicMember, Current, MemberMetadata, MemberState, Resolved};
use crate::core::groups::{Owned, Partitions};

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

pub(super) fn write_member(member: &MemberMetadata) -> Bytes {
    let mut value = Writer::version(0);
    value.compact_nullable(member.instance.as_deref());
    value.compact_nullable(member.rack.as_deref());
    value.compact(&member.client_id);
    value.compact(&member.host);
    value.compact_len(member.topics.len());
    for topic in &member.topics {
        value.compact(topic);
    }
    value.compact_nullable(member.regex.as_deref());
    value.i32(member.rebalance_timeout_ms);
    value.compact_nullable(member.assignor.as_deref());
    match &member.classic {
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

pub(super) fn read_member(value: &mut Reader) -> Result<MemberMetadata, Torn> {
    first_version(value)?;
    let mut member = MemberMetadata {
        instance: value.compact_nullable()?,
        rack: value.compact_nullable()?,
        client_id: value.compact()?,
        host: value.compact()?,
        ..MemberMetadata::default()
    };
    for _ in 0..value.compact_count()? {
        member.topics.insert(value.compact()?);
    }
    member.regex = value.compact_nullable()?;
    member.rebalance_timeout_ms = value.i32()?;
    member.assignor = value.compact_nullable()?;
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

pub(super) fn write_target(partitions: &Partitions) -> Bytes {
    let mut value = Writer::version(0);
    value.compact_len(partitions.len());
    for (topic, indexes) in partitions {
        value.uuid(*topic);
        write_numbers(&mut value, indexes.iter().copied());
        value.no_tags();
    }
    value.no_tags();
    value.finish()
}

pub(super) fn read_target(value: &mut Reader) -> Result<Partitions, Torn> {
    first_version(value)?;
    let mut partitions = Partitions::new();
    for _ in 0..value.compact_count()? {
        let topic = value.uuid()?;
        let indexes: BTreeSet<i32> = read_numbers(value)?.into_iter().collect();
        value.tags()?;
        partitions.insert(topic, indexes);
    }
    value.tags()?;
    Ok(partitions)
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

pub(super) fn write_current(current: &Current) -> Bytes {
    let mut value = Writer::version(0);
    value.i32(current.epoch);
    value.i32(current.previous_epoch);
    value.i8(current.state.number());
    write_owned(&mut value, &current.assigned);
    write_owned(&mut value, &current.revoking);
    value.no_tags();
    value.finish()
}

pub(super) fn read_current(value: &mut Reader) -> Result<Current, Torn> {
    first_version(value)?;
    let epoch = value.i32()?;
    let current = Current {
        epoch,
        previous_epoch: value.i32()?,
        state: MemberState::from_number(value.i8()?),
        assigned: read_owned(value, epoch)?,
        revoking: read_owned(value, epoch)?,
    };
    value.tags()?;
    Ok(current)
}

pub(super) fn write_regex(resolved: &Resolved) -> Bytes {
    let mut value = Writer::version(0);
    value.compact_len(resolved.topics.len());
    for topic in &resolved.topics {
        value.compact(topic);
    }
    value.i64(resolved.version);
    value.i64(resolved.at_ms);
    value.no_tags();
    value.finish()
}

pub(super) fn read_regex(value: &mut Reader) -> Result<Resolved, Torn> {
    first_version(value)?;
    let mut resolved = Resolved::default();
    for _ in 0..value.compact_count()? {
        resolved.topics.insert(value.compact()?);
    }
    resolved.version = value.i64()?;
    resolved.at_ms = value.i64()?;
    value.tags()?;
    Ok(resolved)
}
