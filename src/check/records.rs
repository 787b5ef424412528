//! `records = …`: what a topic holds.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Seen;
use super::wording::{count, key_text, list, plain, subject};
use super::{AskError, CheckContext, Finding, rows, topic};
use crate::course::checks::{Isolation, RecordsCheck};

/// What makes a console producer write keys.
const KEYS: &str = "Records without a key are spread; the key comes before the separator: \
                    --reader-property parse.key=true --reader-property key.separator=:";

pub(super) fn look(check: &RecordsCheck, context: &mut CheckContext) -> Result<Finding, AskError> {
    let name = &check.records;
    let isolation = check.isolation.unwrap_or(Isolation::ReadCommitted);
    let before_ms = match check.least_age_ms().flatten() {
        Some(age_ms) => Some(context.now_ms()? - age_ms),
        None => None,
    };
    let records = context.records(name, isolation, check.anew)?;
    if !records.exists {
        let finding = topic::missing(name, context)?;
        return Ok(Finding {
            found: format!("0 so far: {}", finding.found),
            ..finding
        });
    }
    let total = records.seen.len();
    let mut all: Vec<&Seen> = records
        .seen
        .iter()
        .filter(|seen| {
            let old = before_ms.is_none_or(|before| seen.timestamp_ms.is_some_and(|at| at < before));
            old && of_interest(check, seen)
        })
        .collect();
    all.sort_by_key(|seen| seen.partition);
    let beyond = records.beyond;
    if all.is_empty() && check.count != Some(0) {
        let finding = if total == 0 {
            Finding::fail(format!("0 so far: nothing has arrived in {name}"))
        } else {
            nothing_matches(check, &records.seen)
        };
        return Ok(finding);
    }
    let failed = counted(check, all.len() as u64 + beyond)
        .or_else(|| keyed(check, &all))
        .or_else(|| different(check, &all))
        .or_else(|| one_partition(check, &all))
        .or_else(|| spread(check, &all));
    Ok(failed.unwrap_or_else(|| Finding::pass(count(all.len() as u64 + beyond, "record"))))
}

fn of_interest(check: &RecordsCheck, seen: &Seen) -> bool {
    let key = check
        .key
        .as_ref()
        .is_none_or(|key| seen.key.as_deref() == Some(key.as_bytes()));
    key && (seen.tombstone || !check.tombstones)
        && (check.fields.is_empty()
            || seen
                .value
                .as_ref()
                .is_some_and(|value| rows::has(value, &check.fields)))
}

fn nothing_matches(check: &RecordsCheck, seen: &[Seen]) -> Finding {
    let name = &check.records;
    let total = count(seen.len() as u64, "record");
    if check.key.is_some() && seen.iter().all(|seen| seen.key.is_none()) {
        return Finding::fail(format!("{name} has {total}, and none has a key")).advise(format!("{KEYS}."));
    }
    let wanted = subject(check);
    let wanted = wanted.strip_suffix(&format!(" in {name}")).unwrap_or(&wanted);
    let finding = Finding::fail(format!("{name} has {total}, and none {wanted}"));
    if !check.fields.is_empty() && seen.iter().all(|seen| seen.value.is_none()) {
        return finding.advise("The values are no JSON: one JSON object a line.");
    }
    finding
}

fn counted(check: &RecordsCheck, has: u64) -> Option<Finding> {
    let wanted = check.count.or(check.at_least)?;
    if has < wanted {
        return Some(Finding::fail(format!("{has} of {wanted} so far")));
    }
    if check.count.is_none() || has == wanted {
        return None;
    }
    let finding = Finding::fail(format!(
        "{} {}, and this step needs {wanted}",
        count(has, "record"),
        subject(check)
    ));
    if check.anew {
        return Some(finding);
    }
    Some(finding.advise("Records can't be taken back: `reset` makes the topic anew."))
}

fn keyed(check: &RecordsCheck, all: &[&Seen]) -> Option<Finding> {
    let without = all.iter().filter(|seen| seen.key.is_none()).count();
    (check.keyed == Some(true) && without > 0).then(|| {
        Finding::fail(format!(
            "{without} of {} have no key",
            count(all.len() as u64, "record")
        ))
        .advise(format!(
            "{KEYS}. What is in the topic stays: `reset` makes it anew."
        ))
    })
}

/// How many different keys and values there are.
fn different(check: &RecordsCheck, all: &[&Seen]) -> Option<Finding> {
    let keys: BTreeSet<&Vec<u8>> = all.iter().filter_map(|seen| seen.key.as_ref()).collect();
    let values: BTreeSet<u64> = all.iter().map(|seen| seen.value_hash).collect();
    let pairs = [
        ("key", check.distinct_keys, keys.len() as u64),
        ("value", check.distinct_values, values.len() as u64),
    ];
    pairs.into_iter().find_map(|(what, wanted, has)| {
        let wanted = wanted.filter(|wanted| *wanted != has)?;
        let has = count(has, &format!("different {what}"));
        Some(Finding::fail(format!(
            "{has} {}, and this step needs {wanted}",
            subject(check)
        )))
    })
}

fn partitions(all: &[&Seen]) -> BTreeSet<i32> {
    all.iter().map(|seen| seen.partition).collect()
}

/// `partition 2`, `partitions 0 and 2`.
fn named(partitions: &BTreeSet<i32>) -> String {
    let numbers: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    let noun = if numbers.len() == 1 {
        "partition"
    } else {
        "partitions"
    };
    format!("{noun} {}", list(&numbers))
}

fn one_partition(check: &RecordsCheck, all: &[&Seen]) -> Option<Finding> {
    check.key_partition?;
    let keyless = all.iter().any(|seen| seen.key.is_none());
    if check.key.is_some() || !check.fields.is_empty() {
        let used = partitions(all);
        if used.len() > 1 {
            let who = check.key.clone().unwrap_or_else(|| {
                let values: Vec<String> = check.fields.values().map(plain).collect();
                list(&values)
            });
            return Some(Finding::fail(format!("{who} is in {}", named(&used))).advise(why_spread(keyless)));
        }
        return None;
    }
    let mut by_key: BTreeMap<&[u8], BTreeSet<i32>> = BTreeMap::new();
    for seen in all {
        if let Some(key) = &seen.key {
            by_key.entry(key).or_default().insert(seen.partition);
        }
    }
    if let Some((key, used)) = by_key.iter().find(|(_, used)| used.len() > 1) {
        return Some(
            Finding::fail(format!("{} is in {}", key_text(key), named(used))).advise(why_spread(keyless)),
        );
    }
    if keyless {
        let without: Vec<&Seen> = all.iter().copied().filter(|seen| seen.key.is_none()).collect();
        let have = if without.len() == 1 { "has" } else { "have" };
        return Some(
            Finding::fail(format!(
                "{} {have} no key, in {}",
                count(without.len() as u64, "record"),
                named(&partitions(&without))
            ))
            .advise(format!("{KEYS}.")),
        );
    }
    None
}

fn why_spread(keyless: bool) -> String {
    if keyless {
        return format!("{KEYS}.");
    }
    "Two ways lead there: the number of partitions was changed between the writes, or two kinds of client wrote \
     (Java hashes keys with murmur2, librdkafka and kcat with CRC32)."
        .to_string()
}

fn spread(check: &RecordsCheck, all: &[&Seen]) -> Option<Finding> {
    let wanted = check.partitions_used? as usize;
    let used = partitions(all);
    if used.len() == wanted {
        return None;
    }
    let finding = Finding::fail(format!(
        "the records are in {}, and this step needs {wanted} in use",
        named(&used)
    ));
    let keys: BTreeSet<_> = all.iter().map(|seen| &seen.key).collect();
    Some(if used.len() > wanted {
        finding
    } else if keys.len() == 1 && all.iter().all(|seen| seen.key.is_some()) {
        finding.advise("All records have the same key, and one key goes to one partition.")
    } else if all.iter().all(|seen| seen.key.is_none()) {
        finding.advise("Records without a key stay in one partition until a batch is full: give them keys.")
    } else {
        finding.advise("More keys, or other ones, fall into more partitions.")
    })
}
