//! Where the lab keeps its state, and how a state file is replaced.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::problem::{Outcome, Problem};

/// Names the binary to run as another process, where this process isn't it (tests of the library).
const EXE_VARIABLE: &str = "STREAMLINGS_EXE";

/// This program's file. One that was replaced while it runs is still there under Linux's own name for it.
pub fn binary() -> io::Result<PathBuf> {
    if let Some(path) = std::env::var_os(EXE_VARIABLE) {
        return Ok(path.into());
    }
    let path = std::env::current_exe()?;
    let running = PathBuf::from("/proc/self/exe");
    Ok(if !path.exists() && running.exists() {
        running
    } else {
        path
    })
}

/// The folder of everything that the lab remembers: `STREAMLINGS_HOME`, else the platform's data folder.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    /// Finds the folder; it is made when something is written.
    pub fn find() -> Outcome<Self> {
        if let Some(path) = std::env::var_os("STREAMLINGS_HOME").filter(|path| !path.is_empty()) {
            let path = std::path::absolute(PathBuf::from(path))
                .map_err(|error| Problem::new(format!("STREAMLINGS_HOME is no usable path: {error}")))?;
            return Ok(Self(path));
        }
        let base = etcetera::choose_base_strategy().map_err(|_| {
            Problem::new("no home folder was found for this user")
                .next("set STREAMLINGS_HOME to a folder of yours")
        })?;
        Ok(Self(base.data_dir().join("streamlings")))
    }

    /// A home at a known place (tests).
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Of the lab's process: state, token, log, the embedded cluster's data, jobs.
    pub fn lab(&self) -> PathBuf {
        self.0.join("lab")
    }

    /// Progress per course and exercise.
    pub fn progress(&self) -> PathBuf {
        self.0.join("progress")
    }

    /// Files that the learner edits, one folder an exercise.
    pub fn workspace(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Attempts at the quiz.
    pub fn quiz(&self) -> PathBuf {
        self.0.join("quiz")
    }

    /// Badges: JSON, SVG and PNG.
    pub fn badges(&self) -> PathBuf {
        self.0.join("badges")
    }

    /// Signing keys, mode 0600.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The prompt's history.
    pub fn history(&self) -> PathBuf {
        self.0.join("history")
    }
}

/// Who may read a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Whoever the umask lets.
    Anyone,
    /// The owner alone (mode 0600): tokens and keys.
    Owner,
}

/// Replaces `path` in one step: a crash at any point leaves the old content or the new one.
pub fn write_atomic(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("a state file needs a folder"))?;
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".new-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_file_is_replaced_whole_and_a_secret_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.json");
        write_atomic(&path, b"old", Readers::Anyone).unwrap();
        write_atomic(&path, b"new", Readers::Owner).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
