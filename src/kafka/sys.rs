//! The admin requests that rdkafka's safe interface lacks, or answers without the broker's own message.
//!
//! The only module with `unsafe`. Its shape keeps it checkable:
//! - every native object that we own is an [`Owned`], destroyed exactly once by its own function;
//! - every request goes through [`Native::ask`]: options and queue are made, the request is enqueued, its one result
//!   event is awaited, read while it is alive, and destroyed; nothing borrowed from it leaves `read`;
//! - librdkafka copies all arguments of a request before the enqueuing call returns, so that they may be dropped then.
//!
//! Names in here are the cluster's; prefixes are [`Admin`](super::Admin)'s matter.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use rdkafka::bindings::rd_kafka_admin_op_t as Op;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};

use super::model::{
    Broker, ConfigChange, ConfigEntry, ConfigSource, Group, GroupListing, GroupState, Member, NewTopic,
    Partition, PerPartition, Resource, Synonym, Topic, TopicPartition,
};
use super::{KafkaError, KafkaResult};

/// librdkafka's text buffers for errors.
const ERROR_TEXT_BYTES: usize = 512;

/// How much longer than the request's own timeout we wait for its event: it always comes, and says what happened.
const GRACE: Duration = Duration::from_secs(2);

/// Kafka's name of an error code.
pub(super) fn name_of(code: RDKafkaErrorCode) -> String {
    // SAFETY: returns a static string for every value.
    code_of(code).map_or_else(
        || format!("ERROR_{}", code as i32),
        |code| unsafe { text(rd::rd_kafka_err2name(code)) },
    )
}

/// librdkafka's text for an error code.
pub(super) fn text_of(code: RDKafkaErrorCode) -> String {
    // SAFETY: as above.
    code_of(code).map_or_else(
        || code.to_string(),
        |code| unsafe { text(rd::rd_kafka_err2str(code)) },
    )
}

/// The code of the error that Kafka calls `name`.
pub(super) fn code_named(name: &str) -> Option<i16> {
    const LAST: i32 = 200;
    /// Kafka has renamed these since librdkafka named them.
    const RENAMED: [(&str, i16); 5] = [
        ("CORRUPT_MESSAGE", 2),
        ("NOT_LEADER_OR_FOLLOWER", 6),
        ("COORDINATOR_LOAD_IN_PROGRESS", 14),
        ("COORDINATOR_NOT_AVAILABLE", 15),
        ("NOT_COORDINATOR", 16),
    ];
    if let Some((_, code)) = RENAMED.iter().find(|(known, _)| *known == name) {
        return Some(*code);
    }
    (1..=LAST)
        .find(|code| {
            // SAFETY: returns a static string for every known value; others don't convert.
            rd::rd_kafka_resp_err_t::try_from(*code)
                .is_ok_and(|code| unsafe { text(rd::rd_kafka_err2name(code)) } == name)
        })
        .and_then(|code| i16::try_from(code).ok())
}

/// librdkafka's value of a code on the wire; `Unknown` where it has none.
pub(super) fn code_on_the_wire(code: i16) -> RDKafkaErrorCode {
    rd::rd_kafka_resp_err_t::try_from(i32::from(code)).map_or(RDKafkaErrorCode::Unknown, Into::into)
}

fn code_of(code: RDKafkaErrorCode) -> Option<rd::rd_kafka_resp_err_t> {
    rd::rd_kafka_resp_err_t::try_from(code as i32).ok()
}

/// A native object of ours.
struct Owned<T> {
    raw: *mut T,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes ownership; a null pointer means that librdkafka refused to make the object.
    fn new(raw: *mut T, destroy: unsafe extern "C" fn(*mut T), refused: &str) -> KafkaResult<Self> {
        if raw.is_null() {
            return Err(invalid(refused));
        }
        Ok(Self { raw, destroy })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: not null, ours, and destroyed only here.
        unsafe { (self.destroy)(self.raw) }
    }
}

fn invalid(message: impl Into<String>) -> KafkaError {
    KafkaError {
        message: message.into(),
        ..KafkaError::of(RDKafkaErrorCode::InvalidArgument)
    }
}

fn c_string(value: &str) -> KafkaResult<CString> {
    CString::new(value).map_err(|_| invalid(format!("{value:?} holds a zero byte")))
}

/// SAFETY: `raw` is null or a string that lives during the call.
unsafe fn text(raw: *const c_char) -> String {
    unsafe { optional_text(raw) }.unwrap_or_default()
}

/// SAFETY: as [`text`].
unsafe fn optional_text(raw: *const c_char) -> Option<String> {
    (!raw.is_null()).then(|| unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned())
}

/// SAFETY: `raw` is null or points to `count` elements that outlive the slice.
unsafe fn slice<'a, T>(raw: *const T, count: usize) -> &'a [T] {
    if raw.is_null() || count == 0 {
        return &[];
    }
    unsafe { std::slice::from_raw_parts(raw, count) }
}

/// The array that an accessor `f(object, &mut count)` returns.
macro_rules! array {
    ($f:path, $object:expr) => {{
        let mut count = 0usize;
        let raw = $f($object, &raw mut count);
        slice(raw, count)
    }};
}

fn check(code: rd::rd_kafka_resp_err_t, message: Option<String>) -> KafkaResult<()> {
    if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    let mut error = KafkaError::of(code.into());
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        error.message = message;
    }
    Err(error)
}

/// SAFETY: `error` is null or alive.
unsafe fn check_error(error: *const rd::rd_kafka_error_t) -> KafkaResult<()> {
    if error.is_null() {
        return Ok(());
    }
    unsafe {
        check(
            rd::rd_kafka_error_code(error),
            Some(text(rd::rd_kafka_error_string(error))),
        )
    }
}

/// A client handle for admin requests, with the time that each may take.
pub(super) struct Native {
    /// A producer, because it is the lighter of librdkafka's two kinds of client.
    producer: BaseProducer,
    timeout: Duration,
}

/// How long a request may take where it takes effect on the broker after the answer.
#[derive(Clone, Copy, PartialEq)]
enum Wait {
    Answer,
    Effect,
}

impl Native {
    pub(super) fn new(config: &ClientConfig, timeout: Duration) -> KafkaResult<Self> {
        Ok(Self {
            producer: config.create()?,
            timeout,
        })
    }

    /// The safe client of the same handle.
    pub(super) fn producer(&self) -> &BaseProducer {
        &self.producer
    }

    fn timeout_ms(&self) -> c_int {
        c_int::try_from(self.timeout.as_millis()).unwrap_or(c_int::MAX)
    }

    /// Sends one admin request and reads its result; `submit` and `read` as for [`ask_once`](Self::ask_once).
    fn ask<T>(
        &self,
        op: Op,
        wait: Wait,
        mut submit: impl FnMut(*mut rd::rd_kafka_t, *mut rd::rd_kafka_AdminOptions_t, *mut rd::rd_kafka_queue_t),
        read: impl Fn(*mut rd::rd_kafka_event_t) -> KafkaResult<T>,
    ) -> KafkaResult<T> {
        let deadline = Instant::now() + self.timeout;
        let mut refreshed = false;
        loop {
            match self.ask_once(op, wait, &mut submit, &read) {
                // Nothing was sent: librdkafka waits for the broker that was the controller, also when it has stopped, until
                // something else asks for metadata, which can take minutes.
                Err(error) if error.missed_controller() && !refreshed => {
                    self.producer.client().fetch_metadata(None, self.timeout)?;
                    refreshed = true;
                }
                // librdkafka asks another broker by itself for metadata only. What has an effect may have had it.
                Err(error) if error.broker_left() && wait == Wait::Answer && Instant::now() < deadline => {}
                answer => return answer,
            }
        }
    }

    /// `submit` gets the client, the options and the queue; `read` gets the event of the answer.
    fn ask_once<T>(
        &self,
        op: Op,
        wait: Wait,
        mut submit: impl FnMut(*mut rd::rd_kafka_t, *mut rd::rd_kafka_AdminOptions_t, *mut rd::rd_kafka_queue_t),
        read: impl Fn(*mut rd::rd_kafka_event_t) -> KafkaResult<T>,
    ) -> KafkaResult<T> {
        let client = self.producer.client().native_ptr();
        let mut reason = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: `client` lives as long as `self`; options, queue and event are owned and outlive their uses here.
        unsafe {
            let options = Owned::new(
                rd::rd_kafka_AdminOptions_new(client, op),
                rd::rd_kafka_AdminOptions_destroy,
                "no options for this request",
            )?;
            let set = rd::rd_kafka_AdminOptions_set_request_timeout(
                options.raw,
                self.timeout_ms(),
                reason.as_mut_ptr(),
                reason.len(),
            );
            check(set, Some(text(reason.as_ptr())))?;
            if wait == Wait::Effect {
                let set = rd::rd_kafka_AdminOptions_set_operation_timeout(
                    options.raw,
                    self.timeout_ms(),
                    reason.as_mut_ptr(),
                    reason.len(),
                );
                check(set, Some(text(reason.as_ptr())))?;
            }
            let queue = Owned::new(
                rd::rd_kafka_queue_new(client),
                rd::rd_kafka_queue_destroy,
                "no queue",
            )?;
            submit(client, options.raw, queue.raw);
            let patience = c_int::try_from((self.timeout + GRACE).as_millis()).unwrap_or(c_int::MAX);
            let event = rd::rd_kafka_queue_poll(queue.raw, patience);
            if event.is_null() {
                return Err(KafkaError::of(RDKafkaErrorCode::OperationTimedOut));
            }
            let event = Owned::new(event, rd::rd_kafka_event_destroy, "no answer")?;
            check(
                rd::rd_kafka_event_error(event.raw),
                optional_text(rd::rd_kafka_event_error_string(event.raw)),
            )?;
            read(event.raw)
        }
    }

    pub(super) fn create_topic(&self, new: &NewTopic) -> KafkaResult<()> {
        let name = c_string(&new.name)?;
        let mut reason = [0 as c_char; ERROR_TEXT_BYTES];
        // -1: the broker's default; with an assignment the count is the assignment's.
        let (partitions, replicas) = if new.assignment.is_empty() {
            (new.partitions.unwrap_or(-1), new.replicas.unwrap_or(-1))
        } else {
            (c_int::try_from(new.assignment.len()).unwrap_or(c_int::MAX), -1)
        };
        // SAFETY: all pointers live during the calls; `topic` is owned.
        unsafe {
            let raw = rd::rd_kafka_NewTopic_new(
                name.as_ptr(),
                partitions,
                replicas,
                reason.as_mut_ptr(),
                reason.len(),
            );
            let topic = Owned::new(raw, rd::rd_kafka_NewTopic_destroy, &text(reason.as_ptr()))?;
            for (partition, brokers) in (0..).zip(&new.assignment) {
                let mut brokers = brokers.clone();
                let set = rd::rd_kafka_NewTopic_set_replica_assignment(
                    topic.raw,
                    partition,
                    brokers.as_mut_ptr(),
                    brokers.len(),
                    reason.as_mut_ptr(),
                    reason.len(),
                );
                check(set, Some(text(reason.as_ptr())))?;
            }
            for (name, value) in &new.config {
                let (name, value) = (c_string(name)?, c_string(value)?);
                check(
                    rd::rd_kafka_NewTopic_set_config(topic.raw, name.as_ptr(), value.as_ptr()),
                    None,
                )?;
            }
            let mut topics = [topic.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_CREATETOPICS,
                Wait::Effect,
                |client, options, queue| {
                    rd::rd_kafka_CreateTopics(client, topics.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_CreateTopics_result(event);
                    topic_result(array!(rd::rd_kafka_CreateTopics_result_topics, result))
                },
            )
        }
    }

    pub(super) fn delete_topic(&self, name: &str) -> KafkaResult<()> {
        let name = c_string(name)?;
        // SAFETY: as in `create_topic`.
        unsafe {
            let raw = rd::rd_kafka_DeleteTopic_new(name.as_ptr());
            let topic = Owned::new(raw, rd::rd_kafka_DeleteTopic_destroy, "no such request")?;
            let mut topics = [topic.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_DELETETOPICS,
                Wait::Effect,
                |client, options, queue| {
                    rd::rd_kafka_DeleteTopics(client, topics.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_DeleteTopics_result(event);
                    topic_result(array!(rd::rd_kafka_DeleteTopics_result_topics, result))
                },
            )
        }
    }

    pub(super) fn create_partitions(&self, name: &str, total: usize) -> KafkaResult<()> {
        let name = c_string(name)?;
        let mut reason = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: as in `create_topic`.
        unsafe {
            let raw = rd::rd_kafka_NewPartitions_new(name.as_ptr(), total, reason.as_mut_ptr(), reason.len());
            let new = Owned::new(raw, rd::rd_kafka_NewPartitions_destroy, &text(reason.as_ptr()))?;
            let mut news = [new.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS,
                Wait::Effect,
                |client, options, queue| {
                    rd::rd_kafka_CreatePartitions(client, news.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_CreatePartitions_result(event);
                    topic_result(array!(rd::rd_kafka_CreatePartitions_result_topics, result))
                },
            )
        }
    }

    /// One result for each name, in the cluster's order.
    pub(super) fn describe_topics(&self, names: &[String]) -> KafkaResult<Vec<(String, KafkaResult<Topic>)>> {
        let names: Vec<CString> = names
            .iter()
            .map(|name| c_string(name))
            .collect::<KafkaResult<_>>()?;
        let mut raw: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: as in `create_topic`.
        unsafe {
            let collection = Owned::new(
                rd::rd_kafka_TopicCollection_of_topic_names(raw.as_mut_ptr(), raw.len()),
                rd::rd_kafka_TopicCollection_destroy,
                "no topic was named",
            )?;
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
                Wait::Answer,
                |client, options, queue| rd::rd_kafka_DescribeTopics(client, collection.raw, options, queue),
                |event| {
                    let result = rd::rd_kafka_event_DescribeTopics_result(event);
                    let topics = array!(rd::rd_kafka_DescribeTopics_result_topics, result);
                    Ok(topics.iter().map(|topic| read_topic(*topic)).collect())
                },
            )
        }
    }

    pub(super) fn configs(&self, resource: &Resource) -> KafkaResult<Vec<ConfigEntry>> {
        let resource = native_resource(resource)?;
        let mut resources = [resource.raw];
        // SAFETY: as in `create_topic`.
        unsafe {
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
                Wait::Answer,
                |client, options, queue| {
                    rd::rd_kafka_DescribeConfigs(client, resources.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_DescribeConfigs_result(event);
                    let mut entries = Vec::new();
                    for resource in array!(rd::rd_kafka_DescribeConfigs_result_resources, result) {
                        check_resource(*resource)?;
                        for entry in array!(rd::rd_kafka_ConfigResource_configs, *resource) {
                            entries.push(read_config(*entry));
                        }
                    }
                    Ok(entries)
                },
            )
        }
    }

    pub(super) fn alter_configs(&self, resource: &Resource, changes: &[ConfigChange]) -> KafkaResult<()> {
        let resource = native_resource(resource)?;
        // SAFETY: as in `create_topic`; a returned error is owned and destroyed.
        unsafe {
            for change in changes {
                let (name, value, op) = match change {
                    ConfigChange::Set(name, value) => (
                        name,
                        Some(c_string(value)?),
                        rd::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
                    ),
                    ConfigChange::Delete(name) => (
                        name,
                        None,
                        rd::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE,
                    ),
                };
                let name = c_string(name)?;
                let value = value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
                let error = rd::rd_kafka_ConfigResource_add_incremental_config(
                    resource.raw,
                    name.as_ptr(),
                    op,
                    value,
                );
                if !error.is_null() {
                    let error = Owned::new(error, rd::rd_kafka_error_destroy, "")?;
                    check_error(error.raw)?;
                }
            }
            let mut resources = [resource.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
                Wait::Answer,
                |client, options, queue| {
                    rd::rd_kafka_IncrementalAlterConfigs(client, resources.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_IncrementalAlterConfigs_result(event);
                    array!(rd::rd_kafka_IncrementalAlterConfigs_result_resources, result)
                        .iter()
                        .try_for_each(|resource| check_resource(*resource))
                },
            )
        }
    }

    /// `specs`: topic, partition and a timestamp or one of Kafka's special values (-1 latest, -2 earliest, -3 max).
    /// With `stable`, latest is the last stable offset.
    pub(super) fn list_offsets(
        &self,
        specs: &[(TopicPartition, i64)],
        stable: bool,
    ) -> KafkaResult<PerPartition<i64>> {
        let list = native_list(specs)?;
        // SAFETY: as in `create_topic`.
        unsafe {
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
                Wait::Answer,
                |client, options, queue| {
                    if stable {
                        let level = rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
                        let refused = rd::rd_kafka_AdminOptions_set_isolation_level(options, level);
                        debug_assert!(refused.is_null(), "this request has an isolation level");
                    }
                    rd::rd_kafka_ListOffsets(client, list.raw, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_ListOffsets_result(event);
                    let infos = array!(rd::rd_kafka_ListOffsets_result_infos, result);
                    Ok(infos
                        .iter()
                        .map(|info| {
                            read_partition(&*rd::rd_kafka_ListOffsetsResultInfo_topic_partition(*info))
                        })
                        .collect())
                },
            )
        }
    }

    pub(super) fn groups(&self) -> KafkaResult<Vec<GroupListing>> {
        // SAFETY: as in `create_topic`.
        unsafe {
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS,
                Wait::Answer,
                |client, options, queue| rd::rd_kafka_ListConsumerGroups(client, options, queue),
                |event| {
                    let result = rd::rd_kafka_event_ListConsumerGroups_result(event);
                    for error in array!(rd::rd_kafka_ListConsumerGroups_result_errors, result) {
                        check_error(*error)?;
                    }
                    let listings = array!(rd::rd_kafka_ListConsumerGroups_result_valid, result);
                    Ok(listings
                        .iter()
                        .map(|listing| GroupListing {
                            name: text(rd::rd_kafka_ConsumerGroupListing_group_id(*listing)),
                            state: state_of(rd::rd_kafka_ConsumerGroupListing_state(*listing)),
                            kind: text(rd::rd_kafka_consumer_group_type_name(
                                rd::rd_kafka_ConsumerGroupListing_type(*listing),
                            )),
                        })
                        .collect())
                },
            )
        }
    }

    pub(super) fn group(&self, name: &str) -> KafkaResult<Group> {
        let name = c_string(name)?;
        let mut names = [name.as_ptr()];
        // SAFETY: as in `create_topic`.
        unsafe {
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
                Wait::Answer,
                |client, options, queue| {
                    rd::rd_kafka_DescribeConsumerGroups(client, names.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_DescribeConsumerGroups_result(event);
                    let groups = array!(rd::rd_kafka_DescribeConsumerGroups_result_groups, result);
                    let group = *groups
                        .first()
                        .ok_or_else(|| invalid("the answer holds no group"))?;
                    check_error(rd::rd_kafka_ConsumerGroupDescription_error(group))?;
                    Ok(read_group(group))
                },
            )
        }
    }

    pub(super) fn committed(&self, group: &str) -> KafkaResult<PerPartition<i64>> {
        let group = c_string(group)?;
        // SAFETY: as in `create_topic`; no list means all partitions.
        unsafe {
            let raw = rd::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), ptr::null());
            let request = Owned::new(
                raw,
                rd::rd_kafka_ListConsumerGroupOffsets_destroy,
                "no such request",
            )?;
            let mut requests = [request.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
                Wait::Answer,
                |client, options, queue| {
                    rd::rd_kafka_ListConsumerGroupOffsets(client, requests.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(event);
                    group_partitions(array!(
                        rd::rd_kafka_ListConsumerGroupOffsets_result_groups,
                        result
                    ))
                },
            )
        }
    }

    pub(super) fn alter_committed(
        &self,
        group: &str,
        offsets: &[(TopicPartition, i64)],
    ) -> KafkaResult<PerPartition<i64>> {
        let group = c_string(group)?;
        let list = native_list(offsets)?;
        // SAFETY: as in `create_topic`.
        unsafe {
            let raw = rd::rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), list.raw);
            let request = Owned::new(
                raw,
                rd::rd_kafka_AlterConsumerGroupOffsets_destroy,
                "no offset was given",
            )?;
            let mut requests = [request.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS,
                Wait::Answer,
                |client, options, queue| {
                    rd::rd_kafka_AlterConsumerGroupOffsets(client, requests.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_AlterConsumerGroupOffsets_result(event);
                    group_partitions(array!(
                        rd::rd_kafka_AlterConsumerGroupOffsets_result_groups,
                        result
                    ))
                },
            )
        }
    }

    pub(super) fn delete_committed(
        &self,
        group: &str,
        which: &[TopicPartition],
    ) -> KafkaResult<PerPartition<i64>> {
        let group = c_string(group)?;
        let which: Vec<(TopicPartition, i64)> = which.iter().map(|which| (which.clone(), 0)).collect();
        let list = native_list(&which)?;
        // SAFETY: as in `create_topic`.
        unsafe {
            let raw = rd::rd_kafka_DeleteConsumerGroupOffsets_new(group.as_ptr(), list.raw);
            let request = Owned::new(
                raw,
                rd::rd_kafka_DeleteConsumerGroupOffsets_destroy,
                "no partition was given",
            )?;
            let mut requests = [request.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS,
                Wait::Answer,
                |client, options, queue| {
                    rd::rd_kafka_DeleteConsumerGroupOffsets(client, requests.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_DeleteConsumerGroupOffsets_result(event);
                    group_partitions(array!(
                        rd::rd_kafka_DeleteConsumerGroupOffsets_result_groups,
                        result
                    ))
                },
            )
        }
    }

    pub(super) fn delete_group(&self, group: &str) -> KafkaResult<()> {
        let group = c_string(group)?;
        // SAFETY: as in `create_topic`.
        unsafe {
            let raw = rd::rd_kafka_DeleteGroup_new(group.as_ptr());
            let request = Owned::new(raw, rd::rd_kafka_DeleteGroup_destroy, "no such request")?;
            let mut requests = [request.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_DELETEGROUPS,
                Wait::Answer,
                |client, options, queue| {
                    rd::rd_kafka_DeleteGroups(client, requests.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_DeleteGroups_result(event);
                    array!(rd::rd_kafka_DeleteGroups_result_groups, result)
                        .iter()
                        .try_for_each(|group| check_error(rd::rd_kafka_group_result_error(*group)))
                },
            )
        }
    }

    /// The new log start offset of each partition.
    pub(super) fn delete_records(&self, before: &[(TopicPartition, i64)]) -> KafkaResult<PerPartition<i64>> {
        let list = native_list(before)?;
        // SAFETY: as in `create_topic`.
        unsafe {
            let raw = rd::rd_kafka_DeleteRecords_new(list.raw);
            let request = Owned::new(raw, rd::rd_kafka_DeleteRecords_destroy, "no partition was given")?;
            let mut requests = [request.raw];
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_DELETERECORDS,
                Wait::Effect,
                |client, options, queue| {
                    rd::rd_kafka_DeleteRecords(client, requests.as_mut_ptr(), 1, options, queue);
                },
                |event| {
                    let result = rd::rd_kafka_event_DeleteRecords_result(event);
                    Ok(read_list(rd::rd_kafka_DeleteRecords_result_offsets(result)))
                },
            )
        }
    }
}

impl Native {
    /// Elects leaders of these partitions, or of all; those of all that need none are left out by the cluster.
    pub(super) fn elect_leaders(
        &self,
        unclean: bool,
        places: Option<&[TopicPartition]>,
    ) -> KafkaResult<PerPartition<()>> {
        use rd::rd_kafka_ElectionType_t::{RD_KAFKA_ELECTION_TYPE_PREFERRED, RD_KAFKA_ELECTION_TYPE_UNCLEAN};
        let kind = if unclean {
            RD_KAFKA_ELECTION_TYPE_UNCLEAN
        } else {
            RD_KAFKA_ELECTION_TYPE_PREFERRED
        };
        let list = places
            .map(|places| {
                let entries: Vec<(TopicPartition, i64)> =
                    places.iter().map(|place| (place.clone(), 0)).collect();
                native_list(&entries)
            })
            .transpose()?;
        // SAFETY: as in `create_topic`; the list is copied.
        unsafe {
            let raw = list.as_ref().map_or(ptr::null_mut(), |list| list.raw);
            let request = Owned::new(
                rd::rd_kafka_ElectLeaders_new(kind, raw),
                rd::rd_kafka_ElectLeaders_destroy,
                "no such request",
            )?;
            self.ask(
                Op::RD_KAFKA_ADMIN_OP_ELECTLEADERS,
                Wait::Effect,
                |client, options, queue| rd::rd_kafka_ElectLeaders(client, request.raw, options, queue),
                |event| {
                    let result = rd::rd_kafka_event_ElectLeaders_result(event);
                    let partitions = array!(rd::rd_kafka_ElectLeaders_result_partitions, result);
                    Ok(partitions.iter().map(|one| elected(*one)).collect())
                },
            )
        }
    }
}

/// SAFETY: the result is alive.
unsafe fn elected(result: *const rd::rd_kafka_topic_partition_result_t) -> (TopicPartition, KafkaResult<()>) {
    unsafe {
        let partition = &*rd::rd_kafka_topic_partition_result_partition(result);
        let place = (text(partition.topic), partition.partition);
        (
            place,
            check_error(rd::rd_kafka_topic_partition_result_error(result)),
        )
    }
}

fn native_resource(resource: &Resource) -> KafkaResult<Owned<rd::rd_kafka_ConfigResource_t>> {
    use rd::rd_kafka_ResourceType_t::{RD_KAFKA_RESOURCE_BROKER, RD_KAFKA_RESOURCE_TOPIC};
    let (kind, name) = match resource {
        Resource::Topic(name) => (RD_KAFKA_RESOURCE_TOPIC, c_string(name)?),
        Resource::Broker(id) => (RD_KAFKA_RESOURCE_BROKER, c_string(&id.to_string())?),
    };
    // SAFETY: the name is copied.
    let raw = unsafe { rd::rd_kafka_ConfigResource_new(kind, name.as_ptr()) };
    Owned::new(
        raw,
        rd::rd_kafka_ConfigResource_destroy,
        "a resource needs a name",
    )
}

fn native_list(entries: &[(TopicPartition, i64)]) -> KafkaResult<Owned<rd::rd_kafka_topic_partition_list_t>> {
    // SAFETY: the list is owned; `add` copies the name and returns the new element.
    unsafe {
        let raw = rd::rd_kafka_topic_partition_list_new(c_int::try_from(entries.len()).unwrap_or(0));
        let list = Owned::new(raw, rd::rd_kafka_topic_partition_list_destroy, "no list")?;
        for ((topic, partition), offset) in entries {
            let topic = c_string(topic)?;
            (*rd::rd_kafka_topic_partition_list_add(list.raw, topic.as_ptr(), *partition)).offset = *offset;
        }
        Ok(list)
    }
}

/// SAFETY: the results are alive.
unsafe fn topic_result(results: &[*const rd::rd_kafka_topic_result_t]) -> KafkaResult<()> {
    results.iter().try_for_each(|result| unsafe {
        check(
            rd::rd_kafka_topic_result_error(*result),
            optional_text(rd::rd_kafka_topic_result_error_string(*result)),
        )
    })
}

/// SAFETY: the resource is alive.
unsafe fn check_resource(resource: *const rd::rd_kafka_ConfigResource_t) -> KafkaResult<()> {
    unsafe {
        check(
            rd::rd_kafka_ConfigResource_error(resource),
            optional_text(rd::rd_kafka_ConfigResource_error_string(resource)),
        )
    }
}

/// SAFETY: the groups are alive.
unsafe fn group_partitions(groups: &[*const rd::rd_kafka_group_result_t]) -> KafkaResult<PerPartition<i64>> {
    let mut all = Vec::new();
    for group in groups {
        unsafe {
            check_error(rd::rd_kafka_group_result_error(*group))?;
            all.extend(read_list(rd::rd_kafka_group_result_partitions(*group)));
        }
    }
    Ok(all)
}

/// SAFETY: the list is null or alive.
unsafe fn read_list(list: *const rd::rd_kafka_topic_partition_list_t) -> PerPartition<i64> {
    let Some(list) = (unsafe { list.as_ref() }) else {
        return Vec::new();
    };
    let elements = unsafe { slice(list.elems, usize::try_from(list.cnt).unwrap_or(0)) };
    elements
        .iter()
        .map(|element| unsafe { read_partition(element) })
        .collect()
}

/// SAFETY: the element's topic is alive.
unsafe fn read_partition(element: &rd::rd_kafka_topic_partition_t) -> (TopicPartition, KafkaResult<i64>) {
    let place = (unsafe { text(element.topic) }, element.partition);
    (place, check(element.err, None).map(|()| element.offset))
}

/// SAFETY: the node is null or alive.
unsafe fn read_node(node: *const rd::rd_kafka_Node_t) -> Option<Broker> {
    (!node.is_null()).then(|| unsafe {
        Broker {
            id: rd::rd_kafka_Node_id(node),
            host: text(rd::rd_kafka_Node_host(node)),
            port: rd::rd_kafka_Node_port(node),
        }
    })
}

/// SAFETY: the description is alive.
unsafe fn read_topic(topic: *const rd::rd_kafka_TopicDescription_t) -> (String, KafkaResult<Topic>) {
    unsafe {
        let name = text(rd::rd_kafka_TopicDescription_name(topic));
        if let Err(error) = check_error(rd::rd_kafka_TopicDescription_error(topic)) {
            return (name, Err(error));
        }
        let ids = |nodes: &[*const rd::rd_kafka_Node_t]| -> Vec<i32> {
            nodes
                .iter()
                .filter_map(|node| read_node(*node))
                .map(|node| node.id)
                .collect()
        };
        let partitions = array!(rd::rd_kafka_TopicDescription_partitions, topic)
            .iter()
            .map(|partition| Partition {
                id: rd::rd_kafka_TopicPartitionInfo_partition(*partition),
                leader: read_node(rd::rd_kafka_TopicPartitionInfo_leader(*partition))
                    .map(|node| node.id)
                    .filter(|id| *id >= 0),
                replicas: ids(array!(rd::rd_kafka_TopicPartitionInfo_replicas, *partition)),
                isr: ids(array!(rd::rd_kafka_TopicPartitionInfo_isr, *partition)),
            })
            .collect();
        let id = rd::rd_kafka_TopicDescription_topic_id(topic);
        let id = (!id.is_null()).then(|| text(rd::rd_kafka_Uuid_base64str(id)));
        let topic = Topic {
            name: name.clone(),
            id,
            internal: rd::rd_kafka_TopicDescription_is_internal(topic) != 0,
            partitions,
        };
        (name, Ok(topic))
    }
}

/// SAFETY: the entry is alive.
unsafe fn read_config(entry: *const rd::rd_kafka_ConfigEntry_t) -> ConfigEntry {
    unsafe {
        ConfigEntry {
            name: text(rd::rd_kafka_ConfigEntry_name(entry)),
            value: optional_text(rd::rd_kafka_ConfigEntry_value(entry)),
            source: source_of(rd::rd_kafka_ConfigEntry_source(entry)),
            is_sensitive: rd::rd_kafka_ConfigEntry_is_sensitive(entry) != 0,
            is_read_only: rd::rd_kafka_ConfigEntry_is_read_only(entry) != 0,
            synonyms: array!(rd::rd_kafka_ConfigEntry_synonyms, entry)
                .iter()
                .map(|synonym| Synonym {
                    name: text(rd::rd_kafka_ConfigEntry_name(*synonym)),
                    value: optional_text(rd::rd_kafka_ConfigEntry_value(*synonym)),
                    source: source_of(rd::rd_kafka_ConfigEntry_source(*synonym)),
                })
                .collect(),
        }
    }
}

fn source_of(source: rd::rd_kafka_ConfigSource_t) -> ConfigSource {
    use rd::rd_kafka_ConfigSource_t as Native;
    match source {
        Native::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG => ConfigSource::DynamicTopic,
        Native::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_BROKER_CONFIG => ConfigSource::DynamicBroker,
        Native::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER_CONFIG => ConfigSource::DynamicDefaultBroker,
        Native::RD_KAFKA_CONFIG_SOURCE_STATIC_BROKER_CONFIG => ConfigSource::StaticBroker,
        Native::RD_KAFKA_CONFIG_SOURCE_DEFAULT_CONFIG => ConfigSource::Default,
        Native::RD_KAFKA_CONFIG_SOURCE_GROUP_CONFIG => ConfigSource::Group,
        _ => ConfigSource::Unknown,
    }
}

fn state_of(state: rd::rd_kafka_consumer_group_state_t) -> GroupState {
    use rd::rd_kafka_consumer_group_state_t as Native;
    match state {
        Native::RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE => GroupState::PreparingRebalance,
        Native::RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE => GroupState::CompletingRebalance,
        Native::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE => GroupState::Stable,
        Native::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD => GroupState::Dead,
        Native::RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY => GroupState::Empty,
        _ => GroupState::Unknown,
    }
}

/// SAFETY: the description is alive.
unsafe fn read_group(group: *const rd::rd_kafka_ConsumerGroupDescription_t) -> Group {
    unsafe {
        let members = (0..rd::rd_kafka_ConsumerGroupDescription_member_count(group))
            .map(|index| read_member(rd::rd_kafka_ConsumerGroupDescription_member(group, index)))
            .collect();
        Group {
            name: text(rd::rd_kafka_ConsumerGroupDescription_group_id(group)),
            state: state_of(rd::rd_kafka_ConsumerGroupDescription_state(group)),
            kind: text(rd::rd_kafka_consumer_group_type_name(
                rd::rd_kafka_ConsumerGroupDescription_type(group),
            )),
            assignor: text(rd::rd_kafka_ConsumerGroupDescription_partition_assignor(group)),
            coordinator: read_node(rd::rd_kafka_ConsumerGroupDescription_coordinator(group)),
            members,
        }
    }
}

/// SAFETY: the description is alive.
unsafe fn read_member(member: *const rd::rd_kafka_MemberDescription_t) -> Member {
    unsafe {
        let assignment = rd::rd_kafka_MemberDescription_assignment(member);
        let partitions = if assignment.is_null() {
            ptr::null()
        } else {
            rd::rd_kafka_MemberAssignment_partitions(assignment)
        };
        Member {
            id: text(rd::rd_kafka_MemberDescription_consumer_id(member)),
            client_id: text(rd::rd_kafka_MemberDescription_client_id(member)),
            host: text(rd::rd_kafka_MemberDescription_host(member)),
            instance_id: optional_text(rd::rd_kafka_MemberDescription_group_instance_id(member)),
            assignment: read_list(partitions)
                .into_iter()
                .map(|(place, _)| place)
                .collect(),
        }
    }
}
