//! Completion of a tool's command line, from the same table that parses it.

use super::flags::{Flag, Syntax, Takes};
use super::{TOOLS, Tool, find};

/// What the cluster can tell to complete names.
pub trait Names {
    /// The lab's topics.
    fn topics(&self) -> Vec<String>;
    /// The lab's groups.
    fn groups(&self) -> Vec<String>;
}

/// What the word being typed can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Takes the place of the word.
    pub text: String,
    /// What it is, when the table says so.
    pub help: &'static str,
}

/// Candidates for `partial`, the word being typed after `words` (`words[0]` is the tool; empty: the tool itself).
pub fn complete(words: &[String], partial: &str, names: &dyn Names) -> Vec<Candidate> {
    let Some((name, given)) = words.split_first() else {
        return fitting(
            partial,
            TOOLS.iter().map(|tool| (tool.name.to_owned(), tool.about)),
        );
    };
    let Some(tool) = find(name) else {
        return Vec::new();
    };
    let flag_of = |word: &str| -> Option<&'static Flag> {
        let name = word.strip_prefix("--")?;
        tool.flags.iter().find(|flag| flag.name == name)
    };
    if let Some((flag, value)) = partial
        .split_once('=')
        .and_then(|(flag, value)| Some((flag_of(flag)?, value)))
    {
        let stem = format!("--{}=", flag.name);
        return values(flag.takes, value, names)
            .into_iter()
            .map(|candidate| Candidate {
                text: format!("{stem}{}", candidate.text),
                ..candidate
            })
            .collect();
    }
    let mut found = Vec::new();
    if let Some(flag) = given.last().and_then(|word| flag_of(word)) {
        found = values(flag.takes, partial, names);
        if !matches!(flag.takes, Takes::Nothing | Takes::Maybe(_)) {
            return found;
        }
    }
    found.extend(commands(tool, given, partial));
    let repeats = |flag: &Flag| {
        matches!(flag.takes, Takes::Property(_) | Takes::Properties(_))
            || matches!(flag.name, "group" | "topic") && name.contains("groups")
    };
    let flags = tool
        .flags
        .iter()
        .filter(|flag| {
            repeats(flag)
                || !given
                    .iter()
                    .any(|word| flag_of(word).is_some_and(|seen| seen.name == flag.name))
        })
        .map(|flag| (format!("--{}", flag.name), flag.help));
    found.extend(fitting(partial, flags));
    found
}

/// The words that say what to do, until one was given.
fn commands(tool: &Tool, given: &[String], partial: &str) -> Vec<Candidate> {
    let Syntax::Argparse { commands, .. } = tool.syntax else {
        return Vec::new();
    };
    if given.iter().any(|word| commands.contains(&word.as_str())) {
        return Vec::new();
    }
    fitting(partial, commands.iter().map(|word| ((*word).to_owned(), "")))
}

fn values(takes: Takes, partial: &str, names: &dyn Names) -> Vec<Candidate> {
    let plain = |words: Vec<String>| fitting(partial, words.into_iter().map(|word| (word, "")));
    match takes {
        Takes::Topic => plain(names.topics()),
        Takes::Group => plain(names.groups()),
        Takes::OneOf(words) | Takes::Maybe(words) => {
            plain(words.iter().map(|word| (*word).to_owned()).collect())
        }
        Takes::Property(known) | Takes::Properties(known) => {
            plain(known.iter().map(|name| format!("{name}=")).collect())
        }
        Takes::Nothing | Takes::Text(_) | Takes::Number(_) => Vec::new(),
    }
}

fn fitting(partial: &str, all: impl Iterator<Item = (String, &'static str)>) -> Vec<Candidate> {
    all.filter(|(text, _)| text.starts_with(partial))
        .map(|(text, help)| Candidate { text, help })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lab;

    impl Names for Lab {
        fn topics(&self) -> Vec<String> {
            vec!["rides".into(), "results".into()]
        }

        fn groups(&self) -> Vec<String> {
            vec!["map".into()]
        }
    }

    fn complete_line(line: &str) -> Vec<String> {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let partial = words.pop().unwrap();
        complete(&words, &partial, &Lab)
            .into_iter()
            .map(|candidate| candidate.text)
            .collect()
    }

    #[test]
    fn every_place_of_a_line_is_completed() {
        assert_eq!(complete_line("kafka-t"), ["kafka-topics", "kafka-transactions"]);
        assert_eq!(complete_line("kafka-topics --cr"), ["--create"]);
        assert_eq!(complete_line("kafka-topics --describe --topic ri"), ["rides"]);
        assert_eq!(complete_line("kafka-topics --topic=re"), ["--topic=results"]);
        assert_eq!(complete_line("kafka-consumer-groups --group "), ["map"]);
        assert_eq!(
            complete_line("kafka-console-consumer.sh --isolation-level read_c"),
            ["read_committed"]
        );
        assert!(
            complete_line("kafka-topics --list --")
                .iter()
                .all(|word| word != "--list")
        );
        assert_eq!(
            complete_line("kafka-transactions describe-p"),
            ["describe-producers"]
        );
        assert!(complete_line("kafka-transactions list de").is_empty());
        assert!(complete_line("kafka-nothing --").is_empty());
        assert!(complete_line("kafka-console-producer --property parse.k") == ["parse.key="]);
    }
}
