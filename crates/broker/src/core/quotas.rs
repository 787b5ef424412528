//! Client quotas (KIP-546): kept and told as in Kafka. Who is held back by them: [`throttles`](super::throttles).

use std::collections::BTreeMap;
use std::net::IpAddr;

use kafka_protocol::ResponseError;

use super::Refusal;
use super::journal::Record;

/// Whom a quota is for: types, each with a name, or none for the default.
pub(crate) type Entity = BTreeMap<String, Option<String>>;

/// The quotas in force.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    by_entity: BTreeMap<Entity, BTreeMap<String, f64>>,
}

/// Whose requests are counted together: those of a user, of a client, or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) user: bool,
    pub(crate) client: bool,
}

/// What is asked of one type of entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match {
    Exactly(String),
    Default,
    Any,
}

/// One change of one quota.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) key: String,
    /// None removes it.
    pub(crate) value: Option<f64>,
}

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";
/// The principal of everyone on a PLAINTEXT listener.
const ANONYMOUS: &str = "ANONYMOUS";

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::new(ResponseError::InvalidRequest, why)
}

impl Quotas {
    /// The entities that fit, with their quotas. A strict filter takes only entities of just these types.
    pub(crate) fn find<'a>(
        &'a self,
        filter: &'a BTreeMap<String, Match>,
        strict: bool,
    ) -> impl Iterator<Item = (&'a Entity, &'a BTreeMap<String, f64>)> {
        self.by_entity.iter().filter(move |(entity, _)| {
            let fits = filter
                .iter()
                .all(|(kind, wanted)| match (entity.get(kind), wanted) {
                    (Some(Some(name)), Match::Exactly(wanted)) => name == wanted,
                    (Some(None), Match::Default) | (Some(_), Match::Any) => true,
                    _ => false,
                });
            fits && (!strict || entity.len() == filter.len())
        })
    }

    /// Has nobody a quota.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_entity.is_empty()
    }

    /// The quota of a kind that is for a client: the one of the entity that says most, as in Kafka.
    pub(crate) fn limit(&self, kind: &str, client: &str) -> Option<(Share, f64)> {
        if self.is_empty() {
            return None;
        }
        let (me, users) = ((USER, Some(ANONYMOUS)), (USER, None));
        let (this, clients) = ((CLIENT_ID, Some(client)), (CLIENT_ID, None));
        let levels: [&[(&str, Option<&str>)]; 8] = [
            &[me, this],
            &[me, clients],
            &[me],
            &[users, this],
            &[users, clients],
            &[users],
            &[this],
            &[clients],
        ];
        for level in levels {
            let share = Share {
                user: level.iter().any(|(kind, _)| *kind == USER),
                client: level.iter().any(|(kind, _)| *kind == CLIENT_ID),
            };
            // Who has no name is no client.
            if share.client && client.is_empty() {
                continue;
            }
            let values = self.by_entity.get(&entity(level));
            if let Some(most) = values.and_then(|values| values.get(kind)) {
                return Some((share, *most));
            }
        }
        None
    }

    /// All entities, for the journal.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.by_entity
            .iter()
            .map(|(entity, values)| record(entity, values))
    }

    /// Takes what the journal says of one entity.
    pub(crate) fn restore(&mut self, entity: Entity, values: &BTreeMap<String, String>) {
        let values: BTreeMap<String, f64> = values
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.parse().ok()?)))
            .collect();
        if values.is_empty() {
            self.by_entity.remove(&entity);
        } else {
            self.by_entity.insert(entity, values);
        }
    }
}

fn entity(parts: &[(&str, Option<&str>)]) -> Entity {
    let parts = parts.iter();
    parts
        .map(|(kind, name)| ((*kind).to_owned(), name.map(ToOwned::to_owned)))
        .collect()
}

fn record(entity: &Entity, values: &BTreeMap<String, f64>) -> Record {
    Record::ClientQuota {
        entity: entity.clone(),
        values: values
            .iter()
            .map(|(key, value)| (key.clone(), value.to_string()))
            .collect(),
    }
}

/// Checks a filter's parts: type, number of the match and name.
///
/// # Errors
/// Kafka's code and message.
pub(crate) fn filter<'a>(
    parts: impl Iterator<Item = (&'a str, i8, Option<&'a str>)>,
) -> Result<BTreeMap<String, Match>, Refusal> {
    let mut filter = BTreeMap::new();
    for (kind, code, name) in parts {
        if kind.is_empty() {
            return Err(invalid("Invalid empty entity type."));
        }
        if filter.contains_key(kind) {
            return Err(invalid(format!(
                "Entity type {kind} cannot appear more than once in the filter."
            )));
        }
        let wanted = match (code, name) {
            (0, Some(name)) => Match::Exactly(name.to_owned()),
            (0, None) => {
                return Err(invalid(
                    "Request specified MATCH_TYPE_EXACT, but set match string to null.",
                ));
            }
            (1, None) => Match::Default,
            (2, None) => Match::Any,
            (1 | 2, Some(_)) => {
                let name = if code == 1 { "DEFAULT" } else { "SPECIFIED" };
                return Err(invalid(format!(
                    "Request specified MATCH_TYPE_{name}, but also specified a match string."
                )));
            }
            (other, _) => return Err(invalid(format!("Unknown match type {other}"))),
        };
        if ![USER, CLIENT_ID, IP].contains(&kind) {
            return Err(Refusal::new(
                ResponseError::UnsupportedVersion,
                format!("Unsupported entity type {kind}"),
            ));
        }
        filter.insert(kind.to_owned(), wanted);
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        return Err(invalid(
            "Invalid entity filter component combination. IP filter component should not be used with user or clientId \
             filter component.",
        ));
    }
    Ok(filter)
}

fn check_entity(entity: &Entity) -> Result<(), Refusal> {
    if entity.is_empty() {
        return Err(invalid("Invalid empty client quota entity"));
    }
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
            return Err(invalid(format!("Unhandled client quota entity type: {kind}")));
        }
        if name.as_ref().is_some_and(String::is_empty) {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
    }
    if entity.contains_key(IP) && entity.len() > 1 {
        return Err(invalid(
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
        ));
    }
    match entity.get(IP) {
        Some(Some(name)) if name != "localhost" && name.parse::<IpAddr>().is_err() => {
            Err(invalid(format!("{name} is not a valid IP or resolvable host.")))
        }
        _ => Ok(()),
    }
}

/// The largest whole number that a quota of this key may be; infinite where fractions are possible.
fn limit(entity: &Entity, key: &str) -> Option<(f64, &'static str)> {
    match (entity.contains_key(IP), key) {
        (true, "connection_creation_rate") => Some((f64::from(i32::MAX), "INT")),
        (false, "producer_byte_rate" | "consumer_byte_rate") => Some((i64::MAX as f64, "LONG")),
        (false, "request_percentage" | "controller_mutation_rate") => Some((f64::INFINITY, "DOUBLE")),
        _ => None,
    }
}

fn check_value(entity: &Entity, key: &str, value: f64) -> Result<(), Refusal> {
    let Some((most, kind)) = limit(entity, key) else {
        return Err(invalid(format!("Invalid configuration key {key}")));
    };
    if value.is_nan() || value <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    if value > most {
        return Err(invalid(format!(
            "Proposed value for {key} is too large for a {kind}."
        )));
    }
    if most.is_finite() && (value % 1.0).abs() > 1e-6 {
        return Err(invalid(format!("{key} cannot be a fractional value.")));
    }
    Ok(())
}

impl super::Core {
    /// Changes an entity's quotas, all of them or none.
    ///
    /// # Errors
    /// Kafka's code and message.
    pub(crate) fn alter_quotas(
        &mut self,
        entity: &Entity,
        changes: &[Change],
        validate_only: bool,
    ) -> Result<(), Refusal> {
        check_entity(entity)?;
        let mut values = self.quotas.by_entity.get(entity).cloned().unwrap_or_default();
        for Change { key, value } in changes {
            match value {
                Some(value) => {
                    check_value(entity, key, *value)?;
                    values.insert(key.clone(), *value);
                }
                None => {
                    values.remove(key);
                }
            }
        }
        if validate_only || self.quotas.by_entity.get(entity) == Some(&values) {
            return Ok(());
        }
        self.journal(&[record(entity, &values)])?;
        if values.is_empty() {
            self.quotas.by_entity.remove(entity);
        } else {
            self.quotas.by_entity.insert(entity.clone(), values);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Entity {
        Entity::from([(USER.to_owned(), Some(name.to_owned()))])
    }

    fn said(result: Result<(), Refusal>) -> String {
        result.unwrap_err().message.unwrap()
    }

    #[test]
    fn values_are_judged_by_their_key() {
        let ip = Entity::from([(IP.to_owned(), None)]);
        assert_eq!(
            said(check_value(&user("a"), "connection_creation_rate", 1.0)),
            "Invalid configuration key connection_creation_rate"
        );
        assert_eq!(
            said(check_value(&ip, "connection_creation_rate", 3e9)),
            "Proposed value for connection_creation_rate is too large for a INT."
        );
        assert_eq!(
            said(check_value(&user("a"), "producer_byte_rate", 1.5)),
            "producer_byte_rate cannot be a fractional value."
        );
        assert!(check_value(&user("a"), "request_percentage", 1.5).is_ok());
        assert!(check_value(&user("a"), "request_percentage", f64::NAN).is_err());
    }

    #[test]
    fn the_entity_that_says_most_counts() {
        let key = "producer_byte_rate";
        let (me, users) = ((USER, Some(ANONYMOUS)), (USER, None));
        let (this, clients) = ((CLIENT_ID, Some("c")), (CLIENT_ID, None));
        // From the one that counts last to the one that counts first.
        let rising: [&[(&str, Option<&str>)]; 8] = [
            &[clients],
            &[this],
            &[users],
            &[users, clients],
            &[users, this],
            &[me],
            &[me, clients],
            &[me, this],
        ];
        let mut quotas = Quotas::default();
        assert_eq!(quotas.limit(key, "c"), None);
        for (at, level) in rising.into_iter().enumerate() {
            let value = BTreeMap::from([(key.to_owned(), (at + 1).to_string())]);
            quotas.restore(entity(level), &value);
            let share = Share {
                user: level.iter().any(|(kind, _)| *kind == USER),
                client: level.iter().any(|(kind, _)| *kind == CLIENT_ID),
            };
            assert_eq!(quotas.limit(key, "c"), Some((share, (at + 1) as f64)));
        }
        assert_eq!(quotas.limit("consumer_byte_rate", "c"), None);
        // Who has no name is counted by user alone.
        assert_eq!(quotas.limit(key, "").map(|(_, most)| most as i32), Some(6));
        quotas.restore(entity(&[me]), &BTreeMap::new());
        quotas.restore(entity(&[users]), &BTreeMap::new());
        assert_eq!(quotas.limit(key, ""), None);
    }

    #[test]
    fn a_strict_filter_takes_entities_of_just_its_types() {
        let mut quotas = Quotas::default();
        let value = BTreeMap::from([("producer_byte_rate".to_owned(), "1".to_owned())]);
        let mut both = user("a");
        both.insert(CLIENT_ID.to_owned(), None);
        quotas.restore(user("a"), &value);
        quotas.restore(both.clone(), &value);
        let wanted = filter([(USER, 0, Some("a"))].into_iter()).unwrap();
        assert_eq!(quotas.find(&wanted, false).count(), 2);
        assert_eq!(quotas.find(&wanted, true).count(), 1);
        assert_eq!(quotas.find(&BTreeMap::new(), true).count(), 0);
        quotas.restore(both, &BTreeMap::new());
        assert_eq!(quotas.find(&wanted, false).count(), 1);
    }
}
