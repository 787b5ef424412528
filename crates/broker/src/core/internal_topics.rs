//! The topics in which coordinators keep what they know, made on first use, as in Kafka.

use super::topics::{OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC};
use super::{Core, Refusal};

/// An internal topic, and what it is configured with.
struct Internal {
    name: &'static str,
    /// How the names of a broker's configurations for it begin.
    prefix: &'static str,
    /// Its own configurations, of fixed values.
    fixed: &'static [(&'static str, &'static str)],
    /// Its own configurations that a broker has, by their ends there.
    inherited: &'static [(&'static str, &'static str)],
}

const MIN_IN_SYNC: (&str, &str) = ("min.insync.replicas", "min.isr");
const SEGMENT: (&str, &str) = ("segment.bytes", "segment.bytes");

const OFFSETS: Internal = Internal {
    name: OFFSETS_TOPIC,
    prefix: "offsets.topic",
    fixed: &[("cleanup.policy", "compact"), ("compression.type", "producer")],
    inherited: &[SEGMENT],
};

const TRANSACTIONS: Internal = Internal {
    name: TRANSACTIONS_TOPIC,
    prefix: "transaction.state.log",
    fixed: &[
        ("cleanup.policy", "compact"),
        ("compression.type", "uncompressed"),
        ("unclean.leader.election.enable", "false"),
    ],
    inherited: &[MIN_IN_SYNC, SEGMENT],
};

const SHARE_STATES: Internal = Internal {
    name: SHARE_STATE_TOPIC,
    prefix: "share.coordinator.state.topic",
    fixed: &[
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("retention.ms", "-1"),
    ],
    inherited: &[MIN_IN_SYNC, SEGMENT],
};

impl Core {
    /// Makes the topic of committed offsets where it is not there yet.
    pub(crate) fn ensure_offsets_topic(&mut self) -> Result<(), Refusal> {
        self.ensure_internal(&OFFSETS)
    }

    /// Makes the topic of transactions where it is not there yet.
    pub(crate) fn ensure_transactions_topic(&mut self) -> Result<(), Refusal> {
        self.ensure_internal(&TRANSACTIONS)
    }

    /// Makes the topic of share states where it is not there yet.
    pub(crate) fn ensure_share_topic(&mut self) -> Result<(), Refusal> {
        self.ensure_internal(&SHARE_STATES)
    }

    fn ensure_internal(&mut self, of: &Internal) -> Result<(), Refusal> {
        if self.topics.get(of.name).is_some() {
            return Ok(());
        }
        let broker = self.first_broker();
        let number = |end: &str| self.configs.number(broker, &format!("{}.{end}", of.prefix));
        let (count, factor) = (number("num.partitions"), number("replication.factor"));
        let fixed = of.fixed.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let inherited = of.inherited.iter();
        let inherited = inherited.map(|(key, end)| (*key, number(end).to_string()));
        let configs = fixed.chain(inherited).map(|(key, value)| (key.to_owned(), value));
        let configs = configs.collect();
        let partitions = self.place(count as i32, factor as i16)?;
        self.create_topic(of.name, partitions, configs)?;
        Ok(())
    }
}
