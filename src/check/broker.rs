//! `broker = …`: is it up?

use super::{AskError, CheckContext, Finding};
use crate::course::checks::BrokerCheck;

pub(super) fn look(check: &BrokerCheck, context: &mut CheckContext) -> Result<Finding, AskError> {
    let id = check.broker;
    let up = context.admin().brokers()?.iter().any(|broker| broker.id == id);
    let found = format!("broker {id} is {}", if up { "up" } else { "down" });
    if up == check.up {
        return Ok(Finding::pass(found));
    }
    let finding = Finding::fail(format!(
        "{found}, and this step needs it {}",
        if check.up { "up" } else { "down" }
    ));
    Ok(finding.advise(if check.up {
        format!("Start it: broker start {id}")
    } else {
        format!(
            "Stop it: broker stop {id}. One that was killed is missed when its session times out, after 9 seconds."
        )
    }))
}
