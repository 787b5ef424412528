//! `kafka-transactions`: what coordinators and partitions know of transactions, and how one that hangs is ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::kafka::{ActiveProducer, KafkaError, Marker, TopicPartition, TransactionFilter, Wire};

use super::flags::{Args, BOOTSTRAP, COMMAND_CONFIG, Flag, HELP, Syntax, Takes, VERSION, flag};
use super::io::{Failure, Ran, admin, wire};
use super::{Framed, Tool, ToolIo, java, properties, table};

/// The words that say what to do, and the flags that each takes beside those of every tool.
const COMMANDS: &[(&str, &[&str])] = &[
    ("list", &["duration-filter", "transactional-id-pattern"]),
    ("describe", &["transactional-id"]),
    ("describe-producers", &["broker-id", "topic", "partition"]),
    (
        "abort",
        &[
            "topic",
            "partition",
            "start-offset",
            "producer-id",
            "producer-epoch",
            "coordinator-epoch",
        ],
    ),
    (
        "find-hanging",
        &["broker-id", "max-transaction-timeout", "topic", "partition"],
    ),
    ("forceTerminateTransaction", &["transactionalId"]),
];

pub(super) static TOOL: Tool = Tool {
    name: "kafka-transactions",
    about: "Look at transactions and their producers, and end one that hangs: list, describe, describe-producers, abort, find-hanging, forceTerminateTransaction.",
    examples: &[
        "list",
        "describe --transactional-id payouts",
        "describe-producers --topic rides --partition 0",
        "abort --topic rides --partition 0 --start-offset 12",
    ],
    syntax: Syntax::Argparse {
        program: "kafka-transactions.sh",
        commands: &[
            "list",
            "describe",
            "describe-producers",
            "abort",
            "find-hanging",
            "forceTerminateTransaction",
        ],
    },
    flags: &FLAGS,
    run,
    frame: Framed::plain,
};

static FLAGS: [Flag; 16] = [
    flag(
        "transactional-id",
        Takes::Text("id"),
        "With describe: the transactional.id.",
    ),
    flag(
        "transactionalId",
        Takes::Text("id"),
        "With forceTerminateTransaction: the transactional.id.",
    ),
    flag(
        "duration-filter",
        Takes::Number("ms"),
        "With list: only transactions that run longer than this.",
    ),
    flag(
        "transactional-id-pattern",
        Takes::Text("pattern"),
        "With list: a regular expression for the whole id.",
    ),
    flag("topic", Takes::Topic, "The topic whose producers are looked at."),
    flag("partition", Takes::Number("number"), "Its partition."),
    flag(
        "broker-id",
        Takes::Number("id"),
        "With describe-producers: the replica there, not the leader. With find-hanging: what is on it.",
    ),
    flag(
        "start-offset",
        Takes::Number("offset"),
        "With abort: where the transaction begins in the partition.",
    ),
    flag(
        "producer-id",
        Takes::Number("id"),
        "With abort, in place of --start-offset: whose transaction it is.",
    ),
    flag(
        "producer-epoch",
        Takes::Number("epoch"),
        "With --producer-id: its epoch.",
    ),
    flag(
        "coordinator-epoch",
        Takes::Number("epoch"),
        "With --producer-id: the epoch of its coordinator.",
    ),
    flag(
        "max-transaction-timeout",
        Takes::Number("minutes"),
        "With find-hanging: what is open longer than this is looked at (15).",
    ),
    BOOTSTRAP,
    COMMAND_CONFIG,
    HELP,
    VERSION,
];

fn run(args: &Args, io: &mut ToolIo<'_>) -> Ran {
    let command = command(args)?;
    let target = properties::target(args, io)?;
    let wire = || wire(&target);
    match command {
        "list" => list(args, &mut wire()?, io),
        "describe" => describe(args, &mut wire()?, io),
        "describe-producers" => describe_producers(args, &mut wire()?, io),
        "abort" => abort(args, wire),
        "forceTerminateTransaction" => force_terminate(args, &mut wire()?),
        _ => {
            let places = scope(args, |topics| {
                let all = admin(&target)?;
                match topics {
                    Some(topic) => Ok(all.describe_topics(&[topic.to_owned()])?),
                    None => Ok(all.topics()?),
                }
            })?;
            find_hanging(args, &places, &mut wire()?, io)
        }
    }
}

/// The command, once it takes all the flags that were given.
fn command(args: &Args) -> Result<&'static str, Failure> {
    let Some(word) = args.plain.first() else {
        return Err(args.wrong("too few arguments"));
    };
    let Some((name, flags)) = COMMANDS.iter().find(|(name, _)| name == word) else {
        let known: Vec<String> = COMMANDS.iter().map(|(name, _)| format!("'{name}'")).collect();
        return Err(args.wrong(&format!(
            "invalid choice: '{word}' (choose from {})",
            known.join(", ")
        )));
    };
    let common = ["bootstrap-server", "command-config"];
    for flag in FLAGS.iter().map(|flag| flag.name) {
        if args.has(flag) && !flags.contains(&flag) && !common.contains(&flag) {
            return Err(args.wrong(&format!("unrecognized arguments: '--{flag}'")));
        }
    }
    if let Some(extra) = args.plain.get(1) {
        return Err(args.wrong(&format!("unrecognized arguments: '{extra}'")));
    }
    let required: &[&str] = match *name {
        "describe" => &["transactional-id"],
        "forceTerminateTransaction" => &["transactionalId"],
        "describe-producers" | "abort" => &["topic", "partition"],
        _ => &[],
    };
    args.require(required)?;
    Ok(name)
}

/// As Kafka's tool tells an exception; nobody there has a hint of its own.
fn failed(what: String, error: KafkaError) -> Failure {
    if error.is_timeout() {
        return Failure::Kafka(error);
    }
    Failure::Error(format!(
        "{what}: {}. Enable debug logging for additional detail.",
        java::message(&error)
    ))
}

fn list(args: &Args, wire: &mut Wire, io: &mut ToolIo<'_>) -> Ran {
    let filter = TransactionFilter {
        longer_than_ms: args.number("duration-filter")?,
        pattern: args.one("transactional-id-pattern")?.map(str::to_owned),
        producers: Vec::new(),
    };
    let listed = wire
        .list_transactions(&filter)
        .map_err(|error| failed("Failed to list transactions".into(), error))?;
    let rows: Vec<Vec<String>> = listed
        .into_iter()
        .map(|listing| {
            vec![
                listing.id,
                listing.coordinator.to_string(),
                listing.producer_id.to_string(),
                listing.state,
            ]
        })
        .collect();
    let headers = ["TransactionalId", "Coordinator", "ProducerId", "TransactionState"];
    Ok(table::write(&headers, &rows, io.stdout)?)
}

fn place(args: &Args) -> Result<TopicPartition, Failure> {
    let topic = args.one("topic")?.unwrap_or_default().to_owned();
    Ok((topic, args.number("partition")?.unwrap_or_default()))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn describe(args: &Args, wire: &mut Wire, io: &mut ToolIo<'_>) -> Ran {
    let id = args.one("transactional-id")?.unwrap_or_default();
    let found = wire.describe_transaction(id).map_err(|mut error| {
        if error.name == "TRANSACTIONAL_ID_NOT_FOUND" {
            error.message = format!(
                "DescribeTransactions request for transactionalId `{id}` failed because the ID could not be found"
            );
        }
        failed(
            format!("Failed to describe transaction state of transactional-id `{id}`"),
            error,
        )
    })?;
    let none = || "None".to_owned();
    let partitions: Vec<String> = found
        .partitions
        .iter()
        .map(|(topic, partition)| format!("{topic}-{partition}"))
        .collect();
    let row = vec![
        found.coordinator.to_string(),
        id.to_owned(),
        found.producer_id.to_string(),
        found.epoch.to_string(),
        found.state,
        found.timeout_ms.to_string(),
        found.start_ms.map_or_else(none, |at| at.to_string()),
        found
            .start_ms
            .map_or_else(none, |at| now_ms().wrapping_sub(at).to_string()),
        partitions.join(","),
    ];
    let headers = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    Ok(table::write(&headers, &[row], io.stdout)?)
}

fn describe_producers(args: &Args, wire: &mut Wire, io: &mut ToolIo<'_>) -> Ran {
    let place = place(args)?;
    let broker: Option<i32> = args.number("broker-id")?;
    let producers = wire.describe_producers(&place, broker).map_err(|error| {
        let replica = broker.map_or_else(|| "leader".into(), |id| format!("broker {id}"));
        let what = format!(
            "Failed to describe producers for partition {}-{}",
            place.0, place.1
        );
        failed(format!("{what} on {replica}"), error)
    })?;
    let rows: Vec<Vec<String>> = producers
        .iter()
        .map(|producer| {
            vec![
                producer.id.to_string(),
                producer.epoch.to_string(),
                producer.coordinator_epoch.unwrap_or(-1).to_string(),
                producer.last_sequence.to_string(),
                producer.last_timestamp_ms.to_string(),
                producer
                    .txn_start_offset
                    .map_or_else(|| "None".into(), |offset| offset.to_string()),
            ]
        })
        .collect();
    let headers = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    Ok(table::write(&headers, &rows, io.stdout)?)
}

fn abort(args: &Args, connect: impl FnOnce() -> Result<Wire, Failure>) -> Ran {
    let place = place(args)?;
    let start: Option<i64> = args.number("start-offset")?;
    let producer: Option<i64> = args.number("producer-id")?;
    let missing = |flag: &str| Failure::Error(format!("Missing required argument --{flag}"));
    let (marker, mut wire) = match (start, producer) {
        (None, None) => {
            return Err(Failure::Error(
                "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)"
                    .into(),
            ));
        }
        (Some(start), _) => {
            let mut wire = connect()?;
            (open_at(place, start, &mut wire)?, wire)
        }
        (None, Some(producer_id)) => {
            let marker = Marker {
                place,
                producer_id,
                producer_epoch: args
                    .number("producer-epoch")?
                    .ok_or_else(|| missing("producer-epoch"))?,
                coordinator_epoch: args
                    .number::<i32>("coordinator-epoch")?
                    .ok_or_else(|| missing("coordinator-epoch"))?
                    .max(0),
            };
            (marker, connect()?)
        }
    };
    wire.abort_transaction(&marker).map_err(|error| {
        let what = format!(
            "Failed to abort transaction AbortTransactionSpec(topicPartition={}-{}, producerId={}, producerEpoch={}, coordinatorEpoch={})",
            marker.place.0, marker.place.1, marker.producer_id, marker.producer_epoch, marker.coordinator_epoch
        );
        failed(what, error)
    })
}

/// The marker that ends the transaction which begins at this offset.
fn open_at(place: TopicPartition, start: i64, wire: &mut Wire) -> Result<Marker, Failure> {
    let (topic, partition) = &place;
    let producers = wire.describe_producers(&place, None).map_err(|error| {
        let what = format!("Failed to validate producer state for partition {topic}-{partition}");
        failed(what, error)
    })?;
    let Some(open) = producers
        .iter()
        .find(|producer| producer.txn_start_offset == Some(start))
    else {
        return Err(Failure::Error(format!(
            "Could not find any open transactions starting at offset {start} on partition {topic}-{partition}"
        )));
    };
    Ok(Marker {
        producer_id: open.id,
        producer_epoch: i16::try_from(open.epoch).unwrap_or(i16::MAX),
        coordinator_epoch: open.coordinator_epoch.unwrap_or(0),
        place,
    })
}

fn force_terminate(args: &Args, wire: &mut Wire) -> Ran {
    let id = args.one("transactionalId")?.unwrap_or_default();
    wire.fence(id)
        .map_err(|error| failed(format!("Failed to force terminate transactionalId `{id}`"), error))
}

/// The partitions that `find-hanging` looks at.
fn scope(
    args: &Args,
    topics: impl FnOnce(Option<&str>) -> Result<Vec<crate::kafka::Topic>, Failure>,
) -> Result<Vec<TopicPartition>, Failure> {
    let (topic, broker) = (args.one("topic")?, args.number::<i32>("broker-id")?);
    let partition: Option<i32> = args.number("partition")?;
    if topic.is_none() && broker.is_none() {
        return Err(Failure::Error(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search"
                .into(),
        ));
    }
    if let Some(partition) = partition {
        let topic = topic.ok_or_else(|| {
            Failure::Error("The --partition argument requires --topic to be provided".into())
        })?;
        return Ok(vec![(topic.to_owned(), partition)]);
    }
    let mut places = Vec::new();
    for topic in topics(topic)? {
        for partition in topic.partitions {
            if broker.is_none_or(|id| partition.replicas.contains(&id)) {
                places.push((topic.name.clone(), partition.id));
            }
        }
    }
    Ok(places)
}

const MINUTE_MS: i64 = 60_000;
/// What `transaction.max.timeout.ms` is on a broker that nobody changed.
const USUAL_TIMEOUT_MINUTES: i64 = 15;

fn find_hanging(args: &Args, places: &[TopicPartition], wire: &mut Wire, io: &mut ToolIo<'_>) -> Ran {
    let broker: Option<i32> = args.number("broker-id")?;
    let longest = args
        .number("max-transaction-timeout")?
        .unwrap_or(USUAL_TIMEOUT_MINUTES)
        .saturating_mul(MINUTE_MS);
    let now = now_ms();
    let mut open: Vec<(TopicPartition, ActiveProducer)> = Vec::new();
    for place in places {
        let producers = wire.describe_producers(place, broker).map_err(|error| {
            let what = format!("Failed to describe producers for {} partitions", places.len());
            failed(what, error)
        })?;
        let hangs = |producer: &ActiveProducer| {
            producer.txn_start_offset.is_some() && now - producer.last_timestamp_ms > longest
        };
        open.extend(
            producers
                .into_iter()
                .filter(hangs)
                .map(|found| (place.clone(), found)),
        );
    }
    let expected = expected(&open, wire)?;
    open.retain(|(place, producer)| !expected.contains(&(producer.id, place.clone())));
    let rows: Vec<Vec<String>> = open
        .iter()
        .map(|((topic, partition), producer)| {
            vec![
                topic.clone(),
                partition.to_string(),
                producer.id.to_string(),
                producer.epoch.to_string(),
                producer.coordinator_epoch.unwrap_or(-1).to_string(),
                producer.txn_start_offset.unwrap_or(-1).to_string(),
                producer.last_timestamp_ms.to_string(),
                ((now - producer.last_timestamp_ms) / MINUTE_MS).to_string(),
            ]
        })
        .collect();
    let headers = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    Ok(table::write(&headers, &rows, io.stdout)?)
}

/// The partitions of these producers that a coordinator will still write a marker to: they don't hang.
fn expected(
    open: &[(TopicPartition, ActiveProducer)],
    wire: &mut Wire,
) -> Result<BTreeSet<(i64, TopicPartition)>, Failure> {
    let mut expected = BTreeSet::new();
    if open.is_empty() {
        return Ok(expected);
    }
    let filter = TransactionFilter {
        producers: open.iter().map(|(_, producer)| producer.id).collect(),
        ..TransactionFilter::default()
    };
    let ids: BTreeMap<i64, String> = wire
        .list_transactions(&filter)
        .map_err(|error| failed("Failed to list transactions".into(), error))?
        .into_iter()
        .map(|listing| (listing.producer_id, listing.id))
        .collect();
    for (producer, id) in ids {
        match wire.describe_transaction(&id) {
            Ok(found) => expected.extend(found.partitions.into_iter().map(|place| (producer, place))),
            Err(error) if error.name == "TRANSACTIONAL_ID_NOT_FOUND" => {}
            Err(error) => return Err(failed("Failed to describe transactions".into(), error)),
        }
    }
    Ok(expected)
}
