//! Share sessions: which partitions a member reads from a broker, kept between its requests. A session is its
//! connection's, and ends with it.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use uuid::Uuid;

/// Epoch that opens a session.
pub(crate) const OPENS: i32 = 0;
/// Epoch that closes it.
pub(crate) const CLOSES: i32 = -1;
/// All sessions of a broker together may have so many partitions.
const MAX_PARTITIONS: usize = 1_000_000;

/// A broker, a group and a member.
pub(crate) type SessionKey = (i32, String, String);

/// A partition of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    /// Was there such a topic when it was asked for.
    pub(crate) is_known: bool,
    /// The member has yet to be told of it, be there records or not.
    pub(crate) is_news: bool,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    epoch: i32,
    /// In the order in which they were asked for.
    pub(crate) reading: Vec<Reading>,
    connection: u64,
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_key: BTreeMap<SessionKey, Session>,
}

/// What a request changes of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) epoch: i32,
    /// With whether there is such a topic.
    pub(crate) added: Vec<(Uuid, i32, bool)>,
    pub(crate) forgotten: Vec<(Uuid, i32)>,
    pub(crate) connection: u64,
}

impl Sessions {
    pub(crate) fn get(&self, key: &SessionKey) -> Option<&Session> {
        self.by_key.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut Session> {
        self.by_key.get_mut(key)
    }

    /// Opens a session, in place of one that there was.
    ///
    /// # Errors
    /// `SHARE_SESSION_LIMIT_REACHED` where the broker has as many as it may.
    pub(crate) fn open(
        &mut self,
        key: &SessionKey,
        change: &Change,
        max: usize,
    ) -> Result<(), ResponseError> {
        self.by_key.remove(key);
        let of_broker = || self.by_key.iter().filter(|((broker, ..), _)| *broker == key.0);
        let partitions: usize = of_broker().map(|(_, session)| session.reading.len()).sum();
        if of_broker().count() >= max || partitions + change.added.len() > MAX_PARTITIONS {
            return Err(ResponseError::ShareSessionLimitReached);
        }
        let mut session = Session {
            epoch: 1,
            reading: Vec::new(),
            connection: change.connection,
        };
        session.add(&change.added, false);
        self.by_key.insert(key.clone(), session);
        Ok(())
    }

    /// Goes on with a session, whose next epoch this is; one that is closed stays as it is.
    ///
    /// # Errors
    /// `SHARE_SESSION_NOT_FOUND`, `INVALID_SHARE_SESSION_EPOCH`.
    pub(crate) fn go_on(&mut self, key: &SessionKey, change: &Change) -> Result<(), ResponseError> {
        let session = self.by_key.get_mut(key);
        let session = session.ok_or(ResponseError::ShareSessionNotFound)?;
        if change.epoch == CLOSES {
            return Ok(());
        }
        if session.epoch != change.epoch {
            return Err(ResponseError::InvalidShareSessionEpoch);
        }
        session.epoch = session.epoch.checked_add(1).unwrap_or(1);
        session.add(&change.added, true);
        session
            .reading
            .retain(|of| !change.forgotten.contains(&(of.topic, of.partition)));
        Ok(())
    }

    /// Ends a session; gives what it read.
    pub(crate) fn close(&mut self, key: &SessionKey) -> Option<Session> {
        self.by_key.remove(key)
    }

    /// The sessions of a connection.
    pub(crate) fn of_connection(&self, connection: u64) -> Vec<SessionKey> {
        let own = self
            .by_key
            .iter()
            .filter(|(_, session)| session.connection == connection);
        own.map(|(key, _)| key.clone()).collect()
    }

    /// The sessions with a broker.
    pub(crate) fn of_broker(&self, broker: i32) -> Vec<SessionKey> {
        let own = self.by_key.keys().filter(|(at, ..)| *at == broker);
        own.cloned().collect()
    }

    /// Has a group a session with a broker.
    pub(crate) fn has_group(&self, broker: i32, group: &str) -> bool {
        self.by_key.keys().any(|(at, of, _)| *at == broker && of == group)
    }

    /// A broker is gone, and its sessions with it.
    pub(crate) fn drop_broker(&mut self, broker: i32) {
        self.by_key.retain(|(at, ..), _| *at != broker);
    }
}

impl Session {
    fn add(&mut self, added: &[(Uuid, i32, bool)], is_news: bool) {
        let known = self.reading.iter().map(|of| (of.topic, of.partition));
        let mut seen: BTreeSet<(Uuid, i32)> = known.collect();
        for (topic, partition, is_known) in added {
            if seen.insert((*topic, *partition)) {
                self.reading.push(Reading {
                    topic: *topic,
                    partition: *partition,
                    is_known: *is_known,
                    is_news,
                });
            }
        }
    }

    /// What goes into an answer: records and errors, and what the member has yet to be told of.
    pub(crate) fn tells(&mut self, topic: Uuid, partition: i32, has_records: bool, has_error: bool) -> bool {
        let Some(at) = self
            .reading
            .iter()
            .position(|of| (of.topic, of.partition) == (topic, partition))
        else {
            return has_records || has_error;
        };
        let tells = has_records || has_error || self.reading[at].is_news;
        self.reading[at].is_news = has_error;
        if has_records {
            // Who has had something is asked last the next time.
            let had = self.reading.remove(at);
            self.reading.push(had);
        }
        tells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(1);

    fn key(member: &str) -> SessionKey {
        (1, "g".to_owned(), member.to_owned())
    }

    fn change(epoch: i32, added: &[i32]) -> Change {
        Change {
            epoch,
            added: added.iter().map(|index| (TOPIC, *index, true)).collect(),
            connection: 7,
            ..Change::default()
        }
    }

    #[test]
    fn a_session_goes_on_epoch_by_epoch() {
        let mut sessions = Sessions::default();
        let missing = sessions.go_on(&key("a"), &change(1, &[]));
        assert_eq!(missing, Err(ResponseError::ShareSessionNotFound));
        sessions.open(&key("a"), &change(OPENS, &[0]), 9).unwrap();
        sessions.go_on(&key("a"), &change(1, &[1])).unwrap();
        let again = sessions.go_on(&key("a"), &change(1, &[]));
        assert_eq!(again, Err(ResponseError::InvalidShareSessionEpoch));
        let forget = Change {
            forgotten: vec![(TOPIC, 0)],
            ..change(2, &[])
        };
        sessions.go_on(&key("a"), &forget).unwrap();
        let reading = &sessions.get(&key("a")).unwrap().reading;
        assert_eq!(reading.iter().map(|of| of.partition).collect::<Vec<_>>(), [1]);
        sessions.go_on(&key("a"), &change(CLOSES, &[])).unwrap();
    }

    #[test]
    fn a_broker_has_room_for_so_many_sessions() {
        let mut sessions = Sessions::default();
        sessions.open(&key("a"), &change(OPENS, &[0]), 1).unwrap();
        let refused = sessions.open(&key("b"), &change(OPENS, &[0]), 1);
        assert_eq!(refused, Err(ResponseError::ShareSessionLimitReached));
        // In place of its own, a member has room.
        sessions.open(&key("a"), &change(OPENS, &[0]), 1).unwrap();
        assert_eq!(sessions.of_connection(7), [key("a")]);
        sessions.drop_broker(1);
        assert!(sessions.of_connection(7).is_empty() && !sessions.has_group(1, "g"));
    }

    #[test]
    fn an_answer_has_what_is_news() {
        let mut sessions = Sessions::default();
        sessions.open(&key("a"), &change(OPENS, &[0]), 9).unwrap();
        sessions.go_on(&key("a"), &change(1, &[1])).unwrap();
        let session = sessions.get_mut(&key("a")).unwrap();
        assert!(!session.tells(TOPIC, 0, false, false));
        assert!(session.tells(TOPIC, 1, false, false), "it is new");
        assert!(!session.tells(TOPIC, 1, false, false));
        assert!(session.tells(TOPIC, 0, true, false));
        assert!(session.tells(TOPIC, 1, false, true));
        assert!(session.tells(TOPIC, 1, false, false), "the error is over");
    }
}
