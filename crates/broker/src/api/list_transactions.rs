//! `ListTransactions` (KIP-664): there are none yet.

use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::api::shape::{
    Field, I64,
    Kind::{Text, Values},
    all, since,
};
use crate::api::{Answer, Aside, Handler};
use crate::core::{Caller, Core};

pub(crate) struct Api;

impl Handler for Api {
    type Wire = ListTransactionsRequest;
    type Call = ListTransactionsRequest;
    const VERSIONS: (i16, i16) = (0, 2);
    const NOTE: &'static str = "there are no transactions yet";
    const SHAPE: &'static [Field] = &[
        all(Values(&Text)),
        all(Values(&I64)),
        since(1, I64),
        since(2, Text),
    ];

    fn prepare(wire: Self::Wire, _version: i16, _aside: &Aside) -> Self::Call {
        wire
    }

    fn handle(_core: &mut Core, _caller: &Caller, _call: Self::Call) -> Answer {
        Answer::message(ListTransactionsResponse::default())
    }
}
