//! `kafka-get-offsets`: where partitions begin and end, and which offset belongs to a time.

use crate::kafka::{At, Topic};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin};
use super::names::{Pattern, did_you_mean};
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-get-offsets",
    about: "Print the offsets of partitions: topic:partition:offset.",
    examples: &[
        "--topic rides",
        "--topic rides --time earliest",
        "--topic-partitions rides:0,orders",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: |message| Framed::plain(&format!("Error occurred: {message}")),
};

static FLAGS: [Flag; 9] = [
    flag(
        "topic",
        Takes::Topic,
        "The topic, or a regular expression; else all topics.",
    ),
    flag("partitions", Takes::Text("0,1"), "Only these partitions."),
    flag(
        "topic-partitions",
        Takes::Text("topic:0,topic:1-3"),
        "Topics and ranges of partitions, in place of the two.",
    ),
    flag(
        "time",
        Takes::OneOf(&["latest", "earliest", "max-timestamp"]),
        "Which: -1 or latest (the default), -2 or earliest, -3 or max-timestamp, or ms since 1970: the first record at or after it.",
    ),
    flag(
        "exclude-internal-topics",
        Takes::Nothing,
        "Without Kafka's own topics.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    if args.has("topic-partitions") && (args.has("topic") || args.has("partitions")) {
        return Err(Failure::Error(
            "--topic-partitions cannot be used with --topic or --partitions".into(),
        ));
    }
    let at = place(args.one("time")?.unwrap_or("latest"))?;
    let rules = rules(args)?;
    let admin = admin(&properties::target(args, io)?)?;
    let all = admin.topics()?;
    let mut places: Vec<(String, i32)> = all
        .iter()
        .filter(|topic| !(args.has("exclude-internal-topics") && topic.internal))
        .flat_map(|topic| chosen(topic, &rules))
        .collect();
    // Kafka's tool sorts by the text `topic-partition`.
    places.sort_by_key(|(topic, partition)| format!("{topic}-{partition}"));
    if places.is_empty() {
        if let Some(wanted) = args.one("topic")?
            && let Some(question) = did_you_mean(wanted, all.iter().map(|topic| topic.name.as_str()))
        {
            io.hint(&question)?;
        }
        return Err(Failure::Error(
            "Could not match any topic-partitions with the specified filters".into(),
        ));
    }
    let mut offsets = admin.offsets_at(&places, at)?;
    offsets.sort_by_key(|((topic, partition), _)| format!("{topic}-{partition}"));
    for ((topic, partition), offset) in offsets {
        match offset {
            Ok(offset) if offset < 0 => {}
            Ok(offset) => writeln!(io.stdout, "{topic}:{partition}:{offset}")?,
            Err(error) => writeln!(
                io.stderr,
                "Skip getting offsets for topic-partition {topic}-{partition} due to error: {}",
                java::with_class(&error)
            )?,
        }
    }
    Ok(())
}

fn place(time: &str) -> Result<At, Failure> {
    match time {
        "latest" | "-1" => Ok(At::Latest),
        "earliest" | "-2" => Ok(At::Earliest),
        "max-timestamp" | "-3" => Ok(At::MaxTimestamp),
        "earliest-local" | "-4" | "latest-tiered" | "-5" | "earliest-pending-upload" | "-6" => Err(Failure::Error(
            format!("{time} is about tiered storage, which the lab has not"),
        )),
        _ => time.parse().map(At::Timestamp).map_err(|_| {
            Failure::Error(format!(
                "Malformed time argument {time}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
            ))
        }),
    }
}

/// Topics by pattern, and their partitions.
struct Rule {
    topics: Pattern,
    partitions: Vec<std::ops::Range<i32>>,
}

fn rules(args: &Args) -> Result<Vec<Rule>, Failure> {
    if let Some(list) = args.one("topic-partitions")? {
        return list.split(',').map(rule).collect();
    }
    let partitions = match args.one("partitions")? {
        None | Some("") => every(),
        Some(list) => list
            .split(',')
            .map(|id| id.parse().map(|id: i32| id..id.saturating_add(1)))
            .collect::<Result<_, _>>()
            .map_err(|_| {
                Failure::Error(format!(
                    "--partitions expects a comma separated list of numeric partition ids, but received: {list}"
                ))
            })?,
    };
    let topics = Pattern::new(args.one("topic")?.unwrap_or(".*"))?;
    Ok(vec![Rule { topics, partitions }])
}

/// All partitions.
fn every() -> Vec<std::ops::Range<i32>> {
    std::iter::once(0..i32::MAX).collect()
}

/// `topic`, `topic:3`, `topic:0-3` (without 3), `topic:2-`, `topic:-2`, each also without the topic.
fn rule(text: &str) -> Result<Rule, Failure> {
    let (topic, range) = text.split_once(':').unwrap_or((text, ""));
    let invalid = || Failure::Error(format!("Invalid rule specification: {text}"));
    let number = |text: &str, default: i32| -> Result<i32, Failure> {
        if text.is_empty() {
            Ok(default)
        } else {
            text.parse().map_err(|_| invalid())
        }
    };
    let partitions = match range.split_once('-') {
        None if range.is_empty() => every(),
        None => {
            let one = number(range, 0)?;
            std::iter::once(one..one.saturating_add(1)).collect()
        }
        Some((from, to)) => std::iter::once(number(from, 0)?..number(to, i32::MAX)?).collect(),
    };
    let topics = Pattern::new(if topic.is_empty() { ".*" } else { topic })?;
    Ok(Rule { topics, partitions })
}

fn chosen(topic: &Topic, rules: &[Rule]) -> Vec<(String, i32)> {
    topic
        .partitions
        .iter()
        .map(|partition| partition.id)
        .filter(|id| {
            rules.iter().any(|rule| {
                rule.topics.fits(&topic.name) && rule.partitions.iter().any(|range| range.contains(id))
            })
        })
        .map(|id| (topic.name.clone(), id))
        .collect()
}
