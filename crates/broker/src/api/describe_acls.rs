//! `DescribeAcls`: refused, as by a Kafka without an authorizer.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::refused::{ACL, ACL_NOTE};
use crate::api::shape::Field;
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeAclsRequest;
    type Call = DescribeAclsRequest;
    const VERSIONS: (i16, i16) = (1, 3);
    const NOTE: &'static str = ACL_NOTE;
    const SHAPE: &'static [Field] = ACL;

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        // The unknown kind, 0, is in no request that a client makes.
        let kinds = [
            call.resource_type_filter,
            call.pattern_type_filter,
            call.operation,
            call.permission_type,
        ];
        if kinds.contains(&0) {
            return Answer::Hangup;
        }
        let refused = DescribeAclsResponse::default()
            .with_error_code(ResponseError::SecurityDisabled.code())
            .with_error_message(Some(StrBytes::from_static_str(
                "No Authorizer is configured on the broker",
            )));
        Answer::message(refused)
    }
}
