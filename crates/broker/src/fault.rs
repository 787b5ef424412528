//! Faults made on purpose: one hook that every request passes.
//!
//! ```
//! use std::time::Duration;
//! use streamlings_broker::{Action, Cluster, Fault};
//!
//! let cluster = Cluster::builder().start()?;
//! let faults = cluster.faults();
//! // The next two produces are answered NOT_LEADER_OR_FOLLOWER (6), and every fetch of broker 1 is slow.
//! let wrong_leader = faults.add(Fault::new(Action::Error(6)).api_key(0).times(2));
//! faults.add(Fault::new(Action::Delay(Duration::from_millis(200))).api_key(1).broker(1));
//! assert_eq!(faults.active().len(), 2);
//! faults.remove(wrong_leader);
//! faults.clear();
//! # Ok::<(), streamlings_broker::StartError>(())
//! ```

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It waits so long, in wall time, before it is handled.
    Delay(Duration),
    /// It is not handled; everything that it asked for is answered with this error code of the Kafka protocol. For which
    /// keys: see [`Faults`].
    Error(i16),
    /// It is not handled, and its connection is closed.
    Drop,
    /// It is handled, and its connection is closed before the answer is sent: the client can't know whether it was.
    DropAnswer,
}

/// Which requests a fault is for, and what happens to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The broker that is asked; `None` for every broker.
    pub broker: Option<i32>,
    /// The API key, as in the Kafka protocol (0 is `Produce`); `None` for every key.
    pub api_key: Option<i16>,
    /// What happens.
    pub action: Action,
    /// How many requests it still happens to; `None` for all, until the fault is removed.
    pub times: Option<u32>,
}

impl Fault {
    /// This action for every request to every broker.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            broker: None,
            api_key: None,
            action,
            times: None,
        }
    }

    /// Only for requests of this API key.
    #[must_use]
    pub fn api_key(self, key: i16) -> Self {
        Self {
            api_key: Some(key),
            ..self
        }
    }

    /// Only for requests to this broker.
    #[must_use]
    pub fn broker(self, id: i32) -> Self {
        Self {
            broker: Some(id),
            ..self
        }
    }

    /// Only for this many requests.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self {
            times: Some(count),
            ..self
        }
    }

    fn is_for(&self, broker: i32, api_key: i16) -> bool {
        self.broker.is_none_or(|id| id == broker)
            && self.api_key.is_none_or(|key| key == api_key)
            && self.times != Some(0)
    }
}

/// Names one fault, to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

/// The faults in force; clones share them. The first one that is for a request counts, and only that one.
///
/// [`Action::Error`] puts its code at the top of the response or, where that has no place for it, with each topic,
/// partition or group that was asked for. It is for the keys that producers, consumers and those who make topics use:
/// Produce, Fetch, ListOffsets, Metadata, OffsetCommit, OffsetFetch, FindCoordinator, JoinGroup, Heartbeat, LeaveGroup,
/// SyncGroup, ConsumerGroupHeartbeat, ShareGroupHeartbeat, ShareFetch, ShareAcknowledge, InitProducerId,
/// AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit, CreateTopics, DeleteTopics. On any other key it acts as
/// [`Action::Drop`].
#[derive(Debug, Clone, Default)]
pub struct Faults {
    shared: Arc<RwLock<Active>>,
}

#[derive(Debug, Default)]
struct Active {
    faults: Vec<(FaultId, Fault)>,
    next_id: u64,
}

impl Faults {
    /// Puts a fault in force, after those that are.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut active = self.write();
        let id = FaultId(active.next_id);
        active.next_id += 1;
        active.faults.push((id, fault));
        id
    }

    /// Ends a fault; says whether it was still in force.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut active = self.write();
        let before = active.faults.len();
        active.faults.retain(|(known, _)| *known != id);
        active.faults.len() < before
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.write().faults.clear();
    }

    /// The faults in force, those used up left out.
    pub fn active(&self) -> Vec<(FaultId, Fault)> {
        self.read().faults.clone()
    }

    /// Replaces the faults in force.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        self.clear();
        for fault in faults {
            self.add(fault);
        }
    }

    /// What happens to a request; counts it.
    pub(crate) fn action(&self, broker: i32, api_key: i16) -> Option<Action> {
        // Nearly always there is none, and then nobody waits for a lock.
        if self.read().faults.is_empty() {
            return None;
        }
        let mut active = self.write();
        let at = active
            .faults
            .iter()
            .position(|(_, fault)| fault.is_for(broker, api_key))?;
        let fault = &mut active.faults[at].1;
        let action = fault.action;
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                active.faults.remove(at);
            }
        }
        Some(action)
    }

    fn read(&self) -> RwLockReadGuard<'_, Active> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Active> {
        self.shared.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_for_a_request_counts_until_it_is_used_up() {
        let faults = Faults::default();
        assert_eq!(faults.action(1, 0), None);
        faults.add(Fault::new(Action::Drop).api_key(0).broker(2).times(2));
        let slow = faults.add(Fault::new(Action::Error(6)).api_key(0));
        assert_eq!(faults.action(1, 0), Some(Action::Error(6)));
        assert_eq!(faults.action(2, 0), Some(Action::Drop));
        assert_eq!(faults.action(2, 0), Some(Action::Drop));
        assert_eq!(faults.action(2, 0), Some(Action::Error(6)));
        assert_eq!(faults.action(2, 1), None);
        assert!(faults.remove(slow));
        assert!(!faults.remove(slow));
        assert_eq!(faults.action(2, 0), None);
        assert_eq!(faults.active(), []);
    }
}
