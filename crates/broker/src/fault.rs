//! Faults made on purpose: one hook that every request passes.

use std::sync::{Arc, RwLock};
use std::time::Duration;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It waits so long, in wall time, before it is handled.
    Delay(Duration),
    /// Its connection is closed and it is not handled.
    Drop,
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
}

/// The faults in force; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    active: Arc<RwLock<Vec<Fault>>>,
}

impl Faults {
    /// Replaces the faults in force.
    pub(crate) fn set(&self, faults: Vec<Fault>) {
        *self
            .active
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = faults;
    }

    /// What happens to a request; the first fault that is for it counts.
    pub(crate) fn action(&self, broker: i32, api_key: i16) -> Option<Action> {
        let active = self
            .active
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        active
            .iter()
            .find(|fault| {
                fault.broker.is_none_or(|id| id == broker) && fault.api_key.is_none_or(|key| key == api_key)
            })
            .map(|fault| fault.action)
    }
}
