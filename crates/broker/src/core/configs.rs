//! Topic and broker configurations: what may be set, what is in force, and where it comes from.

use std::collections::{BTreeMap, HashMap};

use kafka_protocol::ResponseError;

use super::Refusal;
use super::config_table::{BROKER, TOPIC, UNLISTED};

/// A configuration's type, with the numbers of the `DescribeConfigs` response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Type {
    /// A logger's level.
    Unknown = 0,
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// Which values of the right type are allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    OneOf(&'static [&'static str]),
    Each(&'static [&'static str]),
    GzipLevel,
    Throttled,
    /// `earliest`, `latest` or `by_duration:` with an ISO 8601 duration.
    ShareReset,
}

/// One configuration that Kafka knows.
#[derive(Debug)]
pub(crate) struct ConfigDef {
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
    pub(crate) default: Option<&'static str>,
    pub(crate) rule: Rule,
    /// May it change while the broker runs.
    pub(crate) dynamic: bool,
    /// For a topic's configuration: the broker configurations that give its default, strongest first.
    pub(crate) synonyms: &'static [&'static str],
}

/// Where a value comes from, with the numbers of the `DescribeConfigs` response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    BrokerLogger = 6,
    ClientMetrics = 7,
    Group = 8,
}

/// What has configurations, with the numbers of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub(crate) enum Scope {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl Scope {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Topic,
        Self::Broker,
        Self::BrokerLogger,
        Self::ClientMetrics,
        Self::Group,
    ];

    /// The scope behind the protocol's number.
    pub(crate) fn from_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| *scope as i8 == code)
    }
}

/// One line of a description.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) kind: Type,
    pub(crate) source: Source,
    pub(crate) read_only: bool,
    /// Name, value and source of everything that would apply, strongest first.
    pub(crate) synonyms: Vec<(String, Option<String>, Source)>,
}

/// What somebody has set for one resource.
pub(crate) type Overrides = BTreeMap<String, String>;

/// The broker's side: what its builder set, and what was altered since.
#[derive(Debug, Default)]
pub(crate) struct Configs {
    /// Set when the cluster was built, per broker id.
    pub(crate) fixed: HashMap<i32, Overrides>,
    /// Altered for one broker.
    pub(crate) per_broker: BTreeMap<i32, Overrides>,
    /// Altered for all brokers.
    pub(crate) for_all: Overrides,
    /// Set for a group.
    pub(crate) groups: BTreeMap<String, Overrides>,
    /// Set for a subscription of client metrics.
    pub(crate) client_metrics: BTreeMap<String, Overrides>,
}

/// The definition of a topic configuration.
pub(crate) fn topic_def(name: &str) -> Option<&'static ConfigDef> {
    TOPIC.iter().find(|def| def.name == name)
}

/// The definition of a broker configuration.
pub(crate) fn broker_def(name: &str) -> Option<&'static ConfigDef> {
    listed_broker_def(name).or_else(|| UNLISTED.iter().find(|def| def.name == name))
}

fn listed_broker_def(name: &str) -> Option<&'static ConfigDef> {
    BROKER
        .binary_search_by(|def| def.name.cmp(name))
        .ok()
        .map(|at| &BROKER[at])
}

/// The names of all configurations, of topics first.
#[cfg(any(test, fuzzing))]
pub(crate) fn names() -> Vec<&'static str> {
    TOPIC.iter().chain(BROKER).map(|def| def.name).collect()
}

/// The broker configurations that stand in for one that is not set, itself first.
fn stand_ins(name: &str) -> Vec<&str> {
    let mut names = vec![name];
    names.extend_from_slice(match name {
        "log.retention.ms" => &["log.retention.minutes", "log.retention.hours"],
        "log.retention.minutes" => &["log.retention.hours"],
        "log.roll.ms" => &["log.roll.hours"],
        "log.roll.jitter.ms" => &["log.roll.jitter.hours"],
        "log.flush.interval.ms" => &["log.flush.scheduler.interval.ms"],
        _ => &[],
    });
    names
}

/// A value as Kafka shows it once it has been read: numbers without the spaces around them, lists joined by commas.
pub(crate) fn shown(kind: Type, value: &str) -> String {
    match kind {
        Type::Boolean => value.trim().to_ascii_lowercase(),
        Type::List => split_list(value).collect::<Vec<_>>().join(","),
        Type::Double => value.trim().parse::<f64>().map_or_else(
            |_| value.to_owned(),
            |number| format!("{number:?}").replace('e', "E"),
        ),
        Type::Password | Type::Unknown => value.to_owned(),
        _ => value.trim().to_owned(),
    }
}

impl ConfigDef {
    /// Checks a value as Kafka's `ConfigDef` does.
    ///
    /// # Errors
    /// Kafka's own message.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let value = value.trim();
        let wrong = |shown: &str, why: &str| {
            Err(format!(
                "Invalid value {shown} for configuration {}: {why}",
                self.name
            ))
        };
        let number = match self.kind {
            Type::Boolean if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => {
                return Ok(());
            }
            Type::Boolean => return wrong(value, "Expected value to be either true or false"),
            Type::Int => value.parse::<i32>().map(f64::from).map_err(|_| "INT"),
            Type::Short => value.parse::<i16>().map(f64::from).map_err(|_| "SHORT"),
            Type::Long => value.parse::<i64>().map(|v| v as f64).map_err(|_| "LONG"),
            Type::Double => value.parse::<f64>().map_err(|_| "DOUBLE"),
            Type::Unknown | Type::String | Type::List | Type::Class | Type::Password => {
                return self.check_text(value);
            }
        };
        let number = match number {
            Ok(number) => number,
            Err(kind) => return wrong(value, &format!("Not a number of type {kind}")),
        };
        let shown = if self.kind == Type::Double {
            format!("{number:?}")
        } else {
            value.to_owned()
        };
        match self.rule {
            Rule::AtLeast(least) | Rule::Between(least, _) if number < least as f64 => {
                wrong(&shown, &format!("Value must be at least {least}"))
            }
            Rule::Between(_, most) if number > most as f64 => {
                wrong(&shown, &format!("Value must be no more than {most}"))
            }
            Rule::GzipLevel if value != "-1" && !(1.0..=9.0).contains(&number) => {
                wrong(&shown, "Value must be between 1 and 9 or equal to -1")
            }
            _ => Ok(()),
        }
    }

    fn check_text(&self, value: &str) -> Result<(), String> {
        let one_of = |shown: &str, allowed: &[&str]| {
            Err(format!(
                "Invalid value {shown} for configuration {}: String must be one of: {}",
                self.name,
                allowed.join(", ")
            ))
        };
        match self.rule {
            Rule::OneOf(allowed) if !allowed.contains(&value) => one_of(value, allowed),
            Rule::Each(_) if !value.is_empty() && value.split(',').any(|item| item.trim().is_empty()) => {
                Err(format!("Configuration '{}' values must not be empty.", self.name))
            }
            Rule::Each(allowed) => match split_list(value).find(|item| !allowed.contains(item)) {
                Some(item) => one_of(item, allowed),
                None => Ok(()),
            },
            Rule::ShareReset if !is_share_reset(value) => Err(format!(
                "Invalid value {value} for configuration {name}: Invalid value `{value}` for configuration {name}. The \
                 value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
                name = self.name,
            )),
            Rule::Throttled if !throttled_replicas(value) => Err(format!(
                "Invalid value [{}] for configuration {name}: {name} must be the literal '*' or a list of replicas in \
                 the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                split_list(value).collect::<Vec<_>>().join(", "),
                name = self.name,
            )),
            _ => Ok(()),
        }
    }
}

fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn is_share_reset(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    match value.strip_prefix("by_duration:") {
        Some(duration) => {
            let body = duration.strip_prefix('p').unwrap_or_default();
            let known = |c: char| c.is_ascii_digit() || "dthms.".contains(c);
            body.len() > 1 && body.chars().all(known) && body.ends_with(['d', 'h', 'm', 's'])
        }
        None => value == "earliest" || value == "latest",
    }
}

fn throttled_replicas(value: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    value.is_empty()
        || value == "*"
        || split_list(value).all(|item| item.split_once(':').is_some_and(|(p, b)| number(p) && number(b)))
}

/// One change of one configuration, as `IncrementalAlterConfigs` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Change {
    /// The change behind the protocol's number.
    pub(crate) fn from_code(code: i8) -> Option<Self> {
        Some(match code {
            0 => Self::Set,
            1 => Self::Delete,
            2 => Self::Append,
            3 => Self::Subtract,
            _ => return None,
        })
    }
}

/// Checks a topic's configurations.
///
/// # Errors
/// `INVALID_CONFIG` with Kafka's message.
pub(crate) fn check_topic(overrides: &Overrides) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::new(ResponseError::InvalidConfig, why));
    if let Some(name) = overrides.keys().find(|name| topic_def(name).is_none()) {
        return invalid(format!("Unknown topic config name: {name}"));
    }
    for def in TOPIC {
        if let Some(Err(why)) = overrides.get(def.name).map(|value| def.check(value)) {
            return invalid(why);
        }
    }
    let number = |name: &str| {
        let default = topic_def(name).and_then(|def| def.default);
        let value = overrides.get(name).map(String::as_str).or(default);
        value
            .and_then(|value| value.trim().parse::<i64>().ok())
            .unwrap_or_default()
    };
    let (least, most) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if least > most {
        return invalid(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        ));
    }
    let remote = overrides.get("remote.storage.enable");
    if remote.is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return invalid(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                .to_owned(),
        );
    }
    Ok(())
}

/// Applies one change to a resource's overrides.
///
/// # Errors
/// `INVALID_CONFIG` or `INVALID_REQUEST` with Kafka's message.
pub(crate) fn apply_change(
    overrides: &mut Overrides,
    current: Option<String>,
    def: Option<&ConfigDef>,
    name: &str,
    change: Change,
    value: Option<&str>,
) -> Result<(), Refusal> {
    if change == Change::Delete {
        overrides.remove(name);
        return Ok(());
    }
    let Some(value) = value else {
        return Err(Refusal::new(
            ResponseError::InvalidRequest,
            format!("Null value not supported for : {name}"),
        ));
    };
    if change == Change::Set {
        overrides.insert(name.to_owned(), value.to_owned());
        return Ok(());
    }
    let word = if change == Change::Append {
        "APPEND"
    } else {
        "SUBTRACT"
    };
    if def.is_none_or(|def| def.kind != Type::List) {
        return Err(Refusal::new(
            ResponseError::InvalidConfig,
            format!("Can't {word} to key {name} because its type is not LIST."),
        ));
    }
    let current = current.unwrap_or_default();
    let mut items: Vec<&str> = split_list(&current).collect();
    for item in split_list(value) {
        if change == Change::Append {
            if !items.contains(&item) {
                items.push(item);
            }
        } else {
            items.retain(|old| *old != item);
        }
    }
    overrides.insert(name.to_owned(), items.join(","));
    Ok(())
}

impl Configs {
    /// Puts a group's configurations in force.
    pub(crate) fn set_group(&mut self, group: &str, configs: Overrides) {
        set_or_clear(&mut self.groups, group, configs);
    }

    /// Puts a subscription of client metrics in force.
    pub(crate) fn set_client_metrics(&mut self, name: &str, configs: Overrides) {
        set_or_clear(&mut self.client_metrics, name, configs);
    }

    /// What is in force for a broker configuration, strongest first, with where each comes from.
    pub(super) fn layers(&self, broker: i32, name: &str) -> Vec<(String, Source)> {
        let of = |overrides: Option<&Overrides>, source| {
            overrides
                .and_then(|o| o.get(name))
                .map(|value| (value.clone(), source))
        };
        let default = broker_def(name)
            .and_then(|def| def.default)
            .map(|value| (value.to_owned(), Source::Default));
        [
            of(self.per_broker.get(&broker), Source::DynamicBroker),
            of(Some(&self.for_all), Source::DynamicDefaultBroker),
            of(self.fixed.get(&broker), Source::StaticBroker),
            default,
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The value in force for a broker configuration.
    pub(crate) fn broker_value(&self, broker: i32, name: &str) -> Option<String> {
        self.layers(broker, name)
            .into_iter()
            .next()
            .map(|(value, _)| value)
    }

    /// A number that is in force for a broker; the table's defaults are all well-formed.
    pub(crate) fn number(&self, broker: i32, name: &str) -> i64 {
        self.broker_value(broker, name)
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or_default()
    }

    /// A switch that is in force for a broker.
    pub(crate) fn switch(&self, broker: i32, name: &str) -> bool {
        self.broker_value(broker, name)
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    }

    /// The value in force for a topic on a broker: the topic's own, else the broker's, else Kafka's default.
    pub(crate) fn topic_value(&self, broker: i32, topic: &Overrides, name: &str) -> String {
        if let Some(value) = topic.get(name) {
            return value.clone();
        }
        let Some(def) = topic_def(name) else {
            return String::new();
        };
        for synonym in def.synonyms {
            if let Some((value, source)) = self.layers(broker, synonym).into_iter().next()
                && source != Source::Default
            {
                return in_topic_units(synonym, &value);
            }
        }
        def.default.unwrap_or_default().to_owned()
    }

    /// Everything that `DescribeConfigs` says of a topic.
    pub(crate) fn describe_topic(&self, broker: i32, topic: &Overrides) -> Vec<Described> {
        TOPIC
            .iter()
            .map(|def| self.describe_topic_config(broker, topic, def))
            .collect()
    }

    fn describe_topic_config(&self, broker: i32, topic: &Overrides, def: &ConfigDef) -> Described {
        let mut synonyms = Vec::new();
        if let Some(value) = topic.get(def.name) {
            synonyms.push((def.name.to_owned(), Some(value.clone()), Source::Topic));
        }
        // Kafka lists the layers of the strongest broker configuration, and of what stands in for that one.
        if let Some(name) = def.synonyms.first() {
            synonyms.extend(self.synonyms(broker, name));
        }
        let source = synonyms.first().map_or(Source::Default, |(_, _, source)| *source);
        Described {
            name: def.name.to_owned(),
            value: Some(self.topic_value(broker, topic, def.name)),
            kind: def.kind,
            source,
            read_only: false,
            synonyms,
        }
    }

    /// All layers of a broker configuration and of those that stand in for it, by source; as in Kafka, from the first that
    /// has its own name on.
    fn synonyms(&self, broker: i32, name: &str) -> Vec<(String, Option<String>, Source)> {
        let names = stand_ins(name);
        let mut all: Vec<_> = names
            .iter()
            .flat_map(|name| {
                self.layers(broker, name)
                    .into_iter()
                    .map(move |layer| (*name, layer))
            })
            .collect();
        all.sort_by_key(|(_, (_, source))| *source as i8);
        let own = all.into_iter().skip_while(|(found, _)| *found != name);
        own.map(|(name, (value, source))| (name.to_owned(), Some(value), source))
            .collect()
    }

    /// Everything that `DescribeConfigs` says of a broker; also names that Kafka doesn't know, which may be some plugin's.
    pub(crate) fn describe_broker(&self, broker: i32) -> Vec<Described> {
        let known = BROKER.iter().map(|def| self.describe_broker_config(broker, def));
        let altered = [self.per_broker.get(&broker), Some(&self.for_all)];
        let others = altered
            .into_iter()
            .flatten()
            .flat_map(|overrides| overrides.keys());
        let others = others.filter(|name| listed_broker_def(name).is_none());
        let mut described: Vec<Described> = known.collect();
        for name in others {
            if !described.iter().any(|line| line.name == *name) {
                described.push(self.describe_unlisted(broker, name));
            }
        }
        described
    }

    /// A configuration that only shows where it is set. The value of one that Kafka doesn't know may be a secret.
    fn describe_unlisted(&self, broker: i32, name: &str) -> Described {
        let def = broker_def(name);
        let show = |value: String| def.map(|_| value);
        let layers = self.layers(broker, name);
        Described {
            name: name.to_owned(),
            value: layers.first().and_then(|(value, _)| show(value.clone())),
            kind: def.map_or(Type::Unknown, |def| def.kind),
            source: layers.first().map_or(Source::Default, |(_, source)| *source),
            read_only: def.is_none(),
            synonyms: layers
                .into_iter()
                .map(|(value, source)| (name.to_owned(), show(value), source))
                .collect(),
        }
    }

    fn describe_broker_config(&self, broker: i32, def: &ConfigDef) -> Described {
        let secret = def.kind == Type::Password;
        let layers = self.layers(broker, def.name);
        let source = layers.first().map_or(Source::Default, |(_, source)| *source);
        let hide = |value: String| if secret { None } else { Some(value) };
        let synonyms = self.synonyms(broker, def.name).into_iter();
        Described {
            name: def.name.to_owned(),
            value: layers.first().and_then(|(value, _)| hide(value.clone())),
            kind: def.kind,
            source,
            read_only: !def.dynamic,
            synonyms: synonyms
                .map(|(name, value, source)| (name, value.and_then(hide), source))
                .collect(),
        }
    }

    /// What was altered for all brokers, as `DescribeConfigs` of the nameless broker says it.
    pub(crate) fn describe_all_brokers(&self) -> Vec<Described> {
        let line = |(name, value): (&String, &String)| {
            let kind = broker_def(name).map_or(Type::String, |def| def.kind);
            let value = if kind == Type::Password {
                None
            } else {
                Some(value.clone())
            };
            Described {
                name: name.clone(),
                value: value.clone(),
                kind,
                source: Source::DynamicDefaultBroker,
                read_only: false,
                synonyms: vec![(name.clone(), value, Source::DynamicDefaultBroker)],
            }
        };
        self.for_all.iter().map(line).collect()
    }
}

fn set_or_clear(all: &mut BTreeMap<String, Overrides>, name: &str, configs: Overrides) {
    if configs.is_empty() {
        all.remove(name);
    } else {
        all.insert(name.to_owned(), configs);
    }
}

/// A broker's hours and minutes as the topic's milliseconds.
fn in_topic_units(synonym: &str, value: &str) -> String {
    let factor = match synonym.rsplit('.').next() {
        Some("hours") => 3_600_000,
        Some("minutes") => 60_000,
        _ => return value.to_owned(),
    };
    value.trim().parse::<i64>().map_or_else(
        |_| value.to_owned(),
        |number| number.saturating_mul(factor).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> String {
        topic_def(name).unwrap().check(value).unwrap_err()
    }

    #[test]
    fn values_are_refused_in_kafkas_words() {
        assert_eq!(
            refused("retention.ms", "abc"),
            "Invalid value abc for configuration retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            refused("min.cleanable.dirty.ratio", "2"),
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"
        );
        assert_eq!(
            refused("cleanup.policy", "delete,foo"),
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete"
        );
        assert!(topic_def("retention.ms").unwrap().check(" 5 ").is_ok());
    }

    #[test]
    fn the_broker_table_is_sorted_and_its_defaults_pass_their_own_rules() {
        assert!(BROKER.is_sorted_by_key(|def| def.name));
        for def in TOPIC.iter().chain(BROKER) {
            if let Some(default) = def.default {
                assert_eq!(def.check(default), Ok(()), "{}", def.name);
            }
            for synonym in def.synonyms {
                assert!(broker_def(synonym).is_some(), "{synonym}");
            }
        }
    }

    #[test]
    fn a_topics_default_follows_the_brokers_hours() {
        let mut configs = Configs::default();
        configs.fixed.insert(
            1,
            Overrides::from([("log.retention.hours".to_owned(), "2".to_owned())]),
        );
        assert_eq!(
            configs.topic_value(1, &Overrides::new(), "retention.ms"),
            "7200000"
        );
        let own = Overrides::from([("retention.ms".to_owned(), "5".to_owned())]);
        assert_eq!(configs.topic_value(1, &own, "retention.ms"), "5");
    }
}
