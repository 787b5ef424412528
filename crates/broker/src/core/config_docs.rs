//! What configurations are for, in the words in which Apache Kafka 4.3.1 answers `DescribeConfigs`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::configs::Scope;

static DOCS: LazyLock<HashMap<(&'static str, String), String>> = LazyLock::new(|| {
    let lines = include_str!("config_docs.tsv").lines();
    let mut docs = HashMap::new();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let mut words = line.splitn(3, '\t');
        if let (Some(kind), Some(name), Some(text)) = (words.next(), words.next(), words.next()) {
            docs.insert((kind, name.to_owned()), text.replace("\\n", "\n"));
        }
    }
    docs
});

/// What a configuration is for, where Kafka says it.
pub(crate) fn documentation(scope: Scope, name: &str) -> Option<&'static str> {
    let kind = match scope {
        Scope::Topic => "topic",
        Scope::Broker => "broker",
        Scope::Group => "group",
        Scope::ClientMetrics | Scope::BrokerLogger => return None,
    };
    DOCS.get(&(kind, name.to_owned())).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config_table::{BROKER, TOPIC};
    use crate::core::group_configs::GROUP;

    #[test]
    fn topics_brokers_and_groups_have_documentation() {
        for (scope, table) in [(Scope::Topic, TOPIC), (Scope::Group, GROUP)] {
            for def in table {
                assert!(documentation(scope, def.name).is_some(), "{}", def.name);
            }
        }
        let known = BROKER
            .iter()
            .filter(|def| documentation(Scope::Broker, def.name).is_some());
        assert!(known.count() * 10 > BROKER.len() * 9);
    }
}
