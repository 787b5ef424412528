//! Clients held back by quotas: bytes produced and fetched (KIP-13, KIP-219), and partitions made and removed (KIP-599).
//!
//! What a client has done is measured as Kafka's sensors do. Where it is too much, its request is answered at once with the
//! time that it has to wait, and nothing more is read from its connection until then ([`Effect::Mute`]).

use std::collections::HashMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::quotas::Share;
use super::{Caller, Effect, Refusal};

/// So many clients are measured at a time.
const MAX_MEASURED: usize = 10_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Produce,
    Fetch,
    Mutations,
}

/// Who is measured, by whom: those whom one quota is for together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Who {
    kind: Kind,
    /// The controller's is broker -1.
    broker: i32,
    /// All principals are the same here, so a user's name says nothing.
    user: bool,
    client: Option<Arc<str>>,
}

/// How long is measured: `quota.window.num` windows of `quota.window.size.seconds`.
#[derive(Debug, Clone, Copy)]
struct Windows {
    count: i64,
    size_ms: i64,
}

#[derive(Debug)]
enum Meter {
    Rate(Rate),
    Tokens(Tokens),
}

impl Meter {
    fn last_ms(&self) -> i64 {
        match self {
            Self::Rate(rate) => rate
                .samples
                .iter()
                .map(|sample| sample.last_ms)
                .max()
                .unwrap_or(0),
            Self::Tokens(tokens) => tokens.at_ms,
        }
    }
}

/// What clients with a quota have done of late.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    meters: HashMap<Who, Meter>,
}

impl Throttles {
    /// One client is measured, and nobody else.
    #[cfg(test)]
    pub(super) fn is_measured_once(&self) -> bool {
        self.meters.len() == 1
    }

    /// The meter of a client; who has been quiet for longest is forgotten where there are too many.
    fn meter(&mut self, who: &Who, windows: Windows, now_ms: i64) -> &mut Meter {
        if self.meters.len() >= MAX_MEASURED && !self.meters.contains_key(who) {
            let since = now_ms - windows.count * windows.size_ms;
            self.meters.retain(|_, meter| meter.last_ms() > since);
            if self.meters.len() >= MAX_MEASURED
                && let Some(quiet) = self.meters.iter().min_by_key(|(_, meter)| meter.last_ms())
            {
                let quiet = quiet.0.clone();
                self.meters.remove(&quiet);
            }
        }
        self.meters.entry(who.clone()).or_insert_with(|| match who.kind {
            Kind::Mutations => Meter::Tokens(Tokens::default()),
            Kind::Produce | Kind::Fetch => Meter::Rate(Rate::default()),
        })
    }
}

/// An amount per second over some windows, as Kafka's `Rate` of a `WindowedSum`.
#[derive(Debug, Default)]
struct Rate {
    samples: Vec<Sample>,
    current: usize,
}

#[derive(Debug)]
struct Sample {
    begun_ms: i64,
    last_ms: i64,
    sum: f64,
}

impl Sample {
    fn at(now_ms: i64) -> Self {
        Self {
            begun_ms: now_ms,
            last_ms: now_ms,
            sum: 0.0,
        }
    }
}

impl Rate {
    fn record(&mut self, amount: f64, windows: Windows, now_ms: i64) {
        if self.samples.is_empty() {
            self.samples.push(Sample::at(now_ms));
        } else if now_ms - self.samples[self.current].begun_ms >= windows.size_ms {
            // One more than there are windows: the oldest may have begun before the first of them.
            self.current = (self.current + 1) % (windows.count as usize + 1);
            if self.current >= self.samples.len() {
                self.samples.push(Sample::at(now_ms));
                self.current = self.samples.len() - 1;
            } else {
                self.samples[self.current] = Sample::at(now_ms);
            }
        }
        let sample = &mut self.samples[self.current];
        sample.sum += amount;
        sample.last_ms = now_ms;
    }

    /// The amount per second, and the milliseconds that it was measured over.
    fn measure(&mut self, windows: Windows, now_ms: i64) -> (f64, i64) {
        let expires_ms = windows.count * windows.size_ms;
        for sample in &mut self.samples {
            if now_ms - sample.last_ms >= expires_ms {
                *sample = Sample::at(now_ms);
            }
        }
        let oldest = self.samples.iter().map(|sample| sample.begun_ms).min();
        let mut elapsed_ms = now_ms - oldest.unwrap_or(now_ms);
        // A client that has just begun is not taken for one that has always been so busy.
        let lacking = (windows.count - 1) - elapsed_ms / windows.size_ms;
        elapsed_ms += lacking.max(0) * windows.size_ms;
        let elapsed_ms = elapsed_ms.max(1);
        let sum: f64 = self.samples.iter().map(|sample| sample.sum).sum();
        (sum / (elapsed_ms as f64 / 1000.0), elapsed_ms)
    }

    /// How long it takes until the rate is within `most`, where it isn't.
    fn excess_ms(&mut self, most: f64, windows: Windows, now_ms: i64) -> i64 {
        let (rate, elapsed_ms) = self.measure(windows, now_ms);
        if rate <= most {
            return 0;
        }
        round((rate - most) / most * elapsed_ms as f64)
    }
}

/// A bucket of tokens that fills at the quota's rate, as Kafka's `TokenBucket`.
#[derive(Debug, Default)]
struct Tokens {
    left: f64,
    at_ms: i64,
}

impl Tokens {
    fn fill(&mut self, rate: f64, windows: Windows, now_ms: i64) -> f64 {
        let most = (windows.count * windows.size_ms) as f64 / 1000.0 * rate;
        let gained = (now_ms - self.at_ms) as f64 / 1000.0 * rate;
        self.left = most.min(self.left + gained);
        self.at_ms = now_ms;
        most
    }

    /// How long it takes until there are none owed.
    fn excess_ms(&mut self, rate: f64, windows: Windows, now_ms: i64) -> i64 {
        self.fill(rate, windows, now_ms);
        if self.left >= 0.0 {
            0
        } else {
            round(-self.left / rate * 1000.0)
        }
    }

    fn take(&mut self, amount: f64, rate: f64, windows: Windows, now_ms: i64) {
        let most = self.fill(rate, windows, now_ms);
        self.left = most.min(self.left - amount);
    }
}

/// As Java's `Math.round`, and no more than a client can be told.
fn round(ms: f64) -> i64 {
    ((ms + 0.5).floor() as i64).clamp(0, i64::from(i32::MAX))
}

/// A request that makes or removes partitions.
pub(crate) struct Mutations {
    quota: Option<(Who, f64)>,
    /// Newer clients are refused what is too much; older ones have to wait after it.
    strict: bool,
    throttle_ms: i64,
}

impl super::Core {
    fn measured(&self, kind: Kind, caller: &Caller) -> Option<(Who, f64)> {
        let key = match kind {
            Kind::Produce => "producer_byte_rate",
            Kind::Fetch => "consumer_byte_rate",
            Kind::Mutations => "controller_mutation_rate",
        };
        // As in Kafka, once anybody has a quota everybody is measured.
        let found = self.quotas.limit(key, &caller.client_id).or_else(|| {
            let share = Share {
                user: false,
                client: true,
            };
            (!self.quotas.is_empty()).then_some((share, f64::INFINITY))
        });
        let (Share { user, client }, most) = found?;
        let who = Who {
            kind,
            broker: if kind == Kind::Mutations {
                -1
            } else {
                caller.broker
            },
            user,
            client: client.then(|| caller.client_id.clone()),
        };
        Some((who, most))
    }

    fn windows(&self, kind: Kind, broker: i32) -> Windows {
        let names = match kind {
            Kind::Mutations => [
                "controller.quota.window.num",
                "controller.quota.window.size.seconds",
            ],
            Kind::Produce | Kind::Fetch => ["quota.window.num", "quota.window.size.seconds"],
        };
        let [count, size_s] = names.map(|name| self.configs.number(broker, name).clamp(1, 3_600));
        Windows {
            count,
            size_ms: size_s * 1_000,
        }
    }

    /// Holds the client back after this request.
    fn mute(&mut self, caller: &Caller, for_ms: i64) {
        if for_ms > 0 {
            let to = caller.request;
            self.effects.push(Effect::Mute { to, for_ms });
        }
    }

    /// Counts bytes produced, or those that a fetch would be answered, against their client's quota; for how long the
    /// client has to wait, in milliseconds. A fetch that has to wait gets nothing, and nothing of it is counted.
    pub(crate) fn count_bytes(&mut self, kind: Kind, caller: &Caller, bytes: usize) -> i32 {
        let Some((who, most)) = self.measured(kind, caller) else {
            return 0;
        };
        let (windows, now_ms) = (self.windows(kind, caller.broker), self.now_ms);
        let mut wait_ms = 0;
        if let Meter::Rate(rate) = self.throttles.meter(&who, windows, now_ms) {
            rate.record(bytes as f64, windows, now_ms);
            wait_ms = rate.excess_ms(most, windows, now_ms);
            if wait_ms > 0 && kind == Kind::Fetch {
                rate.record(-(bytes as f64), windows, now_ms);
            }
        }
        self.mute(caller, wait_ms);
        wait_ms as i32
    }

    /// The most that a fetch can be answered without its client having to wait for certain.
    pub(crate) fn fetch_window_bytes(&self, caller: &Caller) -> u32 {
        let Some((_, most)) = self.measured(Kind::Fetch, caller) else {
            return u32::MAX;
        };
        let windows = self.windows(Kind::Fetch, caller.broker);
        let bytes = most * ((windows.count - 1) * windows.size_ms / 1_000) as f64;
        bytes.min(f64::from(i32::MAX)) as u32
    }

    /// Begins a request that makes or removes partitions; from `strict_since` on, too much is refused.
    pub(crate) fn mutations(&self, caller: &Caller, strict_since: i16) -> Mutations {
        Mutations {
            quota: self.measured(Kind::Mutations, caller),
            strict: caller.version >= strict_since,
            throttle_ms: 0,
        }
    }

    /// Counts partitions that are to be made or removed.
    ///
    /// # Errors
    /// `THROTTLING_QUOTA_EXCEEDED`: the quota was used up before.
    pub(crate) fn count_mutations(&mut self, of: &mut Mutations, partitions: usize) -> Result<(), Refusal> {
        let Some((who, rate)) = &of.quota else {
            return Ok(());
        };
        let (windows, now_ms) = (self.windows(Kind::Mutations, self.first_broker()), self.now_ms);
        let Meter::Tokens(tokens) = self.throttles.meter(who, windows, now_ms) else {
            return Ok(());
        };
        let excess_ms = if of.strict {
            let excess_ms = tokens.excess_ms(*rate, windows, now_ms);
            if excess_ms == 0 {
                tokens.take(partitions as f64, *rate, windows, now_ms);
            }
            excess_ms
        } else {
            tokens.take(partitions as f64, *rate, windows, now_ms);
            tokens.excess_ms(*rate, windows, now_ms)
        };
        if excess_ms == 0 {
            return Ok(());
        }
        of.throttle_ms = excess_ms;
        if of.strict {
            return Err(ResponseError::ThrottlingQuotaExceeded.into());
        }
        Ok(())
    }

    /// Ends such a request; for how long its client has to wait, in milliseconds.
    pub(crate) fn end_mutations(&mut self, caller: &Caller, of: &Mutations) -> i32 {
        self.mute(caller, of.throttle_ms);
        of.throttle_ms as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Windows = Windows {
        count: 11,
        size_ms: 1_000,
    };

    #[test]
    fn who_has_just_begun_is_measured_over_ten_windows() {
        let mut rate = Rate::default();
        rate.record(10_000.0, TEN, 5_000);
        assert_eq!(rate.excess_ms(1_000.0, TEN, 5_000), 0);
        rate.record(500.0, TEN, 5_000);
        // 10,500 bytes need 10.5 seconds at 1,000 a second.
        assert_eq!(rate.excess_ms(1_000.0, TEN, 5_000), 500);
        assert_eq!(rate.excess_ms(1_000.0, TEN, 5_200), 300);
    }

    #[test]
    fn what_was_long_ago_counts_no_more() {
        let mut rate = Rate::default();
        rate.record(50_000.0, TEN, 0);
        assert_eq!(rate.excess_ms(1_000.0, TEN, 0), 40_000);
        // Eleven windows later.
        assert_eq!(rate.excess_ms(1_000.0, TEN, 11_000), 0);
        for second in 11..40 {
            rate.record(1_000.0, TEN, second * 1_000);
            assert_eq!(rate.excess_ms(1_001.0, TEN, second * 1_000 + 999), 0, "{second}");
        }
        assert_eq!(rate.samples.len(), 12);
        let (per_second, over_ms) = rate.measure(TEN, 39_999);
        assert!((per_second - 1_000.0).abs() < 1.0, "{per_second}");
        assert_eq!(over_ms, 10_999);
    }

    #[test]
    fn tokens_come_back_with_time() {
        let mut tokens = Tokens::default();
        // A bucket is full at first: eleven seconds' worth.
        tokens.take(25.0, 2.0, TEN, 1_000_000);
        assert_eq!(tokens.excess_ms(2.0, TEN, 1_000_000), 1_500);
        assert_eq!(tokens.excess_ms(2.0, TEN, 1_001_000), 500);
        assert_eq!(tokens.excess_ms(2.0, TEN, 1_001_500), 0);
    }

    #[test]
    fn so_many_clients_are_remembered_and_no_more() {
        let mut throttles = Throttles::default();
        let who = |client: i64| Who {
            kind: Kind::Produce,
            broker: 1,
            user: false,
            client: Some(client.to_string().into()),
        };
        for client in 0..MAX_MEASURED as i64 + 500 {
            if let Meter::Rate(rate) = throttles.meter(&who(client), TEN, client) {
                rate.record(1.0, TEN, client);
            }
        }
        assert_eq!(throttles.meters.len(), MAX_MEASURED);
        assert!(!throttles.meters.contains_key(&who(0)));
        // Those who have been quiet for eleven seconds go first, all of them.
        throttles.meter(&who(-1), TEN, 3_600_000);
        assert_eq!(throttles.meters.len(), 1);
    }
}
