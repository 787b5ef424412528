//! A typed line as words.

use crate::problem::{Outcome, Problem};

/// Splits a line as a shell does, and takes `< FILE` off its end.
pub(super) fn split(line: &str) -> Outcome<(Vec<String>, Option<String>)> {
    let mut words = shell_words::split(line).map_err(|_| {
        Problem::new("a quote is not closed").next("write text with spaces as 'one two' or \"one two\"")
    })?;
    let Some(at) = words.iter().position(|word| word.starts_with('<')) else {
        if let Some(sign) = words
            .iter()
            .find(|word| matches!(word.as_str(), "|" | ">" | ">>" | "&" | "&&" | ";"))
        {
            return Err(
                Problem::new(format!("this prompt is no shell: it has no '{sign}'"))
                    .next("use another terminal for that: `status` shows the address of the cluster"),
            );
        }
        return Ok((words, None));
    };
    let mut rest = words.split_off(at);
    let attached = rest.remove(0).trim_start_matches('<').to_string();
    let file = if attached.is_empty() {
        rest.pop()
    } else {
        Some(attached)
    };
    match file {
        Some(file) if rest.is_empty() => Ok((words, Some(file))),
        _ => Err(Problem::new("'<' takes one file")
            .next("for example: kafka-console-producer --topic rides < rides.txt")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_a_shell_does() {
        let (words, input) = split("kafka-topics --create --topic 'my rides'").unwrap();
        assert_eq!(words, ["kafka-topics", "--create", "--topic", "my rides"]);
        assert_eq!(input, None);
        assert_eq!(
            split("tool < rides.txt").unwrap(),
            (vec!["tool".into()], Some("rides.txt".into()))
        );
        assert_eq!(
            split("tool <rides.txt").unwrap(),
            (vec!["tool".into()], Some("rides.txt".into()))
        );
        assert_eq!(split("tool --a \\\n  --b").unwrap().0, ["tool", "--a", "--b"]);
        assert!(split("tool <").is_err());
        assert!(split("tool 'open").is_err());
        assert!(split("tool | grep x").unwrap_err().what.contains("no shell"));
    }
}
