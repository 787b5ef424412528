//! `kafka-log-dirs`: how large the logs of each broker are, as one line of JSON.

use serde_json::{Value, json};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, wire};
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-log-dirs",
    about: "Print the log folders of brokers, and how large each replica's log is.",
    examples: &["--describe", "--describe --topic-list rides --broker-list 1"],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

static FLAGS: [Flag; 7] = [
    flag("describe", Takes::Nothing, "Print them: the one thing to do."),
    flag("topic-list", Takes::Text("a,b"), "Only these topics."),
    flag("broker-list", Takes::Text("1,2"), "Only these brokers."),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

/// What stands between commas.
fn words(list: &str) -> Vec<&str> {
    list.split(',').filter(|word| !word.is_empty()).collect()
}

fn joined(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
    ids.join(",")
}

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    args.require(&["describe"])?;
    let topics = words(args.one("topic-list")?.unwrap_or_default());
    let mut wanted = words(args.one("broker-list")?.unwrap_or_default())
        .into_iter()
        .map(|word| {
            word.parse()
                .map_err(|_| Failure::Error(format!("For input string: \"{word}\"")))
        })
        .collect::<Result<Vec<i32>, _>>()?;
    wanted.sort_unstable();
    wanted.dedup();
    let mut wire = wire(&properties::target(args, io)?)?;
    let known = wire.brokers();
    let unknown: Vec<i32> = wanted.iter().copied().filter(|id| !known.contains(id)).collect();
    if !unknown.is_empty() {
        return Err(Failure::Error(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            joined(&unknown),
            joined(&known)
        )));
    }
    if wanted.is_empty() {
        wanted = known;
    }
    writeln!(io.stdout, "Querying brokers for log directories information")?;
    let mut brokers = Vec::new();
    for broker in &wanted {
        let dirs: Vec<Value> = wire
            .log_dirs(*broker)?
            .into_iter()
            .map(|dir| {
                let mut replicas = dir.replicas;
                replicas.retain(|((topic, _), _)| topics.is_empty() || topics.contains(&topic.as_str()));
                replicas.sort_by(|a, b| a.0.cmp(&b.0));
                let replicas: Vec<Value> = replicas
                    .into_iter()
                    .map(|((topic, partition), log)| {
                        json!({
                            "partition": format!("{topic}-{partition}"),
                            "size": log.size_bytes,
                            "offsetLag": log.offset_lag,
                            "isFuture": log.is_future,
                        })
                    })
                    .collect();
                let error = dir.error.as_ref().map(java::class);
                json!({ "partitions": replicas, "error": error, "logDir": dir.path })
            })
            .collect();
        brokers.push(json!({ "broker": broker, "logDirs": dirs }));
    }
    writeln!(
        io.stdout,
        "Received log directory information from brokers {}",
        joined(&wanted)
    )?;
    writeln!(io.stdout, "{}", json!({ "brokers": brokers, "version": 1 }))?;
    Ok(())
}
