//! The cluster of `streamlings-broker`, inside the lab's process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use streamlings_broker::{Action, BrokerError, Cluster, Fault, StartError};

use super::super::state::{LabFiles, unwritable};
use super::super::status::{APIS, BrokerStatus, BrokerVerb, Capabilities, FaultAction, FaultRule, Witnessed};
use super::{Backend, PortWish, port_in_use};
use crate::home::Home;
use crate::kafka::Target;
use crate::problem::{Exit, Outcome, Problem};

/// How many ports are tried after the usual one.
const PORTS_TRIED: u16 = 50;

pub(super) struct Embedded {
    target: Target,
    data: PathBuf,
    /// Empty once it was stopped.
    cluster: Mutex<Option<Cluster>>,
}

impl Embedded {
    pub(super) fn start(home: &Home, brokers: u16, port: PortWish) -> Outcome<Self> {
        let data = LabFiles::of(home).embedded();
        let start = |port: u16| {
            Cluster::builder()
                .data_dir(&data)
                .port(port)
                .brokers(brokers.into())
                .start()
        };
        let cluster = match port {
            PortWish::Exactly(port) => start(port),
            PortWish::From(first) => first_free(first, start),
        };
        let cluster = cluster.map_err(|error| not_started(&error))?;
        Ok(Self {
            target: Target::new(cluster.bootstrap()),
            data,
            cluster: Mutex::new(Some(cluster)),
        })
    }

    fn with<T>(&self, ask: impl FnOnce(&Cluster) -> T) -> Option<T> {
        self.cluster
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(ask)
    }
}

/// The first port, from this one on, that nobody has.
fn first_free<T>(first: u16, start: impl Fn(u16) -> Result<T, StartError>) -> Result<T, StartError> {
    let mut port = first;
    loop {
        match start(port) {
            Err(StartError::PortInUse { .. }) if port - first < PORTS_TRIED && port < u16::MAX => port += 1,
            result => return result,
        }
    }
}

fn not_started(error: &StartError) -> Problem {
    let problem = Problem::new(format!("the embedded cluster can't start: {error}")).exit(Exit::NoLab);
    match error {
        StartError::PortInUse { port } => port_in_use(*port),
        StartError::Port { .. } => problem.next("choose another with --port, for example --port 9192"),
        StartError::NotWritable { .. } => {
            problem.next("mend its permissions, or set STREAMLINGS_HOME to another folder")
        }
        StartError::DiskFull { .. } => {
            problem.next("make room, or set STREAMLINGS_HOME to a folder on another disk")
        }
        StartError::Locked { .. } => problem.next("end that process; `streamlings status` names the lab's own"),
        StartError::Incompatible { path, .. } => problem.next(format!(
            "nothing was changed. To keep what is there, rename the folder {0} (`mv {0} {0}.aside`), and `streamlings up` \
             starts with an empty cluster; `streamlings down --delete` removes it. Progress and badges stay either way",
            data_folder(path).display()
        )),
        StartError::Brokers(_) => problem
            .next("one broker or three are usual: `streamlings up --brokers 3`")
            .exit(Exit::Usage),
        StartError::Config(_) | StartError::Threads(_) => problem.next("try again; if it stays, report it"),
    }
}

/// The cluster's folder, of itself or of one of its brokers' folders.
fn data_folder(path: &Path) -> &Path {
    match (path.file_name(), path.parent()) {
        (Some(name), Some(parent)) if name.to_string_lossy().starts_with("broker-") => parent,
        _ => path,
    }
}

impl Backend for Embedded {
    fn target(&self) -> Target {
        self.target.clone()
    }

    fn capabilities(&self) -> Capabilities {
        let several = self.with(|cluster| cluster.brokers().len() > 1).unwrap_or(false);
        Capabilities {
            kill_broker: several,
            start_broker: several,
            advance_clock: true,
            pause_replication: several,
            faults: true,
            witness: true,
            jobs: false,
        }
    }

    fn brokers(&self) -> Vec<BrokerStatus> {
        let brokers = self.with(Cluster::brokers).unwrap_or_default();
        let told = brokers.into_iter().map(|broker| BrokerStatus {
            id: broker.id,
            host: broker.host,
            port: broker.port,
            up: broker.up,
        });
        told.collect()
    }

    fn data(&self) -> Option<PathBuf> {
        Some(self.data.clone())
    }

    fn stop(&self) -> Outcome<()> {
        let running = self.cluster.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(cluster) = running {
            cluster.shutdown();
        }
        Ok(())
    }

    fn broker(&self, id: i32, verb: BrokerVerb) -> Outcome<()> {
        done(self.with(|cluster| match verb {
            BrokerVerb::Stop => cluster.stop_broker(id),
            BrokerVerb::Kill => cluster.kill_broker(id),
            BrokerVerb::Start => cluster.start_broker(id),
            BrokerVerb::PauseReplication => cluster.pause_replication(id),
            BrokerVerb::ResumeReplication => cluster.resume_replication(id),
        }))
    }

    fn faults(&self) -> Outcome<Vec<FaultRule>> {
        let active = self.with(|cluster| cluster.faults().active()).unwrap_or_default();
        Ok(active.iter().map(|(_, fault)| told(fault)).collect())
    }

    fn add_fault(&self, rule: &FaultRule) -> Outcome<()> {
        let mut fault = Fault::new(match rule.action {
            FaultAction::DelayMs(ms) => Action::Delay(Duration::from_millis(ms)),
            FaultAction::Error(code) => Action::Error(code),
            FaultAction::Drop => Action::Drop,
            FaultAction::DropAnswer => Action::DropAnswer,
        });
        fault.api_key = rule.api_key()?;
        fault.broker = rule.broker;
        fault.times = rule.times;
        done(self.with(|cluster| {
            cluster.faults().add(fault);
            Ok(())
        }))
    }

    fn clear_faults(&self) -> Outcome<()> {
        done(self.with(|cluster| {
            cluster.faults().clear();
            Ok(())
        }))
    }

    fn witnessed(&self, topic: &str) -> Outcome<Witnessed> {
        let seen = self.with(|cluster| cluster.witnessed(topic)).unwrap_or_default();
        Ok(seen.into())
    }

    fn advance_clock(&self, by: Duration) -> Outcome<()> {
        done(self.with(|cluster| {
            cluster.advance(by);
            Ok(())
        }))
    }

    fn clock_ahead(&self) -> Duration {
        self.with(Cluster::clock_ahead).unwrap_or_default()
    }
}

/// A fault as the control interface tells it.
fn told(fault: &Fault) -> FaultRule {
    let name = |key: i16| {
        let known = APIS.iter().find(|(_, known)| *known == key);
        known.map_or_else(|| key.to_string(), |(name, _)| (*name).to_string())
    };
    FaultRule {
        api: fault.api_key.map(name),
        broker: fault.broker,
        times: fault.times,
        action: match fault.action {
            Action::Delay(time) => FaultAction::DelayMs(time.as_millis() as u64),
            Action::Error(code) => FaultAction::Error(code),
            Action::Drop => FaultAction::Drop,
            Action::DropAnswer => FaultAction::DropAnswer,
        },
    }
}

fn done(answer: Option<Result<(), BrokerError>>) -> Outcome<()> {
    match answer {
        Some(Ok(())) => Ok(()),
        Some(Err(error @ BrokerError::Unknown(_))) => Err(Problem::new(error.to_string())
            .next("`streamlings status` lists the brokers")
            .exit(Exit::Usage)),
        Some(Err(error)) => Err(Problem::new(error.to_string()).exit(Exit::NoLab)),
        None => Err(Problem::new("the lab is stopping").exit(Exit::NoLab)),
    }
}

/// Removes every record.
pub(super) fn delete(home: &Home) -> Outcome<()> {
    let folder = LabFiles::of(home).embedded();
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unwritable(&folder, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_free_port_is_taken_and_other_errors_end_the_search() {
        let taken = |busy: u16| {
            move |port: u16| {
                if port <= busy {
                    Err(StartError::PortInUse { port })
                } else {
                    Ok(port)
                }
            }
        };
        assert_eq!(first_free(9092, taken(9091)).unwrap(), 9092);
        assert_eq!(first_free(9092, taken(9094)).unwrap(), 9095);
        assert!(first_free(9092, taken(u16::MAX)).is_err());
        assert!(first_free(65_535, taken(u16::MAX)).is_err());
        let tried = std::cell::Cell::new(0);
        let full = |_: u16| -> Result<(), StartError> {
            tried.set(tried.get() + 1);
            Err(StartError::DiskFull { path: "/".into() })
        };
        assert!(first_free(9092, full).is_err());
        assert_eq!(tried.get(), 1);
    }
}
