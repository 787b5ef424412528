//! What has happened to records that no request of Kafka's protocol tells of: for tests that have to know that an accident
//! took place, and not only what is left after it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What has happened in a topic since it was made, all its partitions together. After a `kill -9` of the process it is
/// known that a thing has happened, but perhaps no longer how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Witnessed {
    /// Produces that were handled, and whose answer an [`Action::DropAnswer`](crate::Action::DropAnswer) has lost.
    pub unanswered: u64,
    /// Batches that a producer sent again and that were recognised by their sequence numbers: answered, not written.
    pub recognised: u64,
    /// Produces with acks=all that were refused with `NOT_ENOUGH_REPLICAS`.
    pub refused: u64,
    /// Offsets that a replica had to cut off its log, since the leader of now never had them.
    pub lost: u64,
}

impl Witnessed {
    /// Which of them have happened at all.
    fn kinds(&self) -> [bool; 4] {
        [self.unanswered, self.recognised, self.refused, self.lost].map(|count| count > 0)
    }
}

/// A topic with a note, and its note.
type Notes = BTreeMap<Uuid, (Arc<str>, Witnessed)>;

/// The notes; clones share them. An entry exists for a topic only once something has happened to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    shared: Arc<Mutex<Notes>>,
    /// Where they are kept; written when a thing happens to a topic for the first time, so that what happens all the
    /// time costs nothing.
    file: Option<PathBuf>,
}

impl Witness {
    /// The notes of a cluster in this folder. Notes that can't be read are none: nothing but a course asks for them.
    pub(crate) fn kept_in(folder: &Path) -> Self {
        let file = folder.join("witness.json");
        let kept = std::fs::read(&file).ok();
        let kept: BTreeMap<Uuid, (String, Witnessed)> = kept
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let notes = kept
            .into_iter()
            .map(|(id, (name, seen))| (id, (name.into(), seen)));
        Self {
            shared: Arc::new(Mutex::new(notes.collect())),
            file: Some(file),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is noted of a topic.
    pub(crate) fn note(&self, topic: Uuid, name: &Arc<str>, change: impl FnOnce(&mut Witnessed)) {
        let mut notes = self.notes();
        let (_, witnessed) = notes
            .entry(topic)
            .or_insert_with(|| (Arc::clone(name), Witnessed::default()));
        let before = witnessed.kinds();
        change(witnessed);
        if witnessed.kinds() != before {
            self.keep(&notes);
        }
    }

    /// The topic is deleted.
    pub(crate) fn forget(&self, topic: Uuid) {
        let mut notes = self.notes();
        if notes.remove(&topic).is_some() {
            self.keep(&notes);
        }
    }

    /// What is noted of the topic with this name.
    pub(crate) fn of(&self, name: &str) -> Witnessed {
        let notes = self.notes();
        let found = notes.values().find(|(known, _)| &**known == name);
        found.map_or_else(Witnessed::default, |(_, witnessed)| *witnessed)
    }

    fn keep(&self, notes: &Notes) {
        if let Some(file) = &self.file
            && let Err(error) = write(file, notes)
        {
            tracing::warn!(%error, "what has happened to records can't be kept for the next start");
        }
    }
}

/// Replaces the file in one step.
fn write(file: &Path, notes: &Notes) -> io::Result<()> {
    let notes: BTreeMap<&Uuid, (&str, &Witnessed)> = notes
        .iter()
        .map(|(id, (name, seen))| (id, (&**name, seen)))
        .collect();
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(&serde_json::to_vec(&notes)?)?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_happened_outlives_the_process_and_goes_with_the_topic() {
        let folder = tempfile::tempdir().unwrap();
        let (id, name) = (Uuid::new_v4(), Arc::<str>::from("tips"));
        let witness = Witness::kept_in(folder.path());
        witness.note(id, &name, |seen| seen.lost += 2);
        witness.note(id, &name, |seen| seen.refused += 1);
        // As after a kill: no clone of the first one is asked.
        let next = Witness::kept_in(folder.path());
        assert_eq!((next.of("tips").lost, next.of("tips").refused), (2, 1));
        assert_eq!(next.of("ledger"), Witnessed::default());
        next.forget(id);
        assert_eq!(Witness::kept_in(folder.path()).of("tips"), Witnessed::default());
        // A damaged file is no reason not to start.
        write(&folder.path().join("witness.json"), &Notes::new()).unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join("witness.json"))
            .unwrap()
            .write_all(b"}")
            .unwrap();
        assert_eq!(Witness::kept_in(folder.path()).of("tips"), Witnessed::default());
    }
}
