//! What is on disk about the lab's process: who runs, how to ask it, and what was chosen last time.
//!
//! Two locks of the operating system, which end with their holder even after kill -9, say the truth; the files only
//! tell the rest. `process.lock` is held by the lab's process as long as it lives, `up.lock` by whoever starts or
//! stops one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::home::{Home, Readers, write_atomic};
use crate::problem::{Exit, Outcome, Problem};

/// How to reach the running process: `lab/state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) pid: u32,
    /// Where the control interface listens on 127.0.0.1.
    pub(super) control_port: u16,
    pub(super) version: String,
}

/// The lab's files in a home folder.
#[derive(Debug, Clone)]
pub(super) struct LabFiles(PathBuf);

impl LabFiles {
    pub(super) fn of(home: &Home) -> Self {
        Self(home.lab())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn running_path(&self) -> PathBuf {
        self.0.join("state.json")
    }

    pub(super) fn token_path(&self) -> PathBuf {
        self.0.join("token")
    }

    pub(super) fn choice_path(&self) -> PathBuf {
        self.0.join("choice.json")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The embedded cluster's data.
    pub(super) fn embedded(&self) -> PathBuf {
        self.0.join("embedded")
    }

    pub(super) fn jobs(&self) -> PathBuf {
        self.0.join("jobs")
    }

    /// Makes the folder, or says what to do when that can't be.
    pub(super) fn make(&self) -> Outcome<()> {
        fs::create_dir_all(&self.0).map_err(|error| unwritable(&self.0, &error))
    }

    /// Who runs, as the file says; `None` when there is no file or it can't be understood.
    pub(super) fn running(&self) -> Option<Running> {
        read_json(&self.running_path()).ok().flatten()
    }

    /// The problem of a state file that is there, can't be understood, and belongs to a process that lives.
    pub(super) fn damaged_state(&self) -> Option<Problem> {
        let path = self.running_path();
        let damage = read_json::<Running>(&path).err()?;
        if !self.process_lives() {
            return None;
        }
        let pid = fs::read_to_string(self.0.join("process.lock")).unwrap_or_default();
        let end = match pid.trim().parse::<u32>() {
            Ok(pid) => format!("end it with `kill {pid}`"),
            Err(_) => "end that process".to_owned(),
        };
        Some(
            Problem::new(format!(
                "a lab runs, and the file that tells how to reach it is damaged: {}",
                damage.reason
            ))
            .at(path, damage.line)
            .next(format!("{end}, then `streamlings up`: records and jobs are kept"))
            .exit(Exit::NoLab),
        )
    }

    /// The token that the control interface wants.
    pub(super) fn token(&self) -> io::Result<String> {
        Ok(fs::read_to_string(self.token_path())?.trim().to_owned())
    }

    /// Writes the token first: whoever reads the state finds it.
    pub(super) fn publish(&self, running: &Running, token: &str) -> io::Result<()> {
        write_atomic(&self.token_path(), token.as_bytes(), Readers::Owner)?;
        write_atomic(
            &self.running_path(),
            &serde_json::to_vec_pretty(running)?,
            Readers::Anyone,
        )
    }

    /// Takes the state back. Files that are not there are fine.
    pub(super) fn retract(&self) {
        for path in [self.running_path(), self.token_path()] {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "a state file stays");
            }
        }
    }

    /// Cleans up after a process that was killed. Holds the process's lock meanwhile, so that the state of one that is
    /// just starting can't be taken for the dead one's.
    pub(super) fn retract_dead(&self) {
        if let Ok(lock) = self.open_lock("process.lock")
            && lock.try_lock().is_ok()
        {
            self.retract();
        }
    }

    /// Waits for, and takes, the right to start or stop the lab. `waiting` is called when somebody else has it.
    pub(super) fn lock_for_up(&self, waiting: impl FnOnce()) -> Outcome<File> {
        let unwritable = |error: io::Error| unwritable(&self.0, &error);
        let mut waiting = Some(waiting);
        loop {
            self.make()?;
            let file = self.open_lock("up.lock")?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    if let Some(say) = waiting.take() {
                        say();
                    }
                    file.lock().map_err(unwritable)?;
                }
                Err(TryLockError::Error(error)) => return Err(unwritable(error)),
            }
            if self.is_still(&file, "up.lock") {
                return Ok(file);
            }
        }
    }

    /// Waits for the end of the lab's process before this one, and takes its place. Held for the process's life.
    pub(super) fn lock_for_process(&self) -> Outcome<File> {
        let mut file = loop {
            self.make()?;
            let file = self.open_lock("process.lock")?;
            file.lock().map_err(|error| unwritable(&self.0, &error))?;
            if self.is_still(&file, "process.lock") {
                break file;
            }
        };
        // For a person who has to end the process by hand; nothing depends on it.
        drop(
            file.set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id())),
        );
        Ok(file)
    }

    /// Whether a lab's process lives, starting and stopping ones included.
    pub(super) fn process_lives(&self) -> bool {
        let Ok(file) = File::open(self.0.join("process.lock")) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Waits for the end of the lab's process; says whether it has come. True where none runs.
    pub(super) fn process_ends_within(&self, limit: Duration) -> bool {
        let files = self.clone();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if let Ok(file) = File::open(files.0.join("process.lock")) {
                // What can't be locked for another reason than its holder says nothing about a process.
                let _ = file.lock_shared();
            }
            let _ = ended.send(());
        });
        end.recv_timeout(limit).is_ok()
    }

    /// Whether a locked file is the one at its path: `down --delete` removes the folder while others wait.
    #[cfg(unix)]
    fn is_still(&self, file: &File, name: &str) -> bool {
        use std::os::unix::fs::MetadataExt;
        let there = fs::metadata(self.0.join(name));
        matches!((file.metadata(), there), (Ok(held), Ok(there)) if held.ino() == there.ino() && held.dev() == there.dev())
    }

    #[cfg(not(unix))]
    fn is_still(&self, _file: &File, name: &str) -> bool {
        self.0.join(name).exists()
    }

    fn open_lock(&self, name: &str) -> Outcome<File> {
        let path = self.0.join(name);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        opened.map_err(|error| unwritable(&path, &error))
    }
}

/// A name for this home that stays the same as long as its folder does: the label of its containers.
pub(super) fn home_id(home: &Home) -> String {
    let path = fs::canonicalize(home.path()).unwrap_or_else(|_| home.path().to_owned());
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let bytes = <[u8; 32]>::from(digest);
    let start = bytes.first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
    format!("{:010x}", start >> 24)
}

/// What is wrong with a state file.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) reason: String,
    /// The line, from 1, when it is known.
    pub(super) line: Option<usize>,
}

/// Reads a JSON file that may not be there.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Damage> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Damage {
                reason: error.to_string(),
                line: None,
            });
        }
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Damage {
        reason: error.to_string(),
        line: (error.line() > 0).then(|| error.line()),
    })
}

/// The problem of a folder or file that the lab can't write.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("the lab can't write to {}: {error}", path.display()))
        .next("make room or mend its permissions, or set STREAMLINGS_HOME to another folder")
        .exit(Exit::NoLab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_says_who_lives_whatever_the_files_say() {
        let folder = tempfile::tempdir().unwrap();
        let files = LabFiles::of(&Home::at(folder.path()));
        assert!(!files.process_lives());
        let held = files.lock_for_process().unwrap();
        assert!(files.process_lives());
        drop(held);
        assert!(!files.process_lives());
    }

    #[test]
    fn the_end_of_the_process_can_be_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let files = LabFiles::of(&Home::at(folder.path()));
        assert!(files.process_ends_within(Duration::from_millis(20)), "none runs");
        let held = files.lock_for_process().unwrap();
        assert!(!files.process_ends_within(Duration::from_millis(20)));
        let (waiter, long) = (files.clone(), Duration::from_secs(20));
        let waiting = std::thread::spawn(move || waiter.process_ends_within(long));
        drop(held);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_lock_whose_folder_was_removed_meanwhile_is_taken_anew() {
        let folder = tempfile::tempdir().unwrap();
        let files = LabFiles::of(&Home::at(folder.path()));
        let held = files.lock_for_up(|| ()).unwrap();
        let (says, said) = std::sync::mpsc::channel();
        let waiter = {
            let files = files.clone();
            std::thread::spawn(move || {
                files
                    .lock_for_up(|| says.send(()).unwrap())
                    .map(|lock| (files, lock))
            })
        };
        said.recv().unwrap();
        fs::remove_dir_all(files.path()).unwrap();
        drop(held);
        let (files, lock) = waiter.join().unwrap().unwrap();
        assert!(files.is_still(&lock, "up.lock"));
    }

    #[test]
    fn a_published_state_is_read_back_and_a_damaged_one_is_no_state() {
        let folder = tempfile::tempdir().unwrap();
        let files = LabFiles::of(&Home::at(folder.path()));
        let running = Running {
            pid: 7,
            control_port: 4711,
            version: "1".into(),
        };
        files.publish(&running, "secret").unwrap();
        assert_eq!(files.running(), Some(running));
        assert_eq!(files.token().unwrap(), "secret");
        write_atomic(&files.running_path(), b"{ half", Readers::Anyone).unwrap();
        assert_eq!(files.running(), None);
        assert!(files.damaged_state().is_none(), "nobody lives");
        let held = files.lock_for_process().unwrap();
        let problem = files.damaged_state().unwrap();
        assert_eq!(problem.place.unwrap().line, Some(1));
        let kill = format!("`kill {}`", std::process::id());
        assert!(problem.next.unwrap().contains(&kill));
        drop(held);
        files.retract();
        files.retract();
        assert!(files.token().is_err());
    }
}
