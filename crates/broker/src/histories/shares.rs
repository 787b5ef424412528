//! Members of a share group (KIP-932): they are given records, say what has become of them, lose answers, and vanish.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as Said,
};
use kafka_protocol::messages::share_fetch_request::{AcknowledgementBatch, FetchPartition, FetchTopic};
use kafka_protocol::messages::{
    GroupId, ShareAcknowledgeRequest, ShareFetchRequest, ShareFetchResponse, ShareGroupHeartbeatRequest,
    TopicName,
};
use rand::RngExt;

use super::clients::{World, clear};
use super::wire::text;
use super::{PARTITIONS, TOPIC};
use crate::api::share_wire::{AcknowledgeWire, FetchWire};
use crate::log::batches;

/// The group of all share members.
pub(super) const GROUP: &str = "shared";
/// How long a record is a member's: the least that Kafka takes.
pub(super) const LOCK_MS: i64 = 15_000;
/// How often a record is given at most: the most that Kafka takes.
pub(super) const DELIVERIES: i16 = 10;

/// Words for a record.
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;
const RENEW: i8 = 4;

/// A partition and an offset.
type Place = (i32, i64);

/// Who leads a partition, in which of its epochs, in which life of the process: with that a leader's locks end.
pub(super) type Reign = (usize, i32, i32);

/// A record is a member's for a time.
#[derive(Debug, Clone)]
struct Lock {
    member: String,
    until_ms: i64,
    reign: Reign,
}

/// What members of a share group were told.
#[derive(Debug, Default)]
pub(super) struct ShareModel {
    locks: BTreeMap<Place, Lock>,
    /// Accepted or rejected, and that was answered.
    done: BTreeSet<Place>,
    /// Accepted or rejected, without an answer.
    perhaps_done: BTreeSet<Place>,
    /// How often a record was given.
    given: BTreeMap<Place, usize>,
    /// Fetches whose answer nobody saw.
    pub(super) unseen: usize,
    /// Records that were accepted or rejected.
    pub(super) settled: usize,
}

impl ShareModel {
    /// A member was given records; it asked at `asked_ms` and has its answer at `now_ms`.
    fn give(
        &mut self,
        member: &str,
        place: Place,
        count: i16,
        reign: Reign,
        (asked_ms, now_ms): (i64, i64),
    ) -> Result<(), String> {
        if self.done.contains(&place) {
            return Err(format!(
                "{member} was given {place:?}, which is accepted or rejected"
            ));
        }
        if !(1..=DELIVERIES).contains(&count) {
            return Err(format!("{member} was given {place:?} for time {count}"));
        }
        if let Some(lock) = self.locks.get(&place)
            && lock.member != member
            && lock.reign == reign
            && now_ms < lock.until_ms
        {
            return Err(format!(
                "{member} was given {place:?} at {now_ms}, which is {}'s until {}",
                lock.member, lock.until_ms
            ));
        }
        *self.given.entry(place).or_default() += 1;
        let lock = Lock {
            member: member.to_owned(),
            until_ms: asked_ms + LOCK_MS,
            reign,
        };
        self.locks.insert(place, lock);
        Ok(())
    }

    /// A member speaks of records.
    fn say(&mut self, member: &str, places: &[Place], word: i8) {
        for place in places {
            if word != RENEW && self.locks.get(place).is_some_and(|lock| lock.member == member) {
                self.locks.remove(place);
            }
            if matches!(word, ACCEPT | REJECT) {
                self.perhaps_done.insert(*place);
            }
        }
    }

    /// It was heard.
    fn said(
        &mut self,
        member: &str,
        places: &[Place],
        word: i8,
        reign: Reign,
        (asked_ms, now_ms): (i64, i64),
    ) -> Result<(), String> {
        for place in places {
            let lock = self.locks.get_mut(place);
            match lock {
                Some(lock) if lock.member != member && lock.reign == reign && now_ms < lock.until_ms => {
                    return Err(format!(
                        "{member} has said {word} of {place:?}, which is {}'s",
                        lock.member
                    ));
                }
                Some(lock) if word == RENEW && lock.member == member => {
                    lock.until_ms = asked_ms + LOCK_MS;
                }
                _ => {}
            }
            if matches!(word, ACCEPT | REJECT) {
                self.settled += 1;
                self.done.insert(*place);
            }
        }
        Ok(())
    }

    /// It was refused: nothing of it holds.
    fn unsaid(&mut self, places: &[Place], before: &BTreeSet<Place>) {
        for place in places.iter().filter(|place| !before.contains(place)) {
            self.perhaps_done.remove(place);
        }
    }

    /// A member's session ends: what it has goes back.
    fn leave(&mut self, member: &str) {
        self.locks.retain(|_, lock| lock.member != member);
    }

    /// May this record never be given again.
    pub(super) fn is_settled(&self, place: Place) -> bool {
        let given = self.given.get(&place).copied().unwrap_or(0) + self.unseen;
        self.done.contains(&place) || self.perhaps_done.contains(&place) || given >= DELIVERIES as usize
    }
}

/// A member of the share group.
pub(super) struct ShareMember {
    name: String,
    lives: usize,
    /// Its epoch in the group.
    epoch: i32,
    /// Its last heartbeat had no answer that it could use.
    unanswered: bool,
    /// Its sessions, by broker: the epoch of the next request.
    sessions: BTreeMap<i32, i32>,
    assigned: BTreeSet<i32>,
    /// What it was given and has not spoken of, and by whom.
    held: BTreeMap<Place, Reign>,
}

impl ShareMember {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            lives: 0,
            epoch: 0,
            unanswered: false,
            sessions: BTreeMap::new(),
            assigned: BTreeSet::new(),
            held: BTreeMap::new(),
        }
    }

    fn id(&self) -> String {
        format!("{}-{}", self.name, self.lives)
    }

    /// One thing that a member does.
    pub(super) fn act(&mut self, world: &mut World) -> Result<(), String> {
        match world.rng.random_range(0..100) {
            0..=2 => {
                world.tell(|| format!("{} is another one", self.id()));
                self.become_another();
                Ok(())
            }
            _ if self.assigned.is_empty() => self.beat(world),
            3..=14 => self.beat(world),
            15..=17 => self.close(world),
            18..=55 if !self.held.is_empty() => {
                let word = match world.rng.random_range(0..20) {
                    0..=11 => ACCEPT,
                    12..=14 => RELEASE,
                    15..=17 => REJECT,
                    _ => RENEW,
                };
                self.acknowledge(world, word)
            }
            56..=66 if !self.held.is_empty() => self.fetch(world, Some(ACCEPT)),
            _ => self.fetch(world, None),
        }
    }

    fn become_another(&mut self) {
        *self = Self {
            lives: self.lives + 1,
            ..Self::new(&self.name)
        };
    }

    /// Reads and accepts what there is, as long as everything runs.
    pub(super) fn finish(&mut self, world: &mut World) -> Result<(), String> {
        if self.assigned.len() < PARTITIONS as usize || world.rng.random_range(0..5) == 0 {
            self.beat(world)?;
        }
        for _ in 0..2 {
            self.fetch(world, None)?;
            if !self.held.is_empty() {
                self.acknowledge(world, ACCEPT)?;
            }
        }
        Ok(())
    }

    fn beat(&mut self, world: &mut World) -> Result<(), String> {
        let Some(broker) = world.coordinator(GROUP, false) else {
            return Ok(());
        };
        // As Kafka's client does: who has no answer says everything again, and is told everything.
        let whole = std::mem::replace(&mut self.unanswered, true) || self.epoch == 0;
        let topics = whole.then(|| vec![TopicName(text(TOPIC))]);
        let request = ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(GROUP)))
            .with_member_id(text(&self.id()))
            .with_member_epoch(self.epoch)
            .with_subscribed_topic_names(topics);
        let Some(answer) = world.ask(broker, 1, &request) else {
            return Ok(());
        };
        world.tell(|| {
            let told = answer.assignment.as_ref().map(|all| &all.topic_partitions);
            format!(
                "{} beats: {} {} {told:?}",
                self.id(),
                answer.error_code,
                answer.member_epoch
            )
        });
        match ResponseError::try_from_code(answer.error_code) {
            Some(
                ResponseError::UnknownMemberId
                | ResponseError::FencedMemberEpoch
                | ResponseError::GroupIdNotFound,
            ) => {
                self.epoch = 0;
                return Ok(());
            }
            _ if !clear(answer.error_code).map_err(|error| format!("{}: {error}", self.id()))? => {
                return Ok(());
            }
            _ => (self.epoch, self.unanswered) = (answer.member_epoch, false),
        }
        if let Some(assignment) = answer.assignment {
            let topics = assignment.topic_partitions.into_iter();
            self.assigned = topics.flat_map(|topic| topic.partitions).collect();
        }
        Ok(())
    }

    /// What another leader has given is given again.
    fn forget_others(&mut self, partition: i32, reign: Reign) {
        self.held.retain(|place, by| place.0 != partition || *by == reign);
    }

    /// The first run of offsets of a partition that it has.
    fn run(&self, partition: i32) -> Vec<Place> {
        let mut run: Vec<Place> = Vec::new();
        for place in self.held.keys().filter(|place| place.0 == partition) {
            if run.last().is_some_and(|last| last.1 + 1 != place.1) {
                break;
            }
            run.push(*place);
        }
        run
    }

    /// A session that is not known to go on.
    fn lose_session(&mut self, broker: i32) {
        self.sessions.remove(&broker);
        self.held.clear();
    }

    /// Reads from the leader of one of its partitions; `word` is said of what it has, with the same request.
    fn fetch(&mut self, world: &mut World, word: Option<i8>) -> Result<(), String> {
        let at = world.rng.random_range(0..self.assigned.len().max(1));
        let Some(partition) = self.assigned.iter().nth(at).copied() else {
            return Ok(());
        };
        let Some((leader, leader_epoch)) = world.led(partition) else {
            return Ok(());
        };
        let lives = world.sim.lives;
        self.forget_others(partition, (lives, leader, leader_epoch));
        let epoch = self.sessions.get(&leader).copied().unwrap_or(0);
        let run = if epoch > 0 && word.is_some() {
            self.run(partition)
        } else {
            Vec::new()
        };
        let said = run
            .first()
            .zip(run.last())
            .zip(word)
            .map(|((first, last), word)| {
                AcknowledgementBatch::default()
                    .with_first_offset(first.1)
                    .with_last_offset(last.1)
                    .with_acknowledge_types(vec![word])
            });
        let records = world.rng.random_range(1..8);
        let body = ShareFetchRequest::default()
            .with_group_id(Some(GroupId(text(GROUP))))
            .with_member_id(Some(text(&self.id())))
            .with_share_session_epoch(epoch)
            .with_max_bytes(30_000)
            .with_max_records(records)
            .with_batch_size(records)
            .with_topics(vec![
                FetchTopic::default()
                    .with_topic_id(world.topic_id)
                    .with_partitions(vec![
                        FetchPartition::default()
                            .with_partition_index(partition)
                            .with_acknowledgement_batches(said.into_iter().collect()),
                    ]),
            ]);
        let request = FetchWire {
            body,
            acquire_mode: i8::from(world.rng.random_bool(0.5)),
            is_renew_ack: false,
        };
        let asked_ms = world.sim.now_ms;
        let before = world.shares.perhaps_done.clone();
        world.shares.say(&self.id(), &run, word.unwrap_or(0));
        for place in &run {
            self.held.remove(place);
        }
        let Some(answer) = world.ask(leader, 2, &request) else {
            world.tell(|| format!("{} has no answer from {leader}", self.id()));
            world.shares.unseen += 1;
            self.lose_session(leader);
            return Ok(());
        };
        let answer = answer.0;
        let times = (asked_ms, world.sim.now_ms);
        world.tell(|| {
            format!(
                "{} at {leader} session {epoch} said {word:?} of {run:?}: {}",
                self.id(),
                told(&answer)
            )
        });
        if answer.error_code != 0 {
            // Where the state waited too long for its replicas, what was said may hold or not.
            let waited = [
                ResponseError::CoordinatorNotAvailable,
                ResponseError::NotCoordinator,
                ResponseError::RequestTimedOut,
            ];
            if !waited.iter().any(|error| error.code() == answer.error_code) {
                world.shares.unsaid(&run, &before);
            }
            self.lose_session(leader);
            return self.hear(answer.error_code);
        }
        self.sessions.insert(leader, epoch + 1);
        for part in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            let partition_now = part.partition_index;
            let reign = if partition_now == partition {
                (lives, leader, leader_epoch)
            } else {
                match world.led(partition_now) {
                    Some((of, epoch)) if of == leader => (lives, of, epoch),
                    _ => continue,
                }
            };
            if partition_now == partition && !run.is_empty() {
                if part.acknowledge_error_code == 0 && part.error_code == 0 {
                    world
                        .shares
                        .said(&self.id(), &run, word.unwrap_or(0), reign, times)?;
                } else if part.acknowledge_error_code == ResponseError::InvalidRecordState.code() {
                    world.shares.unsaid(&run, &before);
                }
            }
            let bytes = part.records.clone().unwrap_or_default();
            let heads: Vec<(i64, i64)> = batches(&bytes)
                .map_while(Result::ok)
                .map(|(header, _)| (header.base_offset, header.last_offset()))
                .collect();
            for acquired in &part.acquired_records {
                for offset in acquired.first_offset..=acquired.last_offset {
                    if !heads
                        .iter()
                        .any(|(first, last)| (*first..=*last).contains(&offset))
                    {
                        return Err(format!(
                            "{} acquired {offset} of {partition_now}, and has got {heads:?}",
                            self.id()
                        ));
                    }
                    let place = (partition_now, offset);
                    world
                        .shares
                        .give(&self.id(), place, acquired.delivery_count, reign, times)?;
                    self.held.insert(place, reign);
                }
            }
        }
        Ok(())
    }

    /// Says what has become of records.
    fn acknowledge(&mut self, world: &mut World, word: i8) -> Result<(), String> {
        let Some((partition, _)) = self.held.keys().next().copied() else {
            return Ok(());
        };
        let Some((leader, leader_epoch)) = world.led(partition) else {
            return Ok(());
        };
        let reign = (world.sim.lives, leader, leader_epoch);
        self.forget_others(partition, reign);
        let run = self.run(partition);
        let Some(epoch) = self.sessions.get(&leader).copied().filter(|_| !run.is_empty()) else {
            return Ok(());
        };
        let batch = Said::default()
            .with_first_offset(run[0].1)
            .with_last_offset(run[run.len() - 1].1)
            .with_acknowledge_types(vec![word]);
        let part = AcknowledgePartition::default()
            .with_partition_index(partition)
            .with_acknowledgement_batches(vec![batch]);
        let topic = AcknowledgeTopic::default()
            .with_topic_id(world.topic_id)
            .with_partitions(vec![part]);
        let body = ShareAcknowledgeRequest::default()
            .with_group_id(Some(GroupId(text(GROUP))))
            .with_member_id(Some(text(&self.id())))
            .with_share_session_epoch(epoch)
            .with_topics(vec![topic]);
        let request = AcknowledgeWire {
            body,
            is_renew_ack: word == RENEW,
        };
        let asked_ms = world.sim.now_ms;
        let before = world.shares.perhaps_done.clone();
        world.shares.say(&self.id(), &run, word);
        if word != RENEW {
            for place in &run {
                self.held.remove(place);
            }
        }
        let answer = world.ask(leader, 2, &request).map(|answer| answer.body);
        let code = answer.as_ref().map(|answer| {
            let parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
            let of_part = parts.map(|part| part.error_code).find(|code| *code != 0);
            if answer.error_code == 0 {
                of_part.unwrap_or(0)
            } else {
                answer.error_code
            }
        });
        world.tell(|| {
            format!(
                "{} at {leader} session {epoch} says {word} of {run:?}: {code:?}",
                self.id()
            )
        });
        let Some(code) = code else {
            self.lose_session(leader);
            return Ok(());
        };
        self.sessions.insert(leader, epoch + 1);
        if code == 0 {
            let times = (asked_ms, world.sim.now_ms);
            return world.shares.said(&self.id(), &run, word, reign, times);
        }
        for place in &run {
            self.held.remove(place);
        }
        if code == ResponseError::InvalidRecordState.code() {
            world.shares.unsaid(&run, &before);
            return Ok(());
        }
        self.lose_session(leader);
        self.hear(code)
    }

    /// Ends a session: what it has of that broker goes back.
    fn close(&mut self, world: &mut World) -> Result<(), String> {
        let Some((broker, epoch)) = self.sessions.pop_first() else {
            return Ok(());
        };
        if epoch == 0 {
            return Ok(());
        }
        let body = ShareFetchRequest::default()
            .with_group_id(Some(GroupId(text(GROUP))))
            .with_member_id(Some(text(&self.id())))
            .with_share_session_epoch(-1);
        let request = FetchWire {
            body,
            ..FetchWire::default()
        };
        world.shares.leave(&self.id());
        self.held.clear();
        let answer = world.ask(broker, 2, &request);
        world.tell(|| {
            let code = answer.as_ref().map(|answer| answer.0.error_code);
            format!("{} closes its session at {broker}: {code:?}", self.id())
        });
        answer.map_or(Ok(()), |answer| self.hear(answer.0.error_code))
    }

    /// Is it an error that a member has to live with.
    fn hear(&self, code: i16) -> Result<(), String> {
        match ResponseError::try_from_code(code) {
            Some(
                ResponseError::ShareSessionNotFound
                | ResponseError::InvalidShareSessionEpoch
                | ResponseError::FencedStateEpoch,
            ) => Ok(()),
            _ => clear(code)
                .map(|_| ())
                .map_err(|error| format!("{} of {TOPIC}: {error}", self.id())),
        }
    }
}

fn told(answer: &ShareFetchResponse) -> String {
    let parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
    let parts = parts.map(|part| {
        let acquired: Vec<_> = part
            .acquired_records
            .iter()
            .map(|of| (of.first_offset, of.last_offset, of.delivery_count))
            .collect();
        (
            part.partition_index,
            part.error_code,
            part.acknowledge_error_code,
            acquired,
        )
    });
    format!("{} {:?}", answer.error_code, parts.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REIGN: Reign = (0, 1, 0);

    #[test]
    fn each_broken_promise_is_found() {
        let mut model = ShareModel::default();
        let give = |model: &mut ShareModel, who: &str, reign, at| model.give(who, (0, 5), 1, reign, (at, at));
        assert!(give(&mut model, "a", REIGN, 0).is_ok());
        assert!(
            give(&mut model, "b", REIGN, LOCK_MS - 1).is_err(),
            "it is another's"
        );
        assert!(
            give(&mut model, "b", (0, 2, 1), 1).is_ok(),
            "another leader knows nothing"
        );
        assert!(
            give(&mut model, "a", (0, 2, 1), LOCK_MS + 1).is_ok(),
            "its time is over"
        );
        assert!(!model.is_settled((0, 5)));
        let said = |model: &mut ShareModel, who: &str, word| {
            model.say(who, &[(0, 5)], word);
            model.said(who, &[(0, 5)], word, (0, 2, 1), (20_000, 20_000))
        };
        assert!(said(&mut model, "b", ACCEPT).is_err(), "it is another's");
        assert!(said(&mut model, "a", RENEW).is_ok());
        assert!(
            give(&mut model, "b", (0, 2, 1), 20_000 + LOCK_MS - 1).is_err(),
            "it was renewed"
        );
        assert!(said(&mut model, "a", RELEASE).is_ok());
        assert!(
            give(&mut model, "b", (0, 2, 1), 20_001).is_ok(),
            "it was released"
        );
        assert!(said(&mut model, "b", ACCEPT).is_ok());
        assert!(model.is_settled((0, 5)));
        assert!(
            give(&mut model, "a", REIGN, 1_000_000).is_err(),
            "it was accepted"
        );
        assert!(
            model.give("a", (0, 6), DELIVERIES + 1, REIGN, (0, 0)).is_err(),
            "too often"
        );
    }
}
