//! `kafka-configs`: configuration of topics and brokers is described, set, and set back.

use crate::kafka::{Admin, ConfigChange, ConfigEntry, ConfigSource, Resource};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin};
use super::names::did_you_mean;
use super::{Framed, Tool, ToolIo, java, properties};

/// Configurations of a topic (Kafka's documentation, Topic Configs), for completion.
pub(super) const TOPIC_CONFIGS: &[&str] = &[
    "cleanup.policy",
    "compression.type",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

const ENTITY_TYPES: &[&str] = &[
    "topics",
    "clients",
    "users",
    "brokers",
    "ips",
    "client-metrics",
    "groups",
    "broker-loggers",
];

pub(super) static TOOL: Tool = Tool {
    name: "kafka-configs",
    about: "Describe and alter the configuration of topics and brokers.",
    examples: &[
        "--describe --topic rides",
        "--describe --topic rides --all",
        "--alter --topic rides --add-config retention.ms=60000",
        "--alter --topic rides --delete-config retention.ms",
    ],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

static FLAGS: [Flag; 14] = [
    flag("describe", Takes::Nothing, "Print the configuration."),
    flag("alter", Takes::Nothing, "Change the configuration."),
    flag("topic", Takes::Topic, "The topic."),
    flag("broker", Takes::Text("id"), "The broker."),
    flag(
        "entity-type",
        Takes::OneOf(ENTITY_TYPES),
        "What it is: topics or brokers, named by --entity-name.",
    ),
    flag(
        "entity-name",
        Takes::Topic,
        "The name of the topic, or the id of the broker.",
    ),
    flag(
        "all",
        Takes::Nothing,
        "Print all configurations, not only those that were set.",
    ),
    flag(
        "add-config",
        Takes::Property(TOPIC_CONFIGS),
        "Set name=value[,name=value]; a value with commas in [ ].",
    ),
    flag(
        "add-config-file",
        Takes::Text("file"),
        "A file with name=value a line.",
    ),
    flag(
        "delete-config",
        Takes::OneOf(TOPIC_CONFIGS),
        "Set name[,name] back to the default.",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

/// What the configuration belongs to, and how the tool calls it.
struct Entity {
    resource: Resource,
    kind: &'static str,
    name: String,
}

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    if args.count(&["describe", "alter"]) != 1 {
        return Err(Failure::Usage(
            "Command must include exactly one action: --describe, --alter".into(),
        ));
    }
    let entity = entity(args)?;
    if args.has("alter") && args.count(&["add-config", "add-config-file", "delete-config"]) == 0 {
        return Err(Failure::Usage(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter".into(),
        ));
    }
    if args.has("describe") {
        args.forbid("add-config", &["describe"])?;
        args.forbid("delete-config", &["describe"])?;
    }
    let admin = admin(&properties::target(args, io)?)?;
    if args.has("describe") {
        describe(args, &entity, &admin, io)
    } else {
        alter(args, &entity, &admin, io)
    }
}

fn entity(args: &Args) -> Result<Entity, Failure> {
    let kind = args.one("entity-type")?;
    if let Some(kind) = kind
        && !ENTITY_TYPES.contains(&kind)
    {
        return Err(Failure::Usage(format!(
            "Invalid entity type {kind}, the entity type must be one of {} with a --bootstrap-server or --bootstrap-controller argument",
            ENTITY_TYPES.join(", ")
        )));
    }
    let named = args.one("entity-name")?;
    let (kind, name) = match (args.one("topic")?, args.one("broker")?, kind) {
        (Some(topic), None, None) => ("topics", Some(topic)),
        (None, Some(broker), None) => ("brokers", Some(broker)),
        (None, None, Some(kind)) => (kind, named),
        (None, None, None) => {
            return Err(Failure::Usage(
                "At least one entity type must be specified".into(),
            ));
        }
        _ => {
            return Err(Failure::Usage(
                "--entity-{type,name,default} should not be used in conjunction with specific entity flags"
                    .into(),
            ));
        }
    };
    match (kind, name) {
        ("topics", Some(name)) => Ok(Entity {
            resource: Resource::Topic(name.to_owned()),
            kind: "topic",
            name: name.to_owned(),
        }),
        ("brokers", Some(id)) => Ok(Entity {
            resource: Resource::Broker(id.parse().map_err(|_| {
                Failure::Usage(format!(
                    "The entity name for brokers must be a valid integer broker id, found: {id}"
                ))
            })?),
            kind: "broker",
            name: id.to_owned(),
        }),
        ("topics" | "brokers", None) => Err(Failure::Bare(format!(
            "Name one with --entity-name: this tool describes and alters {kind} one at a time"
        ))),
        (other, _) => Err(Failure::Bare(format!(
            "The lab's kafka-configs knows topics and brokers, not {other}"
        ))),
    }
}

fn describe(args: &Args, entity: &Entity, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let mut entries = match admin.configs(&entity.resource) {
        Ok(entries) => entries,
        Err(error) if error.is_unknown_topic() => {
            io.hint(&missing(entity, admin)?)?;
            writeln!(
                io.stdout,
                "The topic '{}' doesn't exist and doesn't have dynamic config.",
                entity.name
            )?;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let all = args.has("all");
    writeln!(
        io.stdout,
        "{} configs for {} {} are:",
        if all { "All" } else { "Dynamic" },
        entity.kind,
        entity.name
    )?;
    let own = match entity.resource {
        Resource::Topic(_) => ConfigSource::DynamicTopic,
        Resource::Broker(_) => ConfigSource::DynamicBroker,
    };
    for entry in entries.iter().filter(|entry| all || entry.source == own) {
        print_entry(entry, io)?;
    }
    Ok(())
}

fn print_entry(entry: &ConfigEntry, io: &mut ToolIo<'_>) -> std::io::Result<()> {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".into());
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|synonym| {
            format!(
                "{}:{}={}",
                synonym.source.name(),
                synonym.name,
                shown(&synonym.value)
            )
        })
        .collect();
    writeln!(
        io.stdout,
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        shown(&entry.value),
        entry.is_sensitive,
        synonyms.join(", ")
    )
}

fn alter(args: &Args, entity: &Entity, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let mut changes = Vec::new();
    for path in args.all("add-config-file") {
        for (name, value) in properties::read_file(path, io)? {
            changes.push(ConfigChange::Set(name, value));
        }
    }
    for text in args.all("add-config") {
        for (name, value) in pairs(text)? {
            changes.push(ConfigChange::Set(name, value));
        }
    }
    for text in args.all("delete-config") {
        changes.extend(
            text.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(|name| ConfigChange::Delete(name.to_owned())),
        );
    }
    if let Err(error) = admin.alter_configs(&entity.resource, &changes) {
        if error.is_unknown_topic() {
            io.hint(&missing(entity, admin)?)?;
        }
        return Err(Failure::Bare(format!(
            "Error while executing config command with args '{}'\njava.util.concurrent.ExecutionException: {}",
            args.line,
            java::with_class(&error)
        )));
    }
    writeln!(
        io.stdout,
        "Completed updating config for {} {}.",
        entity.kind, entity.name
    )?;
    Ok(())
}

/// What a learner should know when the topic isn't there.
fn missing(entity: &Entity, admin: &Admin) -> Result<String, Failure> {
    let topics = admin.topics()?;
    let question = did_you_mean(&entity.name, topics.iter().map(|topic| topic.name.as_str()));
    Ok(format!(
        "there is no topic '{}'. {}",
        entity.name,
        question.unwrap_or_else(|| "kafka-topics --list shows what there is.".into())
    ))
}

/// `a=1,b=[x,y]`: the pairs; a value in brackets may hold commas.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    let mut depth = 0usize;
    let mut start = 0;
    let bytes = text.as_bytes();
    for at in 0..=bytes.len() {
        match bytes.get(at) {
            Some(b'[') => depth += 1,
            Some(b']') => depth = depth.saturating_sub(1),
            None => {}
            Some(b',') if depth == 0 => {}
            Some(_) => continue,
        }
        if at == bytes.len() || bytes[at] == b',' {
            let pair = text[start..at].trim();
            start = at + 1;
            if pair.is_empty() {
                continue;
            }
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Failure::Usage(
                    "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.".into(),
                ));
            };
            let value = value.trim().trim_start_matches('[').trim_end_matches(']');
            pairs.push((name.trim().to_owned(), value.to_owned()));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn commas_in_brackets_belong_to_the_value() {
        let read = pairs("retention.ms=1, cleanup.policy=[compact,delete],a=").unwrap();
        let shown: Vec<String> = read
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(shown, ["retention.ms=1", "cleanup.policy=compact,delete", "a="]);
        assert!(pairs("retention.ms").is_err());
    }
}
