//! `CreateDelegationToken`: refused, since nobody on a PLAINTEXT listener is authenticated.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{CreateDelegationTokenRequest, CreateDelegationTokenResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::refused::TOKEN_NOTE;
use crate::api::shape::{
    Field, I64,
    Kind::{Structs, Text},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = CreateDelegationTokenRequest;
    type Call = CreateDelegationTokenRequest;
    const VERSIONS: (i16, i16) = (1, 3);
    const NOTE: &'static str = TOKEN_NOTE;
    const SHAPE: &'static [Field] = &[
        since(3, Text),
        since(3, Text),
        all(Structs(&[all(Text), all(Text)])),
        all(I64),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let text = StrBytes::from_static_str;
        let owner = call.owner_principal_name.filter(|name| !name.is_empty());
        let kind = call.owner_principal_type.filter(|kind| !kind.is_empty());
        let refused = CreateDelegationTokenResponse::default()
            .with_error_code(ResponseError::DelegationTokenRequestNotAllowed.code())
            .with_principal_type(kind.unwrap_or(text("User")))
            .with_principal_name(owner.unwrap_or(text("ANONYMOUS")));
        let refused = if caller.version >= 3 {
            refused
                .with_token_requester_principal_type(text("User"))
                .with_token_requester_principal_name(text("ANONYMOUS"))
        } else {
            refused
        };
        Answer::message(
            refused
                .with_issue_timestamp_ms(-1)
                .with_expiry_timestamp_ms(-1)
                .with_max_timestamp_ms(-1),
        )
    }
}
