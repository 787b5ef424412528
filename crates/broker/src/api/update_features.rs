//! `UpdateFeatures`: judged as by Kafka; the levels of this cluster stay as they are.

use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::shape::{
    Field, I8, I16, I32,
    Kind::{Structs, Text},
    all, between, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::features::{Upgrade, update};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = UpdateFeaturesRequest;
    type Call = UpdateFeaturesRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const NOTE: &'static str = "judged as by Kafka; the levels are fixed";
    const SHAPE: &'static [Field] = &[
        all(I32),
        all(Structs(&[all(Text), all(I16), between(0, 0, I8), since(1, I8)])),
        since(1, I8),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let controller = core.first_broker();
        let judged = call.feature_updates.iter().try_for_each(|wish| {
            let upgrade = match (caller.version, wish.allow_downgrade) {
                (0, true) => Upgrade::SafeDowngrade,
                (0, false) => Upgrade::Up,
                _ => Upgrade::from_code(wish.upgrade_type),
            };
            update(controller, &wish.feature, wish.max_version_level, upgrade)
        });
        let response = UpdateFeaturesResponse::default();
        Answer::message(match judged {
            Ok(()) => {
                let done = call.feature_updates.into_iter().map(|wish| {
                    UpdatableFeatureResult::default()
                        .with_feature(wish.feature)
                        .with_error_message(Some(StrBytes::from_static_str("NONE")))
                });
                response
                    .with_error_message(None)
                    .with_results(if caller.version <= 1 {
                        done.collect()
                    } else {
                        Vec::new()
                    })
            }
            Err(refusal) => {
                let why = refusal.message.as_deref().unwrap_or_default();
                response
                    .with_error_code(refusal.code())
                    .with_error_message(Some(StrBytes::from_string(format!(
                        "The update failed for all features since the following feature had an error: {why}"
                    ))))
            }
        })
    }
}
