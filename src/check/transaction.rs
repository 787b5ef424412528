//! `transaction = …`: how the last transaction of a transactional id stands.

use super::{AskError, CheckContext, Finding};
use crate::course::checks::{TransactionCheck, TransactionStateWord};

pub(super) fn look(check: &TransactionCheck, context: &mut CheckContext) -> Result<Finding, AskError> {
    let id = &check.transaction;
    let found = match context.wire()?.describe_transaction(id) {
        Ok(found) => found.state,
        Err(error) if error.name == "TRANSACTIONAL_ID_NOT_FOUND" => {
            return Ok(
                Finding::fail(format!("no producer has come with the transactional.id {id} yet")).advise(
                    format!("A producer that comes with it makes it known: txn begin --id {id}"),
                ),
            );
        }
        Err(error) => {
            // A connection that broke is made anew the next time.
            context.forget_wire();
            return Err(error.into());
        }
    };
    let wanted = check.state;
    if found == wanted.word() {
        return Ok(Finding::pass(said(&found)));
    }
    let finding = Finding::fail(format!(
        "the last transaction of {id} is {}, and this step needs it {}",
        said(&found),
        said(wanted.word())
    ));
    Ok(match wanted {
        TransactionStateWord::CompleteCommit if found == "Ongoing" => {
            finding.advise("It ends with: txn commit")
        }
        TransactionStateWord::CompleteAbort if found == "Ongoing" => {
            finding.advise("It ends with: txn abort")
        }
        _ if found == "Empty" => finding.advise("It begins with its first record: txn send"),
        _ => finding,
    })
}

/// A state in words, with Kafka's own name.
pub(super) fn said(state: &str) -> String {
    match state {
        "Ongoing" => "open (Ongoing)".to_string(),
        "CompleteCommit" => "committed (CompleteCommit)".to_string(),
        "CompleteAbort" => "aborted (CompleteAbort)".to_string(),
        "Empty" => "not begun (Empty)".to_string(),
        other => other.to_string(),
    }
}
