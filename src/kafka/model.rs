//! What administration asks and answers; names are as the caller of [`Admin`](super::Admin) gave or gets them.

use std::collections::BTreeMap;

/// A broker as the cluster's metadata names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its `node.id`.
    pub id: i32,
    /// Its advertised host.
    pub host: String,
    /// Its advertised port.
    pub port: u16,
}

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id as Kafka prints it (base64 without padding); only [`Admin::topic`](super::Admin::topic) and
    /// [`Admin::describe_topics`](super::Admin::describe_topics) ask for it.
    pub id: Option<String>,
    /// One of Kafka's own (`__consumer_offsets`).
    pub internal: bool,
    /// By number.
    pub partitions: Vec<Partition>,
}

/// Where a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 0.
    pub id: i32,
    /// The broker that leads it; `None` while there is none.
    pub leader: Option<i32>,
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The replicas that are in sync.
    pub isr: Vec<i32>,
}

/// A topic to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None`: the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// How many replicas each; `None`: the broker's `default.replication.factor`.
    pub replicas: Option<i32>,
    /// Brokers of each partition, in place of the two numbers; empty: the cluster chooses.
    pub assignment: Vec<Vec<i32>>,
    /// Topic configuration.
    pub config: BTreeMap<String, String>,
}

/// What a configuration belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A topic, by name.
    Topic(String),
    /// A broker, by id.
    Broker(i32),
}

/// Where a configuration's value comes from, strongest first (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic,
    /// Set on this broker while it runs.
    DynamicBroker,
    /// Set for all brokers while they run.
    DynamicDefaultBroker,
    /// From the broker's properties file.
    StaticBroker,
    /// Kafka's default.
    Default,
    /// Set on a group.
    Group,
    /// A source that this client doesn't know.
    Unknown,
}

impl ConfigSource {
    /// The name that Kafka's tools print.
    pub fn name(self) -> &'static str {
        match self {
            Self::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::Group => "DYNAMIC_GROUP_CONFIG",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// One configuration of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Such as `retention.ms`.
    pub name: String,
    /// `None` when it is sensitive or unset.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Its value is never told.
    pub is_sensitive: bool,
    /// It can't be altered while the broker runs.
    pub is_read_only: bool,
    /// All places where it is set, strongest first.
    pub synonyms: Vec<Synonym>,
}

/// One place where a configuration is set, possibly by another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// The name there, such as `log.retention.ms`.
    pub name: String,
    /// The value there.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// A change of one configuration; the others stay (KIP-339).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets name and value.
    Set(String, String),
    /// Back to the default.
    Delete(String),
}

/// The ends of a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Offset of the oldest record that is kept (log start offset).
    pub low: i64,
    /// Offset after the last record that a consumer may see (high watermark).
    pub high: i64,
}

/// The place in a partition that an offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The log start offset.
    Earliest,
    /// The high watermark.
    Latest,
    /// The last stable offset: where a reader with `read_committed` has to stop.
    Stable,
    /// The first record at or after a time, in ms since 1970.
    Timestamp(i64),
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
}

/// A group's name with little else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its name.
    pub name: String,
    /// `Stable`, `Empty`, …
    pub state: GroupState,
    /// `Classic` or `Consumer` (KIP-848).
    pub kind: String,
}

/// The state of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// Members join.
    PreparingRebalance,
    /// Members wait for their partitions.
    CompletingRebalance,
    /// Every member has its partitions.
    Stable,
    /// No member; committed offsets are kept.
    Empty,
    /// Not there.
    Dead,
    /// A state that this client doesn't know.
    Unknown,
}

impl GroupState {
    /// The name that Kafka's tools print.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Empty => "Empty",
            Self::Dead => "Dead",
            Self::Unknown => "Unknown",
        }
    }
}

/// A group, its members and what each has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `Stable`, `Empty`, …
    pub state: GroupState,
    /// `Classic` or `Consumer` (KIP-848).
    pub kind: String,
    /// The assignor in use (`range`, `cooperative-sticky`, …); empty without members.
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: Option<Broker>,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id that the coordinator gave it.
    pub id: String,
    /// Its `client.id`.
    pub client_id: String,
    /// Where it runs, as the coordinator sees it (`/127.0.0.1`).
    pub host: String,
    /// Its `group.instance.id`, when it is a static member.
    pub instance_id: Option<String>,
    /// The topics and partitions that it has.
    pub assignment: Vec<(String, i32)>,
}

/// A topic and a partition of it.
pub type TopicPartition = (String, i32);

/// What became of each partition that a call named.
pub type PerPartition<T> = Vec<(TopicPartition, super::KafkaResult<T>)>;
