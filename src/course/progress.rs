//! How far a learner is: one small file an exercise, replaced whole, never trusted.
//!
//! A change reads the file again under a lock, so that two terminals don't lose each other's; a crash leaves the old
//! file or the new one; a damaged file is put aside and said, and the learner goes on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::model::{Course, Exercise, Step};
use crate::home::{Home, Readers, write_atomic};
use crate::problem::{Outcome, Problem};

/// The version of the files that this program writes.
const VERSION: u32 = 1;

/// A file larger than this is no progress file of ours.
const SIZE_LIMIT_BYTES: u64 = 1 << 20;

/// What is remembered of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepRecord {
    /// The hash of the step's setup and checks when it was done: what is proven, is proven for these.
    pub proof: String,
    /// When it was done (RFC 3339, UTC).
    pub done_at: Option<String>,
    /// The learner left it undone.
    pub skipped: bool,
    /// Its setup has been played on this lab (the hash of the step then).
    pub set_up: Option<String>,
    /// The cluster on which the step was opened last.
    pub cluster: Option<String>,
    /// The text of the predicted choice.
    pub prediction: Option<String>,
    /// Answers by question.
    pub answers: BTreeMap<String, String>,
    /// How many hints were shown.
    pub hints: usize,
    /// The solution was shown.
    pub solution_seen: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ExerciseRecord {
    version: u32,
    exercise: String,
    /// The hash of the exercise's files when it was last changed here.
    content: String,
    steps: BTreeMap<String, StepRecord>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Here {
    version: u32,
    exercise: Option<String>,
}

/// A learner's progress through one course. Clones share it.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    records: Mutex<BTreeMap<String, ExerciseRecord>>,
}

impl Progress {
    /// Reads what is there. Never fails: what can't be read is put aside, and the notes say so.
    pub fn open(home: &Home, course: &Course) -> (Self, Vec<String>) {
        let progress = Self(Arc::new(Inner {
            folder: home.progress().join(&course.id),
            records: Mutex::new(BTreeMap::new()),
        }));
        let notes = course
            .exercises()
            .filter_map(|exercise| progress.load(&exercise.id).err())
            .collect();
        (progress, notes)
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, ExerciseRecord>> {
        // A panic elsewhere can't leave a record half-changed: records are replaced whole.
        self.0.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, exercise: &str) -> PathBuf {
        self.0.folder.join(format!("{exercise}.json"))
    }

    /// Reads one exercise's file again; the error is a note for the learner.
    fn load(&self, exercise: &str) -> Result<(), String> {
        let path = self.path(exercise);
        let read = read_limited(&path)
            .map_err(|error| Unreadable::Damaged(error.to_string()))
            .and_then(|bytes| match bytes {
                None => Ok(None),
                Some(bytes) => parse(&bytes).map(Some),
            });
        match read {
            Ok(Some(record)) => {
                self.records().insert(exercise.to_string(), record);
                Ok(())
            }
            Ok(None) => {
                self.records().remove(exercise);
                Ok(())
            }
            Err(why) => Err(match put_aside(&path, why.word()) {
                Ok(aside) => why.note(exercise, &path, &aside),
                Err(error) => format!(
                    "progress of {exercise} can't be read ({}: {}), nor put aside ({error})",
                    path.display(),
                    why.reason()
                ),
            }),
        }
    }

    /// Reads all that other terminals have written since. Damage is said once, at the next [`open`](Self::open).
    pub fn refresh(&self, course: &Course) -> Vec<String> {
        course
            .exercises()
            .filter_map(|exercise| self.load(&exercise.id).err())
            .collect()
    }

    /// What is remembered of a step.
    pub fn step(&self, exercise: &Exercise, step: &Step) -> StepRecord {
        self.records()
            .get(&exercise.id)
            .and_then(|record| record.steps.get(&step.key))
            .cloned()
            .unwrap_or_default()
    }

    /// Whether the step is done as it stands now in the course.
    pub fn is_done(&self, exercise: &Exercise, step: &Step) -> bool {
        let record = self.step(exercise, step);
        record.done_at.is_some() && record.proof == step.proof_hash
    }

    /// Whether the learner is past the step: done or skipped.
    pub fn is_settled(&self, exercise: &Exercise, step: &Step) -> bool {
        self.is_done(exercise, step) || self.step(exercise, step).skipped
    }

    /// The first step that the learner is not past; `None` when the exercise is behind them.
    pub fn first_open(&self, exercise: &Exercise) -> Option<usize> {
        exercise
            .steps
            .iter()
            .position(|step| !self.is_settled(exercise, step))
    }

    /// Changes what is remembered of a step, on top of what another terminal may have written meanwhile.
    pub fn update(
        &self,
        exercise: &Exercise,
        step: &Step,
        change: impl FnOnce(&mut StepRecord),
    ) -> Outcome<()> {
        self.locked(|| {
            drop(self.load(&exercise.id));
            let mut record = self
                .records()
                .get(&exercise.id)
                .cloned()
                .unwrap_or_else(|| ExerciseRecord {
                    version: VERSION,
                    exercise: exercise.id.clone(),
                    content: String::new(),
                    steps: BTreeMap::new(),
                });
            record.content.clone_from(&exercise.content_hash);
            change(record.steps.entry(step.key.clone()).or_default());
            let written = write_json(&self.path(&exercise.id), &record);
            // Even with a full disk the learner goes on: this session still knows.
            self.records().insert(exercise.id.clone(), record);
            written
        })
    }

    /// Marks a step as done, now.
    pub fn done(&self, exercise: &Exercise, step: &Step) -> Outcome<()> {
        let now = jiff::Timestamp::now().to_string();
        self.update(exercise, step, |record| {
            record.proof.clone_from(&step.proof_hash);
            record.done_at.get_or_insert(now);
            record.skipped = false;
        })
    }

    /// Forgets an exercise.
    pub fn reset(&self, exercise: &Exercise) -> Outcome<()> {
        self.locked(|| {
            self.records().remove(&exercise.id);
            match fs::remove_file(self.path(&exercise.id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
    }

    /// The exercise that was open last.
    pub fn here(&self) -> Option<String> {
        let bytes = read_limited(&self.0.folder.join("here.json")).ok().flatten()?;
        serde_json::from_slice::<Here>(&bytes).ok()?.exercise
    }

    /// Remembers the open exercise.
    pub fn set_here(&self, exercise: &Exercise) -> Outcome<()> {
        let here = Here {
            version: VERSION,
            exercise: Some(exercise.id.clone()),
        };
        self.locked(|| write_json(&self.0.folder.join("here.json"), &here))
    }

    fn locked(&self, work: impl FnOnce() -> io::Result<()>) -> Outcome<()> {
        let folder = &self.0.folder;
        fs::create_dir_all(folder)
            .and_then(|()| File::create(folder.join(".lock")))
            .and_then(|lock| {
                lock.lock()?;
                let result = work();
                lock.unlock()?;
                result
            })
            .map_err(|error| {
                Problem::new(format!("progress can't be saved: {error}"))
                    .at(folder, None)
                    .next("free some space, or make the folder writable; until then progress lasts only for this session")
            })
    }
}

fn read_limited(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(about) if about.len() > SIZE_LIMIT_BYTES => Err(io::Error::other("it is too large")),
        Ok(_) => fs::read(path).map(Some),
    }
}

/// Why a file of progress is not taken.
#[derive(Debug)]
enum Unreadable {
    /// Nobody can read it.
    Damaged(String),
    /// A later version of this program wrote it, in this format.
    Newer(u32),
}

impl Unreadable {
    fn reason(&self) -> String {
        match self {
            Self::Damaged(why) => why.clone(),
            Self::Newer(version) => format!("format {version}; this version knows {VERSION}"),
        }
    }

    /// What the file that is put aside is called.
    fn word(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged",
            Self::Newer(_) => "newer",
        }
    }

    fn note(&self, exercise: &str, path: &Path, aside: &Path) -> String {
        let kept = aside.file_name().unwrap_or_default().to_string_lossy();
        let path = path.display();
        match self {
            Self::Damaged(why) => format!(
                "progress of {exercise} can't be read ({path}: {why}); the file is kept as {kept}, beside it, and \
                 {exercise} starts again"
            ),
            Self::Newer(_) => format!(
                "progress of {exercise} was written by a newer version of streamlings ({path}: {}); it is kept as {kept}, \
                 beside it: rename it back to use it with that version. Here {exercise} starts again",
                self.reason()
            ),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<ExerciseRecord, Unreadable> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
    // Asked first: a later version may have other fields.
    let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(Unreadable::Newer(version));
    }
    if version != VERSION {
        return Err(Unreadable::Damaged(format!("there is no format {version}")));
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// Renames the file to a name that is free, so that nothing is lost.
fn put_aside(path: &Path, word: &str) -> io::Result<PathBuf> {
    for number in 1..1000 {
        let aside = path.with_extension(format!("{word}-{number}"));
        if !aside.exists() {
            fs::rename(path, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other("too many damaged files are kept already"))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    write_atomic(path, &bytes, Readers::Anyone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::model::Module;
    use crate::course::{Files, Script, Setup};

    fn step(key: &str) -> Step {
        Step {
            title: key.into(),
            key: key.into(),
            line: 1,
            task: String::new(),
            setup: Setup::default(),
            predict: None,
            checks: Vec::new(),
            hints: Vec::new(),
            solution: Script::default(),
            wrongs: Vec::new(),
            explanation: None,
            proof_hash: "p1".into(),
        }
    }

    fn course() -> Course {
        let exercise = Exercise {
            id: "1.1".into(),
            slug: "1.1-a".into(),
            title: "A".into(),
            minutes: 1,
            corrects: Vec::new(),
            needs: Vec::new(),
            brokers: 1,
            why: String::new(),
            steps: vec![step("one"), step("two")],
            read_on: None,
            work_files: Vec::new(),
            content_hash: "c1".into(),
        };
        Course {
            id: "test".into(),
            title: "Test".into(),
            modules: vec![Module {
                number: 1,
                title: "M".into(),
                slugs: vec!["1.1-a".into()],
                exercises: vec![exercise],
            }],
            beliefs: BTreeMap::new(),
            files: Files::Embedded,
        }
    }

    #[test]
    fn what_is_done_is_remembered_and_a_changed_step_counts_no_more() {
        let home = tempfile::tempdir().unwrap();
        let (course, home) = (course(), Home::at(home.path()));
        let exercise = &course.modules[0].exercises[0];
        let (progress, notes) = Progress::open(&home, &course);
        assert!(notes.is_empty());
        assert_eq!(progress.first_open(exercise), Some(0));
        progress.done(exercise, &exercise.steps[0]).unwrap();
        progress.set_here(exercise).unwrap();

        let (again, _) = Progress::open(&home, &course);
        assert_eq!(again.first_open(exercise), Some(1));
        assert_eq!(again.here().as_deref(), Some("1.1"));

        let mut changed = exercise.clone();
        changed.steps[0].proof_hash = "p2".into();
        assert_eq!(again.first_open(&changed), Some(0));
    }

    #[test]
    fn two_terminals_keep_each_others_steps() {
        let home = tempfile::tempdir().unwrap();
        let (course, home) = (course(), Home::at(home.path()));
        let exercise = &course.modules[0].exercises[0];
        let (first, _) = Progress::open(&home, &course);
        let (second, _) = Progress::open(&home, &course);
        first.done(exercise, &exercise.steps[0]).unwrap();
        second.done(exercise, &exercise.steps[1]).unwrap();
        let (fresh, _) = Progress::open(&home, &course);
        assert_eq!(fresh.first_open(exercise), None);
        assert!(first.refresh(&course).is_empty());
        assert_eq!(first.first_open(exercise), None);
    }

    #[test]
    fn a_damaged_file_is_put_aside_said_and_never_stops_the_learner() {
        let folder = tempfile::tempdir().unwrap();
        let (course, home) = (course(), Home::at(folder.path()));
        let exercise = &course.modules[0].exercises[0];
        let path = home.progress().join("test/1.1.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (damage, says) in [
            ("{\"version\":1,", "damaged-1"),
            ("", "damaged-2"),
            ("{\"version\":9,\"unknown\":\"1.1\"}", "newer version"),
        ] {
            write_atomic(&path, damage.as_bytes(), Readers::Anyone).unwrap();
            let (progress, notes) = Progress::open(&home, &course);
            assert_eq!(notes.len(), 1, "{damage:?}");
            assert!(
                notes[0].contains(says) && notes[0].contains("1.1.json"),
                "{notes:?}"
            );
            progress.done(exercise, &exercise.steps[0]).unwrap();
        }
        assert_eq!(
            fs::read_dir(path.parent().unwrap())
                .unwrap()
                .filter(|f| {
                    f.as_ref()
                        .unwrap()
                        .file_name()
                        .to_string_lossy()
                        .contains("damaged")
                })
                .count(),
            2
        );
    }
}
