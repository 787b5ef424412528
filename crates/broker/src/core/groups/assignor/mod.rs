//! The coordinator's assignors: who of the members is to have which partitions. Pure, and as Kafka's: the same members
//! and the same target before give the same target.

mod mixed;
mod range;
pub(crate) mod simple;
mod uniform;

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Partitions;

/// What an assignor knows of a member.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    /// The topics that it wants and that there are, with their numbers of partitions.
    pub(crate) topics: BTreeMap<Uuid, i32>,
    /// Its target until now.
    pub(crate) has: Partitions,
}

/// Targets by member.
pub(crate) type Assigned = BTreeMap<String, Partitions>;

/// An assignor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assignor {
    /// As evenly as can be, and with as few moves.
    Uniform,
    /// The same numbers of each topic side by side, so that topics with the same keys meet in one member.
    Range,
}

impl Assignor {
    /// Kafka's names, the default first.
    pub(crate) const NAMES: [&'static str; 2] = ["uniform", "range"];

    /// The assignor of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::Uniform),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    /// Makes a target for each member, in the order in which they are given. `homogeneous`: all want the same topics.
    pub(crate) fn assign(self, members: &[Spec], homogeneous: bool) -> Assigned {
        match self {
            _ if members.is_empty() => Assigned::new(),
            Self::Uniform if homogeneous => uniform::assign(members),
            Self::Uniform => mixed::assign(members),
            Self::Range => range::assign(members),
        }
    }
}

/// Texts in the order in which Java's hash map gives them, where that is what decides in Kafka.
pub(crate) fn java_order(mut texts: Vec<&str>) -> Vec<&str> {
    let mut buckets = 16usize;
    while texts.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    let bucket = |text: &&str| {
        let hash = text.encode_utf16().fold(0u32, |hash, unit| {
            hash.wrapping_mul(31).wrapping_add(u32::from(unit))
        });
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    };
    texts.sort_by_key(bucket);
    texts
}

#[cfg(test)]
mod tests;
