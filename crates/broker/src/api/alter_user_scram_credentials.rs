//! `AlterUserScramCredentials` (KIP-554): kept and told; no listener asks for them.

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
        // In the order of Kafka's controller: a wish that is refused stays so, whatever follows for the user.
        let mut judged: Vec<(String, Result<Wish, Refusal>)> = Vec::new();
        for wish in wishes {
            match judged.iter_mut().find(|(user, _)| *user == wish.user) {
                Some((_, Err(_))) => {}
                Some((_, earlier)) => {
                    *earlier = Err(Refusal::new(
                        ResponseError::DuplicateResource,
                        "A user credential cannot be altered twice in the same request",
                    ));
                }
                None => {
                    let checked = core.check_scram(&wish).map(|_| wish.clone());
                    judged.push((wish.user, checked));
                }
            }
        }
        let mut results = Vec::new();
        for (user, checked) in judged {
            let user = StrBytes::from_string(user);
            let altered = checked.and_then(|wish| core.alter_scram(wish));
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
