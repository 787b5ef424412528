//! The log of one partition's replica.

use bytes::Bytes;
use uuid::Uuid;

use super::batch::{BatchHeader, TimestampType, batches, check_crc};
use super::config::LogConfig;
use super::dir::{LEADER_EPOCHS, PARTITION_METADATA, partition_metadata};
use super::epochs::{EpochEnd, LeaderEpochs};
use super::error::LogError;
use super::files::replace;
use super::producers::{EndTxnMarker, NewMarker, ProducerError, ProducerStates, Sequence, Verifications};
use super::record::batch_records;
use super::segment::{Place, Segment};
use super::txn_index;
use super::validate::{BatchOptions, NewRecord, ValidBatch, build_batch};

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// The batch is in the log.
    Written(Appended),
    /// The producer sent it before: answer with where it is.
    Duplicate {
        /// Offset of its first record.
        base_offset: i64,
        /// Its append time, under LogAppendTime.
        log_append_time_ms: Option<i64>,
        /// First offset of the log.
        log_start_offset: i64,
    },
}

/// Where appended batches are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The append time, under LogAppendTime; a Produce response says -1 for none.
    pub log_append_time_ms: Option<i64>,
    /// First offset of the log.
    pub log_start_offset: i64,
}

/// The log of one partition's replica: segments in a folder of their own, in Kafka's format.
///
/// Everything that was appended survives the death of the process (it is in the page cache); with
/// [`LogConfig::flush_messages`] of 1 it survives the machine's too.
#[derive(Debug)]
pub struct PartitionLog {
    pub(super) place: Place,
    pub(super) topic_id: Uuid,
    pub(super) config: LogConfig,
    /// By base offset; never empty, the last one is the active one.
    pub(super) segments: Vec<Segment>,
    pub(super) log_start: i64,
    pub(super) end_offset: i64,
    pub(super) recovery_point: i64,
    pub(super) epochs: LeaderEpochs,
    pub(super) producers: ProducerStates,
    pub(super) verifications: Verifications,
    /// The folder is there; that of a new log may come later.
    pub(super) has_folder: bool,
    /// `partition.metadata` is there; it is written with the first batch, as Kafka does.
    pub(super) has_metadata: bool,
    pub(super) unflushed_records: u64,
    /// When the oldest record came that is not on the disk for certain.
    pub(super) unflushed_since_ms: Option<i64>,
    /// Everything below was compacted.
    pub(super) cleaned_to: i64,
    pub(super) offline: bool,
    /// Names in its folder may not be on the disk.
    pub(super) names_wait: bool,
    /// Its leader epochs may not be on the disk.
    pub(super) epochs_wait: bool,
    /// The indexes of closed segments that end here or before are on the disk.
    pub(super) indexed_to: i64,
    /// It is on the disk as a clean stop leaves it.
    pub(super) is_whole: bool,
}

impl PartitionLog {
    /// First offset of the log.
    pub fn start_offset(&self) -> i64 {
        self.log_start
    }

    /// Offset of the next record.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Everything below is on the disk for certain.
    pub fn recovery_point(&self) -> i64 {
        self.recovery_point
    }

    /// Size of all segments, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.size)).sum()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The topic's id.
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// The configuration.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes a new configuration; it holds from the next append on.
    ///
    /// # Errors
    /// From now on the log is compacted, and can't be forced to the disk.
    pub fn set_config(&mut self, config: LogConfig) -> Result<(), LogError> {
        let compacts = config.cleanup.compact && !self.config.cleanup.compact;
        self.config = config;
        // As after each roll of a log that is compacted.
        if compacts && self.segments.len() > 1 {
            self.flush()?;
        }
        Ok(())
    }

    /// What is known of the producers.
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// Forgets producers that have been silent for `producer_expiration_ms`.
    pub fn expire_producers(&mut self, now_ms: i64) {
        let expiration_ms = self.config.producer_expiration_ms;
        self.producers.expire(now_ms, expiration_ms);
        self.verifications.expire(now_ms, expiration_ms);
    }

    /// The last stable offset under this high watermark.
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        self.producers.last_stable_offset(high_watermark)
    }

    /// The epoch that wrote the record at `offset`.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.epochs.at(offset)
    }

    /// The newest leader epoch.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest()
    }

    /// Where a leader epoch ends (OffsetForLeaderEpoch); none for one that the log doesn't know.
    pub fn offset_for_leader_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        self.epochs.end_of(epoch, self.end_offset)
    }

    /// From `start_offset` on, the leader of `epoch` writes.
    pub fn assign_epoch(&mut self, epoch: i32, start_offset: i64) -> Result<(), LogError> {
        if self.epochs.assign(epoch, start_offset) {
            self.write_epochs()?;
        }
        Ok(())
    }

    /// Records below are on every replica in sync: ended transactions are told apart from those that may come back.
    pub fn high_watermark_advanced(&mut self, high_watermark: i64) {
        self.producers.high_watermark_advanced(high_watermark);
    }

    /// Says that the transaction coordinator is asked about the first batch of a producer's transaction; without it,
    /// the batch is refused. False where a transaction is open already, so that nobody needs to be asked (KIP-890).
    ///
    /// # Errors
    /// The epoch is older than the log's.
    pub fn start_verification(
        &mut self,
        producer_id: i64,
        epoch: i16,
        sequence: i32,
        bumps_epoch: bool,
        now_ms: i64,
    ) -> Result<bool, LogError> {
        if let Some(entry) = self
            .producers
            .get(producer_id)
            .filter(|known| epoch < known.epoch)
        {
            return Err(ProducerError::Fenced {
                producer_id,
                epoch,
                current: entry.epoch,
            }
            .into());
        }
        if self.producers.has_open_txn(producer_id, epoch) {
            return Ok(false);
        }
        self.verifications
            .start(producer_id, epoch, sequence, bumps_epoch, now_ms);
        Ok(true)
    }

    /// Ends a transaction as leader.
    pub fn append_marker(
        &mut self,
        new: &NewMarker,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Appended, LogError> {
        self.producers.check_marker(new)?;
        let (key, value) = new.marker.encode();
        let record = NewRecord {
            timestamp_ms: now_ms,
            key: Some(key),
            value: Some(value),
        };
        let options = BatchOptions {
            producer_id: new.producer_id,
            producer_epoch: new.producer_epoch,
            transactional: true,
            control: true,
            ..BatchOptions::default()
        };
        let batch = build_batch(&[record], options)?;
        let (header, head) = batch.place(self.end_offset, leader_epoch, now_ms);
        self.write(&header, [&head, batch.records()], Some(new.marker), now_ms)?;
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time_ms: None,
            log_start_offset: self.log_start,
        })
    }

    /// Appends one batch of records as leader: gives it its offsets, the epoch and, under LogAppendTime, the time.
    pub fn append(&mut self, batch: &ValidBatch, leader_epoch: i32, now_ms: i64) -> Result<Append, LogError> {
        let append_time = |time| (batch.timestamp_type() == TimestampType::LogAppendTime).then_some(time);
        if let Sequence::Duplicate(known) = self.producers.check(batch.header(), &self.verifications)? {
            return Ok(Append::Duplicate {
                base_offset: known.base_offset(),
                log_append_time_ms: append_time(known.timestamp),
                log_start_offset: self.log_start,
            });
        }
        let (header, head) = batch.place(self.end_offset, leader_epoch, now_ms);
        self.write(&header, [&head, batch.records()], None, now_ms)?;
        Ok(Append::Written(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time_ms: append_time(now_ms),
            log_start_offset: self.log_start,
        }))
    }

    /// Appends what a follower fetched from its leader: any number of whole batches, with their offsets and epochs.
    /// A cut-off batch at the end is ignored, as it comes again. None where there is no whole batch.
    pub fn append_replicated(&mut self, records: &Bytes, now_ms: i64) -> Result<Option<Appended>, LogError> {
        let mut appended: Option<Appended> = None;
        for next in batches(records) {
            let (header, batch) = match next {
                Ok(batch) => batch,
                Err(super::BatchError::Truncated { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            check_crc(&batch)?;
            if header.base_offset < self.end_offset {
                return Err(LogError::NotConsecutive {
                    offset: header.base_offset,
                    end: self.end_offset,
                });
            }
            let marker = marker_of(&header, &batch)?;
            self.write(&header, [&batch, &[]], marker, now_ms)?;
            appended = Some(Appended {
                base_offset: appended.map_or(header.base_offset, |first| first.base_offset),
                last_offset: header.last_offset(),
                log_append_time_ms: None,
                log_start_offset: self.log_start,
            });
        }
        Ok(appended)
    }

    fn write(
        &mut self,
        header: &BatchHeader,
        parts: [&[u8]; 2],
        marker: Option<EndTxnMarker>,
        now_ms: i64,
    ) -> Result<(), LogError> {
        if self.offline {
            return Err(LogError::Offline {
                path: self.place.dir.to_path_buf(),
            });
        }
        let limit = u64::from(self.config.segment_bytes);
        if header.size as u64 > limit {
            return Err(LogError::BatchTooLarge {
                size: header.size as u64,
                limit,
            });
        }
        if self.active().is_full(
            header.size,
            header.last_offset(),
            header.max_timestamp,
            now_ms,
            &self.config,
        ) {
            self.roll_to(header.base_offset, now_ms)?;
        }
        self.write_metadata()?;
        self.assign_epoch(header.leader_epoch, header.base_offset)?;
        self.is_whole = false;
        let Self {
            segments,
            place,
            config,
            ..
        } = self;
        // There is always an active segment.
        let Some(active) = segments.last_mut() else {
            return Ok(());
        };
        if active.size == 0 {
            active.begin(now_ms);
            self.names_wait = true;
        }
        if let Err(error) = active.append(place, header, parts, config) {
            self.offline = matches!(error, LogError::Offline { .. });
            return Err(error);
        }
        self.end_offset = header.next_offset();
        self.verifications.appended(header);
        if let Some(completed) = self.producers.update(header, marker).filter(|txn| txn.aborted) {
            txn_index::append_completed(
                &self.place,
                self.active().base_offset,
                &self.producers,
                &completed,
            )?;
        }
        self.unflushed_records += u64::from(header.record_count.unsigned_abs());
        let since = *self.unflushed_since_ms.get_or_insert(now_ms);
        // `flush.ms` of 0 is as strict as `flush.messages` of 1.
        if self.unflushed_records >= self.config.flush_messages
            || now_ms.saturating_sub(since) >= self.config.flush_ms
        {
            self.flush()?;
        }
        Ok(())
    }

    /// Is its folder there.
    pub fn has_folder(&self) -> bool {
        self.has_folder
    }

    /// Makes the folder of a new log, where that was left for later.
    ///
    /// # Errors
    /// It can't be made; something else of this name is one reason.
    pub fn make_folder(&mut self) -> Result<(), LogError> {
        if !self.has_folder {
            let dir = &self.place.dir;
            std::fs::create_dir(dir).map_err(LogError::io("create", dir))?;
            self.has_folder = true;
            self.names_wait = true;
            self.place.files.folder_changed();
        }
        Ok(())
    }

    fn write_metadata(&mut self) -> Result<(), LogError> {
        if !self.has_metadata {
            self.make_folder()?;
            let path = self.place.dir.join(PARTITION_METADATA);
            let text = partition_metadata(self.topic_id);
            replace(&path, text.as_bytes(), self.is_strict()).map_err(LogError::io("write", &path))?;
            self.has_metadata = true;
            self.names_wait = true;
        }
        Ok(())
    }

    pub(super) fn write_epochs(&mut self) -> Result<(), LogError> {
        self.make_folder()?;
        let path = self.place.dir.join(LEADER_EPOCHS);
        self.names_wait = true;
        self.is_whole = false;
        self.epochs_wait |= !self.is_strict();
        replace(&path, self.epochs.to_text().as_bytes(), self.is_strict())
            .map_err(LogError::io("write", &path))
    }

    pub(super) fn is_strict(&self) -> bool {
        self.config.flush_messages == 1 || self.config.flush_ms == 0
    }

    pub(super) fn active(&self) -> &Segment {
        // `segments` is never empty.
        &self.segments[self.segments.len() - 1]
    }
}

/// The marker in a control batch.
pub(super) fn marker_of(header: &BatchHeader, batch: &Bytes) -> Result<Option<EndTxnMarker>, LogError> {
    /// A marker is a few bytes; a control batch that is larger is none.
    const LIMIT: u64 = 1 << 20;
    if !header.is_control() {
        return Ok(None);
    }
    let records = batch_records(batch, LIMIT)?;
    Ok(records
        .first()
        .and_then(|record| EndTxnMarker::parse(record.key.as_deref()?, record.value.as_deref()?)))
}
