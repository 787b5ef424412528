//! What a partition's leader asks the transaction coordinator before the first append to a transaction: is the
//! partition in it, or, for clients of the second protocol, take it in (KIP-890).

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::state::{Partitions, Producer, TopicPartition, Version};
use crate::core::ports::FirstBatch;
use crate::core::{Core, Refusal};

/// What the version of a request says of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Adds partitions itself, and knows no `TRANSACTION_ABORTABLE`.
    Old,
    /// Adds partitions itself.
    First,
    /// Leaves it to the brokers to add partitions.
    Second,
}

/// A transactional request, as far as the coordinator has to know it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) transactional_id: String,
    pub(crate) producer: Producer,
    pub(crate) client: Client,
    /// Partitions with the first sequence number of their batch.
    pub(crate) partitions: Vec<(Arc<str>, i32, i32)>,
}

/// Partitions that must not be appended to, and why.
pub(crate) type Refused = BTreeMap<TopicPartition, Refusal>;

impl Core {
    /// Asks the coordinator about the partitions that `broker` leads and in which no transaction is open; then goes on
    /// with what it refuses.
    pub(crate) fn ask_coordinator(
        &mut self,
        broker: i32,
        ask: Ask,
        then: impl FnOnce(&mut Core, Refused) + Send + 'static,
    ) {
        let mut refused = Refused::new();
        let mut wanted = Partitions::new();
        for (topic, index, sequence) in &ask.partitions {
            match self.start_verification(broker, &ask, topic, *index, *sequence) {
                Ok(true) => drop(wanted.insert((topic.to_string(), *index))),
                Ok(false) => {}
                Err(error) => drop(refused.insert((topic.to_string(), *index), error.into())),
            }
        }
        if wanted.is_empty() {
            return then(self, refused);
        }
        if ask.client == Client::Second {
            let (id, producer) = (ask.transactional_id.clone(), ask.producer);
            let all = wanted.clone();
            self.add_to_transaction(None, &id, producer, &all, Version::V2, move |core, result| {
                if let Err(error) = result {
                    let refusal = refusal(error, Client::Second);
                    refused.extend(wanted.into_iter().map(|partition| (partition, refusal.clone())));
                }
                then(core, refused);
            });
            return;
        }
        for partition in wanted {
            let known = self.verify_in_transaction(None, &ask.transactional_id, ask.producer, &partition);
            if let Err(error) = known {
                refused.insert(partition, refusal(error, ask.client));
            }
        }
        then(self, refused);
    }

    /// True where the coordinator has to be asked. A partition that isn't led here is refused by the append.
    fn start_verification(
        &mut self,
        broker: i32,
        ask: &Ask,
        topic: &str,
        index: i32,
        sequence: i32,
    ) -> Result<bool, ResponseError> {
        let now_ms = self.now_ms;
        let enabled = self
            .configs
            .broker_value(broker, "transaction.partition.verification.enable");
        let enabled = enabled.as_deref() != Some("false");
        let replica = self
            .topics
            .get_mut(topic)
            .and_then(|topic| topic.partitions.get_mut(usize::try_from(index).ok()?))
            .and_then(|partition| partition.led_by_mut(broker));
        let Some(replica) = replica else {
            return Ok(false);
        };
        let first = FirstBatch {
            producer_id: ask.producer.id,
            epoch: ask.producer.epoch,
            sequence,
            bumps_epoch: ask.client == Client::Second,
        };
        let starts = replica
            .log
            .start_verification(&first, now_ms)
            .map_err(|error| error.code())?;
        Ok(starts && (enabled || ask.client == Client::Second))
    }
}

/// What the coordinator says, in terms that producers know.
fn refusal(error: ResponseError, client: Client) -> Refusal {
    let unsure = |name: &str| {
        let why = "Unable to verify the partition has been added to the transaction. Underlying error";
        Refusal::new(ResponseError::NotEnoughReplicas, format!("{why}: {name}"))
    };
    match error {
        ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch.into(),
        ResponseError::TransactionAbortable if client == Client::Old => Refusal::new(
            ResponseError::InvalidTxnState,
            "Partition was not added to the transaction",
        ),
        ResponseError::CoordinatorLoadInProgress => unsure("COORDINATOR_LOAD_IN_PROGRESS"),
        ResponseError::CoordinatorNotAvailable => unsure("COORDINATOR_NOT_AVAILABLE"),
        ResponseError::NotCoordinator => unsure("NOT_COORDINATOR"),
        ResponseError::ConcurrentTransactions if client != Client::Second => {
            unsure("CONCURRENT_TRANSACTIONS")
        }
        other => other.into(),
    }
}
