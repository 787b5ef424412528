//! What time does to transactions: those open for too long are aborted, ids that nobody uses are forgotten.

use crate::core::Core;
use crate::core::timers::Timer;

impl Core {
    /// Sets the timers; once, at the start.
    pub(crate) fn start_transaction_timers(&mut self) {
        self.set_transaction_timer(Timer::OpenTransactions);
        self.set_transaction_timer(Timer::TransactionalIds);
    }

    fn set_transaction_timer(&mut self, timer: Timer) {
        let interval = match timer {
            Timer::OpenTransactions => "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            _ => "transaction.remove.expired.transaction.cleanup.interval.ms",
        };
        let interval_ms = self.configs.number(self.first_broker(), interval).max(1);
        self.timers.set(self.now_ms + interval_ms, timer);
    }

    /// Aborts the transactions that have been open longer than their producer wanted, and fences it.
    pub(crate) fn abort_timed_out(&mut self) {
        let now_ms = self.now_ms;
        let entries = self.transactions.entries.iter();
        let due: Vec<String> = entries
            .filter(|(_, entry)| !entry.writing && entry.current.is_timed_out(now_ms))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let Some(current) = self.transactions.entries.get(&id).map(|e| e.current.clone()) else {
                continue;
            };
            match current.fence(now_ms, &mut || self.new_producer_id()) {
                Ok(next) => {
                    let ending = id.clone();
                    self.write_transaction(&id, Some(next), move |core, result| {
                        if result.is_ok() {
                            core.start_completion(&ending);
                        }
                    });
                }
                Err(error) => tracing::warn!(id, ?error, "a transaction is over its time and stays open"),
            }
        }
        self.set_transaction_timer(Timer::OpenTransactions);
    }

    /// Forgets transactional ids that nobody has used for `transactional.id.expiration.ms`.
    pub(crate) fn expire_transactional_ids(&mut self) {
        let now_ms = self.now_ms;
        let expiration_ms = self
            .configs
            .number(self.first_broker(), "transactional.id.expiration.ms");
        let entries = self.transactions.entries.iter();
        let due: Vec<String> = entries
            .filter(|(_, entry)| !entry.writing && entry.current.is_expired(now_ms, expiration_ms))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.write_transaction(&id, None, |_, _| {});
        }
        self.set_transaction_timer(Timer::TransactionalIds);
    }
}
