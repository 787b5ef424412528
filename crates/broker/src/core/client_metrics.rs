//! Subscriptions of client metrics (KIP-714): kept, checked and told. Nobody pushes metrics to this cluster.

use kafka_protocol::ResponseError;

use super::Refusal;
use super::configs::{Configs, Described, Overrides, Source, Type};

/// Name, type and default of each configuration.
const METRICS: [(&str, Type, &str); 3] = [
    ("interval.ms", Type::Int, "300000"),
    ("match", Type::List, ""),
    ("metrics", Type::List, ""),
];

/// What a subscription may match clients by.
const SELECTORS: [&str; 6] = [
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Checks all that is set for a subscription.
///
/// # Errors
/// Kafka's code and message.
pub(crate) fn check_metrics(overrides: &Overrides) -> Result<(), Refusal> {
    let request = |why: String| Err(Refusal::new(ResponseError::InvalidRequest, why));
    let config = |why: String| Err(Refusal::new(ResponseError::InvalidConfig, why));
    for (name, value) in overrides {
        match name.as_str() {
            "interval.ms" => {
                let Ok(interval) = value.trim().parse::<i32>() else {
                    return config(format!(
                        "Invalid value {value} for configuration interval.ms: Not a number of type INT"
                    ));
                };
                if !(100..=3_600_000).contains(&interval) {
                    return request(format!(
                        "Invalid value {interval} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
                    ));
                }
            }
            "match" => {
                for pattern in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                    let fits = pattern.split_once('=').is_some_and(|(selector, regex)| {
                        SELECTORS.contains(&selector.trim()) && is_pattern(regex.trim())
                    });
                    if !fits {
                        return config(format!("Illegal client matching pattern: {pattern}"));
                    }
                }
            }
            "metrics" => {}
            other => return request(format!("Unknown client metrics configuration: {other}")),
        }
    }
    Ok(())
}

/// Brackets and parentheses are closed and something stands before a repetition: what goes wrong in practice, without an
/// engine for regular expressions that nothing else here needs.
fn is_pattern(text: &str) -> bool {
    let mut open = Vec::new();
    let mut before = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, open.last()) {
            ('\\', _) if chars.as_str().is_empty() => return false,
            ('\\', _) => drop(chars.next()),
            (']', Some('[')) | (')', Some('(')) => drop(open.pop()),
            (_, Some('[')) => {}
            ('[' | '(', _) => open.push(c),
            (')', _) => return false,
            ('*' | '+' | '?', _) if matches!(before, None | Some('(' | '|')) => return false,
            _ => {}
        }
        before = Some(c);
    }
    open.is_empty() && !text.is_empty()
}

/// Everything that `DescribeConfigs` says of a subscription, also of one that nobody has made.
pub(crate) fn describe_metrics(configs: &Configs, name: &str) -> Vec<Described> {
    let own = configs.client_metrics.get(name);
    let describe = |(name, kind, default): (&str, Type, &str)| {
        let value = own.and_then(|own| own.get(name));
        let synonym = |value: &String| (name.to_owned(), Some(value.clone()), Source::ClientMetrics);
        Described {
            name: name.to_owned(),
            value: Some(value.cloned().unwrap_or_else(|| default.to_owned())),
            kind,
            source: value.map_or(Source::Default, |_| Source::ClientMetrics),
            read_only: false,
            synonyms: value.map(synonym).into_iter().collect(),
        }
    };
    METRICS.into_iter().map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_told_from_nonsense() {
        for good in [".*", "a|b", "[a(]", "(a+)?", "a\\["] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in ["[", "(", ")", "*a", "(?", "a\\", ""] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }
}
