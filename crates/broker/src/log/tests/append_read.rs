use super::*;

fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

#[test]
fn a_new_log_is_an_empty_folder_until_the_first_batch() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    assert!(files_in(&bench.dir()).is_empty());
    assert!(log.read(0, 100, 0, true).unwrap().is_empty());
    append(&mut log, &batch("a", 1));
    assert_eq!(
        files_in(&bench.dir()),
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "leader-epoch-checkpoint",
            "partition.metadata"
        ]
    );
}

#[test]
fn index_files_of_the_active_segment_are_never_empty() {
    let bench = Bench::new(LogConfig::default());
    let lengths = || {
        [".index", ".timeindex"].map(|suffix| {
            let path = bench.dir().join(format!("{:020}{suffix}", 0));
            std::fs::metadata(path).unwrap().len()
        })
    };
    let mut log = bench.open();
    append(&mut log, &batch("a", 1));
    assert_eq!(lengths(), [8, 12]);
    log.close().unwrap();
    // As Kafka leaves them: the largest timestamp, and no place but the start.
    assert_eq!(lengths(), [0, 12]);
    drop(log);
    for clean in [true, false] {
        let known = Known {
            clean,
            ..Known::NOTHING
        };
        let mut log = bench.open_known(known);
        assert_eq!(lengths(), [8, 12], "clean: {clean}");
        append(&mut log, &batch("b", 1));
        assert!(read_all(&log).len() >= 2);
    }
}

#[test]
fn records_come_back_in_order_across_segments_and_a_kill() {
    let bench = Bench::new(small_segments());
    let mut log = bench.open();
    let mut wanted = Vec::new();
    for b in 0..50 {
        let appended = append(&mut log, &batch(&format!("b{b}"), 3));
        assert_eq!(appended.base_offset, b * 3);
        wanted.extend((0..3).map(|i| (b * 3 + i, format!("b{b}-{i}"))));
    }
    assert!(log.segment_count() >= 5);
    assert_eq!(read_all(&log), wanted);
    drop(log);
    let log = bench.open();
    assert_eq!(log.end_offset(), 150);
    assert_eq!(read_all(&log), wanted);
    for from in 0..150 {
        assert_eq!(read_from(&log, from), wanted[from as usize..], "from {from}");
    }
}

#[test]
fn a_closed_log_opens_as_it_was() {
    let bench = Bench::new(small_segments());
    let mut log = bench.open();
    for b in 0..50 {
        append(&mut log, &batch(&format!("b{b}"), 3));
    }
    log.close().unwrap();
    let wanted = read_all(&log);
    drop(log);
    let clean = Known {
        clean: true,
        recovery_point: 150,
        ..Known::NOTHING
    };
    let mut log = bench.open_known(clean);
    assert_eq!(read_all(&log), wanted);
    assert_eq!(log.recovery_point(), 150);
    assert_eq!(append(&mut log, &batch("next", 1)).base_offset, 150);
}

#[test]
fn a_torn_tail_is_cut_off() {
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    append(&mut log, &batch("whole", 2));
    let size = log.size_bytes();
    append(&mut log, &batch("torn", 2));
    drop(log);
    let path = bench.dir().join("00000000000000000000.log");
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(size + 70)
        .unwrap();
    let mut log = bench.open();
    assert_eq!(log.end_offset(), 2);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    assert_eq!(append(&mut log, &batch("next", 1)).base_offset, 2);
    assert_eq!(read_all(&log).len(), 3);
}

#[test]
fn reads_respect_their_bounds() {
    let bench = Bench::new(small_segments());
    let mut log = bench.open();
    let size = batch("b", 3).size();
    for _ in 0..30 {
        append(&mut log, &batch("b", 3));
    }
    let whole = |upper| log.read(0, 10_000, upper, true).unwrap().len();
    assert_eq!(whole(6), 2 * size, "two batches are below 6");
    assert_eq!(whole(0), 0);
    assert_eq!(
        log.read(0, 1, 90, true).unwrap().len(),
        size,
        "the first batch comes whole"
    );
    assert!(log.read(0, 1, 90, false).unwrap().is_empty());
    assert!(log.read(90, 1, 90, true).unwrap().is_empty());
    assert!(matches!(
        log.read(91, 1, 90, true),
        Err(LogError::OffsetOutOfRange {
            start: 0,
            end: 90,
            ..
        })
    ));
}
