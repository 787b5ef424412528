//! What consumers of the classic protocol put into JoinGroup and SyncGroup: subscriptions and assignments of Kafka's
//! own consumer protocol.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::records::wire::{Reader, Torn};
use super::{Partitions, TopicImage};

/// The protocol type of consumers.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";
/// The newest version that Kafka 4.3 has.
const NEWEST: i16 = 3;

/// A consumer's subscription.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Subscription {
    pub(crate) version: i16,
    pub(crate) topics: BTreeSet<String>,
    /// By topic name, as of version 1.
    pub(crate) owned: BTreeMap<String, BTreeSet<i32>>,
    /// As of version 3.
    pub(crate) rack: Option<String>,
}

fn topic_partitions(rest: &mut Reader) -> Result<BTreeMap<String, BTreeSet<i32>>, Torn> {
    let mut topics: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for _ in 0..rest.count()? {
        let topic = rest.string()?;
        let count = rest.count()?;
        let indexes: Result<Vec<i32>, Torn> = (0..count).map(|_| rest.i32()).collect();
        topics.entry(topic).or_default().extend(indexes?);
    }
    Ok(topics)
}

/// Reads a subscription; a newer version is read as the newest known.
pub(crate) fn subscription(metadata: &Bytes) -> Result<Subscription, Torn> {
    let mut rest = Reader(metadata.clone());
    let version = rest.i16()?;
    if version < 0 {
        return Err(Torn);
    }
    let mut read = Subscription {
        version: version.min(NEWEST),
        ..Subscription::default()
    };
    for _ in 0..rest.count()? {
        read.topics.insert(rest.string()?);
    }
    rest.bytes()?;
    if version >= 1 {
        read.owned = topic_partitions(&mut rest)?;
    }
    if version >= 2 {
        rest.i32()?;
    }
    if version >= 3 {
        read.rack = rest.nullable()?;
    }
    Ok(read)
}

/// The topics of a subscription: what every version begins with.
pub(crate) fn topics(metadata: &Bytes) -> Result<BTreeSet<String>, Torn> {
    let mut rest = Reader(metadata.clone());
    rest.i16()?;
    (0..rest.count()?).map(|_| rest.string()).collect()
}

/// An assignment's partitions, and whether its assignor has put data of its own beside them.
pub(crate) fn assignment(bytes: &Bytes, topics: &dyn TopicImage) -> Result<(Partitions, bool), Torn> {
    if bytes.is_empty() {
        return Ok((Partitions::new(), false));
    }
    let mut rest = Reader(bytes.clone());
    if rest.i16()? < 0 {
        return Err(Torn);
    }
    let named = topic_partitions(&mut rest)?;
    let user_data = rest.bytes()?;
    Ok((with_ids(&named, topics), !user_data.is_empty()))
}

/// Partitions of the topics that there are, by id.
pub(crate) fn with_ids(named: &BTreeMap<String, BTreeSet<i32>>, topics: &dyn TopicImage) -> Partitions {
    named
        .iter()
        .filter_map(|(name, indexes)| Some((topics.by_name(name)?.0, indexes.clone())))
        .collect()
}

/// Writes an assignment for a member that speaks this version.
pub(crate) fn write_assignment(partitions: &Partitions, version: i16, topics: &dyn TopicImage) -> Bytes {
    let named: BTreeMap<_, _> = partitions
        .iter()
        .filter_map(|(id, indexes)| Some((topics.by_id(*id)?.0, indexes)))
        .collect();
    let mut bytes = BytesMut::new();
    bytes.put_i16(version.min(NEWEST));
    bytes.put_i32(named.len() as i32);
    for (name, indexes) in named {
        bytes.put_i16(name.len() as i16);
        bytes.put_slice(name.as_bytes());
        bytes.put_i32(indexes.len() as i32);
        for index in indexes {
            bytes.put_i32(*index);
        }
    }
    // No data of the assignor's own.
    bytes.put_i32(-1);
    bytes.freeze()
}
