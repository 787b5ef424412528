//! `LeaveGroup`, one member or several (KIP-345).

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::api::shape::{
    Field,
    Kind::{Structs, Text},
    all, between, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::classic::Leaving;
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
        let leaving: Vec<Leaving> = if caller.version < 3 {
            vec![Leaving {
                member: call.member_id.to_string(),
                instance: None,
            }]
        } else {
            let members = call.members.iter().map(|m| Leaving {
                member: m.member_id.to_string(),
                instance: m.group_instance_id.as_ref().map(ToString::to_string),
            });
            members.collect()
        };
        let errors = match core.leave_group(caller.broker, &call.group_id, &leaving) {
            Ok(errors) => errors,
            Err(error) => {
                return Answer::message(LeaveGroupResponse::default().with_error_code(error.code()));
            }
        };
        let mut codes = errors
            .into_iter()
            .map(|error| error.map_or(0, |error| error.code()));
        if caller.version < 3 {
            let code = codes.next().unwrap_or(0);
            return Answer::message(LeaveGroupResponse::default().with_error_code(code));
        }
        let members = call.members.into_iter().zip(codes).map(|(member, code)| {
            MemberResponse::default()
                .with_member_id(member.member_id)
                .with_group_instance_id(member.group_instance_id)
                .with_error_code(code)
        });
        Answer::message(LeaveGroupResponse::default().with_members(members.collect()))
    }
}
