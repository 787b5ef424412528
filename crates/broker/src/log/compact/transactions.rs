//! Which transactions the batches of a pass belong to: whose records are aborted, and whose marker nothing needs.

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::batch::BatchHeader;
use super::super::producers::EndTxnMarker;
use super::super::txn_index::AbortedTxn;

/// What a pass over a log knows of transactions, batch by batch.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// By first offset.
    aborted: VecDeque<AbortedTxn>,
    /// Aborted transactions whose marker is yet to come, and whether a batch of theirs was seen.
    open_aborted: HashMap<i64, (AbortedTxn, bool)>,
    /// Producers with records of a transaction that is not aborted.
    open_committed: HashSet<i64>,
    /// Aborted transactions whose marker stays.
    kept: Vec<AbortedTxn>,
}

impl Transactions {
    pub(super) fn new(mut aborted: Vec<AbortedTxn>) -> Self {
        aborted.sort_by_key(|txn| txn.first_offset);
        Self {
            aborted: aborted.into(),
            ..Self::default()
        }
    }

    fn reach(&mut self, offset: i64) {
        while self.aborted.front().is_some_and(|txn| txn.first_offset <= offset) {
            let Some(next) = self.aborted.pop_front() else {
                return;
            };
            self.open_aborted.entry(next.producer_id).or_insert((next, false));
        }
    }

    /// Takes note of a batch that is no marker; does it belong to an aborted transaction.
    pub(super) fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.reach(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        if let Some((_, seen)) = self.open_aborted.get_mut(&header.producer_id) {
            *seen = true;
            return true;
        }
        self.open_committed.insert(header.producer_id);
        false
    }

    /// Takes note of a control batch; is nothing left of the transaction that it ends.
    pub(super) fn end(&mut self, header: &BatchHeader, marker: Option<EndTxnMarker>) -> bool {
        self.reach(header.last_offset());
        match marker {
            Some(marker) if marker.commit => !self.open_committed.remove(&header.producer_id),
            Some(_) => match self.open_aborted.remove(&header.producer_id) {
                Some((txn, true)) => {
                    self.kept.push(txn);
                    false
                }
                _ => true,
            },
            // Some other control record than a transaction's.
            None => false,
        }
    }

    /// The aborted transactions that readers have to know of still.
    pub(super) fn take_kept(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.kept)
    }
}
