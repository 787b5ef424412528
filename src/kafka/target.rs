//! How to reach the cluster, and what the lab's names are called there.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

/// A cluster that speaks the Kafka protocol: where it is, how to talk to it, and whose names these are.
///
/// A class can share one cluster: `prefix` is put before every topic and group name on the way to the cluster
/// ([`real`](Self::real)) and taken away on the way back ([`shown`](Self::shown)); names without it are other people's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `host:port[,host:port…]`, librdkafka's `bootstrap.servers`.
    pub bootstrap: String,
    /// More [librdkafka properties](https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md), such as
    /// `security.protocol`. May hold secrets: a file with them is for its owner alone.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// What every topic and group name of this lab starts with on the cluster; empty when the cluster is the lab's own.
    #[serde(default)]
    pub prefix: String,
}

impl Target {
    /// A cluster that needs no more than its address.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            properties: BTreeMap::new(),
            prefix: String::new(),
        }
    }

    /// The configuration that every client starts from. The target's properties win over the lab's choices.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", "streamlings")
            // A lab's broker is killed and started again in front of the learner: look for it twice a second.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// [`Self::client_config`] of a client that reads records.
    pub fn consumer_config(&self) -> ClientConfig {
        let mut config = self.client_config();
        // A full queue of fetched records is emptied in a few milliseconds; librdkafka else looks again after a second.
        config.set("fetch.queue.backoff.ms", "5");
        config
    }

    /// The name on the cluster of the topic or group that the lab calls `name`.
    pub fn real(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The lab's name of the topic or group that the cluster calls `real`; `None` when it isn't this lab's.
    pub fn shown<'a>(&self, real: &'a str) -> Option<&'a str> {
        real.strip_prefix(self.prefix.as_str())
    }
}

/// Words in a property's name that make its value a secret.
const SECRET_WORDS: [&str; 7] = [
    "password",
    "secret",
    "token",
    "jaas",
    "pem",
    "key",
    "oauthbearer.config",
];

/// Whether a property's value must never be printed.
pub fn is_secret(property: &str) -> bool {
    let property = property.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| property.contains(word))
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties: BTreeMap<&str, &str> = self
            .properties
            .iter()
            .map(|(name, value)| (name.as_str(), if is_secret(name) { "[hidden]" } else { value }))
            .collect();
        f.debug_struct("Target")
            .field("bootstrap", &self.bootstrap)
            .field("properties", &properties)
            .field("prefix", &self.prefix)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_to_the_cluster_with_the_prefix_and_come_back_without() {
        let target = Target {
            prefix: "ann-".into(),
            ..Target::new("127.0.0.1:9092")
        };
        assert_eq!(target.real("rides"), "ann-rides");
        assert_eq!(target.shown("ann-rides"), Some("rides"));
        assert_eq!(target.shown("bob-rides"), None);
        assert_eq!(Target::new("x:1").shown("rides"), Some("rides"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut target = Target::new("127.0.0.1:9092");
        for (name, value) in [
            ("sasl.username", "ann"),
            ("sasl.password", "hunter2"),
            ("ssl.key.pem", "hunter2"),
            ("sasl.oauthbearer.client.secret", "hunter2"),
            ("sasl.oauthbearer.config", "secret=hunter2"),
            ("ssl.keystore.password", "hunter2"),
        ] {
            target.properties.insert(name.into(), value.into());
        }
        let text = format!("{target:?}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("ann") && text.contains("[hidden]"), "{text}");
    }

    #[test]
    fn the_address_is_the_targets_own_and_its_properties_win() {
        let mut target = Target::new("127.0.0.1:9092");
        target.properties.insert("client.id".into(), "mine".into());
        target
            .properties
            .insert("bootstrap.servers".into(), "elsewhere:1".into());
        let config = target.client_config();
        assert_eq!(config.get("bootstrap.servers"), Some("127.0.0.1:9092"));
        assert_eq!(config.get("client.id"), Some("mine"));
    }
}
