//! Reads one `exercise.md`: front matter, prose, and the blocks that a machine reads.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::course::checks::{
    AnswerCheck, BrokerCheck, Check, CheckKind, GroupCheck, JobCheck, RecordsCheck, RowsCheck, SUBJECTS,
    TopicCheck, TransactionCheck,
};
use crate::course::files::safe_path;
use crate::course::located::{self, did_you_mean};
use crate::course::model::{Exercise, Need, Predict, Setup, Step, Wrong};
use crate::course::script::{self, Script, ScriptFile};
use crate::problem::Problem;

/// What stands between the `+++` lines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// `1.1`: the module's number, and the exercise's number in it.
    pub id: String,
    /// The title.
    pub title: String,
    /// About how long it takes.
    #[schemars(range(min = 1, max = 60))]
    pub minutes: u32,
    /// Ids of the beliefs (beliefs.toml) that it corrects.
    #[serde(default)]
    pub corrects: Vec<String>,
    /// What the lab has to be able to do.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// How many brokers it needs at least.
    #[schemars(range(min = 1, max = 3))]
    pub brokers: Option<u32>,
}

/// Languages of code blocks that are only shown.
const LANGUAGES: &[&str] = &[
    "text",
    "txt",
    "console",
    "sql",
    "json",
    "jsonl",
    "properties",
    "java",
    "python",
    "rust",
    "sh",
    "bash",
    "yaml",
];
/// Blocks that the lab reads.
const BLOCKS: &[&str] = &[
    "toml setup",
    "toml predict",
    "toml check",
    "hint",
    "solution",
    "wrong",
];

/// Reads the text of an exercise file. `slug` is its folder's name.
pub fn parse(text: &str, file: &Path, slug: &str) -> Result<Exercise, Vec<Problem>> {
    let (front, body_at) = front_matter(text, file)?;
    let mut reader = Reader {
        text,
        breaks: located::breaks(text),
        file: file.to_path_buf(),
        problems: Vec::new(),
        why: String::new(),
        read_on: None,
        steps: Vec::new(),
        place: Section::Why,
        cursor: body_at,
    };
    let front = match located::read::<FrontMatter>(front, file, 2) {
        Ok(front) => Some(front),
        Err(problems) => {
            reader.problems.extend(problems);
            None
        }
    };
    reader.body(body_at);
    reader.finish();
    if let Some(front) = &front {
        reader.front(&front.value, slug, &front.lines);
        reader.needs(&front.value.needs);
    }
    match front {
        Some(front) if reader.problems.is_empty() => Ok(Exercise {
            id: front.value.id,
            slug: slug.to_string(),
            title: front.value.title,
            minutes: front.value.minutes,
            corrects: front.value.corrects,
            needs: front.value.needs,
            brokers: front.value.brokers.unwrap_or(1),
            why: reader.why.trim().to_string(),
            steps: reader.steps.into_iter().map(|draft| draft.step).collect(),
            read_on: reader.read_on.map(|text| text.trim().to_string()),
            work_files: Vec::new(),
            content_hash: String::new(),
        }),
        _ => {
            reader
                .problems
                .sort_by_key(|problem| problem.place.as_ref().and_then(|place| place.line));
            Err(reader.problems)
        }
    }
}

/// The front matter alone; nothing when it is broken.
pub fn front(text: &str, file: &Path) -> Option<FrontMatter> {
    let (front, _) = front_matter(text, file).ok()?;
    let read = located::read::<FrontMatter>(front, file, 2).ok()?;
    Some(read.value)
}

/// The text between the `+++` lines, and the offset of what follows.
fn front_matter<'a>(text: &'a str, file: &Path) -> Result<(&'a str, usize), Vec<Problem>> {
    let fail = |what: &str, line| {
        vec![
            Problem::new(what)
                .at(file, Some(line))
                .next("write: +++, then id, title and minutes, one a line, then +++"),
        ]
    };
    let Some(rest) = text.strip_prefix("+++\n") else {
        return Err(fail("an exercise begins with a line '+++'", 1));
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "+++" {
            return Ok((&rest[..at], 4 + at + line.len()));
        }
        at += line.len();
    }
    Err(fail(
        "the front matter is not closed: a second line '+++' is missing",
        1,
    ))
}

/// Where the text goes that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Why,
    Task,
    Explanation,
    ReadOn,
}

/// A step while it is read.
struct Draft {
    step: Step,
    has_setup: bool,
    has_solution: bool,
}

struct Reader<'a> {
    text: &'a str,
    /// Where its lines end, so that a place is found without reading the text again.
    breaks: Vec<usize>,
    file: PathBuf,
    problems: Vec<Problem>,
    why: String,
    read_on: Option<String>,
    steps: Vec<Draft>,
    place: Section,
    cursor: usize,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.breaks.partition_point(|end| *end < offset)
    }

    fn fail(&mut self, line: usize, what: impl Into<String>, next: impl Into<String>) {
        let problem = Problem::new(what).at(&self.file, Some(line)).next(next);
        self.problems.push(problem);
    }

    /// Adds the prose up to `end` to the section that is open, and goes on after `next`.
    fn prose(&mut self, end: usize, next: usize) {
        let text = &self.text[self.cursor.min(end)..end];
        let target = match (self.place, self.steps.last_mut()) {
            (Section::Why, _) | (_, None) => &mut self.why,
            (Section::Task, Some(draft)) => &mut draft.step.task,
            (Section::Explanation, Some(draft)) => draft.step.explanation.get_or_insert_default(),
            (Section::ReadOn, _) => self.read_on.get_or_insert_default(),
        };
        target.push_str(text);
        self.cursor = next;
    }

    fn body(&mut self, from: usize) {
        let body = &self.text[from..];
        let mut depth = 0_usize;
        let mut fence: Option<(String, Range<usize>, String)> = None;
        let mut heading: Option<(HeadingLevel, Range<usize>, String)> = None;
        for (event, range) in Parser::new_ext(body, Options::ENABLE_TABLES).into_offset_iter() {
            let range = range.start + from..range.end + from;
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    if depth == 0 {
                        fence = Some((info.to_string(), range, String::new()));
                    } else if is_block(&info) {
                        let line = self.line(range.start);
                        self.fail(
                            line,
                            format!("the block '{info}' stands inside a list or a quote"),
                            "start it at the left margin",
                        );
                    }
                    depth += 1;
                }
                Event::Start(tag) => {
                    if let (0, Tag::Heading { level, .. }) = (depth, &tag) {
                        heading = Some((*level, range, String::new()));
                    }
                    depth += 1;
                }
                Event::End(end) => {
                    depth = depth.saturating_sub(1);
                    if depth > 0 {
                        continue;
                    }
                    if let (TagEnd::CodeBlock, Some((info, range, content))) = (end, fence.take()) {
                        self.fence(&info, &range, &content);
                    } else if let (TagEnd::Heading(_), Some((level, range, title))) = (end, heading.take()) {
                        self.heading(level, &range, title.trim());
                    }
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some((_, _, content)) = &mut fence {
                        content.push_str(&text);
                    } else if let Some((_, _, title)) = &mut heading {
                        title.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        self.prose(self.text.len(), self.text.len());
    }

    fn heading(&mut self, level: HeadingLevel, range: &Range<usize>, title: &str) {
        let line = self.line(range.start);
        match level {
            HeadingLevel::H1 => {
                self.fail(
                    line,
                    "a heading with one '#' has no place here: the title is in the front matter",
                    "steps begin with '## Title'",
                );
                // Meant as a step, most likely: what follows is then not wrong as well.
                self.heading(HeadingLevel::H2, range, title);
            }
            HeadingLevel::H2 => {
                self.prose(range.start, range.end);
                if self.place == Section::ReadOn {
                    self.fail(
                        line,
                        "'## Read on' is the last heading",
                        "move this step above it",
                    );
                }
                if title == "Read on" {
                    self.place = Section::ReadOn;
                    self.read_on = Some(String::new());
                } else {
                    self.place = Section::Task;
                    self.new_step(title, line);
                }
            }
            HeadingLevel::H3 if title == "What you saw" => {
                self.prose(range.start, range.end);
                let first = self
                    .steps
                    .last()
                    .is_some_and(|draft| draft.step.explanation.is_none());
                if self.place == Section::Task && first {
                    self.place = Section::Explanation;
                    if let Some(draft) = self.steps.last_mut() {
                        draft.step.explanation = Some(String::new());
                    }
                } else {
                    self.fail(
                        line,
                        "'### What you saw' belongs into a step, once",
                        "put it after the step's blocks",
                    );
                }
            }
            _ => {
                if did_you_mean(title, ["What you saw"]).is_some() {
                    self.fail(
                        line,
                        format!("unknown heading '{title}'"),
                        "did you mean '### What you saw'?",
                    );
                }
            }
        }
    }

    fn new_step(&mut self, title: &str, line: usize) {
        let key = slug(title);
        if key.is_empty() {
            self.fail(line, "this step has no title", "write: ## What the learner does");
        }
        if let Some(other) = self.steps.iter().find(|draft| draft.step.key == key) {
            let first = other.step.line;
            self.fail(
                line,
                format!("two steps have the title '{title}' (the first is on line {first})"),
                "progress is kept by the title: give each its own",
            );
        }
        self.steps.push(Draft {
            step: Step {
                title: title.to_string(),
                key,
                line,
                task: String::new(),
                setup: Setup::default(),
                predict: None,
                checks: Vec::new(),
                hints: Vec::new(),
                solution: Script::default(),
                wrongs: Vec::new(),
                explanation: None,
                proof_hash: String::new(),
            },
            has_setup: false,
            has_solution: false,
        });
    }

    fn fence(&mut self, info: &str, range: &Range<usize>, content: &str) {
        let line = self.line(range.start);
        let block = &self.text[range.clone()];
        let last = block.trim_end().lines().last().unwrap_or_default().trim();
        if block.trim_end().lines().count() < 2 || !(last.starts_with("```") || last.starts_with("~~~")) {
            self.fail(line, "this block is not closed", "end it with a line ```");
        }
        let first = info.split_whitespace().next().unwrap_or_default();
        if !is_block(info) {
            if !(info.trim().is_empty() || LANGUAGES.contains(&first)) {
                let known = BLOCKS.iter().chain(LANGUAGES).copied();
                let next = did_you_mean(info.trim(), known.clone()).or_else(|| did_you_mean(first, known));
                let next = next.map_or_else(
                    || {
                        format!(
                            "the lab reads: {}; shown as code: {}",
                            BLOCKS.join(", "),
                            LANGUAGES.join(", ")
                        )
                    },
                    |meant| format!("did you mean '{meant}'?"),
                );
                self.fail(line, format!("unknown block '{}'", info.trim()), next);
            }
            return;
        }
        self.prose(range.start, range.end);
        if self.place != Section::Task || self.steps.is_empty() {
            self.fail(
                line,
                format!("the block '{info}' belongs into a step, above '### What you saw'"),
                "move it below a '## Title'",
            );
            return;
        }
        self.block(info, content, line);
    }

    fn block(&mut self, info: &str, content: &str, line: usize) {
        let Ok(words) = shell_words::split(info) else {
            self.fail(
                line,
                "a quote is not closed on this line",
                "write: ```wrong \"name\"",
            );
            return;
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["toml", "check"] => self.check(content, line + 1),
            ["toml", "setup"] => {
                if let (Some(setup), Some(draft)) = (self.toml::<Setup>(content, line), self.steps.last_mut())
                {
                    let again = std::mem::replace(&mut draft.has_setup, true);
                    draft.step.setup = setup;
                    if again {
                        self.fail(line, "this step has two setup blocks", "put both into one");
                    }
                }
            }
            ["toml", "predict"] => {
                if let (Some(predict), Some(draft)) =
                    (self.toml::<Predict>(content, line), self.steps.last_mut())
                {
                    let again = draft.step.predict.replace(predict).is_some();
                    if again {
                        self.fail(line, "this step has two predictions", "make two steps of it");
                    }
                }
                self.prediction(line);
            }
            ["toml", ..] => self.fail(
                line,
                format!("unknown block '{info}'"),
                "write: toml setup, toml predict or toml check",
            ),
            ["hint"] => {
                if content.trim().is_empty() {
                    self.fail(line, "this hint is empty", "write what helps a little");
                } else if let Some(draft) = self.steps.last_mut() {
                    draft.step.hints.push(content.trim_end().to_string());
                }
            }
            ["solution", options @ ..] => self.solution(options, content, line),
            ["wrong", name, options @ ..] if !name.starts_with("file=") => {
                self.wrong(name, options, content, line);
            }
            ["wrong", ..] => self.fail(
                line,
                "a wrong solution needs a name",
                "write: ```wrong \"one partition\"",
            ),
            _ => self.fail(
                line,
                format!("unknown block '{info}'"),
                format!("the lab reads: {}", BLOCKS.join(", ")),
            ),
        }
    }

    fn toml<T: serde::de::DeserializeOwned + JsonSchema>(&mut self, content: &str, line: usize) -> Option<T> {
        match located::read::<T>(content, &self.file, line + 1) {
            Ok(read) => Some(read.value),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    fn check(&mut self, content: &str, line: usize) {
        let keys = located::keys(content, line);
        // In a check of a group or an answer, `topic` is a detail; the subject is the one that leads.
        let subject = [
            "records",
            "group",
            "transaction",
            "broker",
            "job",
            "rows",
            "answer",
            "topic",
        ]
        .into_iter()
        .find(|subject| keys.iter().any(|(key, _)| key == subject));
        let at = line - 1;
        let kind = match subject {
            Some("topic") => self.toml::<TopicCheck>(content, at).map(CheckKind::Topic),
            Some("records") => self.toml::<RecordsCheck>(content, at).map(CheckKind::Records),
            Some("group") => self.toml::<GroupCheck>(content, at).map(CheckKind::Group),
            Some("transaction") => self
                .toml::<TransactionCheck>(content, at)
                .map(CheckKind::Transaction),
            Some("broker") => self.toml::<BrokerCheck>(content, at).map(CheckKind::Broker),
            Some("job") => self.toml::<JobCheck>(content, at).map(CheckKind::Job),
            Some("rows") => self.toml::<RowsCheck>(content, at).map(CheckKind::Rows),
            Some("answer") => self.toml::<AnswerCheck>(content, at).map(CheckKind::Answer),
            _ => {
                // What is no TOML says so itself.
                if let Err(problems) =
                    located::read::<BTreeMap<String, serde_json::Value>>(content, &self.file, line)
                {
                    self.problems.extend(problems);
                    return;
                }
                let meant = keys
                    .iter()
                    .find_map(|(key, line)| Some((*line, did_you_mean(key, SUBJECTS.iter().copied())?)));
                let (line, next) = match meant {
                    Some((line, meant)) => (line, format!("did you mean '{meant}'?")),
                    None => (line, format!("name one of: {}", SUBJECTS.join(", "))),
                };
                self.fail(line, "this check names nothing to look at", next);
                return;
            }
        };
        if let Some(kind) = kind {
            if let Some((what, next)) = incomplete(&kind) {
                self.fail(line, what, next);
            }
            if let Some(draft) = self.steps.last_mut() {
                draft.step.checks.push(Check { kind, line });
            }
        }
    }

    fn prediction(&mut self, line: usize) {
        let Some(predict) = self.steps.last().and_then(|draft| draft.step.predict.as_ref()) else {
            return;
        };
        let right = predict.choice.iter().filter(|choice| choice.right).count();
        let few = predict.choice.len() < 2;
        let odd = predict
            .choice
            .iter()
            .find(|choice| !choice.right && choice.belief.is_none())
            .map(|choice| choice.text.clone());
        if right != 1 {
            self.fail(
                line,
                format!("{right} choices of this prediction are right, and it has to be one"),
                "write: right = true below the choice that happens",
            );
        }
        if few {
            self.fail(line, "a prediction needs two choices or more", "add a [[choice]]");
        }
        if let Some(text) = odd {
            self.fail(
                line,
                format!("the wrong choice \"{text}\" names no belief"),
                "write: belief = \"…\" (an id of beliefs.toml)",
            );
        }
    }

    fn solution(&mut self, options: &[&str], content: &str, line: usize) {
        let Some(file) = self.file_option(options, line) else {
            return;
        };
        if let Some(name) = file {
            if let Some(draft) = self.steps.last_mut() {
                draft.step.solution.files.push(script_file(name, content, line));
            }
            return;
        }
        let again = self
            .steps
            .last_mut()
            .is_some_and(|draft| std::mem::replace(&mut draft.has_solution, true));
        if again {
            self.fail(
                line,
                "this step has two solutions",
                "put all commands into one block",
            );
        }
        let Some((commands, expects)) = self.script(content, line) else {
            return;
        };
        if !expects.is_empty() {
            self.fail(line, "a solution passes: it has no 'expect:'", "remove that line");
        }
        if let Some(draft) = self.steps.last_mut() {
            draft.step.solution.commands.extend(commands);
        }
    }

    fn wrong(&mut self, name: &str, options: &[&str], content: &str, line: usize) {
        let Some(file) = self.file_option(options, line) else {
            return;
        };
        let (commands, expects) = if file.is_some() {
            (Vec::new(), Vec::new())
        } else {
            match self.script(content, line) {
                Some(script) => script,
                None => return,
            }
        };
        let Some(draft) = self.steps.last_mut() else {
            return;
        };
        let wrongs = &mut draft.step.wrongs;
        let index = wrongs
            .iter()
            .position(|wrong| wrong.name == name)
            .unwrap_or_else(|| {
                wrongs.push(Wrong {
                    name: name.to_string(),
                    line,
                    script: Script::default(),
                    expects: Vec::new(),
                });
                wrongs.len() - 1
            });
        let wrong = &mut wrongs[index];
        wrong.script.commands.extend(commands);
        wrong.expects.extend(expects);
        if let Some(name) = file {
            wrong.script.files.push(script_file(name, content, line));
        }
    }

    /// `file=NAME`, or nothing. The outer option is empty when the line is wrong, and that has been said.
    #[expect(
        clippy::option_option,
        reason = "wrong, none, or a name: three cases of one line"
    )]
    fn file_option(&mut self, options: &[&str], line: usize) -> Option<Option<String>> {
        match options {
            [] => Some(None),
            [one] if one.starts_with("file=") => {
                let name = one.trim_start_matches("file=").to_string();
                match safe_path(&name) {
                    Ok(()) => Some(Some(name)),
                    Err(what) => {
                        self.fail(line, what, "write: file=rides_per_minute.sql");
                        None
                    }
                }
            }
            _ => {
                let word = options.iter().find(|word| !word.starts_with("file="));
                let word = word.or(options.last()).copied().unwrap_or_default();
                self.fail(
                    line,
                    format!("unknown option '{word}' of this block"),
                    "known here: file=NAME",
                );
                None
            }
        }
    }

    fn script(&mut self, content: &str, line: usize) -> Option<(Vec<script::Command>, Vec<String>)> {
        match script::parse(content, &self.file, line + 1) {
            Ok(read) => Some(read),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    /// What can be said only when the whole file has been read.
    fn finish(&mut self) {
        if self.steps.is_empty() {
            self.fail(
                1,
                "this exercise has no step",
                "write: ## What the learner does first",
            );
        }
        if self.why.trim().is_empty() {
            self.fail(
                1,
                "the exercise doesn't say why it matters",
                "write about five lines between the front matter and the first step",
            );
        }
        let mut found = Vec::new();
        // What a block that can't be read would have been is not asked for as well.
        let broken: Vec<usize> = self
            .problems
            .iter()
            .filter_map(|problem| problem.place.as_ref()?.line)
            .collect();
        let mut ends: Vec<usize> = self.steps.iter().skip(1).map(|draft| draft.step.line).collect();
        ends.push(usize::MAX);
        for (
            Draft {
                step, has_solution, ..
            },
            end,
        ) in self.steps.iter_mut().zip(ends)
        {
            let is_broken = broken.iter().any(|line| (step.line..end).contains(line));
            let mut fail = |line: usize, what: String, next: &str| found.push((line, what, next.to_string()));
            step.task = step.task.trim().to_string();
            step.explanation = step.explanation.take().map(|text| text.trim().to_string());
            let title = &step.title;
            if step.checks.is_empty() && step.predict.is_none() && !is_broken {
                fail(
                    step.line,
                    format!("the step '{title}' has nothing that the learner does"),
                    "add a ```toml check or a ```toml predict",
                );
            }
            if step.task.is_empty() {
                fail(
                    step.line,
                    format!("the step '{title}' has no task"),
                    "write below its heading what the learner does",
                );
            }
            if !step.checks.is_empty() && !*has_solution && !is_broken {
                fail(
                    step.line,
                    format!("the step '{title}' has no solution"),
                    "add a ```solution block with the commands that pass it",
                );
            }
            if !step.checks.is_empty() && step.hints.is_empty() && !is_broken {
                fail(
                    step.line,
                    format!("the step '{title}' has no hint"),
                    "add one ```hint or more, weakest first",
                );
            }
            for wrong in &step.wrongs {
                if wrong.script.commands.is_empty() || wrong.expects.is_empty() {
                    fail(
                        wrong.line,
                        format!(
                            "the wrong solution '{}' needs commands and an 'expect:'",
                            wrong.name
                        ),
                        "write the commands, then: expect: what the failing check says",
                    );
                }
            }
        }
        for (line, what, next) in found {
            self.fail(line, what, next);
        }
    }

    /// A check of what only some labs can tell belongs to a step that says so.
    fn needs(&mut self, exercise: &[Need]) {
        let mut lines = Vec::new();
        for Draft { step, .. } in &self.steps {
            let has = |need| exercise.contains(&need) || step.setup.needs.contains(&need);
            lines.extend(step.checks.iter().filter_map(|check| match &check.kind {
                CheckKind::Topic(topic) if topic.happened().iter().any(Option::is_some) => {
                    (!has(Need::Witness)).then_some(check.line)
                }
                _ => None,
            }));
        }
        for line in lines {
            self.fail(
                line,
                "only some labs can tell what has happened to records",
                "write in the step's toml setup: needs = [\"witness\"]",
            );
        }
    }

    fn front(&mut self, front: &FrontMatter, slug: &str, lines: &located::Lines) {
        let number =
            |text: &str| matches!(text.len(), 1..=3) && text.bytes().all(|byte| byte.is_ascii_digit());
        let parts = front.id.split_once('.');
        let valid = parts.is_some_and(|(module, exercise)| number(module) && number(exercise));
        if !valid {
            self.fail(
                lines.line("id"),
                format!("'{}' is no id of an exercise", front.id),
                "write: id = \"1.1\" (module, full stop, number)",
            );
        } else if slug != front.id && !slug.starts_with(&format!("{}-", front.id)) {
            self.fail(
                lines.line("id"),
                format!("the id is {}, and the folder is '{slug}'", front.id),
                format!("rename the folder to {}-… or the id", front.id),
            );
        }
    }
}

fn script_file(name: String, content: &str, line: usize) -> ScriptFile {
    ScriptFile {
        name,
        content: content.to_string(),
        line: line + 1,
    }
}

/// Whether a fence's info line is for the lab rather than for the reader.
fn is_block(info: &str) -> bool {
    let first = info.split_whitespace().next().unwrap_or_default();
    matches!(first, "toml" | "hint" | "solution" | "wrong")
}

/// A title as a name: lower-case words with hyphens.
fn slug(title: &str) -> String {
    let mut name = String::new();
    for c in title.chars() {
        if c.is_alphanumeric() {
            name.extend(c.to_lowercase());
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    name.trim_end_matches('-').to_string()
}

/// What a check that could never fail, or never be asked, lacks.
fn incomplete(kind: &CheckKind) -> Option<(String, String)> {
    let fail = |what: &str, next: &str| Some((what.to_string(), next.to_string()));
    match kind {
        CheckKind::Records(check)
            if check.count.is_none()
                && check.at_least.is_none()
                && check.keyed.is_none()
                && check.key_partition.is_none()
                && check.distinct_keys.is_none()
                && check.distinct_values.is_none()
                && check.partitions_used.is_none() =>
        {
            fail(
                "this check asks nothing about the records",
                "add count, at-least, keyed, key-partition, distinct-keys, distinct-values or partitions-used",
            )
        }
        CheckKind::Records(check) if check.least_age_ms().is_none() => {
            fail("'older-than' is no length of time", "write: older-than = \"7d\"")
        }
        CheckKind::Topic(check)
            if check
                .starts
                .keys()
                .chain(check.ends.keys())
                .chain(check.leaders.keys())
                .any(|key| key.parse::<u32>().is_err()) =>
        {
            fail(
                "'starts', 'ends' and 'leaders' name partitions by number",
                "write: starts = { \"0\" = 20 }",
            )
        }
        CheckKind::Group(check)
            if check.topic.is_none()
                && (!check.readers.is_empty()
                    || check.members.is_none()
                        && check.idle.is_none()
                        && check.state.is_none()
                        && check.assigned.is_empty()) =>
        {
            fail(
                "this check doesn't name the topic that the group reads",
                "write: topic = \"…\"",
            )
        }
        CheckKind::Group(check)
            if check.read.is_none()
                && check.lag.is_none()
                && check.committed.is_empty()
                && check.members.is_none()
                && check.idle.is_none()
                && check.state.is_none()
                && check.assigned.is_empty()
                && check.readers.is_empty() =>
        {
            fail(
                "this check asks nothing about the group",
                "add read, lag, committed, members, idle, state, assigned or readers",
            )
        }
        CheckKind::Group(check)
            if check
                .committed
                .keys()
                .chain(check.readers.keys())
                .any(|key| key.parse::<u32>().is_err()) =>
        {
            fail(
                "'committed' and 'readers' name partitions by number",
                "write: committed = { \"0\" = 3, \"1\" = 4 }",
            )
        }
        CheckKind::Job(check)
            if check
                .watermark_at_least
                .as_ref()
                .is_some_and(|time| time.parse::<jiff::Timestamp>().is_err()) =>
        {
            fail(
                "'watermark-at-least' is no time",
                "write: watermark-at-least = \"2026-03-01T18:00:54Z\"",
            )
        }
        CheckKind::Rows(check) if check.contains.is_empty() && check.count.is_none() => fail(
            "this check asks nothing about the rows",
            "add contains = [ { … } ] or count",
        ),
        CheckKind::Answer(check) if check.accept.is_empty() == check.from.is_none() => fail(
            "an answer is checked by 'accept' or by 'from', one of them",
            "write: accept = [\"2\"]",
        ),
        _ => None,
    }
}
