//! Apache Kafka's own tools read what we write, and we read what its broker wrote. Needs a Kafka distribution:
//! `KAFKA_HOME=… cargo test -p streamlings-broker kafka_tools -- --ignored`.

use std::process::Command;

use super::*;

fn write_all_kinds(bench: &Bench) {
    let mut log = bench.open();
    for turn in 0..200 {
        for codec in Codec::ALL {
            let rows: Vec<_> = (0..20)
                .map(|i| record(&format!("{codec:?} {turn} {i}"), NOW + turn * 100 + i))
                .collect();
            let options = BatchOptions {
                codec,
                ..BatchOptions::default()
            };
            append(&mut log, &build_batch(&rows, options).unwrap());
        }
        let sequence = turn as i32 * 3;
        append(&mut log, &super::producers::produced(1, 0, sequence, true));
        super::producers::end(&mut log, 1, 0, turn % 2 == 0, false).unwrap();
    }
    assert!(log.segment_count() > 5);
    log.close().unwrap();
}

#[test]
#[ignore = "needs Apache Kafka's tools in KAFKA_HOME"]
fn kafka_dump_log_takes_the_indexes_of_the_active_segment() {
    let home = std::env::var("KAFKA_HOME").unwrap();
    let bench = Bench::new(LogConfig::default());
    let mut log = bench.open();
    append(&mut log, &batch("a", 3));
    for suffix in ["index", "timeindex"] {
        let path = bench.dir().join(format!("{:020}.{suffix}", 0));
        let run = Command::new(format!("{home}/bin/kafka-dump-log.sh"))
            .args(["--index-sanity-check", "--files"])
            .arg(path)
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&run.stdout);
        assert!(out.contains("passed sanity check"), "{run:?}");
    }
}

#[test]
#[ignore = "needs Apache Kafka's tools in KAFKA_HOME"]
fn kafka_dump_log_reads_what_we_write() {
    let home = std::env::var("KAFKA_HOME").unwrap();
    let bench = Bench::new(LogConfig {
        segment_bytes: 60_000,
        ..LogConfig::default()
    });
    write_all_kinds(&bench);
    let dump = |suffix: &str, options: &[&str]| {
        let files: Vec<_> = files_in(&bench.dir())
            .into_iter()
            .filter(|name| name.ends_with(suffix))
            .collect();
        let paths: Vec<_> = files
            .iter()
            .map(|name| bench.dir().join(name).display().to_string())
            .collect();
        let run = Command::new(format!("{home}/bin/kafka-dump-log.sh"))
            .args(options)
            .args(["--files", &paths.join(",")])
            .output()
            .unwrap();
        let (out, errors) = (
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr),
        );
        // The tool of 4.3 says this of every segment that doesn't start at 0, a real broker's too.
        let harmless = |line: &str| {
            let quirk = ["Non-consecutive offsets in ", "  -1 is followed by "];
            line.is_empty() || quirk.iter().any(|start| line.starts_with(start))
        };
        assert!(
            run.status.success() && errors.lines().all(harmless),
            "{suffix} {options:?}: {errors}"
        );
        (files.len(), out.into_owned())
    };
    let (_, out) = dump(".log", &["--deep-iteration", "--print-data-log"]);
    assert!(!out.contains("isvalid: false"), "{out}");
    assert_eq!(out.matches("| offset: ").count(), 200 * (5 * 20 + 3 + 1));
    for suffix in [".index", ".timeindex"] {
        let (files, out) = dump(suffix, &["--index-sanity-check"]);
        assert_eq!(out.matches("passed sanity check").count(), files, "{out}");
        // Without the option every entry is compared with the log.
        let (_, out) = dump(suffix, &[]);
        assert!(out.lines().count() > files * 3, "{out}");
    }
    let (_, out) = dump(".txnindex", &[]);
    assert_eq!(out.matches("producerId: 1 ").count(), 100);
    let (files, out) = dump(".snapshot", &[]);
    assert_eq!(
        out.matches("producerId: 1 producerEpoch: 0 coordinatorEpoch: 5")
            .count(),
        files,
        "{out}"
    );
}
