//! `SaslHandshake`: a PLAINTEXT listener has no mechanism to offer, and says so as Kafka does.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

use crate::api::shape::{Field, Kind::Text, all};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = SaslHandshakeRequest;
    type Call = SaslHandshakeRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const NOTE: &'static str = "refused: listeners are PLAINTEXT";
    const SHAPE: &'static [Field] = &[all(Text)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, _call: Self::Call) -> Answer {
        let refused =
            SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code());
        Answer::message(refused)
    }
}
