//! What `AlterConfigs` and `IncrementalAlterConfigs` share: resources that are altered one by one, each with an answer of
//! its own.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::core::configs::{Change, Scope};
use crate::core::{Core, Refusal};

/// A refusal of the request's own making.
pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(ResponseError::InvalidRequest, why))
}

/// The resources, by type and name, that are named more than once.
pub(super) fn repeated<'a>(names: impl Iterator<Item = (i8, &'a str)>) -> HashSet<(i8, &'a str)> {
    let mut seen = HashSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}

/// Alters every resource that is named once; the error code and message of each, in their order.
pub(super) fn alter_each<R>(
    resources: &[R],
    name: impl Fn(&R) -> (i8, &str),
    mut alter: impl FnMut(&R) -> Result<(), Refusal>,
) -> Vec<(i16, Option<StrBytes>)> {
    let twice = repeated(resources.iter().map(&name));
    let altered = resources.iter().map(|resource| {
        let result = if twice.contains(&name(resource)) {
            refuse("Each resource must appear at most once.")
        } else {
            alter(resource)
        };
        match result {
            Ok(()) => (0, None),
            Err(refusal) => (refusal.code(), refusal.message.map(StrBytes::from_string)),
        }
    });
    altered.collect()
}

/// A resource's configurations, by name and whether a value is missing: none stands there twice, none lacks a value.
pub(super) fn check_keys<'a>(configs: impl Iterator<Item = (&'a str, bool)> + Clone) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    if !configs.clone().all(|(name, _)| seen.insert(name)) {
        return refuse("Error due to duplicate config keys");
    }
    let nulls: Vec<&str> = configs
        .filter(|(_, missing)| *missing)
        .map(|(name, _)| name)
        .collect();
    if nulls.is_empty() {
        Ok(())
    } else {
        refuse(format!("Null value not supported for : {}", nulls.join(",")))
    }
}

/// Applies changes to a topic, a broker, all brokers (the empty name), a group or a subscription of client metrics.
pub(super) fn apply(
    core: &mut Core,
    asked: i32,
    kind: i8,
    name: &str,
    changes: &[(String, Change, Option<String>)],
    validate_only: bool,
) -> Result<(), Refusal> {
    match Scope::from_code(kind) {
        Some(Scope::Topic) => {
            let configs = core.changed_topic_configs(name, changes)?;
            if validate_only {
                Ok(())
            } else {
                core.set_topic_configs(name, configs)
            }
        }
        Some(Scope::Broker) => {
            let broker = broker_id(asked, name)?;
            let configs = core.changed_broker_configs(broker, changes)?;
            if validate_only {
                Ok(())
            } else {
                core.set_broker_configs(broker, configs)
            }
        }
        Some(Scope::Group) => core.change_group_configs(name, changes, validate_only),
        Some(Scope::ClientMetrics) => core.change_client_metrics(name, changes, validate_only),
        Some(Scope::BrokerLogger) | None => refuse(format!("Unknown resource type {kind}")),
    }
}

/// The broker behind a resource's name, nothing for all of them. A broker's own configurations are altered through itself.
pub(super) fn broker_id(asked: i32, name: &str) -> Result<Option<i32>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    match name.parse::<i32>() {
        Ok(id) if id == asked => Ok(Some(id)),
        Ok(id) => refuse(format!(
            "Unexpected broker id, expected {asked}, but received {id}"
        )),
        Err(_) => refuse(format!("Node id must be an integer, but it is: {name}")),
    }
}
