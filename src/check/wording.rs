//! How checks word what they want and what they found.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::course::checks::{
    AnswerCheck, Check, CheckKind, GroupCheck, Isolation, JobCheck, RecordsCheck, RowsCheck, TopicCheck,
    TransactionCheck,
};

/// The line with the box: the author's own, else one from what the check asks.
pub fn label(check: &Check) -> String {
    if let Some(label) = check.kind.label() {
        return label.to_string();
    }
    match &check.kind {
        CheckKind::Topic(check) => topic(check),
        CheckKind::Records(check) => records(check),
        CheckKind::Group(check) => group(check),
        CheckKind::Transaction(TransactionCheck {
            transaction, state, ..
        }) => {
            let state = super::transaction::said(state.word());
            format!("the last transaction of {transaction} is {state}")
        }
        CheckKind::Broker(check) => {
            format!(
                "broker {} is {}",
                check.broker,
                if check.up { "up" } else { "down" }
            )
        }
        CheckKind::Job(check) => job(check),
        CheckKind::Rows(check) => rows(check),
        CheckKind::Answer(AnswerCheck { answer, .. }) => answer.clone(),
    }
}

fn topic(check: &TopicCheck) -> String {
    let name = &check.topic;
    if check.exists == Some(false) {
        return format!("topic {name} is gone");
    }
    let mut has = Vec::new();
    if let Some(partitions) = check.partitions {
        has.push(count(u64::from(partitions), "partition"));
    }
    if let Some(replicas) = check.replicas {
        has.push(format!("{} of each", count(u64::from(replicas), "replica")));
    }
    if let Some(in_sync) = check.in_sync {
        has.push(format!("{} in sync", count(u64::from(in_sync), "replica")));
    }
    has.extend(
        check
            .leaders
            .iter()
            .map(|(partition, broker)| format!("broker {broker} as leader of partition {partition}")),
    );
    for (what, offsets) in [("start", &check.starts), ("end", &check.ends)] {
        has.extend(
            offsets
                .iter()
                .map(|(partition, offset)| format!("the {what} offset {offset} in partition {partition}")),
        );
    }
    let happened = check.happened().into_iter().zip(HAPPENED);
    has.extend(happened.filter_map(|(wanted, noun)| Some(count_of(wanted?, noun))));
    has.extend(check.config.iter().map(|(key, value)| format!("{key}={value}")));
    if has.is_empty() {
        format!("topic {name} exists")
    } else {
        format!("topic {name} has {}", list(&has))
    }
}

/// Which records a check looks at: `rides of driver d-17`.
pub(super) fn subject(check: &RecordsCheck) -> String {
    let of: Vec<String> = check
        .fields
        .iter()
        .map(|(field, value)| format!("{field} {}", plain(value)))
        .collect();
    let mut text = String::new();
    if !of.is_empty() {
        text = format!("of {} ", list(&of));
    }
    if let Some(key) = &check.key {
        text.push_str(&format!("with the key {key} "));
    }
    if check.tombstones {
        text.push_str("without a value ");
    }
    if let Some(age) = &check.older_than {
        text.push_str(&format!("older than {age} "));
    }
    format!("{text}in {}", check.records)
}

fn records(check: &RecordsCheck) -> String {
    let mut text = match (check.count, check.at_least) {
        (Some(number), _) => count(number, "record"),
        (None, Some(number)) => format!("{number} or more records"),
        (None, None) => "records".to_string(),
    };
    if check.keyed == Some(true) {
        text.push_str(" with a key");
    }
    text.push(' ');
    text.push_str(&subject(check));
    if check.key_partition.is_some() {
        text.push_str(if check.key.is_some() || !check.fields.is_empty() {
            ", all in one partition"
        } else {
            ", those of one key in one partition"
        });
    }
    for (what, wanted) in [("key", check.distinct_keys), ("value", check.distinct_values)] {
        if let Some(wanted) = wanted {
            text.push_str(&format!(", {}", count(wanted, &format!("different {what}"))));
        }
    }
    if let Some(partitions) = check.partitions_used {
        text.push_str(&format!(
            ", spread over {}",
            count(u64::from(partitions), "partition")
        ));
    }
    if check.isolation == Some(Isolation::ReadUncommitted) {
        text.push_str(", aborted ones too");
    }
    text
}

fn group(check: &GroupCheck) -> String {
    let name = &check.group;
    let of = check
        .topic
        .as_ref()
        .map_or_else(String::new, |topic| format!(" of {topic}"));
    let mut parts = Vec::new();
    if let Some(read) = check.read {
        parts.push(format!("has read {}{of}", count(read, "record")));
    }
    if !check.committed.is_empty() {
        let offsets: Vec<String> = check
            .committed
            .iter()
            .map(|(partition, offset)| format!("{offset} in partition {partition}"))
            .collect();
        parts.push(format!("has committed {}{of}", list(&offsets)));
    }
    if let Some(lag) = check.lag {
        parts.push(format!("has a lag of {lag}"));
    }
    if let Some(members) = check.members {
        parts.push(format!("has {}", count(u64::from(members), "member")));
    }
    if let Some(idle) = check.idle {
        parts.push(match idle {
            0 => "has a partition for each member".to_string(),
            idle => format!("has {} without a partition", count(u64::from(idle), "member")),
        });
    }
    if let Some(state) = check.state {
        parts.push(format!("is {}", state.word()));
    }
    for (client, partitions) in &check.assigned {
        let has = match partitions {
            0 => "no partition".to_string(),
            partitions => count(u64::from(*partitions), "partition"),
        };
        parts.push(format!("has {has} with {client}"));
    }
    for (partition, client) in &check.readers {
        parts.push(format!("has partition {partition} with {client}"));
    }
    format!("group {name} {}", list(&parts))
}

fn job(check: &JobCheck) -> String {
    let mut parts = Vec::new();
    if let Some(state) = check.state {
        parts.push(format!("is {}", state.word()));
    }
    if let Some(late) = check.late {
        parts.push(format!("has dropped {}", count(late, "late record")));
    }
    if let Some(open) = check.windows_open {
        parts.push(format!("has {}", count(open, "open window")));
    }
    if let Some(time) = &check.watermark_at_least {
        parts.push(format!("has a watermark of {time} or later"));
    }
    if parts.is_empty() {
        format!("there is a job {}", check.job)
    } else {
        format!("job {} {}", check.job, list(&parts))
    }
}

fn rows(check: &RowsCheck) -> String {
    let mut parts = Vec::new();
    parts.extend(check.count.map(|number| count(number, "row")));
    parts.extend(
        check
            .contains
            .iter()
            .map(|row| format!("the row {}", fields(row))),
    );
    format!("{} has {}", check.rows, list(&parts))
}

/// `window_start = 2026-03-01 18:00:00, rides = 41`.
pub(super) fn fields(row: &BTreeMap<String, Value>) -> String {
    let fields: Vec<String> = row
        .iter()
        .map(|(field, value)| format!("{field} = {}", plain(value)))
        .collect();
    fields.join(", ")
}

/// A JSON value as one says it: text without quotes.
pub(super) fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), |text| crate::ui::visible(text).into_owned())
}

/// What can have happened to a topic's records, one and many; in the order of [`TopicCheck::happened`].
const HAPPENED: [(&str, &str); 4] = [
    ("write without an answer", "writes without an answer"),
    ("recognised retry", "recognised retries"),
    ("refused write", "refused writes"),
    ("lost record", "lost records"),
];

fn count_of(number: u64, (one, many): (&str, &str)) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `1 partition`, `3 partitions`.
pub(super) fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Bytes of a key as one says them.
pub(super) fn key_text(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    let short: String = text.chars().take(60).collect();
    crate::ui::visible(&short).into_owned()
}
