//! Moving partitions to other brokers (KIP-455): new replicas are added, and when they are in sync the old ones go.

use kafka_protocol::ResponseError;

use super::Refusal;
use super::standing::{Election, Standing, Wish};

impl super::Core {
    /// Gives a partition other replicas; without any, takes a reassignment back that goes on.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn reassign(
        &mut self,
        name: &str,
        index: i32,
        target: Option<&[i32]>,
        may_change_factor: bool,
    ) -> Result<(), Refusal> {
        let unknown = |what: String| Refusal::new(ResponseError::UnknownTopicOrPartition, what);
        let topic = self.topics.get(name);
        let topic = topic.ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
        let key = (topic.id, index);
        let election = self.election_of(&topic.configs);
        let standing = self.topics.partition(key.0, index).map(|p| p.standing.clone());
        let standing =
            standing.ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
        let wish = match target {
            Some(target) => {
                let kept = standing.replicas.len() - standing.removing.len();
                if !may_change_factor && target.len() != kept {
                    return Err(Refusal::new(
                        ResponseError::InvalidReplicationFactor,
                        format!(
                            "The replication factor is changed from {kept} to {}",
                            target.len()
                        ),
                    ));
                }
                self.check_replicas(target, None)?;
                moved(&standing, target)
            }
            None if !standing.is_reassigning() => {
                return Err(ResponseError::NoReassignmentInProgress.into());
            }
            None => taken_back(&standing, election).ok_or_else(|| {
                Refusal::new(
                    ResponseError::InvalidReplicaAssignment,
                    format!(
                        "Unable to revert partition assignment for {name}:{index} because it would require an unclean \
                         leader election."
                    ),
                )
            })?,
        };
        match standing.decide(wish, self.min_in_sync(name), |id| self.is_active(id)) {
            Some(next) => self.change_partitions(vec![(key, next)]),
            None => Ok(()),
        }
    }
}

/// The wish for these replicas: until the new ones are in sync the old ones stay.
fn moved(standing: &Standing, target: &[i32]) -> Wish {
    let without = |all: &[i32], gone: &[i32]| -> Vec<i32> {
        let mut left: Vec<i32> = all.iter().copied().filter(|id| !gone.contains(id)).collect();
        left.sort_unstable();
        left
    };
    let removing = without(&standing.replicas, target);
    let adding = without(target, &standing.replicas);
    let mut wish = standing.wish(Election::Online);
    wish.replicas = [target, &removing].concat();
    if !removing.is_empty() {
        wish.removing = removing;
    }
    if !adding.is_empty() {
        wish.adding = adding;
    }
    wish
}

/// The wish for the replicas of before; nothing where only replicas that were to be added are in sync, unless an unclean
/// election is allowed.
fn taken_back(standing: &Standing, election: Election) -> Option<Wish> {
    let mut wish = standing.wish(election);
    let added = |id: &i32| standing.adding.contains(id);
    wish.replicas.retain(|id| !added(id));
    wish.isr.retain(|id| !added(id));
    wish.adding.clear();
    wish.removing.clear();
    if wish.isr.is_empty() {
        let first = wish.replicas.first().filter(|_| election == Election::Unclean)?;
        wish.isr.push(*first);
    }
    Some(wish)
}
