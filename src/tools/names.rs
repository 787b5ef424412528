//! Names of topics: patterns, and the one that was meant.

use regex::Regex;

use super::flags::nearest;
use super::io::Failure;

/// A topic pattern as Kafka's tools take it: a regular expression for the whole name, `,` for "or".
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, Failure> {
        let pattern = pattern.trim().replace(',', "|").replace(' ', "");
        let pattern = pattern.trim_matches(|c| c == '"' || c == '\'');
        Regex::new(&format!("^(?:{pattern})$"))
            .map(Self)
            .map_err(|_| Failure::Error(format!("{pattern} is an invalid regex.")))
    }

    /// Whether the whole name fits.
    pub(super) fn fits(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// A sentence, and [`did_you_mean`] after it.
pub(super) fn with_question<'a>(sentence: &str, wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    match did_you_mean(wrong, names) {
        Some(question) => format!("{sentence} {question}"),
        None => sentence.to_owned(),
    }
}

/// `Did you mean 'rides'?` when one of the names is near.
pub(super) fn did_you_mean<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, names).map(|name| format!("Did you mean '{name}'?"))
}
