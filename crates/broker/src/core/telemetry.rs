//! Client telemetry (KIP-714) as a Kafka without a metrics plugin answers it: not advertised, and nothing is kept of what
//! a client pushes.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use uuid::Uuid;

/// How often a client may ask and push where no subscription says otherwise.
pub(crate) const PUSH_INTERVAL_MS: i32 = 300_000;
/// The largest push, `telemetry.max.bytes`.
pub(crate) const MAX_BYTES: i32 = 1_048_576;
/// The one subscription that there is: no metrics.
pub(crate) const SUBSCRIPTION: i32 = 1_608_637_542;
/// More clients than this are not remembered.
const MAX_CLIENTS: usize = 16_384;

#[derive(Debug, Clone, Copy, Default)]
struct Client {
    asked_ms: Option<i64>,
    pushed_ms: Option<i64>,
}

/// The clients that have asked or pushed lately.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    clients: BTreeMap<Uuid, Client>,
}

impl Telemetry {
    fn client(&mut self, id: Uuid, now_ms: i64) -> &mut Client {
        if self.clients.len() >= MAX_CLIENTS && !self.clients.contains_key(&id) {
            let waits = |at: Option<i64>| at.is_some_and(|at| now_ms - at < i64::from(PUSH_INTERVAL_MS));
            self.clients
                .retain(|_, client| waits(client.asked_ms) || waits(client.pushed_ms));
            if self.clients.len() >= MAX_CLIENTS {
                self.clients.pop_first();
            }
        }
        self.clients.entry(id).or_default()
    }

    /// A client asks for its subscription.
    ///
    /// # Errors
    /// `THROTTLING_QUOTA_EXCEEDED` where it has asked within the interval.
    pub(crate) fn asked(&mut self, id: Uuid, now_ms: i64) -> Result<(), ResponseError> {
        take_turn(&mut self.client(id, now_ms).asked_ms, now_ms)
    }

    /// A client pushes.
    ///
    /// # Errors
    /// What Kafka answers to a push of a client in this state.
    pub(crate) fn pushed(
        &mut self,
        id: Uuid,
        subscription: i32,
        bytes: usize,
        codec: i8,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        if id.is_nil() {
            return Err(ResponseError::InvalidRequest);
        }
        take_turn(&mut self.client(id, now_ms).pushed_ms, now_ms)?;
        if subscription != SUBSCRIPTION {
            return Err(ResponseError::UnknownSubscriptionId);
        }
        if !(0..=4).contains(&codec) {
            return Err(ResponseError::UnsupportedCompressionType);
        }
        if bytes > MAX_BYTES as usize {
            return Err(ResponseError::TelemetryTooLarge);
        }
        Ok(())
    }
}

fn take_turn(last: &mut Option<i64>, now_ms: i64) -> Result<(), ResponseError> {
    if last.is_some_and(|at| now_ms - at < i64::from(PUSH_INTERVAL_MS)) {
        return Err(ResponseError::ThrottlingQuotaExceeded);
    }
    *last = Some(now_ms);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_asks_again_too_soon_is_told_to_wait() {
        let mut telemetry = Telemetry::default();
        let id = Uuid::from_u128(7);
        assert_eq!(telemetry.asked(id, 1000), Ok(()));
        assert_eq!(
            telemetry.asked(id, 2000),
            Err(ResponseError::ThrottlingQuotaExceeded)
        );
        assert_eq!(telemetry.asked(id, 1000 + 300_000), Ok(()));
        let push = |telemetry: &mut Telemetry, at| telemetry.pushed(id, SUBSCRIPTION, 1, 0, at);
        assert_eq!(push(&mut telemetry, 1000), Ok(()));
        assert_eq!(
            push(&mut telemetry, 1001),
            Err(ResponseError::ThrottlingQuotaExceeded)
        );
    }
}
