//! Configurations as they are altered: changes applied to what is set, checked as a whole, journalled, put in force.

use kafka_protocol::ResponseError;

use super::Refusal;
use super::client_metrics::check_metrics;
use super::configs::{self, Change, ConfigDef, Overrides, Type};
use super::group_configs::{check_group, group_def, group_value};
use super::journal::Record;
use super::topics::check_name;

type Changes = [(String, Change, Option<String>)];

impl super::Core {
    /// Applies changes to a copy of what is set for a topic, and checks the result.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn changed_topic_configs(&self, name: &str, changes: &Changes) -> Result<Overrides, Refusal> {
        if name.is_empty() {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "Default topic resources are not allowed.",
            ));
        }
        check_name(name)?;
        let Some(topic) = self.topics.get(name) else {
            return Err(Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                format!("The topic '{name}' does not exist."),
            ));
        };
        let mut overrides = topic.configs.clone();
        let broker = self.first_broker();
        let current = |overrides: &Overrides, key: &str| self.configs.topic_value(broker, overrides, key);
        for (key, change, value) in changes {
            let now = Some(current(&overrides, key));
            configs::apply_change(
                &mut overrides,
                now,
                configs::topic_def(key),
                key,
                *change,
                value.as_deref(),
            )?;
        }
        configs::check_topic(&overrides)?;
        Ok(overrides)
    }

    /// The same for a broker, or for all.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn changed_broker_configs(
        &self,
        broker: Option<i32>,
        changes: &Changes,
    ) -> Result<Overrides, Refusal> {
        let mut overrides = match broker {
            Some(id) => self.configs.per_broker.get(&id).cloned().unwrap_or_default(),
            None => self.configs.for_all.clone(),
        };
        for (key, change, value) in changes {
            let def = configs::broker_def(key);
            if matches!(change, Change::Append | Change::Subtract)
                && def.is_none_or(|def| def.kind != Type::List)
            {
                let word = if *change == Change::Append {
                    "append"
                } else {
                    "subtract"
                };
                return Err(invalid_config(match def {
                    Some(_) => format!("Config value {word} is not allowed for config key: {key}"),
                    None => format!("Unknown config name: {key}"),
                }));
            }
            let now = overrides.get(key).cloned().or_else(|| {
                let asked = broker.unwrap_or(self.first_broker());
                self.configs.broker_value(asked, key)
            });
            configs::apply_change(&mut overrides, now, def, key, *change, value.as_deref())?;
        }
        self.check_broker(broker, &overrides)?;
        Self::check_min_in_sync(broker, changes)?;
        Ok(overrides)
    }

    /// Changes what is set for a group.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn change_group_configs(
        &mut self,
        group: &str,
        changes: &Changes,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        if group.is_empty() {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "Default group resources are not allowed.",
            ));
        }
        let broker = self.first_broker();
        let mut overrides = self.configs.groups.get(group).cloned().unwrap_or_default();
        for (key, change, value) in changes {
            let now = group_value(&self.configs, broker, group, key);
            configs::apply_change(
                &mut overrides,
                now,
                group_def(key),
                key,
                *change,
                value.as_deref(),
            )?;
        }
        check_group(&self.configs, broker, &overrides)?;
        if validate_only {
            return Ok(());
        }
        self.journal(&[Record::GroupConfigs {
            group: group.to_owned(),
            configs: overrides.clone(),
        }])?;
        self.configs.set_group(group, overrides);
        Ok(())
    }

    /// Changes what is set for a subscription of client metrics.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn change_client_metrics(
        &mut self,
        name: &str,
        changes: &Changes,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::new(
                ResponseError::InvalidRequest,
                "Subscription name can't be empty",
            ));
        }
        let mut overrides = self.configs.client_metrics.get(name).cloned().unwrap_or_default();
        // To Kafka's controller none of them is a list.
        let def: Option<&ConfigDef> = None;
        for (key, change, value) in changes {
            configs::apply_change(&mut overrides, None, def, key, *change, value.as_deref())?;
        }
        check_metrics(&overrides)?;
        if validate_only {
            return Ok(());
        }
        self.journal(&[Record::ClientMetrics {
            name: name.to_owned(),
            configs: overrides.clone(),
        }])?;
        self.configs.set_client_metrics(name, overrides);
        Ok(())
    }

    /// The groups that have configurations of their own.
    pub(crate) fn group_config_names(&self) -> Vec<String> {
        self.configs.groups.keys().cloned().collect()
    }

    fn check_broker(&self, broker: Option<i32>, overrides: &Overrides) -> Result<(), Refusal> {
        let invalid = |why: String| Refusal::new(ResponseError::InvalidRequest, why);
        let named = |wanted: fn(&ConfigDef) -> bool| {
            let keys = overrides.keys().map(String::as_str);
            let found: Vec<&str> = keys
                .filter(|key| configs::broker_def(key).is_some_and(wanted))
                .collect();
            (!found.is_empty()).then(|| found.join(", "))
        };
        if let Some(names) = named(|def| !def.dynamic) {
            return Err(invalid(format!(
                "Cannot update these configs dynamically: [{names}]"
            )));
        }
        if let Some(names) = named(|def| def.name.starts_with("ssl.")) {
            return Err(invalid(format!(
                "These security configs can be dynamically updated only per-listener using the listener prefix: [{names}]"
            )));
        }
        for (key, value) in overrides {
            if let Some(def) = configs::broker_def(key) {
                def.check(value).map_err(invalid)?;
                self.check_threads(broker, key, value).map_err(invalid)?;
            }
        }
        Ok(())
    }

    /// A number of threads may at most double or halve at a time.
    fn check_threads(&self, broker: Option<i32>, key: &str, value: &str) -> Result<(), String> {
        let cleaner = key == "log.cleaner.threads";
        if !THREADS.contains(&key) && !cleaner {
            return Ok(());
        }
        let current = self.configs.number(broker.unwrap_or(self.first_broker()), key);
        let wanted: i64 = value.trim().parse().unwrap_or(current);
        let why = match (cleaner, wanted) {
            // Kafka shares the cleaners' buffers out first, and says what came of it.
            (true, 0) => return Err("/ by zero".to_owned()),
            (true, _) if wanted > current * 2 => format!(
                "Log cleaner threads cannot be increased to more than double the current value {current}"
            ),
            (true, _) if wanted < current / 2 => {
                format!("Log cleaner threads cannot be reduced to less than half the current value {current}")
            }
            (false, _) if wanted > current * 2 => format!(
                "Dynamic thread count update validation failed for {key}={wanted}, value should not be greater than \
                 double the current value {current}"
            ),
            (false, _) if wanted < current / 2 => format!(
                "Dynamic thread count update validation failed for {key}={wanted}, value should be at least half the \
                 current value {current}"
            ),
            _ => return Ok(()),
        };
        Err(format!(
            "Invalid value org.apache.kafka.common.config.ConfigException: {why} for configuration Invalid dynamic \
             configuration"
        ))
    }

    /// With eligible leader replicas, as a cluster of Kafka 4.3 has them, `min.insync.replicas` is one number for the whole
    /// cluster, and always set (KIP-966).
    fn check_min_in_sync(broker: Option<i32>, changes: &Changes) -> Result<(), Refusal> {
        let named = changes
            .iter()
            .rev()
            .find(|(key, _, _)| key == "min.insync.replicas");
        match (broker, named) {
            (Some(_), Some(_)) => Err(invalid_config(
                "Broker-level min.insync.replicas cannot be altered while ELR is enabled.".to_owned(),
            )),
            (None, Some((_, Change::Delete, _))) => Err(invalid_config(
                "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// Numbers of threads that a broker changes while it runs.
const THREADS: [&str; 5] = [
    "num.io.threads",
    "num.network.threads",
    "num.replica.fetchers",
    "num.recovery.threads.per.data.dir",
    "background.threads",
];

fn invalid_config(why: String) -> Refusal {
    Refusal::new(ResponseError::InvalidConfig, why)
}
