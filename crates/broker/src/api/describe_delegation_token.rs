//! `DescribeDelegationToken`: refused, since nobody on a PLAINTEXT listener is authenticated.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{DescribeDelegationTokenRequest, DescribeDelegationTokenResponse};

use crate::api::refused::TOKEN_NOTE;
use crate::api::shape::{
    Field,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeDelegationTokenRequest;
    type Call = DescribeDelegationTokenRequest;
    const VERSIONS: (i16, i16) = (1, 3);
    const NOTE: &'static str = TOKEN_NOTE;
    const SHAPE: &'static [Field] = &[all(Structs(&[all(Text), all(Text)]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, _call: Self::Call) -> Answer {
        let refused = DescribeDelegationTokenResponse::default()
            .with_error_code(ResponseError::DelegationTokenRequestNotAllowed.code());
        Answer::message(refused)
    }
}
