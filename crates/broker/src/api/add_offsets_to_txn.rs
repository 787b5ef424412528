//! `AddOffsetsToTxn`: a producer takes the offsets of a group into its transaction.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use crate::api::shape::{Field, I16, I64, Kind::Text, all};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::offsets::partition_for;
use crate::core::topics::OFFSETS_TOPIC;
use crate::core::transactions::state::{Partitions, Producer, Version};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = AddOffsetsToTxnRequest;
    type Call = AddOffsetsToTxnRequest;
    const VERSIONS: (i16, i16) = (0, 4);
    const SHAPE: &'static [Field] = &[all(Text), all(I64), all(I16), all(Text)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let respond = |error: ResponseError| AddOffsetsToTxnResponse::default().with_error_code(error.code());
        if call.transactional_id.is_empty() {
            return Answer::message(respond(ResponseError::InvalidRequest));
        }
        if let Err(refusal) = core.ensure_offsets_topic() {
            return Answer::message(respond(refusal.error));
        }
        let count = core.topics.get(OFFSETS_TOPIC).map_or(1, |t| t.partitions.len());
        let partition = partition_for(&call.group_id, count as i32);
        let producer = Producer {
            id: call.producer_id.0,
            epoch: call.producer_epoch,
        };
        let (request, version) = (caller.request, caller.version);
        core.add_to_transaction(
            Some(caller.broker),
            &call.transactional_id,
            producer,
            &Partitions::from([(OFFSETS_TOPIC.to_owned(), partition)]),
            Version::V0,
            move |core, result| {
                let response = match result {
                    Ok(()) => AddOffsetsToTxnResponse::default(),
                    Err(error) => respond(super::older_fence(error, version < 2)),
                };
                core.reply(request, Response::message(response));
            },
        );
        Answer::Later
    }
}
