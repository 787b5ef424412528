//! Deadlines as a queue: the core never sleeps, it says when it wants to be asked again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use uuid::Uuid;

use super::groups::Wake;
use super::share::state::Key;

/// What a deadline was set for. A timer can't be taken back: its owner looks, when it fires, whether it still means
/// anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A parked fetch has waited long enough.
    Fetch(u64),
    /// A group asked to be woken.
    Group { group: String, wake: Wake },
    /// Retention, expiry of offsets and producers.
    Housekeeping,
    /// New logs may want their folders.
    Folders,
    /// Compaction.
    Clean,
    /// `flush.ms` of some topic may be over.
    Flush,
    /// Deleted files are to be removed.
    Sweep,
    /// A produce with acks=all has waited long enough.
    Produce(u64),
    /// A follower of this partition may have been behind for too long.
    Lag { topic: Uuid, partition: i32 },
    /// A broker that vanished is missed by now, unless it has started again.
    Fence { broker: i32, life: u64 },
    /// Partitions go back to their preferred leaders.
    Balance,
    /// An append of a coordinator may have waited long enough.
    Acks,
    /// Transactions may be open for too long.
    OpenTransactions,
    /// Transactional ids may have expired.
    TransactionalIds,
    /// A parked share fetch has waited long enough.
    ShareFetch(u64),
    /// Locks on records of a share partition may be over.
    ShareLocks(Key),
}

/// The queue of deadlines, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(i64, Timer)>>,
}

impl Timers {
    /// Asks for `timer` to fire at `at_ms` or as soon as possible after it.
    pub(crate) fn set(&mut self, at_ms: i64, timer: Timer) {
        self.heap.push(Reverse((at_ms, timer)));
    }

    /// When the next timer is due.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the next timer that is due at `now_ms`, with the time that it was set for.
    pub(crate) fn due(&mut self, now_ms: i64) -> Option<(i64, Timer)> {
        if self.next_ms()? <= now_ms {
            self.heap.pop().map(|Reverse(due)| due)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        timers.set(20, Timer::Fetch(2));
        timers.set(10, Timer::Fetch(1));
        assert_eq!(timers.due(9), None);
        assert_eq!(timers.due(25), Some((10, Timer::Fetch(1))));
        assert_eq!(timers.due(25), Some((20, Timer::Fetch(2))));
        assert_eq!(timers.due(25), None);
    }
}
