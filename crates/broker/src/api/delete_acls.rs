//! `DeleteAcls`: refused, as by a Kafka without an authorizer.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

use crate::api::refused::{ACL, ACL_NOTE, no_authorizer};
use crate::api::shape::{Field, Kind::Structs, all};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DeleteAclsRequest;
    type Call = DeleteAclsRequest;
    const VERSIONS: (i16, i16) = (1, 3);
    const NOTE: &'static str = ACL_NOTE;
    const SHAPE: &'static [Field] = &[all(Structs(ACL))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let refused = DeleteAclsFilterResult::default()
            .with_error_code(ResponseError::SecurityDisabled.code())
            .with_error_message(Some(no_authorizer()));
        let results = vec![refused; call.filters.len()];
        Answer::message(DeleteAclsResponse::default().with_filter_results(results))
    }
}
