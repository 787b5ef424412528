use kafka_protocol::ResponseError;

use super::*;

pub(super) fn produced(producer_id: i64, epoch: i16, sequence: i32, transactional: bool) -> ValidBatch {
    let options = BatchOptions {
        producer_id,
        producer_epoch: epoch,
        base_sequence: sequence,
        transactional,
        ..BatchOptions::default()
    };
    build_batch(&[record("a", NOW), record("b", NOW), record("c", NOW)], options).unwrap()
}

/// Ends a transaction with a marker of coordinator epoch 5.
pub(super) fn end(
    log: &mut PartitionLog,
    producer_id: i64,
    epoch: i16,
    commit: bool,
    bumps_epoch: bool,
) -> Result<Appended, LogError> {
    let marker = EndTxnMarker {
        commit,
        coordinator_epoch: 5,
    };
    let new = NewMarker {
        producer_id,
        producer_epoch: epoch,
        marker,
        bumps_epoch,
    };
    log.append_marker(&new, 0, NOW)
}

fn code<T: std::fmt::Debug>(result: Result<T, LogError>) -> ResponseError {
    result.unwrap_err().code()
}

#[test]
fn a_batch_sent_twice_is_answered_with_where_it_is() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    for sequence in [0, 3, 6] {
        append(&mut log, &produced(1, 0, sequence, false));
    }
    // After a kill, and before it; the sixth batch then pushes the first out of what is remembered.
    for mut log in [bench.open(), log] {
        for (sequence, offset) in [(0, 0), (3, 3), (6, 6)] {
            let Append::Duplicate { base_offset, .. } =
                log.append(&produced(1, 0, sequence, false), 0, NOW).unwrap()
            else {
                panic!("written twice");
            };
            assert_eq!(base_offset, offset);
        }
        assert_eq!(log.end_offset(), 9);
        for sequence in [9, 12, 15] {
            append(&mut log, &produced(1, 0, sequence, false));
        }
        let again = log.append(&produced(1, 0, 0, false), 0, NOW);
        assert_eq!(code(again), ResponseError::OutOfOrderSequenceNumber);
        log.truncate_to(9).unwrap();
    }
}

#[test]
fn gaps_and_old_epochs_are_refused() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    // Nothing is known of the producer: any sequence will do (its batches may have been deleted).
    append(&mut log, &produced(1, 2, 30, false));
    assert_eq!(
        code(log.append(&produced(1, 2, 34, false), 0, NOW)),
        ResponseError::OutOfOrderSequenceNumber
    );
    assert_eq!(
        code(log.append(&produced(1, 1, 33, false), 0, NOW)),
        ResponseError::InvalidProducerEpoch
    );
    assert_eq!(
        code(log.append(&produced(1, 3, 33, false), 0, NOW)),
        ResponseError::OutOfOrderSequenceNumber
    );
    append(&mut log, &produced(1, 3, 0, false));
    assert_eq!(log.end_offset(), 6);
    // And sequence numbers start at 0 again after the largest.
    append(&mut log, &produced(2, 0, i32::MAX - 2, false));
    append(&mut log, &produced(2, 0, 0, false));
}

#[test]
fn producers_survive_a_clean_stop_in_their_snapshot() {
    let bench = Bench::new(LogConfig {
        segment_bytes: 400,
        ..LogConfig::default()
    });
    let mut log = bench.open();
    for turn in 0..10 {
        append(&mut log, &produced(1, 0, turn * 3, false));
        append(&mut log, &produced(2, 4, turn * 3, true));
    }
    log.close().unwrap();
    let last = |log: &PartitionLog, id| log.producers().get(id).unwrap().last_sequence();
    let clean = Known {
        clean: true,
        recovery_point: 60,
        ..Known::NOTHING
    };
    let reopened = bench.open_known(clean);
    assert_eq!(last(&reopened, 1), 29);
    assert_eq!(reopened.producers().get(2).unwrap().txn_first_offset, Some(3));
    assert_eq!(reopened.last_stable_offset(60), 3);
    assert!(files_in(&bench.dir()).contains(&"00000000000000000060.snapshot".to_owned()));
    // The same without any snapshot.
    for name in files_in(&bench.dir())
        .iter()
        .filter(|name| name.ends_with(".snapshot"))
    {
        std::fs::remove_file(bench.dir().join(name)).unwrap();
    }
    let rebuilt = bench.open_known(clean);
    assert_eq!(last(&rebuilt, 1), 29);
    assert_eq!(rebuilt.producers().get(1).unwrap().batches.len(), CACHED_BATCHES);
    assert_eq!(rebuilt.last_stable_offset(60), 3);
}

#[test]
fn transactions_hold_back_the_last_stable_offset_and_aborts_are_indexed() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    append(&mut log, &produced(1, 0, 0, true));
    append(&mut log, &produced(2, 0, 0, true));
    assert_eq!(log.last_stable_offset(6), 0);
    let mixed = log.append(&produced(1, 0, 3, false), 0, NOW);
    assert_eq!(code(mixed), ResponseError::InvalidTxnState);
    end(&mut log, 1, 0, false, false).unwrap();
    assert_eq!(
        log.last_stable_offset(6),
        0,
        "the marker is above the high watermark"
    );
    assert_eq!(log.last_stable_offset(7), 3, "producer 2 is open");
    end(&mut log, 2, 0, true, false).unwrap();
    assert_eq!(log.last_stable_offset(8), 8);
    let aborted = AbortedTxn {
        producer_id: 1,
        first_offset: 0,
        last_offset: 6,
        last_stable_offset: 3,
    };
    assert_eq!(aborted_from(&log, 0), [aborted]);
    assert_eq!(aborted_from(&log, 7), []);
    // After a kill the index is as before, also where it was lost.
    drop(log);
    assert_eq!(aborted_from(&bench.open(), 0), [aborted]);
    std::fs::remove_file(bench.dir().join("00000000000000000000.txnindex")).unwrap();
    let mut log = bench.open();
    assert_eq!(aborted_from(&log, 0), [aborted]);
    log.truncate_to(6).unwrap();
    assert_eq!(aborted_from(&log, 0), []);
    assert_eq!(log.last_stable_offset(6), 0);
}

fn aborted_from(log: &PartitionLog, from: i64) -> Vec<AbortedTxn> {
    let slice = log.read(from, 1 << 20, i64::MAX, true).unwrap();
    log.aborted_transactions(from, &slice).unwrap()
}

#[test]
fn a_reader_learns_of_the_aborted_transactions_in_what_it_gets() {
    let bench = Bench::new(LogConfig {
        segment_bytes: 4096,
        index_interval_bytes: 0,
        ..LogConfig::default()
    });
    let mut log = bench.open();
    for turn in 0..100 {
        append(
            &mut log,
            &produced(turn % 3, 0, i32::try_from(turn / 3).unwrap() * 3, true),
        );
        end(&mut log, turn % 3, 0, turn % 2 == 0, false).unwrap();
    }
    assert!(log.segment_count() > 3);
    let slice = log.read(40, 300, i64::MAX, true).unwrap();
    let found = log.aborted_transactions(40, &slice).unwrap();
    // Offset 40 is the tenth turn's first record, whose transaction was committed; the next was aborted.
    assert_eq!(found[0].first_offset, 44);
    assert!(found.len() < 4, "{found:?}");
    let none = log.read(400, 300, i64::MAX, true).unwrap();
    assert_eq!(log.aborted_transactions(400, &none).unwrap(), []);
}

#[test]
fn nothing_is_appended_to_a_transaction_that_the_coordinator_does_not_know() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    let first = log.append(&produced(1, 0, 0, true), 0, NOW);
    assert_eq!(code(first), ResponseError::InvalidTxnState);
    assert!(log.start_verification(1, 0, 0, false, NOW).unwrap());
    log.append(&produced(1, 0, 0, true), 0, NOW).unwrap();
    // It is open now, until its marker.
    assert!(!log.start_verification(1, 0, 3, false, NOW).unwrap());
    log.append(&produced(1, 0, 3, true), 0, NOW).unwrap();
    end(&mut log, 1, 0, true, false).unwrap();
    let late = log.append(&produced(1, 0, 6, true), 0, NOW);
    assert_eq!(code(late), ResponseError::InvalidTxnState);
    // Who was refused once may not be overtaken by the batch after it.
    log.start_verification(2, 0, 4, false, NOW).unwrap();
    log.start_verification(2, 0, 7, false, NOW).unwrap();
    let overtaking = log.append(&produced(2, 0, 7, true), 0, NOW);
    assert_eq!(code(overtaking), ResponseError::OutOfOrderSequenceNumber);
    log.expire_producers(NOW + LogConfig::default().producer_expiration_ms);
    let expired = log.append(&produced(2, 0, 4, true), 0, NOW);
    assert_eq!(code(expired), ResponseError::InvalidTxnState);
}

#[test]
fn the_second_protocol_starts_at_0_and_ends_with_a_new_epoch() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    log.start_verification(1, 0, 3, true, NOW).unwrap();
    let gap = log.append(&produced(1, 0, 3, true), 0, NOW);
    assert_eq!(code(gap), ResponseError::OutOfOrderSequenceNumber);
    log.start_verification(1, 0, 0, true, NOW).unwrap();
    log.append(&produced(1, 0, 0, true), 0, NOW).unwrap();
    assert_eq!(
        code(end(&mut log, 1, 0, true, true)),
        ResponseError::InvalidProducerEpoch
    );
    end(&mut log, 1, 1, true, true).unwrap();
    // A coordinator that died after it writes the marker again.
    end(&mut log, 1, 1, true, true).unwrap();
    let old = log.start_verification(1, 0, 0, true, NOW);
    assert_eq!(code(old), ResponseError::InvalidProducerEpoch);
    // A late marker does not take away the word for the transaction that has begun since.
    log.start_verification(1, 1, 0, true, NOW).unwrap();
    end(&mut log, 1, 1, true, true).unwrap();
    log.append(&produced(1, 1, 0, true), 0, NOW).unwrap();
    assert_eq!(log.producers().get(1).unwrap().coordinator_epoch, 5);
}

#[test]
fn a_marker_fences_and_can_be_fenced() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    append(&mut log, &produced(1, 0, 0, true));
    end(&mut log, 1, 1, false, false).unwrap();
    assert_eq!(
        code(log.append(&produced(1, 0, 3, true), 0, NOW)),
        ResponseError::InvalidProducerEpoch
    );
    assert_eq!(
        code(end(&mut log, 1, 0, true, false)),
        ResponseError::InvalidProducerEpoch
    );
    append(&mut log, &produced(1, 1, 0, true));
}
