#![doc = include_str!("../README.md")]
//!
//! # How it is made
//! - `core`: the cluster's state and its one owner, a pure state machine: `step(now, event) -> effects`. No clock, no
//!   random source, no socket and no file inside; logs, journal and ids are ports.
//! - `api`: one file per API key with its versions and its handler; one table drives dispatch, `ApiVersions` and the
//!   support table.
//! - `net`: connections read and bound frames, decode, check batches, ask the core (by a bounded queue while it is busy),
//!   read the bytes of a fetch themselves, answer.
//! - [`log`]: a replica's log on disk. `data`: the ports of the core made of it and of the metadata journal.
//! - `clock`, `fault`, `witness`: time that can be advanced, faults that can be made, accidents that are noted.

mod api;
mod clock;
mod cluster;
mod core;
mod data;
mod fault;
#[cfg(test)]
mod histories;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile;
pub mod log;
mod net;
mod witness;

pub use api::support_table;
pub use cluster::{BrokerError, BrokerInfo, Builder, Cluster, MAX_BROKERS, StartError};
pub use fault::{Action, Fault, FaultId, Faults};
pub use witness::Witnessed;
