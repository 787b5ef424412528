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
use crate::core::groups::classic::{Join, Joined};
use crate::core::groups::{Asker, random_id};
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
        let fresh_id = core.outside.ids.uuid();
        let join = Join {
            asker: Asker {
                request: caller.request,
                version: caller.version,
            },
            member: call.member_id.to_string(),
            instance: call.group_instance_id.map(|i| i.to_string()),
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
            fresh_id: fresh_id.to_string(),
            fresh_consumer_id: random_id(fresh_id),
        };
        core.join_group(caller.broker, &call.group_id, &join);
        Answer::Later
    }
}

/// The answer on the wire.
pub(crate) fn respond(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        JoinGroupResponseMember::default()
            .with_member_id(StrBytes::from_string(id))
            .with_group_instance_id(instance.map(StrBytes::from_string))
            .with_metadata(metadata)
    });
    // Null is possible since version 7 only.
    let protocol = match joined.protocol {
        None if version < 7 => Some(String::new()),
        protocol => protocol,
    };
    JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |error| error.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(StrBytes::from_string))
        .with_protocol_name(protocol.map(StrBytes::from_string))
        .with_skip_assignment(joined.skip_assignment)
        .with_leader(StrBytes::from_string(joined.leader))
        .with_member_id(StrBytes::from_string(joined.member))
        .with_members(members.collect())
}
