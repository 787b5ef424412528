//! Share partitions of the brokers that lead them: made when somebody reads, saved when something is done, dropped when
//! the leader goes.

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::partition::{Ack, AckRules, SharePartition};
use super::sessions::SessionKey;
use super::state::Key;
use crate::core::group_configs::group_value;
use crate::core::timers::Timer;
use crate::core::topics::{NOT_HOSTED, Replica};
use crate::core::transactions::acks::Appended;
use crate::core::{Core, Refusal};
use crate::log::TimestampQuery;

/// The settings that a share group's partitions go by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShareSettings {
    /// `share.record.lock.duration.ms`
    pub(crate) lock_ms: i64,
    /// `share.delivery.count.limit`
    pub(crate) max_deliveries: i16,
    /// `share.partition.max.record.locks`
    pub(crate) max_in_flight: i64,
    /// `share.renew.acknowledge.enable`
    pub(crate) may_renew: bool,
    /// `share.isolation.level`
    pub(crate) read_committed: bool,
}

impl Core {
    /// The settings in force for a share group.
    pub(crate) fn share_settings(&self, broker: i32, group: &str) -> ShareSettings {
        let text = |name: &str| group_value(&self.configs, broker, group, name).unwrap_or_default();
        let number = |name: &str| text(name).trim().parse().unwrap_or(0i64);
        ShareSettings {
            lock_ms: number("share.record.lock.duration.ms"),
            max_deliveries: number("share.delivery.count.limit") as i16,
            max_in_flight: number("share.partition.max.record.locks"),
            may_renew: text("share.renew.acknowledge.enable").trim() != "false",
            read_committed: text("share.isolation.level").trim() == "read_committed",
        }
    }

    /// Makes sure that the leader has the share partition.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER` for another broker than the leader, `UNKNOWN_TOPIC_OR_PARTITION`.
    pub(crate) fn open_share_partition(&mut self, broker: i32, key: &Key) -> Result<(), ResponseError> {
        let partition = self.topics.partition(key.topic, key.partition);
        let partition = partition.ok_or(ResponseError::UnknownTopicOrPartition)?;
        let replica = partition
            .led_by(broker)
            .ok_or(ResponseError::NotLeaderOrFollower)?;
        let leader = (broker, partition.leader_epoch);
        if self
            .shares
            .partitions
            .get(key)
            .is_some_and(|known| known.leader.0 == broker)
        {
            return Ok(());
        }
        // A group has a state where one of its members has subscribed.
        let state = self
            .shares
            .states
            .get(key)
            .ok_or(ResponseError::UnknownServerError)?;
        let start = match state.start_offset {
            ..0 => self.share_reset(broker, &key.group, replica)?,
            start => start,
        };
        let opened = SharePartition::load(leader, state, start);
        self.shares.partitions.insert(key.clone(), opened);
        Ok(())
    }

    /// Where a group begins that has not read a partition yet: `share.auto.offset.reset`.
    ///
    /// # Errors
    /// `OFFSET_NOT_AVAILABLE` where there is no record so young.
    fn share_reset(&self, broker: i32, group: &str, replica: &Replica) -> Result<i64, ResponseError> {
        let reset = group_value(&self.configs, broker, group, "share.auto.offset.reset").unwrap_or_default();
        let reset = reset.trim().to_ascii_lowercase();
        if reset == "earliest" {
            return Ok(replica.log.start_offset());
        }
        let Some(ms) = reset.strip_prefix("by_duration:").and_then(duration_ms) else {
            return Ok(replica.high_watermark);
        };
        let query = TimestampQuery::At(self.now_ms - ms);
        let found = replica
            .log
            .offset_for_timestamp(query)
            .map_err(|error| error.code())?;
        let found = found
            .map(|found| found.offset)
            .filter(|offset| *offset < replica.high_watermark);
        found.ok_or(ResponseError::OffsetNotAvailable)
    }

    /// Writes what must survive of a share partition, and moves its start.
    ///
    /// # Errors
    /// What the share coordinator would answer.
    pub(crate) fn save_share(&mut self, key: &Key) -> Result<Option<Appended>, ResponseError> {
        let (Some(partition), Some(before)) = (self.shares.partitions.get(key), self.shares.states.get(key))
        else {
            return Ok(None);
        };
        let state = partition.save(before, self.now_ms);
        let appended = self.write_state(key.clone(), Some(state))?;
        if let Some(partition) = self.shares.partitions.get_mut(key) {
            partition.advance();
        }
        Ok(Some(appended))
    }

    /// A member says what has become of records.
    ///
    /// # Errors
    /// Kafka's code and message; nothing has changed then.
    pub(crate) fn acknowledge(
        &mut self,
        broker: i32,
        key: &Key,
        member: &str,
        acks: &[Ack],
    ) -> Result<Option<Appended>, Refusal> {
        let settings = self.share_settings(broker, &key.group);
        let rules = AckRules {
            renewed_until_ms: self.now_ms + settings.lock_ms,
            may_renew: settings.may_renew,
            max_deliveries: settings.max_deliveries,
        };
        let known = self.shares.partitions.get_mut(key);
        let Some(partition) = known.filter(|known| known.leader.0 == broker) else {
            return Err(Refusal::new(ResponseError::UnknownTopicOrPartition, NOT_HOSTED));
        };
        let before = partition.clone();
        let done = partition.acknowledge(member, acks, &rules);
        let saved = match done {
            Ok(true) => self.save_share(key).map_err(Refusal::from),
            Ok(false) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        if saved.is_err() {
            self.shares.partitions.insert(key.clone(), before);
        }
        self.watch_locks(key);
        self.wake_shares(key.topic, key.partition);
        saved
    }

    /// A session is over: what its member has goes back.
    pub(crate) fn end_share_session(&mut self, session: &SessionKey) {
        let Some(ended) = self.shares.sessions.close(session) else {
            return;
        };
        let (broker, group, member) = session;
        for reading in ended.reading {
            let key = Key {
                group: group.clone(),
                topic: reading.topic,
                partition: reading.partition,
            };
            let max_deliveries = self.share_settings(*broker, group).max_deliveries;
            let known = self.shares.partitions.get_mut(&key);
            let Some(partition) = known.filter(|known| known.leader.0 == *broker) else {
                continue;
            };
            if partition.release(member, max_deliveries) {
                self.note_share(&key);
            }
        }
    }

    /// A broker stops in an orderly way: its sessions end while it still leads.
    pub(crate) fn end_share_sessions_of(&mut self, broker: i32) {
        for session in self.shares.sessions.of_broker(broker) {
            self.end_share_session(&session);
        }
    }

    /// Something has changed without a request: what must survive is written, and whoever waits is served.
    fn note_share(&mut self, key: &Key) {
        if let Err(error) = self.save_share(key) {
            tracing::warn!(
                group = key.group,
                ?error,
                "the state of a share partition was not saved"
            );
            if let Some(partition) = self.shares.partitions.get_mut(key) {
                partition.advance();
            }
        }
        self.wake_shares(key.topic, key.partition);
    }

    /// A connection is closed: its sessions end, and with the last one of a group what the leader keeps of it.
    pub(crate) fn connection_closed(&mut self, connection: u64) {
        for session in self.shares.sessions.of_connection(connection) {
            self.end_share_session(&session);
            let (broker, group, _) = session;
            if !self.shares.sessions.has_group(broker, &group) {
                let of_group = |key: &Key, of: &SharePartition| key.group == group && of.leader.0 == broker;
                self.shares.partitions.retain(|key, of| !of_group(key, of));
            }
        }
    }

    /// Locks of a share partition may be over.
    pub(crate) fn end_share_locks(&mut self, key: &Key) {
        let now_ms = self.now_ms;
        let Some(broker) = self.shares.partitions.get(key).map(|known| known.leader.0) else {
            return;
        };
        let max_deliveries = self.share_settings(broker, &key.group).max_deliveries;
        let Some(partition) = self.shares.partitions.get_mut(key) else {
            return;
        };
        partition.armed_ms = None;
        if partition.end_locks(now_ms, max_deliveries) {
            self.note_share(key);
        }
        self.watch_locks(key);
    }

    /// Has the core woken when the next lock ends.
    pub(crate) fn watch_locks(&mut self, key: &Key) {
        let Some(partition) = self.shares.partitions.get_mut(key) else {
            return;
        };
        let Some(at_ms) = partition.next_lock_ms() else {
            return;
        };
        if partition.armed_ms.is_none_or(|armed| armed > at_ms) {
            partition.armed_ms = Some(at_ms);
            self.timers.set(at_ms, Timer::ShareLocks(key.clone()));
        }
    }

    /// A partition has another leader, or is gone: what the old one kept of it is lost, the new one goes on from what was
    /// saved.
    pub(crate) fn drop_share_partitions(&mut self, topic: Uuid, partition: i32) {
        let at = |key: &Key| (key.topic, key.partition) == (topic, partition);
        self.shares.partitions.retain(|key, _| !at(key));
        self.wake_shares(topic, partition);
    }

    /// A broker is gone, and all that it kept in memory.
    pub(crate) fn drop_shares_of(&mut self, broker: i32) {
        self.shares.sessions.drop_broker(broker);
        self.shares.partitions.retain(|_, known| known.leader.0 != broker);
    }
}

/// An ISO 8601 duration of days and smaller units, in milliseconds; nothing where it is none.
fn duration_ms(text: &str) -> Option<i64> {
    let body = text.strip_prefix('p')?;
    let (days, time) = body.split_once('t').unwrap_or((body, ""));
    let mut total = 0.0;
    for (mut part, units) in [
        (days, &[('d', 86_400.0)][..]),
        (time, &[('h', 3600.0), ('m', 60.0), ('s', 1.0)][..]),
    ] {
        for (unit, seconds) in units {
            if let Some((number, rest)) = part.split_once(*unit) {
                total += number.parse::<f64>().ok()? * seconds;
                part = rest;
            }
        }
        if !part.is_empty() {
            return None;
        }
    }
    Some((total * 1000.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn durations_are_read_as_java_reads_them() {
        assert_eq!(duration_ms("p1dt2h3m4.5s"), Some(93_784_500));
        assert_eq!(duration_ms("pt1m"), Some(60_000));
        assert_eq!(duration_ms("p2d"), Some(172_800_000));
        assert_eq!(duration_ms("1h"), None);
        assert_eq!(duration_ms("pt1x"), None);
    }
}
