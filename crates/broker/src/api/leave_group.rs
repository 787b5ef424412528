//! `LeaveGroup`, one member or several (KIP-345).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::api::shape::{
    Field,
    Kind::{Structs, Text},
    all, between, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = LeaveGroupRequest;
    type Call = LeaveGroupRequest;
    const VERSIONS: (i16, i16) = (0, 5);
    const SHAPE: &'static [Field] = &[
        all(Text),
        between(0, 2, Text),
        since(3, Structs(&[all(Text), all(Text), since(5, Text)])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let mut leave = |member: &str, instance: Option<&str>| {
            core.with_group(&call.group_id, |group, now_ms, out| {
                group.leave(now_ms, member, instance, out)
            })
            .unwrap_or(Some(ResponseError::UnknownMemberId))
            .map_or(0, |error| error.code())
        };
        if caller.version < 3 {
            let code = leave(&call.member_id, None);
            return Answer::message(LeaveGroupResponse::default().with_error_code(code));
        }
        let members = call.members.iter().map(|member| {
            let code = leave(&member.member_id, member.group_instance_id.as_deref());
            MemberResponse::default()
                .with_member_id(member.member_id.clone())
                .with_group_instance_id(member.group_instance_id.clone())
                .with_error_code(code)
        });
        let members = members.collect();
        Answer::message(LeaveGroupResponse::default().with_members(members))
    }
}
