//! Produce requests with acks=all that wait for the followers.

use std::collections::HashMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ProduceResponse;

use super::Caller;
use super::replication::Key;
use super::timers::Timer;
use crate::api::Response;

/// A batch that is appended and not yet on all replicas in sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) key: Key,
    /// The high watermark that it waits for.
    pub(crate) offset: i64,
    /// Its place in the response: topic and partition.
    pub(crate) place: (usize, usize),
}

struct Parked {
    caller: Caller,
    response: ProduceResponse,
    pending: Vec<Pending>,
}

/// What became of a batch.
enum Fate {
    /// That is not decided yet.
    Open,
    /// It is on every replica in sync.
    Committed,
    /// It is not, or not on enough of them.
    Failed(ResponseError),
}

/// Produce requests that wait.
#[derive(Default)]
pub(crate) struct ParkedProduces {
    parked: HashMap<u64, Parked>,
    by_partition: HashMap<Key, Vec<u64>>,
}

impl ParkedProduces {
    /// Takes out what waits for an answer of this broker.
    pub(super) fn drop_broker(&mut self, broker: i32) -> Vec<u64> {
        let of_it = self.parked.iter().filter(|(_, p)| p.caller.broker == broker);
        let requests: Vec<u64> = of_it.map(|(request, _)| *request).collect();
        for request in &requests {
            self.take(*request);
        }
        requests
    }

    fn take(&mut self, request: u64) -> Option<Parked> {
        let parked = self.parked.remove(&request)?;
        for pending in &parked.pending {
            if let Some(waiting) = self.by_partition.get_mut(&pending.key) {
                waiting.retain(|id| *id != request);
                if waiting.is_empty() {
                    self.by_partition.remove(&pending.key);
                }
            }
        }
        Some(parked)
    }
}

impl super::Core {
    /// Answers a produce when all it waits for is committed or can't be any more: now, or within `timeout_ms`.
    pub(crate) fn await_replicas(
        &mut self,
        caller: &Caller,
        response: ProduceResponse,
        pending: Vec<Pending>,
        timeout_ms: i64,
    ) -> Option<ProduceResponse> {
        let mut parked = Parked {
            caller: caller.clone(),
            response,
            pending,
        };
        self.look_at(&mut parked);
        if parked.pending.is_empty() {
            return Some(parked.response);
        }
        let request = caller.request;
        for pending in &parked.pending {
            let waiting = self.produces.by_partition.entry(pending.key).or_default();
            waiting.push(request);
        }
        self.produces.parked.insert(request, parked);
        self.timers
            .set(self.now_ms + timeout_ms.max(0), Timer::Produce(request));
        None
    }

    /// Takes out of a waiting produce what is decided.
    fn look_at(&self, parked: &mut Parked) {
        let Parked {
            caller,
            response,
            pending,
        } = parked;
        pending.retain(|wait| match self.fate(caller.broker, wait) {
            Fate::Open => true,
            Fate::Committed => false,
            Fate::Failed(error) => {
                fail(response, wait.place, error);
                false
            }
        });
    }

    /// What became of a batch.
    fn fate(&self, broker: i32, wait: &Pending) -> Fate {
        let Some(partition) = self.topics.partition(wait.key.0, wait.key.1) else {
            return Fate::Failed(ResponseError::UnknownTopicOrPartition);
        };
        let Some(replica) = partition.led_by(broker) else {
            return Fate::Failed(ResponseError::NotLeaderOrFollower);
        };
        if replica.high_watermark < wait.offset {
            return Fate::Open;
        }
        let name = self.topics.name_of(wait.key.0);
        let min_in_sync = name.map_or(1, |name| self.min_in_sync(name));
        if partition.isr.len() < min_in_sync {
            Fate::Failed(ResponseError::NotEnoughReplicasAfterAppend)
        } else {
            Fate::Committed
        }
    }

    /// Something changed in a partition: answers those who waited for it.
    pub(crate) fn wake_produces(&mut self, key: Key) {
        let Some(waiting) = self.produces.by_partition.get(&key) else {
            return;
        };
        for request in waiting.clone() {
            let Some(mut parked) = self.produces.take(request) else {
                continue;
            };
            self.look_at(&mut parked);
            if parked.pending.is_empty() {
                self.reply(request, Response::message(parked.response));
                continue;
            }
            for pending in &parked.pending {
                let waiting = self.produces.by_partition.entry(pending.key).or_default();
                waiting.push(request);
            }
            self.produces.parked.insert(request, parked);
        }
    }

    /// A topic is gone: answers all who wait for it.
    pub(crate) fn wake_produces_of(&mut self, topic_id: uuid::Uuid) {
        let keys = self.produces.by_partition.keys();
        let keys: Vec<Key> = keys.copied().filter(|key| key.0 == topic_id).collect();
        for key in keys {
            self.wake_produces(key);
        }
    }

    /// A produce has waited long enough.
    pub(super) fn finish_produce(&mut self, request: u64) {
        if let Some(mut parked) = self.produces.take(request) {
            for pending in &parked.pending {
                fail(
                    &mut parked.response,
                    pending.place,
                    ResponseError::RequestTimedOut,
                );
            }
            self.reply(request, Response::message(parked.response));
        }
    }
}

fn fail(response: &mut ProduceResponse, place: (usize, usize), error: ResponseError) {
    let topic = response.responses.get_mut(place.0);
    if let Some(part) = topic.and_then(|topic| topic.partition_responses.get_mut(place.1)) {
        // As Kafka, it says all the same where the batch is.
        part.error_code = error.code();
    }
}
