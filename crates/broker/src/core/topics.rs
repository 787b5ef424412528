//! Topics and their partitions: names, ids, replicas, leaders, logs.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::Refusal;
use super::configs::Overrides;
use super::ports::ReplicaLog;
use super::standing::Standing;

/// The topic of committed offsets and groups.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The topic of transactions.
pub(crate) const TRANSACTIONS_TOPIC: &str = "__transaction_state";
/// The topic of share groups' states.
pub(crate) const SHARE_STATE_TOPIC: &str = "__share_group_state";

/// What Kafka says of a topic or a partition that there is not, or that a broker does not have.
pub(crate) const NOT_HOSTED: &str = "This server does not host this topic-partition.";
/// Kafka's metadata log; nobody may make it.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";
/// More partitions in one topic than this are refused; the cluster lives in one process.
pub(crate) const MAX_PARTITIONS: i32 = 100_000;

/// One broker's copy of a partition.
pub(crate) struct Replica {
    pub(crate) log: Box<dyn ReplicaLog>,
    /// Records below are on every replica in sync, and may be read.
    pub(crate) high_watermark: i64,
    /// The leader epoch since whose start it agrees with its leader's log; -1 where that is yet to be found out.
    pub(crate) agreed_epoch: i32,
}

/// What a leader knows of a follower.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Follower {
    /// The end of its log, as of its last fetch.
    pub(crate) end_offset: i64,
    /// Since when it lacks records.
    pub(crate) behind_since_ms: Option<i64>,
}

/// One partition.
pub(crate) struct Partition {
    /// Leader, epochs, replicas: read through the partition itself, changed by [`super::Core::change_partitions`] alone.
    pub(super) standing: Standing,
    /// Where the log of the leader ended when it was elected.
    pub(crate) epoch_start: i64,
    /// The copies on brokers that run, by broker id.
    pub(crate) logs: BTreeMap<i32, Replica>,
    /// The leader's view of its followers.
    pub(crate) followers: BTreeMap<i32, Follower>,
    /// For when the last timer for its lag was set.
    pub(super) lag_timer_ms: i64,
}

impl Deref for Partition {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.standing
    }
}

impl Partition {
    /// A partition without logs yet.
    pub(crate) fn new(standing: Standing) -> Self {
        Self {
            standing,
            epoch_start: 0,
            logs: BTreeMap::new(),
            followers: BTreeMap::new(),
            lag_timer_ms: 0,
        }
    }

    /// The leader's copy, when `broker` is the leader.
    pub(crate) fn led_by(&self, broker: i32) -> Option<&Replica> {
        if self.leader == broker {
            self.logs.get(&broker)
        } else {
            None
        }
    }

    /// The leader's copy, to write to.
    pub(crate) fn led_by_mut(&mut self, broker: i32) -> Option<&mut Replica> {
        if self.leader == broker {
            self.logs.get_mut(&broker)
        } else {
            None
        }
    }
}

/// One topic.
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    pub(crate) configs: Overrides,
    pub(crate) partitions: Vec<Partition>,
}

impl Topic {
    /// Does the cluster itself keep its state in it.
    pub(crate) fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }
}

/// Does the cluster itself keep its state in a topic of this name.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, OFFSETS_TOPIC | TRANSACTIONS_TOPIC | SHARE_STATE_TOPIC)
}

/// All topics, by name and by id.
#[derive(Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<Arc<str>, Topic>,
    names: HashMap<Uuid, Arc<str>>,
}

impl Topics {
    /// The topic of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    /// The topic of this name, to change.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    /// The name behind an id.
    pub(crate) fn name_of(&self, id: Uuid) -> Option<&Arc<str>> {
        self.names.get(&id)
    }

    /// One partition of the topic of this id.
    pub(crate) fn partition(&self, id: Uuid, index: i32) -> Option<&Partition> {
        let topic = self.by_name.get(self.names.get(&id)?)?;
        topic.partitions.get(usize::try_from(index).ok()?)
    }

    /// One partition of the topic of this id, to change.
    pub(crate) fn partition_mut(&mut self, id: Uuid, index: i32) -> Option<&mut Partition> {
        let topic = self.by_name.get_mut(self.names.get(&id)?)?;
        topic.partitions.get_mut(usize::try_from(index).ok()?)
    }

    /// All topics by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.values()
    }

    /// All topics, to change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Topic> {
        self.by_name.values_mut()
    }

    /// Every replica of every partition, to change.
    pub(crate) fn replicas_mut(&mut self) -> impl Iterator<Item = &mut Replica> {
        let partitions = self.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.flat_map(|partition| partition.logs.values_mut())
    }

    /// Adds a topic.
    pub(crate) fn insert(&mut self, topic: Topic) {
        self.names.insert(topic.id, topic.name.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }

    /// Takes a topic out.
    pub(crate) fn remove(&mut self, id: Uuid) -> Option<Topic> {
        let name = self.names.remove(&id)?;
        self.by_name.remove(&name)
    }

    /// A topic whose metric name would be the same: Kafka treats `.` and `_` alike there.
    pub(crate) fn colliding(&self, name: &str) -> Option<&Topic> {
        if !name.contains(['.', '_']) {
            return None;
        }
        let plain = name.replace('.', "_");
        self.iter()
            .find(|topic| &*topic.name != name && topic.name.replace('.', "_") == plain)
    }
}

/// Checks a topic's name as Kafka does.
///
/// # Errors
/// `INVALID_TOPIC_EXCEPTION` with Kafka's message.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let why = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.len() > 249 {
        format!("the length of '{name}' is longer than the max allowed length 249")
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        ResponseError::InvalidTopicException,
        format!("Topic name is invalid: {why}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_kafkas_words() {
        let why = |name: &str| check_name(name).unwrap_err().message.unwrap();
        assert_eq!(why(".."), "Topic name is invalid: '..' is not allowed");
        assert_eq!(
            why("a b"),
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        );
        assert!(check_name(&"x".repeat(249)).is_ok());
        assert!(check_name(&"x".repeat(250)).is_err());
    }

    #[test]
    fn dots_and_underscores_collide() {
        let mut topics = Topics::default();
        topics.insert(Topic {
            name: "a.b".into(),
            id: Uuid::from_u128(1),
            configs: Overrides::new(),
            partitions: vec![],
        });
        assert_eq!(topics.colliding("a_b").map(|t| &*t.name), Some("a.b"));
        assert!(topics.colliding("a.b").is_none());
        assert!(topics.colliding("ab").is_none());
    }
}
