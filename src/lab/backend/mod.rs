//! The three places where a cluster can be, behind one trait.

mod docker;
mod embedded;
mod external;
mod metadata;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::status::{BackendKind, BrokerStatus, BrokerVerb, Capabilities, FaultRule, Witnessed};
use crate::home::Home;
use crate::kafka::Target;
use crate::problem::{Outcome, Problem};

pub(super) use docker::{DEFAULT_IMAGE, Engine, pull};

/// The port that Kafka's documentation and every client's examples use.
pub(super) const DEFAULT_PORT: u16 = 9092;

/// A port on loopback: the one that the user insists on, or where to look first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PortWish {
    Exactly(u16),
    From(u16),
}

/// What to start: made by `up`, which can ask the user, and handed to the lab's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Plan {
    Embedded {
        brokers: u16,
        port: PortWish,
    },
    Docker {
        brokers: u16,
        port: PortWish,
        image: String,
    },
    External {
        target: Target,
    },
}

impl Plan {
    pub(super) fn kind(&self) -> BackendKind {
        match self {
            Self::Embedded { .. } => BackendKind::Embedded,
            Self::Docker { .. } => BackendKind::Docker,
            Self::External { .. } => BackendKind::External,
        }
    }

    /// The longest that a start may take: a container's first start waits for the engine and for the JVM.
    pub(super) fn start_limit(&self) -> Duration {
        match self {
            Self::Embedded { .. } | Self::External { .. } => Duration::from_secs(30),
            Self::Docker { .. } => Duration::from_secs(150),
        }
    }
}

/// A cluster that answers. Calls block and end within seconds.
pub(super) trait Backend: Send + Sync {
    /// How clients reach it.
    fn target(&self) -> Target;

    /// What it can do; jobs are the lab's part.
    fn capabilities(&self) -> Capabilities;

    /// Every broker it knows, by id.
    fn brokers(&self) -> Vec<BrokerStatus>;

    /// Where its data is, when that is a folder of this lab.
    fn data(&self) -> Option<PathBuf> {
        None
    }

    /// Ends it in order; its data stays.
    fn stop(&self) -> Outcome<()>;

    /// Stops, kills, starts a broker, or lets it fall behind.
    fn broker(&self, id: i32, verb: BrokerVerb) -> Outcome<()>;

    /// Moves the clock forward.
    fn advance_clock(&self, by: Duration) -> Outcome<()>;

    /// How far the cluster's clock is ahead of the machine's.
    fn clock_ahead(&self) -> Duration {
        Duration::ZERO
    }

    /// The faults in force.
    fn faults(&self) -> Outcome<Vec<FaultRule>>;

    /// Puts a fault in force.
    fn add_fault(&self, rule: &FaultRule) -> Outcome<()>;

    /// Ends all faults.
    fn clear_faults(&self) -> Outcome<()>;

    /// What has happened to a topic's records.
    fn witnessed(&self, topic: &str) -> Outcome<Witnessed>;
}

/// Starts what `plan` says, or finds it running. `say` tells the user what takes long.
pub(super) fn start(
    home: &Home,
    plan: &Plan,
    runtime: &tokio::runtime::Handle,
    say: &dyn Fn(&str),
) -> Outcome<Box<dyn Backend>> {
    Ok(match plan {
        Plan::Embedded { brokers, port } => Box::new(embedded::Embedded::start(home, *brokers, *port)?),
        Plan::Docker { brokers, port, image } => {
            Box::new(docker::Docker::start(home, *brokers, *port, image, runtime, say)?)
        }
        Plan::External { target } => Box::new(external::External::start(target.clone())?),
    })
}

/// Removes every record of the embedded cluster.
pub(super) fn delete_embedded(home: &Home) -> Outcome<()> {
    embedded::delete(home)
}

/// Removes the home's containers; their records stay.
pub(super) fn stop_containers(home: &Home) -> Outcome<()> {
    docker::delete(home, false)
}

/// Removes the home's containers and their records.
pub(super) fn delete_containers(home: &Home) -> Outcome<()> {
    docker::delete(home, true)
}

/// Said of a cluster that is Apache Kafka itself.
const NO_CLOCK: &str = "advance the clock: a real Kafka's time is the machine's";
/// See [`NO_CLOCK`].
const NO_FAULTS: &str = "make faults: that is a hook of the embedded cluster";

/// See [`NO_CLOCK`].
const NO_WITNESS: &str = "tell what has happened to records: a real Kafka keeps no such notes";

/// The problem of asking a backend for what it can't do.
fn cannot(kind: BackendKind, what: &str) -> Problem {
    Problem::new(format!("this lab's {} can't {what}", kind.noun()))
        .next("the embedded lab can: `streamlings down`, then `streamlings up --backend embedded`")
}

/// The first of `count` ports in a row on which somebody listens.
pub(super) fn taken_port(first: u16, count: u16) -> Option<u16> {
    (first..=first.saturating_add(count.saturating_sub(1)))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err())
}

/// The problem of a port that the user insists on and somebody else has.
fn port_in_use(port: u16) -> Problem {
    Problem::new(format!(
        "the lab can't listen on 127.0.0.1:{port}: another program does"
    ))
    .next("choose another with --port, leave --port out to get the next free one, or end that program")
    .exit(crate::problem::Exit::NoLab)
}
