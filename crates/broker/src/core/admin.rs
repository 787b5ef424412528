//! Topics made, changed and removed; configurations; what is journalled and restored.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::Refusal;
use super::configs::{self, Overrides};
use super::journal::Record;
use super::ports::LogPosition;
use super::scram::{Credential, Mechanism};
use super::standing::Standing;
use super::throttles::Mutations;
use super::topics::{
    MAX_PARTITIONS, METADATA_TOPIC, OFFSETS_TOPIC, Partition, SHARE_STATE_TOPIC, Topic, check_name,
    is_internal,
};
use crate::log::{CleanupPolicy, Codec, LogConfig, LogError, TimestampType};

/// A topic that somebody wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// -1: the broker's default.
    pub(crate) partitions: i32,
    /// -1: the broker's default.
    pub(crate) replication_factor: i16,
    /// Replicas by partition, where they were assigned by hand.
    pub(crate) assignments: Vec<(i32, Vec<i32>)>,
    pub(crate) configs: Vec<(String, Option<String>)>,
}

impl super::Core {
    /// The broker whose configuration counts for the cluster: the lowest id.
    pub(crate) fn first_broker(&self) -> i32 {
        self.nodes.keys().next().copied().unwrap_or(-1)
    }

    /// How many replicas must be in sync for acks=all: never more than there are (KIP-966).
    pub(crate) fn min_in_sync(&self, topic: &str) -> usize {
        let Some(topic) = self.topics.get(topic) else {
            return 1;
        };
        let value = self
            .configs
            .topic_value(self.first_broker(), &topic.configs, "min.insync.replicas");
        let replicas = topic.partitions.first().map_or(1, |first| first.replicas.len());
        value.trim().parse().unwrap_or(1).min(replicas)
    }

    /// Checks a new topic and says where its replicas go.
    ///
    /// # Errors
    /// Kafka's code and message for each thing that can be wrong.
    pub(crate) fn plan_topic(&mut self, new: &NewTopic) -> Result<(Vec<Vec<i32>>, Overrides), Refusal> {
        if self.topics.get(&new.name).is_some() {
            return Err(Refusal::new(
                ResponseError::TopicAlreadyExists,
                format!("Topic '{}' already exists.", new.name),
            ));
        }
        check_name(&new.name)?;
        if new.name == METADATA_TOPIC {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                format!("Creation of internal topic {METADATA_TOPIC} is prohibited."),
            ));
        }
        if let Some(other) = self.topics.colliding(&new.name) {
            return Err(Refusal::new(
                ResponseError::InvalidTopicException,
                format!(
                    "Topic '{}' collides with existing topic: {}",
                    new.name, other.name
                ),
            ));
        }
        let configs = topic_configs(&new.configs)?;
        let partitions = if new.assignments.is_empty() {
            self.place_new(new.partitions, new.replication_factor)?
        } else {
            self.placed_by_hand(new)?
        };
        Ok((partitions, configs))
    }

    /// Makes a topic that [`plan_topic`](Self::plan_topic) has checked.
    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        partitions: Vec<Vec<i32>>,
        configs: Overrides,
    ) -> Result<Uuid, Refusal> {
        let id = self.outside.ids.uuid();
        let standings = self.new_standings(&partitions);
        let mut records = vec![Record::Topic {
            name: name.to_owned(),
            id,
            partitions,
            configs: configs.clone(),
        }];
        records.extend(changes_from_new(id, 0, &standings));
        self.journal(&records)?;
        self.install_topic(name, id, standings, configs)?;
        Ok(id)
    }

    /// Makes a topic that a client asked for by using it.
    pub(crate) fn auto_create(&mut self, name: &str) -> Result<Uuid, Refusal> {
        if is_internal(name) {
            match name {
                OFFSETS_TOPIC => self.ensure_offsets_topic()?,
                SHARE_STATE_TOPIC => self.ensure_share_topic()?,
                _ => self.ensure_transactions_topic()?,
            }
            return self
                .topics
                .get(name)
                .map(|t| t.id)
                .ok_or_else(|| ResponseError::UnknownTopicOrPartition.into());
        }
        let new = NewTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            ..NewTopic::default()
        };
        let (partitions, configs) = self.plan_topic(&new)?;
        self.create_topic(name, partitions, configs)
    }

    /// Puts a topic into the state and opens its logs.
    fn install_topic(
        &mut self,
        name: &str,
        id: Uuid,
        partitions: Vec<Standing>,
        configs: Overrides,
    ) -> Result<(), Refusal> {
        let topic = Topic {
            name: name.into(),
            id,
            configs,
            partitions: Vec::new(),
        };
        self.topics.insert(topic);
        self.flush_within(self.log_config_of(name).flush_ms);
        self.publish_rules(name);
        self.add_partitions(name, partitions)
    }

    fn add_partitions(&mut self, name: &str, added: Vec<Standing>) -> Result<(), Refusal> {
        let config = self.log_config_of(name);
        for standing in added {
            let Some(topic) = self.topics.get_mut(name) else {
                return Err(ResponseError::UnknownTopicOrPartition.into());
            };
            let key = (topic.id, topic.partitions.len() as i32);
            let replicas = standing.replicas.clone();
            topic.partitions.push(Partition::new(standing));
            for id in &replicas {
                self.open_replica(key, *id, config.clone())?;
            }
            if replicas.len() > 1 {
                self.unsettled.push(key);
            }
        }
        Ok(())
    }

    /// Removes a topic and its logs.
    pub(crate) fn delete_topic(&mut self, id: Uuid) -> Result<(), Refusal> {
        self.journal(&[Record::TopicDeleted { id }])?;
        let Some(topic) = self.topics.remove(id) else {
            return Err(ResponseError::UnknownTopicId.into());
        };
        if let Ok(mut rules) = self.outside.rules.write() {
            rules.by_name.remove(&topic.name);
            rules.by_id.remove(&id);
        }
        let delay_ms = self.delete_delay_ms();
        for (_, replica) in topic.partitions.into_iter().flat_map(|p| p.logs) {
            if let Err(error) = replica.log.delete(delay_ms) {
                tracing::warn!(%error, topic = &*topic.name, "a deleted topic's log was left behind");
            }
        }
        self.forget_topic(&topic.name);
        self.forget_shared_topic(id);
        self.witness.forget(id);
        self.stale_checkpoints = true;
        self.wake_fetches_of(id);
        self.wake_produces_of(id);
        self.wake_shares_of(id);
        Ok(())
    }

    /// Checks and adds partitions to a topic, up to `count` in all.
    pub(crate) fn grow_topic(
        &mut self,
        name: &str,
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
        validate_only: bool,
        mutations: &mut Mutations,
    ) -> Result<(), Refusal> {
        let Some(topic) = self.topics.get(name) else {
            return Err(ResponseError::UnknownTopicOrPartition.into());
        };
        let (id, have) = (topic.id, topic.partitions.len() as i32);
        let factor = topic.partitions.first().map_or(1, |p| p.replicas.len());
        let invalid = |why: String| Err(Refusal::new(ResponseError::InvalidPartitions, why));
        if count == have {
            return invalid(format!("Topic already has {have} partition(s)."));
        }
        if count < have {
            return invalid(format!(
                "The topic {name} currently has {have} partition(s); {count} would not be an increase."
            ));
        }
        if count > MAX_PARTITIONS {
            return invalid(format!("At most {MAX_PARTITIONS} partitions are possible."));
        }
        let more = count - have;
        self.count_mutations(mutations, more as usize)?;
        let added = match assignments {
            Some(assigned) if assigned.len() != more as usize => {
                return Err(Refusal::new(
                    ResponseError::InvalidReplicaAssignment,
                    format!(
                        "Attempted to add {more} additional partition(s), but only {} assignment(s) were specified.",
                        assigned.len()
                    ),
                ));
            }
            Some(assigned) => {
                for (at, replicas) in assigned.iter().enumerate() {
                    self.check_replicas(replicas, Some(factor))?;
                    self.check_any_active(have + at as i32, replicas)?;
                }
                assigned
            }
            None => self.place(more, factor as i16)?,
        };
        if validate_only {
            return Ok(());
        }
        let standings = self.new_standings(&added);
        let mut records = vec![Record::Partitions { id, added }];
        records.extend(changes_from_new(id, have, &standings));
        self.journal(&records)?;
        self.add_partitions(name, standings)
    }

    /// Replaces what is set for a topic.
    pub(crate) fn set_topic_configs(&mut self, name: &str, configs: Overrides) -> Result<(), Refusal> {
        let Some(topic) = self.topics.get(name) else {
            return Err(Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                format!("The topic '{name}' does not exist."),
            ));
        };
        self.journal(&[Record::TopicConfigs {
            id: topic.id,
            configs: configs.clone(),
        }])?;
        self.install_topic_configs(name, configs);
        Ok(())
    }

    fn install_topic_configs(&mut self, name: &str, configs: Overrides) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.configs = configs;
        }
        self.refresh_topic(name);
    }

    /// Gives a topic's logs and rules the configuration that is now in force.
    fn refresh_topic(&mut self, name: &str) {
        let log_config = self.log_config_of(name);
        if let Some(topic) = self.topics.get_mut(name) {
            for replica in topic.partitions.iter_mut().flat_map(|p| p.logs.values_mut()) {
                replica.log.set_config(log_config.clone());
            }
            // With another `min.insync.replicas`, more or less is committed.
            let (id, partitions) = (topic.id, topic.partitions.iter().enumerate());
            let several = partitions.filter(|(_, partition)| !partition.is_sole());
            self.unsettled
                .extend(several.map(|(index, _)| (id, index as i32)));
        }
        self.flush_within(log_config.flush_ms);
        self.publish_rules(name);
    }

    /// Replaces what was altered for a broker, or for all.
    pub(crate) fn set_broker_configs(
        &mut self,
        broker: Option<i32>,
        configs: Overrides,
    ) -> Result<(), Refusal> {
        self.journal(&[Record::BrokerConfigs {
            broker,
            configs: configs.clone(),
        }])?;
        self.install_broker_configs(broker, configs);
        let names: Vec<Arc<str>> = self.topics.iter().map(|t| t.name.clone()).collect();
        for name in names {
            self.refresh_topic(&name);
        }
        Ok(())
    }

    fn install_broker_configs(&mut self, broker: Option<i32>, configs: Overrides) {
        match broker {
            Some(id) => self.configs.per_broker.insert(id, configs),
            None => Some(std::mem::replace(&mut self.configs.for_all, configs)),
        };
    }

    /// The log configuration that is in force for a topic.
    pub(crate) fn log_config_of(&self, name: &str) -> LogConfig {
        let none = Overrides::new();
        let overrides = self.topics.get(name).map_or(&none, |topic| &topic.configs);
        let broker = self.first_broker();
        let text = |key: &str| self.configs.topic_value(broker, overrides, key);
        let number = |key: &str| text(key).trim().parse::<i64>().unwrap_or_default();
        let policy = text("cleanup.policy");
        // Every number has passed its definition's check, so it fits its field.
        LogConfig {
            segment_bytes: number("segment.bytes") as _,
            segment_ms: number("segment.ms") as _,
            segment_index_bytes: number("segment.index.bytes") as _,
            index_interval_bytes: number("index.interval.bytes") as _,
            retention_ms: number("retention.ms"),
            retention_bytes: number("retention.bytes"),
            cleanup: CleanupPolicy {
                delete: policy.contains("delete"),
                compact: policy.contains("compact"),
            },
            segment_jitter_ms: number("segment.jitter.ms"),
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").trim().parse().unwrap_or(0.5),
            min_compaction_lag_ms: number("min.compaction.lag.ms"),
            max_compaction_lag_ms: number("max.compaction.lag.ms"),
            delete_retention_ms: number("delete.retention.ms"),
            max_message_bytes: number("max.message.bytes") as _,
            timestamp_type: if text("message.timestamp.type") == "LogAppendTime" {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            compression: codec(&text("compression.type")),
            flush_messages: number("flush.messages") as _,
            flush_ms: number("flush.ms"),
            file_delete_delay_ms: number("file.delete.delay.ms"),
            producer_expiration_ms: self.configs.number(broker, "producer.id.expiration.ms"),
            ..LogConfig::default()
        }
    }

    fn publish_rules(&self, name: &str) {
        let Some(topic) = self.topics.get(name) else {
            return;
        };
        let rules = self.log_config_of(name).produce_rules();
        if let Ok(mut shared) = self.outside.rules.write() {
            shared.by_name.insert(topic.name.clone(), rules);
            shared.by_id.insert(topic.id, rules);
        }
    }

    /// Writes to the journal, or refuses what it was for.
    pub(crate) fn journal(&mut self, records: &[Record]) -> Result<(), Refusal> {
        self.journalled += records.len() as i64;
        self.journal_waits = true;
        self.outside.journal.append(records).map_err(|error| {
            tracing::error!(%error, "the metadata journal can't be written");
            Refusal::new(
                ResponseError::KafkaStorageError,
                format!("The metadata could not be written: {error}"),
            )
        })
    }

    /// Applies the journal of an earlier run, then opens the logs.
    ///
    /// # Errors
    /// A log that can't be opened.
    pub(crate) fn restore(&mut self, records: Vec<Record>) -> Result<(), Refusal> {
        self.journalled = records.len() as i64;
        let mut topics: Vec<(String, Uuid, Vec<Standing>, Overrides)> = Vec::new();
        let mut at: HashMap<Uuid, usize> = HashMap::new();
        let new = |partitions: Vec<Vec<i32>>| {
            let all = partitions.into_iter();
            all.map(|replicas| Standing::new(replicas, |_| true))
                .collect::<Vec<_>>()
        };
        for record in records {
            match record {
                Record::Topic {
                    name,
                    id,
                    partitions,
                    configs,
                } => {
                    at.insert(id, topics.len());
                    topics.push((name, id, new(partitions), configs));
                }
                Record::TopicDeleted { id } => {
                    at.remove(&id);
                }
                Record::Partitions { id, added } => {
                    if let Some(at) = at.get(&id) {
                        topics[*at].2.extend(new(added));
                    }
                }
                Record::TopicConfigs { id, configs } => {
                    if let Some(at) = at.get(&id) {
                        topics[*at].3 = configs;
                    }
                }
                Record::BrokerConfigs { broker, configs } => self.install_broker_configs(broker, configs),
                Record::ProducerIds { next } => self.producers.restore(next),
                Record::ClientQuota { entity, values } => self.quotas.restore(entity, &values),
                Record::Scram {
                    user,
                    mechanism,
                    credential,
                } => self.restore_scram(user, mechanism, credential),
                Record::GroupConfigs { group, configs } => {
                    self.configs.set_group(&group, configs);
                }
                Record::ClientMetrics { name, configs } => {
                    self.configs.set_client_metrics(&name, configs);
                }
                Record::PartitionChange {
                    id,
                    partition,
                    standing,
                } => {
                    let partitions = at.get(&id).map(|at| &mut topics[*at].2);
                    if let Some(known) = partitions.and_then(|all| all.get_mut(partition as usize)) {
                        *known = standing;
                    }
                }
            }
        }
        topics.retain(|topic| at.contains_key(&topic.1));
        self.restore_topics(topics)?;
        self.replay_offsets()?;
        self.replay_states()?;
        self.start_cleaner();
        self.start_transaction_timers();
        self.settle_all();
        // The process may have died between the end of a topic and the checkpoints without it.
        self.stale_checkpoints = true;
        Ok(())
    }

    fn restore_topics(
        &mut self,
        topics: Vec<(String, Uuid, Vec<Standing>, Overrides)>,
    ) -> Result<(), Refusal> {
        // Folders are compared with what should be there before any log is opened.
        for (name, id, partitions, configs) in &topics {
            self.topics.insert(Topic {
                name: name.as_str().into(),
                id: *id,
                configs: configs.clone(),
                partitions: partitions.iter().cloned().map(Partition::new).collect(),
            });
        }
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.remove_strays(id);
        }
        for (name, id, partitions, configs) in topics {
            self.install_topic(&name, id, partitions, configs)?;
        }
        self.resume_leaders()
    }

    /// The journal that would give today's state: what a start writes instead of the whole history.
    pub(crate) fn snapshot(&self) -> Vec<Record> {
        let mut records = vec![Record::ProducerIds {
            next: self.producers.journalled(),
        }];
        for topic in self.topics.iter() {
            records.push(Record::Topic {
                name: topic.name.to_string(),
                id: topic.id,
                partitions: topic.partitions.iter().map(|p| p.replicas.clone()).collect(),
                configs: topic.configs.clone(),
            });
            let standings: Vec<Standing> = topic.partitions.iter().map(|p| p.standing.clone()).collect();
            records.extend(changes_from_new(topic.id, 0, &standings));
        }
        for (id, configs) in &self.configs.per_broker {
            records.push(Record::BrokerConfigs {
                broker: Some(*id),
                configs: configs.clone(),
            });
        }
        records.extend(self.quotas.records());
        records.extend(self.scram.records());
        let groups = self.configs.groups.iter();
        records.extend(groups.map(|(group, configs)| Record::GroupConfigs {
            group: group.clone(),
            configs: configs.clone(),
        }));
        let metrics = self.configs.client_metrics.iter();
        records.extend(metrics.map(|(name, configs)| Record::ClientMetrics {
            name: name.clone(),
            configs: configs.clone(),
        }));
        records.push(Record::BrokerConfigs {
            broker: None,
            configs: self.configs.for_all.clone(),
        });
        records
    }

    fn restore_scram(&mut self, user: String, mechanism: i8, credential: Option<(i32, Vec<u8>, Vec<u8>)>) {
        // Only mechanisms that were accepted are in the journal.
        let Some(mechanism) = Mechanism::from_code(mechanism) else {
            return;
        };
        let credential = credential.map(|(iterations, salt, salted_password)| Credential {
            iterations,
            salt,
            salted_password,
        });
        self.scram.apply(user, mechanism, credential);
    }

    pub(super) fn positions(&self, broker: i32) -> Vec<LogPosition> {
        let mut positions = Vec::new();
        for topic in self.topics.iter() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if let Some(replica) = partition.logs.get(&broker) {
                    positions.push(LogPosition {
                        topic: topic.name.clone(),
                        partition: index as i32,
                        recovery_point: replica.log.recovery_point(),
                        high_watermark: replica.high_watermark,
                        log_start: replica.log.start_offset(),
                        cleaned_to: replica.log.cleaned_to(),
                    });
                }
            }
        }
        positions
    }

    /// Notes how far each log is safe.
    pub(crate) fn checkpoint(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let positions = self.positions(id);
            if let Some(storage) = self.outside.storage.get_mut(&id) {
                storage.checkpoint(&positions);
            }
        }
    }

    /// Closes every log, so that the next start has nothing to recover.
    pub(crate) fn close_logs(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            if self.brokers.get(&id).is_some_and(|broker| broker.running) {
                self.close_logs_of(id);
            }
        }
    }

    /// Closes every log of one broker.
    pub(super) fn close_logs_of(&mut self, id: i32) {
        let partitions = self.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        for replica in partitions.filter_map(|partition| partition.logs.get_mut(&id)) {
            if let Err(error) = replica.log.close() {
                tracing::warn!(%error, "a log was not closed cleanly");
            }
        }
        let positions = self.positions(id);
        if let Some(storage) = self.outside.storage.get_mut(&id) {
            storage.checkpoint(&positions);
            storage.close();
        }
    }
}

/// What the journal must say of new partitions, beyond their replicas: those that not all replicas are in sync of.
fn changes_from_new(id: Uuid, first: i32, standings: &[Standing]) -> Vec<Record> {
    let changed = standings.iter().enumerate().filter_map(|(at, standing)| {
        let plain = Standing::new(standing.replicas.clone(), |_| true);
        (*standing != plain).then(|| Record::PartitionChange {
            id,
            partition: first + at as i32,
            standing: standing.clone(),
        })
    });
    changed.collect()
}

/// The configurations of a create request.
fn topic_configs(wanted: &[(String, Option<String>)]) -> Result<Overrides, Refusal> {
    let nulls: Vec<&str> = wanted
        .iter()
        .filter(|(_, v)| v.is_none())
        .map(|(k, _)| k.as_str())
        .collect();
    if !nulls.is_empty() {
        return Err(Refusal::new(
            ResponseError::InvalidConfig,
            format!("Null value not supported for topic configs: {}", nulls.join(",")),
        ));
    }
    let overrides = wanted
        .iter()
        .filter_map(|(k, v)| Some((k.clone(), v.clone()?)))
        .collect();
    configs::check_topic(&overrides)?;
    Ok(overrides)
}

fn codec(name: &str) -> Option<Codec> {
    Some(match name {
        "uncompressed" => Codec::None,
        "gzip" => Codec::Gzip,
        "snappy" => Codec::Snappy,
        "lz4" => Codec::Lz4,
        "zstd" => Codec::Zstd,
        _ => return None,
    })
}

/// A storage error as the protocol says it.
pub(crate) fn storage_refusal(error: &LogError) -> Refusal {
    Refusal::new(error.code(), error.to_string())
}
