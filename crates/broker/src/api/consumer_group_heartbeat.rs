//! `ConsumerGroupHeartbeat` (KIP-848): all that a member of a consumer group has to say, and to hear.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::modern_groups::{answer_beat, invalid, is_blank, is_given_blank};
use crate::api::shape::{
    Field, I32,
    Kind::{Structs, Text, Values},
    UUID, all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::groups::assignor::Assignor;
use crate::core::groups::consumer::{Beat, ConsumerType, LEAVE_STATIC_EPOCH};
use crate::core::groups::modern::{Beaten, LEAVE_EPOCH};
use crate::core::groups::{Cx, Group, random_id};
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ConsumerGroupHeartbeatRequest;
    type Call = ConsumerGroupHeartbeatRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(Text),
        all(I32),
        all(Text),
        all(Text),
        all(I32),
        all(Values(&Text)),
        since(1, Text),
        all(Text),
        all(Structs(&[all(UUID), all(Values(&I32))])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let group = call.group_id.clone();
        let result = check(&call, caller.version).and_then(|()| {
            let fresh_id = core.outside.ids.uuid();
            let beat = beat(call, caller, || random_id(fresh_id));
            let act = |state: &mut Group, cx: &mut Cx| state.beat(cx, &beat);
            core.beat::<ConsumerType>(caller.broker, &group, beat.epoch, act)
        });
        answer_beat(core, caller, &group, result, respond)
    }
}

/// What is wrong with a request whatever the group is like.
fn check(call: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), Refusal> {
    let epoch = call.member_epoch;
    // Since version 1 members make their ids themselves.
    if (version >= 1 || epoch > 0 || epoch == LEAVE_EPOCH) && is_blank(&call.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if is_blank(&call.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if is_given_blank(call.instance_id.as_ref()) {
        return invalid("InstanceId can't be empty.");
    }
    if is_given_blank(call.rack_id.as_ref()) {
        return invalid("RackId can't be empty.");
    }
    if epoch == 0 {
        if call.rebalance_timeout_ms == -1 {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if call
            .topic_partitions
            .as_ref()
            .is_none_or(|owned| !owned.is_empty())
        {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if call.subscribed_topic_names.is_none() && call.subscribed_topic_regex.is_none() {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            );
        }
    } else if epoch == LEAVE_STATIC_EPOCH && call.instance_id.is_none() {
        return invalid("InstanceId can't be null.");
    } else if epoch < LEAVE_STATIC_EPOCH {
        return invalid("MemberEpoch is invalid.");
    }
    if let Some(name) = &call.server_assignor
        && Assignor::named(name).is_none()
    {
        return Err(Refusal::new(
            ResponseError::UnsupportedAssignor,
            format!(
                "ServerAssignor {} is not supported. Supported assignors: {}.",
                name.as_str(),
                Assignor::NAMES.join(", ")
            ),
        ));
    }
    Ok(())
}

fn beat(call: ConsumerGroupHeartbeatRequest, caller: &Caller, fresh_id: impl FnOnce() -> String) -> Beat {
    let text = |text: Option<StrBytes>| text.map(|t| t.to_string());
    Beat {
        member: if call.member_id.is_empty() {
            fresh_id()
        } else {
            call.member_id.to_string()
        },
        epoch: call.member_epoch,
        instance: text(call.instance_id),
        rack: text(call.rack_id),
        rebalance_timeout_ms: call.rebalance_timeout_ms,
        topics: call
            .subscribed_topic_names
            .map(|names| names.iter().map(|name| name.to_string()).collect()),
        regex: text(call.subscribed_topic_regex),
        assignor: text(call.server_assignor),
        owned: call.topic_partitions.map(|topics| {
            topics
                .into_iter()
                .map(|t| (t.topic_id, t.partitions.into_iter().collect()))
                .collect()
        }),
        client_id: caller.client_id.to_string(),
        host: caller.host.to_string(),
    }
}

fn respond(result: Result<Beaten, Refusal>) -> ConsumerGroupHeartbeatResponse {
    let beaten = match result {
        Ok(beaten) => beaten,
        Err(refusal) => {
            return ConsumerGroupHeartbeatResponse::default()
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
    ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(StrBytes::from_string(beaten.member)))
        .with_member_epoch(beaten.epoch)
        .with_heartbeat_interval_ms(beaten.heartbeat_interval_ms)
        .with_assignment(assignment)
}
