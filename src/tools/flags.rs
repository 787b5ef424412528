//! One table of flags per tool: it drives parsing, `--help` and completion.
//!
//! Words and messages are those of Kafka's own tools, which parse with jopt-simple: `--flag value` or `--flag=value`,
//! no abbreviations, and the next word is a flag's value whatever it looks like.

use std::str::FromStr;

use super::io::Failure;

/// What can follow a flag, and so be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// Any text; the word in `--help` for it.
    Text(&'static str),
    /// A whole number.
    Number(&'static str),
    /// A topic's name.
    Topic,
    /// A group's name.
    Group,
    /// One of these words; Kafka's tools check it themselves.
    OneOf(&'static [&'static str]),
    /// `name=value`, with the names that are known.
    Property(&'static [&'static str]),
    /// One `name=value` or several, up to the next flag.
    Properties(&'static [&'static str]),
    /// A word, or nothing.
    Maybe(&'static [&'static str]),
}

/// Which of the two libraries Kafka's tool parses its command line with: the words of its errors are the library's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// jopt-simple: flags in any order, each once.
    Jopt,
    /// argparse4j: commands with flags of their own; of a repeated flag the last one counts.
    Argparse {
        /// The name that it gives itself in errors.
        program: &'static str,
        /// The words that say what to do; empty: it has none.
        commands: &'static [&'static str],
    },
}

impl Syntax {
    /// Wrong usage, in the library's frame.
    fn wrong(self, jopt: String, argparse: String) -> Failure {
        match self {
            Self::Jopt => Failure::Usage(jopt),
            Self::Argparse { program, .. } => Failure::Usage(format!("{program}: error: {argparse}")),
        }
    }
}

/// One flag of a tool.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its name, without the dashes.
    pub(super) name: &'static str,
    /// What follows it.
    pub(super) takes: Takes,
    /// What it is for, in one sentence.
    pub(super) help: &'static str,
}

/// Shorthand for the tables.
pub(super) const fn flag(name: &'static str, takes: Takes, help: &'static str) -> Flag {
    Flag { name, takes, help }
}

/// Flags that every tool has.
pub(super) const BOOTSTRAP: Flag = flag(
    "bootstrap-server",
    Takes::Text("host:port"),
    "Another cluster than the lab's.",
);
/// See [`BOOTSTRAP`].
pub(super) const COMMAND_CONFIG: Flag = flag(
    "command-config",
    Takes::Text("file"),
    "A file with client properties, name=value a line.",
);
/// See [`BOOTSTRAP`].
pub(super) const HELP: Flag = flag("help", Takes::Nothing, "Print this help.");
/// See [`BOOTSTRAP`].
pub(super) const VERSION: Flag = flag(
    "version",
    Takes::Nothing,
    "Print the version of Kafka that this tool follows.",
);

impl Flag {
    fn placeholder(&self) -> String {
        match self.takes {
            Takes::Nothing => String::new(),
            Takes::Text(word) | Takes::Number(word) => format!(" <{word}>"),
            Takes::Topic => " <topic>".into(),
            Takes::Group => " <group>".into(),
            Takes::OneOf(words) if words.len() <= 4 => format!(" <{}>", words.join("|")),
            Takes::OneOf(_) => " <name>".into(),
            Takes::Property(_) => " <name=value>".into(),
            Takes::Properties(_) => " <name=value …>".into(),
            Takes::Maybe(_) => " [value]".into(),
        }
    }
}

/// The flags of one command line, in their order.
#[derive(Debug)]
pub(super) struct Args {
    /// The words as they were given.
    pub(super) line: String,
    /// Those that are neither flags nor their values; jopt-simple passes over them.
    pub(super) plain: Vec<String>,
    syntax: Syntax,
    table: &'static [Flag],
    given: Vec<(&'static Flag, Option<String>)>,
}

/// Reads the words after the tool's name.
pub(super) fn parse(syntax: Syntax, table: &'static [Flag], words: &[String]) -> Result<Args, Failure> {
    let line = words.join(" ");
    let (mut given, mut plain) = (Vec::new(), Vec::new());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            plain.push(word.clone());
            continue;
        };
        if rest.is_empty() {
            continue;
        }
        let (name, attached) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (rest, None),
        };
        let flag = find(table, name).ok_or_else(|| Failure::UnknownFlag(name.to_owned()))?;
        let none = || {
            syntax.wrong(
                format!("Option {name} requires an argument"),
                format!("argument --{name}: expected one argument"),
            )
        };
        let value = match flag.takes {
            Takes::Nothing if attached.is_some() => {
                return Err(syntax.wrong(
                    format!("Option {name} does not allow an argument"),
                    format!("argument --{name}: ignored explicit argument"),
                ));
            }
            Takes::Nothing => None,
            Takes::Maybe(_) => attached.or_else(|| words.next_if(|next| !next.starts_with('-')).cloned()),
            Takes::Properties(_) => {
                let mut all: Vec<String> = attached.into_iter().collect();
                while let Some(next) = words.next_if(|next| !next.starts_with('-')) {
                    all.push(next.clone());
                }
                let last = all.pop().ok_or_else(none)?;
                given.extend(all.into_iter().map(|value| (flag, Some(value))));
                Some(last)
            }
            // argparse takes no flag for a value; jopt-simple takes whatever is there.
            _ if matches!(syntax, Syntax::Argparse { .. }) => Some(
                attached
                    .or_else(|| words.next_if(|next| !looks_like_flag(next)).cloned())
                    .ok_or_else(none)?,
            ),
            _ => Some(attached.or_else(|| words.next().cloned()).ok_or_else(none)?),
        };
        given.push((flag, value));
    }
    Ok(Args {
        line,
        plain,
        syntax,
        table,
        given,
    })
}

/// A negative number is a value.
fn looks_like_flag(word: &str) -> bool {
    word.starts_with('-') && word.parse::<f64>().is_err()
}

fn find(table: &'static [Flag], name: &str) -> Option<&'static Flag> {
    table.iter().find(|flag| flag.name == name)
}

impl Args {
    /// Whether the flag was given.
    pub(super) fn has(&self, name: &str) -> bool {
        debug_assert!(find(self.table, name).is_some(), "no flag --{name} in the table");
        self.given.iter().any(|(flag, _)| flag.name == name)
    }

    /// All values of a flag that may be repeated.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        debug_assert!(find(self.table, name).is_some(), "no flag --{name} in the table");
        self.given
            .iter()
            .filter(|(flag, _)| flag.name == name)
            .filter_map(|(_, value)| value.as_deref())
            .collect()
    }

    /// The value of a flag that may be given once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.all(name).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            [.., last] if matches!(self.syntax, Syntax::Argparse { .. }) => Ok(Some(last)),
            _ => Err(Failure::Error(format!(
                "Found multiple arguments for option {name}, but you asked for only one"
            ))),
        }
    }

    /// The number that follows a flag.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        match self.one(name)? {
            None => Ok(None),
            Some(value) => match value.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) if self.syntax == Syntax::Jopt => Err(Failure::Error(format!(
                    "Cannot parse argument '{value}' of option {name}"
                ))),
                Err(_) => Err(self.wrong(&format!(
                    "argument --{name}: could not convert '{value}' to {} (For input string: \"{value}\")",
                    java_type::<T>()
                ))),
            },
        }
    }

    /// Wrong usage of a tool that parses with argparse4j.
    pub(super) fn wrong(&self, message: &str) -> Failure {
        self.syntax.wrong(message.to_owned(), message.to_owned())
    }

    /// `name=value` pairs of a repeated flag; a missing value is empty, as in Kafka's tools.
    pub(super) fn properties(&self, name: &str) -> Result<Vec<(&str, &str)>, Failure> {
        self.all(name)
            .into_iter()
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                if name.is_empty() {
                    return Err(Failure::Usage(format!(
                        "Invalid command line properties: '{pair}'"
                    )));
                }
                Ok((name, value))
            })
            .collect()
    }

    /// Fails unless all of these are there.
    pub(super) fn require(&self, names: &[&str]) -> Result<(), Failure> {
        match names.iter().find(|name| !self.has(name)) {
            None => Ok(()),
            Some(name) => Err(self.syntax.wrong(
                format!("Missing required argument \"[{name}]\""),
                format!("argument --{name} is required"),
            )),
        }
    }

    /// Fails when `used` is there together with one of `others`.
    pub(super) fn forbid(&self, used: &str, others: &[&str]) -> Result<(), Failure> {
        if !self.has(used) {
            return Ok(());
        }
        match others.iter().find(|other| **other != used && self.has(other)) {
            None => Ok(()),
            Some(other) => Err(Failure::Usage(format!(
                "Option \"[{used}]\" can't be used with option \"[{other}]\""
            ))),
        }
    }

    /// Those of these that are there, in the order of the command line.
    pub(super) fn in_order(&self, names: &[&str]) -> Vec<&'static str> {
        let mut found = Vec::new();
        for (flag, _) in &self.given {
            if names.contains(&flag.name) && !found.contains(&flag.name) {
                found.push(flag.name);
            }
        }
        found
    }

    /// How many of these are there.
    pub(super) fn count(&self, names: &[&str]) -> usize {
        names.iter().filter(|name| self.has(name)).count()
    }
}

/// Java's name of a type of number.
fn java_type<T>() -> &'static str {
    match std::any::type_name::<T>() {
        "i64" | "u64" => "Long",
        "i16" => "Short",
        "f64" => "Double",
        _ => "Integer",
    }
}

/// The flag that a wrong one may have meant.
pub(super) fn similar(table: &'static [Flag], wrong: &str) -> Option<&'static str> {
    nearest(wrong, table.iter().map(|flag| flag.name))
}

/// The nearest of some names, when it is near enough to be worth a question.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, name)| *distance > 0 && *distance <= 1 + name.len().min(wrong.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Widest line of `--help`.
const HELP_COLUMNS: usize = 80;
/// Where the descriptions start.
const HELP_INDENT: usize = 28;

/// The text of `--help`.
pub(super) fn help(name: &str, about: &str, examples: &[&str], table: &'static [Flag]) -> String {
    let mut text = format!("{}\n\n", wrap(about, HELP_COLUMNS).join("\n"));
    for example in examples {
        // Long ones go on in the next line, as in a shell.
        let lines = wrap(&format!("{name} {example}"), HELP_COLUMNS - 8);
        text.push_str(&format!("  {}\n", lines.join(" \\\n      ")));
    }
    text.push('\n');
    for flag in table {
        let left = format!("  --{}{}", flag.name, flag.placeholder());
        let mut lines = wrap(flag.help, HELP_COLUMNS - HELP_INDENT).into_iter();
        if left.len() < HELP_INDENT {
            let first = lines.next().unwrap_or_default();
            text.push_str(&format!("{left:HELP_INDENT$}{first}\n"));
        } else {
            text.push_str(&format!("{left}\n"));
        }
        for line in lines {
            text.push_str(&format!("{:HELP_INDENT$}{line}\n", ""));
        }
    }
    text
}

fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines
            .last_mut()
            .filter(|line| line.is_empty() || line.len() + 1 + word.len() <= columns);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: [Flag; 4] = [
        flag("topic", Takes::Topic, "The topic."),
        flag("list", Takes::Nothing, "List."),
        flag("state", Takes::Maybe(&[]), "States."),
        flag("partitions", Takes::Number("count"), "How many."),
    ];

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn usage(line: &str) -> String {
        match parse(Syntax::Jopt, &TABLE, &words(line)) {
            Err(Failure::Usage(message)) => message,
            Err(Failure::UnknownFlag(name)) => format!("unknown {name}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn values_are_the_next_word_or_attached_and_words_without_dashes_are_passed_over() {
        let args = parse(
            Syntax::Jopt,
            &TABLE,
            &words("create --topic=a -list --topic --list --state --partitions -3"),
        )
        .unwrap();
        assert_eq!(args.all("topic"), ["a", "--list"]);
        assert!(args.has("list") && args.has("state"));
        assert_eq!(args.number::<i64>("partitions").unwrap(), Some(-3));
        assert!(args.one("topic").is_err());
        let args = parse(Syntax::Jopt, &TABLE, &words("--state empty,stable --list")).unwrap();
        assert_eq!(args.all("state"), ["empty,stable"]);
    }

    #[test]
    fn wrong_usage_is_told_in_the_words_of_kafkas_tools() {
        assert_eq!(usage("--topic"), "Option topic requires an argument");
        assert_eq!(usage("--list=yes"), "Option list does not allow an argument");
        assert_eq!(usage("--topik x"), "unknown topik");
        assert_eq!(similar(&TABLE, "topik"), Some("topic"));
        assert_eq!(similar(&TABLE, "xyz"), None);
    }

    #[test]
    fn argparse_takes_no_flag_for_a_value_and_has_commands() {
        const ARGPARSE: Syntax = Syntax::Argparse {
            program: "tool",
            commands: &["run"],
        };
        let args = parse(
            ARGPARSE,
            &TABLE,
            &words("run --partitions -3 --topic a --topic b"),
        )
        .unwrap();
        assert_eq!((args.plain.len(), args.one("topic").unwrap()), (1, Some("b")));
        assert_eq!(args.number::<i32>("partitions").unwrap(), Some(-3));
        let wrong = |line: &str| match parse(ARGPARSE, &TABLE, &words(line)) {
            Err(Failure::Usage(message)) => message,
            Ok(args) => match args.number::<i64>("partitions") {
                Err(Failure::Usage(message)) => message,
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        };
        assert_eq!(
            wrong("--topic --list"),
            "tool: error: argument --topic: expected one argument"
        );
        assert_eq!(
            wrong("--partitions x"),
            "tool: error: argument --partitions: could not convert 'x' to Long (For input string: \"x\")"
        );
    }
}
