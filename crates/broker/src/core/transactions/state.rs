//! One transactional id and its transitions, pure: what is allowed from where, and what comes out (KIP-98, KIP-360,
//! KIP-890). A transition gives the next state; it holds once it is written.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;

/// A partition by its topic's name.
pub(crate) type TopicPartition = (String, i32);
/// The partitions of a transaction.
pub(crate) type Partitions = BTreeSet<TopicPartition>;

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Commit,
    Abort,
}

/// Where a transactional id is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// A producer has its id, and no transaction yet.
    Empty,
    /// A transaction is open.
    Ongoing(Partitions),
    /// Its end is decided; these partitions have no marker yet.
    Prepared(Outcome, Partitions),
    /// Every partition has its marker.
    Complete(Outcome),
}

impl State {
    /// The name that Kafka shows.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing(_) => "Ongoing",
            Self::Prepared(Outcome::Commit, _) => "PrepareCommit",
            Self::Prepared(Outcome::Abort, _) => "PrepareAbort",
            Self::Complete(Outcome::Commit) => "CompleteCommit",
            Self::Complete(Outcome::Abort) => "CompleteAbort",
        }
    }

    /// The partitions that belong to it.
    pub(crate) fn partitions(&self) -> Option<&Partitions> {
        match self {
            Self::Ongoing(partitions) | Self::Prepared(_, partitions) => Some(partitions),
            Self::Empty | Self::Complete(_) => None,
        }
    }

    fn is_prepared(&self) -> bool {
        matches!(self, Self::Prepared(..))
    }
}

/// Names of states that Kafka's filter knows: those of [`State::name`], and two that it never shows.
pub(crate) const STATE_NAMES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

/// The `transaction.version` that a producer speaks: 0, 1 (the record may have tags) or 2 (KIP-890).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) i16);

impl Version {
    /// Before KIP-890.
    pub(crate) const V0: Self = Self(0);
    /// With it.
    pub(crate) const V2: Self = Self(2);

    /// Has each transaction an epoch of its own.
    pub(crate) fn bumps_epoch(self) -> bool {
        self >= Self::V2
    }
}

/// A producer id and its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// No producer: the answer to who is refused.
pub(crate) const NOBODY: Producer = Producer { id: -1, epoch: -1 };

/// The last epoch that a client gets: one is kept so that it can be fenced.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// What is known of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// Producer id and epoch in force.
    pub(crate) producer: Producer,
    /// The producer id before the last transition.
    pub(crate) previous_id: i64,
    /// The producer id after the transaction that is ending, -1 for the same one.
    pub(crate) next_id: i64,
    /// The epoch before the last one that its producer itself asked for, -1 for none.
    pub(crate) last_epoch: i16,
    /// How long a transaction may be open.
    pub(crate) timeout_ms: i32,
    pub(crate) state: State,
    /// When the transaction began, -1 for never.
    pub(crate) start_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) version: Version,
}

/// What `InitProducerId` leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Init {
    /// The producer gets this one's id and epoch.
    Ready(Transaction),
    /// The transaction of the producer before is aborted first; the new one has to ask again.
    Fence(Transaction),
}

/// What `EndTxn` leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was asked for before, and is done.
    Done(Producer),
    /// The end is decided.
    Prepare(Transaction),
}

/// Gives a new producer id, where one is needed.
pub(crate) type Fresh<'a> = &'a mut dyn FnMut() -> Result<i64, ResponseError>;

impl Transaction {
    /// A transactional id that nobody has used; its first epoch is 0.
    pub(crate) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer: Producer {
                id: producer_id,
                epoch: -1,
            },
            previous_id: -1,
            next_id: -1,
            last_epoch: -1,
            timeout_ms,
            state: State::Empty,
            start_ms: -1,
            updated_ms: now_ms,
            version: Version::V0,
        }
    }

    fn is_exhausted(&self) -> bool {
        self.producer.epoch >= LAST_EPOCH
    }

    fn next(&self, state: State, now_ms: i64) -> Self {
        Self {
            previous_id: self.producer.id,
            state,
            updated_ms: now_ms,
            ..self.clone()
        }
    }

    /// A producer starts, or starts again as `expected` after an error (KIP-360).
    ///
    /// # Errors
    /// `PRODUCER_FENCED`, `CONCURRENT_TRANSACTIONS`, or why there is no new producer id.
    pub(crate) fn init(
        &self,
        timeout_ms: i32,
        expected: Option<Producer>,
        now_ms: i64,
        fresh: Fresh<'_>,
    ) -> Result<Init, ResponseError> {
        let own = self.producer;
        // An exhausted epoch of the id before may be the retry of a bump whose answer was lost.
        let is_known = |asked: Producer| {
            own.epoch == -1
                || asked.id == own.id
                || (asked.id == self.previous_id && asked.epoch >= LAST_EPOCH)
        };
        if expected.is_some_and(|asked| !is_known(asked)) {
            return Err(ResponseError::ProducerFenced);
        }
        match self.state {
            State::Prepared(..) => Err(ResponseError::ConcurrentTransactions),
            State::Ongoing(_) => Ok(Init::Fence(self.fence(now_ms, fresh)?)),
            State::Empty | State::Complete(_) => {
                let mut next = self.next(State::Empty, now_ms);
                next.timeout_ms = timeout_ms;
                next.start_ms = -1;
                (next.producer, next.last_epoch) = self.bumped(expected, fresh)?;
                Ok(Init::Ready(next))
            }
        }
    }

    /// The producer and the epoch before, for who starts.
    fn bumped(&self, expected: Option<Producer>, fresh: Fresh<'_>) -> Result<(Producer, i16), ResponseError> {
        let Producer { id, epoch } = self.producer;
        if self.is_exhausted() && expected.is_none_or(|asked| asked.epoch == epoch) {
            let last = if expected.is_some() { epoch } else { -1 };
            return Ok((
                Producer {
                    id: fresh()?,
                    epoch: 0,
                },
                last,
            ));
        }
        let next = || Producer {
            id,
            epoch: epoch.saturating_add(1),
        };
        match expected.map(|asked| asked.epoch) {
            None => Ok((next(), -1)),
            Some(asked) if epoch == -1 || asked == epoch => Ok((next(), epoch)),
            // The retry of a bump that has been made.
            Some(asked) if asked == self.last_epoch => Ok((self.producer, self.last_epoch)),
            Some(_) => Err(ResponseError::ProducerFenced),
        }
    }

    /// Ends an open transaction without its producer, whose epoch is fenced with it.
    ///
    /// # Errors
    /// Why there is no new producer id.
    pub(crate) fn fence(&self, now_ms: i64, fresh: Fresh<'_>) -> Result<Self, ResponseError> {
        self.prepare(Outcome::Abort, Version::V2, false, now_ms, fresh)
    }

    fn check_owner(&self, producer: Producer) -> Result<(), ResponseError> {
        if self.producer.id != producer.id {
            Err(ResponseError::InvalidProducerIdMapping)
        } else if self.producer.epoch != producer.epoch {
            Err(ResponseError::ProducerFenced)
        } else if self.state.is_prepared() {
            Err(ResponseError::ConcurrentTransactions)
        } else {
            Ok(())
        }
    }

    /// Takes partitions into the transaction; begins one where none is open. Nothing where they are in it already.
    ///
    /// # Errors
    /// `INVALID_PRODUCER_ID_MAPPING`, `PRODUCER_FENCED`, `CONCURRENT_TRANSACTIONS`.
    pub(crate) fn add(
        &self,
        producer: Producer,
        partitions: &Partitions,
        version: Version,
        now_ms: i64,
    ) -> Result<Option<Self>, ResponseError> {
        if self.state.is_prepared() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        self.check_owner(producer)?;
        let (mut all, start_ms) = match &self.state {
            State::Ongoing(known) if known.is_superset(partitions) => return Ok(None),
            State::Ongoing(known) => (known.clone(), self.start_ms),
            _ => (Partitions::new(), now_ms),
        };
        all.extend(partitions.iter().cloned());
        let mut next = self.next(State::Ongoing(all), now_ms);
        next.start_ms = start_ms;
        next.version = version;
        Ok(Some(next))
    }

    /// Is a partition in the transaction.
    ///
    /// # Errors
    /// `TRANSACTION_ABORTABLE` where it is not, and the errors of [`add`](Self::add).
    pub(crate) fn verify(&self, producer: Producer, partition: &TopicPartition) -> Result<(), ResponseError> {
        self.check_owner(producer)?;
        match self.state.partitions() {
            Some(known) if known.contains(partition) => Ok(()),
            _ => Err(ResponseError::TransactionAbortable),
        }
    }

    /// The producer commits or aborts.
    ///
    /// # Errors
    /// `INVALID_PRODUCER_ID_MAPPING`, `PRODUCER_FENCED`, `CONCURRENT_TRANSACTIONS`, `INVALID_TXN_STATE`.
    pub(crate) fn end(
        &self,
        producer: Producer,
        outcome: Outcome,
        version: Version,
        now_ms: i64,
        fresh: Fresh<'_>,
    ) -> Result<End, ResponseError> {
        if version.bumps_epoch() {
            self.end_with_bump(producer, outcome, version, now_ms, fresh)
        } else {
            self.end_without_bump(producer, outcome, now_ms, fresh)
        }
    }

    fn end_without_bump(
        &self,
        producer: Producer,
        outcome: Outcome,
        now_ms: i64,
        fresh: Fresh<'_>,
    ) -> Result<End, ResponseError> {
        if producer.id != self.producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if producer.epoch != self.producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        match &self.state {
            State::Ongoing(_) => self
                .prepare(outcome, Version::V0, false, now_ms, fresh)
                .map(End::Prepare),
            State::Prepared(..) => Err(ResponseError::ConcurrentTransactions),
            State::Complete(was) if *was == outcome => Ok(End::Done(NOBODY)),
            State::Complete(_) | State::Empty => Err(ResponseError::InvalidTxnState),
        }
    }

    fn end_with_bump(
        &self,
        producer: Producer,
        outcome: Outcome,
        version: Version,
        now_ms: i64,
        fresh: Fresh<'_>,
    ) -> Result<End, ResponseError> {
        if self.state.is_prepared() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        let own = self.producer;
        // The answer to the end of the last transaction was lost, with a new epoch or with a new id in it.
        let new_id = self.previous_id == producer.id && producer.epoch == LAST_EPOCH && own.epoch == 0;
        let new_epoch = i32::from(own.epoch) == i32::from(producer.epoch) + 1;
        let again = new_epoch || new_id;
        if producer.id != own.id && !new_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        let may_be_again = matches!(self.state, State::Complete(_));
        if producer.epoch != own.epoch && !(may_be_again && again) {
            return Err(ResponseError::ProducerFenced);
        }
        let without = match &self.state {
            State::Ongoing(_) => false,
            State::Complete(was) if again => {
                return if *was == outcome {
                    Ok(End::Done(own))
                } else {
                    Err(ResponseError::InvalidTxnState)
                };
            }
            // An abort of nothing still gives a new epoch: the producer can't know whether there was something.
            _ if outcome == Outcome::Abort => true,
            _ => return Err(ResponseError::InvalidTxnState),
        };
        self.prepare(outcome, version, without, now_ms, fresh)
            .map(End::Prepare)
    }

    fn prepare(
        &self,
        outcome: Outcome,
        version: Version,
        without_partitions: bool,
        now_ms: i64,
        fresh: Fresh<'_>,
    ) -> Result<Self, ResponseError> {
        let partitions = self.state.partitions().cloned().unwrap_or_default();
        let mut next = self.next(State::Prepared(outcome, partitions), now_ms);
        next.next_id = -1;
        if version.bumps_epoch() {
            if self.is_exhausted() {
                next.next_id = fresh()?;
            }
            next.producer.epoch = self.producer.epoch.saturating_add(1);
            next.last_epoch = self.producer.epoch;
        }
        if without_partitions {
            next.start_ms = now_ms;
        }
        next.version = version;
        Ok(next)
    }

    /// Who the producer is once the transaction that is ending has its markers.
    pub(crate) fn after_completion(&self) -> Producer {
        if self.version.bumps_epoch() && self.next_id != -1 {
            Producer {
                id: self.next_id,
                epoch: 0,
            }
        } else {
            self.producer
        }
    }

    /// Every marker is written.
    pub(crate) fn complete(&self, outcome: Outcome, now_ms: i64) -> Self {
        let mut next = self.next(State::Complete(outcome), now_ms);
        next.producer = self.after_completion();
        next.next_id = -1;
        next
    }

    /// Has an open transaction been open for too long.
    pub(crate) fn is_timed_out(&self, now_ms: i64) -> bool {
        matches!(self.state, State::Ongoing(_)) && self.start_ms + i64::from(self.timeout_ms) < now_ms
    }

    /// Has nobody used it for `expiration_ms`.
    pub(crate) fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        matches!(self.state, State::Empty | State::Complete(_)) && self.updated_ms <= now_ms - expiration_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(id: i64) -> impl FnMut() -> Result<i64, ResponseError> {
        move || Ok(id)
    }

    fn none() -> Result<i64, ResponseError> {
        panic!("no new producer id is needed")
    }

    fn ready(init: Result<Init, ResponseError>) -> Transaction {
        match init {
            Ok(Init::Ready(next)) => next,
            other => panic!("{other:?}"),
        }
    }

    fn prepared(end: Result<End, ResponseError>) -> Transaction {
        match end {
            Ok(End::Prepare(next)) => next,
            other => panic!("{other:?}"),
        }
    }

    fn started() -> Transaction {
        ready(Transaction::new(7, 1000, 0).init(1000, None, 1, &mut none))
    }

    fn one() -> Partitions {
        Partitions::from([("t".to_owned(), 0)])
    }

    fn ongoing(version: Version) -> Transaction {
        let start = started();
        start.add(start.producer, &one(), version, 5).unwrap().unwrap()
    }

    fn producer(id: i64, epoch: i16) -> Producer {
        Producer { id, epoch }
    }

    #[test]
    fn each_start_has_the_next_epoch_and_fences_the_one_before() {
        let first = started();
        assert_eq!(first.producer, producer(7, 0));
        let second = ready(first.init(2000, None, 2, &mut none));
        assert_eq!((second.producer, second.timeout_ms), (producer(7, 1), 2000));
        assert_eq!(
            second.add(first.producer, &one(), Version::V0, 3),
            Err(ResponseError::ProducerFenced)
        );
        assert_eq!(
            second.add(producer(8, 1), &one(), Version::V0, 3),
            Err(ResponseError::InvalidProducerIdMapping)
        );
    }

    #[test]
    fn who_names_its_epoch_gets_the_next_one_and_a_retry_the_same_again() {
        let start = started();
        let next = ready(start.init(1000, Some(producer(7, 0)), 2, &mut none));
        assert_eq!((next.producer, next.last_epoch), (producer(7, 1), 0));
        let again = ready(next.init(1000, Some(producer(7, 0)), 3, &mut none));
        assert_eq!(again.producer, producer(7, 1));
        // Another producer took over in between.
        let other = ready(next.init(1000, None, 4, &mut none));
        for fenced in [producer(7, 1), producer(7, 0), producer(9, 2)] {
            assert_eq!(
                other.init(1000, Some(fenced), 5, &mut none),
                Err(ResponseError::ProducerFenced)
            );
        }
    }

    #[test]
    fn an_exhausted_epoch_leads_to_a_new_id() {
        let mut start = started();
        start.producer.epoch = i16::MAX - 1;
        let next = ready(start.init(1000, None, 2, &mut fixed(8)));
        assert_eq!((next.producer, next.last_epoch), (producer(8, 0), -1));
        let named = ready(start.init(1000, Some(start.producer), 2, &mut fixed(8)));
        assert_eq!((named.producer, named.last_epoch), (producer(8, 0), i16::MAX - 1));
        let again = ready(named.init(1000, Some(start.producer), 3, &mut none));
        assert_eq!(again.producer, producer(8, 0));
        // And so does the end of a transaction.
        let open = start
            .add(start.producer, &one(), Version::V2, 3)
            .unwrap()
            .unwrap();
        let ending = prepared(open.end(open.producer, Outcome::Commit, Version::V2, 4, &mut fixed(9)));
        assert_eq!(ending.producer, producer(7, i16::MAX));
        assert_eq!(ending.after_completion(), producer(9, 0));
        let done = ending.complete(Outcome::Commit, 5);
        assert_eq!((done.producer, done.previous_id), (producer(9, 0), 7));
        assert_eq!(
            done.end(open.producer, Outcome::Commit, Version::V2, 6, &mut none),
            Ok(End::Done(producer(9, 0)))
        );
    }

    #[test]
    fn a_start_during_a_transaction_aborts_it() {
        let open = ongoing(Version::V0);
        let Ok(Init::Fence(fenced)) = open.init(1000, None, 6, &mut none) else {
            panic!()
        };
        assert_eq!(fenced.state, State::Prepared(Outcome::Abort, one()));
        assert_eq!(fenced.producer, producer(7, 1));
        assert_eq!(
            fenced.init(1000, None, 7, &mut none),
            Err(ResponseError::ConcurrentTransactions)
        );
        let done = fenced.complete(Outcome::Abort, 8);
        assert_eq!(
            ready(done.init(1000, None, 9, &mut none)).producer,
            producer(7, 2)
        );
    }

    #[test]
    fn the_first_protocol_keeps_its_epoch_and_refuses_what_does_not_fit() {
        let open = ongoing(Version::V0);
        assert_eq!(open.start_ms, 5);
        let ending = prepared(open.end(open.producer, Outcome::Commit, Version::V0, 6, &mut none));
        assert_eq!(ending.producer, open.producer);
        for outcome in [Outcome::Commit, Outcome::Abort] {
            assert_eq!(
                ending.end(open.producer, outcome, Version::V0, 7, &mut none),
                Err(ResponseError::ConcurrentTransactions)
            );
        }
        let done = ending.complete(Outcome::Commit, 8);
        let end = |outcome| done.end(open.producer, outcome, Version::V0, 9, &mut none);
        assert_eq!(end(Outcome::Commit), Ok(End::Done(NOBODY)));
        assert_eq!(end(Outcome::Abort), Err(ResponseError::InvalidTxnState));
        let empty = started();
        assert_eq!(
            empty.end(empty.producer, Outcome::Abort, Version::V0, 9, &mut none),
            Err(ResponseError::InvalidTxnState)
        );
    }

    #[test]
    fn the_second_protocol_bumps_the_epoch_at_each_end() {
        let open = ongoing(Version::V2);
        let ending = prepared(open.end(open.producer, Outcome::Commit, Version::V2, 6, &mut none));
        assert_eq!(ending.producer, producer(7, 1));
        let done = ending.complete(Outcome::Commit, 7);
        let end = |epoch, outcome| done.end(producer(7, epoch), outcome, Version::V2, 8, &mut none);
        assert_eq!(end(0, Outcome::Commit), Ok(End::Done(producer(7, 1))));
        assert_eq!(end(0, Outcome::Abort), Err(ResponseError::InvalidTxnState));
        assert_eq!(end(1, Outcome::Commit), Err(ResponseError::InvalidTxnState));
        assert_eq!(end(2, Outcome::Commit), Err(ResponseError::ProducerFenced));
        let nothing = prepared(end(1, Outcome::Abort));
        assert_eq!((nothing.producer, nothing.start_ms), (producer(7, 2), 8));
        let empty = started();
        let of_empty = |epoch, outcome| empty.end(producer(7, epoch), outcome, Version::V2, 8, &mut none);
        assert_eq!(of_empty(-1, Outcome::Abort), Err(ResponseError::ProducerFenced));
        assert_eq!(of_empty(0, Outcome::Commit), Err(ResponseError::InvalidTxnState));
        assert_eq!(prepared(of_empty(0, Outcome::Abort)).producer, producer(7, 1));
    }

    #[test]
    fn time_is_over_after_the_timeout_and_ids_expire_when_nothing_is_open() {
        let open = ongoing(Version::V0);
        assert!(!open.is_timed_out(1005));
        assert!(open.is_timed_out(1006));
        assert!(!open.is_expired(i64::MAX, 1));
        let empty = started();
        assert!(!empty.is_timed_out(i64::MAX) && !empty.is_expired(10, 10) && empty.is_expired(11, 10));
    }
}
