//! `rows = …`: what a job has written to its output topic.

use std::collections::BTreeMap;

use serde_json::Value;

use super::wording::{count, fields, plain};
use super::{AskError, CheckContext, Finding, topic};
use crate::course::checks::{Isolation, RowsCheck};

pub(super) fn look(check: &RowsCheck, context: &mut CheckContext) -> Result<Finding, AskError> {
    let name = &check.rows;
    let records = context.records(name, Isolation::ReadCommitted, false)?;
    if !records.exists {
        let finding = topic::missing(name, context)?;
        return Ok(Finding {
            found: format!("no row yet: {}", finding.found),
            ..finding
        });
    }
    let rows: Vec<&Value> = records
        .seen
        .iter()
        .filter_map(|seen| seen.value.as_ref())
        .collect();
    let total = records.seen.len() as u64 + records.beyond;
    if total == 0 && check.count != Some(0) {
        return Ok(Finding::fail("no row yet").advise(
            "A window writes its row when the watermark passes its end: an event of a later time moves it.",
        ));
    }
    for wanted in &check.contains {
        if !rows.iter().any(|row| has(row, wanted)) {
            return Ok(absent(wanted, &rows, total));
        }
    }
    if let Some(wanted) = check.count.filter(|wanted| *wanted != total) {
        return Ok(Finding::fail(format!(
            "{name} has {}, and this step needs {wanted}",
            count(total, "row")
        )));
    }
    Ok(Finding::pass(count(total, "row")))
}

/// The row that shares the most fields with the wanted one tells the most about the mistake.
fn absent(wanted: &BTreeMap<String, Value>, rows: &[&Value], total: u64) -> Finding {
    let shared = |row: &Value| {
        wanted
            .iter()
            .filter(|(field, value)| row.get(field).is_some_and(|has| same(value, has)))
            .count()
    };
    let nearest = rows.iter().copied().max_by_key(|row| shared(row));
    let finding = Finding::fail(format!("{}, none with {}", count(total, "row"), fields(wanted)));
    let Some(row) = nearest.filter(|row| shared(row) > 0) else {
        return finding;
    };
    let differs: Vec<String> = wanted
        .iter()
        .filter(|(field, value)| !row.get(*field).is_some_and(|has| same(value, has)))
        .map(|(field, _)| match row.get(field) {
            Some(has) => format!("{field} = {}", plain(has)),
            None => format!("no field {field}"),
        })
        .collect();
    finding.advise(format!("The nearest row has {}.", differs.join(", ")))
}

/// Whether a JSON object has these fields with these values.
pub(super) fn has(value: &Value, wanted: &BTreeMap<String, Value>) -> bool {
    wanted
        .iter()
        .all(|(field, wanted)| value.get(field).is_some_and(|has| same(wanted, has)))
}

/// Equal as a person sees it: 41 and 41.0, `2026-03-01 18:00:00` and `2026-03-01T18:00:00Z`.
fn same(wanted: &Value, has: &Value) -> bool {
    if wanted == has {
        return true;
    }
    match (wanted, has) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => instant(a).is_some_and(|a| Some(a) == instant(b)),
        _ => false,
    }
}

/// A date with a time, with or without its `T` and `Z`, as UTC.
fn instant(text: &str) -> Option<jiff::Timestamp> {
    let text = text.replacen(' ', "T", 1);
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::same;

    #[test]
    fn values_are_compared_as_a_person_would() {
        assert!(same(&json!(41), &json!(41.0)));
        assert!(same(
            &json!("2026-03-01 18:00:00"),
            &json!("2026-03-01T18:00:00Z")
        ));
        assert!(same(
            &json!("2026-03-01 18:00:00"),
            &json!("2026-03-01 18:00:00.000")
        ));
        assert!(!same(
            &json!("2026-03-01 18:00:00"),
            &json!("2026-03-01 18:00:01")
        ));
        assert!(!same(&json!("41"), &json!(41)));
        assert!(!same(&json!("a"), &json!("b")));
    }
}
