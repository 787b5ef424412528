//! `topic = …`: does it exist, and does it look like this?

use super::wording::{count, list};
use super::{AskError, CheckContext, Finding};
use crate::course::checks::TopicCheck;
use crate::course::located::did_you_mean;
use crate::kafka::{ConfigSource, Resource};

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
    if !check.config.is_empty()
        && let Some(finding) = config(check, context)?
    {
        return Ok(finding);
    }
    Ok(Finding::pass(format!("{name} has {}", count(has, "partition"))))
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
