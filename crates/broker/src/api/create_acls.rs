//! `CreateAcls`: refused, as by a Kafka without an authorizer.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

use crate::api::refused::{ACL, ACL_NOTE, no_authorizer};
use crate::api::shape::{Field, Kind::Structs, all};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = CreateAclsRequest;
    type Call = CreateAclsRequest;
    const VERSIONS: (i16, i16) = (1, 3);
    const NOTE: &'static str = ACL_NOTE;
    const SHAPE: &'static [Field] = &[all(Structs(ACL))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let refused = AclCreationResult::default()
            .with_error_code(ResponseError::SecurityDisabled.code())
            .with_error_message(Some(no_authorizer()));
        let results = vec![refused; call.creations.len()];
        Answer::message(CreateAclsResponse::default().with_results(results))
    }
}
