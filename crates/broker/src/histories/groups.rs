//! Clients of groups: they commit offsets, each further than the last, and read them back.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::OffsetFetchRequest;
use rand::RngExt;

use super::TOPIC;
use super::clients::{World, clear};
use super::wire;

/// Commits offsets of a group, each further than the last.
pub(super) struct Committer {
    group: String,
    partition: i32,
    next: i64,
}

impl Committer {
    pub(super) fn new(group: String, partition: i32) -> Self {
        Self {
            group,
            partition,
            next: 1,
        }
    }

    /// One commit, or one more try of it.
    pub(super) fn act(&mut self, world: &mut World) -> Result<(), String> {
        let Some(broker) = world.coordinator(&self.group, false) else {
            return Ok(());
        };
        world.model.committing(&self.group, self.partition, self.next);
        let request = wire::commit(&self.group, self.partition, self.next, None);
        let Some(answer) = world.ask(broker, 8, &request) else {
            return Ok(());
        };
        let code = answer.topics[0].partitions[0].error_code;
        world.tell(|| format!("{} commits {} at {broker}: {code}", self.group, self.next));
        if clear(code).map_err(|error| format!("a commit of {}: {error}", self.group))? {
            world.model.committed(&self.group, self.partition, self.next);
            self.next += world.rng.random_range(1..5);
        }
        Ok(())
    }
}

/// Reads a group's committed offset and holds it against the model; says whether it could be read.
pub(super) fn read_commit(world: &mut World, group: &str, partition: i32) -> Result<bool, String> {
    let Some(broker) = world.coordinator(group, false) else {
        return Ok(false);
    };
    let request: OffsetFetchRequest = wire::committed(group, partition, None);
    let Some(answer) = world.sim.ask(broker, 9, &request) else {
        return Ok(false);
    };
    let answer = &answer.groups[0];
    let part = answer.topics.first().and_then(|topic| topic.partitions.first());
    let code = part.map_or(answer.error_code, |part| part.error_code.max(answer.error_code));
    if !clear(code).map_err(|error| format!("reading a commit of {group}: {error}"))? {
        return Ok(false);
    }
    let offset = part.map_or(-1, |part| part.committed_offset);
    world.tell(|| format!("{group} has {offset} of {partition}, says {broker}"));
    world.model.read_commit(group, partition, offset)?;
    Ok(true)
}

/// A member of a consumer group (KIP-848): it goes on from the committed offsets of the partitions that it is given.
pub(super) struct Member {
    name: String,
    group: String,
    epoch: i32,
    /// Partitions that it has; the offset to commit next, where it has read the last one.
    owned: BTreeMap<i32, Option<i64>>,
}

impl Member {
    pub(super) fn new(name: String, group: String) -> Self {
        Self {
            name,
            group,
            epoch: 0,
            owned: BTreeMap::new(),
        }
    }

    /// A heartbeat, or a step with one of its partitions.
    pub(super) fn act(&mut self, world: &mut World) -> Result<(), String> {
        let Some(broker) = world.coordinator(&self.group, false) else {
            return Ok(());
        };
        let at = world.rng.random_range(0..=2 * self.owned.len());
        let owned = self.owned.iter().nth(at / 2).map(|(index, next)| (*index, *next));
        match owned {
            None => self.beat(world, broker),
            Some((partition, None)) => self.read(world, broker, partition),
            Some((partition, Some(next))) => self.commit(world, broker, partition, next),
        }
    }

    fn beat(&mut self, world: &mut World, broker: i32) -> Result<(), String> {
        let owned = self.owned.keys().copied().collect();
        let request = wire::heartbeat(&self.group, &self.name, self.epoch, owned, world.topic_id);
        let Some(answer) = world.ask(broker, 1, &request) else {
            return Ok(());
        };
        world.tell(|| {
            let told = answer.assignment.as_ref().map(|all| &all.topic_partitions);
            format!(
                "{} beats: {} {} {told:?}",
                self.name, answer.error_code, answer.member_epoch
            )
        });
        if !self.stays(answer.error_code)? {
            return Ok(());
        }
        self.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            let topics = assignment.topic_partitions.into_iter();
            let given: BTreeSet<i32> = topics.flat_map(|topic| topic.partitions).collect();
            self.owned.retain(|partition, _| given.contains(partition));
            for partition in given {
                self.owned.entry(partition).or_insert(None);
            }
        }
        Ok(())
    }

    fn read(&mut self, world: &mut World, broker: i32, partition: i32) -> Result<(), String> {
        let request = wire::committed(&self.group, partition, Some((&self.name, self.epoch)));
        let Some(answer) = world.ask(broker, 9, &request) else {
            return Ok(());
        };
        let answer = &answer.groups[0];
        if !self.stays(answer.error_code)? {
            return Ok(());
        }
        let offset = answer.topics[0].partitions[0].committed_offset;
        world.tell(|| format!("{} goes on from {offset} of {partition}", self.name));
        if offset >= 0 {
            world.model.read_commit(&self.group, partition, offset)?;
        }
        self.owned.insert(partition, Some(offset.max(0) + 1));
        Ok(())
    }

    fn commit(&mut self, world: &mut World, broker: i32, partition: i32, next: i64) -> Result<(), String> {
        world.model.committing(&self.group, partition, next);
        let request = wire::commit(&self.group, partition, next, Some((&self.name, self.epoch)));
        let Some(answer) = world.ask(broker, 9, &request) else {
            return Ok(());
        };
        let code = answer.topics[0].partitions[0].error_code;
        world.tell(|| format!("{} commits {next} of {partition}: {code}", self.name));
        if self.stays(code)? {
            world.model.committed(&self.group, partition, next);
            let further = next + world.rng.random_range(1..5);
            self.owned.insert(partition, Some(further));
        }
        Ok(())
    }

    /// Is an answer without error. A member that is none any more joins again; one that is behind asks again.
    fn stays(&mut self, code: i16) -> Result<bool, String> {
        match ResponseError::try_from_code(code) {
            Some(ResponseError::UnknownMemberId | ResponseError::FencedMemberEpoch) => {
                self.epoch = 0;
                self.owned.clear();
                Ok(false)
            }
            Some(ResponseError::StaleMemberEpoch) => Ok(false),
            _ => clear(code).map_err(|error| format!("{} of {TOPIC}: {error}", self.name)),
        }
    }
}
