//! `up`, `status`, `down`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use console::Term;
use serde::Serialize;

use super::request::{BackendChoice, Choice, UpRequest};
use super::state::{LabFiles, unwritable};
use super::{BackendKind, Interaction, LabClient, LabStatus, backend, hands, process, up};
use crate::home::Home;
use crate::problem::{Exit, Outcome, Problem};

/// The lab's own commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the lab, or say where it runs
    Up(UpArgs),
    /// Where the lab runs, its brokers and its jobs
    Status {
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Stop the lab; its topics and jobs are kept for the next `up`
    Down {
        /// Remove every topic, record and job of this lab too
        #[arg(long)]
        delete: bool,
        /// Don't ask before deleting
        #[arg(long, short)]
        yes: bool,
    },
    /// Brokers, clock, faults.
    #[command(flatten)]
    Hands(hands::Command),
    /// The background process.
    #[command(name = "lab-process", hide = true)]
    Process,
}

/// What `up` takes. What is left out is as last time.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Where the cluster runs [default: as last time, at first auto]
    #[arg(long, value_enum)]
    backend: Option<BackendChoice>,
    /// Number of brokers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    brokers: Option<u16>,
    /// Port of the first broker on 127.0.0.1; 0: any [default: 9092, or the next free one]
    #[arg(long)]
    port: Option<u16>,
    /// Address of a cluster of yours; several with commas
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// File with librdkafka properties for a cluster of yours
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What your topic and group names start with on a cluster that others use too
    #[arg(long)]
    prefix: Option<String>,
    /// Kafka image for Docker [default: apache/kafka:4.3.1, or STREAMLINGS_KAFKA_IMAGE]
    #[arg(long, value_name = "REPOSITORY[:TAG]")]
    image: Option<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub fn run(command: Command) -> Outcome<Exit> {
    match command {
        Command::Up(args) => run_up(args),
        Command::Status { json } => status(json),
        Command::Down { delete, yes } => down(delete, yes),
        Command::Hands(command) => {
            let lab = LabClient::require(&Home::find()?)?;
            hands::run(command, &lab, &mut io::stdout())?;
            Ok(Exit::Done)
        }
        Command::Process => process::run(),
    }
}

fn run_up(args: UpArgs) -> Outcome<Exit> {
    let home = Home::find()?;
    let request = UpRequest {
        backend: args.backend,
        brokers: args.brokers,
        port: args.port,
        bootstrap: args.bootstrap,
        config: args.config,
        prefix: args.prefix,
        image: args.image,
    };
    let up = up(&home, &request, Interaction::of_terminal())?;
    if args.json {
        #[derive(Serialize)]
        struct Json<'a> {
            #[serde(flatten)]
            status: &'a LabStatus,
            ready_ms: Option<u64>,
        }
        return print_json(&Json {
            status: &up.status,
            ready_ms: up.ready_ms,
        });
    }
    let mut text = up.line();
    if let Some(note) = up.note() {
        text.push_str(&format!(" ({note})"));
    }
    text.push('\n');
    // A script gets one line.
    if io::stdout().is_terminal() {
        text = crate::ui::indented(&text, 0, 2, crate::ui::width());
    }
    print(&text)?;
    Ok(if up.status.reachable() {
        Exit::Done
    } else {
        Exit::NoLab
    })
}

fn status(json: bool) -> Outcome<Exit> {
    let home = Home::find()?;
    let status = LabClient::require(&home)?.status()?;
    let exit = if status.reachable() {
        Exit::Done
    } else {
        Exit::NoLab
    };
    if json {
        print_json(&status)?;
    } else {
        print(&describe(&status, &LabFiles::of(&home).log()))?;
    }
    if exit == Exit::NoLab {
        let next = match status.backend {
            BackendKind::External => "the lab goes on when the cluster is back",
            BackendKind::Docker => "`streamlings up` starts its containers again",
            BackendKind::Embedded => "`streamlings down`, then `streamlings up`: records are kept",
        };
        return Err(Problem::new("the lab runs, and its cluster doesn't answer")
            .next(next)
            .exit(exit));
    }
    Ok(exit)
}

/// The status as text, a line a thing.
fn describe(status: &LabStatus, log: &Path) -> String {
    let mut text = format!("Lab       {} at {}", status.backend.noun(), status.bootstrap);
    if !status.reason.is_empty() {
        text.push_str(&format!(" ({})", status.reason));
    }
    text.push('\n');
    if !status.prefix.is_empty() {
        text.push_str(&format!("Prefix    {}\n", status.prefix));
    }
    for broker in &status.brokers {
        let state = if broker.up { "up" } else { "down" };
        text.push_str(&format!(
            "Broker {}  {}:{}  {state}\n",
            broker.id, broker.host, broker.port
        ));
    }
    if let Some(ahead) = status.clock_ahead() {
        text.push_str(&format!("Clock     {ahead} ahead of this machine's\n"));
    }
    for job in &status.jobs {
        text.push_str(&format!(
            "Job {}     {}  {}\n",
            job.id,
            job.name,
            job.state.word()
        ));
    }
    text.push_str(&format!("Process   {}, since {}\n", status.pid, status.started));
    if let Some(data) = &status.data {
        text.push_str(&format!("Data      {}\n", data.display()));
    }
    text.push_str(&format!("Log       {}\n", log.display()));
    crate::ui::visible(&text).into_owned()
}

fn down(delete: bool, yes: bool) -> Outcome<Exit> {
    let home = Home::find()?;
    let files = LabFiles::of(&home);
    if !home.lab().exists() {
        print("No lab is running.\n")?;
        return Ok(Exit::Done);
    }
    if delete && !yes && !confirmed(&home)? {
        return Err(Problem::new("nothing was stopped or deleted").exit(Exit::NotYet));
    }
    let _lock = files.lock_for_up(super::launch::say_waiting)?;
    let client = LabClient::connect(&home)?;
    if let Some(client) = &client {
        client.down()?;
    }
    let choice = Choice::read(&files);
    let kind = client
        .as_ref()
        .map(LabClient::backend)
        .or(choice.map(|choice| choice.backend));
    if delete {
        remove_data(&home, kind)?;
        forget(&files)?;
    } else if client.is_none() && kind == Some(BackendKind::Docker) {
        // Of a process that was killed, containers may still run.
        backend::stop_containers(&home)?;
    }
    let kept = match kind {
        Some(BackendKind::External) if delete => "; topics on the external cluster stay",
        _ if delete => "; its topics and jobs are gone",
        Some(_) => "; its topics and jobs are kept for the next `streamlings up`",
        None => "",
    };
    print(&match (&client, delete) {
        (None, false) => "No lab is running.\n".to_owned(),
        (None, true) => format!("No lab was running{kept}.\n"),
        (Some(_), _) => format!("The lab has stopped{kept}.\n"),
    })?;
    Ok(Exit::Done)
}

fn confirmed(home: &Home) -> Outcome<bool> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    eprintln!(
        "This deletes every topic, record and job of the lab in {}. Progress and badges stay.",
        home.path().display()
    );
    crate::ui::confirm(&Term::stderr(), "Delete them?", false).map_err(|error| {
        Problem::new(format!("the question got no answer: {error}")).next("--yes answers it")
    })
}

/// Removes the records of every cluster that this home has had, not only of the last one.
fn remove_data(home: &Home, last: Option<BackendKind>) -> Outcome<()> {
    let containers = backend::delete_containers(home);
    if last == Some(BackendKind::Docker) {
        containers?;
    }
    // Without an engine there are none of an earlier lab or of a first start that failed.
    backend::delete_embedded(home)
}

/// Removes the lab's folder, so that the next `up` is a first one.
fn forget(files: &LabFiles) -> Outcome<()> {
    match std::fs::remove_dir_all(files.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(files.path(), &error)),
        _ => Ok(()),
    }
}

fn print_json(value: &impl Serialize) -> Outcome<Exit> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::new(format!("the status can't be written as JSON: {error}")))?;
    print(&format!("{text}\n"))?;
    Ok(Exit::Done)
}

/// Writes a result. A reader that has gone away has seen enough.
fn print(text: &str) -> Outcome<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new(format!("the output can't be written: {error}")))
        }
        _ => Ok(()),
    }
}
