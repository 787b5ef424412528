//! What the cluster can be asked: one file per API key, and one [`TABLE`] that drives dispatch, `ApiVersions` and the
//! support table of the docs.

use std::any::Any;
use std::fmt;
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

use crate::core::fetches::FetchPlan;
use crate::core::ports::SharedRules;
use crate::core::share::fetches::SharePlan;
use crate::core::{Caller, Core};
use shape::{Field, Malformed};

pub(crate) mod add_offsets_to_txn;
pub(crate) mod add_partitions_to_txn;
pub(crate) mod alter_client_quotas;
pub(crate) mod alter_configs;
pub(crate) mod alter_partition_reassignments;
pub(crate) mod alter_replica_log_dirs;
pub(crate) mod alter_share_group_offsets;
pub(crate) mod alter_user_scram_credentials;
pub(crate) mod api_versions;
mod configs;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod create_acls;
pub(crate) mod create_delegation_token;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_acls;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_share_group_offsets;
pub(crate) mod delete_topics;
pub(crate) mod describe_acls;
pub(crate) mod describe_client_quotas;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_delegation_token;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_quorum;
pub(crate) mod describe_share_group_offsets;
pub(crate) mod describe_topic_partitions;
pub(crate) mod describe_transactions;
pub(crate) mod describe_user_scram_credentials;
pub(crate) mod elect_leaders;
pub(crate) mod end_txn;
pub(crate) mod expire_delegation_token;
pub(crate) mod faulty;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod get_telemetry_subscriptions;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_partition_reassignments;
pub(crate) mod list_transactions;
pub(crate) mod metadata;
mod modern_groups;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod push_telemetry;
mod refused;
pub(crate) mod renew_delegation_token;
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
pub(crate) mod shape;
pub(crate) mod share_acknowledge;
pub(crate) mod share_fetch;
pub(crate) mod share_group_describe;
pub(crate) mod share_group_heartbeat;
pub(crate) mod share_wire;
pub(crate) mod sync_group;
pub(crate) mod txn_offset_commit;
pub(crate) mod unregister_broker;
pub(crate) mod update_features;
pub(crate) mod write_txn_markers;

macro_rules! table {
    ($($module:ident),* $(,)?) => {
        /// Every API key that the cluster answers, in the order of their numbers; what is not in here is not advertised.
        pub(crate) static TABLE: &[Api] = &[$(Api::of::<$module::Api>()),*];

        /// One check per key: its shape fits an empty request of every version.
        #[cfg(test)]
        const SHAPE_CHECKS: &[fn()] = &[$(tests::shape_fits::<$module::Api>),*];
    };
}

table![
    produce,
    fetch,
    list_offsets,
    metadata,
    offset_commit,
    offset_fetch,
    find_coordinator,
    join_group,
    heartbeat,
    leave_group,
    sync_group,
    describe_groups,
    list_groups,
    sasl_handshake,
    api_versions,
    create_topics,
    delete_topics,
    delete_records,
    init_producer_id,
    offset_for_leader_epoch,
    add_partitions_to_txn,
    add_offsets_to_txn,
    end_txn,
    write_txn_markers,
    txn_offset_commit,
    describe_acls,
    create_acls,
    delete_acls,
    describe_configs,
    alter_configs,
    alter_replica_log_dirs,
    describe_log_dirs,
    sasl_authenticate,
    create_partitions,
    create_delegation_token,
    renew_delegation_token,
    expire_delegation_token,
    describe_delegation_token,
    delete_groups,
    elect_leaders,
    incremental_alter_configs,
    alter_partition_reassignments,
    list_partition_reassignments,
    offset_delete,
    describe_client_quotas,
    alter_client_quotas,
    describe_user_scram_credentials,
    alter_user_scram_credentials,
    describe_quorum,
    update_features,
    describe_cluster,
    describe_producers,
    unregister_broker,
    describe_transactions,
    list_transactions,
    consumer_group_heartbeat,
    consumer_group_describe,
    get_telemetry_subscriptions,
    push_telemetry,
    list_config_resources,
    describe_topic_partitions,
    share_group_heartbeat,
    share_group_describe,
    share_fetch,
    share_acknowledge,
    describe_share_group_offsets,
    alter_share_group_offsets,
    delete_share_group_offsets,
];

/// A decoded request.
pub(crate) type Body = Box<dyn Any + Send>;

/// One API key: a file of this module.
pub(crate) trait Handler {
    /// The request on the wire.
    type Wire: Request;
    /// What the core gets of it.
    type Call: Send + 'static;
    /// The first and the last version.
    const VERSIONS: (i16, i16);
    /// Does `ApiVersions` tell of it.
    const ADVERTISED: bool = true;
    /// What the support table says beside it; empty for "as Kafka".
    const NOTE: &'static str = "";
    /// Does the core keep something for the caller that goes when its connection is closed.
    const BOUND: bool = false;
    /// The request's shape.
    const SHAPE: &'static [Field];

    /// Reads a body whose shape is as it must be.
    ///
    /// # Errors
    /// What is wrong with it.
    fn decode(body: &mut Bytes, version: i16) -> Result<Self::Wire, Malformed> {
        Self::Wire::decode(body, version).map_err(|_| Malformed("it can't be decoded"))
    }

    /// Does on the connection's task what needs no state.
    fn prepare(wire: Self::Wire, version: i16, aside: &Aside) -> Self::Call;

    /// Answers, in the core.
    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer;
}

/// What connection tasks work with.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    pub(crate) rules: SharedRules,
    pub(crate) now_ms: i64,
    /// Bytes of the request's body.
    pub(crate) bytes: u32,
}

/// What a handler gives.
pub(crate) enum Answer {
    /// The answer.
    Now(Response),
    /// The answer comes later, as an effect.
    Later,
    /// There is no answer.
    Silent,
    /// The connection is closed.
    Hangup,
}

impl Answer {
    /// An answer that is ready.
    pub(crate) fn message<M: Encodable + Send + fmt::Debug + 'static>(message: M) -> Self {
        Self::Now(Response::message(message))
    }
}

/// An answer on its way out of the core.
#[derive(Debug)]
pub(crate) enum Response {
    /// A message, ready to be encoded.
    Message(Box<dyn Message>),
    /// A fetch, whose bytes are yet to be read.
    Fetch(FetchPlan),
    /// The same of a share fetch.
    ShareFetch(SharePlan),
}

impl Response {
    /// Wraps a message.
    pub(crate) fn message<M: Encodable + Send + fmt::Debug + 'static>(message: M) -> Self {
        Self::Message(Box::new(message))
    }
}

/// A response of any kind.
pub(crate) trait Message: Send + fmt::Debug {
    /// Writes it.
    fn write(&self, buf: &mut BytesMut, version: i16) -> Result<(), Unwritable>;

    /// The message itself, for tests of the core.
    #[cfg(test)]
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// A response that its version can't carry: a defect of this cluster, told to the log.
#[derive(Debug, thiserror::Error)]
#[error("the response can't be encoded: {0}")]
pub(crate) struct Unwritable(pub(crate) String);

impl<M: Encodable + Send + fmt::Debug + 'static> Message for M {
    #[cfg(test)]
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn write(&self, buf: &mut BytesMut, version: i16) -> Result<(), Unwritable> {
        self.encode(buf, version)
            .map_err(|error| Unwritable(error.to_string()))
    }
}

/// A row of the table.
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) min: i16,
    pub(crate) max: i16,
    /// Does `ApiVersions` tell of it.
    pub(crate) advertised: bool,
    pub(crate) note: &'static str,
    /// Does the core keep something for the caller that goes when its connection is closed.
    pub(crate) bound: bool,
    pub(crate) shape: &'static [Field],
    /// Version of the request's header.
    pub(crate) request_header: fn(i16) -> i16,
    /// Version of the response's header.
    pub(crate) response_header: fn(i16) -> i16,
    /// Decodes a checked body and prepares it.
    pub(crate) decode: fn(&mut Bytes, i16, &Aside) -> Result<Body, Malformed>,
    /// Answers, in the core.
    pub(crate) handle: fn(&mut Core, &Caller, Body) -> Answer,
    /// Reads an answer as a client does.
    #[cfg(any(test, fuzzing))]
    pub(crate) read: ReadAnswer,
}

/// Reads an answer of a version; an error says what it can't carry.
#[cfg(any(test, fuzzing))]
pub(crate) type ReadAnswer = fn(&mut Bytes, i16) -> Result<Box<dyn Any>, String>;

impl Api {
    const fn of<H: Handler>() -> Self
    where
        <H::Wire as Request>::Response: 'static,
    {
        Self {
            key: <H::Wire as Request>::KEY,
            min: H::VERSIONS.0,
            max: H::VERSIONS.1,
            advertised: H::ADVERTISED,
            note: H::NOTE,
            bound: H::BOUND,
            shape: H::SHAPE,
            request_header: <H::Wire as HeaderVersion>::header_version,
            response_header: <<H::Wire as Request>::Response as HeaderVersion>::header_version,
            decode: decode::<H>,
            handle: handle::<H>,
            #[cfg(any(test, fuzzing))]
            read: read::<H>,
        }
    }

    /// The name that Kafka gives the key.
    pub(crate) fn name(&self) -> String {
        ApiKey::try_from(self.key).map_or_else(|()| self.key.to_string(), |key| format!("{key:?}"))
    }
}

fn decode<H: Handler>(body: &mut Bytes, version: i16, aside: &Aside) -> Result<Body, Malformed> {
    Ok(Box::new(H::prepare(H::decode(body, version)?, version, aside)))
}

#[cfg(any(test, fuzzing))]
fn read<H: Handler>(bytes: &mut Bytes, version: i16) -> Result<Box<dyn Any>, String>
where
    <H::Wire as Request>::Response: 'static,
{
    let answer = <<H::Wire as Request>::Response as Decodable>::decode(bytes, version);
    Ok(Box::new(answer.map_err(|error| error.to_string())?))
}

fn handle<H: Handler>(core: &mut Core, caller: &Caller, body: Body) -> Answer {
    match body.downcast::<H::Call>() {
        Ok(call) => H::handle(core, caller, *call),
        // `decode` and `handle` of one row are made from the same handler.
        Err(_) => Answer::Silent,
    }
}

/// Clients of old versions know a fenced producer by another name.
pub(crate) fn older_fence(error: ResponseError, old: bool) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if old => ResponseError::InvalidProducerEpoch,
        other => other,
    }
}

/// The row of an API key.
pub(crate) fn find(key: i16) -> Option<&'static Api> {
    TABLE.iter().find(|api| api.key == key)
}

/// The table of supported API keys, as Markdown: `docs/KAFKA_APIS.md`.
pub fn support_table() -> String {
    let mut text = String::from(
        "# What the embedded cluster can be asked\n\n\
         Made from the table of API keys (`crates/broker/src/api/mod.rs`) and checked by a test. What is not here is not\n\
         answered, and not advertised in `ApiVersions`.\n\n\
         | key | name | versions | note |\n|---:|---|---|---|\n",
    );
    for api in TABLE {
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} to {} | {} |",
            api.key,
            api.name(),
            api.min,
            api.max,
            api.note
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_within_what_the_codec_knows() {
        assert!(TABLE.is_sorted_by(|a, b| a.key < b.key));
        for api in TABLE {
            let key = ApiKey::try_from(api.key).unwrap();
            let known = key.valid_versions();
            // Their newest version is our own (`share_wire`).
            let own = matches!(
                key,
                ApiKey::ShareFetch | ApiKey::ShareAcknowledge | ApiKey::DescribeShareGroupOffsets
            );
            let max = known.max + i16::from(own);
            assert!(known.min <= api.min && api.max <= max, "{}", api.name());
        }
    }

    pub(super) fn shape_fits<H: Handler>()
    where
        H::Wire: Default + Encodable,
        <H::Wire as Request>::Response: 'static,
    {
        let api = Api::of::<H>();
        for version in api.min..=api.max {
            let mut body = BytesMut::new();
            // A request that says nothing can't be written in versions that must say something.
            if H::Wire::default().encode(&mut body, version).is_ok() {
                let flexible = (api.request_header)(version) >= 2;
                let left = shape::left_over(&body, api.shape, version, flexible);
                assert_eq!(left, Ok(0), "{} version {version}", api.name());
            }
        }
    }

    #[test]
    fn every_shape_fits_its_request() {
        for check in SHAPE_CHECKS {
            check();
        }
    }

    #[test]
    fn the_documented_table_is_the_one_in_force() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/KAFKA_APIS.md");
        let documented = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            documented,
            support_table(),
            "write `support_table()` to docs/KAFKA_APIS.md"
        );
    }
}
