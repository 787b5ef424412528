//! `DescribeUserScramCredentials` (KIP-554).

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeUserScramCredentialsRequest;
    type Call = DescribeUserScramCredentialsRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const SHAPE: &'static [Field] = &[all(Structs(&[all(Text)]))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let asked: Vec<String> = call
            .users
            .unwrap_or_default()
            .iter()
            .map(|user| user.name.to_string())
            .collect();
        let wanted = if asked.is_empty() {
            core.scram.users().cloned().collect()
        } else {
            asked
        };
        let (mut seen, mut twice) = (HashSet::new(), HashSet::new());
        twice.extend(wanted.iter().filter(|user| !seen.insert(user.as_str())).cloned());
        let mut told = HashSet::new();
        let users = wanted.iter().filter(|user| told.insert(user.as_str()));
        let results = users.map(|user| describe(core, user, twice.contains(user)));
        Answer::message(
            DescribeUserScramCredentialsResponse::default()
                .with_error_message(Some(StrBytes::default()))
                .with_results(results.collect()),
        )
    }
}

fn describe(core: &Core, user: &str, twice: bool) -> DescribeUserScramCredentialsResult {
    let result =
        DescribeUserScramCredentialsResult::default().with_user(StrBytes::from_string(user.to_owned()));
    let failed = |result: DescribeUserScramCredentialsResult, error: ResponseError, why: String| {
        result
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(why)))
    };
    if twice {
        let why =
            format!("Cannot describe SCRAM credentials for the same user twice in a single request: {user}");
        return failed(result, ResponseError::DuplicateResource, why);
    }
    let Some(credentials) = core.scram.of(user) else {
        let why = format!("Attempt to describe a user credential that does not exist: {user}");
        return failed(result, ResponseError::ResourceNotFound, why);
    };
    let infos = credentials.iter().map(|(mechanism, credential)| {
        CredentialInfo::default()
            .with_mechanism(*mechanism as i8)
            .with_iterations(credential.iterations)
    });
    result
        .with_error_message(Some(StrBytes::default()))
        .with_credential_infos(infos.collect())
}
