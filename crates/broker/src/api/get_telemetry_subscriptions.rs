//! `GetTelemetrySubscriptions` (KIP-714): answered as by a Kafka without a metrics plugin, which does not advertise it.

use kafka_protocol::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};

use crate::api::shape::{Field, UUID, all};
use crate::api::{Answer, Aside, Handler};
use crate::core::telemetry::{MAX_BYTES, PUSH_INTERVAL_MS, SUBSCRIPTION};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = GetTelemetrySubscriptionsRequest;
    type Call = GetTelemetrySubscriptionsRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const NOTE: &'static str =
        "no metrics are wanted; not advertised, as by a Kafka without a metrics plugin";
    const ADVERTISED: bool = false;
    const SHAPE: &'static [Field] = &[all(UUID)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let id = if call.client_instance_id.is_nil() {
            core.outside.ids.uuid()
        } else {
            call.client_instance_id
        };
        let response = GetTelemetrySubscriptionsResponse::default();
        Answer::message(match core.telemetry.asked(id, core.now_ms) {
            Err(error) => response.with_error_code(error.code()),
            Ok(()) => response
                .with_client_instance_id(id)
                .with_subscription_id(SUBSCRIPTION)
                // ZSTD, LZ4, GZIP, SNAPPY.
                .with_accepted_compression_types(vec![4, 3, 1, 2])
                .with_push_interval_ms(PUSH_INTERVAL_MS)
                .with_telemetry_max_bytes(MAX_BYTES)
                .with_delta_temporality(true),
        })
    }
}
