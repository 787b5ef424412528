//! `DescribeGroups`: groups of the classic protocol. A consumer group is none of them.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8,
    Kind::{Text, Values},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::classic::{Classic, State};
use crate::core::{Caller, Core};

/// Everything that may be done with a group where nothing is secured: a bit per operation.
const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

/// What a client may do with a group, where it asks for it.
pub(super) fn operations(asked: bool) -> i32 {
    if asked { GROUP_OPERATIONS } else { i32::MIN }
}

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeGroupsRequest;
    type Call = DescribeGroupsRequest;
    const VERSIONS: (i16, i16) = (0, 6);
    const SHAPE: &'static [Field] = &[all(Values(&Text)), since(3, I8)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let operations = operations(call.include_authorized_operations);
        let groups = call.groups.into_iter().map(|id| {
            if let Err(error) = core.check_coordinator(caller.broker, &id) {
                return DescribedGroup::default()
                    .with_group_id(id)
                    .with_error_code(error.code())
                    .with_authorized_operations(i32::MIN);
            }
            match core.groups.get(&id) {
                None => unknown(&id, caller.version, "found"),
                Some(group) => match group.classic() {
                    Some(classic) => describe(classic, id).with_authorized_operations(operations),
                    None => unknown(&id, caller.version, "a classic group"),
                },
            }
        });
        let groups = groups.collect();
        Answer::message(DescribeGroupsResponse::default().with_groups(groups))
    }
}

/// Since version 6 an unknown group is an error; before, it is dead.
fn unknown(id: &GroupId, version: i16, what: &str) -> DescribedGroup {
    let message = match what {
        "found" => format!("Group {} not found.", id.as_str()),
        _ => format!("Group {} is not {what}.", id.as_str()),
    };
    let group = DescribedGroup::default()
        .with_group_id(id.clone())
        .with_group_state(StrBytes::from_static_str("Dead"))
        .with_authorized_operations(i32::MIN);
    if version < 6 {
        return group;
    }
    group
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}

fn describe(group: &Classic, id: GroupId) -> DescribedGroup {
    let protocol = group.protocol.clone().unwrap_or_default();
    // While a rebalance is on, nobody's metadata or assignment is settled.
    let settled = group.state == State::Stable;
    let members = group.members.iter().map(|member| {
        let described = DescribedGroupMember::default()
            .with_member_id(StrBytes::from_string(member.id.clone()))
            .with_group_instance_id(member.instance.clone().map(StrBytes::from_string))
            .with_client_id(StrBytes::from_string(member.client_id.clone()))
            .with_client_host(StrBytes::from_string(member.host.clone()));
        if settled {
            described
                .with_member_metadata(member.metadata(&protocol))
                .with_member_assignment(member.assignment.clone())
        } else {
            described
        }
    });
    DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(StrBytes::from_static_str(group.state.name()))
        .with_protocol_type(StrBytes::from_string(
            group.protocol_type.clone().unwrap_or_default(),
        ))
        .with_protocol_data(StrBytes::from_string(if settled {
            protocol.clone()
        } else {
            String::new()
        }))
        .with_members(members.collect())
}
