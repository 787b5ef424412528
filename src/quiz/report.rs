//! `report`: results for an instructor, as CSV or xAPI statements.

use serde_json::{Value, json};

use crate::problem::{Outcome, Problem};
use crate::quiz::attempt::{Attempt, Score};

/// The columns of the CSV.
const COLUMNS: [&str; 7] = [
    "email",
    "score",
    "max",
    "percent",
    "passed",
    "completed_at",
    "name",
];

/// The attempts that were handed in.
fn finished(attempts: &[Attempt]) -> impl Iterator<Item = (&Attempt, &Score)> {
    attempts
        .iter()
        .filter_map(|attempt| attempt.result.as_ref().map(|result| (attempt, result)))
}

/// CSV (RFC 4180) with a header.
pub(crate) fn csv(attempts: &[Attempt]) -> Outcome<String> {
    let failed = |error: csv::Error| Problem::new(format!("the report can't be written: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(failed)?;
    for (attempt, result) in finished(attempts) {
        let percent = f64::from(result.score) * 100.0 / f64::from(result.max.max(1));
        let record = [
            plain(attempt.email.as_deref().unwrap_or_default()),
            result.score.to_string(),
            result.max.to_string(),
            format!("{percent:.1}"),
            result.passed.to_string(),
            result.completed_at.to_string(),
            plain(attempt.name.as_deref().unwrap_or_default()),
        ];
        writer.write_record(record).map_err(failed)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| failed(error.into_error().into()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A spreadsheet takes a text that begins like a formula for one: an apostrophe before it keeps it a text.
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// xAPI 1.0.3 statements, one a finished attempt.
pub(crate) fn xapi(attempts: &[Attempt]) -> Value {
    let statement = |(attempt, result): (&Attempt, &Score)| {
        let verb = if result.passed { "passed" } else { "failed" };
        json!({
            "id": attempt.id,
            "actor": actor(attempt),
            "verb": {
                "id": format!("http://adlnet.gov/expapi/verbs/{verb}"),
                "display": {"en": verb},
            },
            "object": {
                "objectType": "Activity",
                "id": format!("urn:streamlings:quiz:{}", attempt.course),
                "definition": {
                    "type": "http://adlnet.gov/expapi/activities/assessment",
                    "name": {"en": attempt.title},
                },
            },
            "result": {
                "score": {
                    "scaled": (f64::from(result.score) / f64::from(result.max.max(1)) * 10_000.0).round() / 10_000.0,
                    "raw": result.score,
                    "min": 0,
                    "max": result.max,
                },
                "success": result.passed,
                "completion": true,
            },
            "timestamp": result.completed_at.to_string(),
        })
    };
    Value::Array(finished(attempts).map(statement).collect())
}

/// An agent needs an identifier: the address, else an account that only this report knows.
fn actor(attempt: &Attempt) -> Value {
    let mut actor = json!({"objectType": "Agent"});
    if let Some(name) = &attempt.name {
        actor["name"] = json!(name);
    }
    if let Some(address) = &attempt.email {
        actor["mbox"] = json!(format!("mailto:{address}"));
    } else {
        let account = attempt.name.as_deref().unwrap_or("unnamed");
        actor["account"] = json!({"homePage": "urn:streamlings:learner", "name": account});
    }
    actor
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_formula_stays_a_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(plain(text), format!("'{text}"));
        }
        assert_eq!(plain("ada@example.org"), "ada@example.org");
    }
}
