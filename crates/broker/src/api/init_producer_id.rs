//! `InitProducerId` for idempotent producers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::api::shape::{Field, I16, I32, I64, Kind::Text, all, since};
use crate::api::{Answer, Aside, Handler};
use crate::core::journal::Record;
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = InitProducerIdRequest;
    type Call = InitProducerIdRequest;
    const VERSIONS: (i16, i16) = (0, 5);
    const NOTE: &'static str = "idempotent producers; a transactional id is refused";
    const SHAPE: &'static [Field] = &[all(Text), all(I32), since(3, I64), since(3, I16)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let refuse = |error: ResponseError| {
            InitProducerIdResponse::default()
                .with_error_code(error.code())
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1)
        };
        // A code that clients report at once instead of trying again for minutes.
        if call.transactional_id.is_some() {
            return Answer::message(refuse(ResponseError::TransactionalIdAuthorizationFailed));
        }
        Answer::message(match allocate(core) {
            Ok(id) => InitProducerIdResponse::default()
                .with_producer_id(ProducerId(id))
                .with_producer_epoch(0),
            Err(refusal) => refuse(refusal.error),
        })
    }
}

fn allocate(core: &mut Core) -> Result<i64, Refusal> {
    if let Some(next) = core.producers.needs() {
        core.journal(&[Record::ProducerIds { next }])?;
        core.producers.reserve(next);
    }
    Ok(core.producers.allocate())
}
