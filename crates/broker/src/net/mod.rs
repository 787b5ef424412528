//! Sockets: a task per connection reads and bounds frames, decodes and checks them, asks the core, writes the answer.
//!
//! A connection has one request in flight at a time, as in Kafka: answers leave in the order of the requests,
//! those to a client that sends ahead several in one call.
//! "Incomplete" only ever means "read on"; what can't be a request costs its sender the connection, and nobody else
//! notices.

mod connection;
mod frame;
mod outgoing;
mod owner;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(crate) use connection::Limits;
#[cfg(any(test, fuzzing))]
pub(crate) use connection::{Opened, open_request};
pub(crate) use outgoing::Stretches;
pub(crate) use owner::{Envelope, Gone, Owner, Waiting, run};

use crate::clock::LabClock;
use crate::core::ports::SharedRules;
use crate::fault::Faults;

/// How many events may wait for the core before connections wait with them.
pub(crate) const QUEUE: usize = 1024;

/// What every connection of the cluster shares.
pub(crate) struct Shared {
    pub(crate) owner: Owner,
    pub(crate) next_request: AtomicU64,
    pub(crate) clock: LabClock,
    pub(crate) rules: SharedRules,
    pub(crate) faults: Faults,
    pub(crate) limits: Limits,
    /// One permit per connection that may still be opened.
    pub(crate) connections: Arc<Semaphore>,
}

/// Accepts connections to one broker until it is dropped; with it go the port and every connection.
pub(crate) async fn accept(broker: i32, listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: those who are connected go on.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = shared.connections.clone().try_acquire_owned() else {
            tracing::warn!(%peer, "too many connections: this one is closed");
            continue;
        };
        let shared = shared.clone();
        connections.spawn(async move {
            if let Err(error) = connection::serve(broker, stream, peer, &shared).await {
                tracing::debug!(%peer, %error, "connection closed");
            }
            drop(permit);
        });
    }
}
