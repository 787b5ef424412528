//! Feature levels (KIP-584): what `ApiVersions` says of them, and how `UpdateFeatures` is judged.
//!
//! Each level follows from the table of API keys, so that nothing is claimed that the cluster doesn't do.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use super::Refusal;
use crate::api::find;

/// One feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    /// The levels that this version can have.
    pub(crate) supported: (i16, i16),
    /// The level in force; none where it is not finalized.
    pub(crate) level: Option<i16>,
}

/// The `metadata.version` of Kafka 4.3, as a feature level.
pub(crate) const METADATA_VERSION: i16 = 30;

/// How an update was meant, as the protocol's numbers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upgrade {
    Up,
    SafeDowngrade,
    UnsafeDowngrade,
    Unknown,
}

impl Upgrade {
    /// The meaning of the protocol's number.
    pub(crate) fn from_code(code: i8) -> Self {
        match code {
            1 => Self::Up,
            2 => Self::SafeDowngrade,
            3 => Self::UnsafeDowngrade,
            _ => Self::Unknown,
        }
    }
}

/// The features that this cluster has.
pub(crate) fn features() -> Vec<Feature> {
    let offers = |key: ApiKey, version: i16| find(key as i16).is_some_and(|api| api.max >= version);
    let feature = |name, supported, level| Feature {
        name,
        supported,
        level: Some(level),
    };
    let mut all = vec![feature(
        "metadata.version",
        (7, METADATA_VERSION),
        METADATA_VERSION,
    )];
    // KIP-966: who may lead once nobody is in sync (`core/standing.rs`).
    if offers(ApiKey::DescribeTopicPartitions, 0) {
        all.push(feature("eligible.leader.replicas.version", (0, 1), 1));
    }
    if offers(ApiKey::ConsumerGroupHeartbeat, 0) {
        all.push(feature("group.version", (0, 1), 1));
    }
    if offers(ApiKey::AddPartitionsToTxn, 0) {
        // Level 2 is KIP-890: the epoch is bumped with every transaction.
        let level = if offers(ApiKey::EndTxn, 5) { 2 } else { 0 };
        all.push(feature("transaction.version", (0, level), level));
    }
    if offers(ApiKey::ShareFetch, 1) {
        all.push(feature("share.version", (0, 1), 1));
    }
    all
}

/// Judges one wish for a level; the levels in force are fixed.
///
/// # Errors
/// `INVALID_UPDATE_VERSION` with Kafka's message.
pub(crate) fn update(controller: i32, name: &str, level: i16, upgrade: Upgrade) -> Result<(), Refusal> {
    let wrong = |why: String| {
        Err(Refusal::new(
            ResponseError::InvalidUpdateVersion,
            format!("Invalid update version {level} for feature {name}. {why}"),
        ))
    };
    if upgrade == Upgrade::Unknown {
        return wrong("The controller does not support the given upgrade type.".to_owned());
    }
    if level < 0 {
        return wrong("A feature version cannot be less than 0.".to_owned());
    }
    let Some(feature) = features().into_iter().find(|feature| feature.name == name) else {
        return wrong(if level == 0 {
            format!("Feature {name} not found.")
        } else {
            format!("Local controller {controller} does not support this feature.")
        });
    };
    let (least, most) = feature.supported;
    if !(least..=most).contains(&level) {
        return wrong(format!(
            "Local controller {controller} only supports versions {least}-{most}"
        ));
    }
    let current = feature.level.unwrap_or(0);
    if level == current {
        return Ok(());
    }
    if level > current && upgrade != Upgrade::Up {
        return wrong("Can't downgrade to a newer version.".to_owned());
    }
    if level < current && upgrade == Upgrade::Up {
        return wrong(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
             downgrade."
                .to_owned(),
        );
    }
    if name != "metadata.version" {
        return wrong("The feature levels of this cluster are fixed.".to_owned());
    }
    let why = if upgrade == Upgrade::UnsafeDowngrade {
        "Unsafe metadata downgrade is not supported in this version."
    } else {
        "Refusing to perform the requested downgrade because it might delete metadata information."
    };
    Err(Refusal::new(
        ResponseError::InvalidUpdateVersion,
        format!("Unsupported metadata.version downgrade from {current} to {level}. {why}"),
    ))
}
