//! An attempt and its file: saved after every answer, so that nothing is lost with the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::home::{Home, Readers, write_atomic};
use crate::problem::{Outcome, Problem};
use crate::quiz::answers::Answer;
use crate::quiz::bank::Bank;
use crate::quiz::draw::{self, Drawn};
use crate::quiz::grade::Graded;

/// The version of the file's shape.
const VERSION: u32 = 1;
/// The most bytes of an attempt's file; one has about 5,000.
const MAX_BYTES: u64 = 1 << 20;

/// One try at the quiz.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    version: u32,
    /// Its UUID, which is also the statement's id in a report.
    pub id: String,
    /// The course's id.
    pub course: String,
    /// The quiz's title.
    pub title: String,
    /// What it was drawn by.
    pub seed: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// The drawn questions, in order, each with the digest of what it asked.
    pub questions: Vec<Asked>,
    /// The answers so far, by question.
    pub answers: BTreeMap<String, Answer>,
    /// Questions to come back to.
    #[serde(default)]
    pub flagged: BTreeSet<String>,
    /// The question on the screen, from 0.
    #[serde(default)]
    pub at: usize,
    /// Who takes it, when that is known.
    #[serde(default)]
    pub name: Option<String>,
    /// Their e-mail address, when that is known.
    #[serde(default)]
    pub email: Option<String>,
    /// The result, once it was handed in.
    #[serde(default)]
    pub result: Option<Score>,
    /// The badge's JSON file, once there is one.
    #[serde(default)]
    pub badge: Option<PathBuf>,
}

/// A drawn question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// The digest of what it asked.
    pub digest: String,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Right answers.
    pub score: u32,
    /// Questions.
    pub max: u32,
    /// Right answers that pass.
    pub pass: u32,
    /// Whether it was passed.
    pub passed: bool,
    /// When it was handed in.
    pub completed_at: Timestamp,
}

impl Attempt {
    /// A new attempt at a drawn test.
    pub fn new(bank: &Bank, drawn: &Drawn<'_>) -> Self {
        let asked = |drawn: &draw::DrawnQuestion<'_>| Asked {
            id: drawn.question.id.clone(),
            digest: drawn.question.digest(),
        };
        Self {
            version: VERSION,
            id: uuid::Uuid::new_v4().to_string(),
            course: bank.course.clone(),
            title: bank.title.clone(),
            seed: drawn.seed,
            started_at: now(),
            questions: drawn.questions.iter().map(asked).collect(),
            answers: BTreeMap::new(),
            flagged: BTreeSet::new(),
            at: 0,
            name: None,
            email: None,
            result: None,
            badge: None,
        }
    }

    /// The test that it is about, as the bank has it now, and how many answers were dropped because their question has
    /// changed. None when a question is gone: then nobody could finish it.
    pub fn resume<'a>(&mut self, bank: &'a Bank) -> Option<(Drawn<'a>, usize)> {
        let ids: Vec<String> = self.questions.iter().map(|asked| asked.id.clone()).collect();
        let drawn = draw::again(bank, self.seed, &ids)?;
        let before = self.answers.len();
        for (asked, drawn) in self.questions.iter_mut().zip(&drawn.questions) {
            let digest = drawn.question.digest();
            let kept = self
                .answers
                .get(&asked.id)
                .is_some_and(|answer| answer.fits(&drawn.question.body));
            if asked.digest != digest || !kept {
                self.answers.remove(&asked.id);
            }
            asked.digest = digest;
        }
        self.answers.retain(|id, _| ids.contains(id));
        self.at = self.at.min(self.questions.len().saturating_sub(1));
        Some((drawn, before - self.answers.len()))
    }

    /// Hands it in.
    pub fn finish(&mut self, graded: &Graded<'_>) {
        self.result = Some(Score {
            score: graded.score,
            max: graded.max,
            pass: graded.pass,
            passed: graded.passed(),
            completed_at: now(),
        });
    }
}

/// The instant to the second: what a badge can state.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The attempts of this home.
#[derive(Debug, Clone)]
pub struct Attempts {
    folder: PathBuf,
}

impl Attempts {
    /// Of a home.
    pub fn of(home: &Home) -> Self {
        Self { folder: home.quiz() }
    }

    /// Saves an attempt: the old content or the new one, whatever happens.
    pub fn save(&self, attempt: &Attempt) -> Outcome<()> {
        let path = self.path(&attempt.id);
        let text = serde_json::to_vec_pretty(attempt)
            .map_err(|error| Problem::new(format!("the attempt can't be written: {error}")))?;
        // It has a name and an e-mail address in it.
        write_atomic(&path, &text, Readers::Owner).map_err(|error| {
            Problem::new(format!("the quiz can't be saved: {error}"))
                .at(&path, None)
                .next("make room or set STREAMLINGS_HOME to a folder of yours, then `streamlings quiz` again")
        })
    }

    /// All attempts of a course, oldest first, and a note for each file that is not readable as one: those are put
    /// aside, so that they stop nobody.
    pub fn all(&self, course: &str) -> (Vec<Attempt>, Vec<String>) {
        let mut attempts = Vec::new();
        let mut notes = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_attempt = path.extension().is_some_and(|extension| extension == "json");
            if !is_attempt || entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            match read(&path) {
                Ok(attempt) if attempt.course == course => attempts.push(attempt),
                Ok(_) => {}
                Err(why) => notes.push(format!(
                    "a file of an attempt at the quiz can't be read ({}: {why}); it is kept as {}",
                    path.display(),
                    put_aside(&path).display()
                )),
            }
        }
        attempts.sort_by_key(|attempt| attempt.started_at);
        (attempts, notes)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

fn read(path: &Path) -> Result<Attempt, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_BYTES {
        return Err("it is too large".into());
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    // Asked first: a later version may have other fields.
    let Version { version } = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!(
            "a newer version of streamlings wrote it: format {version}, and this version knows {VERSION}"
        ));
    }
    let attempt: Attempt = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let named_by_id = path
        .file_stem()
        .is_some_and(|stem| stem.to_string_lossy() == attempt.id);
    if named_by_id {
        Ok(attempt)
    } else {
        Err("its name is not that of the attempt in it".into())
    }
}

fn put_aside(path: &Path) -> PathBuf {
    let aside = path.with_extension("aside");
    // If it can't be moved it is reported where it is, and skipped all the same.
    if fs::rename(path, &aside).is_ok() {
        aside
    } else {
        path.to_path_buf()
    }
}
