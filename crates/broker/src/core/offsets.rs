//! Committed offsets, and the records in which they and the groups survive: Kafka's own keys and values, so that
//! `kafka-dump-log --offsets-decoder` reads the topic.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::groups::{Group, Member};

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    pub(crate) commit_ms: i64,
}

/// A group's offsets by topic and partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    pub(crate) by_topic: BTreeMap<String, BTreeMap<i32, Committed>>,
}

impl Offsets {
    /// The offset of one partition.
    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.by_topic.get(topic)?.get(&partition)
    }

    /// Notes an offset.
    pub(crate) fn set(&mut self, topic: &str, partition: i32, committed: Committed) {
        self.by_topic
            .entry(topic.to_owned())
            .or_default()
            .insert(partition, committed);
    }

    /// Forgets an offset; says whether there was one.
    pub(crate) fn remove(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.by_topic.get_mut(topic) else {
            return false;
        };
        let was = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.by_topic.remove(topic);
        }
        was
    }

    /// Are there none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }

    /// Every offset.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.by_topic
            .iter()
            .flat_map(|(topic, ps)| ps.iter().map(move |(p, c)| (topic.as_str(), *p, c)))
    }
}

/// The partition of the offsets topic that a group belongs to: Java's string hash, as Kafka does it.
pub(crate) fn partition_for(group: &str, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    (hash & i32::MAX) % partitions.max(1)
}

/// What one record of the offsets topic says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Saved {
    /// An offset, or that it is gone.
    Offset {
        group: String,
        topic: String,
        partition: i32,
        committed: Option<Committed>,
    },
    /// A group, or that it is gone.
    Group {
        group: String,
        saved: Option<SavedGroup>,
    },
}

/// What survives of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SavedGroup {
    pub(crate) protocol_type: String,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) since_ms: i64,
    /// With only what the log keeps of each.
    pub(crate) members: Vec<SavedMember>,
}

/// What survives of a member.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SavedMember {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

impl SavedGroup {
    /// A group as it is now.
    pub(crate) fn of(group: &Group) -> Self {
        let protocol = group.protocol.clone().unwrap_or_default();
        Self {
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            generation: group.generation,
            protocol: group.protocol.clone(),
            leader: group.leader.clone(),
            since_ms: group.since_ms,
            members: group
                .members
                .iter()
                .map(|m| SavedMember {
                    id: m.id.clone(),
                    instance: m.instance.clone(),
                    client_id: m.client_id.clone(),
                    host: m.host.clone(),
                    rebalance_timeout_ms: m.rebalance_timeout_ms,
                    session_timeout_ms: m.session_timeout_ms,
                    subscription: m.metadata(&protocol),
                    assignment: m.assignment.clone(),
                })
                .collect(),
        }
    }

    /// The members, alive again.
    pub(crate) fn revive(&self) -> Vec<Member> {
        let protocol = self.protocol.clone().unwrap_or_default();
        self.members
            .iter()
            .map(|m| Member {
                id: m.id.clone(),
                instance: m.instance.clone(),
                client_id: m.client_id.clone(),
                host: m.host.clone(),
                rebalance_timeout_ms: m.rebalance_timeout_ms,
                session_timeout_ms: m.session_timeout_ms,
                protocols: vec![(protocol.clone(), m.subscription.clone())],
                assignment: m.assignment.clone(),
                ..Member::default()
            })
            .collect()
    }
}

impl Saved {
    /// The record's key.
    pub(crate) fn key(&self) -> Bytes {
        let mut key = BytesMut::new();
        match self {
            Self::Offset {
                group,
                topic,
                partition,
                ..
            } => {
                key.put_i16(1);
                put_string(&mut key, group);
                put_string(&mut key, topic);
                key.put_i32(*partition);
            }
            Self::Group { group, .. } => {
                key.put_i16(2);
                put_string(&mut key, group);
            }
        }
        key.freeze()
    }

    /// The record's value, nothing for a tombstone.
    pub(crate) fn value(&self) -> Option<Bytes> {
        let mut value = BytesMut::new();
        value.put_i16(3);
        match self {
            Self::Offset { committed, .. } => {
                let committed = committed.as_ref()?;
                value.put_i64(committed.offset);
                value.put_i32(committed.leader_epoch);
                put_string(&mut value, &committed.metadata);
                value.put_i64(committed.commit_ms);
            }
            Self::Group { saved, .. } => put_group(&mut value, saved.as_ref()?),
        }
        Some(value.freeze())
    }

    /// Reads a record; nothing where it is of a kind or version that this cluster doesn't write.
    pub(crate) fn read(key: &Bytes, value: Option<&Bytes>) -> Option<Self> {
        let mut key = key.clone();
        match get_i16(&mut key)? {
            0 | 1 => {
                let (group, topic) = (get_string(&mut key)?, get_string(&mut key)?);
                let partition = get_i32(&mut key)?;
                let committed = match value {
                    Some(value) => Some(read_committed(value.clone())?),
                    None => None,
                };
                Some(Self::Offset {
                    group,
                    topic,
                    partition,
                    committed,
                })
            }
            2 => {
                let group = get_string(&mut key)?;
                let saved = match value {
                    Some(value) => Some(read_group(value.clone())?),
                    None => None,
                };
                Some(Self::Group { group, saved })
            }
            _ => None,
        }
    }
}

fn put_group(value: &mut BytesMut, saved: &SavedGroup) {
    put_string(value, &saved.protocol_type);
    value.put_i32(saved.generation);
    put_nullable(value, saved.protocol.as_deref());
    put_nullable(value, saved.leader.as_deref());
    value.put_i64(saved.since_ms);
    value.put_i32(saved.members.len() as i32);
    for member in &saved.members {
        put_string(value, &member.id);
        put_nullable(value, member.instance.as_deref());
        put_string(value, &member.client_id);
        put_string(value, &member.host);
        value.put_i32(member.rebalance_timeout_ms);
        value.put_i32(member.session_timeout_ms);
        put_bytes(value, &member.subscription);
        put_bytes(value, &member.assignment);
    }
}

fn read_committed(mut value: Bytes) -> Option<Committed> {
    if get_i16(&mut value)? != 3 {
        return None;
    }
    Some(Committed {
        offset: get_i64(&mut value)?,
        leader_epoch: get_i32(&mut value)?,
        metadata: get_string(&mut value)?,
        commit_ms: get_i64(&mut value)?,
    })
}

fn read_group(mut value: Bytes) -> Option<SavedGroup> {
    if get_i16(&mut value)? != 3 {
        return None;
    }
    let mut saved = SavedGroup {
        protocol_type: get_string(&mut value)?,
        generation: get_i32(&mut value)?,
        protocol: get_nullable(&mut value).ok()?,
        leader: get_nullable(&mut value).ok()?,
        since_ms: get_i64(&mut value)?,
        members: Vec::new(),
    };
    for _ in 0..get_i32(&mut value)? {
        saved.members.push(SavedMember {
            id: get_string(&mut value)?,
            instance: get_nullable(&mut value).ok()?,
            client_id: get_string(&mut value)?,
            host: get_string(&mut value)?,
            rebalance_timeout_ms: get_i32(&mut value)?,
            session_timeout_ms: get_i32(&mut value)?,
            subscription: get_bytes(&mut value)?,
            assignment: get_bytes(&mut value)?,
        });
    }
    Some(saved)
}

// Lengths fit: every string came in a request, whose strings have 16-bit lengths.
fn put_string(buf: &mut BytesMut, text: &str) {
    buf.put_i16(text.len() as i16);
    buf.put_slice(text.as_bytes());
}

fn put_nullable(buf: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(buf, text),
        None => buf.put_i16(-1),
    }
}

fn put_bytes(buf: &mut BytesMut, bytes: &[u8]) {
    buf.put_i32(bytes.len() as i32);
    buf.put_slice(bytes);
}

fn get_i16(buf: &mut Bytes) -> Option<i16> {
    buf.try_get_i16().ok()
}

fn get_i32(buf: &mut Bytes) -> Option<i32> {
    buf.try_get_i32().ok()
}

fn get_i64(buf: &mut Bytes) -> Option<i64> {
    buf.try_get_i64().ok()
}

/// A string, or nothing for null; the outer result says whether the record is whole.
fn get_nullable(buf: &mut Bytes) -> Result<Option<String>, Torn> {
    let len = get_i16(buf).ok_or(Torn)?;
    let Ok(len) = usize::try_from(len) else {
        return Ok(None);
    };
    if buf.remaining() < len {
        return Err(Torn);
    }
    String::from_utf8(buf.split_to(len).to_vec())
        .map(Some)
        .map_err(|_| Torn)
}

/// A record that ends early or holds what is no text.
struct Torn;

fn get_string(buf: &mut Bytes) -> Option<String> {
    get_nullable(buf).ok().flatten()
}

fn get_bytes(buf: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(get_i32(buf)?).ok()?;
    (buf.remaining() >= len).then(|| buf.split_to(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_partition_is_the_one_that_java_finds() {
        // "console-consumer-1".hashCode() and friends, from a Java shell.
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("abc", 50), 96354 % 50);
        // A negative hash keeps its low 31 bits, as Kafka's Utils.abs-free `toPositive` does.
        assert!((0..50).contains(&partition_for("a rather long group name \u{e9}", 50)));
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let offset = Saved::Offset {
            group: "g".into(),
            topic: "t".into(),
            partition: 3,
            committed: Some(Committed {
                offset: 7,
                leader_epoch: 1,
                metadata: "m".into(),
                commit_ms: 9,
            }),
        };
        let group = Saved::Group {
            group: "g".into(),
            saved: Some(SavedGroup {
                protocol_type: "consumer".into(),
                generation: 4,
                protocol: Some("range".into()),
                leader: Some("m-1".into()),
                since_ms: 5,
                members: vec![SavedMember {
                    id: "m-1".into(),
                    assignment: Bytes::from_static(b"x"),
                    ..Default::default()
                }],
            }),
        };
        let gone = Saved::Group {
            group: "g".into(),
            saved: None,
        };
        for saved in [offset, group, gone] {
            assert_eq!(Saved::read(&saved.key(), saved.value().as_ref()), Some(saved));
        }
    }

    #[test]
    fn a_damaged_record_is_passed_over() {
        let key = Saved::Group {
            group: "g".into(),
            saved: None,
        }
        .key();
        assert_eq!(Saved::read(&key, Some(&Bytes::from_static(&[0, 3, 0, 9]))), None);
        assert_eq!(Saved::read(&Bytes::from_static(&[0]), None), None);
    }
}
