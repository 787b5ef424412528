//! `AlterUserScramCredentials` (KIP-554): kept and told; no listener asks for them.

use std::collections::HashMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I32,
    Kind::{Bytes, Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::scram::{Credential, Wish};
use crate::core::{Caller, Core, Refusal};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = AlterUserScramCredentialsRequest;
    type Call = Vec<Wish>;
    const VERSIONS: (i16, i16) = (0, 0);
    const NOTE: &'static str = "kept and told; listeners are PLAINTEXT";
    const SHAPE: &'static [Field] = &[
        all(Structs(&[all(Text), all(I8)])),
        all(Structs(&[all(Text), all(I8), all(I32), all(Bytes), all(Bytes)])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        let deletions = wire.deletions.into_iter().map(|d| Wish {
            user: d.name.to_string(),
            mechanism: d.mechanism,
            credential: None,
        });
        let upsertions = wire.upsertions.into_iter().map(|u| Wish {
            user: u.name.to_string(),
            mechanism: u.mechanism,
            credential: Some(Credential {
                iterations: u.iterations,
                salt: u.salt.to_vec(),
                salted_password: u.salted_password.to_vec(),
            }),
        });
        deletions.chain(upsertions).collect()
    }

    fn handle(core: &mut Core, _caller: &Caller, wishes: Self::Call) -> Answer {
        let mut times: HashMap<String, usize> = HashMap::new();
        for wish in &wishes {
            *times.entry(wish.user.clone()).or_default() += 1;
        }
        let mut results = Vec::new();
        for wish in wishes {
            let user = StrBytes::from_string(wish.user.clone());
            let altered = match times.get(&wish.user) {
                Some(1) => core.alter_scram(wish),
                // Told once, whatever was wished first.
                Some(_) => {
                    times.remove(&wish.user);
                    Err(Refusal::new(
                        ResponseError::DuplicateResource,
                        "A user credential cannot be altered twice in the same request",
                    ))
                }
                None => continue,
            };
            let result = AlterUserScramCredentialsResult::default().with_user(user);
            results.push(match altered {
                Ok(()) => result.with_error_message(None),
                Err(refusal) => result
                    .with_error_code(refusal.code())
                    .with_error_message(refusal.message.map(StrBytes::from_string)),
            });
        }
        Answer::message(AlterUserScramCredentialsResponse::default().with_results(results))
    }
}
