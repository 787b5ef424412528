//! Client properties: Java's names and librdkafka's, files and flags.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaConfRes;

use crate::kafka::Target;

use super::ToolIo;
use super::flags::Args;
use super::io::Failure;

/// Properties that librdkafka knows by another name.
const RENAMED: [(&str, &str); 3] = [
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("max.poll.interval", "max.poll.interval.ms"),
    ("metadata.max.age", "metadata.max.age.ms"),
];

/// Java's class names of assignors.
const ASSIGNORS: [(&str, &str); 3] = [
    ("org.apache.kafka.clients.consumer.RangeAssignor", "range"),
    (
        "org.apache.kafka.clients.consumer.RoundRobinAssignor",
        "roundrobin",
    ),
    (
        "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        "cooperative-sticky",
    ),
];

/// Reads a file of `name=value` lines; `#` and `!` start a comment.
pub(super) fn read_file(path: &str, io: &ToolIo<'_>) -> Result<Vec<(String, String)>, Failure> {
    let text = io.files.read(path).map_err(|failure| match failure {
        Failure::Error(message) => Failure::Bare(message),
        other => other,
    })?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .map(|line| line.split_once(['=', ':']).unwrap_or((line, "")))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect())
}

/// The cluster that the flags name: the lab's, or `--bootstrap-server`'s, with the properties of `--command-config`.
pub(super) fn target(args: &Args, io: &ToolIo<'_>) -> Result<Target, Failure> {
    let mut target = match args.one("bootstrap-server")? {
        None => io.target.clone(),
        // The lab's own address given: the lab's names and secrets go with it. Another cluster gets neither.
        Some(bootstrap) if bootstrap == io.target.bootstrap => io.target.clone(),
        Some(bootstrap) => Target::new(bootstrap),
    };
    for file in args.all("command-config") {
        for (name, value) in read_file(file, io)? {
            if let Some((name, value)) = translated(&name, &value) {
                target.properties.insert(name, value);
            }
        }
    }
    Ok(target)
}

/// A property by librdkafka's name; `None`: it has none, as many of the Java client's own.
fn translated(name: &str, value: &str) -> Option<(String, String)> {
    let name = RENAMED
        .iter()
        .find(|(java, _)| *java == name)
        .map_or(name, |(_, native)| native);
    let value = if name == "partition.assignment.strategy" {
        value
            .split(',')
            .map(|class| {
                let class = class.trim();
                let known = ASSIGNORS.iter().find(|(java, _)| *java == class);
                known.map_or(class, |(_, native)| native)
            })
            .collect::<Vec<_>>()
            .join(",")
    } else {
        value.to_owned()
    };
    match ClientConfig::new().set(name, &value).create_native_config() {
        Err(ClientError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => None,
        _ => Some((name.to_owned(), value)),
    }
}

/// Puts properties of the command line into a client's configuration. Unknown ones are passed over, as Kafka's tools do.
pub(super) fn apply(
    config: &mut ClientConfig,
    properties: &[(&str, &str)],
    io: &mut ToolIo<'_>,
) -> Result<(), Failure> {
    for (name, value) in properties {
        let Some((native, value)) = translated(name, value) else {
            io.hint(&format!(
                "this client has no property '{name}'; it is passed over"
            ))?;
            continue;
        };
        let checked = ClientConfig::new().set(&native, &value).create_native_config();
        if let Err(ClientError::ClientConfig(..)) = checked {
            return Err(Failure::Bare(format!(
                "org.apache.kafka.common.config.ConfigException: Invalid value {value} for configuration {name}"
            )));
        }
        config.set(native, value);
    }
    Ok(())
}
