//! Fetch sessions (KIP-227): what a client reads is kept between its requests, so that both sides say what has changed only.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::RequestId;
use super::fetches::{FetchPlan, Part, Wanted};
use crate::log::LogSlice;

/// The epoch of a request that asks for a new session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none.
const FINAL_EPOCH: i32 = -1;
/// The cache is made of so many parts, each with its own ids and its own room, as in Kafka.
const SHARDS: i32 = 8;
const SHARD_IDS: i32 = i32::MAX / SHARDS;
/// A session is safe for so long from those that have more partitions, and from all while it is used as often.
const EVICTION_MS: i64 = 120_000;
/// More partitions than this are not kept, in all sessions of a broker together.
const MAX_PARTITIONS: usize = 200_000;
/// No topic's name is longer than this; what is longer is not kept.
const MAX_NAME: usize = 249;

/// How a fetch goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// It is complete in itself.
    None,
    /// It asks for a session.
    New,
    /// It belongs to this session, which is at this epoch by now.
    Of { id: i32, epoch: i32 },
}

/// What a fetch says of its session.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) broker: i32,
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    /// The request names topics by their ids.
    pub(crate) by_id: bool,
    /// Partitions that are to be read no more.
    pub(crate) forgotten: Vec<PartKey>,
}

/// A topic as its requests name it, and the number of a partition.
pub(crate) type PartKey = (TopicKey, i32);

/// A topic as requests name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Id(Uuid),
    Name(Arc<str>),
}

impl TopicKey {
    fn of(by_id: bool, id: Uuid, name: &Arc<str>) -> Self {
        if by_id {
            Self::Id(id)
        } else {
            Self::Name(name.clone())
        }
    }
}

/// The sessions of all brokers.
#[derive(Debug, Default)]
pub(crate) struct FetchSessions {
    pub(super) by_broker: HashMap<i32, Cache>,
}

/// The sessions of one broker.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) sessions: HashMap<i32, Kept>,
    /// Partitions in all of them.
    pub(super) partitions: usize,
    /// The part of the cache that gets the next session.
    next_shard: i32,
}

/// One session.
#[derive(Debug)]
pub(super) struct Kept {
    by_id: bool,
    /// In the order in which they are read: those that had records go to the end.
    parts: BTreeMap<u64, Cached>,
    places: HashMap<PartKey, u64>,
    next_place: u64,
    begun_ms: i64,
    used_ms: i64,
    epoch: i32,
    /// Its request that waits.
    parked: Option<RequestId>,
    /// As of its last request: how many partitions it has, and may it go for one that has more.
    size: usize,
    evictable: bool,
}

/// One partition of a session.
#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    /// As the client was told last; -1 where it has to be told.
    high_watermark: i64,
    log_start: i64,
}

impl Cached {
    /// Does an answer have to have this partition.
    fn is_news(&self, part: &Part) -> bool {
        part.slice.as_ref().is_some_and(|slice| !slice.is_empty())
            || self.high_watermark != part.high_watermark
            || self.log_start != part.log_start
            || part.error.is_some()
            || part.diverging.is_some()
    }

    fn told(&mut self, part: &Part) {
        // Once the error is gone, the partition is told again.
        self.high_watermark = if part.error.is_some() {
            -1
        } else {
            part.high_watermark
        };
        self.log_start = part.log_start;
    }
}

impl Kept {
    fn new(by_id: bool, now_ms: i64) -> Self {
        Self {
            by_id,
            parts: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
            begun_ms: now_ms,
            used_ms: now_ms,
            epoch: next_epoch(INITIAL_EPOCH),
            parked: None,
            size: 0,
            evictable: false,
        }
    }

    fn key(&self, wanted: &Wanted) -> PartKey {
        (
            TopicKey::of(self.by_id, wanted.topic_id, &wanted.topic),
            wanted.partition,
        )
    }

    fn place(&self, key: &PartKey) -> Option<u64> {
        self.places.get(key).copied()
    }

    fn put_last(&mut self, key: PartKey, cached: Cached) {
        self.places.insert(key, self.next_place);
        self.parts.insert(self.next_place, cached);
        self.next_place += 1;
    }

    /// Takes what a request changes.
    fn update(&mut self, wanted: &[Wanted], forgotten: &[PartKey]) {
        for wanted in wanted {
            let key = self.key(wanted);
            let known = self.place(&key).and_then(|place| self.parts.get_mut(&place));
            if let Some(cached) = known {
                let name = std::mem::replace(&mut cached.wanted, wanted.clone()).topic;
                if cached.wanted.topic.is_empty() {
                    cached.wanted.topic = name;
                }
            } else {
                let cached = Cached {
                    wanted: wanted.clone(),
                    high_watermark: -1,
                    log_start: -1,
                };
                self.put_last(key, cached);
            }
        }
        for key in forgotten {
            if let Some(place) = self.places.remove(key) {
                self.parts.remove(&place);
            }
        }
    }

    fn touch(&mut self, now_ms: i64) {
        self.used_ms = now_ms;
        self.size = self.parts.len();
        self.evictable = now_ms - self.begun_ms > EVICTION_MS;
    }
}

/// Are there names that no topic has.
fn is_strange(wanted: &[Wanted]) -> bool {
    wanted.iter().any(|wanted| wanted.topic.len() > MAX_NAME)
}

fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        ..0 => FINAL_EPOCH,
        i32::MAX => 1,
        epoch => epoch + 1,
    }
}

impl Cache {
    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.parts.len();
        }
    }

    /// Makes room in one part of the cache for a session of `size` partitions: somebody who is gone, or who has less, has
    /// to go. Says whether there is room.
    fn make_room(&mut self, shard: i32, most: usize, size: usize, now_ms: i64) -> bool {
        let of_shard = || self.sessions.iter().filter(|(id, _)| **id / SHARD_IDS == shard);
        if of_shard().count() < most {
            return true;
        }
        let oldest = of_shard().min_by_key(|(id, session)| (session.used_ms, **id));
        let stale = oldest.filter(|(_, session)| now_ms - session.used_ms > EVICTION_MS);
        let smallest = || {
            of_shard()
                .filter(|(_, session)| session.evictable)
                .min_by_key(|(id, session)| (session.size, **id))
                .filter(|(_, session)| session.size < size)
        };
        let Some(id) = stale.or_else(smallest).map(|(id, _)| *id) else {
            return false;
        };
        self.remove(id);
        true
    }
}

impl super::Core {
    /// What a fetch wants in all, and how it goes on; `wanted` is what its request says.
    ///
    /// # Errors
    /// `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH`, `FETCH_SESSION_TOPIC_ID_ERROR`.
    pub(crate) fn fetch_session(
        &mut self,
        asked: &Asked,
        mut wanted: Vec<Wanted>,
    ) -> Result<(Vec<Wanted>, Session), ResponseError> {
        let now_ms = self.now_ms;
        let cache = self.fetch_sessions.by_broker.get_mut(&asked.broker);
        if asked.epoch == INITIAL_EPOCH || asked.epoch == FINAL_EPOCH {
            // A session that is named ends here.
            if let Some(cache) = cache.filter(|_| asked.id != 0) {
                cache.remove(asked.id);
            }
            let next = if asked.epoch == INITIAL_EPOCH && !is_strange(&wanted) {
                Session::New
            } else {
                Session::None
            };
            self.resolve_all(&mut wanted, asked.by_id);
            return Ok((wanted, next));
        }
        let missing = ResponseError::FetchSessionIdNotFound;
        let cache = cache.ok_or(missing)?;
        let session = cache.sessions.get_mut(&asked.id).ok_or(missing)?;
        if session.epoch != asked.epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.by_id != asked.by_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        let before = session.parts.len();
        session.update(&wanted, &asked.forgotten);
        let after = session.parts.len();
        cache.partitions = cache.partitions - before + after;
        if after == 0 {
            cache.remove(asked.id);
            self.resolve_all(&mut wanted, asked.by_id);
            return Ok((wanted, Session::None));
        }
        if cache.partitions > MAX_PARTITIONS || is_strange(&wanted) {
            // The client begins anew, with a request for all that it wants.
            cache.remove(asked.id);
            return Err(missing);
        }
        session.touch(now_ms);
        session.epoch = next_epoch(session.epoch);
        let next = Session::Of {
            id: asked.id,
            epoch: session.epoch,
        };
        let mut all: Vec<Wanted> = session
            .parts
            .values()
            .map(|cached| cached.wanted.clone())
            .collect();
        let earlier = session.parked.take();
        self.resolve_all(&mut all, asked.by_id);
        self.remember_names(asked, &all);
        if let Some(earlier) = earlier {
            // Its epoch is over; it would get an error in the end.
            self.finish_fetch(earlier);
        }
        Ok((all, next))
    }

    /// A topic that a session has known by name stays known to it.
    fn remember_names(&mut self, asked: &Asked, all: &[Wanted]) {
        let cache = self.fetch_sessions.by_broker.get_mut(&asked.broker);
        if let Some(session) = cache.and_then(|cache| cache.sessions.get_mut(&asked.id)) {
            for (cached, wanted) in session.parts.values_mut().zip(all) {
                if cached.wanted.topic.is_empty() && !wanted.topic.is_empty() {
                    cached.wanted.topic = wanted.topic.clone();
                }
            }
        }
    }

    /// A request of a session waits.
    pub(super) fn session_waits(&mut self, broker: i32, session: Session, request: RequestId) {
        if let Session::Of { id, .. } = session
            && let Some(cache) = self.fetch_sessions.by_broker.get_mut(&broker)
            && let Some(kept) = cache.sessions.get_mut(&id)
        {
            kept.parked = Some(request);
        }
    }

    /// Finds the topics that are wanted; each once, where its partitions follow one another.
    fn resolve_all(&self, wanted: &mut [Wanted], by_id: bool) {
        let mut last: Option<(Arc<str>, Uuid, Wanted)> = None;
        for wanted in wanted {
            match &last {
                Some((name, id, found)) if Arc::ptr_eq(name, &wanted.topic) && *id == wanted.topic_id => {
                    wanted.topic = found.topic.clone();
                    wanted.topic_id = found.topic_id;
                    wanted.error = found.error;
                }
                _ => {
                    let (name, id) = (wanted.topic.clone(), wanted.topic_id);
                    self.resolve(wanted, by_id);
                    last = Some((name, id, wanted.clone()));
                }
            }
        }
    }

    /// Finds the topic that is wanted.
    fn resolve(&self, wanted: &mut Wanted, by_id: bool) {
        wanted.error = if !by_id {
            match self.topics.get(&wanted.topic) {
                Some(known) => {
                    wanted.topic = known.name.clone();
                    wanted.topic_id = known.id;
                    None
                }
                None => Some(ResponseError::UnknownTopicOrPartition),
            }
        } else if wanted.topic.is_empty() {
            match self.topics.name_of(wanted.topic_id) {
                Some(name) => {
                    wanted.topic = name.clone();
                    None
                }
                None => Some(ResponseError::UnknownTopicId),
            }
        } else {
            match self.topics.get(&wanted.topic) {
                Some(known) if known.id == wanted.topic_id => None,
                Some(_) => Some(ResponseError::InconsistentTopicId),
                None => Some(ResponseError::UnknownTopicOrPartition),
            }
        };
    }

    /// Which partitions of a plan its client has to be told.
    pub(super) fn news(
        &self,
        broker: i32,
        session: Session,
        plan: &FetchPlan,
    ) -> Result<Vec<bool>, ResponseError> {
        let Session::Of { id, epoch } = session else {
            return Ok(vec![true; plan.parts.len()]);
        };
        let cache = self.fetch_sessions.by_broker.get(&broker);
        let kept = cache.and_then(|cache| cache.sessions.get(&id));
        let kept = kept.ok_or(ResponseError::FetchSessionIdNotFound)?;
        if kept.epoch != epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        let is_news = |part: &Part| {
            let key = (
                TopicKey::of(kept.by_id, part.topic_id, &part.topic),
                part.partition,
            );
            let cached = kept.place(&key).and_then(|place| kept.parts.get(&place));
            cached.is_none_or(|cached| cached.is_news(part))
        };
        Ok(plan.parts.iter().map(is_news).collect())
    }

    /// Notes what a client is told, and leaves out of it what it knows.
    pub(super) fn tell(&mut self, broker: i32, id: i32, news: &[bool], plan: &mut FetchPlan) {
        let cache = self.fetch_sessions.by_broker.get_mut(&broker);
        if let Some(kept) = cache.and_then(|cache| cache.sessions.get_mut(&id)) {
            for part in plan
                .parts
                .iter()
                .zip(news)
                .filter_map(|(part, news)| news.then_some(part))
            {
                let key = (
                    TopicKey::of(kept.by_id, part.topic_id, &part.topic),
                    part.partition,
                );
                let Some(place) = kept.place(&key) else { continue };
                if part.slice.as_ref().is_none_or(LogSlice::is_empty) {
                    if let Some(cached) = kept.parts.get_mut(&place) {
                        cached.told(part);
                    }
                } else if let Some(mut cached) = kept.parts.remove(&place) {
                    cached.told(part);
                    kept.put_last(key, cached);
                }
            }
        }
        let mut news = news.iter();
        plan.parts.retain(|_| news.next().copied().unwrap_or(true));
        plan.session_id = id;
    }

    /// Makes a session of what a complete fetch has read, where there is room; 0 where there is none.
    pub(super) fn new_session(
        &mut self,
        broker: i32,
        by_id: bool,
        wanted: &[Wanted],
        plan: &FetchPlan,
    ) -> i32 {
        let now_ms = self.now_ms;
        let mut kept = Kept::new(by_id, now_ms);
        kept.update(wanted, &[]);
        for part in &plan.parts {
            let key = (TopicKey::of(by_id, part.topic_id, &part.topic), part.partition);
            if let Some(cached) = kept.place(&key).and_then(|place| kept.parts.get_mut(&place)) {
                cached.high_watermark = part.high_watermark;
                cached.log_start = part.log_start;
            }
        }
        kept.touch(now_ms);
        let slots = self
            .configs
            .number(broker, "max.incremental.fetch.session.cache.slots");
        let most = usize::try_from(slots / i64::from(SHARDS)).unwrap_or(0).max(1);
        let cache = self.fetch_sessions.by_broker.entry(broker).or_default();
        let shard = cache.next_shard;
        cache.next_shard = (shard + 1) % SHARDS;
        if cache.partitions + kept.size > MAX_PARTITIONS || !cache.make_room(shard, most, kept.size, now_ms) {
            return 0;
        }
        let id = loop {
            let random = self.outside.ids.uuid().as_u128() as u32 >> 1;
            let id = shard * SHARD_IDS + (random % SHARD_IDS as u32) as i32;
            if id != 0 && !cache.sessions.contains_key(&id) {
                break id;
            }
        };
        cache.partitions += kept.size;
        cache.sessions.insert(id, kept);
        id
    }

    /// A broker that ends forgets its sessions.
    pub(super) fn forget_sessions(&mut self, broker: i32) {
        self.fetch_sessions.by_broker.remove(&broker);
    }
}
