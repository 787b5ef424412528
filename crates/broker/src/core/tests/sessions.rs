//! Fetch sessions: what is told, and who keeps one.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use uuid::Uuid;

use super::super::fetches::FetchPlan;
use super::*;

struct Reader {
    id: i32,
    epoch: i32,
    version: i16,
}

impl Reader {
    fn ask(&self, lab: &mut Lab, topics: &[(&str, i64)], forgotten: &[&str], wait_ms: i32) -> RequestId {
        let by_id = self.version >= 13;
        let id_of = |lab: &Lab, name: &str| match lab.core.topics.get(name) {
            Some(topic) if by_id => topic.id,
            _ => Uuid::nil(),
        };
        let name_of = |name: &str| {
            TopicName(StrBytes::from_string(if by_id {
                String::new()
            } else {
                name.to_owned()
            }))
        };
        let topics: Vec<FetchTopic> = topics
            .iter()
            .map(|(name, offset)| {
                let partition = FetchPartition::default()
                    .with_fetch_offset(*offset)
                    .with_partition_max_bytes(1 << 20);
                FetchTopic::default()
                    .with_topic(name_of(name))
                    .with_topic_id(id_of(lab, name))
                    .with_partitions(vec![partition])
            })
            .collect();
        let forgotten: Vec<ForgottenTopic> = forgotten
            .iter()
            .map(|name| {
                ForgottenTopic::default()
                    .with_topic(name_of(name))
                    .with_topic_id(id_of(lab, name))
                    .with_partitions(vec![0])
            })
            .collect();
        let wire = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_min_bytes(1)
            .with_max_wait_ms(wait_ms)
            .with_session_id(self.id)
            .with_session_epoch(self.epoch)
            .with_topics(topics)
            .with_forgotten_topics_data(forgotten);
        lab.send::<fetch::Api>(1, self.version, wire)
    }

    /// Asks, and goes on with the session that the answer names.
    fn fetch(&mut self, lab: &mut Lab, topics: &[(&str, i64)], forgotten: &[&str]) -> FetchPlan {
        let request = self.ask(lab, topics, forgotten, 0);
        let plan = plan(lab, request);
        if plan.error.is_none() {
            self.epoch = if plan.session_id == 0 { 0 } else { self.epoch + 1 };
            self.id = plan.session_id;
        }
        plan
    }
}

fn plan(lab: &mut Lab, request: RequestId) -> FetchPlan {
    match lab.late.remove(&request) {
        Some(Some(Response::Fetch(plan))) => plan,
        other => panic!("no fetch: {other:?}"),
    }
}

fn told(plan: &FetchPlan) -> Vec<&str> {
    plan.parts.iter().map(|part| &*part.topic).collect()
}

fn lab(folder: &Path) -> Lab {
    let mut lab = Lab::open(folder, 1, &[("max.incremental.fetch.session.cache.slots", "8")]);
    for topic in ["a", "b", "c"] {
        lab.topic(topic, &[1], &[]);
        assert_eq!(lab.produced(1, topic, 1, "first"), 0);
    }
    lab
}

fn reader(version: i16) -> Reader {
    Reader {
        id: 0,
        epoch: 0,
        version,
    }
}

#[test]
fn a_session_tells_what_has_changed_and_nothing_else() {
    for version in [12, 17] {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = lab(folder.path());
        let mut me = reader(version);
        let plan = me.fetch(&mut lab, &[("a", 1), ("b", 1), ("c", 1)], &[]);
        assert_eq!(told(&plan), ["a", "b", "c"]);
        assert_ne!(plan.session_id, 0);
        assert_eq!(told(&me.fetch(&mut lab, &[], &[])), [""; 0]);
        lab.produced(1, "a", 1, "second");
        assert_eq!(told(&me.fetch(&mut lab, &[], &[])), ["a"]);
        // It was told, and not yet read: its bytes are told again, after those that had none.
        lab.produced(1, "c", 1, "second");
        assert_eq!(told(&me.fetch(&mut lab, &[], &[])), ["c", "a"]);
        assert_eq!(told(&me.fetch(&mut lab, &[("a", 2), ("c", 2)], &[])), [""; 0]);
        lab.produced(1, "b", 1, "second");
        lab.produced(1, "c", 1, "third");
        assert_eq!(told(&me.fetch(&mut lab, &[], &["b"])), ["c"]);
        assert_eq!(told(&me.fetch(&mut lab, &[("c", 3), ("b", 2)], &[])), ["b"]);
        // Nothing is left of it.
        let plan = me.fetch(&mut lab, &[], &["a", "b", "c"]);
        assert_eq!((plan.session_id, plan.parts.len()), (0, 0));
        assert!(lab.core.fetch_sessions.by_broker[&1].sessions.is_empty());
        assert_eq!(lab.core.fetch_sessions.by_broker[&1].partitions, 0);
    }
}

#[test]
fn errors_are_told_until_they_are_gone_and_the_partition_after_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(folder.path());
    let mut me = reader(12);
    me.fetch(&mut lab, &[("a", 1), ("new", 0)], &[]);
    for _ in 0..2 {
        let plan = me.fetch(&mut lab, &[], &[]);
        assert_eq!(told(&plan), ["new"]);
        assert_eq!(plan.parts[0].error, Some(ResponseError::UnknownTopicOrPartition));
    }
    lab.topic("new", &[1], &[]);
    let plan = me.fetch(&mut lab, &[], &[]);
    assert_eq!((told(&plan), plan.parts[0].error), (vec!["new"], None));
    assert_eq!(told(&me.fetch(&mut lab, &[], &[])), [""; 0]);
    let id = lab.core.topics.get("a").unwrap().id;
    lab.core.delete_topic(id).unwrap();
    let plan = me.fetch(&mut lab, &[], &[]);
    assert_eq!(plan.parts[0].error, Some(ResponseError::UnknownTopicOrPartition));
}

#[test]
fn sessions_that_are_not_as_they_should_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(folder.path());
    let mut me = reader(17);
    me.fetch(&mut lab, &[("a", 1)], &[]);
    let error = |lab: &mut Lab, id, epoch, version| {
        let mut other = Reader { id, epoch, version };
        let plan = other.fetch(lab, &[], &[]);
        assert_eq!((plan.session_id, plan.parts.len()), (0, 0));
        plan.error
    };
    let (id, epoch) = (me.id, me.epoch);
    assert_eq!(
        error(&mut lab, id ^ 1, 1, 17),
        Some(ResponseError::FetchSessionIdNotFound)
    );
    assert_eq!(
        error(&mut lab, id, epoch + 1, 17),
        Some(ResponseError::InvalidFetchSessionEpoch)
    );
    assert_eq!(
        error(&mut lab, id, epoch, 12),
        Some(ResponseError::FetchSessionTopicIdError)
    );
    assert_eq!(me.fetch(&mut lab, &[], &[]).error, None);
    // A full request ends the session that it names.
    let mut last = Reader {
        id,
        epoch: -1,
        version: 17,
    };
    assert_eq!(last.fetch(&mut lab, &[("a", 1)], &[]).session_id, 0);
    assert_eq!(
        error(&mut lab, id, epoch + 1, 17),
        Some(ResponseError::FetchSessionIdNotFound)
    );
    // As does the end of its broker.
    let mut me = reader(17);
    assert_ne!(me.fetch(&mut lab, &[("a", 1)], &[]).session_id, 0);
    lab.command(1, Command::Kill);
    lab.command(1, Command::Start);
    let plan = me.fetch(&mut lab, &[], &[]);
    assert_eq!(plan.error, Some(ResponseError::FetchSessionIdNotFound));
}

#[test]
fn who_asks_again_ends_the_request_of_the_session_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(folder.path());
    let mut me = reader(12);
    me.fetch(&mut lab, &[("a", 1)], &[]);
    let waits = me.ask(&mut lab, &[], &[], 10_000);
    assert!(!lab.late.contains_key(&waits));
    me.epoch += 1;
    let next = me.ask(&mut lab, &[], &[], 10_000);
    assert_eq!(
        plan(&mut lab, waits).error,
        Some(ResponseError::InvalidFetchSessionEpoch)
    );
    lab.produced(1, "a", 1, "second");
    let plan = plan(&mut lab, next);
    assert_eq!((told(&plan), plan.session_id), (vec!["a"], me.id));
}

#[test]
fn one_who_has_more_takes_the_place_of_one_who_has_had_his_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(folder.path());
    // Eight places, one in each part of the cache.
    let mut first: Vec<Reader> = (0..8).map(|_| reader(12)).collect();
    for one in &mut first {
        assert_ne!(one.fetch(&mut lab, &[("a", 1), ("b", 1)], &[]).session_id, 0);
    }
    let more = [("a", 1), ("b", 1), ("c", 1)];
    for _ in 0..8 {
        let plan = reader(12).fetch(&mut lab, &more, &[]);
        assert_eq!((told(&plan), plan.session_id), (vec!["a", "b", "c"], 0));
    }
    // Used after two minutes, it may go for who has more, not for who has as much.
    lab.pass(120_001);
    for one in &mut first {
        assert_eq!(one.fetch(&mut lab, &[], &[]).error, None);
    }
    for _ in 0..8 {
        assert_eq!(reader(12).fetch(&mut lab, &more[..2], &[]).session_id, 0);
    }
    assert_ne!(reader(12).fetch(&mut lab, &more, &[]).session_id, 0);
    let gone = Some(ResponseError::FetchSessionIdNotFound);
    let errors: Vec<_> = first
        .iter_mut()
        .map(|one| one.fetch(&mut lab, &[], &[]).error)
        .collect();
    assert_eq!(errors.iter().filter(|error| **error == gone).count(), 1);
    // Unused for two minutes, it goes for anybody.
    lab.pass(120_001);
    assert_ne!(reader(12).fetch(&mut lab, &[("a", 1)], &[]).session_id, 0);
}

#[test]
fn so_many_partitions_are_kept_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(folder.path());
    let many: Vec<String> = (0..150_000).map(|at| format!("t{at}")).collect();
    let many: Vec<(&str, i64)> = many.iter().map(|name| (name.as_str(), 0)).collect();
    let mut me = reader(12);
    assert_ne!(me.fetch(&mut lab, &many, &[]).session_id, 0);
    assert_eq!(reader(12).fetch(&mut lab, &many, &[]).session_id, 0);
    let mut other = reader(12);
    assert_ne!(other.fetch(&mut lab, &[("a", 1)], &[]).session_id, 0);
    // A session can't grow beyond it either.
    let plan = other.fetch(&mut lab, &many, &[]);
    assert_eq!(plan.error, Some(ResponseError::FetchSessionIdNotFound));
    let long = "x".repeat(300);
    assert_eq!(reader(12).fetch(&mut lab, &[(&long, 0)], &[]).session_id, 0);
    assert_eq!(lab.core.fetch_sessions.by_broker[&1].partitions, 150_000);
}
