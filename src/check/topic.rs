//! `topic = …`: does it exist, and does it look like this?

use std::collections::BTreeMap;

use super::wording::{count, list};
use super::{AskError, CheckContext, Finding};
use crate::course::checks::TopicCheck;
use crate::course::located::did_you_mean;
use crate::kafka::{At, ConfigSource, Resource, Topic};

pub(super) fn look(check: &TopicCheck, context: &mut CheckContext) -> Result<Finding, AskError> {
    let name = &check.topic;
    let topic = context.topic(name)?;
    let Some(topic) = topic else {
        if check.exists == Some(false) {
            return Ok(Finding::pass(format!("{name} is gone")));
        }
        return missing(name, context);
    };
    if check.exists == Some(false) {
        return Ok(Finding::fail(format!("{name} still exists")).advise(format!(
            "Delete it: kafka-topics --delete --topic {name}. The cluster may take a moment."
        )));
    }
    let has = topic.partitions.len() as u64;
    if let Some(wanted) = check.partitions.map(u64::from).filter(|wanted| *wanted != has) {
        let found = format!(
            "{name} has {}, and this step needs {wanted}",
            count(has, "partition")
        );
        let advice = if has < wanted {
            format!("Partitions can be added: kafka-topics --alter --topic {name} --partitions {wanted}")
        } else {
            format!("Partitions can't be taken away: delete {name} and create it again, or `reset`.")
        };
        return Ok(Finding::fail(found).advise(advice));
    }
    if let Some(wanted) = check.replicas {
        let replicas = |wanted: u32| {
            let mut counts = topic.partitions.iter().map(|partition| partition.replicas.len());
            counts.find(|has| *has != wanted as usize)
        };
        if let Some(has) = replicas(wanted) {
            return Ok(Finding::fail(format!(
                "{name} has {} of each partition, and this step needs {wanted}",
                count(has as u64, "replica")
            ))
            .advise(format!(
                "Delete {name} and create it again with --replication-factor {wanted}, or `reset`."
            )));
        }
    }
    if let Some(finding) = in_sync(check, &topic).or_else(|| leaders(check, &topic)) {
        return Ok(finding);
    }
    if let Some(finding) = happened(check, &topic, context)? {
        return Ok(finding);
    }
    for (at, wanted) in [(At::Earliest, &check.starts), (At::Latest, &check.ends)] {
        if let Some(finding) = offsets(name, at, wanted, context)? {
            return Ok(finding);
        }
    }
    if !check.config.is_empty()
        && let Some(finding) = config(check, context)?
    {
        return Ok(finding);
    }
    Ok(Finding::pass(format!("{name} has {}", count(has, "partition"))))
}

fn in_sync(check: &TopicCheck, topic: &Topic) -> Option<Finding> {
    let wanted = check.in_sync?;
    let other = topic
        .partitions
        .iter()
        .find(|partition| partition.isr.len() != wanted as usize)?;
    let finding = Finding::fail(format!(
        "{} in sync in partition {}, and this step needs {wanted}",
        count(other.isr.len() as u64, "replica"),
        other.id
    ));
    Some(finding.advise(if other.isr.len() < wanted as usize {
        "A broker that was stopped comes back with `broker start N`; its replicas need a moment to catch up."
    } else {
        "A broker that stops leaves the set of replicas in sync: `broker stop N`."
    }))
}

fn leaders(check: &TopicCheck, topic: &Topic) -> Option<Finding> {
    let name = &topic.name;
    check.leaders.iter().find_map(|(id, wanted)| {
        let partition = topic
            .partitions
            .iter()
            .find(|partition| partition.id.to_string() == *id);
        let found = match partition.map(|partition| partition.leader) {
            Some(Some(leader)) if leader == *wanted => return None,
            Some(Some(leader)) => format!("broker {leader} leads partition {id} of {name}"),
            Some(None) => format!("partition {id} of {name} has no leader now"),
            None => format!("{name} has no partition {id}"),
        };
        let first = partition.and_then(|partition| partition.replicas.first());
        Some(
            Finding::fail(format!("{found}, and this step needs broker {wanted}")).advise(
                if first == Some(wanted) {
                    "It is the first of `Replicas`, and is asked to lead by kafka-leader-election.".to_string()
                } else {
                    format!(
                        "The first of `Replicas` is to lead: kafka-topics --describe --topic {name}. Their order is given \
                         as the topic is made (--replica-assignment), or by kafka-reassign-partitions."
                    )
                },
            ),
        )
    })
}

/// What has not happened yet to the topic's records, and how it comes about; in the order of [`TopicCheck::happened`].
const NOT_YET: [(&str, &str); 4] = [
    (
        "every write to it was answered",
        "First the fault, then the producer: fault add --api Produce --times 1 --drop-answer",
    ),
    (
        "no retry to it was recognised",
        "It takes an answer that is lost, and then a producer with --command-property enable.idempotence=true.",
    ),
    (
        "no write to it was refused",
        "Only acks=all is held to min.insync.replicas: --request-required-acks all",
    ),
    (
        "none of its records is lost",
        "Pause the followers, send with acks=1, kill the leader: once another leads and the old one is back, it cuts \
         the record off.",
    ),
];

fn happened(check: &TopicCheck, topic: &Topic, context: &CheckContext) -> Result<Option<Finding>, AskError> {
    let wanted = check.happened();
    let name = &check.topic;
    if wanted.iter().all(Option::is_none) {
        return Ok(None);
    }
    let seen = context.witnessed(&check.topic)?;
    let seen = [seen.unanswered, seen.recognised, seen.refused, seen.lost];
    let missing = wanted
        .into_iter()
        .zip(seen)
        .zip(NOT_YET)
        .find(|((wanted, seen), _)| wanted.is_some_and(|wanted| *seen < wanted));
    let Some(((wanted, seen), (none, how))) = missing else {
        return Ok(None);
    };
    let found = if seen > 0 {
        format!("{seen} of {} so far", wanted.unwrap_or_default())
    } else if is_empty(topic, context)? {
        format!("nothing has arrived in {name}")
    } else {
        format!("{name}: {none}")
    };
    Ok(Some(Finding::fail(found).advise(how)))
}

/// Whether no partition was ever written to; one that can't say counts as empty.
fn is_empty(topic: &Topic, context: &CheckContext) -> Result<bool, AskError> {
    let partitions: Vec<i32> = topic.partitions.iter().map(|partition| partition.id).collect();
    let ends = context.admin().offsets(&topic.name, &partitions, At::Latest)?;
    Ok(ends.iter().all(|(_, end)| end.unwrap_or_default() == 0))
}

fn offsets(
    name: &str,
    at: At,
    wanted: &BTreeMap<String, u64>,
    context: &CheckContext,
) -> Result<Option<Finding>, AskError> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let partitions: Vec<i32> = wanted.keys().filter_map(|id| id.parse().ok()).collect();
    let verb = if at == At::Earliest { "begins" } else { "ends" };
    for (partition, offset) in context.admin().offsets(name, &partitions, at)? {
        let wanted = wanted.get(&partition.to_string()).copied().unwrap_or_default();
        let found = match offset {
            Some(has) if has == wanted as i64 => continue,
            Some(has) => format!("partition {partition} of {name} {verb} at offset {has}"),
            None => format!("partition {partition} of {name} can't say where it {verb}"),
        };
        return Ok(Some(Finding::fail(format!(
            "{found}, and this step needs {wanted}"
        ))));
    }
    Ok(None)
}

fn config(check: &TopicCheck, context: &CheckContext) -> Result<Option<Finding>, AskError> {
    let name = &check.topic;
    let entries = context.admin().configs(&Resource::Topic(name.clone()))?;
    for (key, wanted) in &check.config {
        let entry = entries.iter().find(|entry| entry.name == *key);
        let value = entry
            .and_then(|entry| entry.value.as_deref())
            .unwrap_or("not set");
        if value == wanted {
            continue;
        }
        let own = entry.is_some_and(|entry| entry.source == ConfigSource::DynamicTopic);
        let origin = if own { "" } else { " (the default)" };
        return Ok(Some(
            Finding::fail(format!(
                "{key} of {name} is {value}{origin}, and this step needs {wanted}"
            ))
            .advise(format!(
                "Set it: kafka-configs --alter --entity-type topics --entity-name {name} --add-config {key}={wanted}"
            )),
        ));
    }
    Ok(None)
}

/// A topic that is not there, and the one that was meant.
pub(super) fn missing(name: &str, context: &mut CheckContext) -> Result<Finding, AskError> {
    let finding = Finding::fail(format!("there is no topic '{name}'"));
    let others: Vec<&str> = context
        .topics()?
        .iter()
        .filter(|topic| !topic.internal)
        .map(|topic| topic.name.as_str())
        .collect();
    if let Some(near) = did_you_mean(name, others.iter().copied()) {
        return Ok(finding.advise(format!("You have '{near}'; did you mean '{name}'?")));
    }
    if others.is_empty() || others.len() > 5 {
        return Ok(finding);
    }
    let names: Vec<String> = others.iter().map(|name| format!("'{name}'")).collect();
    Ok(finding.advise(format!("You have {}.", list(&names))))
}
