//! Where a share group begins, set from outside: for groups without members.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::coordinator::keys_of;
use super::state::{Key, State};
use crate::core::groups::records::ModernSaved;
use crate::core::groups::share::{Share, ShareType, TopicState, TopicStates, merge};
use crate::core::groups::{Group, Kind};
use crate::core::{Core, Refusal};

/// A new start offset of a partition.
#[derive(Debug, Clone)]
pub(crate) struct NewOffset {
    pub(crate) topic: Uuid,
    pub(crate) name: String,
    pub(crate) partition: i32,
    pub(crate) start: i64,
}

impl Core {
    /// A share group that nobody is in.
    fn empty_share_group(&self, broker: i32, group: &str) -> Result<&Share, Refusal> {
        self.check_coordinator(broker, group)?;
        let share = self.groups.of_type::<ShareType>(group)?;
        if share.members.is_empty() {
            return Ok(share);
        }
        Err(Refusal::new(
            ResponseError::NonEmptyGroup,
            "The group is not empty.",
        ))
    }

    /// Has a group begin at these offsets; a group that there is not is made.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`, `NON_EMPTY_GROUP`, and what the share coordinator would answer.
    pub(crate) fn alter_share_offsets(
        &mut self,
        broker: i32,
        group: &str,
        wanted: Vec<NewOffset>,
    ) -> Result<(), Refusal> {
        self.check_coordinator(broker, group)?;
        let is_new = self.groups.get(group).is_none();
        if is_new {
            self.groups.make(group, Kind::Share(Share::new(group)));
        }
        let share = self.empty_share_group(broker, group)?;
        let (epoch, hash) = (share.epoch, share.hash);
        let mut altered = TopicStates::new();
        for of in &wanted {
            let state: &mut TopicState = altered.entry(of.topic).or_default();
            state.name.clone_from(&of.name);
            state.partitions.insert(of.partition);
        }
        for of in wanted {
            let key = Key {
                group: group.to_owned(),
                topic: of.topic,
                partition: of.partition,
            };
            self.shares.partitions.remove(&key);
            let before = self.shares.states.get(&key).map_or(0, |state| state.group_epoch);
            let state = State::new(epoch.max(before + 1), of.start, self.now_ms);
            self.write_state(key, Some(state))?;
        }
        let saved = self.with_share(group, |share, cx| {
            if is_new {
                share.put(cx, ModernSaved::Epoch(Some((epoch, hash))));
            }
            let mut states = share.states().clone();
            states.deleting.retain(|topic, _| !altered.contains_key(topic));
            merge(&mut states.initialized, altered);
            share.put_states(cx, states);
        });
        saved.unwrap_or(Ok(()))
    }

    /// Has a group forget what it has read of topics; says of which it had something.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`, `NON_EMPTY_GROUP`, and what the share coordinator would answer.
    pub(crate) fn delete_share_offsets(
        &mut self,
        broker: i32,
        group: &str,
        topics: &[Uuid],
    ) -> Result<BTreeSet<Uuid>, Refusal> {
        self.empty_share_group(broker, group)?;
        let initialized = self
            .groups
            .get(group)
            .and_then(Group::share)
            .map(|share| &share.states().initialized);
        let found: Vec<(Uuid, Vec<Key>)> = initialized
            .into_iter()
            .flatten()
            .filter(|(topic, _)| topics.contains(topic))
            .map(|(topic, state)| (*topic, keys_of(group, *topic, state.partitions.iter().copied())))
            .collect();
        let mut forgotten = BTreeSet::new();
        for (topic, keys) in found {
            self.delete_states(keys)?;
            forgotten.insert(topic);
        }
        if !forgotten.is_empty() {
            let saved = self.with_share(group, |share, cx| {
                let mut states = share.states().clone();
                states.initialized.retain(|topic, _| !forgotten.contains(topic));
                share.put_states(cx, states);
            });
            saved.unwrap_or(Ok(()))?;
        }
        Ok(forgotten)
    }
}
