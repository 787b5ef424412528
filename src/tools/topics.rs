//! `kafka-topics`: topics are made, listed, described, grown, deleted.

use std::collections::BTreeMap;

use crate::kafka::{Admin, ConfigEntry, ConfigSource, NewTopic, Partition, Resource, Topic};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin};
use super::names::{Pattern, did_you_mean};
use super::{Framed, Tool, ToolIo, configs, properties};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-topics",
    about: "Create, list, describe, grow and delete topics.",
    examples: &[
        "--create --topic rides --partitions 3",
        "--list",
        "--describe --topic rides",
        "--alter --topic rides --partitions 6",
        "--delete --topic rides",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: |message| Framed {
        on_stdout: true,
        text: format!("Error while executing topic command : {message}\n"),
        exit: 1,
    },
};

static FLAGS: [Flag; 24] = [
    flag("create", Takes::Nothing, "Create a topic."),
    flag("list", Takes::Nothing, "List the topics."),
    flag(
        "describe",
        Takes::Nothing,
        "Partitions, leaders, replicas and configuration of topics.",
    ),
    flag(
        "alter",
        Takes::Nothing,
        "Give a topic more partitions; keys may then go elsewhere.",
    ),
    flag("delete", Takes::Nothing, "Delete a topic and its records."),
    flag(
        "topic",
        Takes::Topic,
        "The topic; a regular expression for all but --create.",
    ),
    flag(
        "partitions",
        Takes::Number("count"),
        "How many partitions; with --alter, the new total.",
    ),
    flag(
        "replication-factor",
        Takes::Number("count"),
        "How many brokers hold each partition.",
    ),
    flag(
        "replica-assignment",
        Takes::Text("1:2,2:3"),
        "The brokers of each partition, in place of the two counts.",
    ),
    flag(
        "config",
        Takes::Property(configs::TOPIC_CONFIGS),
        "A topic configuration, with --create.",
    ),
    flag(
        "if-exists",
        Takes::Nothing,
        "No error when the topic isn't there.",
    ),
    flag(
        "if-not-exists",
        Takes::Nothing,
        "No error when the topic is there already.",
    ),
    flag("exclude-internal", Takes::Nothing, "Without Kafka's own topics."),
    flag(
        "topics-with-overrides",
        Takes::Nothing,
        "Describe only topics with a configuration of their own.",
    ),
    flag(
        "under-replicated-partitions",
        Takes::Nothing,
        "Describe only partitions that lack an in-sync replica.",
    ),
    flag(
        "unavailable-partitions",
        Takes::Nothing,
        "Describe only partitions without a leader.",
    ),
    flag(
        "under-min-isr-partitions",
        Takes::Nothing,
        "Describe only partitions with fewer in-sync replicas than min.insync.replicas.",
    ),
    flag(
        "at-min-isr-partitions",
        Takes::Nothing,
        "Describe only partitions with just min.insync.replicas in sync.",
    ),
    flag("topic-id", Takes::Text("id"), "The id of the topic to describe."),
    flag(
        "delete-config",
        Takes::Text("name"),
        "No longer supported: see kafka-configs.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

const ACTIONS: [&str; 5] = ["list", "describe", "create", "alter", "delete"];
const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    check(args)?;
    let admin = admin(&properties::target(args, io)?)?;
    if args.has("create") {
        create(args, &admin, io)
    } else if args.has("alter") {
        alter(args, &admin, io)
    } else if args.has("list") {
        let topics: Vec<String> = matching(args, &admin)?
            .into_iter()
            .map(|topic| topic.name)
            .collect();
        writeln!(io.stdout, "{}", topics.join("\n"))?;
        Ok(())
    } else if args.has("describe") {
        describe(args, &admin, io)
    } else {
        for topic in found(args, &admin, io)? {
            admin.delete_topic(&topic.name)?;
        }
        Ok(())
    }
}

/// Which flags go together, in the order in which Kafka's tool looks.
fn check(args: &Args) -> Result<(), Failure> {
    if args.count(&ACTIONS) != 1 {
        return Err(Failure::Usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete"
                .into(),
        ));
    }
    if !args.has("list") && !args.has("describe") {
        args.require(&["topic"])?;
    }
    if args.has("alter") {
        if args.has("config") {
            return Err(Failure::Usage(
                "Option combination \"[bootstrap-server],[config]\" can't be used with option \"[alter]\" (the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)".into(),
            ));
        }
        args.require(&["partitions"])?;
    }
    let all_but = |allowed: &[&'static str]| -> Vec<&'static str> {
        ACTIONS
            .iter()
            .filter(|action| !allowed.contains(action))
            .copied()
            .collect()
    };
    args.forbid("config", &all_but(&["alter", "create"]))?;
    args.forbid("partitions", &all_but(&["alter", "create"]))?;
    args.forbid("replication-factor", &all_but(&["create"]))?;
    args.forbid("replica-assignment", &all_but(&["alter", "create"]))?;
    if args.has("create") {
        args.forbid("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        args.forbid(report, &all_but(&["describe"]))?;
        args.forbid(report, &["topics-with-overrides"])?;
    }
    args.forbid("topics-with-overrides", &all_but(&["describe"]))?;
    args.forbid("if-exists", &all_but(&["alter", "delete", "describe"]))?;
    args.forbid("if-not-exists", &all_but(&["create"]))?;
    args.forbid("exclude-internal", &all_but(&["list", "describe"]))
}

fn create(args: &Args, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let name = args.one("topic")?.unwrap_or_default();
    let new = NewTopic {
        name: name.to_owned(),
        partitions: args.number("partitions")?,
        replicas: args.number("replication-factor")?,
        assignment: args
            .one("replica-assignment")?
            .map(assignment)
            .transpose()?
            .unwrap_or_default(),
        config: config(args)?,
    };
    if name.contains(['.', '_']) {
        writeln!(
            io.stdout,
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both."
        )?;
    }
    if new
        .replicas
        .is_some_and(|count| !(1..=i32::from(i16::MAX)).contains(&count))
    {
        return Err(Failure::Error(format!(
            "The replication factor must be between 1 and {} inclusive",
            i16::MAX
        )));
    }
    if new.partitions.is_some_and(|count| count < 1) {
        return Err(Failure::Error("The partitions must be greater than 0".into()));
    }
    match admin.create_topic(&new) {
        Ok(()) => {
            writeln!(io.stdout, "Created topic {name}.")?;
            Ok(())
        }
        Err(error) if error.name == "TOPIC_ALREADY_EXISTS" && args.has("if-not-exists") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn config(args: &Args) -> Result<BTreeMap<String, String>, Failure> {
    let mut config = BTreeMap::new();
    for pair in args.all("config") {
        let pair = match pair.split_once('=') {
            Some((name, value)) if !value.trim().is_empty() && !value.contains('=') => {
                Some((name.trim(), value.trim()))
            }
            _ => None,
        };
        let Some((name, value)) = pair else {
            return Err(Failure::Error(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\"."
                    .into(),
            ));
        };
        config.insert(name.to_owned(), value.to_owned());
    }
    Ok(config)
}

/// `1:2,2:3`: the brokers of partition 0, then of partition 1.
fn assignment(text: &str) -> Result<Vec<Vec<i32>>, Failure> {
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (number, brokers) in text.split(',').enumerate() {
        let brokers: Vec<i32> = brokers
            .split(':')
            .map(|id| {
                id.trim()
                    .parse()
                    .map_err(|_| Failure::Error(format!("For input string: \"{}\"", id.trim())))
            })
            .collect::<Result<_, _>>()?;
        let twice = brokers
            .iter()
            .enumerate()
            .find(|(at, id)| brokers[..*at].contains(id));
        if let Some((_, id)) = twice {
            return Err(Failure::Error(format!(
                "Partition replica lists may not contain duplicate entries: {id}"
            )));
        }
        if partitions
            .first()
            .is_some_and(|first| first.len() != brokers.len())
        {
            return Err(Failure::Error(format!(
                "Partition {number} has different replication factor: {brokers:?}"
            )));
        }
        partitions.push(brokers);
    }
    Ok(partitions)
}

/// The topics that `--topic` fits, or all.
fn matching(args: &Args, admin: &Admin) -> Result<Vec<Topic>, Failure> {
    let pattern = args.one("topic")?.map(Pattern::new).transpose()?;
    let no_internal = args.has("exclude-internal");
    Ok(admin
        .topics()?
        .into_iter()
        .filter(|topic| pattern.as_ref().is_none_or(|pattern| pattern.fits(&topic.name)))
        .filter(|topic| !(no_internal && topic.internal))
        .collect())
}

/// As [`matching`]; none is an error, unless `--if-exists`.
fn found(args: &Args, admin: &Admin, io: &mut ToolIo<'_>) -> Result<Vec<Topic>, Failure> {
    let topics = matching(args, admin)?;
    let wanted = args.one("topic")?.unwrap_or_default();
    if topics.is_empty() && !wanted.is_empty() && !args.has("if-exists") {
        if io.hints {
            let all = admin.topics()?;
            if let Some(question) = did_you_mean(wanted, all.iter().map(|topic| topic.name.as_str())) {
                io.hint(&question)?;
            }
        }
        return Err(Failure::Error(format!(
            "Topic '{wanted}' does not exist as expected"
        )));
    }
    Ok(topics)
}

fn alter(args: &Args, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let total: i32 = args.number("partitions")?.unwrap_or_default();
    for topic in found(args, admin, io)? {
        if usize::try_from(total).is_ok_and(|total| total == topic.partitions.len()) {
            return Err(Failure::Error(format!("Topic already has {total} partition(s).")));
        }
        admin.create_partitions(&topic.name, usize::try_from(total).unwrap_or(0))?;
    }
    Ok(())
}

fn describe(args: &Args, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let reports = args.count(&REPORTS) > 0;
    let mut names: Vec<String> = if let Some(id) = args.one("topic-id")? {
        let all: Vec<String> = matching(args, admin)?
            .into_iter()
            .map(|topic| topic.name)
            .collect();
        let topics = admin.describe_topics(&all)?;
        let of_id: Vec<String> = topics
            .into_iter()
            .filter(|topic| topic.id.as_deref() == Some(id))
            .map(|topic| topic.name)
            .collect();
        if of_id.is_empty() && !args.has("if-exists") {
            return Err(Failure::Error(format!(
                "TopicId '{id}' does not exist as expected"
            )));
        }
        of_id
    } else {
        found(args, admin, io)?
            .into_iter()
            .map(|topic| topic.name)
            .collect()
    };
    names.sort();
    let live: Vec<i32> = admin.brokers()?.into_iter().map(|broker| broker.id).collect();
    for topic in admin.describe_topics(&names)? {
        let configs = admin.configs(&Resource::Topic(topic.name.clone()))?;
        let overrides: Vec<&ConfigEntry> = configs
            .iter()
            .filter(|entry| entry.source != ConfigSource::Default)
            .collect();
        if !reports && (!args.has("topics-with-overrides") || !overrides.is_empty()) {
            print_topic(&topic, &overrides, io)?;
        }
        if args.has("topics-with-overrides") {
            continue;
        }
        let min_isr = configs
            .iter()
            .find(|entry| entry.name == "min.insync.replicas")
            .and_then(|entry| entry.value.as_deref()?.parse().ok())
            .unwrap_or(1);
        for partition in &topic.partitions {
            if !reports || is_reported(args, partition, min_isr, &live) {
                print_partition(&topic.name, partition, io)?;
            }
        }
    }
    Ok(())
}

fn is_reported(args: &Args, partition: &Partition, min_isr: usize, live: &[i32]) -> bool {
    let isr = partition.isr.len();
    (args.has("under-replicated-partitions") && isr < partition.replicas.len())
        || (args.has("unavailable-partitions")
            && partition.leader.is_none_or(|leader| !live.contains(&leader)))
        || (args.has("under-min-isr-partitions") && (partition.leader.is_none() || isr < min_isr))
        || (args.has("at-min-isr-partitions") && isr == min_isr)
}

fn print_topic(topic: &Topic, overrides: &[&ConfigEntry], io: &mut ToolIo<'_>) -> std::io::Result<()> {
    write!(io.stdout, "Topic: {}", topic.name)?;
    if let Some(id) = &topic.id {
        write!(io.stdout, "\tTopicId: {id}")?;
    }
    let replicas = topic
        .partitions
        .first()
        .map_or(0, |partition| partition.replicas.len());
    let configs: Vec<String> = overrides
        .iter()
        .map(|entry| format!("{}={}", entry.name, entry.value.as_deref().unwrap_or("null")))
        .collect();
    writeln!(
        io.stdout,
        "\tPartitionCount: {}\tReplicationFactor: {replicas}\tConfigs: {}",
        topic.partitions.len(),
        configs.join(",")
    )
}

/// Kafka's tool also names eligible leader replicas (KIP-966), which librdkafka does not ask for: none are shown.
fn print_partition(topic: &str, partition: &Partition, io: &mut ToolIo<'_>) -> std::io::Result<()> {
    let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let leader = partition
        .leader
        .map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    writeln!(
        io.stdout,
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: \tLastKnownElr: ",
        partition.id,
        ids(&partition.replicas),
        ids(&partition.isr)
    )
}
