//! `SyncGroup`. The answer comes when the leader has brought the assignment.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I32,
    Kind::{Bytes, Structs, Text},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::Asker;
use crate::core::groups::classic::{Sync, Synced};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = SyncGroupRequest;
    type Call = SyncGroupRequest;
    const VERSIONS: (i16, i16) = (0, 5);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(I32),
        all(Text),
        since(3, Text),
        since(5, Text),
        since(5, Text),
        all(Structs(&[all(Text), all(Bytes)])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let text = |text: Option<StrBytes>| text.map(|t| t.to_string());
        let sync = Sync {
            asker: Asker {
                request: caller.request,
                version: caller.version,
            },
            member: call.member_id.to_string(),
            instance: text(call.group_instance_id),
            generation: call.generation_id,
            protocol_type: text(call.protocol_type),
            protocol: text(call.protocol_name),
            assignments: call
                .assignments
                .into_iter()
                .map(|a| (a.member_id.to_string(), a.assignment))
                .collect(),
        };
        // Since version 5 a member must say what it takes part in.
        if caller.version >= 5 && (sync.protocol_type.is_none() || sync.protocol.is_none()) {
            return Answer::message(respond(Synced::refused(ResponseError::InconsistentGroupProtocol)));
        }
        core.sync_group(caller.broker, &call.group_id, &sync);
        Answer::Later
    }
}

/// The answer on the wire.
pub(crate) fn respond(synced: Synced) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(synced.error.map_or(0, |error| error.code()))
        .with_protocol_type(synced.protocol_type.map(StrBytes::from_string))
        .with_protocol_name(synced.protocol.map(StrBytes::from_string))
        .with_assignment(synced.assignment)
}
