//! Who leads a partition and who is in sync: what the controller decides, pure. The rules are those of Kafka's KRaft
//! controller with eligible leader replicas (KIP-966), which a new cluster of Kafka 4.1 or later has on.

use serde::{Deserialize, Serialize};

/// A partition as the controller knows it. It changes only by [`Standing::decide`], and each change is journalled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The leader's broker id, -1 for none.
    pub(crate) leader: i32,
    /// Grows with each change of the leader.
    pub(crate) leader_epoch: i32,
    /// Grows with each change.
    pub(crate) partition_epoch: i32,
    /// Broker ids, the preferred leader first.
    pub(crate) replicas: Vec<i32>,
    /// Replicas in sync.
    pub(crate) isr: Vec<i32>,
    /// Replicas that left the ISR when it was below `min.insync.replicas`, and have every committed record.
    #[serde(default)]
    pub(crate) elr: Vec<i32>,
    /// The last leader of a partition that has none.
    #[serde(default)]
    pub(crate) last_known_elr: Vec<i32>,
    /// Replicas that a reassignment adds.
    #[serde(default)]
    pub(crate) adding: Vec<i32>,
    /// Replicas that a reassignment removes.
    #[serde(default)]
    pub(crate) removing: Vec<i32>,
}

/// Which leader is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Election {
    /// The first replica, when it is in sync.
    Preferred,
    /// Any replica in sync, the leader of today first.
    Online,
    /// Any replica in sync, or else any that is there.
    Unclean,
}

/// What is to become of a partition.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) election: Election,
    pub(crate) isr: Vec<i32>,
    pub(crate) replicas: Vec<i32>,
    pub(crate) adding: Vec<i32>,
    pub(crate) removing: Vec<i32>,
    /// A broker that did not end in order, and may lack what it had: it is eligible no longer.
    pub(crate) unclean: Option<i32>,
}

impl Standing {
    /// A new partition: the first of its replicas that is `active` leads it.
    pub(crate) fn new(replicas: Vec<i32>, active: impl Fn(i32) -> bool) -> Self {
        let isr: Vec<i32> = replicas.iter().copied().filter(|id| active(*id)).collect();
        Self {
            leader: isr.first().copied().unwrap_or(-1),
            isr,
            replicas,
            ..Self::default()
        }
    }

    /// Is a reassignment going on.
    pub(crate) fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// Does its first replica lead it.
    pub(crate) fn has_preferred_leader(&self) -> bool {
        self.replicas.first() == Some(&self.leader)
    }

    /// The wish that all stays as it is.
    pub(crate) fn wish(&self, election: Election) -> Wish {
        Wish {
            election,
            isr: self.isr.clone(),
            replicas: self.replicas.clone(),
            adding: self.adding.clone(),
            removing: self.removing.clone(),
            unclean: None,
        }
    }

    /// The wish that a broker, which has ended without a word, is neither in sync nor eligible (KIP-966).
    pub(crate) fn wish_without_unclean(&self, broker: i32, election: Election) -> Wish {
        let mut wish = self.wish_without(&[broker], election);
        wish.unclean = Some(broker);
        wish
    }

    /// The wish that these brokers are no longer in sync.
    pub(crate) fn wish_without(&self, gone: &[i32], election: Election) -> Wish {
        let mut wish = self.wish(election);
        wish.isr.retain(|id| !gone.contains(id));
        wish
    }

    /// What becomes of the partition: `None` where nothing changes. `min_in_sync` is `min.insync.replicas`, at most the
    /// number of replicas; `active` says which brokers may lead.
    pub(crate) fn decide(
        &self,
        wish: Wish,
        min_in_sync: usize,
        active: impl Fn(i32) -> bool,
    ) -> Option<Self> {
        let mut next = Self {
            isr: wish.isr,
            replicas: wish.replicas,
            adding: wish.adding,
            removing: wish.removing,
            ..self.clone()
        };
        next.complete_reassignment();
        next.update_elr(&self.isr, min_in_sync, wish.unclean);
        let (leader, unclean) = next.elect(wish.election, &active);
        if leader != self.leader {
            if next.elr.contains(&leader) {
                next.isr = vec![leader];
                next.elr.retain(|id| *id != leader);
            }
            if unclean {
                next.isr = vec![leader];
                next.elr.clear();
            }
            next.leader = leader;
        }
        next.update_last_known(self);
        if next == *self {
            return None;
        }
        let lost_a_replica = self.replicas.iter().any(|id| !next.replicas.contains(id));
        next.partition_epoch += 1;
        if leader != self.leader || lost_a_replica {
            next.leader_epoch += 1;
        }
        Some(next)
    }

    /// A reassignment is done when every replica that stays is in sync.
    fn complete_reassignment(&mut self) {
        if !self.is_reassigning() {
            return;
        }
        let stays = |ids: &[i32]| -> Vec<i32> {
            let kept = ids.iter().copied().filter(|id| !self.removing.contains(id));
            kept.collect()
        };
        let (isr, replicas) = (stays(&self.isr), stays(&self.replicas));
        if isr.is_empty() || replicas.is_empty() || !replicas.iter().all(|id| isr.contains(id)) {
            return;
        }
        self.isr = isr;
        self.replicas = replicas;
        self.adding.clear();
        self.removing.clear();
    }

    /// Whoever leaves an ISR that is then too small stays eligible: no record was committed without it.
    fn update_elr(&mut self, before: &[i32], min_in_sync: usize, unclean: Option<i32>) {
        if self.isr.len() >= min_in_sync {
            self.elr.clear();
            return;
        }
        for id in before {
            if !self.elr.contains(id) {
                self.elr.push(*id);
            }
        }
        self.elr
            .retain(|id| !self.isr.contains(id) && self.replicas.contains(id) && unclean != Some(*id));
    }

    /// The leader, and whether it may lack committed records.
    fn elect(&self, election: Election, active: &impl Fn(i32) -> bool) -> (i32, bool) {
        let valid = |id: i32| {
            let clean = self.isr.contains(&id) || (self.isr.is_empty() && self.elr.contains(&id));
            clean && active(id)
        };
        let preferred = self.replicas.first().copied().filter(|id| valid(*id));
        if election == Election::Preferred
            && let Some(first) = preferred
        {
            return (first, false);
        }
        if valid(self.leader) {
            return (self.leader, false);
        }
        if let Some(found) = self.replicas.iter().copied().find(|id| valid(*id)) {
            return (found, false);
        }
        // Where nobody is eligible, the last leader is the best there is: Kafka takes it, whatever it lacks.
        if let [last] = self.last_known_elr[..]
            && self.isr.is_empty()
            && self.elr.is_empty()
            && active(last)
        {
            return (last, true);
        }
        if election == Election::Unclean
            && let Some(found) = self.replicas.iter().copied().find(|id| active(*id))
        {
            return (found, true);
        }
        (-1, false)
    }

    fn update_last_known(&mut self, before: &Self) {
        if self.isr.is_empty() && !before.isr.is_empty() {
            // Kafka's controller would have had a broker lead that nobody has missed yet.
            let last = Some(before.leader).filter(|id| *id >= 0);
            self.last_known_elr = last.or(before.isr.first().copied()).into_iter().collect();
        } else if self.leader >= 0 {
            self.last_known_elr.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Standing {
        Standing::new(vec![1, 2, 3], |_| true)
    }

    fn without(from: &Standing, gone: i32, min: usize, down: &[i32], how: Election) -> Standing {
        let wish = from.wish_without(&[gone], how);
        from.decide(wish, min, |id| !down.contains(&id)).unwrap()
    }

    #[test]
    fn a_leader_that_goes_is_followed_by_the_next_in_sync() {
        let after = without(&three(), 1, 1, &[1], Election::Online);
        assert_eq!((after.leader, after.leader_epoch), (2, 1));
        assert_eq!(after.isr, [2, 3]);
    }

    #[test]
    fn a_follower_that_goes_leaves_the_leader_epoch_alone() {
        let after = without(&three(), 3, 1, &[3], Election::Online);
        assert_eq!(
            (after.leader, after.leader_epoch, after.partition_epoch),
            (1, 0, 1)
        );
    }

    #[test]
    fn the_last_in_sync_stays_eligible_and_leads_again() {
        let one = without(&three(), 3, 2, &[3], Election::Online);
        let one = without(&one, 2, 2, &[2, 3], Election::Online);
        assert_eq!((&one.isr[..], &one.elr[..]), (&[1][..], &[2][..]));
        let none = without(&one, 1, 2, &[1, 2, 3], Election::Online);
        assert_eq!(none.leader, -1);
        assert!(none.isr.is_empty());
        assert_eq!((&none.elr[..], &none.last_known_elr[..]), (&[2, 1][..], &[1][..]));
        let third = none.decide(none.wish(Election::Online), 2, |id| id == 3);
        assert_eq!(third, None, "it may lack committed records");
        let back = none.decide(none.wish(Election::Online), 2, |id| id == 2).unwrap();
        assert_eq!((back.leader, &back.isr[..]), (2, &[2][..]));
        assert!(back.last_known_elr.is_empty());
    }

    #[test]
    fn an_unclean_election_takes_who_is_there() {
        let alone = without(&three(), 2, 1, &[2], Election::Online);
        let alone = without(&alone, 3, 1, &[2, 3], Election::Online);
        let clean = without(&alone, 1, 1, &[1, 3], Election::Online);
        assert_eq!(clean.leader, -1);
        let unclean = without(&alone, 1, 1, &[1, 3], Election::Unclean);
        assert_eq!((unclean.leader, &unclean.isr[..]), (2, &[2][..]));
        assert!(unclean.elr.is_empty());
    }

    #[test]
    fn who_ended_without_a_word_is_eligible_no_longer() {
        let one = without(&three(), 3, 2, &[3], Election::Online);
        let one = without(&one, 2, 2, &[2, 3], Election::Online);
        let none = without(&one, 1, 2, &[1, 2, 3], Election::Online);
        assert_eq!((&none.isr[..], &none.elr[..]), (&[][..], &[2, 1][..]));
        let unclean = |from: &Standing, id| {
            let wish = from.wish_without_unclean(id, Election::Online);
            from.decide(wish, 2, |_| false).unwrap()
        };
        let second = unclean(&none, 2);
        assert_eq!((second.leader, &second.elr[..]), (-1, &[1][..]));
        assert_eq!(
            second.decide(second.wish(Election::Online), 2, |id| id == 2),
            None
        );
        // Of all that were eligible the last leader comes back, though it may lack something as well.
        let first = unclean(&second, 1);
        assert!(first.elr.is_empty());
        assert_eq!(first.last_known_elr, [1]);
        let wait = first.decide(first.wish(Election::Online), 2, |id| id != 1);
        assert_eq!(wait, None);
        let back = first.decide(first.wish(Election::Online), 2, |_| true).unwrap();
        assert_eq!((back.leader, &back.isr[..]), (1, &[1][..]));
        assert!(back.last_known_elr.is_empty());
    }

    #[test]
    fn the_last_in_sync_leads_again_though_it_had_no_time_to() {
        let two = without(&three(), 3, 1, &[3], Election::Online);
        // Broker 2 is gone, and nobody has missed it when broker 1 goes.
        let one = without(&two, 1, 1, &[1, 2, 3], Election::Online);
        assert_eq!((one.leader, &one.isr[..]), (-1, &[2][..]));
        let wish = one.wish_without_unclean(2, Election::Online);
        let none = one.decide(wish, 1, |_| false).unwrap();
        assert_eq!(none.last_known_elr, [2]);
        let back = none.decide(none.wish(Election::Online), 1, |_| true).unwrap();
        assert_eq!((back.leader, &back.isr[..]), (2, &[2][..]));
    }

    #[test]
    fn the_preferred_leader_is_elected_only_when_in_sync() {
        let moved = without(&three(), 1, 1, &[1], Election::Online);
        assert_eq!(moved.decide(moved.wish(Election::Preferred), 1, |_| true), None);
        let mut back = moved.wish(Election::Online);
        back.isr.push(1);
        let back = moved.decide(back, 1, |_| true).unwrap();
        assert_eq!(back.leader, 2);
        let preferred = back.decide(back.wish(Election::Preferred), 1, |_| true).unwrap();
        assert_eq!((preferred.leader, preferred.leader_epoch), (1, 2));
    }

    #[test]
    fn a_reassignment_ends_when_the_new_ones_are_in_sync() {
        let mut old = three();
        old.replicas = vec![1, 2];
        old.isr = vec![1, 2];
        let mut wish = old.wish(Election::Online);
        wish.replicas = vec![3, 2, 1];
        wish.adding = vec![3];
        wish.removing = vec![1];
        let going = old.decide(wish, 1, |_| true).unwrap();
        assert_eq!((going.leader, going.leader_epoch), (1, 0));
        assert!(going.is_reassigning());
        let mut wish = going.wish(Election::Online);
        wish.isr.push(3);
        let done = going.decide(wish, 1, |_| true).unwrap();
        assert_eq!((&done.replicas[..], &done.isr[..]), (&[3, 2][..], &[2, 3][..]));
        assert_eq!((done.leader, done.leader_epoch), (3, 1));
        assert!(!done.is_reassigning());
    }
}
