//! The share coordinator: the states of share partitions in `__share_group_state`, and share groups whose topics come and
//! go.

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::state::{Key, State, read_record, write_key};
use crate::core::groups::modern::{Beaten, GroupType};
use crate::core::groups::share::{Beat, Share, ShareType};
use crate::core::groups::{Cx, Group};
use crate::core::offsets::partition_for;
use crate::core::ports::read_all;
use crate::core::topics::SHARE_STATE_TOPIC;
use crate::core::transactions::acks::Appended;
use crate::core::transactions::coordinator_error;
use crate::core::{Core, Refusal};
use crate::log::{BatchOptions, NewRecord, batch_records, batches, build_batch};

/// A batch that decompresses to more than this is not ours.
const MAX_BATCH_BYTES: u64 = 64 << 20;
/// So many records that are no state any more are left in a log before it is made anew.
const SLACK: i64 = 1_000;

impl Core {
    /// A member of a share group joins, stays or leaves.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn share_beat(&mut self, broker: i32, group: &str, beat: &Beat) -> Result<Beaten, Refusal> {
        let act = |state: &mut Group, cx: &mut Cx| state.share_beat(cx, beat);
        let done = self.beat::<ShareType>(broker, group, beat.epoch, act);
        if done.is_ok() {
            self.make_states(group);
        }
        done
    }

    /// The broker that keeps the state of a share partition, by its key as `FindCoordinator` has it.
    pub(crate) fn share_coordinator_of(&self, key: &str) -> Option<i32> {
        let topic = self.topics.get(SHARE_STATE_TOPIC)?;
        let at = partition_for(key, topic.partitions.len() as i32);
        let leader = topic.partitions.get(at as usize)?.leader;
        (leader >= 0).then_some(leader)
    }

    /// Does something with a share group that there is.
    pub(crate) fn with_share<T>(
        &mut self,
        group: &str,
        act: impl FnOnce(&mut Share, &mut Cx) -> T,
    ) -> Option<Result<T, Refusal>> {
        let act = |state: &mut Group, cx: &mut Cx| Some(act(ShareType::of_mut(&mut state.kind)?, cx));
        self.with_group(group, act)?.transpose()
    }

    /// Makes the states of the partitions that a group has begun to read.
    fn make_states(&mut self, group: &str) {
        let Some(share) = self.groups.get(group).and_then(Group::share) else {
            return;
        };
        let epoch = share.epoch;
        let begun = &share.states().initializing;
        if begun.is_empty() {
            return;
        }
        let keys: Vec<Key> = begun
            .iter()
            .flat_map(|(topic, state)| keys_of(group, *topic, state.partitions.iter().copied()))
            .collect();
        let made = keys.into_iter().try_for_each(|key| {
            let state = State::new(epoch, -1, self.now_ms);
            self.write_state(key, Some(state)).map(|_| ())
        });
        let ended = match made {
            Ok(()) => self.with_share(group, Share::end_states),
            Err(error) => {
                tracing::warn!(group, ?error, "states of share partitions could not be made");
                self.with_share(group, Share::abandon_states)
            }
        };
        if let Some(Err(refusal)) = ended {
            tracing::warn!(
                group,
                ?refusal,
                "it was not noted which share partitions have a state"
            );
        }
    }

    /// Writes the state of a share partition, nothing to remove it.
    ///
    /// # Errors
    /// What the share coordinator would answer.
    pub(crate) fn write_state(&mut self, key: Key, state: Option<State>) -> Result<Appended, ResponseError> {
        self.ensure_share_topic().map_err(|refusal| refusal.error)?;
        let record = NewRecord {
            timestamp_ms: self.now_ms,
            key: Some(write_key(&key)),
            value: state.as_ref().map(State::value),
        };
        let batch = build_batch(&[record], BatchOptions::default()).map_err(|error| error.code())?;
        let count = self
            .topics
            .get(SHARE_STATE_TOPIC)
            .map_or(1, |t| t.partitions.len());
        let appended = self
            .append_as_leader(SHARE_STATE_TOPIC, key.home(count as i32), |log, epoch, now_ms| {
                log.append(&batch, epoch, now_ms)?;
                Ok(log.end_offset())
            })
            .map_err(coordinator_error)?;
        match state {
            Some(state) => self.shares.states.insert(key, state),
            None => self.shares.states.remove(&key),
        };
        Ok(appended)
    }

    /// A group's states are removed with it.
    ///
    /// # Errors
    /// They could not be.
    pub(crate) fn delete_states_of(&mut self, group: &str) -> Result<(), Refusal> {
        let of_group = |key: &&Key| key.group == group;
        let keys: Vec<Key> = self.shares.states.keys().filter(of_group).cloned().collect();
        self.delete_states(keys)
    }

    /// Removes states.
    ///
    /// # Errors
    /// They could not be.
    pub(crate) fn delete_states(&mut self, keys: Vec<Key>) -> Result<(), Refusal> {
        for key in keys {
            self.shares.partitions.remove(&key);
            self.write_state(key, None)?;
        }
        Ok(())
    }

    /// A topic is gone, and with it what share groups had read of it.
    pub(crate) fn forget_shared_topic(&mut self, id: Uuid) {
        self.shares.partitions.retain(|key, _| key.topic != id);
        let of_topic = |key: &&Key| key.topic == id;
        let keys: Vec<Key> = self.shares.states.keys().filter(of_topic).cloned().collect();
        if let Err(refusal) = self.delete_states(keys) {
            tracing::warn!(?refusal, "share states of a deleted topic were left behind");
        }
        let readers = self.groups.by_id.values();
        let readers: Vec<String> = readers
            .filter(|group| {
                group
                    .share()
                    .is_some_and(|share| share.states().initialized.contains_key(&id))
            })
            .map(|group| group.id.clone())
            .collect();
        for group in readers {
            let _ = self.with_share(&group, |share, cx| {
                let mut states = share.states().clone();
                states.initialized.remove(&id);
                states.initializing.remove(&id);
                share.put_states(cx, states);
            });
        }
    }

    /// Reads `__share_group_state` back at the start.
    ///
    /// # Errors
    /// A log can't be read.
    pub(crate) fn replay_states(&mut self) -> Result<(), Refusal> {
        let count = self
            .topics
            .get(SHARE_STATE_TOPIC)
            .map_or(0, |t| t.partitions.len());
        for at in 0..count {
            self.load_states(at as i32)?;
        }
        Ok(())
    }

    /// A partition of `__share_group_state` has another leader: its states are what that leader's log says.
    pub(crate) fn move_states(&mut self, at: i32) {
        if let Err(refusal) = self.load_states(at) {
            tracing::error!(partition = at, ?refusal, "share states can't be read back");
        }
    }

    fn load_states(&mut self, at: i32) -> Result<(), Refusal> {
        let Some(topic) = self.topics.get(SHARE_STATE_TOPIC) else {
            return Ok(());
        };
        let count = topic.partitions.len() as i32;
        let states = &mut self.shares.states;
        states.retain(|key, _| key.home(count) != at);
        let Some(partition) = topic.partitions.get(at as usize) else {
            return Ok(());
        };
        let Some(replica) = partition.led_by(partition.leader) else {
            return Ok(());
        };
        let chunks = read_all(&*replica.log).map_err(|e| crate::core::admin::storage_refusal(&e))?;
        for (_, batch) in chunks.iter().flat_map(batches).flatten() {
            for record in batch_records(&batch, MAX_BATCH_BYTES).into_iter().flatten() {
                let key = record.key.as_ref();
                match key.and_then(|key| read_record(key, record.value.as_ref())) {
                    Some((key, Some(state))) => states.insert(key, state),
                    Some((key, None)) => states.remove(&key),
                    None => None,
                };
            }
        }
        Ok(())
    }

    /// Cuts off what no state needs any more: where a log has much of it, every state is written anew, and what was
    /// before is removed.
    pub(crate) fn prune_states(&mut self) {
        let Some(topic) = self.topics.get(SHARE_STATE_TOPIC) else {
            return;
        };
        let count = topic.partitions.len() as i32;
        let ends: Vec<(i64, i64)> = topic
            .partitions
            .iter()
            .map(|partition| {
                let log = partition.led_by(partition.leader).map(|replica| &replica.log);
                log.map_or((0, 0), |log| (log.start_offset(), log.end_offset()))
            })
            .collect();
        for (at, (start, end)) in (0..).zip(ends) {
            if end - start <= SLACK {
                continue;
            }
            let own: Vec<(Key, State)> = self
                .shares
                .states
                .iter()
                .filter(|(key, _)| key.home(count) == at)
                .map(|(key, state)| (key.clone(), state.clone()))
                .collect();
            if end - start <= SLACK + 2 * own.len() as i64 {
                continue;
            }
            let written = own.into_iter().try_for_each(|(key, mut state)| {
                state.snapshot_epoch += 1;
                state.written_ms = self.now_ms;
                self.write_state(key, Some(state)).map(|_| ())
            });
            if written.is_ok() {
                self.cut_states(at, end);
            }
        }
    }

    fn cut_states(&mut self, at: i32, offset: i64) {
        self.settle();
        let Some(topic) = self.topics.get_mut(SHARE_STATE_TOPIC) else {
            return;
        };
        let Some(partition) = topic.partitions.get_mut(at as usize) else {
            return;
        };
        let leader = partition.leader;
        let Some(replica) = partition.led_by_mut(leader) else {
            return;
        };
        let committed = replica.high_watermark;
        if committed < offset {
            return;
        }
        if let Err(error) = replica.log.delete_records_before(offset, committed) {
            tracing::warn!(%error, "old share states were left behind");
        }
    }
}

/// The keys of some partitions.
pub(crate) fn keys_of(group: &str, topic: Uuid, partitions: impl Iterator<Item = i32>) -> Vec<Key> {
    let key = |partition| Key {
        group: group.to_owned(),
        topic,
        partition,
    };
    partitions.map(key).collect()
}
