//! `OffsetCommit`; since version 10 with topic ids (KIP-848).

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};
use kafka_protocol::protocol::{Decodable, StrBytes};

use crate::api::shape::{
    self, Field, I32, I64,
    Kind::{Structs, Text},
    Malformed, UUID, all, between, since,
};
use crate::api::{Answer, Aside, Handler, Response};
use crate::core::groups::{Committer, TopicImage};
use crate::core::offsets::Committed;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = OffsetCommitRequest;
    type Call = OffsetCommitRequest;
    const VERSIONS: (i16, i16) = (2, 10);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(I32),
        all(Text),
        since(7, Text),
        between(2, 4, I64),
        all(Structs(&[
            between(2, 9, Text),
            since(10, UUID),
            all(Structs(&[all(I32), all(I64), since(6, I32), all(Text)])),
        ])),
    ];

    /// The protocol crate knows version 10 of the response alone; the request has a topic's id for its name.
    fn decode(body: &mut Bytes, version: i16) -> Result<Self::Wire, Malformed> {
        let wrong = |_| Malformed("it can't be decoded");
        if version < 10 {
            return OffsetCommitRequest::decode(body, version).map_err(wrong);
        }
        let mut older = shape::ids_as_names(body, Self::SHAPE, version)?.freeze();
        let mut request = OffsetCommitRequest::decode(&mut older, 9).map_err(wrong)?;
        for topic in &mut request.topics {
            topic.topic_id = shape::id_of_name(&topic.name);
            topic.name = TopicName::default();
        }
        Ok(request)
    }

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, mut call: Self::Call) -> Answer {
        if caller.version >= 10 {
            for topic in &mut call.topics {
                let name = core.topics.name_of(topic.topic_id);
                topic.name = TopicName(StrBytes::from_string(
                    name.map_or_else(String::new, ToString::to_string),
                ));
            }
        }
        let group = call.group_id.clone();
        let (accepted, topics) = sort_out(core, caller, call);
        let refused = Response::message(answer(with_error(topics.clone(), ResponseError::NotCoordinator)));
        if accepted.is_empty() {
            return Answer::message(answer(topics));
        }
        match core.commit(&group, accepted) {
            Err(refusal) => Answer::message(answer(with_error(topics, refusal.error))),
            Ok(()) => core.answer_when_safe(caller, &group, Response::message(answer(topics)), refused),
        }
    }
}

type Topics = Vec<OffsetCommitResponseTopic>;

fn answer(topics: Topics) -> OffsetCommitResponse {
    OffsetCommitResponse::default().with_topics(topics)
}

/// Everything that was well is refused.
fn with_error(mut topics: Topics, error: ResponseError) -> Topics {
    let partitions = topics.iter_mut().flat_map(|t| &mut t.partitions);
    for partition in partitions.filter(|p| p.error_code == 0) {
        partition.error_code = error.code();
    }
    topics
}

/// What is to be committed, and what is said of each partition.
fn sort_out(
    core: &mut Core,
    caller: &Caller,
    call: OffsetCommitRequest,
) -> (Vec<(String, i32, Committed)>, Topics) {
    let (mut accepted, mut topics) = (Vec::new(), Topics::new());
    let limit = core.configs.number(caller.broker, "offset.metadata.max.bytes") as usize;
    for topic in &call.topics {
        let known = core.topics.by_name(&topic.name);
        let partitions = topic.partitions.iter().map(|p| {
            let code = match known {
                Some((topic_id, count)) if (0..count).contains(&p.partition_index) => {
                    let metadata = p.committed_metadata.as_ref().map(ToString::to_string);
                    let metadata = metadata.unwrap_or_default();
                    if metadata.encode_utf16().count() > limit {
                        ResponseError::OffsetMetadataTooLarge.code()
                    } else {
                        let committed = Committed {
                            offset: p.committed_offset,
                            leader_epoch: p.committed_leader_epoch,
                            metadata,
                            commit_ms: core.now_ms,
                            topic_id,
                        };
                        accepted.push((topic.name.to_string(), p.partition_index, committed));
                        0
                    }
                }
                None if caller.version >= 10 => ResponseError::UnknownTopicId.code(),
                _ => ResponseError::UnknownTopicOrPartition.code(),
            };
            OffsetCommitResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        topics.push(
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions),
        );
    }
    // A request without a partition that there is does not get as far as the group.
    let unknown = [
        ResponseError::UnknownTopicOrPartition.code(),
        ResponseError::UnknownTopicId.code(),
    ];
    let mut partitions = topics.iter().flat_map(|t| &t.partitions);
    if partitions.all(|p| unknown.contains(&p.error_code)) {
        return (Vec::new(), topics);
    }
    if let Err(error) = check(core, caller, &call, &accepted) {
        for partition in topics.iter_mut().flat_map(|t| &mut t.partitions) {
            if !unknown.contains(&partition.error_code) {
                partition.error_code = error.code();
            }
        }
        accepted.clear();
    }
    (accepted, topics)
}

/// May this member of this generation or epoch commit these.
fn check(
    core: &mut Core,
    caller: &Caller,
    call: &OffsetCommitRequest,
    offsets: &[(String, i32, Committed)],
) -> Result<(), ResponseError> {
    // Before groups had to have names, offsets could be committed without one; they still can.
    core.check_coordinator(caller.broker, &call.group_id)?;
    let by = Committer {
        member: &call.member_id,
        instance: call.group_instance_id.as_deref(),
        generation: call.generation_id_or_member_epoch,
        transactional: false,
        version: caller.version,
    };
    let check = core
        .check_commit(&call.group_id, &by)
        .map_err(|refusal| refusal.error)?;
    offsets
        .iter()
        .try_for_each(|(_, index, committed)| check.partition(committed.topic_id, *index))
}
