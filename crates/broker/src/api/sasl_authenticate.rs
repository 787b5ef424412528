//! `SaslAuthenticate`: on a PLAINTEXT listener there is nothing to authenticate.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{Field, Kind::Bytes, all};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = SaslAuthenticateRequest;
    type Call = SaslAuthenticateRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const NOTE: &'static str = "refused: listeners are PLAINTEXT";
    const SHAPE: &'static [Field] = &[all(Bytes)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, _call: Self::Call) -> Answer {
        let refused = SaslAuthenticateResponse::default()
            .with_error_code(ResponseError::IllegalSaslState.code())
            .with_error_message(Some(StrBytes::from_static_str(
                "SaslAuthenticate request received after successful authentication",
            )));
        Answer::message(refused)
    }
}
