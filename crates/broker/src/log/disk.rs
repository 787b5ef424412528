//! The way to the disk. What a power cut must not take is forced here and nowhere else, so that the tests know what a disk
//! has for certain.

use std::fs::File;
use std::io;
use std::path::Path;

/// Forces what was written to a file; `path` is its name now.
pub(crate) fn force(file: &File, path: &Path) -> io::Result<()> {
    file.sync_data()?;
    #[cfg(test)]
    watch::tell(path);
    let _ = path;
    Ok(())
}

/// Forces the names in a folder: without it a power cut may take files that were made, and bring back names of before.
pub(crate) fn force_folder(path: &Path) -> io::Result<()> {
    // Windows has no such call.
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(test)]
    watch::tell(path);
    let _ = path;
    Ok(())
}

/// Forces a file that may not be there.
pub(super) fn force_if_there(path: &Path) -> io::Result<()> {
    match File::options().read(true).write(true).open(path) {
        Ok(file) => force(&file, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Who wants to know what was forced.
#[cfg(test)]
pub(crate) mod watch {
    use std::cell::RefCell;
    use std::path::Path;

    type Watcher = Box<dyn FnMut(&Path)>;

    thread_local! {
        static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
    }

    /// Has this thread's forced files and folders told.
    pub(crate) fn set(watcher: Option<Watcher>) {
        WATCHER.with(|known| *known.borrow_mut() = watcher);
    }

    pub(super) fn tell(path: &Path) {
        WATCHER.with(|known| {
            if let Some(watcher) = known.borrow_mut().as_mut() {
                watcher(path);
            }
        });
    }
}
