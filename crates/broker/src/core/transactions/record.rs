//! A transactional id as a record of `__transaction_state`: Kafka's key (version 0) and value (version 1), so that
//! `kafka-dump-log --transaction-log-decoder` reads the topic.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::state::{Outcome, Partitions, Producer, State, Transaction, Version};

const PREVIOUS_ID: u32 = 0;
const NEXT_ID: u32 = 1;
const CLIENT_VERSION: u32 = 2;

/// The record's key.
pub(crate) fn key(transactional_id: &str) -> Bytes {
    let mut key = BytesMut::new();
    key.put_i16(0);
    // The id came in a request, whose strings have 16-bit lengths.
    key.put_i16(transactional_id.len() as i16);
    key.put_slice(transactional_id.as_bytes());
    key.freeze()
}

/// The transactional id of a key; nothing for a key of another kind.
pub(crate) fn read_key(key: &Bytes) -> Option<String> {
    let mut key = key.clone();
    if key.try_get_i16().ok()? != 0 {
        return None;
    }
    let len = usize::try_from(key.try_get_i16().ok()?).ok()?;
    let id = key.get(..len)?;
    String::from_utf8(id.to_vec()).ok()
}

/// The record's value.
pub(crate) fn value(transaction: &Transaction) -> Bytes {
    let mut value = BytesMut::new();
    value.put_i16(1);
    value.put_i64(transaction.producer.id);
    value.put_i16(transaction.producer.epoch);
    value.put_i32(transaction.timeout_ms);
    value.put_u8(state_id(&transaction.state));
    put_partitions(&mut value, &transaction.state);
    value.put_i64(transaction.updated_ms);
    value.put_i64(transaction.start_ms);
    put_tags(&mut value, transaction);
    value.freeze()
}

/// Reads a value; nothing where it is of a version that this cluster doesn't write, or damaged.
pub(crate) fn read_value(value: &Bytes) -> Option<Transaction> {
    let mut value = value.clone();
    if value.try_get_i16().ok()? != 1 {
        return None;
    }
    let producer = Producer {
        id: value.try_get_i64().ok()?,
        epoch: value.try_get_i16().ok()?,
    };
    let timeout_ms = value.try_get_i32().ok()?;
    let state = value.try_get_u8().ok()?;
    let partitions = get_partitions(&mut value)?;
    let mut read = Transaction {
        producer,
        previous_id: -1,
        next_id: -1,
        // Kafka's record has no place for it: a retry over a restart is fenced.
        last_epoch: -1,
        timeout_ms,
        state: state_of(state, partitions)?,
        updated_ms: value.try_get_i64().ok()?,
        start_ms: value.try_get_i64().ok()?,
        version: Version::V0,
    };
    get_tags(&mut value, &mut read)?;
    Some(read)
}

fn state_id(state: &State) -> u8 {
    match state {
        State::Empty => 0,
        State::Ongoing(_) => 1,
        State::Prepared(Outcome::Commit, _) => 2,
        State::Prepared(Outcome::Abort, _) => 3,
        State::Complete(Outcome::Commit) => 4,
        State::Complete(Outcome::Abort) => 5,
    }
}

fn state_of(id: u8, partitions: Partitions) -> Option<State> {
    Some(match id {
        0 => State::Empty,
        1 => State::Ongoing(partitions),
        2 => State::Prepared(Outcome::Commit, partitions),
        3 => State::Prepared(Outcome::Abort, partitions),
        4 => State::Complete(Outcome::Commit),
        5 => State::Complete(Outcome::Abort),
        _ => return None,
    })
}

fn put_partitions(value: &mut BytesMut, state: &State) {
    if *state == State::Empty {
        put_varint(value, 0);
        return;
    }
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in state.partitions().into_iter().flatten() {
        by_topic.entry(topic).or_default().push(*partition);
    }
    put_varint(value, by_topic.len() as u32 + 1);
    for (topic, partitions) in by_topic {
        put_varint(value, topic.len() as u32 + 1);
        value.put_slice(topic.as_bytes());
        put_varint(value, partitions.len() as u32 + 1);
        for partition in partitions {
            value.put_i32(partition);
        }
        put_varint(value, 0);
    }
}

fn get_partitions(value: &mut Bytes) -> Option<Partitions> {
    let mut partitions = Partitions::new();
    for _ in 1..get_varint(value)? {
        let len = (get_varint(value)? as usize).checked_sub(1)?;
        let topic = get_text(value, len)?;
        for _ in 1..get_varint(value)? {
            partitions.insert((topic.clone(), value.try_get_i32().ok()?));
        }
        for _ in 0..get_varint(value)? {
            skip_tag(value)?;
        }
    }
    Some(partitions)
}

fn put_tags(value: &mut BytesMut, transaction: &Transaction) {
    let mut tags: Vec<(u32, Vec<u8>)> = Vec::new();
    for (tag, id) in [
        (PREVIOUS_ID, transaction.previous_id),
        (NEXT_ID, transaction.next_id),
    ] {
        if id != -1 {
            tags.push((tag, id.to_be_bytes().to_vec()));
        }
    }
    if transaction.version != Version::V0 {
        tags.push((CLIENT_VERSION, transaction.version.0.to_be_bytes().to_vec()));
    }
    put_varint(value, tags.len() as u32);
    for (tag, bytes) in tags {
        put_varint(value, tag);
        put_varint(value, bytes.len() as u32);
        value.put_slice(&bytes);
    }
}

fn get_tags(value: &mut Bytes, read: &mut Transaction) -> Option<()> {
    for _ in 0..get_varint(value)? {
        let mut tagged = value.clone();
        match get_varint(&mut tagged)? {
            PREVIOUS_ID => {
                get_varint(&mut tagged)?;
                read.previous_id = tagged.try_get_i64().ok()?;
            }
            NEXT_ID => {
                get_varint(&mut tagged)?;
                read.next_id = tagged.try_get_i64().ok()?;
            }
            CLIENT_VERSION => {
                get_varint(&mut tagged)?;
                read.version = Version(tagged.try_get_i16().ok()?);
            }
            _ => {}
        }
        skip_tag(value)?;
    }
    Some(())
}

fn skip_tag(value: &mut Bytes) -> Option<()> {
    get_varint(value)?;
    let len = get_varint(value)? as usize;
    if value.remaining() < len {
        return None;
    }
    value.advance(len);
    Some(())
}

fn get_text(value: &mut Bytes, len: usize) -> Option<String> {
    if value.remaining() < len {
        return None;
    }
    String::from_utf8(value.split_to(len).to_vec()).ok()
}

fn put_varint(value: &mut BytesMut, mut number: u32) {
    while number >= 0x80 {
        value.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    value.put_u8(number as u8);
}

fn get_varint(value: &mut Bytes) -> Option<u32> {
    let mut number = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = value.try_get_u8().ok()?;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(state: State) -> Transaction {
        Transaction {
            producer: Producer { id: 3, epoch: 5 },
            previous_id: 3,
            next_id: -1,
            last_epoch: -1,
            timeout_ms: 60_000,
            state,
            start_ms: 11,
            updated_ms: 12,
            version: Version::V2,
        }
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let partitions = Partitions::from([("t".to_owned(), 0), ("t".to_owned(), 3), ("u".to_owned(), 1)]);
        for state in [
            State::Empty,
            State::Ongoing(partitions.clone()),
            State::Prepared(Outcome::Commit, partitions.clone()),
            State::Prepared(Outcome::Abort, Partitions::new()),
            State::Complete(Outcome::Commit),
            State::Complete(Outcome::Abort),
        ] {
            let written = sample(state);
            assert_eq!(read_value(&value(&written)), Some(written));
        }
        assert_eq!(read_key(&key("pay")).as_deref(), Some("pay"));
    }

    #[test]
    fn a_damaged_record_is_passed_over() {
        let whole = value(&sample(State::Ongoing(Partitions::from([("t".to_owned(), 0)]))));
        for end in 0..whole.len() {
            assert_eq!(read_value(&whole.slice(..end)), None, "{end}");
        }
        assert_eq!(read_key(&Bytes::from_static(&[0, 0, 0, 9, b'a'])), None);
        assert_eq!(read_key(&Bytes::from_static(&[0, 1, 0, 1, b'a'])), None);
    }
}
