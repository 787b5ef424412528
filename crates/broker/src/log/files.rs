//! A bounded number of open files, shared by all logs of a broker: five thousand partitions have more segments than
//! a process may have open files.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::checkpoints::Checkpoints;
use super::disk;
use super::trash::Trash;

/// `meta.properties` says whose log dir it is.
pub(super) const META_PROPERTIES: &str = "meta.properties";

/// Open files by id, least recently used closed first. A file that somebody still reads stays open until then.
#[derive(Debug)]
pub struct FileCache {
    open: Mutex<Open>,
    capacity: usize,
    next_id: AtomicU64,
    /// Files that were in use and are deleted.
    pub(super) trash: Trash,
    /// How far each log is safe, as the log dir's files say.
    pub(super) checkpoints: Checkpoints,
    /// Names in the log dir may not be on the disk.
    names_wait: AtomicBool,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<u64, (Arc<File>, u64)>,
    clock: u64,
}

impl FileCache {
    /// Keeps at most `capacity` files open (at least 8).
    pub fn new(capacity: usize) -> Self {
        Self {
            open: Mutex::default(),
            capacity: capacity.max(8),
            next_id: AtomicU64::new(0),
            trash: Trash::default(),
            checkpoints: Checkpoints::default(),
            // Who had the log dir before may have been killed.
            names_wait: AtomicBool::new(true),
        }
    }

    /// The same, with what the files in `log_dir` say of its logs.
    pub(super) fn of_log_dir(log_dir: &Path, capacity: usize) -> Self {
        Self {
            checkpoints: Checkpoints::read(log_dir),
            ..Self::new(capacity)
        }
    }

    /// An id for a file that nothing has used.
    pub(super) fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The file of this id; `open` opens it where it is not open now.
    pub(super) fn get(&self, id: u64, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<File>> {
        let mut cache = self.lock();
        cache.clock += 1;
        let now = cache.clock;
        if let Some((file, used)) = cache.files.get_mut(&id) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        if cache.files.len() >= self.capacity {
            let oldest = cache
                .files
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                cache.files.remove(&oldest);
            }
        }
        let file = Arc::new(open()?);
        cache.files.insert(id, (Arc::clone(&file), now));
        Ok(file)
    }

    /// Closes the file of this id, if nobody reads it.
    pub(super) fn close(&self, id: u64) {
        self.lock().files.remove(&id);
    }

    /// A folder was made or renamed in the log dir.
    pub(super) fn folder_changed(&self) {
        self.names_wait.store(true, Ordering::Release);
    }

    /// Forces to the disk what the log dir itself holds: whose it is, and which folders there are.
    pub(super) fn force_log_dir(&self, dir: &Path) -> io::Result<()> {
        if !self.names_wait.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let forced = disk::force_if_there(&dir.join(META_PROPERTIES)).and_then(|()| disk::force_folder(dir));
        if forced.is_err() {
            self.folder_changed();
        }
        forced
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.lock().files.len()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // The map is whole after every statement that can panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens for reading and appending, creating the file and, where it is missing, its folder.
pub(super) fn open_append(path: &Path) -> io::Result<File> {
    File::options().read(true).append(true).create(true).open(path)
}

/// Reads until `buf` is full or the file ends; how many bytes were read.
pub(super) fn read_full_at(file: &File, mut buf: &mut [u8], mut position: u64) -> io::Result<usize> {
    let wanted = buf.len();
    while !buf.is_empty() {
        match file.read_at(buf, position) {
            Ok(0) => break,
            Ok(read) => {
                buf = &mut buf[read..];
                position += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buf.len())
}

/// Replaces a small file in one step; with `sync` it is the old one or the new one after a power cut, too.
pub(super) fn replace(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    use std::io::Write;
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = Path::new(&name);
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    if sync {
        disk::force(&file, temporary)?;
    }
    std::fs::rename(temporary, path)
}

/// Removes a folder that somebody else may be removing too.
pub(super) fn remove_folder_if_there(path: &Path) -> io::Result<()> {
    loop {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !path.try_exists()? {
                    return Ok(());
                }
            }
            removed => return removed,
        }
    }
}

/// Removes a file that may be missing.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
