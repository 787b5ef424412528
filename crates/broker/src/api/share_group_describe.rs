//! `ShareGroupDescribe` (KIP-932).

use kafka_protocol::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use kafka_protocol::messages::{ShareGroupDescribeRequest, ShareGroupDescribeResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::api::describe_groups::operations;
use crate::api::modern_groups::to_describe;
use crate::api::shape::{
    Field, I8,
    Kind::{Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::TopicImage;
use crate::core::groups::share::{ASSIGNOR, Member, Share};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ShareGroupDescribeRequest;
    type Call = ShareGroupDescribeRequest;
    const VERSIONS: (i16, i16) = (1, 1);
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
        Answer::message(ShareGroupDescribeResponse::default().with_groups(groups))
    }
}

fn describe(core: &Core, group: &Share, described: DescribedGroup) -> DescribedGroup {
    let members = group.members.iter();
    let members = members.map(|(member, known)| describe_member(core, member, known));
    described
        .with_group_state(StrBytes::from_static_str(group.state_name()))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(StrBytes::from_static_str(ASSIGNOR))
        .with_members(members.collect())
}

fn describe_member(core: &Core, id: &str, member: &Member) -> DescribedMember {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let metadata = &member.metadata;
    let topics = metadata.topics.iter().map(|topic| TopicName(text(topic)));
    let assigned = member.current.assigned.iter().filter_map(|(topic, indexes)| {
        let (name, _) = core.topics.by_id(*topic)?;
        Some(
            TopicPartitions::default()
                .with_topic_id(*topic)
                .with_topic_name(TopicName(text(&name)))
                .with_partitions(indexes.iter().copied().collect()),
        )
    });
    DescribedMember::default()
        .with_member_id(text(id))
        .with_rack_id(metadata.rack.as_deref().map(text))
        .with_member_epoch(member.current.epoch)
        .with_client_id(text(&metadata.client_id))
        .with_client_host(text(&metadata.host))
        .with_subscribed_topic_names(topics.collect())
        .with_assignment(Assignment::default().with_topic_partitions(assigned.collect()))
}
