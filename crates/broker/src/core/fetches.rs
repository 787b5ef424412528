//! Reading: which bytes a fetch gets, and fetches that wait for more of them.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::fetch_sessions::Session;
use super::timers::Timer;
use super::topics::{Partition, Replica};
use super::{Caller, Node, throttles};
use crate::api::Response;
use crate::log::{EpochEnd, LogSlice};

/// One partition of a fetch.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) max_bytes: u32,
    /// The leader epoch that the client believes in, -1 for none.
    pub(crate) leader_epoch: i32,
    /// The epoch of the record before `offset`, as the client has it; -1 where it doesn't say.
    pub(crate) last_epoch: i32,
    /// Set where the request alone decides, as for an unknown topic id.
    pub(crate) error: Option<ResponseError>,
}

/// A fetch as the core sees it.
#[derive(Debug, Clone)]
pub(crate) struct Fetch {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) min_bytes: u32,
    pub(crate) max_bytes: u32,
    pub(crate) max_wait_ms: i64,
    pub(crate) read_committed: bool,
    /// Must the broker lead what it is asked for; newer clients may read from followers (KIP-392).
    pub(crate) leader_only: bool,
    pub(crate) session: Session,
}

/// One partition of the answer; its bytes are read outside the core.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) error: Option<ResponseError>,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start: i64,
    /// Producer id and first offset of each aborted transaction in the data.
    pub(crate) aborted: Option<Vec<(i64, i64)>>,
    pub(crate) slice: Option<LogSlice>,
    /// Where the client's log and this one part: the largest epoch that both know, and its end here.
    pub(crate) diverging: Option<EpochEnd>,
    /// Leader and leader epoch, to go with an error that a change of the leader gives (KIP-951).
    pub(crate) leader: Option<(i32, i32)>,
}

/// The answer to a fetch.
#[derive(Debug, Default)]
pub(crate) struct FetchPlan {
    pub(crate) parts: Vec<Part>,
    /// The session that the client may go on with; 0 for none.
    pub(crate) session_id: i32,
    /// For how long the client has to wait.
    pub(crate) throttle_ms: i32,
    /// Has the request an error of its own.
    pub(crate) error: Option<ResponseError>,
    /// Where the leaders are that the parts name.
    pub(crate) nodes: Vec<(i32, Node)>,
}

impl Part {
    /// Is it of a partition that there is not.
    fn is_missing(&self) -> bool {
        matches!(
            self.error,
            Some(ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId)
        )
    }

    /// With nothing in it yet.
    fn of(wanted: &Wanted) -> Self {
        Self {
            topic: wanted.topic.clone(),
            topic_id: wanted.topic_id,
            partition: wanted.partition,
            error: wanted.error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start: -1,
            aborted: None,
            slice: None,
            diverging: None,
            leader: None,
        }
    }
}

impl FetchPlan {
    /// Bytes of records in all partitions.
    pub(crate) fn bytes(&self) -> usize {
        let slices = self.parts.iter().filter_map(|part| part.slice.as_ref());
        slices.map(LogSlice::len).sum()
    }
}

/// Fetches that wait.
#[derive(Default)]
pub(crate) struct ParkedFetches {
    parked: HashMap<u64, (Caller, Fetch)>,
    by_partition: HashMap<(Uuid, i32), Vec<u64>>,
}

impl ParkedFetches {
    /// What waits for an answer of this broker.
    pub(super) fn of_broker(&self, broker: i32) -> Vec<u64> {
        let of_it = self
            .parked
            .iter()
            .filter(|(_, (caller, _))| caller.broker == broker);
        of_it.map(|(request, _)| *request).collect()
    }
}

impl super::Core {
    /// A broker's copy of a partition, for a client that believes in a leader epoch (-1: in none).
    pub(crate) fn replica_of(
        &self,
        broker: i32,
        topic: &str,
        index: i32,
        epoch: i32,
        leader_only: bool,
    ) -> Result<(&Partition, &Replica), ResponseError> {
        let partition = self
            .topics
            .get(topic)
            .and_then(|t| t.partitions.get(usize::try_from(index).ok()?))
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let Some(replica) = partition.logs.get(&broker) else {
            return Err(ResponseError::NotLeaderOrFollower);
        };
        if let Some(error) = epoch_error(epoch, partition.leader_epoch) {
            return Err(error);
        }
        if leader_only && partition.leader != broker {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        Ok((partition, replica))
    }

    /// Who leads a partition, and since which epoch.
    pub(crate) fn leader_of(&self, topic: &str, index: i32) -> Option<(i32, i32)> {
        let partition = self
            .topics
            .get(topic)?
            .partitions
            .get(usize::try_from(index).ok()?)?;
        Some((partition.leader, partition.leader_epoch))
    }

    /// Answers a fetch, or parks it until there is enough to read or its time is over.
    pub(crate) fn fetch(&mut self, caller: &Caller, fetch: Fetch) -> Option<FetchPlan> {
        let plan = self.plan_fetch(caller, &fetch);
        if fetch.max_wait_ms <= 0 || fetch.wanted.is_empty() || is_enough(&plan, fetch.min_bytes) {
            return Some(self.finished(caller, &fetch, plan));
        }
        self.timers
            .set(self.now_ms + fetch.max_wait_ms, Timer::Fetch(caller.request));
        self.session_waits(caller.broker, fetch.session, caller.request);
        for wanted in &fetch.wanted {
            self.fetches
                .by_partition
                .entry((wanted.topic_id, wanted.partition))
                .or_default()
                .push(caller.request);
        }
        self.fetches
            .parked
            .insert(caller.request, (caller.clone(), fetch));
        None
    }

    fn plan_fetch(&self, caller: &Caller, fetch: &Fetch) -> FetchPlan {
        let mut left = fetch.max_bytes;
        let mut parts = Vec::with_capacity(fetch.wanted.len());
        let mut nodes: Vec<(i32, Node)> = Vec::new();
        let mut empty = true;
        for wanted in &fetch.wanted {
            let mut part = Part::of(wanted);
            if part.error.is_none() {
                // Progress over limits: the first record is sent even where it alone is too large.
                let max_bytes = wanted.max_bytes.min(left);
                let read = self.read_part(caller.broker, fetch, wanted, max_bytes, empty, &mut part);
                part.error = read.err();
            }
            if part.is_missing() {
                part.aborted = Some(Vec::new());
            }
            if caller.version >= 16
                && let Some(ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch) =
                    part.error
            {
                part.leader = self.leader_of(&wanted.topic, wanted.partition);
                let leader = part.leader.map_or(-1, |(id, _)| id);
                if let Some(node) = self.nodes.get(&leader)
                    && nodes.iter().all(|(id, _)| *id != leader)
                {
                    nodes.push((leader, node.clone()));
                }
            }
            let len = part.slice.as_ref().map_or(0, LogSlice::len) as u32;
            left = left.saturating_sub(len);
            empty &= len == 0;
            parts.push(part);
        }
        // What isn't there comes last, as in Kafka.
        parts.sort_by_key(Part::is_missing);
        FetchPlan {
            parts,
            nodes,
            ..FetchPlan::default()
        }
    }

    fn read_part(
        &self,
        broker: i32,
        fetch: &Fetch,
        wanted: &Wanted,
        max_bytes: u32,
        min_one: bool,
        part: &mut Part,
    ) -> Result<(), ResponseError> {
        let (partition, epoch) = (wanted.partition, wanted.leader_epoch);
        let (_, replica) = self.replica_of(broker, &wanted.topic, partition, epoch, fetch.leader_only)?;
        let stable = replica.log.last_stable_offset(replica.high_watermark);
        let upper = if fetch.read_committed {
            stable
        } else {
            replica.high_watermark
        };
        if wanted.last_epoch >= 0 {
            part.diverging = divergence(replica, wanted)?;
        }
        if part.diverging.is_none() {
            let slice = replica
                .log
                .read(wanted.offset, max_bytes, upper, min_one)
                .map_err(|error| error.code())?;
            if fetch.read_committed {
                part.aborted = Some(replica.log.aborted_transactions(wanted.offset, &slice));
            }
            part.slice = Some(slice);
        }
        part.high_watermark = replica.high_watermark;
        part.last_stable_offset = stable;
        part.log_start = replica.log.start_offset();
        Ok(())
    }

    /// Something was appended: answers the fetches for which it is enough.
    pub(crate) fn wake_fetches(&mut self, topic_id: Uuid, partition: i32) {
        self.wake_shares(topic_id, partition);
        let Some(waiting) = self.fetches.by_partition.get(&(topic_id, partition)) else {
            return;
        };
        for request in waiting.clone() {
            let Some((caller, fetch)) = self.fetches.parked.get(&request) else {
                continue;
            };
            let plan = self.plan_fetch(caller, fetch);
            if is_enough(&plan, fetch.min_bytes)
                && let Some((caller, fetch)) = self.unpark(request)
            {
                let plan = self.finished(&caller, &fetch, plan);
                self.reply(request, Response::Fetch(plan));
            }
        }
    }

    /// A topic is gone: answers all who wait for it.
    pub(crate) fn wake_fetches_of(&mut self, topic_id: Uuid) {
        let waiting: Vec<u64> = self
            .fetches
            .by_partition
            .iter()
            .filter(|((id, _), _)| *id == topic_id)
            .flat_map(|(_, requests)| requests.iter().copied())
            .collect();
        for request in waiting {
            self.finish_fetch(request);
        }
    }

    /// A fetch has waited long enough: it gets what there is.
    pub(crate) fn finish_fetch(&mut self, request: u64) {
        if let Some((caller, fetch)) = self.unpark(request) {
            let plan = self.plan_fetch(&caller, &fetch);
            let plan = self.finished(&caller, &fetch, plan);
            self.reply(request, Response::Fetch(plan));
        }
    }

    /// What a fetch is answered in the end: within its client's quota, and of a session what has changed.
    fn finished(&mut self, caller: &Caller, fetch: &Fetch, mut plan: FetchPlan) -> FetchPlan {
        let (broker, session) = (caller.broker, fetch.session);
        if session == Session::None && self.quotas.is_empty() {
            return plan;
        }
        let session_id = match session {
            Session::Of { id, .. } => id,
            Session::None | Session::New => 0,
        };
        let news = match self.news(broker, session, &plan) {
            Ok(news) => news,
            Err(error) => {
                let error = Some(error);
                return FetchPlan {
                    session_id,
                    error,
                    ..FetchPlan::default()
                };
            }
        };
        if !self.quotas.is_empty() {
            let told = plan
                .parts
                .iter()
                .zip(&news)
                .filter_map(|(part, news)| news.then_some(part));
            let throttle_ms = self.count_bytes(throttles::Kind::Fetch, caller, size(told));
            if throttle_ms > 0 {
                return FetchPlan {
                    session_id,
                    throttle_ms,
                    ..FetchPlan::default()
                };
            }
        }
        match session {
            Session::None => {}
            Session::New => {
                plan.session_id = self.new_session(broker, caller.version >= 13, &fetch.wanted, &plan);
            }
            Session::Of { id, .. } => self.tell(broker, id, &news, &mut plan),
        }
        plan
    }

    pub(super) fn unpark(&mut self, request: u64) -> Option<(Caller, Fetch)> {
        let (caller, fetch) = self.fetches.parked.remove(&request)?;
        for wanted in &fetch.wanted {
            let key = (wanted.topic_id, wanted.partition);
            if let Some(waiting) = self.fetches.by_partition.get_mut(&key) {
                waiting.retain(|id| *id != request);
                if waiting.is_empty() {
                    self.fetches.by_partition.remove(&key);
                }
            }
        }
        Some((caller, fetch))
    }
}

/// Bytes of an answer, but for what depends on its version.
fn size<'a>(parts: impl Iterator<Item = &'a Part>) -> usize {
    const ALONE: usize = 20;
    const PER_TOPIC: usize = 19;
    const PER_PARTITION: usize = 43;
    const PER_ABORTED: usize = 17;
    let mut topic = None;
    let of_parts = parts.map(|part| {
        let is_next = topic.replace(part.topic_id) == Some(part.topic_id);
        let aborted = part.aborted.as_ref().map_or(0, Vec::len);
        let records = part.slice.as_ref().map_or(0, LogSlice::len);
        let head = if is_next { 0 } else { PER_TOPIC };
        head + PER_PARTITION + aborted * PER_ABORTED + records
    });
    ALONE + of_parts.sum::<usize>()
}

/// Is there nothing to wait for: enough bytes, or an error to tell; none of a partition that there is not, where others may
/// get records.
fn is_enough(plan: &FetchPlan, min_bytes: u32) -> bool {
    let urgent = |part: &Part| (part.error.is_some() && !part.is_missing()) || part.diverging.is_some();
    plan.bytes() >= min_bytes as usize
        || plan.parts.iter().any(urgent)
        || plan.parts.iter().all(Part::is_missing)
}

/// Does the client's log, by the epoch of its last record, part from this one.
fn divergence(replica: &Replica, wanted: &Wanted) -> Result<Option<EpochEnd>, ResponseError> {
    let end = replica.log.offset_for_leader_epoch(wanted.last_epoch);
    let end = end.ok_or(ResponseError::OffsetOutOfRange)?;
    let parts = end.leader_epoch < wanted.last_epoch || end.end_offset < wanted.offset;
    Ok(parts.then_some(end))
}

/// What Kafka answers to a client with another idea of the leader's epoch (KIP-320).
fn epoch_error(asked: i32, current: i32) -> Option<ResponseError> {
    match asked {
        -1 => None,
        asked if asked < current => Some(ResponseError::FencedLeaderEpoch),
        asked if asked > current => Some(ResponseError::UnknownLeaderEpoch),
        _ => None,
    }
}
