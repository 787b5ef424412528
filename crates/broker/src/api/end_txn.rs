//! `EndTxn`: a producer commits or aborts. From version 5 on it learns its next epoch with it (KIP-890).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use crate::api::shape::{Field, I8, I16, I64, Kind::Text, all};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::transactions::or_nobody;
use crate::core::transactions::state::{Outcome, Producer, Version};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = EndTxnRequest;
    type Call = EndTxnRequest;
    const VERSIONS: (i16, i16) = (0, 5);
    const SHAPE: &'static [Field] = &[all(Text), all(I64), all(I16), all(I8)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let (request, version) = (caller.request, caller.version);
        if call.transactional_id.is_empty() {
            return Answer::message(respond(version, Err(ResponseError::InvalidRequest)));
        }
        let producer = Producer {
            id: call.producer_id.0,
            epoch: call.producer_epoch,
        };
        let outcome = if call.committed {
            Outcome::Commit
        } else {
            Outcome::Abort
        };
        let protocol = if version > 4 { Version::V2 } else { Version::V0 };
        core.end_transaction(
            caller.broker,
            &call.transactional_id,
            producer,
            outcome,
            protocol,
            move |core, result| core.reply(request, Response::message(respond(version, result))),
        );
        Answer::Later
    }
}

fn respond(version: i16, result: Result<Producer, ResponseError>) -> EndTxnResponse {
    let (error, producer) = or_nobody(result.map_err(|error| super::older_fence(error, version < 2)));
    let response = EndTxnResponse::default().with_error_code(error);
    if version < 5 {
        return response;
    }
    response
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
}
