//! `InitProducerId`: an id for an idempotent producer, or the start of a transactional one (KIP-98, KIP-360).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::api::shape::{Field, I16, I32, I64, Kind::Text, all, since};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::transactions::or_nobody;
use crate::core::transactions::state::Producer;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = InitProducerIdRequest;
    type Call = InitProducerIdRequest;
    const VERSIONS: (i16, i16) = (0, 5);
    const SHAPE: &'static [Field] = &[all(Text), all(I32), since(3, I64), since(3, I16)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let version = caller.version;
        let expected = match expected(&call) {
            Ok(expected) => expected,
            Err(error) => return Answer::message(respond(version, Err(error))),
        };
        let Some(id) = call.transactional_id else {
            let producer = core.new_producer_id().map(|id| Producer { id, epoch: 0 });
            return Answer::message(respond(version, producer));
        };
        let most_ms = core.configs.number(caller.broker, "transaction.max.timeout.ms");
        let timeout_ms = call.transaction_timeout_ms;
        if id.is_empty() {
            return Answer::message(respond(version, Err(ResponseError::InvalidRequest)));
        }
        if timeout_ms <= 0 || i64::from(timeout_ms) > most_ms {
            return Answer::message(respond(version, Err(ResponseError::InvalidTransactionTimeout)));
        }
        let request = caller.request;
        core.init_transaction(caller.broker, &id, timeout_ms, expected, move |core, result| {
            core.reply(request, Response::message(respond(version, result)));
        });
        Answer::Later
    }
}

/// The id and epoch that a producer goes on from (KIP-360): both or none.
fn expected(call: &InitProducerIdRequest) -> Result<Option<Producer>, ResponseError> {
    match (call.producer_id.0, call.producer_epoch) {
        (-1, -1) => Ok(None),
        (-1, _) | (_, -1) => Err(ResponseError::InvalidRequest),
        (id, epoch) => Ok(Some(Producer { id, epoch })),
    }
}

fn respond(version: i16, result: Result<Producer, ResponseError>) -> InitProducerIdResponse {
    let (error, producer) = or_nobody(result.map_err(|error| super::older_fence(error, version < 4)));
    InitProducerIdResponse::default()
        .with_error_code(error)
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
}
