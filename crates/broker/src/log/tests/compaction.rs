use super::*;

const HOUR: i64 = 3_600_000;

fn compacted() -> LogConfig {
    LogConfig {
        segment_bytes: 4000,
        index_interval_bytes: 200,
        cleanup: CleanupPolicy {
            delete: false,
            compact: true,
        },
        delete_retention_ms: HOUR,
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    }
}

fn put(log: &mut PartitionLog, rows: &[(&str, Option<&str>)], options: BatchOptions) {
    let records: Vec<_> = rows
        .iter()
        .map(|(key, value)| NewRecord {
            timestamp_ms: NOW,
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        })
        .collect();
    append(log, &build_batch(&records, options).unwrap());
}

fn plain(log: &mut PartitionLog, rows: &[(&str, Option<&str>)]) {
    put(log, rows, BatchOptions::default());
}

/// Key, value and offset of every record that is left.
fn rows(log: &PartitionLog) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut all = Vec::new();
    let mut offset = log.start_offset();
    loop {
        let bytes = log.read(offset, 1 << 20, i64::MAX, true).unwrap().read().unwrap();
        if bytes.is_empty() {
            return all;
        }
        for (header, batch) in batches(&bytes).map(Result::unwrap) {
            check_crc(&batch).unwrap();
            offset = header.next_offset();
            if header.is_control() {
                continue;
            }
            for record in batch_records(&batch, 1 << 20).unwrap() {
                let key = text(&record.key.unwrap());
                all.push((record.offset, key, record.value.as_ref().map(text)));
            }
        }
    }
}

fn keys(log: &PartitionLog) -> Vec<(i64, String)> {
    rows(log)
        .into_iter()
        .map(|(offset, key, _)| (offset, key))
        .collect()
}

fn headers(log: &PartitionLog) -> Vec<BatchHeader> {
    let mut all = Vec::new();
    let mut offset = log.start_offset();
    loop {
        let bytes = log.read(offset, 1 << 20, i64::MAX, true).unwrap().read().unwrap();
        if bytes.is_empty() {
            return all;
        }
        for (header, _) in batches(&bytes).map(Result::unwrap) {
            offset = header.next_offset();
            all.push(header);
        }
    }
}

/// The aborted transactions that a reader of everything is told.
fn aborted(log: &PartitionLog) -> Vec<AbortedTxn> {
    txn_index::collect(&log.place, &log.segments, 0, log.end_offset()).unwrap()
}

fn pass(log: &mut PartitionLog, now_ms: i64) -> Option<Compacted> {
    let end = log.end_offset();
    log.compact(now_ms, end).unwrap()
}

#[test]
fn the_last_value_of_each_key_stays_and_offsets_keep_their_gaps() {
    let bench = Bench::new(compacted());
    let mut log = bench.open();
    for turn in 0..40 {
        let value = format!("v{turn}");
        plain(&mut log, &[("a", Some(&value)), ("b", Some(&value))]);
    }
    log.roll(NOW).unwrap();
    plain(&mut log, &[("a", Some("active"))]);
    let done = pass(&mut log, NOW).unwrap();
    assert!(done.bytes_after < done.bytes_before);
    assert_eq!((done.up_to, log.cleaned_to()), (80, 80));
    // The active segment is left alone, so that `a` is there twice.
    let left = [(78, "a".to_owned()), (79, "b".to_owned()), (80, "a".to_owned())];
    assert_eq!(keys(&log), left);
    assert_eq!((log.start_offset(), log.end_offset()), (0, 81));
    // Nothing is dirty now.
    assert_eq!(pass(&mut log, NOW), None);
    drop(log);
    let log = bench.open();
    assert_eq!(keys(&log), left);
    assert_eq!((log.start_offset(), log.end_offset()), (0, 81));
}

#[test]
fn segments_become_fewer_and_are_found_by_offset_and_time() {
    let bench = Bench::new(compacted());
    let mut log = bench.open();
    for turn in 0..120 {
        let key = format!("k{turn}");
        plain(&mut log, &[(&key, Some("v")), ("same", Some(&key))]);
    }
    log.roll(NOW).unwrap();
    let before = log.segment_count();
    pass(&mut log, NOW).unwrap();
    // As in Kafka, segments are joined by the size that they have before a pass.
    log.set_config(LogConfig {
        segment_bytes: 1 << 20,
        ..compacted()
    })
    .unwrap();
    plain(&mut log, &[("same", Some("last"))]);
    log.roll(NOW).unwrap();
    pass(&mut log, NOW).unwrap();
    assert!(before > 2);
    assert_eq!(log.segment_count(), 2);
    let left = keys(&log);
    assert_eq!(left.len(), 121);
    for offset in 0..241 {
        let bytes = log.read(offset, 1, i64::MAX, true).unwrap().read().unwrap();
        let (header, _) = batches(&bytes).next().unwrap().unwrap();
        assert!(header.last_offset() >= offset);
    }
    let found = log
        .offset_for_timestamp(TimestampQuery::At(NOW))
        .unwrap()
        .unwrap();
    assert_eq!(found.offset, 0);
}

#[test]
fn a_tombstone_stays_its_time_after_the_first_pass_that_saw_it() {
    let bench = Bench::new(compacted());
    let mut log = bench.open();
    plain(&mut log, &[("gone", Some("v")), ("kept", Some("v"))]);
    plain(&mut log, &[("gone", None)]);
    log.roll(NOW).unwrap();
    pass(&mut log, NOW).unwrap();
    assert_eq!(keys(&log), [(1, "kept".to_owned()), (2, "gone".to_owned())]);
    let horizon = headers(&log)
        .into_iter()
        .find(BatchHeader::has_delete_horizon)
        .unwrap();
    assert_eq!(horizon.base_timestamp, NOW + HOUR);
    // The records' own time is what it was.
    let found = log.offset_for_timestamp(TimestampQuery::Max).unwrap().unwrap();
    assert_eq!(found.timestamp_ms, NOW);
    // Another pass, before the time is over, and one after it.
    for (at, left) in [(NOW + HOUR - 1, 3), (NOW + HOUR, 2)] {
        plain(&mut log, &[("other", Some("v"))]);
        log.roll(NOW).unwrap();
        pass(&mut log, at).unwrap();
        assert_eq!(rows(&log).len(), left, "at {at}");
    }
    assert!(rows(&log).iter().all(|(_, key, _)| key != "gone"));
}

#[test]
fn a_pass_waits_for_the_ratio_and_the_lags() {
    let config = LogConfig {
        min_cleanable_dirty_ratio: 0.5,
        ..compacted()
    };
    let bench = Bench::new(config.clone());
    let mut log = bench.open();
    for turn in 0..20 {
        plain(&mut log, &[(&format!("k{turn}"), Some(&"v".repeat(100)))]);
    }
    log.roll(NOW).unwrap();
    log.set_config(LogConfig {
        min_compaction_lag_ms: HOUR,
        ..config.clone()
    })
    .unwrap();
    assert_eq!(pass(&mut log, NOW + HOUR - 1), None, "too young");
    assert!(pass(&mut log, NOW + HOUR).is_some());
    plain(&mut log, &[("k0", Some("new"))]);
    log.roll(NOW).unwrap();
    log.set_config(config.clone()).unwrap();
    assert_eq!(pass(&mut log, NOW + HOUR), None, "hardly dirty");
    log.set_config(LogConfig {
        max_compaction_lag_ms: HOUR,
        ..config
    })
    .unwrap();
    assert_eq!(pass(&mut log, NOW + HOUR), None);
    assert!(pass(&mut log, NOW + HOUR + 1).is_some(), "overdue");
    assert_eq!(rows(&log).len(), 20);
}

#[test]
fn nothing_above_the_high_watermark_or_in_an_open_transaction_is_touched() {
    let bench = Bench::new(compacted());
    let mut log = bench.open();
    plain(&mut log, &[("a", Some("1")), ("a", Some("2"))]);
    plain(&mut log, &[("a", Some("3"))]);
    log.roll(NOW).unwrap();
    assert!(log.compact(NOW, 2).unwrap().is_some());
    assert_eq!(keys(&log), [(1, "a".to_owned()), (2, "a".to_owned())]);
    append(&mut log, &super::producers::produced(7, 0, 0, true));
    plain(&mut log, &[("a", Some("4"))]);
    log.roll(NOW).unwrap();
    pass(&mut log, NOW).unwrap();
    let left = keys(&log);
    assert_eq!((left[0].0, left.last().unwrap().0), (2, 6), "{left:?}");
}

#[test]
fn aborted_records_go_and_their_marker_when_nothing_needs_it() {
    let bench = Bench::new(compacted());
    let mut log = bench.open();
    append(&mut log, &super::producers::produced(7, 0, 0, true));
    super::producers::end(&mut log, 7, 0, false, false).unwrap();
    append(&mut log, &super::producers::produced(7, 0, 3, true));
    super::producers::end(&mut log, 7, 0, true, false).unwrap();
    log.roll(NOW).unwrap();
    plain(&mut log, &[("k", Some("later"))]);
    log.roll(NOW).unwrap();
    assert_eq!(aborted(&log).len(), 1);
    pass(&mut log, NOW).unwrap();
    // The aborted records are gone; their marker was needed in this pass and its transaction is still told.
    assert_eq!(aborted(&log).len(), 1);
    let control = |log: &PartitionLog| headers(log).iter().filter(|h| h.is_control()).count();
    assert_eq!(control(&log), 2);
    // The producer's last batch is empty now, since the key was written later, and keeps its sequence.
    let kept = headers(&log)
        .into_iter()
        .find(|h| h.producer_id == 7 && !h.is_control())
        .unwrap();
    assert_eq!((kept.record_count, kept.last_sequence()), (0, 5));
    for at in [NOW, NOW + HOUR, NOW + 2 * HOUR] {
        plain(&mut log, &[("k", Some("again"))]);
        log.roll(NOW).unwrap();
        pass(&mut log, at).unwrap();
    }
    assert_eq!(aborted(&log), []);
    // The other marker stays as long as the empty batch does.
    assert_eq!(control(&log), 1, "{:?}", headers(&log));
    drop(log);
    let log = bench.open();
    let (known, entry) = log.producers().iter().next().unwrap();
    assert_eq!((known, entry.last_sequence()), (7, 5));
}

#[test]
fn every_codec_is_kept_and_append_time_too() {
    for codec in Codec::ALL {
        let bench = Bench::new(compacted());
        let mut log = bench.open();
        let options = BatchOptions {
            codec,
            ..BatchOptions::default()
        };
        put(
            &mut log,
            &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))],
            options,
        );
        log.roll(NOW).unwrap();
        pass(&mut log, NOW).unwrap();
        assert_eq!(
            keys(&log),
            [(1, "b".to_owned()), (2, "a".to_owned())],
            "{codec:?}"
        );
        let header = &headers(&log)[0];
        assert_eq!((header.codec().unwrap(), header.record_count), (codec, 2));
        assert_eq!((header.base_offset, header.last_offset()), (0, 2));
    }
}

#[test]
fn a_pass_that_was_cut_off_is_finished_or_forgotten_by_the_next_open() {
    let fill = |log: &mut PartitionLog| {
        for turn in 0..60 {
            plain(
                log,
                &[("a", Some(&format!("{turn}"))), (&format!("k{turn}"), Some("v"))],
            );
        }
        log.roll(NOW).unwrap();
    };
    let bench = Bench::new(compacted());
    let mut log = bench.open();
    fill(&mut log);
    let before = rows(&log);
    // A segment that was not written whole means nothing.
    let path = |suffix: &str| bench.dir().join(format!("{:020}.{suffix}", 0));
    std::fs::copy(path("log"), path("log.cleaned")).unwrap();
    drop(log);
    let mut log = bench.open();
    assert_eq!(rows(&log), before);
    assert!(!path("log.cleaned").exists());
    // One that was whole takes its place: as if the process had died before the rename.
    let old: Vec<(String, Vec<u8>)> = files_in(&bench.dir())
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "log"))
        .map(|name| (name.clone(), std::fs::read(bench.dir().join(name)).unwrap()))
        .collect();
    pass(&mut log, NOW).unwrap();
    let after = rows(&log);
    assert!(after.len() < before.len());
    drop(log);
    std::fs::rename(path("log"), path("log.swap")).unwrap();
    for (name, bytes) in old {
        files::replace(&bench.dir().join(name), &bytes, false).unwrap();
    }
    let log = bench.open();
    assert_eq!(rows(&log), after);
    assert!(!path("log.swap").exists());
}

#[test]
fn compact_and_delete_together_lose_old_segments_too() {
    let bench = Bench::new(LogConfig {
        cleanup: CleanupPolicy {
            delete: true,
            compact: true,
        },
        retention_ms: HOUR,
        ..compacted()
    });
    let mut log = bench.open();
    plain(&mut log, &[("a", Some("1")), ("a", Some("2"))]);
    log.roll(NOW).unwrap();
    plain(&mut log, &[("a", Some("3"))]);
    log.roll(NOW).unwrap();
    pass(&mut log, NOW).unwrap();
    assert_eq!(keys(&log), [(2, "a".to_owned())]);
    let end = log.end_offset();
    log.enforce_retention(NOW + 2 * HOUR, end).unwrap();
    assert_eq!((rows(&log).len(), log.start_offset()), (0, 3));
}

#[test]
fn a_segment_ends_earlier_by_its_own_jitter_and_no_later_than_the_lag() {
    let config = LogConfig {
        segment_ms: HOUR,
        segment_jitter_ms: HOUR / 2,
        ..LogConfig::default()
    };
    let lives: Vec<i64> = (0..50).map(|base| config.segment_life_ms(base)).collect();
    assert!(lives.iter().all(|life| (HOUR / 2..=HOUR).contains(life)));
    assert!(lives.iter().collect::<std::collections::HashSet<_>>().len() > 40);
    let config = LogConfig {
        max_compaction_lag_ms: 1000,
        ..compacted()
    };
    assert_eq!(config.segment_life_ms(0), 1000);
}

#[test]
fn flush_ms_forces_to_the_disk_in_time() {
    let bench = Bench::new(LogConfig {
        flush_ms: 1000,
        ..LogConfig::default()
    });
    let mut log = bench.open();
    append(&mut log, &batch("a", 1));
    assert_eq!(log.recovery_point(), 0);
    log.flush_if_due(NOW + 999).unwrap();
    assert_eq!(log.recovery_point(), 0);
    log.flush_if_due(NOW + 1000).unwrap();
    assert_eq!(log.recovery_point(), 1);
    log.set_config(LogConfig {
        flush_ms: 0,
        ..LogConfig::default()
    })
    .unwrap();
    append(&mut log, &batch("b", 1));
    assert_eq!(log.recovery_point(), 2);
}

/// A power cut may leave less of a segment than was written. Where no hole is allowed the log ends there; compaction allows
/// holes, so what is rolled must be whole.
#[test]
fn a_rolled_segment_of_a_compacted_log_is_on_the_disk() {
    for (compact, on_disk) in [(true, 2), (false, 0)] {
        let mut config = LogConfig::default();
        config.cleanup.compact = compact;
        config.cleanup.delete = !compact;
        let bench = Bench::new(config.clone());
        let mut log = bench.open();
        append(&mut log, &batch("a", 2));
        log.roll(NOW).unwrap();
        append(&mut log, &batch("b", 2));
        assert_eq!(log.recovery_point(), on_disk, "compact: {compact}");
        config.cleanup.compact = true;
        log.set_config(config).unwrap();
        assert_eq!(log.recovery_point(), if compact { 2 } else { 4 });
    }
}
