//! `TxnOffsetCommit`: offsets that hold once the transaction commits (KIP-98, KIP-447).

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::api::shape::{
    Field, I16, I32, I64,
    Kind::{Structs, Text},
    all, since,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::groups::{Committer, TopicImage};
use crate::core::offsets::{Committed, partition_for};
use crate::core::topics::OFFSETS_TOPIC;
use crate::core::transactions::coordinator_error;
use crate::core::transactions::state::Producer;
use crate::core::transactions::verify::{Ask, Client};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = TxnOffsetCommitRequest;
    type Call = TxnOffsetCommitRequest;
    const VERSIONS: (i16, i16) = (0, 5);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(Text),
        all(I64),
        all(I16),
        since(3, I32),
        since(3, Text),
        since(3, Text),
        all(Structs(&[
            all(Text),
            all(Structs(&[all(I32), all(I64), since(2, I32), all(Text)])),
        ])),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let (accepted, topics) = sort_out(core, &call);
        if accepted.is_empty() {
            return Answer::message(TxnOffsetCommitResponse::default().with_topics(topics));
        }
        let refuse = |error| Answer::message(respond(topics.clone(), caller.version, Err(error)));
        if call.group_id.is_empty() {
            return refuse(ResponseError::InvalidGroupId);
        }
        if let Err(refusal) = core.ensure_offsets_topic() {
            return refuse(refusal.error);
        }
        if core.coordinator_of(&call.group_id) != Some(caller.broker) {
            return refuse(ResponseError::NotCoordinator);
        }
        let count = core.topics.get(OFFSETS_TOPIC).map_or(1, |t| t.partitions.len());
        let index = partition_for(&call.group_id, count as i32);
        let topic: Arc<str> = OFFSETS_TOPIC.into();
        let ask = Ask {
            transactional_id: call.transactional_id.to_string(),
            producer: producer(&call),
            client: match caller.version {
                5.. => Client::Second,
                4 => Client::First,
                _ => Client::Old,
            },
            partitions: vec![(topic, index, -1)],
        };
        let caller = caller.clone();
        core.ask_coordinator(caller.broker, ask, move |core, mut refused| {
            match refused.remove(&(OFFSETS_TOPIC.to_owned(), index)) {
                Some(refusal) => answer(core, &caller, topics, Err(refusal.error)),
                None => commit(core, &caller, &call, accepted, topics),
            }
        });
        Answer::Later
    }
}

type Accepted = Vec<(String, i32, Committed)>;

/// The offsets of partitions that exist, and the answer with the errors of the others.
fn sort_out(core: &Core, call: &TxnOffsetCommitRequest) -> (Accepted, Vec<TxnOffsetCommitResponseTopic>) {
    let limit = core
        .configs
        .number(core.first_broker(), "offset.metadata.max.bytes") as usize;
    let mut accepted = Vec::new();
    let topics = call.topics.iter().map(|topic| {
        let (topic_id, count) = core.topics.by_name(&topic.name).unwrap_or_default();
        let partitions = topic.partitions.iter().map(|p| {
            let metadata = p.committed_metadata.as_deref().unwrap_or_default();
            let error = if !(0..count).contains(&p.partition_index) {
                ResponseError::UnknownTopicOrPartition.code()
            } else if metadata.len() > limit {
                ResponseError::OffsetMetadataTooLarge.code()
            } else {
                let committed = Committed {
                    offset: p.committed_offset,
                    leader_epoch: p.committed_leader_epoch,
                    metadata: metadata.to_owned(),
                    commit_ms: core.now_ms,
                    topic_id,
                };
                accepted.push((topic.name.to_string(), p.partition_index, committed));
                0
            };
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(error)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let topics = topics.collect();
    (accepted, topics)
}

fn producer(call: &TxnOffsetCommitRequest) -> Producer {
    Producer {
        id: call.producer_id.0,
        epoch: call.producer_epoch,
    }
}

fn commit(
    core: &mut Core,
    caller: &Caller,
    call: &TxnOffsetCommitRequest,
    accepted: Accepted,
    topics: Vec<TxnOffsetCommitResponseTopic>,
) {
    let by = Committer {
        member: &call.member_id,
        instance: call.group_instance_id.as_deref(),
        generation: call.generation_id,
        transactional: true,
        version: caller.version,
    };
    let checked = core.check_transactional_commit(&call.group_id, &by, &accepted);
    let appended = checked.and_then(|()| core.append_offsets(&call.group_id, producer(call), accepted));
    match appended {
        Err(error) => answer(core, caller, topics, Err(error)),
        Ok(appended) => {
            let caller = caller.clone();
            core.when_replicated(appended, move |core, result| {
                answer(core, &caller, topics, result);
            });
        }
    }
}

fn answer(
    core: &mut Core,
    caller: &Caller,
    topics: Vec<TxnOffsetCommitResponseTopic>,
    result: Result<(), ResponseError>,
) {
    let response = respond(topics, caller.version, result);
    core.reply(caller.request, Response::message(response));
}

/// Gives an error to every partition that has none of its own.
fn respond(
    mut topics: Vec<TxnOffsetCommitResponseTopic>,
    version: i16,
    result: Result<(), ResponseError>,
) -> TxnOffsetCommitResponse {
    if let Err(error) = result.map_err(coordinator_error) {
        // Clients before 2.3 can't deal with a coordinator that is loading.
        let error = match error {
            ResponseError::CoordinatorLoadInProgress if version < 2 => ResponseError::CoordinatorNotAvailable,
            other => other,
        };
        let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        for partition in partitions.filter(|partition| partition.error_code == 0) {
            partition.error_code = error.code();
        }
    }
    TxnOffsetCommitResponse::default().with_topics(topics)
}
