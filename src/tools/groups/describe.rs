//! `kafka-consumer-groups --describe`: offsets and lag, members, state.

use std::collections::BTreeMap;

use crate::kafka::{Admin, At, Group, GroupState, Member, TopicPartition};

use super::super::ToolIo;
use super::super::flags::Args;
use super::super::io::{Failure, Ran};
use super::super::names::did_you_mean;
use super::thrown;

/// What Kafka's tool prints where there is nothing.
const NOTHING: &str = "-";

pub(super) fn run(args: &Args, names: &[String], admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let mut groups = Vec::with_capacity(names.len());
    for name in names {
        let Some(group) = admin.group(name).map_err(thrown)? else {
            return missing(name, admin, io);
        };
        groups.push(group);
    }
    let verbose = args.has("verbose");
    for group in &groups {
        if args.has("members") {
            is_worth_rows(group, group.members.len(), io)?;
            members(group, verbose, io)?;
        } else if args.has("state") {
            if is_worth_rows(group, 1, io)? {
                state(group, verbose, io)?;
            }
        } else {
            let rows = rows(group, admin)?;
            if is_worth_rows(group, rows.len(), io)? {
                offsets(group, &rows, verbose, io)?;
            }
        }
    }
    Ok(())
}

fn missing(name: &str, admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    if io.hints {
        let groups = admin.groups().map_err(thrown)?;
        if let Some(question) = did_you_mean(name, groups.iter().map(|group| group.name.as_str())) {
            io.hint(&question)?;
        }
    }
    Err(Failure::Error(format!(
        "org.apache.kafka.common.errors.GroupIdNotFoundException: Group {name} not found."
    )))
}

/// Says what is special about the group's state; whether there are rows to print.
fn is_worth_rows(group: &Group, rows: usize, io: &mut ToolIo<'_>) -> std::io::Result<bool> {
    match group.state {
        GroupState::Empty => writeln!(
            io.stderr,
            "\nConsumer group '{}' has no active members.",
            group.name
        )?,
        GroupState::PreparingRebalance | GroupState::CompletingRebalance => {
            writeln!(
                io.stderr,
                "\nWarning: Consumer group '{}' is rebalancing.",
                group.name
            )?;
        }
        _ => {}
    }
    Ok(rows > 0)
}

/// One partition of the offsets' table.
struct Row<'a> {
    place: TopicPartition,
    committed: Option<i64>,
    end: Option<i64>,
    member: Option<&'a Member>,
}

/// The partitions of members, those with the most first, then the ones that only have an offset.
fn rows<'a>(group: &'a Group, admin: &Admin) -> Result<Vec<Row<'a>>, Failure> {
    let committed = admin.committed(&group.name).map_err(thrown)?;
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut members: Vec<&Member> = group
        .members
        .iter()
        .filter(|member| !member.assignment.is_empty())
        .collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    for member in members {
        let mut places = member.assignment.clone();
        places.sort();
        rows.extend(places.into_iter().map(|place| Row {
            committed: committed.get(&place).copied(),
            place,
            end: None,
            member: Some(member),
        }));
    }
    let unassigned: Vec<(TopicPartition, i64)> = committed
        .iter()
        .filter(|(place, _)| rows.iter().all(|row| row.place != **place))
        .map(|(place, offset)| (place.clone(), *offset))
        .collect();
    rows.extend(unassigned.into_iter().map(|(place, offset)| Row {
        place,
        committed: Some(offset),
        end: None,
        member: None,
    }));
    let places: Vec<TopicPartition> = rows.iter().map(|row| row.place.clone()).collect();
    let ends: BTreeMap<TopicPartition, i64> = admin
        .offsets_at(&places, At::Latest)
        .map_err(thrown)?
        .into_iter()
        .filter_map(|(place, end)| Some((place, end.ok()?)))
        .collect();
    for row in &mut rows {
        row.end = ends.get(&row.place).copied();
    }
    Ok(rows)
}

fn offsets(group: &Group, rows: &[Row<'_>], verbose: bool, io: &mut ToolIo<'_>) -> std::io::Result<()> {
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).max(15);
    let group_width = group.name.len().max(15);
    let topic_width = widest(&mut rows.iter().map(|row| row.place.0.len()));
    let id_width = widest(
        &mut rows
            .iter()
            .map(|row| row.member.map_or(1, |member| member.id.len())),
    );
    let host_width = widest(
        &mut rows
            .iter()
            .map(|row| row.member.map_or(1, |member| member.host.len())),
    );
    let number = |number: Option<i64>| number.map_or_else(|| NOTHING.to_owned(), |number| number.to_string());
    let mut line = |cells: [&str; 9]| -> std::io::Result<()> {
        let [name, topic, partition, committed, end, lag, id, host, client] = cells;
        let epoch = match (verbose, name) {
            (false, _) => String::new(),
            (true, "GROUP") => format!("{:<15} ", "LEADER-EPOCH"),
            // librdkafka does not hand out the epoch of a committed offset.
            (true, _) => format!("{NOTHING:<15} "),
        };
        write!(
            io.stdout,
            "\n{name:<group_width$} {topic:<topic_width$} {partition:<10} {epoch}{committed:<15} {end:<15} {lag:<15} {id:<id_width$} {host:<host_width$} {client}"
        )
    };
    line([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ])?;
    for row in rows {
        let lag = row.end.zip(row.committed).map(|(end, committed)| end - committed);
        let (id, host, client) = row.member.map_or((NOTHING, NOTHING, NOTHING), |member| {
            (
                member.id.as_str(),
                member.host.as_str(),
                member.client_id.as_str(),
            )
        });
        line([
            &group.name,
            &row.place.0,
            &row.place.1.to_string(),
            &number(row.committed),
            &number(row.end),
            &number(lag),
            id,
            host,
            client,
        ])?;
    }
    writeln!(io.stdout)
}

fn members(group: &Group, verbose: bool, io: &mut ToolIo<'_>) -> std::io::Result<()> {
    let widest = |length: fn(&Member) -> usize| group.members.iter().map(length).max().unwrap_or(0).max(15);
    let group_width = group.name.len().max(15);
    let id_width = widest(|member| member.id.len());
    let instance_width = widest(|member| member.instance_id.as_deref().map_or(0, str::len)).max(17);
    let host_width = widest(|member| member.host.len());
    let client_width = widest(|member| member.client_id.len());
    let with_instance = group.members.iter().any(|member| member.instance_id.is_some());
    let mut line = |cells: [&str; 6], more: [&str; 4]| -> std::io::Result<()> {
        let [name, id, instance, host, client, partitions] = cells;
        write!(io.stdout, "\n{name:<group_width$} {id:<id_width$} ")?;
        if with_instance {
            write!(io.stdout, "{instance:<instance_width$} ")?;
        }
        write!(
            io.stdout,
            "{host:<host_width$} {client:<client_width$} {partitions:<15} "
        )?;
        if verbose {
            let [epoch, assignment, target_epoch, target] = more;
            write!(
                io.stdout,
                "{epoch:<15} {assignment:<20} {target_epoch:<15} {target:<20}"
            )?;
        }
        Ok(())
    };
    line(
        [
            "GROUP",
            "CONSUMER-ID",
            "GROUP-INSTANCE-ID",
            "HOST",
            "CLIENT-ID",
            "#PARTITIONS",
        ],
        [
            "CURRENT-EPOCH",
            "CURRENT-ASSIGNMENT",
            "TARGET-EPOCH",
            "TARGET-ASSIGNMENT",
        ],
    )?;
    for member in &group.members {
        line(
            [
                &group.name,
                &member.id,
                member.instance_id.as_deref().unwrap_or_default(),
                &member.host,
                &member.client_id,
                &member.assignment.len().to_string(),
            ],
            [NOTHING, &assignment(member), NOTHING, NOTHING],
        )?;
    }
    writeln!(io.stdout)
}

/// `rides:0,1;orders:0`.
fn assignment(member: &Member) -> String {
    if member.assignment.is_empty() {
        return NOTHING.to_owned();
    }
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in &member.assignment {
        topics.entry(topic).or_default().push(*partition);
    }
    let mut words = Vec::with_capacity(topics.len());
    for (topic, mut partitions) in topics {
        partitions.sort_unstable();
        let numbers: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        words.push(format!("{topic}:{}", numbers.join(",")));
    }
    words.join(";")
}

fn state(group: &Group, verbose: bool, io: &mut ToolIo<'_>) -> std::io::Result<()> {
    let coordinator = group.coordinator.as_ref().map_or_else(
        || NOTHING.to_owned(),
        |broker| format!("{}:{}  ({})", broker.host, broker.port, broker.id),
    );
    let group_width = group.name.len().max(15);
    let width = coordinator.len().max(25);
    let mut line = |cells: [&str; 5], epochs: [&str; 2]| -> std::io::Result<()> {
        let [name, coordinator, assignor, state, members] = cells;
        write!(
            io.stdout,
            "\n{name:<group_width$} {coordinator:<width$} {assignor:<20} {state:<20} "
        )?;
        if verbose {
            let [group_epoch, target_epoch] = epochs;
            write!(io.stdout, "{group_epoch:<15} {target_epoch:<25} ")?;
        }
        write!(io.stdout, "{members}")
    };
    line(
        [
            "GROUP",
            "COORDINATOR (ID)",
            "ASSIGNMENT-STRATEGY",
            "STATE",
            "#MEMBERS",
        ],
        ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"],
    )?;
    let assignor = if group.assignor.is_empty() {
        NOTHING
    } else {
        &group.assignor
    };
    line(
        [
            &group.name,
            &coordinator,
            assignor,
            group.state.name(),
            &group.members.len().to_string(),
        ],
        [NOTHING, NOTHING],
    )?;
    writeln!(io.stdout)
}
