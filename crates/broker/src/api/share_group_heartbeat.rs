//! `ShareGroupHeartbeat` (KIP-932): all that a member of a share group has to say, and to hear.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::modern_groups::{answer_beat, invalid, is_blank, is_given_blank};
use crate::api::shape::{
    Field, I32,
    Kind::{Text, Values},
    all,
};
use crate::api::share_fetch::is_member_id;
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::modern::{Beaten, LEAVE_EPOCH};
use crate::core::groups::share::Beat;
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ShareGroupHeartbeatRequest;
    type Call = ShareGroupHeartbeatRequest;
    const VERSIONS: (i16, i16) = (1, 1);
    const SHAPE: &'static [Field] = &[all(Text), all(Text), all(I32), all(Text), all(Values(&Text))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let group = call.group_id.clone();
        let result = check(&call).and_then(|()| core.share_beat(caller.broker, &group, &beat(call, caller)));
        answer_beat(core, caller, &group, result, respond)
    }
}

/// What is wrong with a request whatever the group is like.
fn check(call: &ShareGroupHeartbeatRequest) -> Result<(), Refusal> {
    if !is_member_id(&call.member_id) {
        return Err(ResponseError::InvalidRequest.into());
    }
    if is_blank(&call.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if is_blank(&call.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if is_given_blank(call.rack_id.as_ref()) {
        return invalid("RackId can't be empty.");
    }
    let names = call.subscribed_topic_names.as_ref();
    match call.member_epoch {
        0 if names.is_none_or(Vec::is_empty) => invalid("SubscribedTopicNames must be set in first request."),
        epoch if epoch < LEAVE_EPOCH => invalid("MemberEpoch is invalid."),
        _ => Ok(()),
    }
}

fn beat(call: ShareGroupHeartbeatRequest, caller: &Caller) -> Beat {
    Beat {
        member: call.member_id.to_string(),
        epoch: call.member_epoch,
        rack: call.rack_id.map(|rack| rack.to_string()),
        topics: call
            .subscribed_topic_names
            .map(|names| names.iter().map(|name| name.to_string()).collect()),
        client_id: caller.client_id.to_string(),
        host: caller.host.to_string(),
    }
}

fn respond(result: Result<Beaten, Refusal>) -> ShareGroupHeartbeatResponse {
    let beaten = match result {
        Ok(beaten) => beaten,
        Err(refusal) => {
            return ShareGroupHeartbeatResponse::default()
                .with_error_code(refusal.code())
                .with_error_message(refusal.message.map(StrBytes::from_string));
        }
    };
    let assignment = beaten.assignment.map(|partitions| {
        let topics = partitions.into_iter().map(|(topic, indexes)| {
            TopicPartitions::default()
                .with_topic_id(topic)
                .with_partitions(indexes.into_iter().collect())
        });
        Assignment::default().with_topic_partitions(topics.collect())
    });
    ShareGroupHeartbeatResponse::default()
        .with_member_id(Some(StrBytes::from_string(beaten.member)))
        .with_member_epoch(beaten.epoch)
        .with_heartbeat_interval_ms(beaten.heartbeat_interval_ms)
        .with_assignment(assignment)
}
