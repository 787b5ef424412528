//! What must hold for any events in any order.

mod common;

use std::collections::BTreeMap;

use common::{RIDES, Run};
use proptest::prelude::*;
use streamlings_stream::Value;

const MINUTE_MS: i64 = 60_000;
/// The watermark of the table is this far behind.
const DELAY_MS: i64 = 5_000;
/// 2026-03-01 18:00:00.
const BASE_MS: i64 = 1_772_388_000_000;

fn sql() -> String {
    format!(
        "{RIDES} SELECT window_start, driver, COUNT(*), SUM(minutes)
         FROM TABLE(TUMBLE(TABLE rides, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, driver"
    )
}

#[derive(Debug, Clone)]
struct Event {
    split: i32,
    offset_ms: i64,
    driver: u8,
    minutes: i32,
}

impl Event {
    fn json(&self) -> String {
        let (seconds, ms) = (self.offset_ms / 1000, self.offset_ms % 1000);
        format!(
            r#"{{"driver":"{}","minutes":{},"ts":"2026-03-01 18:{:02}:{:02}.{ms:03}"}}"#,
            self.driver,
            self.minutes,
            seconds / 60,
            seconds % 60
        )
    }

    fn window(&self) -> i64 {
        BASE_MS + self.offset_ms / MINUTE_MS * MINUTE_MS
    }
}

type Counts = BTreeMap<(i64, String), (i64, i64)>;

fn events(max_offset_ms: i64) -> impl Strategy<Value = Vec<Event>> {
    let event =
        (0..3i32, 0..max_offset_ms, 0..4u8, -5..100i32).prop_map(|(split, offset_ms, driver, minutes)| {
            Event {
                split,
                offset_ms,
                driver,
                minutes,
            }
        });
    prop::collection::vec(event, 0..120)
}

fn add(counts: &mut Counts, event: &Event) {
    let entry = counts
        .entry((event.window(), event.driver.to_string()))
        .or_default();
    entry.0 += 1;
    entry.1 += i64::from(event.minutes);
}

/// The results so far; no group of a window may come twice.
fn results(run: &mut Run) -> Counts {
    let mut counts = Counts::new();
    for record in run.results.drain(..) {
        let [
            Value::Timestamp(start),
            Value::String(driver),
            Value::Int(count),
            Value::Int(sum),
        ] = record.row.as_slice()
        else {
            panic!("{record:?}");
        };
        let before = counts.insert((start.ms, driver.to_string()), (*count, *sum));
        assert_eq!(before, None, "a window closed twice");
    }
    counts
}

proptest! {
    /// Within the lateness that the watermark allows, order makes no difference: the stream counts as a batch does.
    #[test]
    fn any_order_within_lateness_counts_as_a_batch(mut events in events(300_000), jitter in prop::collection::vec(0..DELAY_MS, 120)) {
        // Sorted by time plus less than the delay: no event is further behind than the watermark allows.
        let mut keyed: Vec<(i64, Event)> = events.drain(..).enumerate().map(|(i, e)| (e.offset_ms + jitter[i], e)).collect();
        keyed.sort_by_key(|(at, _)| *at);
        let mut run = Run::new(&sql(), 3);
        let mut batch = Counts::new();
        for (_, event) in &keyed {
            add(&mut batch, event);
            run.send(event.split, &event.json()).unwrap();
        }
        (0..3).for_each(|split| run.end(split));
        prop_assert_eq!(run.job.insides().late, 0);
        prop_assert_eq!(results(&mut run), batch);
    }

    /// In any order at all: every event is counted or late, watermarks never go back, and a restart changes nothing.
    #[test]
    fn any_order_loses_nothing_without_a_word(events in events(900_000), restart_at in 0..120usize) {
        let mut run = Run::new(&sql(), 3);
        let mut model = Counts::new();
        let mut highest = [None::<i64>; 3];
        let mut before = None;
        for (index, event) in events.iter().enumerate() {
            if index == restart_at {
                let saved = serde_json::to_vec(&run.job.snapshot().unwrap()).unwrap();
                run.job = run.plan.build();
                run.job.restore(serde_json::from_slice(&saved).unwrap(), 0).unwrap();
            }
            let watermark = highest.iter().min().copied().flatten();
            if watermark.is_none_or(|watermark| event.window() + MINUTE_MS - 1 > watermark) {
                add(&mut model, event);
            }
            run.send(event.split, &event.json()).unwrap();
            let own = &mut highest[event.split as usize];
            *own = (*own).max(Some(BASE_MS + event.offset_ms - DELAY_MS));
            let now = run.job.insides().watermark_ms;
            prop_assert!(now >= before, "a watermark went back");
            prop_assert_eq!(now, highest.iter().min().copied().flatten());
            before = now;
        }
        (0..3).for_each(|split| run.end(split));
        let counted: i64 = model.values().map(|(count, _)| count).sum();
        prop_assert_eq!(run.job.insides().late as i64, events.len() as i64 - counted);
        prop_assert_eq!(results(&mut run), model);
    }

    /// Whatever is in a record or a file, it is refused or read, and nothing panics.
    #[test]
    fn any_bytes_are_refused_or_read(value in ".{0,80}", sql in ".{0,120}") {
        let mut run = Run::new(&self::sql(), 1);
        let _ = run.send(0, &value);
        let _ = streamlings_stream::Script::parse(&sql);
        let _ = streamlings_stream::Script::parse(&format!("CREATE TABLE t ({sql}"));
    }
}
