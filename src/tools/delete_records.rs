//! `kafka-delete-records`: the beginning of partitions is moved forward, and what was before it is gone.

use serde::Deserialize;

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Ran, admin};
use super::{Framed, Tool, ToolIo, java, properties};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-delete-records",
    about: "Delete the records of partitions that are before an offset.",
    examples: &["--offset-json-file offsets.json"],
    syntax: Syntax::Jopt,
    flags: &FLAGS,
    run,
    frame: |message| {
        Framed::plain(&format!(
            "Error while executing delete records command: {message}"
        ))
    },
};

static FLAGS: [Flag; 5] = [
    flag(
        "offset-json-file",
        Takes::Text("file"),
        "A file {\"partitions\": [{\"topic\": \"rides\", \"partition\": 0, \"offset\": 5}], \"version\": 1}; offset -1 is the end.",
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
    offset: i64,
}

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    args.require(&["offset-json-file"])?;
    let path = args.one("offset-json-file")?.unwrap_or_default();
    let entries: Vec<Entry> = io.files.read_partitions(path)?;
    let before: Vec<((String, i32), i64)> = entries
        .into_iter()
        .map(|entry| ((entry.topic, entry.partition), entry.offset))
        .collect();
    let admin = admin(&properties::target(args, io)?)?;
    writeln!(io.stdout, "Executing records delete operation")?;
    let mut results = admin.delete_records(&before)?;
    results.sort_by(|a, b| a.0.cmp(&b.0));
    writeln!(io.stdout, "Records delete operation completed:")?;
    for ((topic, partition), result) in results {
        match result {
            Ok(low) => writeln!(io.stdout, "partition: {topic}-{partition}\tlow_watermark: {low}")?,
            Err(error) => writeln!(
                io.stdout,
                "partition: {topic}-{partition}\terror: {}",
                java::message(&error)
            )?,
        }
    }
    Ok(())
}
