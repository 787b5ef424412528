//! `up`: decide where the cluster runs, start the lab's process, wait for its answer.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

use console::Term;
use dialoguer::Select;

use super::backend::{self, DEFAULT_IMAGE, DEFAULT_PORT, Engine, Plan, PortWish};
use super::client::LabClient;
use super::logfile;
use super::process::{Order, Report};
use super::request::{BackendChoice, Choice, UpRequest};
use super::spinner::Spinner;
use super::state::{LabFiles, unwritable};
use super::status::{BackendKind, BrokerVerb, LabStatus};
use crate::home::Home;
use crate::problem::{Exit, Outcome, Problem};

/// Names the image and tag instead of `--image`.
const IMAGE_VARIABLE: &str = "STREAMLINGS_KAFKA_IMAGE";

/// Whether the user can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interaction {
    /// Questions go to the terminal.
    Ask,
    /// Nobody is there: decide, and say what was decided.
    Never,
}

impl Interaction {
    /// Asks when stdin and stderr are a terminal.
    pub fn of_terminal() -> Self {
        if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            Self::Ask
        } else {
            Self::Never
        }
    }
}

/// A lab that runs.
#[derive(Debug, Clone)]
pub struct Up {
    /// The way to ask it.
    pub client: LabClient,
    /// As it is now.
    pub status: LabStatus,
    /// Why the cluster runs where it does, in a few words; empty when there is nothing to say.
    pub reason: String,
    /// From the process's start until the cluster answered; `None` when it ran already.
    pub ready_ms: Option<u64>,
    hint: Option<String>,
}

impl Up {
    /// What runs and where: "embedded cluster, 1 broker at 127.0.0.1:9092, ready in 7 ms".
    pub fn line(&self) -> String {
        let brokers = self.status.brokers.len();
        let some = if brokers == 1 { "broker" } else { "brokers" };
        let ready = match self.ready_ms {
            None => "running already".to_owned(),
            Some(ms @ 0..1000) => format!("ready in {ms} ms"),
            Some(ms) => format!("ready in {:.1} s", ms as f64 / 1000.0),
        };
        let noun = self.status.backend.noun();
        format!("{noun}, {brokers} {some} at {}, {ready}", self.status.bootstrap)
    }

    /// The reason and what else could be had, when that is worth a line.
    pub fn note(&self) -> Option<String> {
        match &self.hint {
            _ if self.reason.is_empty() => None,
            Some(hint) => Some(format!("{}; {hint}", self.reason)),
            None => Some(self.reason.clone()),
        }
    }
}

/// The running lab, else one started as last time, else one started where it can be.
pub fn ensure_up(home: &Home, interaction: Interaction) -> Outcome<Up> {
    up(home, &UpRequest::default(), interaction)
}

/// The running lab, when it is what `request` asks for, else a new one. Returns when the cluster answers.
///
/// # Errors
/// Another lab runs; the request makes no sense; the cluster can't be started or doesn't answer.
pub fn up(home: &Home, request: &UpRequest, interaction: Interaction) -> Outcome<Up> {
    let files = LabFiles::of(home);
    let mut without_docker = false;
    loop {
        if let Some(up) = running(home, request)? {
            return Ok(up);
        }
        let decision = if without_docker {
            instead_of_docker(&files, request)
        } else {
            decide(&files, request, interaction)?
        };
        let lock = files.lock_for_up(say_waiting)?;
        // Somebody else may have started it while the user was asked, or while this waited.
        if let Some(up) = running(home, request)? {
            return Ok(up);
        }
        let (plan, asked_for) = (decision.order.plan.clone(), decision.docker_was_asked_for);
        let failed = match start(home, &files, decision) {
            Ok(up) => return Ok(up),
            Err(problem) if may_embedded_do(&plan) => problem,
            Err(problem) => return Err(problem),
        };
        drop(lock);
        if asked_for && interaction == Interaction::Never {
            return Err(failed.next("`streamlings up --backend embedded` needs no Docker"));
        }
        eprint!("{}", failed.render());
        if asked_for && !ask_for_embedded()? {
            return Err(not_started());
        }
        without_docker = true;
    }
}

/// Whether the embedded cluster may start where this has failed: not at a port that the user insists on and somebody
/// else has.
fn may_embedded_do(plan: &Plan) -> bool {
    match *plan {
        Plan::Docker {
            port: PortWish::Exactly(port),
            brokers,
            ..
        } if port != 0 => backend::taken_port(port, brokers).is_none(),
        Plan::Docker { .. } => true,
        Plan::Embedded { .. } | Plan::External { .. } => false,
    }
}

/// For whoever waits for the lock of another command.
pub(super) fn say_waiting() {
    eprintln!("Another command is starting or stopping the lab: waiting for it.");
}

fn not_started() -> Problem {
    Problem::new("the lab was not started")
        .next("`streamlings up --help` shows the choices")
        .exit(Exit::NoLab)
}

/// The running lab, if it is what was asked for.
fn running(home: &Home, request: &UpRequest) -> Outcome<Option<Up>> {
    let Some(client) = LabClient::connect(home)? else {
        return Ok(None);
    };
    let status = client.status()?;
    let kind = match request.wanted() {
        None | Some(BackendChoice::Auto) => None,
        Some(BackendChoice::Docker) => Some(BackendKind::Docker),
        Some(BackendChoice::Embedded) => Some(BackendKind::Embedded),
        Some(BackendChoice::External) => Some(BackendKind::External),
    };
    let first_port = status.brokers.first().map(|broker| broker.port);
    let same = kind.is_none_or(|kind| kind == status.backend)
        && request
            .port
            .is_none_or(|port| port == 0 || Some(port) == first_port)
        && request
            .brokers
            .is_none_or(|brokers| usize::from(brokers) == status.brokers.len())
        && request
            .bootstrap
            .as_ref()
            .is_none_or(|bootstrap| *bootstrap == status.bootstrap)
        && request
            .prefix
            .as_ref()
            .is_none_or(|prefix| *prefix == status.prefix);
    if !same {
        return Err(Problem::new(format!(
            "another lab runs already: {} at {}",
            status.backend.noun(),
            status.bootstrap
        ))
        .next("`streamlings down` stops it and keeps its records; then run this command again"));
    }
    let status = revive(&client, status)?;
    Ok(Some(Up {
        reason: client.reason().to_owned(),
        client,
        status,
        ready_ms: None,
        hint: None,
    }))
}

/// Starts containers that somebody stopped, or that a restarted engine left stopped. A cluster of which one broker is
/// up is left as it is: an exercise may have killed the others.
fn revive(client: &LabClient, status: LabStatus) -> Outcome<LabStatus> {
    if status.reachable() || status.backend != BackendKind::Docker {
        return Ok(status);
    }
    eprintln!("Kafka's containers are stopped: starting them again …");
    let count = status.brokers.len();
    for (index, broker) in status.brokers.iter().enumerate() {
        let _spinner = Spinner::new(&format!(
            "broker {} ({} of {count}): waiting for its answer, a minute at most",
            broker.id,
            index + 1
        ));
        client.broker(broker.id, BrokerVerb::Start)?;
    }
    client.status()
}

/// What to start, and why.
struct Decision {
    order: Order,
    hint: Option<String>,
    /// The user named Docker; otherwise it was found.
    docker_was_asked_for: bool,
}

/// Completes a request with what is remembered, as far as that is about the same backend.
fn complete(request: &UpRequest, last: Option<&Choice>) -> UpRequest {
    let mut request = request.clone();
    let Some(last) = last else {
        return request;
    };
    let before = &last.request;
    let wanted = request.wanted();
    if wanted.is_none() {
        request.backend = before.wanted();
    }
    if wanted.is_some() && wanted != before.wanted() {
        return request;
    }
    if request.bootstrap.is_none() && request.config.is_none() {
        request.bootstrap.clone_from(&before.bootstrap);
        request.config.clone_from(&before.config);
        request.prefix = request.prefix.or_else(|| before.prefix.clone());
    }
    request.image = request.image.or_else(|| before.image.clone());
    request.brokers = request.brokers.or(before.brokers);
    request.port = request.port.or(before.port);
    request
}

fn decide(files: &LabFiles, request: &UpRequest, interaction: Interaction) -> Outcome<Decision> {
    let last = Choice::remembered(files);
    let from_memory = request.wanted().is_none() && last.is_some();
    let request = complete(request, last.as_ref());
    request.check()?;
    let words = if from_memory {
        "as last time"
    } else {
        "as you asked"
    };
    let port = port_wish(&request, last.as_ref());
    let brokers = request.brokers.unwrap_or(1);
    let asked_docker = request.wanted() == Some(BackendChoice::Docker);
    let embedded = |reason: String, hint: Option<String>| Decision {
        order: Order {
            plan: Plan::Embedded { brokers, port },
            request: if asked_docker {
                without_docker(&request)
            } else {
                request.clone()
            },
            reason,
        },
        hint,
        docker_was_asked_for: false,
    };
    match request.wanted().unwrap_or(BackendChoice::Auto) {
        BackendChoice::External => Ok(Decision {
            order: Order {
                plan: Plan::External {
                    target: request.target()?,
                },
                request: absolute(&request),
                reason: words.into(),
            },
            hint: None,
            docker_was_asked_for: false,
        }),
        BackendChoice::Embedded => Ok(embedded(words.into(), None)),
        BackendChoice::Auto
            if from_memory && last.is_some_and(|last| last.backend == BackendKind::Embedded) =>
        {
            Ok(embedded(words.into(), None))
        }
        choice => {
            let image = image(&request);
            let docker = |reason: &str| Decision {
                order: Order {
                    plan: Plan::Docker {
                        brokers,
                        port,
                        image: image.clone(),
                    },
                    request: request.clone(),
                    reason: reason.into(),
                },
                hint: None,
                docker_was_asked_for: choice == BackendChoice::Docker,
            };
            match (choice, Engine::probe(&image)) {
                (BackendChoice::Docker, Engine::Ready) => Ok(docker(words)),
                (BackendChoice::Docker, Engine::NoImage) => match backend::pull(&image) {
                    Ok(()) => Ok(docker(words)),
                    Err(problem) => offer_embedded(problem, interaction, &embedded),
                },
                (BackendChoice::Docker, Engine::Silent(why)) => {
                    let problem = Problem::new(format!("Docker can't be used: {why}"))
                        .next("start Docker and try again")
                        .exit(Exit::NoLab);
                    offer_embedded(problem, interaction, &embedded)
                }
                (_, Engine::Ready) => Ok(docker("a Docker engine answers and has the image")),
                (_, Engine::NoImage) if interaction == Interaction::Ask && ask_to_pull(&image)? => {
                    match backend::pull(&image) {
                        Ok(()) => Ok(docker("as you asked")),
                        Err(problem) => offer_embedded(problem, interaction, &embedded),
                    }
                }
                (_, Engine::NoImage) => Ok(embedded(
                    format!("Docker has no image {image}"),
                    Some("`streamlings up --backend docker` later fetches it, same exercises".into()),
                )),
                (_, Engine::Silent(why)) => {
                    tracing::debug!(why, "no Docker");
                    Ok(embedded(
                        "no Docker engine answered".into(),
                        Some(
                            "`streamlings up --backend docker` later gives you Apache Kafka in a container, \
                             same exercises"
                                .into(),
                        ),
                    ))
                }
            }
        }
    }
}

/// A path that still names the file when the next `up` runs in another folder.
fn absolute(request: &UpRequest) -> UpRequest {
    let mut request = request.clone();
    request.config = request
        .config
        .map(|path| std::path::absolute(&path).unwrap_or(path));
    request
}

fn image(request: &UpRequest) -> String {
    let variable = || {
        std::env::var(IMAGE_VARIABLE)
            .ok()
            .filter(|image| !image.is_empty())
    };
    let image = request
        .image
        .clone()
        .or_else(variable)
        .unwrap_or_else(|| DEFAULT_IMAGE.into());
    // A colon after the last slash starts the tag; one before it is a registry's port.
    let name = image.rsplit('/').next().unwrap_or(&image);
    if name.contains(':') {
        image
    } else {
        let (_, tag) = DEFAULT_IMAGE.split_once(':').unwrap_or_default();
        format!("{image}:{tag}")
    }
}

fn offer_embedded(
    problem: Problem,
    interaction: Interaction,
    embedded: &dyn Fn(String, Option<String>) -> Decision,
) -> Outcome<Decision> {
    if interaction == Interaction::Never {
        let next = problem
            .next
            .clone()
            .map_or(String::new(), |next| format!("{next}, or "));
        return Err(problem.next(format!(
            "{next}`streamlings up --backend embedded`, which needs no Docker"
        )));
    }
    eprint!("{}", problem.render());
    if ask_for_embedded()? {
        return Ok(embedded("Docker can't be used now".into(), None));
    }
    Err(not_started())
}

/// What is started when Docker was found and failed.
fn instead_of_docker(files: &LabFiles, request: &UpRequest) -> Decision {
    let last = Choice::read(files);
    Decision {
        order: Order {
            plan: Plan::Embedded {
                brokers: request.brokers.unwrap_or(1),
                port: port_wish(request, last.as_ref()),
            },
            request: without_docker(request),
            reason: "Docker can't be used now".into(),
        },
        hint: None,
        docker_was_asked_for: false,
    }
}

/// What is remembered of a request for Docker that an embedded cluster answered: the next `up` goes on with that one.
fn without_docker(request: &UpRequest) -> UpRequest {
    UpRequest {
        backend: Some(BackendChoice::Embedded),
        image: None,
        ..request.clone()
    }
}

fn port_wish(request: &UpRequest, last: Option<&Choice>) -> PortWish {
    match (request.port, last.and_then(|last| last.port)) {
        // Any port will do, and last time's is where clients look.
        (Some(0), Some(port)) => PortWish::From(port),
        (Some(port), _) => PortWish::Exactly(port),
        (None, last) => PortWish::From(last.unwrap_or(DEFAULT_PORT)),
    }
}

fn ask_for_embedded() -> Outcome<bool> {
    // A question of more than a line would be drawn again below itself.
    eprintln!("The embedded cluster needs nothing and has the same exercises.");
    crate::ui::confirm(&Term::stderr(), "Go on with the embedded cluster?", true).map_err(given_up)
}

fn ask_to_pull(image: &str) -> Outcome<bool> {
    let asked = Select::new()
        .with_prompt("Docker has no image of Kafka yet")
        .items([
            "Go on with the embedded cluster: starts at once, same exercises".to_owned(),
            format!("Fetch {image}: some hundred MB, once"),
        ])
        .default(0)
        .interact_opt();
    match asked.map_err(given_up)? {
        Some(answer) => Ok(answer == 1),
        None => Err(not_started()),
    }
}

fn given_up(error: dialoguer::Error) -> Problem {
    Problem::new(format!("the question got no answer: {error}"))
        .next("say it in the command: `streamlings up --backend embedded`")
        .exit(Exit::NoLab)
}

/// Starts the process and waits until its cluster answers. The caller holds the lock.
fn start(home: &Home, files: &LabFiles, decision: Decision) -> Outcome<Up> {
    let limit = decision.order.plan.start_limit();
    let mut child = spawn(home, files, &decision.order)?;
    let reports = reports(&mut child);
    let deadline = Instant::now() + limit;
    let mut spinner = None;
    let ready_ms = loop {
        match reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Report::Says(text)) => {
                drop(spinner.take());
                eprintln!("{}", crate::ui::visible(&text));
                spinner = Some(Spinner::new("waiting for Kafka's first answer"));
            }
            Ok(Report::Ready { ready_ms }) => break ready_ms,
            Ok(Report::Failed(refused)) => {
                // It ends by itself once it has said this.
                drop(child.wait());
                return Err(refused.into_problem());
            }
            Err(RecvTimeoutError::Timeout) => {
                drop(child.kill());
                drop(child.wait());
                return Err(died(
                    files,
                    &format!("the lab was not ready after {} s", limit.as_secs()),
                ));
            }
            Err(RecvTimeoutError::Disconnected) => {
                drop(child.wait());
                return Err(died(files, "the lab's process ended at once"));
            }
        }
    };
    drop(spinner);
    let client = LabClient::require(home)?;
    Ok(Up {
        status: client.status()?,
        reason: decision.order.reason,
        client,
        ready_ms: Some(ready_ms),
        hint: decision.hint,
    })
}

fn spawn(home: &Home, files: &LabFiles, order: &Order) -> Outcome<Child> {
    let cannot = |error: std::io::Error| {
        Problem::new(format!("the lab's process can't be started: {error}")).exit(Exit::NoLab)
    };
    let order = serde_json::to_vec(order).map_err(|error| cannot(error.into()))?;
    let log = logfile::append_to(&files.log()).map_err(|error| unwritable(&files.log(), &error))?;
    let mut command = Command::new(crate::home::binary().map_err(cannot)?);
    command
        .arg("lab-process")
        .env("STREAMLINGS_HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Ctrl-C at this terminal is not for the lab.
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&order).map_err(cannot)?;
    }
    Ok(child)
}

/// The process's reports, read on a thread, so that waiting for them can end.
fn reports(child: &mut Child) -> mpsc::Receiver<Report> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(report) = serde_json::from_str(&line) else {
                    continue;
                };
                if sender.send(report).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

fn died(files: &LabFiles, what: &str) -> Problem {
    let tail = logfile::tail(&files.log(), 3);
    let what = if tail.is_empty() {
        what.to_owned()
    } else {
        format!("{what}; it said last:\n{tail}")
    };
    Problem::new(what)
        .next(format!("the whole log: {}", files.log().display()))
        .exit(Exit::NoLab)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(request: UpRequest, backend: BackendKind) -> Choice {
        Choice {
            request,
            backend,
            port: Some(9095),
        }
    }

    #[test]
    fn what_is_remembered_completes_a_request_for_the_same_backend_only() {
        let last = remembered(
            UpRequest {
                bootstrap: Some("class:9092".into()),
                prefix: Some("ann-".into()),
                ..UpRequest::default()
            },
            BackendKind::External,
        );
        let again = complete(&UpRequest::default(), Some(&last));
        assert_eq!(again.bootstrap.as_deref(), Some("class:9092"));
        assert_eq!(again.prefix.as_deref(), Some("ann-"));

        let other = UpRequest {
            bootstrap: Some("mine:9092".into()),
            ..UpRequest::default()
        };
        assert_eq!(complete(&other, Some(&last)).prefix, None);

        let embedded = UpRequest {
            backend: Some(BackendChoice::Embedded),
            ..UpRequest::default()
        };
        assert_eq!(complete(&embedded, Some(&last)), embedded);
    }

    #[test]
    fn embedded_is_not_tried_at_a_port_that_somebody_else_has() {
        let other = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = other.local_addr().unwrap().port();
        let docker = |port| Plan::Docker {
            brokers: 3,
            port,
            image: DEFAULT_IMAGE.into(),
        };
        assert!(may_embedded_do(&docker(PortWish::From(taken))));
        assert!(may_embedded_do(&docker(PortWish::Exactly(0))));
        assert!(!may_embedded_do(&docker(PortWish::Exactly(taken))));
        assert!(
            !may_embedded_do(&docker(PortWish::Exactly(taken - 2))),
            "the third of a row"
        );
    }

    #[test]
    fn an_image_without_a_tag_gets_the_one_that_the_course_was_made_with() {
        let of = |image: &str| {
            super::image(&UpRequest {
                image: Some(image.into()),
                ..UpRequest::default()
            })
        };
        assert_eq!(of("apache/kafka"), DEFAULT_IMAGE);
        assert_eq!(
            of("mirror.example:5000/apache/kafka"),
            format!("mirror.example:5000/{DEFAULT_IMAGE}")
        );
        assert_eq!(of("apache/kafka-native:4.2.0"), "apache/kafka-native:4.2.0");
    }
}
