use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use uuid::Uuid;

use super::*;
use crate::core::groups::classic::SavedMember;
use crate::core::groups::consumer::{
    ClassicMember, Current, MemberMetadata, MemberState, OwnSaved, Resolved,
};
use crate::core::groups::modern::GroupType;
use crate::core::groups::share::{self, TopicState};

fn examples() -> Vec<Saved> {
    let group = "g".to_owned();
    let member = || "m".to_owned();
    let topic = Uuid::from_u128(7);
    let owned = BTreeMap::from([(topic, BTreeMap::from([(0, 3), (4, 2)]))]);
    let target = BTreeMap::from([(topic, BTreeSet::from([1, 2]))]);
    let share = |saved| ShareType::saved("g".to_owned(), saved);
    let consumer = |saved| ConsumerType::saved("g".to_owned(), saved);
    let states = BTreeMap::from([(
        topic,
        TopicState {
            name: "t".to_owned(),
            partitions: BTreeSet::from([0, 4]),
        },
    )]);
    vec![
        Saved::Offset {
            group: group.clone(),
            topic: "t".into(),
            partition: 3,
            committed: Some(Committed {
                offset: 7,
                leader_epoch: 1,
                metadata: "m".into(),
                commit_ms: 9,
                topic_id: topic,
            }),
        },
        Saved::Group {
            group,
            saved: Some(SavedGroup {
                protocol_type: "consumer".into(),
                generation: 4,
                protocol: Some("range".into()),
                leader: Some("m-1".into()),
                since_ms: Some(5),
                members: vec![SavedMember {
                    id: "m-1".into(),
                    instance: Some("i".into()),
                    rebalance_timeout_ms: 8,
                    session_timeout_ms: 9,
                    assignment: Bytes::from_static(b"x"),
                    ..Default::default()
                }],
            }),
        },
        share(ModernSaved::Member(
            member(),
            Some(share::MemberMetadata {
                rack: Some("r".into()),
                client_id: "c".into(),
                host: "/127.0.0.1".into(),
                topics: BTreeSet::from(["a".into(), "b".into()]),
            }),
        )),
        share(ModernSaved::Epoch(Some((4, -9)))),
        share(ModernSaved::TargetEpoch(Some((4, 7)))),
        share(ModernSaved::Target(member(), Some(target.clone()))),
        share(ModernSaved::Current(
            member(),
            Some(share::Current {
                epoch: 4,
                previous_epoch: 3,
                assigned: BTreeMap::from([(topic, BTreeSet::from([1]))]),
            }),
        )),
        share(ModernSaved::Own(Some(share::States {
            initializing: states.clone(),
            initialized: states,
            deleting: BTreeMap::from([(topic, "t".to_owned())]),
        }))),
        consumer(ModernSaved::Epoch(Some((4, -9)))),
        consumer(ModernSaved::Member(
            member(),
            Some(MemberMetadata {
                instance: Some("i".into()),
                client_id: "c".into(),
                host: "/127.0.0.1".into(),
                topics: BTreeSet::from(["a".into(), "b".into()]),
                regex: Some(String::new()),
                rebalance_timeout_ms: 5,
                classic: Some(ClassicMember {
                    session_timeout_ms: 6,
                    protocols: vec![("range".into(), Bytes::from_static(b"s"))],
                }),
                ..Default::default()
            }),
        )),
        consumer(ModernSaved::TargetEpoch(Some((4, 17)))),
        consumer(ModernSaved::Target(member(), Some(target))),
        consumer(ModernSaved::Current(
            member(),
            Some(Current {
                epoch: 3,
                previous_epoch: 2,
                state: MemberState::UnrevokedPartitions,
                assigned: owned.clone(),
                revoking: owned,
            }),
        )),
        consumer(ModernSaved::Own(OwnSaved::Regex(
            "a.*".into(),
            Some(Resolved {
                topics: BTreeSet::from(["ab".into()]),
                version: 3,
                at_ms: 4,
            }),
        ))),
    ]
}

#[test]
fn records_come_back_as_they_were_written() {
    for saved in examples() {
        assert_eq!(
            Saved::read(&saved.key(), saved.value().as_ref()),
            Some(saved.clone())
        );
        // Every record that ends early is passed over.
        let value = saved.value().unwrap();
        for len in 0..value.len() {
            assert_eq!(
                Saved::read(&saved.key(), Some(&value.slice(..len))),
                None,
                "{saved:?} {len}"
            );
        }
    }
}

#[test]
fn a_tombstone_is_read_as_one() {
    let gone = Saved::Group {
        group: "g".into(),
        saved: None,
    };
    assert_eq!(gone.value(), None);
    assert_eq!(Saved::read(&gone.key(), None), Some(gone));
    assert_eq!(Saved::read(&Bytes::from_static(&[0]), None), None);
    // Of streams groups this cluster knows nothing.
    assert_eq!(Saved::read(&Bytes::from_static(&[0, 17, 0, 1, b'g']), None), None);
}

#[test]
fn values_of_older_kafkas_are_read() {
    let key = Saved::Offset {
        group: "g".into(),
        topic: "t".into(),
        partition: 0,
        committed: None,
    }
    .key();
    // Version 1: offset, metadata, commit time, expiry.
    let old = [
        &[0, 1][..],
        &7i64.to_be_bytes(),
        &[0, 1, b'm'],
        &9i64.to_be_bytes(),
        &99i64.to_be_bytes(),
    ]
    .concat();
    let Some(Saved::Offset {
        committed: Some(committed),
        ..
    }) = Saved::read(&key, Some(&old.into()))
    else {
        panic!("not read");
    };
    assert_eq!(
        (committed.offset, committed.leader_epoch, committed.commit_ms),
        (7, -1, 9)
    );
    assert_eq!(committed.metadata, "m");
}
