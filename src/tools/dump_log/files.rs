//! Where the files are that `--files` names: as they are named, else in the log folders that the cluster's brokers tell.

use std::path::{Component, Path, PathBuf};

use crate::kafka::Target;
use crate::tools::flags::Args;
use crate::tools::io::{Failure, ToolIo, wire};
use crate::tools::properties;

pub(super) struct Finder {
    target: Option<Target>,
    /// The brokers' log folders, once they were asked for.
    dirs: Option<Vec<PathBuf>>,
}

impl Finder {
    pub(super) fn new(args: &Args, io: &ToolIo<'_>) -> Self {
        let target = properties::target(args, io).ok();
        Self {
            target: target.filter(|target| !target.bootstrap.is_empty()),
            dirs: None,
        }
    }

    /// The path of a file.
    pub(super) fn find(&mut self, name: &str, io: &ToolIo<'_>) -> Result<PathBuf, Failure> {
        let named = io.files.path(name);
        if let Ok(path) = &named
            && path.is_file()
        {
            return Ok(path.clone());
        }
        if !Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            named?;
            return Err(Failure::Error(format!("{name}: no such file")));
        }
        let dirs = self.dirs();
        let places = dirs
            .iter()
            .flat_map(|dir| [Some(dir.as_path()), dir.parent()])
            .flatten();
        if let Some(found) = places.map(|place| place.join(name)).find(|path| path.is_file()) {
            return Ok(found);
        }
        Err(Failure::Error(missing(name, dirs)))
    }

    /// The log folders that this machine has, or, where it has none, those that are elsewhere.
    fn dirs(&mut self) -> &[PathBuf] {
        self.dirs.get_or_insert_with(|| {
            let Some(mut wire) = self.target.as_ref().and_then(|target| wire(target).ok()) else {
                return Vec::new();
            };
            let mut dirs = Vec::new();
            for broker in wire.brokers() {
                let told = wire.log_dirs(broker).unwrap_or_default();
                dirs.extend(told.into_iter().map(|dir| PathBuf::from(dir.path)));
            }
            // Only what is a folder of logs: a cluster of others could name any.
            let here = |dir: &PathBuf| dir.join("meta.properties").is_file();
            if dirs.iter().any(here) {
                dirs.retain(here);
            }
            dirs
        })
    }
}

fn missing(name: &str, dirs: &[PathBuf]) -> String {
    match dirs.first() {
        None => format!("{name}: no such file"),
        Some(dir) if dir.is_dir() => {
            let all: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            format!("{name}: no such file; the logs are in {}", all.join(", "))
        }
        Some(dir) => format!(
            "{name}: the logs of this cluster are not on this machine but in {} on its brokers, in a container or elsewhere: \
             run Kafka's own kafka-dump-log there",
            dir.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_with_the_place_where_it_could_be() {
        assert_eq!(missing("a-0/0.log", &[]), "a-0/0.log: no such file");
        let here = missing("a-0/0.log", &[PathBuf::from("/")]);
        assert_eq!(here, "a-0/0.log: no such file; the logs are in /");
        let away = missing("a-0/0.log", &[PathBuf::from("/no/such/folder")]);
        assert!(away.contains("not on this machine"), "{away}");
    }
}
