//! The hash that tells a group whether its topics have changed.

use crate::core::groups::TopicImage;

/// A hash of those of the topics that there are: their names, ids and numbers of partitions; 0 for none.
pub(super) fn topics_hash<'a>(names: impl IntoIterator<Item = &'a str>, topics: &dyn TopicImage) -> i64 {
    let mut hash = Fnv::default();
    let mut any = false;
    for name in names {
        if let Some((id, partitions)) = topics.by_name(name) {
            any = true;
            hash.add(name.as_bytes());
            hash.add(id.as_bytes());
            hash.add(&partitions.to_be_bytes());
        }
    }
    if any { hash.0 as i64 } else { 0 }
}

/// Fowler, Noll and Vo's hash (FNV-1a); each part with its length.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, part: &[u8]) {
        for byte in (part.len() as u32).to_be_bytes().iter().chain(part) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
