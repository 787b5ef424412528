//! `RenewDelegationToken`: refused, since nobody on a PLAINTEXT listener is authenticated.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{RenewDelegationTokenRequest, RenewDelegationTokenResponse};

use crate::api::refused::{TOKEN_NOTE, TOKEN_TIME};
use crate::api::shape::Field;
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = RenewDelegationTokenRequest;
    type Call = RenewDelegationTokenRequest;
    const VERSIONS: (i16, i16) = (1, 2);
    const NOTE: &'static str = TOKEN_NOTE;
    const SHAPE: &'static [Field] = TOKEN_TIME;

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, _call: Self::Call) -> Answer {
        let refused = RenewDelegationTokenResponse::default()
            .with_error_code(ResponseError::DelegationTokenRequestNotAllowed.code())
            .with_expiry_timestamp_ms(-1);
        Answer::message(refused)
    }
}
