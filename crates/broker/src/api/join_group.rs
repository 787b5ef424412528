//! `JoinGroup`. The answer comes when the rebalance is through.

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I32,
    Kind::{Bytes, Structs, Text},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::{Join, Joined};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = JoinGroupRequest;
    type Call = JoinGroupRequest;
    const VERSIONS: (i16, i16) = (0, 9);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(I32),
        since(1, I32),
        all(Text),
        since(5, Text),
        all(Text),
        all(Structs(&[all(Text), all(Bytes)])),
        since(8, Text),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let instance = call.group_instance_id.as_ref().map(ToString::to_string);
        let fresh_id = format!(
            "{}-{}",
            instance.as_deref().unwrap_or(&caller.client_id),
            core.outside.ids.uuid()
        );
        let join = Join {
            request: caller.request,
            member: call.member_id.to_string(),
            instance,
            client_id: caller.client_id.to_string(),
            host: caller.host.to_string(),
            rebalance_timeout_ms: if caller.version == 0 {
                call.session_timeout_ms
            } else {
                call.rebalance_timeout_ms
            },
            session_timeout_ms: call.session_timeout_ms,
            protocol_type: call.protocol_type.to_string(),
            protocols: call
                .protocols
                .into_iter()
                .map(|p| (p.name.to_string(), p.metadata))
                .collect(),
            id_required: caller.version >= 4,
            fresh_id,
        };
        core.join_group(&call.group_id, join);
        Answer::Later
    }
}

/// The answer on the wire.
pub(crate) fn respond(joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        JoinGroupResponseMember::default()
            .with_member_id(StrBytes::from_string(id))
            .with_group_instance_id(instance.map(StrBytes::from_string))
            .with_metadata(metadata)
    });
    JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |error| error.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(StrBytes::from_string))
        // Null is possible since version 7 only; nobody reads the name beside an error.
        .with_protocol_name(Some(StrBytes::from_string(joined.protocol.unwrap_or_default())))
        .with_leader(StrBytes::from_string(joined.leader))
        .with_member_id(StrBytes::from_string(joined.member))
        .with_members(members.collect())
}
