//! `ShareAcknowledge` (KIP-932): a member says what has become of the records that it was given.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ShareAcknowledgeResponse;
use kafka_protocol::messages::share_acknowledge_response::{PartitionData, ShareAcknowledgeTopicResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I32, I64,
    Kind::{Structs, Text, Values},
    UUID, all, since,
};
use crate::api::share_fetch::{Asked, acknowledge, lock_ms, session_of};
use crate::api::share_wire::{AcknowledgeWire, AcknowledgedWire};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::share::fetches::Acked;
use crate::core::share::partition::Ack;
use crate::core::share::sessions::{CLOSES, Change, OPENS, SessionKey};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = AcknowledgeWire;
    type Call = AcknowledgeWire;
    const VERSIONS: (i16, i16) = (1, 2);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(Text),
        all(I32),
        since(2, I8),
        all(Structs(&[
            all(UUID),
            all(Structs(&[
                all(I32),
                all(Structs(&[all(I64), all(I64), all(Values(&I8))])),
            ])),
        ])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let session = match begin(core, caller, &call) {
            Ok(session) => session,
            Err(error) => return Answer::message(refuse(error)),
        };
        let asked = call.body.topics.into_iter().flat_map(|topic| {
            let id = topic.topic_id;
            topic.partitions.into_iter().map(move |partition| Asked {
                topic: id,
                partition: partition.partition_index,
                acks: partition
                    .acknowledgement_batches
                    .into_iter()
                    .map(|batch| Ack {
                        first: batch.first_offset,
                        last: batch.last_offset,
                        types: batch.acknowledge_types,
                    })
                    .collect(),
            })
        });
        let (acked, appended) = acknowledge(core, &session, asked.collect(), call.is_renew_ack);
        let lock_ms = lock_ms(core, &session);
        if call.body.share_session_epoch == CLOSES {
            core.end_share_session(&session);
        }
        let refused = refuse(ResponseError::CoordinatorNotAvailable);
        core.reply_after(
            appended,
            caller.request,
            Response::message(respond(acked, lock_ms)),
            Response::message(refused),
        );
        Answer::Later
    }
}

/// Goes on with the session.
fn begin(core: &mut Core, caller: &Caller, call: &AcknowledgeWire) -> Result<SessionKey, ResponseError> {
    let body = &call.body;
    let group = body.group_id.as_ref().map(|id| id.as_str());
    let session = session_of(caller, group, body.member_id.as_ref())?;
    if body.share_session_epoch == OPENS {
        return Err(ResponseError::InvalidShareSessionEpoch);
    }
    let change = Change {
        epoch: body.share_session_epoch,
        connection: caller.connection,
        ..Change::default()
    };
    core.shares.sessions.go_on(&session, &change)?;
    Ok(session)
}

fn refuse(error: ResponseError) -> AcknowledgedWire {
    AcknowledgedWire {
        body: ShareAcknowledgeResponse::default().with_error_code(error.code()),
        lock_ms: 0,
    }
}

fn respond(acked: Vec<Acked>, lock_ms: i32) -> AcknowledgedWire {
    let mut topics: Vec<ShareAcknowledgeTopicResponse> = Vec::new();
    for of in acked {
        let at = topics.iter().position(|topic| topic.topic_id == of.topic);
        let at = at.unwrap_or_else(|| {
            topics.push(ShareAcknowledgeTopicResponse::default().with_topic_id(of.topic));
            topics.len() - 1
        });
        let partition = PartitionData::default()
            .with_partition_index(of.partition)
            .with_error_code(of.error.map_or(0, |error| error.code()))
            .with_error_message(of.message.map(StrBytes::from_string));
        topics[at].partitions.push(partition);
    }
    AcknowledgedWire {
        body: ShareAcknowledgeResponse::default().with_responses(topics),
        lock_ms,
    }
}
