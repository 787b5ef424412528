//! Signing keys of this home: one file a key, mode 0600, in the W3C's Multikey shape.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use streamlings_badge::{Did, Key};

use crate::home::Home;
use crate::problem::{Outcome, Problem};
use crate::ui;

/// The key that signs a learner's own badges; made when the first one is.
pub const OWN: &str = "badge";
/// The most bytes of a key file.
const MAX_BYTES: u64 = 16 * 1024;

/// A key file.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    id: String,
    #[serde(rename = "publicKeyMultibase", default)]
    public: String,
    #[serde(rename = "secretKeyMultibase")]
    secret: String,
}

/// The keys of a home.
#[derive(Debug, Clone)]
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// Of a home.
    pub fn of(home: &Home) -> Self {
        Self { folder: home.keys() }
    }

    /// Where a key's file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Makes a new key; one that is there already is never replaced.
    pub fn create(&self, name: &str) -> Outcome<Key> {
        self.add(name, Key::from_secret(rand::random()))
    }

    /// Takes a key from a file of the same shape.
    pub fn import(&self, name: &str, file: &Path) -> Outcome<Key> {
        let key = read(file)?;
        self.add(name, key)
    }

    /// Reads a key.
    pub fn open(&self, name: &str) -> Outcome<Key> {
        check_name(name)?;
        let path = self.path(name);
        if !path.exists() {
            return Err(Problem::new(format!("there is no key '{name}'")).next(format!(
                "`streamlings key list` names yours; `streamlings key create {name}` makes it"
            )));
        }
        keep_private(&path);
        read(&path)
    }

    /// The learner's own key; made on first use.
    pub fn own(&self) -> Outcome<Key> {
        if self.path(OWN).exists() {
            self.open(OWN)
        } else {
            self.create(OWN)
        }
    }

    /// Names and identifiers of all keys, or why one can't be read.
    pub fn list(&self) -> Vec<(String, Outcome<Did>)> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".json")
                    .map(str::to_owned)
            })
            .filter(|name| check_name(name).is_ok())
            .collect();
        names.sort();
        let did = |name: &String| self.open(name).map(|key| key.did().clone());
        names.iter().map(|name| (name.clone(), did(name))).collect()
    }

    fn add(&self, name: &str, key: Key) -> Outcome<Key> {
        check_name(name)?;
        let path = self.path(name);
        let failed =
            |error: std::io::Error| Problem::new(format!("the key can't be kept: {error}")).at(&path, None);
        fs::create_dir_all(&self.folder).map_err(failed)?;
        // A temporary file has mode 0600 from its first byte on.
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)
            .map_err(failed)?;
        let shape = KeyFile {
            kind: "Multikey".into(),
            id: key.did().verification_method(),
            public: key.did().fingerprint().into(),
            secret: key.secret_multibase().to_string(),
        };
        serde_json::to_writer_pretty(&mut file, &shape).map_err(|error| failed(error.into()))?;
        file.write_all(b"\n")
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        match file.persist_noclobber(&path) {
            Ok(_) => Ok(key),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(Problem::new(
                format!("there is a key '{name}' already, and it is not replaced"),
            )
            .at(&path, None)
            .next("choose another name; badges signed with the old key stay verifiable only as its own")),
            Err(error) => Err(failed(error.error)),
        }
    }
}

fn read(path: &Path) -> Outcome<Key> {
    let broken = |what: String| {
        Problem::new(format!("this is no key file: {what}"))
            .at(path, None)
            .next("a key file is JSON with secretKeyMultibase (W3C Multikey, Ed25519), as `streamlings key create` writes it")
    };
    let size = fs::metadata(path)
        .map_err(|error| Problem::new(format!("the key can't be read: {error}")).at(path, None))?;
    if size.len() > MAX_BYTES {
        return Err(broken("it is too large".into()));
    }
    let text = fs::read(path)
        .map_err(|error| Problem::new(format!("the key can't be read: {error}")).at(path, None))?;
    // What serde says about a wrong value would repeat it: only the place is told.
    let file: KeyFile = serde_json::from_slice(&text)
        .map_err(|error| broken(format!("line {} is not as expected", error.line())))?;
    let key = Key::from_multibase(&file.secret).map_err(|error| broken(error.to_string()))?;
    if !file.public.is_empty() && file.public != key.did().fingerprint() {
        return Err(broken("its public part belongs to another secret".into()));
    }
    Ok(key)
}

/// Takes the rights of others (the six lower bits) on a key file away, and says so: whoever read the key meanwhile can sign with it.
#[cfg(unix)]
fn keep_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(mode) = fs::metadata(path).map(|about| about.permissions().mode() & 0o777) else {
        return;
    };
    if mode.trailing_zeros() >= 6 {
        return;
    }
    let mended = match fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
        Ok(()) => "it is 0600 again".to_owned(),
        Err(error) => format!("it can't be set to 0600: {error}"),
    };
    let text = format!(
        "note: the key {} had the mode {mode:04o}, which lets others read it; {mended}. If somebody else uses this \
         machine, make a new key: badges of this one may not be yours.",
        path.display()
    );
    eprint!("{}", ui::indented(&ui::visible(&text), 0, 6, ui::width()));
}

#[cfg(not(unix))]
fn keep_private(_path: &Path) {}

fn check_name(name: &str) -> Outcome<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.is_empty() && name.len() <= 40 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Problem::new(format!("'{name}' is no name for a key"))
        .next("small letters, digits and hyphens: instructor-2026"))
}
