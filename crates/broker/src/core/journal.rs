//! The cluster's metadata as a sequence of records: what survives is exactly what was appended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::standing::Standing;

/// One change of the cluster's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A topic came to be.
    Topic {
        name: String,
        id: Uuid,
        /// The replicas of each partition, the preferred leader first.
        partitions: Vec<Vec<i32>>,
        configs: BTreeMap<String, String>,
    },
    /// A topic is gone.
    TopicDeleted { id: Uuid },
    /// A topic got more partitions.
    Partitions { id: Uuid, added: Vec<Vec<i32>> },
    /// A partition has another leader, other replicas or others of them in sync.
    PartitionChange {
        id: Uuid,
        partition: i32,
        #[serde(flatten)]
        standing: Standing,
    },
    /// All that is set for a topic.
    TopicConfigs {
        id: Uuid,
        configs: BTreeMap<String, String>,
    },
    /// All that was altered for one broker, or for all of them.
    BrokerConfigs {
        broker: Option<i32>,
        configs: BTreeMap<String, String>,
    },
    /// All quotas of one entity; none where it has none any more.
    ClientQuota {
        entity: BTreeMap<String, Option<String>>,
        values: BTreeMap<String, String>,
    },
    /// A user's credential for one mechanism: iterations, salt and salted password, or none any more.
    Scram {
        user: String,
        mechanism: i8,
        credential: Option<(i32, Vec<u8>, Vec<u8>)>,
    },
    /// All that is set for a group.
    GroupConfigs {
        group: String,
        configs: BTreeMap<String, String>,
    },
    /// All that is set for a subscription of client metrics.
    ClientMetrics {
        name: String,
        configs: BTreeMap<String, String>,
    },
    /// Producer ids below this one may have been given out.
    ProducerIds { next: i64 },
}
