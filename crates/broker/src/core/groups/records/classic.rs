//! Values of committed offsets and of classic groups. Kafka writes version 4 of the first and version 3 of the second;
//! older ones are read.

use bytes::Bytes;
use uuid::Uuid;

use super::wire::{Reader, Torn, Writer};
use crate::core::groups::classic::{SavedGroup, SavedMember};
use crate::core::offsets::Committed;

pub(super) fn write_offset(committed: &Committed) -> Bytes {
    let mut value = Writer::version(4);
    value.i64(committed.offset);
    value.i32(committed.leader_epoch);
    value.compact(&committed.metadata);
    value.i64(committed.commit_ms);
    if committed.topic_id.is_nil() {
        value.no_tags();
    } else {
        value.one_tag(|field| field.uuid(committed.topic_id));
    }
    value.finish()
}

pub(super) fn read_offset(value: &mut Reader) -> Result<Committed, Torn> {
    let version = value.i16()?;
    if !(0..=4).contains(&version) {
        return Err(Torn);
    }
    let mut committed = Committed {
        offset: value.i64()?,
        leader_epoch: if version >= 3 { value.i32()? } else { -1 },
        metadata: if version >= 4 {
            value.compact()?
        } else {
            value.string()?
        },
        commit_ms: value.i64()?,
        topic_id: Uuid::nil(),
    };
    if version >= 4
        && let Some(mut field) = value.tags()?
    {
        committed.topic_id = field.uuid()?;
    }
    Ok(committed)
}

pub(super) fn write_group(saved: &SavedGroup) -> Bytes {
    let mut value = Writer::version(3);
    value.string(&saved.protocol_type);
    value.i32(saved.generation);
    value.nullable(saved.protocol.as_deref());
    value.nullable(saved.leader.as_deref());
    value.i64(saved.since_ms.unwrap_or(-1));
    value.i32(saved.members.len() as i32);
    for member in &saved.members {
        value.string(&member.id);
        value.nullable(member.instance.as_deref());
        value.string(&member.client_id);
        value.string(&member.host);
        value.i32(member.rebalance_timeout_ms);
        value.i32(member.session_timeout_ms);
        value.bytes(&member.subscription);
        value.bytes(&member.assignment);
    }
    value.finish()
}

pub(super) fn read_group(value: &mut Reader) -> Result<SavedGroup, Torn> {
    let version = value.i16()?;
    if !(0..=3).contains(&version) {
        return Err(Torn);
    }
    let mut saved = SavedGroup {
        protocol_type: value.string()?,
        generation: value.i32()?,
        protocol: value.nullable()?,
        leader: value.nullable()?,
        since_ms: None,
        members: Vec::new(),
    };
    if version >= 2 {
        saved.since_ms = Some(value.i64()?).filter(|at| *at >= 0);
    }
    for _ in 0..value.count()? {
        let mut member = SavedMember {
            id: value.string()?,
            instance: if version >= 3 { value.nullable()? } else { None },
            client_id: value.string()?,
            host: value.string()?,
            rebalance_timeout_ms: if version >= 1 { value.i32()? } else { -1 },
            session_timeout_ms: value.i32()?,
            subscription: value.bytes()?,
            assignment: value.bytes()?,
        };
        if member.rebalance_timeout_ms == -1 {
            member.rebalance_timeout_ms = member.session_timeout_ms;
        }
        saved.members.push(member);
    }
    Ok(saved)
}
