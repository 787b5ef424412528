//! Is this badge whole, and who says so.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::bake::{self, Container};
use crate::credential::{CONTEXTS, Credential, Proof, SignedCredential, instant};
use crate::key::Did;
use crate::picture;
use crate::proof::{self, ProofError};
use crate::{MAX_CREDENTIAL_BYTES, MAX_FILE_BYTES};

/// How far another machine's clock may be ahead of ours.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Why a file is not accepted as a badge.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a badge of any kind: nothing was claimed that could be false.
    #[error("this is not a badge: {0}")]
    NotABadge(&'static str),
    /// Over [`MAX_FILE_BYTES`].
    #[error("this is not a badge: it has more than {MAX_FILE_BYTES} bytes")]
    FileTooLarge,
    /// Over [`MAX_CREDENTIAL_BYTES`].
    #[error("its credential has more than {MAX_CREDENTIAL_BYTES} bytes")]
    CredentialTooLarge,
    /// More than one credential or proof: which one would count?
    #[error("{0}")]
    Several(&'static str),
    /// The file around the credential was altered.
    #[error("{0}")]
    Picture(&'static str),
    /// The JSON is not exactly a badge of ours: a field too many, too few, twice, null, or of another kind.
    #[error("its credential is not as it was made: {0}")]
    Json(serde_json::Error),
    /// Readable, but spelled in another way than it was signed.
    #[error("its credential is not in the form in which it was signed")]
    Form,
    /// Other contexts give the same words another meaning.
    #[error("its contexts are not exactly those of Open Badges 3.0.3")]
    Contexts,
    /// Parts that contradict each other.
    #[error("{0}")]
    Shape(&'static str),
    /// A text that can't be shown as it is.
    #[error("the {0} {1}")]
    Text(&'static str, crate::credential::TextError),
    /// The key named by the proof is not the issuer's.
    #[error("the proof is by another key than the issuer's")]
    Method,
    /// Dates that can't be.
    #[error("{0}")]
    Date(&'static str),
    /// The signature does not hold.
    #[error("{0}")]
    Proof(#[from] ProofError),
}

impl Refusal {
    /// Whether the file is no badge at all, rather than a false one.
    pub fn is_no_badge(&self) -> bool {
        matches!(self, Self::NotABadge(_) | Self::FileTooLarge)
    }
}

/// Who stands behind a badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Signed by a key that the verifier was told to trust.
    Trusted,
    /// Signed by a key that nobody vouches for: anyone can make one, the learner too.
    SelfIssued,
    /// Keys were named, and this badge is by another one.
    OtherKey,
}

/// What is known about the picture around the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// The file has none.
    None,
    /// It shows what the credential says.
    Matches,
    /// It has letters that the bundled font lacks, so it can't be drawn again for comparison. Only the credential counts.
    Unchecked,
}

/// A badge that is whole: what it says is what its issuer's key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub credential: Credential,
    /// The whole of it, to be baked anew.
    pub signed: SignedCredential,
    /// When it was signed, by the signer's clock.
    pub signed_at: Timestamp,
    /// When it was passed, by the signer's clock.
    pub passed_at: Timestamp,
    /// Who stands behind it.
    pub trust: Trust,
    /// What kind of file it was.
    pub container: Container,
    /// What is known about its picture.
    pub picture: Picture,
}

impl Verified {
    /// The score.
    pub fn score(&self) -> u32 {
        self.credential.score()
    }
}

/// Verifies badges against one instant and a set of trusted keys.
#[derive(Debug, Clone)]
pub struct Verifier {
    now: Timestamp,
    trusted: Vec<Did>,
}

impl Verifier {
    /// A verifier whose clock shows `now`, and which trusts nobody.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            trusted: Vec::new(),
        }
    }

    /// Trusts a key: its badges are [`Trust::Trusted`], and all others [`Trust::OtherKey`].
    #[must_use]
    pub fn trusting(mut self, did: Did) -> Self {
        self.trusted.push(did);
        self
    }

    /// Reads a JSON, SVG or PNG file and verifies it. What is cheap to see is looked at first; nothing that the file
    /// says is acted on before its shape and size are known.
    pub fn verify(&self, file: &[u8]) -> Result<Verified, Refusal> {
        let (container, json) = bake::unbake(file)?;
        let signed = parse(&json)?;
        let (credential, proof) = signed.clone().split();
        if credential.context != CONTEXTS {
            return Err(Refusal::Contexts);
        }
        credential
            .check()
            .map_err(|(field, why)| Refusal::Text(field, why))?;
        credential.check_shape().map_err(Refusal::Shape)?;
        if proof.verification_method != proof::method_of(credential.issuer()) {
            return Err(Refusal::Method);
        }
        let (passed_at, signed_at) = self.dates(&credential, &proof)?;
        proof::verify(&credential, &proof)?;
        let picture = check_picture(container, file, &signed, &credential)?;
        let trust = match credential.issuer() {
            did if self.trusted.contains(did) => Trust::Trusted,
            _ if self.trusted.is_empty() => Trust::SelfIssued,
            _ => Trust::OtherKey,
        };
        Ok(Verified {
            credential,
            signed,
            signed_at,
            passed_at,
            trust,
            container,
            picture,
        })
    }

    fn dates(&self, credential: &Credential, proof: &Proof) -> Result<(Timestamp, Timestamp), Refusal> {
        let passed_at =
            instant(&credential.valid_from).ok_or(Refusal::Date("its validFrom is no instant in UTC"))?;
        let signed_at =
            instant(&proof.created).ok_or(Refusal::Date("its proof's date is no instant in UTC"))?;
        if signed_at < passed_at {
            return Err(Refusal::Date("it was signed before it was earned"));
        }
        if self.now.duration_until(signed_at) > CLOCK_SKEW {
            return Err(Refusal::Date("it was signed in the future"));
        }
        Ok((passed_at, signed_at))
    }
}

fn parse(json: &str) -> Result<SignedCredential, Refusal> {
    if let Ok(value) = serde_json::from_str::<Value>(json) {
        let proofs = value.get("proof").and_then(Value::as_array).map_or(0, Vec::len);
        if proofs > 1 {
            return Err(Refusal::Several("it has more than one proof"));
        }
        if value.get("proof").is_none() {
            return Err(Refusal::NotABadge("it has no proof"));
        }
    }
    let signed: SignedCredential = serde_json::from_str(json).map_err(Refusal::Json)?;
    // Typed structs can't tell a null from an absent member, nor an equal spelling from another.
    let as_read: Value = serde_json::from_str(json).map_err(Refusal::Json)?;
    let as_signed = serde_json::to_value(&signed).map_err(Refusal::Json)?;
    if as_read == as_signed {
        Ok(signed)
    } else {
        Err(Refusal::Form)
    }
}

fn check_picture(
    container: Container,
    file: &[u8],
    signed: &SignedCredential,
    credential: &Credential,
) -> Result<Picture, Refusal> {
    const DIFFERS: Refusal = Refusal::Picture("its picture shows something else than its credential says");
    match container {
        Container::Json => Ok(Picture::None),
        Container::Svg => {
            let svg = bake::bake_svg(signed).map_err(|_| DIFFERS)?;
            if svg.as_bytes() == file {
                Ok(Picture::Matches)
            } else {
                Err(DIFFERS)
            }
        }
        Container::Png => match picture::is_drawn_in(file, credential) {
            Ok(Some(true)) => Ok(Picture::Matches),
            Ok(None) => Ok(Picture::Unchecked),
            Ok(Some(false)) | Err(_) => Err(DIFFERS),
        },
    }
}
