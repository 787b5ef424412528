//! A member says what has become of records that it was given.

use kafka_protocol::ResponseError;

use super::{InFlight, RecordState, SharePartition};
use crate::core::Refusal;

const GAP: i8 = 0;
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;
const RENEW: i8 = 4;

/// Offsets, and what a member says of them: one word for all, or one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) types: Vec<i8>,
}

/// What is wrong with an acknowledgement.
pub(crate) type AckError = Refusal;

/// What acknowledgements go by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AckRules {
    /// Until when a lock lasts that is renewed now.
    pub(crate) renewed_until_ms: i64,
    /// `share.renew.acknowledge.enable`
    pub(crate) may_renew: bool,
    /// `share.delivery.count.limit`
    pub(crate) max_deliveries: i16,
}

fn invalid_state(why: &str) -> AckError {
    Refusal::new(ResponseError::InvalidRecordState, why)
}

impl Ack {
    /// The word for an offset.
    fn of(&self, offset: i64) -> i8 {
        let at = if self.types.len() > 1 {
            offset - self.first
        } else {
            0
        };
        let word = usize::try_from(at).ok().and_then(|at| self.types.get(at));
        word.copied().unwrap_or(GAP)
    }
}

impl SharePartition {
    /// Takes in what a member says; says whether anything must survive of it. After an error the partition may be half
    /// changed: the caller has what it was.
    ///
    /// # Errors
    /// `INVALID_RECORD_STATE` where the member does not have what it speaks of, `INVALID_REQUEST` where nobody could.
    pub(crate) fn acknowledge(
        &mut self,
        member: &str,
        acks: &[Ack],
        rules: &AckRules,
    ) -> Result<bool, AckError> {
        let mut changed = false;
        for ack in acks {
            if let Some(unknown) = ack.types.iter().find(|word| !(GAP..=RENEW).contains(*word)) {
                return Err(Refusal::new(
                    ResponseError::InvalidRequest,
                    format!("Unknown acknowledge type id: {unknown}"),
                ));
            }
            if ack.last < self.start {
                continue;
            }
            for key in self.spoken_of(ack)? {
                changed |= self.acknowledge_in(key, member, ack, rules)?;
            }
        }
        Ok(changed)
    }

    /// The batches that an acknowledgement is about.
    fn spoken_of(&self, ack: &Ack) -> Result<Vec<i64>, AckError> {
        let past = |what: &str| {
            Refusal::new(
                ResponseError::InvalidRequest,
                format!("Batch record not found. The {what} offset in request is past acquired records."),
            )
        };
        let floor = |offset: i64| self.batches.range(..=offset).next_back().map(|(key, _)| *key);
        let moved = ack.first < self.start && ack.last >= self.start;
        let from = floor(ack.first).or_else(|| if moved { floor(self.start) } else { None });
        let Some(from) = from else {
            return Err(invalid_state(
                "Batch record not found. The request batch offsets are not found in the cache.",
            ));
        };
        let found = self.batches.range(from..=ack.last.max(from));
        let keys: Vec<i64> = found.map(|(key, _)| *key).collect();
        let last = keys
            .last()
            .and_then(|key| self.batches.get(key))
            .map_or(-1, |batch| batch.last);
        if last < ack.first {
            return Err(past("first"));
        }
        if ack.last > last {
            return Err(past("last"));
        }
        Ok(keys)
    }

    fn acknowledge_in(
        &mut self,
        key: i64,
        member: &str,
        ack: &Ack,
        rules: &AckRules,
    ) -> Result<bool, AckError> {
        let start = self.start;
        let Some(batch) = self.batches.get_mut(&key).filter(|batch| batch.last >= start) else {
            return Ok(false);
        };
        let is_part = batch.first < ack.first || batch.last > ack.last;
        let moved = batch.first < start && batch.last >= start;
        if let Some(whole) = batch.whole() {
            match &whole.member {
                None => {
                    return Err(invalid_state(
                        "The batch cannot be acknowledged. The batch is not in the acquired state.",
                    ));
                }
                Some(_) if !whole.is_owned_by(member) => {
                    return Err(invalid_state("Member is not the owner of batch record"));
                }
                Some(_) => {}
            }
            batch.each |= is_part || moved || ack.types.len() > 1;
        }
        let (low, high) = (ack.first.max(batch.first).max(start), ack.last.min(batch.last));
        for (_, _, what) in batch.within(low, high) {
            check_one(what, member)?;
        }
        let mut changed = false;
        let mut from = low;
        while from <= high {
            let word = ack.of(from);
            let alike = |offset: &i64| ack.of(*offset) == word;
            let to = if ack.types.len() > 1 {
                (from..=high).take_while(alike).last().unwrap_or(from)
            } else {
                high
            };
            if word == RENEW && !rules.may_renew {
                return Err(invalid_renewal());
            }
            batch.change(from, to, |_, _, what| say(what, word, rules));
            changed |= word != RENEW;
            from = to + 1;
        }
        Ok(changed)
    }
}

fn check_one(what: &InFlight, member: &str) -> Result<(), AckError> {
    if what.state != RecordState::Acquired {
        return Err(invalid_state(
            "The offset cannot be acknowledged. The offset is not acquired.",
        ));
    }
    if !what.is_owned_by(member) {
        return Err(invalid_state("Member is not the owner of offset"));
    }
    Ok(())
}

fn invalid_renewal() -> AckError {
    Refusal::new(
        ResponseError::InvalidRecordState,
        "Renewing acquisition locks is not enabled for the group.",
    )
}

fn say(what: &mut InFlight, word: i8, rules: &AckRules) {
    match word {
        ACCEPT => what.leave(RecordState::Acknowledged),
        RELEASE => what.put_back(rules.max_deliveries),
        RENEW => what.locked_until_ms = rules.renewed_until_ms,
        GAP | REJECT => what.leave(RecordState::Archived),
        _ => {}
    }
}
