//! `DeleteGroups`.

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::api::shape::{
    Field,
    Kind::{Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DeleteGroupsRequest;
    type Call = DeleteGroupsRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const SHAPE: &'static [Field] = &[all(Values(&Text))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let results = call.groups_names.into_iter().map(|id| {
            let done = core
                .check_coordinator(caller.broker, &id)
                .map_err(Into::into)
                .and_then(|()| core.delete_group(&id));
            let code = done.map_or_else(|refusal: Refusal| refusal.code(), |()| 0);
            DeletableGroupResult::default()
                .with_group_id(id)
                .with_error_code(code)
        });
        let results = results.collect();
        Answer::message(DeleteGroupsResponse::default().with_results(results))
    }
}
