//! A group with a manual clock: wake-ups are kept and come when time is said to pass, what must survive is kept as a log.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::classic::{Classic, Join, Joined, Leaving, State, Sync, Synced};
use super::consumer::{Beat, Consumer};
use super::modern::Beaten;
use super::records::Saved;
use super::share::Share;
use super::{Asker, Cx, Group, Groups, Kind, Out, Partitions, Rules, TopicImage, Wake};
use crate::core::{Refusal, RequestId};

pub(crate) const SESSION_MS: i32 = 10_000;
pub(crate) const REBALANCE_MS: i32 = 60_000;

/// Topics by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeTopics(pub(crate) BTreeMap<String, (Uuid, i32)>);

impl TopicImage for FakeTopics {
    fn by_name(&self, name: &str) -> Option<(Uuid, i32)> {
        self.0.get(name).copied()
    }

    fn by_id(&self, id: Uuid) -> Option<(Arc<str>, i32)> {
        let (name, (_, count)) = self.0.iter().find(|(_, (own, _))| *own == id)?;
        Some((name.as_str().into(), *count))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.keys().map(|name| name.as_str().into()).collect()
    }
}

/// The topic of this number.
pub(crate) fn topic(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Partitions of the first topic.
pub(crate) fn parts(indexes: &[i32]) -> Partitions {
    if indexes.is_empty() {
        return Partitions::new();
    }
    Partitions::from([(topic(1), indexes.iter().copied().collect())])
}

/// A subscription as consumers of the classic protocol write it.
pub(crate) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_i32(topics.len() as i32);
    for name in topics {
        bytes.put_i16(name.len() as i16);
        bytes.put_slice(name.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.put_i32(0);
    bytes.freeze()
}

pub(crate) struct Lab {
    pub(crate) group: Group,
    pub(crate) now_ms: i64,
    pub(crate) rules: Rules,
    pub(crate) topics: FakeTopics,
    pub(crate) joined: Vec<(RequestId, Joined)>,
    pub(crate) synced: Vec<(RequestId, Synced)>,
    pub(crate) saved: Vec<Saved>,
    wakes: Vec<(i64, Wake)>,
}

impl Lab {
    /// A new group, and the topic `t` of four partitions.
    pub(crate) fn new() -> Self {
        Self {
            group: Group::new("g", 0),
            now_ms: 0,
            rules: Rules::default(),
            topics: FakeTopics(BTreeMap::from([("t".to_owned(), (topic(1), 4))])),
            joined: Vec::new(),
            synced: Vec::new(),
            saved: Vec::new(),
            wakes: Vec::new(),
        }
    }

    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Group, &mut Cx) -> T) -> T {
        let mut cx = Cx::new(self.now_ms, &self.rules, &self.topics);
        let result = act(&mut self.group, &mut cx);
        for wish in cx.out {
            match wish {
                Out::Joined(to, joined) => self.joined.push((to.request, joined)),
                Out::Synced(to, synced) => self.synced.push((to.request, synced)),
                Out::Wake(at, wake) => self.wakes.push((at, wake)),
                Out::Save(saved) => self.saved.push(saved),
            }
        }
        result
    }

    /// Lets time pass, waking the group whenever it wants.
    pub(crate) fn pass_to(&mut self, now_ms: i64) {
        loop {
            let due = self.wakes.iter().enumerate().filter(|(_, (at, _))| *at <= now_ms);
            let Some((next, _)) = due.min_by_key(|(_, (at, _))| *at) else {
                break;
            };
            let (at, wake) = self.wakes.remove(next);
            self.now_ms = self.now_ms.max(at);
            self.act(|group, cx| group.wake(cx, &wake));
        }
        self.now_ms = now_ms;
    }

    /// What a broker finds that reads the log.
    pub(crate) fn reread(&self) -> Group {
        let mut groups = Groups::default();
        for saved in &self.saved {
            let saved = Saved::read(&saved.key(), saved.value().as_ref()).unwrap();
            groups.replay(saved, self.now_ms);
        }
        groups.by_id.remove("g").unwrap()
    }

    pub(crate) fn classic(&self) -> &Classic {
        self.group.classic().unwrap()
    }

    pub(crate) fn consumer(&self) -> &Consumer {
        self.group.consumer().unwrap()
    }

    pub(crate) fn share(&self) -> &Share {
        self.group.share().unwrap()
    }

    pub(crate) fn state(&self) -> State {
        self.classic().state
    }

    /// A join; `member` is the id that a new member gets, with its client's name before it taken off.
    pub(crate) fn joining(&self, request: RequestId, member: &str, protocols: &[&str]) -> Join {
        let known = match &self.group.kind {
            Kind::Classic(classic) => classic.member(member).is_some(),
            Kind::Consumer(consumer) => consumer.members.contains_key(member),
            Kind::Share(share) => share.members.contains_key(member),
        };
        Join {
            asker: Asker { request, version: 3 },
            member: if known { member.to_owned() } else { String::new() },
            client_id: "c".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".to_owned(),
            protocols: protocols
                .iter()
                .map(|p| ((*p).to_owned(), subscription(&["t"])))
                .collect(),
            fresh_id: member.trim_start_matches("c-").to_owned(),
            fresh_consumer_id: member.to_owned(),
            ..Join::default()
        }
    }

    pub(crate) fn join(&mut self, request: RequestId, member: &str, protocols: &[&str]) {
        let join = self.joining(request, member, protocols);
        self.send(&join);
    }

    pub(crate) fn join_as(&mut self, request: RequestId, member: &str, instance: &str, protocols: &[&str]) {
        let join = Join {
            instance: Some(instance.to_owned()),
            ..self.joining(request, member, protocols)
        };
        self.send(&join);
    }

    pub(crate) fn send(&mut self, join: &Join) {
        self.act(|group, cx| group.join(cx, join));
        self.pass_to(self.now_ms);
    }

    pub(crate) fn sync(&mut self, request: RequestId, member: &str, assignments: &[(&str, &'static str)]) {
        let sync = Sync {
            asker: Asker { request, version: 5 },
            member: member.to_owned(),
            generation: self.generation(member),
            assignments: assignments
                .iter()
                .map(|(id, a)| ((*id).to_owned(), Bytes::from_static(a.as_bytes())))
                .collect(),
            ..Sync::default()
        };
        self.act(|group, cx| match &mut group.kind {
            Kind::Classic(classic) => classic.sync(cx, &sync),
            Kind::Consumer(consumer) => consumer.sync_classic(cx, &sync),
            Kind::Share(_) => {}
        });
    }

    fn generation(&self, member: &str) -> i32 {
        match &self.group.kind {
            Kind::Classic(classic) => classic.generation,
            Kind::Consumer(consumer) => consumer.members.get(member).map_or(0, |m| m.current.epoch),
            Kind::Share(share) => share.members.get(member).map_or(0, |m| m.current.epoch),
        }
    }

    pub(crate) fn heartbeat(&mut self, member: &str) -> Option<ResponseError> {
        let generation = self.generation(member);
        self.heartbeat_as(member, None, generation)
    }

    pub(crate) fn heartbeat_as(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Option<ResponseError> {
        self.act(|group, cx| match &mut group.kind {
            Kind::Classic(classic) => classic.heartbeat(cx, member, instance, generation),
            Kind::Consumer(consumer) => consumer.heartbeat_classic(cx, member, instance, generation),
            Kind::Share(_) => Some(ResponseError::UnknownMemberId),
        })
    }

    pub(crate) fn leave(&mut self, member: &str) -> Option<ResponseError> {
        let leaving = [Leaving {
            member: member.to_owned(),
            instance: None,
        }];
        self.act(|group, cx| group.leave(cx, &leaving))[0]
    }

    /// The answer to a join.
    pub(crate) fn answer(&self, request: RequestId) -> &Joined {
        &self.joined.iter().rfind(|(to, _)| *to == request).unwrap().1
    }

    /// The answer to a sync.
    pub(crate) fn assignment(&self, request: RequestId) -> &Synced {
        &self.synced.iter().rfind(|(to, _)| *to == request).unwrap().1
    }

    /// Two members of a classic group, `c-a` and `c-b`, settled.
    pub(crate) fn pair() -> Self {
        let mut lab = Self::new();
        lab.join(1, "c-a", &["range"]);
        lab.sync(2, "c-a", &[("c-a", "all")]);
        lab.join(3, "c-b", &["range"]);
        assert_eq!(lab.heartbeat("c-a"), Some(ResponseError::RebalanceInProgress));
        lab.join(4, "c-a", &["range"]);
        lab.sync(5, "c-b", &[]);
        lab.sync(6, "c-a", &[("c-a", "half"), ("c-b", "rest")]);
        assert_eq!(lab.state(), State::Stable);
        lab
    }

    /// A first heartbeat, for the topics.
    pub(crate) fn beat_join(&mut self, member: &str, topics: &[&str]) -> Result<Beaten, Refusal> {
        let beat = Beat {
            member: member.to_owned(),
            rebalance_timeout_ms: REBALANCE_MS,
            topics: Some(topics.iter().map(|t| (*t).to_owned()).collect()),
            owned: Some(Partitions::new()),
            ..Beat::default()
        };
        self.send_beat(&beat)
    }

    /// A heartbeat in the member's epoch, in which it says that it has `owned`.
    pub(crate) fn beat_with(&mut self, member: &str, owned: Option<Partitions>) -> Result<Beaten, Refusal> {
        let beat = Beat {
            member: member.to_owned(),
            epoch: self.generation(member),
            rebalance_timeout_ms: -1,
            owned,
            ..Beat::default()
        };
        self.send_beat(&beat)
    }

    pub(crate) fn send_beat(&mut self, beat: &Beat) -> Result<Beaten, Refusal> {
        self.act(|group, cx| group.beat(cx, beat))
    }
}
