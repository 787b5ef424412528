//! `ApiVersions`: what this cluster can be asked. A version that it doesn't know is answered in version 0 by the
//! connection itself (KIP-511), with [`supported`] keys, so that the client can choose again.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{Field, Kind::Text, since};
use crate::api::{Answer, Aside, Handler, TABLE};
use crate::core::features::features;
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ApiVersionsRequest;
    type Call = ApiVersionsRequest;
    const VERSIONS: (i16, i16) = (0, 4);
    const SHAPE: &'static [Field] = &[since(3, Text), since(3, Text)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        if caller.version >= 3
            && !(is_name(&call.client_software_name) && is_name(&call.client_software_version))
        {
            return Answer::message(
                ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code()),
            );
        }
        let text = StrBytes::from_static_str;
        let supported_features = features().into_iter().map(|feature| {
            SupportedFeatureKey::default()
                .with_name(text(feature.name))
                .with_min_version(feature.supported.0)
                .with_max_version(feature.supported.1)
        });
        let finalized = features().into_iter().filter_map(|feature| {
            let level = feature.level.filter(|level| *level > 0)?;
            Some(
                FinalizedFeatureKey::default()
                    .with_name(text(feature.name))
                    .with_min_version_level(level)
                    .with_max_version_level(level),
            )
        });
        Answer::message(
            supported()
                .with_supported_features(supported_features.collect())
                .with_finalized_features_epoch(core.journalled)
                .with_finalized_features(finalized.collect()),
        )
    }
}

/// The keys of the table.
pub(crate) fn supported() -> ApiVersionsResponse {
    let keys = TABLE.iter().filter(|api| api.advertised).map(|api| {
        ApiVersion::default()
            .with_api_key(api.key)
            // As Kafka: clients that know Produce from version 0 on only must find it, though nobody answers that one.
            .with_min_version(if api.key == ApiKey::Produce as i16 {
                0
            } else {
                api.min
            })
            .with_max_version(api.max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

/// Letters, digits, dots and dashes, and a letter or digit at both ends: Kafka's rule for a client's name.
fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
    let end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.bytes().all(inner) && end(text.bytes().next()) && end(text.bytes().last())
}
