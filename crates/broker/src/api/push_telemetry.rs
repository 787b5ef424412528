//! `PushTelemetry` (KIP-714): judged as by Kafka, and forgotten.

use kafka_protocol::messages::{PushTelemetryRequest, PushTelemetryResponse};

use crate::api::shape::{Field, I8, I32, Kind::Bytes, UUID, all};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = PushTelemetryRequest;
    type Call = PushTelemetryRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const NOTE: &'static str = "judged and forgotten; not advertised, as by a Kafka without a metrics plugin";
    const ADVERTISED: bool = false;
    const SHAPE: &'static [Field] = &[all(UUID), all(I32), all(I8), all(I8), all(Bytes)];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let pushed = core.telemetry.pushed(
            call.client_instance_id,
            call.subscription_id,
            call.metrics.len(),
            call.compression_type,
            core.now_ms,
        );
        let code = pushed.err().map_or(0, |error| error.code());
        Answer::message(PushTelemetryResponse::default().with_error_code(code))
    }
}
