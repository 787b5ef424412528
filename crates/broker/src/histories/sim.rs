//! The cluster without threads, sockets and a clock: requests go in as bytes, answers come out as bytes, time passes
//! when it is said to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

use super::kill::{self, Fuse, Killed, SeededIds};
use super::power::Disk;
use crate::api::{self, Aside, Response};
use crate::core::brokers::Command;
use crate::core::ports::SharedRules;
use crate::core::{Caller, Core, Effect, Event, Node, RequestId};
use crate::net::Stretches;

/// Where lab time starts, in milliseconds since the epoch.
const START_MS: i64 = 1_700_000_000_000;

/// A request that was sent, to ask for its answer.
pub(super) struct Ticket<R> {
    id: RequestId,
    version: i16,
    answer: PhantomData<R>,
}

/// What has become of a request.
pub(super) enum Fate<M> {
    /// Nothing yet.
    Pending,
    /// It was answered.
    Answered(M),
    /// It, or its answer, is lost: the connection was broken.
    Lost,
}

/// The cluster.
pub(super) struct Sim {
    folder: tempfile::TempDir,
    disk: Option<Disk>,
    overrides: BTreeMap<String, String>,
    /// The power is cut where the fuse ends.
    cut_seed: Option<u64>,
    nodes: BTreeMap<i32, Node>,
    rules: SharedRules,
    core: Option<Core>,
    down: BTreeSet<i32>,
    pub(super) now_ms: i64,
    next_request: RequestId,
    /// Requests that wait, and the broker that each was sent to.
    waiting: HashMap<RequestId, i32>,
    answers: HashMap<RequestId, Response>,
    /// A request of this API key had no answer within a minute.
    pub(super) stuck: Option<i16>,
    fuse: Fuse,
    ids: SeededIds,
    /// How often the process ended in the middle of something.
    pub(super) cut_short: usize,
    /// How often it was started.
    pub(super) lives: usize,
}

impl Sim {
    /// A new cluster of brokers 1 to `brokers` with these settings, and ids that `seed` leads to; may its power be cut.
    pub(super) fn with(brokers: i32, power: bool, settings: &[(&str, &str)], seed: u64) -> Self {
        let node = |id: i32| Node {
            host: "127.0.0.1".to_owned(),
            port: 9091 + id as u16,
        };
        let mut folder = new_folder();
        if std::env::var_os("HISTORY").is_some() {
            folder.disable_cleanup(true);
            println!("the cluster's folder: {}", folder.path().display());
        }
        let mut sim = Self {
            disk: power.then(|| Disk::new(folder.path())),
            folder,
            overrides: overrides(settings),
            cut_seed: None,
            nodes: (1..=brokers).map(|id| (id, node(id))).collect(),
            rules: SharedRules::default(),
            core: None,
            down: BTreeSet::new(),
            now_ms: START_MS,
            next_request: 1,
            waiting: HashMap::new(),
            answers: HashMap::new(),
            stuck: None,
            fuse: Fuse::default(),
            ids: SeededIds::new(seed),
            cut_short: 0,
            lives: 0,
        };
        sim.open();
        sim
    }

    fn open(&mut self) {
        self.lives += 1;
        self.down.clear();
        self.rules = SharedRules::default();
        while self.core.is_none() {
            let rules = self.rules.clone();
            let opened = self.until_killed(|sim| {
                let data = sim.folder.path();
                crate::cluster::open_core(data, &sim.nodes, &sim.overrides, rules, sim.now_ms, |ports| {
                    kill::wrap(ports, data, &sim.fuse, &sim.ids)
                })
            });
            self.core = opened.map(Result::unwrap);
        }
    }

    /// Does something that the end of the process may cut short; nothing if that has happened.
    fn until_killed<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| act(self))) {
            Ok(done) => Some(done),
            Err(panic) if panic.is::<Killed>() => {
                self.cut_short += 1;
                if let Some(seed) = self.cut_seed.take() {
                    self.lose_power(seed);
                }
                None
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    /// The process is killed at the write after `writes` others, and started again.
    pub(super) fn kill_in(&mut self, writes: u32, seed: u64) {
        self.fuse.light(writes, seed);
    }

    /// The power is cut at the write after `writes` others.
    pub(super) fn cut_in(&mut self, writes: u32, seed: u64) {
        self.fuse.light(writes, seed);
        self.cut_seed = Some(seed);
    }

    /// The process is not killed any more.
    pub(super) fn spare(&mut self) {
        self.fuse.put_out();
        self.cut_seed = None;
    }

    /// The power is cut, and the process started again.
    pub(super) fn cut(&mut self, seed: u64) {
        self.spare();
        self.core = None;
        self.lose_power(seed);
        self.kill_and_restart(None);
    }

    fn lose_power(&mut self, seed: u64) {
        if let Some(disk) = &mut self.disk {
            disk.cut(self.folder.path(), seed);
        }
    }

    /// One broker's machine loses its power.
    pub(super) fn cut_broker(&mut self, broker: i32, seed: u64) {
        self.stop_broker(broker, false);
        let folder = self.folder.path().join(format!("broker-{broker}"));
        if let Some(disk) = &mut self.disk {
            disk.cut(&folder, seed);
        }
    }

    /// The batches of every log that the disk has for certain.
    pub(super) fn forced(&self) -> super::files::Logs {
        self.disk.as_ref().map(Disk::forced_logs).unwrap_or_default()
    }

    /// Is a broker there, and in sync with every partition that it has a replica of.
    pub(super) fn is_in_sync(&mut self, broker: i32) -> bool {
        let asked = self.live().first().copied();
        if self.down.contains(&broker) {
            return false;
        }
        let all = kafka_protocol::messages::MetadataRequest::default().with_topics(None);
        let Some(answer) = asked.and_then(|asked| self.ask(asked, 12, &all)) else {
            return false;
        };
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.all(|partition| partition.isr_nodes.iter().any(|id| id.0 == broker))
    }

    /// Sets something for all brokers.
    pub(super) fn set_everywhere(&mut self, name: &str, value: &str) {
        const BROKER: i8 = 4;
        self.set(BROKER, "", name, value);
    }

    /// Sets something for a group.
    pub(super) fn set_group(&mut self, group: &str, name: &str, value: &str) {
        const GROUP: i8 = 32;
        self.set(GROUP, group, name, value);
    }

    fn set(&mut self, kind: i8, of: &str, name: &str, value: &str) {
        use super::wire::text;
        use kafka_protocol::messages::incremental_alter_configs_request::{
            AlterConfigsResource, AlterableConfig,
        };
        let config = AlterableConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(of))
            .with_configs(vec![config]);
        let request = kafka_protocol::messages::IncrementalAlterConfigsRequest::default()
            .with_resources(vec![resource]);
        let answer = self.ask(1, 1, &request).unwrap();
        assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
    }

    /// Where the cluster's files are.
    pub(super) fn data(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The whole process is killed and started again. What it had not answered is lost; its files are as they are.
    /// `torn` bytes stand for a write that the end of the process cut short.
    pub(super) fn kill_and_restart(&mut self, torn: Option<(&str, &[u8])>) {
        self.core = None;
        self.waiting.clear();
        self.answers.clear();
        if let Some((partition, bytes)) = torn {
            for id in self.nodes.keys() {
                tear(
                    &self.folder.path().join(format!("broker-{id}")).join(partition),
                    bytes,
                );
            }
        }
        self.open();
        self.step(Event::Tick);
    }

    /// Clean end of the process, and its next start.
    pub(super) fn restart(&mut self) {
        self.step(Event::Shutdown { keep: true });
        self.kill_and_restart(None);
    }

    fn manage(&mut self, broker: i32, command: Command) {
        let id = self.next_request;
        self.next_request += 1;
        self.step(Event::Manage { id, broker, command });
    }

    /// A broker ends, in order or without a word; whoever waits for it learns that the connection is broken.
    pub(super) fn stop_broker(&mut self, broker: i32, in_order: bool) {
        let before = self.cut_short;
        self.manage(broker, if in_order { Command::Stop } else { Command::Kill });
        // A process that ended with it has started again, with all of its brokers.
        if self.cut_short == before {
            self.down.insert(broker);
            self.waiting.retain(|_, to| *to != broker);
        }
    }

    /// A broker starts again.
    pub(super) fn start_broker(&mut self, broker: i32) {
        self.manage(broker, Command::Start);
        self.down.remove(&broker);
    }

    /// A broker's followers stop fetching, or go on.
    pub(super) fn replicate(&mut self, broker: i32, on: bool) {
        let command = if on {
            Command::ResumeReplication
        } else {
            Command::PauseReplication
        };
        self.manage(broker, command);
    }

    /// Makes a topic.
    pub(super) fn create(&mut self, topic: &str, partitions: i32, replicas: i16) {
        use kafka_protocol::messages::create_topics_request::CreatableTopic;
        let new = CreatableTopic::default()
            .with_name(kafka_protocol::messages::TopicName(super::wire::text(topic)))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas);
        let request = kafka_protocol::messages::CreateTopicsRequest::default()
            .with_topics(vec![new])
            .with_timeout_ms(10_000);
        let answer = self.ask(1, 7, &request).unwrap();
        assert_eq!(
            answer.topics[0].error_code, 0,
            "{:?}",
            answer.topics[0].error_message
        );
    }

    /// Brokers that can be connected to.
    pub(super) fn live(&self) -> Vec<i32> {
        self.nodes
            .keys()
            .copied()
            .filter(|id| !self.down.contains(id))
            .collect()
    }

    /// Brokers that can't.
    pub(super) fn stopped(&self) -> Vec<i32> {
        self.down.iter().copied().collect()
    }

    fn step(&mut self, event: Event) {
        let now_ms = self.now_ms;
        let Some(mut core) = self.core.take() else { return };
        let effects = self.until_killed(|_| {
            let effects = core.step(now_ms, event);
            (core, effects)
        });
        let Some((core, effects)) = effects else {
            return self.kill_and_restart(None);
        };
        self.core = Some(core);
        for effect in effects {
            if let Effect::Reply { to, response } = effect
                && self.waiting.remove(&to).is_some()
            {
                self.answers.insert(to, response);
            }
        }
    }

    /// How many requests there have been.
    pub(super) fn requests(&self) -> RequestId {
        self.next_request
    }

    /// How long it has been going.
    pub(super) fn elapsed_ms(&self) -> i64 {
        self.now_ms - START_MS
    }

    /// Time passes, and whatever falls due in it happens at its own time.
    pub(super) fn pass(&mut self, ms: i64) {
        let end = self.now_ms + ms;
        while let Some(due) = self
            .core
            .as_ref()
            .and_then(Core::deadline_ms)
            .filter(|due| *due <= end)
        {
            self.now_ms = self.now_ms.max(due);
            self.step(Event::Tick);
        }
        self.now_ms = end;
        self.step(Event::Tick);
    }

    /// Sends a request to a broker, as bytes.
    pub(super) fn send<R: Request + Encodable + HeaderVersion>(
        &mut self,
        broker: i32,
        version: i16,
        request: &R,
    ) -> Ticket<R> {
        let id = self.next_request;
        self.next_request += 1;
        let ticket = Ticket {
            id,
            version,
            answer: PhantomData,
        };
        if self.down.contains(&broker) {
            return ticket;
        }
        let api = api::find(R::KEY).unwrap_or_else(|| panic!("API key {} is not there", R::KEY));
        assert!(
            (api.min..=api.max).contains(&version),
            "version {version} of {}",
            api.name()
        );
        let mut bytes = BytesMut::new();
        request.encode(&mut bytes, version).unwrap();
        let aside = Aside {
            rules: self.rules.clone(),
            now_ms: self.now_ms,
            bytes: 100,
        };
        let body = (api.decode)(&mut bytes.freeze(), version, &aside).unwrap();
        let caller = Caller {
            request: id,
            broker,
            connection: 1,
            version,
            client_id: Arc::from("history"),
            host: Arc::from("/127.0.0.1"),
            answer_is_lost: false,
        };
        self.waiting.insert(id, broker);
        self.step(Event::Request { caller, api, body });
        ticket
    }

    /// A request that never arrives.
    pub(super) fn lose<R>(&mut self) -> Ticket<R> {
        self.next_request += 1;
        Ticket {
            id: self.next_request - 1,
            version: 0,
            answer: PhantomData,
        }
    }

    /// What has become of a request.
    pub(super) fn fate<R: Request>(&mut self, ticket: &Ticket<R>) -> Fate<R::Response> {
        match self.answers.remove(&ticket.id) {
            Some(response) => Fate::Answered(read::<R>(response, ticket.version)),
            None if self.waiting.contains_key(&ticket.id) => Fate::Pending,
            None => Fate::Lost,
        }
    }

    /// Sends a request and lets time pass until it is answered, for a minute at most.
    pub(super) fn ask<R: Request + Encodable + HeaderVersion>(
        &mut self,
        broker: i32,
        version: i16,
        request: &R,
    ) -> Option<R::Response> {
        let ticket = self.send(broker, version, request);
        for _ in 0..600 {
            match self.fate(&ticket) {
                Fate::Answered(answer) => return Some(answer),
                Fate::Lost => return None,
                Fate::Pending => self.pass(100),
            }
        }
        self.stuck = Some(R::KEY);
        None
    }
}

/// In memory where the system has a place for that: what survives the process is the same there, and a thousand histories
/// flush often.
fn new_folder() -> tempfile::TempDir {
    let memory = tempfile::tempdir_in("/dev/shm");
    memory.or_else(|_| tempfile::tempdir()).unwrap()
}

/// The brokers' settings. Dozens of internal partitions would be opened again at each start, to no purpose.
fn overrides(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let few = [
        ("offsets.topic.num.partitions", "2"),
        ("transaction.state.log.num.partitions", "2"),
        ("share.coordinator.state.topic.num.partitions", "2"),
    ];
    let all = few.iter().chain(more);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// An answer as a client would read it.
fn read<R: Request>(response: Response, version: i16) -> R::Response {
    let mut bytes = BytesMut::new();
    match response {
        Response::Message(message) => message.write(&mut bytes, version).unwrap(),
        Response::Fetch(plan) => {
            let mut stretches = Stretches::default();
            let response = api::fetch::respond(plan, &mut stretches);
            response.encode(&mut bytes, version).unwrap();
        }
        Response::ShareFetch(plan) => {
            let mut stretches = Stretches::default();
            let response = api::share_fetch::respond(plan, &mut stretches);
            response.encode(&mut bytes, version).unwrap();
        }
    }
    R::Response::decode(&mut bytes.freeze(), version).unwrap()
}

/// Adds bytes to the newest segment of a partition's folder.
fn tear(folder: &std::path::Path, bytes: &[u8]) {
    use std::io::Write;
    let Ok(files) = std::fs::read_dir(folder) else {
        return;
    };
    let newest = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .max();
    if let Some(path) = newest {
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }
}
