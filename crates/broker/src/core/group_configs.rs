//! Configurations of groups (KIP-848, KIP-932, KIP-1071): what may be set for one group, and within which bounds.

use super::Refusal;
use super::configs::{
    ConfigDef, Configs, Described, Overrides,
    Rule::{Any, AtLeast, Between, OneOf, ShareReset},
    Source,
    Type::{Boolean, Int, String},
};
use kafka_protocol::ResponseError;

/// Group configurations, by name; the default of most is a broker's configuration.
pub(crate) const GROUP: &[ConfigDef] = &[
    ConfigDef {
        name: "consumer.assignment.interval.ms",
        kind: Int,
        default: Some("1000"),
        rule: AtLeast(0),
        dynamic: true,
        synonyms: &["group.consumer.assignment.interval.ms"],
    },
    ConfigDef {
        name: "consumer.heartbeat.interval.ms",
        kind: Int,
        default: Some("5000"),
        rule: AtLeast(1),
        dynamic: true,
        synonyms: &["group.consumer.heartbeat.interval.ms"],
    },
    ConfigDef {
        name: "consumer.session.timeout.ms",
        kind: Int,
        default: Some("45000"),
        rule: AtLeast(1),
        dynamic: true,
        synonyms: &["group.consumer.session.timeout.ms"],
    },
    ConfigDef {
        name: "share.assignment.interval.ms",
        kind: Int,
        default: Some("1000"),
        rule: AtLeast(0),
        dynamic: true,
        synonyms: &["group.share.assignment.interval.ms"],
    },
    ConfigDef {
        name: "share.auto.offset.reset",
        kind: String,
        default: Some("latest"),
        rule: ShareReset,
        dynamic: true,
        synonyms: &[],
    },
    ConfigDef {
        name: "share.delivery.count.limit",
        kind: Int,
        default: Some("5"),
        rule: Between(2, 25),
        dynamic: true,
        synonyms: &["group.share.delivery.count.limit"],
    },
    ConfigDef {
        name: "share.heartbeat.interval.ms",
        kind: Int,
        default: Some("5000"),
        rule: AtLeast(1),
        dynamic: true,
        synonyms: &["group.share.heartbeat.interval.ms"],
    },
    ConfigDef {
        name: "share.isolation.level",
        kind: String,
        default: Some("read_uncommitted"),
        rule: OneOf(&["read_committed", "read_uncommitted"]),
        dynamic: true,
        synonyms: &[],
    },
    ConfigDef {
        name: "share.partition.max.record.locks",
        kind: Int,
        default: Some("2000"),
        rule: Between(100, 10_000),
        dynamic: true,
        synonyms: &["group.share.partition.max.record.locks"],
    },
    ConfigDef {
        name: "share.record.lock.duration.ms",
        kind: Int,
        default: Some("30000"),
        rule: Between(1000, 3_600_000),
        dynamic: true,
        synonyms: &["group.share.record.lock.duration.ms"],
    },
    ConfigDef {
        name: "share.renew.acknowledge.enable",
        kind: Boolean,
        default: Some("true"),
        rule: Any,
        dynamic: true,
        synonyms: &[],
    },
    ConfigDef {
        name: "share.session.timeout.ms",
        kind: Int,
        default: Some("45000"),
        rule: AtLeast(1),
        dynamic: true,
        synonyms: &["group.share.session.timeout.ms"],
    },
    ConfigDef {
        name: "streams.assignment.interval.ms",
        kind: Int,
        default: Some("1000"),
        rule: AtLeast(0),
        dynamic: true,
        synonyms: &["group.streams.assignment.interval.ms"],
    },
    ConfigDef {
        name: "streams.heartbeat.interval.ms",
        kind: Int,
        default: Some("5000"),
        rule: AtLeast(1),
        dynamic: true,
        synonyms: &["group.streams.heartbeat.interval.ms"],
    },
    ConfigDef {
        name: "streams.initial.rebalance.delay.ms",
        kind: Int,
        default: Some("3000"),
        rule: AtLeast(0),
        dynamic: true,
        synonyms: &["group.streams.initial.rebalance.delay.ms"],
    },
    ConfigDef {
        name: "streams.num.standby.replicas",
        kind: Int,
        default: Some("0"),
        rule: AtLeast(0),
        dynamic: true,
        synonyms: &["group.streams.num.standby.replicas"],
    },
    ConfigDef {
        name: "streams.session.timeout.ms",
        kind: Int,
        default: Some("45000"),
        rule: AtLeast(1),
        dynamic: true,
        synonyms: &["group.streams.session.timeout.ms"],
    },
];

/// The definition of a group configuration.
pub(crate) fn group_def(name: &str) -> Option<&'static ConfigDef> {
    GROUP.iter().find(|def| def.name == name)
}

/// Checks all that is set for a group, also against the bounds that a broker sets.
///
/// # Errors
/// `INVALID_CONFIG` with Kafka's message.
pub(crate) fn check_group(configs: &Configs, broker: i32, overrides: &Overrides) -> Result<(), Refusal> {
    let invalid = |why: std::string::String| Err(Refusal::new(ResponseError::InvalidConfig, why));
    if let Some(name) = overrides.keys().find(|name| group_def(name).is_none()) {
        return invalid(format!("Unknown group config name: {name}"));
    }
    for (name, value) in overrides {
        let def = group_def(name).map(|def| def.check(value));
        if let Some(Err(why)) = def {
            return invalid(why);
        }
    }
    for (name, value) in overrides {
        let Ok(number) = value.trim().parse::<i64>() else {
            continue;
        };
        for (bound, word) in [("min", "greater"), ("max", "less")] {
            let Some(limit_name) = bound_of(name, bound) else {
                continue;
            };
            let limit = configs.number(broker, &limit_name);
            if (bound == "min" && number < limit) || (bound == "max" && number > limit) {
                return invalid(format!("{name} must be {word} than or equal to {limit_name}"));
            }
        }
    }
    Ok(())
}

/// The broker configuration that bounds a group's: `group.consumer.min.session.timeout.ms` for `consumer.session.timeout.ms`.
fn bound_of(name: &str, bound: &str) -> Option<std::string::String> {
    let (kind, rest) = name.split_once('.')?;
    let rest = rest.strip_prefix("num.").unwrap_or(rest);
    let limit = format!("group.{kind}.{bound}.{rest}");
    super::configs::broker_def(&limit).map(|_| limit)
}

/// Everything that `DescribeConfigs` says of a group.
pub(crate) fn describe_group(configs: &Configs, broker: i32, group: &str) -> Vec<Described> {
    let none = Overrides::new();
    let own = configs.groups.get(group).unwrap_or(&none);
    let describe = |def: &ConfigDef| {
        let mut synonyms = Vec::new();
        if let Some(value) = own.get(def.name) {
            synonyms.push((def.name.to_owned(), Some(value.clone()), Source::Group));
        }
        let inherited = def.synonyms.first().map_or_else(Vec::new, |name| {
            let layers = configs.layers(broker, name).into_iter();
            layers
                .map(|(value, source)| ((*name).to_owned(), Some(value), source))
                .collect()
        });
        if inherited.is_empty() {
            synonyms.push((
                def.name.to_owned(),
                def.default.map(ToOwned::to_owned),
                Source::Default,
            ));
        }
        synonyms.extend(inherited);
        Described {
            name: def.name.to_owned(),
            value: synonyms[0].1.clone(),
            kind: def.kind,
            source: synonyms[0].2,
            read_only: false,
            synonyms,
        }
    };
    GROUP.iter().map(describe).collect()
}

/// The value in force for a group: its own, else the broker's.
pub(crate) fn group_value(
    configs: &Configs,
    broker: i32,
    group: &str,
    name: &str,
) -> Option<std::string::String> {
    if let Some(own) = configs.groups.get(group).and_then(|own| own.get(name)) {
        return Some(own.clone());
    }
    let def = group_def(name)?;
    match def.synonyms.first() {
        Some(inherited) => configs.broker_value(broker, inherited),
        None => def.default.map(ToOwned::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(name: &str, value: &str) -> Option<std::string::String> {
        let overrides = Overrides::from([(name.to_owned(), value.to_owned())]);
        check_group(&Configs::default(), 1, &overrides)
            .err()
            .and_then(|refusal| refusal.message)
    }

    #[test]
    fn a_groups_values_keep_within_the_brokers_bounds() {
        assert_eq!(why("consumer.session.timeout.ms", "50000"), None);
        assert_eq!(
            why("consumer.session.timeout.ms", "1").unwrap(),
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"
        );
        assert_eq!(
            why("streams.num.standby.replicas", "100").unwrap(),
            "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas"
        );
        assert_eq!(
            why("nonsense", "1").unwrap(),
            "Unknown group config name: nonsense"
        );
    }

    #[test]
    fn a_groups_own_value_counts_before_the_brokers() {
        let mut configs = Configs::default();
        let name = "consumer.session.timeout.ms";
        assert_eq!(group_value(&configs, 1, "g", name).unwrap(), "45000");
        let own = Overrides::from([(name.to_owned(), "50000".to_owned())]);
        configs.groups.insert("g".to_owned(), own);
        assert_eq!(group_value(&configs, 1, "g", name).unwrap(), "50000");
        let line = describe_group(&configs, 1, "g")
            .into_iter()
            .find(|line| line.name == name)
            .unwrap();
        assert_eq!((line.source, line.synonyms.len()), (Source::Group, 2));
    }
}
