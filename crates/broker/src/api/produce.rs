//! `Produce`. Batches are checked by the connection; the core appends them.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::shape::{
    Field, I16, I32,
    Kind::{Bytes as Raw, Structs, Text},
    UUID, all, between, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::produces::Pending;
use crate::core::replication::Key;
use crate::core::transactions::state::Producer;
use crate::core::transactions::verify::{Ask, Client, Refused};
use crate::core::{Caller, Core, Refusal, throttles};
use crate::log::{Append, BatchHeader, InvalidBatch, LogError, NO_KEY, ProduceRules, ValidBatch, validate};

pub(crate) struct Api;

/// One partition's batch, checked.
pub(crate) struct Part {
    index: i32,
    batch: Result<ValidBatch, Rejected>,
}

/// A batch that goes no further.
pub(crate) struct Rejected {
    error: ResponseError,
    message: Option<String>,
    records: Vec<(i32, String)>,
    /// The log's start, where it was the log that refused; Kafka tells it then.
    log_start: i64,
    /// Was it refused before the log was looked at.
    before_log: bool,
}

/// A checked request.
pub(crate) struct Call {
    acks: i16,
    timeout_ms: i32,
    transactional_id: Option<String>,
    bytes: u32,
    topics: Vec<(TopicName, Uuid, Vec<Part>)>,
}

impl Handler for Api {
    type Wire = ProduceRequest;
    type Call = Call;
    const VERSIONS: (i16, i16) = (3, 13);
    const SHAPE: &'static [Field] = &[
        all(Text),
        all(I16),
        all(I32),
        all(Structs(&[
            between(0, 12, Text),
            since(13, UUID),
            all(Structs(&[all(I32), all(Raw)])),
        ])),
    ];

    fn prepare(wire: ProduceRequest, version: i16, aside: &Aside) -> Call {
        let topics = wire.topic_data.into_iter().map(|topic| {
            let rules = aside.rules.read().ok().and_then(|rules| {
                let by_id = version >= 13;
                if by_id {
                    rules.by_id.get(&topic.topic_id).copied()
                } else {
                    rules.by_name.get(&**topic.name).copied()
                }
            });
            let parts = topic.partition_data.into_iter();
            let parts = parts
                .map(|part| Part {
                    index: part.index,
                    batch: check(part.records, rules.as_ref(), version, aside.now_ms),
                })
                .collect();
            (topic.name, topic.topic_id, parts)
        });
        Call {
            acks: wire.acks,
            timeout_ms: wire.timeout_ms,
            transactional_id: wire.transactional_id.map(|id| id.to_string()),
            bytes: aside.bytes,
            topics: topics.collect(),
        }
    }

    fn handle(core: &mut Core, caller: &Caller, call: Call) -> Answer {
        let producers = call.transactional_producers();
        let Some(producer) = producers.first().copied() else {
            return append_all(core, caller, call, &Refused::new());
        };
        let ask = match &call.transactional_id {
            None => Err(ResponseError::TransactionalIdAuthorizationFailed),
            Some(_) if producers.len() > 1 => Err(ResponseError::InvalidProducerIdMapping),
            Some(id) => Ok(Ask {
                transactional_id: id.clone(),
                producer,
                client: match caller.version {
                    12.. => Client::Second,
                    11 => Client::First,
                    _ => Client::Old,
                },
                partitions: call.transactional_partitions(core, caller),
            }),
        };
        match ask {
            Err(error) => refuse_all(call, caller, error),
            Ok(ask) => {
                let caller = caller.clone();
                core.ask_coordinator(caller.broker, ask, move |core, refused| {
                    let answer = append_all(core, &caller, call, &refused);
                    core.answer(caller.request, answer);
                });
                Answer::Later
            }
        }
    }
}

impl Call {
    fn transactional_batches(&self) -> impl Iterator<Item = (&TopicName, Uuid, i32, &BatchHeader)> {
        self.topics.iter().flat_map(|(name, id, parts)| {
            parts.iter().filter_map(move |part| {
                let header = part.batch.as_ref().ok()?.header();
                (header.is_transactional() && header.has_producer())
                    .then_some((name, *id, part.index, header))
            })
        })
    }

    /// Every producer with a transactional batch in it; one, where the client is no fool.
    fn transactional_producers(&self) -> Vec<Producer> {
        let mut producers: Vec<Producer> = Vec::new();
        for (_, _, _, header) in self.transactional_batches() {
            let producer = Producer {
                id: header.producer_id,
                epoch: header.producer_epoch,
            };
            if !producers.contains(&producer) {
                producers.push(producer);
            }
        }
        producers
    }

    fn transactional_partitions(&self, core: &Core, caller: &Caller) -> Vec<(Arc<str>, i32, i32)> {
        self.transactional_batches()
            .filter_map(|(name, id, index, header)| {
                Some((topic_of(core, caller, name, id)?, index, header.base_sequence))
            })
            .collect()
    }
}

/// The topic that a request names, by its name or its id.
fn topic_of(core: &Core, caller: &Caller, name: &TopicName, id: Uuid) -> Option<Arc<str>> {
    if caller.version >= 13 {
        core.topics.name_of(id).cloned()
    } else {
        core.topics.get(name).map(|topic| topic.name.clone())
    }
}

fn refuse_all(call: Call, caller: &Caller, error: ResponseError) -> Answer {
    let topics = call.topics.into_iter().map(|(name, id, parts)| {
        let results = parts
            .iter()
            .map(|part| refusal(error.into()).with_index(part.index));
        let results = results.collect();
        TopicProduceResponse::default()
            .with_name(name)
            .with_topic_id(id)
            .with_partition_responses(results)
    });
    tracing::debug!(
        client = &*caller.client_id,
        ?error,
        "a transactional request is refused"
    );
    if call.acks == 0 {
        return Answer::Silent;
    }
    Answer::message(ProduceResponse::default().with_responses(topics.collect()))
}

/// Appends every batch but those that are `refused`.
fn append_all(core: &mut Core, caller: &Caller, call: Call, refused: &Refused) -> Answer {
    let acks_error = if (-1..=1).contains(&call.acks) {
        None
    } else {
        Some(ResponseError::InvalidRequiredAcks)
    };
    let mut answers: Vec<TopicProduceResponse> = Vec::with_capacity(call.topics.len());
    let mut pending = Vec::new();
    let mut told = Vec::new();
    for (name, id, parts) in call.topics {
        let known = topic_of(core, caller, &name, id);
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            let result = match (acks_error, &known) {
                (Some(error), _) => Err(error.into()),
                (None, Some(topic)) => match refused.get(&(topic.to_string(), part.index)) {
                    Some(refusal) => Err(refusal.clone().into()),
                    None => append(core, caller, topic, part.index, call.acks, part.batch),
                },
                (None, None) if caller.version >= 13 => Err(ResponseError::UnknownTopicId.into()),
                (None, None) => Err(ResponseError::UnknownTopicOrPartition.into()),
            };
            let place = (answers.len(), results.len());
            let result = match result {
                Ok(done) => {
                    let waits = done.waits_for.filter(|_| call.acks == -1);
                    pending.extend(waits.map(|(key, offset)| Pending { key, offset, place }));
                    done.response
                }
                Err(rejected)
                    if caller.version >= 10 && rejected.error == ResponseError::NotLeaderOrFollower =>
                {
                    refusal(rejected).with_current_leader(leader(
                        core,
                        known.as_deref(),
                        part.index,
                        &mut told,
                    ))
                }
                Err(rejected) => refusal(rejected),
            };
            results.push(result.with_index(part.index));
        }
        answers.push(
            TopicProduceResponse::default()
                .with_name(name)
                .with_topic_id(id)
                .with_partition_responses(results),
        );
    }
    let throttle_ms = core.count_bytes(throttles::Kind::Produce, caller, call.bytes as usize);
    if call.acks == 0 {
        return Answer::Silent;
    }
    let response = ProduceResponse::default()
        .with_throttle_time_ms(throttle_ms)
        .with_responses(answers)
        .with_node_endpoints(told);
    if pending.is_empty() {
        return Answer::message(response);
    }
    core.settle();
    let timeout_ms = i64::from(call.timeout_ms);
    core.await_replicas(caller, response, pending, timeout_ms)
        .map_or(Answer::Later, Answer::message)
}

/// A batch in the leader's log.
struct Done {
    response: PartitionProduceResponse,
    /// The partition, and the high watermark at which the batch is committed; nothing where it is already.
    waits_for: Option<(Key, i64)>,
}

/// Who leads a partition (KIP-951); a leader's address is told once.
fn leader(core: &Core, topic: Option<&str>, index: i32, told: &mut Vec<NodeEndpoint>) -> LeaderIdAndEpoch {
    let Some((id, epoch)) = topic.and_then(|topic| core.leader_of(topic, index)) else {
        return LeaderIdAndEpoch::default();
    };
    if let Some(node) = core
        .nodes
        .get(&id)
        .filter(|_| told.iter().all(|one| one.node_id.0 != id))
    {
        told.push(
            NodeEndpoint::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_string(node.host.clone()))
                .with_port(i32::from(node.port)),
        );
    }
    LeaderIdAndEpoch::default()
        .with_leader_id(BrokerId(id))
        .with_leader_epoch(epoch)
}

impl Rejected {
    /// Says where a record without a key was refused, as Kafka does.
    fn in_partition(mut self, topic: &str, index: i32) -> Self {
        let whole = format!("{NO_KEY} in topic partition {topic}-{index}");
        for (_, message) in self.records.iter_mut().filter(|(_, message)| message == NO_KEY) {
            message.clone_from(&whole);
        }
        self.message = self.message.map(|message| message.replace(NO_KEY, &whole));
        self
    }
}

impl From<ResponseError> for Rejected {
    fn from(error: ResponseError) -> Self {
        Self {
            error,
            message: None,
            records: Vec::new(),
            log_start: -1,
            before_log: true,
        }
    }
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self {
            error: refusal.error,
            message: refusal.message,
            records: Vec::new(),
            log_start: -1,
            before_log: true,
        }
    }
}

impl From<InvalidBatch> for Rejected {
    fn from(invalid: InvalidBatch) -> Self {
        Self {
            error: invalid.code(),
            message: invalid.message(),
            before_log: invalid.is_before_log(),
            log_start: -1,
            records: invalid
                .record_errors()
                .iter()
                .map(|e| (e.index, e.message.clone()))
                .collect(),
        }
    }
}

fn check(
    records: Option<Bytes>,
    rules: Option<&ProduceRules>,
    version: i16,
    now_ms: i64,
) -> Result<ValidBatch, Rejected> {
    let Some(rules) = rules else {
        let by_id = version >= 13;
        let error = if by_id {
            ResponseError::UnknownTopicId
        } else {
            ResponseError::UnknownTopicOrPartition
        };
        return Err(error.into());
    };
    Ok(validate(records.unwrap_or_default(), rules, now_ms)?)
}

fn append(
    core: &mut Core,
    caller: &Caller,
    topic: &str,
    index: i32,
    acks: i16,
    batch: Result<ValidBatch, Rejected>,
) -> Result<Done, Rejected> {
    let now_ms = core.now_ms;
    let min_isr = if acks == -1 { core.min_in_sync(topic) } else { 1 };
    let Some(topic) = core.topics.get_mut(topic) else {
        return Err(ResponseError::UnknownTopicOrPartition.into());
    };
    let (id, internal) = (topic.id, topic.is_internal());
    let name = topic.name.clone();
    let partition = usize::try_from(index)
        .ok()
        .and_then(|at| topic.partitions.get_mut(at));
    let Some(partition) = partition else {
        return Err(ResponseError::UnknownTopicOrPartition.into());
    };
    if internal && &*caller.client_id != "__admin_client" {
        return Err(Rejected {
            error: ResponseError::InvalidTopicException,
            message: Some(format!("Cannot append to internal topic {}", topic.name)),
            ..ResponseError::InvalidTopicException.into()
        });
    }
    let batch = batch.map_err(|rejected| {
        let start = partition
            .led_by(caller.broker)
            .map_or(-1, |replica| replica.log.start_offset());
        let log_start = if rejected.before_log { -1 } else { start };
        Rejected {
            log_start,
            ..rejected.in_partition(&topic.name, index)
        }
    })?;
    let epoch = partition.leader_epoch;
    let in_sync = partition.isr.len();
    let sole = partition.is_sole();
    let Some(replica) = partition.led_by_mut(caller.broker) else {
        return Err(ResponseError::NotLeaderOrFollower.into());
    };
    if in_sync < min_isr {
        core.witness.note(id, &name, |seen| seen.refused += 1);
        return Err(ResponseError::NotEnoughReplicas.into());
    }
    let appended = replica
        .log
        .append(&batch, epoch, now_ms)
        .map_err(|error| Rejected {
            error: error.code(),
            // Of what is wrong with a producer, Kafka tells the number only.
            message: (!matches!(error, LogError::Producer(_))).then(|| error.to_string()),
            ..error.code().into()
        })?;
    let end = replica.log.end_offset();
    core.appended(id, index);
    if caller.answer_is_lost {
        core.witness.note(id, &name, |seen| seen.unanswered += 1);
    }
    let (base, time, start) = match appended {
        Append::Written(written) => (
            written.base_offset,
            written.log_append_time_ms,
            written.log_start_offset,
        ),
        Append::Duplicate {
            base_offset,
            log_append_time_ms,
            log_start_offset,
        } => {
            core.witness.note(id, &name, |seen| seen.recognised += 1);
            (base_offset, log_append_time_ms, log_start_offset)
        }
    };
    let response = PartitionProduceResponse::default()
        .with_base_offset(base)
        .with_log_append_time_ms(time.unwrap_or(-1))
        .with_log_start_offset(start)
        .with_error_message(None);
    Ok(Done {
        response,
        waits_for: (!sole).then_some(((id, index), end)),
    })
}

fn refusal(rejected: Rejected) -> PartitionProduceResponse {
    let records = rejected.records.into_iter().map(|(index, message)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(StrBytes::from_string(message)))
    });
    PartitionProduceResponse::default()
        .with_error_code(rejected.error.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(rejected.log_start)
        .with_record_errors(records.collect())
        .with_error_message(rejected.message.map(StrBytes::from_string))
}
