//! The state of a share partition, and its record in `__share_group_state`: Kafka's snapshot (key and value version 0),
//! so that `ShareGroupStateMessageFormatter` of Kafka's tools reads it.

use bytes::Bytes;
use uuid::Uuid;

use crate::core::groups::random_id;
use crate::core::groups::records::wire::{Reader, Torn, Writer};
use crate::core::offsets::partition_for;

/// Whose state it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) group: String,
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
}

impl Key {
    /// The key as `FindCoordinator` knows it.
    fn text(&self) -> String {
        format!("{}:{}:{}", self.group, random_id(self.topic), self.partition)
    }

    /// Its partition of `__share_group_state`.
    pub(crate) fn home(&self, partitions: i32) -> i32 {
        partition_for(&self.text(), partitions)
    }
}

/// Records of one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Kafka's number: 0 available, 2 acknowledged, 4 archived.
    pub(crate) state: i8,
    pub(crate) delivery_count: i16,
}

/// The state of a share partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// How often the whole state was written.
    pub(crate) snapshot_epoch: i32,
    /// The group epoch at which it was made, or last altered.
    pub(crate) group_epoch: i32,
    /// Of the partition's leader that wrote it last.
    pub(crate) leader_epoch: i32,
    /// All records below are done; -1 while nobody has read.
    pub(crate) start_offset: i64,
    /// Records from there on that are done as well; -1 while nobody has read.
    pub(crate) complete: i32,
    pub(crate) created_ms: i64,
    pub(crate) written_ms: i64,
    pub(crate) batches: Vec<Batch>,
}

impl State {
    /// One that nobody has read yet.
    pub(crate) fn new(group_epoch: i32, start_offset: i64, now_ms: i64) -> Self {
        Self {
            snapshot_epoch: 0,
            group_epoch,
            leader_epoch: 0,
            start_offset,
            complete: if start_offset < 0 { -1 } else { 0 },
            created_ms: now_ms,
            written_ms: now_ms,
            batches: Vec::new(),
        }
    }

    pub(crate) fn value(&self) -> Bytes {
        let mut value = Writer::version(0);
        value.i32(self.snapshot_epoch);
        value.i32(self.group_epoch);
        value.i32(self.leader_epoch);
        value.i64(self.start_offset);
        value.i64(self.created_ms);
        value.i64(self.written_ms);
        value.compact_len(self.batches.len());
        for batch in &self.batches {
            value.i64(batch.first);
            value.i64(batch.last);
            value.i8(batch.state);
            value.i16(batch.delivery_count);
            value.no_tags();
        }
        if self.complete == -1 {
            value.no_tags();
        } else {
            value.one_tag(|field| field.i32(self.complete));
        }
        value.finish()
    }

    fn read(value: &mut Reader) -> Result<Self, Torn> {
        if value.i16()? != 0 {
            return Err(Torn);
        }
        let mut state = Self {
            snapshot_epoch: value.i32()?,
            group_epoch: value.i32()?,
            leader_epoch: value.i32()?,
            start_offset: value.i64()?,
            complete: -1,
            created_ms: value.i64()?,
            written_ms: value.i64()?,
            batches: Vec::new(),
        };
        for _ in 0..value.compact_count()? {
            let batch = Batch {
                first: value.i64()?,
                last: value.i64()?,
                state: value.i8()?,
                delivery_count: value.i16()?,
            };
            value.tags()?;
            state.batches.push(batch);
        }
        if let Some(mut complete) = value.tags()? {
            state.complete = complete.i32()?;
        }
        Ok(state)
    }
}

/// The record's key.
pub(crate) fn write_key(of: &Key) -> Bytes {
    let mut key = Writer::version(0);
    key.string(&of.group);
    key.uuid(of.topic);
    key.i32(of.partition);
    key.finish()
}

/// What a record says; nothing where it is damaged or of another kind.
pub(crate) fn read_record(key: &Bytes, value: Option<&Bytes>) -> Option<(Key, Option<State>)> {
    let mut rest = Reader(key.clone());
    let read = |rest: &mut Reader| -> Result<Key, Torn> {
        if rest.i16()? != 0 {
            return Err(Torn);
        }
        Ok(Key {
            group: rest.string()?,
            topic: rest.uuid()?,
            partition: rest.i32()?,
        })
    };
    let key = read(&mut rest).ok()?;
    match value {
        None => Some((key, None)),
        Some(value) => {
            let state = State::read(&mut Reader(value.clone())).ok()?;
            Some((key, Some(state)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_written() {
        let key = Key {
            group: "g".to_owned(),
            topic: Uuid::from_u128(7),
            partition: 3,
        };
        let mut state = State::new(2, -1, 5);
        let read = |state: &State| read_record(&write_key(&key), Some(&state.value())).unwrap();
        assert_eq!(read(&state), (key.clone(), Some(state.clone())));
        state.complete = 2;
        state.start_offset = 9;
        state.batches.push(Batch {
            first: 9,
            last: 11,
            state: 4,
            delivery_count: 5,
        });
        assert_eq!(read(&state), (key.clone(), Some(state)));
        assert_eq!(read_record(&write_key(&key), None), Some((key, None)));
        assert_eq!(read_record(&Bytes::from_static(b"\0\x01x"), None), None);
    }
}
