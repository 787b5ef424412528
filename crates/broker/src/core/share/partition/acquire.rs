//! A member is given records.

use std::sync::Arc;

use super::{InFlight, InFlightBatch, RecordState, SharePartition};

/// Who wants how much.
#[derive(Debug, Clone)]
pub(crate) struct Acquire {
    pub(crate) member: Arc<str>,
    /// Exactly as many as wanted at most (KIP-1206); else whole batches, so that there may be more.
    pub(crate) record_limit: bool,
    /// So many records make a batch of acquired ones.
    pub(crate) batch_size: i64,
    pub(crate) max_records: i64,
    /// From where the log was read.
    pub(crate) fetch_offset: i64,
    pub(crate) locked_until_ms: i64,
    /// `share.delivery.count.limit`
    pub(crate) max_deliveries: i16,
    /// `share.partition.max.record.locks`
    pub(crate) max_in_flight: i64,
}

impl Acquire {
    /// From this many deliveries on, records are given in smaller parts, so that one that can't be processed does not
    /// take the others with it.
    fn throttle(&self) -> i16 {
        (self.max_deliveries / 2 + self.max_deliveries % 2).max(2)
    }

    fn lock(&self, delivery_count: i16) -> InFlight {
        InFlight {
            state: RecordState::Acquired,
            delivery_count,
            member: Some(self.member.clone()),
            locked_until_ms: self.locked_until_ms,
        }
    }
}

/// A batch of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// Records that were acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acquired {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) delivery_count: i16,
}

impl Acquired {
    /// How many.
    pub(crate) fn len(&self) -> i64 {
        self.last - self.first + 1
    }
}

impl InFlightBatch {
    /// Has a record that may be acquired been delivered that often.
    fn is_throttled(&self, first: i64, last: i64, limit: i16) -> bool {
        let (first, last) = if self.each {
            (first, last)
        } else {
            (self.first, self.last)
        };
        self.within(first.max(self.first), last.min(self.last))
            .any(|(_, _, what)| what.state == RecordState::Available && what.delivery_count >= limit)
    }

    /// Acquires some of the offsets.
    fn acquire_each(
        &mut self,
        how: &Acquire,
        max: i64,
        first: i64,
        last: i64,
        result: &mut Vec<Acquired>,
    ) -> i64 {
        let size = self.len();
        let available: Vec<(i64, i64, i16)> = self
            .within(first.max(self.first), last.min(self.last))
            .filter(|(_, _, what)| what.state == RecordState::Available)
            .map(|(from, to, what)| (from, to, what.delivery_count))
            .collect();
        let mut taken = 0;
        let mut limit = if how.record_limit { max } else { size };
        let mut throttled = false;
        for (from, to, count) in available {
            let is_last_chance = how.max_deliveries > 2 && count == how.max_deliveries - 1;
            if count >= how.throttle() && !throttled {
                throttled = true;
                limit = limit.min((size >> (count - how.throttle() + 1)).max(1));
            }
            if taken >= limit || (is_last_chance && taken > 0) {
                break;
            }
            let upto = if is_last_chance {
                from
            } else {
                to.min(from + limit - taken - 1)
            };
            self.change(from, upto, |_, _, what| *what = how.lock(count + 1));
            let next = Acquired {
                first: from,
                last: upto,
                delivery_count: count + 1,
            };
            match result.last_mut() {
                Some(before)
                    if taken > 0
                        && before.last + 1 == next.first
                        && before.delivery_count == next.delivery_count =>
                {
                    before.last = next.last;
                }
                _ => result.push(next),
            }
            taken += next.len();
            if is_last_chance {
                break;
            }
        }
        taken
    }
}

impl SharePartition {
    /// Gives a member records that were read as these batches of the log.
    pub(crate) fn acquire(&mut self, how: &Acquire, heads: &[Head]) -> Vec<Acquired> {
        let (Some(head), Some(tail)) = (heads.first(), heads.last()) else {
            return Vec::new();
        };
        let (last, mut max) = self.limits(how, tail.last);
        if max <= 0 {
            return Vec::new();
        }
        self.archive_stale(how.fetch_offset, head.first);
        // A batch of the log may begin before the start: what is done of it is given to nobody.
        let from = head.first.max(self.start);
        let base = match self.batches.range(..=from).next_back() {
            Some((_, batch)) if batch.last >= from => batch.first,
            _ => from,
        };
        let keys: Vec<i64> = self
            .batches
            .range(base..=last.max(base))
            .map(|(first, _)| *first)
            .collect();
        let Some(last_known) = keys
            .last()
            .and_then(|key| self.batches.get(key))
            .map(|batch| batch.last)
        else {
            return self.acquire_new(how, heads, from, last, max);
        };
        let mut result = Vec::new();
        let mut taken = 0;
        for key in keys {
            let Some(batch) = self.batches.get_mut(&key).filter(|_| taken < max) else {
                break;
            };
            let throttled = batch.is_throttled(head.first, last, how.throttle());
            if throttled && taken > 0 {
                max = 0;
                break;
            }
            let is_part = batch.first < head.first || batch.last > last;
            let is_too_much = how.record_limit && batch.len() > max - taken;
            if is_part || batch.each || is_too_much || throttled {
                if batch
                    .whole()
                    .is_some_and(|what| what.state != RecordState::Available)
                {
                    continue;
                }
                batch.each = true;
                let some = batch.acquire_each(how, max - taken, head.first, last, &mut result);
                taken += some;
                if throttled && some > 0 {
                    max = 0;
                    break;
                }
                continue;
            }
            let Some(count) = batch
                .whole()
                .filter(|what| what.state == RecordState::Available)
                .map(|what| what.delivery_count + 1)
            else {
                continue;
            };
            batch.change(batch.first, batch.last, |_, _, what| *what = how.lock(count));
            result.push(Acquired {
                first: batch.first,
                last: batch.last,
                delivery_count: count,
            });
            taken += batch.len();
        }
        if taken < max && last_known < last {
            result.extend(self.acquire_new(how, heads, last_known + 1, last, max - taken));
        }
        result
    }

    /// The last offset that may be acquired, and how many records.
    fn limits(&self, how: &Acquire, last: i64) -> (i64, i64) {
        let room = how.max_in_flight - self.in_flight();
        let max = how.max_records.min(room);
        if max <= 0 && how.max_records > 0 && how.fetch_offset <= self.end {
            // There is no room for more, but something before the end has come back.
            let back = self.end - how.fetch_offset + 1;
            return (last.min(self.end), how.max_records.min(back));
        }
        (last, max)
    }

    /// What the log no longer has between `from` and `first`, which was read from there, will not be acquired again.
    fn archive_stale(&mut self, from: i64, first: i64) {
        if from >= first {
            return;
        }
        let floor = self.batches.range(..=from).next_back();
        let floor = floor
            .filter(|(_, batch)| batch.last >= from)
            .map_or(from, |(key, _)| *key);
        for batch in self.batches.range_mut(floor..first).map(|(_, batch)| batch) {
            let (low, high) = (from.max(batch.first), (first - 1).min(batch.last));
            batch.each |= low > batch.first || high < batch.last;
            batch.change(low, high, |_, _, what| {
                if what.state == RecordState::Available {
                    what.leave(RecordState::Archived);
                }
            });
        }
    }

    /// Records that nobody has had yet.
    fn acquire_new(
        &mut self,
        how: &Acquire,
        heads: &[Head],
        first: i64,
        last: i64,
        max: i64,
    ) -> Vec<Acquired> {
        let was_empty = self.batches.is_empty();
        let first = if was_empty { first.max(self.end) } else { first };
        let mut upto = last;
        if max < upto - first + 1 {
            upto = end_of_batch(heads, first + max - 1);
        }
        if first > upto {
            return Vec::new();
        }
        let mut result = Vec::new();
        let mut add = |first: i64, last: i64| {
            result.push(Acquired {
                first,
                last,
                delivery_count: 1,
            });
        };
        let mut from = first;
        if !how.record_limit && upto - first + 1 > how.batch_size {
            for head in heads.iter().take_while(|head| head.first <= upto) {
                if head.first - from >= how.batch_size.max(1) {
                    add(from, head.first - 1);
                    from = head.first;
                }
            }
        }
        if how.record_limit && upto - first + 1 > max {
            // The rest of the batch is there for the next.
            add(first, first + max - 1);
            let mut batch = InFlightBatch::new(first, upto, how.lock(1));
            batch.each = true;
            batch.change(first + max, upto, |_, _, what| {
                *what = InFlight::idle(RecordState::Available, 0);
            });
            self.batches.insert(first, batch);
        } else {
            add(from, upto);
            for acquired in &result {
                self.add(acquired.first, acquired.last, how.lock(1));
            }
        }
        if was_empty {
            self.start = first;
        }
        self.end = self.end.max(upto);
        result
    }

    /// Takes out of what was acquired what a transaction has aborted: nobody will get it.
    pub(crate) fn drop_aborted(&mut self, acquired: Vec<Acquired>, aborted: &[Head]) -> Vec<Acquired> {
        for head in aborted {
            let floor = self.batches.range(..=head.first).next_back();
            let floor = floor.map_or(head.first, |(key, _)| *key);
            for batch in self.batches.range_mut(floor..=head.last).map(|(_, batch)| batch) {
                let (low, high) = (head.first.max(batch.first), head.last.min(batch.last));
                if low > high {
                    continue;
                }
                batch.each |= low > batch.first || high < batch.last;
                batch.change(low, high, |_, _, what| {
                    if what.state == RecordState::Acquired {
                        what.leave(RecordState::Archived);
                    }
                });
            }
        }
        let without = |part: Acquired, head: &Head| {
            if head.last < part.first || head.first > part.last {
                return vec![part];
            }
            let before = Acquired {
                last: head.first - 1,
                ..part
            };
            let after = Acquired {
                first: head.last + 1,
                ..part
            };
            [before, after]
                .into_iter()
                .filter(|part| part.len() > 0)
                .collect()
        };
        aborted.iter().fold(acquired, |parts, head| {
            parts.into_iter().flat_map(|part| without(part, head)).collect()
        })
    }
}

/// The last offset of the batch that holds `offset`, or `offset` where none does.
fn end_of_batch(heads: &[Head], offset: i64) -> i64 {
    let holder = heads.iter().take_while(|head| head.first <= offset).last();
    holder.map_or(offset, |head| head.last.max(offset))
}
