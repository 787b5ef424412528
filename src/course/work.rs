//! The learner's own copies of an exercise's files: made once, never overwritten, kept when the exercise is reset.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::model::{Course, Exercise};
use crate::home::{Home, Readers, write_atomic};
use crate::problem::{Outcome, Problem};

/// The folder in which a learner edits the files of one exercise.
#[derive(Debug, Clone)]
pub struct WorkFolder(PathBuf);

impl WorkFolder {
    /// The folder of `exercise`; nothing is made yet.
    pub fn of(home: &Home, exercise: &Exercise) -> Self {
        Self(home.workspace().join(&exercise.slug))
    }

    /// A folder at a known place (author check).
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts the exercise's files there; a file that is there already stays as it is.
    pub fn fill(&self, course: &Course, exercise: &Exercise) -> Outcome<()> {
        fs::create_dir_all(&self.0).map_err(|error| problem(&self.0, &error))?;
        for name in &exercise.work_files {
            let path = self.0.join(name);
            if !path.exists() {
                self.put(name, &course.file(exercise, &format!("files/{name}"))?)?;
            }
        }
        Ok(())
    }

    /// Replaces a file.
    pub fn put(&self, name: &str, content: &[u8]) -> Outcome<()> {
        let path = self.0.join(name);
        write_atomic(&path, content, Readers::Anyone).map_err(|error| problem(&path, &error))
    }

    /// Puts the exercise's files back as they came. What the learner has changed is kept beside, under the names that
    /// are returned.
    pub fn reset(&self, course: &Course, exercise: &Exercise) -> Outcome<Vec<PathBuf>> {
        let mut kept = Vec::new();
        for name in &exercise.work_files {
            let path = self.0.join(name);
            let original = course.file(exercise, &format!("files/{name}"))?;
            match fs::read(&path) {
                Ok(current) if current == original => continue,
                Ok(_) => kept.push(keep(&path).map_err(|error| problem(&path, &error))?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(problem(&path, &error)),
            }
            self.put(name, &original)?;
        }
        Ok(kept)
    }
}

fn problem(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!(
        "your copy of an exercise's file can't be written: {error}"
    ))
    .at(path, None)
    .next("free some space, or make the folder writable")
}

/// Renames to `NAME.yours-N`.
fn keep(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for number in 1..1000 {
        let kept = path.with_file_name(format!("{name}.yours-{number}"));
        if !kept.exists() {
            fs::rename(path, &kept)?;
            return Ok(kept);
        }
    }
    Err(io::Error::other("a thousand copies are kept already"))
}
