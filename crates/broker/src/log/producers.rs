//! What a log knows of its idempotent and transactional producers (KIP-98, KIP-360): pure, rebuilt from the batches.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use thiserror::Error;

use super::batch::BatchHeader;

/// Batches remembered per producer; more may not be in flight (`max.in.flight.requests.per.connection` is 5).
pub const CACHED_BATCHES: usize = 5;

/// Why a producer's batch is refused. Display is Kafka's message, without the partition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProducerError {
    /// A gap in the sequence numbers.
    #[error(
        "Out of order sequence number for producer {producer_id}: {sequence} (incoming seq. number), {last} (current end sequence number)"
    )]
    OutOfOrder {
        /// The producer.
        producer_id: i64,
        /// First sequence number of the batch.
        sequence: i32,
        /// Last sequence number in the log.
        last: i32,
    },
    /// A new epoch has to start at sequence 0.
    #[error(
        "Invalid sequence number for new epoch of producer {producer_id}: {epoch} (request epoch), {sequence} (seq. number), {current} (current producer epoch)"
    )]
    NewEpochSequence {
        /// The producer.
        producer_id: i64,
        /// Epoch of the batch.
        epoch: i16,
        /// First sequence number of the batch.
        sequence: i32,
        /// Epoch in the log.
        current: i16,
    },
    /// A batch of an epoch that has been fenced.
    #[error(
        "Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch {current}"
    )]
    Fenced {
        /// The producer.
        producer_id: i64,
        /// Epoch of the batch.
        epoch: i16,
        /// Epoch in the log.
        current: i16,
    },
    /// A batch outside of a transaction while one is open.
    #[error("Expected transactional write from producer {producer_id}")]
    NotTransactional {
        /// The producer.
        producer_id: i64,
    },
    /// A transactional batch of which the transaction coordinator knows nothing (KIP-890).
    #[error("Record was not part of an ongoing transaction")]
    NotVerified,
    /// A producer of the second transaction protocol starts with another sequence number than 0.
    #[error(
        "Invalid sequence number for producer {producer_id}: {sequence} (incoming seq. number). Expected sequence 0 for transactions v2 idempotent producer with no existing state."
    )]
    FirstSequence {
        /// The producer.
        producer_id: i64,
        /// First sequence number of the batch.
        sequence: i32,
    },
    /// A batch overtakes an earlier one that was refused.
    #[error(
        "Out of order sequence number for producer {producer_id}: {sequence} (incoming seq. number), {earliest} (earliest seen sequence)"
    )]
    Overtakes {
        /// The producer.
        producer_id: i64,
        /// First sequence number of the batch.
        sequence: i32,
        /// The smallest first sequence number that was tried.
        earliest: i32,
    },
    /// A marker of a coordinator that is no longer the one.
    #[error("Invalid coordinator epoch for producerId {producer_id}: {epoch} (zombie), {current} (current)")]
    CoordinatorFenced {
        /// The producer.
        producer_id: i64,
        /// Coordinator epoch of the marker.
        epoch: i32,
        /// Coordinator epoch in the log.
        current: i32,
    },
}

impl ProducerError {
    /// The error code of the Produce response.
    pub fn code(&self) -> ResponseError {
        match self {
            Self::OutOfOrder { .. }
            | Self::NewEpochSequence { .. }
            | Self::FirstSequence { .. }
            | Self::Overtakes { .. } => ResponseError::OutOfOrderSequenceNumber,
            Self::Fenced { .. } => ResponseError::InvalidProducerEpoch,
            Self::NotTransactional { .. } | Self::NotVerified => ResponseError::InvalidTxnState,
            Self::CoordinatorFenced { .. } => ResponseError::TransactionCoordinatorFenced,
        }
    }
}

/// A batch of a producer that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMeta {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Number of records, less one.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: i64,
}

impl BatchMeta {
    /// Offset of its first record.
    pub fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    /// Sequence number of its first record.
    pub fn first_sequence(&self) -> i32 {
        (i64::from(self.last_sequence) - i64::from(self.offset_delta)).rem_euclid(1 << 31) as i32
    }
}

/// One producer, as far as this log has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Its epoch, -1 where only a marker without one is known.
    pub epoch: i16,
    /// Its last batches, oldest first.
    pub batches: VecDeque<BatchMeta>,
    /// Epoch of the coordinator that wrote its last marker, -1 for none.
    pub coordinator_epoch: i32,
    /// Timestamp of its last batch.
    pub last_timestamp: i64,
    /// Where its open transaction starts.
    pub txn_first_offset: Option<i64>,
}

impl ProducerEntry {
    fn new(epoch: i16) -> Self {
        Self {
            epoch,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            last_timestamp: -1,
            txn_first_offset: None,
        }
    }

    /// Last sequence number, -1 for none.
    pub fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }
}

/// An end-of-transaction marker: the one record of a control batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Commit, or abort.
    pub commit: bool,
    /// Epoch of the coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads the marker from the key and value of a control record; none for other control records.
    pub fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let commit = match *key {
            [_, _, 0, 0, ..] => false,
            [_, _, 0, 1, ..] => true,
            _ => return None,
        };
        let epoch = value.get(2..6)?.try_into().ok()?;
        Some(Self {
            commit,
            coordinator_epoch: i32::from_be_bytes(epoch),
        })
    }
}

/// A marker that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMarker {
    /// The producer whose transaction ends.
    pub producer_id: i64,
    /// The epoch that holds from now on.
    pub producer_epoch: i16,
    /// Commit or abort, and who says so.
    pub marker: EndTxnMarker,
    /// The transaction is of the second protocol (`transaction.version` 2): its epoch must be a new one.
    pub bumps_epoch: bool,
}

impl EndTxnMarker {
    /// Key and value of the control record.
    pub fn encode(self) -> (Bytes, Bytes) {
        let mut value = BytesMut::with_capacity(6);
        value.put_i16(0);
        value.put_i32(self.coordinator_epoch);
        (
            Bytes::copy_from_slice(&[0, 0, 0, u8::from(self.commit)]),
            value.freeze(),
        )
    }
}

/// A transactional batch that the transaction coordinator is being asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verification {
    epoch: i16,
    /// The smallest first sequence number that was tried in this epoch.
    earliest: i32,
    bumps_epoch: bool,
    since_ms: i64,
}

/// First appends to a transaction, each with the coordinator's word for it (KIP-890). Not part of what the log tells:
/// a restart forgets it, and the producer asks again.
#[derive(Debug, Default)]
pub struct Verifications {
    by_producer: HashMap<i64, Verification>,
}

impl Verifications {
    /// Takes note that the coordinator is asked about a batch.
    pub fn start(&mut self, producer_id: i64, epoch: i16, sequence: i32, bumps_epoch: bool, now_ms: i64) {
        let entry = self.by_producer.entry(producer_id).or_insert(Verification {
            epoch,
            earliest: sequence,
            bumps_epoch,
            since_ms: now_ms,
        });
        if epoch > entry.epoch {
            (entry.epoch, entry.earliest) = (epoch, sequence);
        } else if epoch == entry.epoch {
            entry.earliest = entry.earliest.min(sequence);
        }
    }

    fn get(&self, producer_id: i64) -> Option<&Verification> {
        self.by_producer.get(&producer_id)
    }

    /// A batch is in the log: the transaction is open or over, and needs no word any more.
    pub fn appended(&mut self, header: &BatchHeader) {
        if !header.is_transactional() {
            return;
        }
        // A marker of the epoch that the next transaction of the second protocol has must not end that one.
        let next_started = self.get(header.producer_id).is_some_and(|entry| {
            entry.bumps_epoch && header.is_control() && entry.epoch == header.producer_epoch
        });
        if !next_started {
            self.by_producer.remove(&header.producer_id);
        }
    }

    /// Forgets what was never followed by a batch.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_producer
            .retain(|_, entry| now_ms.saturating_sub(entry.since_ms) < expiration_ms);
    }
}

/// May a batch be appended?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// Yes.
    Next,
    /// It is in the log already.
    Duplicate(BatchMeta),
}

/// A transaction that a marker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedTxn {
    /// The producer.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
    /// Offset of the marker.
    pub last_offset: i64,
    /// Aborted rather than committed.
    pub aborted: bool,
}

/// The producers of one log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerStates {
    producers: HashMap<i64, ProducerEntry>,
    /// Open transactions by first offset.
    open_txns: BTreeMap<i64, i64>,
    /// Ended transactions whose marker may still be above the high watermark: first offset to marker's offset.
    ended_txns: BTreeMap<i64, i64>,
}

impl ProducerStates {
    /// Every producer with its id, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &ProducerEntry)> {
        self.producers.iter().map(|(id, entry)| (*id, entry))
    }

    /// What is known of one producer.
    pub fn get(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    /// No producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// May the leader append this batch of records? A batch without a producer id always may.
    pub fn check(&self, header: &BatchHeader, verified: &Verifications) -> Result<Sequence, ProducerError> {
        if !header.has_producer() {
            return Ok(Sequence::Next);
        }
        let entry = self.producers.get(&header.producer_id);
        let from_client = header.base_sequence >= 0;
        if let Some(batch) = entry
            .filter(|_| from_client)
            .and_then(|entry| duplicate(entry, header))
        {
            return Ok(Sequence::Duplicate(batch));
        }
        let (producer_id, epoch) = (header.producer_id, header.producer_epoch);
        if let Some(entry) = entry.filter(|entry| epoch < entry.epoch) {
            return Err(ProducerError::Fenced {
                producer_id,
                epoch,
                current: entry.epoch,
            });
        }
        let verification = verified.get(producer_id);
        if header.is_transactional() && !self.has_open_txn(producer_id, epoch) && verification.is_none() {
            return Err(ProducerError::NotVerified);
        }
        if from_client {
            check_sequence(entry, header, verification)?;
        }
        if entry.is_some_and(|entry| entry.txn_first_offset.is_some()) && !header.is_transactional() {
            return Err(ProducerError::NotTransactional { producer_id });
        }
        Ok(Sequence::Next)
    }

    /// May the leader append this marker?
    pub fn check_marker(&self, new: &NewMarker) -> Result<(), ProducerError> {
        let Some(entry) = self.producers.get(&new.producer_id) else {
            return Ok(());
        };
        let (producer_id, epoch) = (new.producer_id, new.producer_epoch);
        // The second protocol ends each transaction with a new epoch; the same one is a marker that comes again.
        let again = epoch == entry.epoch && (entry.txn_first_offset.is_none() || epoch == i16::MAX);
        if epoch < entry.epoch || (new.bumps_epoch && epoch == entry.epoch && !again) {
            return Err(ProducerError::Fenced {
                producer_id,
                epoch,
                current: entry.epoch,
            });
        }
        if new.marker.coordinator_epoch < entry.coordinator_epoch {
            return Err(ProducerError::CoordinatorFenced {
                producer_id,
                epoch: new.marker.coordinator_epoch,
                current: entry.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Has the producer a transaction open in this log, in this epoch.
    pub fn has_open_txn(&self, producer_id: i64, epoch: i16) -> bool {
        self.get(producer_id)
            .is_some_and(|entry| entry.epoch == epoch && entry.txn_first_offset.is_some())
    }

    /// Takes note of a batch that is now in the log. A marker that ends a transaction gives it back.
    pub fn update(&mut self, header: &BatchHeader, marker: Option<EndTxnMarker>) -> Option<CompletedTxn> {
        if !header.has_producer() || (header.is_control() && marker.is_none()) {
            return None;
        }
        let epoch = header.producer_epoch;
        let entry = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| ProducerEntry::new(epoch));
        if entry.epoch != epoch {
            entry.epoch = epoch;
            entry.batches.clear();
        }
        entry.last_timestamp = header.max_timestamp;
        if let Some(marker) = marker {
            entry.coordinator_epoch = marker.coordinator_epoch;
            let first_offset = entry.txn_first_offset.take()?;
            self.open_txns.remove(&first_offset);
            self.ended_txns.insert(first_offset, header.base_offset);
            return Some(CompletedTxn {
                producer_id: header.producer_id,
                first_offset,
                last_offset: header.base_offset,
                aborted: !marker.commit,
            });
        }
        if entry.batches.len() == CACHED_BATCHES {
            entry.batches.pop_front();
        }
        entry.batches.push_back(BatchMeta {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        if header.is_transactional() && entry.txn_first_offset.is_none() {
            entry.txn_first_offset = Some(header.base_offset);
            self.open_txns.insert(header.base_offset, header.producer_id);
        }
        None
    }

    /// The last stable offset: nothing below it belongs to a transaction that is open, or whose marker is not yet
    /// below the high watermark.
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let undecided = self
            .ended_txns
            .iter()
            .find(|(_, marker)| **marker >= high_watermark)
            .map(|(first, _)| *first);
        let open = self.open_txns.first_key_value().map(|(first, _)| *first);
        high_watermark
            .min(undecided.unwrap_or(i64::MAX))
            .min(open.unwrap_or(i64::MAX))
    }

    /// First offset of the oldest open transaction.
    pub fn first_open_txn(&self) -> Option<i64> {
        self.open_txns.first_key_value().map(|(first, _)| *first)
    }

    /// The last stable offset just after `completed` has ended, for the index of aborted transactions.
    pub fn stable_offset_after(&self, completed: &CompletedTxn) -> i64 {
        self.first_open_txn().unwrap_or(completed.last_offset + 1)
    }

    /// Forgets ended transactions whose markers are replicated everywhere.
    pub fn high_watermark_advanced(&mut self, high_watermark: i64) {
        if !self.ended_txns.is_empty() {
            self.ended_txns.retain(|_, marker| *marker >= high_watermark);
        }
    }

    /// Forgets producers that have written nothing for `expiration_ms` and have no transaction open.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, entry| {
            entry.txn_first_offset.is_some() || now_ms.saturating_sub(entry.last_timestamp) < expiration_ms
        });
    }

    /// Producers from a snapshot.
    pub(super) fn from_entries(entries: impl IntoIterator<Item = (i64, ProducerEntry)>) -> Self {
        let producers: HashMap<i64, ProducerEntry> = entries.into_iter().collect();
        let open = producers
            .iter()
            .filter_map(|(id, entry)| Some((entry.txn_first_offset?, *id)));
        Self {
            open_txns: open.collect(),
            ended_txns: BTreeMap::new(),
            producers,
        }
    }
}

fn check_sequence(
    entry: Option<&ProducerEntry>,
    header: &BatchHeader,
    verification: Option<&Verification>,
) -> Result<(), ProducerError> {
    let (producer_id, epoch, sequence) = (header.producer_id, header.producer_epoch, header.base_sequence);
    if let Some(verification) = verification {
        let empty = entry.is_none_or(|entry| entry.batches.is_empty());
        if verification.bumps_epoch && sequence != 0 && empty {
            return Err(ProducerError::FirstSequence {
                producer_id,
                sequence,
            });
        }
        if sequence > verification.earliest {
            return Err(ProducerError::Overtakes {
                producer_id,
                sequence,
                earliest: verification.earliest,
            });
        }
    }
    let Some(entry) = entry.filter(|entry| entry.epoch != -1) else {
        return Ok(());
    };
    let last = entry.last_sequence();
    if epoch != entry.epoch {
        if sequence != 0 {
            return Err(ProducerError::NewEpochSequence {
                producer_id,
                epoch,
                sequence,
                current: entry.epoch,
            });
        }
    } else if !follows(last, sequence) {
        return Err(ProducerError::OutOfOrder {
            producer_id,
            sequence,
            last,
        });
    }
    Ok(())
}

fn duplicate(entry: &ProducerEntry, header: &BatchHeader) -> Option<BatchMeta> {
    let (first, last) = (header.base_sequence, header.last_sequence());
    let same = |batch: &&BatchMeta| batch.first_sequence() == first && batch.last_sequence == last;
    entry
        .batches
        .iter()
        .find(same)
        .filter(|_| header.producer_epoch == entry.epoch)
        .copied()
}

fn follows(last: i32, next: i32) -> bool {
    i64::from(next) == i64::from(last) + 1 || (next == 0 && last == i32::MAX)
}
