//! What the requests to consumer groups (KIP-848) and to share groups (KIP-932) have in common.

use std::fmt::Debug;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::api::{Answer, Response};
use crate::core::groups::modern::{Beaten, GroupType, Modern};
use crate::core::{Caller, Core, Refusal};

/// A group that is to be described.
///
/// # Errors
/// `INVALID_GROUP_ID`, `NOT_COORDINATOR`; `GROUP_ID_NOT_FOUND` also where the group is of another type.
pub(super) fn to_describe<'a, T: GroupType>(
    core: &'a Core,
    caller: &Caller,
    id: &str,
) -> Result<&'a Modern<T>, Refusal> {
    core.check_group(caller.broker, id)?;
    core.groups.of_type(id)
}

/// Answers a heartbeat, once what it has changed is safe.
pub(super) fn answer_beat<R: Encodable + Send + Debug + 'static>(
    core: &mut Core,
    caller: &Caller,
    group: &str,
    beaten: Result<Beaten, Refusal>,
    respond: impl Fn(Result<Beaten, Refusal>) -> R,
) -> Answer {
    if beaten.is_err() {
        return Answer::message(respond(beaten));
    }
    let response = Response::message(respond(beaten));
    let refused = Response::message(respond(Err(ResponseError::NotCoordinator.into())));
    core.answer_when_safe(caller, group, response, refused)
}

/// What is wrong with a heartbeat.
pub(super) fn invalid(message: &str) -> Result<(), Refusal> {
    Err(Refusal::new(ResponseError::InvalidRequest, message))
}

/// Is there nothing to read in a text.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Is a text given in which there is nothing to read.
pub(super) fn is_given_blank(text: Option<&StrBytes>) -> bool {
    text.is_some_and(|text| is_blank(text))
}
