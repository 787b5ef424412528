//! `broker`, `clock`, `fault`: what a lab lets one do to its cluster, on the command line, at the prompt, in a course.

use std::io::Write;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};

use super::LabClient;
use super::status::{BrokerVerb, FaultAction, FaultRule, LabStatus};
use crate::kafka;
use crate::problem::{Outcome, Problem};

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The cluster's brokers: list, stop, kill, start
    #[command(subcommand)]
    Broker(BrokerCommand),
    /// The cluster's clock: a week passes in a second (embedded lab)
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Requests that are delayed, refused or dropped on purpose (embedded lab)
    #[command(subcommand)]
    Fault(FaultCommand),
}

/// What is done to a broker.
#[derive(Debug, Subcommand)]
pub enum BrokerCommand {
    /// The brokers, and which are up
    List {
        /// A JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// End a broker in order: it hands over the partitions that it leads
    Stop {
        /// Its id
        id: i32,
    },
    /// End a broker without warning, as a power cut would
    Kill {
        /// Its id
        id: i32,
    },
    /// Start a broker that was stopped or killed
    Start {
        /// Its id
        id: i32,
    },
    /// Let a broker fall behind: its followers fetch nothing (embedded lab)
    PauseReplication {
        /// Its id
        id: i32,
    },
    /// Let its followers fetch again
    ResumeReplication {
        /// Its id
        id: i32,
    },
}

/// What is done to the clock.
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Move it forward: 7d, 36h, 90s
    Advance {
        /// How far
        time: String,
    },
}

/// What is done about faults.
#[derive(Debug, Subcommand)]
pub enum FaultCommand {
    /// Put one in force
    Add(FaultArgs),
    /// Those in force
    List {
        /// A JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// End them all
    Clear,
}

/// One fault. Without --api and --broker it is for every request.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("action").required(true))]
pub struct FaultArgs {
    /// Only for requests of this kind: Produce, Fetch, Metadata …
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// Only for requests to this broker
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Only for so many requests
    #[arg(long, value_name = "N")]
    times: Option<u32>,
    /// They wait so long: 200ms, 5s
    #[arg(long, value_name = "TIME", group = "action")]
    delay: Option<String>,
    /// They are answered with this error: NOT_LEADER_OR_FOLLOWER, or its number
    #[arg(long, value_name = "ERROR", group = "action")]
    error: Option<String>,
    /// Their connection is closed, and they are not handled
    #[arg(long, group = "action")]
    drop: bool,
    /// They are handled, and the connection is closed before the answer
    #[arg(long, group = "action")]
    drop_answer: bool,
}

#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// Runs a line of a prompt or of a course, whose first word is `broker`, `clock` or `fault`.
pub fn run_line(words: &[String], lab: &LabClient, out: &mut dyn Write) -> Outcome<()> {
    match Line::try_parse_from(words) {
        Ok(line) => run(line.command, lab, out),
        Err(error) if !error.use_stderr() => say(out, &error.to_string()),
        Err(error) => Err(Problem::of_line(&error, &words[0])),
    }
}

/// Runs one of them.
pub fn run(command: Command, lab: &LabClient, out: &mut dyn Write) -> Outcome<()> {
    match command {
        Command::Broker(command) => broker(command, lab, out),
        Command::Clock(ClockCommand::Advance { time }) => {
            lab.advance_clock(length(&time)?)?;
            say(out, &format!("The cluster's clock is {time} further on.\n"))
        }
        Command::Fault(command) => fault(command, lab, out),
    }
}

fn say(out: &mut dyn Write, text: &str) -> Outcome<()> {
    match out
        .write_all(crate::ui::visible(text).as_bytes())
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Problem::new(format!("the output can't be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn say_json(out: &mut dyn Write, value: &impl serde::Serialize) -> Outcome<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::new(format!("this can't be written as JSON: {error}")))?;
    say(out, &format!("{text}\n"))
}

fn broker(command: BrokerCommand, lab: &LabClient, out: &mut dyn Write) -> Outcome<()> {
    let (id, verb) = match command {
        BrokerCommand::List { json } => {
            let status = lab.status()?;
            return if json {
                say_json(out, &status.brokers)
            } else {
                say(out, &listed(&status))
            };
        }
        BrokerCommand::Stop { id } => (id, BrokerVerb::Stop),
        BrokerCommand::Kill { id } => (id, BrokerVerb::Kill),
        BrokerCommand::Start { id } => (id, BrokerVerb::Start),
        BrokerCommand::PauseReplication { id } => (id, BrokerVerb::PauseReplication),
        BrokerCommand::ResumeReplication { id } => (id, BrokerVerb::ResumeReplication),
    };
    lab.broker(id, verb)?;
    let text = match verb {
        BrokerVerb::Stop => "has stopped in order: what it led is led by others.",
        BrokerVerb::Kill => "is gone without a word: the others notice when its session times out (9 s).",
        BrokerVerb::Start => "is up.",
        BrokerVerb::PauseReplication => "copies nothing from the leaders now: it falls behind.",
        BrokerVerb::ResumeReplication => "copies from the leaders again.",
    };
    say(out, &format!("Broker {id} {text}\n"))
}

/// A line a broker.
fn listed(status: &LabStatus) -> String {
    let line = |broker: &super::BrokerStatus| {
        let state = if broker.up { "up" } else { "down" };
        format!("Broker {}  {}:{}  {state}\n", broker.id, broker.host, broker.port)
    };
    status.brokers.iter().map(line).collect()
}

/// `7d`, `36h`, `200ms`; a day has 24 hours.
fn length(text: &str) -> Outcome<Duration> {
    let usage =
        || Problem::new(format!("'{text}' is no length of time")).next("for example 7d, 36h, 90s, 200ms");
    let span: jiff::Span = text.parse().map_err(|_| usage())?;
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .ok()
        .and_then(|length| Duration::try_from(length).ok())
        .ok_or_else(usage)
}

fn fault(command: FaultCommand, lab: &LabClient, out: &mut dyn Write) -> Outcome<()> {
    match command {
        FaultCommand::Add(args) => {
            let rule = rule(&args)?;
            lab.add_fault(&rule)?;
            say(out, &format!("In force: {rule}\n"))
        }
        FaultCommand::List { json } => {
            let rules = lab.faults()?;
            if json {
                return say_json(out, &rules);
            }
            if rules.is_empty() {
                return say(out, "No fault is in force.\n");
            }
            rules.iter().try_for_each(|rule| say(out, &format!("{rule}\n")))
        }
        FaultCommand::Clear => {
            lab.clear_faults()?;
            say(out, "No fault is in force any more.\n")
        }
    }
}

fn rule(args: &FaultArgs) -> Outcome<FaultRule> {
    let action = if let Some(time) = &args.delay {
        FaultAction::DelayMs(u64::try_from(length(time)?.as_millis()).unwrap_or(u64::MAX))
    } else if let Some(error) = &args.error {
        FaultAction::Error(code(error)?)
    } else if args.drop_answer {
        FaultAction::DropAnswer
    } else {
        FaultAction::Drop
    };
    let rule = FaultRule {
        api: args.api.clone(),
        broker: args.broker,
        times: args.times,
        action,
    };
    rule.api_key()?;
    Ok(rule)
}

/// An error of Kafka's protocol, by its number or its name.
fn code(text: &str) -> Outcome<i16> {
    text.parse()
        .ok()
        .or_else(|| kafka::error_code(&text.to_ascii_uppercase()))
        .ok_or_else(|| {
            Problem::new(format!("Kafka has no error '{text}'"))
                .next("for example NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<FaultRule, String> {
        let words: Vec<&str> = line.split(' ').collect();
        match Line::try_parse_from(words) {
            Ok(Line {
                command: Command::Fault(FaultCommand::Add(args)),
            }) => rule(&args).map_err(|problem| problem.what),
            Ok(_) => Err("another command".into()),
            Err(error) => Err(error.kind().to_string()),
        }
    }

    #[test]
    fn a_fault_is_read_from_its_words() {
        let rule =
            parsed("fault add --api produce --broker 2 --times 3 --error not_leader_or_follower").unwrap();
        assert_eq!(rule.action, FaultAction::Error(6));
        assert_eq!(rule.api_key().unwrap(), Some(0));
        assert_eq!(
            rule.to_string(),
            "the next 3 requests produce to broker 2 are answered with error 6"
        );
        assert_eq!(
            parsed("fault add --times 1 --drop-answer").unwrap().to_string(),
            "the next request is handled, and the answer is dropped"
        );
        assert_eq!(
            parsed("fault add --delay 5s").unwrap().action,
            FaultAction::DelayMs(5000)
        );
        assert!(parsed("fault add").is_err());
        assert!(parsed("fault add --drop --delay 5s").is_err());
        assert!(parsed("fault add --drop --api Produse").is_err());
        assert_eq!(
            parsed("fault add --error NONSENSE").unwrap_err(),
            "Kafka has no error 'NONSENSE'"
        );
    }

    #[test]
    fn a_length_of_time_has_units() {
        assert_eq!(length("7d").unwrap(), Duration::from_secs(7 * 86_400));
        assert!(length("soon").is_err());
    }
}
