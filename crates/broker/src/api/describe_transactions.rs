//! `DescribeTransactions` (KIP-664): there are none yet.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use crate::api::shape::{
    Field,
    Kind::{Text, Values},
    all,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = DescribeTransactionsRequest;
    type Call = DescribeTransactionsRequest;
    const VERSIONS: (i16, i16) = (0, 0);
    const NOTE: &'static str = "there are no transactions yet";
    const SHAPE: &'static [Field] = &[all(Values(&Text))];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, call: Self::Call) -> Answer {
        let states = call.transactional_ids.into_iter().map(|id| {
            TransactionState::default()
                .with_transactional_id(id)
                .with_error_code(ResponseError::TransactionalIdNotFound.code())
        });
        Answer::message(DescribeTransactionsResponse::default().with_transaction_states(states.collect()))
    }
}
