//! `ShareFetch`: which records a member gets, and fetches that wait until there are some.

use std::collections::{BTreeSet, HashMap};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::partition::{Acquire, Acquired, Head};
use super::reads::ShareSettings;
use super::sessions::SessionKey;
use super::state::Key;
use crate::api::Response;
use crate::core::timers::Timer;
use crate::core::transactions::acks::Appended;
use crate::core::{Caller, Core, Node, RequestId, throttles};
use crate::log::{BatchHeader, LogError, LogSlice, batch_records};

/// So many batches of a partition are looked at for one fetch.
const MAX_HEADS: usize = 4_096;
/// A transaction's marker is no larger.
const MAX_MARKER_BYTES: u64 = 1 << 20;

/// What a member wants.
#[derive(Debug, Clone)]
pub(crate) struct ShareFetch {
    pub(crate) session: SessionKey,
    pub(crate) epoch: i32,
    pub(crate) min_bytes: usize,
    pub(crate) max_bytes: u32,
    pub(crate) max_wait_ms: i64,
    pub(crate) max_records: i64,
    pub(crate) batch_size: i64,
    pub(crate) record_limit: bool,
    /// What came of the acknowledgements of the same request.
    pub(crate) acked: Vec<Acked>,
}

/// What came of the acknowledgements for one partition.
#[derive(Debug, Clone)]
pub(crate) struct Acked {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    pub(crate) error: Option<ResponseError>,
    pub(crate) message: Option<String>,
}

/// One partition of an answer.
#[derive(Debug)]
pub(crate) struct SharePart {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    pub(crate) error: Option<ResponseError>,
    pub(crate) ack_error: Option<ResponseError>,
    pub(crate) ack_message: Option<String>,
    pub(crate) leader: Option<(i32, i32)>,
    pub(crate) slice: Option<LogSlice>,
    pub(crate) acquired: Vec<Acquired>,
}

impl SharePart {
    fn of(topic: Uuid, partition: i32) -> Self {
        Self {
            topic,
            partition,
            error: None,
            ack_error: None,
            ack_message: None,
            leader: None,
            slice: None,
            acquired: Vec::new(),
        }
    }
}

/// An answer, whose records are yet to be read.
#[derive(Debug, Default)]
pub(crate) struct SharePlan {
    pub(crate) error: Option<ResponseError>,
    pub(crate) lock_ms: i32,
    /// For how long the client has to wait.
    pub(crate) throttle_ms: i32,
    pub(crate) parts: Vec<SharePart>,
    pub(crate) nodes: Vec<(i32, Node)>,
}

impl SharePlan {
    /// Bytes of the answer, about: what a quota counts.
    fn bytes(&self) -> usize {
        const ALONE: usize = 20;
        const PER_PARTITION: usize = 60;
        const PER_ACQUIRED: usize = 18;
        let of_parts = self.parts.iter().map(|part| {
            let records = part.slice.as_ref().map_or(0, LogSlice::len);
            PER_PARTITION + part.acquired.len() * PER_ACQUIRED + records
        });
        ALONE + of_parts.sum::<usize>()
    }
}

struct Parked {
    caller: Caller,
    fetch: ShareFetch,
    appended: Vec<Appended>,
}

/// Fetches that wait.
#[derive(Default)]
pub(crate) struct ParkedShares {
    parked: HashMap<RequestId, Parked>,
    by_partition: HashMap<(Uuid, i32), BTreeSet<RequestId>>,
}

impl ParkedShares {
    /// What waits for an answer of this broker.
    pub(crate) fn of_broker(&self, broker: i32) -> Vec<RequestId> {
        let of_it = self
            .parked
            .iter()
            .filter(|(_, parked)| parked.caller.broker == broker);
        of_it.map(|(request, _)| *request).collect()
    }
}

/// A partition that may give something.
struct Readable {
    key: Key,
    offset: i64,
    slice: LogSlice,
    /// Transactions that were aborted, where only committed records are read.
    aborted: Vec<(i64, i64)>,
}

/// What there is to read.
struct Found {
    readable: Vec<Readable>,
    parts: Vec<SharePart>,
}

impl Core {
    /// Answers a fetch of a session, or parks it until there is enough to read or its time is over.
    pub(crate) fn share_fetch(&mut self, caller: &Caller, fetch: ShareFetch, appended: Vec<Appended>) {
        let found = self.find_shared(&fetch);
        let bytes: usize = found.readable.iter().map(|of| of.slice.len()).sum();
        let nothing_to_wait_for = self.shares.sessions.get(&fetch.session).is_none_or(|session| {
            let failed = found.parts.iter().filter(|part| part.error.is_some()).count();
            failed >= session.reading.len()
        });
        let enough = !found.readable.is_empty() && bytes >= fetch.min_bytes.max(1);
        if enough || nothing_to_wait_for || fetch.max_wait_ms <= 0 || fetch.max_records <= 0 {
            self.answer_share(caller, &fetch, found, appended);
            return;
        }
        let request = caller.request;
        self.timers
            .set(self.now_ms + fetch.max_wait_ms, Timer::ShareFetch(request));
        for at in self.reading_of(&fetch.session) {
            self.shares
                .parked
                .by_partition
                .entry(at)
                .or_default()
                .insert(request);
        }
        let parked = Parked {
            caller: caller.clone(),
            fetch,
            appended,
        };
        self.shares.parked.parked.insert(request, parked);
    }

    fn reading_of(&self, session: &SessionKey) -> Vec<(Uuid, i32)> {
        let session = self.shares.sessions.get(session);
        let reading = session.map_or(&[][..], |session| &session.reading);
        reading.iter().map(|of| (of.topic, of.partition)).collect()
    }

    /// What the partitions of a session have to give, in turns.
    fn find_shared(&mut self, fetch: &ShareFetch) -> Found {
        let (broker, group, _) = &fetch.session;
        let settings = self.share_settings(*broker, group);
        let mut reading = self.reading_of(&fetch.session);
        if fetch.max_records <= 0 {
            reading.clear();
        }
        let turn = fetch.epoch.max(0) as usize % reading.len().max(1);
        reading.rotate_left(turn);
        let mut open = Vec::new();
        let mut parts = Vec::new();
        for (topic, partition) in reading {
            let key = Key {
                group: group.clone(),
                topic,
                partition,
            };
            let opened = match self.topics.name_of(topic) {
                None => Err(ResponseError::UnknownTopicId),
                Some(_) => self.open_share_partition(*broker, &key),
            };
            match opened {
                Ok(()) => {
                    let known = self.shares.partitions.get(&key);
                    if known.is_some_and(|known| known.can_acquire(settings.max_in_flight)) {
                        open.push(key);
                    }
                }
                Err(error) => {
                    let mut part = SharePart::of(topic, partition);
                    part.error = Some(error);
                    parts.push(part);
                }
            }
        }
        let max_bytes = fetch.max_bytes / (open.len().max(1) as u32);
        let mut readable = Vec::new();
        for key in open {
            match self.read_shared(*broker, &key, max_bytes, &settings) {
                Ok(read) => readable.push(read),
                Err(error) => {
                    let mut part = SharePart::of(key.topic, key.partition);
                    part.error = Some(error);
                    parts.push(part);
                }
            }
        }
        Found { readable, parts }
    }

    fn read_shared(
        &mut self,
        broker: i32,
        key: &Key,
        max_bytes: u32,
        settings: &ShareSettings,
    ) -> Result<Readable, ResponseError> {
        let gone = ResponseError::UnknownTopicOrPartition;
        let partition = self.topics.partition(key.topic, key.partition).ok_or(gone)?;
        let replica = partition
            .led_by(broker)
            .ok_or(ResponseError::NotLeaderOrFollower)?;
        let upper = if settings.read_committed {
            replica.log.last_stable_offset(replica.high_watermark)
        } else {
            replica.high_watermark
        };
        let shared = self.shares.partitions.get_mut(key).ok_or(gone)?;
        let mut offset = shared.next_fetch_offset();
        let slice = match replica.log.read(offset, max_bytes, upper, true) {
            Err(LogError::OffsetOutOfRange { .. }) => {
                // The log's start has moved past it.
                shared.move_start(replica.log.start_offset());
                offset = shared.next_fetch_offset();
                replica.log.read(offset, max_bytes, upper, true)
            }
            other => other,
        };
        let slice = slice.map_err(|error| error.code())?;
        let aborted = if settings.read_committed {
            replica.log.aborted_transactions(offset, &slice)
        } else {
            Vec::new()
        };
        Ok(Readable {
            key: key.clone(),
            offset,
            slice,
            aborted,
        })
    }

    /// Acquires what was found, and answers.
    fn answer_share(&mut self, caller: &Caller, fetch: &ShareFetch, found: Found, appended: Vec<Appended>) {
        let (broker, group, member) = &fetch.session;
        let settings = self.share_settings(*broker, group);
        let member: std::sync::Arc<str> = member.as_str().into();
        let mut left = fetch.max_records;
        let mut parts = found.parts;
        for read in found.readable {
            let how = Acquire {
                member: member.clone(),
                record_limit: fetch.record_limit,
                batch_size: fetch.batch_size,
                max_records: left,
                fetch_offset: read.offset,
                locked_until_ms: self.now_ms + settings.lock_ms,
                max_deliveries: settings.max_deliveries,
                max_in_flight: settings.max_in_flight,
            };
            let part = self.acquire_shared(&read, &how);
            left -= part.acquired.iter().map(Acquired::len).sum::<i64>();
            parts.push(part);
            self.watch_locks(&read.key);
        }
        let lock_ms = i32::try_from(settings.lock_ms).unwrap_or(i32::MAX);
        let is_first = fetch.epoch == super::sessions::OPENS;
        if let Some(session) = self.shares.sessions.get_mut(&fetch.session)
            && !is_first
        {
            parts.retain(|part| {
                let (records, error) = (!part.acquired.is_empty(), part.error.is_some());
                session.tells(part.topic, part.partition, records, error)
            });
        }
        let plan = SharePlan {
            lock_ms,
            parts,
            ..SharePlan::default()
        };
        self.finish_share(caller, plan, &fetch.acked, appended);
    }

    fn acquire_shared(&mut self, read: &Readable, how: &Acquire) -> SharePart {
        let mut part = SharePart::of(read.key.topic, read.key.partition);
        let heads = match read.slice.heads(MAX_HEADS) {
            Ok(heads) => heads,
            Err(why) => {
                tracing::warn!(%why, "a share fetch could not be read");
                part.error = Some(ResponseError::KafkaStorageError);
                return part;
            }
        };
        let Some(shared) = self.shares.partitions.get_mut(&read.key) else {
            return part;
        };
        let bounds: Vec<Head> = heads.iter().map(|(_, header)| bounds(header)).collect();
        let mut acquired = shared.acquire(how, &bounds);
        if !read.aborted.is_empty() {
            let aborted = aborted_batches(&read.slice, &heads, &read.aborted);
            acquired = shared.drop_aborted(acquired, &aborted);
        }
        if let (Some(first), Some(last)) = (acquired.first(), acquired.last()) {
            let within = heads
                .iter()
                .filter(|(_, header)| header.last_offset() >= first.first && header.base_offset <= last.last);
            let ends = within.map(|(at, header)| (*at, *at + header.size as u32));
            let span = ends.reduce(|all, next| (all.0.min(next.0), all.1.max(next.1)));
            part.slice = span.map(|(from, to)| read.slice.part(from, to));
        }
        part.acquired = acquired;
        part
    }

    /// Puts together what is answered, once what it rests on is safe.
    pub(crate) fn finish_share(
        &mut self,
        caller: &Caller,
        mut plan: SharePlan,
        acked: &[Acked],
        appended: Vec<Appended>,
    ) {
        for of in acked {
            let at = (of.topic, of.partition);
            let known = plan
                .parts
                .iter()
                .position(|part| (part.topic, part.partition) == at);
            let place = known.unwrap_or_else(|| {
                plan.parts.push(SharePart::of(of.topic, of.partition));
                plan.parts.len() - 1
            });
            let part = &mut plan.parts[place];
            part.ack_error = of.error;
            part.ack_message.clone_from(&of.message);
        }
        for part in &mut plan.parts {
            if let Some(ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch) = part.error {
                let leader = self.topics.partition(part.topic, part.partition);
                part.leader = leader.map(|partition| (partition.leader, partition.leader_epoch));
                let id = part.leader.map_or(-1, |(id, _)| id);
                if let Some(node) = self.nodes.get(&id)
                    && plan.nodes.iter().all(|(known, _)| *known != id)
                {
                    plan.nodes.push((id, node.clone()));
                }
            }
        }
        let throttle_ms = if self.quotas.is_empty() {
            0
        } else {
            self.count_bytes(throttles::Kind::Fetch, caller, plan.bytes())
        };
        if throttle_ms > 0 {
            // As in Kafka, what was acquired stays so until its lock ends.
            plan = SharePlan {
                throttle_ms,
                ..SharePlan::default()
            };
        }
        let refused = SharePlan {
            error: Some(ResponseError::CoordinatorNotAvailable),
            ..SharePlan::default()
        };
        self.reply_after(
            appended,
            caller.request,
            Response::ShareFetch(plan),
            Response::ShareFetch(refused),
        );
    }

    /// Replies once all of these appends are on every replica in sync, with `refused` where one is lost.
    pub(crate) fn reply_after(
        &mut self,
        mut appended: Vec<Appended>,
        to: RequestId,
        response: Response,
        refused: Response,
    ) {
        let Some(next) = appended.pop() else {
            self.reply(to, response);
            return;
        };
        self.when_replicated(next, move |core, result| match result {
            Ok(()) => core.reply_after(appended, to, response, refused),
            Err(_) => core.reply(to, refused),
        });
    }

    /// Something changed in a partition: answers the fetches for which it is enough.
    pub(crate) fn wake_shares(&mut self, topic: Uuid, partition: i32) {
        let Some(waiting) = self.shares.parked.by_partition.get(&(topic, partition)) else {
            return;
        };
        for request in waiting.clone() {
            let Some(parked) = self.shares.parked.parked.get(&request) else {
                continue;
            };
            let fetch = parked.fetch.clone();
            let found = self.find_shared(&fetch);
            let bytes: usize = found.readable.iter().map(|of| of.slice.len()).sum();
            let failed = found.parts.iter().any(|part| part.error.is_some());
            if !failed && (found.readable.is_empty() || bytes < fetch.min_bytes.max(1)) {
                continue;
            }
            if let Some(parked) = self.unpark_share(request) {
                self.answer_share(&parked.caller, &fetch, found, parked.appended);
            }
        }
    }

    /// A topic is gone: answers all who wait for it.
    pub(crate) fn wake_shares_of(&mut self, topic: Uuid) {
        let keys = self.shares.parked.by_partition.keys();
        let keys: Vec<(Uuid, i32)> = keys.copied().filter(|(id, _)| *id == topic).collect();
        for (topic, partition) in keys {
            self.wake_shares(topic, partition);
        }
    }

    /// A fetch has waited long enough: it gets what there is.
    pub(crate) fn finish_share_fetch(&mut self, request: RequestId) {
        if let Some(parked) = self.unpark_share(request) {
            let found = self.find_shared(&parked.fetch);
            self.answer_share(&parked.caller, &parked.fetch, found, parked.appended);
        }
    }

    fn unpark_share(&mut self, request: RequestId) -> Option<Parked> {
        let parked = self.shares.parked.parked.remove(&request)?;
        self.shares.parked.by_partition.retain(|_, waiting| {
            waiting.remove(&request);
            !waiting.is_empty()
        });
        Some(parked)
    }

    /// Nobody waits for an answer of a broker that is gone.
    pub(crate) fn unpark_shares_of(&mut self, broker: i32) -> Vec<RequestId> {
        let requests = self.shares.parked.of_broker(broker);
        for request in &requests {
            self.unpark_share(*request);
        }
        requests
    }
}

fn bounds(header: &BatchHeader) -> Head {
    Head {
        first: header.base_offset,
        last: header.last_offset(),
    }
}

/// The batches of transactions that were aborted.
fn aborted_batches(slice: &LogSlice, heads: &[(u32, BatchHeader)], aborted: &[(i64, i64)]) -> Vec<Head> {
    let mut to_come: Vec<(i64, i64)> = aborted.iter().map(|(id, first)| (*first, *id)).collect();
    to_come.sort_unstable();
    let mut to_come = to_come.into_iter().peekable();
    let mut producers: BTreeSet<i64> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, header) in heads.iter().filter(|(_, header)| header.has_producer()) {
        while let Some((_, id)) = to_come.next_if(|(first, _)| *first <= header.last_offset()) {
            producers.insert(id);
        }
        if header.is_control() {
            if is_abort(&slice.part(*at, *at + header.size as u32)) {
                producers.remove(&header.producer_id);
            }
        } else if header.is_transactional() && producers.contains(&header.producer_id) {
            found.push(bounds(header));
        }
    }
    found
}

/// Is this batch the marker of an abort: its record's key is a version and the type 0.
fn is_abort(batch: &LogSlice) -> bool {
    let records = batch
        .read()
        .ok()
        .and_then(|bytes| batch_records(&bytes, MAX_MARKER_BYTES).ok());
    let key = records.and_then(|records| records.into_iter().next()?.key);
    key.is_some_and(|key| key.get(2..4) == Some(&[0, 0]))
}
