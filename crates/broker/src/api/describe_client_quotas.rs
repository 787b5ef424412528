//! `DescribeClientQuotas` (KIP-546).

use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8,
    Kind::{Structs, Text},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::quotas::{Entity, filter};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeClientQuotasRequest;
    type Call = DescribeClientQuotasRequest;
    const VERSIONS: (i16, i16) = (0, 1);
    const SHAPE: &'static [Field] = &[all(Structs(&[all(Text), all(I8), all(Text)])), all(I8)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let parts = call
            .components
            .iter()
            .map(|part| (part.entity_type.as_str(), part.match_type, part._match.as_deref()));
        let response = DescribeClientQuotasResponse::default();
        Answer::message(match filter(parts) {
            Err(refusal) => response
                .with_error_code(refusal.code())
                .with_error_message(refusal.message.map(StrBytes::from_string))
                .with_entries(None),
            Ok(filter) => {
                let entries = core.quotas.find(&filter, call.strict).map(|(entity, values)| {
                    let values = values.iter().map(|(key, value)| {
                        ValueData::default()
                            .with_key(StrBytes::from_string(key.clone()))
                            .with_value(*value)
                    });
                    EntryData::default()
                        .with_entity(named(entity))
                        .with_values(values.collect())
                });
                response
                    .with_error_message(Some(StrBytes::default()))
                    .with_entries(Some(entries.collect()))
            }
        })
    }
}

fn named(entity: &Entity) -> Vec<EntityData> {
    let data = |(kind, name): (&String, &Option<String>)| {
        EntityData::default()
            .with_entity_type(StrBytes::from_string(kind.clone()))
            .with_entity_name(name.clone().map(StrBytes::from_string))
    };
    entity.iter().map(data).collect()
}
