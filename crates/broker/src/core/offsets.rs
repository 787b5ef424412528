//! Committed offsets; how they survive: [`records`](super::groups::records).

use std::collections::BTreeMap;

use uuid::Uuid;

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    pub(crate) commit_ms: i64,
    /// Of the topic that it was committed for; nil where an older Kafka has written it.
    pub(crate) topic_id: Uuid,
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

    /// Topic and partition of every offset.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (String, i32)> {
        self.iter()
            .map(|(topic, partition, _)| (topic.to_owned(), partition))
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
    // The smallest number has no positive one; Kafka takes 0 for it.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_partition_is_the_one_that_java_finds() {
        // "abc".hashCode() is 96354.
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("abc", 50), 96354 % 50);
        // Of a negative hash it is the absolute value, as Kafka 4.3 has put this one.
        assert_eq!(partition_for("j1x-open", 50), 16);
    }
}
