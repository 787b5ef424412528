//! `CreatePartitions`.

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I32,
    Kind::{Structs, Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core, Refusal};
use kafka_protocol::ResponseError;

pub(crate) struct Api;

impl Handler for Api {
    type Wire = CreatePartitionsRequest;
    type Call = CreatePartitionsRequest;
    const VERSIONS: (i16, i16) = (0, 3);
    const SHAPE: &'static [Field] = &[
        all(Structs(&[
            all(Text),
            all(I32),
            all(Structs(&[all(Values(&I32))])),
        ])),
        all(I32),
        all(I8),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let mut mutations = core.mutations(caller, 3);
        let mut results = Vec::with_capacity(call.topics.len());
        for (at, topic) in call.topics.iter().enumerate() {
            if call.topics[..at].iter().any(|earlier| earlier.name == topic.name) {
                continue;
            }
            let assignments = topic.assignments.as_ref().map(|all| {
                all.iter()
                    .map(|a| a.broker_ids.iter().map(|id| id.0).collect())
                    .collect()
            });
            let grown = if call
                .topics
                .iter()
                .enumerate()
                .any(|(other, t)| other != at && t.name == topic.name)
            {
                Err(Refusal::new(
                    ResponseError::InvalidRequest,
                    "Duplicate topic name.",
                ))
            } else {
                core.grow_topic(
                    &topic.name,
                    topic.count,
                    assignments,
                    call.validate_only,
                    &mut mutations,
                )
            };
            let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
            results.push(match grown {
                Ok(()) => result.with_error_message(None),
                Err(refusal) => result
                    .with_error_code(refusal.code())
                    .with_error_message(refusal.message.map(StrBytes::from_string)),
            });
        }
        let throttle_ms = core.end_mutations(caller, &mutations);
        let response = CreatePartitionsResponse::default().with_throttle_time_ms(throttle_ms);
        Answer::message(response.with_results(results))
    }
}
