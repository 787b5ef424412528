//! Quotas at work: who is held back, for how long, and who is not.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::super::quotas::{Change, Entity};
use super::*;
use crate::api::create_topics;

fn set(lab: &mut Lab, key: &str, value: f64) {
    let entity: Entity = BTreeMap::from([("client-id".to_owned(), None)]);
    let change = Change {
        key: key.to_owned(),
        value: Some(value),
    };
    lab.core.alter_quotas(&entity, &[change], false).unwrap();
}

fn lab(folder: &Path) -> Lab {
    let mut lab = Lab::open(folder, 1, &[]);
    lab.topic("t", &[1], &[]);
    lab
}

/// Throttle time as the client is told, and for how long its connection is left alone.
fn produced(lab: &mut Lab) -> (i32, i64) {
    let request = lab.produce(1, "t", 1, "value");
    let response: ProduceResponse = lab.answer(request).unwrap();
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    (response.throttle_time_ms, lab.muted.remove(&request).unwrap_or(0))
}

#[test]
fn a_producer_waits_for_what_it_has_sent_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(folder.path());
    assert_eq!(produced(&mut lab), (0, 0));
    assert!(!lab.core.throttles.is_measured_once(), "nobody has a quota");
    // Requests have 100 bytes each; one second's worth is ten of them, and ten seconds are looked at.
    set(&mut lab, "producer_byte_rate", 1_000.0);
    for _ in 0..100 {
        assert_eq!(produced(&mut lab), (0, 0));
    }
    assert_eq!(produced(&mut lab), (100, 100));
    lab.pass(100);
    assert_eq!(produced(&mut lab), (100, 100));
    // Who wants no answer has to wait too.
    let silent = lab.produce(1, "t", 0, "value");
    assert_eq!(lab.muted.remove(&silent), Some(200));
    assert!(lab.core.throttles.is_measured_once());
}

#[test]
fn a_reader_gets_nothing_while_it_has_had_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(folder.path());
    let large = "x".repeat(7_000);
    for _ in 0..3 {
        assert_eq!(lab.produced(1, "t", 1, &large), 0);
    }
    set(&mut lab, "consumer_byte_rate", 1_000.0);
    let fetch = |lab: &mut Lab, offset, max_bytes| {
        let partition = FetchPartition::default()
            .with_fetch_offset(offset)
            .with_partition_max_bytes(max_bytes);
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(vec![partition]);
        let wire = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_topics(vec![topic]);
        let request = lab.send::<fetch::Api>(1, 12, wire);
        let muted_ms = lab.muted.remove(&request).unwrap_or(0);
        match lab.late.remove(&request) {
            Some(Some(Response::Fetch(plan))) => {
                assert_eq!(i64::from(plan.throttle_ms), muted_ms);
                assert_eq!(plan.parts.is_empty(), muted_ms > 0);
                (plan.bytes(), muted_ms)
            }
            other => panic!("no fetch: {other:?}"),
        }
    };
    let (bytes, muted_ms) = fetch(&mut lab, 0, 7_500);
    assert!((7_000..=7_500).contains(&bytes) && muted_ms == 0);
    let (_, muted_ms) = fetch(&mut lab, 1, 7_500);
    let owed_ms = 2 * bytes as i64 - 10_000;
    assert!((owed_ms..owed_ms + 300).contains(&muted_ms), "{muted_ms}");
    // What it did not get is not counted: it has to wait until the first part is long ago, and no longer.
    let begun_ms = lab.now_ms;
    lab.pass(muted_ms);
    let second = loop {
        let (bytes, muted_ms) = fetch(&mut lab, 1, 7_500);
        if muted_ms == 0 {
            break bytes;
        }
        lab.pass(muted_ms);
    };
    assert_eq!(second, bytes);
    assert!((10_000..16_000).contains(&(lab.now_ms - begun_ms)));
    // No more than ten seconds' worth is read at a time, or it would never get any.
    lab.pass(60_000);
    let (_, muted_ms) = fetch(&mut lab, 0, 1 << 20);
    assert!(muted_ms < 200, "{muted_ms}");
    lab.pass(muted_ms);
    let (bytes, muted_ms) = fetch(&mut lab, 0, 1 << 20);
    assert_eq!((bytes, muted_ms), (10_000, 0));
}

#[test]
fn topics_beyond_the_quota_are_refused_to_newer_clients() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = lab(folder.path());
    set(&mut lab, "controller_mutation_rate", 1.0);
    let create = |lab: &mut Lab, version, name: &'static str, partitions| {
        let topic = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_static_str(name)))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let wire = CreateTopicsRequest::default().with_topics(vec![topic]);
        let request = lab.send::<create_topics::Api>(1, version, wire);
        let response: CreateTopicsResponse = lab.answer(request).unwrap();
        let muted_ms = lab.muted.remove(&request).unwrap_or(0);
        assert_eq!(i64::from(response.throttle_time_ms), muted_ms);
        (response.topics[0].error_code, muted_ms)
    };
    // Eleven are there; more may be taken at once, and are owed.
    assert_eq!(create(&mut lab, 7, "a", 13), (0, 0));
    let exceeded = ResponseError::ThrottlingQuotaExceeded.code();
    assert_eq!(create(&mut lab, 7, "b", 1), (exceeded, 2_000));
    assert!(lab.core.topics.get("b").is_none());
    assert_eq!(create(&mut lab, 5, "b", 1), (0, 3_000));
    lab.pass(3_000);
    assert_eq!(create(&mut lab, 7, "c", 1), (0, 0));
}
