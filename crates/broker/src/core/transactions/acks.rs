//! Appends that the cluster itself makes with `acks=all`: what comes after them waits until they are on every replica
//! in sync.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::core::Core;
use crate::core::timers::Timer;
use crate::core::topics::Partition;

/// What is done once an append holds, or has failed.
pub(crate) type Then = Box<dyn FnOnce(&mut Core, Result<(), ResponseError>) + Send>;

/// An append by the partition's leader.
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: i32,
    /// The offset after it.
    pub(crate) end_offset: i64,
}

/// An append that waits.
struct Waiting {
    appended: Appended,
    /// When it has waited long enough.
    until_ms: i64,
    then: Then,
}

/// Appends that wait.
#[derive(Default)]
pub(crate) struct Acks {
    waiting: Vec<Waiting>,
}

impl Core {
    /// Does `then` once the append is on every replica in sync, at once where it is already; or when that has not come
    /// within `request.timeout.ms`, as Kafka's coordinators do it.
    pub(crate) fn when_replicated(
        &mut self,
        appended: Appended,
        then: impl FnOnce(&mut Core, Result<(), ResponseError>) + Send + 'static,
    ) {
        if let Some(result) = self.is_replicated(&appended) {
            return then(self, result);
        }
        let until_ms = self.now_ms + self.configs.number(self.first_broker(), "request.timeout.ms");
        self.timers.set(until_ms, Timer::Acks);
        self.transactions.acks.waiting.push(Waiting {
            appended,
            until_ms,
            then: Box::new(then),
        });
    }

    /// Goes on with what is replicated by now, or never will be. Says whether there was any.
    pub(crate) fn settle_acks(&mut self) -> bool {
        let mut any = false;
        let mut at = 0;
        while at < self.transactions.acks.waiting.len() {
            let waiting = &self.transactions.acks.waiting[at];
            let late = (waiting.until_ms <= self.now_ms).then_some(Err(ResponseError::RequestTimedOut));
            let Some(result) = self.is_replicated(&waiting.appended).or(late) else {
                at += 1;
                continue;
            };
            let waiting = self.transactions.acks.waiting.remove(at);
            (waiting.then)(self, result);
            any = true;
        }
        any
    }

    fn is_replicated(&self, appended: &Appended) -> Option<Result<(), ResponseError>> {
        let partition = self
            .topics
            .get(&appended.topic)
            .filter(|topic| topic.id == appended.topic_id)
            .and_then(|topic| topic.partitions.get(appended.partition as usize));
        let Some(partition) = partition else {
            return Some(Err(ResponseError::UnknownTopicOrPartition));
        };
        let Some(replica) = leader_of(partition) else {
            return Some(Err(ResponseError::NotLeaderOrFollower));
        };
        if partition.leader_epoch != appended.leader_epoch {
            return Some(Err(ResponseError::NotLeaderOrFollower));
        }
        (replica.high_watermark >= appended.end_offset).then_some(Ok(()))
    }
}

/// The leader's copy, where there is a leader.
pub(crate) fn leader_of(partition: &Partition) -> Option<&crate::core::topics::Replica> {
    partition.led_by(partition.leader)
}
