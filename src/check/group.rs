//! `group = …`: how far a consumer group has read.

use std::collections::BTreeMap;

use super::wording::count;
use super::{AskError, CheckContext, Finding, topic};
use crate::course::checks::GroupCheck;
use crate::course::located::did_you_mean;
use crate::kafka::{At, Group, GroupState};

pub(super) fn look(check: &GroupCheck, context: &mut CheckContext) -> Result<Finding, AskError> {
    let name = &check.group;
    let listing = context
        .groups()?
        .iter()
        .find(|group| group.name == *name)
        .cloned();
    let gone = listing.is_none_or(|group| group.state == GroupState::Dead);
    let asks_little = check.state.is_none() && check.assigned.is_empty() && check.readers.is_empty();
    if gone && asks_little && check.members == Some(0) && check.read.is_none() && check.committed.is_empty() {
        return Ok(Finding::pass(format!("group {name} has no member")));
    }
    if gone {
        return missing(name, context);
    }
    let group = context.admin().group(name)?;
    let held = group.as_ref().map_or(&[][..], |group| &group.members);
    let members = held.len() as u64;
    let idle = held.iter().filter(|member| member.assignment.is_empty()).count() as u64;
    let settled = group
        .as_ref()
        .is_none_or(|group| group.state == GroupState::Stable);
    if let Some(topic) = &check.topic
        && let Some(finding) = offsets(check, topic, members, context)?
    {
        return Ok(finding);
    }
    if let Some(wanted) = check.members.map(u64::from).filter(|wanted| *wanted != members) {
        let finding = Finding::fail(format!(
            "{name} has {} now, and this step needs {wanted}",
            count(members, "member")
        ));
        return Ok(finding.advise(if members > wanted {
            format!(
                "Stop a consumer of {name}: Ctrl-C, or in the background `jobs` and `stop N`. One that was killed \
                 leaves when its session times out."
            )
        } else {
            format!("Start a consumer with --group {name} in another terminal, or here with & at the end.")
        }));
    }
    if let Some(wanted) = check.idle.map(u64::from) {
        if !settled {
            return Ok(Finding::fail(format!("{name} is dividing the partitions anew")));
        }
        if wanted != idle {
            return Ok(Finding::fail(format!(
                "{idle} of {} of {name} without a partition, and this step needs {wanted}",
                count(members, "member")
            )));
        }
    }
    if let Some(group) = &group
        && let Some(finding) = standing(check, group).or_else(|| assignment(check, group))
    {
        return Ok(finding);
    }
    Ok(Finding::pass(match members {
        0 => "no member now".to_string(),
        members => format!("{} now", count(members, "member")),
    }))
}

fn standing(check: &GroupCheck, group: &Group) -> Option<Finding> {
    let wanted = check.state?.word();
    let found = group.state.name();
    (found != wanted)
        .then(|| Finding::fail(format!("{} is {found}, and this step needs {wanted}", group.name)))
}

/// Who has how many partitions, and which.
fn assignment(check: &GroupCheck, group: &Group) -> Option<Finding> {
    if check.assigned.is_empty() && check.readers.is_empty() {
        return None;
    }
    let name = &group.name;
    if group.state != GroupState::Stable && !group.members.is_empty() {
        return Some(Finding::fail(format!("{name} is dividing the partitions anew")));
    }
    for (client, wanted) in &check.assigned {
        let mut of_client = group
            .members
            .iter()
            .filter(|member| member.client_id == *client)
            .peekable();
        if of_client.peek().is_none() {
            return Some(
                Finding::fail(format!("{name} has no member {client}")).advise(format!(
                    "A consumer gets its name by --command-property client.id={client}"
                )),
            );
        }
        let has: usize = of_client.map(|member| member.assignment.len()).sum();
        if has != *wanted as usize {
            let has = count(has as u64, "partition");
            return Some(Finding::fail(format!(
                "{client} has {has}, and this step needs {wanted}"
            )));
        }
    }
    let topic = check.topic.as_deref().unwrap_or_default();
    check.readers.iter().find_map(|(id, wanted)| {
        let reader = group.members.iter().find(|member| {
            let mut held = member.assignment.iter();
            held.any(|(of, partition)| of == topic && partition.to_string() == *id)
        });
        let found = match reader {
            Some(reader) if reader.client_id == *wanted => return None,
            Some(reader) => format!("{} has partition {id}", reader.client_id),
            None => format!("no member has partition {id}"),
        };
        Some(Finding::fail(format!(
            "{found}, and this step needs {wanted} there"
        )))
    })
}

fn missing(name: &str, context: &mut CheckContext) -> Result<Finding, AskError> {
    let finding = Finding::fail(format!("there is no group '{name}' yet"));
    let others: Vec<&str> = context
        .groups()?
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    if let Some(near) = did_you_mean(name, others.iter().copied()) {
        return Ok(finding.advise(format!("You have '{near}'; did you mean '{name}'?")));
    }
    if others.iter().any(|other| other.starts_with("console-consumer-")) {
        return Ok(finding.advise(format!(
            "A consumer without --group reads in a new group each time: add --group {name}"
        )));
    }
    Ok(finding.advise(format!("A consumer makes it: --group {name}")))
}

fn offsets(
    check: &GroupCheck,
    name: &str,
    members: u64,
    context: &mut CheckContext,
) -> Result<Option<Finding>, AskError> {
    let group = &check.group;
    let Some(topic) = context.topic(name)? else {
        return topic::missing(name, context).map(Some);
    };
    let committed: BTreeMap<i32, i64> = context
        .admin()
        .committed(group)?
        .into_iter()
        .filter(|((of, _), _)| of == name)
        .map(|((_, partition), offset)| (partition, offset))
        .collect();
    let ids: Vec<i32> = topic.partitions.iter().map(|partition| partition.id).collect();
    if let Some(wanted) = check.read {
        let starts: BTreeMap<i32, Option<i64>> = context
            .admin()
            .offsets(name, &ids, At::Earliest)?
            .into_iter()
            .collect();
        let start = |partition: &i32| starts.get(partition).copied().flatten().unwrap_or(0);
        let read: i64 = committed
            .iter()
            .map(|(partition, offset)| (offset - start(partition)).max(0))
            .sum();
        if (read as u64) < wanted {
            return Ok(Some(not_read(group, name, read, wanted, members, &committed)));
        }
    }
    for (partition, wanted) in &check.committed {
        let partition: i32 = partition.parse().unwrap_or(-1);
        let has = committed.get(&partition);
        if has == Some(&(*wanted as i64)) {
            continue;
        }
        let found = match has {
            Some(has) => {
                format!("{group} is at offset {has} in partition {partition}, and this step needs {wanted}")
            }
            None => {
                format!(
                    "{group} has committed nothing in partition {partition}, and this step needs {wanted}"
                )
            }
        };
        let too_far = has.is_some_and(|has| *has > *wanted as i64);
        return Ok(Some(Finding::fail(found).advise(if too_far {
            move_offsets(group, name, members)
        } else {
            format!("A consumer with --group {group} reads on, and commits as it goes.")
        })));
    }
    if let Some(wanted) = check.lag {
        let ends = context.admin().offsets(name, &ids, At::Latest)?;
        let starts: BTreeMap<i32, Option<i64>> = context
            .admin()
            .offsets(name, &ids, At::Earliest)?
            .into_iter()
            .collect();
        let lag: i64 = ends
            .iter()
            .map(|(partition, end)| {
                let start = starts.get(partition).copied().flatten().unwrap_or(0);
                end.unwrap_or(0) - committed.get(partition).copied().unwrap_or(start)
            })
            .sum();
        if lag.max(0) as u64 != wanted {
            let finding = Finding::fail(format!(
                "the lag of {group} is {lag}, and this step needs {wanted}"
            ));
            return Ok(Some(finding.advise(if lag as u64 > wanted {
                format!(
                    "A consumer with --group {group} reads the rest; it commits every 5 s, unless told otherwise, and when it ends."
                )
            } else {
                move_offsets(group, name, members)
            })));
        }
    }
    Ok(None)
}

fn not_read(
    group: &str,
    topic: &str,
    read: i64,
    wanted: u64,
    members: u64,
    committed: &BTreeMap<i32, i64>,
) -> Finding {
    let finding = Finding::fail(format!("{group} has read {read} of {wanted} so far"));
    if members > 0 {
        finding.advise("A consumer commits every 5 s, unless told otherwise, and when it ends (Ctrl-C).")
    } else if committed.is_empty() {
        finding.advise(format!("{group} has committed no offset in {topic}."))
    } else {
        finding.advise(format!(
            "A consumer with --group {group} goes on where the group stopped. If the group began at the end, for want \
             of --from-beginning: `reset`, or kafka-consumer-groups --reset-offsets --to-earliest --group {group} \
             --topic {topic} --execute"
        ))
    }
}

fn move_offsets(group: &str, topic: &str, members: u64) -> String {
    let stop = if members > 0 {
        format!("Stop its {} first; then move", count(members, "member"))
    } else {
        "Move".to_string()
    };
    format!(
        "{stop} the offsets: kafka-consumer-groups --reset-offsets --group {group} --topic {topic} … --execute"
    )
}
