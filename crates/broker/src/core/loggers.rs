//! Log levels of the broker's loggers, as far as this cluster has any: the root logger's level is kept and told.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use super::Refusal;
use super::configs::Change;

/// The levels of Log4j, as Kafka's messages list them.
const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];
/// The one logger.
pub(crate) const ROOT: &str = "root";

/// Levels by broker; they end with the process, as in Kafka.
#[derive(Debug, Default)]
pub(crate) struct Loggers {
    root: BTreeMap<i32, String>,
}

impl Loggers {
    /// The level of a broker's root logger.
    pub(crate) fn root(&self, broker: i32) -> &str {
        self.root.get(&broker).map_or("INFO", String::as_str)
    }

    /// Takes a change that [`check`] has passed.
    pub(crate) fn set(&mut self, broker: i32, level: &str) {
        self.root.insert(broker, level.to_owned());
    }
}

/// Checks changes of levels.
///
/// # Errors
/// Kafka's code and message.
pub(crate) fn check(changes: &[(String, Change, Option<String>)]) -> Result<(), Refusal> {
    let config = |why: String| Err(Refusal::new(ResponseError::InvalidConfig, why));
    let request = |why: String| Err(Refusal::new(ResponseError::InvalidRequest, why));
    for (name, change, value) in changes {
        match change {
            Change::Append | Change::Subtract => {
                let word = if *change == Change::Append {
                    "APPEND"
                } else {
                    "SUBTRACT"
                };
                return request(format!(
                    "{word} operation is not allowed for the BROKER_LOGGER resource"
                ));
            }
            Change::Set | Change::Delete if name != ROOT => {
                return config(format!("Logger {name} does not exist!"));
            }
            Change::Delete => {
                return request("Removing the log level of the root logger is not allowed".to_owned());
            }
            Change::Set => {
                let level = value.as_deref().unwrap_or_default();
                if !LEVELS.contains(&level) {
                    return config(format!(
                        "Cannot set the log level of {name} to {level} as it is not a supported log level. Valid log \
                         levels are {}",
                        LEVELS.join(", ")
                    ));
                }
            }
        }
    }
    Ok(())
}
