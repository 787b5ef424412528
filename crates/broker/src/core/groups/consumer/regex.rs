//! Subscriptions by regular expression, resolved by the coordinator (KIP-848, version 1).

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use regex::Regex;

use super::{Consumer, Resolved};
use crate::core::Refusal;
use crate::core::groups::Cx;
use crate::core::topics::is_internal;

/// Expressions are resolved again at most this often.
const REFRESH_MS: i64 = 10_000;
/// The largest program that an expression may become.
const MAX_PROGRAM_BYTES: usize = 1 << 20;

/// What RE2 says of what our library says.
const RE2_WORDS: [(&str, &str); 10] = [
    ("unclosed group", "missing closing )"),
    // What RE2/J says of it.
    ("unopened group", "regexp/syntax: internal error"),
    ("capture group name", "invalid named capture"),
    ("invalid repetition count range", "invalid repeat count"),
    ("backreferences", "invalid escape sequence"),
    ("unclosed character class", "missing closing ]"),
    (
        "repetition operator missing expression",
        "missing argument to repetition operator",
    ),
    ("invalid character class range", "invalid character class range"),
    (
        "incomplete escape sequence",
        "trailing backslash at end of expression",
    ),
    ("unrecognized escape sequence", "invalid escape sequence"),
];

fn compile(regex: &str) -> Result<Regex, regex::Error> {
    // The whole name has to match.
    regex::RegexBuilder::new(&format!("^(?:{regex})$"))
        .size_limit(MAX_PROGRAM_BYTES)
        .build()
}

/// Is it an expression at all.
///
/// # Errors
/// `INVALID_REGULAR_EXPRESSION`.
pub(super) fn check(regex: &str) -> Result<(), Refusal> {
    let invalid = |why: &str| {
        Refusal::new(
            ResponseError::InvalidRegularExpression,
            format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {why}."),
        )
    };
    if repeats_a_repetition(regex) {
        return Err(invalid("invalid nested repetition operator"));
    }
    // By itself first: within the brackets that `compile` adds, `a)(b` would be one.
    let made = Regex::new(regex).and_then(|_| compile(regex));
    made.map(|_| ()).map_err(|error| {
        let said = error.to_string();
        let why = said
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let why = RE2_WORDS
            .iter()
            .find(|(ours, _)| why.contains(ours))
            .map_or(why, |(_, re2)| re2);
        invalid(why)
    })
}

/// Is there an operator like `**`, which our library takes and RE2 does not.
fn repeats_a_repetition(regex: &str) -> bool {
    // After a repetition comes `?` at most, which makes it a lazy one.
    let (mut repeated, mut lazy, mut class) = (false, false, false);
    let mut chars = regex.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
                repeated = false;
            }
            '[' => class = true,
            ']' => (class, repeated) = (false, false),
            _ if class => {}
            '?' if repeated && !lazy => lazy = true,
            '*' | '+' | '?' if repeated => return true,
            '*' | '+' | '?' => (repeated, lazy) = (true, false),
            _ => repeated = false,
        }
        if !repeated {
            lazy = false;
        }
    }
    false
}

impl Consumer {
    /// When the expressions were last resolved.
    pub(super) fn resolved_ms(&self) -> Option<i64> {
        self.regexes().values().map(|r| r.at_ms).max()
    }

    /// Resolves the members' expressions where one is new or topics have come or gone. `last_ms`: when that was last
    /// done, before the heartbeat that asks for it.
    pub(super) fn refresh_regexes(&mut self, cx: &mut Cx, last_ms: Option<i64>) {
        let used: BTreeSet<String> = self
            .members
            .values()
            .filter_map(|m| m.regex().map(str::to_owned))
            .collect();
        if used.is_empty() || last_ms.is_some_and(|last| cx.now_ms <= last + REFRESH_MS) {
            return;
        }
        let names = cx.topics.names();
        let mut changed = false;
        let version = self.regexes().values().map(|r| r.version).max().unwrap_or(0) + 1;
        let mut fresh = Vec::new();
        for regex in used {
            let Ok(program) = compile(&regex) else { continue };
            let topics: BTreeSet<String> = names
                .iter()
                .filter(|name| !is_internal(name) && program.is_match(name))
                .map(ToString::to_string)
                .collect();
            let before = self.regexes().get(&regex).map(|r| &r.topics);
            changed |= before.unwrap_or(&BTreeSet::new()) != &topics;
            if before != Some(&topics) {
                fresh.push((regex, topics));
            }
        }
        for (regex, topics) in fresh {
            let resolved = Resolved {
                topics,
                version,
                at_ms: cx.now_ms,
            };
            self.put_regex(cx, &regex, Some(resolved));
        }
        self.bump(cx, changed, true);
    }
}
