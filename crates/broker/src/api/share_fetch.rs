//! `ShareFetch` (KIP-932): a member reads in its share session, and may acknowledge what it has read before. The core says
//! which bytes; the connection calls [`respond`] and sends them from the file.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::share_fetch_response::{
    AcquiredRecords, LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareFetchableTopicResponse,
};
use kafka_protocol::messages::{BrokerId, ShareFetchResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::shape::{
    Field, I8, I32, I64,
    Kind::{Structs, Text, Values},
    UUID, all, since,
};
use crate::api::share_wire::{FetchWire, FetchedWire};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::share::fetches::{Acked, ShareFetch, SharePart, SharePlan};
use crate::core::share::partition::Ack;
use crate::core::share::sessions::{CLOSES, Change, OPENS, Session, SessionKey};
use crate::core::share::state::Key;
use crate::core::transactions::acks::Appended;
use crate::core::{Caller, Core, Refusal};
use crate::net::Stretches;

/// A member's id is no longer than this.
const MAX_MEMBER_ID: usize = 36;

pub(crate) struct Api;

impl Handler for Api {
    type Wire = FetchWire;
    type Call = FetchWire;
    const VERSIONS: (i16, i16) = (1, 2);
    /// What a member has acquired is released.
    const BOUND: bool = true;
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(Text),
        all(I32),
        all(I32),
        all(I32),
        all(I32),
        all(I32),
        all(I32),
        since(2, I8),
        since(2, I8),
        all(Structs(&[
            all(UUID),
            all(Structs(&[
                all(I32),
                all(Structs(&[all(I64), all(I64), all(Values(&I8))])),
            ])),
        ])),
        all(Structs(&[all(UUID), all(Values(&I32))])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        match begin(core, caller, &call) {
            Ok((fetch, appended)) => {
                let epoch = fetch.epoch;
                if epoch == CLOSES || call.is_renew_ack {
                    let plan = SharePlan {
                        lock_ms: lock_ms(core, &fetch.session),
                        ..SharePlan::default()
                    };
                    if epoch == CLOSES {
                        core.end_share_session(&fetch.session);
                    }
                    core.finish_share(caller, plan, &fetch.acked, appended);
                } else {
                    core.share_fetch(caller, fetch, appended);
                }
                Answer::Later
            }
            Err(error) => Answer::Now(Response::ShareFetch(SharePlan {
                error: Some(error),
                ..SharePlan::default()
            })),
        }
    }
}

/// Can this be a member's id.
pub(super) fn is_member_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_MEMBER_ID
}

/// How long locks last that are taken now.
pub(super) fn lock_ms(core: &Core, session: &SessionKey) -> i32 {
    let settings = core.share_settings(session.0, &session.1);
    i32::try_from(settings.lock_ms).unwrap_or(i32::MAX)
}

/// The session that a request is of.
///
/// # Errors
/// `INVALID_REQUEST` where it names no group or no member.
pub(super) fn session_of(
    caller: &Caller,
    group: Option<&str>,
    member: Option<&StrBytes>,
) -> Result<SessionKey, ResponseError> {
    let group = group.ok_or(ResponseError::InvalidRequest)?;
    let member = member.filter(|id| is_member_id(id));
    let member = member.ok_or(ResponseError::InvalidRequest)?;
    Ok((caller.broker, group.to_owned(), member.to_string()))
}

/// Checks the request, goes on with its session, and takes its acknowledgements.
fn begin(
    core: &mut Core,
    caller: &Caller,
    call: &FetchWire,
) -> Result<(ShareFetch, Vec<Appended>), ResponseError> {
    let body = &call.body;
    let group = body.group_id.as_ref().map(|id| id.as_str());
    let session = session_of(caller, group, body.member_id.as_ref())?;
    check_renewal(call)?;
    let asked: Vec<Asked> = body
        .topics
        .iter()
        .flat_map(|topic| {
            topic.partitions.iter().map(|partition| Asked {
                topic: topic.topic_id,
                partition: partition.partition_index,
                acks: partition
                    .acknowledgement_batches
                    .iter()
                    .map(|batch| Ack {
                        first: batch.first_offset,
                        last: batch.last_offset,
                        types: batch.acknowledge_types.clone(),
                    })
                    .collect(),
            })
        })
        .collect();
    let acknowledges = asked.iter().any(|of| !of.acks.is_empty());
    let forgotten = body.forgotten_topics_data.iter();
    let change = Change {
        epoch: body.share_session_epoch,
        added: asked
            .iter()
            .map(|of| (of.topic, of.partition, core.topics.name_of(of.topic).is_some()))
            .collect(),
        forgotten: forgotten
            .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index)))
            .collect(),
        connection: caller.connection,
    };
    if change.epoch == OPENS {
        if acknowledges {
            return Err(ResponseError::InvalidRequest);
        }
        let max = core
            .configs
            .number(caller.broker, "group.share.max.share.sessions");
        let sessions = &mut core.shares.sessions;
        sessions.open(&session, &change, usize::try_from(max).unwrap_or(usize::MAX))?;
    } else {
        core.shares.sessions.go_on(&session, &change)?;
    }
    let knows_all = |session: &Session| session.reading.iter().all(|of| of.is_known);
    if !core.shares.sessions.get(&session).is_none_or(knows_all) || !(0..=1).contains(&call.acquire_mode) {
        // Kafka stumbles over what it has no name for.
        return Err(ResponseError::UnknownServerError);
    }
    let (acked, appended) = if acknowledges {
        acknowledge(core, &session, asked, call.is_renew_ack)
    } else {
        Default::default()
    };
    let limit = core.configs.number(caller.broker, "fetch.max.bytes") as u32;
    let limit = limit.min(core.fetch_window_bytes(caller));
    let max_bytes = u32::try_from(body.max_bytes).unwrap_or(0).min(limit);
    let fetch = ShareFetch {
        session,
        epoch: change.epoch,
        min_bytes: usize::try_from(body.min_bytes)
            .unwrap_or(0)
            .min(max_bytes as usize),
        max_bytes,
        max_wait_ms: i64::from(body.max_wait_ms),
        max_records: i64::from(body.max_records),
        batch_size: i64::from(body.batch_size),
        record_limit: call.acquire_mode == 1,
        acked,
    };
    Ok((fetch, appended))
}

/// A request that makes locks last longer fetches nothing (KIP-1222).
fn check_renewal(call: &FetchWire) -> Result<(), ResponseError> {
    if !call.is_renew_ack {
        return Ok(());
    }
    let body = &call.body;
    let numbers = [body.max_bytes, body.min_bytes, body.max_records, body.max_wait_ms];
    if numbers.iter().all(|number| *number == 0) {
        return Ok(());
    }
    Err(ResponseError::InvalidRequest)
}

/// One partition of a request.
pub(super) struct Asked {
    pub(super) topic: Uuid,
    pub(super) partition: i32,
    pub(super) acks: Vec<Ack>,
}

/// Takes acknowledgements, partition by partition.
pub(super) fn acknowledge(
    core: &mut Core,
    session: &SessionKey,
    asked: Vec<Asked>,
    renews: bool,
) -> (Vec<Acked>, Vec<Appended>) {
    let (broker, group, member) = session;
    let mut appended = Vec::new();
    let mut results: BTreeMap<(Uuid, i32), Acked> = BTreeMap::new();
    for of in asked.into_iter().filter(|of| !of.acks.is_empty()) {
        let key = Key {
            group: group.clone(),
            topic: of.topic,
            partition: of.partition,
        };
        let done = if core.topics.name_of(of.topic).is_none() {
            Err(ResponseError::UnknownTopicId.into())
        } else if !are_sound(&of.acks, renews) {
            Err(ResponseError::InvalidRequest.into())
        } else if core.topics.partition(of.topic, of.partition).is_none() {
            Err(ResponseError::UnknownTopicOrPartition.into())
        } else {
            core.acknowledge(*broker, &key, member, &of.acks)
        };
        let (error, message) = match done {
            Ok(append) => {
                appended.extend(append);
                (None, None)
            }
            Err(Refusal { error, message }) => (Some(error), message),
        };
        let acked = Acked {
            topic: of.topic,
            partition: of.partition,
            error,
            message,
        };
        results.insert((of.topic, of.partition), acked);
    }
    (results.into_values().collect(), appended)
}

/// Are the offsets of acknowledgements in order, and their words known ones.
fn are_sound(acks: &[Ack], renews: bool) -> bool {
    let mut before = -1;
    let newest = if renews { 4 } else { 3 };
    acks.iter().all(|ack| {
        let words = ack.types.len() as i64;
        let in_order = ack.first <= ack.last && ack.first >= before;
        before = ack.last;
        let span = ack.last.checked_sub(ack.first);
        in_order
            && words > 0
            && span.is_some()
            && (words == 1 || span == Some(words - 1))
            && ack.types.iter().all(|word| (0..=newest).contains(word))
    })
}

/// The response; long runs of records stand in it for the stretches of files that they are.
pub(crate) fn respond(plan: SharePlan, stretches: &mut Stretches) -> FetchedWire {
    let mut topics: Vec<ShareFetchableTopicResponse> = Vec::new();
    for part in plan.parts {
        let at = topics.iter().position(|topic| topic.topic_id == part.topic);
        let at = at.unwrap_or_else(|| {
            topics.push(ShareFetchableTopicResponse::default().with_topic_id(part.topic));
            topics.len() - 1
        });
        topics[at].partitions.push(partition(part, stretches));
    }
    let nodes = plan.nodes.into_iter().map(|(id, node)| {
        NodeEndpoint::default()
            .with_node_id(BrokerId(id))
            .with_host(StrBytes::from_string(node.host))
            .with_port(i32::from(node.port))
    });
    FetchedWire(
        ShareFetchResponse::default()
            .with_throttle_time_ms(plan.throttle_ms)
            .with_error_code(plan.error.map_or(0, |error| error.code()))
            .with_acquisition_lock_timeout_ms(plan.lock_ms)
            .with_responses(topics)
            .with_node_endpoints(nodes.collect()),
    )
}

fn partition(part: SharePart, stretches: &mut Stretches) -> PartitionData {
    let mut error = part.error;
    let records = match part.slice.map(|slice| stretches.stand_in(slice)) {
        Some(Ok(bytes)) => bytes,
        Some(Err(why)) => {
            tracing::warn!(%why, partition = part.partition, "a share fetch could not be read");
            error = Some(ResponseError::KafkaStorageError);
            Bytes::new()
        }
        None => Bytes::new(),
    };
    let acquired = part.acquired.into_iter().map(|records| {
        AcquiredRecords::default()
            .with_first_offset(records.first)
            .with_last_offset(records.last)
            .with_delivery_count(records.delivery_count)
    });
    let leader = part.leader.map_or_else(LeaderIdAndEpoch::default, |(id, epoch)| {
        LeaderIdAndEpoch::default()
            .with_leader_id(id)
            .with_leader_epoch(epoch)
    });
    PartitionData::default()
        .with_partition_index(part.partition)
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_acknowledge_error_code(part.ack_error.map_or(0, |error| error.code()))
        .with_acknowledge_error_message(part.ack_message.map(StrBytes::from_string))
        .with_current_leader(leader)
        .with_records(Some(records))
        .with_acquired_records(acquired.collect())
}
