//! TOML that a person wrote: every mistake of a text at once, each at its line, with what to write instead.
//!
//! The shape is checked against the JSON Schema of the type that is read, so that loading, messages and the
//! schema for editors can't drift apart. Used for course files, quiz files and the TOML blocks of an exercise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Place, Problem};

/// A value and the lines of the file that it came from.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where each of its parts stands.
    pub lines: Lines,
}

/// Where each part of a TOML text stands. A part is named by its path: `question[3].choice[0].belief`.
#[derive(Debug, Clone)]
pub struct Lines {
    file: PathBuf,
    first: usize,
    of_part: BTreeMap<String, usize>,
}

impl Lines {
    /// The line of a part, counted from 1 in the whole file; of the nearest part around it when it is not there.
    pub fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.of_part.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.first,
            }
        }
    }

    /// A problem at the line of a part.
    pub fn problem(&self, path: &str, what: impl Into<String>) -> Problem {
        Problem::new(what).at(&self.file, Some(self.line(path)))
    }

    /// The file as the user knows it.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Reads `text`, which starts at line `first_line` of `file` (1 for a whole file).
/// All mistakes that can be known are returned together, in the order of the file.
pub fn read<T: DeserializeOwned + JsonSchema>(
    text: &str,
    file: &Path,
    first_line: usize,
) -> Result<Located<T>, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        source: Source {
            text,
            file,
            first_line,
            breaks: breaks(text),
        },
        root: schema::<T>(),
        problems: Vec::new(),
        lines: BTreeMap::new(),
    };
    if !errors.is_empty() {
        return Err(reader.source.syntax(&errors));
    }
    let schema = Arc::clone(&reader.root);
    reader.table(table.get_ref(), &table.span(), &schema, "");
    if !reader.problems.is_empty() {
        reader.problems.sort_by_key(|problem| {
            problem
                .place
                .as_ref()
                .map_or((None, None), |place| (place.line, place.column))
        });
        return Err(reader.problems);
    }
    let lines = Lines {
        file: file.to_path_buf(),
        first: first_line,
        of_part: reader.lines,
    };
    match T::deserialize(toml::Deserializer::from(table)) {
        Ok(value) => Ok(Located { value, lines }),
        Err(error) => Err(vec![reader.source.problem(error.span(), error.message())]),
    }
}

/// The top-level keys of `text` with their lines, for a text whose keys decide its type; empty when it is no TOML.
pub fn keys(text: &str, first_line: usize) -> Vec<(String, usize)> {
    let (table, _) = DeTable::parse_recoverable(text);
    table
        .get_ref()
        .keys()
        .map(|key| {
            (
                key.get_ref().to_string(),
                first_line + line_in(text, key.span().start),
            )
        })
        .collect()
}

/// The nearest of `known` to a misspelt `word`, if one is near enough to be meant.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The schema of a type. A course has hundreds of texts of a few types: each schema is made once.
fn schema<T: JsonSchema>() -> Arc<Value> {
    static MADE: Mutex<BTreeMap<String, Arc<Value>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = made
        .entry(T::schema_id().into_owned())
        .or_insert_with(|| Arc::new(schemars::schema_for!(T).to_value()));
    Arc::clone(schema)
}

/// The offsets of all line ends.
pub(super) fn breaks(text: &str) -> Vec<usize> {
    text.bytes()
        .enumerate()
        .filter_map(|(at, byte)| (byte == b'\n').then_some(at))
        .collect()
}

/// Lines before `offset`.
fn line_in(text: &str, offset: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
}

struct Source<'a> {
    text: &'a str,
    file: &'a Path,
    first_line: usize,
    /// Where its lines end, so that a place is found without reading the text again.
    breaks: Vec<usize>,
}

impl Source<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.first_line + self.breaks.partition_point(|end| *end < span.start)
    }

    fn problem(&self, span: Option<Range<usize>>, what: impl Into<String>) -> Problem {
        let mut problem = Problem::new(what);
        problem.place = Some(Place {
            file: self.file.to_path_buf(),
            line: Some(span.as_ref().map_or(self.first_line, |span| self.line(span))),
            column: span.map(|span| {
                let start = self.text[..span.start.min(self.text.len())]
                    .rfind('\n')
                    .map_or(0, |at| at + 1);
                self.text[start..span.start.min(self.text.len())].chars().count() + 1
            }),
        });
        problem
    }

    /// One problem a line: the parser reports the echoes of a mistake too.
    fn syntax(&self, errors: &[toml::de::Error]) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        for error in errors {
            let problem = self.problem(error.span(), format!("this is not TOML: {}", error.message()));
            let line = |problem: &Problem| problem.place.as_ref().and_then(|place| place.line);
            if problems.last().is_none_or(|last| line(last) != line(&problem)) {
                problems.push(problem);
            }
        }
        problems
    }
}

struct Reader<'a> {
    source: Source<'a>,
    root: Arc<Value>,
    problems: Vec<Problem>,
    lines: BTreeMap<String, usize>,
}

impl Reader<'_> {
    fn resolve<'v>(schema: &'v Value, root: &'v Value) -> &'v Value {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(name) => root
                .pointer(name.trim_start_matches('#'))
                .map_or(schema, |found| Self::resolve(found, root)),
            None => schema,
        }
    }

    fn table(&mut self, table: &DeTable<'_>, span: &Range<usize>, schema: &Value, path: &str) {
        let root = Arc::clone(&self.root);
        let schema = Self::resolve(schema, &root);
        let empty = serde_json::Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let others = schema.get("additionalProperties");
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let here = if path.is_empty() {
                name.to_string()
            } else {
                format!("{path}.{name}")
            };
            self.lines.insert(here.clone(), self.source.line(&key.span()));
            if let Some(property) = properties.get(name) {
                self.value(value, property, name, &here);
            } else if let Some(other) =
                others.filter(|other| other.is_object() || **other == Value::Bool(true))
            {
                self.value(value, other, name, &here);
            } else {
                let known = properties.keys().map(String::as_str);
                let next = match did_you_mean(name, known.clone()) {
                    Some(meant) => format!("did you mean '{meant}'?"),
                    None if properties.is_empty() => "remove it".to_string(),
                    None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
                };
                let problem = self
                    .source
                    .problem(Some(key.span()), format!("unknown key '{name}'"));
                self.problems.push(problem.next(next));
            }
        }
        self.required(table, span, schema, path);
    }

    fn required(&mut self, table: &DeTable<'_>, span: &Range<usize>, schema: &Value, path: &str) {
        let names = schema.get("required").and_then(Value::as_array);
        for name in names.into_iter().flatten().filter_map(Value::as_str) {
            if table.keys().any(|key| key.get_ref() == name) {
                continue;
            }
            let root = Arc::clone(&self.root);
            let property = Self::resolve(&schema["properties"][name], &root);
            let (of, span) = if path.is_empty() {
                (String::new(), None)
            } else {
                (format!(" in {}", last_name(path)), Some(span.clone()))
            };
            let next = format!("write: {name} = {}", example(property));
            let problem = self.source.problem(span, format!("'{name}' is missing{of}"));
            self.problems.push(problem.next(next));
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &Value, name: &str, path: &str) {
        let root = Arc::clone(&self.root);
        let schema = Self::resolve(schema, &root);
        let alternatives = schema
            .get("anyOf")
            .or_else(|| schema.get("oneOf"))
            .and_then(Value::as_array);
        if let Some(alternatives) = alternatives {
            let options: Vec<&Value> = alternatives
                .iter()
                .map(|option| Self::resolve(option, &root))
                .collect();
            if let Some(option) = options.iter().find(|option| fits(value.get_ref(), option)) {
                self.value(value, option, name, path);
                return;
            }
            self.wrong(value, &options, name);
            return;
        }
        if !fits(value.get_ref(), schema) {
            self.wrong(value, &[schema], name);
            return;
        }
        match value.get_ref() {
            DeValue::Table(table) if schema.is_object() => self.table(table, &value.span(), schema, path),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let here = format!("{path}[{index}]");
                    self.lines.insert(here.clone(), self.source.line(&item.span()));
                    if let Some(of) = schema.get("items") {
                        self.value(item, of, name, &here);
                    }
                }
            }
            _ => {}
        }
    }

    fn wrong(&mut self, value: &Spanned<DeValue<'_>>, options: &[&Value], name: &str) {
        let words = constants(options);
        let (what, next) = if let (DeValue::String(text), false) = (value.get_ref(), words.is_empty()) {
            let next = did_you_mean(text, words.iter().copied()).map_or_else(
                || format!("one of: {}", words.join(", ")),
                |meant| format!("did you mean \"{meant}\"? One of: {}", words.join(", ")),
            );
            (format!("'{name}' can't be \"{text}\""), next)
        } else {
            let wanted: Vec<String> = options
                .iter()
                .filter(|option| option.get("type") != Some(&Value::from("null")))
                .map(|option| wording(option))
                .collect();
            let example = options.first().map_or_else(String::new, |option| example(option));
            (
                format!(
                    "'{name}' has to be {}, and here it is {}",
                    wanted.join(" or "),
                    article(
                        value.get_ref(),
                        options.iter().any(|option| kind(option) == "integer")
                    )
                ),
                format!("write: {name} = {example}"),
            )
        };
        let problem = self.source.problem(Some(value.span()), what);
        self.problems.push(problem.next(next));
    }
}

/// The strings that a choice between constants allows.
fn constants<'a>(options: &[&'a Value]) -> Vec<&'a str> {
    let mut words = Vec::new();
    for option in options {
        words.extend(option.get("const").and_then(Value::as_str));
        if let Some(all) = option.get("enum").and_then(Value::as_array) {
            words.extend(all.iter().filter_map(Value::as_str));
        }
        for inner in ["oneOf", "anyOf"] {
            if let Some(inner) = option.get(inner).and_then(Value::as_array) {
                words.extend(constants(&inner.iter().collect::<Vec<_>>()));
            }
        }
    }
    words
}

/// Whether a value has the outer shape that a schema asks for; its inside is looked at later.
fn fits(value: &DeValue<'_>, schema: &Value) -> bool {
    for inner in ["oneOf", "anyOf"] {
        if let Some(options) = schema.get(inner).and_then(Value::as_array) {
            return options.iter().any(|option| fits(value, option));
        }
    }
    let words = constants(&[schema]);
    if !words.is_empty() {
        return matches!(value, DeValue::String(text) if words.contains(&text.as_ref()));
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return true,
    };
    let of_type = types.iter().any(|wanted| match *wanted {
        "string" => value.is_str(),
        "integer" => value.is_integer(),
        "number" => value.is_integer() || value.is_float(),
        "boolean" => value.is_bool(),
        "array" => value.is_array(),
        "object" => value.is_table(),
        _ => false,
    });
    of_type && in_range(value, schema)
}

fn in_range(value: &DeValue<'_>, schema: &Value) -> bool {
    let Some(number) = value.as_integer() else {
        return true;
    };
    let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) else {
        return false;
    };
    schema
        .get("minimum")
        .and_then(Value::as_f64)
        .is_none_or(|least| number as f64 >= least)
        && schema
            .get("maximum")
            .and_then(Value::as_f64)
            .is_none_or(|most| number as f64 <= most)
}

fn last_name(path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    let (name, in_array) = match name.find('[') {
        Some(at) => (&name[..at], true),
        None => (name, false),
    };
    if in_array {
        format!("this [[{name}]]")
    } else {
        format!("'{name}'")
    }
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .find(|one| *one != "null")
            .unwrap_or("string"),
        _ => "string",
    }
}

fn wording(schema: &Value) -> String {
    let mut text = match kind(schema) {
        "integer" => "a whole number".to_string(),
        "number" => "a number".to_string(),
        "boolean" => "true or false".to_string(),
        "array" => "a list".to_string(),
        "object" => "a table".to_string(),
        _ => "text in quotes".to_string(),
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => drop(write!(text, " from {least} to {most}")),
        (Some(least), None) => drop(write!(text, " of at least {least}")),
        _ => {}
    }
    text
}

fn example(schema: &Value) -> String {
    if let Some(word) = constants(&[schema]).first() {
        return format!("\"{word}\"");
    }
    match kind(schema) {
        "integer" | "number" => schema
            .get("minimum")
            .and_then(Value::as_i64)
            .map_or(1, |least| least.max(1))
            .to_string(),
        "boolean" => "true".to_string(),
        "array" => {
            let inside = schema.get("items").map_or("string", kind);
            if inside == "object" {
                "[{ … }]"
            } else {
                "[\"…\"]"
            }
            .to_string()
        }
        "object" => "{ … }".to_string(),
        _ => "\"…\"".to_string(),
    }
}

fn article(value: &DeValue<'_>, number: bool) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) if number => "another number",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date (put it in quotes)",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Bank {
        title: String,
        #[schemars(range(min = 1, max = 23))]
        pass: u32,
        question: Option<Vec<Question>>,
        at_least: Option<u64>,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Question {
        id: String,
        kind: Kind,
        #[serde(default)]
        items: Vec<String>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        One,
        Several,
    }

    fn shown(problems: &[Problem]) -> String {
        let lines = problems
            .iter()
            .map(|problem| format!("{problem} | {}", problem.next.as_deref().unwrap_or("-")));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_sound_text_knows_the_lines_of_its_parts() {
        let text = "title = \"a\"\npass = 19\n\n[[question]]\nid = \"x\"\nkind = \"one\"\n[[question]]\nid = \"y\"\nkind = \"several\"\nitems = [\"p\",\n \"q\"]\n";
        let read = read::<Bank>(text, Path::new("quiz.toml"), 1).unwrap();
        assert_eq!(
            (read.value.title.as_str(), read.value.pass, read.value.at_least),
            ("a", 19, None)
        );
        let questions = read.value.question.unwrap();
        assert_eq!(
            (questions[1].id.as_str(), &questions[1].kind),
            ("y", &Kind::Several)
        );
        assert_eq!(questions[1].items.len(), 2);
        assert_eq!(read.lines.line("pass"), 2);
        assert_eq!(read.lines.line("question[1].kind"), 9);
        assert_eq!(read.lines.line("question[1].items[1]"), 11);
        assert_eq!(read.lines.line("question[1].no-such-key"), 7);
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_line_and_what_to_write() {
        let text = "titel = \"a\"\npass = 24\nat-least = \"3\"\n[[question]]\nkind = \"oen\"\nitems = [1]\n";
        let problems = read::<Bank>(text, Path::new("quiz.toml"), 11).unwrap_err();
        insta::assert_snapshot!(shown(&problems), @r#"
        quiz.toml:11: 'title' is missing | write: title = "…"
        quiz.toml:11:1: unknown key 'titel' | did you mean 'title'?
        quiz.toml:12:8: 'pass' has to be a whole number from 1 to 23, and here it is another number | write: pass = 1
        quiz.toml:13:12: 'at-least' has to be a whole number of at least 0, and here it is text | write: at-least = 1
        quiz.toml:14:1: 'id' is missing in this [[question]] | write: id = "…"
        quiz.toml:15:8: 'kind' can't be "oen" | did you mean "one"? One of: one, several
        quiz.toml:16:10: 'items' has to be text in quotes, and here it is a number | write: items = "…"
        "#);
    }

    #[test]
    fn what_is_no_toml_is_told_at_its_line() {
        let problems = read::<Bank>("title = \"a\npass = \n", Path::new("q.toml"), 1).unwrap_err();
        insta::assert_snapshot!(shown(&problems), @r#"
        q.toml:1:11: this is not TOML: invalid basic string, expected `"` | -
        q.toml:2:8: this is not TOML: string values must be quoted, expected literal string | -
        "#);
    }
}
