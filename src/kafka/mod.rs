//! The Kafka client: how to reach the cluster, names with a prefix, administration.

mod admin;
mod error;
mod model;
mod scan;
mod sys;
mod target;
mod wire;

pub use admin::Admin;
pub use error::{KafkaError, KafkaResult, error_code};
pub use model::{
    At, Broker, ConfigChange, ConfigEntry, ConfigSource, Group, GroupListing, GroupState, Member, NewTopic,
    Partition, PerPartition, Resource, Synonym, Topic, TopicPartition, Watermarks,
};
pub use scan::{Record, Scanned, Scanner};
pub use target::{Target, is_secret};
pub use wire::{
    ActiveProducer, LogDir, Marker, Reassignment, ReplicaLog, TransactionDescription, TransactionFilter,
    TransactionListing, Wire,
};
