//! `AlterClientQuotas` (KIP-546).

use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I64,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::quotas::{Change, Entity};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = AlterClientQuotasRequest;
    type Call = AlterClientQuotasRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const NOTE: &'static str = "rates of bytes and of controller mutations hold clients back; `request_percentage` and rates of addresses are kept and told";
    const SHAPE: &'static [Field] = &[
        all(Structs(&[
            all(Structs(&[all(Text), all(Text)])),
            all(Structs(&[all(Text), all(I64), all(I8)])),
        ])),
        all(I8),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let entries = call.entries.iter().map(|entry| {
            let entity: Entity = entry
                .entity
                .iter()
                .map(|e| {
                    let name = e.entity_name.as_ref().map(ToString::to_string);
                    (e.entity_type.to_string(), name)
                })
                .collect();
            let change = |op: &kafka_protocol::messages::alter_client_quotas_request::OpData| Change {
                key: op.key.to_string(),
                value: (!op.remove).then_some(op.value),
            };
            let changes: Vec<Change> = entry.ops.iter().map(change).collect();
            let data = EntryData::default().with_entity(named(&entity));
            match core.alter_quotas(&entity, &changes, call.validate_only) {
                Ok(()) => data.with_error_message(None),
                Err(refusal) => data
                    .with_error_code(refusal.code())
                    .with_error_message(refusal.message.map(StrBytes::from_string)),
            }
        });
        let entries = entries.collect();
        Answer::message(AlterClientQuotasResponse::default().with_entries(entries))
    }
}

/// Types in the order in which Kafka tells them: client, user, address.
fn named(entity: &Entity) -> Vec<EntityData> {
    let rank = |kind: &str| {
        ["client-id", "user", "ip"]
            .iter()
            .position(|known| *known == kind)
    };
    let mut parts: Vec<_> = entity.iter().collect();
    parts.sort_by_key(|(kind, _)| rank(kind));
    let data = |(kind, name): (&String, &Option<String>)| {
        EntityData::default()
            .with_entity_type(StrBytes::from_string(kind.clone()))
            .with_entity_name(name.clone().map(StrBytes::from_string))
    };
    parts.into_iter().map(data).collect()
}
