//! `ListGroups`, filtered by state (KIP-518) and type (KIP-848).

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field,
    Kind::{Text, Values},
    since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ListGroupsRequest;
    type Call = ListGroupsRequest;
    const VERSIONS: (i16, i16) = (0, 5);
    const SHAPE: &'static [Field] = &[since(4, Values(&Text)), since(5, Values(&Text))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let passes = |filter: &[StrBytes], own: &str| {
            filter.is_empty()
                || filter
                    .iter()
                    .any(|wanted| wanted.trim().eq_ignore_ascii_case(own))
        };
        let groups = core.groups.by_id.values().filter(|group| {
            passes(&call.states_filter, group.state_name())
                && passes(&call.types_filter, group.type_name())
                && core.coordinator_of(&group.id) == Some(caller.broker)
        });
        let groups = groups.map(|group| {
            ListedGroup::default()
                .with_group_id(GroupId(StrBytes::from_string(group.id.clone())))
                .with_protocol_type(StrBytes::from_string(group.protocol_type().to_owned()))
                .with_group_state(StrBytes::from_static_str(group.state_name()))
                .with_group_type(StrBytes::from_static_str(group.type_name()))
        });
        Answer::message(ListGroupsResponse::default().with_groups(groups.collect()))
    }
}
