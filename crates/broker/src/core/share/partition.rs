//! A share partition (KIP-932): the records of one partition between its *start offset*, below which all is done, and its
//! *end offset*, up to which a share group has been given records; and for each of them who has it.
//!
//! Pure: times come in, and what must survive is what [`SharePartition::save`] gives. Records are kept in the batches in
//! which they were acquired, as in Kafka, which decide what is acquired together again. A batch whose records have gone
//! different ways is tracked offset by offset; here as runs of offsets that are alike.

mod acknowledge;
mod acquire;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Batch, State};

pub(crate) use acknowledge::{Ack, AckRules};
pub(crate) use acquire::{Acquire, Acquired, Head};

/// What has become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordState {
    /// It may be acquired.
    Available,
    /// A member has it, for as long as its lock lasts.
    Acquired,
    /// A member has accepted it.
    Acknowledged,
    /// Nobody will get it any more: rejected, delivered too often, or not there.
    Archived,
}

impl RecordState {
    /// Is it done.
    fn is_terminal(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Archived)
    }
}

/// Records that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InFlight {
    state: RecordState,
    delivery_count: i16,
    /// Who has acquired them.
    member: Option<Arc<str>>,
    /// Until when.
    locked_until_ms: i64,
}

impl InFlight {
    fn idle(state: RecordState, delivery_count: i16) -> Self {
        Self {
            state,
            delivery_count,
            member: None,
            locked_until_ms: 0,
        }
    }

    fn is_owned_by(&self, member: &str) -> bool {
        self.member.as_deref() == Some(member)
    }

    /// Nobody has them any more.
    fn leave(&mut self, state: RecordState) {
        self.state = state;
        self.member = None;
        self.locked_until_ms = 0;
    }

    /// They go back, unless they have been delivered too often.
    fn put_back(&mut self, max_deliveries: i16) {
        let spent = self.delivery_count >= max_deliveries;
        self.leave(if spent {
            RecordState::Archived
        } else {
            RecordState::Available
        });
    }
}

/// Records that were acquired together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InFlightBatch {
    first: i64,
    last: i64,
    /// Are its offsets tracked one by one.
    each: bool,
    /// By first offset, with the last one; without holes.
    runs: BTreeMap<i64, (i64, InFlight)>,
}

impl InFlightBatch {
    fn new(first: i64, last: i64, what: InFlight) -> Self {
        Self {
            first,
            last,
            each: false,
            runs: BTreeMap::from([(first, (last, what))]),
        }
    }

    fn len(&self) -> i64 {
        self.last - self.first + 1
    }

    /// What all its records are, where they are alike.
    fn whole(&self) -> Option<&InFlight> {
        if self.each {
            return None;
        }
        self.runs.values().next().map(|(_, what)| what)
    }

    /// Makes a run begin at `offset`.
    fn split_at(&mut self, offset: i64) {
        if offset <= self.first || offset > self.last || self.runs.contains_key(&offset) {
            return;
        }
        let Some((_, (last, what))) = self.runs.range_mut(..offset).next_back() else {
            return;
        };
        let (end, what) = (*last, what.clone());
        *last = offset - 1;
        self.runs.insert(offset, (end, what));
    }

    /// Changes the records of these offsets.
    fn change(&mut self, first: i64, last: i64, mut change: impl FnMut(i64, i64, &mut InFlight)) {
        if first > last {
            return;
        }
        self.split_at(first);
        self.split_at(last + 1);
        for (from, (to, what)) in self.runs.range_mut(first..=last) {
            change(*from, *to, what);
        }
    }

    /// Runs of these offsets, cut to them.
    fn within(&self, first: i64, last: i64) -> impl Iterator<Item = (i64, i64, &InFlight)> {
        let from = self.runs.range(..=first).next_back().map_or(first, |(at, _)| *at);
        self.runs
            .range(from..=last.max(from))
            .map(move |(from, (to, what))| (first.max(*from), last.min(*to), what))
            .filter(|(from, to, _)| from <= to)
    }
}

/// One partition as a share group reads it.
#[derive(Debug, Clone)]
pub(crate) struct SharePartition {
    /// Of the partition's leader that keeps it.
    pub(crate) leader: (i32, i32),
    start: i64,
    end: i64,
    /// By first offset.
    batches: BTreeMap<i64, InFlightBatch>,
    /// When it is to be looked at for locks that are over.
    pub(crate) armed_ms: Option<i64>,
}

impl SharePartition {
    /// One that goes on from `state`, which begins at `start`. What was acquired and neither acknowledged nor
    /// released is available.
    pub(crate) fn load(leader: (i32, i32), state: &State, start: i64) -> Self {
        let mut loaded = Self {
            leader,
            start,
            end: start,
            batches: BTreeMap::new(),
            armed_ms: None,
        };
        let mut next = start;
        for batch in &state.batches {
            if batch.first < next || batch.last < batch.first {
                continue;
            }
            if batch.first > next {
                loaded.add(next, batch.first - 1, InFlight::idle(RecordState::Available, 0));
            }
            let state = match batch.state {
                0 => RecordState::Available,
                2 => RecordState::Acknowledged,
                _ => RecordState::Archived,
            };
            loaded.add(
                batch.first,
                batch.last,
                InFlight::idle(state, batch.delivery_count),
            );
            next = batch.last + 1;
            loaded.end = batch.last;
        }
        loaded.advance();
        loaded
    }

    fn add(&mut self, first: i64, last: i64, what: InFlight) {
        self.batches.insert(first, InFlightBatch::new(first, last, what));
    }

    /// The share partition start offset.
    #[cfg(test)]
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    fn last_cached(&self) -> Option<i64> {
        self.batches.values().next_back().map(|batch| batch.last)
    }

    /// The offset that is to be read next: that of the first record that may be acquired.
    pub(crate) fn next_fetch_offset(&self) -> i64 {
        if self.last_cached().is_none_or(|last| self.start > last) {
            return self.end;
        }
        let available = self.batches.values().flat_map(|batch| &batch.runs);
        let first = available
            .filter(|(_, (_, what))| what.state == RecordState::Available)
            .map(|(from, _)| *from)
            .next();
        first.unwrap_or(self.end + 1)
    }

    /// Records between start and end.
    fn in_flight(&self) -> i64 {
        if self.batches.is_empty() {
            0
        } else {
            self.end - self.start + 1
        }
    }

    /// May a member be given something, where so many records may be in flight.
    pub(crate) fn can_acquire(&self, max_in_flight: i64) -> bool {
        self.next_fetch_offset() != self.end + 1 || self.in_flight() < max_in_flight
    }

    /// Moves the start past what is done; once that is saved, as in Kafka, where the saved start lags behind therefore.
    pub(crate) fn advance(&mut self) {
        let at_start = self.batches.range(..=self.start).next_back();
        let done = at_start.is_some_and(|(_, batch)| {
            let mut here = batch.within(self.start, self.start);
            here.next().is_some_and(|(_, _, what)| what.state.is_terminal())
        });
        if !done {
            return;
        }
        let mut last_done = None;
        'all: for batch in self.batches.values() {
            for (to, what) in batch.runs.values() {
                if !what.state.is_terminal() {
                    break 'all;
                }
                last_done = Some(*to);
            }
        }
        let (Some(last_done), Some(last_cached)) = (last_done, self.last_cached()) else {
            return;
        };
        if last_done == last_cached {
            (self.start, self.end) = (last_cached + 1, last_cached + 1);
            self.batches.clear();
            return;
        }
        // What was not there to be acquired is passed over.
        let next = self
            .batches
            .range(last_done + 1..)
            .next()
            .map(|(first, _)| *first);
        let is_inside = self
            .batches
            .values()
            .any(|batch| batch.first <= last_done && last_done < batch.last);
        let past = if is_inside {
            last_done + 1
        } else {
            next.unwrap_or(last_done + 1)
        };
        self.start = self.start.max(past);
        self.batches.retain(|_, batch| batch.last > last_done);
    }

    /// A member's session is over: what it has goes back. Says whether there was any.
    pub(crate) fn release(&mut self, member: &str, max_deliveries: i16) -> bool {
        self.give_back(max_deliveries, |what| what.is_owned_by(member))
    }

    /// Locks that are over by now end. Says whether there was any.
    pub(crate) fn end_locks(&mut self, now_ms: i64, max_deliveries: i16) -> bool {
        self.give_back(max_deliveries, |what| what.locked_until_ms <= now_ms)
    }

    fn give_back(&mut self, max_deliveries: i16, which: impl Fn(&InFlight) -> bool) -> bool {
        let start = self.start;
        let mut any = false;
        for batch in self.batches.values_mut() {
            let goes_back = |what: &InFlight| what.state == RecordState::Acquired && which(what);
            if !batch.runs.values().any(|(_, what)| goes_back(what)) {
                continue;
            }
            any = true;
            batch.each |= batch.first < start && batch.last >= start;
            batch.split_at(start);
            for (from, (_, what)) in &mut batch.runs {
                if goes_back(what) {
                    if *from < start {
                        what.leave(RecordState::Archived);
                    } else {
                        what.put_back(max_deliveries);
                    }
                }
            }
        }
        any
    }

    /// When the next lock ends.
    pub(crate) fn next_lock_ms(&self) -> Option<i64> {
        let all = self.batches.values().flat_map(|batch| batch.runs.values());
        all.filter(|(_, what)| what.state == RecordState::Acquired)
            .map(|(_, what)| what.locked_until_ms)
            .min()
    }

    /// The log starts later now: what was before may not be acquired any more.
    pub(crate) fn move_start(&mut self, log_start: i64) {
        if log_start <= self.start {
            return;
        }
        if self.batches.is_empty() {
            (self.start, self.end) = (log_start, log_start);
            return;
        }
        for batch in self.batches.range_mut(..log_start).map(|(_, batch)| batch) {
            let last = batch.last.min(log_start - 1);
            let available = |what: &InFlight| what.state == RecordState::Available;
            if !batch.within(self.start, last).any(|(_, _, what)| available(what)) {
                continue;
            }
            batch.each |= batch.last > last || batch.first < self.start;
            batch.change(self.start.max(batch.first), last, |_, _, what| {
                if available(what) {
                    what.leave(RecordState::Archived);
                }
            });
        }
        self.start = log_start;
        self.end = self.end.max(log_start);
        let gone = |batch: &InFlightBatch| {
            batch.last < log_start && batch.runs.values().all(|(_, what)| what.state.is_terminal())
        };
        self.batches.retain(|_, batch| !gone(batch));
        self.advance();
    }

    /// Records from the start on that are done.
    fn complete(&self) -> i64 {
        let all = self.batches.values().flat_map(|batch| &batch.runs);
        all.filter(|(_, (last, what))| what.state.is_terminal() && *last >= self.start)
            .map(|(first, (last, _))| last - (*first).max(self.start) + 1)
            .sum()
    }

    /// What must survive, on top of what was known.
    pub(crate) fn save(&self, before: &State, now_ms: i64) -> State {
        let mut state = before.clone();
        state.snapshot_epoch = state.snapshot_epoch.saturating_add(1);
        state.leader_epoch = self.leader.1;
        state.start_offset = self.start;
        state.complete = i32::try_from(self.complete()).unwrap_or(i32::MAX);
        state.written_ms = now_ms;
        state.batches = Vec::new();
        for (first, (last, what)) in self.batches.values().flat_map(|batch| &batch.runs) {
            let first = (*first).max(self.start);
            // Who has a record is forgotten, and with that this delivery.
            let (number, delivery_count) = match what.state {
                RecordState::Available => (0, what.delivery_count),
                RecordState::Acquired => (0, what.delivery_count - 1),
                RecordState::Acknowledged => (2, what.delivery_count),
                RecordState::Archived => (4, what.delivery_count),
            };
            if *last < first || (number == 0 && delivery_count == 0) {
                continue;
            }
            match state.batches.last_mut() {
                Some(batch)
                    if batch.last + 1 == first
                        && (batch.state, batch.delivery_count) == (number, delivery_count) =>
                {
                    batch.last = *last;
                }
                _ => state.batches.push(Batch {
                    first,
                    last: *last,
                    state: number,
                    delivery_count,
                }),
            }
        }
        state
    }
}
