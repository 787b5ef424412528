//! `sql` and `job`, on the command line and at the guided prompt.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use streamlings_stream::Executed;

use super::status::{JobStatus, Refusal, RefusalKind, StatementResult, Submit};
use super::{display, manager, select, shared};
use crate::cancel::Cancel;
use crate::home::Home;
use crate::lab::LabClient;
use crate::problem::{Exit, Outcome, Place, Problem};

/// The largest SQL file that is read.
const MAX_SQL_BYTES: u64 = 1024 * 1024;

/// The commands of streaming jobs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run Flink SQL: INSERT INTO starts a job in the lab, SELECT prints its changelog until Ctrl-C
    Sql(SqlArgs),
    /// Streaming jobs: list, show, logs, stop
    #[command(subcommand)]
    Job(JobCommand),
}

/// What to run.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct SqlArgs {
    /// A file of statements, each ended by ;
    file: Option<PathBuf>,
    /// Statements, after those of the file
    #[arg(short, long, value_name = "SQL")]
    execute: Option<String>,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// All jobs of the lab, also those that have ended
    List {
        /// A JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// The inside of a job: watermarks, open windows, results, late events
    Show {
        /// Its number or name
        job: String,
        /// A JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// What a job has reported
    Logs {
        /// Its number or name
        job: String,
        /// A JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// End a job for good
    Stop {
        /// Its number or name
        job: String,
        /// A JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// End a job without a last checkpoint (not there yet: use stop)
    #[command(hide = true)]
    Cancel {
        /// Its number or name
        job: String,
    },
    /// Keep a job's state under a name (not there yet)
    #[command(hide = true)]
    Savepoint {
        /// Its number or name
        job: String,
    },
    /// Start a job from a savepoint (not there yet)
    #[command(hide = true)]
    Restore {
        /// Its number or name
        job: String,
    },
}

/// Runs one of them from the command line.
pub fn run(command: Command) -> Outcome<Exit> {
    let lab = || LabClient::require(&Home::find()?);
    let cancel = Cancel::on_interrupt();
    run_in(
        command,
        &lab,
        Path::new(""),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
        &cancel,
    )
}

/// A line of the guided prompt.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// Runs a line of the guided prompt, whose first word is `sql` or `job`. Files are looked for in `folder`.
pub fn run_line(
    words: &[String],
    lab: &LabClient,
    folder: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
    cancel: &Cancel,
) -> Outcome<Exit> {
    match Line::try_parse_from(words) {
        Ok(line) => run_in(line.command, &|| Ok(lab.clone()), folder, out, err, cancel),
        Err(error) if !error.use_stderr() => {
            print(out, &error.to_string())?;
            Ok(Exit::Done)
        }
        Err(error) => Err(Problem::of_line(&error, &words[0])),
    }
}

type Lab<'a> = &'a dyn Fn() -> Outcome<LabClient>;

fn run_in(
    command: Command,
    lab: Lab<'_>,
    folder: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
    cancel: &Cancel,
) -> Outcome<Exit> {
    match command {
        Command::Sql(args) => sql(&args, lab, folder, out, err, cancel),
        Command::Job(command) => job(command, lab, out),
    }
}

fn print(out: &mut dyn Write, text: &str) -> Outcome<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new(format!("the output can't be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// The refusal as a problem of the file that was submitted.
pub fn problem_of(refusal: Refusal, file: Option<&Path>) -> Problem {
    let exit = match refusal.kind {
        RefusalKind::Sql | RefusalKind::UnknownJob => Exit::Usage,
        RefusalKind::Cluster | RefusalKind::Storage => Exit::NoLab,
    };
    let mut problem = Problem::new(refusal.message).exit(exit);
    problem.next = refusal.help;
    if refusal.line.is_some() || refusal.kind == RefusalKind::Sql {
        problem.place = file.map(|file| Place {
            file: file.to_owned(),
            line: refusal.line,
            column: refusal.column,
        });
    }
    problem
}

/// The text to run, and how its origin is called in messages.
fn read_sql(args: &SqlArgs, folder: &Path) -> Outcome<(String, PathBuf)> {
    let typed = args.execute.clone().unwrap_or_default();
    let Some(file) = &args.file else {
        return Ok((typed, PathBuf::from("-e")));
    };
    let path = folder.join(file);
    let unread = |why: String| {
        Problem::new(format!("{} can't be read: {why}", file.display()))
            .next(format!("the file is looked for in {}", place_of(folder)))
    };
    let length = std::fs::metadata(&path)
        .map_err(|error| unread(reason(&error)))?
        .len();
    if length > MAX_SQL_BYTES {
        return Err(unread("it is larger than 1 MiB".into()));
    }
    let mut text = std::fs::read_to_string(&path).map_err(|error| unread(reason(&error)))?;
    if !typed.is_empty() {
        text.push_str("\n;\n");
        text.push_str(&typed);
    }
    Ok((text, file.clone()))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::InvalidData => "it is no UTF-8 text".into(),
        _ => error.to_string(),
    }
}

fn place_of(folder: &Path) -> String {
    if folder.as_os_str().is_empty() {
        "the current folder".into()
    } else {
        folder.display().to_string()
    }
}

fn sql(
    args: &SqlArgs,
    lab: Lab<'_>,
    folder: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
    cancel: &Cancel,
) -> Outcome<Exit> {
    let (text, file) = read_sql(args, folder)?;
    let is_left = |line: &str| line.contains("___") && !line.trim_start().starts_with("--");
    if let Some(line) = text.lines().position(is_left) {
        return Err(Problem::new("a place is still to be completed: ___")
            .at(file, Some(line + 1))
            .next("write your part in the place of ___, then run it again"));
    }
    // Mistakes in the text are told without a lab.
    let executed =
        manager::plans(&text).map_err(|error| problem_of(manager::sql_refusal(&error), Some(&file)))?;
    if executed.is_empty() {
        return Err(Problem::new("there is no statement in it")
            .at(file, None)
            .next("write SELECT … or INSERT INTO …"));
    }
    let has_job = executed
        .iter()
        .any(|statement| matches!(statement, Executed::Job(_)));
    let mut exit = Exit::Done;
    let mut jobs = Vec::new();
    if has_job {
        let submit = Submit {
            sql: text,
            file: file.display().to_string(),
        };
        let submitted = lab()?
            .submit(&submit)?
            .map_err(|refusal| problem_of(refusal, Some(&file)))?;
        jobs.extend(
            submitted
                .statements
                .into_iter()
                .filter_map(|statement| match statement {
                    StatementResult::Job { id, .. } => Some(id),
                    _ => None,
                }),
        );
    }
    let mut jobs = jobs.into_iter();
    let only_tables = executed
        .iter()
        .all(|statement| matches!(statement, Executed::Done));
    for statement in executed {
        match statement {
            Executed::Job(_) => {
                let Some(id) = jobs.next() else { continue };
                let status = lab()?
                    .job(&id.to_string())?
                    .map_err(|refusal| problem_of(refusal, None))?;
                print(out, &display::started(&status))?;
                if status.error.is_some() {
                    exit = Exit::NotYet;
                }
            }
            Executed::Query(plan) => {
                let lab = lab()?;
                manager::check_topics(&plan, lab.target())
                    .map_err(|refusal| problem_of(refusal, Some(&file)))?;
                if select::select(&plan, lab.target(), out, err, cancel)? != Exit::Done {
                    exit = Exit::NotYet;
                }
            }
            Executed::Plan(text) => print(out, &format!("{text}\n"))?,
            Executed::Tables(tables) => print(out, &display::tables(&tables))?,
            Executed::Columns(columns) => print(out, &display::columns(&columns))?,
            Executed::Done => {}
        }
    }
    if only_tables {
        // A note, no result: whoever reads stdout gets nothing.
        drop(writeln!(
            err,
            "The statements are right, and nothing runs: tables are known to this file alone.\n\
             Add an INSERT INTO, which starts a job, or a SELECT, which prints here."
        ));
    }
    Ok(exit)
}

fn job(command: JobCommand, lab: Lab<'_>, out: &mut dyn Write) -> Outcome<Exit> {
    let refused = |refusal| problem_of(refusal, None);
    match command {
        JobCommand::List { json } => {
            let jobs = lab()?.jobs()?;
            if json {
                print_json(out, &jobs)
            } else {
                print(out, &display::list(&jobs))
            }?;
        }
        JobCommand::Show { job, json } => {
            let status = lab()?.job(&job)?.map_err(refused)?;
            show(out, &status, json)?;
        }
        JobCommand::Logs { job, json } => {
            let lines = lab()?.job_logs(&job)?.map_err(refused)?;
            if json {
                print_json(out, &lines)
            } else {
                print(out, &display::logs(&lines))
            }?;
        }
        JobCommand::Stop { job, json } => {
            let status = lab()?.stop_job(&job)?.map_err(refused)?;
            if json {
                print_json(out, &status)?;
            } else {
                print(
                    out,
                    &format!(
                        "Job {} {} is {}.\n",
                        status.id,
                        crate::ui::visible(&status.name),
                        status.state.word()
                    ),
                )?;
            }
        }
        JobCommand::Cancel { job } => {
            return Err(Problem::new("job cancel is not there yet").next(format!("job stop {job}")));
        }
        JobCommand::Savepoint { .. } | JobCommand::Restore { .. } => {
            return Err(Problem::new("savepoints are not there yet")
                .next("a job goes on from its last checkpoint when the lab comes back: streamlings down, streamlings up"));
        }
    }
    Ok(Exit::Done)
}

fn show(out: &mut dyn Write, status: &JobStatus, json: bool) -> Outcome<()> {
    if json {
        return print_json(out, status);
    }
    print(out, &display::show(status, shared::now_ms()))
}

fn print_json(out: &mut dyn Write, value: &impl Serialize) -> Outcome<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::new(format!("the answer can't be written as JSON: {error}")))?;
    print(out, &format!("{text}\n"))
}
