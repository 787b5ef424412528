//! Which cluster a table of the SQL is on, and what its `properties.*` mean to librdkafka.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use streamlings_stream::KafkaOptions;

use crate::kafka::Target;

/// The addresses that the course writes into 'properties.bootstrap.servers': the lab's cluster, whatever its port is.
/// The same file then runs on a Flink beside a Kafka at its default address.
pub const DEFAULT_ADDRESSES: [&str; 2] = ["localhost:9092", "127.0.0.1:9092"];

/// The cluster that a table is on: the lab's when the SQL names none or the default address, else the one it names.
pub(super) fn target_of(options: &KafkaOptions, lab: &Target) -> Target {
    match options
        .properties
        .get("bootstrap.servers")
        .map(|address| address.trim())
    {
        None => lab.clone(),
        Some(address) if DEFAULT_ADDRESSES.contains(&address) || address == lab.bootstrap => lab.clone(),
        Some(address) => Target::new(address),
    }
}

/// Properties that the job sets by itself.
const OWN: [&str; 6] = [
    "bootstrap.servers",
    "group.id",
    "auto.offset.reset",
    "enable.auto.commit",
    "key.deserializer",
    "value.deserializer",
];

/// A client's configuration with a table's `properties.*`, and those of them that only Java's client knows: they have no effect.
pub(super) fn client_config(options: &KafkaOptions, mut config: ClientConfig) -> (ClientConfig, Vec<String>) {
    let mut without_effect = Vec::new();
    for (name, value) in foreign(&options.properties) {
        let mut probe = ClientConfig::new();
        probe.set(name, value);
        if probe.create_native_config().is_ok() {
            config.set(name, value);
        } else {
            without_effect.push(name.clone());
        }
    }
    (config, without_effect)
}

fn foreign(properties: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    properties
        .iter()
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use streamlings_stream::{Executed, Script, Session};

    fn options(address: &str) -> KafkaOptions {
        let sql = format!(
            "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json',
             'scan.startup.mode' = 'earliest-offset' {address}); SELECT a FROM t"
        );
        match Session::default()
            .run(&Script::parse(&sql).unwrap())
            .unwrap()
            .pop()
        {
            Some(Executed::Query(plan)) => plan.source().unwrap().clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_default_address_means_the_labs_cluster() {
        let lab = Target {
            prefix: "ann-".into(),
            ..Target::new("127.0.0.1:23456")
        };
        for address in ["", ", 'properties.bootstrap.servers' = 'localhost:9092'"] {
            assert_eq!(target_of(&options(address), &lab), lab);
        }
        let other = options(", 'properties.bootstrap.servers' = 'kafka-1:9092'");
        assert_eq!(target_of(&other, &lab), Target::new("kafka-1:9092"));
    }

    #[test]
    fn what_only_javas_client_knows_is_left_out_and_told() {
        let options = options(", 'properties.fetch.min.bytes' = '2', 'properties.max.poll.records' = '5'");
        let (config, without_effect) = client_config(&options, Target::new("x:1").client_config());
        assert_eq!(config.get("fetch.min.bytes"), Some("2"));
        assert_eq!(without_effect, ["max.poll.records"]);
    }
}
