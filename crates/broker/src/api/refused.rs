//! What the requests share that an unsecured Kafka refuses: there is no authorizer, and nobody is authenticated.

use kafka_protocol::protocol::StrBytes;

use super::shape::{Field, I8, I64, Kind::Bytes, Kind::Text, all};

/// What the support table says beside the requests about ACLs.
pub(super) const ACL_NOTE: &str = "refused: there is no authorizer";

/// An ACL, or a filter of ACLs: resource type, name and pattern type, principal, host, operation, permission.
pub(super) const ACL: &[Field] = &[
    all(I8),
    all(Text),
    all(I8),
    all(Text),
    all(Text),
    all(I8),
    all(I8),
];

/// The message beside an ACL that can't be made or removed.
pub(super) fn no_authorizer() -> StrBytes {
    StrBytes::from_static_str("No Authorizer is configured.")
}

/// What the support table says beside the requests about delegation tokens.
pub(super) const TOKEN_NOTE: &str = "refused: a PLAINTEXT listener gives no tokens";

/// A token's HMAC, and a time.
pub(super) const TOKEN_TIME: &[Field] = &[all(Bytes), all(I64)];
