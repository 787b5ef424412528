use super::*;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 400,
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

/// 30 batches of 3 records, one minute apart, in several segments.
fn filled(config: LogConfig) -> (Bench, PartitionLog) {
    let bench = Bench::new(config);
    let mut log = bench.open();
    for b in 0..30 {
        append(&mut log, &batch_at(&format!("b{b}"), 3, NOW + b * 60_000));
    }
    assert!(log.segment_count() > 5);
    (bench, log)
}

#[test]
fn old_segments_go_and_their_offsets_with_them() {
    let (bench, mut log) = filled(LogConfig {
        retention_ms: 600_000,
        ..config()
    });
    let before = log.segment_count();
    // At minute 25 the batches up to minute 14 are older than ten minutes.
    let retired = log.enforce_retention(NOW + 25 * 60_000, 90).unwrap();
    assert!(retired.segments > 0 && retired.segments == before - log.segment_count());
    let start = log.start_offset();
    assert!((30..=45).contains(&start), "{start}");
    assert!(matches!(
        log.read(start - 1, 100, 90, true),
        Err(LogError::OffsetOutOfRange { .. })
    ));
    assert_eq!(read_all(&log).len() as i64, 90 - start);
    drop(log);
    let log = bench.open();
    assert_eq!((log.start_offset(), log.end_offset()), (start, 90));
}

#[test]
fn when_everything_is_old_the_active_segment_goes_too() {
    let (bench, mut log) = filled(config());
    let week_ms = 168 * 3_600_000;
    log.enforce_retention(NOW + week_ms * 2, 90).unwrap();
    assert_eq!(
        (log.start_offset(), log.end_offset(), log.size_bytes()),
        (90, 90, 0)
    );
    assert_eq!(append(&mut log, &batch("next", 1)).base_offset, 90);
    drop(log);
    assert_eq!(read_all(&bench.open()), [(90, "next-0".to_owned())]);
}

#[test]
fn nothing_above_the_high_watermark_goes() {
    let (_bench, mut log) = filled(config());
    log.enforce_retention(i64::MAX, 50).unwrap();
    assert!(log.start_offset() <= 50 && log.end_offset() == 90);
    assert_eq!(read_all(&log).last().unwrap().0, 89);
}

#[test]
fn size_keeps_at_least_what_was_asked_for() {
    let (_bench, mut log) = filled(LogConfig {
        retention_bytes: 1000,
        retention_ms: -1,
        ..config()
    });
    log.enforce_retention(NOW, 90).unwrap();
    assert!((1000..1400).contains(&log.size_bytes()), "{}", log.size_bytes());
}

#[test]
fn expired_segments_are_the_oldest_that_are_due() {
    let segment = |bytes, newest_ms, end_offset| SegmentFacts {
        active: false,
        bytes,
        newest_ms,
        end_offset,
    };
    let all = [
        segment(10, 100, 5),
        segment(10, 50, 9),
        segment(10, 300, 12),
        SegmentFacts {
            active: true,
            ..segment(0, 0, 12)
        },
    ];
    let count = |config: &LogConfig, start, hw, now| expired_segments(&all, config, start, hw, now);
    let by_time = LogConfig {
        retention_ms: 100,
        ..LogConfig::default()
    };
    assert_eq!(
        count(&by_time, 0, 12, 200),
        0,
        "exactly retention.ms old is not older"
    );
    assert_eq!(count(&by_time, 0, 12, 201), 2);
    assert_eq!(count(&by_time, 0, 8, 201), 1);
    assert_eq!(count(&by_time, 0, 12, 401), 3, "an empty segment stays");
    let by_size = LogConfig {
        retention_ms: -1,
        retention_bytes: 15,
        ..LogConfig::default()
    };
    assert_eq!(count(&by_size, 0, 12, 0), 1);
    let compacted = CleanupPolicy {
        delete: false,
        compact: true,
    };
    let compacted = LogConfig {
        cleanup: compacted,
        ..by_time
    };
    assert_eq!(count(&compacted, 0, 12, 500), 0);
    assert_eq!(count(&compacted, 9, 12, 500), 2, "below the log start");
}

#[test]
fn deleted_records_are_out_of_range_at_once() {
    let (bench, mut log) = filled(config());
    assert!(log.delete_records_before(91, 90).is_err());
    assert_eq!(log.delete_records_before(40, 90).unwrap(), 40);
    assert_eq!(
        log.delete_records_before(10, 90).unwrap(),
        40,
        "it never goes back"
    );
    assert!(log.read(39, 100, 90, true).is_err());
    assert_eq!(read_all(&log).first().unwrap().0, 40);
    let found = log.offset_for_timestamp(TimestampQuery::At(0)).unwrap().unwrap();
    assert_eq!(found.offset, 40);
    assert!(log.enforce_retention(NOW, 90).unwrap().segments > 0);
    drop(log);
    let known = Known {
        log_start: 40,
        ..Known::NOTHING
    };
    assert_eq!(bench.open_known(known).start_offset(), 40);
}

#[test]
fn a_slice_outlives_its_segment() {
    let (_bench, mut log) = filled(config());
    let slice = log.read(0, 100, 90, true).unwrap();
    log.truncate_fully(90).unwrap();
    assert_eq!(BatchHeader::parse(&slice.read().unwrap()).unwrap().base_offset, 0);
}

#[test]
fn segments_are_rolled_by_time() {
    let bench = Bench::new(LogConfig {
        segment_ms: 1000,
        ..LogConfig::default()
    });
    let mut log = bench.open();
    append(&mut log, &batch_at("a", 1, NOW));
    append(&mut log, &batch_at("b", 1, NOW + 1000));
    assert_eq!(log.segment_count(), 1);
    append(&mut log, &batch_at("c", 1, NOW + 1001));
    assert_eq!(log.segment_count(), 2);
    // A clock that was put forward counts, also where the client's was not; but only an append rolls.
    log.append(&batch_at("d", 1, NOW + 1001), 0, NOW + 1000).unwrap();
    assert_eq!(log.segment_count(), 2);
    log.enforce_retention(NOW + 9000, 4).unwrap();
    assert_eq!(log.segment_count(), 2);
    log.append(&batch_at("e", 1, NOW + 1001), 0, NOW + 9000).unwrap();
    assert_eq!(log.segment_count(), 3);
}

#[test]
fn old_records_alone_don_t_roll_a_segment_of_now() {
    let bench = Bench::new(LogConfig {
        segment_ms: 1000,
        ..LogConfig::default()
    });
    let mut log = bench.open();
    for _ in 0..5 {
        append(&mut log, &batch_at("a", 1, NOW - 1_000_000_000));
    }
    assert_eq!(log.segment_count(), 1);
}

#[test]
fn a_follower_becomes_its_leader_byte_for_byte() {
    let (leader_bench, leader) = filled(config());
    let follower_bench = Bench::new(config());
    let mut follower = follower_bench.open();
    while follower.end_offset() < leader.end_offset() {
        // The last batch of a fetch is cut off as a rule.
        let bytes = leader
            .read(follower.end_offset(), 250, 90, true)
            .unwrap()
            .read()
            .unwrap();
        follower.append_replicated(&bytes, NOW).unwrap().unwrap();
    }
    assert_eq!(read_all(&follower), read_all(&leader));
    let again = leader.read(0, 250, 90, true).unwrap().read().unwrap();
    assert!(matches!(
        follower.append_replicated(&again, NOW),
        Err(LogError::NotConsecutive { .. })
    ));
    let mut damaged = again.to_vec();
    damaged[65] ^= 1;
    follower.truncate_fully(0).unwrap();
    assert!(matches!(
        follower.append_replicated(&damaged.into(), NOW),
        Err(LogError::Batch(_))
    ));
    assert_eq!(follower.end_offset(), 0);
    drop(leader_bench);
}

#[test]
fn leader_epochs_tell_where_logs_part() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    for epoch in [0, 0, 2, 2, 5] {
        log.append(&batch("a", 2), epoch, NOW).unwrap();
    }
    let end = |log: &PartitionLog, epoch| {
        log.offset_for_leader_epoch(epoch)
            .map(|end| (end.leader_epoch, end.end_offset))
    };
    for mut log in [bench.open(), log] {
        assert_eq!(end(&log, 0), Some((0, 4)));
        assert_eq!(end(&log, 1), Some((0, 4)));
        assert_eq!(end(&log, 2), Some((2, 8)));
        assert_eq!(end(&log, 5), Some((5, 10)));
        assert_eq!(end(&log, 6), None);
        assert_eq!(
            (log.epoch_at(3), log.epoch_at(4), log.latest_epoch()),
            (Some(0), Some(2), Some(5))
        );
        log.delete_records_before(5, 10).unwrap();
        assert_eq!(end(&log, 0), Some((0, 5)), "from before the log start");
    }
    // A lost file is made anew from the batches.
    std::fs::remove_file(bench.dir().join("leader-epoch-checkpoint")).unwrap();
    let mut log = bench.open();
    assert_eq!(end(&log, 2), Some((2, 8)));
    log.truncate_to(7).unwrap();
    assert_eq!((log.end_offset(), end(&log, 2)), (6, Some((2, 6))));
    assert_eq!(log.latest_epoch(), Some(2));
}

#[test]
fn a_log_dir_remembers_a_clean_stop_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let open = || LogDir::open(folder.path(), LogDirOptions::default()).unwrap();
    let mut dir = open();
    assert!(matches!(
        LogDir::open(folder.path(), LogDirOptions::default()),
        Err(LogError::Locked { .. })
    ));
    let meta = MetaProperties {
        cluster_id: "c".into(),
        node_id: 1,
        directory_id: Uuid::from_u128(3),
    };
    dir.write_meta(meta.clone()).unwrap();
    let mut log = dir.open_partition("a-b.c", 12, TOPIC_ID, config(), NOW).unwrap();
    append(&mut log, &batch("a", 3));
    log.delete_records_before(2, 3).unwrap();
    log.close().unwrap();
    dir.write_checkpoints([Checkpoint {
        topic: "a-b.c".into(),
        partition: 12,
        recovery_point: log.recovery_point(),
        high_watermark: 3,
        log_start: 2,
        cleaned_to: 0,
    }])
    .unwrap();
    dir.close().unwrap();

    let dir = open();
    assert!(dir.was_clean());
    assert_eq!(dir.meta(), Some(&meta));
    let found = PartitionFolder {
        topic: "a-b.c".into(),
        partition: 12,
        topic_id: Some(TOPIC_ID),
    };
    assert_eq!(dir.partitions(), [found]);
    assert_eq!(dir.high_watermark("a-b.c", 12), Some(3));
    let other = dir.open_partition("a-b.c", 12, Uuid::from_u128(8), config(), NOW);
    assert!(matches!(other, Err(LogError::TopicIdMismatch { .. })));
    let log = dir.open_partition("a-b.c", 12, TOPIC_ID, config(), NOW).unwrap();
    assert_eq!(
        (log.start_offset(), log.end_offset(), log.recovery_point()),
        (2, 3, 3)
    );
    log.delete(500).unwrap();
    assert!(!folder.path().join("a-b.c-12").exists());
    assert_eq!(dir.sweep(NOW), (vec![], Some(NOW + 500)));
    let (due, next_ms) = dir.sweep(NOW + 500);
    assert_eq!((due.len(), next_ms), (1, None));
    let name = due[0].file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("a-b.c-12.") && name.ends_with("-delete"),
        "{name}"
    );
    assert!(due[0].is_dir(), "it is removed by who has asked");
    drop(dir);

    let dir = open();
    assert!(!dir.was_clean(), "it was not closed");
    assert!(dir.partitions().is_empty(), "what was to be removed is gone");
    assert!(!due[0].exists());
}

/// A process that is killed, and a machine that loses its power some time later, leave a log that was forced once, was cut off
/// and has been written anew.
#[test]
fn what_is_written_after_a_truncation_is_not_taken_at_its_word() {
    let folder = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes: 130,
        ..LogConfig::default()
    };
    let open = || {
        let dir = LogDir::open(folder.path(), LogDirOptions::default()).unwrap();
        let log = dir
            .open_partition("rides", 0, TOPIC_ID, config.clone(), NOW)
            .unwrap();
        (dir, log)
    };
    let (dir, mut log) = open();
    for _ in 0..6 {
        append(&mut log, &batch("a", 2));
    }
    log.flush().unwrap();
    dir.write_checkpoints([Checkpoint {
        topic: "rides".into(),
        partition: 0,
        recovery_point: log.recovery_point(),
        high_watermark: 12,
        log_start: 0,
        cleaned_to: 10,
    }])
    .unwrap();
    // In the middle of a batch, which goes whole.
    log.truncate_to(3).unwrap();
    for _ in 0..5 {
        append(&mut log, &batch("b", 2));
    }
    assert_eq!((log.end_offset(), log.recovery_point()), (12, 2));
    drop((dir, log));

    let (dir, log) = open();
    assert_eq!(
        (log.end_offset(), log.recovery_point(), log.cleaned_to()),
        (12, 2, 2)
    );
    drop((dir, log));
    let second = folder.path().join("rides-0/00000000000000000002.log");
    let file = std::fs::File::options().write(true).open(&second).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(0).unwrap();
    file.set_len(size).unwrap();

    let (_dir, log) = open();
    assert_eq!(log.end_offset(), 2, "the second segment was checked");
}

#[test]
fn few_files_are_open_however_many_logs_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let files = Arc::new(FileCache::new(8));
    let mut logs: Vec<_> = (0..100)
        .map(|p| {
            let dir = folder.path().join(format!("t-{p}"));
            PartitionLog::open(&dir, TOPIC_ID, &files, config(), Known::NOTHING, NOW).unwrap()
        })
        .collect();
    for _ in 0..3 {
        for log in &mut logs {
            append(log, &batch("a", 3));
            assert!(files.open_files() <= 8);
        }
    }
    assert!(logs.iter().all(|log| read_all(log).len() == 9));
}
