//! Brokers that stop, vanish and start, and who leads when they do.

use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::replication::Key;
use super::standing::{Election, Standing};
use super::timers::Timer;
use super::topics::Replica;
use super::{Effect, Refusal};
use crate::log::LogConfig;

/// How many folders of new logs are made before others have their turn.
const FOLDERS_AT_A_TIME: usize = 64;

/// A broker as the cluster sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broker {
    /// Its logs are open, and it answers.
    pub(crate) running: bool,
    /// The controller has noticed that it is gone.
    pub(crate) fenced: bool,
    /// Its followers don't fetch.
    pub(crate) paused: bool,
    /// It has ended without a word since its last start.
    killed: bool,
    /// How often it was started.
    life: u64,
}

impl Broker {
    /// One that runs.
    pub(crate) const UP: Self = Self {
        running: true,
        fenced: false,
        paused: false,
        killed: false,
        life: 1,
    };

    /// May it lead, and be in sync.
    pub(crate) fn is_active(&self) -> bool {
        self.running && !self.fenced
    }
}

/// What the cluster's owner wants done with a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// It hands over what it leads, closes its logs and ends.
    Stop,
    /// It is gone without a word; the others notice after `broker.session.timeout.ms`.
    Kill,
    /// It starts again.
    Start,
    /// Its followers stop fetching. Internal topics are replicated all the same.
    PauseReplication,
    /// Its followers go on fetching.
    ResumeReplication,
}

impl super::Core {
    /// Is this broker there, as far as the controller knows.
    pub(crate) fn is_registered(&self, id: i32) -> bool {
        self.brokers.get(&id).is_some_and(|broker| !broker.fenced)
    }

    /// May this broker lead.
    pub(crate) fn is_active(&self, id: i32) -> bool {
        self.brokers.get(&id).is_some_and(Broker::is_active)
    }

    /// The broker that answers as the controller: the first that is there.
    pub(crate) fn controller(&self) -> i32 {
        let mut there = self.brokers.iter().filter(|(_, broker)| !broker.fenced);
        there.next().map_or(-1, |(id, _)| *id)
    }

    /// Carries out what the owner wants.
    pub(super) fn command(&mut self, id: i32, command: Command) -> Result<(), Refusal> {
        let Some(broker) = self.brokers.get(&id).copied() else {
            return Err(Refusal::new(
                ResponseError::BrokerIdNotRegistered,
                format!("there is no broker {id}"),
            ));
        };
        match command {
            Command::Stop if broker.running => self.stop_broker(id),
            Command::Kill if broker.running => {
                self.kill_broker(id);
                Ok(())
            }
            Command::Start if !broker.running => self.start_broker(id),
            Command::PauseReplication => {
                self.set_broker(id, |broker| broker.paused = true);
                Ok(())
            }
            Command::ResumeReplication => {
                self.set_broker(id, |broker| broker.paused = false);
                self.unsettle_all();
                Ok(())
            }
            Command::Stop | Command::Kill | Command::Start => Ok(()),
        }
    }

    fn set_broker(&mut self, id: i32, change: impl FnOnce(&mut Broker)) {
        if let Some(broker) = self.brokers.get_mut(&id) {
            change(broker);
        }
    }

    /// Every partition with several replicas is looked at again.
    pub(crate) fn unsettle_all(&mut self) {
        for topic in self.topics.iter() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if !partition.is_sole() {
                    self.unsettled.push((topic.id, index as i32));
                }
            }
        }
    }

    fn stop_broker(&mut self, id: i32) -> Result<(), Refusal> {
        self.end_share_sessions_of(id);
        self.settle();
        self.fence(id)?;
        self.settle();
        self.close_logs_of(id);
        drop(self.take_replicas(id));
        self.broker_is_down(id);
        Ok(())
    }

    fn kill_broker(&mut self, id: i32) {
        drop(self.take_replicas(id));
        if let Some(storage) = self.outside.storage.get_mut(&id) {
            storage.abandon();
        }
        self.broker_is_down(id);
        self.set_broker(id, |broker| broker.killed = true);
        let life = self.brokers.get(&id).map_or(0, |broker| broker.life);
        let session_ms = self.configs.number(id, "broker.session.timeout.ms");
        self.timers
            .set(self.now_ms + session_ms, Timer::Fence { broker: id, life });
    }

    fn take_replicas(&mut self, id: i32) -> Vec<Replica> {
        let partitions = self.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions
            .filter_map(|partition| partition.logs.remove(&id))
            .collect()
    }

    /// Nobody waits for an answer of a broker that is gone.
    fn broker_is_down(&mut self, id: i32) {
        self.set_broker(id, |broker| {
            broker.running = false;
            broker.paused = false;
        });
        self.forget_sessions(id);
        let mut nobody = self.fetches.of_broker(id);
        for request in &nobody {
            self.unpark(*request);
        }
        nobody.extend(self.produces.drop_broker(id));
        nobody.extend(self.unpark_shares_of(id));
        self.drop_shares_of(id);
        let dropped = nobody.into_iter().map(|to| Effect::NoReply { to });
        self.effects.extend(dropped);
    }

    /// A broker that vanished is missed.
    pub(super) fn fence_vanished(&mut self, id: i32, life: u64) {
        let vanished = self
            .brokers
            .get(&id)
            .is_some_and(|broker| !broker.running && !broker.fenced && broker.life == life);
        if vanished && let Err(refusal) = self.fence(id) {
            tracing::error!(broker = id, ?refusal, "a broker that is gone still leads");
        }
    }

    /// The broker is no longer in sync, and leads no more.
    fn fence(&mut self, id: i32) -> Result<(), Refusal> {
        let mut changes = Vec::new();
        for topic in self.topics.iter() {
            let min_in_sync = self.min_in_sync(&topic.name);
            let election = self.election_of(&topic.configs);
            for (index, partition) in topic.partitions.iter().enumerate() {
                if partition.leader != id && !partition.isr.contains(&id) {
                    continue;
                }
                let wish = partition.wish_without(&[id], election);
                let active = |other: i32| other != id && self.is_active(other);
                if let Some(next) = partition.decide(wish, min_in_sync, active) {
                    changes.push(((topic.id, index as i32), next));
                }
            }
        }
        self.change_partitions(changes)?;
        self.set_broker(id, |broker| broker.fenced = true);
        Ok(())
    }

    /// A broker that has ended without a word may lack the end of its logs: it is neither in sync nor eligible before it has
    /// copied that again. Kafka's controller sees it by the epoch in the broker's `.kafka_cleanshutdown` (KIP-966).
    fn distrust(&mut self, id: i32) -> Result<(), Refusal> {
        let mut changes = Vec::new();
        for topic in self.topics.iter() {
            let min_in_sync = self.min_in_sync(&topic.name);
            let election = self.election_of(&topic.configs);
            for (index, partition) in topic.partitions.iter().enumerate() {
                if !partition.isr.contains(&id) && !partition.elr.contains(&id) {
                    continue;
                }
                let wish = partition.wish_without_unclean(id, election);
                let active = |other: i32| other != id && self.is_active(other);
                if let Some(next) = partition.decide(wish, min_in_sync, active) {
                    changes.push(((topic.id, index as i32), next));
                }
            }
        }
        self.change_partitions(changes)
    }

    fn start_broker(&mut self, id: i32) -> Result<(), Refusal> {
        if self.brokers.get(&id).is_some_and(|broker| broker.killed) {
            self.distrust(id)?;
        }
        let storage = self.outside.storage.get_mut(&id);
        let storage = storage.ok_or(ResponseError::BrokerIdNotRegistered)?;
        storage
            .reopen()
            .map_err(|error| super::admin::storage_refusal(&error))?;
        self.remove_strays(id);
        self.set_broker(id, |broker| {
            broker.running = true;
            broker.fenced = false;
            broker.killed = false;
            broker.life += 1;
        });
        for (name, keys) in self.keys_of(id) {
            let config = self.log_config_of(&name);
            for key in keys {
                if let Err(refusal) = self.open_replica(key, id, config.clone()) {
                    tracing::warn!(broker = id, ?refusal, "a replica stays offline");
                }
            }
        }
        self.elect_leaderless()?;
        self.unsettle_all();
        Ok(())
    }

    /// Every partition that the broker has a replica of, by topic.
    fn keys_of(&self, id: i32) -> Vec<(Arc<str>, Vec<Key>)> {
        let all = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().enumerate();
            let of_it = partitions.filter(|(_, partition)| partition.replicas.contains(&id));
            let keys = of_it.map(|(index, _)| (topic.id, index as i32));
            (topic.name.clone(), keys.collect())
        });
        all.collect()
    }

    /// Removes what a broker has on its disk and should not: of topics that were deleted or replicas that were moved
    /// while it was down.
    pub(super) fn remove_strays(&mut self, id: i32) {
        let topics = &self.topics;
        let keep = |name: &str, index: i32, topic_id: Option<uuid::Uuid>| {
            topics.get(name).is_some_and(|topic| {
                let partition = usize::try_from(index)
                    .ok()
                    .and_then(|at| topic.partitions.get(at));
                topic_id.is_none_or(|found| found == topic.id)
                    && partition.is_some_and(|partition| partition.replicas.contains(&id))
            })
        };
        if let Some(storage) = self.outside.storage.get_mut(&id) {
            storage.remove_strays(&keep);
        }
    }

    /// Opens a broker's copy of a partition, when that broker runs. `config` is the topic's.
    pub(super) fn open_replica(&mut self, key: Key, id: i32, config: LogConfig) -> Result<(), Refusal> {
        if !self.brokers.get(&id).is_some_and(|broker| broker.running) {
            return Ok(());
        }
        let Some(name) = self.topics.name_of(key.0).cloned() else {
            return Ok(());
        };
        let now_ms = self.now_ms;
        let (Some(storage), Some(partition)) = (
            self.outside.storage.get_mut(&id),
            self.topics.partition_mut(key.0, key.1),
        ) else {
            return Ok(());
        };
        let log = storage
            .open(&name, key.1, key.0, config, now_ms)
            .map_err(|error| super::admin::storage_refusal(&error))?;
        let (start, end) = (log.start_offset(), log.end_offset());
        let high_watermark = if partition.is_sole() {
            end
        } else {
            let noted = storage.high_watermark(&name, key.1).unwrap_or(0);
            noted.clamp(start, end)
        };
        if !log.has_folder() {
            if self.folderless.is_empty() {
                self.timers.set(now_ms + 1, Timer::Folders);
            }
            self.folderless.push_back((key, id));
        }
        let replica = Replica {
            log,
            high_watermark,
            agreed_epoch: -1,
        };
        partition.logs.insert(id, replica);
        Ok(())
    }

    /// Makes the folders of some new logs, then again later: five thousand new partitions hold up nobody's answer. Apache
    /// Kafka's broker makes them after the answer as well, when it has read of them in the metadata.
    pub(super) fn make_folders(&mut self) {
        let some = self.folderless.len().min(FOLDERS_AT_A_TIME);
        for (key, id) in self.folderless.drain(..some) {
            let partition = self.topics.partition_mut(key.0, key.1);
            if let Some(replica) = partition.and_then(|partition| partition.logs.get_mut(&id))
                && let Err(error) = replica.log.make_folder()
            {
                tracing::warn!(%error, "a new log has no folder yet");
            }
        }
        if !self.folderless.is_empty() {
            self.timers.set(self.now_ms + 1, Timer::Folders);
        }
    }

    /// Partitions without a leader get one, where one may lead.
    pub(super) fn elect_leaderless(&mut self) -> Result<(), Refusal> {
        let mut changes = Vec::new();
        for topic in self.topics.iter() {
            let min_in_sync = self.min_in_sync(&topic.name);
            let election = self.election_of(&topic.configs);
            for (index, partition) in topic.partitions.iter().enumerate() {
                let in_sync = partition.isr.iter().copied();
                let gone: Vec<i32> = in_sync.filter(|id| !self.is_active(*id)).collect();
                if gone.is_empty() && partition.leader >= 0 {
                    continue;
                }
                let wish = partition.wish_without(&gone, election);
                if let Some(next) = partition.decide(wish, min_in_sync, |id| self.is_active(id)) {
                    changes.push(((topic.id, index as i32), next));
                }
            }
        }
        self.change_partitions(changes)
    }

    /// All brokers have started at once, with what an earlier process left: leaders go on in their epochs, and followers
    /// see whether their logs agree.
    pub(super) fn resume_leaders(&mut self) -> Result<(), Refusal> {
        self.elect_leaderless()?;
        self.unsettle_all();
        for (id, index) in self.unsettled.clone() {
            self.watch_balance((id, index));
        }
        self.settle();
        Ok(())
    }

    /// May a replica that lacks committed records lead: `unclean.leader.election.enable`.
    pub(super) fn election_of(&self, topic: &super::configs::Overrides) -> Election {
        let value = self
            .configs
            .topic_value(self.first_broker(), topic, "unclean.leader.election.enable");
        if value.trim().eq_ignore_ascii_case("true") {
            Election::Unclean
        } else {
            Election::Online
        }
    }

    /// Elects a leader as `kafka-leader-election` asks for it.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn elect(&mut self, name: &str, index: i32, election: Election) -> Result<(), Refusal> {
        let unknown = |what: String| Refusal::new(ResponseError::UnknownTopicOrPartition, what);
        let topic = self.topics.get(name);
        let topic = topic.ok_or_else(|| unknown(format!("No such topic as {name}")))?;
        let key = (topic.id, index);
        let partition = self.topics.partition(key.0, index);
        let partition = partition.ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
        let needless = match election {
            Election::Preferred => partition.has_preferred_leader(),
            Election::Online | Election::Unclean => partition.leader >= 0,
        };
        if needless {
            return Err(named(ResponseError::ElectionNotNeeded));
        }
        let next = partition.decide(partition.wish(election), self.min_in_sync(name), |id| {
            self.is_active(id)
        });
        match next {
            Some(next) => self.change_partitions(vec![(key, next)]),
            None if election == Election::Preferred => Err(named(ResponseError::PreferredLeaderNotAvailable)),
            None => Err(named(ResponseError::EligibleLeadersNotAvailable)),
        }
    }

    /// Looks again after `leader.imbalance.check.interval.seconds` whether a partition has its preferred leader.
    pub(super) fn watch_balance(&mut self, key: Key) {
        let broker = self.first_broker();
        let imbalanced = self
            .topics
            .partition(key.0, key.1)
            .is_some_and(|partition| !partition.has_preferred_leader());
        if self.balance_is_watched
            || !imbalanced
            || !self.configs.switch(broker, "auto.leader.rebalance.enable")
        {
            return;
        }
        let seconds = self
            .configs
            .number(broker, "leader.imbalance.check.interval.seconds");
        self.timers
            .set(self.now_ms + seconds.max(1) * 1000, Timer::Balance);
        self.balance_is_watched = true;
    }

    /// Partitions go back to their preferred leaders, where these are in sync.
    pub(super) fn balance(&mut self) {
        self.balance_is_watched = false;
        // Somebody may have allowed unclean elections in the meantime.
        if let Err(refusal) = self.elect_leaderless() {
            tracing::warn!(?refusal, "partitions without a leader got none");
        }
        let mut changes: Vec<(Key, Standing)> = Vec::new();
        let mut left = None;
        for topic in self.topics.iter() {
            let min_in_sync = self.min_in_sync(&topic.name);
            for (index, partition) in topic.partitions.iter().enumerate() {
                if partition.has_preferred_leader() {
                    continue;
                }
                let key = (topic.id, index as i32);
                let wish = partition.wish(Election::Preferred);
                match partition.decide(wish, min_in_sync, |id| self.is_active(id)) {
                    Some(next) => changes.push((key, next)),
                    None => left = Some(key),
                }
            }
        }
        if let Err(refusal) = self.change_partitions(changes) {
            tracing::warn!(?refusal, "leaders could not be balanced");
        }
        if let Some(key) = left {
            self.watch_balance(key);
        }
    }
}

/// An error with the message that Kafka gives it by default.
pub(super) fn named(error: ResponseError) -> Refusal {
    let message = match error {
        ResponseError::ElectionNotNeeded => "Leader election not needed for topic partition.",
        ResponseError::PreferredLeaderNotAvailable => "The preferred leader was not available.",
        ResponseError::EligibleLeadersNotAvailable => "Eligible topic partition leaders are not available.",
        other => return other.into(),
    };
    Refusal::new(error, message)
}
