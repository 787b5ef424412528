//! The requests themselves, one method each.

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, BrokerId, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeTransactionsRequest, FindCoordinatorRequest, InitProducerIdRequest,
    ListPartitionReassignmentsRequest, ListTransactionsRequest, ProducerId, TransactionalId,
    WriteTxnMarkersRequest,
};
use rdkafka::error::RDKafkaErrorCode;

use super::{Wire, check, text};
use crate::kafka::{KafkaError, KafkaResult, PerPartition, TopicPartition};

/// The transaction timeout that a fenced id is left with: what Java's admin client asks for, its request timeout.
const FENCE_TIMEOUT_MS: i32 = 30_000;
/// `FindCoordinator`'s number for transactional ids.
const TRANSACTION: i8 = 1;

/// Which transactional ids are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// Those whose transaction runs longer than this.
    pub longer_than_ms: Option<i64>,
    /// Those whose whole name fits this regular expression (RE2's dialect).
    pub pattern: Option<String>,
    /// Those of these producer ids; empty: of any.
    pub producers: Vec<i64>,
}

/// A transactional id as its coordinator lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionListing {
    /// The `transactional.id`.
    pub id: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// The producer id that it has now.
    pub producer_id: i64,
    /// `Ongoing`, `Empty`, `CompleteCommit`, …
    pub state: String,
}

/// What its coordinator knows of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// `Ongoing`, `Empty`, `CompleteCommit`, …
    pub state: String,
    /// `transaction.timeout.ms`.
    pub timeout_ms: i32,
    /// When the open transaction began, in ms since 1970.
    pub start_ms: Option<i64>,
    /// The producer id that it has now.
    pub producer_id: i64,
    /// The epoch that it has now.
    pub epoch: i16,
    /// The partitions of the open transaction.
    pub partitions: Vec<TopicPartition>,
}

/// A producer that a partition remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its producer id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i32,
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// The timestamp of its last record, in ms since 1970.
    pub last_timestamp_ms: i64,
    /// The epoch of the coordinator that wrote its last marker; `None`: none was written.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins.
    pub txn_start_offset: Option<i64>,
}

/// A marker that ends a transaction in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The partition.
    pub place: TopicPartition,
    /// The producer whose transaction it is.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The epoch of the coordinator in whose name it is written.
    pub coordinator_epoch: i32,
}

/// A partition that is being moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignment {
    /// All replicas, those that are added and removed included.
    pub replicas: Vec<i32>,
    /// Those that are added.
    pub adding: Vec<i32>,
    /// Those that are removed.
    pub removing: Vec<i32>,
}

/// A folder of logs of one broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDir {
    /// Its path on the broker.
    pub path: String,
    /// Why it can't be used.
    pub error: Option<KafkaError>,
    /// What is in it.
    pub replicas: Vec<(TopicPartition, ReplicaLog)>,
}

/// A replica's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaLog {
    /// Its segments together.
    pub size_bytes: i64,
    /// How many records it is behind the high watermark, or, as a future log, the current one.
    pub offset_lag: i64,
    /// It will take the place of the log in another folder.
    pub is_future: bool,
}

impl Wire {
    /// The transactional ids of every coordinator that the filter leaves.
    pub fn list_transactions(&mut self, filter: &TransactionFilter) -> KafkaResult<Vec<TransactionListing>> {
        let pattern = filter.pattern.as_ref().map(|pattern| {
            if self.target.prefix.is_empty() {
                text(pattern)
            } else {
                text(&format!("{}(?:{pattern})", regex::escape(&self.target.prefix)))
            }
        });
        let request = ListTransactionsRequest::default()
            .with_duration_filter(filter.longer_than_ms.unwrap_or(-1).max(-1))
            .with_transactional_id_pattern(pattern)
            .with_producer_id_filters(filter.producers.iter().map(|id| ProducerId(*id)).collect());
        let mut all = Vec::new();
        for broker in self.brokers() {
            let answer = self.patiently(|wire| {
                let answer = wire.ask(broker, &request)?;
                check(answer.error_code, None).map_err(|error| KafkaError {
                    message: format!(
                        "ListTransactions request sent to broker {broker} failed with an unexpected exception"
                    ),
                    ..error
                })?;
                Ok(answer)
            })?;
            for listed in answer.transaction_states {
                let Some(id) = self.target.shown(listed.transactional_id.as_str()) else {
                    continue;
                };
                all.push(TransactionListing {
                    id: id.to_owned(),
                    coordinator: broker,
                    producer_id: listed.producer_id.0,
                    state: listed.transaction_state.to_string(),
                });
            }
        }
        Ok(all)
    }

    fn coordinator(&mut self, id: &str) -> KafkaResult<i32> {
        let broker = self.any_broker()?;
        let key = text(&self.target.real(id));
        let request = FindCoordinatorRequest::default()
            .with_key_type(TRANSACTION)
            .with_coordinator_keys(vec![key]);
        let answer = self.ask(broker, &request)?;
        check(answer.error_code, answer.error_message.as_ref())?;
        let Some(found) = answer.coordinators.first() else {
            return Err(KafkaError::of(RDKafkaErrorCode::BadMessage));
        };
        check(found.error_code, found.error_message.as_ref())?;
        Ok(found.node_id.0)
    }

    /// What its coordinator knows of a transactional id.
    pub fn describe_transaction(&mut self, id: &str) -> KafkaResult<TransactionDescription> {
        let key = TransactionalId(text(&self.target.real(id)));
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![key]);
        self.patiently(|wire| {
            let coordinator = wire.coordinator(id)?;
            let answer = wire.ask(coordinator, &request)?;
            let Some(found) = answer.transaction_states.into_iter().next() else {
                return Err(KafkaError::of(RDKafkaErrorCode::BadMessage));
            };
            check(found.error_code, None)?;
            let mut partitions: Vec<TopicPartition> = Vec::new();
            for topic in &found.topics {
                if let Some(name) = wire.shown_topic(&topic.topic) {
                    partitions.extend(topic.partitions.iter().map(|id| (name.clone(), *id)));
                }
            }
            Ok(TransactionDescription {
                coordinator,
                state: found.transaction_state.to_string(),
                timeout_ms: found.transaction_timeout_ms,
                start_ms: Some(found.transaction_start_time_ms).filter(|at| *at >= 0),
                producer_id: found.producer_id.0,
                epoch: found.producer_epoch,
                partitions,
            })
        })
    }

    /// Takes a transactional id over with a new epoch: its producer is fenced, its open transaction is aborted.
    pub fn fence(&mut self, id: &str) -> KafkaResult<()> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(&self.target.real(id)))))
            .with_transaction_timeout_ms(FENCE_TIMEOUT_MS)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        self.patiently(|wire| {
            let coordinator = wire.coordinator(id)?;
            check(wire.ask(coordinator, &request)?.error_code, None)
        })
    }

    /// The producers that a partition's leader, or the replica on `broker`, remembers.
    pub fn describe_producers(
        &mut self,
        (topic, partition): &TopicPartition,
        broker: Option<i32>,
    ) -> KafkaResult<Vec<ActiveProducer>> {
        let wanted = TopicRequest::default()
            .with_name(self.topic(topic))
            .with_partition_indexes(vec![*partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![wanted]);
        self.patiently(|wire| {
            let broker = match broker {
                Some(broker) => broker,
                None => wire.leader(topic, *partition)?,
            };
            let answer = wire.ask(broker, &request)?;
            let found = answer
                .topics
                .into_iter()
                .flat_map(|topic| topic.partitions)
                .next();
            let Some(found) = found else {
                return Err(KafkaError::of(RDKafkaErrorCode::BadMessage));
            };
            check(found.error_code, found.error_message.as_ref())?;
            let producers = found.active_producers.into_iter();
            Ok(producers
                .map(|producer| ActiveProducer {
                    id: producer.producer_id.0,
                    epoch: producer.producer_epoch,
                    last_sequence: producer.last_sequence,
                    last_timestamp_ms: producer.last_timestamp,
                    coordinator_epoch: Some(producer.coordinator_epoch).filter(|epoch| *epoch >= 0),
                    txn_start_offset: Some(producer.current_txn_start_offset).filter(|offset| *offset >= 0),
                })
                .collect())
        })
    }

    /// Writes an abort marker into one partition, past the coordinator: for a transaction that hangs.
    pub fn abort_transaction(&mut self, marker: &Marker) -> KafkaResult<()> {
        let (topic, partition) = &marker.place;
        let place = WritableTxnMarkerTopic::default()
            .with_name(self.topic(topic))
            .with_partition_indexes(vec![*partition]);
        let written = WritableTxnMarker::default()
            .with_producer_id(ProducerId(marker.producer_id))
            .with_producer_epoch(marker.producer_epoch)
            .with_coordinator_epoch(marker.coordinator_epoch)
            .with_transaction_result(false)
            .with_topics(vec![place]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![written]);
        self.patiently(|wire| {
            let leader = wire.leader(topic, *partition)?;
            let answer = wire.ask(leader, &request)?;
            let results = answer.markers.iter().flat_map(|marker| &marker.topics);
            for result in results.flat_map(|topic| &topic.partitions) {
                check(result.error_code, None)?;
            }
            Ok(())
        })
    }

    /// The partitions that are being moved now.
    pub fn reassignments(&mut self) -> KafkaResult<BTreeMap<TopicPartition, Reassignment>> {
        let timeout_ms = self.timeout_ms();
        let request = ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(timeout_ms)
            .with_topics(None);
        let answer = self.ask_controller(&request)?;
        check(answer.error_code, answer.error_message.as_ref())?;
        let ids = |brokers: Vec<BrokerId>| brokers.into_iter().map(|id| id.0).collect();
        let mut moving = BTreeMap::new();
        for topic in answer.topics {
            let Some(name) = self.shown_topic(&topic.name) else {
                continue;
            };
            for partition in topic.partitions {
                let move_ = Reassignment {
                    replicas: ids(partition.replicas),
                    adding: ids(partition.adding_replicas),
                    removing: ids(partition.removing_replicas),
                };
                moving.insert((name.clone(), partition.partition_index), move_);
            }
        }
        Ok(moving)
    }

    /// Moves partitions to these brokers; `None` calls a move off. Unless `any_factor`, as many as there are now.
    pub fn reassign(
        &mut self,
        plan: &[(TopicPartition, Option<Vec<i32>>)],
        any_factor: bool,
    ) -> KafkaResult<PerPartition<()>> {
        let mut topics: Vec<ReassignableTopic> = Vec::new();
        for ((topic, partition), replicas) in plan {
            let replicas = replicas
                .as_ref()
                .map(|brokers| brokers.iter().map(|id| BrokerId(*id)).collect());
            let entry = ReassignablePartition::default()
                .with_partition_index(*partition)
                .with_replicas(replicas);
            let name = self.topic(topic);
            match topics.iter_mut().find(|known| known.name == name) {
                Some(known) => known.partitions.push(entry),
                None => topics.push(
                    ReassignableTopic::default()
                        .with_name(name)
                        .with_partitions(vec![entry]),
                ),
            }
        }
        let timeout_ms = self.timeout_ms();
        let request = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(timeout_ms)
            .with_allow_replication_factor_change(any_factor)
            .with_topics(topics);
        let answer = self.ask_controller(&request)?;
        check(answer.error_code, answer.error_message.as_ref())?;
        let mut results = PerPartition::new();
        for topic in answer.responses {
            let name = self.shown_topic(&topic.name).unwrap_or_default();
            for partition in topic.partitions {
                let place = (name.clone(), partition.partition_index);
                let outcome = check(partition.error_code, partition.error_message.as_ref());
                results.push((place, outcome));
            }
        }
        results.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(results)
    }

    /// The log folders of one broker, with the replicas of this lab in them.
    pub fn log_dirs(&mut self, broker: i32) -> KafkaResult<Vec<LogDir>> {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let answer = self.ask(broker, &request)?;
        check(answer.error_code, None)?;
        let mut dirs = Vec::new();
        for found in answer.results {
            let mut replicas = Vec::new();
            for topic in found.topics {
                let Some(name) = self.shown_topic(&topic.name) else {
                    continue;
                };
                for partition in topic.partitions {
                    let log = ReplicaLog {
                        size_bytes: partition.partition_size,
                        offset_lag: partition.offset_lag,
                        is_future: partition.is_future_key,
                    };
                    replicas.push(((name.clone(), partition.partition_index), log));
                }
            }
            dirs.push(LogDir {
                path: found.log_dir.to_string(),
                error: check(found.error_code, None).err(),
                replicas,
            });
        }
        Ok(dirs)
    }

    /// Moves a replica into another log folder of its broker.
    pub fn move_log(
        &mut self,
        broker: i32,
        (topic, partition): &TopicPartition,
        dir: &str,
    ) -> KafkaResult<()> {
        let place = AlterReplicaLogDirTopic::default()
            .with_name(self.topic(topic))
            .with_partitions(vec![*partition]);
        let wanted = AlterReplicaLogDir::default()
            .with_path(text(dir))
            .with_topics(vec![place]);
        let answer = self.ask(
            broker,
            &AlterReplicaLogDirsRequest::default().with_dirs(vec![wanted]),
        )?;
        for result in answer.results.iter().flat_map(|topic| &topic.partitions) {
            check(result.error_code, None)?;
        }
        Ok(())
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }
}
