//! `ListTransactions` (KIP-664), filtered by state, producer id, age (KIP-994) and pattern of the id (KIP-1152).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{
    ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use regex::Regex;

use crate::api::shape::{
    Field, I64,
    Kind::{Text, Values},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::transactions::state::{STATE_NAMES, Transaction};
use crate::core::{Caller, Core};

pub(crate) struct Api;

/// A request with its pattern compiled, where there is one.
pub(crate) struct Call {
    wire: ListTransactionsRequest,
    pattern: Result<Option<Regex>, regex::Error>,
}

impl Handler for Api {
    type Wire = ListTransactionsRequest;
    type Call = Call;
    const VERSIONS: (i16, i16) = (0, 2);
    const SHAPE: &'static [Field] = &[
        all(Values(&Text)),
        all(Values(&I64)),
        since(1, I64),
        since(2, Text),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        let pattern = wire.transactional_id_pattern.as_ref().filter(|p| !p.is_empty());
        let pattern = pattern
            .map(|pattern| Regex::new(&format!("^(?:{pattern})$")))
            .transpose();
        Call { wire, pattern }
    }

    fn handle(core: &mut Core, caller: &Caller, call: Self::Call) -> Answer {
        let Ok(pattern) = call.pattern else {
            let error = ResponseError::InvalidRegularExpression;
            return Answer::message(ListTransactionsResponse::default().with_error_code(error.code()));
        };
        let wire = call.wire;
        let now_ms = core.now_ms;
        let duration_ms = if caller.version >= 1 {
            wire.duration_filter
        } else {
            -1
        };
        let wanted = |id: &str, transaction: &Transaction| {
            let states = &wire.state_filters;
            let ids = &wire.producer_id_filters;
            (ids.is_empty() || ids.contains(&ProducerId(transaction.producer.id)))
                && (states.is_empty() || states.iter().any(|name| **name == *transaction.state.name()))
                && (duration_ms < 0 || now_ms - transaction.start_ms > duration_ms)
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
        };
        let listed = core
            .transactions_of(caller.broker)
            .into_iter()
            .filter(|(id, transaction)| wanted(id, transaction))
            .map(|(id, transaction)| {
                TransactionState::default()
                    .with_transactional_id(TransactionalId(StrBytes::from_string(id.to_owned())))
                    .with_producer_id(ProducerId(transaction.producer.id))
                    .with_transaction_state(StrBytes::from_static_str(transaction.state.name()))
            });
        let listed = listed.collect();
        let unknown = wire
            .state_filters
            .iter()
            .filter(|name| !STATE_NAMES.contains(&name.as_str()));
        Answer::message(
            ListTransactionsResponse::default()
                .with_unknown_state_filters(unknown.cloned().collect())
                .with_transaction_states(listed),
        )
    }
}
