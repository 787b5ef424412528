//! The cluster under all that: no thread, no socket, a clock of its own, real files.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupHeartbeatResponse, EndTxnResponse, FetchResponse, InitProducerIdResponse,
    JoinGroupResponse, ProducerId, ShareGroupHeartbeatResponse,
};
use kafka_protocol::protocol::Encodable;
use uuid::Uuid;

use crate::api::share_wire::FetchedWire;
use crate::api::{self, Api, Aside, Response};
use crate::core::brokers::Command;
use crate::core::configs;
use crate::core::ports::{Ids, SharedRules};
use crate::core::{Caller, Core, Effect, Event, Node, Outside, RequestId};
use crate::net::{Opened, Stretches, open_request};

/// Where time starts, in milliseconds since the epoch.
const START_MS: i64 = 1_700_000_000_000;
/// Requests wait for at most this long when everything runs, unless they ask for more.
const PATIENCE_MS: i64 = 700_000;
/// The longest wait that a request can ask for, in milliseconds, and the time-outs that follow it.
const LONGEST_MS: i64 = i32::MAX as i64 + PATIENCE_MS;
/// Starts of the process in one input.
const MAX_STARTS: u32 = 3;
/// Members, producers and sessions that are remembered.
const MEMORY: usize = 6;

/// Ids one after the other: an input does the same each time.
struct Counted(u32);

impl Ids for Counted {
    fn uuid(&mut self) -> Uuid {
        self.0 += 1;
        Uuid::from_u128(0x1000_0000_0000 + u128::from(self.0))
    }
}

/// What a client knows from earlier answers.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) now_ms: i64,
    topic_ids: Vec<Uuid>,
    members: Vec<String>,
    generations: Vec<i32>,
    producers: Vec<(i64, i16)>,
    /// Fetch sessions, each with the epoch of its next request.
    sessions: Vec<(i32, i32)>,
    /// The session that the request at hand has named.
    session: Option<(i32, i32)>,
    /// The next epoch of each share member's session.
    share_epochs: HashMap<String, i32>,
    /// The share member that the request at hand has named.
    share_member: String,
    /// First and last of records that were acquired.
    acquired: Vec<(i64, i64)>,
    /// Those that the request at hand speaks of.
    spoken_of: (i64, i64),
    sequences: HashMap<i64, i32>,
    configs: Vec<&'static str>,
}

fn latest<T: Clone>(list: &[T], at: usize) -> Option<T> {
    list.iter().rev().nth(at % list.len().max(1)).cloned()
}

fn remember<T: PartialEq>(list: &mut Vec<T>, new: T) {
    list.retain(|old| *old != new);
    if list.len() >= MEMORY {
        list.remove(0);
    }
    list.push(new);
}

impl Known {
    pub(super) fn topic_id(&self, at: usize) -> [u8; 16] {
        latest(&self.topic_ids, at).unwrap_or_default().into_bytes()
    }

    pub(super) fn member(&self, at: usize) -> String {
        let new = at.is_multiple_of(4).then(String::new);
        new.or_else(|| latest(&self.members, at / 4)).unwrap_or_default()
    }

    pub(super) fn generation(&self, at: usize) -> i64 {
        let given = [0, -1, -2].get(at % 6).copied();
        given.unwrap_or_else(|| i64::from(latest(&self.generations, at / 6).unwrap_or(0)))
    }

    /// A fetch session's id; 0 for one that asks for a session.
    pub(super) fn session(&mut self, at: usize) -> i32 {
        let known = latest(&self.sessions, at / 4);
        self.session = known.filter(|_| !at.is_multiple_of(4));
        self.session.map_or(0, |(id, _)| id)
    }

    /// The epoch that the session wants to see, or another.
    pub(super) fn session_epoch(&self, at: usize) -> i32 {
        let next = self.session.map_or(0, |(_, epoch)| epoch);
        match at % 8 {
            0 => -1,
            1 => 0,
            2 => next + 1,
            _ => next,
        }
    }

    fn learn_session(&mut self, error: i16, id: i32) {
        if error == 0 && id != 0 {
            let known = self.sessions.iter().find(|(known, _)| *known == id);
            let next = known.map_or(1, |(_, epoch)| epoch + 1);
            self.sessions.retain(|(known, _)| *known != id);
            remember(&mut self.sessions, (id, next));
        }
    }

    /// A member of a share group.
    pub(super) fn share_member(&mut self, at: usize) -> String {
        let own = ["m1", "m2", "m3"].get(at % 4).map(|name| (*name).to_owned());
        self.share_member = own.unwrap_or_else(|| self.member(at));
        self.share_member.clone()
    }

    /// The epoch that the member's session wants to see, or another.
    pub(super) fn share_epoch(&mut self, at: usize) -> i32 {
        let next = self.share_epochs.entry(self.share_member.clone()).or_insert(0);
        let epoch = match at % 8 {
            0 => 0,
            1 => -1,
            2 => *next + 5,
            _ => *next,
        };
        if epoch <= *next {
            *next = epoch + 1;
        }
        epoch
    }

    /// Where records begin that were acquired.
    pub(super) fn acquired_first(&mut self, at: usize) -> i64 {
        let first = (at % 8) as i64;
        self.spoken_of = latest(&self.acquired, at / 2)
            .filter(|_| at.is_multiple_of(2))
            .unwrap_or((first, first + 2));
        self.spoken_of.0
    }

    /// Where they end, or where one of them does.
    pub(super) fn acquired_last(&self, at: usize) -> i64 {
        let (first, last) = self.spoken_of;
        if at % 4 == 3 { first } else { last }
    }

    pub(super) fn producer(&self, at: usize) -> (i64, i16) {
        latest(&self.producers, at).unwrap_or((-1, -1))
    }

    /// The producer's next sequence number, a repeated one, or one too far.
    pub(super) fn sequence(&mut self, producer: i64, how: u8) -> i32 {
        let next = self.sequences.entry(producer).or_insert(0);
        match how {
            0 | 1 => {
                *next += 1;
                *next - 1
            }
            2 => 0,
            _ => *next + 5,
        }
    }

    pub(super) fn configs(&self) -> &[&'static str] {
        &self.configs
    }

    fn learn(&mut self, answer: &dyn Any) {
        if let Some(answer) = answer.downcast_ref::<InitProducerIdResponse>() {
            self.learn_producer(answer.error_code, answer.producer_id, answer.producer_epoch);
        } else if let Some(answer) = answer.downcast_ref::<EndTxnResponse>() {
            self.learn_producer(answer.error_code, answer.producer_id, answer.producer_epoch);
        } else if let Some(answer) = answer.downcast_ref::<FetchResponse>() {
            self.learn_session(answer.error_code, answer.session_id);
        } else if let Some(answer) = answer.downcast_ref::<JoinGroupResponse>() {
            self.learn_member(&answer.member_id, answer.generation_id);
        } else if let Some(FetchedWire(answer)) = answer.downcast_ref::<FetchedWire>() {
            let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
            for acquired in partitions.flat_map(|partition| &partition.acquired_records) {
                remember(&mut self.acquired, (acquired.first_offset, acquired.last_offset));
            }
        } else if let Some(answer) = answer.downcast_ref::<ShareGroupHeartbeatResponse>() {
            let member = answer.member_id.as_deref().unwrap_or_default();
            self.learn_member(member, answer.member_epoch);
        } else if let Some(answer) = answer.downcast_ref::<ConsumerGroupHeartbeatResponse>() {
            let member = answer.member_id.as_deref().unwrap_or_default();
            self.learn_member(member, answer.member_epoch);
        }
    }

    fn learn_producer(&mut self, error: i16, id: ProducerId, epoch: i16) {
        if error == 0 && id.0 >= 0 {
            self.sequences.remove(&id.0);
            remember(&mut self.producers, (id.0, epoch));
        }
    }

    fn learn_member(&mut self, member: &str, generation: i32) {
        if !member.is_empty() {
            remember(&mut self.members, member.to_owned());
        }
        if generation >= 0 {
            remember(&mut self.generations, generation);
        }
    }
}

/// The cluster and its clients.
pub(super) struct Rig {
    folder: tempfile::TempDir,
    nodes: BTreeMap<i32, Node>,
    core: Option<Core>,
    rules: SharedRules,
    now_ms: i64,
    next_request: RequestId,
    ids: u32,
    starts: u32,
    /// Requests without an answer.
    waiting: HashMap<RequestId, Asked>,
    /// Those whose connection is broken: an answer, if there is one, reaches nobody.
    lost: HashSet<RequestId>,
    known: Known,
}

#[derive(Clone, Copy)]
struct Asked {
    api: &'static Api,
    version: i16,
    broker: i32,
}

impl Rig {
    pub(super) fn new(brokers: i32) -> Self {
        let mut rig = Self {
            folder: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
            nodes: (1..=brokers)
                .map(|id| (id, Node::local(9091 + id as u16)))
                .collect(),
            core: None,
            rules: SharedRules::default(),
            now_ms: START_MS,
            next_request: 1,
            ids: 0,
            starts: 0,
            waiting: HashMap::new(),
            lost: HashSet::new(),
            known: Known {
                now_ms: START_MS,
                configs: configs::names(),
                ..Known::default()
            },
        };
        rig.start();
        for name in ["rides", "fares"] {
            let frame = rig.create(name);
            rig.deliver(1, frame);
        }
        rig
    }

    pub(super) fn brokers(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn known(&mut self) -> &mut Known {
        &mut self.known
    }

    fn create(&self, name: &str) -> Bytes {
        use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
        use kafka_protocol::messages::{CreateTopicsRequest, RequestHeader, TopicName};
        use kafka_protocol::protocol::StrBytes;
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let compact = CreatableTopicConfig::default()
            .with_name(text("cleanup.policy"))
            .with_value(Some(text("compact")));
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(2)
            .with_replication_factor(self.nodes.len() as i16)
            .with_configs(if name == "fares" {
                vec![compact]
            } else {
                Vec::new()
            });
        let mut frame = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(ApiKey::CreateTopics as i16)
            .with_request_api_version(7)
            .with_client_id(Some(text("fuzz")));
        header.encode(&mut frame, 2).unwrap();
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        request.encode(&mut frame, 7).unwrap();
        frame.freeze()
    }

    fn start(&mut self) {
        self.starts += 1;
        self.rules = SharedRules::default();
        // Dozens of internal partitions would be opened at each start, to no purpose.
        let few = [
            "offsets.topic.num.partitions",
            "transaction.state.log.num.partitions",
            "share.coordinator.state.topic.num.partitions",
        ];
        let few = few.map(|name| (name.to_owned(), "1".to_owned())).into();
        self.ids += 1000;
        let ids = Counted(self.ids);
        let core = crate::cluster::open_core(
            self.folder.path(),
            &self.nodes,
            &few,
            self.rules.clone(),
            self.now_ms,
            |outside| Outside {
                ids: Box::new(ids),
                ..outside
            },
        );
        let core = core.expect("what this cluster wrote, it reads");
        self.core = Some(core);
        self.step(Event::Tick);
    }

    /// The process ends, in order or not, and starts again.
    pub(super) fn restart(&mut self, in_order: bool) {
        if self.starts >= MAX_STARTS {
            return;
        }
        if in_order {
            self.step(Event::Shutdown { keep: true });
        }
        self.core = None;
        self.waiting.clear();
        self.lost.clear();
        self.start();
    }

    pub(super) fn manage(&mut self, broker: i32, command: Command) {
        if matches!(command, Command::Stop | Command::Kill) {
            let gone = self.waiting.extract_if(|_, asked| asked.broker == broker);
            self.lost.extend(gone.map(|(id, _)| id));
        }
        let id = self.next_request;
        self.next_request += 1;
        self.step(Event::Manage { id, broker, command });
    }

    pub(super) fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.known.now_ms = self.now_ms;
        self.step(Event::Tick);
    }

    /// A frame as it comes from a socket. What can't be a request ends its connection, and that is all.
    pub(super) fn deliver(&mut self, broker: i32, mut frame: Bytes) {
        let Ok(Opened::Request { api, version, header }) = open_request(&mut frame) else {
            return;
        };
        let aside = Aside {
            rules: self.rules.clone(),
            now_ms: self.now_ms,
            bytes: frame.len() as u32,
        };
        let Ok(body) = (api.decode)(&mut frame, version, &aside) else {
            return;
        };
        let request = self.next_request;
        self.next_request += 1;
        let caller = Caller {
            request,
            broker,
            connection: 1,
            version,
            client_id: header.client_id.as_deref().unwrap_or_default().into(),
            host: Arc::from("/127.0.0.1"),
            answer_is_lost: false,
        };
        self.waiting.insert(request, Asked { api, version, broker });
        self.step(Event::Request { caller, api, body });
    }

    fn step(&mut self, event: Event) {
        let Some(core) = &mut self.core else { return };
        let effects = core.step(self.now_ms, event);
        self.known.topic_ids = core.topics.iter().map(|topic| topic.id).collect();
        self.known.topic_ids.sort_unstable();
        for effect in effects {
            match effect {
                Effect::Reply { to, response } => self.answered(to, response),
                Effect::NoReply { to } | Effect::Hangup { to } => {
                    let asked = self.waiting.remove(&to).is_some() || self.lost.remove(&to);
                    assert!(asked, "a request is ended twice");
                }
                Effect::Mute { .. } | Effect::Managed { .. } => {}
            }
        }
    }

    fn answered(&mut self, to: RequestId, response: Response) {
        let Some(Asked { api, version, .. }) = self.waiting.remove(&to) else {
            assert!(self.lost.remove(&to), "a request is answered twice: {response:?}");
            return;
        };
        let mut bytes = BytesMut::new();
        let written = match response {
            Response::Message(message) => message.write(&mut bytes, version).map_err(|error| error.0),
            Response::Fetch(plan) => {
                let response = api::fetch::respond(plan, &mut Stretches::default());
                response
                    .encode(&mut bytes, version)
                    .map_err(|error| error.to_string())
            }
            Response::ShareFetch(plan) => {
                let response = api::share_fetch::respond(plan, &mut Stretches::default());
                response
                    .encode(&mut bytes, version)
                    .map_err(|error| error.to_string())
            }
        };
        let name = api.name();
        written.unwrap_or_else(|why| panic!("{name} {version}: no answer can be written: {why}"));
        let mut bytes = bytes.freeze();
        let answer = (api.read)(&mut bytes, version)
            .unwrap_or_else(|why| panic!("{name} {version}: the answer can't be read: {why}"));
        assert!(
            bytes.is_empty(),
            "{name} {version}: the answer is longer than it is"
        );
        self.known.learn(&*answer);
    }

    /// Everything runs, and time passes: whoever waits has an answer.
    pub(super) fn finish(&mut self) {
        for broker in 1..=self.nodes.len() as i32 {
            self.manage(broker, Command::Start);
            self.manage(broker, Command::ResumeReplication);
        }
        self.pass(PATIENCE_MS);
        if !self.waiting.is_empty() {
            self.pass(LONGEST_MS);
        }
        if let Some(asked) = self.waiting.values().next() {
            let (name, version) = (asked.api.name(), asked.version);
            panic!("{name} {version} has no answer when the longest wait is over");
        }
    }
}
