//! What the user asks of `up`, what is remembered of it, and whether it makes sense.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::properties;
use super::state::{LabFiles, read_json};
use super::status::BackendKind;
use crate::home::{Readers, write_atomic};
use crate::kafka::Target;
use crate::problem::{Outcome, Problem};

/// Where the cluster shall run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// Docker when an engine answers and has the image, else the embedded cluster
    Auto,
    /// Apache Kafka in containers
    Docker,
    /// The lab's own cluster: nothing to install, starts at once
    Embedded,
    /// A cluster of yours: --bootstrap or --config
    External,
}

/// What `up` was asked for. Empty: as last time, else `auto`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpRequest {
    /// Where the cluster shall run.
    pub backend: Option<BackendChoice>,
    /// How many brokers.
    pub brokers: Option<u16>,
    /// The first broker's port on 127.0.0.1; the others take the ports after it.
    pub port: Option<u16>,
    /// `HOST:PORT[,HOST:PORT…]` of an external cluster.
    pub bootstrap: Option<String>,
    /// A file with librdkafka properties for an external cluster.
    pub config: Option<PathBuf>,
    /// What the lab's topic and group names start with on an external cluster.
    pub prefix: Option<String>,
    /// `REPOSITORY[:TAG]` of the Kafka image.
    pub image: Option<String>,
}

impl UpRequest {
    /// Whether anything was asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The backend that was named, or that the other flags mean.
    pub fn wanted(&self) -> Option<BackendChoice> {
        self.backend
            .or(if self.bootstrap.is_some() || self.config.is_some() {
                Some(BackendChoice::External)
            } else if self.image.is_some() {
                Some(BackendChoice::Docker)
            } else {
                None
            })
    }

    /// Refuses flags that contradict each other or make no sense, before anything is started.
    pub(super) fn check(&self) -> Outcome<()> {
        let external = self.wanted() == Some(BackendChoice::External);
        let elsewhere = |flag: &str, belongs: &str| {
            Err(Problem::new(format!("{flag} is for the {belongs} backend"))
                .next(format!("leave it out, or say --backend {belongs}")))
        };
        if !external {
            for (given, flag) in [
                (self.bootstrap.is_some(), "--bootstrap"),
                (self.config.is_some(), "--config"),
                (self.prefix.is_some(), "--prefix"),
            ] {
                if given {
                    return elsewhere(flag, "external");
                }
            }
        }
        let docker_may_be = [Some(BackendChoice::Docker), Some(BackendChoice::Auto)];
        if self.image.is_some() && !docker_may_be.contains(&self.wanted()) {
            return elsewhere("--image", "docker");
        }
        if external {
            for (given, flag) in [
                (self.brokers.is_some(), "--brokers"),
                (self.port.is_some(), "--port"),
            ] {
                if given {
                    return Err(
                        Problem::new(format!("{flag} can't be set on an external cluster"))
                            .next("leave it out: that cluster is used as it is"),
                    );
                }
            }
            if self.bootstrap.is_none() && self.config.is_none() {
                return Err(Problem::new("an external cluster needs its address")
                    .next("--bootstrap HOST:PORT, or --config FILE with bootstrap.servers in it"));
            }
        }
        if let Some(prefix) = &self.prefix {
            check_prefix(prefix)?;
        }
        Ok(())
    }

    /// The external cluster that is meant.
    pub(super) fn target(&self) -> Outcome<Target> {
        let mut target = match &self.config {
            Some(path) => properties::read(path)?,
            None => Target::new(""),
        };
        if let Some(bootstrap) = &self.bootstrap {
            target.bootstrap.clone_from(bootstrap);
        }
        if target.bootstrap.is_empty() {
            let problem = Problem::new("there is no bootstrap.servers in this file")
                .next("add bootstrap.servers=HOST:PORT, or give --bootstrap HOST:PORT");
            return Err(match &self.config {
                Some(path) => problem.at(path, None),
                None => problem,
            });
        }
        check_bootstrap(&target.bootstrap)?;
        target.prefix = self.prefix.clone().unwrap_or_default();
        Ok(target)
    }
}

/// Kafka's names are made of these characters and have 249 at most; room is left for the names themselves.
fn check_prefix(prefix: &str) -> Outcome<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if prefix.chars().all(fits) && prefix.len() <= 64 {
        return Ok(());
    }
    Err(
        Problem::new(format!("'{prefix}' can't start the name of a topic"))
            .next("--prefix takes up to 64 letters, digits, '.', '_' and '-', for example ann-"),
    )
}

fn check_bootstrap(bootstrap: &str) -> Outcome<()> {
    for server in bootstrap.split(',').map(str::trim) {
        let complaint = match server.rsplit_once(':') {
            _ if server.contains("://") => "is a URL: leave out what is before the host",
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                continue;
            }
            Some(("", _)) => "has no host",
            None => "has no port; Kafka's usual one is 9092",
            Some(_) => "has no valid port (1 to 65535)",
        };
        return Err(Problem::new(format!("the address '{server}' {complaint}"))
            .next("--bootstrap takes HOST:PORT, several with commas between them"));
    }
    Ok(())
}

/// What the lab did last time: `lab/choice.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    /// What was asked for; paths are absolute.
    pub(super) request: UpRequest,
    /// Where the cluster ran: its topics are there.
    pub(super) backend: BackendKind,
    /// The first broker's port then.
    pub(super) port: Option<u16>,
}

impl Choice {
    /// What is remembered; nothing when there is nothing, or it can't be understood.
    pub(super) fn read(files: &LabFiles) -> Option<Self> {
        read_json(&files.choice_path()).ok().flatten()
    }

    /// As [`read`](Self::read). A damaged file is put aside, and a line on stderr says so; an embedded cluster that left
    /// its data is gone on with then.
    pub(super) fn remembered(files: &LabFiles) -> Option<Self> {
        let path = files.choice_path();
        let damage = match read_json(&path) {
            Ok(choice) => return choice,
            Err(damage) => damage,
        };
        let aside = path.with_extension("damaged");
        let has_topics = files.embedded().exists();
        let kept = match std::fs::rename(&path, &aside) {
            Ok(()) => format!("the file is kept as {}", aside.display()),
            Err(error) => format!("the file can't be put aside: {error}"),
        };
        let note = format!(
            "note: {}: where the lab ran last time can't be read ({}); {kept}. {}: `streamlings down`, then \
             `streamlings up --backend …` if you want another place.",
            path.display(),
            damage.reason,
            if has_topics {
                "It goes on embedded, whose topics are here"
            } else {
                "It decides anew"
            }
        );
        eprint!(
            "{}",
            crate::ui::indented(&crate::ui::visible(&note), 0, 6, crate::ui::width())
        );
        has_topics.then(|| Self {
            request: UpRequest {
                backend: Some(BackendChoice::Embedded),
                ..UpRequest::default()
            },
            backend: BackendKind::Embedded,
            port: None,
        })
    }

    pub(super) fn write(&self, files: &LabFiles) -> std::io::Result<()> {
        write_atomic(
            &files.choice_path(),
            &serde_json::to_vec_pretty(self)?,
            Readers::Anyone,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(request: UpRequest) -> String {
        request.check().unwrap_err().what
    }

    #[test]
    fn flags_name_their_backend_and_contradictions_are_refused() {
        let external = UpRequest {
            bootstrap: Some("a:1".into()),
            ..UpRequest::default()
        };
        assert_eq!(external.wanted(), Some(BackendChoice::External));
        external.check().unwrap();
        assert!(UpRequest::default().wanted().is_none());
        let with = |change: fn(&mut UpRequest)| {
            let mut request = UpRequest::default();
            change(&mut request);
            request
        };
        assert!(refusal(with(|r| r.prefix = Some("ann-".into()))).contains("--prefix is for the external"));
        assert!(
            refusal(with(|r| {
                r.backend = Some(BackendChoice::Embedded);
                r.image = Some("kafka".into());
            }))
            .contains("--image is for the docker")
        );
        assert!(
            refusal(with(|r| {
                r.bootstrap = Some("a:1".into());
                r.port = Some(1);
            }))
            .contains("--port can't be set")
        );
        assert!(refusal(with(|r| r.backend = Some(BackendChoice::External))).contains("needs its address"));
        assert!(
            refusal(with(|r| {
                r.bootstrap = Some("a:1".into());
                r.prefix = Some("ann/".into());
            }))
            .contains("can't start the name")
        );
    }

    #[test]
    fn a_damaged_choice_is_put_aside_and_none_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let files = LabFiles::of(&crate::home::Home::at(folder.path()));
        assert_eq!(Choice::remembered(&files), None);
        write_atomic(&files.choice_path(), b"{ \"backend\": ", Readers::Anyone).unwrap();
        assert_eq!(Choice::remembered(&files), None);
        assert!(!files.choice_path().exists());
        assert!(files.choice_path().with_extension("damaged").exists());

        std::fs::create_dir_all(files.embedded()).unwrap();
        write_atomic(&files.choice_path(), b"", Readers::Anyone).unwrap();
        let choice = Choice::remembered(&files).unwrap();
        assert_eq!(choice.backend, BackendKind::Embedded);
    }

    #[test]
    fn an_address_is_host_and_port() {
        check_bootstrap("127.0.0.1:9092,[::1]:9093, kafka.example:9092").unwrap();
        for (wrong, says) in [
            ("localhost", "no port"),
            ("localhost:", "no valid port"),
            ("localhost:0", "no valid port"),
            ("localhost:99999", "no valid port"),
            (":9092", "no host"),
            ("https://kafka.example:9092", "URL"),
            ("a:1,,b:2", "no port"),
        ] {
            let problem = check_bootstrap(wrong).unwrap_err();
            assert!(problem.what.contains(says), "{wrong}: {}", problem.what);
        }
    }
}
