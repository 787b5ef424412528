//! The process's log: two files of a bounded size, `log` and the one before it, `log.old`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// When the log is put aside and a new one begun.
const LIMIT_BYTES: u64 = 1024 * 1024;
/// How much of its end is shown when a start fails.
const TAIL_BYTES: u64 = 8 * 1024;

/// Writes to `log`, and turns the page at [`LIMIT_BYTES`].
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    written_bytes: u64,
    limit_bytes: u64,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, LIMIT_BYTES)
    }

    fn with_limit(path: &Path, limit_bytes: u64) -> io::Result<Self> {
        let file = append_to(path)?;
        Ok(Self {
            path: path.to_owned(),
            written_bytes: file.metadata()?.len(),
            file,
            limit_bytes,
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("old"))?;
        self.file = append_to(&self.path)?;
        self.written_bytes = 0;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written_bytes + bytes.len() as u64 > self.limit_bytes {
            self.turn()?;
        }
        let written = self.file.write(bytes)?;
        self.written_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens a log for more lines; also what a process's stderr is sent to.
pub(super) fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The last lines of a log, or nothing.
pub(super) fn tail(path: &Path, lines: usize) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_never_takes_more_than_twice_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::with_limit(&path, 100).unwrap();
        for line in 0..1000 {
            writeln!(log, "line {line}").unwrap();
        }
        let sizes: u64 = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(sizes <= 200, "{sizes}");
        assert_eq!(tail(&path, 1), "line 999");
        assert_eq!(tail(&folder.path().join("none"), 3), "");
    }
}
