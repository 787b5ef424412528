//! `kafka-consumer-groups --reset-offsets`: a plan of new offsets, shown and, with `--execute`, committed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::kafka::{Admin, At, GroupState, TopicPartition};

use super::super::ToolIo;
use super::super::flags::Args;
use super::super::io::{Failure, Ran};
use super::{SCENARIOS, places, thrown};

type Plan = BTreeMap<TopicPartition, i64>;

pub(super) fn run(args: &Args, names: &[String], admin: &Admin, io: &mut ToolIo<'_>) -> Ran {
    let mut plans: Vec<(&String, Plan)> = Vec::with_capacity(names.len());
    for name in names {
        let state = admin
            .group(name)
            .map_err(thrown)?
            .map_or(GroupState::Dead, |group| group.state);
        if !matches!(state, GroupState::Empty | GroupState::Dead) {
            writeln!(
                io.stdout,
                "\nError: Assignments can only be reset if the group '{name}' is inactive, but the current state is {}.",
                state.name()
            )?;
            plans.push((name, Plan::new()));
            continue;
        }
        let plan = plan(args, name, admin, io)?;
        if args.has("execute") {
            let offsets: Vec<(TopicPartition, i64)> = plan
                .iter()
                .map(|(place, offset)| (place.clone(), *offset))
                .collect();
            for (_, result) in admin.alter_committed(name, &offsets).map_err(thrown)? {
                result.map_err(thrown)?;
            }
        }
        plans.push((name, plan));
    }
    if args.has("export") {
        export(&plans, io)?;
    } else {
        show(&plans, io)?;
    }
    Ok(())
}

fn show(plans: &[(&String, Plan)], io: &mut ToolIo<'_>) -> std::io::Result<()> {
    let group_width = plans
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0)
        .max(15);
    let topics = plans
        .iter()
        .flat_map(|(_, plan)| plan.keys().map(|(topic, _)| topic.len()));
    let topic_width = topics.max().unwrap_or(0).max(15);
    if !plans.is_empty() {
        write!(
            io.stdout,
            "\n{:<group_width$} {:<topic_width$} {:<10} NEW-OFFSET",
            "GROUP", "TOPIC", "PARTITION"
        )?;
    }
    for (name, plan) in plans {
        for ((topic, partition), offset) in plan {
            write!(
                io.stdout,
                "\n{name:<group_width$} {topic:<topic_width$} {partition:<10} {offset}"
            )?;
        }
    }
    writeln!(io.stdout)
}

/// `topic,partition,offset`, with the group before when there are several.
fn export(plans: &[(&String, Plan)], io: &mut ToolIo<'_>) -> std::io::Result<()> {
    for (name, plan) in plans {
        for ((topic, partition), offset) in plan {
            if plans.len() > 1 {
                write!(io.stdout, "{name},")?;
            }
            writeln!(io.stdout, "{topic},{partition},{offset}")?;
        }
    }
    writeln!(io.stdout)
}

fn plan(args: &Args, group: &str, admin: &Admin, io: &mut ToolIo<'_>) -> Result<Plan, Failure> {
    if let Some(path) = args.one("from-file")? {
        return in_range(from_file(path, &io.files.read(path)?, group)?, admin, io);
    }
    let scope: Vec<TopicPartition> = if args.has("all-topics") {
        admin.committed(group).map_err(thrown)?.into_keys().collect()
    } else if args.has("topic") {
        places(args, admin)?
    } else {
        return Err(Failure::Usage(
            "One of the reset scopes should be defined: --all-topics, --topic.".into(),
        ));
    };
    let same = |offset: i64| {
        scope
            .iter()
            .map(|place| (place.clone(), offset))
            .collect::<Plan>()
    };
    match SCENARIOS.iter().find(|scenario| args.has(scenario)).copied() {
        Some("to-offset") => in_range(same(args.number("to-offset")?.unwrap_or(0)), admin, io),
        Some("to-earliest") => at(&scope, At::Earliest, admin),
        Some("to-latest") => at(&scope, At::Latest, admin),
        Some("to-datetime") => {
            let time = datetime(args.one("to-datetime")?.unwrap_or_default())?;
            at_time(&scope, time, admin, io)
        }
        Some("by-duration") => {
            let back = duration(args.one("by-duration")?.unwrap_or_default())?;
            let time = Timestamp::now()
                .checked_sub(back)
                .map_err(|error| Failure::Error(error.to_string()))?;
            at_time(&scope, time.as_millisecond(), admin, io)
        }
        Some("shift-by") => shifted(&scope, args.number("shift-by")?.unwrap_or(0), group, admin, io),
        Some("to-current") => {
            let committed = admin.committed(group).map_err(thrown)?;
            let mut plan = at(&scope, At::Latest, admin)?;
            for (place, offset) in &mut plan {
                if let Some(current) = committed.get(place) {
                    *offset = *current;
                }
            }
            Ok(plan)
        }
        _ => Err(Failure::Usage(
            "Option '[reset-offsets]' requires one of the following scenarios: [[shift-by], [from-file], [to-datetime], [by-duration], [to-latest], [to-current], [to-earliest], [to-offset]]".into(),
        )),
    }
}

fn at(scope: &[TopicPartition], at: At, admin: &Admin) -> Result<Plan, Failure> {
    let mut plan = Plan::new();
    for (place, offset) in admin.offsets_at(scope, at).map_err(thrown)? {
        plan.insert(place, offset.map_err(thrown)?);
    }
    Ok(plan)
}

fn at_time(
    scope: &[TopicPartition],
    time_ms: i64,
    admin: &Admin,
    io: &mut ToolIo<'_>,
) -> Result<Plan, Failure> {
    let mut plan = at(scope, At::Timestamp(time_ms), admin)?;
    if plan.values().all(|offset| *offset >= 0) {
        return Ok(plan);
    }
    let ends = at(scope, At::Latest, admin)?;
    for (place, offset) in &mut plan {
        if *offset < 0 {
            writeln!(
                io.stdout,
                "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
                place.1, place.0
            )?;
            *offset = ends.get(place).copied().unwrap_or(0);
        }
    }
    Ok(plan)
}

fn shifted(
    scope: &[TopicPartition],
    by: i64,
    group: &str,
    admin: &Admin,
    io: &mut ToolIo<'_>,
) -> Result<Plan, Failure> {
    let committed = admin.committed(group).map_err(thrown)?;
    let mut plan = Plan::new();
    for place in scope {
        let Some(current) = committed.get(place) else {
            return Err(Failure::Usage(format!(
                "Cannot shift offset for partition {}-{} since there is no current committed offset",
                place.0, place.1
            )));
        };
        plan.insert(place.clone(), current.saturating_add(by));
    }
    in_range(plan, admin, io)
}

/// Moves offsets outside a log to its nearer end, and says so.
fn in_range(plan: Plan, admin: &Admin, io: &mut ToolIo<'_>) -> Result<Plan, Failure> {
    let scope: Vec<TopicPartition> = plan.keys().cloned().collect();
    let lows = at(&scope, At::Earliest, admin)?;
    let highs = at(&scope, At::Latest, admin)?;
    let mut within = Plan::new();
    for (place, wanted) in plan {
        let low = lows.get(&place).copied().unwrap_or(0);
        let high = highs.get(&place).copied().unwrap_or(low);
        let offset = wanted.clamp(low, high.max(low));
        if offset != wanted {
            let (than, end) = if wanted < low {
                ("lower", "earliest")
            } else {
                ("higher", "latest")
            };
            writeln!(
                io.stderr,
                "WARN New offset ({wanted}) is {than} than {end} offset for topic partition {}-{}. Value will be set to {offset}",
                place.0, place.1
            )?;
        }
        within.insert(place, offset);
    }
    Ok(within)
}

/// `topic,partition,offset` or `group,topic,partition,offset` a line.
fn from_file(path: &str, text: &str, group: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let cells: Vec<&str> = line
            .split(',')
            .map(|cell| cell.trim().trim_matches('"'))
            .collect();
        let cells = match cells.as_slice() {
            [named, rest @ ..] if rest.len() == 3 => {
                if *named != group {
                    continue;
                }
                rest
            }
            three => three,
        };
        let parsed = match cells {
            [topic, partition, offset] => partition
                .parse()
                .ok()
                .zip(offset.parse().ok())
                .map(|(p, o)| (topic, p, o)),
            _ => None,
        };
        let Some((topic, partition, offset)) = parsed else {
            return Err(Failure::Error(format!(
                "{path}:{}: not topic,partition,offset",
                number + 1
            )));
        };
        plan.insert(((*topic).to_owned(), partition), offset);
    }
    Ok(plan)
}

/// Milliseconds since 1970; a time without an offset is UTC, as in Kafka's tool.
fn datetime(text: &str) -> Result<i64, Failure> {
    let Some((_, time)) = text.split_once('T') else {
        return Err(Failure::Error(
            "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format"
                .into(),
        ));
    };
    let zoned = if time.contains(['+', '-', 'Z']) {
        text.to_owned()
    } else {
        format!("{text}Z")
    };
    zoned
        .parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|_| Failure::Error(format!("java.text.ParseException: Unparseable date: \"{zoned}\"")))
}

/// ISO 8601 as Java's `Duration` takes it: days of 24 hours, no months or years.
fn duration(text: &str) -> Result<SignedDuration, Failure> {
    let wrong = || Failure::Error("Text cannot be parsed to a Duration".into());
    if !text
        .to_ascii_uppercase()
        .trim_start_matches(['+', '-'])
        .starts_with('P')
    {
        return Err(wrong());
    }
    let span: Span = text.parse().map_err(|_| wrong())?;
    if span.get_years() != 0 || span.get_months() != 0 || span.get_weeks() != 0 {
        return Err(wrong());
    }
    span.to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        let ms = |text| datetime(text).map_err(|failure| format!("{failure:?}"));
        assert_eq!(ms("1970-01-01T00:00:01.500"), Ok(1500));
        assert_eq!(ms("1970-01-01T01:00:00.000+01:00"), Ok(0));
        assert_eq!(ms("1970-01-01T00:00:01Z"), Ok(1000));
        assert!(ms("yesterday").is_err_and(|text| text.contains("does not contain a 'T'")));
        assert!(ms("1970-13-01T00:00:00").is_err());
    }

    #[test]
    fn durations_are_those_of_java() {
        let seconds = |text| duration(text).ok().map(|duration| duration.as_secs());
        assert_eq!(seconds("P1D"), Some(86_400));
        assert_eq!(seconds("PT1H30M"), Some(5400));
        assert_eq!(seconds("1d"), None);
        assert_eq!(seconds("P1M"), None);
    }
}
