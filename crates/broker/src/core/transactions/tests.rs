//! The coordinator through the core's own door: requests in, responses out, a clock that is set by hand, real files.

mod coordination;
mod properties;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, BrokerId, EndTxnRequest, FetchRequest, FetchResponse, InitProducerIdRequest,
    ProduceRequest, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Request, StrBytes};

use super::state::Producer;
use crate::api::{self, Aside, Handler, Response};
use crate::core::configs::{Configs, Overrides};
use crate::core::ports::{RandomIds, Storage, TopicRules};
use crate::core::{Caller, Core, Effect, Event, Node, Outside};
use crate::data::{DiskStorage, FileJournal};
use crate::log::{BatchOptions, LogDir, LogDirOptions, NewRecord, batch_records, batches, build_batch};
use crate::net::Stretches;

const START_MS: i64 = 1_700_000_000_000;

/// A cluster of one broker.
struct Bench {
    folder: tempfile::TempDir,
    core: Core,
    now_ms: i64,
    requests: u64,
    replies: BTreeMap<u64, Response>,
}

fn open(data: &Path, now_ms: i64) -> Core {
    let path = data.join("broker-1");
    let dir = LogDir::open(&path, LogDirOptions::default()).unwrap();
    let (journal, records) = FileJournal::open(data, || "c".to_owned()).unwrap();
    let storage: Box<dyn Storage> = Box::new(DiskStorage::new(dir, journal.disk()));
    let node = Node {
        host: "127.0.0.1".to_owned(),
        port: 1,
    };
    let few = |name: &str| (name.to_owned(), "3".to_owned());
    let one = |name: &str| (name.to_owned(), "1".to_owned());
    let set = Overrides::from([
        few("transaction.state.log.num.partitions"),
        few("offsets.topic.num.partitions"),
        one("transaction.state.log.replication.factor"),
        one("transaction.state.log.min.isr"),
        one("offsets.topic.replication.factor"),
    ]);
    let configs = Configs {
        fixed: [(1, set)].into(),
        ..Configs::default()
    };
    let outside = Outside {
        storage: [(1, storage)].into(),
        journal: Box::new(journal),
        ids: Box::new(RandomIds),
        rules: Arc::new(RwLock::new(TopicRules::default())),
    };
    let mut core = Core::new("c".to_owned(), [(1, node)].into(), configs, outside);
    core.now_ms = now_ms;
    core.restore(records).unwrap();
    core
}

/// What a reader gets of one partition.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    values: Vec<String>,
    last_stable: i64,
    aborted: Vec<(i64, i64)>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut core = open(folder.path(), START_MS);
        core.ensure_offsets_topic().unwrap();
        core.ensure_transactions_topic().unwrap();
        core.create_topic("t", vec![vec![1]; 2], Overrides::new())
            .unwrap();
        Self {
            folder,
            core,
            now_ms: START_MS,
            requests: 0,
            replies: BTreeMap::new(),
        }
    }

    /// The process dies and starts again.
    fn killed(self) -> Self {
        drop(self.core);
        Self {
            core: open(self.folder.path(), self.now_ms),
            replies: BTreeMap::new(),
            ..self
        }
    }

    fn step(&mut self, event: Event) {
        for effect in self.core.step(self.now_ms, event) {
            if let Effect::Reply { to, response } = effect {
                self.replies.insert(to, response);
            }
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.step(Event::Tick);
    }

    fn send<H: Handler>(&mut self, version: i16, wire: H::Wire) -> u64 {
        self.requests += 1;
        let aside = Aside {
            rules: self.core.outside.rules.clone(),
            now_ms: self.now_ms,
            bytes: 100,
        };
        let caller = Caller {
            request: self.requests,
            broker: 1,
            connection: 1,
            version,
            client_id: "c".into(),
            host: "/127.0.0.1".into(),
            answer_is_lost: false,
        };
        let event = Event::Request {
            caller,
            api: api::find(<H::Wire as Request>::KEY).unwrap(),
            body: Box::new(H::prepare(wire, version, &aside)),
        };
        self.step(event);
        self.requests
    }

    fn ask<H: Handler>(&mut self, version: i16, wire: H::Wire) -> <H::Wire as Request>::Response
    where
        <H::Wire as Request>::Response: Decodable,
    {
        let id = self.send::<H>(version, wire);
        match self.replies.remove(&id) {
            Some(Response::Message(message)) => {
                let mut bytes = BytesMut::new();
                message.write(&mut bytes, version).unwrap();
                Decodable::decode(&mut bytes.freeze(), version).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    fn init(&mut self, id: &str) -> Result<Producer, i16> {
        self.init_as(id, None)
    }

    fn init_as(&mut self, id: &str, expected: Option<Producer>) -> Result<Producer, i16> {
        let own = expected.unwrap_or(super::state::NOBODY);
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id_of(id)))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(own.id))
            .with_producer_epoch(own.epoch);
        let response = self.ask::<api::init_producer_id::Api>(5, request);
        match response.error_code {
            0 => Ok(Producer {
                id: response.producer_id.0,
                epoch: response.producer_epoch,
            }),
            error => Err(error),
        }
    }

    /// One batch of `values`; the base offset or the error.
    fn produce(
        &mut self,
        version: i16,
        id: Option<&str>,
        producer: Producer,
        partition: i32,
        sequence: i32,
        values: &[&str],
    ) -> Result<i64, i16> {
        let records: Vec<NewRecord> = values
            .iter()
            .map(|value| NewRecord {
                timestamp_ms: self.now_ms,
                key: None,
                value: Some(Bytes::copy_from_slice(value.as_bytes())),
            })
            .collect();
        let options = BatchOptions {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: sequence,
            transactional: id.is_some(),
            ..BatchOptions::default()
        };
        let batch = build_batch(&records, options).unwrap();
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(batch.bytes().clone()));
        let topic = TopicProduceData::default()
            .with_name(topic("t"))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(id.map(id_of))
            .with_acks(-1)
            .with_topic_data(vec![topic]);
        let response = self.ask::<api::produce::Api>(version, request);
        let result = &response.responses[0].partition_responses[0];
        match result.error_code {
            0 => Ok(result.base_offset),
            error => Err(error),
        }
    }

    fn add(&mut self, id: &str, producer: Producer, partition: i32) -> i16 {
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id_of(id))
            .with_v3_and_below_producer_id(ProducerId(producer.id))
            .with_v3_and_below_producer_epoch(producer.epoch)
            .with_v3_and_below_topics(vec![
                AddPartitionsToTxnTopic::default()
                    .with_name(topic("t"))
                    .with_partitions(vec![partition]),
            ]);
        let response = self.ask::<api::add_partitions_to_txn::Api>(3, request);
        response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    fn end(&mut self, version: i16, id: &str, producer: Producer, committed: bool) -> Result<Producer, i16> {
        let request = EndTxnRequest::default()
            .with_transactional_id(id_of(id))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_committed(committed);
        let response = self.ask::<api::end_txn::Api>(version, request);
        match response.error_code {
            0 => Ok(Producer {
                id: response.producer_id.0,
                epoch: response.producer_epoch,
            }),
            error => Err(error),
        }
    }

    fn fetch(&mut self, partition: i32, from: i64, committed: bool) -> Read {
        let wanted = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(from)
            .with_partition_max_bytes(1 << 20);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_bytes(1 << 20)
            .with_isolation_level(i8::from(committed))
            .with_topics(vec![
                FetchTopic::default()
                    .with_topic(topic("t"))
                    .with_partitions(vec![wanted]),
            ]);
        let id = self.send::<api::fetch::Api>(12, request);
        let Some(Response::Fetch(plan)) = self.replies.remove(&id) else {
            panic!()
        };
        read(&api::fetch::respond(plan, &mut Stretches::default()))
    }

    /// A reader of committed records, as a client does it: from the start, over control records and aborted ones.
    fn committed(&mut self, partition: i32) -> Vec<String> {
        self.fetch(partition, 0, true).values
    }

    fn state(&mut self, id: &str) -> Option<&'static str> {
        let found = self.core.describe_transaction(1, id).ok()?;
        Some(found.state.name())
    }
}

fn read(response: &FetchResponse) -> Read {
    let part = &response.responses[0].partitions[0];
    assert_eq!(part.error_code, 0);
    let aborted: Vec<(i64, i64)> = part
        .aborted_transactions
        .iter()
        .flatten()
        .map(|txn| (txn.producer_id.0, txn.first_offset))
        .collect();
    let mut open: Vec<(i64, i64)> = aborted.clone();
    let mut skipping: Vec<i64> = Vec::new();
    let mut values = Vec::new();
    for (header, batch) in batches(part.records.as_ref().unwrap()).flatten() {
        let producer = header.producer_id;
        if header.is_control() {
            skipping.retain(|id| *id != producer);
            continue;
        }
        while let Some(at) = open.iter().position(|(_, first)| *first <= header.last_offset()) {
            skipping.push(open.remove(at).0);
        }
        if header.is_transactional() && skipping.contains(&producer) {
            continue;
        }
        for record in batch_records(&batch, 1 << 20).unwrap() {
            values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        }
    }
    Read {
        values,
        last_stable: part.last_stable_offset,
        aborted,
    }
}

fn id_of(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
