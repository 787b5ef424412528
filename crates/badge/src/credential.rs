//! The credential as typed structs: what they can't hold, a badge can't say.
//!
//! RDF canonicalisation signs the graph, not the text, so every field here is exactly the shape that this crate writes:
//! unknown fields, duplicate fields and nulls are refused, and arrays have one length and one order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::key::Did;

/// The contexts of a badge, in their order.
pub(crate) const CONTEXTS: [&str; 2] = [
    "https://www.w3.org/ns/credentials/v2",
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
];

/// The most characters in a person's, an issuer's or an achievement's name.
pub const MAX_NAME_CHARS: usize = 80;
/// The most characters in a description or criteria.
const MAX_TEXT_CHARS: usize = 2_000;
/// The most characters in a salt.
const MAX_SALT_CHARS: usize = 64;
/// The largest score that a badge can state.
const MAX_SCORE: u32 = 1_000;

/// Why an award can't be made into a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwardError {
    /// Empty after trimming, or too long, or with characters that can't be shown.
    #[error("the {field} {why}")]
    Text {
        /// Which text.
        field: &'static str,
        /// What is wrong with it.
        why: TextError,
    },
    /// Neither a name nor an e-mail address.
    #[error("a badge needs a name or an e-mail address")]
    NoHolder,
    /// Not of the form `someone@host`.
    #[error("the e-mail address is not of the form someone@host")]
    Email,
    /// The score is below what was required, or above the maximum.
    #[error("{score} is not a passing score: {required} to {max} is")]
    Score {
        /// The score.
        score: u32,
        /// The least passing score.
        required: u32,
        /// The highest score.
        max: u32,
    },
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// White space at an end, which nobody would see.
    #[error("starts or ends with white space")]
    Untrimmed,
    /// Too long.
    #[error("is longer than {0} characters")]
    Long(usize),
    /// Control characters, bidirectional overrides or other invisible ones.
    #[error("has a control or invisible character (U+{0:04X})")]
    Invisible(u32),
}

/// What was achieved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Achievement {
    /// What its identifier is derived from: equal for every badge of one course.
    pub seed: String,
    /// Its name, as on the picture.
    pub name: String,
    /// What it stands for.
    pub description: String,
    /// What had to be done.
    pub criteria: String,
    /// The highest score.
    pub max: u32,
    /// The least passing score.
    pub required: u32,
}

/// A holder's e-mail address, which goes into the badge only as a salted hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The address.
    pub address: String,
    /// The salt. It is published in the badge: whoever guesses the address can confirm the guess.
    pub salt: String,
}

/// Who holds the badge: a name, a hashed e-mail address, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// A name, readable by everyone.
    pub name: Option<String>,
    /// An e-mail address.
    pub email: Option<Email>,
}

/// All that a badge states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Award {
    /// Random bytes of the credential's UUID.
    pub id: [u8; 16],
    /// What was achieved.
    pub achievement: Achievement,
    /// By whom.
    pub holder: Holder,
    /// The score.
    pub score: u32,
    /// When it was passed.
    pub passed_at: Timestamp,
    /// What the issuer calls itself; nothing proves it.
    pub issuer_name: String,
}

impl Award {
    /// The credential of `issuer`, not signed yet.
    pub fn credential(&self, issuer: &Did) -> Result<Credential, AwardError> {
        let Self {
            achievement,
            holder,
            score,
            ..
        } = self;
        if !(achievement.required..=achievement.max).contains(score) || achievement.max > MAX_SCORE {
            let (required, max) = (achievement.required, achievement.max);
            return Err(AwardError::Score {
                score: *score,
                required,
                max,
            });
        }
        let achievement_id = uuid_of(&digest16(&["achievement", &achievement.seed]));
        let description_id = uuid_of(&digest16(&["result", &achievement.seed]));
        let credential = Credential {
            context: CONTEXTS.map(str::to_owned),
            id: uuid_of(&self.id),
            kind: [
                CredentialKind::VerifiableCredential,
                CredentialKind::OpenBadgeCredential,
            ],
            name: achievement.name.clone(),
            issuer: Issuer {
                id: issuer.clone(),
                kind: [ProfileKind::Profile],
                name: self.issuer_name.clone(),
            },
            valid_from: second_of(self.passed_at),
            subject: Subject {
                kind: [SubjectKind::AchievementSubject],
                identifier: identities(holder)?,
                achievement: AchievementNode {
                    id: achievement_id,
                    kind: [AchievementKind::Achievement],
                    achievement_type: AchievementType::Assessment,
                    name: achievement.name.clone(),
                    description: achievement.description.clone(),
                    criteria: Criteria {
                        narrative: achievement.criteria.clone(),
                    },
                    result_description: [ResultDescription {
                        id: description_id.clone(),
                        kind: [ResultDescriptionKind::ResultDescription],
                        name: ResultName::Score,
                        result_type: ResultType::RawScore,
                        value_min: "0".into(),
                        value_max: achievement.max.to_string(),
                        required_value: achievement.required.to_string(),
                    }],
                },
                result: [ResultNode {
                    kind: [ResultKind::Result],
                    result_description: description_id,
                    value: score.to_string(),
                }],
            },
        };
        credential
            .check()
            .map_err(|(field, why)| AwardError::Text { field, why })?;
        Ok(credential)
    }
}

/// The identity hash of Open Badges 3.0: `sha256$` and the hex of SHA-256 over address and salt.
pub fn email_hash(address: &str, salt: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(address.as_bytes());
    hash.update(salt.as_bytes());
    format!("sha256${}", hex(&hash.finalize()))
}

fn identities(holder: &Holder) -> Result<Vec<Identity>, AwardError> {
    let mut identities = Vec::new();
    if let Some(name) = &holder.name {
        identities.push(Identity {
            kind: IdentityKind::IdentityObject,
            hashed: false,
            hash: name.clone(),
            by: IdentityType::Name,
            salt: None,
        });
    }
    if let Some(Email { address, salt }) = &holder.email {
        let halves = address.split_once('@');
        let plain = !address.chars().any(|c| c.is_whitespace() || is_invisible(c));
        if !plain
            || halves.is_none_or(|(user, host)| user.is_empty() || host.is_empty() || host.contains('@'))
        {
            return Err(AwardError::Email);
        }
        identities.push(Identity {
            kind: IdentityKind::IdentityObject,
            hashed: true,
            hash: email_hash(address, salt),
            by: IdentityType::EmailAddress,
            salt: Some(salt.clone()),
        });
    }
    if identities.is_empty() {
        Err(AwardError::NoHolder)
    } else {
        Ok(identities)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:ident $(= $text:literal)?),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) enum $name { $($(#[serde(rename = $text)])? $word),+ }
    };
}
words!(CredentialKind {
    VerifiableCredential,
    OpenBadgeCredential
});
words!(ProfileKind { Profile });
words!(SubjectKind { AchievementSubject });
words!(AchievementKind { Achievement });
words!(AchievementType { Assessment });
words!(IdentityKind { IdentityObject });
words!(IdentityType { Name = "name", EmailAddress = "emailAddress" });
words!(ResultDescriptionKind { ResultDescription });
words!(ResultName { Score });
words!(ResultType { RawScore });
words!(ResultKind { Result });
words!(ProofKind { DataIntegrityProof });
words!(Cryptosuite { EddsaRdfc2022 = "eddsa-rdfc-2022" });
words!(ProofPurpose { AssertionMethod = "assertionMethod" });

/// An unsigned credential. It is made by [`Award::credential`] and read only by a verifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    #[serde(rename = "@context")]
    pub(crate) context: [String; 2],
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: [CredentialKind; 2],
    pub(crate) name: String,
    pub(crate) issuer: Issuer,
    #[serde(rename = "validFrom")]
    pub(crate) valid_from: String,
    #[serde(rename = "credentialSubject")]
    pub(crate) subject: Subject,
}

/// A credential with its one proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCredential {
    #[serde(rename = "@context")]
    context: [String; 2],
    id: String,
    #[serde(rename = "type")]
    kind: [CredentialKind; 2],
    name: String,
    issuer: Issuer,
    #[serde(rename = "validFrom")]
    valid_from: String,
    #[serde(rename = "credentialSubject")]
    subject: Subject,
    pub(crate) proof: [Proof; 1],
}

impl SignedCredential {
    pub(crate) fn new(credential: Credential, proof: Proof) -> Self {
        let Credential {
            context,
            id,
            kind,
            name,
            issuer,
            valid_from,
            subject,
        } = credential;
        Self {
            context,
            id,
            kind,
            name,
            issuer,
            valid_from,
            subject,
            proof: [proof],
        }
    }

    pub(crate) fn split(self) -> (Credential, Proof) {
        let Self {
            context,
            id,
            kind,
            name,
            issuer,
            valid_from,
            subject,
            proof: [proof],
        } = self;
        (
            Credential {
                context,
                id,
                kind,
                name,
                issuer,
                valid_from,
                subject,
            },
            proof,
        )
    }

    /// What it states, without the proof.
    pub fn credential(&self) -> Credential {
        self.clone().split().0
    }

    /// The JSON text, indented.
    pub fn to_json(&self) -> String {
        // Structs of strings and arrays have no way to fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    pub(crate) id: Did,
    #[serde(rename = "type")]
    kind: [ProfileKind; 1],
    pub(crate) name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subject {
    #[serde(rename = "type")]
    kind: [SubjectKind; 1],
    identifier: Vec<Identity>,
    achievement: AchievementNode,
    result: [ResultNode; 1],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "type")]
    kind: IdentityKind,
    hashed: bool,
    #[serde(rename = "identityHash")]
    hash: String,
    #[serde(rename = "identityType")]
    by: IdentityType,
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AchievementNode {
    id: String,
    #[serde(rename = "type")]
    kind: [AchievementKind; 1],
    #[serde(rename = "achievementType")]
    achievement_type: AchievementType,
    name: String,
    description: String,
    criteria: Criteria,
    #[serde(rename = "resultDescription")]
    result_description: [ResultDescription; 1],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Criteria {
    narrative: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultDescription {
    id: String,
    #[serde(rename = "type")]
    kind: [ResultDescriptionKind; 1],
    name: ResultName,
    #[serde(rename = "resultType")]
    result_type: ResultType,
    #[serde(rename = "valueMin")]
    value_min: String,
    #[serde(rename = "valueMax")]
    value_max: String,
    #[serde(rename = "requiredValue")]
    required_value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultNode {
    #[serde(rename = "type")]
    kind: [ResultKind; 1],
    #[serde(rename = "resultDescription")]
    result_description: String,
    value: String,
}

/// A Data Integrity proof, as W3C vc-di-eddsa writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    #[serde(rename = "type")]
    pub(crate) kind: ProofKind,
    pub(crate) cryptosuite: Cryptosuite,
    pub(crate) created: String,
    #[serde(rename = "verificationMethod")]
    pub(crate) verification_method: String,
    #[serde(rename = "proofPurpose")]
    pub(crate) purpose: ProofPurpose,
    #[serde(rename = "proofValue")]
    pub(crate) value: String,
}

impl Credential {
    /// The issuer's key.
    pub fn issuer(&self) -> &Did {
        &self.issuer.id
    }

    /// What the issuer calls itself.
    pub fn issuer_name(&self) -> &str {
        &self.issuer.name
    }

    /// The credential's `urn:uuid:`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The achievement's name.
    pub fn achievement(&self) -> &str {
        &self.subject.achievement.name
    }

    /// The holder's name, when the badge states one.
    pub fn holder_name(&self) -> Option<&str> {
        let of_name = |identity: &&Identity| identity.by == IdentityType::Name;
        self.subject
            .identifier
            .iter()
            .find(of_name)
            .map(|identity| identity.hash.as_str())
    }

    /// The holder's hashed e-mail address: hash and salt.
    pub fn holder_email(&self) -> Option<(&str, &str)> {
        self.subject.identifier.iter().find_map(|identity| {
            identity
                .salt
                .as_deref()
                .map(|salt| (identity.hash.as_str(), salt))
        })
    }

    /// Whether `address` is the one that the badge has a hash of.
    pub fn is_held_by(&self, address: &str) -> bool {
        self.holder_email()
            .is_some_and(|(hash, salt)| email_hash(address, salt) == hash)
    }

    /// The score; a checked credential has one.
    pub fn score(&self) -> u32 {
        number(&self.subject.result[0].value).unwrap_or(0)
    }

    /// The highest score.
    pub fn max(&self) -> u32 {
        number(&self.subject.achievement.result_description[0].value_max).unwrap_or(0)
    }

    /// The least passing score.
    pub fn required(&self) -> u32 {
        number(&self.subject.achievement.result_description[0].required_value).unwrap_or(0)
    }

    /// When it was passed.
    pub fn passed_at(&self) -> Option<Timestamp> {
        instant(&self.valid_from)
    }

    /// The same award under another issuer, not signed yet: how an instructor takes a learner's result over.
    pub fn reissue(&self, id: [u8; 16], issuer: &Did, issuer_name: &str) -> Result<Self, AwardError> {
        let mut credential = self.clone();
        credential.id = uuid_of(&id);
        credential.issuer.id = issuer.clone();
        issuer_name.clone_into(&mut credential.issuer.name);
        credential
            .check()
            .map_err(|(field, why)| AwardError::Text { field, why })?;
        Ok(credential)
    }

    /// The texts that anyone sees: bounded, visible, trimmed.
    pub(crate) fn check(&self) -> Result<(), (&'static str, TextError)> {
        let achievement = &self.subject.achievement;
        text("badge's name", &self.name, MAX_NAME_CHARS)?;
        text("issuer's name", &self.issuer.name, MAX_NAME_CHARS)?;
        text("achievement's name", &achievement.name, MAX_NAME_CHARS)?;
        text(
            "achievement's description",
            &achievement.description,
            MAX_TEXT_CHARS,
        )?;
        text(
            "achievement's criteria",
            &achievement.criteria.narrative,
            MAX_TEXT_CHARS,
        )?;
        for identity in &self.subject.identifier {
            text("holder's name", &identity.hash, MAX_NAME_CHARS)?;
            if let Some(salt) = &identity.salt {
                text("salt", salt, MAX_SALT_CHARS)?;
            }
        }
        Ok(())
    }

    /// The rest of what this crate always writes: identifiers, numbers and their relations. The text names the fault.
    pub(crate) fn check_shape(&self) -> Result<(), &'static str> {
        let Subject {
            identifier,
            achievement,
            result,
            ..
        } = &self.subject;
        let description = &achievement.result_description[0];
        if self.kind
            != [
                CredentialKind::VerifiableCredential,
                CredentialKind::OpenBadgeCredential,
            ]
        {
            return Err("its types are not those of an Open Badge, in their order");
        }
        if self.name != achievement.name {
            return Err("its name is not its achievement's");
        }
        if ![&self.id, &achievement.id, &description.id]
            .into_iter()
            .all(|id| is_uuid(id))
        {
            return Err("an identifier is not a urn:uuid");
        }
        if self.id == achievement.id || self.id == description.id || achievement.id == description.id {
            return Err("two of its parts share an identifier");
        }
        if result[0].result_description != description.id {
            return Err("its result is of something else");
        }
        let numbers = [
            &description.value_min,
            &result[0].value,
            &description.required_value,
            &description.value_max,
        ];
        let [Some(min), Some(score), Some(required), Some(max)] = numbers.map(|text| number(text)) else {
            return Err("a score is not a plain number");
        };
        if min != 0 || !(required..=max).contains(&score) {
            return Err("its score does not pass");
        }
        let named = |identity: &Identity| {
            identity.by == IdentityType::Name && !identity.hashed && identity.salt.is_none()
        };
        let mailed = |identity: &Identity| {
            identity.by == IdentityType::EmailAddress
                && identity.hashed
                && identity.salt.is_some()
                && is_hash(&identity.hash)
        };
        match identifier.as_slice() {
            [one] if named(one) || mailed(one) => Ok(()),
            [one, two] if named(one) && mailed(two) => Ok(()),
            _ => Err("its holder is not one name, one hashed e-mail address, or both in this order"),
        }
    }
}

fn text(field: &'static str, text: &str, max: usize) -> Result<(), (&'static str, TextError)> {
    let wrong = if text.is_empty() {
        Some(TextError::Empty)
    } else if text.chars().count() > max {
        Some(TextError::Long(max))
    } else if text.trim() != text {
        Some(TextError::Untrimmed)
    } else {
        text.chars()
            .find(|&c| is_invisible(c))
            .map(|c| TextError::Invisible(c as u32))
    };
    wrong.map_or(Ok(()), |why| Err((field, why)))
}

/// Characters that a reader can't see, that reorder what is seen, or that XML can't hold. The joiners U+200C and U+200D
/// stay: Persian and Indic names are written with them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}'
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// `2026-11-22T18:00:00Z`, and no other spelling of an instant.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    let instant: Timestamp = text.parse().ok()?;
    (second_of(instant) == text).then_some(instant)
}

pub(crate) fn second_of(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A number without sign, leading zero or fraction.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number <= MAX_SCORE && number.to_string() == text).then_some(number)
}

fn is_hash(text: &str) -> bool {
    text.strip_prefix("sha256$").is_some_and(|digits| {
        digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_uuid(text: &str) -> bool {
    text.strip_prefix("urn:uuid:").is_some_and(|uuid| {
        uuid.len() == 36
            && uuid.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            })
    })
}

fn digest16(parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"streamlings");
    for part in parts {
        hash.update([0]);
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    std::array::from_fn(|at| digest[at])
}

/// A `urn:uuid:` of version 8 (RFC 9562: the bytes are the application's own).
fn uuid_of(bytes: &[u8; 16]) -> String {
    let mut bytes = *bytes;
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("urn:uuid:{}", groups.join("-"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
