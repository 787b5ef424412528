//! `DescribeShareGroupOffsets` (KIP-932, KIP-1226): where share groups begin to read, and how much is yet to be done.

use uuid::Uuid;

use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::share_wire::described::{
    DescribeWire, DescribedOffsets, DescribedPartition, DescribedTopic, DescribedWire,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::{Group, TopicImage};
use crate::core::share::state::Key;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeWire;
    type Call = DescribeWire;
    const VERSIONS: (i16, i16) = (0, 1);
    const SHAPE: &'static [Field] = &[all(Structs(&[
        all(Text),
        all(Structs(&[all(Text), all(Values(&I32))])),
    ]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let groups = call.0.groups.into_iter().map(|asked| {
            let group = asked.group_id.to_string();
            let described = DescribedOffsets {
                group: group.clone(),
                ..DescribedOffsets::default()
            };
            let topics: Vec<(String, Vec<i32>)> = match asked.topics {
                Some(topics) => topics
                    .into_iter()
                    .map(|topic| (topic.topic_name.to_string(), topic.partitions))
                    .collect(),
                None => match core.check_coordinator(caller.broker, &group) {
                    Ok(()) => all_of(core, &group),
                    Err(error) => {
                        return DescribedOffsets {
                            error: error.code(),
                            ..described
                        };
                    }
                },
            };
            let mut told = Vec::new();
            let mut unknown = Vec::new();
            for (name, partitions) in topics {
                let found = core.topics.by_name(&name);
                let list = if found.is_some() { &mut told } else { &mut unknown };
                list.push(describe(core, &group, name, found, partitions));
            }
            told.extend(unknown);
            DescribedOffsets {
                topics: told,
                ..described
            }
        });
        let groups = groups.collect();
        Answer::message(DescribedWire { groups })
    }
}

/// All that a group has a state of.
fn all_of(core: &Core, group: &str) -> Vec<(String, Vec<i32>)> {
    let share = core.groups.get(group).and_then(Group::share);
    let topics = share.into_iter().flat_map(|share| &share.states().initialized);
    topics
        .filter_map(|(id, state)| {
            let (name, _) = core.topics.by_id(*id)?;
            Some((name.to_string(), state.partitions.iter().copied().collect()))
        })
        .collect()
}

fn describe(
    core: &Core,
    group: &str,
    name: String,
    found: Option<(Uuid, i32)>,
    partitions: Vec<i32>,
) -> DescribedTopic {
    let id = found.map_or(Uuid::nil(), |(id, _)| id);
    let partitions = partitions.into_iter().map(|index| {
        let key = Key {
            group: group.to_owned(),
            topic: id,
            partition: index,
        };
        let state = core.shares.states.get(&key);
        let Some(state) = state.filter(|state| state.start_offset >= 0) else {
            return DescribedPartition {
                index,
                start_offset: -1,
                leader_epoch: state.map_or(0, |state| state.leader_epoch),
                lag: -1,
                ..DescribedPartition::default()
            };
        };
        let partition = core.topics.partition(id, index);
        let replica = partition.and_then(|partition| partition.led_by(partition.leader));
        let end = replica.map_or(state.start_offset, |replica| replica.high_watermark);
        let known = state.complete >= 0;
        DescribedPartition {
            index,
            start_offset: state.start_offset,
            leader_epoch: state.leader_epoch,
            lag: if known {
                end - state.start_offset - i64::from(state.complete)
            } else {
                -1
            },
            ..DescribedPartition::default()
        }
    });
    let partitions = partitions.collect();
    DescribedTopic { name, id, partitions }
}
