//! Apache Kafka's official image in containers: KRaft, one or three brokers.
//!
//! testcontainers makes the containers, with two of its habits changed: they publish on 127.0.0.1 instead of every
//! interface, and they outlive this process. They carry the home's label, so that the next lab of the same home finds
//! them, and keep their log in named volumes, so that `down` and `up` keep the topics.

mod engine;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use testcontainers::bollard::models::{ContainerSummary, ContainerSummaryStateEnum, HostConfig, PortBinding};
use testcontainers::core::{Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt, ReuseDirective};
use tokio::runtime::Handle;

use super::super::state::home_id;
use super::super::status::{BackendKind, BrokerStatus, BrokerVerb, Capabilities, FaultRule, Witnessed};
use super::metadata::Metadata;
use super::{Backend, NO_CLOCK, NO_FAULTS, NO_WITNESS, PortWish, cannot};
use crate::home::Home;
use crate::kafka::Target;
use crate::problem::{Exit, Outcome, Problem};

use engine::Connected;
pub(in crate::lab) use engine::{Engine, pull};

/// The image that the course is made with.
pub(in crate::lab) const DEFAULT_IMAGE: &str = "apache/kafka:4.3.1";

/// Whose container it is.
const HOME_LABEL: &str = "streamlings.home";
/// What it was made of: one that differs is made anew.
const SHAPE_LABEL: &str = "streamlings.shape";
/// The first broker's port on the host.
const PORT_LABEL: &str = "streamlings.port";

/// From "container started" until the broker answers: a JVM on a busy laptop.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// From "container started again" until that broker answers; a client waits a minute for it.
const RESTART_LIMIT: Duration = Duration::from_secs(45);
const STATUS_LIMIT: Duration = Duration::from_secs(2);
/// How many ports are tried after the usual one.
const PORTS_TRIED: u16 = 50;

/// The brokers of one home.
#[derive(Debug, Clone)]
struct Fleet {
    home: String,
    image: String,
    brokers: u16,
    port: u16,
}

impl Fleet {
    /// Of container, host and volume. The number of brokers is in it: one of three has other data than an only one.
    fn name(&self, id: u16) -> String {
        format!("streamlings-{}-{id}of{}", self.home, self.brokers)
    }

    fn network(&self) -> String {
        format!("streamlings-{}", self.home)
    }

    fn shape(&self) -> String {
        format!("{} {}", self.brokers, self.image)
    }

    fn ids(&self) -> impl Iterator<Item = u16> + use<> {
        1..=self.brokers
    }

    fn host_port(&self, id: u16) -> u16 {
        self.port + id - 1
    }

    /// The broker's host as the other containers know it.
    fn peer(&self, id: u16) -> String {
        if self.brokers == 1 {
            "localhost".into()
        } else {
            self.name(id)
        }
    }

    /// Kafka's settings. The image takes none of its own as soon as one is given, so all are here.
    fn env(&self, id: u16) -> Vec<(&'static str, String)> {
        let voters: Vec<String> = self
            .ids()
            .map(|id| format!("{id}@{}:9093", self.peer(id)))
            .collect();
        let copies = self.brokers.min(3).to_string();
        let in_sync = if self.brokers >= 3 { "2" } else { "1" };
        vec![
            ("KAFKA_NODE_ID", id.to_string()),
            ("KAFKA_PROCESS_ROLES", "broker,controller".into()),
            (
                "KAFKA_LISTENERS",
                "PLAINTEXT://:9092,INTERNAL://:19092,CONTROLLER://:9093".into(),
            ),
            (
                "KAFKA_ADVERTISED_LISTENERS",
                format!(
                    "PLAINTEXT://127.0.0.1:{},INTERNAL://{}:19092",
                    self.host_port(id),
                    self.peer(id)
                ),
            ),
            (
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT".into(),
            ),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "INTERNAL".into()),
            ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER".into()),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", voters.join(",")),
            ("KAFKA_LOG_DIRS", DATA_FOLDER.into()),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", copies.clone()),
            ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", copies.clone()),
            ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", in_sync.into()),
            ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", copies),
            ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", in_sync.into()),
            // A learner who watches a group wants to see it now.
            ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0".into()),
        ]
    }
}

/// A folder of the official image that its user may write to.
const DATA_FOLDER: &str = "/var/lib/kafka/data";

pub(super) struct Docker {
    engine: Connected,
    runtime: Handle,
    fleet: Fleet,
    metadata: Metadata,
}

impl Docker {
    pub(super) fn start(
        home: &Home,
        brokers: u16,
        port: PortWish,
        image: &str,
        runtime: &Handle,
        say: &dyn Fn(&str),
    ) -> Outcome<Self> {
        if ![1, 3].contains(&brokers) {
            return Err(
                Problem::new(format!("a docker lab has 1 broker or 3, not {brokers}"))
                    .next("`streamlings up --backend docker --brokers 3`"),
            );
        }
        let engine = runtime.block_on(Connected::connect()).map_err(|why| {
            Problem::new(format!("Docker can't be used: {why}"))
                .next("start Docker and try again")
                .exit(Exit::NoLab)
        })?;
        let mut fleet = Fleet {
            home: home_id(home),
            image: image.to_owned(),
            brokers,
            port: 0,
        };
        let found = runtime.block_on(engine.containers(HOME_LABEL, &fleet.home))?;
        if let Some(its_port) = usable(&found, &fleet, port) {
            fleet.port = its_port;
            runtime.block_on(start_stopped(&engine, &found, &fleet))?;
        } else {
            runtime.block_on(engine.remove(&found))?;
            fleet.port = free_ports(port, brokers)?;
            say(&format!("starting {image} in Docker …"));
            runtime.block_on(create(&engine, &fleet))?;
        }
        let target = Target::new(bootstrap(&fleet));
        let metadata = Metadata::new(&target)
            .map_err(|error| Problem::new(format!("no client: {error}")).exit(Exit::NoLab))?;
        let docker = Self {
            engine,
            runtime: runtime.clone(),
            fleet,
            metadata,
        };
        docker.wait_until_ready(READY_LIMIT)?;
        Ok(docker)
    }

    /// Waits for an answer from every broker, or for the first container that ends.
    fn wait_until_ready(&self, limit: Duration) -> Outcome<()> {
        let deadline = Instant::now() + limit;
        loop {
            let answer = self.metadata.wait(Duration::from_millis(500));
            if let Ok(brokers) = &answer
                && brokers.iter().filter(|broker| broker.up).count() == usize::from(self.fleet.brokers)
            {
                return Ok(());
            }
            for id in self.fleet.ids() {
                let name = self.fleet.name(id);
                if let Some(code) = self.runtime.block_on(self.engine.exit_code(&name))? {
                    let log = self.runtime.block_on(self.engine.log_tail(&name, 5));
                    self.give_up();
                    return Err(Problem::new(format!(
                        "the container of {} ended with code {code}; it said last:\n{log}",
                        self.fleet.image
                    ))
                    .next("is it an Apache Kafka image? `streamlings up --backend embedded` needs none")
                    .exit(Exit::NoLab));
                }
            }
            if Instant::now() > deadline {
                let why = answer.err().unwrap_or_else(|| "not every broker is there".into());
                self.give_up();
                return Err(Problem::new(format!(
                    "Kafka's container runs, and no broker answers at {} after {} s: {why}",
                    bootstrap(&self.fleet),
                    limit.as_secs()
                ))
                .next("a Docker engine on another machine can't serve this lab; `streamlings up --backend embedded` can")
                .exit(Exit::NoLab));
            }
        }
    }

    /// Leaves nothing running of a start that failed; the volumes stay.
    fn give_up(&self) {
        if let Err(problem) = self.stop() {
            tracing::warn!(%problem, "containers of a failed start stay");
        }
    }

    fn start_broker(&self, id: i32, name: &str) -> Outcome<()> {
        self.runtime.block_on(self.engine.start(name))?;
        // Asked by itself: the others may name it while it can't answer yet.
        let port = self.fleet.host_port(u16::try_from(id).unwrap_or_default());
        let answered = Metadata::new(&Target::new(format!("127.0.0.1:{port}")))
            .map_err(|error| error.to_string())
            .and_then(|broker| broker.wait(RESTART_LIMIT));
        answered.map(drop).map_err(|why| {
            Problem::new(format!("broker {id} was started and doesn't answer yet: {why}"))
                .next("`streamlings status` tells when it does")
                .exit(Exit::NoLab)
        })
    }

    fn known(&self, id: i32) -> Outcome<String> {
        self.fleet
            .ids()
            .find(|known| i32::from(*known) == id)
            .map(|id| self.fleet.name(id))
            .ok_or_else(|| {
                Problem::new(format!("there is no broker {id}")).next("`streamlings status` lists them")
            })
    }
}

impl Backend for Docker {
    fn target(&self) -> Target {
        Target::new(bootstrap(&self.fleet))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kill_broker: self.fleet.brokers > 1,
            start_broker: self.fleet.brokers > 1,
            ..Capabilities::default()
        }
    }

    /// The cluster names a killed broker until its session times out; its container tells sooner.
    fn brokers(&self) -> Vec<BrokerStatus> {
        let mut brokers = self.metadata.brokers(STATUS_LIMIT);
        let found = self
            .runtime
            .block_on(self.engine.containers(HOME_LABEL, &self.fleet.home))
            .unwrap_or_default();
        for broker in &mut brokers {
            let name = u16::try_from(broker.id).map(|id| self.fleet.name(id));
            let runs = found.iter().any(|container| {
                container.state == Some(ContainerSummaryStateEnum::RUNNING)
                    && name.as_ref().is_ok_and(|name| is_named(container, name))
            });
            broker.up = broker.up && runs;
        }
        brokers
    }

    fn stop(&self) -> Outcome<()> {
        let found = self
            .runtime
            .block_on(self.engine.containers(HOME_LABEL, &self.fleet.home))?;
        self.runtime.block_on(async {
            self.engine.stop(&found).await;
            self.engine.remove(&found).await
        })
    }

    fn broker(&self, id: i32, verb: BrokerVerb) -> Outcome<()> {
        let name = self.known(id)?;
        match verb {
            BrokerVerb::Stop => {
                let found = self
                    .runtime
                    .block_on(self.engine.containers(HOME_LABEL, &self.fleet.home))?;
                let its: Vec<ContainerSummary> =
                    found.into_iter().filter(|one| is_named(one, &name)).collect();
                self.runtime.block_on(self.engine.stop(&its));
                Ok(())
            }
            BrokerVerb::Kill => self.runtime.block_on(self.engine.kill(&name)),
            BrokerVerb::Start => self.start_broker(id, &name),
            BrokerVerb::PauseReplication | BrokerVerb::ResumeReplication => Err(cannot(
                BackendKind::Docker,
                "hold up replication: Kafka has no switch for it",
            )),
        }
    }

    fn advance_clock(&self, _by: Duration) -> Outcome<()> {
        Err(cannot(BackendKind::Docker, NO_CLOCK))
    }

    fn faults(&self) -> Outcome<Vec<FaultRule>> {
        Err(cannot(BackendKind::Docker, NO_FAULTS))
    }

    fn add_fault(&self, _rule: &FaultRule) -> Outcome<()> {
        Err(cannot(BackendKind::Docker, NO_FAULTS))
    }

    fn clear_faults(&self) -> Outcome<()> {
        Err(cannot(BackendKind::Docker, NO_FAULTS))
    }

    fn witnessed(&self, _topic: &str) -> Outcome<Witnessed> {
        Err(cannot(BackendKind::Docker, NO_WITNESS))
    }
}

/// Whether the engine calls a container so; it puts a slash before the name.
fn is_named(container: &ContainerSummary, name: &str) -> bool {
    let names = container.names.iter().flatten();
    names
        .map(|known| known.trim_start_matches('/'))
        .any(|known| known == name)
}

fn bootstrap(fleet: &Fleet) -> String {
    let servers: Vec<String> = fleet
        .ids()
        .map(|id| format!("127.0.0.1:{}", fleet.host_port(id)))
        .collect();
    servers.join(",")
}

/// The port of containers that can go on as they are.
fn usable(found: &[ContainerSummary], fleet: &Fleet, wish: PortWish) -> Option<u16> {
    if found.len() != usize::from(fleet.brokers) {
        return None;
    }
    let label = |container: &ContainerSummary, name: &str| container.labels.as_ref()?.get(name).cloned();
    let shape = fleet.shape();
    if !found
        .iter()
        .all(|container| label(container, SHAPE_LABEL).as_ref() == Some(&shape))
    {
        return None;
    }
    let port = label(found.first()?, PORT_LABEL)?.parse().ok()?;
    match wish {
        PortWish::Exactly(wanted) if wanted != port && wanted != 0 => None,
        _ => Some(port),
    }
}

async fn start_stopped(engine: &Connected, found: &[ContainerSummary], fleet: &Fleet) -> Outcome<()> {
    for (id, container) in fleet.ids().zip(found) {
        if container.state != Some(ContainerSummaryStateEnum::RUNNING) {
            tracing::info!(id, "starting a container that was left stopped");
        }
        engine.start(&fleet.name(id)).await?;
    }
    Ok(())
}

async fn create(engine: &Connected, fleet: &Fleet) -> Outcome<()> {
    if fleet.brokers > 1 {
        engine
            .network(&fleet.network(), (HOME_LABEL, &fleet.home))
            .await?;
    }
    for id in fleet.ids() {
        engine.volume(&fleet.name(id), (HOME_LABEL, &fleet.home)).await?;
        create_one(fleet, id).await?;
    }
    Ok(())
}

async fn create_one(fleet: &Fleet, id: u16) -> Outcome<()> {
    let name = fleet.name(id);
    let (repository, tag) = fleet.image.rsplit_once(':').unwrap_or((&fleet.image, "latest"));
    let host_port = fleet.host_port(id);
    let network = (fleet.brokers > 1).then(|| fleet.network());
    let mut request = GenericImage::new(repository, tag)
        // Readiness is an answer to a Kafka client, which Docker can't give.
        .with_wait_for(WaitFor::Nothing)
        .with_container_name(&name)
        .with_hostname(&name)
        .with_mount(Mount::volume_mount(&name, DATA_FOLDER))
        .with_labels([
            (HOME_LABEL, fleet.home.clone()),
            (SHAPE_LABEL, fleet.shape()),
            (PORT_LABEL, fleet.port.to_string()),
        ])
        // Not removed when this process ends, however it ends.
        .with_reuse(ReuseDirective::Always)
        .with_host_config_modifier(move |host| on_loopback(host, host_port, network.as_deref()));
    for (variable, value) in fleet.env(id) {
        request = request.with_env_var(variable, value);
    }
    let started = tokio::time::timeout(Duration::from_secs(60), request.start()).await;
    match started {
        Ok(Ok(_running)) => Ok(()),
        Ok(Err(error)) => Err(not_started(&engine::chain(&error), host_port)),
        Err(_) => Err(not_started("the engine took more than a minute", host_port)),
    }
}

/// Publishes Kafka's port on 127.0.0.1 only, where testcontainers would publish every port on every interface.
fn on_loopback(host: &mut HostConfig, host_port: u16, network: Option<&str>) {
    let binding = PortBinding {
        host_ip: Some("127.0.0.1".into()),
        host_port: Some(host_port.to_string()),
    };
    host.publish_all_ports = Some(false);
    host.port_bindings = Some(HashMap::from([("9092/tcp".into(), Some(vec![binding]))]));
    if let Some(network) = network {
        host.network_mode = Some(network.to_owned());
    }
}

fn not_started(why: &str, port: u16) -> Problem {
    let taken = why.contains("already allocated") || why.contains("already in use");
    let mut what = String::from("Docker can't start Kafka's container: ");
    if taken {
        // Writing to a string can't fail.
        let _ = write!(what, "port {port} on 127.0.0.1 is in use");
        return Problem::new(what)
            .next("end what listens there, or choose another: --port 9192")
            .exit(Exit::NoLab);
    }
    Problem::new(what + why)
        .next("`docker ps` and `docker info` tell more; `streamlings up --backend embedded` needs no Docker")
        .exit(Exit::NoLab)
}

/// Ports in a row on which nobody listens.
fn free_ports(wish: PortWish, count: u16) -> Outcome<u16> {
    let all_free =
        |first: u16| first.checked_add(count - 1).is_some() && super::taken_port(first, count).is_none();
    match wish {
        PortWish::Exactly(0) => {
            let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            let first = any.map_or(super::DEFAULT_PORT, |address| address.port());
            free_ports(PortWish::From(first), count)
        }
        PortWish::Exactly(port) if all_free(port) => Ok(port),
        PortWish::Exactly(port) => Err(super::port_in_use(super::taken_port(port, count).unwrap_or(port))),
        PortWish::From(first) => (first..=first.saturating_add(PORTS_TRIED))
            .find(|port| all_free(*port))
            .ok_or_else(|| super::port_in_use(first)),
    }
}

/// Removes the containers of a home, and with `data` their volumes and network.
pub(super) fn delete(home: &Home, data: bool) -> Outcome<()> {
    let runtime = engine::small_runtime()?;
    runtime.block_on(async {
        let engine = Connected::connect().await.map_err(|why| {
            Problem::new(format!("the lab's containers stay: Docker can't be asked: {why}"))
                .next("start Docker, then run this command again")
                .exit(Exit::NoLab)
        })?;
        let home = home_id(home);
        let found = engine.containers(HOME_LABEL, &home).await?;
        engine.remove(&found).await?;
        if data {
            engine.remove_data(HOME_LABEL, &home).await?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(brokers: u16) -> Fleet {
        Fleet {
            home: "h".into(),
            image: DEFAULT_IMAGE.into(),
            brokers,
            port: 9092,
        }
    }

    #[test]
    fn nothing_is_published_off_loopback() {
        let mut host = HostConfig {
            publish_all_ports: Some(true),
            ..HostConfig::default()
        };
        on_loopback(&mut host, 9092, None);
        assert_eq!(host.publish_all_ports, Some(false));
        let bindings = host.port_bindings.unwrap();
        assert_eq!(bindings.len(), 1);
        for binding in bindings.into_values().flatten().flatten() {
            assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"));
        }
    }

    #[test]
    fn three_brokers_vote_for_each_other_and_each_has_its_port() {
        let fleet = fleet(3);
        assert_eq!(bootstrap(&fleet), "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094");
        let env: HashMap<_, _> = fleet.env(2).into_iter().collect();
        assert_eq!(
            env["KAFKA_CONTROLLER_QUORUM_VOTERS"],
            "1@streamlings-h-1of3:9093,2@streamlings-h-2of3:9093,3@streamlings-h-3of3:9093"
        );
        assert!(env["KAFKA_ADVERTISED_LISTENERS"].starts_with("PLAINTEXT://127.0.0.1:9093,"));
        assert_eq!(env["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"], "3");
    }

    #[test]
    fn containers_go_on_only_in_the_shape_and_at_the_port_that_is_wanted() {
        let container = |shape: &str, port: &str| ContainerSummary {
            labels: Some(HashMap::from([
                (SHAPE_LABEL.to_owned(), shape.to_owned()),
                (PORT_LABEL.to_owned(), port.to_owned()),
            ])),
            ..ContainerSummary::default()
        };
        let one = fleet(1);
        let good = [container(&one.shape(), "9095")];
        assert_eq!(usable(&good, &one, PortWish::From(9092)), Some(9095));
        assert_eq!(usable(&good, &one, PortWish::Exactly(9095)), Some(9095));
        assert_eq!(usable(&good, &one, PortWish::Exactly(9092)), None);
        assert_eq!(
            usable(&[container("1 other:1", "9095")], &one, PortWish::From(9092)),
            None
        );
        assert_eq!(usable(&good, &fleet(3), PortWish::From(9092)), None);
        assert_eq!(usable(&[], &one, PortWish::From(9092)), None);
    }

    #[test]
    fn a_port_that_somebody_has_is_passed_over_and_one_that_is_insisted_on_is_refused() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let problem = free_ports(PortWish::Exactly(port), 1).unwrap_err();
        assert!(problem.what.contains(&port.to_string()), "{problem}");
        assert_ne!(free_ports(PortWish::From(port), 1).unwrap(), port);
        assert!(
            free_ports(PortWish::Exactly(0), 3).unwrap() > 0,
            "0 stands for any free port"
        );
    }
}
