//! Files and folders that are deleted and not yet removed: their names say so, and `file.delete.delay.ms` later they go.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::files::{remove_folder_if_there, remove_if_there};

/// What a deleted file's name ends with.
pub(super) const DELETED_FILE: &str = "deleted";

/// What is deleted in one log dir.
#[derive(Debug, Default)]
pub(super) struct Trash {
    waiting: Mutex<Vec<Deleted>>,
    count: AtomicUsize,
}

#[derive(Debug)]
struct Deleted {
    path: PathBuf,
    delay_ms: i64,
    /// None until [`Trash::sweep`] has seen it: who deletes does not know the time.
    due_ms: Option<i64>,
}

impl Trash {
    /// Gives a file its deleted name. One that isn't there has been deleted before.
    pub(super) fn put_file(&self, path: &Path, delay_ms: i64) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(DELETED_FILE);
        let deleted = PathBuf::from(name);
        match std::fs::rename(path, &deleted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        self.put(deleted, delay_ms);
        Ok(())
    }

    /// Takes a path that has its deleted name already.
    pub(super) fn put(&self, path: PathBuf, delay_ms: i64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(Deleted {
            path,
            delay_ms,
            due_ms: None,
        });
        self.count.store(waiting.len(), Ordering::Release);
    }

    /// Takes out what is due, and says when more is.
    pub(super) fn sweep(&self, now_ms: i64) -> (Vec<PathBuf>, Option<i64>) {
        if self.count.load(Ordering::Acquire) == 0 {
            return (Vec::new(), None);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut due, mut next_ms) = (Vec::new(), None);
        waiting.retain_mut(|deleted| {
            let due_ms = *deleted
                .due_ms
                .get_or_insert(now_ms.saturating_add(deleted.delay_ms));
            if due_ms <= now_ms {
                due.push(std::mem::take(&mut deleted.path));
                return false;
            }
            next_ms = Some(next_ms.map_or(due_ms, |next: i64| next.min(due_ms)));
            true
        });
        self.count.store(waiting.len(), Ordering::Release);
        (due, next_ms)
    }
}

/// Removes a file or a folder that was deleted; blocks. What a crash leaves of it is removed at the next start.
pub fn remove_deleted(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        remove_folder_if_there(path)
    } else {
        remove_if_there(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_may_be_removed_by_two_at_once() {
        let parent = tempfile::tempdir().unwrap();
        for at in 0..20 {
            let folder = parent.path().join(format!("t-{at}.x-delete"));
            std::fs::create_dir(&folder).unwrap();
            for file in 0..100 {
                std::fs::File::create(folder.join(file.to_string())).unwrap();
            }
            std::thread::scope(|scope| {
                let other = scope.spawn(|| remove_folder_if_there(&folder));
                remove_folder_if_there(&folder).unwrap();
                other.join().unwrap().unwrap();
            });
            assert!(!folder.exists());
        }
    }

    #[test]
    fn what_is_deleted_goes_when_its_time_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let trash = Trash::default();
        assert_eq!(trash.sweep(0), (vec![], None));
        for (name, delay_ms) in [("a.log", 500), ("b.log", 100), ("none.log", 1)] {
            if name != "none.log" {
                std::fs::File::create(path(name)).unwrap();
            }
            trash.put_file(&path(name), delay_ms).unwrap();
        }
        assert!(!path("a.log").exists() && path("a.log.deleted").exists());
        assert_eq!(trash.sweep(1_000), (vec![], Some(1_100)));
        assert_eq!(trash.sweep(1_099), (vec![], Some(1_100)));
        assert_eq!(trash.sweep(1_100), (vec![path("b.log.deleted")], Some(1_500)));
        assert_eq!(trash.sweep(9_000), (vec![path("a.log.deleted")], None));
        remove_deleted(&path("a.log.deleted")).unwrap();
        assert!(!path("a.log.deleted").exists());
        remove_deleted(&path("a.log.deleted")).unwrap();
        // Without a delay it goes at once.
        std::fs::File::create(path("c")).unwrap();
        trash.put_file(&path("c"), 0).unwrap();
        assert_eq!(trash.sweep(9_000), (vec![path("c.deleted")], None));
    }
}
