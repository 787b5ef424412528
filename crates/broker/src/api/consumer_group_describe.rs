//! `ConsumerGroupDescribe` (KIP-848). A group of the classic protocol is no consumer group.

use std::collections::BTreeMap;

use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::describe_groups::operations;
use crate::api::modern_groups::to_describe;
use crate::api::shape::{
    Field, I8,
    Kind::{Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::consumer::{Consumer, Member, without_epochs};
use crate::core::groups::{Owned, Partitions, TopicImage};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ConsumerGroupDescribeRequest;
    type Call = ConsumerGroupDescribeRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const SHAPE: &'static [Field] = &[all(Values(&Text)), all(I8)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let operations = operations(call.include_authorized_operations);
        let groups = call.group_ids.into_iter().map(|id| {
            let described = DescribedGroup::default().with_group_id(id.clone());
            match to_describe(core, caller, &id) {
                Ok(group) => describe(core, group, described).with_authorized_operations(operations),
                Err(refusal) => described
                    .with_error_code(refusal.code())
                    .with_error_message(refusal.message.map(StrBytes::from_string))
                    .with_authorized_operations(i32::MIN),
            }
        });
        let groups = groups.collect();
        Answer::message(ConsumerGroupDescribeResponse::default().with_groups(groups))
    }
}

fn describe(core: &Core, group: &Consumer, described: DescribedGroup) -> DescribedGroup {
    let assignor = match group.preferred_assignor() {
        Some(name) => name.to_owned(),
        None => core.group_rules(&group.id).default_assignor,
    };
    let members = group.members.iter().map(|(member, known)| {
        let target = group.target.get(member);
        describe_member(core, member, known, target)
    });
    let members = members.collect();
    described
        .with_group_state(StrBytes::from_static_str(group.state().name()))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(StrBytes::from_string(assignor))
        .with_members(members)
}

fn describe_member(core: &Core, id: &str, member: &Member, target: Option<&Partitions>) -> DescribedMember {
    let text = |text: &Option<String>| text.clone().map(StrBytes::from_string);
    let metadata = &member.metadata;
    // What a member has yet to let go of is still its own.
    let mut owned: Owned = member.current.assigned.clone();
    for (topic, epochs) in &member.current.revoking {
        owned.entry(*topic).or_default().extend(epochs);
    }
    let topics = metadata.topics.iter().cloned();
    DescribedMember::default()
        .with_member_id(StrBytes::from_string(id.to_owned()))
        .with_instance_id(text(&metadata.instance))
        .with_rack_id(text(&metadata.rack))
        .with_member_epoch(member.current.epoch)
        .with_client_id(StrBytes::from_string(metadata.client_id.clone()))
        .with_client_host(StrBytes::from_string(metadata.host.clone()))
        .with_subscribed_topic_names(topics.map(|t| TopicName(StrBytes::from_string(t))).collect())
        .with_subscribed_topic_regex(text(&metadata.regex))
        .with_assignment(assignment(core, &without_epochs(&owned)))
        .with_target_assignment(assignment(core, target.unwrap_or(&BTreeMap::new())))
        .with_member_type(i8::from(metadata.classic.is_none()))
}

fn assignment(core: &Core, partitions: &Partitions) -> Assignment {
    let topics = partitions.iter().filter_map(|(id, indexes)| {
        let (name, _) = core.topics.by_id(*id)?;
        Some(
            TopicPartitions::default()
                .with_topic_id(*id)
                .with_topic_name(TopicName(StrBytes::from_string(name.to_string())))
                .with_partitions(indexes.iter().copied().collect()),
        )
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
