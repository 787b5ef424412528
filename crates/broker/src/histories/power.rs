//! Power cuts. What was written is in the page cache; what was forced is on the disk. A cut keeps for each file what was
//! forced, and of what came after it a beginning, zeros or nothing; and for each folder the names that were forced, and of
//! later ones (files made, renamed, removed) some.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::files::{Logs, batches_of};
use crate::log::disk::watch;

/// A file or a folder, whatever its name: its number, and when it was made, since numbers come again.
type Id = (u64, Option<std::time::SystemTime>);

fn id_of(path: &Path) -> Option<Id> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.ino(), metadata.created().ok()))
}

fn names_in(path: &Path) -> BTreeMap<OsString, Id> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name(), id_of(&entry.path())?)));
    named.collect()
}

/// What the disk has for certain.
#[derive(Default)]
struct Forced {
    files: HashMap<Id, Vec<u8>>,
    folders: HashMap<Id, BTreeMap<OsString, Id>>,
}

impl Forced {
    fn take(&mut self, path: &Path) {
        let Some(id) = id_of(path) else { return };
        if path.is_dir() {
            self.folders.insert(id, names_in(path));
        } else {
            self.files.insert(id, std::fs::read(path).unwrap_or_default());
        }
    }
}

/// A disk that the logs of one history are on.
pub(super) struct Disk {
    root: PathBuf,
    forced: Rc<RefCell<Forced>>,
}

impl Drop for Disk {
    fn drop(&mut self) {
        watch::set(None);
    }
}

/// What there is after a cut.
enum Node {
    File(Vec<u8>),
    Folder(BTreeMap<OsString, Node>),
}

impl Disk {
    /// Looks at what this thread forces from now on.
    pub(super) fn new(root: &Path) -> Self {
        let forced = Rc::new(RefCell::new(Forced::default()));
        let watched = forced.clone();
        watch::set(Some(Box::new(move |path| watched.borrow_mut().take(path))));
        Self {
            root: root.to_owned(),
            forced,
        }
    }

    /// The power is cut: what is in `folder`, the root or one in it, is what the disk has of it. Nobody has it open.
    pub(super) fn cut(&mut self, folder: &Path, seed: u64) {
        let forced = self.forced.borrow();
        let Some(id) = id_of(folder) else { return };
        let mut places: HashMap<Id, PathBuf> = id_of(&self.root)
            .map(|id| (id, self.root.clone()))
            .into_iter()
            .collect();
        find_all(&self.root, &mut places);
        let cut = Cut {
            forced: &forced,
            places,
            seed,
        };
        let names = cut.folder(id, Path::new(""));
        drop(forced);
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            // What is deleted is removed on another thread, too.
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
        }
        self.write(folder, names);
        self.forced.borrow_mut().take(folder);
    }

    /// The batches of every log of which the disk has name and bytes.
    pub(super) fn forced_logs(&self) -> Logs {
        let forced = self.forced.borrow();
        let mut logs = Logs::new();
        let root = id_of(&self.root).and_then(|id| forced.folders.get(&id));
        for (broker, id) in root.into_iter().flatten() {
            for (log, id) in forced.folders.get(id).into_iter().flatten() {
                let files = forced.folders.get(id).into_iter().flatten();
                let segments = files.filter(|(name, _)| name.as_bytes().ends_with(b".log"));
                let bytes = segments.filter_map(|(_, id)| forced.files.get(id));
                let found = bytes.flat_map(|bytes| batches_of(&Bytes::copy_from_slice(bytes)));
                logs.insert(Path::new(broker).join(log), found.collect());
            }
        }
        logs
    }

    /// Writes what is left; the disk has it.
    fn write(&mut self, folder: &Path, names: BTreeMap<OsString, Node>) {
        use std::io::Write;
        for (name, node) in names {
            let path = folder.join(name);
            match node {
                Node::File(bytes) => {
                    let mut file = std::fs::File::create(&path).unwrap();
                    file.write_all(&bytes).unwrap();
                }
                Node::Folder(names) => {
                    std::fs::create_dir(&path).unwrap();
                    self.write(&path, names);
                }
            }
            self.forced.borrow_mut().take(&path);
        }
    }
}

fn find_all(folder: &Path, places: &mut HashMap<Id, PathBuf>) {
    for (name, id) in names_in(folder) {
        let path = folder.join(name);
        if path.is_dir() {
            find_all(&path, places);
        }
        places.insert(id, path);
    }
}

/// Names that are on their way out: whether they are there depends on another thread.
fn is_deleted(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b"-delete") || name.as_bytes().ends_with(b".deleted")
}

struct Cut<'a> {
    forced: &'a Forced,
    /// Where everything is now.
    places: HashMap<Id, PathBuf>,
    seed: u64,
}

impl Cut<'_> {
    /// Chance, the same for the same name: what another thread has removed changes nothing for others.
    fn chance(&self, name: &Path, what: u64) -> StdRng {
        let name = u64::from(crc32c::crc32c(name.as_os_str().as_bytes()));
        StdRng::seed_from_u64(self.seed ^ (name << 8) ^ what)
    }

    fn node(&self, id: Id, name: &Path) -> Node {
        let place = self.places.get(&id);
        let is_folder = self.forced.folders.contains_key(&id) || place.is_some_and(|path| path.is_dir());
        if is_folder {
            Node::Folder(self.folder(id, name))
        } else {
            Node::File(self.file(id, name))
        }
    }

    /// The names in a folder, forced ones and some of the later ones; what was renamed has one of its names.
    fn folder(&self, id: Id, name: &Path) -> BTreeMap<OsString, Node> {
        let before = self.forced.folders.get(&id).cloned().unwrap_or_default();
        let now = self
            .places
            .get(&id)
            .map(|path| names_in(path))
            .unwrap_or_default();
        let mut chance = self.chance(name, 1);
        let (all, none) = (chance.random_bool(0.25), chance.random_bool(0.25));
        let happened = |moved: Id, at: &OsStr| {
            // A rename has happened under both names, or under none.
            let first = before.iter().find(|(_, id)| **id == moved).map(|(name, _)| name);
            let key = name.join(first.map_or(at, OsString::as_os_str));
            all || (!none && self.chance(&key, 2).random_bool(0.5))
        };
        let mut kept = BTreeMap::new();
        let names: BTreeSet<&OsString> = before.keys().chain(now.keys()).collect();
        for one in names {
            let (old, new) = (before.get(one), now.get(one).filter(|_| !is_deleted(one)));
            let id = match (old, new) {
                (Some(old), Some(new)) if old == new => Some(old),
                (_, Some(new)) if happened(*new, one) => Some(new),
                (Some(old), None) if happened(*old, one) => None,
                (old, _) => old,
            };
            if let Some(id) = id {
                kept.insert(one.clone(), self.node(*id, &name.join(one)));
            }
        }
        kept
    }

    fn file(&self, id: Id, name: &Path) -> Vec<u8> {
        let forced = self.forced.files.get(&id).map_or(&[][..], Vec::as_slice);
        let Some(now) = self.places.get(&id).and_then(|path| std::fs::read(path).ok()) else {
            return forced.to_vec();
        };
        if now == forced {
            return now;
        }
        let mut chance = self.chance(name, 3);
        let same = forced.iter().zip(&now).take_while(|(a, b)| a == b).count();
        if same < forced.len() && chance.random_bool(0.5) {
            // What was cut off or written over is not on the disk yet.
            return forced.to_vec();
        }
        let written = match chance.random_range(0..4) {
            0 => same,
            1 => now.len(),
            _ => chance.random_range(same..=now.len()),
        };
        let mut kept = now[..written].to_vec();
        if chance.random_bool(0.3) {
            // The length is there, and the bytes are not.
            kept.resize(chance.random_range(written..=now.len()), 0);
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;
    use crate::log::disk;

    #[test]
    fn what_was_forced_is_there_and_of_the_rest_a_beginning() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let (mut lost, mut zeros, mut renamed, mut torn) = (0, 0, 0, 0);
        for seed in 0..200 {
            let folder = path("t-0");
            std::fs::create_dir(&folder).unwrap();
            let mut cut = Disk::new(root.path());
            let mut file = File::create(folder.join("a.log")).unwrap();
            file.write_all(b"forced").unwrap();
            disk::force(&file, &folder.join("a.log")).unwrap();
            for folder in [&folder, root.path()] {
                disk::force_folder(folder).unwrap();
            }
            file.write_all(b" and later").unwrap();
            File::create(folder.join("b.log"))
                .unwrap()
                .write_all(b"new")
                .unwrap();
            if seed % 2 == 0 {
                std::fs::rename(folder.join("a.log"), folder.join("c.log")).unwrap();
            }
            drop(file);
            cut.cut(root.path(), seed);
            let read = |name: &str| std::fs::read(folder.join(name)).ok();
            assert!(read("a.log").is_some() != read("c.log").is_some());
            renamed += usize::from(read("c.log").is_some());
            let a = read("a.log").or_else(|| read("c.log")).unwrap();
            assert!(a.starts_with(b"forced"));
            let rest = &a[6..];
            assert!(rest.len() <= 10);
            zeros += usize::from(rest.ends_with(b"\0"));
            torn += usize::from(!rest.is_empty() && rest.len() < 10);
            lost += usize::from(read("b.log").is_none());
            std::fs::remove_dir_all(&folder).unwrap();
        }
        assert!([lost, zeros, renamed, torn].iter().all(|count| *count > 10));
    }
}
