//! Where a course's files come from, and the guard around them: they are untrusted, so no path leads out of the
//! course, no link is followed, everything has a size, and text holds no control characters.

use std::borrow::Cow;
use std::fs;
use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, include_dir};

use crate::problem::{Outcome, Problem};

static EXERCISES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/exercises");
static QUIZZES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/quizzes");

/// What makes a course one with a quiz.
pub const QUIZ_FILE: &str = "quizzes/quiz.toml";
/// Most bytes of a text that people read (an exercise, a list, a bank of questions).
pub const TEXT_LIMIT: u64 = 512 * 1024;
/// Most bytes of a file for setup or for the learner's folder.
pub const DATA_LIMIT: u64 = 8 * 1024 * 1024;
/// Most files in one exercise.
pub const FILES_LIMIT: usize = 200;

/// The files of a course. Paths inside are relative, with `/`: `exercises/1.1-a-topic/exercise.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// The course that is compiled into the binary.
    Embedded,
    /// A folder with `exercises/` and `quizzes/`.
    Folder(PathBuf),
}

impl Files {
    /// The folder that `STREAMLINGS_COURSE` names, else the course in the binary.
    pub fn find() -> Outcome<Self> {
        match std::env::var_os("STREAMLINGS_COURSE").filter(|path| !path.is_empty()) {
            None => Ok(Self::Embedded),
            Some(path) => Self::folder(Path::new(&path)).map_err(|problem| {
                let what = format!("STREAMLINGS_COURSE: {}", problem.what);
                Problem { what, ..problem }
            }),
        }
    }

    /// A course folder; it has to hold `exercises/`.
    pub fn folder(path: &Path) -> Outcome<Self> {
        if path.join("exercises").is_dir() {
            return Ok(Self::Folder(path.to_path_buf()));
        }
        let what = if path.is_dir() {
            "this folder holds no 'exercises' folder"
        } else {
            "there is no such folder"
        };
        Err(Problem::new(what)
            .at(path, None)
            .next("name the folder that holds exercises/ and quizzes/; `streamlings author new` makes one"))
    }

    /// The path as the user knows it.
    pub fn shown(&self, path: &str) -> PathBuf {
        match self {
            Self::Embedded => PathBuf::from(path),
            Self::Folder(folder) => folder.join(path),
        }
    }

    /// Whether a file or folder is there.
    pub fn exists(&self, path: &str) -> bool {
        match self {
            Self::Embedded => embedded(path).is_some_and(|(dir, rest)| rest.is_empty() || dir.contains(rest)),
            Self::Folder(folder) => folder.join(path).exists(),
        }
    }

    /// A text without control characters, its line ends made `\n`.
    pub fn text(&self, path: &str) -> Outcome<String> {
        let bytes = self.bytes(path, TEXT_LIMIT)?;
        let shown = self.shown(path);
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.replace("\r\n", "\n"),
            Err(error) => {
                let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let line = 1 + before.matches('\n').count();
                return Err(Problem::new("this is not UTF-8")
                    .at(shown, Some(line))
                    .next("save the file as UTF-8"));
            }
        };
        for (index, line) in text.split('\n').enumerate() {
            if crate::ui::visible(line) != line {
                return Err(
                    Problem::new("control or direction characters have no place in a course file")
                        .at(shown, Some(index + 1))
                        .next(format!("remove them: {}", crate::ui::visible(line))),
                );
            }
        }
        Ok(text)
    }

    /// A file of at most `limit` bytes.
    pub fn bytes(&self, path: &str, limit: u64) -> Outcome<Cow<'static, [u8]>> {
        let shown = self.shown(path);
        safe_path(path).map_err(|what| Problem::new(what).at(&shown, None))?;
        let missing = || {
            Problem::new("this file is missing")
                .at(&shown, None)
                .next("make it, or remove what names it")
        };
        match self {
            Self::Embedded => {
                let (dir, rest) = embedded(path).ok_or_else(missing)?;
                let file = dir.get_file(rest).ok_or_else(missing)?;
                Ok(Cow::Borrowed(file.contents()))
            }
            Self::Folder(folder) => {
                let mut at = folder.clone();
                for part in Path::new(path).components() {
                    at.push(part);
                    let meta = fs::symlink_metadata(&at).map_err(|_| missing())?;
                    if meta.is_symlink() {
                        return Err(Problem::new("a course can't hold links")
                            .at(&at, None)
                            .next("put the file itself there"));
                    }
                    if meta.is_file() && meta.len() > limit {
                        return Err(Problem::new(format!(
                            "this file has {} bytes, and {limit} are the most here",
                            meta.len()
                        ))
                        .at(&at, None));
                    }
                }
                fs::read(&at)
                    .map(Cow::Owned)
                    .map_err(|error| Problem::new(format!("this file can't be read: {error}")).at(&at, None))
            }
        }
    }

    /// All files below a folder, sorted, as paths relative to it; empty when it is not there. Names that begin with
    /// a full stop are left out.
    pub fn below(&self, path: &str) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        match self {
            Self::Embedded => {
                if let Some((dir, rest)) = embedded(path) {
                    let at = if rest.is_empty() {
                        Some(dir)
                    } else {
                        dir.get_dir(rest)
                    };
                    if let Some(at) = at {
                        collect_embedded(at, rest, &mut names);
                    }
                }
            }
            Self::Folder(folder) => collect_folder(&folder.join(path), "", &mut names)?,
        }
        names.sort();
        Ok(names)
    }
}

/// Splits a path into its compiled-in folder and the rest.
fn embedded(path: &str) -> Option<(&'static Dir<'static>, &str)> {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "exercises" => Some((&EXERCISES, rest)),
        "quizzes" => Some((&QUIZZES, rest)),
        _ => None,
    }
}

fn collect_embedded(dir: &Dir<'_>, base: &str, names: &mut Vec<String>) {
    for file in dir.files() {
        let path = file.path().to_string_lossy();
        let name = path.strip_prefix(base).unwrap_or(&path).trim_start_matches('/');
        if !name.split('/').any(|part| part.starts_with('.')) {
            names.push(name.to_string());
        }
    }
    for inner in dir.dirs() {
        collect_embedded(inner, base, names);
    }
}

fn collect_folder(at: &Path, base: &str, names: &mut Vec<String>) -> Outcome<()> {
    let Ok(entries) = fs::read_dir(at) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Problem::new("the name of this file is not UTF-8").at(entry.path(), None));
        };
        if name.starts_with('.') {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            return Err(Problem::new("a course can't hold links")
                .at(entry.path(), None)
                .next("put the file itself there"));
        }
        let inside = if base.is_empty() {
            name
        } else {
            format!("{base}/{name}")
        };
        if kind.is_dir() {
            collect_folder(&entry.path(), &inside, names)?;
        } else if kind.is_file() {
            names.push(inside);
        }
        if names.len() > FILES_LIMIT * 10 {
            return Err(Problem::new("this folder holds too many files for a course").at(at, None));
        }
    }
    Ok(())
}

/// Refuses a path that could lead out of its folder, or that is no plain name. The error says what is wrong.
pub fn safe_path(path: &str) -> Result<(), String> {
    let plain = !path.is_empty()
        && !path.contains('\\')
        && path.len() <= 200
        && crate::ui::visible(path) == path
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        && !path
            .split('/')
            .any(|part| part.is_empty() || part.starts_with('.'));
    if plain {
        Ok(())
    } else {
        Err(format!(
            "'{path}' has to be a path below the exercise's folder, without '..', '\\' or hidden names"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_course() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            ".git/config",
            "a\\b",
            "a/./b",
            "x\u{1b}",
        ] {
            assert!(safe_path(bad).is_err(), "{bad:?}");
        }
        for good in ["rides.sql", "data/rides.jsonl", "a/b/c.txt"] {
            assert!(safe_path(good).is_ok(), "{good}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_control_characters_and_huge_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("exercises/one")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("exercises/one/passwd")).unwrap();
        let put = |name: &str, text: &[u8]| {
            crate::home::write_atomic(&root.join(name), text, crate::home::Readers::Anyone)
        };
        put("exercises/bell.md", b"fine\nnot \x07 fine\n").unwrap();
        put("exercises/latin.md", b"fine\n\xe9\n").unwrap();
        let files = Files::folder(root).unwrap();
        let problem = files.text("exercises/one/passwd").unwrap_err();
        assert!(problem.what.contains("links"), "{problem}");
        assert!(files.below("exercises").is_err());
        let problem = files.text("exercises/bell.md").unwrap_err();
        assert_eq!(problem.place.unwrap().line, Some(2));
        assert_eq!(
            files.text("exercises/latin.md").unwrap_err().place.unwrap().line,
            Some(2)
        );
        assert!(files.bytes("exercises/bell.md", 3).is_err());
    }

    #[test]
    fn the_course_in_the_binary_has_files() {
        let names = Files::Embedded.below("exercises").unwrap();
        assert!(names.contains(&"README.md".to_string()), "{names:?}");
        assert!(Files::Embedded.text("quizzes/README.md").is_ok());
        assert!(!Files::Embedded.exists("exercises/none.md"));
    }
}
