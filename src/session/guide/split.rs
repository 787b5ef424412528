//! A typed line as words.

use crate::problem::{Outcome, Problem};

/// A line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Its words.
    pub(super) words: Vec<String>,
    /// The file after `<`.
    pub(super) input: Option<String>,
    /// It ends with `&`.
    pub(super) background: bool,
}

/// Splits a line as a shell does, and takes `< FILE` and `&` off its end.
pub(super) fn split(line: &str) -> Outcome<Line> {
    let line = line.trim_end();
    let command = line.strip_suffix('&').filter(|rest| !rest.ends_with(['&', '\\']));
    let background = command.is_some();
    let mut words = shell_words::split(command.unwrap_or(line)).map_err(|_| {
        Problem::new("a quote is not closed").next("write text with spaces as 'one two' or \"one two\"")
    })?;
    if let Some(sign) = words
        .iter()
        .find(|word| matches!(word.as_str(), "|" | ">" | ">>" | "&" | "&&" | ";"))
    {
        return Err(
            Problem::new(format!("this prompt is no shell: it has no '{sign}' there")).next(
                "one command a line; for the rest another terminal: `status` shows the cluster's address",
            ),
        );
    }
    let Some(at) = words.iter().position(|word| word.starts_with('<')) else {
        return Ok(Line {
            words,
            input: None,
            background,
        });
    };
    let mut rest = words.split_off(at);
    let attached = rest.remove(0).trim_start_matches('<').to_string();
    let file = if attached.is_empty() {
        rest.pop()
    } else {
        Some(attached)
    };
    match file {
        Some(file) if rest.is_empty() => Ok(Line {
            words,
            input: Some(file),
            background,
        }),
        _ => Err(Problem::new("'<' takes one file")
            .next("for example: kafka-console-producer --topic rides < rides.txt")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str], input: Option<&str>, background: bool) -> Line {
        Line {
            words: words.iter().map(ToString::to_string).collect(),
            input: input.map(str::to_string),
            background,
        }
    }

    #[test]
    fn a_line_is_split_as_a_shell_does() {
        assert_eq!(
            split("kafka-topics --create --topic 'my rides'").unwrap(),
            line(&["kafka-topics", "--create", "--topic", "my rides"], None, false)
        );
        let from_file = line(&["tool"], Some("rides.txt"), false);
        assert_eq!(split("tool < rides.txt").unwrap(), from_file);
        assert_eq!(split("tool <rides.txt").unwrap(), from_file);
        assert_eq!(
            split("tool --a \\\n  --b").unwrap(),
            line(&["tool", "--a", "--b"], None, false)
        );
        assert!(split("tool <").is_err());
        assert!(split("tool 'open").is_err());
        assert!(split("tool | grep x").unwrap_err().what.contains("no shell"));
    }

    #[test]
    fn an_ampersand_at_the_end_is_for_the_background() {
        assert_eq!(split("tool --a &").unwrap(), line(&["tool", "--a"], None, true));
        assert_eq!(split("tool --a&").unwrap(), line(&["tool", "--a"], None, true));
        assert_eq!(
            split("tool < rides.txt &").unwrap(),
            line(&["tool"], Some("rides.txt"), true)
        );
        assert_eq!(split("tool 'a&'").unwrap(), line(&["tool", "a&"], None, false));
        assert!(split("tool && other").is_err());
        assert!(split("tool & other").is_err());
    }
}
