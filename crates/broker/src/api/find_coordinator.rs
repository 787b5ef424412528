//! `FindCoordinator` for groups, transactional ids and share partitions, one or a batch (KIP-699). The first request makes
//! the topic of offsets, of transactions or of share states.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8,
    Kind::{Text, Values},
    between, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = FindCoordinatorRequest;
    type Call = FindCoordinatorRequest;
    const VERSIONS: (i16, i16) = (0, 6);
    const NOTE: &'static str = "groups, transactions and share partitions";
    const SHAPE: &'static [Field] = &[between(0, 3, Text), since(1, I8), since(4, Values(&Text))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let keys = if caller.version < 4 {
            vec![call.key.clone()]
        } else {
            call.coordinator_keys
        };
        // Kafka's word for no error, or none.
        let success = if caller.version < 4 { "NONE" } else { "" };
        let found: Vec<Coordinator> = keys
            .into_iter()
            .map(|key| find(core, call.key_type, key, success))
            .collect();
        if caller.version >= 4 {
            return Answer::message(FindCoordinatorResponse::default().with_coordinators(found));
        }
        let Some(only) = found.into_iter().next() else {
            return Answer::Silent;
        };
        Answer::message(
            FindCoordinatorResponse::default()
                .with_error_code(only.error_code)
                .with_error_message(only.error_message)
                .with_node_id(only.node_id)
                .with_host(only.host)
                .with_port(only.port),
        )
    }
}

fn find(core: &mut Core, kind: i8, key: StrBytes, success: &'static str) -> Coordinator {
    match locate(core, kind, &key) {
        Ok((id, host, port)) => Coordinator::default()
            .with_node_id(BrokerId(id))
            .with_host(StrBytes::from_string(host))
            .with_port(i32::from(port))
            .with_error_message(Some(StrBytes::from_static_str(success))),
        Err(refusal) => Coordinator::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(refusal.code())
            .with_error_message(Some(
                refusal.message.map_or(StrBytes::default(), StrBytes::from_string),
            )),
    }
    .with_key(key)
}

fn locate(core: &mut Core, kind: i8, key: &str) -> Result<(i32, String, u16), Refusal> {
    match kind {
        0 => core.ensure_offsets_topic()?,
        1 => core.ensure_transactions_topic()?,
        2 if !is_share_key(key) => return Err(ResponseError::InvalidRequest.into()),
        2 => core.ensure_share_topic()?,
        _ => return Err(ResponseError::InvalidRequest.into()),
    }
    let coordinator = match kind {
        0 => core.coordinator_of(key),
        1 => core.transaction_coordinator_of(key),
        _ => core.share_coordinator_of(key),
    };
    let id = coordinator.ok_or(ResponseError::CoordinatorNotAvailable)?;
    let node = core
        .nodes
        .get(&id)
        .ok_or(ResponseError::CoordinatorNotAvailable)?;
    Ok((id, node.host.clone(), node.port))
}

/// Is it a group, a topic's id and a partition, with colons between them.
fn is_share_key(key: &str) -> bool {
    let parts: Vec<&str> = key.split(':').collect();
    let [group, topic, partition] = parts[..] else {
        return false;
    };
    !group.trim().is_empty()
        && URL_SAFE_NO_PAD.decode(topic).is_ok_and(|id| id.len() == 16)
        && partition.parse::<i32>().is_ok()
}
