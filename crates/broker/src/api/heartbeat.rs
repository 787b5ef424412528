//! `Heartbeat`.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::api::shape::{Field, I32, Kind::Text, all, since};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = HeartbeatRequest;
    type Call = HeartbeatRequest;
    const VERSIONS: (i16, i16) = (0, 4);
    const SHAPE: &'static [Field] = &[all(Text), all(I32), all(Text), since(3, Text)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let error = core.heartbeat(
            caller.broker,
            &call.group_id,
            &call.member_id,
            call.group_instance_id.as_deref(),
            call.generation_id,
        );
        Answer::message(HeartbeatResponse::default().with_error_code(error.map_or(0, |error| error.code())))
    }
}
