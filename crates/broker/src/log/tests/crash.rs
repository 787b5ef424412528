//! Whatever a crash leaves of the files, opening keeps the longest valid prefix.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Damage {
    /// The newest segment loses its end.
    Cut(prop::sample::Index),
    /// A byte of the newest segment is another one.
    Flip(prop::sample::Index),
    /// Bytes that are no batch follow.
    Garbage(Vec<u8>),
    /// An index is gone, cut or overwritten.
    IndexGone,
    IndexCut(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        any::<prop::sample::Index>().prop_map(Damage::Flip),
        prop::collection::vec(any::<u8>(), 1..200).prop_map(Damage::Garbage),
        Just(Damage::IndexGone),
        any::<prop::sample::Index>().prop_map(Damage::IndexCut),
    ]
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 2000,
        index_interval_bytes: 150,
        ..LogConfig::default()
    }
}

/// The segments' log files, oldest first.
fn segments(bench: &Bench) -> Vec<std::path::PathBuf> {
    let paths = files_in(&bench.dir())
        .into_iter()
        .map(|name| bench.dir().join(name));
    paths
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "log"))
        .collect()
}

/// How many records of the newest segment are whole in its first `bytes` bytes.
fn whole_records(log: &[u8], bytes: usize) -> usize {
    let valid = Bytes::copy_from_slice(&log[..bytes]);
    batches(&valid)
        .map_while(Result::ok)
        .map(|(header, _)| header.record_count as usize)
        .sum()
}

/// Damages the files; returns how many records of the newest segment must be left.
fn apply(damage: &Damage, path: &std::path::Path) -> usize {
    let log = std::fs::read(path).unwrap();
    let write = |path: &std::path::Path, bytes: &[u8]| {
        use std::io::Write;
        std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
    };
    let all = whole_records(&log, log.len());
    match damage {
        Damage::Cut(at) => {
            let at = at.index(log.len());
            write(path, &log[..at]);
            whole_records(&log, at)
        }
        Damage::Flip(at) => {
            let at = at.index(log.len());
            let mut damaged = log.clone();
            damaged[at] ^= 0x41;
            write(path, &damaged);
            whole_records(&log, at)
        }
        Damage::Garbage(bytes) => {
            write(path, &[&log[..], bytes].concat());
            all
        }
        Damage::IndexGone => {
            for suffix in ["index", "timeindex"] {
                let _ = std::fs::remove_file(path.with_extension(suffix));
            }
            all
        }
        Damage::IndexCut(at) => {
            for suffix in ["index", "timeindex"] {
                let bytes = std::fs::read(path.with_extension(suffix)).unwrap_or_default();
                write(&path.with_extension(suffix), &bytes[..at.index(bytes.len() + 1)]);
            }
            all
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_longest_valid_prefix_is_kept(
        sizes in prop::collection::vec(1usize..6, 1..60),
        damage in damage(),
    ) {
        let bench = Bench::new(config());
        let mut log = bench.open();
        for (index, size) in sizes.iter().enumerate() {
            append(&mut log, &batch(&format!("b{index}"), *size));
        }
        let before = read_all(&log);
        drop(log);
        let newest = segments(&bench).pop().unwrap();
        let base: usize = newest.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let flipped = matches!(damage, Damage::Flip(_));
        let kept = base + apply(&damage, &newest);

        let mut log = bench.open();
        let after = read_all(&log);
        // The base offset and the leader epoch are not under the checksum, in Kafka's format neither: a flip there
        // may pass where it makes no overlap, and moves offsets, never contents.
        if flipped {
            let values = |rows: &[(i64, String)]| rows.iter().map(|row| row.1.clone()).collect::<Vec<_>>();
            prop_assert!(after.len() >= kept);
            prop_assert_eq!(&values(&after), &values(&before)[..after.len()]);
        } else {
            prop_assert_eq!(&after[..], &before[..kept]);
            prop_assert_eq!(log.end_offset(), kept as i64);
        }
        // And it goes on as if nothing had happened.
        let end = log.end_offset();
        prop_assert_eq!(append(&mut log, &batch("next", 2)).base_offset, end);
        drop(log);
        let reopened = bench.open();
        prop_assert_eq!(reopened.end_offset(), end + 2);
        prop_assert_eq!(read_all(&reopened).len(), after.len() + 2);
    }

    #[test]
    fn lookups_equal_a_linear_scan(
        rows in prop::collection::vec((1usize..6, -50i64..200), 1..60),
        cut in any::<prop::sample::Index>(),
        closed in any::<bool>(),
    ) {
        let bench = Bench::new(config());
        let mut log = bench.open();
        let mut clock = NOW;
        let mut stamps = Vec::new();
        for (index, (size, step)) in rows.iter().enumerate() {
            clock += step;
            append(&mut log, &batch_at(&format!("b{index}"), *size, clock));
            stamps.extend((0..*size).map(|i| clock + i as i64));
        }
        let end = log.end_offset();
        let cut_at = cut.index(end as usize) as i64;
        if closed {
            log.close().unwrap();
            log = bench.open_known(Known { clean: true, recovery_point: end, ..Known::NOTHING });
        }
        check_lookups(&log, &stamps)?;
        log.truncate_to(cut_at).unwrap();
        prop_assert!(log.end_offset() <= cut_at);
        stamps.truncate(log.end_offset() as usize);
        check_lookups(&log, &stamps)?;
        append(&mut log, &batch_at("more", 3, clock));
        stamps.extend((0..3).map(|i| clock + i));
        check_lookups(&log, &stamps)?;
    }
}

fn check_lookups(log: &PartitionLog, stamps: &[i64]) -> Result<(), TestCaseError> {
    let end = stamps.len() as i64;
    prop_assert_eq!(log.end_offset(), end);
    for offset in 0..end {
        let bytes = log.read(offset, 1, end, true).unwrap().read().unwrap();
        let header = BatchHeader::parse(&bytes).unwrap();
        prop_assert!(header.base_offset <= offset && offset <= header.last_offset());
    }
    for wanted in stamps.iter().flat_map(|stamp| [stamp - 1, *stamp, stamp + 1]) {
        let linear = (0..).zip(stamps).find(|(_, stamp)| **stamp >= wanted);
        let found = log.offset_for_timestamp(TimestampQuery::At(wanted)).unwrap();
        prop_assert_eq!(
            found.map(|at| (at.offset, at.timestamp_ms)),
            linear.map(|(at, stamp)| (at, *stamp))
        );
    }
    let newest = stamps.iter().max().copied();
    let found = log.offset_for_timestamp(TimestampQuery::Max).unwrap();
    let first = newest.and_then(|newest| stamps.iter().position(|stamp| *stamp == newest));
    prop_assert_eq!(found.map(|at| at.timestamp_ms), newest);
    prop_assert_eq!(found.map(|at| at.offset), first.map(|at| at as i64));
    Ok(())
}
