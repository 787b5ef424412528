//! Starting and stopping a cluster.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use crate::clock::LabClock;
use crate::core::brokers::Command;
use crate::core::configs::{self, Configs, Overrides};
use crate::core::journal::Record;
use crate::core::ports::{RandomIds, SharedRules, Storage, TopicRules};
use crate::core::{Core, Event, Node, Outside};
use crate::data::{DiskStorage, FileJournal, JournalError};
use crate::fault::{Fault, Faults};
use crate::log::{LogDir, LogDirOptions, LogError, MetaProperties};
use crate::net::{self, Envelope, Gone, Limits, Owner, QUEUE, Shared, Waiting};
use crate::witness::{Witness, Witnessed};

/// How many connections the cluster holds at a time.
const MAX_CONNECTIONS: usize = 10_000;
/// How many brokers a cluster has at most.
pub const MAX_BROKERS: u32 = 100;

/// Why a cluster does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program listens on the port.
    #[error("port {port} on 127.0.0.1 is in use by another program")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The port can't be listened on, for instance because it is a privileged one.
    #[error("port {port} on 127.0.0.1 can't be opened: {source}")]
    Port {
        /// The port.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The data folder can't be made or written to.
    #[error("the data folder {} can't be written to: {reason}", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Another process has the data folder.
    #[error("the data folder {} is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The data folder's disk is full.
    #[error("the disk of the data folder {} is full", path.display())]
    DiskFull {
        /// The folder.
        path: PathBuf,
    },
    /// The data folder holds what this version can't read.
    #[error("the data folder {} can't be read: {reason}", path.display())]
    Incompatible {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration that Kafka would refuse.
    #[error("{0}")]
    Config(String),
    /// A cluster has at least one broker, and at most [`MAX_BROKERS`].
    #[error("a cluster has 1 to {MAX_BROKERS} brokers, not {0}")]
    Brokers(u32),
    /// Threads could not be started.
    #[error("the cluster's threads could not be started: {0}")]
    Threads(io::Error),
}

/// Why something was not done with a broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The cluster has no such broker.
    #[error("there is no broker {0}")]
    Unknown(i32),
    /// Another program has taken the broker's port, or it can't be opened.
    #[error("port {port} of broker {id} can't be opened: {source}")]
    Port {
        /// The broker.
        id: i32,
        /// Its port.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The cluster's metadata or the broker's folder can't be read or written.
    #[error("broker {id}: {reason}")]
    Storage {
        /// The broker.
        id: i32,
        /// What went wrong.
        reason: String,
    },
    /// The cluster is stopping.
    #[error("the cluster is stopping")]
    Stopping,
}

/// A broker as the cluster's owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInfo {
    /// The node id, from 1.
    pub id: i32,
    /// Always the loopback address.
    pub host: String,
    /// The port that clients connect to.
    pub port: u16,
    /// Does it answer.
    pub up: bool,
}

/// How a cluster is to be; see [`Cluster::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    data_dir: Option<PathBuf>,
    port: u16,
    brokers: u32,
    configs: Overrides,
}

impl Builder {
    /// Keeps topics, records and offsets in this folder, made where it does not exist. Without it, they are in a
    /// temporary folder that goes with the cluster.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// The first broker's port on 127.0.0.1, the next ones follow; 0, the default, takes any that is free.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// How many brokers: 1, the default, to [`MAX_BROKERS`]. Their ids count from 1.
    #[must_use]
    pub fn brokers(mut self, count: u32) -> Self {
        self.brokers = count;
        self
    }

    /// May a topic come to be by being asked for; as Kafka's default, it may.
    #[must_use]
    pub fn auto_create_topics(self, on: bool) -> Self {
        self.config("auto.create.topics.enable", if on { "true" } else { "false" })
    }

    /// Sets a broker configuration, by the name that Kafka gives it.
    ///
    /// What is acknowledged survives the death of the process. With `log.flush.interval.messages` of 1 (or
    /// `log.flush.interval.ms` of 0) it is forced to the disk first and survives the machine's death as well.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }

    /// Starts the cluster and returns when it answers. It runs on threads of its own.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub fn start(self) -> Result<Cluster, StartError> {
        if !(1..=MAX_BROKERS).contains(&self.brokers) {
            return Err(StartError::Brokers(self.brokers));
        }
        check_configs(&self.configs)?;
        let listeners = bind_all(self.port, self.brokers)?;
        let nodes: BTreeMap<i32, Node> = listeners
            .iter()
            .map(|(id, (port, _))| (*id, Node::local(*port)))
            .collect();
        let (data_dir, temporary) = data_folder(self.data_dir)?;
        let clock = LabClock::default();
        let rules: SharedRules = Arc::new(RwLock::new(TopicRules::default()));
        let mut core = open_core(
            &data_dir,
            &nodes,
            &self.configs,
            rules.clone(),
            clock.now_ms(),
            |ports| ports,
        )?;
        let limits = Limits {
            frame_bytes: usize::try_from(core.configs.number(1, "socket.request.max.bytes")).unwrap_or(0),
            idle: idle_time(core.configs.number(1, "connections.max.idle.ms")),
        };
        let witness = if temporary.is_none() {
            Witness::kept_in(&data_dir)
        } else {
            Witness::default()
        };
        core.witness = witness.clone();
        let (owner, queue) = Owner::new(core, clock.clone(), QUEUE);
        let faults = Faults::default();
        let shared = Arc::new(Shared {
            owner,
            next_request: AtomicU64::new(1),
            clock: clock.clone(),
            rules,
            faults: faults.clone(),
            limits,
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).min(4))
            .thread_name("kafka-net")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let owner = start_owner(shared.clone(), queue).map_err(StartError::Threads)?;
        let cluster = Cluster {
            bootstrap: bootstrap(&nodes),
            nodes,
            data_dir,
            clock,
            faults,
            witness,
            running: Some(Running {
                shared,
                owner,
                runtime,
                accepting: Mutex::default(),
                reserved: Mutex::default(),
            }),
            temporary,
        };
        for (id, (port, listener)) in listeners {
            let opened = cluster.open_port(id, listener);
            opened.map_err(|source| StartError::Port { port, source })?;
        }
        Ok(cluster)
    }
}

fn bootstrap(nodes: &BTreeMap<i32, Node>) -> String {
    let all = nodes.values().map(|node| format!("{}:{}", node.host, node.port));
    all.collect::<Vec<_>>().join(",")
}

/// The folder of the data, and the guard that removes it where it is a temporary one.
fn data_folder(wanted: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>), StartError> {
    if let Some(path) = wanted {
        return Ok((path, None));
    }
    let folder = tempfile::Builder::new()
        .prefix("kafka-")
        .tempdir()
        .map_err(|source| folder_error(&std::env::temp_dir(), &source))?;
    Ok((folder.path().to_owned(), Some(folder)))
}

/// How often a row of free ports is looked for.
const ROWS_TRIED: usize = 20;

/// One listener a broker, with the port that it has. Ports follow each other, so that a cluster that is started again on
/// its first port has all of them again; only where no such row is free any port will do.
fn bind_all(first: u16, brokers: u32) -> Result<BTreeMap<i32, (u16, TcpListener)>, StartError> {
    if first == 0 && brokers > 1 {
        for _ in 0..ROWS_TRIED {
            // Not held while the row is bound: somebody else may be quicker, and then there is a next one.
            let free = bind(0)?.local_addr().map_or(0, |address| address.port());
            if let Ok(row) = bind_row(free, brokers) {
                return Ok(row);
            }
        }
    }
    bind_row(first, brokers)
}

fn bind_row(first: u16, brokers: u32) -> Result<BTreeMap<i32, (u16, TcpListener)>, StartError> {
    let mut listeners = BTreeMap::new();
    for at in 0..brokers {
        // At most MAX_BROKERS, so it fits.
        let port = match first {
            0 => 0,
            first => first
                .checked_add(at as u16)
                .ok_or(StartError::PortInUse { port: u16::MAX })?,
        };
        let listener = bind(port)?;
        let bound = listener
            .local_addr()
            .map_err(|source| StartError::Port { port, source })?;
        listeners.insert(at as i32 + 1, (bound.port(), listener));
    }
    Ok(listeners)
}

/// The queue of the core and its deadlines have a thread of their own.
fn start_owner(shared: Arc<Shared>, queue: mpsc::Receiver<Envelope>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    std::thread::Builder::new()
        .name("kafka-core".to_owned())
        .spawn(move || runtime.block_on(net::run(&shared.owner, queue)))
}

fn idle_time(ms: i64) -> Duration {
    // A negative time is Kafka's "never"; a century is long enough.
    u64::try_from(ms).map_or(Duration::from_secs(3_000_000_000), Duration::from_millis)
}

fn bind(port: u16) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { port },
        _ => StartError::Port { port, source },
    })?;
    listener
        .set_nonblocking(true)
        .map_err(|source| StartError::Port { port, source })?;
    Ok(listener)
}

/// Holds a port without listening on it: who connects is refused.
fn reserve(port: u16) -> io::Result<tokio::net::TcpSocket> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

fn check_configs(overrides: &Overrides) -> Result<(), StartError> {
    for (name, value) in overrides {
        let def = configs::broker_def(name)
            .ok_or_else(|| StartError::Config(format!("Unknown broker config name: {name}")))?;
        def.check(value).map_err(StartError::Config)?;
    }
    Ok(())
}

fn folder_error(path: &Path, source: &io::Error) -> StartError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::StorageFull {
        return StartError::DiskFull { path };
    }
    StartError::NotWritable {
        path,
        reason: source.to_string(),
    }
}

fn log_error(path: &Path, error: LogError) -> StartError {
    match error {
        LogError::Locked { .. } => StartError::Locked {
            path: path.to_owned(),
        },
        LogError::Io { source, .. } => folder_error(path, &source),
        other => StartError::Incompatible {
            path: path.to_owned(),
            reason: other.to_string(),
        },
    }
}

/// Opens everything on disk and builds the state from it.
pub(crate) fn open_core(
    data_dir: &Path,
    nodes: &BTreeMap<i32, Node>,
    overrides: &Overrides,
    rules: SharedRules,
    now_ms: i64,
    ports: impl FnOnce(Outside) -> Outside,
) -> Result<Core, StartError> {
    let incompatible = |reason: String| StartError::Incompatible {
        path: data_dir.to_owned(),
        reason,
    };
    std::fs::create_dir_all(data_dir).map_err(|source| folder_error(data_dir, &source))?;
    let mut dirs = BTreeMap::new();
    let mut log_dirs = Vec::new();
    for id in nodes.keys() {
        let path = data_dir.join(format!("broker-{id}"));
        let dir = LogDir::open(&path, LogDirOptions::default()).map_err(|error| log_error(&path, error))?;
        log_dirs.push(path);
        dirs.insert(*id, dir);
    }
    let fresh = || URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes());
    let (journal, records) = FileJournal::open(data_dir, fresh).map_err(|error| match error {
        JournalError::Io(source) => folder_error(data_dir, &source),
        damaged @ JournalError::Damaged { .. } => incompatible(damaged.to_string()),
    })?;
    let cluster_id = journal.cluster_id.clone();
    for (id, dir) in &mut dirs {
        claim(dir, *id, &cluster_id, &records).map_err(|error| log_error(data_dir, error))?;
    }
    let history = records.len();
    let mut storage: BTreeMap<i32, Box<dyn Storage>> = BTreeMap::new();
    for (id, dir) in dirs {
        storage.insert(id, Box::new(DiskStorage::new(dir, journal.disk())));
    }
    let configs = Configs {
        fixed: fixed_configs(nodes, &log_dirs, overrides),
        // Kafka sets this one for the whole cluster when it makes a new one (KIP-966).
        for_all: Overrides::from([("min.insync.replicas".to_owned(), "1".to_owned())]),
        ..Configs::default()
    };
    let outside = Outside {
        storage,
        journal: Box::new(journal),
        ids: Box::new(RandomIds),
        rules,
    };
    let mut core = Core::new(cluster_id, nodes.clone(), configs, ports(outside));
    core.now_ms = now_ms;
    core.restore(records)
        .map_err(|refusal| incompatible(refusal.message.unwrap_or_default()))?;
    let snapshot = core.snapshot();
    if history > 2 * snapshot.len() + 100 {
        core.outside
            .journal
            .compact(&snapshot)
            .map_err(|source| folder_error(data_dir, &source))?;
    }
    core.keep_house_later();
    Ok(core)
}

/// Makes sure that a broker's folder is this cluster's, and that its partitions are in the journal.
fn claim(dir: &mut LogDir, id: i32, cluster_id: &str, records: &[Record]) -> Result<(), LogError> {
    let damaged = |reason: String| LogError::Damaged {
        path: dir.path().to_owned(),
        reason,
    };
    match dir.meta() {
        Some(meta) if meta.cluster_id != cluster_id => {
            return Err(damaged(format!(
                "it belongs to cluster {}, not to {cluster_id}",
                meta.cluster_id
            )));
        }
        Some(meta) if meta.node_id != id => {
            return Err(damaged(format!(
                "it belongs to broker {}, not to {id}",
                meta.node_id
            )));
        }
        Some(_) => {}
        None => dir.write_meta(MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id: id,
            directory_id: Uuid::new_v4(),
        })?,
    }
    if records.is_empty() && !dir.partitions().is_empty() {
        let reason = "there are partitions, but the metadata journal beside them is missing".to_owned();
        return Err(LogError::Damaged {
            path: dir.path().to_owned(),
            reason,
        });
    }
    Ok(())
}

/// What a broker of this cluster has set from the start: who it is, where it is, and what one broker alone needs.
fn fixed_configs(
    nodes: &BTreeMap<i32, Node>,
    log_dirs: &[PathBuf],
    overrides: &Overrides,
) -> HashMap<i32, Overrides> {
    let mut fixed = HashMap::new();
    for ((id, node), log_dir) in nodes.iter().zip(log_dirs) {
        let listener = format!("PLAINTEXT://{}:{}", node.host, node.port);
        let own = [
            ("node.id", id.to_string()),
            ("broker.id", id.to_string()),
            ("process.roles", "broker,controller".to_owned()),
            ("listeners", listener.clone()),
            ("advertised.listeners", listener),
            ("log.dirs", log_dir.display().to_string()),
            ("offsets.topic.replication.factor", nodes.len().min(3).to_string()),
            (
                "transaction.state.log.replication.factor",
                nodes.len().min(3).to_string(),
            ),
            ("transaction.state.log.min.isr", nodes.len().min(2).to_string()),
            (
                "share.coordinator.state.topic.replication.factor",
                nodes.len().min(3).to_string(),
            ),
            (
                "share.coordinator.state.topic.min.isr",
                nodes.len().min(2).to_string(),
            ),
            // A lab's first consumer does not want to wait three seconds for others that never come.
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ];
        let mut all: Overrides = own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        all.extend(overrides.clone());
        fixed.insert(*id, all);
    }
    fixed
}

/// What runs, until it is taken down.
struct Running {
    shared: Arc<Shared>,
    owner: JoinHandle<()>,
    runtime: tokio::runtime::Runtime,
    /// Who accepts connections, of each broker that is up.
    accepting: Mutex<BTreeMap<i32, tokio::task::JoinHandle<()>>>,
    /// The ports of brokers that are down. A client that asks for one again and again would else be given the port as
    /// its own sooner or later, and connect to itself.
    reserved: Mutex<HashMap<i32, tokio::net::TcpSocket>>,
}

impl Running {
    fn accepting(&self) -> MutexGuard<'_, BTreeMap<i32, tokio::task::JoinHandle<()>>> {
        self.accepting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserved(&self) -> MutexGuard<'_, HashMap<i32, tokio::net::TcpSocket>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running cluster. Dropping it stops it.
///
/// Every acknowledged record is in the page cache and survives the end of the process, also by `kill -9`; with the
/// topic configuration `flush.messages=1` it is on the disk.
pub struct Cluster {
    bootstrap: String,
    nodes: BTreeMap<i32, Node>,
    data_dir: PathBuf,
    clock: LabClock,
    witness: Witness,
    faults: Faults,
    running: Option<Running>,
    /// Removed with the cluster.
    temporary: Option<tempfile::TempDir>,
}

impl Cluster {
    /// A cluster of one broker on any free port, in a temporary folder, unless told otherwise. With several, topics have
    /// as many replicas as they are created with, and followers copy before a request is answered.
    pub fn builder() -> Builder {
        Builder {
            data_dir: None,
            port: 0,
            brokers: 1,
            configs: Overrides::new(),
        }
    }

    /// What clients want as `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The brokers, by id.
    pub fn brokers(&self) -> Vec<BrokerInfo> {
        let up: Vec<i32> = self
            .running
            .iter()
            .flat_map(|running| running.accepting().keys().copied().collect::<Vec<_>>())
            .collect();
        let info = |(id, node): (&i32, &Node)| BrokerInfo {
            id: *id,
            host: node.host.clone(),
            port: node.port,
            up: up.contains(id),
        };
        self.nodes.iter().map(info).collect()
    }

    /// Where the cluster keeps its data.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Puts the cluster's clock forward: what becomes due in between (session time-outs, retention, expiry) happens now.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        if let Some(running) = &self.running {
            let _ = running.shared.owner.enqueue(Envelope {
                event: Event::Tick,
                reply: None,
            });
        }
    }

    /// How far [`Cluster::advance`] has put the cluster's clock ahead of the machine's. A cluster that is started again
    /// from its folder is at the machine's time.
    pub fn clock_ahead(&self) -> Duration {
        self.clock.ahead()
    }

    /// The faults in force, to add to and to take from: requests that are delayed, refused or dropped on purpose, by API
    /// key and broker, so many times.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What has happened to a topic's records that no request tells of: retries that were recognised, writes that were
    /// refused, records that are lost. All zeros for a topic that isn't there.
    pub fn witnessed(&self, topic: &str) -> Witnessed {
        self.witness.of(topic)
    }

    /// Replaces the faults in force; an empty list heals everything.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.faults.set(faults);
    }

    /// Stops one broker in order: it hands over the partitions that it leads, closes its logs and its port. Without
    /// effect where it is stopped already.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub fn stop_broker(&self, id: i32) -> Result<(), BrokerError> {
        self.manage(id, Command::Stop)?;
        self.close_port(id);
        Ok(())
    }

    /// Ends one broker without warning: its port and connections are gone at once, the others notice after
    /// `broker.session.timeout.ms` of the cluster's time (9 seconds; see [`advance`](Self::advance)).
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub fn kill_broker(&self, id: i32) -> Result<(), BrokerError> {
        self.close_port(id);
        self.manage(id, Command::Kill)
    }

    /// Starts a broker that was stopped or killed, on the port that it had: it cuts off what its leaders don't have,
    /// copies what it lacks and is in sync again.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub fn start_broker(&self, id: i32) -> Result<(), BrokerError> {
        let running = self.running.as_ref().ok_or(BrokerError::Stopping)?;
        let node = self.nodes.get(&id).ok_or(BrokerError::Unknown(id))?;
        if running.accepting().contains_key(&id) {
            return Ok(());
        }
        let port = node.port;
        let failed = |source: io::Error| BrokerError::Port { id, port, source };
        drop(running.reserved().remove(&id));
        let listener = bind(port).map_err(|error| match error {
            StartError::Port { source, .. } => failed(source),
            _ => failed(io::ErrorKind::AddrInUse.into()),
        })?;
        self.manage(id, Command::Start)?;
        self.open_port(id, listener).map_err(failed)
    }

    /// From now on the broker's followers don't fetch, and it falls behind: records that it lacks are on its leaders
    /// alone. It leaves the replicas in sync after `replica.lag.time.max.ms` of the cluster's time, counted from the
    /// first record that it lacks. Internal topics are replicated all the same.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub fn pause_replication(&self, id: i32) -> Result<(), BrokerError> {
        self.manage(id, Command::PauseReplication)
    }

    /// The broker's followers fetch again; also a broker that starts does.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub fn resume_replication(&self, id: i32) -> Result<(), BrokerError> {
        self.manage(id, Command::ResumeReplication)
    }

    /// Has the core do something with a broker.
    fn manage(&self, id: i32, command: Command) -> Result<(), BrokerError> {
        if !self.nodes.contains_key(&id) {
            return Err(BrokerError::Unknown(id));
        }
        let running = self.running.as_ref().ok_or(BrokerError::Stopping)?;
        let (sender, receiver) = std::sync::mpsc::channel();
        let request = running.shared.next_request.fetch_add(1, Ordering::Relaxed);
        let envelope = Envelope {
            event: Event::Manage {
                id: request,
                broker: id,
                command,
            },
            reply: Some((request, Waiting::Owner(sender))),
        };
        let left = running.shared.owner.enqueue(envelope);
        left.map_err(|Gone| BrokerError::Stopping)?;
        let result = receiver.recv().map_err(|_| BrokerError::Stopping)?;
        result.map_err(|refusal| BrokerError::Storage {
            id,
            reason: refusal.message.unwrap_or_else(|| refusal.error.to_string()),
        })
    }

    fn open_port(&self, id: i32, listener: TcpListener) -> io::Result<()> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let listener = {
            let _inside = running.runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let task = running
            .runtime
            .spawn(net::accept(id, listener, running.shared.clone()));
        running.accepting().insert(id, task);
        Ok(())
    }

    /// Closes a broker's port and drops its connections; returns when the port is free.
    fn close_port(&self, id: i32) {
        let Some(running) = &self.running else { return };
        let task = running.accepting().remove(&id);
        if let Some(task) = task {
            task.abort();
            while !task.is_finished() {
                std::thread::yield_now();
            }
        }
        if let Some(node) = self.nodes.get(&id)
            && let Ok(socket) = reserve(node.port)
        {
            running.reserved().insert(id, socket);
        }
    }

    /// Closes the logs and stops. A cluster that was killed instead loses nothing, but has more to check at its start.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let Some(Running {
            shared,
            owner,
            runtime,
            ..
        }) = self.running.take()
        else {
            return;
        };
        let last = Envelope {
            event: Event::Shutdown {
                keep: self.temporary.is_none(),
            },
            reply: None,
        };
        // An owner that is gone needs no event.
        let _ = shared.owner.enqueue(last);
        if owner.join().is_err() {
            tracing::error!("the cluster's core has panicked");
        }
        runtime.shutdown_background();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("bootstrap", &self.bootstrap)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}
