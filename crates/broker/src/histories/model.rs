//! What must hold, whatever happened. The model knows what the clients were told, and nothing of the cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How a transaction ended, as far as its producer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Commit was acknowledged.
    Committed,
    /// It was never asked to commit, or its end is an acknowledged abort.
    Aborted,
    /// Commit was asked for, and no answer came: all of it, or nothing.
    Unknown,
}

/// One value on its way into one partition.
#[derive(Debug, Clone)]
struct Sent {
    partition: i32,
    /// Who sent it: values of one lane are sent one after the other.
    lane: String,
    transaction: Option<usize>,
    /// The offset that its acknowledgement named; -1: acknowledged as a repetition.
    acknowledged: Option<i64>,
    /// It may be there twice: its producer is not idempotent, and has sent it again.
    may_double: bool,
}

/// What clients sent and were told.
#[derive(Debug, Default)]
pub(super) struct Model {
    sent: BTreeMap<String, Sent>,
    order: HashMap<String, Vec<String>>,
    outcomes: Vec<Outcome>,
    /// By group and partition: the furthest commit that was acknowledged or read, and the furthest that was tried.
    commits: BTreeMap<(String, i32), (i64, i64)>,
    acknowledged_commits: usize,
    /// The transaction that an offset of a group was part of.
    offsets: BTreeMap<(String, i64), usize>,
    /// What readers saw at an offset of a partition.
    seen: BTreeMap<(i32, i64), String>,
    /// Values that a reader at read_committed was given.
    seen_committed: BTreeSet<String>,
}

/// The records of one partition, as read at the end: offset and value.
pub(super) type Records = Vec<(i64, String)>;

/// The offsets of each value, in its partition.
type Places<'a> = HashMap<&'a str, Vec<i64>>;

impl Model {
    /// A value is sent for the first time.
    pub(super) fn send(&mut self, value: &str, lane: &str, partition: i32, transaction: Option<usize>) {
        let sent = Sent {
            partition,
            lane: lane.to_owned(),
            transaction,
            acknowledged: None,
            may_double: false,
        };
        assert!(
            self.sent.insert(value.to_owned(), sent).is_none(),
            "a value is sent once"
        );
        self.order
            .entry(lane.to_owned())
            .or_default()
            .push(value.to_owned());
    }

    /// Who sent this value is not idempotent, and has sent it again.
    pub(super) fn may_double(&mut self, value: &str) {
        if let Some(sent) = self.sent.get_mut(value) {
            sent.may_double = true;
        }
    }

    /// A value was acknowledged.
    pub(super) fn acknowledge(&mut self, value: &str, offset: i64) {
        if let Some(sent) = self.sent.get_mut(value) {
            sent.acknowledged = Some(offset);
        }
    }

    /// A transaction begins; it counts as aborted until its producer learns more.
    pub(super) fn begin(&mut self) -> usize {
        self.outcomes.push(Outcome::Aborted);
        self.outcomes.len() - 1
    }

    /// A transaction's producer knows more.
    pub(super) fn end(&mut self, transaction: usize, outcome: Outcome) {
        self.outcomes[transaction] = outcome;
    }

    /// A commit is on its way.
    pub(super) fn committing(&mut self, group: &str, partition: i32, offset: i64) {
        let entry = self
            .commits
            .entry((group.to_owned(), partition))
            .or_insert((-1, -1));
        entry.1 = entry.1.max(offset);
    }

    /// An offset of a group is part of a transaction, and of no other: an attempt without an answer may hold with the
    /// transaction that it was made in, so that the same number in the next one would say nothing.
    pub(super) fn offset_in(&mut self, group: &str, offset: i64, transaction: usize) {
        let before = self.offsets.insert((group.to_owned(), offset), transaction);
        assert!(
            before.is_none_or(|before| before == transaction),
            "{group}: offset {offset} is part of two transactions"
        );
    }

    /// A commit was acknowledged.
    pub(super) fn committed(&mut self, group: &str, partition: i32, offset: i64) {
        self.acknowledged_commits += 1;
        if let Some(entry) = self.commits.get_mut(&(group.to_owned(), partition)) {
            entry.0 = entry.0.max(offset);
        }
    }

    /// A group's committed offset was read. What was read once doesn't go back either, acknowledged or not.
    pub(super) fn read_commit(&mut self, group: &str, partition: i32, offset: i64) -> Result<(), String> {
        let (least, most) = self
            .commits
            .get(&(group.to_owned(), partition))
            .copied()
            .unwrap_or((-1, -1));
        let transaction = self.offsets.get(&(group.to_owned(), offset));
        if transaction.is_some_and(|at| self.outcomes[*at] == Outcome::Aborted) {
            return Err(format!(
                "{group} has offset {offset} of a transaction that is aborted"
            ));
        }
        if (least..=most).contains(&offset) {
            if let Some(entry) = self.commits.get_mut(&(group.to_owned(), partition)) {
                entry.0 = offset;
            }
            return Ok(());
        }
        Err(format!(
            "{group} has committed {least} to {most} of partition {partition}, and {offset} was read"
        ))
    }

    /// All groups and partitions with a commit.
    pub(super) fn groups(&self) -> Vec<(String, i32)> {
        self.commits.keys().cloned().collect()
    }

    /// A reader was given a record.
    pub(super) fn see(
        &mut self,
        partition: i32,
        offset: i64,
        value: &str,
        committed: bool,
    ) -> Result<(), String> {
        if committed {
            let transaction = self.sent.get(value).and_then(|sent| sent.transaction);
            if transaction.is_some_and(|at| self.outcomes[at] == Outcome::Aborted) {
                return Err(format!(
                    "{value} was given to a reader at read_committed, and nobody asked to commit it"
                ));
            }
            self.seen_committed.insert(value.to_owned());
        }
        match self.seen.insert((partition, offset), value.to_owned()) {
            Some(before) if before != value => Err(format!(
                "partition {partition} offset {offset} was read as {before}, and now as {value}"
            )),
            _ => Ok(()),
        }
    }

    /// Acknowledged values, each kind of transaction and acknowledged commits, to say what a history was made of.
    pub(super) fn counts(&self) -> [usize; 5] {
        let of = |kind| self.outcomes.iter().filter(|outcome| **outcome == kind).count();
        let acknowledged = self
            .sent
            .values()
            .filter(|sent| sent.acknowledged.is_some())
            .count();
        [
            acknowledged,
            of(Outcome::Committed),
            of(Outcome::Aborted),
            of(Outcome::Unknown),
            self.acknowledged_commits,
        ]
    }

    /// Holds everything against what is in the log at the end, by partition: all records, and those at read_committed.
    pub(super) fn check(
        &self,
        all: &BTreeMap<i32, Records>,
        committed: &BTreeMap<i32, Records>,
    ) -> Result<(), String> {
        let mut places: Places = HashMap::new();
        let mut by_lane: HashMap<&str, Vec<&str>> = HashMap::new();
        for (partition, records) in all {
            for (offset, value) in records {
                let sent = self
                    .sent
                    .get(value)
                    .ok_or_else(|| format!("{value} is in partition {partition}, and nobody sent it"))?;
                if sent.partition != *partition {
                    return Err(format!(
                        "{value} was sent to {}, and is in {partition}",
                        sent.partition
                    ));
                }
                let known = places.entry(value).or_default();
                known.push(*offset);
                if known.len() == 1 {
                    by_lane.entry(&sent.lane).or_default().push(value);
                } else if !sent.may_double {
                    return Err(format!("{value} is twice in partition {partition}: at {known:?}"));
                }
            }
        }
        self.check_order(&by_lane)?;
        self.check_acknowledged(&places)?;
        self.check_seen(&places)?;
        self.check_transactions(committed)
    }

    fn check_order(&self, by_lane: &HashMap<&str, Vec<&str>>) -> Result<(), String> {
        for (lane, found) in by_lane {
            let mut sent = self.order[*lane].iter();
            for value in found {
                if !sent.any(|next| next == value) {
                    return Err(format!(
                        "{value} is behind a later one of its lane {lane}: {found:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Of a loss, all is told: one value is another fault than twenty in a row.
    fn check_acknowledged(&self, places: &Places) -> Result<(), String> {
        let mut lost = Vec::new();
        for (value, sent) in &self.sent {
            let Some(promised) = sent.acknowledged else {
                continue;
            };
            match places.get(value.as_str()) {
                None => lost.push((sent, value, promised)),
                Some(at) if promised >= 0 && !at.contains(&promised) => {
                    return Err(format!(
                        "{value} was acknowledged at {promised}, and is at {at:?}"
                    ));
                }
                Some(_) => {}
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        let told = lost.iter().map(|(sent, value, promised)| {
            let there = places.iter().find(|(other, at)| {
                at.contains(promised)
                    && self
                        .sent
                        .get(**other)
                        .is_some_and(|o| o.partition == sent.partition)
            });
            let there = there.map_or("nothing", |(other, _)| other);
            let lane = &sent.lane;
            format!("{value} of {lane} was acknowledged at {promised}, and is lost: there is {there}")
        });
        Err(told.collect::<Vec<_>>().join("\n"))
    }

    fn check_seen(&self, places: &Places) -> Result<(), String> {
        for ((partition, offset), value) in &self.seen {
            let here = self
                .sent
                .get(value)
                .is_some_and(|sent| sent.partition == *partition);
            if !here || places.get(value.as_str()).is_none_or(|at| !at.contains(offset)) {
                return Err(format!(
                    "{value} was read at {offset} of partition {partition}, and is not there"
                ));
            }
        }
        Ok(())
    }

    fn check_transactions(&self, committed: &BTreeMap<i32, Records>) -> Result<(), String> {
        let visible: BTreeSet<&str> = committed
            .values()
            .flatten()
            .map(|(_, value)| value.as_str())
            .collect();
        let mut parts: BTreeMap<usize, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
        for (value, sent) in &self.sent {
            let shown = visible.contains(value.as_str());
            let Some(transaction) = sent.transaction else {
                if sent.acknowledged.is_some() && !shown {
                    return Err(format!("{value} is acknowledged, and hidden at read_committed"));
                }
                continue;
            };
            // What was never acknowledged may not have been written at all.
            let entry = parts.entry(transaction).or_default();
            if shown {
                entry.0.push(value);
            } else if sent.acknowledged.is_some() {
                entry.1.push(value);
            }
        }
        for (transaction, (shown, hidden)) in parts {
            let holds = match self.outcomes[transaction] {
                Outcome::Committed => hidden.is_empty(),
                Outcome::Aborted => shown.is_empty(),
                Outcome::Unknown => shown.is_empty() || hidden.is_empty(),
            };
            if !holds {
                return Err(format!(
                    "transaction {transaction} is {:?}; at read_committed {shown:?} are shown, {hidden:?} are not",
                    self.outcomes[transaction]
                ));
            }
        }
        match self
            .seen_committed
            .iter()
            .find(|value| !visible.contains(value.as_str()))
        {
            Some(value) => Err(format!(
                "{value} was given to a reader at read_committed, and is aborted"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: &str) -> BTreeMap<i32, Records> {
        BTreeMap::from([(0, vec![(0, value.to_owned())])])
    }

    fn model(acknowledged: &[&str], transaction: Option<Outcome>) -> Model {
        let mut model = Model::default();
        for value in acknowledged {
            let transaction = transaction.map(|outcome| {
                let id = model.begin();
                model.end(id, outcome);
                id
            });
            model.send(value, "lane", 0, transaction);
            model.acknowledge(value, -1);
        }
        model
    }

    #[test]
    fn each_kind_of_loss_is_found() {
        let none = BTreeMap::new();
        let check = |model: &Model, all: &BTreeMap<i32, Records>, committed: &BTreeMap<i32, Records>| {
            model.check(all, committed).is_ok()
        };
        assert!(check(&model(&["a"], None), &one("a"), &one("a")));
        assert!(!check(&model(&["a"], None), &none, &none), "lost");
        assert!(!check(&model(&["a"], None), &one("a"), &none), "hidden");
        assert!(
            !check(&model(&["a"], None), &one("b"), &one("b")),
            "sent by nobody"
        );
        let twice = BTreeMap::from([(0, vec![(0, "a".to_owned()), (1, "a".to_owned())])]);
        assert!(!check(&model(&["a"], None), &twice, &twice), "doubled");
        let mut again = model(&["a"], None);
        again.may_double("a");
        assert!(check(&again, &twice, &twice), "sent twice without idempotence");
        let turned = BTreeMap::from([(0, vec![(0, "b".to_owned()), (1, "a".to_owned())])]);
        assert!(!check(&model(&["a", "b"], None), &turned, &turned), "reordered");
        for (outcome, shown, hidden) in [
            (Outcome::Committed, true, false),
            (Outcome::Aborted, false, true),
            (Outcome::Unknown, true, true),
        ] {
            assert_eq!(
                check(&model(&["a"], Some(outcome)), &one("a"), &one("a")),
                shown,
                "{outcome:?}"
            );
            assert_eq!(
                check(&model(&["a"], Some(outcome)), &one("a"), &none),
                hidden,
                "{outcome:?}"
            );
        }
        let mut seen = model(&["a"], None);
        seen.see(0, 5, "a", false).unwrap();
        assert!(!check(&seen, &one("a"), &one("a")), "moved");
        assert!(seen.see(0, 5, "b", false).is_err(), "overwritten");
        seen.committing("g", 0, 4);
        seen.committed("g", 0, 4);
        seen.committing("g", 0, 6);
        assert!(seen.read_commit("g", 0, 3).is_err(), "gone back");
        assert!(seen.read_commit("g", 0, 6).is_ok());
        assert!(
            seen.read_commit("g", 0, 4).is_err(),
            "gone back behind what was read"
        );
    }

    #[test]
    fn what_nobody_committed_must_not_be_seen() {
        let mut model = Model::default();
        let open = model.begin();
        model.send("a", "lane", 0, Some(open));
        assert!(model.see(0, 0, "a", false).is_ok());
        assert!(model.see(0, 0, "a", true).is_err(), "its transaction is open");
        model.offset_in("g", 1, open);
        model.committing("g", 0, 1);
        assert!(model.read_commit("g", 0, 1).is_err(), "its transaction is open");
        model.end(open, Outcome::Unknown);
        assert!(model.see(0, 0, "a", true).is_ok());
        assert!(model.read_commit("g", 0, 1).is_ok());
    }

    /// History 468 found this: an offset that a transaction had committed, its answer lost, was tried again in the next
    /// one, which was aborted.
    #[test]
    #[should_panic(expected = "part of two transactions")]
    fn an_offset_tells_its_transaction() {
        let mut model = Model::default();
        let (first, second) = (model.begin(), model.begin());
        model.offset_in("g", 1, first);
        model.offset_in("g", 1, first);
        model.offset_in("g", 1, second);
    }
}
