//! Administration of the cluster: blocking calls, each with a deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;

use super::model::{
    At, Broker, ConfigChange, ConfigEntry, Group, GroupListing, GroupState, NewTopic, Partition,
    PerPartition, Resource, Topic, TopicPartition, Watermarks,
};
use super::sys::Native;
use super::{KafkaError, KafkaResult, Target};

/// A client for administration. Names are the lab's: the target's prefix is put on and taken off in here.
///
/// Making one connects nothing yet; a call may take its `timeout`, and then fails with an error for which
/// [`is_timeout`](KafkaError::is_timeout) holds. It may be shared by threads.
pub struct Admin {
    native: Native,
    target: Target,
    timeout: Duration,
}

/// Topics that belong to Kafka itself, and so have no prefix.
pub(super) fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

impl Admin {
    /// A client whose every call ends within `timeout`.
    pub fn new(target: &Target, timeout: Duration) -> KafkaResult<Self> {
        Ok(Self {
            native: Native::new(&target.client_config(), timeout)?,
            target: target.clone(),
            timeout,
        })
    }

    fn real_topic(&self, name: &str) -> String {
        if is_internal(name) {
            name.into()
        } else {
            self.target.real(name)
        }
    }

    /// The lab's name of a topic; `None`: somebody else's.
    fn shown_topic(&self, real: &str) -> Option<String> {
        if is_internal(real) {
            return Some(real.into());
        }
        self.target.shown(real).map(str::to_owned)
    }

    /// Takes the prefix out of a broker's message, which names what it is about.
    fn shown_error(&self, mut error: KafkaError) -> KafkaError {
        if !self.target.prefix.is_empty() {
            error.message = error.message.replace(&self.target.prefix, "");
        }
        error
    }

    fn shown<T>(&self, result: KafkaResult<T>) -> KafkaResult<T> {
        result.map_err(|error| self.shown_error(error))
    }

    fn shown_places<T>(&self, places: PerPartition<T>) -> PerPartition<T> {
        places
            .into_iter()
            .filter_map(|((topic, partition), result)| {
                Some(((self.shown_topic(&topic)?, partition), self.shown(result)))
            })
            .collect()
    }

    /// The cluster's id: another cluster, and one whose data was removed, has another. `None` when none answers in time.
    pub fn cluster_id(&self) -> Option<String> {
        self.native.producer().client().fetch_cluster_id(self.timeout)
    }

    /// The brokers that are up, by id.
    pub fn brokers(&self) -> KafkaResult<Vec<Broker>> {
        let metadata = self
            .native
            .producer()
            .client()
            .fetch_metadata(None, self.timeout)?;
        let mut brokers: Vec<Broker> = metadata
            .brokers()
            .iter()
            .map(|broker| Broker {
                id: broker.id(),
                host: broker.host().to_owned(),
                port: u16::try_from(broker.port()).unwrap_or(0),
            })
            .collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(brokers)
    }

    /// All topics of this lab and Kafka's internal ones, by name.
    pub fn topics(&self) -> KafkaResult<Vec<Topic>> {
        let metadata = self
            .native
            .producer()
            .client()
            .fetch_metadata(None, self.timeout)?;
        let mut topics: Vec<Topic> = metadata
            .topics()
            .iter()
            .filter_map(|topic| {
                let mut partitions: Vec<Partition> = topic
                    .partitions()
                    .iter()
                    .map(|partition| Partition {
                        id: partition.id(),
                        leader: Some(partition.leader()).filter(|leader| *leader >= 0),
                        replicas: partition.replicas().to_vec(),
                        isr: partition.isr().to_vec(),
                    })
                    .collect();
                partitions.sort_by_key(|partition| partition.id);
                Some(Topic {
                    name: self.shown_topic(topic.name())?,
                    id: None,
                    internal: is_internal(topic.name()),
                    partitions,
                })
            })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic; `None` when there is none of that name. Never makes one.
    pub fn topic(&self, name: &str) -> KafkaResult<Option<Topic>> {
        Ok(self.describe_topics(&[name.to_owned()])?.pop())
    }

    /// The topics of these names that exist, by name, with their ids.
    pub fn describe_topics(&self, names: &[String]) -> KafkaResult<Vec<Topic>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let real: Vec<String> = names.iter().map(|name| self.real_topic(name)).collect();
        let mut topics = Vec::with_capacity(real.len());
        for (name, topic) in self.shown(self.native.describe_topics(&real))? {
            match topic {
                Ok(mut topic) => {
                    topic.name = self.shown_topic(&name).unwrap_or(name);
                    topic.partitions.sort_by_key(|partition| partition.id);
                    topics.push(topic);
                }
                Err(error) if error.is_unknown_topic() || error.code == RDKafkaErrorCode::InvalidTopic => {}
                Err(error) => return Err(self.shown_error(error)),
            }
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Makes a topic.
    pub fn create_topic(&self, new: &NewTopic) -> KafkaResult<()> {
        let mut new = new.clone();
        new.name = self.real_topic(&new.name);
        self.shown(self.native.create_topic(&new))
    }

    /// Deletes a topic and its records.
    pub fn delete_topic(&self, name: &str) -> KafkaResult<()> {
        self.shown(self.native.delete_topic(&self.real_topic(name)))
    }

    /// Grows a topic to `total` partitions.
    pub fn create_partitions(&self, name: &str, total: usize) -> KafkaResult<()> {
        self.shown(self.native.create_partitions(&self.real_topic(name), total))
    }

    fn real_resource(&self, resource: &Resource) -> Resource {
        match resource {
            Resource::Topic(name) => Resource::Topic(self.real_topic(name)),
            Resource::Broker(id) => Resource::Broker(*id),
        }
    }

    /// All configurations of a topic or a broker, in the cluster's order, which Kafka's tools print.
    pub fn configs(&self, resource: &Resource) -> KafkaResult<Vec<ConfigEntry>> {
        self.shown(self.native.configs(&self.real_resource(resource)))
    }

    /// Changes some configurations; the others stay.
    pub fn alter_configs(&self, resource: &Resource, changes: &[ConfigChange]) -> KafkaResult<()> {
        self.shown(self.native.alter_configs(&self.real_resource(resource), changes))
    }

    /// The ends of a partition's log.
    pub fn watermarks(&self, topic: &str, partition: i32) -> KafkaResult<Watermarks> {
        let (low, high) = self.native.producer().client().fetch_watermarks(
            &self.real_topic(topic),
            partition,
            self.timeout,
        )?;
        Ok(Watermarks { low, high })
    }

    /// The offset at a place of each partition; `None` when no record is there (a time after the last record).
    pub fn offsets(&self, topic: &str, partitions: &[i32], at: At) -> KafkaResult<Vec<(i32, Option<i64>)>> {
        let places: Vec<_> = partitions
            .iter()
            .map(|partition| (topic.to_owned(), *partition))
            .collect();
        let mut offsets = Vec::with_capacity(places.len());
        for ((_, partition), offset) in self.offsets_at(&places, at)? {
            offsets.push((partition, Some(offset?).filter(|offset| *offset >= 0)));
        }
        offsets.sort_by_key(|(partition, _)| *partition);
        Ok(offsets)
    }

    /// As [`offsets`](Self::offsets), for partitions of several topics, each with its own error; -1: no record there.
    pub fn offsets_at(&self, places: &[TopicPartition], at: At) -> KafkaResult<PerPartition<i64>> {
        let spec = match at {
            At::Latest | At::Stable => -1,
            At::Earliest => -2,
            At::MaxTimestamp => -3,
            At::Timestamp(ms) => ms.max(0),
        };
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let specs: Vec<(TopicPartition, i64)> = places
            .iter()
            .map(|(topic, partition)| ((self.real_topic(topic), *partition), spec))
            .collect();
        let mut offsets = self.shown_places(self.shown(self.native.list_offsets(&specs, at == At::Stable))?);
        offsets.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(offsets)
    }

    /// All groups of this lab, by name.
    pub fn groups(&self) -> KafkaResult<Vec<GroupListing>> {
        let mut groups: Vec<GroupListing> = self
            .shown(self.native.groups())?
            .into_iter()
            .filter_map(|group| {
                let name = self.target.shown(&group.name)?.to_owned();
                Some(GroupListing { name, ..group })
            })
            .collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// One group; `None` when there is none of that name.
    pub fn group(&self, name: &str) -> KafkaResult<Option<Group>> {
        let mut group = match self.native.group(&self.target.real(name)) {
            Ok(group) => group,
            // Kafka 4 says so itself (KIP-1043); older brokers answer with a dead group.
            Err(error) if error.code == RDKafkaErrorCode::GroupIdNotFound => return Ok(None),
            Err(error) => return Err(self.shown_error(error)),
        };
        if group.state == GroupState::Dead {
            return Ok(None);
        }
        name.clone_into(&mut group.name);
        for member in &mut group.members {
            member.assignment = std::mem::take(&mut member.assignment)
                .into_iter()
                .map(|(topic, partition)| (self.shown_topic(&topic).unwrap_or(topic), partition))
                .collect();
        }
        group.members.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Some(group))
    }

    /// The committed offsets of a group; empty when it has none or isn't there.
    pub fn committed(&self, group: &str) -> KafkaResult<BTreeMap<TopicPartition, i64>> {
        let offsets = match self.native.committed(&self.target.real(group)) {
            Ok(offsets) => offsets,
            Err(error) if error.code == RDKafkaErrorCode::GroupIdNotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.shown_error(error)),
        };
        let mut committed = BTreeMap::new();
        for (place, offset) in self.shown_places(offsets) {
            let offset = offset?;
            if offset >= 0 {
                committed.insert(place, offset);
            }
        }
        Ok(committed)
    }

    fn real_places(&self, places: &[(TopicPartition, i64)]) -> Vec<(TopicPartition, i64)> {
        places
            .iter()
            .map(|((topic, partition), offset)| ((self.real_topic(topic), *partition), *offset))
            .collect()
    }

    /// Commits offsets in the name of a group without members.
    pub fn alter_committed(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> KafkaResult<PerPartition<i64>> {
        if offsets.is_empty() {
            return Ok(Vec::new());
        }
        let result = self
            .native
            .alter_committed(&self.target.real(group), &self.real_places(offsets));
        Ok(self.shown_places(self.shown(result)?))
    }

    /// Forgets committed offsets of a group.
    pub fn delete_committed(&self, group: &str, places: &[TopicPartition]) -> KafkaResult<PerPartition<i64>> {
        let real: Vec<TopicPartition> = places
            .iter()
            .map(|(topic, partition)| (self.real_topic(topic), *partition))
            .collect();
        let result = self.native.delete_committed(&self.target.real(group), &real);
        Ok(self.shown_places(self.shown(result)?))
    }

    /// Deletes a group without members, with its offsets.
    pub fn delete_group(&self, name: &str) -> KafkaResult<()> {
        self.shown(self.native.delete_group(&self.target.real(name)))
    }

    /// Elects the preferred leaders of these partitions (`None`: of all), or, unclean, any replica where none leads.
    pub fn elect_leaders(
        &self,
        unclean: bool,
        places: Option<&[TopicPartition]>,
    ) -> KafkaResult<PerPartition<()>> {
        let real = places.map(|places| {
            let place = |(topic, partition): &TopicPartition| (self.real_topic(topic), *partition);
            places.iter().map(place).collect::<Vec<_>>()
        });
        let result = self.native.elect_leaders(unclean, real.as_deref());
        let mut elected = self.shown_places(self.shown(result)?);
        elected.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(elected)
    }

    /// Deletes the records before an offset (-1: all there are); the answer is each partition's new log start offset.
    pub fn delete_records(&self, before: &[(TopicPartition, i64)]) -> KafkaResult<PerPartition<i64>> {
        let result = self.native.delete_records(&self.real_places(before));
        Ok(self.shown_places(self.shown(result)?))
    }
}
