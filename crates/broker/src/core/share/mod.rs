//! Share groups' records (KIP-932): what of a partition is handed out to whom, and what has become of it.
//!
//! The leader of a partition keeps a [`partition::SharePartition`] for each share group that reads it ([`reads`]); members
//! read ([`fetches`]) and acknowledge in [`sessions`]. What must survive is the [`state`] of such a partition, which the share coordinator keeps
//! in `__share_group_state`. The group itself, its members and who is to read what, is in [`super::groups::share`].

pub(crate) mod coordinator;
pub(crate) mod fetches;
pub(crate) mod offsets;
pub(crate) mod partition;
pub(crate) mod reads;
pub(crate) mod sessions;
pub(crate) mod state;

use std::collections::BTreeMap;

use fetches::ParkedShares;
use partition::SharePartition;
use sessions::Sessions;
use state::{Key, State};

/// All of it.
#[derive(Default)]
pub(crate) struct Shares {
    /// What the logs of `__share_group_state` say.
    pub(crate) states: BTreeMap<Key, State>,
    /// What leaders keep of the partitions that are read.
    pub(crate) partitions: BTreeMap<Key, SharePartition>,
    pub(crate) sessions: Sessions,
    pub(crate) parked: ParkedShares,
}
