//! The Docker engine: is it there, does it have the image, and what the lab does with containers. Every call has a
//! time limit: an engine that hangs must not hang the lab.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::io::IsTerminal;
use std::time::Duration;

use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use testcontainers::bollard::models::{ContainerSummary, NetworkCreateRequest, VolumeCreateRequest};
use testcontainers::bollard::query_parameters as query;
use testcontainers::bollard::{self, errors::Error as EngineError};
use testcontainers::core::client::docker_client_instance;

use crate::problem::{Exit, Outcome, Problem};

/// For an answer to "are you there".
const PING_LIMIT: Duration = Duration::from_secs(3);
/// For a single request.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// For a broker's orderly end, before Docker kills it. Three that stop at once wait for each other in vain; what they
/// acknowledged is in the volume's files all the same.
const STOP_SECONDS: i32 = 5;
/// For the next sign of life while an image comes.
const PULL_SILENCE: Duration = Duration::from_secs(60);

/// What was found when Docker was looked for.
#[derive(Debug)]
pub(in crate::lab) enum Engine {
    /// It answers and has the image.
    Ready,
    /// It answers; the image must be fetched.
    NoImage,
    /// It can't be used, and why.
    Silent(String),
}

impl Engine {
    /// Looks, within seconds.
    pub(in crate::lab) fn probe(image: &str) -> Self {
        let Ok(runtime) = small_runtime() else {
            return Self::Silent("no threads to ask it".into());
        };
        runtime.block_on(async {
            let engine = match Connected::connect().await {
                Ok(engine) => engine,
                Err(why) => return Self::Silent(why),
            };
            match limited(PING_LIMIT, engine.0.inspect_image(image)).await {
                Ok(_) => Self::Ready,
                Err(error) if is_missing(&error) => Self::NoImage,
                Err(error) => Self::Silent(explain(&error)),
            }
        })
    }
}

/// A runtime for a few requests from a command that has none.
pub(super) fn small_runtime() -> Outcome<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("no runtime for Docker: {error}")).exit(Exit::NoLab))
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the engine doesn't answer")]
    Silent,
    #[error(transparent)]
    Refused(#[from] EngineError),
}

async fn limited<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Silent),
    }
}

fn status_code(error: &Failure) -> Option<u16> {
    match error {
        Failure::Refused(EngineError::DockerResponseServerError { status_code, .. }) => Some(*status_code),
        _ => None,
    }
}

fn is_missing(error: &Failure) -> bool {
    status_code(error) == Some(404)
}

/// An error with all its causes, each once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// What a person can do something about.
fn explain(error: &dyn Error) -> String {
    let text = chain(error);
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "its socket".into());
    if text.contains("ermission denied") {
        format!("this user may not talk to {host} (is it in the group docker?)")
    } else if ["No such file", "not found", "onnection refused"]
        .iter()
        .any(|known| text.contains(known))
    {
        format!("no engine answers at {host}")
    } else {
        text
    }
}

fn problem(doing: &str, error: &Failure) -> Problem {
    Problem::new(format!("Docker can't {doing}: {}", explain(error)))
        .next("`docker ps` tells whether Docker works; `streamlings up --backend embedded` needs none")
        .exit(Exit::NoLab)
}

/// An engine that answered.
#[derive(Clone)]
pub(super) struct Connected(bollard::Docker);

impl Connected {
    /// Finds it as testcontainers does: `DOCKER_HOST`, else the usual sockets.
    pub(super) async fn connect() -> Result<Self, String> {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("DOCKER_TLS_VERIFY") && !set("DOCKER_CERT_PATH") {
            return Err("DOCKER_TLS_VERIFY is set and DOCKER_CERT_PATH is not".into());
        }
        let engine = docker_client_instance().await.map_err(|error| explain(&error))?;
        match limited(PING_LIMIT, engine.ping()).await {
            Ok(_) => Ok(Self(engine)),
            Err(error) => Err(explain(&error)),
        }
    }

    /// Containers with a label, running or not, by name.
    pub(super) async fn containers(&self, label: &str, value: &str) -> Outcome<Vec<ContainerSummary>> {
        let options = query::ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&labelled(label, value))
            .build();
        let found = limited(CALL_LIMIT, self.0.list_containers(Some(options))).await;
        let mut found = found.map_err(|error| problem("list the lab's containers", &error))?;
        found.sort_by(|a, b| a.names.cmp(&b.names));
        Ok(found)
    }

    /// Stops them all at once. One that doesn't end in order is killed by the engine.
    pub(super) async fn stop(&self, containers: &[ContainerSummary]) {
        let limit = CALL_LIMIT + Duration::from_secs(STOP_SECONDS.unsigned_abs().into());
        let stops = containers
            .iter()
            .filter_map(|container| container.id.as_deref())
            .map(|id| {
                let options = query::StopContainerOptionsBuilder::new().t(STOP_SECONDS).build();
                limited(limit, self.0.stop_container(id, Some(options)))
            });
        for error in futures::future::join_all(stops)
            .await
            .into_iter()
            .filter_map(Result::err)
        {
            tracing::warn!(%error, "a container didn't stop in order");
        }
    }

    /// Removes them, and the nameless volumes that the image declares. Named volumes stay.
    pub(super) async fn remove(&self, containers: &[ContainerSummary]) -> Outcome<()> {
        for id in containers.iter().filter_map(|container| container.id.as_deref()) {
            let options = query::RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            match limited(CALL_LIMIT, self.0.remove_container(id, Some(options))).await {
                Ok(()) => {}
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(problem("remove a container", &error)),
            }
        }
        Ok(())
    }

    pub(super) async fn kill(&self, name: &str) -> Outcome<()> {
        let options = query::KillContainerOptionsBuilder::new()
            .signal("SIGKILL")
            .build();
        match limited(CALL_LIMIT, self.0.kill_container(name, Some(options))).await {
            Ok(()) => Ok(()),
            // It is not running.
            Err(error) if status_code(&error) == Some(409) => Ok(()),
            Err(error) => Err(problem("kill a broker", &error)),
        }
    }

    /// Starts a container; one that runs is fine.
    pub(super) async fn start(&self, name: &str) -> Outcome<()> {
        let none = None::<query::StartContainerOptions>;
        let started = limited(CALL_LIMIT, self.0.start_container(name, none)).await;
        started.map_err(|error| problem("start a broker", &error))
    }

    /// The exit code of a container that has ended, `None` for one that runs.
    pub(super) async fn exit_code(&self, name: &str) -> Outcome<Option<i64>> {
        let none = None::<query::InspectContainerOptions>;
        let found = limited(CALL_LIMIT, self.0.inspect_container(name, none)).await;
        let state = found
            .map_err(|error| problem("look at a container", &error))?
            .state
            .unwrap_or_default();
        if state.running == Some(true) {
            return Ok(None);
        }
        Ok(Some(state.exit_code.unwrap_or(-1)))
    }

    /// The last lines that a container wrote.
    pub(super) async fn log_tail(&self, name: &str, lines: usize) -> String {
        let options = query::LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let mut text = String::new();
        let mut stream = std::pin::pin!(self.0.logs(name, Some(options)));
        while let Ok(Some(Ok(part))) = tokio::time::timeout(PING_LIMIT, stream.next()).await {
            text.push_str(&part.to_string());
        }
        text.trim_end().to_owned()
    }

    /// Makes a named volume, or finds it.
    pub(super) async fn volume(&self, name: &str, (label, value): (&str, &str)) -> Outcome<()> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(HashMap::from([(label.to_owned(), value.to_owned())])),
            ..VolumeCreateRequest::default()
        };
        let made = limited(CALL_LIMIT, self.0.create_volume(request)).await;
        made.map(drop).map_err(|error| problem("make a volume", &error))
    }

    /// Makes a network, or finds it.
    pub(super) async fn network(&self, name: &str, (label, value): (&str, &str)) -> Outcome<()> {
        let none = None::<query::InspectNetworkOptions>;
        if limited(CALL_LIMIT, self.0.inspect_network(name, none))
            .await
            .is_ok()
        {
            return Ok(());
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            labels: Some(HashMap::from([(label.to_owned(), value.to_owned())])),
            ..NetworkCreateRequest::default()
        };
        let made = limited(CALL_LIMIT, self.0.create_network(request)).await;
        made.map(drop).map_err(|error| problem("make a network", &error))
    }

    /// Removes the volumes and networks with a label.
    pub(super) async fn remove_data(&self, label: &str, value: &str) -> Outcome<()> {
        let filters = labelled(label, value);
        let options = query::ListVolumesOptionsBuilder::new().filters(&filters).build();
        let volumes = limited(CALL_LIMIT, self.0.list_volumes(Some(options))).await;
        let volumes = volumes.map_err(|error| problem("list the lab's volumes", &error))?;
        for volume in volumes.volumes.unwrap_or_default() {
            let none = None::<query::RemoveVolumeOptions>;
            let removed = limited(CALL_LIMIT, self.0.remove_volume(&volume.name, none)).await;
            removed.map_err(|error| problem("remove a volume", &error))?;
        }
        let options = query::ListNetworksOptionsBuilder::new().filters(&filters).build();
        let networks = limited(CALL_LIMIT, self.0.list_networks(Some(options))).await;
        for id in networks
            .unwrap_or_default()
            .into_iter()
            .filter_map(|network| network.id)
        {
            let removed = limited(CALL_LIMIT, self.0.remove_network(&id)).await;
            removed.map_err(|error| problem("remove a network", &error))?;
        }
        Ok(())
    }
}

fn labelled(label: &str, value: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{label}={value}")])])
}

/// Fetches an image and shows how far it is.
pub(in crate::lab) fn pull(image: &str) -> Outcome<()> {
    let failed = |why: String| {
        Problem::new(format!("the image {image} can't be fetched: {why}"))
            .next(format!(
                "check the network and the name, or fetch it yourself: docker pull {image}"
            ))
            .exit(Exit::NoLab)
    };
    let runtime = small_runtime()?;
    runtime.block_on(async {
        let engine = Connected::connect().await.map_err(failed)?;
        eprintln!("Fetching {image} …");
        let options = query::CreateImageOptionsBuilder::new().from_image(image).build();
        let mut stream = std::pin::pin!(engine.0.create_image(Some(options), None, None));
        let mut shown = Download::new();
        loop {
            match tokio::time::timeout(PULL_SILENCE, stream.next()).await {
                Ok(Some(Ok(info))) => shown.update(&info),
                // The engine's own words: it is there, whoever else it didn't reach.
                Ok(Some(Err(error))) => return Err(failed(chain(&error))),
                Ok(None) => break,
                Err(_) => return Err(failed(format!("nothing came for {} s", PULL_SILENCE.as_secs()))),
            }
        }
        shown.bar.finish_and_clear();
        // An engine can end the stream without an image and without an error.
        let there = limited(CALL_LIMIT, engine.0.inspect_image(image)).await;
        there.map(drop).map_err(|error| failed(explain(&error)))
    })
}

/// The bytes of all layers, as one bar.
struct Download {
    bar: ProgressBar,
    /// What has come of each layer, and its size.
    layers: HashMap<String, (u64, u64)>,
    phase: Phase,
}

/// What the engine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Downloading,
    Unpacking,
    /// The connection broke off; the engine waits before it tries again.
    Retrying,
}

impl Phase {
    /// Of the engine's word for what it does with a layer; nothing for what needs no mention.
    fn of(status: &str) -> Option<Self> {
        match status {
            "Downloading" => Some(Self::Downloading),
            "Extracting" => Some(Self::Unpacking),
            _ if status.starts_with("Retrying") => Some(Self::Retrying),
            _ => None,
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Downloading => "{bytes} of {total_bytes}  {bytes_per_sec}  {eta} left",
            Self::Unpacking => "{bytes} of {total_bytes}  unpacking",
            Self::Retrying => "{bytes} of {total_bytes}  broke off, trying again",
        }
    }
}

impl Download {
    fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        let mut shown = Self {
            bar,
            layers: HashMap::new(),
            phase: Phase::Downloading,
        };
        shown.enter(Phase::Downloading);
        shown
    }

    fn enter(&mut self, phase: Phase) {
        /// What stands beside the bar, at its longest.
        const WORDS: usize = 50;
        self.phase = phase;
        let width = crate::ui::width().saturating_sub(WORDS).clamp(8, 30);
        let template = format!("{{bar:{width}}} {}", phase.template());
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.bar.set_style(style.progress_chars("##."));
        }
    }

    fn update(&mut self, info: &bollard::models::CreateImageInfo) {
        let status = info.status.as_deref().unwrap_or_default();
        if let ("Download complete", Some(layer)) = (status, &info.id)
            && let Some((done, total)) = self.layers.get_mut(layer)
        {
            // The engine doesn't tell of the last bytes.
            *done = *total;
        }
        let Some(phase) = Phase::of(status) else {
            return;
        };
        let downloading = phase == Phase::Downloading;
        if let (true, Some(layer), Some(progress)) = (downloading, &info.id, &info.progress_detail) {
            let bytes = |value: Option<i64>| {
                value
                    .and_then(|value| u64::try_from(value).ok())
                    .unwrap_or_default()
            };
            self.layers
                .insert(layer.clone(), (bytes(progress.current), bytes(progress.total)));
        }
        let (done, total) = self
            .layers
            .values()
            .fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        // The first layers are unpacked while others come.
        let phase = match phase {
            Phase::Unpacking if done < total => Phase::Downloading,
            phase => phase,
        };
        if phase != self.phase {
            self.enter(phase);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}
