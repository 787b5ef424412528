//! What logs need from time to time beside retention: compaction, and the flush that `flush.ms` wants.

use super::timers::Timer;

impl super::Core {
    /// How long the folders of deleted partitions stay: as in Kafka, what is set for the broker alone counts.
    pub(super) fn delete_delay_ms(&self) -> i64 {
        self.configs
            .number(self.first_broker(), "log.segment.delete.delay.ms")
    }

    /// Removes what was deleted long enough ago, and comes back for the rest.
    pub(super) fn sweep(&mut self) {
        let now_ms = self.now_ms;
        let storages = self.outside.storage.values_mut();
        let next_ms = storages.filter_map(|storage| storage.sweep(now_ms)).min();
        if let Some(next_ms) = next_ms
            && self.next_sweep_ms.is_none_or(|known| next_ms < known)
        {
            self.next_sweep_ms = Some(next_ms);
            self.timers.set(next_ms, Timer::Sweep);
        }
    }

    /// The cleaner begins, `log.cleaner.backoff.ms` from now.
    pub(super) fn start_cleaner(&mut self) {
        let wait_ms = self
            .configs
            .number(self.first_broker(), "log.cleaner.backoff.ms")
            .max(1);
        self.timers.set(self.now_ms + wait_ms, Timer::Clean);
    }

    /// One pass over every log that is dirty enough, then again later.
    pub(super) fn clean_logs(&mut self) {
        if self.configs.switch(self.first_broker(), "log.cleaner.enable") {
            let now_ms = self.now_ms;
            for replica in self.topics.replicas_mut() {
                if let Err(error) = replica.log.compact(now_ms, replica.high_watermark) {
                    tracing::warn!(%error, "a log could not be compacted");
                }
            }
        }
        self.start_cleaner();
    }

    /// A topic wants its records on the disk within `flush_ms`.
    pub(super) fn flush_within(&mut self, flush_ms: i64) {
        if flush_ms == 0 || flush_ms == i64::MAX {
            return;
        }
        let every_ms = self.flush_every_ms.map_or(flush_ms, |known| known.min(flush_ms));
        if self.flush_every_ms != Some(every_ms) {
            self.flush_every_ms = Some(every_ms);
            self.timers.set(self.now_ms + every_ms, Timer::Flush);
        }
    }

    /// Flushes what has waited long enough, then again later, as long as a topic wants it.
    pub(super) fn flush_logs(&mut self) {
        let now_ms = self.now_ms;
        for replica in self.topics.replicas_mut() {
            if let Err(error) = replica.log.flush_if_due(now_ms) {
                tracing::warn!(%error, "a log could not be flushed");
            }
        }
        self.flush_every_ms = None;
        let names: Vec<_> = self.topics.iter().map(|topic| topic.name.clone()).collect();
        for name in names {
            self.flush_within(self.log_config_of(&name).flush_ms);
        }
    }
}
