//! `answer = …`: what the learner has answered.

use std::collections::BTreeSet;

use super::{AskError, CheckContext, Finding};
use crate::course::checks::{AnswerCheck, AnswerFrom, Isolation};

pub(super) fn look(check: &AnswerCheck, context: &mut CheckContext) -> Result<Finding, AskError> {
    let Some(answer) = context.answer(&check.answer).map(str::to_string) else {
        return Ok(Finding::fail("no answer yet").advise("Type it at the prompt: answer …"));
    };
    let shown = crate::ui::visible(&answer).into_owned();
    if let Some((_, reply)) = check.wrong.iter().find(|(wrong, _)| equal(wrong, &answer)) {
        return Ok(Finding::fail(format!("'{shown}' is not it")).advise(reply.clone()));
    }
    let right = match &check.from {
        None => check.accept.iter().any(|accepted| equal(accepted, &answer)),
        Some(from) => match partition_of(from, context)? {
            Ok(partition) => equal(&partition.to_string(), &answer),
            Err(finding) => return Ok(finding),
        },
    };
    if right {
        return Ok(Finding::pass(format!("'{shown}' is right")));
    }
    Ok(Finding::fail(format!("'{shown}' is not it")).advise("Look again, and answer again."))
}

fn partition_of(from: &AnswerFrom, context: &mut CheckContext) -> Result<Result<i32, Finding>, AskError> {
    let key = from.partition_of_key.as_bytes();
    let partitions: BTreeSet<i32> = context
        .records(&from.topic, Isolation::ReadCommitted, false)?
        .seen
        .iter()
        .filter(|seen| seen.key.as_deref() == Some(key))
        .map(|seen| seen.partition)
        .collect();
    let one = partitions.first().copied().filter(|_| partitions.len() == 1);
    Ok(one.ok_or_else(|| {
        let (what, topic) = (&from.partition_of_key, &from.topic);
        if partitions.is_empty() {
            Finding::fail(format!("no record in {topic} has the key {what} yet")).advise("Write them first.")
        } else {
            Finding::fail(format!("{what} is in several partitions of {topic}"))
                .advise("`reset` makes the topic anew.")
        }
    }))
}

/// Spaces and case don't matter, nor how a number is written.
fn equal(wanted: &str, answer: &str) -> bool {
    let clean = |text: &str| {
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase()
    };
    let (wanted, answer) = (clean(wanted), clean(answer));
    if wanted == answer {
        return true;
    }
    match (wanted.parse::<f64>(), answer.parse::<f64>()) {
        (Ok(wanted), Ok(answer)) => wanted.to_bits() == answer.to_bits(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn an_answer_is_taken_as_it_is_meant() {
        assert!(equal("2", " 2 "));
        assert!(equal("2", "2.0"));
        assert!(equal("all ten", "All  TEN"));
        assert!(!equal("2", "20"));
        assert!(!equal("2", "partition 1"));
    }
}
