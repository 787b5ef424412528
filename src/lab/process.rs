//! The lab's background process: this binary again, with a hidden subcommand.
//!
//! Its order comes on stdin, and reports go back on stdout, one JSON object a line, until the cluster answers; after
//! that nobody listens. It ends on `down` and on SIGTERM, and ignores a terminal that is closed.

use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::backend::{self, Plan};
use super::control::{self, Lab, Refused};
use super::logfile::LogFile;
use super::request::{Choice, UpRequest};
use super::state::{LabFiles, Running, unwritable};
use super::status::LabInfo;
use crate::home::Home;
use crate::jobs::JobManager;
use crate::problem::{Exit, Outcome, Problem};

/// How long requests that are being answered may go on after `down`.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What the process shall do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) plan: Plan,
    /// To be remembered once it has worked.
    pub(super) request: UpRequest,
    pub(super) reason: String,
}

/// What the process tells whoever started it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It takes long, because of this.
    Says(String),
    /// The cluster answers, this long after the process's start.
    Ready { ready_ms: u64 },
    /// It doesn't, and the process ends.
    Failed(Refused),
}

fn report(report: &Report) {
    // Whoever asked may be gone: the lab goes on without them.
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        drop(stdout.write_all(&line).and_then(|()| stdout.flush()));
    }
}

/// The hidden subcommand: returns when the lab has ended.
pub(super) fn run() -> Outcome<Exit> {
    let begun = Instant::now();
    let home = Home::find()?;
    match serve(&home, begun) {
        Ok(()) => Ok(Exit::Done),
        Err(problem) => {
            tracing::error!(%problem, next = problem.next, "the lab can't start");
            let exit = problem.exit;
            report(&Report::Failed(problem.into()));
            Ok(exit)
        }
    }
}

fn serve(home: &Home, begun: Instant) -> Outcome<()> {
    let order = read_order()?;
    let files = LabFiles::of(home);
    let _alive: File = files.lock_for_process()?;
    write_log(&files)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), backend = %order.plan.kind(), "starting");

    let runtime = runtime()?;
    let backend = backend::start(home, &order.plan, runtime.handle(), &|text| {
        report(&Report::Says(text.to_owned()));
    })?;
    let target = backend.target();
    let brokers = backend.brokers();
    let jobs = JobManager::open(files.jobs(), target.clone())
        .map_err(|refusal| Problem::new(refusal.message).exit(Exit::NoLab))?;
    let mut capabilities = backend.capabilities();
    capabilities.jobs = true;
    let lab = Arc::new(Lab {
        info: LabInfo {
            backend: order.plan.kind(),
            target,
            capabilities,
            brokers: brokers.len(),
            reason: order.reason,
            pid: std::process::id(),
        },
        started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        data: backend.data(),
        backend,
        jobs,
        stop: tokio::sync::Notify::new(),
    });
    let choice = Choice {
        request: order.request,
        backend: lab.info.backend,
        port: brokers.first().map(|broker| broker.port),
    };
    choice
        .write(&files)
        .map_err(|error| unwritable(&files.choice_path(), &error))?;

    let answered = runtime.block_on(answer(Arc::clone(&lab), &files, begun));
    files.retract();
    tracing::info!("stopping");
    lab.jobs.shutdown();
    let stopped = lab.backend.stop();
    runtime.shutdown_timeout(LAST_ANSWERS);
    if let Err(problem) = &stopped {
        tracing::error!(%problem, "the cluster didn't stop in order");
    }
    tracing::info!("ended");
    answered.and(stopped)
}

fn read_order() -> Outcome<Order> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(1024 * 1024).read_to_end(&mut bytes);
    let order = read
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_slice(&bytes));
    order.map_err(|_| Problem::new("this command is the lab's own").next("`streamlings up` starts the lab"))
}

fn write_log(files: &LabFiles) -> Outcome<()> {
    let log = LogFile::open(&files.log()).map_err(|error| unwritable(&files.log(), &error))?;
    let filter = tracing_subscriber::EnvFilter::try_from_env("STREAMLINGS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        // On a full disk an event is lost; a complaint on stderr, which is the same file, would be a panic.
        .log_internal_errors(false)
        .with_writer(Mutex::new(log))
        .init();
    Ok(())
}

fn runtime() -> Outcome<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("lab")
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("no threads for the lab: {error}")).exit(Exit::NoLab))
}

/// Serves the control interface, says that the lab is ready, and goes on until it shall stop.
async fn answer(lab: Arc<Lab>, files: &LabFiles, begun: Instant) -> Outcome<()> {
    let no_port = |error: std::io::Error| {
        Problem::new(format!("the lab can't listen on 127.0.0.1: {error}")).exit(Exit::NoLab)
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(no_port)?;
    let control_port = listener.local_addr().map_err(no_port)?.port();
    let token = new_token();
    let routes = control::router(Arc::clone(&lab), token.clone(), control_port);
    let stop = stop_requested(Arc::clone(&lab)).map_err(no_port)?;
    let running = Running {
        pid: std::process::id(),
        control_port,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    files
        .publish(&running, &token)
        .map_err(|error| unwritable(&files.log(), &error))?;
    report(&Report::Ready {
        ready_ms: begun.elapsed().as_millis() as u64,
    });
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, routes).with_graceful_shutdown(async move {
        stop.await;
        stopping.send_replace(true);
    });
    tokio::select! {
        served = server => served.map_err(no_port),
        // A client that holds its connection open doesn't hold the lab.
        () = async {
            drop(stopped.wait_for(|stopping| *stopping).await);
            tokio::time::sleep(LAST_ANSWERS).await;
        } => Ok(()),
    }
}

/// 128 random bits from the operating system's generator, as text.
fn new_token() -> String {
    let bits: u128 = rand::rng().random();
    format!("{bits:032x}")
}

/// Ends when `down` or SIGTERM comes. Signals of a terminal are taken and ignored.
#[cfg(unix)]
fn stop_requested(lab: Arc<Lab>) -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        loop {
            tokio::select! {
                () = lab.stop.notified() => return,
                _ = terminate.recv() => return,
                _ = hangup.recv() => tracing::info!("a terminal was closed"),
                _ = interrupt.recv() => {}
            }
        }
    })
}

#[cfg(not(unix))]
fn stop_requested(lab: Arc<Lab>) -> std::io::Result<impl Future<Output = ()>> {
    Ok(async move { lab.stop.notified().await })
}
