//! `UnregisterBroker`: brokers of this cluster live as long as it does.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{Field, I32, all};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = UnregisterBrokerRequest;
    type Call = UnregisterBrokerRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const NOTE: &'static str = "refused: a broker can be stopped, not removed";
    const SHAPE: &'static [Field] = &[all(I32)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let id = call.broker_id.0;
        let (error, why) = if core.nodes.contains_key(&id) {
            let why = format!("Broker ID {id} is a part of this cluster's process and can't be unregistered");
            (ResponseError::InvalidRequest, why)
        } else {
            let why = format!("Broker ID {id} is not currently registered");
            (ResponseError::BrokerIdNotRegistered, why)
        };
        let refused = UnregisterBrokerResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(why)));
        Answer::message(refused)
    }
}
