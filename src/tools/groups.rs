//! `kafka-consumer-groups`: groups, their members and offsets; offsets are reset and deleted.

mod describe;
mod reset;

use crate::kafka::{Admin, GroupListing, KafkaError, TopicPartition};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin};
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-consumer-groups",
    about: "List and describe groups, reset and delete their offsets.",
    examples: &[
        "--list",
        "--describe --group map",
        "--describe --group map --members",
        "--reset-offsets --group map --topic rides --to-earliest --dry-run",
        "--reset-offsets --group map --topic rides:0 --to-offset 5 --execute",
        "--delete --group map",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame,
};

static FLAGS: [Flag; 31] = [
    flag("list", Takes::Nothing, "List the groups."),
    flag(
        "describe",
        Takes::Nothing,
        "Offsets and lag of a group, or its --members, or its --state.",
    ),
    flag(
        "reset-offsets",
        Takes::Nothing,
        "Move the committed offsets of a group without members.",
    ),
    flag("delete", Takes::Nothing, "Delete groups without members."),
    flag(
        "delete-offsets",
        Takes::Nothing,
        "Forget a group's offsets of a topic.",
    ),
    flag("group", Takes::Group, "The group; may be repeated."),
    flag("all-groups", Takes::Nothing, "All groups."),
    flag(
        "topic",
        Takes::Topic,
        "The topic, or topic:0,1 for some partitions; may be repeated.",
    ),
    flag(
        "all-topics",
        Takes::Nothing,
        "All topics that the group has offsets of.",
    ),
    flag(
        "offsets",
        Takes::Nothing,
        "Describe offsets and lag (what --describe does by itself).",
    ),
    flag("members", Takes::Nothing, "Describe the members."),
    flag(
        "state",
        Takes::Maybe(&[
            "stable",
            "empty",
            "preparingrebalance",
            "completingrebalance",
            "dead",
        ]),
        "Describe the state; with --list, show it or list only these states.",
    ),
    flag(
        "type",
        Takes::Maybe(&["classic", "consumer"]),
        "With --list, show the type or list only these types.",
    ),
    flag("verbose", Takes::Nothing, "More columns."),
    flag("to-earliest", Takes::Nothing, "Reset to the oldest record."),
    flag("to-latest", Takes::Nothing, "Reset to the end."),
    flag("to-offset", Takes::Number("offset"), "Reset to this offset."),
    flag(
        "shift-by",
        Takes::Number("count"),
        "Move by so many records, back when negative.",
    ),
    flag(
        "to-datetime",
        Takes::Text("2026-01-31T18:00:00.000"),
        "Reset to the first record at or after this time (UTC).",
    ),
    flag(
        "by-duration",
        Takes::Text("PT1H"),
        "Reset to the first record of the last so long.",
    ),
    flag(
        "to-current",
        Takes::Nothing,
        "Keep the committed offsets; the end where there is none.",
    ),
    flag(
        "from-file",
        Takes::Text("file"),
        "Reset to the offsets of a CSV file, as --export prints it.",
    ),
    flag("dry-run", Takes::Nothing, "Only show the new offsets."),
    flag("execute", Takes::Nothing, "Commit the new offsets."),
    flag("export", Takes::Nothing, "Print the new offsets as CSV."),
    flag("timeout", Takes::Number("ms"), "How long to wait for the group."),
    flag(
        "validate-regex",
        Takes::Text("regex"),
        "Is this a regular expression that a subscription may use.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

const ACTIONS: [&str; 6] = [
    "list",
    "describe",
    "delete",
    "reset-offsets",
    "delete-offsets",
    "validate-regex",
];
/// In the order in which Kafka's tool compares them.
const SCENARIOS: [&str; 8] = [
    "to-offset",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "shift-by",
    "from-file",
];

/// Kafka's tool tells errors of the cluster on stdout, and ends with 0.
fn frame(message: &str) -> Framed {
    Framed {
        on_stdout: true,
        text: format!("\nError: Executing consumer group command failed due to {message}\n"),
        exit: 0,
    }
}

/// What went wrong, as the Java client's exception.
fn thrown(error: KafkaError) -> Failure {
    if error.is_timeout() {
        Failure::Kafka(error)
    } else {
        Failure::Error(java::with_class(&error))
    }
}

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    check(args, io)?;
    if let Some(pattern) = args.one("validate-regex")? {
        return validate(pattern, io);
    }
    let admin = admin(&properties::target(args, io)?)?;
    if args.has("list") {
        list(args, &admin, io)
    } else if args.has("describe") {
        describe::run(args, &groups(args, &admin)?, &admin, io)
    } else if args.has("delete") {
        delete(args, &admin, io)
    } else if args.has("reset-offsets") {
        reset::run(args, &groups(args, &admin)?, &admin, io)
    } else {
        delete_offsets(args, &admin, io)
    }
}

fn check(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    if args.count(&ACTIONS) != 1 {
        return Err(Failure::Usage(
            "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex".into(),
        ));
    }
    let grouped = args.has("group") || args.has("all-groups");
    for action in ["describe", "delete"] {
        if args.has(action) && !grouped {
            return Err(Failure::Usage(format!(
                "Option [{action}] takes one of these options: [group], [all-groups]"
            )));
        }
    }
    if args.has("describe") && args.count(&["members", "offsets", "state"]) > 1 {
        return Err(Failure::Usage(
            "Option [describe] takes at most one of these options: [members], [offsets], [state]".into(),
        ));
    }
    if args.has("describe") && args.one("state")?.is_some() {
        return Err(Failure::Usage(
            "Option [describe] does not take a value for [state]".into(),
        ));
    }
    if args.has("delete") && args.has("topic") {
        return Err(Failure::Usage(
            "The consumer does not support topic-specific offset deletion from a consumer group.".into(),
        ));
    }
    if args.has("delete-offsets") && !(args.has("group") && args.has("topic")) {
        return Err(Failure::Usage(
            "Option [delete-offsets] takes the following options: [group], [topic]".into(),
        ));
    }
    if args.has("reset-offsets") {
        check_reset(args, grouped, io)?;
    }
    args.forbid("group", &["all-groups"])?;
    args.forbid("group", &["list"])?;
    args.forbid("topic", &["list", "describe"])
}

fn check_reset(args: &Args, grouped: bool, io: &mut ToolIo<'_>) -> Ran {
    if args.has("dry-run") && args.has("execute") {
        return Err(Failure::Usage(
            "Option [reset-offsets] only accepts one of [execute] and [dry-run]".into(),
        ));
    }
    if !args.has("dry-run") && !args.has("execute") {
        writeln!(
            io.stderr,
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting."
        )?;
    }
    if !grouped {
        return Err(Failure::Usage(
            "Option [reset-offsets] takes one of these options: [group], [all-groups]".into(),
        ));
    }
    for scenario in SCENARIOS {
        args.forbid(scenario, &SCENARIOS)?;
    }
    Ok(())
}

fn validate(pattern: &str, io: &mut ToolIo<'_>) -> Ran {
    // Kafka takes RE2's syntax, which this crate follows.
    match regex::Regex::new(pattern) {
        Ok(_) => writeln!(io.stdout, "The regular expression `{pattern}` is valid.")?,
        Err(_) => writeln!(io.stdout, "The regular expression `{pattern}` is invalid.")?,
    }
    Ok(())
}

/// The groups that the command line names.
fn groups(args: &Args, admin: &Admin) -> Result<Vec<String>, Failure> {
    if args.has("all-groups") {
        return Ok(admin
            .groups()
            .map_err(thrown)?
            .into_iter()
            .map(|group| group.name)
            .collect());
    }
    let mut names: Vec<String> = args.all("group").into_iter().map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

const STATES: [&str; 5] = [
    "dead",
    "preparingrebalance",
    "stable",
    "empty",
    "completingrebalance",
];

fn list(args: &Args, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let words = |name: &str| -> Result<Vec<String>, Failure> {
        let text = args.one(name)?.unwrap_or_default().to_ascii_lowercase();
        Ok(text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect())
    };
    let (states, types) = (words("state")?, words("type")?);
    let unknown_state = |state: &String| {
        let state = state.replace('_', "");
        !STATES.contains(&state.as_str()) && !["assigning", "reconciling"].contains(&state.as_str())
    };
    if states.iter().any(unknown_state) {
        return Err(Failure::Usage(format!(
            "Invalid state list '{}'. Valid states are: Dead, Assigning, PreparingRebalance, Stable, Empty, CompletingRebalance, Reconciling",
            args.one("state")?.unwrap_or_default()
        )));
    }
    if types
        .iter()
        .any(|kind| !["classic", "consumer"].contains(&kind.as_str()))
    {
        return Err(Failure::Usage(format!(
            "Invalid types list '{}'. Valid types are: Classic, Consumer",
            args.one("type")?.unwrap_or_default()
        )));
    }
    let groups: Vec<GroupListing> = admin
        .groups()
        .map_err(thrown)?
        .into_iter()
        .filter(|group| states.is_empty() || states.contains(&group.state.name().to_ascii_lowercase()))
        .filter(|group| types.is_empty() || types.contains(&group.kind.to_ascii_lowercase()))
        .collect();
    let (show_type, show_state) = (args.has("type"), args.has("state"));
    if !show_type && !show_state {
        for group in groups {
            writeln!(io.stdout, "{}", group.name)?;
        }
        return Ok(());
    }
    let width = groups
        .iter()
        .map(|group| group.name.len())
        .max()
        .unwrap_or(0)
        .max(15)
        + 10;
    let mut line = |name: &str, kind: &str, state: &str| -> std::io::Result<()> {
        let kind = if show_type {
            format!(" {kind:<20}")
        } else {
            String::new()
        };
        let state = if show_state {
            format!(" {state:<20}")
        } else {
            String::new()
        };
        writeln!(io.stdout, "{name:<width$}{kind}{state}")
    };
    line("GROUP", "TYPE", "STATE")?;
    for group in &groups {
        line(&group.name, &group.kind, group.state.name())?;
    }
    Ok(())
}

fn delete(args: &Args, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let names = if args.has("all-groups") {
        groups(args, admin)?
    } else {
        args.all("group").into_iter().map(str::to_owned).collect()
    };
    let quoted = |names: &[&String]| {
        names
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let results: Vec<(&String, Result<(), KafkaError>)> = names
        .iter()
        .map(|name| (name, admin.delete_group(name)))
        .collect();
    let deleted: Vec<&String> = results
        .iter()
        .filter(|(_, result)| result.is_ok())
        .map(|(name, _)| *name)
        .collect();
    if deleted.len() == names.len() {
        writeln!(
            io.stdout,
            "Deletion of requested consumer groups ({}) was successful.",
            quoted(&deleted)
        )?;
        return Ok(());
    }
    writeln!(io.stdout, "\nError: Deletion of some consumer groups failed:")?;
    for (name, result) in &results {
        if let Err(error) = result {
            writeln!(
                io.stdout,
                "* Group '{name}' could not be deleted due to: {}",
                java::with_class(error)
            )?;
        }
    }
    if !deleted.is_empty() {
        writeln!(
            io.stdout,
            "\nThese consumer groups were deleted successfully: {}",
            quoted(&deleted)
        )?;
    }
    Ok(())
}

/// The partitions that `--topic` names, each `topic` or `topic:0,1`.
fn places(args: &Args, admin: &Admin) -> Result<Vec<TopicPartition>, Failure> {
    let mut places = Vec::new();
    let mut missing = Vec::new();
    for word in args.all("topic") {
        let (topic, numbers) = match word.split_once(':') {
            Some((topic, numbers)) => (topic, Some(numbers)),
            None => (word, None),
        };
        let found = admin.topic(topic).map_err(thrown)?;
        let Some(numbers) = numbers else {
            let Some(found) = found else {
                return Err(Failure::Error(
                    "This server does not host this topic-partition.".into(),
                ));
            };
            places.extend(
                found
                    .partitions
                    .iter()
                    .map(|partition| (topic.to_owned(), partition.id)),
            );
            continue;
        };
        for number in numbers.split(',') {
            let id: i32 = number.trim().parse().map_err(|_| {
                Failure::Usage(format!(
                    "Invalid partition '{number}' specified in topic arg '{word}''"
                ))
            })?;
            let there = found
                .as_ref()
                .is_some_and(|topic| topic.partitions.iter().any(|partition| partition.id == id));
            if there {
                places.push((topic.to_owned(), id));
            } else {
                missing.push(format!("{topic}-{id}"));
            }
        }
    }
    if !missing.is_empty() {
        return Err(Failure::Error(format!(
            "The partitions \"{}\" do not exist",
            missing.join(", ")
        )));
    }
    places.sort();
    places.dedup();
    Ok(places)
}

fn delete_offsets(args: &Args, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let group = args.one("group")?.unwrap_or_default();
    let places = places(args, admin)?;
    let (top, results) = match admin.delete_committed(group, &places) {
        Ok(results) => (
            None,
            results
                .into_iter()
                .map(|(place, result)| (place, result.err()))
                .collect(),
        ),
        Err(error) if error.is_timeout() => return Err(error.into()),
        Err(error) => {
            let each: Vec<(TopicPartition, Option<KafkaError>)> = places
                .into_iter()
                .map(|place| (place, Some(error.clone())))
                .collect();
            (Some(error), each)
        }
    };
    let partial = results.iter().any(|(_, error)| error.is_some());
    match top {
        Some(error) => writeln!(io.stdout, "\nError: {}", java::message(&error))?,
        None if partial => writeln!(
            io.stdout,
            "\nError: Encountered some partition-level error, see the follow-up details."
        )?,
        None => writeln!(
            io.stdout,
            "Request succeeded for deleting offsets from group {group}."
        )?,
    }
    let width = results
        .iter()
        .map(|((topic, _), _)| topic.len())
        .max()
        .unwrap_or(0)
        .max(15);
    write!(
        io.stdout,
        "\n{:<width$} {:<10} {:<15}",
        "TOPIC", "PARTITION", "STATUS"
    )?;
    for ((topic, partition), error) in results {
        let status = error.map_or_else(
            || "Successful".to_owned(),
            |error| format!("Error: {}", java::with_class(&error)),
        );
        write!(io.stdout, "\n{topic:<width$} {partition:<10} {status:<15}")?;
    }
    writeln!(io.stdout)?;
    Ok(())
}
