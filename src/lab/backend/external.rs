//! A cluster that the user named. It is theirs: the lab never stops it and deletes nothing on it.

use std::time::Duration;

use super::super::status::{BackendKind, BrokerStatus, BrokerVerb, Capabilities, FaultRule, Witnessed};
use super::metadata::Metadata;
use super::{Backend, NO_CLOCK, NO_FAULTS, NO_WITNESS, cannot};
use crate::kafka::Target;
use crate::problem::{Exit, Outcome, Problem};

/// How long `up` waits for the first answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long `status` waits before it says that the cluster is away.
const STATUS_LIMIT: Duration = Duration::from_secs(2);

pub(super) struct External {
    target: Target,
    metadata: Metadata,
}

impl External {
    pub(super) fn start(target: Target) -> Outcome<Self> {
        let metadata = Metadata::new(&target).map_err(|error| {
            Problem::new(format!(
                "the client for {} can't be made: {error}",
                target.bootstrap
            ))
            .next("look at the properties that you gave with --config")
        })?;
        metadata
            .wait(CONNECT_LIMIT)
            .map_err(|why| unreachable(&target, &why))?;
        Ok(Self { target, metadata })
    }
}

fn unreachable(target: &Target, why: &str) -> Problem {
    let encrypted = target
        .properties
        .get("security.protocol")
        .is_some_and(|protocol| !protocol.eq_ignore_ascii_case("plaintext"));
    let next = if encrypted {
        "check the address and the security settings of your --config file"
    } else {
        "check the address; a cluster that wants TLS or a password needs --config FILE; \
         `streamlings up --backend embedded` needs no cluster"
    };
    Problem::new(format!("no Kafka answers at {}: {why}", target.bootstrap))
        .next(next)
        .exit(Exit::NoLab)
}

impl Backend for External {
    fn target(&self) -> Target {
        self.target.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn brokers(&self) -> Vec<BrokerStatus> {
        self.metadata.brokers(STATUS_LIMIT)
    }

    fn stop(&self) -> Outcome<()> {
        Ok(())
    }

    fn broker(&self, _id: i32, verb: BrokerVerb) -> Outcome<()> {
        Err(cannot(
            BackendKind::External,
            match verb {
                BrokerVerb::Stop | BrokerVerb::Kill => "stop or kill a broker",
                BrokerVerb::Start => "start a broker",
                BrokerVerb::PauseReplication | BrokerVerb::ResumeReplication => "hold up replication",
            },
        ))
    }

    fn advance_clock(&self, _by: Duration) -> Outcome<()> {
        Err(cannot(BackendKind::External, NO_CLOCK))
    }

    fn faults(&self) -> Outcome<Vec<FaultRule>> {
        Err(cannot(BackendKind::External, NO_FAULTS))
    }

    fn add_fault(&self, _rule: &FaultRule) -> Outcome<()> {
        Err(cannot(BackendKind::External, NO_FAULTS))
    }

    fn clear_faults(&self) -> Outcome<()> {
        Err(cannot(BackendKind::External, NO_FAULTS))
    }

    fn witnessed(&self, _topic: &str) -> Outcome<Witnessed> {
        Err(cannot(BackendKind::External, NO_WITNESS))
    }
}
