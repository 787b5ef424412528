//! Producer ids: never given out twice, also across restarts. What a producer has written (its sequences) is kept by
//! each partition's log, as in Kafka.

use kafka_protocol::ResponseError;

use super::Core;
use super::journal::Record;

/// How many ids are reserved by one record of the journal, as Kafka's controller hands them out.
const BLOCK: i64 = 1000;

/// The allocator of producer ids.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    next: i64,
    reserved: i64,
}

impl ProducerIds {
    /// Learns from the journal what may have been given out.
    pub(crate) fn restore(&mut self, next: i64) {
        self.next = self.next.max(next);
        self.reserved = self.reserved.max(next);
    }

    /// The end of the block that must be journalled before the next id may be given out.
    pub(crate) fn needs(&self) -> Option<i64> {
        (self.next >= self.reserved).then(|| self.next + BLOCK)
    }

    /// A block up to `end` is journalled.
    pub(crate) fn reserve(&mut self, end: i64) {
        self.reserved = self.reserved.max(end);
    }

    /// What the journal knows.
    pub(crate) fn journalled(&self) -> i64 {
        self.reserved
    }

    /// The next id.
    pub(crate) fn allocate(&mut self) -> i64 {
        let id = self.next;
        self.next += 1;
        id
    }
}

impl Core {
    /// A producer id that nobody has had.
    ///
    /// # Errors
    /// The journal can't be written.
    pub(crate) fn new_producer_id(&mut self) -> Result<i64, ResponseError> {
        if let Some(next) = self.producers.needs() {
            self.journal(&[Record::ProducerIds { next }])
                .map_err(|refusal| refusal.error)?;
            self.producers.reserve(next);
        }
        Ok(self.producers.allocate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_skips_ids_that_may_be_in_use() {
        let mut ids = ProducerIds::default();
        assert_eq!(ids.needs(), Some(1000));
        ids.reserve(1000);
        assert_eq!((ids.allocate(), ids.allocate(), ids.needs()), (0, 1, None));
        let mut restarted = ProducerIds::default();
        restarted.restore(1000);
        assert_eq!(restarted.needs(), Some(2000));
        assert_eq!(restarted.allocate(), 1000);
    }
}
