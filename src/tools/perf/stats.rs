//! Counting and pacing, as Kafka's own tool does both, so that its lines mean the same.

use std::time::{Duration, Instant};

/// Latencies that are kept for the percentiles: of more records, every n-th is taken.
const MOST_LATENCIES: u64 = 500_000;
const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Counts since one moment.
struct Counts {
    since: Instant,
    count: u64,
    bytes: u64,
    latency_ms: u64,
    max_ms: u64,
}

impl Counts {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            count: 0,
            bytes: 0,
            latency_ms: 0,
            max_ms: 0,
        }
    }

    fn add(&mut self, ms: u64, bytes: usize) {
        self.count += 1;
        self.bytes += bytes as u64;
        self.latency_ms += ms;
        self.max_ms = self.max_ms.max(ms);
    }

    /// Records and megabytes a second, and the average latency in ms.
    fn rates(&self) -> (f64, f64, f64) {
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        (
            self.count as f64 / seconds,
            self.bytes as f64 / seconds / MEGABYTE,
            self.latency_ms as f64 / self.count as f64,
        )
    }
}

/// One summary: of all records, or of those after the warm-up.
struct Summary {
    all: Counts,
    latencies: Vec<u32>,
    every: u64,
    seen: u64,
    what: &'static str,
}

impl Summary {
    fn new(records: u64, what: &'static str) -> Self {
        Self {
            all: Counts::new(),
            latencies: Vec::new(),
            every: records / records.clamp(1, MOST_LATENCIES),
            seen: 0,
            what,
        }
    }

    fn add(&mut self, ms: u64, bytes: usize) {
        self.all.add(ms, bytes);
        if self.seen.is_multiple_of(self.every.max(1)) {
            self.latencies.push(u32::try_from(ms).unwrap_or(u32::MAX));
        }
        self.seen += 1;
    }

    fn line(&mut self) -> String {
        self.latencies.sort_unstable();
        let percentile = |part: f64| {
            let at = (part * self.latencies.len() as f64) as usize;
            self.latencies.get(at).copied().unwrap_or(0)
        };
        let (records, megabytes, average) = self.all.rates();
        format!(
            "{}{} records sent, {records:.6} records/sec ({megabytes:.2} MB/sec), {average:.2} ms avg latency, {:.2} ms max latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.\n",
            self.all.count,
            self.what,
            self.all.max_ms as f64,
            percentile(0.5),
            percentile(0.95),
            percentile(0.99),
            percentile(0.999)
        )
    }
}

/// What the records of one run tell.
pub(super) struct Stats {
    whole: Summary,
    steady: Option<Summary>,
    warmup: u64,
    /// The warm-up is over, and no interval since.
    announces: bool,
    /// Intervals count only what was sent after the warm-up.
    is_steady: bool,
    window: Counts,
    interval: Duration,
}

impl Stats {
    pub(super) fn new(records: u64, warmup: u64, interval: Duration) -> Self {
        Self {
            whole: Summary::new(records, ""),
            steady: (warmup > 0).then(|| Summary::new(records - warmup, " steady state")),
            warmup,
            announces: false,
            is_steady: false,
            window: Counts::new(),
            interval,
        }
    }

    /// The run begins now.
    pub(super) fn start(&mut self) {
        self.whole.all.since = Instant::now();
        self.window.since = Instant::now();
    }

    /// The warm-up is over.
    pub(super) fn steady(&mut self) {
        if let Some(steady) = &mut self.steady {
            steady.all.since = Instant::now();
            self.window = Counts::new();
            (self.announces, self.is_steady) = (true, true);
        }
    }

    /// One record arrived.
    pub(super) fn record(&mut self, latency: Duration, bytes: usize, number: u64) {
        let ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.whole.add(ms, bytes);
        if !self.is_steady || number >= self.warmup {
            self.window.add(ms, bytes);
        }
        if let Some(steady) = self.steady.as_mut().filter(|_| number >= self.warmup) {
            steady.add(ms, bytes);
        }
    }

    /// The line of the interval that is over, if one is and brought records.
    pub(super) fn window(&mut self) -> Option<String> {
        if self.window.since.elapsed() < self.interval || self.window.count == 0 {
            return None;
        }
        let over = std::mem::replace(&mut self.window, Counts::new());
        let (records, megabytes, average) = over.rates();
        let heading = if std::mem::take(&mut self.announces) {
            "In steady state.\n"
        } else {
            ""
        };
        Some(format!(
            "{heading}{} records sent, {records:.1} records/sec ({megabytes:.2} MB/sec), {average:.1} ms avg latency, {:.1} ms max latency.\n",
            over.count, over.max_ms as f64
        ))
    }

    /// The last lines.
    pub(super) fn total(&mut self) -> String {
        let steady = self.steady.as_mut().map(Summary::line);
        self.whole.line() + &steady.unwrap_or_default()
    }
}

/// Waits between records, so that there are about so many a second.
pub(super) struct Throttle {
    rate: f64,
    since: Instant,
    owed: Duration,
}

/// Shorter sleeps are saved up.
const LEAST_SLEEP: Duration = Duration::from_millis(2);

impl Throttle {
    pub(super) fn new(rate: f64) -> Self {
        Self {
            rate,
            since: Instant::now(),
            owed: Duration::ZERO,
        }
    }

    /// After record `number`: sleeps when it came too early.
    pub(super) fn wait(&mut self, number: u64) {
        if self.rate <= 0.0 {
            return;
        }
        let elapsed = self.since.elapsed().as_secs_f64();
        if elapsed <= 0.0 || number as f64 / elapsed <= self.rate {
            return;
        }
        self.owed += Duration::from_secs_f64(1.0 / self.rate);
        if self.owed >= LEAST_SLEEP {
            let end = Instant::now() + std::mem::take(&mut self.owed);
            while let Some(left) = end.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_kafkas_tool() {
        let mut stats = Stats::new(4, 2, Duration::ZERO);
        for (number, ms) in [10, 20, 30, 41].into_iter().enumerate() {
            stats.record(Duration::from_millis(ms), 100, number as u64);
        }
        let window = stats.window().unwrap();
        assert!(window.starts_with("4 records sent, "), "{window}");
        assert!(
            window.ends_with(" MB/sec), 25.2 ms avg latency, 41.0 ms max latency.\n")
                || window.ends_with(" MB/sec), 25.3 ms avg latency, 41.0 ms max latency.\n"),
            "{window}"
        );
        let total = stats.total();
        let lines: Vec<&str> = total.lines().collect();
        assert!(
            lines[0].ends_with("25.25 ms avg latency, 41.00 ms max latency, 30 ms 50th, 41 ms 95th, 41 ms 99th, 41 ms 99.9th."),
            "{total}"
        );
        assert!(lines[1].starts_with("2 steady state records sent, "), "{total}");
        assert!(stats.window().is_none(), "nothing new came");
    }

    #[test]
    fn the_first_interval_after_the_warm_up_says_so() {
        let mut stats = Stats::new(3, 1, Duration::ZERO);
        stats.steady();
        stats.record(Duration::from_millis(1), 10, 0);
        assert_eq!(stats.window(), None, "a record of the warm-up");
        stats.record(Duration::from_millis(1), 10, 1);
        let first = stats.window().unwrap();
        assert!(first.starts_with("In steady state.\n1 records sent, "), "{first}");
        stats.record(Duration::from_millis(1), 10, 2);
        assert!(stats.window().unwrap().starts_with("1 records sent, "));
    }

    #[test]
    fn a_rate_is_kept() {
        let start = Instant::now();
        let mut throttle = Throttle::new(1000.0);
        for number in 0..60 {
            throttle.wait(number);
        }
        assert!(start.elapsed() >= Duration::from_millis(40));
    }
}
