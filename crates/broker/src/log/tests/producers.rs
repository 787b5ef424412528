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

pub(super) fn marker(producer_id: i64, epoch: i16, commit: bool) -> ValidBatch {
    let record = NewRecord {
        timestamp_ms: NOW,
        key: Some(vec![0, 0, 0, u8::from(commit)].into()),
        value: Some(vec![0, 0, 0, 0, 0, 5].into()),
    };
    let options = BatchOptions {
        producer_id,
        producer_epoch: epoch,
        transactional: true,
        control: true,
        ..BatchOptions::default()
    };
    build_batch(&[record], options).unwrap()
}

fn code(result: Result<Append, LogError>) -> ResponseError {
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
        log_start: 0,
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
    append(&mut log, &marker(1, 0, false));
    assert_eq!(
        log.last_stable_offset(6),
        0,
        "the marker is above the high watermark"
    );
    assert_eq!(log.last_stable_offset(7), 3, "producer 2 is open");
    append(&mut log, &marker(2, 0, true));
    assert_eq!(log.last_stable_offset(8), 8);
    let aborted = AbortedTxn {
        producer_id: 1,
        first_offset: 0,
        last_offset: 6,
        last_stable_offset: 3,
    };
    assert_eq!(log.aborted_transactions(0, 8).unwrap(), [aborted]);
    assert_eq!(log.aborted_transactions(7, 8).unwrap(), []);
    // After a kill the index is as before, also where it was lost.
    drop(log);
    assert_eq!(bench.open().aborted_transactions(0, 8).unwrap(), [aborted]);
    std::fs::remove_file(bench.dir().join("00000000000000000000.txnindex")).unwrap();
    let mut log = bench.open();
    assert_eq!(log.aborted_transactions(0, 8).unwrap(), [aborted]);
    log.truncate_to(6).unwrap();
    assert_eq!(log.aborted_transactions(0, 8).unwrap(), []);
    assert_eq!(log.last_stable_offset(6), 0);
}

#[test]
fn a_marker_fences_and_can_be_fenced() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    append(&mut log, &produced(1, 0, 0, true));
    append(&mut log, &marker(1, 1, false));
    assert_eq!(
        code(log.append(&produced(1, 0, 3, true), 0, NOW)),
        ResponseError::InvalidProducerEpoch
    );
    assert_eq!(
        code(log.append(&marker(1, 0, true), 0, NOW)),
        ResponseError::InvalidProducerEpoch
    );
    append(&mut log, &produced(1, 1, 0, true));
}
