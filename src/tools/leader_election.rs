//! `kafka-leader-election`: the preferred replica leads again, or one that is not in sync.

use rdkafka::error::RDKafkaErrorCode;
use serde::Deserialize;

use crate::kafka::{KafkaError, TopicPartition};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin};
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-leader-election",
    about: "Elect leaders: the preferred replica, or one that is not in sync (unclean).",
    examples: &[
        "--election-type preferred --all-topic-partitions",
        "--election-type unclean --topic rides --partition 0",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

static FLAGS: [Flag; 10] = [
    flag(
        "election-type",
        Takes::OneOf(&["preferred", "unclean"]),
        "Preferred: the first of the replicas, if it is in sync. Unclean: any replica, if no leader is left.",
    ),
    flag("topic", Takes::Topic, "The topic, with --partition."),
    flag("partition", Takes::Number("number"), "Its partition."),
    flag(
        "all-topic-partitions",
        Takes::Nothing,
        "Every partition where an election makes a difference.",
    ),
    flag(
        "path-to-json-file",
        Takes::Text("file"),
        "A file {\"partitions\": [{\"topic\": \"rides\", \"partition\": 0}]}.",
    ),
    flag(
        "admin.config",
        Takes::Text("file"),
        "The old name of --command-config.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

#[derive(Deserialize)]
struct Entry {
    topic: String,
    partition: i32,
}

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    let Some(word) = args.one("election-type")? else {
        return Err(Failure::Error("Missing required option(s): election-type".into()));
    };
    let kind = word.to_ascii_uppercase();
    if !["PREFERRED", "UNCLEAN"].contains(&kind.as_str()) {
        return Err(Failure::Error(format!(
            "Cannot parse argument '{word}' of option election-type"
        )));
    }
    let places = places(args, io)?;
    let admin = admin(&properties::target(args, io)?)?;
    let results = admin.elect_leaders(kind == "UNCLEAN", places.as_deref())?;
    let (mut elected, mut same, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for ((topic, partition), result) in results {
        let place = format!("{topic}-{partition}");
        match result {
            Ok(()) => elected.push(place),
            Err(error) if error.code == RDKafkaErrorCode::ElectionNotNeeded => same.push(place),
            Err(error) => failed.push((place, error)),
        }
    }
    if !elected.is_empty() {
        writeln!(
            io.stdout,
            "Successfully completed leader election ({kind}) for partitions {}",
            elected.join(", ")
        )?;
    }
    if !same.is_empty() {
        writeln!(
            io.stdout,
            "Valid replica already elected for partitions {}",
            same.join(", ")
        )?;
    }
    refused(&kind, &failed, io)
}

fn refused(kind: &str, failed: &[(String, KafkaError)], io: &mut ToolIo<'_>) -> Ran {
    for (place, error) in failed {
        writeln!(
            io.stdout,
            "Error completing leader election ({kind}) for partition: {place}: {}",
            java::with_class(error)
        )?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Error(format!(
        "{} replica(s) could not be elected",
        failed.len()
    )))
}

/// The partitions that are named; `None`: all.
fn places(args: &Args, io: &ToolIo<'_>) -> Result<Option<Vec<TopicPartition>>, Failure> {
    let ways = ["topic", "all-topic-partitions", "path-to-json-file"];
    if args.count(&ways) != 1 {
        return Err(Failure::Error(
            "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file"
                .into(),
        ));
    }
    if args.has("partition") && !args.has("topic") {
        return Err(Failure::Error(
            "Option partition is only allowed if topic is used".into(),
        ));
    }
    if let Some(path) = args.one("path-to-json-file")? {
        let entries: Vec<Entry> = io.files.read_partitions(path)?;
        let places = entries.into_iter().map(|entry| (entry.topic, entry.partition));
        return Ok(Some(places.collect()));
    }
    let Some(topic) = args.one("topic")? else {
        return Ok(None);
    };
    let partition = args
        .number("partition")?
        .ok_or_else(|| Failure::Error("Missing required option(s): partition".into()))?;
    Ok(Some(vec![(topic.to_owned(), partition)]))
}
