//! Clients as they are in life: each does one thing at a time, loses requests and answers, and tries again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request};
use rand::RngExt;
use rand::rngs::StdRng;

use super::model::{Model, Outcome};
use super::shares::ShareModel;
use super::sim::{Fate, Sim, Ticket};
use super::wire::{self, Identity};
use super::{PARTITIONS, TOPIC};
use crate::log::{batch_records, batches};

/// The cluster, what is known of it, and chance.
pub(super) struct World {
    pub(super) sim: Sim,
    pub(super) model: Model,
    pub(super) shares: ShareModel,
    pub(super) rng: StdRng,
    /// The topic of all histories.
    pub(super) topic_id: uuid::Uuid,
    values: u64,
    /// Requests that the network has kept, with their partition and version.
    late: Vec<(i32, i16, ProduceRequest)>,
    /// Is everything that happens told.
    told: bool,
}

/// A client's answer, or why it has none; `None` is to try again.
type Told<T> = Result<Option<T>, String>;

impl World {
    pub(super) fn new(mut sim: Sim, rng: StdRng) -> Self {
        let known = sim.ask(1, 12, &wire::metadata());
        Self {
            topic_id: known.map_or(uuid::Uuid::nil(), |answer| answer.topics[0].topic_id),
            sim,
            model: Model::default(),
            shares: ShareModel::default(),
            rng,
            values: 0,
            late: Vec::new(),
            told: std::env::var_os("HISTORY").is_some(),
        }
    }

    /// Tells what happens, where somebody wants to know.
    pub(super) fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>9} {}", self.sim.elapsed_ms(), what());
        }
    }

    /// One of the brokers that run.
    pub(super) fn broker(&mut self) -> Option<i32> {
        let live = self.sim.live();
        (!live.is_empty()).then(|| live[self.rng.random_range(0..live.len())])
    }

    fn new_values(&mut self) -> Vec<String> {
        let count = self.rng.random_range(1..=3);
        let first = self.values;
        self.values += count;
        (first..self.values)
            .map(|number| format!("v{number:06}"))
            .collect()
    }

    /// Asks, and sometimes loses the request or its answer.
    pub(super) fn ask<R: Request + Encodable + HeaderVersion>(
        &mut self,
        broker: i32,
        version: i16,
        request: &R,
    ) -> Option<R::Response> {
        let chance = self.rng.random_range(0..100);
        if chance < 4 {
            return None;
        }
        let answer = self.sim.ask(broker, version, request);
        answer.filter(|_| chance >= 8)
    }

    /// The network has taken a produce, and may deliver it when its producer has long gone on.
    fn keep(&mut self, partition: i32, version: i16, request: ProduceRequest) {
        self.late.push((partition, version, request));
    }

    /// One of the requests that were kept arrives; nobody waits for its answer any more.
    pub(super) fn deliver_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.late.len());
        let (partition, version, request) = self.late.remove(at);
        let leader = self.leader(partition);
        self.tell(|| format!("a produce to {partition} arrives late, at {leader:?}"));
        if let Some(leader) = leader {
            self.sim.send(leader, version, &request);
        }
    }

    /// Who leads a partition now.
    pub(super) fn leader(&mut self, partition: i32) -> Option<i32> {
        self.led(partition).map(|(leader, _)| leader)
    }

    /// Who leads a partition now, and in which epoch.
    pub(super) fn led(&mut self, partition: i32) -> Option<(i32, i32)> {
        let broker = self.broker()?;
        let answer = self.sim.ask(broker, 12, &wire::metadata())?;
        let topic = answer.topics.into_iter().next()?;
        let found = topic
            .partitions
            .into_iter()
            .find(|p| p.partition_index == partition)?;
        (found.leader_id.0 >= 0).then_some((found.leader_id.0, found.leader_epoch))
    }

    /// Does this log, `broker-B/TOPIC-P`, belong to the leader of a partition of the topic.
    pub(super) fn leads(&mut self, log: &std::path::Path) -> bool {
        (0..PARTITIONS).any(|partition| {
            let leader = self.leader(partition).unwrap_or(-1);
            log == std::path::Path::new(&format!("broker-{leader}/{TOPIC}-{partition}"))
        })
    }

    pub(super) fn coordinator(&mut self, key: &str, transaction: bool) -> Option<i32> {
        let broker = self.broker()?;
        let answer = self.sim.ask(broker, 4, &wire::coordinator(key, transaction))?;
        let found = answer.coordinators.into_iter().next()?;
        (found.error_code == 0).then_some(found.node_id.0)
    }
}

/// Is it an error after which a client asks again.
fn passes(code: i16) -> bool {
    matches!(
        ResponseError::try_from_code(code),
        Some(
            ResponseError::NotLeaderOrFollower
                | ResponseError::LeaderNotAvailable
                | ResponseError::RequestTimedOut
                | ResponseError::NotEnoughReplicas
                | ResponseError::NotEnoughReplicasAfterAppend
                | ResponseError::UnknownTopicOrPartition
                | ResponseError::NotCoordinator
                | ResponseError::CoordinatorNotAvailable
                | ResponseError::CoordinatorLoadInProgress
                | ResponseError::ConcurrentTransactions
                | ResponseError::UnstableOffsetCommit
                | ResponseError::FencedLeaderEpoch
                | ResponseError::UnknownLeaderEpoch
                | ResponseError::OffsetNotAvailable
        )
    )
}

/// The one partition of a produce's answer: its error and offset.
fn produced(answer: &ProduceResponse) -> (i16, i64) {
    let part = &answer.responses[0].partition_responses[0];
    (part.error_code, part.base_offset)
}

fn acknowledge(model: &mut Model, values: &[String], base: i64) {
    for (value, at) in values.iter().zip(0..) {
        model.acknowledge(value, if base < 0 { -1 } else { base + at });
    }
}

/// A batch that is not acknowledged yet.
struct Open {
    values: Vec<String>,
    sequence: i32,
    batch: Bytes,
    ticket: Option<Ticket<ProduceRequest>>,
    /// It was sent before.
    sent: bool,
}

/// A producer on one partition, idempotent or not.
pub(super) struct Lane {
    name: String,
    partition: i32,
    idempotent: bool,
    who: Option<Identity>,
    sequence: i32,
    open: VecDeque<Open>,
    /// Batches that it may have in flight.
    in_flight: usize,
    /// Its first batch is acknowledged.
    known: bool,
}

impl Lane {
    pub(super) fn new(name: String, partition: i32, in_flight: usize) -> Self {
        Self {
            name,
            partition,
            in_flight,
            idempotent: true,
            known: false,
            who: None,
            sequence: 0,
            open: VecDeque::new(),
        }
    }

    /// One that is not idempotent: what it sends again may be there twice.
    pub(super) fn plain(name: String, partition: i32) -> Self {
        Self {
            idempotent: false,
            who: Some(Identity { id: -1, epoch: -1 }),
            ..Self::new(name, partition, 1)
        }
    }

    /// Has it nothing that waits for an acknowledgement.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Looks for answers, then sends: what has to be sent again, and a new batch if `new`.
    pub(super) fn act(&mut self, world: &mut World, new: bool) -> Result<(), String> {
        let Some(who) = self.who else {
            if let Some(broker) = world.broker()
                && let Some(answer) = world.ask(broker, 4, &wire::init_producer(None))
                && clear(answer.error_code).map_err(|error| format!("{}'s id: {error}", self.name))?
            {
                self.who = Some(Identity {
                    id: answer.producer_id.0,
                    epoch: answer.producer_epoch,
                });
            }
            return Ok(());
        };
        self.hear(world)?;
        // A partition takes any first sequence from a producer that it doesn't know, here as in Kafka: nothing goes after the
        // first batch before that is acknowledged.
        let in_flight = if self.known { self.in_flight } else { 1 };
        if new && self.open.len() < in_flight {
            let values = world.new_values();
            for value in &values {
                world.model.send(value, &self.name, self.partition, None);
            }
            let sequence = if self.idempotent { self.sequence } else { -1 };
            self.open.push_back(Open {
                batch: wire::batch(who, sequence, false, &values, world.sim.now_ms),
                sequence,
                values,
                ticket: None,
                sent: false,
            });
            self.sequence += self.open.back().map_or(0, |open| open.values.len() as i32);
        }
        self.send(world);
        Ok(())
    }

    fn hear(&mut self, world: &mut World) -> Result<(), String> {
        while let Some(first) = self.open.front_mut() {
            let Some(ticket) = &first.ticket else {
                return Ok(());
            };
            let answer = match world.sim.fate(ticket) {
                Fate::Pending => return Ok(()),
                Fate::Lost => None,
                Fate::Answered(_) if world.rng.random_range(0..100) < 4 => None,
                Fate::Answered(answer) => Some(produced(&answer)),
            };
            world.tell(|| format!("{} sequence {}: {answer:?}", self.name, first.sequence));
            match answer {
                Some((code, base)) if code == 0 || code == ResponseError::DuplicateSequenceNumber.code() => {
                    acknowledge(&mut world.model, &first.values, base);
                    self.known = true;
                    self.open.pop_front();
                }
                Some((code, _)) if !passes(code) => {
                    return Err(format!(
                        "{} sent sequence {} after all before it was acknowledged, and got error {code}",
                        self.name, first.sequence
                    ));
                }
                // Everything behind it is sent again as well, in order, as a client does.
                _ => {
                    for open in &mut self.open {
                        open.ticket = None;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, world: &mut World) {
        let Some(leader) = world.leader(self.partition) else {
            return;
        };
        for open in self.open.iter_mut().filter(|open| open.ticket.is_none()) {
            let request = wire::produce(self.partition, None, open.batch.clone());
            let lost = world.rng.random_range(0..100) < 4;
            world.tell(|| {
                format!(
                    "{} sends {} {:?} to {leader}, lost: {lost}",
                    self.name, open.sequence, open.values
                )
            });
            if lost {
                // What comes after it is not, where several are in flight.
                open.ticket = Some(world.sim.lose());
                if self.idempotent {
                    world.keep(self.partition, 11, request);
                }
                continue;
            }
            if open.sent && !self.idempotent {
                for value in &open.values {
                    world.model.may_double(value);
                }
            }
            open.sent = true;
            open.ticket = Some(world.sim.send(leader, 11, &request));
        }
    }
}

/// What a transactional producer is about to do.
enum Phase {
    /// To get an id and an epoch.
    Init,
    /// To begin.
    Ready,
    /// In the middle.
    Open {
        /// The transaction, in the model.
        transaction: usize,
        /// Partitions that are part of it.
        added: BTreeSet<i32>,
        /// The offset that goes with it.
        offset: Option<i64>,
        /// A batch that is not acknowledged yet.
        batch: Option<(i32, Vec<String>, Bytes)>,
    },
    /// To end.
    Ending {
        transaction: usize,
        commit: bool,
        offset: Option<i64>,
    },
}

/// A transactional producer.
pub(super) struct Transactional {
    name: String,
    /// As 4.x's clients do it (KIP-890, part 2), or as older ones.
    modern: bool,
    who: Identity,
    sequences: BTreeMap<i32, i32>,
    phase: Phase,
    /// The offset that it commits with this transaction, and with no other.
    next_offset: i64,
}

impl Transactional {
    pub(super) fn new(name: String, modern: bool) -> Self {
        Self {
            name,
            modern,
            who: Identity { id: -1, epoch: -1 },
            sequences: BTreeMap::new(),
            phase: Phase::Init,
            next_offset: 0,
        }
    }

    fn group(&self) -> String {
        format!("{}-group", self.name)
    }

    /// One step: a request and what follows from its answer.
    pub(super) fn act(&mut self, world: &mut World) {
        if world.rng.random_range(0..100) < 2 {
            self.die(world);
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Init) {
            Phase::Init => self.init(world),
            Phase::Ready => {
                self.next_offset += 1;
                Phase::Open {
                    transaction: world.model.begin(),
                    added: BTreeSet::new(),
                    offset: None,
                    batch: None,
                }
            }
            Phase::Open {
                transaction,
                added,
                offset,
                batch: None,
            } => match world.rng.random_range(0..10) {
                0..=2 if !added.is_empty() => Phase::Ending {
                    transaction,
                    commit: world.rng.random_bool(0.6),
                    offset,
                },
                3 if offset.is_none() && !added.is_empty() => self.send_offset(world, transaction, added),
                _ => self.prepare(world, transaction, added, offset),
            },
            Phase::Open {
                transaction,
                added,
                offset,
                batch: Some(batch),
            } => self.produce(world, transaction, added, offset, batch),
            Phase::Ending {
                transaction,
                commit,
                offset,
            } => self.end(world, transaction, commit, offset),
        };
    }

    /// The producer ends in the middle of what it does, and another one starts; a batch of the first may still be on its way.
    fn die(&mut self, world: &mut World) {
        world.tell(|| format!("{} is another one", self.name));
        if let Phase::Open {
            batch: Some((partition, _, batch)),
            ..
        } = std::mem::replace(&mut self.phase, Phase::Init)
        {
            let request = wire::produce(partition, Some(&self.name), batch);
            world.keep(partition, if self.modern { 12 } else { 11 }, request);
        }
    }

    fn init(&mut self, world: &mut World) -> Phase {
        if let Some(broker) = world.coordinator(&self.name, true)
            && let Some(answer) = world.ask(broker, 4, &wire::init_producer(Some(&self.name)))
            && answer.error_code == 0
        {
            self.become_known(answer.producer_id.0, answer.producer_epoch);
            return Phase::Ready;
        }
        Phase::Init
    }

    fn become_known(&mut self, id: i64, epoch: i16) {
        let who = Identity { id, epoch };
        if who != self.who {
            self.who = who;
            self.sequences.clear();
        }
    }

    fn send_offset(&mut self, world: &mut World, transaction: usize, added: BTreeSet<i32>) -> Phase {
        let (group, offset) = (self.group(), self.next_offset);
        let told = self.try_offset(world, &group, offset, transaction);
        let Ok(sent) = told else { return Phase::Init };
        Phase::Open {
            transaction,
            added,
            offset: sent,
            batch: None,
        }
    }

    fn try_offset(&self, world: &mut World, group: &str, offset: i64, transaction: usize) -> Told<i64> {
        if !self.modern {
            let Some(broker) = world.coordinator(&self.name, true) else {
                return Ok(None);
            };
            let Some(answer) = world.ask(broker, 3, &wire::add_offsets(&self.name, self.who, group)) else {
                return Ok(None);
            };
            if !clear(answer.error_code)? {
                return Ok(None);
            }
        }
        let Some(broker) = world.coordinator(group, false) else {
            return Ok(None);
        };
        world.model.committing(group, 0, offset);
        world.model.offset_in(group, offset, transaction);
        let version = if self.modern { 5 } else { 4 };
        let Some(answer) = world.ask(
            broker,
            version,
            &wire::txn_commit(&self.name, self.who, group, offset),
        ) else {
            return Ok(None);
        };
        Ok(clear(answer.topics[0].partitions[0].error_code)?.then_some(offset))
    }

    fn prepare(
        &mut self,
        world: &mut World,
        transaction: usize,
        mut added: BTreeSet<i32>,
        offset: Option<i64>,
    ) -> Phase {
        let partition = world.rng.random_range(0..PARTITIONS);
        let stay = |added| Phase::Open {
            transaction,
            added,
            offset,
            batch: None,
        };
        if !self.modern && !added.contains(&partition) {
            let Some(broker) = world.coordinator(&self.name, true) else {
                return stay(added);
            };
            let request = wire::add_partition(&self.name, self.who, partition);
            let Some(answer) = world.ask(broker, 3, &request) else {
                return stay(added);
            };
            let code = answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
            match clear(code) {
                Err(_) => return Phase::Init,
                Ok(false) => return stay(added),
                Ok(true) => {}
            }
        }
        added.insert(partition);
        let values = world.new_values();
        let lane = format!("{}-{partition}", self.name);
        for value in &values {
            world.model.send(value, &lane, partition, Some(transaction));
        }
        let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let batch = wire::batch(self.who, sequence, true, &values, world.sim.now_ms);
        self.produce(world, transaction, added, offset, (partition, values, batch))
    }

    fn produce(
        &mut self,
        world: &mut World,
        transaction: usize,
        added: BTreeSet<i32>,
        offset: Option<i64>,
        (partition, values, batch): (i32, Vec<String>, Bytes),
    ) -> Phase {
        let request = wire::produce(partition, Some(&self.name), batch.clone());
        let version = if self.modern { 12 } else { 11 };
        let leader = world.leader(partition);
        let answer = if world.rng.random_range(0..100) < 4 {
            world.keep(partition, version, request);
            None
        } else {
            leader.and_then(|leader| world.ask(leader, version, &request))
        };
        let answer = answer.map(|answer| produced(&answer));
        world.tell(|| {
            format!(
                "{} {:?} sent {values:?} to {partition} at {leader:?}: {answer:?}",
                self.name, self.who
            )
        });
        let still = match answer {
            Some((code, base)) if code == 0 || code == ResponseError::DuplicateSequenceNumber.code() => {
                acknowledge(&mut world.model, &values, base);
                *self.sequences.entry(partition).or_insert(0) += values.len() as i32;
                None
            }
            Some((code, _)) if !passes(code) => return Phase::Init,
            _ => Some((partition, values, batch)),
        };
        Phase::Open {
            transaction,
            added,
            offset,
            batch: still,
        }
    }

    fn end(&mut self, world: &mut World, transaction: usize, commit: bool, offset: Option<i64>) -> Phase {
        let again = Phase::Ending {
            transaction,
            commit,
            offset,
        };
        let Some(broker) = world.coordinator(&self.name, true) else {
            return again;
        };
        if commit {
            world.model.end(transaction, Outcome::Unknown);
        }
        let version = if self.modern { 5 } else { 4 };
        let Some(answer) = world.ask(broker, version, &wire::end(&self.name, self.who, commit)) else {
            return again;
        };
        world.tell(|| {
            format!(
                "{} {:?} commit={commit}: {}",
                self.name, self.who, answer.error_code
            )
        });
        match clear(answer.error_code) {
            Err(_) => Phase::Init,
            Ok(false) => again,
            Ok(true) => {
                if commit {
                    world.model.end(transaction, Outcome::Committed);
                    if let Some(offset) = offset {
                        world.model.committed(&self.group(), 0, offset);
                    }
                }
                if self.modern {
                    self.become_known(answer.producer_id.0, answer.producer_epoch);
                }
                Phase::Ready
            }
        }
    }
}

/// Is an answer without error, or one after which to try again; an error ends the transaction.
pub(super) fn clear(code: i16) -> Result<bool, String> {
    match code {
        0 => Ok(true),
        code if passes(code) => Ok(false),
        code => Err(format!("error {code}")),
    }
}

/// Reads one partition from an offset of its own on.
pub(super) struct Reader {
    pub(super) partition: i32,
    pub(super) committed: bool,
    next: i64,
    /// Producers whose transaction, at this place of the log, is one that was aborted.
    aborted: BTreeSet<i64>,
    pub(super) read: Vec<(i64, String)>,
}

impl Reader {
    pub(super) fn new(partition: i32, committed: bool) -> Self {
        Self {
            partition,
            committed,
            next: 0,
            aborted: BTreeSet::new(),
            read: Vec::new(),
        }
    }

    /// One fetch; says whether it brought anything.
    pub(super) fn act(&mut self, world: &mut World) -> Result<bool, String> {
        let Some(leader) = world.leader(self.partition) else {
            return Ok(false);
        };
        let request = wire::fetch(self.partition, self.next, self.committed);
        let Some(answer) = world.sim.ask(leader, 12, &request) else {
            return Ok(false);
        };
        let part = &answer.responses[0].partitions[0];
        let place = format!("{TOPIC}-{} offset {}", self.partition, self.next);
        if !clear(part.error_code).map_err(|error| format!("reading {place}: {error}"))? {
            return Ok(false);
        }
        let bytes = part.records.clone().unwrap_or_default();
        let mut ahead: Vec<(i64, i64)> = part
            .aborted_transactions
            .iter()
            .flatten()
            .map(|aborted| (aborted.first_offset, aborted.producer_id.0))
            .collect();
        ahead.sort_unstable();
        let before = self.next;
        for (header, batch) in batches(&bytes).map_while(Result::ok) {
            while ahead
                .first()
                .is_some_and(|(first, _)| *first <= header.last_offset())
            {
                self.aborted.insert(ahead.remove(0).1);
            }
            self.take(world, &header, &batch)?;
        }
        Ok(self.next > before)
    }

    fn take(
        &mut self,
        world: &mut World,
        header: &crate::log::BatchHeader,
        batch: &Bytes,
    ) -> Result<(), String> {
        let records = batch_records(batch, 1 << 20).map_err(|error| error.to_string())?;
        let next = header.last_offset() + 1;
        if header.is_control() {
            // Version and type: 0 is abort.
            let key = records
                .first()
                .and_then(|record| record.key.clone())
                .unwrap_or_default();
            if key.get(2..4) == Some(&[0, 0]) {
                self.aborted.remove(&header.producer_id);
            }
        } else if !(self.committed && header.is_transactional() && self.aborted.contains(&header.producer_id))
        {
            for record in records.into_iter().filter(|record| record.offset >= self.next) {
                let value = String::from_utf8_lossy(&record.value.unwrap_or_default()).into_owned();
                world
                    .model
                    .see(self.partition, record.offset, &value, self.committed)?;
                self.read.push((record.offset, value));
            }
        }
        self.next = self.next.max(next);
        Ok(())
    }

    /// Where it is.
    pub(super) fn position(&self) -> i64 {
        self.next
    }
}
