//! Ed25519 keys and the `did:key` identifiers that are made of them (W3C CCG, did:key method v0.9).

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Multicodec prefix of an Ed25519 public key.
const PUBLIC_PREFIX: [u8; 2] = [0xed, 0x01];
/// Multicodec prefix of an Ed25519 secret key.
const SECRET_PREFIX: [u8; 2] = [0x80, 0x26];
/// Characters of the longest accepted multibase text; a key has 48.
const MAX_MULTIBASE_CHARS: usize = 64;

/// Why a text is no key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DidError {
    /// Another DID method, or no DID.
    #[error("it does not start with did:key:z")]
    Method,
    /// Not base58btc, or too long.
    #[error("it is not base58btc")]
    Base58,
    /// Another kind of key than Ed25519, or a wrong length.
    #[error("it is not an Ed25519 key")]
    Kind,
    /// A point that Ed25519 must not use (not on the curve, or of small order).
    #[error("it is not a usable Ed25519 point")]
    Point,
}

/// A `did:key` of an Ed25519 public key: the identifier is the key.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Did(String);

impl Did {
    fn of(key: &VerifyingKey) -> Self {
        Self(format!("did:key:{}", multibase(PUBLIC_PREFIX, key.as_bytes())))
    }

    /// The whole identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key's own text, `z6Mk…`.
    pub fn fingerprint(&self) -> &str {
        &self.0["did:key:".len()..]
    }

    /// The one verification method that a `did:key` has.
    pub fn verification_method(&self) -> String {
        format!("{}#{}", self.0, self.fingerprint())
    }

    pub(crate) fn public_key(&self) -> Result<VerifyingKey, DidError> {
        let bytes = from_multibase(PUBLIC_PREFIX, self.fingerprint())?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| DidError::Point)?;
        if key.is_weak() {
            Err(DidError::Point)
        } else {
            Ok(key)
        }
    }
}

impl FromStr for Did {
    type Err = DidError;

    /// Takes exactly the canonical spelling: what it returns prints as it was read.
    fn from_str(text: &str) -> Result<Self, DidError> {
        if !text.starts_with("did:key:z") {
            return Err(DidError::Method);
        }
        let did = Self(text.to_owned());
        let canonical = Self::of(&did.public_key()?);
        if canonical == did {
            Ok(did)
        } else {
            Err(DidError::Base58)
        }
    }
}

impl TryFrom<String> for Did {
    type Error = DidError;

    fn try_from(text: String) -> Result<Self, DidError> {
        text.parse()
    }
}

impl From<Did> for String {
    fn from(did: Did) -> Self {
        did.0
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signing key. Its secret is wiped from memory when dropped, and never printed.
#[derive(Clone)]
pub struct Key {
    pub(crate) signing: SigningKey,
    did: Did,
}

impl Key {
    /// The key of 32 secret bytes, which the caller draws from the operating system's random source.
    pub fn from_secret(secret: [u8; 32]) -> Self {
        let secret = Zeroizing::new(secret);
        let signing = SigningKey::from_bytes(&secret);
        let did = Did::of(&signing.verifying_key());
        Self { signing, did }
    }

    /// Reads a `secretKeyMultibase` (W3C Multikey: `z` + base58btc of 0x80 0x26 and the 32 bytes).
    pub fn from_multibase(text: &str) -> Result<Self, DidError> {
        from_multibase(SECRET_PREFIX, text).map(Self::from_secret)
    }

    /// The secret as a `secretKeyMultibase`, for a key file with mode 0600.
    pub fn secret_multibase(&self) -> Zeroizing<String> {
        Zeroizing::new(multibase(SECRET_PREFIX, self.signing.as_bytes()))
    }

    /// The public identifier.
    pub fn did(&self) -> &Did {
        &self.did
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.did)
    }
}

fn multibase(prefix: [u8; 2], key: &[u8; 32]) -> String {
    let mut bytes = Zeroizing::new([0; 34]);
    bytes[..2].copy_from_slice(&prefix);
    bytes[2..].copy_from_slice(key);
    format!("z{}", bs58::encode(*bytes).into_string())
}

fn from_multibase(prefix: [u8; 2], text: &str) -> Result<[u8; 32], DidError> {
    let digits = text.strip_prefix('z').ok_or(DidError::Base58)?;
    if text.len() > MAX_MULTIBASE_CHARS {
        return Err(DidError::Base58);
    }
    let bytes = Zeroizing::new(bs58::decode(digits).into_vec().map_err(|_| DidError::Base58)?);
    let key = bytes.strip_prefix(&prefix).ok_or(DidError::Kind)?;
    key.try_into().map_err(|_| DidError::Kind)
}
