//! Where replicas go: round robin over the brokers, those that are down last, or as the request assigns them.

use kafka_protocol::ResponseError;

use super::Refusal;
use super::admin::NewTopic;
use super::standing::Standing;
use super::topics::MAX_PARTITIONS;

impl super::Core {
    /// Says where the partitions of a new topic go; -1 stands for the broker's default.
    pub(super) fn place_new(
        &mut self,
        partitions: i32,
        replication_factor: i16,
    ) -> Result<Vec<Vec<i32>>, Refusal> {
        let broker = self.first_broker();
        let factor = match replication_factor {
            -1 => self.configs.number(broker, "default.replication.factor") as i16,
            factor if factor < 1 => {
                return Err(Refusal::new(
                    ResponseError::InvalidReplicationFactor,
                    "Replication factor must be larger than 0, or -1 to use the default value.",
                ));
            }
            factor => factor,
        };
        let partitions = match partitions {
            -1 => self.configs.number(broker, "num.partitions") as i32,
            count if count < 1 => {
                return Err(Refusal::new(
                    ResponseError::InvalidPartitions,
                    "Number of partitions was set to an invalid non-positive value.",
                ));
            }
            count => count,
        };
        if partitions > MAX_PARTITIONS {
            return Err(Refusal::new(
                ResponseError::PolicyViolation,
                format!(
                    "Excessively large number of partitions per request: at most {MAX_PARTITIONS} are possible."
                ),
            ));
        }
        self.place(partitions, factor)
    }

    /// Spreads replicas over the brokers, round robin.
    pub(crate) fn place(&mut self, partitions: i32, factor: i16) -> Result<Vec<Vec<i32>>, Refusal> {
        let brokers: Vec<i32> = self.nodes.keys().copied().collect();
        if factor as usize > brokers.len() {
            return Err(Refusal::new(
                ResponseError::InvalidReplicationFactor,
                format!(
                    "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} \
                     cannot be reached because only {} broker(s) are registered or some brokers have all their log \
                     directories cordoned.",
                    brokers.len()
                ),
            ));
        }
        let down = |id: &i32| !self.is_active(*id);
        if brokers.iter().all(down) {
            return Err(Refusal::new(
                ResponseError::InvalidReplicationFactor,
                format!(
                    "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or have all \
                     their log directories cordoned."
                ),
            ));
        }
        let placed = stripe(
            &brokers,
            self.next_replica,
            partitions as usize,
            factor as usize,
            down,
        );
        self.next_replica = (self.next_replica + partitions as usize) % brokers.len();
        Ok(placed)
    }

    /// Checks replicas that a new topic's request assigns.
    pub(super) fn placed_by_hand(&self, new: &NewTopic) -> Result<Vec<Vec<i32>>, Refusal> {
        if new.replication_factor != -1 {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "A manual partition assignment was specified, but replication factor was not set to -1.",
            ));
        }
        if new.partitions != -1 {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ));
        }
        let mut assignments = new.assignments.clone();
        assignments.sort();
        if let Some(pair) = assignments.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Refusal::new(
                ResponseError::InvalidReplicaAssignment,
                format!(
                    "Found multiple manual partition assignments for partition {}",
                    pair[0].0
                ),
            ));
        }
        for (at, (partition, replicas)) in assignments.iter().enumerate() {
            self.check_replicas(replicas, Some(assignments[0].1.len()))?;
            self.check_any_active(*partition, replicas)?;
            if *partition != at as i32 {
                return Err(Refusal::new(
                    ResponseError::InvalidReplicaAssignment,
                    "partitions should be a consecutive 0-based integer sequence",
                ));
            }
        }
        Ok(assignments.into_iter().map(|(_, replicas)| replicas).collect())
    }

    /// Checks replicas that were assigned by hand.
    pub(super) fn check_replicas(&self, replicas: &[i32], factor: Option<usize>) -> Result<(), Refusal> {
        let wrong = |why: String| Err(Refusal::new(ResponseError::InvalidReplicaAssignment, why));
        if replicas.is_empty() {
            return wrong("The manual partition assignment includes an empty replica list.".to_owned());
        }
        let mut sorted = replicas.to_vec();
        sorted.sort_unstable();
        for (at, id) in sorted.iter().enumerate() {
            if !self.nodes.contains_key(id) {
                return wrong(format!(
                    "The manual partition assignment includes broker {id}, but no such broker is registered."
                ));
            }
            if at > 0 && sorted[at - 1] == *id {
                return wrong(format!(
                    "The manual partition assignment includes the broker {id} more than once."
                ));
            }
        }
        if let Some(factor) = factor
            && replicas.len() != factor
        {
            return wrong(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
                 with previous partitions, which have {factor} replica(s).",
                replicas.len()
            ));
        }
        Ok(())
    }

    /// Refuses replicas none of which is there.
    pub(super) fn check_any_active(&self, index: i32, replicas: &[i32]) -> Result<(), Refusal> {
        if replicas.iter().any(|id| self.is_active(*id)) {
            return Ok(());
        }
        Err(Refusal::new(
            ResponseError::InvalidReplicaAssignment,
            format!(
                "All brokers specified in the manual partition assignment for partition {index} are fenced or in \
                 controlled shutdown."
            ),
        ))
    }

    /// New partitions as the controller sees them: whoever is there is in sync.
    pub(super) fn new_standings(&self, partitions: &[Vec<i32>]) -> Vec<Standing> {
        let all = partitions.iter().cloned();
        all.map(|replicas| Standing::new(replicas, |id| self.is_active(id)))
            .collect()
    }
}

/// Partitions one after the other, each on `factor` brokers from one further on, so that every broker leads as many as
/// any other; each time round the other replicas are shifted, so that a broker's load, when it ends, goes to several.
fn stripe(
    brokers: &[i32],
    first: usize,
    partitions: usize,
    factor: usize,
    down: impl Fn(&i32) -> bool,
) -> Vec<Vec<i32>> {
    let count = brokers.len();
    let placed = (0..partitions).map(|at| {
        let leader = first + at;
        let shift = (at / count) % count.saturating_sub(1).max(1);
        let others = (1..count).map(|i| leader + 1 + (shift + i - 1) % (count - 1));
        let mut order: Vec<i32> = std::iter::once(leader)
            .chain(others)
            .map(|i| brokers[i % count])
            .collect();
        // A stable sort: those that are down come last, in the same order.
        order.sort_by_key(&down);
        order.truncate(factor);
        order
    });
    placed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_and_replicas_are_spread() {
        let placed = stripe(&[1, 2, 3], 0, 6, 2, |_| false);
        assert_eq!(
            placed,
            [[1, 2], [2, 3], [3, 1], [1, 3], [2, 1], [3, 2]].map(Vec::from)
        );
        assert_eq!(stripe(&[1], 0, 2, 1, |_| false), [[1], [1]].map(Vec::from));
    }

    #[test]
    fn a_broker_that_is_down_never_comes_first() {
        let placed = stripe(&[1, 2, 3], 0, 3, 3, |id| *id == 1);
        assert_eq!(placed, [[2, 3, 1], [2, 3, 1], [3, 2, 1]].map(Vec::from));
    }
}
