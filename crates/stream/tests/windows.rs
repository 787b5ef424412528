//! Windows, watermarks and lateness, from literals.

mod common;

use common::{RIDES, Run};

const PER_MINUTE: &str = "
SELECT window_start, window_end, COUNT(*) AS rides, SUM(minutes) AS minutes
FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end";

fn per_minute() -> String {
    format!("{RIDES}{PER_MINUTE}")
}

#[test]
fn a_window_waits_for_a_later_event_not_for_the_clock() {
    let mut run = Run::new(&per_minute(), 1);
    run.ride(0, "18:00:10");
    run.ride(0, "18:00:54");
    run.tick(3_600_000);
    assert_eq!(run.rows(), [""; 0]);
    run.ride(0, "18:01:04");
    assert_eq!(
        run.rows(),
        [""; 0],
        "the watermark is 18:00:59, and the window ends at 18:01:00"
    );
    run.ride(0, "18:01:05");
    assert_eq!(
        run.rows(),
        ["+I[2026-03-01 18:00:00.000, 2026-03-01 18:01:00.000, 2, 24]"]
    );
}

#[test]
fn the_last_millisecond_closes_a_window() {
    let mut run = Run::new(&per_minute(), 1);
    run.ride(0, "18:00:10");
    run.ride(0, "18:01:04.998");
    assert_eq!(run.rows(), [""; 0]);
    run.ride(0, "18:01:04.999");
    assert_eq!(
        run.rows().len(),
        1,
        "the watermark is the last millisecond of the window"
    );
}

#[test]
fn only_what_belongs_to_a_closed_window_is_late() {
    let mut run = Run::new(&per_minute(), 1);
    run.ride(0, "18:00:10");
    run.ride(0, "18:01:30");
    assert_eq!(run.rows().len(), 1);
    run.ride(0, "18:01:02");
    run.ride(0, "18:00:59");
    assert_eq!(
        run.job.insides().late,
        1,
        "18:01:02 is behind the watermark, but its window is open"
    );
    run.end(0);
    assert_eq!(
        run.rows(),
        ["+I[2026-03-01 18:01:00.000, 2026-03-01 18:02:00.000, 2, 24]"]
    );
}

#[test]
fn the_slowest_partition_keeps_windows_open() {
    let mut run = Run::new(&per_minute(), 2);
    run.ride(0, "18:00:10");
    run.ride(0, "18:05:00");
    assert_eq!(run.rows(), [""; 0]);
    let insides = run.job.insides();
    assert_eq!(insides.watermark_ms, None);
    assert_eq!(
        insides
            .windows_open
            .iter()
            .map(|window| window.rows)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    run.ride(1, "18:02:00");
    assert_eq!(run.rows().len(), 1);
}

#[test]
fn an_idle_partition_no_longer_holds_the_windows() {
    let sql = format!("SET 'table.exec.source.idle-timeout' = '5 s';{}", per_minute());
    let mut run = Run::new(&sql, 2);
    run.ride(0, "18:00:10");
    run.ride(0, "18:05:00");
    run.now_ms = 4_999;
    run.ride(0, "18:05:01");
    run.tick(4_999);
    assert_eq!(run.rows(), [""; 0]);
    run.tick(5_000);
    assert_eq!(run.rows().len(), 1);
    assert!(run.job.insides().splits[&1].idle);
}

#[test]
fn an_empty_window_has_no_result_and_bounded_sources_close_all() {
    let mut run = Run::new(&per_minute(), 2);
    run.ride(0, "18:00:10");
    run.ride(1, "18:30:10");
    run.end(0);
    assert_eq!(run.rows().len(), 1);
    run.end(1);
    assert_eq!(run.rows().len(), 1);
    assert_eq!(run.job.insides().watermark_ms, Some(i64::MAX));
}

#[test]
fn aggregates_have_flinks_types_and_skip_nulls() {
    let sql = format!(
        "{RIDES} SELECT driver, COUNT(*), COUNT(minutes), COUNT(DISTINCT minutes), SUM(minutes), AVG(minutes),
                MIN(fare), MAX(fare), SUM(fare), AVG(fare), COUNT(*) FILTER (WHERE minutes > 5)
         FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
         GROUP BY window_start, window_end, driver HAVING COUNT(*) > 1"
    );
    let mut run = Run::new(&sql, 1);
    for ride in [
        r#"{"driver":"a","minutes":5,"fare":1.50,"ts":"2026-03-01 18:00:01"}"#,
        r#"{"driver":"a","minutes":8,"fare":2.00,"ts":"2026-03-01 18:00:02"}"#,
        r#"{"driver":"a","minutes":8,"fare":null,"ts":"2026-03-01 18:00:03"}"#,
        r#"{"driver":"a","ts":"2026-03-01 18:00:04"}"#,
        r#"{"driver":"b","minutes":1,"ts":"2026-03-01 18:00:05"}"#,
        r#"{"driver":"c","ts":"2026-03-01 18:00:05"}"#,
        r#"{"driver":"c","ts":"2026-03-01 18:00:05"}"#,
    ] {
        run.send(0, ride).unwrap();
    }
    run.end(0);
    assert_eq!(
        run.rows(),
        [
            "+I[a, 4, 3, 2, 21, 7, 1.50, 2.00, 3.50, 1.750000, 2]",
            "+I[c, 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0]"
        ]
    );
}

#[test]
fn hop_and_cumulate_put_an_event_into_several_windows_and_count_it_late_once() {
    for (window, rows) in [
        (
            "HOP(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)",
            ["17:59", "18:00"],
        ),
        (
            "CUMULATE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)",
            ["18:00", "18:00"],
        ),
    ] {
        let sql = format!(
            "{RIDES} SELECT DATE_FORMAT(window_start, 'HH:mm'), COUNT(*) FROM TABLE({window})
             GROUP BY window_start, window_end"
        );
        let mut run = Run::new(&sql, 1);
        run.ride(0, "18:00:10");
        run.ride(0, "19:00:00");
        assert_eq!(run.rows(), rows.map(|start| format!("+I[{start}, 1]")));
        run.ride(0, "18:00:20");
        assert_eq!(run.job.insides().late, 1);
    }
}

#[test]
fn a_job_goes_on_from_its_checkpoint_as_if_nothing_had_happened() {
    let mut whole = Run::new(&per_minute(), 2);
    let mut first = Run::new(&per_minute(), 2);
    let before = [
        (0, "18:00:10"),
        (1, "18:00:30"),
        (0, "18:01:30"),
        (1, "18:01:31"),
        (0, "18:00:01"),
    ];
    let after = [(0, "18:01:40"), (1, "18:02:30"), (0, "18:02:31"), (0, "18:00:02")];
    for (split, time) in before {
        whole.ride(split, time);
        first.ride(split, time);
    }
    let saved = serde_json::to_vec(&first.job.snapshot().unwrap()).unwrap();
    let mut second = Run::new(&per_minute(), 0);
    second
        .job
        .restore(serde_json::from_slice(&saved).unwrap(), 0)
        .unwrap();
    second.results = first.results;
    for (split, time) in after {
        whole.ride(split, time);
        second.ride(split, time);
    }
    assert_eq!(second.job.insides().late, 2);
    for run in [&mut whole, &mut second] {
        run.end(0);
        run.end(1);
    }
    assert_eq!(second.rows(), whole.rows());
}

#[test]
fn a_checkpoint_of_another_query_is_refused() {
    let mut run = Run::new(&per_minute(), 1);
    run.ride(0, "18:00:10");
    let saved = run.job.snapshot().unwrap();
    let other = Run::new(&per_minute().replace("SUM(minutes)", "MAX(minutes)"), 0)
        .job
        .restore(saved.clone(), 0);
    assert_eq!(
        other.unwrap_err().to_string(),
        "the checkpoint does not fit the job: window-aggregate-1 groups or aggregates something else now"
    );
    let gone = Run::new(&format!("{RIDES} SELECT driver FROM rides"), 0)
        .job
        .restore(saved, 0);
    assert_eq!(
        gone.unwrap_err().to_string(),
        "the checkpoint does not fit the job: the job has no window-aggregate-1 any more"
    );
}

#[test]
fn without_a_window_the_result_is_a_changelog() {
    let sql = format!("{RIDES} SELECT driver, COUNT(*) FROM rides GROUP BY driver");
    let mut run = Run::new(&sql, 1);
    run.ride(0, "18:00:10");
    run.ride(0, "18:00:10");
    assert_eq!(run.rows(), ["+I[d-17, 1]", "-U[d-17, 1]", "+U[d-17, 2]"]);
}

#[test]
fn windows_of_instants_follow_the_sessions_clock() {
    let sql = "SET 'table.local-time-zone' = 'Asia/Kolkata';
        CREATE TABLE rides (epoch BIGINT, ts AS TO_TIMESTAMP_LTZ(epoch, 3), WATERMARK FOR ts AS ts)
        WITH ('connector' = 'kafka', 'topic' = 'rides', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset',
              'scan.watermark.emit.strategy' = 'on-event');
        SELECT window_start, window_time, COUNT(*) FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' HOUR))
        GROUP BY window_start, window_end, window_time";
    let mut run = Run::new(sql, 1);
    // 18:00:54 UTC is 23:30:54 there.
    run.send(0, r#"{"epoch":1772388054000}"#).unwrap();
    let insides = run.job.insides();
    assert_eq!(
        insides.windows_open[0].start_ms,
        1_772_388_054_000 - 54_000 - 30 * 60_000
    );
    run.send(0, r#"{"epoch":1772389799998}"#).unwrap();
    assert_eq!(run.rows(), [""; 0]);
    run.send(0, r#"{"epoch":1772389799999}"#).unwrap();
    assert_eq!(
        run.rows(),
        ["+I[2026-03-01 23:00:00.000, 2026-03-01 23:59:59.999, 3]"]
    );
}
