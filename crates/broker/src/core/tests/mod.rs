//! Several brokers without a socket or a clock: the core on real logs in a temporary folder.

mod folders;
mod groups;
mod moving;
mod quotas;
mod replication;
mod sessions;
mod shares;
mod transactions;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::admin::NewTopic;
use super::brokers::Command;
use super::configs::{Configs, Overrides};
use super::fetches::Part;
use super::ports::{RandomIds, SharedRules, Storage, TopicRules};
use super::{Caller, Core, Effect, Event, Node, Outside, Refusal, RequestId};
use crate::api::{Aside, Handler, Message, Response, fetch, find, produce};
use crate::data::{DiskStorage, FileJournal};
use crate::log::{BatchOptions, LogDir, LogDirOptions, NewRecord, batch_records, batches, build_batch};

/// A cluster in a folder, with the hand on its clock.
pub(super) struct Lab {
    pub(super) core: Core,
    pub(super) now_ms: i64,
    rules: SharedRules,
    next: RequestId,
    /// Answers that came later than their requests.
    pub(super) late: BTreeMap<RequestId, Option<Response>>,
    pub(super) muted: BTreeMap<RequestId, i64>,
    /// Requests are handled, and a fault loses their answers.
    pub(super) answers_are_lost: bool,
}

impl Lab {
    pub(super) fn open(folder: &Path, brokers: i32, configs: &[(&str, &str)]) -> Self {
        Self::open_at(folder, brokers, configs, 1_000_000)
    }

    pub(super) fn open_at(folder: &Path, brokers: i32, configs: &[(&str, &str)], now_ms: i64) -> Self {
        let nodes: BTreeMap<i32, Node> = (1..=brokers)
            .map(|id| (id, Node::local(9000 + id as u16)))
            .collect();
        let rules: SharedRules = Arc::new(RwLock::new(TopicRules::default()));
        let (journal, records) = FileJournal::open(folder, || "cluster".to_owned()).unwrap();
        let mut storage: BTreeMap<i32, Box<dyn Storage>> = BTreeMap::new();
        for id in nodes.keys() {
            let path = folder.join(format!("broker-{id}"));
            let dir = LogDir::open(path, LogDirOptions::default()).unwrap();
            storage.insert(*id, Box::new(DiskStorage::new(dir, journal.disk())));
        }
        let set: Overrides = configs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let configs = Configs {
            fixed: nodes.keys().map(|id| (*id, set.clone())).collect(),
            ..Configs::default()
        };
        let outside = Outside {
            storage,
            journal: Box::new(journal),
            ids: Box::new(RandomIds),
            rules: rules.clone(),
        };
        let mut core = Core::new("cluster".to_owned(), nodes, configs, outside);
        core.now_ms = now_ms;
        core.restore(records).unwrap();
        let mut lab = Self {
            core,
            now_ms,
            rules,
            next: 1,
            late: BTreeMap::new(),
            muted: BTreeMap::new(),
            answers_are_lost: false,
        };
        lab.pass(0);
        lab
    }

    /// Takes one event; everything that it answers is kept.
    fn step(&mut self, event: Event) -> Option<Result<(), Refusal>> {
        let mut managed = None;
        for effect in self.core.step(self.now_ms, event) {
            match effect {
                Effect::Reply { to, response } => {
                    self.late.insert(to, Some(response));
                }
                Effect::NoReply { to } | Effect::Hangup { to } => {
                    self.late.insert(to, None);
                }
                Effect::Mute { to, for_ms } => {
                    self.muted.insert(to, for_ms);
                }
                Effect::Managed { result, .. } => managed = Some(result),
            }
        }
        managed
    }

    /// Time passes, in steps as the core wants them.
    pub(super) fn pass(&mut self, ms: i64) {
        let end = self.now_ms + ms;
        while let Some(at) = self.core.deadline_ms().filter(|at| *at <= end) {
            self.now_ms = self.now_ms.max(at);
            self.step(Event::Tick);
        }
        self.now_ms = end;
        self.step(Event::Tick);
    }

    /// The clock is put forward in one go, as the lab's is: upkeep happens once.
    pub(super) fn advance(&mut self, ms: i64) {
        self.now_ms += ms;
        self.step(Event::Tick);
    }

    pub(super) fn command(&mut self, broker: i32, command: Command) {
        let id = self.next;
        self.next += 1;
        self.step(Event::Manage { id, broker, command }).unwrap().unwrap();
        self.pass(0);
    }

    /// Sends a request; its answer is in `late`, now or later.
    pub(super) fn send<H: Handler>(&mut self, broker: i32, version: i16, wire: H::Wire) -> RequestId
    where
        H::Wire: kafka_protocol::protocol::Request,
    {
        let aside = Aside {
            rules: self.rules.clone(),
            now_ms: self.now_ms,
            bytes: 100,
        };
        let call = H::prepare(wire, version, &aside);
        let request = self.next;
        self.next += 1;
        let caller = Caller {
            request,
            broker,
            connection: 1,
            version,
            client_id: "test".into(),
            host: "/127.0.0.1".into(),
            answer_is_lost: self.answers_are_lost,
        };
        let key = <H::Wire as kafka_protocol::protocol::Request>::KEY;
        self.step(Event::Request {
            caller,
            api: find(key).unwrap(),
            body: Box::new(call),
        });
        request
    }

    /// The answer to a request, when it is there.
    pub(super) fn answer<M: 'static>(&mut self, request: RequestId) -> Option<M> {
        match self.late.remove(&request)? {
            Some(Response::Message(message)) => Some(downcast(message)),
            other => panic!("no message: {other:?}"),
        }
    }

    /// Makes a topic of one partition with these replicas.
    pub(super) fn topic(&mut self, name: &str, replicas: &[i32], configs: &[(&str, &str)]) {
        let new = NewTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: vec![(0, replicas.to_vec())],
            configs: configs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
                .collect(),
        };
        let (partitions, configs) = self.core.plan_topic(&new).unwrap();
        self.core.create_topic(name, partitions, configs).unwrap();
        self.pass(0);
    }

    /// Sends one record; the answer is in `late`.
    pub(super) fn produce(&mut self, broker: i32, topic: &str, acks: i16, value: &str) -> RequestId {
        let record = NewRecord {
            timestamp_ms: self.now_ms,
            key: None,
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        };
        let batch = build_batch(&[record], BatchOptions::default()).unwrap();
        let part = PartitionProduceData::default()
            .with_index(0)
            .with_records(Some(batch.bytes().clone()));
        let data = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partition_data(vec![part]);
        let wire = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![data]);
        self.send::<produce::Api>(broker, 12, wire)
    }

    /// Sends one record and gives the error code of the answer that is there at once.
    pub(super) fn produced(&mut self, broker: i32, topic: &str, acks: i16, value: &str) -> i16 {
        let request = self.produce(broker, topic, acks, value);
        self.code(request).expect("an answer at once")
    }

    /// The error code of a produce, when it is answered.
    pub(super) fn code(&mut self, request: RequestId) -> Option<i16> {
        let response: ProduceResponse = self.answer(request)?;
        Some(response.responses[0].partition_responses[0].error_code)
    }

    /// Values that a consumer gets from a leader, or the error code.
    pub(super) fn read(&mut self, broker: i32, topic: &str) -> Result<Vec<String>, i16> {
        let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
        // Before version 11 only leaders answer.
        let part = self.fetch(broker, 10, topic, partition);
        match part.error {
            Some(error) => Err(error.code()),
            None => Ok(values(&part.slice.unwrap().read().unwrap())),
        }
    }

    /// One partition of a fetch's answer.
    pub(super) fn fetch(
        &mut self,
        broker: i32,
        version: i16,
        topic: &str,
        partition: FetchPartition,
    ) -> Part {
        let wire = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![
            FetchTopic::default()
                .with_topic(TopicName(StrBytes::from_string(topic.to_owned())))
                .with_partitions(vec![partition]),
        ]);
        let request = self.send::<fetch::Api>(broker, version, wire);
        let Some(Some(Response::Fetch(plan))) = self.late.remove(&request) else {
            panic!("no fetch");
        };
        plan.parts.into_iter().next().unwrap()
    }

    /// Values in a broker's own log, committed or not.
    pub(super) fn log(&self, broker: i32, topic: &str) -> Vec<String> {
        let log = &self.core.topics.get(topic).unwrap().partitions[0].logs[&broker].log;
        let slice = log.read(log.start_offset(), 1 << 20, log.end_offset(), true);
        values(&slice.unwrap().read().unwrap())
    }

    /// The first partition of a topic.
    pub(super) fn partition(&self, topic: &str) -> &super::topics::Partition {
        &self.core.topics.get(topic).unwrap().partitions[0]
    }
}

fn downcast<M: 'static>(message: Box<dyn Message>) -> M {
    let any: Box<dyn std::any::Any> = message.into_any();
    *any.downcast().expect("the response of this request")
}

fn values(bytes: &Bytes) -> Vec<String> {
    let mut values = Vec::new();
    for (_, batch) in batches(bytes).flatten() {
        for record in batch_records(&batch, 1 << 20).unwrap() {
            values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        }
    }
    values
}
